//! Embeddings of knowledge graphs from the command line: train, evaluate, go on, look around, and into a model.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

use dualk_sdk::serde_json::{Value, from_slice, from_str};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MANIFEST: &str = r#"name = "tree"
seed = 5

[[data.source]]
type = "hierarchy"
path = "tree.csv"

[[data.source]]
type = "table"
path = "like.tsv"

[data.split]
valid = 0.1
test = 0.1

[model]
type = "hake"
dim = 16
modulus_weight = 0.5

[train]
steps = 1500
batch = 32
negatives = 16
lr = 0.01
validate_every = 500
"#;

/// A tree of codes, three levels deep, and which of them are siblings.
fn write(folder: &Path) -> PathBuf {
    let (mut table, mut like) = ("code,parent_code,name\n".to_owned(), String::new());
    for a in 401..407 {
        for b in 0..6 {
            table += &format!("{a}.{b},{a},x\n");
            (0..b).for_each(|other| like += &format!("{a}.{other}\tlike\t{a}.{b}\n"));
            for c in 0..4 {
                table += &format!("{a}.{b}{c},{a}.{b},x\n");
                (0..c).for_each(|other| like += &format!("{a}.{b}{other}\tlike\t{a}.{b}{c}\n"));
            }
        }
        table += &format!("{a},390-459.99,x\n");
        (401..a).for_each(|other| like += &format!("{other}\tlike\t{a}\n"));
    }
    fs::write(folder.join("like.tsv"), like).unwrap();
    fs::write(folder.join("tree.csv"), table).unwrap();
    let file = folder.join("tree.toml");
    fs::write(&file, MANIFEST).unwrap();
    file
}

