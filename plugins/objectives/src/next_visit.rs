//! What the fine-tuning tasks share: all visits but the last are seen, the last one is asked for.

use dualk_sdk::prelude::*;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::train::metrics::{f1_weighted, recall_at_k};
use std::sync::Arc;

/// What the head of a task sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, dualk_sdk::schemars::JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum TaskHead {
    /// A classifier over decoder embeddings, patient and labs.
    Full,
    /// A decoder over patient and labs, without pretraining decoders.
    Direct,
}

/// Where recall is cut off.
const KS: [usize; 4] = [10, 20, 30, 40];

/// The head of a task.
pub fn head(name: &str, head: TaskHead, outputs: usize) -> Vec<HeadSpec> {
    let (input, kind) = match head {
        TaskHead::Full => (HeadInput::Full, HeadKind::Classifier),
        TaskHead::Direct => (HeadInput::PatientLab, HeadKind::Decoder),
    };
    vec![HeadSpec { name: name.to_owned(), input, kind, outputs, keep: false }]
}

/// Multi-visit patients of a part.
pub fn patients(data: &Prepared, part: Part) -> &[usize] {
    match part {
        Part::Train => &data.split.train,
        Part::Valid => &data.split.valid,
        Part::Test => &data.split.test,
    }
}

/// Examples of `patients`: visits but the last, labs of the last, and `targets`. With `drop_empty`, patients without a
/// positive target are left out.
pub fn examples(data: &Prepared, patients: &[usize], targets: &Ragged<u32>, drop_empty: bool) -> Examples {
    let kept: Vec<usize> = (0..patients.len()).filter(|&i| !drop_empty || !targets.row(i).is_empty()).collect();
    let visits = |p: usize| {
        let rows = data.cohort.admissions.range(p);
        rows.start as u32..(rows.end - 1) as u32
    };
    Examples {
        codes: Arc::new(data.vocabulary.admission_codes.clone()),
        visits: kept.iter().map(|&i| visits(patients[i])).collect(),
        labs: kept.iter().map(|&i| data.visit_labs(data.last_visit(patients[i]))).collect(),
        targets: vec![kept.iter().map(|&i| targets.row(i).iter().copied()).collect()],
    }
}

/// Weighted F1 and recall at 10, 20, 30 and 40.
pub fn ranking_metrics(predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
    ranking_metrics_at(predictions, &KS)
}

/// Weighted F1 and recall at each of `ks`.
pub fn ranking_metrics_at(predictions: &[Predictions<'_>], ks: &[usize]) -> Vec<(String, f64)> {
    let Some(p) = predictions.first() else { return Vec::new() };
    let recall = |&k| (format!("R@{k}"), recall_at_k(p.logits, p.columns, p.targets, k));
    let f1 = ("F1-w".to_owned(), f1_weighted(p.logits, p.columns, p.targets));
    std::iter::once(f1).chain(ks.iter().map(recall)).collect()
}

/// The codes' frequencies in training as a ranking.
pub fn frequency(
    objective: &dyn Objective,
    heads: &[HeadSpec],
    train: &Examples,
    test: &Examples,
) -> Option<(String, Vec<(String, f64)>)> {
    let metrics = dualk_sdk::train::frequency_baseline(objective, heads, train, test);
    Some(("code frequency".to_owned(), metrics))
}
