use super::*;

const ROWS: usize = 40;
const COLUMNS: usize = 30;

/// Scores with ties, and targets that are rarer in later columns; the last column and row 7 have none.
///
/// ```python
/// scores = np.array([[((i*37 + c*101 + i*c*13) % 97)/8 - 8 for c in range(cols)] for i in range(rows)])
/// y = np.array([[1 if ((i*53 + c*29 + i*c*7) % 31) < 6 - c/6 + (scores[i,c] > 1)*4 else 0
///                for c in range(cols)] for i in range(rows)])
/// y[:,29] = 0; y[7,:] = 0
/// ```
fn made_up() -> (Vec<f32>, Ragged<u32>) {
    let score = |i: usize, c: usize| ((i * 37 + c * 101 + i * c * 13) % 97) as f32 / 8.0 - 8.0;
    let holds = |i: usize, c: usize| {
        let limit = 6.0 - c as f64 / 6.0 + if score(i, c) > 1.0 { 4.0 } else { 0.0 };
        c != 29 && i != 7 && (((i * 53 + c * 29 + i * c * 7) % 31) as f64) < limit
    };
    let scores = (0..ROWS).flat_map(|i| (0..COLUMNS).map(move |c| score(i, c))).collect();
    let row = |i| (0..COLUMNS as u32).filter(move |&c| holds(i, c as usize)).collect::<Vec<_>>();
    (scores, (0..ROWS).map(row).collect())
}

/// scikit-learn 1.9 on the same numbers:
///
/// ```python
/// p = 1/(1+np.exp(-scores)); tie = scores - np.arange(cols)*1e-9; order = np.argsort(-tie, axis=1); has = y.sum(1) > 0
/// for k in (5, 10):
///     hits = np.array([y[i, order[i,:k]].sum() for i in range(rows)]); n = y.sum(1)
///     (hits/np.minimum(n,k).clip(1))[has].mean(), (hits/n.clip(1))[has].mean(), (hits/k)[has].mean()
///     ndcg_score(y[has], tie[has], k=k)
/// roc_auc_score(y.ravel(), scores.ravel()), average_precision_score(y.ravel(), scores.ravel())
/// good = [c for c in range(cols) if 0 < y[:,c].sum() < rows]
/// np.mean([roc_auc_score(y[:,c], scores[:,c]) for c in good])
/// np.mean([average_precision_score(y[:,c], scores[:,c]) for c in good])
/// log_loss(y.ravel(), p.ravel()), brier_score_loss(y.ravel(), p.ravel())
/// b = np.minimum((p.ravel()*15).astype(int), 14)
/// sum(abs(p.ravel()[b==k].sum() - y.ravel()[b==k].sum()) for k in range(15))/p.size
/// ```
const EXPECTED: [(&str, f64); 15] = [
    ("R@5", 0.24912280701754386),
    ("R/n@5", 0.23771929824561402),
    ("P@5", 0.21052631578947367),
    ("NDCG@5", 0.2510305374006316),
    ("R@10", 0.4921052631578946),
    ("R/n@10", 0.4921052631578946),
    ("P@10", 0.21842105263157893),
    ("NDCG@10", 0.3746336626893136),
    ("AUROC micro", 0.5950168536784002),
    ("AUROC macro", 0.5904884035831142),
    ("AUPRC micro", 0.19329521397041513),
    ("AUPRC macro", 0.28500686914867),
    ("log loss", 0.938323151319989),
    ("Brier", 0.25860379515536513),
    ("ECE", 0.26576155157592457),
];

#[test]
fn measures_are_those_of_scikit_learn() {
    let (scores, targets) = made_up();
    assert_eq!(targets.values().len(), 172);
    let found = assess(&scores, COLUMNS, &targets, &[5, 10], Scale::Logits);
    for (name, expected) in EXPECTED {
        // Probabilities are sums of 32-bit numbers.
        let tolerance = if ["log loss", "Brier", "ECE"].contains(&name) { 1e-6 } else { 1e-12 };
        let value = found.get(name).unwrap();
        assert!((value - expected).abs() <= tolerance, "{name} is {value}, scikit-learn has {expected}");
    }
    assert_eq!(found.overall.len(), EXPECTED.len());
    assert!(found.each.iter().all(|(_, values)| values.len() == ROWS));
}

