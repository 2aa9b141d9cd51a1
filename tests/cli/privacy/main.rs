//! Nothing of a patient leaves the tables: identifiers that occur nowhere else are put into every table, and must not be
//! found in what commands print, log, report or make shareable.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

#[path = "../program/mod.rs"]
mod program;
mod sources;

use program::mimic4::Mimic4;
use program::{command, result, said, with_cache};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A small experiment on the tables of a parser.
fn manifest(parser: &str) -> String {
    format!(
        "name = \"canary\"\nseed = 1\n\n[data]\nparser = {{ {parser} }}\nsplit = {{ type = \"random\", train = 0.5, valid = 0.25, test = 0.25 }}\n{MODEL}"
    )
}

const MODEL: &str = r#"
[backend]
device = "cpu"

[model]
node_init = { type = "random", dim = 8 }
graph_encoder = { type = "gat", dims = [8] }
lab = { type = "linear", dim = 8 }
head = { decoder = [8, 8], classifier = [8], dropout = 0.0 }

[output]
runs = "runs"

[[stage]]
type = "lab"
epochs = 1

[[stage]]
type = "finetune"
epochs = 1
"#;

/// How the identifiers of patients, admissions and laboratory events begin, and what stands in the other columns.
const CANARIES: [&str; 4] = ["7712", "8834", "9945", "CANARY"];

/// Tables like those of MIMIC-IV whose every row has canaries.
fn write_tables(folder: &Path) {
    Mimic4 { first: [77_120_000, 88_340_000, 99_450_000], text: Some("CANARY") }.write(folder);
    let parser = "type = \"mimic4\", root = \"raw\", icd_map = \"map.csv\"";
    fs::write(folder.join("canary.toml"), manifest(parser)).unwrap();
}

fn dualk(folder: &Path, arguments: &[&str]) -> Output {
    with_cache(folder, arguments).output().unwrap()
}

/// What a command printed has no canary.
fn printed(output: &Output, what: &str) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), said(output));
    for canary in CANARIES {
        assert!(!holds(text.as_bytes(), canary), "{what} prints {canary}: {text}");
    }
    text
}

/// Whether a canary is there, other than by chance among the digits of a checksum, a fraction or a number of bytes: a process
/// of a hundred megabytes holds as many of them as identifiers have digits.
fn holds(bytes: &[u8], canary: &str) -> bool {
    let is_number = canary.bytes().all(|b| b.is_ascii_digit());
    let found = bytes.windows(canary.len()).enumerate().filter(|(_, window)| *window == canary.as_bytes());
    found.map(|(at, _)| at).any(|at| !is_number || is_identifier(&bytes[..at], &bytes[at..]))
}

/// Whether what lies between is the beginning of a whole number as long as identifiers are.
fn is_identifier(before: &[u8], from: &[u8]) -> bool {
    const DIGITS: usize = 8;
    /// Digits of the shortest hash that is shown, that of a member of a sweep; those of runs have more.
    const HASH: usize = 12;
    let goes_on = before.last().is_some_and(u8::is_ascii_digit);
    let is_fraction = before.ends_with(b".") && before.iter().rev().nth(1).is_some_and(u8::is_ascii_digit);
    let in_checksum = {
        let digits = |part: &mut dyn Iterator<Item = &u8>| part.take_while(|b| b.is_ascii_hexdigit()).count();
        digits(&mut before.iter().rev()) + digits(&mut from.iter()) >= HASH
    };
    let is_memory =
        [&b"memory\": "[..], b"memory\":", b"bytes\": ", b"bytes\":"].iter().any(|key| before.ends_with(key));
    let digits = from.iter().take_while(|b| b.is_ascii_digit()).count();
    !goes_on && !is_fraction && !in_checksum && !is_memory && digits == DIGITS
}

#[test]
fn a_canary_is_told_from_a_checksum() {
    assert!(holds(b"patient 77120003.", "7712") && holds(b"CANARY7", "CANARY") && holds(b"stay88340001", "8834"));
    assert!(!holds(b"sha256: 0a77120000b1c4d5e6f70a1b", "7712") && !holds(b"772", "7712"));
    assert!(!holds(b"\"seconds\": 3.77120003", "7712") && !holds(b"\"bytes\": 377120003", "7712"));
    assert!(!holds(b"run: runs/canary-77120003abcdef01\n", "7712") && !holds(b"members/a88340001bcd", "8834"));
    assert!(holds(b"code77120003", "7712"));
    assert!(!holds(b"\"peak_memory\": 99450880", "9945") && holds(b"\"memory_of\": 99450880", "9945"));
    assert!(!holds(b"\"bytes\": 771200032", "7712") && holds(b"[0.5,77120003]", "7712"));
}

/// What was found in the files below a folder.
#[derive(Default)]
struct Search {
    files: usize,
    /// Those that have a canary as text, or an identifier as a number of 64 bits.
    naming: Vec<PathBuf>,
}

