//! What a person sees who makes a mistake: every row breaks one thing in a manifest or a raw table that works, runs the
//! program, and expects one screen that names the place, exit code 2, and nothing left behind.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod cases;
#[path = "../program/mod.rs"]
mod program;

use cases::cases;
use program::mimic4::Mimic4;
use program::{command, said};
use std::fs;
use std::path::Path;
use std::process::Output;

const MANIFEST: &str = r#"name = "broken"
seed = 1

[data]
parser = { type = "mimic4", root = "raw", icd_map = "map.csv" }
split = { type = "random", train = 0.5, valid = 0.25, test = 0.25 }

[model]
node_init = { type = "random", dim = 8 }
graph_encoder = { type = "gat", dims = [8, 8] }
code_fusion = { type = "attention", dropout = 0.0 }
visit_fusion = { type = "attention", dropout = 0.0 }
lab = { type = "linear", dim = 8 }
head = { decoder = [8, 8], classifier = [8], dropout = 0.0 }

[output]
runs = "runs"

[[stage]]
type = "lab"
epochs = 1

[[stage]]
type = "pretrain"
mode = "joint"
epochs = 1

[[stage]]
type = "pretrain"
mode = "individual"
epochs = 1

[[stage]]
type = "finetune"
task = "diagnosis"
epochs = 1
"#;

/// Tables like those of MIMIC-IV.
fn write_tables(folder: &Path) {
    Mimic4 { first: [100, 1000, 10_000], text: None }.write(folder);
}

fn dualk(folder: &Path, arguments: &[&str]) -> Output {
    let device: &[&str] = if arguments.first() == Some(&"--device") { &[] } else { &["--device", "cpu"] };
    program::dualk(folder, &[&["run", "broken.toml"], device, arguments].concat())
}

