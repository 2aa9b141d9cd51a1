//! Every shipped component of the model and every loss learns something when a manifest names it.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::plugin::Registry;
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_sdk::serde_json::{Value, from_str};
use std::collections::BTreeSet;
use std::fs;

const MANIFEST: &str = r#"name = "tiny"
seed = 3

[backend]
device = "cpu"

[data]
parser = { type = "synthetic", patients = 150, codes = 80, labs = 20, clusters = 4 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }
knowledge = [{ type = "parser" }]

[model]
node_init = { type = "random", dim = 12 }
graph_encoder = "none"
code_fusion = "mean"
visit_fusion = "mean"
lab = { type = "linear", dim = 8 }
head = { decoder = [8, 8], classifier = [16], dropout = 0.0 }

[[stage]]
type = "finetune"
task = { type = "diagnosis", head = "direct" }
loss = "bce"
epochs = 3
"#;

/// The components of a slot that are shipped.
fn shipped(slot: Slot) -> Vec<String> {
    let mut registry = Registry::new();
    registry.load_shipped().unwrap();
    registry.components().filter(|c| c.slot == slot).map(|c| c.name.to_owned()).collect()
}

/// Trains the small model with `key` set to `component`; the training loss of each epoch.
fn losses(key: &str, component: &str) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("tiny.toml"), folder.path().join("vectors.csv"));
    fs::write(&file, MANIFEST).unwrap();
    // The codes of the cohort are made up, its heart failure is not.
    fs::write(&table, "428.0,0.5,-1,2\n428.1,1,0,0.25\n").unwrap();
    let options = match component {
        "text" => format!(", path = {table:?}"),
        _ => String::new(),
    };
    let runs = format!("output.runs={:?}", folder.path().join("runs"));
    let setting = format!("{key}={{ type = {component:?}{options} }}");
    let manifest = Manifest::load(&file, &[setting, runs]).unwrap();
    let experiment = Experiment::new(manifest, Registry::new()).unwrap();
    // What can be frozen: as the recipe is told of a small model, and in the model itself. Fusions are parts of one patient encoder alone.
    let data = experiment.prepare(&Silent).unwrap();
    let parts = experiment.model(&data, &Device::flex(), |_| {}).unwrap().parts();
    let paths: Vec<String> = parts.into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, experiment.paths(), "{key} = {component}");
    let fuses = !key.ends_with("patient_encoder") || component == "fusions";
    let has = |path: &str| paths.iter().any(|other| other == path);
    assert_eq!([has("code_fusion"), has("visit_fusion"), has("patient_encoder")], [fuses, fuses, !fuses], "{paths:?}");
    let (outcome, run) = experiment.run(&Silent).unwrap();
    assert!(outcome.stages[0].rows.iter().all(|row| row.metrics.iter().all(|(_, value)| value.is_finite())));
    let history = fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
    history.lines().map(|line| from_str::<Value>(line).unwrap()["train_loss"].as_f64().unwrap()).collect()
}

fn check(slot: Slot, keys: &[&str], without: &[&str]) {
    let names: BTreeSet<String> = shipped(slot).into_iter().filter(|n| !without.contains(&n.as_str())).collect();
    assert!(names.len() >= 2, "{names:?}");
    for key in keys {
        for name in &names {
            let losses = losses(key, name);
            assert!(losses.iter().all(|loss| loss.is_finite()) && losses[2] < losses[0], "{key} = {name}: {losses:?}");
        }
    }
}

/// Tests of components by the keys that name them, but for some that need what is not here.
macro_rules! components {
    ($($(#[$why:meta])* $test:ident: $slot:ident at [$($key:literal),+] without [$($without:literal),*];)+) => {
        $(
            #[test]
            fn $test() {
                check(Slot::$slot, &[$($key),+], &[$($without),*]);
            }
        )+

        #[test]
        fn every_part_of_a_model_is_here() {
            let tested = BTreeSet::from([$($($key.to_owned()),+),+]);
            let keys = dualk_sdk::experiment::manifest::Model::default();
            let keys: Vec<String> = keys.parts().map(|(key, _, _)| format!("model.{key}")).collect();
            assert!(keys.iter().all(|key| tested.contains(key)), "of {keys:?} only {tested:?} are tested");
        }
    };
}

components! {
    /// `hake` needs a table that has been trained elsewhere; golden tests read one.
    node_initialisers: NodeInit at ["model.node_init"] without ["hake"];
    graph_encoders: GraphEncoder at ["model.graph_encoder"] without [];
    patient_encoders: PatientEncoder at ["model.patient_encoder"] without [];
    fusions: Fusion at ["model.code_fusion", "model.visit_fusion"] without [];
    lab_encoders: Lab at ["model.lab"] without [];
    heads: Head at ["model.head"] without [];
    /// Those for numbers are in `numbers.rs`.
    losses_fall: Loss at ["stage[0].loss"] without ["mse", "huber", "poisson", "cox"];
}
