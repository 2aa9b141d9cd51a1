//! Which runs are one row, what it is called, and its means.

use super::{change_outcome, change_patients, columns, near, write, write_with_valid};
use crate::experiment::compare::{CompareOptions, Comparison, Format, Kind, NamedRun, PlannedRun};
use crate::experiment::outcome::Row;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn rows_differences_and_corrections_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [("a", &a), ("b", &b), ("c", &c)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    let table = Comparison::of(&runs, &CompareOptions::default()).unwrap();
    let names: Vec<&str> = table.rows.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "history", "oracle"]);
    let recall = |row: usize| table.rows[row].difference[1].1;
    near(recall(1).mean, -8.6 / 300.0, 1e-12);
    // SciPy's intervals and p-values of b − a and c − a (`resample/tests.rs`), and statsmodels' correction of the two.
    near(recall(1).low.unwrap(), -0.0487, 0.002);
    near(recall(1).high.unwrap(), -0.0087, 0.002);
    near(recall(1).p.unwrap(), 2.0 * 0.006160, 0.007);
    near(recall(2).p.unwrap(), 0.34261, 0.02);
    assert_eq!((recall(0).mean, recall(0).p), (0.0, Some(1.0)));
    // c is best, but not told apart from a.
    assert!(table.rows.iter().all(|r| r.best.is_empty()));
    assert!(
        table.verdict.contains("believe c: better than history") && table.verdict.contains("not told apart from a"),
        "{}",
        table.verdict
    );
    assert!(table.verdict.contains("oracle reaches 0.9000"), "{}", table.verdict);
    assert_eq!(table.rows[0].metrics[0].1.low, None, "no mean over patients");
    let json = table.to_json(false);
    assert_eq!(json.as_array().unwrap().len(), 3);
    assert_eq!(table.to_json(true).as_array().unwrap().len(), 5);
    assert!(json[0]["metrics"]["R@10"]["sd"].is_null());
}

#[test]
fn runs_of_other_seeds_are_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [
        write(folder.path(), "gat", 1, &a, "diagnosis"),
        write(folder.path(), "gcn", 1, &c, "diagnosis"),
        write(folder.path(), "gat", 2, &b, "diagnosis"),
    ];
    let table = Comparison::of(&runs, &CompareOptions::default()).unwrap();
    let gat = &table.rows[0];
    assert_eq!((gat.name.as_str(), gat.runs, table.rows[1].runs, table.rows[2].runs), ("gat", 2, 1, 3));
    let (means, e) = ([0.38933333333333336, 0.3606666666666667], gat.metrics[1].1);
    near(e.mean, (means[0] + means[1]) / 2.0, 1e-12);
    near(e.sd.unwrap(), (means[0] - means[1]) / 2f64.sqrt(), 1e-12);
    assert!(table.notes.iter().any(|n| n.contains("different seeds")));
    assert!(table.notes[0].contains("test was read 3 times"));
}

/// A copy of a run is no further draw.
#[test]
fn runs_of_one_seed_in_a_row_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let of = |place: &str, seed: u64| write(&folder.path().join(place), "gat", seed, &a, "diagnosis");
    let gcn = write(folder.path(), "gcn", 1, &b, "diagnosis");
    let note = |runs: &[PathBuf]| {
        let notes = Comparison::of(runs, &CompareOptions::default()).unwrap().notes;
        notes.into_iter().find(|note| note.contains("several runs have one seed"))
    };
    let runs = [of("here", 1), of("copy", 1), of("here", 2), gcn];
    assert!(note(&runs).unwrap().ends_with(": gat, 3 runs of 2 seeds"));
    assert_eq!(note(&runs[1..]), None);
}

/// A run that is where the weakest baseline is has a mean beside it that hides it.
#[test]
fn runs_that_learnt_nothing_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let poor = vec![0.104; a.len()];
    let runs = [("gat", 1, &a), ("gat", 2, &poor), ("gat", 3, &b), ("gcn", 1, &c), ("gin", 1, &poor)];
    let runs = runs.map(|(name, seed, v)| write(folder.path(), name, seed, v, "diagnosis"));
    let note = |metric: &str| {
        let options = CompareOptions { metrics: vec![metric.into()], ..CompareOptions::default() };
        let notes = Comparison::of(&runs, &options).unwrap().notes;
        notes.into_iter().find(|note| note.starts_with("learnt nothing"))
    };
    assert_eq!(note("R@10"), None, "one baseline says nothing of what is little");
    for run in &runs {
        let metrics = |v: f64| vec![("F1-w".to_owned(), v), ("R@10".to_owned(), v)];
        let row = Row { name: "frequency".into(), metrics: metrics(0.1), ..Row::default() };
        change_outcome(run, |outcome| outcome.stages[0].rows.insert(0, row));
    }
    let expected = "learnt nothing, as far as R@10 of frequency tells: gat, seed 2; gin, all runs";
    assert_eq!(note("R@10").as_deref(), Some(expected));
}

