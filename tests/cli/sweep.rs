//! Sweeps and comparisons through the program.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

use dualk_sdk::serde_json::{self, Value};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const MANIFEST: &str = r#"name = "small"
seed = 3

[backend]
device = "cpu"

[data]
parser = { type = "synthetic", patients = 400, codes = 120, labs = 30, clusters = 8 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }

[model]
node_init = { type = "random", dim = 16 }
graph_encoder = { type = "gat", dims = [16, 16] }
lab = { type = "linear", dim = 16 }
head = { decoder = [16, 16], classifier = [32], dropout = 0.1 }

[[stage]]
type = "lab"
epochs = 2

[[stage]]
type = "finetune"
epochs = 3
"#;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(sweep: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("small.toml"), format!("{MANIFEST}\n{sweep}")).unwrap();
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dualk"));
        command.current_dir(self.folder.path()).env("DUALK_CACHE", self.folder.path().join("cache")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that the user got wrong.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", errors(&output));
        errors(&output)
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn logs(&self) -> Vec<String> {
        let members = fs::read_dir(self.path("out/members")).unwrap();
        members.map(|m| fs::read_to_string(m.unwrap().path().join("log.txt")).unwrap_or_default()).collect()
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const ENCODERS: &str = r#"[sweep]
seeds = [1, 2]
grid = { "model.graph_encoder" = [{ type = "gat", dims = [16, 16] }, { type = "gcn", dims = [16, 16] }] }
"#;

#[test]
fn a_sweep_trains_every_member_and_compares_them() {
    let place = Place::new(ENCODERS);
    let listed = place.ok(&["sweep", "small.toml", "--out", "out", "--dry-run"]);
    assert_eq!(listed.lines().filter(|l| l.ends_with("to run")).count(), 4, "{listed}");
    assert!(listed.contains("expected time: unknown") && !place.path("out/runs").exists(), "{listed}");

    let output = place.run(&["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1"]);
    assert!(output.status.success(), "{}", errors(&output));
    // On systems that tell, the first row's memory is estimated as `dualk check` does.
    if std::path::Path::new("/proc/meminfo").exists() {
        let said = errors(&output);
        let line =
            said.lines().find(|l| l.starts_with("gat is expected to take 0.")).unwrap_or_else(|| panic!("{said}"));
        let peaks = fs::read_dir(place.path("out/members")).unwrap().map(|m| {
            let state = fs::read(m.unwrap().path().join("state.json")).unwrap();
            serde_json::from_slice::<Value>(&state).unwrap()["peak_bytes"].as_f64().unwrap() / 1e9
        });
        let (said, most) = (line.split(' ').nth(5).unwrap().parse::<f64>().unwrap(), peaks.fold(0.0, f64::max));
        assert!(said > 0.8 * most && said < 1.5 * most, "estimated {said} GB, took {most} GB");
    }
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("mean ± standard deviation over 2 runs") && printed.contains("→ "), "{printed}");
    for row in ["code frequency", "gat ", "gcn "] {
        assert!(printed.lines().any(|l| l.starts_with(row)), "{row}: {printed}");
    }
    let page = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(page.contains("gcn") && !page.contains("src=\"http") && !page.contains("<link"));

    // Every run is that of its own manifest alone, to the digit.
    let rows = place.json(&["compare", "out", "--format", "json"]);
    assert_eq!(rows.iter().map(|r| r["name"].as_str().unwrap()).collect::<Vec<_>>(), ["gat", "gcn"]);
    let mut by_hand = Vec::new();
    for seed in [1, 2] {
        let set = format!("seed={seed}");
        let seeded = ["run", "small.toml", "--no-cache", "--set", &set];
        let mut command = place.command(&seeded);
        let output = command.env("RAYON_NUM_THREADS", "1").output().unwrap();
        let printed = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(errors(&output).contains("[sweep] is left out by `dualk run`"));
        let run = printed.lines().find_map(|l| l.strip_prefix("run: ")).unwrap();
        let result: Value = serde_json::from_slice(&fs::read(place.path(run).join("result.json")).unwrap()).unwrap();
        let rows = result["stages"][0]["rows"].as_array().unwrap();
        let is_model = |row: &&Value| !row["name"].as_str().unwrap().starts_with("oracle");
        let model = rows.iter().rfind(is_model).unwrap();
        let metrics = model["metrics"].as_array().unwrap();
        let metric = |name: &str| metrics.iter().find(|m| m[0] == name).unwrap()[1].as_f64().unwrap();
        by_hand.push(metric("R@10"));
        // The interval of a weighted F1 is that of one run.
        let interval = model["intervals"].as_array().unwrap().iter().find(|i| i["name"] == "F1-w").unwrap();
        let [low, high] = ["low", "high"].map(|end| interval[end].as_f64().unwrap());
        assert!(low < metric("F1-w") && metric("F1-w") < high && high - low < 0.3, "{interval}");
    }
    let gat = &rows[0];
    let mean = (by_hand[0] + by_hand[1]) / 2.0;
    let sd = (by_hand[0] - by_hand[1]).abs() / 2f64.sqrt();
    assert_eq!(gat["runs"], 2);
    assert!((gat["metrics"]["R@10"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{by_hand:?} {gat}");
    assert!((gat["metrics"]["R@10"]["sd"].as_f64().unwrap() - sd).abs() < 1e-12, "{gat}");
    let number = |row: &Value, part: &str, metric: &str, key: &str| row[part][metric][key].as_f64().unwrap();
    for row in &rows {
        let r = |key| number(row, "metrics", "R@20", key);
        assert!(r("low") < r("mean") && r("mean") < r("high"), "{row}");
    }
    let d = |key| number(&rows[1], "difference", "R@10", key);
    let means = number(&rows[1], "metrics", "R@10", "mean") - number(&rows[0], "metrics", "R@10", "mean");
    assert!((d("mean") - means).abs() < 1e-12 && d("low") <= d("mean") && d("mean") <= d("high"));
    assert!(d("p") > 0.0 && d("p") <= 1.0);
    // A weighted F1 is no mean over patients, and runs keep no codes of them: it has no interval here, and says so.
    assert!(rows[0]["metrics"]["F1-w"]["low"].is_null() && rows[1]["difference"]["F1-w"]["p"].is_null());
    assert_eq!(number(&rows[0], "difference", "R@10", "p"), 1.0, "the baseline to itself");
    // Turned around, differences change their sign.
    let turned = place.json(&["compare", "out", "--format", "json", "--baseline", "gcn"]);
    assert!((number(&turned[0], "difference", "R@10", "mean") + means).abs() < 1e-12);

    // The other forms have the same figures.
    let figure = format!("{mean:.4}");
    for format in ["latex", "markdown", "table"] {
        let text = place.ok(&["compare", "out", "--format", format]);
        assert!(text.contains(&figure) && text.contains("code frequency"), "{format}: {text}");
    }
    let csv = place.ok(&["compare", "out", "--format", "csv"]);
    let line = csv.lines().find(|l| l.starts_with("gat,2,R@10,")).unwrap();
    assert!((line.split(',').nth(3).unwrap().parse::<f64>().unwrap() - mean).abs() < 1e-12, "{line}");
    assert!(place.ok(&["compare", "out", "--format", "latex"]).contains("\\toprule"));
    assert!(place.refused(&["compare", "out", "--baseline", "gatt"]).contains("did you mean `gat`?"));
    assert!(place.refused(&["compare", "out", "--metric", "R@11"]).contains("did you mean `R@10`?"));

    // Once more: nothing is trained, and the time is known.
    let before = place.logs();
    let again = place.run(&["sweep", "small.toml", "--out", "out"]);
    assert!(errors(&again).contains("4 of 4 members are complete already"), "{}", errors(&again));
    assert_eq!(place.logs(), before);
    let more = ["sweep", "small.toml", "--out", "out", "--dry-run", "--set", "sweep.seeds=[1,2,5]"];
    let listed = place.ok(&more);
    assert_eq!(listed.lines().filter(|l| l.ends_with("complete")).count(), 4, "{listed}");
    assert_eq!(listed.lines().filter(|l| l.ends_with("to run")).count(), 2, "{listed}");
    assert!(listed.contains("by the epochs of complete members"), "{listed}");
}

/// R@10 on valid of the epoch that a member's run has kept.
fn on_valid(place: &Place, member: &Value) -> f64 {
    let member = place.path("out/members").join(member["id"].as_str().unwrap());
    let state: Value = serde_json::from_slice(&fs::read(member.join("state.json")).unwrap()).unwrap();
    let run = place.path("out").join(state["run"].as_str().unwrap());
    let result: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
    let stage = result["stages"].as_array().unwrap().last().unwrap();
    let records = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let mut records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let kept = records.find(|r| r["stage"] == stage["stage"] && r["epoch"] == stage["epoch"]).unwrap();
    kept["valid"]["R@10"].as_f64().unwrap()
}

/// Every row at every setting, the table with one of each, chosen on valid; the names are those of the manifest.
#[test]
fn rows_are_tuned_on_valid() {
    let place = Place::new(
        "[sweep]\nbaseline = \"GCN\"\ntune = { \"stage[1].lr\" = [0.0001, 0.01] }\n[[sweep.list]]\nname = \"GCN\"\n\
         \"model.graph_encoder\" = { type = \"gcn\", dims = [16, 16] }\n[[sweep.list]]\nname = \"own\"\n",
    );
    let listed = place.ok(&["sweep", "small.toml", "--out", "out", "--dry-run"]);
    for member in ["GCN, lr = 0.0001", "GCN, lr = 0.01", "own, lr = 0.0001", "own, lr = 0.01"] {
        assert_eq!(listed.matches(member).count(), 1, "{member}: {listed}");
    }
    let printed = place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1"]);
    let best = |row: &str| -> String {
        let plan: Value = serde_json::from_slice(&fs::read(place.path("out/sweep.json")).unwrap()).unwrap();
        let members = plan["members"].as_array().unwrap().iter().filter(|member| member["name"] == row);
        let tried = members.map(|member| (member["setting"].as_str().unwrap().to_owned(), on_valid(&place, member)));
        tried.reduce(|best, other| if other.1 > best.1 { other } else { best }).unwrap().0
    };
    let note =
        format!("each row is the best of 2 settings on valid, by R@10: GCN: {}; own: {}", best("GCN"), best("own"));
    assert!(printed.contains(&note) && printed.contains("less GCN"), "{note}: {printed}");
    let rows = place.json(&["compare", "out", "--format", "json"]);
    let names: Vec<_> = rows.iter().map(|row| (row["name"].as_str().unwrap(), row["tuned"].as_str())).collect();
    assert_eq!(names, [("GCN", Some(best("GCN").as_str())), ("own", Some(best("own").as_str()))]);
    assert_eq!(place.json(&["compare", "out/runs", "--format", "json"]).len(), 4);
}

/// Settings are compared with the first seed; the second trains the one that was chosen, for each row.
#[test]
fn the_other_seeds_train_what_the_first_chose() {
    let sweep = "[sweep]\nseeds = [1, 2]\ntune_seeds = 1\ntune = { \"stage[1].lr\" = [0.0001, 0.01] }\n\
                 grid = { \"model.graph_encoder\" = [\"none\", { type = \"gcn\", dims = [16, 16] }] }\n";
    let place = Place::new(sweep);
    let dry = ["sweep", "small.toml", "--out", "out", "--dry-run"];
    let listed = place.ok(&dry);
    assert!(listed.contains("8 members") && listed.contains("\n6 of them train"), "{listed}");
    assert_eq!(listed.matches("if chosen").count(), 4, "{listed}");
    let printed = place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1"]);
    let plan: Value = serde_json::from_slice(&fs::read(place.path("out/sweep.json")).unwrap()).unwrap();
    let mut chosen = Vec::new();
    for row in ["none", "gcn"] {
        let of = |seed: i64| {
            let members = plan["members"].as_array().unwrap().iter();
            members.filter(|m| m["name"] == row && m["seed"] == seed).collect::<Vec<_>>()
        };
        let better = |m: &Value, than: &Value| on_valid(&place, m) > on_valid(&place, than);
        let best = of(1).into_iter().reduce(|best, other| if better(other, best) { other } else { best }).unwrap();
        let trained =
            |m: &&Value| place.path("out/members").join(m["id"].as_str().unwrap()).join("state.json").is_file();
        let trained: Vec<&Value> = of(2).into_iter().filter(trained).map(|m| &m["setting"]).collect();
        assert_eq!(trained, [&best["setting"]], "{row}");
        chosen.push(format!("{row}: {}", best["setting"].as_str().unwrap()));
    }
    let note = format!("each row is the best of 2 settings on valid, by R@10, with seed 1: {}", chosen.join("; "));
    assert!(printed.contains(&note) && printed.contains("over 2 runs"), "{note}: {printed}");
    let listed = place.ok(&dry);
    assert_eq!((listed.matches("complete").count(), listed.matches("not chosen").count()), (7, 2), "{listed}");
    // Nothing is left to do, and every setting can be asked for later.
    place.ok(&["sweep", "small.toml", "--out", "out"]);
    let all = place.ok(&["sweep", "small.toml", "--out", "out", "--dry-run", "--set", "sweep.tune_seeds=2"]);
    assert_eq!((all.matches("to run").count(), all.matches("chosen").count()), (2, 0), "{all}");

    for (keys, says) in [("tune_seeds=3", "expected 1 to 2"), ("tune={}", "nothing is tuned")] {
        let refused = place.refused(&["sweep", "small.toml", "--dry-run", "--set", &format!("sweep.{keys}")]);
        assert!(refused.contains("sweep.tune_seeds") && refused.contains(says), "{refused}");
    }
}

/// Where nobody is in valid, no row can choose; the others train all the same, and the table says why there is none.
#[test]
fn a_row_that_cannot_choose_stops_no_other() {
    let sweep = "[sweep]\nseeds = [1, 2]\ntune_seeds = 1\ntune = { \"stage[1].lr\" = [0.0001, 0.01] }\n\
                 grid = { \"model.graph_encoder\" = [\"none\", { type = \"gcn\", dims = [16, 16] }] }\n";
    let place = Place::new(sweep);
    let split = "data.split={ type = \"random\", train = 0.8, valid = 0.0, test = 0.2 }";
    let said = place.refused(&["sweep", "small.toml", "--out", "out", "--jobs", "1", "--threads", "1", "--set", split]);
    let why = "a tuned row is chosen on valid, and this run has no R@10 there";
    for row in ["none", "gcn"] {
        assert!(said.contains(&format!("{row}: no setting can be chosen: {why}")), "{said}");
    }
    assert!(said.contains(&format!("error: {why}")), "{said}");
    let members = fs::read_dir(place.path("out/members")).unwrap();
    let state = |member: PathBuf| fs::read_to_string(member.join("state.json")).unwrap_or_default();
    assert_eq!(members.filter(|m| state(m.as_ref().unwrap().path()).contains("\"finished\"")).count(), 4);
}

#[test]
fn seeds_of_a_run_are_compared() {
    let place = Place::new("");
    let table = place.ok(&["run", "small.toml", "--seeds", "4..5"]);
    assert!(table.contains("mean ± standard deviation over 2 runs"), "{table}");
    let members = fs::read_dir(place.path("sweeps/small/members")).unwrap();
    let manifests = members.map(|m| fs::read_to_string(m.unwrap().path().join("manifest.toml")).unwrap());
    let mut seeds: Vec<String> =
        manifests.map(|text| text.lines().find(|line| line.starts_with("seed = ")).unwrap().to_owned()).collect();
    seeds.sort();
    assert_eq!(seeds, ["seed = 4", "seed = 5"]);

    let refused = place.refused(&["run", "small.toml", "--seeds", "4..x"]);
    assert!(refused.contains("expected a range such as 1..5"), "{refused}");
    let place = Place::new(ENCODERS);
    let refused = place.refused(&["run", "small.toml", "--seeds", "1,2"]);
    assert!(refused.contains("dualk sweep small.toml --set 'sweep.seeds=[1, 2]'"), "{refused}");
}

#[test]
fn rows_of_several_splits_are_compared_without_pairs() {
    let place = Place::new(
        &ENCODERS
            .replace("seeds = [1, 2]", "seeds = [1]")
            .replace("grid = {", "grid = { \"data.split.seed\" = [1, 2],"),
    );
    let listed = place.ok(&["sweep", "small.toml", "--out", "out", "--dry-run"]);
    for member in ["gat, data.split.seed = 1", "gat, data.split.seed = 2", "gcn, data.split.seed = 1"] {
        assert_eq!(listed.matches(member).count(), 1, "{member}: {listed}");
    }
    assert!(listed.contains("nothing is paired"), "{listed}");
    let printed = place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1"]);
    for text in ["patients differ between the runs of a row", "mean ± standard deviation over 2 runs"] {
        assert!(printed.contains(text) && !printed.contains("less gat"), "{printed}");
    }
    let rows = place.json(&["compare", "out", "--format", "json"]);
    assert_eq!(
        rows.iter().map(|r| (r["name"].as_str().unwrap(), r["runs"].as_u64().unwrap())).collect::<Vec<_>>(),
        [("gat", 2), ("gcn", 2)]
    );
    assert!(rows[0]["metrics"]["R@10"]["sd"].is_f64() && rows[0]["metrics"]["R@10"]["low"].is_null());
    assert!(rows[1]["difference"]["R@10"]["mean"].is_f64() && rows[1]["difference"]["R@10"]["p"].is_null());
    assert!(place.refused(&["compare", "out/runs"]).contains("these runs have different splits"));
}

/// What a comparison would refuse is refused before anything is trained, and with what to write.
#[test]
fn rows_on_different_patients_are_refused_when_they_are_planned() {
    let place = Place::new(
        "[sweep]\nlist = [{ \"data.split.seed\" = 1 }, { \"data.split.seed\" = 2, \"model.graph_encoder\" = \
         { type = \"gcn\", dims = [16, 16] } }]\n",
    );
    let error = place.refused(&["sweep", "small.toml", "--out", "out"]);
    assert!(error.contains("the rows are on different patients") && error.contains("small.toml:26"), "{error}");
    assert!(
        error.contains("`\"data.split.seed\" = [1, 2]` in `sweep.grid`") && !place.path("out/runs").exists(),
        "{error}"
    );
    let place = Place::new("[sweep]\ntune = { \"data.split.seed\" = [1, 2] }\n");
    assert!(place.refused(&["sweep", "small.toml"]).contains("says who the patients are, and is not tuned"));
}

#[test]
fn shared_stages_are_trained_once() {
    let losses = "[sweep]\ngrid = { \"stage[1].loss\" = [\"bce\", \"focal\", \"asymmetric\"] }\n";
    let place = Place::new(losses);
    let listed = place.ok(&["sweep", "small.toml", "--dry-run"]);
    assert!(listed.contains("3 members, 6 stages; 2 of them are shared"), "{listed}");
    place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "3", "--threads", "1"]);
    let trained = place.logs().iter().filter(|log| log.contains("1-lab epoch 1:")).count();
    let cached = place.logs().iter().filter(|log| log.contains("1-lab: from the cache")).count();
    assert_eq!((trained, cached), (1, 2), "{:#?}", place.logs());
    let names: Vec<String> =
        place.json(&["compare", "out", "--format", "json"]).iter().map(|r| r["name"].to_string()).collect();
    assert_eq!(names, ["\"bce\"", "\"focal\"", "\"asymmetric\""]);
}

#[test]
fn a_failed_member_stops_no_other_and_is_tried_again_alone() {
    // A step of 1e30 makes the loss no number.
    let place = Place::new("[sweep]\ngrid = { \"stage[1].lr\" = [1e30, 0.001, 0.002] }\n");
    let arguments = ["sweep", "small.toml", "--out", "out", "--jobs", "1"];
    let output = place.run(&arguments);
    let error = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("1 of 3 members failed") && error.contains("the loss became") && error.contains("log.txt"),
        "{error}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("lr = 0.002"));
    assert_eq!(place.json(&["compare", "out", "--format", "json"]).len(), 2);
    let again = place.run(&arguments);
    assert!(errors(&again).contains("2 of 3 members are complete already"), "{}", errors(&again));
    assert!(errors(&again).contains("1 of 3 members failed"));

    let fast = ["sweep", "small.toml", "--out", "fast", "--jobs", "1", "--fail-fast"];
    let output = place.run(&fast);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("1 of 3 members failed"), "{}", errors(&output));
    assert!(!place.path("fast/report.html").exists(), "nothing else was trained");
}

#[test]
fn an_interrupted_sweep_goes_on_where_it_was() {
    let place = Place::new(&ENCODERS.replace("epochs = 3", "epochs = 40"));
    let arguments =
        ["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1", "--set", "stage[1].epochs=200"];
    let mut sweep = place.command(&arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    // A member is complete once its state says so, a moment after its run.
    let complete = || {
        fs::read_dir(place.path("out/members"))
            .map_or(0, |members| members.flatten().filter(|member| member.path().join("state.json").is_file()).count())
    };
    let deadline = Instant::now() + Duration::from_secs(240);
    while complete() == 0 {
        assert!(sweep.try_wait().unwrap().is_none() && Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
    let second = place.refused(&arguments);
    assert!(second.contains("another sweep is at work in this folder"), "{second}");
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    // The members end with it.
    let deadline = Instant::now() + Duration::from_secs(20);
    while members_at_work(&place) > 0 {
        assert!(Instant::now() < deadline, "members outlive their sweep");
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = place.run(&arguments);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("of 4 members are complete already"), "{}", errors(&output));
    assert_eq!(
        place.json(&["compare", "out", "--format", "json"]).iter().map(|r| r["runs"].as_u64().unwrap()).sum::<u64>(),
        4
    );
}

/// Processes that train members of the sweep in `out`.
fn members_at_work(place: &Place) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let of_this = |p: &fs::DirEntry| {
        let text = fs::read(p.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let here = fs::read_link(p.path().join("cwd")).is_ok_and(|c| c == *place.folder.path());
        text.contains(&*place.path("out").to_string_lossy()) || (text.contains("--member") && here)
    };
    processes.filter(of_this).count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_sweep_that_is_asked_to_stop_waits_for_its_members() {
    let place = Place::new(ENCODERS);
    let mut arguments =
        vec!["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1", "--set", "stage[1].epochs=400"];
    let sweep = place.command(&arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let training = || {
        let members = fs::read_dir(place.path("out/members")).into_iter().flatten().flatten();
        members
            .filter(|m| fs::read_to_string(m.path().join("log.txt")).is_ok_and(|log| log.contains("finetune epoch 2:")))
    };
    let deadline = Instant::now() + Duration::from_secs(240);
    while training().count() < 2 {
        assert!(Instant::now() < deadline, "no two members train");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(Command::new("kill").args(["-INT", &sweep.id().to_string()]).status().unwrap().success());
    let output = sweep.wait_with_output().unwrap();
    assert_eq!(members_at_work(&place), 0, "the sweep ended before its members");
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    assert!(errors(&output).contains("stopped by SIGINT: 4 members are not complete"), "{}", errors(&output));
    for says in
        ["saved in out/runs", "the same command goes on from their checkpoints: ", "--set 'stage[1].epochs=400'\n"]
    {
        assert!(errors(&output).contains(says), "lacks {says:?}: {}", errors(&output));
    }
    let states = fs::read_dir(place.path("out/members")).unwrap().flatten();
    assert!(
        states.filter(|m| m.path().join("state.json").exists()).count() == 0,
        "stopped is neither finished nor failed"
    );
    // And on the signal of a scheduler.
    arguments.extend(["--stop-signal", "USR1"]);
    let sweep = place.command(&arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let gone_on =
        || place.logs().iter().filter(|log| log.contains("going on with") && log.contains("finetune")).count();
    let deadline = Instant::now() + Duration::from_secs(240);
    while gone_on() < 2 {
        assert!(Instant::now() < deadline, "{:#?}", place.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(Command::new("kill").args(["-USR1", &sweep.id().to_string()]).status().unwrap().success());
    assert_eq!(sweep.wait_with_output().unwrap().status.code(), Some(138));
}

#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let place = Place::new("");
    let base = run(&place, &[]);
    let cohort = run(&place, &["data.parser.patients=420"]);
    let split = run(&place, &["data.split.seed=7"]);
    let task = run(&place, &["stage[1].task={ type = \"rare\", most = 40 }"]);
    let longer = run(&place, &["stage[1].epochs=2"]);
    for (other, what) in [(&cohort, "cohorts"), (&split, "splits"), (&task, "tasks")] {
        let error = place.refused(&["compare", &base, other]);
        assert!(error.contains(&format!("these runs have different {what}")), "{error}");
    }
    let rows = place.json(&["compare", &base, &longer, "--format", "json"]);
    assert_eq!(rows.iter().map(|r| r["name"].as_str().unwrap()).collect::<Vec<_>>(), ["epochs = 3", "epochs = 2"]);
    assert!(rows[0]["metrics"]["R@10"]["sd"].is_null(), "one run has no spread");
    assert!(place.refused(&["compare", "nowhere"]).contains("nowhere"));
    assert!(place.refused(&["compare", "runs"]).contains("these runs have different"));
}

#[test]
fn names_that_manifests_give_are_kept_where_several_folders_are_compared() {
    let place = Place::new(
        "[[sweep.list]]\nname = \"plain\"\n[[sweep.list]]\nname = \"deep\"\n\"model.graph_encoder.dims\" = [16, 16, 16]\n\
         [[sweep.list]]\n\"stage[1].lr\" = 0.01\n",
    );
    place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "3", "--threads", "1"]);
    let alone = run(&place, &["name=alone"]);
    let names = |folders: &[&str]| -> Vec<String> {
        let rows = place.json(&[&["compare", "--format", "json"], folders].concat());
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["out", &alone]), ["plain", "deep", "small", "alone"]);
    let mut of_runs = names(&["out/runs", &alone]);
    of_runs.sort();
    assert_eq!(of_runs, ["alone", "deep", "plain", "small"]);
}

/// The folder of a run with settings.
fn run(place: &Place, settings: &[&str]) -> String {
    let set = settings.iter().flat_map(|s| ["--set", s]);
    let arguments: Vec<&str> = ["run", "small.toml", "--set", "stage[0].epochs=1"].into_iter().chain(set).collect();
    let printed = place.ok(&arguments);
    printed.lines().find_map(|l| l.strip_prefix("run: ")).unwrap().to_owned()
}

#[test]
fn a_folder_with_other_things_is_no_place_for_a_sweep() {
    let place = Place::new("[sweep]\nseeds = [1]\n");
    fs::create_dir(place.path("out")).unwrap();
    for name in ["report.html", ".lock"] {
        let file = place.path("out").join(name);
        fs::write(&file, "mine").unwrap();
        let error = place.refused(&["sweep", "small.toml", "--out", "out"]);
        assert!(error.contains(&format!("found: {name}")) && error.contains("--out"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1, "{error}");
        fs::remove_file(file).unwrap();
    }
    // What a sweep leaves that is killed at its beginning is a sweep's.
    [".lock", ".sweep.json.AbC123"].iter().for_each(|name| fs::write(place.path("out").join(name), "").unwrap());
    place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "1", "--threads", "1"]);
}

#[test]
fn mistakes_in_a_sweep_name_the_line() {
    let place = Place::new("[sweep]\ngrid = { \"model.graph_encoder\" = [\"gat\", \"gta\"] }\n");
    let error = place.refused(&["sweep", "small.toml"]);
    assert!(error.contains("did you mean `gat`?") && error.contains("small.toml:26"), "{error}");
    let place = Place::new("[sweep]\ngrid = { \"model.encoder\" = [\"gat\"] }\n");
    let error = place.refused(&["sweep", "small.toml"]);
    assert!(error.contains("did you mean `graph_encoder`?") || error.contains("unknown key `encoder`"), "{error}");
    assert!(Place::new("").refused(&["sweep", "small.toml"]).contains("no [sweep]"));
    // Of a row of the list its name.
    for (rows, says) in [
        (
            "\"model.graph_encoder\" = \"gta\"",
            "`model.graph_encoder.type`: in the row `mine`, tuned to lr = 0.1: no graph",
        ),
        ("\"stage[1].lr\" = 0.1", "`sweep.list[1].stage[1].lr`: in the row `mine`: `stage[1].lr` is tuned"),
        ("\"stage[1].epochs\" = 0", "`stage[1].epochs`: in the row `mine`, tuned to lr = 0.1: expected"),
    ] {
        let list = format!("[[sweep.list]]\nname = \"plain\"\n[[sweep.list]]\nname = \"mine\"\n{rows}\n");
        let error = Place::new(&format!("[sweep]\ntune = {{ \"stage[1].lr\" = [0.1, 0.2] }}\n{list}"));
        let error = error.refused(&["sweep", "small.toml"]);
        assert!(error.contains(says) && error.contains("small.toml:31"), "{error}");
    }
    let twice = Place::new("[sweep]\nseeds = [1, 2, 1]\n").refused(&["sweep", "small.toml"]);
    assert!(twice.contains("`sweep.seeds[2]`"), "{twice}");
    assert!(!place.path("sweeps").exists(), "nothing is written of a sweep that is none");
}
