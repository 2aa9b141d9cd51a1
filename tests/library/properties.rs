//! What holds whatever the input: metrics, kernels and models against plain formulations of their definitions, and results
//! that depend neither on the order of patients nor on how many are looked at together, nor on the number of threads.
//!
//! 100 cases a property, or as many as `PROPTEST_CASES` says.

#[path = "support/plugins.rs"]
mod plugins;

use dualk_plugin_losses::BceOptions;
use dualk_plugin_objectives::DrugRecommendation;
use dualk_sdk::burn::nn::DropoutConfig;
use dualk_sdk::burn::tensor::{Device, Tensor, TensorData};
use dualk_sdk::data::{SplitOptions, Visits, prepare};
use dualk_sdk::device::generator;
use dualk_sdk::graph::Graph;
use dualk_sdk::model::draw_parameters;
use dualk_sdk::ops::{Adjacency, Pooling, Sets, attention, max_over_edges, pool, propagate, softmax_pool};
use dualk_sdk::plugin::Registry;
use dualk_sdk::prelude::*;
use dualk_sdk::serde_json::Value;
use dualk_sdk::sparse::Ragged;
use dualk_sdk::toml;
use dualk_sdk::train::{Scale, assess, assess_numbers, metrics};
use dualk_tests::{json, tests_dir};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::collections::BTreeSet;
use std::sync::Arc;

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

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

/// Edges of a graph: nodes, and (source, target, weight), repeats and loops among them.
fn edges() -> impl Strategy<Value = (usize, Vec<(u32, u32, f32)>)> {
    (1..9usize).prop_flat_map(|n| (Just(n), vec((0..n as u32, 0..n as u32, 0.1f32..2.0), 0..30)))
}

fn numbers(count: usize) -> impl Strategy<Value = Vec<f32>> {
    vec(-2f32..2.0, count)
}

fn tensor(values: &[f32], columns: usize) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / columns.max(1), columns]), &Device::flex())
}

