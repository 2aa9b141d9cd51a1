//! Every form of a table, and what it says around its numbers.

use super::{change_outcome, columns, write};
use crate::experiment::compare::{CompareOptions, Comparison, Format};
use crate::train::metrics::lower_is_better;
use std::fs;
use std::path::Path;

/// Gives a run the caption of its table.
fn say(run: &Path, caption: &str) {
    change_outcome(run, |outcome| outcome.stages[0].caption = caption.to_owned());
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
