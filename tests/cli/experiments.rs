//! Whole experiments: swapping parts by manifest, repeating runs, evaluating again.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use dualk_sdk::experiment::{Experiment, Manifest, Outcome};
use dualk_sdk::plugin::{Registrar, Registry};
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_sdk::serde_json::Value;
use program::{command, dualk, printed, run_folder, said, small, succeed};
use std::fs;
use std::path::{Path, PathBuf};

const STAGES: &str = r#"[[stage]]
type = "lab"
epochs = 2

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
epochs = 2
"#;

/// An encoder of this test alone: a linear layer over the mean of a node and its neighbours.
#[derive(Module, Debug)]
struct Mean {
    layer: burn::nn::Linear,
    #[module(skip)]
    width: usize,
}

options! {
    /// Options of `mean_test`.
    struct MeanOptions {
        /// Width of the output.
        dim: usize = 16,
    }
}

impl Component for MeanOptions {
    const NAME: &'static str = "mean_test";
    const ABOUT: &'static str = "An encoder of a test.";
}

impl BuildGraphEncoder for MeanOptions {
    type Module = Mean;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Mean> {
        let layer = burn::nn::LinearConfig::new(context.input, self.dim).init(context.device);
        Ok(Mean { layer, width: self.dim })
    }
}

impl GraphEncoder for Mean {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = dualk_sdk::ops::Adjacency::normalized(graph, false);
        self.layer.forward(dualk_sdk::ops::propagate(&adjacency, features))
    }

    fn width(&self) -> usize {
        self.width
    }
}

fn register(registrar: &mut Registrar<'_>) {
    registrar.add::<slots::graph_encoder, MeanOptions>();
}

fn write_manifest(folder: &Path) -> PathBuf {
    let file = folder.join("small.toml");
    fs::write(&file, small(STAGES)).unwrap();
    file
}

/// Runs the manifest with settings; the outcome and its folder.
fn run(folder: &Path, settings: &[&str]) -> (Outcome, PathBuf) {
    let runs = format!("output.runs={:?}", folder.join("runs"));
    let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).chain([runs]).collect();
    let registry = Registry::new().with(register).unwrap();
    let manifest = Manifest::load(&write_manifest(folder), &settings).unwrap();
    let (outcome, run) = Experiment::new(manifest, registry).unwrap().run(&Silent).unwrap();
    (outcome, run.path().to_owned())
}

#[test]
fn a_manifest_alone_swaps_the_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let mut counts = Vec::new();
    for encoder in ["gat", "gcn", "mean_test"] {
        let setting = format!("model.graph_encoder={{ type = {encoder:?} }}");
        let settings = [setting.as_str(), "model.graph_encoder.dim=16"];
        let with_dim = encoder == "mean_test";
        let (outcome, path) = run(folder.path(), &settings[..1 + usize::from(with_dim)]);
        let history = fs::read_to_string(path.join("metrics.jsonl")).unwrap();
        let losses: Vec<f64> = history
            .lines()
            .map(|l| dualk_sdk::serde_json::from_str::<dualk_sdk::serde_json::Value>(l).unwrap())
            .filter(|r| r["stage"] == "1-lab")
            .map(|r| r["train_loss"].as_f64().unwrap())
            .collect();
        assert!(losses[1] < losses[0], "{encoder}: {losses:?}");
        assert_eq!(history.lines().count(), 2 + 1 + 3 + 2, "{encoder}");
        counts.push(outcome.parameters);
    }
    counts.dedup();
    assert_eq!(counts.len(), 3, "three encoders, three sizes: {counts:?}");
}

/// What a table says of laboratory items is what enters the model, and the oracle of what is observed knows no more.
#[test]
fn captions_and_oracles_are_of_what_enters() {
    let folder = tempfile::tempdir().unwrap();
    let tested = |lab: &str, labs: &str| {
        let task = format!("{{ type = \"diagnosis\", head = \"direct\", labs = {labs:?} }}");
        let stages = format!("stage=[{{ type = \"finetune\", epochs = 1, task = {task} }}]");
        let (outcome, _) = run(folder.path(), &[format!("model.lab={lab}").as_str(), stages.as_str()]);
        let stage = &outcome.stages[0];
        let mut inputs = stage.inputs.clone().unwrap();
        inputs.sort_unstable();
        assert_eq!(inputs, ["all_visits", "head", "labs"]);
        let oracle = stage.rows.iter().find(|row| row.name == "oracle, given what is observed").unwrap();
        (stage.caption.clone(), oracle.metrics.clone())
    };
    let linear = "{ type = \"linear\", dim = 16 }";
    let (caption, under_way) = tested(linear, "target");
    assert_eq!(caption, "labs of the very visit that is predicted");
    let (caption, before) = tested(linear, "history");
    assert_eq!(caption, "labs of all visits before");
    assert_ne!(before, under_way);
    assert_eq!(tested("none", "target"), ("no labs".to_owned(), before));
}

