//! Tasks about stays, through the program: those whose targets are numbers, and what files of predictions say.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use dualk_sdk::data::columns::{Values, write_parquet};
use dualk_sdk::data::tables::Table;
use dualk_sdk::experiment::{Outcome, Row};
use dualk_sdk::serde_json::{Value, from_slice};
use program::{dualk, printed, result, said, succeed};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Codes, the days of a stay with them, and those to the next.
const CODES: [(&str, i64, i64); 4] = [("I10", 1, 400), ("E11.9", 4, 120), ("I50.9", 9, 30), ("J18.9", 16, 8)];
const PATIENTS: u64 = 600;
const DAY: i64 = 86_400;

/// A number that depends on `key` alone and looks like chance, below `below`.
fn chance(key: u64, below: u64) -> u64 {
    let mixed = (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) % below
}

/// A moment since 1970 as text, by the algorithm of Hinnant, *chrono-compatible low-level date algorithms*.
fn stamp(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(DAY) + 719_468, seconds.rem_euclid(DAY));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (of_month, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{of_month:02} {:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Three stays a patient, of one code each, whose length and distance are those of the code, give or take a third. Patients are
/// women and men by turns, of 40 to 89 years.
fn write_visits(folder: &Path) {
    let mut text = "patient,visit,time,end,code,sex,age\n".to_owned();
    for patient in 0..PATIENTS {
        let mut time = 10_000 * DAY;
        for visit in 0..3 {
            let key = patient * 16 + visit * 4;
            let (code, days, next) = CODES[chance(key, 4) as usize];
            let varied = |days: i64, k: u64| days * DAY * (67 + chance(key + k, 67) as i64) / 100;
            let end = time + varied(days, 1);
            let (id, sex, age) = (patient * 3 + visit, ["f", "m"][patient as usize % 2], 40 + patient % 50);
            writeln!(text, "{patient},{id},{},{},{code},{sex},{age}", stamp(time), stamp(end)).unwrap();
            time = end + varied(next, 2);
        }
    }
    std::fs::write(folder.join("visits.csv"), text).unwrap();
}

fn run(folder: &Path, task: &str, loss: &str) -> Output {
    let manifest = format!(
        r#"name = "numbers"
[backend]
device = "cpu"
[data]
parser = {{ type = "csv", visits = "visits.csv" }}
split = {{ type = "random", train = 0.6, valid = 0.2, test = 0.2 }}
[model]
node_init = {{ type = "random", dim = 16 }}
graph_encoder = "none"
visit_fusion = {{ type = "gru", hidden = 32 }}
lab = "none"
head = {{ classifier = [32], dropout = 0.0 }}
[[stage]]
type = "finetune"
task = {task}
loss = {loss}
epochs = 20
lr = 0.01
"#
    );
    std::fs::write(folder.join("m.toml"), manifest).unwrap();
    dualk(folder, &["run", "m.toml", "--set", "output.runs=runs"])
}

/// The run of a task, the only one in the folder.
fn finished(folder: &Path, task: &str, loss: &str) -> PathBuf {
    let _ = std::fs::remove_dir_all(folder.join("runs"));
    printed(&run(folder, task, loss));
    std::fs::read_dir(folder.join("runs")).unwrap().map(|e| e.unwrap().path()).find(|p| p.is_dir()).unwrap()
}

/// The file of predictions of a task.
fn predictions(folder: &Path, task: &str, loss: &str) -> PathBuf {
    let run = finished(folder, task, loss);
    succeed(folder, &["eval", run.to_str().unwrap(), "--predictions", "predictions.parquet"]);
    folder.join("predictions.parquet")
}

/// Rows of the table: names, each with a metric.
fn rows(folder: &Path, task: &str, loss: &str, metric: &str) -> Vec<(String, f64)> {
    let run = finished(folder, task, loss);
    let result = result(&run);
    let value = |row: &Value| {
        let metrics = row["metrics"].as_array().unwrap();
        metrics.iter().find(|m| m[0] == metric).unwrap()[1].as_f64().unwrap()
    };
    let rows = result["stages"][0]["rows"].as_array().unwrap();
    rows.iter().map(|row| (row["name"].as_str().unwrap().to_owned(), value(row))).collect()
}

fn of(rows: &[(String, f64)], name: &str) -> f64 {
    rows.iter().find(|row| row.0.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {rows:?}")).1
}

/// Whoever knows the code is off by at most a third of the days, and by a sixth on average: 1.3 of 7.5 days. The ridge regression knows
/// it, and which visit was the last.
#[test]
fn days_of_stays_are_learnt_with_each_loss_for_numbers() {
    let folder = tempfile::tempdir().unwrap();
    write_visits(folder.path());
    let mean = r#"{ type = "stay_days", head = "direct" }"#;
    let log_mean = r#"{ type = "stay_days", head = "direct", learns = "log_mean" }"#;
    for (task, loss) in [(mean, r#""mse""#), (mean, r#"{ type = "huber", delta = 2.0 }"#), (log_mean, r#""poisson""#)] {
        let rows = rows(folder.path(), task, loss, "MAE");
        let (mean, ridge, model) = (of(&rows, "mean"), of(&rows, "ridge regression"), of(&rows, "numbers, epoch"));
        assert!(of(&rows, "own stays before") > 2.0 && mean > 4.0, "{rows:?}");
        assert!(model < 2.0 && model < 0.6 * mean, "{loss}: {rows:?}");
        assert!((1.1..1.5).contains(&ridge), "{loss}: {rows:?}");
    }
}

/// The model's row of the table of a run, and the number of test examples.
fn model(run: &Path) -> (Row, usize) {
    let outcome: Outcome = from_slice(&std::fs::read(run.join("result.json")).unwrap()).unwrap();
    let stage = outcome.stages.last().unwrap();
    (stage.model().unwrap().clone(), stage.examples)
}

/// Of each measure the parts by history, sex and age are of all examples.
fn check_parts(row: &Row, examples: usize, parts: [(&str, &[&str]); 3], measures: &[&str]) {
    for (by, names) in parts {
        for measure in measures {
            let of = row.strata.iter().filter(|s| s.by == by && s.measure == *measure);
            assert_eq!(of.clone().map(|s| s.part.as_str()).collect::<Vec<_>>(), names, "{measure} by {by}");
            assert_eq!(of.map(|s| s.number).sum::<usize>(), examples, "{measure} by {by}");
        }
    }
    let measured = parts.iter().map(|(_, names)| names.len() * measures.len()).sum::<usize>();
    assert_eq!(row.strata.len(), measured);
    for (name, value) in row.metrics.iter().filter(|metric| measures.contains(&metric.0.as_str())) {
        let interval = row.intervals.iter().find(|i| i.name == *name).unwrap_or_else(|| panic!("{name}: no interval"));
        assert!(interval.low < *value && *value < interval.high, "{name} {value}: {interval:?}");
        assert!(row.measures.iter().any(|(measure, _)| *measure == format!("valid {name}")), "{name}");
    }
}

#[test]
fn numbers_are_measured_by_history_sex_and_age() {
    let folder = tempfile::tempdir().unwrap();
    write_visits(folder.path());
    let run = finished(folder.path(), r#"{ type = "stay_days", head = "direct" }"#, r#""mse""#);
    let (row, examples) = model(&run);
    let (sexes, ages) = (["female", "male"], ["<45", "45–64", "65–79", "80+"]);
    let histories = ["1 visit", "2 visits", "3 visits"];
    let parts = [("history", &histories[..]), ("sex", &sexes), ("age", &ages)];
    check_parts(&row, examples, parts, &["MAE", "RMSE", "R2"]);
    // An error of all is the mean of those of the parts, by their size; squares likewise.
    for (name, power) in [("MAE", 1), ("RMSE", 2)] {
        let all = row.metrics.iter().find(|metric| metric.0 == name).unwrap().1.powi(power);
        for by in ["history", "sex", "age"] {
            let of = row.strata.iter().filter(|s| s.by == by && s.measure == name);
            let mean = of.map(|s| s.value.powi(power) * s.number as f64).sum::<f64>() / examples as f64;
            assert!((mean - all).abs() < 1e-9 * all, "{name} by {by}: {mean} and {all}");
        }
    }
    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("MAE ↓, by the length of the history") && report.contains("RMSE ↓, by age"));
    // Days are more than 1.
    assert!(report.contains("from 0 to 1</th>") && report.matches("<th scope=\"col\">from 0 to").count() == 9);
    let run = finished(folder.path(), r#"{ type = "time_to_readmission", head = "direct" }"#, r#""cox""#);
    let (row, examples) = model(&run);
    let parts = [("history", &histories[..2]), ("sex", &sexes), ("age", &ages)];
    check_parts(&row, examples, parts, &["C-index"]);
}

#[test]
fn times_to_the_next_stay_are_ordered() {
    let folder = tempfile::tempdir().unwrap();
    write_visits(folder.path());
    let rows = rows(folder.path(), r#"{ type = "time_to_readmission", head = "direct" }"#, r#""cox""#, "C-index");
    assert!(of(&rows, "numbers, epoch") > 0.8 && of(&rows, "own last time") < 0.6, "{rows:?}");
    // It knows which code was last, by which times go: where it did not, it had 0.81, as statsmodels and lifelines have.
    assert!(of(&rows, "Cox regression") > 0.85, "{rows:?}");
}

#[test]
fn a_loss_for_other_targets_is_refused_with_those_that_fit() {
    let folder = tempfile::tempdir().unwrap();
    write_visits(folder.path());
    let refused = |task: &str, loss: &str, says: &[&str]| {
        let output = run(folder.path(), task, loss);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        says.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
    };
    refused(r#""stay_days""#, r#""bce""#, &["m.toml:16", "`bce` compares labels", "`huber`", "`mse`"]);
    refused(r#""diagnosis""#, r#""mse""#, &["m.toml:16", "are labels", "`bce`", "`focal`"]);
    refused(r#""time_to_readmission""#, r#""poisson""#, &["m.toml:16", "times to an event", "`cox`"]);
}

/// Patients, admissions, times and numbers of visits of predictions, with the numbers that are the targets.
fn asked(file: &Path, target: &str) -> Vec<(i64, i64, i64, i64, f64)> {
    let table = Table::at(file, &["patient", "admission", "time", "visits", target]).unwrap();
    let rows = table.read().unwrap();
    let [patients, admissions, times, visits] =
        ["patient", "admission", "time", "visits"].map(|column| rows.integers(column).unwrap());
    let targets: Vec<f64> = rows.texts(target).unwrap().map(|text| text.unwrap().parse().unwrap()).collect();
    assert!(!targets.is_empty());
    (0..targets.len()).map(|i| (patients[i], admissions[i], times[i], visits[i], targets[i])).collect()
}

/// Beginning and end of every stay, by its place among the rows, which is its number.
fn stays(folder: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join("visits.csv")).unwrap();
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    text.lines().skip(1).map(cells).map(|cells| (cells[2].clone(), cells[3].clone())).collect()
}

#[test]
fn predictions_name_the_stay_that_is_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    write_visits(folder.path());
    let stays = stays(folder.path());
    let file = predictions(folder.path(), r#"{ type = "stay_days", head = "direct" }"#, r#""mse""#);
    for (patient, admission, time, visits, days) in asked(&file, "days:target") {
        // Its own codes are seen.
        assert_eq!((patient, visits), (admission / 3, admission % 3 + 1));
        let end = time + (days * DAY as f64).round() as i64;
        assert_eq!((stamp(time), stamp(end)), stays[admission as usize]);
    }
    let task = r#"{ type = "time_to_readmission", head = "direct", horizon = 2000 }"#;
    let file = predictions(folder.path(), task, r#""cox""#);
    for (patient, admission, time, visits, days) in asked(&file, "hazard:target") {
        assert_eq!((patient, visits), (admission / 3, admission % 3));
        assert_eq!(stamp(time), stays[admission as usize].0);
        // Days are numbers of 32 bits, hundreds of them good to a few seconds.
        let end = time - (days * DAY as f64).round() as i64;
        assert!((end - 4..=end + 4).any(|end| stamp(end) == stays[admission as usize - 1].1), "{admission}: {days}");
    }
}

#[test]
fn predictions_replace_no_file_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    write_visits(folder.path());
    let run = finished(folder.path(), r#"{ type = "readmission", head = "direct" }"#, r#""bce""#);
    let eval = |file: &str| dualk(folder.path(), &["eval", run.to_str().unwrap(), "--predictions", file]);
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let columns = vec![("patient".to_owned(), Values::from(vec![1i64]))];
    write_parquet(&folder.path().join("cohort.parquet"), columns).unwrap();
    for file in ["notes.txt", "cohort.parquet"] {
        let before = std::fs::read(folder.path().join(file)).unwrap();
        let output = eval(file);
        let said = said(&output);
        assert!(output.status.code() == Some(2) && said.contains(file) && said.contains("another file"), "{said}");
        assert_eq!(std::fs::read(folder.path().join(file)).unwrap(), before);
    }
    for time in ["first", "second"] {
        let output = eval("predictions.parquet");
        assert!(output.status.success(), "{time}: {}", said(&output));
    }
}

#[test]
fn columns_of_predictions_have_the_names_of_their_codes() {
    let folder = tempfile::tempdir().unwrap();
    write_visits(folder.path());
    std::fs::write(folder.path().join("chronic.txt"), "E11.9\n").unwrap();
    let task = r#"{ type = "chronic_excluded", head = "direct", path = "chronic.txt" }"#;
    let file = predictions(folder.path(), task, r#""bce""#);
    let mut names = Table::at(&file, &[]).unwrap().header().to_vec();
    names[5..].sort_unstable();
    assert_eq!(names, ["patient", "admission", "time", "visits", "targets", "I10", "I50.9", "J18.9"]);
    let file = predictions(folder.path(), r#"{ type = "readmission", head = "direct" }"#, r#""bce""#);
    assert_eq!(Table::at(&file, &[]).unwrap().header()[5..], ["readmission"]);
}

#[test]
fn admissions_are_called_as_in_the_source() {
    let folder = tempfile::tempdir().unwrap();
    write_visits(folder.path());
    let visits = std::fs::read_to_string(folder.path().join("visits.csv")).unwrap();
    let called = |(i, line): (usize, &str)| match (i, line.splitn(3, ',').collect::<Vec<_>>().as_slice()) {
        (0, _) => line.to_owned(),
        (_, [patient, visit, rest]) => format!("{patient},stay {visit},{rest}"),
        _ => panic!("{line}"),
    };
    let lines: Vec<String> = visits.lines().enumerate().map(called).collect();
    std::fs::write(folder.path().join("visits.csv"), lines.join("\n")).unwrap();
    let file = predictions(folder.path(), r#"{ type = "stay_days", head = "direct" }"#, r#""mse""#);
    let table = Table::at(&file, &["patient", "admission", "visits"]).unwrap();
    let rows = table.read().unwrap();
    let (patients, visits) = (rows.integers("patient").unwrap(), rows.integers("visits").unwrap());
    let expected = patients.iter().zip(&visits).map(|(patient, visits)| format!("stay {}", patient * 3 + visits - 1));
    let found: Vec<String> = rows.texts("admission").unwrap().map(|text| text.unwrap().to_owned()).collect();
    assert!(!found.is_empty());
    assert_eq!(found, expected.collect::<Vec<_>>());
}
