//! A run is known by all that decides its results, and what has changed since is said.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use dualk_sdk::plugin::plugin_file_name;
use dualk_sdk::serde_json::{self, Value};
use program::{printed, refused, run_folder, said, with_cache};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// An experiment with a plugin file of its own, a copy of a shipped one.
struct Place {
    folder: tempfile::TempDir,
    plugin: PathBuf,
}

impl Place {
    fn new() -> Self {
        // Plugins in /tmp, where others can write, would be refused.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let plugin = folder.path().join(format!("{DLL_PREFIX}mine{DLL_SUFFIX}"));
        fs::copy(Path::new(env!("CARGO_BIN_EXE_dualk")).with_file_name(plugin_file_name("fusion-recurrent")), &plugin)
            .unwrap();
        let manifest = format!(
            r#"name = "known"

[backend]
device = "cpu"

[[plugin]]
path = "{}"

[data]
parser = {{ type = "synthetic", patients = 200, codes = 40, labs = 6, clusters = 4 }}
split = {{ type = "random", train = 0.6, valid = 0.2, test = 0.2 }}

[model]
node_init = {{ type = "random", dim = 4 }}
graph_encoder = {{ type = "gcn", dims = [4] }}
visit_fusion = {{ type = "gru", hidden = 4 }}
lab = {{ type = "linear", dim = 4 }}

[output]
runs = "runs"

[[stage]]
type = "pretrain"
epochs = 3

[[stage]]
type = "finetune"
epochs = 2
"#,
            plugin.file_name().unwrap().to_str().unwrap()
        );
        fs::write(folder.path().join("known.toml"), manifest).unwrap();
        Self { folder, plugin }
    }