fn dualk(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dualk"));
    command.current_dir(folder).env("DUALK_CACHE", "off").args(arguments).output().unwrap()
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = dualk(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refuse(folder: &Path, arguments: &[&str], says: &[&str]) {
    let output = dualk(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    says.iter().for_each(|part| assert!(error.contains(part), "{arguments:?} lacks {part:?}: {error}"));
}

/// The file of that name in a folder of a run, where one has it.
fn left(folder: &Path, file: &str) -> Option<PathBuf> {
    let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().flatten();
    runs.map(|entry| entry.path().join(file)).find(|path| path.exists())
}

/// The checkpoints of the only run whose names begin with `prefix`, in order.
fn checkpoints(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().flatten();
    let all = runs.flat_map(|run| fs::read_dir(run.path().join("resume")).into_iter().flatten().flatten());
    let number = |name: String| name.strip_prefix(prefix)?.parse::<u64>().ok();
    let numbered = all.filter(|entry| number(entry.file_name().into_string().unwrap()).is_some());
    let mut found: Vec<PathBuf> = numbered.map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Begins a command and kills it once its run has so many checkpoints.
fn kill_at(folder: &Path, arguments: &[&str], count: usize) {
    kill_once(folder, arguments, |found| found.len() >= count);
}

/// Begins a command and kills it once its run has a checkpoint after so many steps.
fn kill_after(folder: &Path, arguments: &[&str], steps: u64) {
    let number = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().parse::<u64>().unwrap();
    kill_once(folder, arguments, |found| found.last().is_some_and(|last| number(last) >= steps));
}

/// Begins a command and kills it once its run has such checkpoints.
fn kill_once(folder: &Path, arguments: &[&str], has: impl Fn(&[PathBuf]) -> bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dualk"))
        .current_dir(folder)
        .args(arguments)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !has(&checkpoints(folder, "")) && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Begins a command and ends it by SIGTERM once its run has a file.
fn interrupt(folder: &Path, arguments: &[&str], begun: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dualk"))
        .current_dir(folder)
        .env("DUALK_CACHE", "off")
        .args(arguments)
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while left(folder, begun).is_none() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(143), "{log}");
    assert!(log.contains("stopped by signal 15 after step") && log.contains("--resume"), "{log}");
}

fn run_folder(printed: &str) -> String {
    printed.lines().find_map(|line| line.strip_prefix("run: ")).unwrap().to_owned()
}

fn result(folder: &Path, run: &str) -> Value {
    from_slice(&fs::read(folder.join(run).join("result.json")).unwrap()).unwrap()
}

#[test]
fn a_hierarchy_is_trained_evaluated_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let printed = succeed(folder, &["kge", "train", "tree.toml"]);
    let run = run_folder(&printed);
    let outcome = result(folder, &run);
    let test = |key: &str| outcome["test"][key].as_f64().unwrap();
    for key in ["mrr", "mr", "hits@1", "hits@3", "hits@10", "amri"] {
        assert!(test(key).is_finite() && printed.contains(key), "{key}: {printed}");
    }
    // Siblings tell where a code belongs; of 187 entities a random order has a mean rank of about 94.
    let baseline = outcome["baseline"]["mrr"].as_f64().unwrap();
    assert!(
        test("mr") < 10.0
            && test("mrr") > 5.0 * baseline
            && test("hits@1") <= test("hits@3")
            && test("hits@3") <= test("hits@10"),
        "{printed}"
    );
    let [low, high] = [0, 1].map(|i| outcome["test"]["interval"]["mrr"][i].as_f64().unwrap());
    assert!(low < test("mrr") && test("mrr") < high);
    let sides = ["tail", "head"].map(|side| outcome["test"][side]["mrr"].as_f64().unwrap());
    assert!((f64::midpoint(sides[0], sides[1]) - test("mrr")).abs() < 1e-9);
    for file in ["manifest.toml", "metrics.jsonl", "log.txt", "environment.json", "plugins.lock", "model.safetensors"] {
        assert!(folder.join(&run).join(file).is_file(), "{file}");
    }
    let history = fs::read_to_string(folder.join(&run).join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = history.lines().map(|line| from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["step"], 1500);
    assert_eq!(lines.iter().filter(|line| line.get("valid").is_some()).count(), 3);

    let again: Value = from_str(&succeed(folder, &["kge", "eval", &run, "--json"])).unwrap();
    assert_eq!(again["test"], outcome["test"]);

    refuse(folder, &["kge", "train", "tree.toml", "--device", "gpu"], &["backend.device", "no device `gpu`"]);
    refuse(folder, &["kge", "eval", &run, "--device", "cuda:99"], &["backend.device", "no device `cuda:99`"]);
    let misspelt = ["kge", "train", "tree.toml", "--set", "backend.devise=cpu"];
    refuse(folder, &misspelt, &["backend", "devise", "device"]);

    let near = succeed(folder, &["kge", "nearest", &run, "403.12", "-n", "5", "--codes"]);
    assert_eq!(near.lines().count(), 6, "{near}");
    assert!(near.lines().skip(1).any(|line| line.trim().split("  ").nth(1).unwrap().starts_with("403.1")), "{near}");
    refuse(folder, &["kge", "nearest", &run, "999.9"], &["there is no entity `999.9`"]);

    let shown = succeed(folder, &["kge", "curves", &run, "--metric", "hits@10", "--out", "curves.svg"]);
    let looks: Vec<&Value> = lines.iter().filter_map(|line| line.get("valid")).collect();
    for (line, look) in shown.lines().skip(1).zip(&looks) {
        let value: f64 = line.split_whitespace().last().unwrap().parse().unwrap();
        assert!((value - look["hits@10"].as_f64().unwrap()).abs() < 1e-4, "{shown}");
    }
    assert!(shown.contains("valid hits@10") && shown.lines().count() == looks.len() + 3, "{shown}");
    assert!(fs::read_to_string(folder.join("curves.svg")).unwrap().starts_with("<svg xmlns"));
    refuse(folder, &["compare", &run], &["this is a run of an embedding", "`dualk kge eval`", "result.json"]);
    refuse(folder, &["kge", "curves", &run, "--metric", "hits"], &["there is no metric `hits`", "hits@1"]);

    let shown = succeed(folder, &["kge", "plot", &run, "--root", "390-459.99", "--out", "picture.svg"]);
    assert!(shown.contains("level  entities") && shown.contains("picture.svg"), "{shown}");
    let entities: Vec<&str> = shown.lines().skip(1).take(4).map(|l| l.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(entities, ["1", "6", "36", "144"]);
    let picture = fs::read_to_string(folder.join("picture.svg")).unwrap();
    // A point a dimension and entity, four rings, four entries of the legend.
    assert_eq!(picture.matches("<circle").count(), 187 * 16 + 4 + 4);
    refuse(folder, &["kge", "plot", &run, "--root", "401.00"], &["nothing is below `401.00`"]);

    // The same bytes again.
    let again = run_folder(&succeed(folder, &["kge", "train", "tree.toml", "--set", "name=again"]));
    assert_eq!(result(folder, &again)["test"], outcome["test"]);
    let weights = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert!(weights(&again) == weights(&run), "equal runs differ");

    // To be shown to others: nothing of this machine, no weights.
    succeed(folder, &["scrub", &run, "--out", "shown"]);
    let shown: Value = from_slice(&fs::read(folder.join("shown/result.json")).unwrap()).unwrap();
    assert_eq!(shown, outcome);
    for name in ["manifest.toml", "environment.json", "plugins.lock", "identity.json", "metrics.jsonl"] {
        let text = fs::read_to_string(folder.join("shown").join(name)).unwrap();
        assert!(!text.contains(folder.to_str().unwrap()), "{name}: {text}");
    }
    assert!(!folder.join("shown/model.safetensors").exists() && !folder.join("shown/log.txt").exists());

    // Into the graph of a cohort: codes as the synthetic parser makes them are looked up in the run.
    let manifest = format!(
        "name = \"with-kge\"\n[data]\nparser = {{ type = \"synthetic\", patients = 200, codes = 60, labs = 20, clusters = 4 }}\n\
         split = {{ type = \"random\", train = 0.6, valid = 0.2, test = 0.2 }}\n\
         [model]\nnode_init = {{ type = \"hake\", kge = {run:?} }}\ngraph_encoder = \"none\"\ncode_fusion = \"mean\"\n\
         visit_fusion = \"mean\"\n[[stage]]\ntype = \"finetune\"\nepochs = 1\ntask = {{ type = \"diagnosis\", head = \"direct\" }}\n"
    );
    fs::write(folder.join("with.toml"), &manifest).unwrap();
    let output = dualk(folder, &["run", "with.toml", "--device", "cpu"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && log.contains("codes in the table") && log.contains("codes without a vector"),
        "{log}"
    );
    // What there is to know of these patients is a source of triples.
    succeed(folder, &["synth", "--of", "with.toml", "known"]);
    let sources = "[[data.source]]\ntype = 'hierarchy'\npath = 'known/hierarchy.csv'\n[[data.source]]\ntype = 'table'\n\
                   path = 'known/knowledge.tsv'\n";
    fs::write(folder.join("known.toml"), sources).unwrap();
    let shown = succeed(folder, &["kge", "graph", "known.toml"]);
    let lines = fs::read_to_string(folder.join("known/knowledge.tsv")).unwrap().lines().count();
    assert!(lines > 40 && shown.contains(&format!("source 1: {lines} triples, and 0 that were there")), "{shown}");
    // The tables beside it are of the same patients.
    let tables = "data.parser={ type = \"mimic4\", root = \"known\", icd_map = \"known/icd10-icd9.csv\" }";
    succeed(folder, &["prepare", "with.toml", "--out", "made"]);
    succeed(folder, &["prepare", "with.toml", "--out", "read", "--set", tables]);
    let splits = |out: &str| fs::read(folder.join(out).join("splits.json")).unwrap();
    assert!(splits("made") == splits("read"));
    let vocabulary = |out: &str| {
        let bytes = fs::read(folder.join(out).join("vocabulary.json")).unwrap();
        let found: Value = from_slice(&bytes).unwrap();
        [found["code_map"].clone(), found["labs"].clone()]
    };
    assert_eq!(vocabulary("made"), vocabulary("read"));
    let other = manifest.replace("type = \"synthetic\"", "type = \"mimic4\"");
    fs::write(folder.join("other.toml"), other).unwrap();
    refuse(
        folder,
        &["synth", "--of", "other.toml", "x"],
        &["data.parser.type", "expected `synthetic`, found `mimic4`"],
    );
    fs::write(folder.join("other.toml"), manifest.replace("type = \"synthetic\"", "type = \"synthetic\", noise = nan"))
        .unwrap();
    refuse(folder, &["synth", "--of", "other.toml", "x"], &["data.parser.noise", "found NaN"]);
    refuse(folder, &["synth", "--of", "with.toml", "--knowledge", "2", "x"], &["`--knowledge`"]);
    assert!(!folder.join("x").exists());
    fs::write(folder.join("with.toml"), manifest.replace(&run, "no-run")).unwrap();
    refuse(folder, &["check", "with.toml"], &["model.node_init.kge", "no such file", "with.toml:6"]);
}

/// The bytes of each tensor of a run.
fn tensors(run: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(run.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> = file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
    tensors.sort();
    assert_eq!(tensors.len(), 3);
    tensors
}

#[test]
fn an_interrupted_training_goes_on_to_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let whole = run_folder(&succeed(folder, &["kge", "train", "tree.toml"]));
    let (expected, lines) = (tensors(&folder.join(&whole)), history(&folder.join(&whole)));
    // A hundred, and two looks at the validation triples between.
    assert_eq!(lines.len(), 102);
    fs::remove_dir_all(folder.join(&whole)).unwrap();
    let settings = ["--set", "output.checkpoint_minutes=1e-9"];
    let name = run_folder(&succeed(folder, &[&["kge", "train", "tree.toml"], &settings[..]].concat()));
    fs::remove_dir_all(folder.join(&name)).unwrap();
    assert!(checkpoints(folder, "").is_empty(), "a finished run needs no checkpoint");
    // Checkpoints after every step, whatever they cost, and a process that is killed once there is one after these.
    let every = ["kge", "train", "tree.toml", "--set", "output.checkpoint_minutes=0"];
    for steps in [1, 400, 900] {
        kill_after(folder, &every, steps);
        assert!(!checkpoints(folder, "").is_empty(), "{steps}");
        let output = dualk(folder, &["kge", "train", "tree.toml", "--resume"]);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && log.contains("going on after step"), "{log}");
        let run = folder.join(run_folder(&String::from_utf8(output.stdout).unwrap()));
        assert!(tensors(&run) == expected, "other numbers after {steps} steps");
        assert_eq!(history(&run), lines, "after {steps} steps");
        assert!(checkpoints(folder, "").is_empty());
        fs::remove_dir_all(run).unwrap();
    }
}

/// The lines of a run's `metrics.jsonl` without their times.
fn history(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut line: Value = from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("seconds").unwrap();
        line
    };
    text.lines().map(line).collect()
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_serves() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let whole = run_folder(&succeed(folder, &["kge", "train", "tree.toml"]));
    let expected = tensors(&folder.join(&whole));
    // A checkpoint after every step; the last of them damaged, and all.
    let every = ["kge", "train", "tree.toml", "--set", "output.checkpoint_minutes=0"];
    for (damaged, says) in [(1, "going on after step"), (2, "starting from the beginning")] {
        fs::remove_dir_all(folder.join("runs")).unwrap();
        kill_at(folder, &every, 2);
        let found = checkpoints(folder, "");
        let flip = |checkpoint: &PathBuf| {
            let file = checkpoint.join("state.safetensors");
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).unwrap();
        };
        let [older @ .., before, last] = &found[..] else { panic!("{found:?}") };
        older.iter().for_each(|about_to_go| fs::remove_dir_all(about_to_go).unwrap());
        [last, before][..damaged].iter().copied().for_each(flip);
        let output = dualk(folder, &["kge", "train", "tree.toml", "--resume"]);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && log.contains(says), "{log}");
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let named = format!("resume/{}: state.safetensors differs from what was written", name(last));
        assert!(log.contains(&named), "{log}");
        if damaged == 1 {
            let step: u64 = name(before).parse().unwrap();
            assert!(log.contains(&format!("going on after step {step}\n")), "{log}");
        }
        let run = run_folder(&String::from_utf8(output.stdout).unwrap());
        assert!(tensors(&folder.join(&run)) == expected, "other numbers");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let long = ["kge", "train", "tree.toml", "--set", "train.steps=1000000"];
    interrupt(folder, &long, "metrics.jsonl");
    assert!(!checkpoints(folder, "").is_empty());
}

#[test]
fn mistakes_name_their_place_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let cases: [(&str, &[&str]); 9] = [
        ("model.dim=0", &["`model.dim`", "at least 1"]),
        ("model.dimm=4", &["`model.dimm`", "did you mean `dim`?"]),
        ("model.type=hak", &["no kge_model is named `hak`", "did you mean `hake`?"]),
        ("train.negatives=0", &["`train.negatives`", "at least 1, found 0"]),
        ("train.lr=-1", &["`train.lr`"]),
        ("data.triples=absent", &["`data`", "both `triples` and sources are given"]),
        ("data.split.test=1.5", &["`data.split.test`", "at least 0 and less than 1, found 1.5"]),
        ("data.split.test=0.99", &["`data.split.test`: nothing is left to train on"]),
        ("train.stepps=3", &["unknown key `stepps`", "did you mean `steps`?"]),
    ];
    for (setting, says) in cases {
        refuse(folder, &["kge", "train", "tree.toml", "--set", setting], says);
    }
    refuse(folder, &["run", "tree.toml"], &["describes a knowledge graph", "`dualk kge train` takes it"]);
    succeed(folder, &["check", "tree.toml"]);
    let other = |source: &'static str| ["check", "tree.toml", "--set", source];
    refuse(folder, &other("data.source[0].path=like.tsv"), &["`data.source[0].path`: the column `code` is missing"]);
    refuse(folder, &other("data.source[1].path=lik.tsv"), &["`data.source[1].path`", "did you mean `like.tsv`?"]);
    fs::create_dir(folder.join("graph")).unwrap();
    fs::write(folder.join("graph/train.txt"), "a\tr\tb\nb\tr\n").unwrap();
    fs::write(folder.join("folder.toml"), "[data]\ntriples = \"graph\"\n").unwrap();
    refuse(folder, &["kge", "train", "folder.toml"], &["train.txt:2", "found 2 fields", "folder.toml:2"]);
    refuse(folder, &["kge", "eval", "graph"], &["this is no run folder"]);
    assert!(!folder.join("runs").exists(), "something is left behind");
}

// Five known entities and one, f, that training never saw. By the rule of one line b stands behind (·, r) twice and e once, and a,
// c and d before it once each. Of the others than the known answers, tails of (c, r): e first; f with a, c and d, all 0, behind them
// by number. Heads of (r, e): c with a, which is before it; of (r, f): c with a before it and d behind.
// Realistic ranks 1, 2.5, 1.5, 2; by a stable sort 1, 4, 2, 2.
#[test]
fn unseen_entities_are_ranked_and_ties_go_by_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("graph")).unwrap();
    let parts = [("train", "a\tr\tb\nc\tr\tb\nd\tr\te\n"), ("valid", ""), ("test", "c\tr\te\nc\tr\tf\n")];
    parts.iter().for_each(|(part, text)| fs::write(folder.join(format!("graph/{part}.txt")), text).unwrap());
    let manifest = "[data]\ntriples = \"graph\"\n[model]\ntype = \"transe\"\ndim = 4\n[train]\nsteps = 2\nbatch = 2\nnegatives = 2\n";
    fs::write(folder.join("tied.toml"), manifest).unwrap();
    let rule = |more: &[&str], ties: &str| {
        let run = run_folder(&succeed(folder, &[&["kge", "train", "tied.toml"], more].concat()));
        let outcome = result(folder, &run);
        assert_eq!((&outcome["ties"], &outcome["entities"]), (&Value::from(ties), &Value::from(6)));
        let mr = outcome["test"]["mr"].as_f64().unwrap();
        assert!((1.0..=6.0).contains(&mr), "{mr}");
        ["mr", "mrr", "hits@1", "hits@3"].map(|key| outcome["baseline"][key].as_f64().unwrap())
    };
    let close = |found: [f64; 4], expected: [f64; 4]| {
        let near = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near, "{found:?}, expected {expected:?}");
    };
    close(rule(&[], "realistic"), [7.0 / 4.0, (1.0 + 0.4 + 2.0 / 3.0 + 0.5) / 4.0, 0.25, 1.0]);
    close(rule(&["--set", "compat=dualk"], "published"), [9.0 / 4.0, (1.0 + 0.25 + 0.5 + 0.5) / 4.0, 0.25, 0.75]);

    let shown = succeed(folder, &["kge", "graph", "tied.toml", "--set", "data.reciprocal=true"]);
    for line in ["6 entities, 2 relations", "triples: 6 train, 0 valid, 2 test", "that training lacks: 1"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn codes_of_a_cohort_are_counted_by_what_is_left_of_them_in_the_graph() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    fs::write(folder.join("codes.txt"), "401.12\n\n401.129\n402.0399\n 403 \n999.9\n").unwrap();
    fs::write(folder.join("vocabulary.json"), r#"{"code_map_pretrain": {"401.12": 1, "999.9": 2}}"#).unwrap();
    let counted = |file: &str, counts: &str| {
        let shown = succeed(folder, &["kge", "graph", "tree.toml", "--codes", file]);
        assert!(shown.contains(&format!("codes of {file}: {counts}")), "{shown}");
    };
    counted("codes.txt", "2 of 5 in the graph, 1 without their last character, 1 without two, 1 not");
    counted("vocabulary.json", "1 of 2 in the graph, 0 without their last character, 0 without two, 1 not");
    fs::write(folder.join("other.json"), "{}").unwrap();
    refuse(folder, &["kge", "graph", "tree.toml", "--codes", "other.json"], &["expected the vocabulary.json"]);
}

// The first step of Adam moves every used number by the rate, here a tenth of `lr`: by 10³⁹, which no number of 32 bits is, and by
// 10³⁷, of which products are none.
#[test]
fn what_is_no_number_is_not_saved_and_ranks_last() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let complex = "type = \"complex\"\ndim = 16";
    let manifest = MANIFEST.replace("type = \"hake\"\ndim = 16\nmodulus_weight = 0.5", complex);
    fs::write(folder.join("tree.toml"), manifest.replace("steps = 1500", "steps = 1")).unwrap();
    let says = ["train.lr", "after step 1: the vector of the entity `", "` has ", "try a smaller learning rate"];
    refuse(folder, &["kge", "train", "tree.toml", "--set", "train.lr=1e40"], &says);
    let run = run_folder(&succeed(folder, &["kge", "train", "tree.toml", "--set", "train.lr=1e38"]));
    let test = |key: &str| result(folder, &run)["test"][key].as_f64().unwrap();
    assert!(test("mrr") < 0.05 && test("hits@10") < 0.05 && test("mr") > 150.0, "{}", test("mrr"));
}

