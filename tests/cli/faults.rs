//! What a person sees who makes a mistake: every row breaks one thing in a manifest or a raw table that works, runs the
//! program, and expects one screen that names the place, exit code 2, and nothing left behind.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use program::mimic4::Mimic4;
use program::{command, said};
use std::fs;
use std::io::Write;
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

struct Case {
    name: &'static str,
    /// Replaces a text of the manifest.
    manifest: Option<(&'static str, &'static str)>,
    /// Changes the files.
    files: fn(&Path),
    arguments: &'static [&'static str],
    /// What the error must say.
    says: &'static [&'static str],
}

/// A name of 201 letters.
const ENDLESS: &str = "name=\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

const fn manifest(name: &'static str, from: &'static str, to: &'static str, says: &'static [&'static str]) -> Case {
    Case { name, manifest: Some((from, to)), files: |_| {}, arguments: &[], says }
}

const fn files(name: &'static str, files: fn(&Path), says: &'static [&'static str]) -> Case {
    Case { name, manifest: None, files, arguments: &[], says }
}

const fn set(name: &'static str, arguments: &'static [&'static str], says: &'static [&'static str]) -> Case {
    Case { name, manifest: None, files: |_| {}, arguments, says }
}

fn edit(folder: &Path, table: &str, change: impl Fn(String) -> String) {
    let file = folder.join("raw").join(table);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, change(text)).unwrap();
}

fn cases() -> Vec<Case> {
    vec![
        manifest("unknown key", "seed = 1", "sed = 1", &["`sed`", "did you mean `seed`", "broken.toml:2"]),
        manifest("unknown stage key", "epochs = 1", "epoch = 1", &["stage[0].epoch", "did you mean `epochs`", ":21"]),
        manifest(
            "unknown type",
            "\"gat\"",
            "\"gta\"",
            &["model.graph_encoder.type", "`gta`", "did you mean `gat`", ":10"],
        ),
        manifest("unknown option", "dims = [8, 8] }", "width = 8 }", &["model.graph_encoder.width", "dims", ":10"]),
        manifest(
            "options without a type",
            "graph_encoder = { type = \"gat\", dims = [8, 8] }",
            "graph_encoder = { dims = [8, 8] }",
            &["`model.graph_encoder`: missing field `type`", "{ type = ", "`dualk list`", ":10"],
        ),
        manifest("type of another slot", "\"gat\"", "\"gru\"", &["no graph_encoder is named `gru`", "is a fusion"]),
        manifest("negative dims", "dims = [8, 8] }", "dims = [8, -8] }", &["model.graph_encoder.dims", "-8", ":10"]),
        manifest("zero dims", "dims = [8, 8] }", "dims = [8, 0] }", &["model.graph_encoder.dims", "0", ":10"]),
        manifest("no dims", "dims = [8, 8] }", "dims = [] }", &["model.graph_encoder.dims", ":10"]),
        manifest(
            "dropout 1.5",
            "dropout = 0.0 }\nvisit",
            "dropout = 1.5 }\nvisit",
            &["model.code_fusion.dropout", "1.5", ":11"],
        ),
        manifest(
            "dropout nan",
            "dropout = 0.0 }\nvisit",
            "dropout = nan }\nvisit",
            &["model.code_fusion.dropout", "NaN", ":11"],
        ),
        manifest(
            "head dropout",
            "classifier = [8], dropout = 0.0",
            "classifier = [8], dropout = -1",
            &["model.head", ":14"],
        ),
        manifest(
            "unknown start of logits",
            "head = { decoder",
            "head = { prior = \"maen\", decoder",
            &[
                "`model.head.prior`: unknown value `maen`",
                "did you mean `mean`?",
                "accepted: rates, mean, none",
                "broken.toml:14",
            ],
        ),
        manifest(
            "number for the start of logits",
            "head = { decoder",
            "head = { prior = 1, decoder",
            &["`model.head.prior`", "expected true, false or one of the texts `rates`, `mean`, `none`", ":14"],
        ),
        manifest(
            "number for the copy path",
            "head = { decoder",
            "head = { history = 1, decoder",
            &["`model.head.history`", "expected a boolean", "broken.toml:14"],
        ),
        manifest("no TOML", "[model]", "[model", &["this is not TOML", "broken.toml:8"]),
        manifest("no data", "[data]", "[dat]", &["`dat`", "did you mean `data`", ":4"]),
        manifest("text for a number", "epochs = 1", "epochs = \"many\"", &["stage[0].epochs", "\"many\"", ":21"]),
        manifest("zero epochs", "epochs = 1", "epochs = 0", &["stage[0].epochs", "at least 1, found 0", ":21"]),
        manifest(
            "too many epochs",
            "epochs = 1",
            "epochs = 1000000000000",
            &["stage[0].epochs", "at most 16777216, found 1000000000000", ":21"],
        ),
        manifest(
            "a batch too large",
            "epochs = 1",
            "epochs = 1\nbatch = 1000000000000",
            &["stage[0].batch", "at most 16777216, found 1000000000000", ":22"],
        ),
        manifest(
            "a width too large",
            "dims = [8, 8] }",
            "dims = [8, 1000000000000] }",
            &["model.graph_encoder.dims[1]", "at most 16777216, found 1000000000000", ":10"],
        ),
        manifest(
            "widths that no machine has memory for",
            "dims = [8, 8] }",
            "dims = [16777216, 16777215] }",
            &["model.graph_encoder", "parameters take", "GB left", "lower its widths", ":10"],
        ),
        manifest("nan lr", "epochs = 1", "epochs = 1\nlr = nan", &["stage[0].lr", "NaN", ":22"]),
        manifest("negative lr", "epochs = 1", "epochs = 1\nlr = -0.1", &["stage[0].lr", "-0.1", ":22"]),
        manifest("mode of finetune", "task = \"diagnosis\"", "mode = \"joint\"", &["stage[3].mode", "pretrain"]),
        manifest(
            "unknown mode",
            "mode = \"joint\"",
            "mode = \"jiont\"",
            &["stage[1].mode", "did you mean `joint`", ":25"],
        ),
        manifest(
            "task of lab",
            "type = \"lab\"",
            "type = \"lab\"\ntask = \"diagnosis\"",
            &["stage[0].task", "objective"],
        ),
        manifest("unknown task", "\"diagnosis\"", "\"diagnoses\"", &["stage[3].task", "did you mean `diagnosis`"]),
        manifest("individual first", "mode = \"joint\"", "mode = \"individual\"", &["stage[1].mode", "joint"]),
        manifest(
            "schedule lengths",
            "epochs = 1",
            "epochs = 1\nschedule = { type = \"piecewise\", from = [1, 2], lr = [0.1] }",
            &["stage[0].schedule.lr", "2 entries", ":22"],
        ),
        manifest("unknown split", "type = \"random\"", "type = \"randon\"", &["data.split", "random", ":6"]),
        manifest("split over 1", "train = 0.5", "train = 0.9", &["data.split", ":6"]),
        manifest(
            "impossible train_num",
            "{ type = \"random\", train = 0.5, valid = 0.25, test = 0.25 }",
            "{ type = \"dualk\", train = 1, test = 2, seed = 42 }",
            &["data.split", "1", ":6"],
        ),
        manifest(
            "more patients than there are",
            "{ type = \"random\", train = 0.5, valid = 0.25, test = 0.25 }",
            "{ type = \"dualk\", train = 8000, test = 1000, seed = 42 }",
            &["data.split", "8000", "12", ":6"],
        ),
        manifest("name with a slash", "\"broken\"", "\"a/b\"", &["`name`", "a/b", ":1"]),
        manifest(
            "missing plugin",
            "[data]",
            "[[plugin]]\npath = \"./nothing.so\"\n[data]",
            &["plugin[0]", "nothing.so", ":5"],
        ),
        manifest(
            "plugin that is text",
            "[data]",
            "[[plugin]]\npath = \"map.csv\"\n[data]",
            &["no shared library", "map.csv"],
        ),
        manifest(
            "wrong pin",
            "[data]",
            "[[plugin]]\npath = \"gat\"\nsha256 = \"00\"\n[data]",
            &["pinned: 00", "found:"],
        ),
        manifest(
            "unknown plugin name",
            "[data]",
            "[[plugin]]\npath = \"gatt\"\n[data]",
            &["`gatt`", "did you mean `gat`"],
        ),
        manifest("no parser root", "root = \"raw\"", "root = \"\"", &["data.parser.root", ":5"]),
        manifest("wrong root", "root = \"raw\"", "root = \"rwa\"", &["rwa"]),
        manifest(
            "no ICD map key with compat",
            "seed = 1\n\n[data]\nparser = { type = \"mimic4\", root = \"raw\", icd_map = \"map.csv\" }",
            "seed = 1\ncompat = \"dualk\"\n[data]\nparser = { type = \"mimic4\", root = \"raw\" }",
            &["data.parser.icd_map", ":5", "compat"],
        ),
        manifest("loss limit", "[data]", "[data]\nloss_limit = 5", &["data.loss_limit", "expected 0 to 1, found 5"]),
        manifest("missing hake table", "\"random\", dim = 8", "\"hake\", path = \"none.npz\", dim = 8", &["none.npz"]),
        manifest("hake table of text", "\"random\", dim = 8", "\"hake\", path = \"map.csv\", dim = 8", &["map.csv"]),
        manifest("chronic list", "\"diagnosis\"", "{ type = \"chronic_excluded\", path = \"no.txt\" }", &["no.txt"]),
        manifest("extends nothing", "seed = 1", "extends = \"base.toml\"", &["base.toml", "extends"]),
        manifest("extends itself", "seed = 1", "extends = \"broken.toml\"", &["extends itself"]),
        set("unknown device", &["--device", "tpu"], &["backend.device", "tpu", "cpu"]),
        set(
            "TF32 without tensor cores",
            &["--device", "cpu", "--set", "backend.precision=tf32"],
            &["backend.precision", "on cpu", "tf32", "f32", "bf16", "CUDA"],
        ),
        set("no such CUDA device", &["--device", "cuda:99"], &["backend.device", "cuda:99", "cpu"]),
        set(
            "setting without value",
            &["--set", "seed"],
            &["`--set seed`: expected KEY=VALUE", "did you mean `seed=VALUE`?"],
        ),
        set("setting without key", &["--set", "=3"], &["`--set =3`: there is no key", "for example --set seed=7"]),
        set(
            "setting beyond the list",
            &["--set", "stage[9].epochs=1"],
            &["`--set stage[9].epochs=1`: there is no item 9", "the list has 4", "from -1"],
        ),
        set(
            "setting with an open bracket",
            &["--set", "stage[0.epochs=1"],
            &["`--set stage[0.epochs=1`: ", "is not closed", "did you mean `stage[0].epochs`?"],
        ),
        set(
            "setting with half a table",
            &["--set", "model.graph_encoder={type=\"gat\""],
            &["`--set model.graph_encoder={type=\"gat\"`: the value is not TOML", "{ type = \"gat\", heads = 2 }"],
        ),
        set(
            "setting of a misspelt list",
            &["--set", "stag[0].epochs=1"],
            &["unknown key `stag`", "--> --set stag[0].epochs=1", "did you mean `stage`?"],
        ),
        set(
            "setting of a misspelt option",
            &["--set", "model.graph_encoder.dim=[8]"],
            &["model.graph_encoder.dim", "--> --set model.graph_encoder.dim=[8]", "did you mean `dims`?"],
        ),
        set(
            "setting of a misspelt key beside a head's options",
            &["--set", "model.head.prioor=true"],
            &["model.head.prioor", "--> --set model.head.prioor=true", "did you mean `prior`?", "history, prior\n"],
        ),
        set(
            "setting of a misspelt type of a head",
            &["--set", "model.head.tpye=linear"],
            &["model.head.tpye", "did you mean `type`?", "`type`, `history`, `prior`"],
        ),
        set(
            "setting of a head of another type",
            &["--set", "model.head.prior=3"],
            &["`model.head.prior`", "`3`", "--> --set model.head.prior=3"],
        ),
        set(
            "setting of a misspelt start of logits",
            &["--set", "model.head.prior=maen"],
            &["`model.head.prior`: unknown value `maen`", "--> --set model.head.prior=maen", "did you mean `mean`?"],
        ),
        set("setting of another type", &["--set", "seed=one"], &["`seed`", "\"one\"", "--> --set seed=one"]),
        set("runs nowhere", &["--set", "output.runs=\"\""], &["`output.runs`: expected a folder, found an empty text"]),
        set(
            "cache nowhere",
            &["--set", "output.cache=\"\""],
            &["`output.cache`: expected a folder", "the current folder"],
        ),
        set("endless name", &["--set", ENDLESS], &["`name`: expected at most 200 characters, found 201"]),
        files(
            "manifest not UTF-8",
            |d| fs::write(d.join("broken.toml"), b"name = \"\xff\xfe\"\n").unwrap(),
            &["UTF-8", ":1"],
        ),
        files("manifest empty", |d| fs::write(d.join("broken.toml"), "").unwrap(), &["data", "broken.toml"]),
        files("no manifest", |d| fs::remove_file(d.join("broken.toml")).unwrap(), &["broken.toml", "no such file"]),
        files("missing table", |d| fs::remove_file(d.join("raw/admissions.csv")).unwrap(), &["admissions.csv"]),
        files("missing ICD map", |d| fs::remove_file(d.join("map.csv")).unwrap(), &["map.csv"]),
        files("empty table", |d| fs::write(d.join("raw/patients.csv"), "").unwrap(), &["patients.csv"]),
        files(
            "missing column",
            |d| edit(d, "admissions.csv", |t| t.replacen("admittime", "admit_time", 1)),
            &["admissions.csv", "admittime", "admit_time"],
        ),
        files(
            "text in place of a number",
            |d| edit(d, "admissions.csv", |t| t.replacen(",1010,", ",ten,", 1)),
            &["admissions.csv:3", "hadm_id"],
        ),
        files(
            "NaN for a number",
            |d| edit(d, "diagnoses_icd.csv", |t| t.replacen("100,1000,1", "100,NaN,1", 1)),
            &["diagnoses_icd.csv:2", "hadm_id"],
        ),
        files(
            "text in place of a time",
            |d| edit(d, "admissions.csv", |t| t.replacen("2150-01-01 10:00:00", "yesterday", 1)),
            &["admissions.csv:2", "admittime"],
        ),
        files(
            "duplicate admission",
            |d| edit(d, "admissions.csv", |t| t.replacen(",1010,", ",1000,", 1)),
            &["admissions.csv:3", "occurs twice", "--show-values"],
        ),
        files(
            "unknown patient",
            |d| edit(d, "admissions.csv", |t| t.replacen("\n100,", "\n999,", 1)),
            &["admissions.csv:2", "--show-values"],
        ),
        files(
            "table not UTF-8",
            |d| {
                let file = d.join("raw/diagnoses_icd.csv");
                let mut bytes = fs::read(&file).unwrap();
                let at = bytes.windows(4).position(|w| w == b"4280").unwrap();
                bytes[at] = 0xff;
                fs::write(file, bytes).unwrap();
            },
            &["diagnoses_icd.csv"],
        ),
        files(
            "truncated gzip",
            |d| {
                let file = d.join("raw/labevents.csv");
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&fs::read(&file).unwrap()).unwrap();
                let bytes = encoder.finish().unwrap();
                fs::write(d.join("raw/labevents.csv.gz"), &bytes[..bytes.len() / 2]).unwrap();
                fs::remove_file(file).unwrap();
            },
            &["labevents.csv.gz"],
        ),
    ]
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
    let book = include_str!("../../book/src/errors.md");
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
