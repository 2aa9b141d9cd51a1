//! `dualk bench`: what it measures at a small size, and what it refuses.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use dualk_sdk::serde_json::{Value, from_str};
use program::{dualk, printed, said};
use std::fs;
use std::path::Path;
use std::process::Output;

const SMALL: [&str; 6] = ["--nodes", "60", "--edges", "401", "--targets", "50"];
const NARROW: [&str; 4] = ["--features", "8", "--widths", "6,4"];

fn bench(arguments: &[&str]) -> Output {
    dualk(Path::new("."), &[&["bench"], arguments].concat())
}

/// The JSON lines of a command that works.
fn lines(arguments: &[&str]) -> Vec<Value> {
    printed(&bench(arguments)).lines().map(|line| from_str(line).unwrap()).collect()
}

#[test]
fn every_stage_is_a_line() {
    let arguments = [&["step", "--batch", "5", "--steps", "2", "--threads", "1"], &SMALL[..], &NARROW].concat();
    let measured = lines(&arguments);
    let stages: Vec<&str> = measured.iter().map(|m| m["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["pretrain", "individual", "finetune"]);
    for m in &measured {
        let number = |key: &str| m[key].as_f64().unwrap();
        assert_eq!((number("nodes"), number("edges"), number("batch"), number("steps")), (60.0, 401.0, 5.0, 2.0));
        assert_eq!(number("threads"), 1.0);
        assert!(0.0 < number("step_s_min") && number("step_s_min") <= number("step_s"));
        assert!(number("step_s") <= number("step_s_max"));
    }
    let flop = |i: usize| measured[i]["flop"].as_f64().unwrap();
    assert!(flop(1) < flop(0), "a frozen encoder has no backward pass");
}

#[test]
fn operations_are_counted_as_by_hand() {
    let arguments = [&["step", "--stage", "pretrain", "--batch", "5", "--steps", "1"], &SMALL[..], &NARROW].concat();
    let measured = lines(&arguments);
    let number = |key: &str| measured[0][key].as_f64().unwrap();
    let (nodes, visits, codes, patients) = (60.0, number("visits"), number("codes"), number("batch"));
    let edges = 401.0 - 1.0 + nodes; // an odd number of edges has a self loop, and GAT gives one to every node
    let decoders = 3.0 * (4.0 * 256.0 + 256.0 * 128.0) + 128.0 * (239.0 + 191.0 + 15.0);
    // Three products a layer: output, gradient of weights, gradient of input.
    let layers = nodes * (8.0 * 6.0 + 6.0 * 4.0 + 4.0 * 4.0) + visits * 4.0 * 4.0 + patients * decoders;
    let gat = |d: f64| 12.0 * nodes * d + edges * (6.0 * d + 11.0);
    let fusions = 18.0 * 4.0 * (codes + visits);
    let biases = 3.0 * (256.0 + 128.0) + 239.0 + 191.0 + 15.0;
    let encoder = 8.0 * 6.0 + 6.0 * 4.0 + 3.0 * (6.0 + 4.0);
    let trained = nodes * 8.0 + encoder + 2.0 * 4.0 * 4.0 + decoders + biases;
    assert_eq!(number("flop"), 6.0 * layers + gat(6.0) + gat(4.0) + fusions + 14.0 * trained);
}

#[test]
fn evaluation_times_forward_pass_and_metrics() {
    let measured = lines(&[&["eval", "--patients", "20", "--repeats", "1"], &SMALL[..], &NARROW].concat());
    let number = |key: &str| measured[0][key].as_f64().unwrap();
    assert!(number("forward_s") > 0.0 && number("metrics_s") > 0.0 && number("assess_s") > 0.0);
    assert!(number("assess_s_min") <= number("assess_s") && number("assess_s") <= number("assess_s_max"));
}

#[test]
fn operations_agree_with_their_plain_formulations() {
    let measured = lines(&[&["ops", "--width", "8", "--batch", "4", "--repeats", "1"], &SMALL[..]].concat());
    assert_eq!(measured.len(), 16, "five operations and three products, two passes each");
    for m in measured {
        let difference = m["max_difference"].as_f64().unwrap();
        assert!(difference < 1e-5, "{}: {difference}", m["kernel"]);
    }
}

#[test]
fn a_table_has_a_column_a_stage() {
    let output = bench(&[&["step", "--table", "--batch", "2", "--steps", "1"], &SMALL[..], &NARROW].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let stages = text.lines().find(|line| line.starts_with("stage")).unwrap();
    assert_eq!(stages.split_whitespace().collect::<Vec<_>>(), ["stage", "pretrain", "individual", "finetune"]);
    // Of a stage without phases there is no row of its own.
    assert!(text.lines().all(|line| line.split_whitespace().next() != Some("phases")), "{text}");
}

#[test]
fn a_workload_is_written_for_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("work");
    let path = out.to_str().unwrap();
    lines(&[&["workload", "--stage", "finetune", "--batch", "3", "--steps", "2", "--out", path], &SMALL[..]].concat());
    assert_eq!(fs::read(out.join("edges.u32")).unwrap().len(), 401 * 8);
    let examples: Value = from_str(&fs::read_to_string(out.join("examples.json")).unwrap()).unwrap();
    assert_eq!(examples["heads"][0]["outputs"], 50);
    assert_eq!(examples["visits"].as_array().unwrap().len(), 9, "two steps and one to warm up");
    // What is there is somebody's.
    fs::write(out.join("examples.json"), "mine").unwrap();
    let output = bench(&["workload", "--out", path]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && error.contains("not empty"), "{error}");
    assert_eq!(fs::read_to_string(out.join("examples.json")).unwrap(), "mine");
}

#[test]
fn the_sizes_that_help_shows_can_be_measured() {
    let help = printed(&bench(&["--help"]));
    let example = help.lines().find(|line| line.contains("--nodes")).unwrap();
    let arguments: Vec<&str> = example.split_whitespace().skip(2).collect();
    assert_eq!(lines(&arguments).len(), 3, "{example}");
}

#[test]
fn mistakes_name_the_flag_or_the_key() {
    let cases: [(&[&str], &str); 8] = [
        (&["step", "--edges", "99999999"], "--edges"),
        (&["step", "--steps", "0"], "--steps"),
        (&["step", "--threads", "0"], "--threads"),
        (&["step", "--encoder", "gta"], "did you mean `gat`?"),
        (&["step", "--widths", "8,0"], "--> --set model.graph_encoder.dims=[8, 0]"),
        (&["step", "--encoder", "true"], "no graph_encoder is named `true`"),
        (&["eval", "--patients", "0"], "--patients"),
        (&["ops", "--device", "gpu"], "there is no device `gpu`"),
    ];
    for (arguments, expected) in cases {
        let output = bench(arguments);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn preparation_is_a_line_for_each_number_of_rows() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().join("made-up");
    let folder = cache.display().to_string();
    let arguments = ["prepare", "--rows", "100000,200000", "--gzip", "--cache", &folder];
    let measured = lines(&arguments);
    let rows: Vec<f64> = measured.iter().map(|m| m["rows"].as_f64().unwrap()).collect();
    assert_eq!(rows, [100_000.0, 200_000.0]);
    for m in &measured {
        assert_eq!(m["bench"], "prepare");
        let phases = m["phases"].as_object().unwrap();
        let sum: f64 = phases.values().map(|s| s.as_f64().unwrap()).sum();
        assert!(phases.contains_key("rows of labevents") && sum > 0.0 && sum <= m["seconds"].as_f64().unwrap());
    }
    // Files are written once.
    let written = || fs::metadata(cache.join("100000-gz/labevents.csv.gz")).unwrap().modified().unwrap();
    let before = written();
    lines(&arguments);
    assert_eq!(written(), before);
}

#[test]
fn a_folder_without_tables_is_refused() {
    let cache = tempfile::tempdir().unwrap();
    fs::create_dir(cache.path().join("1000")).unwrap();
    let output = bench(&["prepare", "--rows", "1000", "--cache", &cache.path().display().to_string()]);
    let text = said(&output);
    assert!(output.status.code() == Some(2) && text.contains("`patients` is missing"), "{text}");
}

#[test]
fn a_step_of_an_embedding_is_a_line() {
    let sizes = ["--batch", "8", "--negatives", "16", "--dim", "12", "--entities", "300", "--relations", "3"];
    for model in ["hake", "mode", "rotate", "transe", "complex"] {
        let measured = lines(&[&["kge", "--model", model, "--triples", "500", "--steps", "4"], &sizes[..]].concat());
        let number = |key: &str| measured[0][key].as_f64().unwrap();
        assert!(0.0 < number("step_s_min") && number("step_s_min") <= number("step_s"), "{model}");
        assert!(number("peak_rss_gib") > 0.0 && number("loss").is_finite(), "{model}");
        assert_eq!((number("entities"), number("batch"), number("cells")), (300.0, 8.0, 8.0 * 17.0), "{model}");
    }
    let wrong = bench(&["kge", "--model", "hak"]);
    let error = said(&wrong);
    assert!(wrong.status.code() == Some(2) && error.contains("did you mean `hake`?"), "{error}");
    assert_eq!(bench(&["kge", "--batch", "0"]).status.code(), Some(2));
    let wrong = bench(&["kge", "--device", "gpu"]);
    let error = said(&wrong);
    assert!(wrong.status.code() == Some(2) && error.contains("no device `gpu`") && error.contains("cuda"), "{error}");
}
