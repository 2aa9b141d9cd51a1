//! Embeddings of knowledge graphs from the command line: train, evaluate, go on, look around, and into a model.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

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
    let expected = tensors(&folder.join(&whole));
    fs::remove_dir_all(folder.join(&whole)).unwrap();
    // Checkpoints after every step, and a process that is killed when there is one.
    let settings = ["--set", "output.checkpoint_minutes=1e-9"];
    let name = run_folder(&succeed(folder, &[&["kge", "train", "tree.toml"], &settings[..]].concat()));
    fs::remove_dir_all(folder.join(&name)).unwrap();
    let state = || {
        let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().flatten();
        runs.map(|entry| entry.path().join("resume/state.safetensors")).find(|file| file.exists())
    };
    assert!(state().is_none(), "a finished run needs no checkpoint");
    let mut child = Command::new(env!("CARGO_BIN_EXE_dualk"))
        .current_dir(folder)
        .args([&["kge", "train", "tree.toml"], &settings[..]].concat())
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while state().is_none() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(state().is_some());
    let output = dualk(folder, &[&["kge", "train", "tree.toml", "--resume"], &settings[..]].concat());
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && log.contains("going on after step"), "{log}");
    let run = run_folder(&String::from_utf8(output.stdout).unwrap());
    assert!(tensors(&folder.join(&run)) == expected, "other numbers");
    let history = fs::read_to_string(folder.join(&run).join("metrics.jsonl")).unwrap();
    // A hundred, and two looks at the validation triples between.
    assert_eq!(history.lines().count(), 102);
    assert!(state().is_none());
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let long = ["kge", "train", "tree.toml", "--set", "train.steps=1000000"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_dualk"))
        .current_dir(folder)
        .args(long)
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let left = |file: &str| {
        let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().flatten();
        runs.map(|entry| entry.path().join(file)).find(|path| path.exists())
    };
    // Until training has begun.
    while left("metrics.jsonl").is_none() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(143), "{log}");
    assert!(log.contains("stopped by signal 15 after step") && log.contains("--resume"), "{log}");
    assert!(left("resume/state.safetensors").is_some());
}

#[test]
fn mistakes_name_their_place_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let cases: [(&str, &[&str]); 8] = [
        ("model.dim=0", &["`model.dim`", "at least 1"]),
        ("model.dimm=4", &["`model.dimm`", "did you mean `dim`?"]),
        ("model.type=hak", &["no kge_model is named `hak`", "did you mean `hake`?"]),
        ("train.negatives=0", &["`train.negatives`", "at least 1, found 0"]),
        ("train.lr=-1", &["`train.lr`"]),
        ("data.triples=absent", &["`data`", "both `triples` and sources are given"]),
        ("data.split.test=1.5", &["`data.split.test`", "[0, 1)"]),
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