/// Rows that learn from every visit have several times the examples of others.
#[test]
fn captions_say_who_learns_from_every_visit() {
    let folder = tempfile::tempdir().unwrap();
    for task in ["diagnosis", "heart_failure"] {
        let task = format!("{{ type = {task:?}, head = \"direct\", all_visits = true }}");
        let stages = format!("stage=[{{ type = \"finetune\", epochs = 1, task = {task} }}]");
        let (outcome, _) = run(folder.path(), &[stages.as_str()]);
        assert_eq!(outcome.stages[0].caption, "learns from every visit · labs of all visits before", "{task}");
    }
}

/// Any stage is tested where the manifest says so: here pretraining, and not the fine-tuning after it.
#[test]
fn a_pretraining_stage_is_tested() {
    let folder = tempfile::tempdir().unwrap();
    let stages = "stage=[{ type = \"pretrain\", mode = \"joint\", epochs = 2, test = true }, \
        { type = \"finetune\", epochs = 1, test = false }]";
    let (outcome, path) = run(folder.path(), &[stages]);
    let result = fs::read_to_string(path.join("result.json")).unwrap();
    let result: Value = dualk_sdk::serde_json::from_str(&result).unwrap();
    let [table] = &result["stages"].as_array().unwrap()[..] else { panic!("one table: {result}") };
    assert_eq!([&table["stage"], &table["objective"]], ["1-pretrain-joint", "abnormal_labs"]);
    // Everyone in test is an example, with one visit or more.
    assert!(table["examples"].as_u64().unwrap() > 0 && table["examples"] == table["patients"], "{table}");
    let rows = table["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let baselines = ["item frequency", "own items, most recent", "own items, most frequent", "logistic regression"];
    assert_eq!(names[..4], baselines);
    assert!(names.len() == 5 && names[4].starts_with("small, epoch "), "{names:?}");
    for row in rows {
        let metrics = row["metrics"].as_array().unwrap();
        let names: Vec<&str> = metrics.iter().map(|metric| metric[0].as_str().unwrap()).collect();
        assert_eq!(names, ["F1-w", "F1-w hematology", "F1-w chemistry", "F1-w blood gas"]);
        let values: Vec<f64> = metrics.iter().map(|metric| metric[1].as_f64().unwrap()).collect();
        assert!((values[0] - (values[1] + values[2] + values[3]) / 3.0).abs() < 1e-9, "the mean: {values:?}");
    }
    assert!(outcome.table().contains("abnormal_labs · test"), "{}", outcome.table());
    assert!(path.join("patients-1-pretrain-joint.json").is_file());
}

/// A softmax over codes of which several are true, and an order of codes, say of none how likely it is.
#[test]
fn a_model_whose_logits_are_no_probabilities_has_no_measures_of_these() {
    let folder = tempfile::tempdir().unwrap();
    let loss = |loss: &str| format!("stage[3].loss={loss}");
    for (name, has_areas, has_probabilities) in [
        ("{ type = \"cross_entropy\", absent = true }", true, false),
        ("\"ranking\"", false, false),
        ("\"bce\"", true, true),
    ] {
        let (outcome, _) = run(folder.path(), &[&loss(name)]);
        let stage = outcome.stages.last().unwrap();
        let measure = |row: &str, name: &str| {
            let row = stage.rows.iter().find(|other| other.name.starts_with(row)).unwrap();
            row.measures.iter().find(|(measure, _)| measure == name).map(|(_, value)| *value)
        };
        for probability in ["log loss", "Brier", "ECE", "valid log loss"] {
            assert_eq!(measure("small, epoch", probability).is_some(), has_probabilities, "{name}: {probability}");
        }
        assert!(measure("logistic regression", "Brier").is_some(), "{name}");
        assert_eq!(measure("small, epoch", "AUROC macro").is_some_and(|area| !area.is_nan()), has_areas, "{name}");
        assert!(measure("small, epoch", "NDCG@10").is_some_and(|gain| !gain.is_nan()), "{name}");
    }
}

#[test]
fn the_same_manifest_gives_the_same_digits() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((a, path_a), (b, path_b)) = (run(one.path(), &[]), run(two.path(), &[]));
    // As text: what is undefined is not equal to itself.
    assert_eq!(format!("{:?}", a.stages), format!("{:?}", b.stages));
    let without_time = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path.join("metrics.jsonl")).unwrap();
        text.lines().map(|l| l.split(",\"seconds\"").next().unwrap().to_owned()).collect()
    };
    assert_eq!(without_time(&path_a), without_time(&path_b));
    assert_eq!(
        fs::read(path_a.join("model.safetensors")).unwrap(),
        fs::read(path_b.join("model.safetensors")).unwrap()
    );
    let (c, _) = run(one.path(), &["seed=4"]);
    assert_ne!(a.stages, c.stages, "another seed gives other digits");
}