fn values(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn all_near(ours: &[f64], plain: &[f64], tolerance: f64) -> bool {
    ours.len() == plain.len() && ours.iter().zip(plain).all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1.0))
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

    #[test]
    fn kernels_over_edges_are_dense_sums(
        ((n, edges), d, heads) in (edges(), 1..4usize, 1..3usize),
        values_of in numbers(8 * 3 * 2), scores in numbers(2 * 8 * 2), slope in 0.0f64..1.0,
    ) {
        let graph = Graph::new(n, &edges).unwrap();
        let adjacency = Adjacency::of(&graph);
        let width = heads * d;
        let x = |node: usize, c: usize| f64::from(values_of[node * width + c]);
        let table = || tensor(&values_of[..n * width], width);
        let (mut sums, mut largest, mut attended) = (vec![0.0; n * width], vec![0.0; n * width], vec![0.0; n * width]);
        let (target, source) = scores[..2 * n * heads].split_at(n * heads);
        for t in 0..n {
            let into: Vec<&(u32, u32, f32)> = edges.iter().filter(|e| e.1 as usize == t).collect();
            for c in 0..width {
                let of = into.iter().map(|e| x(e.0 as usize, c));
                sums[t * width + c] = into.iter().map(|e| f64::from(e.2) * x(e.0 as usize, c)).sum();
                largest[t * width + c] = of.fold(None, |top: Option<f64>, v| Some(top.map_or(v, |top| top.max(v)))).unwrap_or(0.0);
                let head = c / d;
                let score = |e: &&(u32, u32, f32)| {
                    let s = f64::from(target[t * heads + head]) + f64::from(source[e.0 as usize * heads + head]);
                    (if s > 0.0 { s } else { slope * s }).exp()
                };
                let total: f64 = into.iter().map(score).sum();
                attended[t * width + c] = into.iter().map(|e| score(e) / total * x(e.0 as usize, c)).sum();
            }
        }
        prop_assert!(all_near(&values(propagate(&adjacency, table())), &sums, 1e-5));
        prop_assert!(all_near(&values(max_over_edges(&adjacency, table())), &largest, 1e-6));
        let ours = attention(&adjacency, tensor(target, heads), tensor(source, heads), table(), slope);
        prop_assert!(all_near(&values(ours), &attended, 1e-4));
    }

    #[test]
    fn kernels_over_sets_are_dense_sums(
        sets in vec(vec(0..6u32, 0..8), 1..6), d in 1..5usize, table in numbers(6 * 4), scores in numbers(6 * 4),
    ) {
        let of = Sets::new(sets.iter().cloned().collect());
        let x = |row: u32, c: usize| f64::from(table[row as usize * d + c]);
        let (mut sums, mut means, mut attended) = (Vec::new(), Vec::new(), Vec::new());
        for set in &sets {
            for c in 0..d {
                let sum: f64 = set.iter().map(|&r| x(r, c)).sum();
                sums.push(sum);
                means.push(sum / set.len().max(1) as f64);
                let weight = |r: u32| f64::from(scores[r as usize * d + c]).exp();
                let total: f64 = set.iter().map(|&r| weight(r)).sum();
                attended.push(set.iter().map(|&r| weight(r) / total * x(r, c)).sum());
            }
        }
        let table = || tensor(&table[..6 * d], d);
        prop_assert!(all_near(&values(pool(table(), &of, Pooling::Sum)), &sums, 1e-5));
        prop_assert!(all_near(&values(pool(table(), &of, Pooling::Mean)), &means, 1e-5));
        let ours = softmax_pool(tensor(&scores[..6 * d], d), table(), &of, &DropoutConfig::new(0.0).init());
        prop_assert!(all_near(&values(ours), &attended, 1e-4));
    }

    #[test]
    fn patients_are_split_without_rest_and_codes_numbered_once(
        visits in vec(vec(vec(0..30u32, 1..5), 1..4), 4..40), train in 0.1f64..0.8, valid in 0.0f64..0.2, seed in any::<u32>(),
    ) {
        let Some(data) = prepared(&visits, train, valid, seed) else { return Ok(()) };
        let splits = &data.splits;
        let parts: Vec<usize> = [&splits.train, &splits.valid, &splits.test].into_iter().flatten().copied().collect();
        let again: BTreeSet<usize> = parts.iter().copied().collect();
        prop_assert_eq!(again.len(), parts.len(), "a patient is in two splits");
        let several: BTreeSet<usize> = (0..data.cohort.patients.len()).filter(|&p| data.cohort.visits(p) > 1).collect();
        prop_assert_eq!(again, several, "those of several visits, and no others");
        // Numbers of codes name the codes of the cohort, whatever the split.
        let codes = &data.vocabulary.codes[1..];
        prop_assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
        for (row, numbered) in data.cohort.codes.rows().zip(data.vocabulary.admission_codes.rows()) {
            let names: BTreeSet<&str> = row.iter().map(|&c| data.cohort.code_names[c as usize].as_str()).collect();
            let known: BTreeSet<&str> = codes.iter().map(String::as_str).collect();
            let ours: BTreeSet<&str> = numbered.iter().filter(|&&c| c > 0).map(|&c| data.vocabulary.codes[c as usize].as_str()).collect();
            prop_assert_eq!(ours, names.intersection(&known).copied().collect::<BTreeSet<_>>());
        }
        // The rows of the cohort are those that were given, in any split.
        let given: Vec<usize> = visits.iter().map(Vec::len).collect();
        let found: Vec<usize> = (0..data.cohort.patients.len()).map(|p| data.cohort.visits(p)).collect();
        prop_assert_eq!(found, given);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases.div_ceil(10), ..config() })]

    #[test]
    fn losses_and_vectors_of_patients_do_not_depend_on_their_company(
        (n, edges) in edges(),
        visits in vec(vec(vec(0..9usize, 1..5), 1..4), 1..12),
        order in vec(any::<u32>(), 12), size in 1..13usize, seed in any::<u16>(),
    ) {
        let graph = Graph::new(n, &edges).unwrap();
        let (examples, registry) = (examples(&visits, n), registry());
        let count = examples.len();
        let all: Vec<usize> = (0..count).collect();
        let mut shuffled = all.clone();
        shuffled.sort_by_key(|&i| order[i]);
        for parts in models() {
            let encoder = Encoder::new(&registry, parts, &graph, u64::from(seed));
            let whole = values(encoder.patients(&examples, &all));
            let width = whole.len() / count;
            let split: Vec<f64> = all.chunks(size).flat_map(|part| values(encoder.patients(&examples, part))).collect();
            prop_assert!(all_near(&split, &whole, 1e-4), "{:?} in parts of {}", parts, size);
            let moved = values(encoder.patients(&examples, &shuffled));
            let back: Vec<f64> = (0..count).flat_map(|i| {
                let place = shuffled.iter().position(|&s| s == i).unwrap();
                moved[place * width..(place + 1) * width].to_vec()
            }).collect();
            prop_assert!(all_near(&back, &whole, 1e-4), "{:?} in another order", parts);
            let (a, b) = (encoder.loss(&examples, &all), encoder.loss(&examples, &shuffled));
            prop_assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{:?}: {} and {}", parts, a, b);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases.div_ceil(50), ..config() })]

    #[test]
    fn losses_of_a_thousand_patients_are_those_of_their_batches(
        (n, edges) in edges(),
        visits in vec(vec(vec(0..9usize, 1..5), 1..4), 1000),
        order in vec(any::<u32>(), 1000), size in 1..1001usize, seed in any::<u16>(),
    ) {
        let graph = Graph::new(n, &edges).unwrap();
        let (examples, registry) = (examples(&visits, n), registry());
        let all: Vec<usize> = (0..examples.len()).collect();
        let mut shuffled = all.clone();
        shuffled.sort_by_key(|&i| order[i]);
        for parts in models() {
            let encoder = Encoder::new(&registry, parts, &graph, u64::from(seed));
            let whole = encoder.loss(&examples, &all);
            for size in [size, 1, 32, 256, 999, 1000] {
                // Of a thousand batches of one the first fifty.
                let used = &shuffled[..if size == 1 { 50 } else { all.len() }];
                let whole = if size == 1 { encoder.loss(&examples, used) } else { whole };
                let losses = used.chunks(size).map(|part| part.len() as f64 * encoder.loss(&examples, part));
                let mean = losses.sum::<f64>() / used.len() as f64;
                let near = (mean - whole).abs() <= 1e-4 * whole.abs().max(1.0);
                prop_assert!(near, "{:?} in batches of {}: {} and {}", parts, size, mean, whole);
            }
        }
    }
}

/// All encoders and fusions that are shipped are among those of the properties above.
#[test]
fn no_encoder_or_fusion_is_left_out() {
    let registry = registry();
    for (slot, tried) in
        [(Slot::GraphEncoder, &ENCODERS[..]), (Slot::Fusion, &FUSIONS[..]), (Slot::PatientEncoder, &PATIENTS[..])]
    {
        let shipped: BTreeSet<&str> = registry.components().filter(|c| c.slot == slot).map(|c| c.name).collect();
        let tried: BTreeSet<&str> = tried.iter().map(|named| named.0).collect();
        assert_eq!(shipped, tried, "{slot}");
    }
}

/// A cohort with these codes by patient and visit, prepared; `None` where there are too few patients to divide.
fn prepared(visits: &[Vec<Vec<u32>>], train: f64, valid: f64, seed: u32) -> Option<Dataset> {
    let names: Vec<String> = (0..30).map(|c| format!("{}.{}", 400 + c / 3, c % 3)).collect();
    let mut cohort = Cohort { code_names: names, ..Cohort::default() };
    let mut admission = 0;
    for (p, patient) in visits.iter().enumerate() {
        cohort.patients.push(p as i64);
        cohort.admissions.push(
            patient
                .iter()
                .map(|_| {
                    admission += 1;
                    admission
                })
                .collect::<Vec<i64>>(),
        );
        for codes in patient {
            let mut seen = BTreeSet::new();
            cohort.codes.push(codes.iter().copied().filter(|c| seen.insert(*c)).collect::<Vec<_>>());
            cohort.labs.push([]);
        }
    }
    cohort.validate().unwrap();
    prepare(cohort, &SplitOptions::Random { train, valid, test: 1.0 - train - valid, seed }).ok()
}

fn examples(visits: &[Vec<Vec<usize>>], nodes: usize) -> Examples {
    let mut codes: Ragged<u32> = Ragged::new();
    let mut of: Ragged<u32> = Ragged::new();
    for patient in visits {
        let first = codes.len() as u32;
        patient.iter().for_each(|visit| codes.push(visit.iter().map(|&c| (c % nodes) as u32)));
        of.push(first..codes.len() as u32);
    }
    let targets = visits.iter().map(|patient| vec![(patient.len() % 3) as u32]).collect();
    let labs = visits.iter().map(|_| std::iter::empty()).collect();
    let codes: Visits = codes.rows().map(<[u32]>::to_vec).collect();
    Examples { codes: Arc::new(codes), visits: of, labs, targets: vec![targets], ..Examples::default() }
}

/// A component by name, with its options as in a manifest.
type Named = (&'static str, &'static str);

const ENCODERS: [Named; 9] = [
    ("gat", "dims = [6]"),
    ("gatv2", "dims = [6]"),
    ("transformer", "dims = [6]\nheads = 2"),
    ("gcn", "dims = [6]"),
    ("lightgcn", ""),
    ("gin", "dims = [6]"),
    ("sage", "dims = [6]"),
    ("gram", "hidden = 4"),
    ("none", ""),
];
const FUSIONS: [Named; 11] = [
    ("attention", ""),
    ("gated", "hidden = 4"),
    ("global", ""),
    ("transformer", "dim = 4\nheads = 2\nfeed_forward = 4"),
    ("max", ""),
    ("mean", ""),
    ("sum", ""),
    ("dipole", "hidden = 3\nembed = 3\ndim = 4"),
    ("gru", "hidden = 4"),
    ("lstm", "hidden = 4"),
    ("retain", "hidden = 3"),
];
const PATIENTS: [Named; 3] = [
    ("fusions", ""),
    ("behrt", "dim = 4\nheads = 2\nlayers = 1\nfeed_forward = 4"),
    ("chet", "graph = 3\nhidden = 4\nattention = 3"),
];

/// A graph encoder, a fusion and a patient encoder: each of them beside the first of the others.
fn models() -> impl Iterator<Item = [Named; 3]> {
    let encoders = ENCODERS.into_iter().map(|encoder| [encoder, FUSIONS[0], PATIENTS[0]]);
    let fusions = FUSIONS.into_iter().skip(1).map(|fusion| [ENCODERS[0], fusion, PATIENTS[0]]);
    let patients = PATIENTS.into_iter().skip(1).map(|patient| [ENCODERS[0], FUSIONS[0], patient]);
    encoders.chain(fusions).chain(patients)
}

fn registry() -> Registry {
    plugins::registry(&[
        dualk_plugin_encoder_codes::register,
        dualk_plugin_encoder_neighbours::register,
        dualk_plugin_fusion_pooling::register,
        dualk_plugin_fusion_recurrent::register,
        dualk_plugin_patient_behrt::register,
        dualk_plugin_patient_chet::register,
    ])
}

fn given((_, options): Named) -> toml::Table {
    toml::from_str(options).unwrap()
}

/// The same fusion wherever a patient encoder asks for one.
struct Fusing<'a> {
    registry: &'a Registry,
    fusion: Named,
}

