//! Comparisons of runs that are written here, with values whose statistics SciPy has computed.

use super::resample::tests::columns;
use super::*;
use crate::experiment::outcome::{Outcome, Row, StageOutcome};
use crate::experiment::patients::PatientTable;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// Writes a run of an encoder and a seed, whose patients have `values` in R@10.
fn write(folder: &Path, encoder: &str, seed: u64, values: &[f64], objective: &str) -> PathBuf {
    let path = folder.join(format!("{encoder}-{seed}"));
    fs::create_dir_all(&path).unwrap();
    let manifest = format!(
        "name = 'x'\nseed = {seed}\n[data]\nparser = {{ type = 'p' }}\nsplit = {{ type = 'random' }}\n[model]\n\
         graph_encoder = {{ type = '{encoder}' }}\n[[stage]]\ntype = 'finetune'\ntask = {{ type = '{objective}' }}\n"
    );
    fs::write(path.join("manifest.toml"), manifest).unwrap();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let metrics = |v: f64| vec![("F1-w".to_owned(), v / 2.0), ("R@10".to_owned(), v)];
    let row = |name: String, metrics| Row { name, metrics, ..Row::default() };
    let rows = vec![
        row("history".into(), metrics(0.2)),
        row(format!("x, epoch {}", seed + 3), metrics(mean)),
        row("oracle".into(), metrics(0.9)),
    ];
    let stage = StageOutcome {
        stage: "1-finetune".into(),
        objective: objective.into(),
        inputs: None,
        examples: values.len(),
        patients: None,
        epoch: seed as usize + 2,
        caption: String::new(),
        rows,
    };
    let outcome = Outcome {
        name: "x".into(),
        device: "cpu".into(),
        parameters: 7,
        seconds: 1.0,
        vectors: Vec::new(),
        trained: Vec::new(),
        stages: vec![stage],
    };
    fs::write(path.join("result.json"), serde_json::to_string(&outcome).unwrap()).unwrap();
    let column = |v: &[f64]| BTreeMap::from([("R@10".to_owned(), v.iter().map(|v| Some(*v)).collect())]);
    let table = PatientTable {
        patients: (0..values.len()).map(|i| i.to_string()).collect(),
        persons: Vec::new(),
        rows: BTreeMap::from([
            (format!("x, epoch {}", seed + 3), column(values)),
            ("history".to_owned(), column(&vec![0.2; values.len()])),
        ]),
    };
    fs::write(path.join("patients-1-finetune.json"), serde_json::to_string(&table).unwrap()).unwrap();
    path
}

/// A run whose task has a further option, and what the run says of the options that say what a model sees.
fn asked(folder: &Path, name: &str, option: &str, inputs: Option<&[&str]>) -> Record {
    let run = write(folder, name, 1, &[0.5, 0.6], "diagnosis");
    let file = run.join("manifest.toml");
    let manifest = fs::read_to_string(&file).unwrap();
    fs::write(&file, manifest.replace("'diagnosis' }", &format!("'diagnosis', {option} }}"))).unwrap();
    let file = run.join("result.json");
    let mut outcome: Outcome = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    outcome.stages[0].inputs = inputs.map(|all| all.iter().map(|&key| key.to_owned()).collect());
    fs::write(&file, serde_json::to_string(&outcome).unwrap()).unwrap();
    Record::read(&run).unwrap()
}

#[test]
fn options_that_say_what_is_seen_make_no_other_task() {
    let folder = tempfile::tempdir().unwrap();
    let pair = |options: [&str; 2], inputs: [Option<&[&str]>; 2]| {
        let [a, b] = [0, 1].map(|i| asked(folder.path(), ["a", "b"][i], options[i], inputs[i]));
        comparable(&a, &b)
    };
    let (windows, labs) = (["window = 1", "window = 2"], ["labs = 'last'", "labs = 'none'"]);
    pair(windows, [Some(&["window"]); 2]).unwrap();
    // An objective whose `labs` are what it asks about does not mark them.
    let error = pair(labs, [Some(&[]); 2]).unwrap_err().to_string();
    assert!(error.starts_with("these runs have different tasks"), "{error}");
    // Runs of older versions say nothing of it.
    pair(labs, [None; 2]).unwrap();
    pair(labs, [None, Some(&["labs"])]).unwrap();
    assert!(pair(windows, [None; 2]).is_err());
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} ± {tolerance}");
}

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
    // SciPy's intervals and p-values of b − a and c − a (resample_tests.rs), and statsmodels' correction of the two.
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

