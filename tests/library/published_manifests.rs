//! The manifests of the published experiments against the settings of the published notebook and scripts.

#[path = "support/plugins.rs"]
mod plugins;

use dualk_sdk::experiment::manifest::Prior;
use dualk_sdk::experiment::{ComponentRef, Experiment, Manifest};
use dualk_sdk::recipe::{Mode, Stage};
use dualk_sdk::train::{Algorithm, Select};
use std::path::{Path, PathBuf};

fn experiments() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments")
}

/// A manifest with all defaults, as a run would train it; random node features and a code stand in for the files of
/// vectors and of chronic codes.
fn resolved(name: &str) -> Manifest {
    let folder = tempfile::tempdir().unwrap();
    let chronic = folder.path().join("chronic.txt");
    std::fs::write(&chronic, "250.00\n").unwrap();
    let mut set = vec!["model.node_init={ type = \"random\", dim = 8 }".to_owned(), "backend.device=cpu".to_owned()];
    if name.ends_with("-chronic-excluded") {
        set.push(format!("stage[3].task.path={chronic:?}"));
    }
    let manifest = Manifest::load(&experiments().join(format!("{name}.toml")), &set).unwrap_or_else(|e| panic!("{e}"));
    let registry = plugins::registry(&[dualk_plugin_init_hake::register, dualk_plugin_parser_mimic::register]);
    Experiment::new(manifest, registry).unwrap_or_else(|e| panic!("{name}: {e}")).manifest().clone()
}

fn number(stage: &Stage, key: &str) -> i64 {
    stage.objective().1.options[key].as_integer().unwrap_or_else(|| panic!("no `{key}`"))
}

/// Rates of the notebook's fine-tuning: `epoch > 30`, `epoch > 40`, counted from 0.
const NOTEBOOK: &[(usize, f64)] = &[(0, 1e-3), (30, 1e-3), (31, 5e-4), (40, 5e-4), (41, 1e-4), (49, 1e-4)];
/// Rates of the scripts' fine-tuning.
const SCRIPT: &[(usize, f64)] = &[
    (50, 1e-3),
    (51, 5e-4),
    (100, 5e-4),
    (101, 1e-4),
    (150, 1e-4),
    (151, 5e-5),
    (200, 5e-5),
    (201, 1e-5),
    (250, 1e-5),
    (251, 1e-6),
    (499, 1e-6),
];
/// Rates of the script for heart failure.
const FAILURE: &[(usize, f64)] =
    &[(5, 1e-3), (6, 5e-4), (10, 5e-4), (11, 1e-4), (16, 5e-5), (21, 1e-5), (25, 1e-5), (26, 1e-6), (49, 1e-6)];

/// Name, epochs of joint and individual pretraining (0: none), of fine-tuning, its task, loss and rates.
type Published = (&'static str, [usize; 2], usize, &'static str, &'static str, &'static [(usize, f64)]);

const PUBLISHED: [Published; 9] = [
    ("", [1, 1], 50, "diagnosis", "weighted_bce", NOTEBOOK),
    ("-quick", [3, 3], 100, "diagnosis", "weighted_bce", SCRIPT),
    ("-full", [10, 10], 500, "diagnosis", "weighted_bce", SCRIPT),
    ("-gcn", [1, 1], 50, "diagnosis", "weighted_bce", NOTEBOOK),
    ("-direct", [0, 0], 50, "diagnosis", "weighted_bce", NOTEBOOK),
    ("-hf", [10, 0], 50, "heart_failure", "bce", FAILURE),
    ("-rare", [1, 1], 50, "rare", "weighted_bce", NOTEBOOK),
    ("-chronic-excluded", [1, 1], 50, "chronic_excluded", "weighted_bce", NOTEBOOK),
    ("-label-weight", [1, 1], 50, "diagnosis", "label_weight", NOTEBOOK),
];