impl SubParts for Fusing<'_> {
    fn fusion(&self, _: &str, context: &FusionContext<'_>) -> Result<FusionModule> {
        self.registry.build::<slots::fusion>(self.fusion.0, given(self.fusion), context)
    }
}

/// A graph encoder and a patient encoder.
struct Encoder {
    graph: Graph,
    nodes: Tensor<2>,
    encoder: GraphEncoderModule,
    patients: PatientEncoderModule,
}

impl Encoder {
    fn new(registry: &Registry, parts: [Named; 3], graph: &Graph, seed: u64) -> Self {
        generator::alone(|| {
            generator::seed(&Device::flex(), seed);
            Self::drawn(registry, parts, graph, seed as usize)
        })
    }

    fn drawn(registry: &Registry, [encoder, fusion, patients]: [Named; 3], graph: &Graph, shift: usize) -> Self {
        let device = Device::flex();
        let code = |i: usize| if i == 0 { String::new() } else { format!("{}.{}", 400 + i, i % 10) };
        let codes: Vec<String> = (0..graph.nodes()).map(code).collect();
        let context = GraphEncoderContext { input: 4, codes: &codes, device: &device };
        let encoder = registry.build::<slots::graph_encoder>(encoder.0, given(encoder), &context).unwrap();
        let parts = &Fusing { registry, fusion };
        let context = PatientEncoderContext { width: encoder.width(), codes: &codes, device: &device, parts };
        let patients = registry.build::<slots::patient_encoder>(patients.0, given(patients), &context).unwrap();
        let nodes: Vec<f32> = (0..graph.nodes() * 4).map(|i| ((i * 7 + shift) % 13) as f32 / 6.5 - 1.0).collect();
        Self {
            graph: graph.clone(),
            nodes: tensor(&nodes, 4),
            encoder: draw_parameters(encoder),
            patients: draw_parameters(patients),
        }
    }

    fn patients(&self, examples: &Examples, indices: &[usize]) -> Tensor<2> {
        let embeddings = self.encoder.forward(self.nodes.clone(), &self.graph);
        self.patients.forward(embeddings, &self.graph, &examples.batch(indices))
    }

    fn loss(&self, examples: &Examples, indices: &[usize]) -> f64 {
        let batch = examples.batch(indices);
        let patients = self.patients(examples, indices);
        let width = patients.dims()[1];
        let rows = batch.targets[0].rows();
        let rows = rows.flat_map(|row| (0..width as u32).map(move |c| f32::from(u8::from(row.contains(&c)))));
        let targets = tensor(&rows.collect::<Vec<_>>(), width);
        let loss = BceOptions {}.build().unwrap().forward(patients, targets);
        f64::from(loss.into_scalar::<f32>())
    }
}