/// A run as [`write`] writes it, with its R@10 on valid.
fn write_with_valid(folder: &Path, name: &str, seed: u64, values: &[f64], valid: f64) -> PathBuf {
    let path = write(folder, name, seed, values, "diagnosis");
    let record = crate::train::EpochRecord {
        stage: "1-finetune".into(),
        epoch: seed as usize + 2,
        train_loss: 1.0,
        valid_loss: None,
        valid: vec![("R@10".into(), valid)],
        test: Vec::new(),
        lr: 0.1,
        seconds: 1.0,
    };
    fs::write(path.join("metrics.jsonl"), record.to_json().unwrap() + "\n").unwrap();
    path
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
    assert!(table.notes[1].starts_with("test was read 9 times"), "{:?}", table.notes);
    assert_eq!(table.to_json(false)[0]["tuned"], "lr = 0.2");

    // Chosen with the first seed alone, it is another setting, with all runs that this has.
    let first = [0, 1, 2, 3, 5, 6, 7, 8].map(|i| PlannedRun { decides: [0, 2, 5, 7].contains(&i), ..runs[i].clone() });
    let table = Comparison::of_planned(&first, &options).unwrap();
    assert_eq!((table.rows[0].tuned.as_deref(), table.rows[0].runs), (Some("lr = 0.1"), 2));
    let note = "each row is the best of 2 settings on valid, by R@10, with seed 1: x: lr = 0.1; y: lr = 0.2";
    assert_eq!(table.notes[0], note);

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
            runs.push(PlannedRun { folder, row: row.into(), setting: None, decides: true });
        }
    }
    let table = Comparison::of_planned(&runs, &CompareOptions::default()).unwrap();
    let names: Vec<(&str, usize)> = table.rows.iter().map(|r| (r.name.as_str(), r.runs)).collect();
    assert_eq!(names, [("gat", 4), ("gcn", 4), ("history", 8), ("oracle", 8)]);
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

/// Gives a run the caption of its table.
fn say(run: &Path, caption: &str) {
    let file = run.join("result.json");
    let mut outcome: Outcome = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    outcome.stages[0].caption = caption.to_owned();
    fs::write(&file, serde_json::to_string(&outcome).unwrap()).unwrap();
}

#[test]
fn every_form_says_what_enters_and_where_rows_differ_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [("gat", &a), ("g_n", &b)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    let table = || Comparison::of(&runs, &CompareOptions::default()).unwrap();
    let forms = |table: &Comparison| {
        let texts = [Format::Table, Format::Markdown, Format::Latex].map(|form| table.render(form, None).unwrap());
        [&texts[..], &[table.html("x")]].concat()
    };
    assert_eq!(table().caption(), "diagnosis · test, 300 patients");
    assert_eq!(table().entered(), None);
    runs.iter().for_each(|run| say(run, "labs of all visits before"));
    for text in forms(&table()) {
        assert!(text.contains("diagnosis · test, 300 patients · labs of all visits before"), "{text}");
        assert!(!text.contains("rows differ"), "{text}");
    }
    say(&runs[1], "labs of the last visit before");
    for text in forms(&table()) {
        let rows = "rows differ in what enters: gat: labs of all visits before; g_n: labs of the last visit before";
        assert!(text.replace("g\\_n", "g_n").contains(rows), "{text}");
        assert!(!text.contains("patients · labs"), "{text}");
    }
    // Such as a run of an older version.
    say(&runs[1], "");
    assert!(table().entered().unwrap().ends_with("; g_n: not recorded"));
    // What most rows have is said once.
    let third = write(folder.path(), "third", 1, &b, "diagnosis");
    say(&third, "labs of all visits before");
    let table = Comparison::of(&[&runs[..], &[third]].concat(), &CompareOptions::default()).unwrap();
    let expected = "rows differ in what enters: g_n: not recorded; all others: labs of all visits before";
    assert_eq!(table.entered().as_deref(), Some(expected));
}

/// A rule that sees a knowledge graph is another one where the graph is.
#[test]
fn a_rule_that_another_configuration_lets_see_more_has_a_row_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [("a", &a), ("b", &b), ("c", &c)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    let file = runs[1].join("result.json");
    let mut outcome: Outcome = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    outcome.stages[0].rows[0].metrics[1].1 = 0.3;
    fs::write(&file, serde_json::to_string(&outcome).unwrap()).unwrap();
    let table = Comparison::of(&runs, &CompareOptions::default()).unwrap();
    let found: Vec<(&str, usize, f64)> =
        table.rows.iter().map(|r| (r.name.as_str(), r.runs, r.metrics[1].1.mean)).skip(3).collect();
    assert_eq!(found, [("history (a)", 2, 0.2), ("history (b)", 1, 0.3), ("oracle", 3, 0.9)]);
}