impl Search {
    fn of(folder: &Path) -> Self {
        let mut found = Self::default();
        found.below(folder);
        found
    }

    fn below(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.below(&path);
                continue;
            }
            self.files += 1;
            let bytes = fs::read(&path).unwrap();
            let number = |b: &[u8]| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
            let is_identifier =
                |n: i64| [77_120_000, 88_340_000, 99_450_000].iter().any(|from| (*from..from + 10_000).contains(&n));
            let names = CANARIES.iter().any(|canary| holds(&bytes, canary));
            if names || bytes.windows(8).any(|w| is_identifier(number(w))) {
                self.naming.push(path);
            }
        }
    }
}

/// The files of a run, of which the measures by patient alone name patients, by whom comparisons pair.
fn searched_run(run: &Path) -> usize {
    let Search { files, naming } = Search::of(run);
    let is_measures = |path: &&PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        path.parent() == Some(run) && name.starts_with("patients-") && name.ends_with(".json")
    };
    let (measures, others): (Vec<_>, Vec<_>) = naming.iter().partition(is_measures);
    assert!(others.is_empty(), "{others:?}");
    assert!(!measures.is_empty(), "what is found in no file at all is not searched for");
    files
}

/// The files of a folder that names no patient.
fn searched(folder: &Path) -> usize {
    let Search { files, naming } = Search::of(folder);
    assert!(naming.is_empty(), "{naming:?}");
    files
}

fn run_of(folder: &Path) -> PathBuf {
    fs::read_dir(folder.join("runs")).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn no_identifier_is_printed_logged_reported_or_shared() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    for arguments in [
        &["check", "canary.toml"][..],
        &["prepare", "canary.toml", "--out", "out"],
        &["run", "canary.toml"],
        &["run", "canary.toml"],
        &["cache", "ls"],
        &["cache", "verify"],
    ] {
        let output = dualk(folder.path(), arguments);
        let text = printed(&output, &format!("{arguments:?}"));
        assert!(output.status.success(), "{arguments:?}: {text}");
    }
    let run = run_of(folder.path());
    let output = dualk(folder.path(), &["eval", run.to_str().unwrap(), "--predictions", "logits.parquet"]);
    assert!(output.status.success(), "{}", printed(&output, "eval"));
    assert!(searched_run(&run) >= 8, "the run's folder: log, report, results, weights");
    // The search finds what is there: predictions and prepared patients are patient data.
    let is_found = |path: PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(8).any(|w| (77_120_000..77_120_024).contains(&i64::from_le_bytes(w.try_into().unwrap())))
    };
    assert!(is_found(folder.path().join("logits.parquet")) && is_found(folder.path().join("out/patients.parquet")));
}

/// A run that fails at its end keeps its checkpoints, and here event files.
#[test]
fn no_identifier_is_in_event_files_or_what_an_unfinished_run_leaves() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    // The first change of a name whose failure ends the run: that of a checkpoint does not.
    let stopped = (1..).find_map(|number| {
        let runs = format!("runs{number}");
        let set = ["output.tensorboard=true", "output.checkpoint_minutes=0", &format!("output.runs={runs}")];
        let set = set.iter().flat_map(|set| ["--set", *set]);
        let mut run = command(folder.path(), &["run", "canary.toml"]);
        let output = run.env("DUALK_FAULT", format!("rename {number}:EIO")).args(set).output().unwrap();
        assert!(printed(&output, "a failed run").contains("fault injected"), "no run failed with checkpoints");
        let run = fs::read_dir(folder.path().join(runs)).ok()?.next()?.unwrap().path();
        run.join("resume").is_dir().then_some(run)
    });
    let run = stopped.unwrap();
    let there = |name: &str| fs::read_dir(run.join(name)).unwrap().count();
    assert!(there("resume") > 0 && there("tensorboard") > 0, "{}", run.display());
    searched_run(&run);
}

#[test]
fn no_identifier_is_in_a_sweep_but_in_the_measures_of_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let manifest = fs::read_to_string(folder.path().join("canary.toml")).unwrap();
    fs::write(folder.path().join("canary.toml"), format!("{manifest}\n[sweep]\nseeds = [1, 2]\n")).unwrap();
    let sweep = ["sweep", "canary.toml", "--out", "out", "--jobs", "1", "--threads", "1"];
    let output = dualk(folder.path(), &sweep);
    assert!(output.status.success(), "{}", printed(&output, "sweep"));
    printed(&output, "sweep");
    let out = folder.path().join("out");
    let runs: Vec<PathBuf> = fs::read_dir(out.join("runs")).unwrap().map(|run| run.unwrap().path()).collect();
    assert_eq!(runs.len(), 2);
    runs.iter().for_each(|run| assert!(searched_run(run) >= 8));
    assert!(searched(&out.join("members")) >= 4, "logs, manifests and states");
    let beside: Vec<PathBuf> =
        Search::of(&out).naming.into_iter().filter(|file| !file.starts_with(out.join("runs"))).collect();
    assert!(beside.is_empty(), "{beside:?}");
}

