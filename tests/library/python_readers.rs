//! Every Parquet file that is written opens in Python: with pandas and pyarrow, and with Polars and DuckDB where they are. And
//! in R, with the package arrow. `DUALK_PYTHON` names another Python than `python3`, `DUALK_RSCRIPT` another Rscript.

#[path = "support/plugins.rs"]
mod plugins;

use dualk_plugin_parser_sources::{CsvOptions, Written};
use dualk_sdk::data::columns::{Values, write_parquet};
use dualk_sdk::data::{SplitOptions, prepare, write};
use dualk_sdk::experiment::{Evaluation, Experiment, Export, Manifest};
use dualk_sdk::plugin::Registry;
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_sdk::serde_json::{Value, from_slice, from_str, json};
use dualk_tests::tests_dir;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reads each file with every reader that is there, and prints the columns of each: name → values.
const SCRIPT: &str = r#"
import json, sys
import pandas as pd

def plain(value):
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if hasattr(value, "isoformat") else value

readers = {"pandas": lambda f: pd.read_parquet(f, engine="pyarrow")}
try:
    import polars
    readers["polars"] = lambda f: pd.DataFrame({c: s.to_list() for c, s in zip(polars.read_parquet(f).columns, polars.read_parquet(f))}, dtype=object)
except ImportError as error:
    print("not read with polars:", error, file=sys.stderr)
try:
    import duckdb
    readers["duckdb"] = lambda f: pd.DataFrame(duckdb.sql(f"select * from '{f}'").fetchall(), columns=duckdb.sql(f"select * from '{f}'").columns, dtype=object)
except ImportError as error:
    print("not read with duckdb:", error, file=sys.stderr)
found = {}
for name, read in readers.items():
    found[name] = []
    for file in sys.argv[1:]:
        frame = read(file)
        found[name].append({c: [plain(v) for v in frame[c]] for c in frame.columns})
json.dump(found, sys.stdout, default=str)
"#;

/// What Python reads of files: reader → files → columns.
fn with_python(files: &[&Path]) -> Value {
    let python = option_env!("DUALK_TEST_PYTHON").unwrap_or("python3");
    printed(Command::new(python).arg("-c").arg(SCRIPT).args(files))
}

/// The same of R.
fn with_r(files: &[&Path]) -> Value {
    let rscript = option_env!("DUALK_TEST_RSCRIPT").unwrap_or("Rscript");
    printed(Command::new(rscript).arg(tests_dir().join("library/support/readers.R")).args(files))
}