/// Gives the experiment of a run another name.
fn rename(run: &Path, name: &str) {
    let file = run.join("result.json");
    let mut outcome: Outcome = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    outcome.name = name.to_owned();
    fs::write(&file, serde_json::to_string(&outcome).unwrap()).unwrap();
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

#[test]
fn what_stands_out_is_bold() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let better: Vec<f64> = a.iter().map(|v| v + 0.1).collect();
    let runs = [("a", &a), ("b", &b), ("c", &better)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    let table = Comparison::of(&runs, &CompareOptions::default()).unwrap();
    let best: Vec<_> = table.rows.iter().map(|r| r.best.clone()).collect();
    assert_eq!(best[2], ["R@10"]);
    assert!(best[0].is_empty() && best[1].is_empty());
    let markdown = table.render(Format::Markdown, None).unwrap();
    assert!(markdown.contains("**0.4893**"), "{markdown}");
    assert!(table.render(Format::Latex, None).unwrap().contains("\\textbf{0.4893}"));
    assert!(table.render(Format::Table, None).unwrap().contains("0.4893*"));
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

/// Every patient twice with the same values: nothing more is known than from each once.
#[test]
fn examples_of_a_patient_are_drawn_together() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let twice: Vec<f64> = a.iter().flat_map(|&v| [v, v]).collect();
    let (once, both) =
        (write(folder.path(), "gat", 1, &a, "diagnosis"), write(folder.path(), "gcn", 1, &twice, "diagnosis"));
    let file = both.join("patients-1-finetune.json");
    let mut table: PatientTable = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    table.patients = (0..twice.len()).map(|i| (i / 2).to_string()).collect();
    fs::write(&file, serde_json::to_string(&table).unwrap()).unwrap();
    let [once, both] = [once, both].map(|run| Comparison::of(&[run], &CompareOptions::default()).unwrap());
    assert!(once.caption().ends_with("test, 300 patients"), "{}", once.caption());
    assert!(both.caption().ends_with("test, 600 examples of 300 patients"), "{}", both.caption());
    let recall = |table: &Comparison| (table.rows[0].metrics[1].1, table.rows[1].difference[1].1);
    let ((a, less_a), (b, less_b)) = (recall(&once), recall(&both));
    near(a.low.unwrap(), b.low.unwrap(), 1e-9);
    near(less_a.high.unwrap(), less_b.high.unwrap(), 1e-9);
    assert_eq!(less_a.p, less_b.p);
}

/// Patients say the same in every draw, and runs do not: of two runs .1 apart the mean moves by .05 in half of the draws, times
/// √2, of two .06 apart by .03. Both move together to one side in a sixteenth of the draws.
#[test]
fn differences_of_rows_with_several_seeds_are_over_seeds_too() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let plus = |by: f64| a.iter().map(|v| v + by).collect::<Vec<f64>>();
    let runs = [("gat", 1, 0.0), ("gat", 2, 0.1), ("gcn", 1, 0.02), ("gcn", 2, 0.08), ("gin", 1, 0.05)]
        .map(|(name, seed, by)| write(folder.path(), name, seed, &plus(by), "diagnosis"));
    let table = Comparison::of(&runs, &CompareOptions::default()).unwrap();
    let of = |row: usize| table.rows[row].difference[1].1;
    assert_eq!(["gat", "gcn", "gin"], [0, 1, 2].map(|row| table.rows[row].name.as_str()));
    near(of(1).mean, 0.0, 1e-12);
    near(of(1).high.unwrap(), 0.08 * 2f64.sqrt(), 1e-9);
    near(of(1).low.unwrap(), -0.08 * 2f64.sqrt(), 1e-9);
    // One run says nothing of other seeds.
    near(of(2).low.unwrap(), 0.0, 1e-9);
    near(of(2).high.unwrap(), 0.0, 1e-9);
    let text = table.render(Format::Table, None).unwrap();
    assert!(
        text.contains(
            "±: half a 95 % interval over patients, and over runs where both rows have several, p by random signs"
        ),
        "{text}"
    );
}

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

