//! Several threads use the SDK at once: a training that others predict, check and prepare beside gives what it gives alone.

#[path = "support/plugins.rs"]
mod plugins;

use dualk_sdk::burn::tensor::Device;
use dualk_sdk::cache::{Cache, Key, State};
use dualk_sdk::device::generator;
use dualk_sdk::experiment::{Evaluation, Experiment, Manifest};
use dualk_sdk::model::save_weights;
use dualk_sdk::plugin::Registry;
use dualk_sdk::progress::Silent;
use dualk_sdk::serde_json::json;
use dualk_sdk::{slots, storage};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

fn registry() -> Registry {
    plugins::registry(&[dualk_plugin_parser_synthetic::register])
}

/// With dropout, whose generator is the process's.
fn experiment(runs: &Path) -> Experiment {
    let text = format!(
        r#"
name = "threads"
backend.device = "cpu"
output.runs = {runs:?}
data.parser = {{ type = "synthetic", patients = 300, codes = 60, labs = 12, clusters = 5 }}

[model]
node_init = {{ type = "random", dim = 8 }}
graph_encoder = {{ type = "gat", dims = [8], dropout = 0.3 }}
head = {{ decoder = [8, 8], classifier = [8], dropout = 0.2 }}

[[stage]]
type = "lab"
epochs = 2

[[stage]]
type = "finetune"
epochs = 4
"#
    );
    Experiment::new(Manifest::parse(&text, &[]).unwrap(), registry()).unwrap().without_cache()
}

fn trained(runs: &Path) -> PathBuf {
    experiment(runs).run(&Silent).unwrap().1.path().to_owned()
}

fn predicted(run: &Path, out: &Path) -> Vec<u8> {
    let evaluation = Evaluation { checkpoint: None, predictions: Some(out), cache: None };
    Experiment::evaluate_run(run, evaluation, registry(), &Silent).unwrap();
    fs::read(out).unwrap()
}

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).unwrap()
}

#[test]
fn a_training_is_not_disturbed_by_what_others_do() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let alone = trained(&place("alone"));
    let (expected, logits) = (weights(&alone), predicted(&alone, &place("alone.parquet")));
    let (training, done) = (AtomicUsize::new(2), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for name in ["one", "two"] {
            let (training, expected, runs) = (&training, &expected, place(name));
            scope.spawn(move || {
                // However it ends, the others must not wait.
                let run = std::panic::catch_unwind(|| trained(&runs));
                training.fetch_sub(1, Ordering::SeqCst);
                assert!(weights(&run.unwrap()) == *expected, "{name}");
            });
        }
        for name in ["a", "b"] {
            let (training, done, alone, logits, out) = (&training, &done, &alone, &logits, place(name));
            scope.spawn(move || {
                while training.load(Ordering::SeqCst) > 0 {
                    assert!(predicted(alone, &out) == *logits, "predictions {name}");
                    let other = experiment(&out.with_extension("runs"));
                    other.check().unwrap();
                    other.prepare(&Silent).unwrap();
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!(done.load(Ordering::SeqCst) >= 2, "nobody predicted beside the training");
}

/// Whoever makes a model draws its parameters before others have their turn: what is drawn later would come between.
#[test]
fn a_model_and_its_heads_are_drawn_when_they_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let (experiment, device) = (experiment(folder.path()), Device::flex());
    let data = experiment.prepare(&Silent).unwrap();
    let (_, objective) = experiment.manifest().stage[1].objective();
    let objective = experiment.registry().make::<slots::objective>(&objective.r#type, objective.options).unwrap();
    let weights = |seed: u64| {
        let model = experiment.model(&data, &device, |_| {}).unwrap();
        generator::seed(&device, seed);
        let model = experiment.enter_stage(model, 1, objective.as_ref(), &data, &device).unwrap();
        generator::seed(&device, seed);
        let file = folder.path().join("model.safetensors");
        save_weights(&model, &file).unwrap();
        fs::read(file).unwrap()
    };
    assert!(weights(1) == weights(2));
}

/// Several write the same entries of a cache, and read them while others write: whoever finds one finds all of it.
#[test]
fn entries_of_a_cache_are_whole_for_everybody() {
    const ENTRIES: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let cache = &Cache::at(folder.path().join("cache"));
    let text = |n: usize, file: &str| format!("{file} of {n}\n").repeat(5000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..ENTRIES {
                    let key = Key::of(json!({ "n": n }));
                    if cache.get("text", &key).is_none() {
                        let write = |folder: &Path| {
                            ["a", "b"].into_iter().try_for_each(|file| {
                                let text = text(n, file);
                                storage::write(&folder.join(file), text.as_bytes())
                            })
                        };
                        cache.put("text", &key, "two files", write).unwrap();
                    }
                    let entry = cache.get("text", &key).expect("it was put there");
                    for file in ["a", "b"] {
                        assert!(fs::read_to_string(entry.join(file)).unwrap() == text(n, file), "{file} of {n}");
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..ENTRIES {
                let entries = cache.verify().unwrap();
                let whole = entries.iter().all(|entry| matches!(entry.state, State::Complete | State::Unfinished));
                assert!(whole, "{entries:?}");
            }
        });
    });
    let entries = cache.verify().unwrap();
    assert!(entries.len() == ENTRIES && entries.iter().all(|entry| entry.state == State::Complete), "{entries:?}");
}