/// Names of everything in a folder and below.
fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.display().to_string());
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_mistake_gets_one_screen_and_leaves_nothing() {
    let cases = cases();
    assert!(cases.len() >= 45);
    let mut wrong = Vec::new();
    for case in &cases {
        let folder = tempfile::tempdir().unwrap();
        write_tables(folder.path());
        let text = match case.manifest {
            Some((from, to)) => {
                assert!(MANIFEST.contains(from), "{}: the manifest has no {from}", case.name);
                MANIFEST.replacen(from, to, 1)
            }
            None => MANIFEST.to_owned(),
        };
        fs::write(folder.path().join("broken.toml"), text).unwrap();
        (case.files)(folder.path());
        let before = listing(folder.path());
        let output = dualk(folder.path(), case.arguments);
        let error = said(&output);
        let missing: Vec<_> = case.says.iter().filter(|s| !error.contains(**s)).collect();
        let screen = error.lines().count() <= 24 && error.lines().all(|l| l.len() <= 400);
        // Nothing is said twice.
        let errors: Vec<&str> = error.lines().filter(|line| line.starts_with("error: ")).collect();
        let once = errors.iter().collect::<std::collections::BTreeSet<_>>().len() == errors.len();
        let clean = listing(folder.path()) == before;
        if output.status.code() != Some(2)
            || !missing.is_empty()
            || !screen
            || !once
            || !clean
            || error.contains("panicked")
        {
            let code = output.status.code();
            wrong.push(format!("{}: exit {code:?}, lacks {missing:?}, clean {clean}\n{error}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Of the manifest's keys, of components, and of the tables.
#[test]
fn all_mistakes_are_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let mistakes = [
        ("seed = 1", "seed = 1\nsed = 2", "`sed`: unknown key"),
        ("runs = \"runs\"", "runs = \"runs\"\nbaselines = \"yes\"", "`output.baselines`"),
        ("\"gat\"", "\"gta\"", "`model.graph_encoder.type`"),
        ("dropout = 0.0 }\nvisit", "dropout = 1.5 }\nvisit", "`model.code_fusion.dropout`"),
        ("epochs = 1", "epoch = 1", "`stage[0].epoch`: unknown key"),
        ("[data]", "[data]\nloss_limit = 5", "`data.loss_limit`"),
        ("train = 0.5", "train = 0.9", "`data.split.train`"),
    ];
    let mut text = MANIFEST.to_owned();
    for (from, to, _) in mistakes {
        assert!(text.contains(from), "the manifest has no {from}");
        text = text.replacen(from, to, 1);
    }
    fs::write(folder.path().join("broken.toml"), text).unwrap();
    for table in ["labevents.csv", "admissions.csv"] {
        fs::remove_file(folder.path().join("raw").join(table)).unwrap();
    }
    let before = listing(folder.path());
    let output = program::dualk(folder.path(), &["check", "broken.toml", "--device", "cpu"]);
    let error = said(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    let tables = ["`data.parser.root`: the table `admissions`", "`data.parser.root`: the table `labevents`"];
    for says in mistakes.map(|(_, _, says)| says).into_iter().chain(tables) {
        assert!(error.lines().any(|line| line.starts_with(&format!("error: {says}"))), "lacks {says}: {error}");
    }
    assert_eq!(error.lines().filter(|line| line.starts_with("error: ")).count(), 9, "{error}");
    assert_eq!(listing(folder.path()), before);
}

/// That there is no name follows from its type, and was a second mistake.
#[test]
fn a_name_of_another_type_is_one_mistake() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    fs::write(folder.path().join("broken.toml"), MANIFEST).unwrap();
    let output = program::dualk(folder.path(), &["check", "broken.toml", "--set", "name=3", "--device", "cpu"]);
    let error = said(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("error: `name`: ") && error.contains("expected a text"), "{error}");
    assert_eq!(error.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{error}");
}

/// The machine began a hundred thousand threads, and did nothing else.
#[test]
fn more_threads_than_a_computer_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = |threads: &str| {
        let output = command(folder.path(), &["icd", "I48.91"]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = run("100000");
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("RAYON_NUM_THREADS=100000") && error.contains("at most 1024"), "{error}");
    assert_eq!(["3", "", "many"].map(|threads| run(threads).0), [Some(0); 3]);
}

#[test]
fn a_manifest_without_stages_is_refused_before_it_is_told_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let (without, _) = MANIFEST.split_once("[[stage]]").unwrap();
    fs::write(folder.path().join("broken.toml"), without).unwrap();
    let output = program::dualk(folder.path(), &["run", "broken.toml", "--device", "cpu"]);
    let error = said(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("the manifest has no [[stage]]") && !error.contains("to come"), "{error}");
}

/// Beside those of tables, and before any of them is read.
#[test]
fn mistakes_in_files_of_a_knowledge_graph_are_found_early() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let sources = "knowledge = [{ type = \"icd\", edition = \"icd9\" }, { type = \"table\", path = \"triple.csv\" }, \
                   { type = \"hierarchy\", path = \"tree.csv\" }]";
    let text = MANIFEST.replacen("[data]", &format!("[data]\n{sources}"), 1);
    fs::write(folder.path().join("broken.toml"), text).unwrap();
    fs::write(folder.path().join("triples.csv"), "head,relation,tail\n428.0,is_a,428\n").unwrap();
    fs::write(folder.path().join("tree.csv"), "code,parent\n428.0,428\n").unwrap();
    fs::remove_file(folder.path().join("raw/admissions.csv")).unwrap();
    let before = listing(folder.path());
    let says = [
        "error: `data.knowledge[1].path`: cannot read the file: no such file or directory",
        "did you mean `triples.csv`?",
        "error: `data.knowledge[2].path`: the column `parent_code` is missing",
        "tree.csv:1",
        "broken.toml:5:",
        "error: `data.parser.root`: the table `admissions`",
    ];
    for command in ["check", "run"] {
        let output = program::dualk(folder.path(), &[command, "broken.toml", "--device", "cpu"]);
        let error = said(&output);
        assert_eq!(output.status.code(), Some(2), "{command}: {error}");
        for says in says {
            assert!(error.contains(says), "{command} lacks {says}: {error}");
        }
        assert_eq!(error.lines().filter(|line| line.starts_with("error: ")).count(), 3, "{command}: {error}");
        assert_eq!(listing(folder.path()), before);
    }
}

/// Its parts are sound one by one; that they are too large is known when the stages are rehearsed.
#[test]
fn nothing_is_ok_before_a_model_without_room_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    assert!(MANIFEST.contains("dims = [8, 8] }"));
    fs::write(
        folder.path().join("broken.toml"),
        MANIFEST.replacen("dims = [8, 8] }", "dims = [4000000, 4000000] }", 1),
    )
    .unwrap();
    let output = program::dualk(folder.path(), &["check", "broken.toml", "--device", "cpu"]);
    let error = said(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("GB") && error.contains("parameters") && !error.contains(": ok"), "{error}");
}

/// All lines but those of places, which are others there.
#[test]
fn the_book_shows_the_errors_of_today() {
    let book = include_str!("../../../book/src/errors.md");
    for (from, to) in [("seed = 1", "sead = 1"), ("dims = [8, 8] }", "dims = [8, -128] }")] {
        let folder = tempfile::tempdir().unwrap();
        write_tables(folder.path());
        fs::write(folder.path().join("broken.toml"), MANIFEST.replacen(from, to, 1)).unwrap();
        let error = String::from_utf8(dualk(folder.path(), &[]).stderr).unwrap();
        let lines: Vec<&str> = error.lines().filter(|line| !line.starts_with("  -->")).collect();
        assert!(lines.len() >= 3, "{error}");
        for line in lines {
            assert!(book.lines().any(|shown| shown == line), "book/src/errors.md lacks `{line}`");
        }
    }
}

#[test]
fn without_a_mistake_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    fs::write(folder.path().join("broken.toml"), MANIFEST).unwrap();
    let output = dualk(folder.path(), &[]);
    assert!(output.status.success(), "{}", said(&output));
}