/// Two patients who are one person are drawn as one.
#[test]
fn persons_who_are_several_patients_are_drawn_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let once = write(folder.path(), "gat", 1, &a, "diagnosis");
    let twice = write(folder.path(), "gcn", 1, &[a.clone(), a.clone()].concat(), "diagnosis");
    let file = twice.join("patients-1-finetune.json");
    let mut table: PatientTable = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    table.persons = (0..a.len()).chain(0..a.len()).collect();
    fs::write(&file, serde_json::to_string(&table).unwrap()).unwrap();
    let [once, twice] = [once, twice].map(|run| Comparison::of(&[run], &CompareOptions::default()).unwrap());
    assert!(twice.caption().ends_with("test, 600 patients"), "{}", twice.caption());
    near(once.rows[0].metrics[1].1.low.unwrap(), twice.rows[0].metrics[1].1.low.unwrap(), 1e-9);
}

#[test]
fn a_rule_that_is_as_good_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    // The same mean as the rule's .2, and another for every patient.
    let level: Vec<f64> = a.iter().map(|v| v - 0.38933333333333336 + 0.203).collect();
    let run = write(folder.path(), "gat", 1, &level, "diagnosis");
    let table = Comparison::of(&[run], &CompareOptions::default()).unwrap();
    assert!(table.verdict.starts_with("history alone is as good as x: difference 0.0030 ±0.03"), "{}", table.verdict);
    let low: Vec<f64> = a.iter().map(|v| v - 0.3).collect();
    let run = write(folder.path(), "gat", 1, &low, "diagnosis");
    let table = Comparison::of(&[run], &CompareOptions::default()).unwrap();
    assert!(table.verdict.starts_with("believe history: better than x by 0.11"), "{}", table.verdict);
}

/// Gives a run further rules, whose patients have the same `values` in R@10.
fn add_rules(run: &Path, numbers: Range<usize>, values: &[f64]) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let (result, patients) = (run.join("result.json"), run.join("patients-1-finetune.json"));
    let mut outcome: Outcome = serde_json::from_str(&fs::read_to_string(&result).unwrap()).unwrap();
    let mut table: PatientTable = serde_json::from_str(&fs::read_to_string(&patients).unwrap()).unwrap();
    for name in numbers.map(|i| format!("rule {i}")) {
        let metrics = vec![("F1-w".to_owned(), mean / 2.0), ("R@10".to_owned(), mean)];
        outcome.stages[0].rows.insert(0, Row { name: name.clone(), metrics, ..Row::default() });
        let column = values.iter().map(|v| Some(*v)).collect();
        table.rows.insert(name, BTreeMap::from([("R@10".to_owned(), column)]));
    }
    fs::write(result, serde_json::to_string(&outcome).unwrap()).unwrap();
    fs::write(patients, serde_json::to_string(&table).unwrap()).unwrap();
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
    assert!(verdict().starts_with("rule 0 alone is as good as x: difference -0.0287 ±0.0"), "{}", verdict());
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

#[test]
fn tables_show_what_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [("a_b", &a), ("c&d", &b)].map(|(name, v)| write(folder.path(), name, 1, v, "diagnosis"));
    let table = Comparison::of(&runs, &CompareOptions::default()).unwrap();
    let latex = table.render(Format::Latex, None).unwrap();
    assert!(
        latex.contains("a\\_b & 0.1947 & \\textbf{0.3893}")
            && latex.contains("c\\&d")
            && latex.contains("\\bottomrule"),
        "{latex}"
    );
    let csv = table.render(Format::Csv, None).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().map(|l| l.split(',').collect()).collect();
    assert!(rows.iter().all(|r| r.len() == 11) && rows.len() == 5, "{csv}");
    let text = table.render(Format::Table, None).unwrap();
    let widths: std::collections::BTreeSet<usize> =
        text.lines().filter(|l| l.starts_with('─')).map(|l| l.chars().count()).collect();
    assert_eq!(widths.len(), 2, "{text}");
    assert!(
        lower_is_better("loss")
            && lower_is_better("Brier score")
            && !lower_is_better("R@10")
            && !lower_is_better("AUROC")
    );
}

/// Gives a run the metric AUC in place of R@10, with a score for each patient and each of two rows, and every third positive.
fn ask_yes_or_no(run: &Path, model: &[f64], history: &[f64]) {
    let read = |file: &str| fs::read_to_string(run.join(file)).unwrap();
    fs::write(run.join("result.json"), read("result.json").replace("\"R@10\"", "\"AUC\"")).unwrap();
    let mut table: PatientTable = serde_json::from_str(&read("patients-1-finetune.json")).unwrap();
    let truth = (0..model.len()).map(|i| Some(if i % 3 == 0 { 1.0 } else { 0.0 }));
    for (name, columns) in &mut table.rows {
        let scores = if name == "history" { history } else { model };
        let scores = scores.iter().map(|&score| Some(score)).collect();
        *columns = BTreeMap::from([("score".to_owned(), scores), ("truth".to_owned(), truth.clone().collect())]);
    }
    fs::write(run.join("patients-1-finetune.json"), serde_json::to_string(&table).unwrap()).unwrap();
}