const VECTORS: &str = r#"seed = 5

[[data.source]]
type = "hierarchy"
path = "known/hierarchy.csv"

[[data.source]]
type = "table"
path = "known/knowledge.tsv"

[data.split]
valid = 0.1
test = 0.1

[model]
type = "hake"
dim = 4
modulus_weight = 0.5

[train]
steps = 3000
batch = 32
negatives = 8
lr = 0.01
"#;

const PATIENTS: &str = r#"name = "with"
[data]
parser = { type = "synthetic", patients = 200, codes = 60, labs = 20, clusters = 4 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }
[model]
node_init = { type = "hake", kge = "x.toml" }
graph_encoder = "none"
code_fusion = "mean"
visit_fusion = "mean"
[[stage]]
type = "finetune"
epochs = 1
task = { type = "diagnosis", head = "direct" }
"#;

/// `with.toml`, whose model starts from the vectors of `x.toml`, which are made from what there is to know of its patients.
fn write_both(folder: &Path) {
    fs::write(folder.join("with.toml"), PATIENTS).unwrap();
    fs::write(folder.join("x.toml"), VECTORS).unwrap();
    succeed(folder, &["synth", "--of", "with.toml", "known"]);
}

/// Runs an experiment, with a cache or without: its result, its folder and what was said.
fn run_with(folder: &Path, cache: &str, more: &[&str]) -> (Value, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dualk"));
    command.current_dir(folder).env("DUALK_CACHE", cache).args(["run", "with.toml", "--device", "cpu"]).args(more);
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{more:?}: {log}");
    let run = run_folder(&String::from_utf8(output.stdout).unwrap());
    (result(folder, &run), run, log)
}

