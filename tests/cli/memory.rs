//! What `check` expects is what a run takes.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story
#![cfg(target_os = "linux")]

mod program;

use program::{result, succeed};
use std::collections::HashMap;
use std::fs;

/// Parameters, graph and logits that weigh more than the program itself.
const MANIFEST: &str = r#"name = "large"

[backend]
device = "cpu"

[data]
parser = { type = "synthetic", patients = 12000, codes = 2000, labs = 200, clusters = 60 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }

[model]
node_init = { type = "random", dim = 512 }
graph_encoder = { type = "gat", dims = [256, 256] }

[output]
runs = "runs"

[[stage]]
type = "lab"
epochs = 3

[[stage]]
type = "pretrain"
epochs = 2

[[stage]]
type = "finetune"
epochs = 2
"#;

/// Models that hold tables of their own: of all codes of a history, of contexts and states of diagnoses, and of the members of
/// sets and the edges of a graph, padded or head by head.
const MODELS: [(&str, &str); 3] = [
    (
        "behrt",
        r#"node_init = { type = "random", dim = 64 }
graph_encoder = { type = "none" }
patient_encoder = { type = "behrt", dim = 256, feed_forward = 1024 }"#,
    ),
    (
        "chet",
        r#"node_init = { type = "random", dim = 512 }
graph_encoder = { type = "none" }
patient_encoder = { type = "chet", graph = 256, hidden = 512 }"#,
    ),
    (
        "transformers",
        r#"node_init = { type = "random", dim = 64 }
graph_encoder = { type = "transformer", dims = [128] }
code_fusion = { type = "transformer", dim = 512, feed_forward = 1024 }
visit_fusion = { type = "transformer", dim = 512, feed_forward = 1024 }"#,
    ),
];

/// A manifest with such a model, of one stage.
fn small(model: &str) -> String {
    format!(
        r#"name = "small"

[backend]
device = "cpu"

[data]
parser = {{ type = "synthetic", patients = 1000, codes = 2000, labs = 200, clusters = 60 }}
split = {{ type = "random", train = 0.6, valid = 0.2, test = 0.2 }}

[model]
{model}

[output]
runs = "runs"

[[stage]]
type = "finetune"
epochs = 1
"#
    )
}

/// Compares what is expected of so many stages with what a run of them takes.
fn compare(what: &str, manifest: &str, stages: usize) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
    let printed = succeed(folder.path(), &["check", "manifest.toml"]);
    let expected: HashMap<&str, f64> = printed
        .lines()
        .map(|line| {
            let (stage, amount) = line.split_once(' ').unwrap();
            (stage, amount.trim().strip_suffix(" GB").unwrap().parse().unwrap())
        })
        .collect();
    succeed(folder.path(), &["run", "manifest.toml"]);
    let run = fs::read_dir(folder.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let result = result(&run);
    let trained = result["trained"].as_array().unwrap();
    assert_eq!(trained.len(), stages);
    for stage in trained {
        let name = stage["stage"].as_str().unwrap();
        let (expected, measured) = (expected[name], stage["peak_memory"].as_f64().unwrap() / 1e9);
        println!("{what}, {name}: expected {expected:.3} GB, measured {measured:.3} GB");
        assert!(
            (expected / measured - 1.0).abs() < 0.25,
            "{what}, {name}: expected {expected} GB, measured {measured} GB"
        );
    }
}

#[test]
fn expected_memory_is_within_a_quarter_of_what_is_measured() {
    compare("gat", MANIFEST, 3);
}

#[test]
fn so_it_is_for_models_with_tables_of_their_own() {
    MODELS.iter().for_each(|(what, model)| compare(what, &small(model), 1));
}