/// scikit-learn's `calibration_curve(y.ravel(), p.ravel(), n_bins=15)` and `np.bincount` of the same bins.
const RELIABILITY: [(f64, f64, u64); 15] = [
    (0.011180066543834079, 0.10664335664335664, 572),
    (0.09829323460722732, 0.10843373493975904, 83),
    (0.16544242640837437, 0.21052631578947367, 38),
    (0.22374659694917862, 0.175, 40),
    (0.29264676457775496, 0.07692307692307693, 39),
    (0.3684157634936614, 0.05263157894736842, 19),
    (0.4174967664020207, 0.19047619047619047, 21),
    (0.49895968755420816, 0.2, 30),
    (0.5752436862007715, 0.09523809523809523, 21),
    (0.6362191090419496, 0.19047619047619047, 21),
    (0.7037686509882389, 0.18181818181818182, 33),
    (0.7793802101375588, 0.20930232558139536, 43),
    (0.8372370432679573, 0.16129032258064516, 31),
    (0.9043229962617082, 0.21176470588235294, 85),
    (0.9649561650320723, 0.23387096774193547, 124),
];

/// scikit-learn 1.9.1 on the scores of [`made_up`] as logits of thirty classes, the true one of which is among the first seven
/// of each row:
///
/// ```python
/// order = np.argsort(-scores, axis=1, kind="stable"); t = [order[i, i*i % 7] for i in range(rows)]; y = np.eye(cols)[t]
/// p = np.exp(scores); p /= p.sum(1, keepdims=True)
/// log_loss(t, p, labels=range(cols)), brier_score_loss(t, p, labels=range(cols))
/// top = p.max(1); right = p.argmax(1) == t; b = np.minimum((top*15).astype(int), 14)
/// sum(abs(top[b==k].sum() - right[b==k].sum()) for k in range(15))/rows
/// roc_auc_score(y, p, average="micro"), average_precision_score(y, p, average="micro")
/// good = [c for c in range(cols) if 0 < y[:,c].sum() < rows]     # and the means over them
/// ```
#[test]
fn measures_of_classes_are_those_of_scikit_learn() {
    let (scores, _) = made_up();
    let class = |i: usize| {
        let row = &scores[i * COLUMNS..][..COLUMNS];
        let mut order: Vec<u32> = (0..COLUMNS as u32).collect();
        order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
        [order[i * i % 7]]
    };
    let targets: Ragged<u32> = (0..ROWS).map(class).collect();
    let found = assess(&scores, COLUMNS, &targets, &[5], Scale::Classes);
    for (name, expected) in [
        ("log loss", 1.923014126959771),
        ("Brier", 0.8428081318770833),
        ("ECE", 0.1422528298051539),
        ("AUROC micro", 0.9322090517241379),
        ("AUPRC micro", 0.22455199660785785),
        ("AUROC macro", 0.9268829827100504),
        ("AUPRC macro", 0.4981897203325774),
    ] {
        let value = found.get(name).unwrap();
        assert!((value - expected).abs() <= 1e-6, "{name} is {value}, scikit-learn has {expected}");
    }
    assert!((log_loss(&scores, COLUMNS, &targets, Scale::Classes) - 1.923014126959771).abs() < 1e-6);
    let entries: Vec<u64> = found.reliability.iter().map(|bin| bin.entries).collect();
    assert_eq!(entries, [1, 1, 2, 6, 17, 12, 1]);
    assert!((found.reliability[3].frequency - 1.0 / 6.0).abs() < 1e-12);
    // Sigmoids are not what a softmax says.
    assert!(assess(&scores, COLUMNS, &targets, &[5], Scale::Logits).get("log loss").unwrap() < 1.0);
    // Of one true class all measures at 1 are the part whose most likely class is the true one: 1 in 7 ranks is 0.
    let mut found = assess(&scores, COLUMNS, &targets, &[1], Scale::Classes);
    found.keep_accuracy();
    let right = (0..ROWS).filter(|i| i * i % 7 == 0).count() as f64 / ROWS as f64;
    assert!((found.get(ACCURACY).unwrap() - right).abs() < 1e-12);
    assert!(["R@1", "R/n@1", "P@1", "NDCG@1"].iter().all(|name| found.get(name).is_none()));
    // A single column is yes or no.
    let yes: Ragged<u32> = [vec![0u32], vec![]].into_iter().collect();
    let of = |scale| assess_binary(&[1.0, -2.0], &yes, scale);
    assert_eq!(of(Scale::Classes), of(Scale::Logits));
}