/// Gives the experiment of a run another name.
fn rename(run: &Path, name: &str) {
    change_outcome(run, |outcome| outcome.name = name.to_owned());
}

#[test]
fn given_names_are_kept_where_they_tell_rows_apart() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [("gat", &a), ("gcn", &b), ("gin", &c)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    let names = |rows: [Option<&str>; 3]| -> Vec<String> {
        let named =
            |(folder, row): (&PathBuf, Option<&str>)| NamedRun { folder: folder.clone(), row: row.map(str::to_owned) };
        let runs: Vec<NamedRun> = runs.iter().zip(rows).map(named).collect();
        let table = Comparison::of_named(&runs, &CompareOptions::default()).unwrap();
        table.of_kind(Kind::Configuration).map(|(_, row)| row.name.clone()).collect()
    };
    // All are of the experiment x, which says nothing.
    assert_eq!(names([None; 3]), ["gat", "gcn", "gin"]);
    assert_eq!(names([Some("x"); 3]), ["gat", "gcn", "gin"]);
    assert_eq!(names([Some("RETAIN"), Some("GRAM"), None]), ["RETAIN", "GRAM", "x"]);
    assert_eq!(names([Some("RETAIN"), None, None]), ["RETAIN", "x, gcn", "x, gin"]);
    // No two rows have one name.
    assert_eq!(names([Some("x, gcn"), None, None]), ["gat", "gcn", "gin"]);
    rename(&runs[1], "mine");
    assert_eq!(names([None; 3]), ["x, gat", "mine", "x, gin"]);
    // A row whose runs are called otherwise has what is different about it.
    let other = write(folder.path(), "gcn", 2, &b, "diagnosis");
    let table = Comparison::of(&[&runs[..], &[other]].concat(), &CompareOptions::default()).unwrap();
    let found: Vec<(&str, usize)> = table.rows.iter().take(3).map(|row| (row.name.as_str(), row.runs)).collect();
    assert_eq!(found, [("x, gat", 1), ("gcn", 2), ("x, gin", 1)]);
    assert!(table.html("x").contains("Rows have the names that manifests give them"));
}

/// A rule that sees a knowledge graph is another one where the graph is.
#[test]
fn a_rule_that_another_configuration_lets_see_more_has_a_row_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [("a", &a), ("b", &b), ("c", &c)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    change_outcome(&runs[1], |outcome| outcome.stages[0].rows[0].metrics[1].1 = 0.3);
    let table = Comparison::of(&runs, &CompareOptions::default()).unwrap();
    let found: Vec<(&str, usize, f64)> =
        table.rows.iter().map(|r| (r.name.as_str(), r.runs, r.metrics[1].1.mean)).skip(3).collect();
    assert_eq!(found, [("history (a)", 2, 0.2), ("history (b)", 1, 0.3), ("oracle", 3, 0.9)]);
}