#[test]
fn an_experiment_trains_the_vectors_of_a_manifest_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    let (first, run, log) = run_with(folder, "cache", &[]);
    let vectors = |result: &Value| result["vectors"][0].clone();
    let from_cache = |result: &Value| vectors(result)["from_cache"].as_bool().unwrap();
    assert!(!from_cache(&first) && log.contains("vectors x: ") && log.contains("valid MRR"), "{log}");
    assert_eq!([&vectors(&first)["name"], &vectors(&first)["key"]], ["x", "model.node_init.kge"]);
    let kept = fs::read_to_string(folder.join(&run).join("log.txt")).unwrap();
    assert!(kept.contains("vectors x: ") && kept.contains("codes in the table: "), "{kept}");
    assert!(fs::read_to_string(folder.join(&run).join("plugins.lock")).unwrap().contains("kge-models"));
    let identity: Value = from_slice(&fs::read(folder.join(&run).join("identity.json")).unwrap()).unwrap();
    let files = identity["made_from"]["files"]["node_init kge"]["files"].to_string();
    assert!(files.contains("hierarchy.csv") && files.contains("knowledge.tsv"), "{files}");

    // Another seed trains another model, from the same vectors.
    let (second, _, log) = run_with(folder, "cache", &["--set", "seed=2"]);
    assert!(from_cache(&second) && log.contains("vectors x: from the cache, valid MRR"), "{log}");
    // Reading JSON may change the last digit.
    let mrr = |result: &Value| vectors(result)["valid_mrr"].as_f64().unwrap();
    assert!((mrr(&second) - mrr(&first)).abs() < 1e-12);

    // `dualk kge train` gives the same vectors to the bit, and the model the same digits.
    let train = ["kge", "train", "x.toml", "--set", "evaluate.valid=true"];
    let trained = run_folder(&succeed(folder, &train));
    assert_eq!(mrr(&first), result(folder, &trained)["valid"]["mrr"].as_f64().unwrap());
    let entries = fs::read_dir(folder.join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let of_vectors = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("vectors-");
    let entries: Vec<PathBuf> = entries.filter(of_vectors).collect();
    assert_eq!(entries.len(), 1);
    assert!(tensors(&entries[0]) == tensors(&folder.join(&trained)), "other vectors");
    let (of_folder, _, _) = run_with(folder, "off", &["--set", &format!("model.node_init.kge={trained}")]);
    assert_eq!(of_folder["stages"], first["stages"]);
    assert!(of_folder.get("vectors").is_none());

    // Without a cache they are trained, to the same numbers; so they are from what the parser itself knows.
    let (without, _, _) = run_with(folder, "off", &[]);
    assert!(!from_cache(&without));
    assert_eq!(without["stages"], first["stages"]);
    let table = "type = \"table\"\npath = \"known/knowledge.tsv\"";
    fs::write(folder.join("y.toml"), VECTORS.replace(table, "type = \"parser\"")).unwrap();
    let (of_parser, _, _) = run_with(folder, "off", &["--set", "model.node_init.kge=y.toml"]);
    assert_eq!(of_parser["stages"], first["stages"]);
    let tree = "type = \"hierarchy\"\npath = \"known/hierarchy.csv\"";
    let both = VECTORS.replace(table, "type = \"parser\"").replace(tree, "type = \"icd\"\nedition = \"icd9\"");
    fs::write(folder.join("z.toml"), both).unwrap();
    let (of_cohort, _, _) = run_with(folder, "off", &["--set", "model.node_init.kge=z.toml"]);
    assert!(mrr(&of_cohort) > 0.0);
    refuse(folder, &["kge", "train", "y.toml"], &["`data.source[1].type`", "there is none here", "as `kge`"]);

    let eval = dualk(folder, &["eval", &run]);
    let said = String::from_utf8_lossy(&eval.stderr).into_owned();
    assert!(eval.status.success() && !said.contains("recorded") && !said.contains("since the run"), "{said}");
    // The weights hold the vectors: the graph may be gone by then, which is said.
    fs::rename(folder.join("known"), folder.join("gone")).unwrap();
    let eval = dualk(folder, &["eval", &run]);
    let said = String::from_utf8_lossy(&eval.stderr).into_owned();
    assert!(eval.status.success() && !said.contains("recorded") && said.contains("since the run"), "{said}");
    fs::rename(folder.join("gone"), folder.join("known")).unwrap();
    // So may their manifest, of which the run keeps a copy, and what it says by then is not that of the run.
    let other = VECTORS.replace("dim = 4", "dim = 6");
    for text in [None, Some(other)] {
        fs::remove_file(folder.join("x.toml")).unwrap_or_default();
        text.iter().for_each(|text| fs::write(folder.join("x.toml"), text).unwrap());
        let eval = dualk(folder, &["eval", &run, "--locked"]);
        let said = String::from_utf8_lossy(&eval.stderr).into_owned();
        assert!(eval.status.success() && !said.contains("recorded") && !said.contains("since the run"), "{said}");
    }
    fs::remove_file(folder.join("x.toml")).unwrap();
    succeed(folder, &["export", &run, "--out", "exported"]);
    succeed(folder, &["scrub", &run, "--out", "shared"]);
    let shared = fs::read_to_string(folder.join("shared/vectors-node_init-kge.toml")).unwrap();
    assert!(shared.contains("path = \"hierarchy.csv\"") && shared.contains("name = \"x\""), "{shared}");
    assert!(!shared.contains("output"), "{shared}");
    fs::write(folder.join("x.toml"), VECTORS).unwrap();
    let check = dualk(folder, &["check", "with.toml", "--leaks", "--no-memory"]);
    let lines = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && lines.contains("vectors x: sources: 2 taken as they are"), "{lines}");

    // Another triple makes other vectors, and another run.
    let known = folder.join("known/knowledge.tsv");
    let text = fs::read_to_string(&known).unwrap();
    let (head, rest) = text.split_once('\t').unwrap();
    let tail = rest.split(['\t', '\n']).nth(1).unwrap();
    fs::write(&known, format!("{text}{tail}\tleads_to\t{head}\n")).unwrap();
    let (changed, other, _) = run_with(folder, "cache", &[]);
    assert!(!from_cache(&changed) && other != run, "{other}");
}

