//! Whether the generated cohort is worth learning from: a sparse graph, and more to know than code frequencies.

use crate::{SyntheticOptions, generate};
use dualk_sdk::data::{Prepared, SplitOptions, prepare};
use std::collections::HashMap;

fn prepared(options: &SyntheticOptions, seed: u64) -> Prepared {
    prepare(generate(options, seed), &SplitOptions::default()).unwrap()
}

/// Recall at 10 of the codes with the highest scores, averaged over test patients.
fn recall(data: &Prepared, score: impl Fn(usize) -> Vec<f64>) -> f64 {
    let truth = data.last_visit_codes(&data.split.test);
    let one = |(i, &p): (usize, &usize)| {
        let scores = score(p);
        let mut ranked: Vec<u32> = (0..scores.len() as u32).collect();
        ranked.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        let hits = ranked[..10].iter().filter(|c| truth.row(i).contains(c)).count();
        hits as f64 / truth.row(i).len().min(10) as f64
    };
    data.split.test.iter().enumerate().map(one).sum::<f64>() / data.split.test.len() as f64
}

/// How often codes of the last visit go with a sign (a code of the history, an abnormal item) among training patients.
fn associations(data: &Prepared, signs: impl Fn(usize) -> Vec<u32>) -> HashMap<u32, Vec<f64>> {
    let mut sums: HashMap<u32, (f64, Vec<f64>)> = HashMap::new();
    for &p in &data.split.train {
        for sign in signs(p) {
            let (n, counts) = sums.entry(sign).or_insert_with(|| (5.0, vec![0.0; data.vocabulary.target_codes]));
            *n += 1.0;
            data.visit_codes(data.last_visit(p)).iter().for_each(|&c| counts[c as usize] += 1.0);
        }
    }
    sums.into_iter().map(|(sign, (n, counts))| (sign, counts.into_iter().map(|c| c / n).collect())).collect()
}

/// How often each code follows a sign, by sign; and the signs of a patient.
type Evidence<'a> = (&'a HashMap<u32, Vec<f64>>, Vec<u32>);

/// One minus the chance that none of the signs brings the code: a simple predictor that any trained model should reach.
fn noisy_or(data: &Prepared, tables: &[Evidence<'_>]) -> Vec<f64> {
    let mut none = vec![1.0; data.vocabulary.target_codes];
    for (table, signs) in tables {
        for row in signs.iter().filter_map(|sign| table.get(sign)) {
            none.iter_mut().zip(row).for_each(|(n, p)| *n *= 1.0 - p);
        }
    }
    none.into_iter().map(|n| 1.0 - n).collect()
}

struct Measured {
    density: f64,
    frequency: f64,
    history: f64,
    labs: f64,
    both: f64,
}

fn measure(data: &Prepared) -> Measured {
    let history = |p: usize| {
        let rows = data.cohort.admissions.range(p);
        let mut codes: Vec<u32> = (rows.start..rows.end - 1).flat_map(|row| data.visit_codes(row)).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    };
    let labs = |p: usize| data.visit_labs(data.last_visit(p));
    let (by_history, by_labs) = (associations(data, history), associations(data, labs));
    let frequency: Vec<f64> = data.label_counts(&data.split.train).into_iter().map(|n| n as f64).collect();
    let codes = data.vocabulary.codes.len() as f64 - 1.0;
    Measured {
        density: data.graph.edges() as f64 / (codes * codes),
        frequency: recall(data, |_| frequency.clone()),
        history: recall(data, |p| noisy_or(data, &[(&by_history, history(p))])),
        labs: recall(data, |p| noisy_or(data, &[(&by_labs, labs(p))])),
        both: recall(data, |p| noisy_or(data, &[(&by_history, history(p)), (&by_labs, labs(p))])),
    }
}

#[test]
fn history_and_labs_tell_more_than_frequency() {
    for seed in [66, 1, 2] {
        let data = prepared(&SyntheticOptions::default(), seed);
        let m = measure(&data);
        println!(
            "seed {seed}: density {:.4}, recall@10 by frequency {:.3}, history {:.3}, labs {:.3}, both {:.3}; {:?}",
            m.density,
            m.frequency,
            m.history,
            m.labs,
            m.both,
            data.counts()
        );
        assert!((0.022..0.032).contains(&m.density), "density {}", m.density);
        assert!(m.history > m.frequency + 0.15, "history {} against {}", m.history, m.frequency);
        assert!(m.labs > m.frequency + 0.1, "labs {} against {}", m.labs, m.frequency);
        assert!(m.both > m.history + 0.02, "both {} against {}", m.both, m.history);
    }
}

#[test]
fn the_cohort_is_shaped_like_mimic() {
    let data = prepared(&SyntheticOptions::default(), 66);
    let counts = data.counts();
    let count = |key: &str| counts[key].as_u64().unwrap();
    let multi = count("train") + count("valid") + count("test");
    assert!(multi >= 1200 && count("single") >= 1500, "{multi} patients with several admissions");
    assert!((500..=900).contains(&count("codes_pretrain")), "{} codes", count("codes_pretrain"));
    assert!(count("rare_codes") > 0);
    assert!(counts["labs"].as_object().unwrap().values().all(|n| n.as_u64().unwrap() > 10), "{:?}", counts["labs"]);
    let failing = data.heart_failure(&data.split.train).values().len() as f64 / data.split.train.len() as f64;
    assert!((0.05..0.4).contains(&failing), "{failing} with heart failure");
    assert!(data.cohort.code_names.iter().all(|c| c.as_bytes()[3] == b'.'));
    let distinct: std::collections::HashSet<&String> = data.cohort.code_names.iter().collect();
    assert_eq!(distinct.len(), data.cohort.code_names.len(), "codes repeat");
}

#[test]
fn the_seed_decides_everything() {
    let options = SyntheticOptions { patients: 50, ..SyntheticOptions::default() };
    assert_eq!(generate(&options, 7), generate(&options, 7));
    assert_ne!(generate(&options, 7), generate(&options, 8));
}