/// Patients with age and sex, who enter the model.
const AGED: [&str; 2] = ["data.parser.demographics=1.0", "model.demographics=true"];

#[test]
fn age_and_sex_enter_where_the_manifest_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let weights = |path: &Path| -> Vec<f32> {
        let bytes = fs::read(path.join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let Ok(map) = file.tensor("demographics.weight") else { return Vec::new() };
        assert_eq!(map.shape()[0], 5);
        map.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let (without, path) = run(folder.path(), &AGED[..1]);
    assert!(weights(&path).is_empty());
    // Held at its start, the map changes no digit.
    let held = ["stage[1].freeze=[\"demographics\"]", "stage[3].freeze=[\"lab\", \"demographics\"]"];
    let (start, path) = run(folder.path(), &[AGED[0], AGED[1], held[0], held[1]]);
    assert!(!weights(&path).is_empty() && weights(&path).iter().all(|weight| *weight == 0.0));
    let model = |outcome: &Outcome| outcome.stages.last().unwrap().model().unwrap().clone();
    assert_eq!(model(&start).metrics, model(&without).metrics);
    let (with, path) = run(folder.path(), &AGED);
    assert!(weights(&path).iter().any(|weight| *weight != 0.0));
    let captions = [&without, &with].map(|outcome| outcome.stages.last().unwrap().caption.as_str());
    assert_eq!(captions, ["labs of all visits before", "labs of all visits before · age and sex"]);
    let regression = |outcome: &Outcome| {
        let rows = &outcome.stages.last().unwrap().rows;
        rows.iter().find(|row| row.name == "logistic regression").unwrap().measures.clone()
    };
    assert_ne!(regression(&with), regression(&without));
}

#[test]
fn tables_have_measures_by_sex_and_age() {
    let folder = tempfile::tempdir().unwrap();
    for (task, measures) in [("diagnosis", &["R@10"][..]), ("heart_failure", &["AUPRC", "AUROC", "Brier"])] {
        let task = format!("stage[3].task={task:?}");
        let (outcome, path) = run(folder.path(), &[AGED[0], &task]);
        let stage = outcome.stages.last().unwrap();
        let strata = &stage.model().unwrap().strata;
        for by in ["sex", "age"] {
            let mut found: Vec<&str> = strata.iter().filter(|s| s.by == by).map(|s| s.measure.as_str()).collect();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, measures, "{task}");
            // Every patient is in one part.
            let whole = measures[measures.len() - 1];
            let of = strata.iter().filter(|s| s.by == by && s.measure == whole);
            assert_eq!(of.map(|s| s.number).sum::<usize>(), stage.examples, "{task}, {by}");
        }
        // Parts of labels and means over patients have intervals, areas within a part none.
        let ranking = measures == ["R@10"];
        for part in strata.iter().filter(|s| s.number > 20) {
            match part.interval {
                Some([low, high]) => assert!(ranking && low <= part.value && part.value <= high, "{part:?}"),
                None => assert!(!ranking, "{part:?}"),
            }
        }
        // Baselines and oracles have the parts of the model, so that one sees who gains from what where.
        let parts = |row: usize| -> Vec<(&str, &str, &str, usize)> {
            let strata = stage.rows[row].strata.iter();
            strata.map(|s| (s.by.as_str(), s.part.as_str(), s.measure.as_str(), s.number)).collect()
        };
        let model = parts(stage.model_row().unwrap());
        for row in (0..stage.rows.len()).filter(|_| ranking) {
            assert_eq!(parts(row), model, "{}", stage.rows[row].name);
        }
        let both =
            model.iter().any(|(by, part, ..)| *by == "had before and code frequency" && part.starts_with("new, "));
        assert_eq!(both, ranking, "{model:?}");
        let report = fs::read_to_string(path.join("report.html")).unwrap();
        assert!(report.contains("by sex") && report.contains("by age"), "{task}");
        assert_eq!(report.contains("±: half a 95 % interval over test patients, of recall"), ranking, "{task}");
    }
}