#[test]
fn a_manifest_that_names_no_model_has_the_one_that_serves_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    let unnamed = VECTORS.replace("[model]\ntype = \"hake\"\ndim = 4\nmodulus_weight = 0.5\n", "");
    assert!(!unnamed.contains("model"));
    fs::write(folder.join("x.toml"), &unnamed).unwrap();
    let resolved = succeed(folder, &["check", "x.toml", "--resolved"]);
    let resolved: dualk_sdk::toml::Table = resolved.parse().unwrap();
    assert_eq!(resolved["model"]["type"].as_str(), Some("hake"));
    // The lock of an experiment knows which plugin brings it, too.
    assert!(succeed(folder, &["plugin", "lock", "with.toml"]).contains("kge-models"));
}

#[test]
fn members_of_a_sweep_share_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    let sweep = format!(
        "{PATIENTS}[backend]\ndevice = \"cpu\"\n[sweep]\nseeds = [1, 2]\n[[sweep.list]]\nname = \"random\"\n\
         \"model.node_init\" = {{ type = \"random\", dim = 8 }}\n[[sweep.list]]\nname = \"graph\"\n\
         \"model.node_init\" = {{ type = \"hake\", kge = \"x.toml\" }}\n"
    );
    fs::write(folder.join("sweep.toml"), sweep).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dualk"));
    command.current_dir(folder).env("DUALK_CACHE", "cache").args(["sweep", "sweep.toml", "--jobs", "2"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let members = fs::read_dir(folder.join("sweeps/with/members")).unwrap().map(|member| member.unwrap().path());
    let logs: Vec<String> = members.map(|member| fs::read_to_string(member.join("log.txt")).unwrap()).collect();
    let lines = logs.iter().flat_map(|log| log.lines());
    let of_vectors: Vec<&str> = lines.filter(|line| line.starts_with("vectors x: ")).collect();
    let cached = of_vectors.iter().filter(|line| line.starts_with("vectors x: from the cache")).count();
    assert_eq!((logs.len(), of_vectors.len(), cached), (4, 2, 1), "{of_vectors:?}");
}

#[test]
fn mistakes_in_a_manifest_of_vectors_name_it_and_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    succeed(folder, &["check", "with.toml", "--no-memory"]);
    let cases = [
        ("steps = 3000", "steps = 0", "`train.steps`: expected a number of at least 1, found 0"),
        ("steps = 3000", "stepps = 3000", "`train.stepps`: unknown key `stepps`"),
        ("dim = 4", "dim = 0", "`model.dim`"),
        ("knowledge.tsv", "knowledg.tsv", "`data.source[1].path`"),
        ("type = \"table\"\npath = \"known/knowledge.tsv\"", "type = \"icd\"", "`data.source[1]`"),
    ];
    for (text, wrong, says) in cases {
        fs::write(folder.join("x.toml"), VECTORS.replace(text, wrong)).unwrap();
        for command in [&["check", "with.toml"][..], &["run", "with.toml", "--device", "cpu"]] {
            refuse(folder, command, &["`model.node_init.kge`: ", says, "x.toml:", "with.toml:6"]);
        }
    }
    fs::remove_file(folder.join("x.toml")).unwrap();
    let says = ["`model.node_init.kge`: cannot open the manifest", "x.toml", "with.toml:6"];
    refuse(folder, &["check", "with.toml"], &says);
    assert!(!folder.join("runs").exists(), "something is left behind");
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_of_vectors_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    fs::write(folder.join("x.toml"), VECTORS.replace("steps = 3000", "steps = 40000")).unwrap();
    let (whole, _, _) = run_with(folder, "off", &["--set", "output.runs=whole"]);
    // Signals are looked at once the data are there, and vectors come next.
    interrupt(folder, &["run", "with.toml", "--device", "cpu"], "log.txt");
    let checkpoints = checkpoints(folder, "vectors-node_init-kge-");
    let last = checkpoints.last().unwrap().join("state.safetensors");
    assert!(last.is_file());
    let (resumed, _, log) = run_with(folder, "off", &["--resume"]);
    assert!(log.contains("its vectors") && log.contains("of the vectors"), "{log}");
    assert_eq!(resumed["stages"], whole["stages"]);
    assert_eq!(resumed["vectors"][0]["valid_mrr"], whole["vectors"][0]["valid_mrr"]);
}