fn check_lab(stage: &Stage, name: &str) {
    assert_eq!((stage.epochs(), stage.batch(), stage.loss().r#type.as_str()), (100, 128, "bce"), "{name}");
    let rates = [0, 19, 20, 39, 40, 99].map(|e| stage.schedule().rate(stage.lr(), e));
    assert_eq!(rates, [1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 1e-3 / 16.0], "{name}");
    assert_eq!(stage.select(), Select::Last, "{name}");
}

fn check_joint(stage: &Stage, epochs: usize, name: &str) {
    assert_eq!((stage.epochs(), stage.batch(), stage.loss().r#type.as_str()), (epochs, 256, "bce"), "{name}");
    let rates = [0, 9, 10, 20, 50].map(|e| stage.schedule().rate(stage.lr(), e));
    assert_eq!(rates, [1e-3, 1e-3, 5e-4, 2.5e-4, 1e-3 / 32.0], "{name}");
    assert_eq!((stage.dropout_epochs, number(stage, "monitor")), (Some(1), 10_000), "{name}");
    assert!(stage.freeze().is_empty(), "{name}");
}

fn check_individual(stage: &Stage, epochs: usize, joint: &Stage, name: &str) {
    assert_eq!((stage.mode(), stage.epochs(), stage.batch()), (Mode::Individual, epochs, 256), "{name}");
    assert_eq!((stage.carries_optimizer(), stage.dropout_epochs), (true, Some(1)), "{name}");
    let last = joint.schedule().rate(joint.lr(), joint.epochs() - 1);
    assert_eq!([0, 5, 9].map(|e| stage.schedule().rate(stage.lr(), e)), [last; 3], "{name}");
    assert_eq!(stage.freeze(), ["nodes", "encoder", "code_fusion", "visit_fusion"], "{name}");
}

#[test]
fn stages_are_the_published_ones() {
    for (data, [train, test]) in [("mimic4", [8000, 1000]), ("mimic3", [6000, 1000])] {
        for (suffix, [joint, individual], epochs, task, loss, rates) in PUBLISHED {
            let name = format!("{data}{suffix}");
            let manifest = resolved(&name);
            let split = format!("{:?}", manifest.data.split);
            assert_eq!(split, format!("Dualk {{ train: {train}, test: {test}, seed: 42 }}"), "{name}");
            assert_eq!(manifest.data.parser.r#type, data, "{name}");
            assert!(manifest.stage.iter().all(|stage| stage.optimizer() == Algorithm::default()), "{name}");
            let mut stages = manifest.stage.iter();
            let failure = task == "heart_failure";
            if !failure {
                check_lab(stages.next().unwrap(), &name);
            }
            if joint > 0 {
                let stage = stages.next().unwrap();
                check_joint(stage, joint, &name);
                if individual > 0 {
                    check_individual(stages.next().unwrap(), individual, stage, &name);
                }
            }
            let last = stages.next().unwrap();
            assert_eq!((last.r#type.as_str(), stages.next().is_none()), ("finetune", true), "{name}");
            assert_eq!((last.epochs(), last.batch()), (epochs, if failure { 512 } else { 32 }), "{name}");
            assert_eq!((last.objective().1.r#type, last.loss().r#type), (task.to_owned(), loss.to_owned()), "{name}");
            assert_eq!((last.carries_optimizer(), last.dropout_epochs), (false, None), "{name}");
            assert_eq!(last.freeze(), if failure { &[][..] } else { &["lab"] }, "{name}");
            for &(epoch, rate) in rates {
                assert_eq!(last.schedule().rate(last.lr(), epoch), rate, "{name}, epoch {epoch}");
            }
        }
    }
}

#[test]
fn models_are_the_published_ones() {
    for (suffix, ..) in PUBLISHED {
        let name = format!("mimic4{suffix}");
        let Manifest { model, seed, compat, .. } = resolved(&name);
        assert_eq!((seed, compat.is_some()), (66, true), "{name}");
        let float = |part: &ComponentRef, key: &str| part.options[key].as_float().unwrap();
        let encoder = if suffix == "-gcn" { "gcn" } else { "gat" };
        assert_eq!(model.graph_encoder.r#type, encoder, "{name}");
        assert_eq!(float(&model.graph_encoder, "dropout"), 0.0, "{name}");
        for fusion in [&model.code_fusion, &model.visit_fusion] {
            assert_eq!((fusion.r#type.as_str(), float(fusion, "dropout")), ("attention", 0.2), "{name}");
        }
        let failure = suffix == "-hf";
        assert_eq!(model.lab.r#type, if failure { "none" } else { "linear" }, "{name}");
        let head = &model.head.component;
        let widths = |key: &str| -> Vec<i64> {
            head.options[key].as_array().unwrap().iter().map(|width| width.as_integer().unwrap()).collect()
        };
        assert_eq!((head.r#type.as_str(), widths("decoder"), widths("classifier")), ("mlp", vec![256, 128], vec![256]));
        let rate = |key: &str| head.options.get(key).and_then(|rate| rate.as_float());
        assert_eq!((rate("dropout"), rate("classifier_dropout")), (Some(0.4), failure.then_some(0.6)), "{name}");
        assert_eq!((rate("decoder_dropout"), rate("linear_dropout")), (None, None), "{name}");
        assert_eq!((model.head.history, model.head.prior), (Some(false), Some(Prior::Nothing)), "{name}");
    }
    let gcn = resolved("mimic4-gcn").model.graph_encoder;
    assert_eq!(gcn.options["edge_weight"].as_bool(), Some(false));
    let rare = resolved("mimic4-rare");
    let task = rare.stage.last().unwrap();
    assert_eq!(["least", "most", "sample", "seed"].map(|key| number(task, key)), [5, 20, 200, 99]);
}

#[test]
fn every_published_manifest_is_compared() {
    let files = std::fs::read_dir(experiments()).unwrap().map(|entry| entry.unwrap().file_name());
    let named = |file: std::ffi::OsString| {
        let name = file.to_str().unwrap().strip_suffix(".toml")?.to_owned();
        (name.starts_with("mimic") && !name.ends_with("-demo")).then_some(name)
    };
    let mut found: Vec<String> = files.filter_map(named).collect();
    found.sort();
    let mut expected: Vec<String> =
        ["mimic3", "mimic4"].iter().flat_map(|data| PUBLISHED.map(|p| format!("{data}{}", p.0))).collect();
    expected.sort();
    assert_eq!(found, expected);
}