/// Readers of `result.json` go by this order and these names.
#[test]
fn a_table_has_rules_then_the_model_then_oracles() {
    let folder = tempfile::tempdir().unwrap();
    let oracles = ["oracle, given what is observed", "oracle, hidden state known"];
    let codes = [
        "code frequency",
        "own history, most recent",
        "own history, most frequent",
        "history, then co-occurrence",
        "logistic regression",
    ];
    for (task, rules) in [("diagnosis", &codes[..]), ("heart_failure", &["prevalence", "had it before", codes[4]])] {
        for shown in [true, false] {
            let settings = [format!("stage[3].task={task:?}"), format!("output.baselines={shown}")];
            let (outcome, _) = run(folder.path(), &[&settings[0], &settings[1]]);
            let stage = outcome.stages.last().unwrap();
            let names: Vec<&str> = stage.rows.iter().map(|row| row.name.as_str()).collect();
            let rules = if shown { rules } else { &[] };
            let model = format!("small, epoch {}", stage.epoch + 1);
            assert_eq!(names, [rules, &[model.as_str()], &oracles].concat(), "{task}");
        }
    }
}

#[test]
fn a_cohort_without_age_and_sex_has_none_to_enter() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [AGED[1].to_owned(), format!("output.runs={:?}", folder.path().join("runs"))];
    let manifest = Manifest::load(&write_manifest(folder.path()), &settings).unwrap();
    let registry = Registry::new().with(register).unwrap();
    let error = Experiment::new(manifest, registry).unwrap().run(&Silent).unwrap_err().to_string();
    assert!(error.contains("`model.demographics`") && error.contains("neither how old"), "{error}");
}

/// Sums are added up in other orders on other numbers of threads, and nothing else differs.
#[test]
fn losses_are_the_same_on_one_thread_and_two() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_manifest(folder.path());
    let losses = |threads: &str| -> Vec<f64> {
        let runs = folder.path().join(threads);
        let set = format!("output.runs={}", runs.display());
        let mut run = command(folder.path(), &["run", file.to_str().unwrap(), "--set", &set]);
        printed(&run.env("RAYON_NUM_THREADS", threads).output().unwrap());
        let run = fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
        let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let loss = |line: &str| {
            dualk_sdk::serde_json::from_str::<dualk_sdk::serde_json::Value>(line).unwrap()["train_loss"].as_f64()
        };
        lines.lines().map(|line| loss(line).unwrap()).collect()
    };
    let (one, two) = (losses("1"), losses("2"));
    assert!(one.len() == two.len() && one.len() >= 6, "{one:?} {two:?}");
    for (a, b) in one.iter().zip(&two) {
        assert!((a - b).abs() <= 1e-4 * a.abs(), "{one:?} {two:?}");
    }
}

#[test]
fn a_run_can_be_evaluated_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_manifest(folder.path());
    let run = |arguments: &[&str]| succeed(folder.path(), arguments);
    let printed = run(&["run", file.to_str().unwrap()]);
    let path = &run_folder(&printed);
    for name in [
        "manifest.toml",
        "plugins.lock",
        "environment.json",
        "metrics.jsonl",
        "result.json",
        "model.safetensors",
        "log.txt",
        "report.html",
    ] {
        assert!(folder.path().join(path).join(name).is_file(), "{name}");
    }
    let again = run(&["eval", path]);
    let row = |text: &str| text.lines().find(|l| l.starts_with("small, epoch")).unwrap().to_owned();
    assert_eq!(row(&printed), row(&again));
    let checkpoint = format!("{path}/checkpoints/4-finetune.safetensors");
    assert_eq!(row(&printed), row(&run(&["eval", path, "--checkpoint", &checkpoint])));
    run(&["eval", path, "--checkpoint", &format!("{path}/checkpoints/2-pretrain-joint.safetensors")]);
}

#[test]
fn every_shipped_manifest_passes_check_and_stays_short() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seen = 0;
    let entries =
        ["", "baselines", "knowledge", "rehearsal", "sweeps"].map(|inner| fs::read_dir(folder.join(inner)).unwrap());
    for entry in entries.into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".toml") {
            continue;
        }
        assert!(fs::read_to_string(&path).unwrap().lines().count() <= 60, "{name} is longer than 60 lines");
        let output = dualk(&folder, &["check", path.to_str().unwrap(), "--no-memory"]);
        let error = said(&output);
        // Without the licensed tables all that may be missing is a data file; and a cohort, for vectors that models name.
        let missing = ["there is no such folder", "no such file", "derived from a cohort, and there is none here"];
        let fine = output.status.success() || missing.iter().any(|text| error.contains(text));
        assert!(fine, "{name}: {error}");
        seen += 1;
    }
    assert!(seen >= 40, "{seen} manifests");
}

#[test]
fn prepare_needs_data_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("only-data.toml");
    fs::write(&file, "[data]\nparser = { type = \"synthetic\", patients = 300 }\n").unwrap();
    let out = folder.path().join("out");
    succeed(folder.path(), &["prepare", file.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    for name in ["summary.json", "patients.parquet", "splits.json", "vocabulary.json", "graph.parquet"] {
        assert!(out.join(name).is_file(), "{name}");
    }
}
