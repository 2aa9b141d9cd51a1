//! Metrics of rankings, of yes/no questions and of numbers.

use crate::support::config;
use dualk_plugin_objectives::DrugRecommendation;
use dualk_sdk::prelude::*;
use dualk_sdk::serde_json::Value;
use dualk_sdk::sparse::Ragged;
use dualk_sdk::train::{Scale, assess, assess_numbers, metrics};
use dualk_tests::{json, tests_dir};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};
use std::collections::BTreeSet;

/// Scores with many ties, and what is no number.
fn score() -> impl Strategy<Value = f32> {
    prop_oneof![6 => (-4..5i8).prop_map(|n| f32::from(n) / 4.0), 2 => -3f32..3.0, 1 => Just(f32::NAN), 1 => Just(-0.0)]
}

/// Rows of scores, and which columns of each are positive.
fn ranked() -> impl Strategy<Value = (usize, Vec<f32>, Vec<Vec<u32>>)> {
    (1..9usize, 0..7usize).prop_flat_map(|(columns, rows)| {
        let positives =
            vec(any::<bool>(), columns).prop_map(|set| (0..set.len() as u32).filter(|&c| set[c as usize]).collect());
        (Just(columns), vec(score(), columns * rows), vec(positives, rows))
    })
}

/// Columns from the best score to the worst: NaN last, the lower of equals first.
fn order(row: &[f32]) -> Vec<u32> {
    let mut columns: Vec<u32> = (0..row.len() as u32).collect();
    let value = |c: u32| if row[c as usize].is_nan() { f64::NEG_INFINITY } else { f64::from(row[c as usize]) };
    columns.sort_by(|&a, &b| value(b).partial_cmp(&value(a)).unwrap().then(a.cmp(&b)));
    columns
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 || a.is_nan() && b.is_nan()
}