/// The smallest number of patients that a run measures a part of.
fn smallest_part(run: &Path) -> Option<u64> {
    let result = result(run);
    let stages = result["stages"].as_array().unwrap().iter();
    let rows = stages.flat_map(|stage| stage["rows"].as_array().unwrap());
    let strata = rows.flat_map(|row| row["strata"].as_array().into_iter().flatten());
    strata.map(|part| part["patients"].as_u64().unwrap()).min()
}

#[test]
fn a_scrubbed_run_names_neither_patients_nor_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let output = dualk(folder.path(), &["run", "canary.toml"]);
    assert!(output.status.success(), "{}", said(&output));
    let run = run_of(folder.path());
    let output = dualk(folder.path(), &["scrub", run.to_str().unwrap(), "--out", "shared"]);
    assert!(output.status.success(), "{}", said(&output));
    let shared = folder.path().join("shared");
    assert!(searched(&shared) >= 6);
    assert!(!shared.join("model.safetensors").exists() && !shared.join("log.txt").exists());
    let here = folder.path().to_str().unwrap();
    for name in ["manifest.toml", "report.html", "plugins.lock", "environment.json", "identity.json", "result.json"] {
        let text = fs::read_to_string(shared.join(name)).unwrap();
        assert!(!text.contains(here), "{name} has {here}: {text}");
    }
    // There are six test patients: what is said of parts of them is nearly that of one.
    assert!(smallest_part(&run).unwrap() < 10 && smallest_part(&shared).is_none_or(|number| number >= 10));
    let text = fs::read_to_string(shared.join("manifest.toml")).unwrap();
    assert!(text.contains("root = \"raw\"") && text.contains("gat"), "{text}");
    // The page says what the other files of the copy do, and no more.
    let page = fs::read_to_string(shared.join("report.html")).unwrap();
    assert!(dualk(folder.path(), &["report", "shared"]).status.success());
    assert_eq!(fs::read_to_string(shared.join("report.html")).unwrap(), page);
    assert_eq!(dualk(folder.path(), &["scrub", run.to_str().unwrap(), "--out", "shared"]).status.code(), Some(2));
    // The copy has the run's name where the run is given without.
    assert!(dualk(&run, &["scrub", "."]).status.success());
    let name = run.file_name().unwrap().to_str().unwrap();
    assert!(run.with_file_name(format!("{name}-shareable")).is_dir() && !run.join("-shareable").exists());
    // What others put beside the weights is theirs.
    let beside = run.join("checkpoints/mine");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("cohort.csv"), "77120001").unwrap();
    fs::write(run.join("checkpoints/notes.txt"), "of CANARY1").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("..", run.join("checkpoints/9-up.safetensors")).unwrap();
    let output = dualk(folder.path(), &["scrub", run.to_str().unwrap(), "--out", "weights", "--with-weights"]);
    assert!(output.status.success());
    let weights = folder.path().join("weights");
    for name in ["model.safetensors", "checkpoints/1-lab.safetensors", "checkpoints/2-finetune.safetensors"] {
        assert_eq!(fs::read(run.join(name)).unwrap(), fs::read(weights.join(name)).unwrap(), "{name}");
    }
    searched(&weights);
    assert_eq!(fs::read_dir(weights.join("checkpoints")).unwrap().count(), 2);
}

/// What an error shows of a damaged table: place and what is accepted, and the value only with `--show-values`.
#[test]
fn errors_show_values_only_when_asked() {
    let damages: [(&str, &str, &str, &str); 5] = [
        ("admissions.csv", "88340010,", "88340000,", "88340000"),
        ("admissions.csv", "77120001,88340010", "77129999,88340010", "77129999"),
        ("admissions.csv", "88340010,", "CANARY,", "CANARY"),
        ("diagnoses_icd.csv", "77120000,88340000,1", "77120000,CANARY,1", "CANARY"),
        ("patients.csv", "77120001,F", "77120000,F", "77120000"),
    ];
    for (table, from, to, value) in damages {
        let folder = tempfile::tempdir().unwrap();
        write_tables(folder.path());
        let file = folder.path().join("raw").join(table);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from));
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let output = dualk(folder.path(), &["run", "canary.toml"]);
        assert_eq!(output.status.code(), Some(2));
        let hidden = printed(&output, &format!("{table}: {to}"));
        assert!(hidden.contains(table), "{hidden}");
        let shown = said(&dualk(folder.path(), &["run", "canary.toml", "--show-values"]));
        assert!(shown.contains(value), "{shown}");
    }
}