/// A setting that is best on test, but not on valid, is not its row; one with fewer seeds cannot be.
#[test]
fn a_tuned_row_is_the_setting_that_is_best_on_valid() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let better: Vec<f64> = b.iter().map(|v| v + 0.2).collect();
    let run = |name: &str, seed, values: &[f64], valid, row: &str, setting: &str| PlannedRun {
        folder: write_with_valid(folder.path(), name, seed, values, valid),
        row: row.into(),
        setting: Some(setting.into()),
        decides: true,
    };
    let runs = [
        run("x1", 1, &a, 0.50, "x", "lr = 0.1"),
        run("x1", 2, &a, 0.40, "x", "lr = 0.1"),
        run("x2", 1, &b, 0.44, "x", "lr = 0.2"),
        run("x2", 2, &b, 0.48, "x", "lr = 0.2"),
        run("x3", 1, &better, 0.99, "x", "lr = 0.3"), // seed 2 is not complete
        run("y1", 1, &better, 0.30, "y", "lr = 0.1"),
        run("y1", 2, &better, 0.30, "y", "lr = 0.1"),
        run("y2", 1, &c, 0.31, "y", "lr = 0.2"),
        run("y2", 2, &c, 0.31, "y", "lr = 0.2"),
    ];
    let options = CompareOptions { baseline: Some("y".into()), ..CompareOptions::default() };
    let table = Comparison::of_planned(&runs, &options).unwrap();
    let rows: Vec<(&str, usize, Option<&str>)> =
        table.rows.iter().take(2).map(|r| (r.name.as_str(), r.runs, r.tuned.as_deref())).collect();
    assert_eq!(rows, [("x", 2, Some("lr = 0.2")), ("y", 2, Some("lr = 0.2"))]);
    near(table.rows[0].metrics[1].1.mean, b.iter().sum::<f64>() / b.len() as f64, 1e-12);
    assert_eq!((table.baseline, table.rows.len()), (1, 4));
    let note = "each row is the best of 2 to 3 settings on valid, by R@10: x: lr = 0.2; y: lr = 0.2";
    assert_eq!(table.notes[0], note);
    // On valid .46 to .45 and .31 to .30; the third setting of x is not among those that are compared.
    let ahead = "ahead of the next best setting on valid by: x: 0.0100 (lr = 0.1); y: 0.0100 (lr = 0.1)";
    assert_eq!(table.notes[1], ahead);
    assert!(table.notes[2].starts_with("test was read 9 times"), "{:?}", table.notes);
    assert_eq!(table.to_json(false)[0]["tuned"], "lr = 0.2");

    // Chosen with the first seed alone, it is another setting, with all runs that this has.
    let first = [0, 1, 2, 3, 5, 6, 7, 8].map(|i| PlannedRun { decides: [0, 2, 5, 7].contains(&i), ..runs[i].clone() });
    let table = Comparison::of_planned(&first, &options).unwrap();
    assert_eq!((table.rows[0].tuned.as_deref(), table.rows[0].runs), (Some("lr = 0.1"), 2));
    let note = "each row is the best of 2 settings on valid, by R@10, with seed 1: x: lr = 0.1; y: lr = 0.2";
    assert_eq!(table.notes[0], note);
    let ahead = "ahead of the next best setting on valid (3 patients) by: x: 0.0600 (lr = 0.2); y: 0.0100 (lr = 0.1)";
    runs.iter().for_each(|run| on(&run.folder, "a"));
    assert_eq!(Comparison::of_planned(&first, &options).unwrap().notes[1], ahead);
    runs.iter().for_each(|run| fs::remove_file(run.folder.join("data.json")).unwrap());

    fs::remove_file(runs[2].folder.join("metrics.jsonl")).unwrap();
    let error = Comparison::of_planned(&runs, &options).unwrap_err().to_string();
    assert!(error.contains("has no R@10 there") && error.contains("x2-1"), "{error}");
}

/// Says which patients a run is of.
fn on(run: &Path, split: &str) {
    let print = serde_json::json!({
        "cohort": "0123456789",
        "split": format!("{split}-split-digest"),
        "patients": 9,
        "admissions": 9,
        "pretrain": 0,
        "train": 3,
        "valid": 3,
        "test": 3,
    });
    fs::write(run.join("data.json"), print.to_string()).unwrap();
}

/// By hand: a row's mean is over its four runs, and its deviation that of .1, .2, .3 and .4, √(.05 / 3).
#[test]
fn runs_of_a_row_on_different_patients_are_not_paired() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for (row, by) in [("gat", 0.0), ("gcn", 0.5)] {
        for (split, seed, value) in [("a", 1, 0.1), ("a", 2, 0.2), ("b", 1, 0.3), ("b", 2, 0.4)] {
            // Splits need not have as many patients.
            let values = vec![value + by; if split == "a" { 30 } else { 31 }];
            let folder = write(&folder.path().join(split), row, seed, &values, "diagnosis");
            on(&folder, split);
            let of_history = if split == "a" { 0.2 } else { 0.3 };
            change_outcome(&folder, |outcome| outcome.stages[0].rows[0].metrics[1].1 = of_history);
            runs.push(PlannedRun { folder, row: row.into(), setting: None, decides: true });
        }
    }
    let table = Comparison::of_planned(&runs, &CompareOptions::default()).unwrap();
    let names: Vec<(&str, usize)> = table.rows.iter().map(|r| (r.name.as_str(), r.runs)).collect();
    // A rule is the same in every row and with every seed on the same patients: of .2 and .3, √(.005).
    assert_eq!(names, [("gat", 4), ("gcn", 4), ("history", 2), ("oracle", 2)]);
    let history = table.rows[2].metrics[1].1;
    near(history.mean, 0.25, 1e-12);
    near(history.sd.unwrap(), 0.005f64.sqrt(), 1e-12);
    let recall = table.rows[1].metrics[1].1;
    near(recall.mean, 0.75, 1e-12);
    near(recall.sd.unwrap(), (0.05f64 / 3.0).sqrt(), 1e-12);
    for row in &table.rows {
        assert!(row.best.is_empty() && row.metrics[1].1.low.is_none());
        let difference = row.difference[1].1;
        assert!(difference.low.is_none() && difference.high.is_none() && difference.p.is_none(), "{difference:?}");
    }
    let text = table.render(Format::Table, None).unwrap();
    let caption = "diagnosis · test, 30 to 31 examples a run, patients differ between the runs of a row · mean ± standard \
                   deviation over 4 runs";
    assert!(text.contains(caption) && !text.contains("\nless gat"), "{text}");
    assert!(text.contains("no intervals, differences by patient or p-values"), "{text}");
    assert!(
        table.verdict.contains("without an interval: the runs of a row are on different patients"),
        "{}",
        table.verdict
    );
    assert!(table.html("x").contains("patients differ between the runs of a row"));
    // Without a plan nobody has asked for it.
    let folders: Vec<PathBuf> = runs.iter().map(|run| run.folder.clone()).collect();
    let error = Comparison::of(&folders, &CompareOptions::default()).unwrap_err().to_string();
    assert!(error.contains("different splits"), "{error}");
    // As long as one row has no run on some patients, those of the others are left out, and the rest is paired.
    let some: Vec<PlannedRun> = runs
        .iter()
        .filter(|run| !run.folder.ends_with("b/gcn-1") && !run.folder.ends_with("b/gcn-2"))
        .cloned()
        .collect();
    let table = Comparison::of_planned(&some, &CompareOptions::default()).unwrap();
    assert_eq!((table.rows[0].runs, table.rows[1].runs, table.unpaired), (2, 2, None));
    assert!(
        table.notes.iter().any(|note| note.starts_with("2 runs are left out"))
            && table.rows[1].difference[1].1.p.is_some()
    );
}