/// `golden-sklearn/make.py` computed them; `null` is what is undefined.
#[test]
fn metrics_are_those_of_scikit_learn_on_random_inputs() {
    let golden = json(&tests_dir().join("golden-sklearn/metrics.json"));
    let floats =
        |value: &Value| -> Vec<f32> { value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect() };
    let same = |name: &str, ours: f64, case: &Value, i: usize| match case[name].as_f64() {
        Some(theirs) => assert!((ours - theirs).abs() < 1e-6, "{name} of case {i}: {ours}, scikit-learn has {theirs}"),
        None => assert!(ours.is_nan(), "{name} of case {i}: {ours} is not undefined"),
    };
    for (i, case) in golden["labels"].as_array().unwrap().iter().enumerate() {
        let columns = case["columns"].as_u64().unwrap() as usize;
        let k = case["k"].as_u64().unwrap() as usize;
        let scores = floats(&case["scores"]);
        let row = |row: &Value| row.as_array().unwrap().iter().map(|c| c.as_u64().unwrap() as u32).collect::<Vec<_>>();
        let positives: Ragged<u32> = case["positives"].as_array().unwrap().iter().map(row).collect();
        same("F1 weighted", metrics::f1_weighted(&scores, columns, &positives), case, i);
        same("F1 macro", metrics::f1_macro(&scores, columns, &positives), case, i);
        same("F1 micro", metrics::f1_micro(&scores, columns, &positives), case, i);
        let found = assess(&scores, columns, &positives, &[k], Scale::Logits);
        let of = |name: &str| found.overall.iter().find(|measure| measure.0 == name).unwrap().1;
        for name in ["AUROC micro", "AUROC macro", "AUPRC micro", "AUPRC macro", "log loss", "Brier"] {
            same(name, of(name), case, i);
        }
        // Only for scores that are all different: equal ones share their gains in scikit-learn.
        if !case["NDCG"].is_null() {
            same("NDCG", of(&format!("NDCG@{k}")), case, i);
        }
        let flat: Vec<bool> =
            (0..scores.len()).map(|e| positives.row(e / columns).contains(&((e % columns) as u32))).collect();
        let p: Vec<f32> = scores.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
        same("F1 at half", metrics::binary_f1_at_half(&p, &flat), case, i);
        let drugs = Predictions { head: "drugs", logits: &scores, columns, targets: &positives, numbers: &[] };
        let metrics = DrugRecommendation::default().metrics(&[drugs]);
        same("Jaccard", metrics.iter().find(|metric| metric.0 == "Jaccard").unwrap().1, case, i);
    }
    for (i, case) in golden["classes"].as_array().unwrap().iter().enumerate() {
        let classes = case["classes"].as_array().unwrap().iter().map(|class| [class.as_u64().unwrap() as u32]);
        let columns = case["columns"].as_u64().unwrap() as usize;
        let found = assess(&floats(&case["scores"]), columns, &classes.collect(), &[1], Scale::Classes);
        for name in ["AUROC micro", "AUROC macro", "AUPRC micro", "AUPRC macro", "log loss", "Brier", "ECE"] {
            same(name, found.get(name).unwrap(), case, i);
        }
    }
    for (i, case) in golden["numbers"].as_array().unwrap().iter().enumerate() {
        let predicted = floats(&case["predicted"]);
        let found = assess_numbers(&predicted, 1, &floats(&case["truth"]), Link::Mean);
        found.overall.iter().for_each(|(name, ours)| same(name, *ours, case, i));
        assert_eq!(found.overall.len(), 3);
        same("C-index", metrics::concordance(&predicted, &floats(&case["times"])), case, i);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn metrics_of_rankings_are_their_definitions((columns, scores, positives) in ranked(), k in 0..10usize) {
        let rows: Vec<Vec<u32>> = scores.chunks(columns).map(order).collect();
        let ragged: Ragged<u32> = positives.clone().into_iter().collect();
        let hits = |i: usize, k: usize| rows[i].iter().take(k).filter(|c| positives[i].contains(c)).count() as f64;
        let precision: Vec<f64> = (0..rows.len()).map(|i| hits(i, k) / k.max(1) as f64).collect();
        prop_assert!(near(metrics::precision_at_k(&scores, columns, &ragged, k), mean(&precision)));
        let with = (0..rows.len()).filter(|&i| !positives[i].is_empty());
        let recall: Vec<f64> = with.map(|i| hits(i, k) / positives[i].len().min(k).max(1) as f64).collect();
        prop_assert!(near(metrics::recall_at_k(&scores, columns, &ragged, k), mean(&recall)));
        // Each row marks as many of its best as it has positives.
        let marked: Vec<BTreeSet<u32>> = rows.iter().zip(&positives).map(|(row, p)| row.iter().take(p.len()).copied().collect()).collect();
        let column = |c: u32| {
            let (mut both, mut either, mut positive) = (0.0, 0.0, 0.0);
            for (marked, positives) in marked.iter().zip(&positives) {
                let (m, p) = (marked.contains(&c), positives.contains(&c));
                both += f64::from(u8::from(m && p));
                either += f64::from(u8::from(m)) + f64::from(u8::from(p));
                positive += f64::from(u8::from(p));
            }
            (both, either, positive)
        };
        let counts: Vec<(f64, f64, f64)> = (0..columns as u32).map(column).collect();
        let f1 = |(both, either, _): &(f64, f64, f64)| if *either == 0.0 { 1.0 } else { 2.0 * both / either };
        prop_assert!(near(metrics::f1_macro(&scores, columns, &ragged), mean(&counts.iter().map(f1).collect::<Vec<_>>())));
        let all = counts.iter().fold((0.0, 0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        prop_assert!(near(metrics::f1_micro(&scores, columns, &ragged), f1(&all)));
        let weighted = counts.iter().map(|c| f1(c) * c.2).sum::<f64>() / all.2.max(1.0);
        let weighted = if all.2 == 0.0 { 1.0 } else { weighted };
        prop_assert!(near(metrics::f1_weighted(&scores, columns, &ragged), weighted));
    }

    #[test]
    fn areas_are_counted_over_all_pairs(examples in vec((score(), any::<bool>()), 0..40)) {
        let (scores, truth): (Vec<f32>, Vec<bool>) = examples.into_iter().unzip();
        let key = |i: usize| if scores[i].is_nan() { f32::NEG_INFINITY } else { scores[i] };
        let (positives, negatives): (Vec<usize>, Vec<usize>) = (0..scores.len()).partition(|&i| truth[i]);
        let mut won = 0.0;
        for &p in &positives {
            for &n in &negatives {
                won += if key(p) > key(n) { 1.0 } else if key(p) == key(n) { 0.5 } else { 0.0 };
            }
        }
        prop_assert!(near(metrics::roc_auc(&scores, &truth), won / (positives.len() * negatives.len()) as f64));
        // Σ over positives of the precision among all that score as high, ties together.
        let precision = |&p: &usize| {
            let above = |of: &[usize]| of.iter().filter(|&&i| key(i) >= key(p)).count() as f64;
            above(&positives) / (above(&positives) + above(&negatives))
        };
        let expected = positives.iter().map(precision).sum::<f64>() / positives.len() as f64;
        prop_assert!(near(metrics::average_precision(&scores, &truth), expected));
    }
}
