//! What is drawn together for intervals: examples of a patient, patients of a person, and runs.

use super::{change_patients, columns, near, write};
use crate::experiment::compare::{CompareOptions, Comparison, Format};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every patient twice with the same values: nothing more is known than from each once.
#[test]
fn examples_of_a_patient_are_drawn_together() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let twice: Vec<f64> = a.iter().flat_map(|&v| [v, v]).collect();
    let (once, both) =
        (write(folder.path(), "gat", 1, &a, "diagnosis"), write(folder.path(), "gcn", 1, &twice, "diagnosis"));
    change_patients(&both, |table| table.patients = (0..twice.len()).map(|i| (i / 2).to_string()).collect());
    let [once, both] = [once, both].map(|run| Comparison::of(&[run], &CompareOptions::default()).unwrap());
    assert!(once.caption().ends_with("test, 300 patients"), "{}", once.caption());
    assert!(both.caption().ends_with("test, 600 examples of 300 patients"), "{}", both.caption());
    let recall = |table: &Comparison| (table.rows[0].metrics[1].1, table.rows[1].difference[1].1);
    let ((a, less_a), (b, less_b)) = (recall(&once), recall(&both));
    near(a.low.unwrap(), b.low.unwrap(), 1e-9);
    near(less_a.high.unwrap(), less_b.high.unwrap(), 1e-9);
    assert_eq!(less_a.p, less_b.p);
}

/// Who is the same in every draw: ± was 0 there.
#[test]
fn one_patient_says_nothing_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let run = write(folder.path(), "gat", 1, &[0.5, 0.75], "diagnosis");
    change_patients(&run, |table| table.patients = vec!["1".to_owned(); 2]);
    let table = Comparison::of(&[run], &CompareOptions::default()).unwrap();
    for row in &table.rows {
        assert!(row.metrics.iter().all(|(_, e)| e.low.is_none() && e.high.is_none()), "{row:?}");
    }
    assert!(table.verdict.contains("without an interval: there is one test patient alone"), "{}", table.verdict);
}

/// Two patients who are one person are drawn as one.
#[test]
fn persons_who_are_several_patients_are_drawn_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let once = write(folder.path(), "gat", 1, &a, "diagnosis");
    let twice = write(folder.path(), "gcn", 1, &[a.clone(), a.clone()].concat(), "diagnosis");
    change_patients(&twice, |table| table.persons = (0..a.len()).chain(0..a.len()).collect());
    let [once, twice] = [once, twice].map(|run| Comparison::of(&[run], &CompareOptions::default()).unwrap());
    assert!(twice.caption().ends_with("test, 600 patients"), "{}", twice.caption());
    near(once.rows[0].metrics[1].1.low.unwrap(), twice.rows[0].metrics[1].1.low.unwrap(), 1e-9);
}

/// Patients say the same in every draw, and runs do not:
/// `scipy.stats.ttest_ind([0, .1], [.02, .08], equal_var=False).confidence_interval()`, whose ends have a standard error of 4 % of
/// them where 10,000 draws give them.
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
    near(of(1).high.unwrap(), 0.312_427_8, 0.05);
    near(of(1).low.unwrap(), -0.312_427_8, 0.05);
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

#[test]
fn a_reader_is_told_how_far_to_believe_intervals_from_few_runs() {
    let folder = tempfile::tempdir().unwrap();
    let [a, ..]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs: Vec<_> = ["gat", "gcn"]
        .iter()
        .flat_map(|name| (1..=3).map(|seed| write(folder.path(), name, seed, &a, "diagnosis")).collect::<Vec<_>>())
        .collect();
    let told = |each: usize| {
        let some = [&runs[..each], &runs[3..3 + each]].concat();
        let notes = Comparison::of(&some, &CompareOptions::default()).unwrap().notes;
        notes.into_iter().find(|note| note.starts_with("rows of"))
    };
    assert_eq!(told(1).as_deref(), Some("rows of one run: no interval knows what another seed would give"));
    assert!(told(2).unwrap().starts_with("rows of two runs say little of the spread over seeds"));
    assert_eq!(told(3), None);
    // Of a run by itself there is nothing to tell apart but rules.
    let alone = Comparison::of(&runs[..1], &CompareOptions::default()).unwrap();
    assert!(!alone.notes.iter().any(|note| note.starts_with("rows of")));
}

/// Gives a run the metric AUC in place of R@10, with a score for each patient and each of two rows, and every third positive.
fn ask_yes_or_no(run: &Path, model: &[f64], history: &[f64]) {
    let file = run.join("result.json");
    let renamed = fs::read_to_string(&file).unwrap().replace("\"R@10\"", "\"AUC\"");
    fs::write(file, renamed).unwrap();
    let truth = (0..model.len()).map(|i| Some(if i % 3 == 0 { 1.0 } else { 0.0 }));
    change_patients(run, |table| {
        for (name, columns) in &mut table.rows {
            let scores = if name == "history" { history } else { model };
            let scores = scores.iter().map(|&score| Some(score)).collect();
            *columns = BTreeMap::from([("score".to_owned(), scores), ("truth".to_owned(), truth.clone().collect())]);
        }
    });
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