fn printed(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Past the harness, which keeps what a test prints that passes.
    for line in said.lines().filter(|line| line.starts_with("not read with")) {
        std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    from_slice(&output.stdout).unwrap()
}

/// A cohort with texts for identifiers, times, ages and drugs.
fn cohort(folder: &Path) -> Cohort {
    let mut visits = String::from("patient,visit,time,end,icd,sex,age,died,ethnicity\n");
    let mut drugs = String::from("patient,visit,drug\n");
    for p in 0..20 {
        for v in 0..3 {
            let (year, icd) = (2010 + v, ["I50.9", "E11.9", "I10"][(p + v) % 3]);
            visits += &format!(
                "P-{p},{v},{year}-03-01 10:30,{year}-03-0{},{icd},{},{},0,é\n",
                v + 2,
                ["f", "m"][p % 2],
                60 + v
            );
            drugs += &format!("P-{p},{v},drug {}\n", p % 4);
        }
    }
    fs::write(folder.join("visits.csv"), visits).unwrap();
    fs::write(folder.join("drugs.csv"), drugs).unwrap();
    let path = |name: &str| FilePath(folder.join(name));
    let options = CsvOptions {
        visits: path("visits.csv"),
        drugs: path("drugs.csv"),
        code: vec!["icd".into()],
        written: Written::Icd10,
        ..CsvOptions::default()
    };
    options.build().unwrap().parse(&ParserContext { progress: &Silent, compat: false, seed: 0, learns: None }).unwrap()
}

#[test]
#[cfg_attr(not(python_readers), ignore = "needs Python with pandas and pyarrow")]
fn prepared_data_open() {
    prepared_data(with_python);
}

#[test]
#[cfg_attr(not(r_reader), ignore = "needs R with the package arrow")]
fn prepared_data_open_in_r() {
    prepared_data(with_r);
}

fn prepared_data(read: fn(&[&Path]) -> Value) {
    let folder = tempfile::tempdir().unwrap();
    let data = prepare(cohort(folder.path()), &SplitOptions::default()).unwrap();
    let out = folder.path().join("out");
    write(&data, &out).unwrap();
    let found = read(&[&out.join("patients.parquet"), &out.join("graph.parquet")]);
    for (reader, files) in found.as_object().unwrap() {
        let patients = &files[0];
        for (column, expected) in [
            ("patient", json!("P-0")),
            ("admission", json!("P-0/1")),
            ("order", json!(1)),
            ("codes", json!(["E11.9"])),
            ("abnormal_labs", json!([])),
            ("start", json!("2011-03-01 10:30:00")),
            ("end", json!("2011-03-03 00:00:00")),
            ("age", json!(61.0)),
            ("died", json!(false)),
            ("sex", json!("female")),
            ("ethnicity", json!("é")),
            ("drugs", json!(["drug 0"])),
        ] {
            assert_eq!(patients[column][1], expected, "{reader}, {column}");
            assert_eq!(patients[column].as_array().unwrap().len(), 60, "{reader}, {column}");
        }
        assert_eq!(files[1]["weight"].as_array().unwrap().len(), data.graph.edges(), "{reader}");
        let weights: f64 = files[1]["weight"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).sum();
        let expected: f64 = data.graph.iter().map(|edge| f64::from(edge.2)).sum();
        assert!((weights - expected).abs() < 1e-6, "{reader}: {weights} {expected}");
    }
}

#[test]
#[cfg_attr(not(python_readers), ignore = "needs Python with pandas and pyarrow")]
fn files_of_a_run_open() {
    files_of_a_run(with_python);
}

#[test]
#[cfg_attr(not(r_reader), ignore = "needs R with the package arrow")]
fn files_of_a_run_open_in_r() {
    files_of_a_run(with_r);
}

fn registry() -> Registry {
    plugins::registry(&[dualk_plugin_parser_synthetic::register])
}

/// A run of made-up patients.
fn run(runs: &Path) -> PathBuf {
    let text = format!(
        r#"
name = "readers"
backend.device = "cpu"
output.runs = {runs:?}
data.parser = {{ type = "synthetic", patients = 200, codes = 60, labs = 12, clusters = 5 }}

[model]
node_init = {{ type = "random", dim = 4 }}
graph_encoder = {{ type = "gat", dims = [6] }}
head = {{ decoder = [4, 4], classifier = [4] }}

[[stage]]
type = "lab"
epochs = 1

[[stage]]
type = "finetune"
epochs = 2
"#
    );
    let experiment = Experiment::new(Manifest::parse(&text, &[]).unwrap(), registry()).unwrap();
    experiment.without_cache().run(&Silent).unwrap().1.path().to_owned()
}

/// What metrics, predictions and vectors are is in JSON, too: losses by epoch, and who is tested.
fn files_of_a_run(read: fn(&[&Path]) -> Value) {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path());
    let (predictions, vectors) = (folder.path().join("predictions.parquet"), folder.path().join("vectors"));
    let evaluation = Evaluation { checkpoint: None, predictions: Some(&predictions), cache: None };
    Experiment::evaluate_run(&run, evaluation, registry(), &Silent).unwrap();
    let export = Export { out: &vectors, checkpoint: None, patients: true, cache: None };
    Experiment::export_run(&run, export, registry(), &Silent).unwrap();
    let files =
        [run.join("metrics.parquet"), predictions, vectors.join("codes.parquet"), vectors.join("patients.parquet")];
    let text = |file: &str| fs::read_to_string(run.join(file)).unwrap();
    let epochs: Vec<Value> = text("metrics.jsonl").lines().map(|line| from_str(line).unwrap()).collect();
    let losses: Vec<f64> = epochs.iter().map(|epoch| epoch["train_loss"].as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 3);
    let tested: Value = from_str(&text("patients-2-finetune.json")).unwrap();
    let tested = tested["patients"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    let tested: Vec<String> = tested.collect();
    let vocabulary: Value = from_str(&text("vocabulary.json")).unwrap();
    let numbers = vocabulary["code_map_pretrain"].as_object().unwrap();
    let found = read(&files.each_ref().map(PathBuf::as_path));
    for (reader, files) in found.as_object().unwrap() {
        let column =
            |file: usize, name: &str| files[file][name].as_array().unwrap_or_else(|| panic!("{reader}: {name}"));
        let rows = column(0, "part").iter().zip(column(0, "metric")).zip(column(0, "value"));
        let of_train = rows.filter(|((part, metric), _)| **part == "train" && **metric == "loss");
        let values: Vec<f64> = of_train.map(|(_, value)| value.as_f64().unwrap()).collect();
        let same = values.iter().zip(&losses).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(same && values.len() == losses.len(), "{reader}: {values:?}, {losses:?}");

        let patients = |file: usize| column(file, "patient").iter().map(Value::to_string).collect::<Vec<String>>();
        assert_eq!(patients(1), tested, "{reader}");
        assert_eq!(patients(3), tested, "{reader}");

        let codes: Vec<&str> = column(2, "code").iter().map(|code| code.as_str().unwrap()).collect();
        assert_eq!(codes.len(), numbers.len(), "{reader}");
        for (code, number) in codes.iter().zip(column(2, "number")) {
            assert_eq!(numbers[*code], *number, "{reader}: {code}");
        }
        for (i, targets) in column(1, "targets").iter().enumerate() {
            for target in targets.as_array().unwrap().iter().map(|target| target.as_str().unwrap()) {
                assert!(codes.contains(&target) && column(1, target)[i].is_f64(), "{reader}: {target}");
            }
        }
        let width = |vector: &Value| vector.as_array().unwrap().iter().filter(|v| v.is_f64()).count();
        assert!(column(2, "embedding").iter().all(|vector| width(vector) == 6), "{reader}");
        let first = width(&column(3, "embedding")[0]);
        assert!(first > 0 && column(3, "embedding").iter().all(|vector| width(vector) == first), "{reader}");
    }
}

#[test]
#[cfg_attr(not(python_readers), ignore = "needs Python with pandas and pyarrow")]
fn every_kind_of_column_opens() {
    every_kind(with_python);
}

#[test]
#[cfg_attr(not(r_reader), ignore = "needs R with the package arrow")]
fn every_kind_of_column_opens_in_r() {
    every_kind(with_r);
}

fn every_kind(read: fn(&[&Path]) -> Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.parquet");
    let columns = [
        ("i64", Values::from(vec![Some(i64::MIN), None])),
        ("u32", vec![u32::MAX, 0].into()),
        ("f32", vec![Some(0.5f32), None].into()),
        ("f64", vec![1e300f64, -0.25].into()),
        ("text", vec![Some("a,\"b\""), None].into()),
        ("bool", vec![Some(true), None].into()),
        ("time", Values::times(vec![Some(1_463_771_812_000_000), None])),
        ("texts", Values::text_lists([vec!["x", "y"], vec![]])),
        ("integers", Values::integer_lists([vec![], vec![7i64, 8]])),
        ("vectors", Values::vectors(vec![0.5, 1.0, -2.0, 4.0], 2)),
    ];
    write_parquet(&file, columns.map(|(name, values)| (name.to_owned(), values)).into()).unwrap();
    for (reader, files) in read(&[&file]).as_object().unwrap() {
        let read = &files[0];
        for (column, expected) in [
            ("u32", json!([u32::MAX, 0])),
            ("f32", json!([0.5, null])),
            ("f64", json!([1e300, -0.25])),
            ("text", json!(["a,\"b\"", null])),
            ("bool", json!([true, null])),
            ("time", json!(["2016-05-20 19:16:52", null])),
            ("texts", json!([["x", "y"], []])),
            ("integers", json!([[], [7, 8]])),
            ("vectors", json!([[0.5, 1.0], [-2.0, 4.0]])),
        ] {
            assert_eq!(read[column], expected, "{reader}, {column}");
        }
    }
}