#[test]
fn bins_of_probabilities_are_those_of_scikit_learn() {
    let (scores, targets) = made_up();
    let found = assess(&scores, COLUMNS, &targets, &[5], Scale::Logits).reliability;
    assert_eq!(found.len(), RELIABILITY.len());
    for (bin, (probability, frequency, entries)) in found.iter().zip(RELIABILITY) {
        assert!((bin.probability - probability).abs() < 1e-6 && (bin.frequency - frequency).abs() < 1e-12, "{bin:?}");
        assert_eq!(bin.entries, entries);
    }
    assert!(assess(&scores, COLUMNS, &targets, &[5], Scale::Order).reliability.is_empty());
}

#[test]
fn recall_has_a_value_at_every_k() {
    let (scores, targets) = made_up();
    let found = assess(&scores, COLUMNS, &targets, &[5], Scale::Order);
    for (k, value) in found.recall_at(&targets, &[1, 5, 17, 100]) {
        let expected = super::super::metrics::recall_at_k(&scores, COLUMNS, &targets, k);
        assert!((value - expected).abs() < 1e-12, "R@{k} is {value}, not {expected}");
    }
    assert!((found.recall_at(&targets, &[10])[0].1 - EXPECTED[4].1).abs() < 1e-12);
    assert!(
        assess_binary(&[0.1], &[vec![0u32]].into_iter().collect(), Scale::Logits).recall_at(&targets, &[1]).is_empty()
    );
}

#[test]
fn they_agree_with_the_plain_functions() {
    use super::super::metrics;
    let (scores, targets) = made_up();
    let found = assess(&scores, COLUMNS, &targets, &[3, 40], Scale::Logits);
    for k in [3, 40] {
        let expected = metrics::recall_at_k(&scores, COLUMNS, &targets, k);
        assert!((found.get(&format!("R@{k}")).unwrap() - expected).abs() < 1e-12);
    }
    let truth: Vec<bool> =
        (0..ROWS * COLUMNS).map(|e| targets.row(e / COLUMNS).contains(&((e % COLUMNS) as u32))).collect();
    assert!((found.get("AUROC micro").unwrap() - metrics::roc_auc(&scores, &truth)).abs() < 1e-12);
    assert!((found.get("AUPRC micro").unwrap() - metrics::average_precision(&scores, &truth)).abs() < 1e-12);
}

/// Twice the scores of every other example is the same order, and would be another area.
#[test]
fn orders_are_not_compared_across_examples() {
    let (scores, targets) = made_up();
    let found = assess(&scores, COLUMNS, &targets, &[5], Scale::Order);
    let areas = ["AUROC micro", "AUROC macro", "AUPRC micro", "AUPRC macro"];
    assert!(areas.iter().all(|area| found.get(area).unwrap().is_nan()));
    assert!(found.get("Brier").is_none() && found.reliability.is_empty());
    assert!((found.get("NDCG@5").unwrap() - EXPECTED[3].1).abs() < 1e-12);
    let other: Vec<f32> = scores
        .chunks(COLUMNS)
        .zip([1f32, 2.0].iter().cycle())
        .flat_map(|(row, by)| row.iter().map(move |s| s * by))
        .collect();
    let same = assess(&other, COLUMNS, &targets, &[5], Scale::Order);
    assert_eq!(same.ranks, found.ranks);
    let areas = |scores: &[f32]| assess(scores, COLUMNS, &targets, &[5], Scale::Logits).get("AUROC micro").unwrap();
    assert!((areas(&scores) - areas(&other)).abs() > 1e-3);
}