#[test]
fn areas_are_resampled_in_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let run = write(folder.path(), "gat", 1, &a, "mortality");
    let options = CompareOptions { metrics: vec!["AUC".into()], ..CompareOptions::default() };
    let noise: Vec<f64> = (0..a.len()).map(|i| (i * 7919 % 101) as f64).collect();
    // The rule with the model's own scores: each resample has the same area twice.
    ask_yes_or_no(&run, &noise, &noise);
    let table = Comparison::of(std::slice::from_ref(&run), &options).unwrap();
    let history = &table.rows[1];
    assert_eq!(
        (history.name.as_str(), history.difference[0].1.low, history.difference[0].1.high),
        ("history", Some(0.0), Some(0.0))
    );
    assert!(history.metrics[0].1.low.is_some_and(|low| low < 0.5), "{history:?}");
    // Scores that tell the classes apart: an area of 1 in every resample.
    let sure: Vec<f64> = (0..a.len()).map(|i| if i % 3 == 0 { 1.0 } else { 0.0 }).collect();
    ask_yes_or_no(&run, &sure, &noise);
    let table = Comparison::of(std::slice::from_ref(&run), &options).unwrap();
    let (model, difference) = (&table.rows[0].metrics[0].1, &table.rows[1].difference[0].1);
    assert_eq!((model.low, model.high), (Some(1.0), Some(1.0)));
    assert!(difference.high.is_some_and(|high| high < 0.0) && difference.p.is_none(), "{difference:?}");
    assert!(table.verdict.starts_with("believe x: better than history by "), "{}", table.verdict);
    assert!(table.verdict.contains(" ±0.") && table.verdict.ends_with("(AUC)"), "{}", table.verdict);
}

#[test]
fn what_has_no_interval_says_why_and_less_is_better_has_an_arrow() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let run = write(folder.path(), "gat", 1, &a, "stay_days");
    let renamed = fs::read_to_string(run.join("result.json")).unwrap().replace("\"F1-w\"", "\"RMSE\"");
    fs::write(run.join("result.json"), renamed).unwrap();
    let of = |metrics: &[&str]| {
        let metrics = metrics.iter().map(|&m| m.to_owned()).collect();
        Comparison::of(std::slice::from_ref(&run), &CompareOptions { metrics, ..CompareOptions::default() }).unwrap()
    };
    // RMSE of the rule is half of .2, less than that of the model.
    let table = of(&["RMSE"]);
    assert!(
        table.verdict.contains("without an interval: the runs have no values of it by patient"),
        "{}",
        table.verdict
    );
    assert!(table.verdict.starts_with("x less history: -0.0947"), "{}", table.verdict);
    let text = |format| of(&["R@10", "RMSE"]).render(format, None).unwrap();
    assert!(text(Format::Table).contains("RMSE ↓\n") && text(Format::Markdown).contains("| | R@10 | RMSE ↓ |"));
    assert!(text(Format::Latex).contains("R@10 & RMSE $\\downarrow$"));
    assert!(text(Format::Csv).contains(",RMSE,") && !text(Format::Csv).contains('↓'));
    assert!(of(&["R@10", "RMSE"]).html("x").contains("RMSE ↓"));
}

#[test]
fn other_tasks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [write(folder.path(), "a", 1, &a, "diagnosis"), write(folder.path(), "b", 1, &b, "rare")];
    let error = Comparison::of(&runs, &CompareOptions::default()).unwrap_err().to_string();
    assert!(error.contains("different tasks: diagnosis and rare"), "{error}");
}

/// The same objective with other options asks something else, under a recipe with stages of its own, too.
#[test]
fn other_questions_of_one_task_are_refused_with_any_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [write(folder.path(), "a", 1, &a, "rare"), write(folder.path(), "b", 1, &b, "rare")];
    for (run, most) in runs.iter().zip([3, 20]) {
        let file = run.join("manifest.toml");
        let text = fs::read_to_string(&file).unwrap().replace("'finetune'\ntask", "'adapt'\ntest = true\nobjective");
        fs::write(&file, text.replace("'rare'", &format!("'rare', most = {most}"))).unwrap();
    }
    let error = Comparison::of(&runs, &CompareOptions::default()).unwrap_err().to_string();
    assert!(error.contains("different tasks: rare { most = 3 } and rare { most = 20 }"), "{error}");
}