    /// An experiment of two tables that are both called `t.csv`, in folders of their own, and of a file that an option names.
    fn of_tables(epochs: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut visits, mut codes) = ("patient,visit,time\n".to_owned(), "patient,visit,code\n".to_owned());
        for (patient, visit) in (0..60).flat_map(|patient| [(patient, 1), (patient, 2)]) {
            let id = 10 * patient + visit;
            visits += &format!("{patient},{id},2150-0{visit}-01 10:00:00\n");
            for code in 0..3 {
                let code = ["25000", "2724", "4280", "4019"][(patient + visit + code) % 4];
                codes += &format!("{patient},{id},{code}\n");
            }
        }
        let manifest = format!(
            r#"name = "known"
[backend]
device = "cpu"
[data]
parser = {{ type = "csv", visits = "a/t.csv", codes = "b/t.csv", written = "icd9", drug_map = "map.csv" }}
split = {{ type = "random", train = 0.6, valid = 0.2, test = 0.2 }}
[model]
node_init = {{ type = "random", dim = 4 }}
graph_encoder = {{ type = "gat", dims = [4] }}
[output]
runs = "runs"
[[stage]]
type = "finetune"
task = {{ type = "diagnosis", head = "direct" }}
epochs = {epochs}
"#
        );
        let files = [("a/t.csv", visits), ("b/t.csv", codes), ("map.csv", "drug,code\naspirin,B01AC06\n".to_owned())];
        ["a", "b"].iter().for_each(|name| fs::create_dir(folder.path().join(name)).unwrap());
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        fs::write(folder.path().join("known.toml"), manifest).unwrap();
        Self { folder, plugin: PathBuf::new() }
    }

    /// Another text in a file.
    fn change(&self, name: &str, from: &str, to: &str) {
        let file = self.folder.path().join(name);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from));
        fs::write(file, text.replace(from, to)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        with_cache(self.folder.path(), arguments)
    }

    fn dualk(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A sweep over seeds: whether it went well, what it printed and what it said.
    fn sweep(&self, seeds: &str, more: &[&str]) -> (bool, String, String) {
        let seeds = format!("sweep.seeds={seeds}");
        let sweep = ["sweep", "known.toml", "--out", "sweep", "--threads", "1", "--set", &seeds];
        let output = self.dualk(&[&sweep[..], more].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success() || output.status.code() == Some(2), "{}", text(&output.stderr));
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// Names in a folder, in order.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join(folder)).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs it; the folder of the run, and what was said.
    fn run(&self, more: &[&str]) -> (PathBuf, String) {
        let output = self.dualk(&[&["run", "known.toml"], more].concat());
        (self.folder.path().join(run_folder(&printed(&output))), said(&output))
    }

    fn eval(&self, run: &Path, more: &[&str]) -> (String, String) {
        let output = self.dualk(&[&["eval", run.to_str().unwrap()], more].concat());
        (printed(&output), said(&output))
    }

    /// The plugin as another build would leave it: one byte more.
    fn rebuild(&self) {
        let bytes = fs::read(&self.plugin).unwrap();
        fs::write(&self.plugin, [&bytes[..], b"\0"].concat()).unwrap();
    }
}

fn json(file: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn what_decides_results_decides_the_folder() {
    let place = Place::new();
    let (first, _) = place.run(&[]);
    let weights = fs::read(first.join("model.safetensors")).unwrap();
    // Places of output and the cache decide nothing.
    let (again, _) = place.run(&["--no-cache", "--set", "output.checkpoint_minutes=1"]);
    assert_eq!(first, again);
    assert_eq!(fs::read(again.join("model.safetensors")).unwrap(), weights);
    let (seed, _) = place.run(&["--set", "seed=7"]);
    let hash = |run: &Path| run.file_name().unwrap().to_str().unwrap().strip_prefix("known-").unwrap().to_owned();
    assert!(hash(&first).len() == 16 && hash(&seed) != hash(&first));
    place.rebuild();
    let (rebuilt, _) = place.run(&[]);
    assert_ne!(hash(&rebuilt), hash(&first), "the run of the plugin before stays");
    assert_eq!(fs::read(first.join("model.safetensors")).unwrap(), weights);
    assert_eq!(fs::read_dir(place.folder.path().join("runs")).unwrap().count(), 3);
}

#[test]
fn an_evaluation_says_what_has_changed() {
    let place = Place::new();
    let (run, _) = place.run(&[]);
    let (_, said) = place.eval(&run, &[]);
    assert!(!said.contains("warning"), "{said}");
    // A result that the weights do not give.
    let file = run.join("result.json");
    let mut result = json(file.clone());
    let rows = result["stages"][0]["rows"].as_array_mut().unwrap();
    let model = rows.iter_mut().rfind(|row| row["name"].as_str().unwrap().contains(", epoch ")).unwrap();
    let metric = &mut model["metrics"][0];
    let name = metric[0].as_str().unwrap().to_owned();
    metric[1] = 0.8141.into();
    fs::write(&file, result.to_string()).unwrap();
    place.rebuild();
    let (_, said) = place.eval(&run, &[]);
    assert!(said.contains(&format!("not what the run recorded: {name} was 0.8141 and is")), "{said}");
    assert!(said.contains("since the run, something changed: plugins dualk-plugin-fusion-recurrent"), "{said}");
}

/// Of a number that changed on a disk or on its way nobody hears but by a checksum.
#[test]
fn damaged_weights_are_not_evaluated() {
    let place = Place::new();
    let (run, _) = place.run(&[]);
    let evaluated = |file: &str| {
        let weights = run.join(file);
        let mut bytes = fs::read(&weights).unwrap();
        let at = bytes.len() - 3;
        bytes[at] ^= 1;
        fs::write(&weights, bytes).unwrap();
        place.dualk(&["eval", run.to_str().unwrap(), "--checkpoint", weights.to_str().unwrap()])
    };
    for file in ["model.safetensors", "checkpoints/1-pretrain-joint.safetensors"] {
        let output = evaluated(file);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("is damaged") && said(&output).contains(file), "{}", said(&output));
    }
}

#[test]
fn a_checkpoint_is_named_by_its_own_epoch() {
    let place = Place::new();
    let (run, _) = place.run(&["--set", "stage[0].select=last"]);
    let trained = json(run.join("result.json"))["trained"].clone();
    assert_eq!((trained[0]["stage"].as_str(), trained[0]["epoch"].as_u64()), (Some("1-pretrain-joint"), Some(2)));
    let checkpoint = run.join("checkpoints/1-pretrain-joint.safetensors");
    let (printed, _) = place.eval(&run, &["--checkpoint", checkpoint.to_str().unwrap()]);
    assert!(printed.contains("known, epoch 3"), "{printed}");
}

#[test]
fn stages_from_the_cache_keep_what_they_took() {
    let place = Place::new();
    let (first, _) = place.run(&["--set", "output.runs=first"]);
    let (second, said) = place.run(&["--set", "output.runs=second"]);
    let page = fs::read_to_string(second.join("report.html")).unwrap();
    assert!(page.contains("from the cache"), "the table of times says so");
    let (first, second) = (json(first.join("result.json")), json(second.join("result.json")));
    for (a, b) in first["trained"].as_array().unwrap().iter().zip(second["trained"].as_array().unwrap()) {
        assert_eq!((&a["seconds"], &a["peak_memory"], &a["epoch"]), (&b["seconds"], &b["peak_memory"], &b["epoch"]));
        assert_eq!((a["from_cache"].as_bool(), b["from_cache"].as_bool()), (Some(false), Some(true)));
        assert!(a["seconds"].as_f64().unwrap() > 0.0);
        if cfg!(target_os = "linux") {
            assert!(a["peak_memory"].as_u64().unwrap() > 1 << 20);
        }
    }
    assert!(said.contains("1-pretrain-joint: from the cache") && said.contains("(trained in"), "{said}");
}

#[test]
fn tables_of_one_name_are_told_apart() {
    let place = Place::of_tables(2);
    let (first, _) = place.run(&[]);
    let read = json(first.join("identity.json"))["made_from"].take();
    let tables: Vec<&String> = read["data"].as_object().unwrap().keys().collect();
    assert_eq!(tables, ["a/t.csv", "b/t.csv"]);
    // An hour later: the same patients, visits and codes come of it.
    place.change("a/t.csv", " 10:00", " 11:00");
    let (second, _) = place.run(&[]);
    let (_, said) = place.eval(&first, &[]);
    assert!(said.contains("since the run, something changed: data a/t.csv sha256: then "), "{said}");
    // A file that an option names, and that no row is read of.
    place.change("map.csv", "B01AC06", "N02BA01");
    let (third, _) = place.run(&[]);
    let (_, said) = place.eval(&second, &[]);
    assert!(said.contains("since the run, something changed: files data.parser drug_map sha256: then "), "{said}");
    assert!(first != second && second != third && place.names("runs").len() == 3, "{:?}", place.names("runs"));
}

/// Two codes that changed places in the table got each other's vectors and logits, without a word.
#[test]
fn vectors_and_logits_are_called_by_the_codes_that_they_were_learnt_for() {
    let place = Place::of_tables(1);
    let (run, _) = place.run(&[]);
    let run = run.to_str().unwrap();
    let export = |out: &str| place.dualk(&["export", run, "--out", out]);
    let output = export("same");
    assert!(output.status.success() && !said(&output).contains("warning"), "{}", said(&output));
    // Another hour changes no code, and is told.
    place.change("a/t.csv", " 10:00", " 11:00");
    let output = export("later");
    assert!(output.status.success() && said(&output).contains("something changed: data a/t.csv"), "{}", said(&output));
    // Logits may be those of items or drugs, which vectors are not called by.
    let file = Path::new(run).join("vocabulary.json");
    let kept = fs::read_to_string(&file).unwrap();
    let mut names: Value = serde_json::from_str(&kept).unwrap();
    assert!(names["labs"]["all"].is_object() && names["events"].is_object(), "{names}");
    for (key, other) in
        [("labs", serde_json::json!({ "all": { "9": 1 } })), ("events", serde_json::json!({ "drugs": ["A", "B"] }))]
    {
        let before = std::mem::replace(&mut names[key], other);
        fs::write(&file, names.to_string()).unwrap();
        let output = place.dualk(&["eval", run, "--predictions", "logits.parquet"]);
        let text = said(&output);
        assert!(output.status.code() == Some(2) && text.contains(&format!("other names in `{key}`")), "{text}");
        assert!(export(key).status.success());
        names[key] = before;
    }
    fs::write(&file, kept).unwrap();
    for (from, to) in [("4280", "tmp"), ("4019", "4280"), ("tmp", "4019")] {
        place.change("b/t.csv", from, to);
    }
    let predictions = place.dualk(&["eval", run, "--predictions", "logits.parquet"]);
    for output in [export("other"), predictions] {
        let text = said(&output);
        assert!(
            output.status.code() == Some(2) && text.contains("the data has other names in `code_map` than the run"),
            "{text}"
        );
    }
    assert_eq!(["other", "logits.parquet"].map(|name| place.folder.path().join(name).exists()), [false; 2]);
    let (_, said) = place.eval(Path::new(run), &[]);
    assert!(said.contains("since the run, something changed: data b/t.csv"), "{said}");
}

/// Both were evaluated and exported as if nothing had changed.
#[test]
fn a_run_that_does_not_say_what_it_was_made_from_is_said_to() {
    let place = Place::of_tables(1);
    let (run, _) = place.run(&[]);
    let (file, run) = (run.join("identity.json"), run.to_str().unwrap());
    let commands = |name: &str| {
        let logits = format!("{name}.parquet");
        let commands = [&["eval", run][..], &["eval", run, "--predictions", &logits], &["export", run, "--out", name]];
        commands.map(|arguments| place.dualk(arguments))
    };
    for text in ["{", "{}", "{ \"sha256\": \"0\", \"made_from\": 1 }"] {
        fs::write(&file, text).unwrap();
        for output in commands("broken") {
            refused(&output, &["this does not say what the run was made from", "identity.json", "remove the file"]);
        }
    }
    assert_eq!(["broken", "broken.parquet"].map(|name| place.folder.path().join(name).exists()), [false; 2]);
    fs::remove_file(&file).unwrap();
    place.change("a/t.csv", " 10:00", " 11:00");
    let unknown = "warning: this run does not say what it was made from, so that what has changed since cannot be told";
    for output in commands("absent") {
        let text = said(&output);
        assert!(output.status.success() && text.lines().any(|line| line == unknown), "{text}");
    }
    // The names that vectors and logits have are compared as before.
    for (from, to) in [("4280", "tmp"), ("4019", "4280"), ("tmp", "4019")] {
        place.change("b/t.csv", from, to);
    }
    let [_, predictions, export] = commands("other");
    for output in [predictions, export] {
        refused(&output, &["the data has other names in `code_map` than the run"]);
    }
}

#[test]
fn an_interrupted_run_of_another_table_is_not_gone_on_with() {
    let place = Place::of_tables(300);
    let each_step = ["run", "known.toml", "--set", "output.checkpoint_minutes=0"];
    let mut child = place.command(&each_step).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has_checkpoint = |run: &String| place.names(&format!("runs/{run}/resume")).iter().any(|n| !n.starts_with('.'));
    let begun = Instant::now();
    while !place.names("runs").iter().any(has_checkpoint) {
        assert!(begun.elapsed() < Duration::from_secs(240), "no checkpoint");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    place.change("a/t.csv", " 10:00", " 11:00");
    let (_, said) = place.run(&["--resume"]);
    let left =
        said.lines().find(|line| line.starts_with("not going on with runs/known-")).unwrap_or_else(|| panic!("{said}"));
    assert!(
        left.contains("something changed: data a/t.csv sha256: then ") && left.ends_with(": starting anew"),
        "{left}"
    );
    // It waits for its own table.
    place.change("a/t.csv", " 11:00", " 10:00");
    let (_, said) = place.run(&["--resume"]);
    assert!(said.lines().any(|line| line.starts_with("going on with runs/known-")), "{said}");
    assert_eq!(place.names("runs").len(), 2);
}

#[test]
fn a_sweep_asks_what_becomes_of_members_of_another_plugin() {
    let place = Place::new();
    assert!(place.sweep("[1]", &[]).0);
    let plan = json(place.folder.path().join("sweep/sweep.json"));
    place.rebuild();
    let changed = "1 complete member was trained with something else: plugins dualk-plugin-fusion-recurrent: then ";
    let (done, _, said) = place.sweep("[1,2]", &[]);
    assert!(!done && said.contains(changed) && said.contains("--keep") && said.contains("--again"), "{said}");
    assert_eq!(json(place.folder.path().join("sweep/sweep.json")), plan, "nothing was done");
    let (done, listed, _) = place.sweep("[1,2]", &["--dry-run"]);
    assert!(done && listed.contains(changed) && listed.contains("`--keep`"), "{listed}");

    let mixed = "these runs were not all trained with the same: plugins dualk-plugin-fusion-recurrent\n";
    let (done, table, said) = place.sweep("[1,2]", &["--keep"]);
    assert!(done && said.contains(changed) && said.contains("they are kept") && table.contains(mixed), "{said}{table}");
    assert!(said.contains("1 of 2 members are complete already") && place.names("sweep/runs").len() == 2, "{said}");
    let compared = place.dualk(&["compare", "sweep"]);
    assert!(String::from_utf8_lossy(&compared.stdout).contains(mixed), "{compared:?}");

    let (done, table, said) = place.sweep("[1,2]", &["--again"]);
    assert!(done && said.contains(changed) && said.contains("their earlier runs stay"), "{said}");
    assert!(
        said.contains("1 of 2 members are complete already") && !table.contains("not all trained"),
        "{said}{table}"
    );
    assert_eq!(place.names("sweep/runs").len(), 3, "the earlier run stays");
    let (done, _, said) = place.sweep("[1,2]", &[]);
    assert!(done && said.contains("2 of 2 members are complete already") && !said.contains("something else"), "{said}");

    // Runs of older versions do not say what they were trained with, and are compared as before.
    for run in place.names("sweep/runs") {
        fs::remove_file(place.folder.path().join("sweep/runs").join(run).join("identity.json")).unwrap();
    }
    let (done, _, said) = place.sweep("[1,2]", &[]);
    assert!(
        !done && said.contains("2 complete members were trained with something else: the run does not say"),
        "{said}"
    );
    assert!(place.dualk(&["compare", "sweep"]).status.success() && place.dualk(&["report", "sweep"]).status.success());
}