/// What all logits of an example share says nothing: shares are compared across examples, and are no probabilities.
#[test]
fn shares_are_compared_and_are_no_probabilities() {
    let (scores, targets) = made_up();
    let of = |scores: &[f32]| assess(scores, COLUMNS, &targets, &[5], Scale::Shares);
    let shifts = [0f32, 16.0, -4.0];
    let moved: Vec<f32> = scores
        .chunks(COLUMNS)
        .zip(shifts.iter().cycle())
        .flat_map(|(row, by)| row.iter().map(move |s| s + by))
        .collect();
    let (found, other) = (of(&scores), of(&moved));
    let softmax: Vec<f32> = log_softmax(&scores, COLUMNS);
    let expected = assess(&softmax, COLUMNS, &targets, &[5], Scale::Logits);
    for area in ["AUROC micro", "AUROC macro", "AUPRC micro", "AUPRC macro"] {
        assert_eq!(found.get(area), expected.get(area), "{area}");
        // Logarithms of shares are rounded otherwise.
        assert!((found.get(area).unwrap() - other.get(area).unwrap()).abs() < 2e-3, "{area}");
    }
    assert!(["log loss", "Brier", "ECE"].iter().all(|name| found.get(name).is_none()) && found.reliability.is_empty());
    let yes_no: Ragged<u32> = [vec![0u32], vec![]].into_iter().collect();
    assert!(assess_binary(&[0.1, 0.2], &yes_no, Scale::Shares).get("Brier").is_none());
}

#[test]
fn ranks_are_places_in_the_sorted_row() {
    let scores = [0.5, f32::NAN, 0.5, 2.0, -0.0, 0.0, f32::INFINITY];
    let targets: Ragged<u32> = [0u32, 1, 2, 3, 4, 5, 6].map(|c| [c]).into_iter().collect();
    let all = scores.repeat(7);
    assert_eq!(assess(&all, 7, &targets, &[], Scale::Order).ranks, [2, 6, 3, 1, 4, 5, 0]);
}

#[test]
fn what_is_undefined_is_no_number() {
    let targets: Ragged<u32> = [vec![0u32, 1], vec![0, 1]].into_iter().collect();
    let found = assess(&[0.1, 0.2, 0.3, 0.4], 2, &targets, &[1], Scale::Logits);
    assert!(found.get("AUROC micro").unwrap().is_nan() && found.get("AUROC macro").unwrap().is_nan());
    assert_eq!(found.get("AUPRC micro").unwrap(), 1.0);
    let none: Ragged<u32> = [vec![], vec![]].into_iter().collect();
    let found = assess(&[0.1, 0.2, 0.3, 0.4], 2, &none, &[1], Scale::Order);
    assert!(found.overall.iter().all(|(_, value)| value.is_nan()), "{found:?}");
    let found = assess_binary(&[0.1, 0.2], &[vec![0u32], vec![0]].into_iter().collect(), Scale::Order);
    assert!(found.get("AUROC").unwrap().is_nan());
}

/// 1,000 patients and 7,337 codes, the size of MIMIC-IV's test split: `cargo test --release -p dualk-sdk
/// full_size -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn full_size() {
    let (rows, columns) = (1000, 7337);
    let mix = |i: usize| crate::train::derive_seed(9, &[i as u64]) as f64 / u64::MAX as f64;
    let scores: Vec<f32> = (0..rows * columns).map(|i| (mix(i) * 12.0 - 10.0) as f32).collect();
    let row = |i: usize| (0..12u32).map(move |c| c * 600 + (i % 590) as u32).collect::<Vec<_>>();
    let targets: Ragged<u32> = (0..rows).map(row).collect();
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let found = assess(&scores, columns, &targets, &[10, 20, 30, 40], Scale::Logits);
        println!("{:.3} s, AUROC {:.4}", start.elapsed().as_secs_f64(), found.get("AUROC micro").unwrap());
    }
}

#[test]
fn heads_of_several_numbers_have_one_error_an_example() {
    let (scores, numbers) = ([1.0, 2.0, 0.0, 4.0], [2.0, 2.0, 3.0, 3.0]);
    let found = assess_numbers(&scores, 2, &numbers, Link::Mean);
    assert_eq!(found.each, [("MAE".to_owned(), vec![0.5, 2.0])]);
    assert_eq!((found.get("MAE"), found.get("RMSE")), (Some(1.25), Some(2.75f64.sqrt())));
    // The first column is in order, the second the other way round.
    let times = assess_numbers(&[2.0, 1.0, 1.0, 2.0], 2, &[1.0, 1.0, 5.0, 5.0], Link::LogHazard);
    assert_eq!(times.get("C-index"), Some(0.5));
}