/// The last line is about the row that is best on valid, and without that about the one that is best on test.
#[test]
fn a_row_that_is_chosen_on_test_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let note = |runs: &[PathBuf]| Comparison::of(runs, &CompareOptions::default()).unwrap().notes[0].clone();
    let without = [("a", &a), ("b", &b)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    let chosen =
        "test was read 2 times: once for each run; the last line chooses its row on it, as not all have R@10 on valid";
    assert_eq!(note(&without), chosen);
    // Of one row there is nothing to choose.
    assert_eq!(note(&without[..1]), "test was read 1 time: once for each run; nothing was chosen on it");
    let with = [("c", &a), ("d", &b)].map(|(name, v)| write_with_valid(folder.path(), name, 1, v, 0.5));
    assert_eq!(note(&with), "test was read 2 times: once for each run; nothing was chosen on it");
    assert_eq!(note(&[without[0].clone(), with[0].clone()]), chosen);
}

/// The best ranking given what is observed knows items of visits that one of the rows does not get.
#[test]
fn an_oracle_that_knows_more_than_enters_is_said_to() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [("a", &a), ("b", &b)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    let is_said = || {
        let notes = Comparison::of(&runs, &CompareOptions::default()).unwrap().notes;
        notes
            .iter()
            .any(|note| note.starts_with("oracle, given what is observed: knows the items of all visits before"))
    };
    for run in &runs {
        change_outcome(run, |outcome| {
            outcome.stages[0].caption = "labs of all visits before".into();
            outcome.stages[0].rows[2].name = "oracle, given what is observed".into();
        });
    }
    assert!(!is_said());
    change_outcome(&runs[1], |outcome| outcome.stages[0].caption = "labs of the last visit before".into());
    assert!(is_said());
}

/// Runs with the published protocol look at test after every epoch.
#[test]
fn epochs_after_which_test_was_looked_at_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [("a", &a), ("b", &b)].map(|(name, v)| write_with_valid(folder.path(), name, 1, v, 0.5));
    let file = runs[0].join("metrics.jsonl");
    let line = fs::read_to_string(&file).unwrap();
    let mut record = crate::train::EpochRecord::from_json(line.trim()).unwrap();
    record.test = vec![("R@10".into(), 0.5)];
    let watched = record.to_json().unwrap();
    fs::write(file, format!("{watched}\n{watched}\n{line}")).unwrap();
    let notes = Comparison::of(&runs, &CompareOptions::default()).unwrap().notes;
    let expected = "test was read 4 times: once for each run, and after 2 epochs while they trained, as the published code does; \
                    nothing was chosen on it";
    assert_eq!(notes[0], expected);
}

/// Both ended with a panic.
#[test]
fn damaged_files_of_runs_are_refused_or_shown_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [("a", &a), ("b", &b)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    let refused = || Comparison::of(&runs, &CompareOptions::default()).unwrap_err();
    on(&runs[0], "a");
    on(&runs[1], "b");
    let file = runs[0].join("data.json");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("a-split-digest", "a")).unwrap();
    let error = refused().to_string();
    assert!(error.contains("different splits: 3 train, 3 valid, 3 test (a) and"), "{error}");
    runs.iter().for_each(|run| fs::remove_file(run.join("data.json")).unwrap());
    // The second run's, as the first tells how many there are.
    change_patients(&runs[1], |table| {
        table.rows.values_mut().flat_map(BTreeMap::values_mut).for_each(|column| column.truncate(1));
    });
    let error = refused();
    let text = error.to_string();
    assert!(error.exit_code() == 2 && text.contains("patients-1-finetune.json"), "{text}");
}
