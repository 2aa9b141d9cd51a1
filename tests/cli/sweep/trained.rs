//! Every member is trained once, as it would be alone, and what several share is trained by one.

use super::program::said;
use super::support::{ENCODERS, Place};
use dualk_sdk::serde_json::{self, Value};
use std::fs;
use std::path::Path;

#[test]
fn a_sweep_trains_every_member_and_compares_them() {
    let place = Place::new(ENCODERS);
    let listed = place.ok(&["sweep", "small.toml", "--out", "out", "--dry-run"]);
    assert_eq!(listed.lines().filter(|l| l.ends_with("to run")).count(), 4, "{listed}");
    assert!(listed.contains("expected time: unknown") && !place.path("out/runs").exists(), "{listed}");

    let output = place.run(&["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1"]);
    assert!(output.status.success(), "{}", said(&output));
    // On systems that tell, the first row's memory is estimated as `dualk check` does.
    if std::path::Path::new("/proc/meminfo").exists() {
        let said = said(&output);
        let line =
            said.lines().find(|l| l.starts_with("gat is expected to take 0.")).unwrap_or_else(|| panic!("{said}"));
        let peaks = fs::read_dir(place.path("out/members")).unwrap().map(|m| {
            let state = fs::read(m.unwrap().path().join("state.json")).unwrap();
            serde_json::from_slice::<Value>(&state).unwrap()["peak_bytes"].as_f64().unwrap() / 1e9
        });
        let (said, most) = (line.split(' ').nth(5).unwrap().parse::<f64>().unwrap(), peaks.fold(0.0, f64::max));
        assert!(said > 0.7 * most && said < 1.6 * most, "estimated {said} GB, took {most} GB");
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
        assert!(said(&output).contains("[sweep] is left out by `dualk run`"));
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
    assert!(said(&again).contains("4 of 4 members are complete already"), "{}", said(&again));
    assert_eq!(place.logs(), before);
    let more = ["sweep", "small.toml", "--out", "out", "--dry-run", "--set", "sweep.seeds=[1,2,5]"];
    let listed = place.ok(&more);
    assert_eq!(listed.lines().filter(|l| l.ends_with("complete")).count(), 4, "{listed}");
    assert_eq!(listed.lines().filter(|l| l.ends_with("to run")).count(), 2, "{listed}");
    assert!(listed.contains("by the epochs of complete members"), "{listed}");
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

/// Also what members are given: manifests, logs, and a copy of the lock, which everybody may read where it lies.
#[test]
#[cfg(unix)]
fn the_folder_of_a_sweep_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("[sweep]\nseeds = [1]\n");
    place.ok(&["plugin", "lock", "small.toml"]);
    place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "1", "--threads", "1", "--locked"]);
    let (mut open, mut files) = (vec![place.path("out")], Vec::new());
    while let Some(path) = open.pop() {
        let about = fs::metadata(&path).unwrap();
        let expected = if about.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(about.permissions().mode() & 0o777, expected, "{}", path.display());
        match about.is_dir() {
            true => open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path())),
            false => files.push(path.file_name().unwrap().to_string_lossy().into_owned()),
        }
    }
    for name in ["sweep.json", "report.html", "state.json", "log.txt", "status.jsonl", "plugins.lock", "manifest.toml"]
    {
        assert!(files.iter().any(|file| file == name), "{name}: {files:?}");
    }
}

/// Members are handed the password of a server, and keep it nowhere; what is for all can be reached by all.
#[test]
#[cfg(unix)]
fn a_sweep_for_all_is_readable_and_keeps_no_password() {
    use std::os::unix::fs::PermissionsExt;
    const SECRET: &str = "canary7secret";
    let place = Place::new("[sweep]\nseeds = [1]\n");
    let (access, server) = ("output.access=\"all\"", format!("output.mlflow=\"http://me:{SECRET}@127.0.0.1:1\""));
    let settings = ["--jobs", "1", "--threads", "1", "--set", access, "--set", &server];
    place.ok(&[&["sweep", "small.toml", "--out", "out"][..], &settings].concat());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let run = fs::read_dir(place.path("out/runs")).unwrap().next().unwrap().unwrap().path();
    for (path, expected) in [("", 0o755), ("report.html", 0o644), ("runs", 0o755), ("members", 0o700)] {
        assert_eq!(mode(&place.path("out").join(path)), expected, "{path}");
    }
    assert_eq!((mode(&run), mode(&run.join("result.json"))), (0o755, 0o644));
    let (mut open, mut told) = (vec![place.path("out")], false);
    while let Some(path) = open.pop() {
        match path.is_dir() {
            true => open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path())),
            false => {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                assert!(!text.contains(SECRET), "{}", path.display());
                told |= text.contains("the MLflow server at http://***@127.0.0.1:1 does not answer");
            }
        }
    }
    assert!(told, "the address was no address without its password");
}
