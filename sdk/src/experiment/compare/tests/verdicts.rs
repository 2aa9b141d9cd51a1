//! What is said to be better.

use super::{change_outcome, change_patients, columns, write, write_with_valid};
use crate::experiment::compare::{CompareOptions, Comparison};
use crate::experiment::outcome::Row;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// All patients say the same, and runs of a row differ by more than rows do: .03 and .09 beside 0 and .1.
#[test]
fn what_seeds_alone_could_have_made_is_not_called_better() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let plus = |by: f64| a.iter().map(|v| v + by).collect::<Vec<f64>>();
    let runs = [("gat", 1, 0.0), ("gat", 2, 0.1), ("gcn", 1, 0.03), ("gcn", 2, 0.09)]
        .map(|(name, seed, by)| write(folder.path(), name, seed, &plus(by), "diagnosis"));
    let table = Comparison::of(&runs, &CompareOptions::default()).unwrap();
    assert!(table.rows[1].difference[1].1.p.unwrap() < 0.001);
    assert!(table.rows.iter().all(|row| row.best.is_empty()));
    assert!(table.verdict.contains("not told apart"), "{}", table.verdict);
}

#[test]
fn a_rule_that_is_as_good_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    // The same mean as the rule's .2, and another for every patient.
    let level: Vec<f64> = a.iter().map(|v| v - 0.38933333333333336 + 0.203).collect();
    let run = write(folder.path(), "gat", 1, &level, "diagnosis");
    let table = Comparison::of(&[run], &CompareOptions::default()).unwrap();
    assert!(
        table.verdict.starts_with("x is not told apart from history: difference 0.0030 ±0.03"),
        "{}",
        table.verdict
    );
    let low: Vec<f64> = a.iter().map(|v| v - 0.3).collect();
    let run = write(folder.path(), "gat", 1, &low, "diagnosis");
    let table = Comparison::of(&[run], &CompareOptions::default()).unwrap();
    assert!(table.verdict.starts_with("believe history: better than x by 0.11"), "{}", table.verdict);
}

/// Gives a run further rules, whose patients have the same `values` in R@10.
fn add_rules(run: &Path, numbers: Range<usize>, values: &[f64]) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    for name in numbers.map(|i| format!("rule {i}")) {
        let metrics = vec![("F1-w".to_owned(), mean / 2.0), ("R@10".to_owned(), mean)];
        let row = Row { name: name.clone(), metrics, ..Row::default() };
        change_outcome(run, |outcome| outcome.stages[0].rows.insert(0, row));
        let column = BTreeMap::from([("R@10".to_owned(), values.iter().map(|v| Some(*v)).collect())]);
        change_patients(run, |table| drop(table.rows.insert(name, column)));
    }
}

/// SciPy has p = .006 for a and b. Where twenty rules are as good as the model, one of them is ahead as far as that by chance in
/// more than one of twenty tables.
#[test]
fn the_best_of_many_rules_on_test_is_not_believed_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let run = write(folder.path(), "gat", 1, &b, "diagnosis");
    let verdict = || Comparison::of(std::slice::from_ref(&run), &CompareOptions::default()).unwrap().verdict;
    add_rules(&run, 0..1, &a);
    assert!(verdict().starts_with("believe rule 0: better than x by 0.0287 ±0.0"), "{}", verdict());
    // Those that are known to be worse, as `history` is, count for nothing.
    let run = write(folder.path(), "gcn", 1, &b, "diagnosis");
    let verdict = || Comparison::of(std::slice::from_ref(&run), &CompareOptions::default()).unwrap().verdict;
    add_rules(&run, 0..1, &a);
    add_rules(&run, 1..20, &b);
    assert!(verdict().starts_with("x is not told apart from rule 0: difference -0.0287 ±0.0"), "{}", verdict());
}

/// The same of configurations, one of which was chosen on valid.
#[test]
fn the_best_of_many_configurations_on_test_is_not_called_better_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let run = |name: &str, values: &[f64], valid| write_with_valid(folder.path(), name, 1, values, valid);
    let (chosen, better) = (run("chosen", &b, 0.5), run("better", &a, 0.4));
    let others = (0..19).map(|i| run(&format!("other{i}"), &b, 0.3));
    let all: Vec<PathBuf> = [chosen, better].into_iter().chain(others).collect();
    let of = |runs: &[PathBuf]| Comparison::of(runs, &CompareOptions::default()).unwrap().verdict;
    let two = of(&all[..2]);
    assert!(two.contains("; better is better on test by 0.0287") && two.contains("not chosen on valid"), "{two}");
    let many = of(&all);
    assert!(many.contains("; not told apart from better: difference -0.0287"), "{many}");
}

/// The row that had none on valid was the best there, and a table without the metric asked whether NaN is much.
#[test]
fn what_is_undefined_is_neither_the_best_on_valid_nor_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let run = |name: &str, values: &[f64], valid| write_with_valid(folder.path(), name, 1, values, valid);
    let runs = [run("gat", &b, f64::NAN), run("gcn", &a, 0.4)];
    let verdict = Comparison::of(&runs, &CompareOptions::default()).unwrap().verdict;
    assert!(!verdict.contains("not chosen on valid"), "{verdict}");
    let run = write(folder.path(), "sage", 1, &a, "diagnosis");
    change_outcome(&run, |outcome| {
        let metrics = outcome.stages[0].rows.iter_mut().flat_map(|row| &mut row.metrics);
        metrics.filter(|(name, _)| name == "R@10").for_each(|(_, value)| *value = f64::NAN);
    });
    let verdict = Comparison::of(&[run], &CompareOptions::default()).unwrap().verdict;
    assert!(verdict.starts_with("nothing to believe: R@10 is undefined on the test examples"), "{verdict}");
}
