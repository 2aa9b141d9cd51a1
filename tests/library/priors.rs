//! Where the logits of labels begin: at the log-odds of each label among the examples that a stage learns from, or all at those
//! of their mean rate. Both are counted here once more.

#[path = "support/plugins.rs"]
mod plugins;

use dualk_sdk::experiment::manifest::Prior;
use dualk_sdk::experiment::{Evaluation, Experiment, Manifest};
use dualk_sdk::model::{Model, save_weights};
use dualk_sdk::plugin::Registry;
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_sdk::train::predict;

fn experiment(keys: &str, head: &str) -> Experiment {
    let text = format!(
        r#"
name = "priors"
backend.device = "cpu"
{keys}
data.parser = {{ type = "synthetic", patients = 300, codes = 60, labs = 12, clusters = 5 }}

[model]
node_init = {{ type = "random", dim = 8 }}
graph_encoder = {{ type = "gcn", dims = [8] }}
head = {{ type = "mlp", history = false{head} }}

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
"#
    );
    Experiment::new(Manifest::parse(&text, &[]).unwrap(), registry()).unwrap().without_cache()
}

fn registry() -> Registry {
    plugins::registry(&[dualk_plugin_parser_synthetic::register])
}

/// Logits of the first five examples to learn from, of every head as a stage begins; and the file of the weights.
fn begins(experiment: &Experiment, data: &Dataset, stage: usize) -> (Vec<Vec<f32>>, Vec<u8>) {
    let device = Device::flex();
    let mut model = experiment.model(data, &device, |_| {}).unwrap();
    for index in 0..=stage {
        let objective = objective(experiment, index);
        model = experiment.enter_stage(model, index, objective.as_ref(), data, &device).unwrap();
        if index < stage {
            model = model.keep_heads();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    save_weights(&model, &file).unwrap();
    (
        logits(&model, data, &objective(experiment, stage).examples(data, Split::Train).unwrap()),
        std::fs::read(file).unwrap(),
    )
}

fn logits(model: &Model, data: &Dataset, examples: &Examples) -> Vec<Vec<f32>> {
    let all = predict(model, &data.graph, examples, Silent.begin("", "", None).as_mut());
    let heads = all.into_iter().zip(model.head_specs());
    heads.map(|(logits, spec)| logits[..5 * spec.outputs].to_vec()).collect()
}

fn objective(experiment: &Experiment, stage: usize) -> Box<dyn Objective> {
    let (_, objective) = experiment.manifest().stage[stage].objective();
    experiment.registry().make::<slots::objective>(&objective.r#type, objective.options).unwrap()
}

/// What each output of each head begins with, by the number of outputs and the targets of the head.
type Start = fn(u32, &Ragged<u32>) -> Vec<f32>;

/// The log-odds of each label, half a label added to either side.
fn log_odds(outputs: u32, targets: &Ragged<u32>) -> Vec<f32> {
    let of_column = |column: u32| {
        let with = targets.rows().filter(|row| row.contains(&column)).count() as f64;
        (((with + 0.5) / (targets.len() as f64 - with + 0.5)).ln()) as f32
    };
    (0..outputs).map(of_column).collect()
}

/// The log-odds of the mean over labels of how often each is true, half a label added to either side of each.
fn mean_log_odds(outputs: u32, targets: &Ragged<u32>) -> Vec<f32> {
    let labels = f64::from(outputs);
    let rate = (targets.values().len() as f64 + labels / 2.0) / (labels * (targets.len() as f64 + 1.0));
    vec![(rate / (1.0 - rate)).ln() as f32; outputs as usize]
}

/// The same for each head of a stage.
fn starts(experiment: &Experiment, data: &Dataset, stage: usize, of_head: Start) -> Vec<Vec<f32>> {
    let objective = objective(experiment, stage);
    let examples = objective.examples(data, Split::Train).unwrap();
    let heads = objective.heads(data).unwrap().into_iter().zip(&examples.targets);
    heads.map(|(spec, targets)| of_head(spec.outputs as u32, targets)).collect()
}

/// Looks whether logits of all stages of an experiment begin there, in every head some below `least`.
fn check_starts(with: &Experiment, of_head: Start, least: f32) {
    let without = experiment("", ", prior = false");
    let data = with.prepare(&Silent).unwrap();
    // Joint pretraining, the same heads once more in turn, and the classifier.
    for stage in 0..3 {
        let ((start, weights), (ours, same_weights)) = (begins(&without, &data, stage), begins(with, &data, stage));
        // They are no parameters, and no others are drawn.
        assert!(weights == same_weights);
        let expected = starts(with, &data, stage, of_head);
        assert_eq!(expected.len(), if stage < 2 { 3 } else { 1 });
        for ((start, ours), odds) in start.iter().zip(&ours).zip(&expected) {
            assert!(odds.iter().any(|odds| *odds < least), "{odds:?}");
            for (patient, row) in ours.chunks_exact(odds.len()).enumerate() {
                for ((logit, start), odds) in row.iter().zip(&start[patient * odds.len()..]).zip(odds) {
                    assert!((logit - start - odds).abs() < 1e-4, "stage {stage}: {logit} − {start}, {odds}");
                }
            }
        }
    }
}

#[test]
fn every_output_begins_at_the_log_odds_of_its_label() {
    let rates = experiment("", ", prior = \"rates\"");
    check_starts(&rates, log_odds, -2.0);
    assert_eq!(experiment("", ", prior = true").resolved().unwrap(), rates.resolved().unwrap());
}

#[test]
fn all_outputs_of_a_head_begin_at_the_log_odds_of_their_mean_rate() {
    let by_default = experiment("", "");
    assert_eq!(by_default.manifest().model.head.prior, Some(Prior::Mean));
    check_starts(&by_default, mean_log_odds, 0.0);
}

#[test]
fn published_models_begin_near_a_half_unless_they_are_asked() {
    let published = experiment("compat = \"dualk\"", "");
    assert_eq!(published.manifest().model.head.prior, Some(Prior::Nothing));
    let data = published.prepare(&Silent).unwrap();
    let of = |experiment: &Experiment| begins(experiment, &data, 2).0;
    let start = of(&published);
    for head in [", prior = false", ", prior = \"none\""] {
        assert!(start == of(&experiment("compat = \"dualk\"", head)), "{head}");
    }
    assert!(start != of(&experiment("compat = \"dualk\"", ", prior = true")));
}

/// Their manifests say nothing of where logits began.
#[test]
fn runs_from_before_there_were_priors_predict_as_they_did() {
    let folder = tempfile::tempdir().unwrap();
    let runs = format!("output.runs = {:?}", folder.path().join("runs"));
    let (_, run) = experiment(&runs, ", prior = false").run(&Silent).unwrap();
    let predicted = || {
        let out = folder.path().join("predictions.parquet");
        let evaluation = Evaluation { checkpoint: None, predictions: Some(&out), cache: None };
        Experiment::evaluate_run(run.path(), evaluation, registry(), &Silent).unwrap();
        std::fs::read(out).unwrap()
    };
    let then = predicted();
    let file = run.path().join("manifest.toml");
    let said = |text: &str| std::fs::write(&file, text).unwrap();
    let manifest = std::fs::read_to_string(&file).unwrap();
    assert_eq!(manifest.matches("prior = false").count(), 1, "{manifest}");
    said(&manifest.replace("prior = false", ""));
    assert!(predicted() == then);
    for other in ["prior = true", "prior = \"mean\""] {
        said(&manifest.replace("prior = false", other));
        assert!(predicted() != then, "{other}");
    }
}
