//! Tasks about stays ask about as many stays as PyHealth's, with as many of each class, on the open demos: `pyhealth/counts.py`
//! ran it and says how. Its stays are put in the order of time there; of the tables as they are, it has them in the order of
//! their identifiers, and a stay that is before an earlier one counts as a readmission.

use dualk_plugin_objectives::{DrugRecommendation, From, LengthOfStay, Mortality, Readmission, Seen};
use dualk_plugin_parser_mimic::{Mimic3Options, Mimic4Options};
use dualk_plugin_parser_sources::EicuOptions;
use dualk_sdk::data::events::{EventKind, EventTable};
use dualk_sdk::data::{SplitOptions, prepare};
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_sdk::serde_json::Value;
use dualk_tests::{data_dir, json, tests_dir};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const KINDS: [&str; 2] = ["procedures", "drugs"];

fn parse(options: impl BuildParser) -> Cohort {
    options.build().unwrap().parse(&ParserContext { progress: &Silent, compat: false, seed: 0, learns: None }).unwrap()
}

/// Made-up procedures and drugs of the stays of a cohort, as `counts.py` makes them: stays are numbered in the order of time;
/// those that 3 divides have no procedures, those that 4 divides no drugs.
fn make_up(cohort: &Cohort, folder: &Path, stay: &str, tables: [(&str, &str); 2]) {
    let mut stays: Vec<(i64, String)> = cohort
        .admissions
        .values()
        .iter()
        .zip(&cohort.admission_facts)
        .map(|(id, facts)| (facts.start.unwrap(), id.to_string()))
        .collect();
    stays.sort();
    for ((table, code), divisor) in tables.into_iter().zip([3, 4]) {
        let rows = stays.iter().enumerate().filter(|(number, _)| number % divisor != 0);
        let rows: String = rows.map(|(_, (_, id))| format!("{id},3893\n")).collect();
        fs::write(folder.join(table).with_extension("csv"), format!("{stay},{code}\n{rows}")).unwrap();
    }
}

/// A folder with the tables of another, to which more can be added.
fn beside(root: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        symlink(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// The number of examples of all parts, and of those with each of the first labels.
fn asked(task: &dyn Objective, data: &Dataset, classes: u32) -> (usize, Vec<usize>) {
    let mut found = (0, vec![0; classes as usize]);
    for part in [Split::Train, Split::Valid, Split::Test] {
        let examples = task.examples(data, part).unwrap();
        found.0 += examples.len();
        for (class, count) in (0..classes).zip(&mut found.1) {
            *count += examples.targets[0].rows().filter(|row| row.contains(&class)).count();
        }
    }
    found
}

fn numbers(value: &Value) -> Vec<usize> {
    let one = |value: &Value| value.as_u64().unwrap() as usize;
    value.as_array().map_or_else(|| vec![one(value)], |list| list.iter().map(one).collect())
}

/// Compares the tasks with the view `view` of PyHealth's counts.
fn agrees(data: &Dataset, counts: &Value, which: &str) {
    let needs: Vec<String> = if which == "some" { KINDS.map(String::from).to_vec() } else { Vec::new() };
    let readmission = |days| Readmission { days, from: From::Start, needs: needs.clone(), ..Default::default() };
    let stay = |single| LengthOfStay { single, needs: needs.clone(), seen: Seen::Visit, ..Default::default() };
    let mortality = Mortality { needs: needs.clone(), seen: Seen::Visit, ..Default::default() };
    let tasks: [(&str, &str, &dyn Objective, u32); 6] = [
        ("histories", "mortality", &mortality, 1),
        ("histories", "readmission_5", &readmission(5), 1),
        ("histories", "readmission_15", &readmission(15), 1),
        ("histories", "readmission_30", &readmission(30), 1),
        ("histories", "length_of_stay", &stay(false), 10),
        ("cohort", "length_of_stay", &stay(true), 10),
    ];
    for (view, name, task, classes) in tasks {
        let theirs = &counts[view][which][name];
        let labels = if classes == 1 { &theirs["positives"] } else { &theirs["classes"] };
        let (samples, of_classes) = asked(task, data, classes);
        assert_eq!((samples, of_classes), (numbers(&theirs["samples"])[0], numbers(labels)), "{which} {view} {name}");
    }
    if which == "some" {
        let drugs = DrugRecommendation { needs: vec!["procedures".into()], visits: 2, ..Default::default() };
        let theirs = numbers(&counts["histories"][which]["drug_recommendation"]["samples"])[0];
        assert_eq!(asked(&drugs, data, 0).0, theirs, "drug_recommendation");
    }
}

/// Both with and without further kinds.
fn agree(demo: &str, root: &Path, stay: &str, tables: [(&str, &str); 2], parse: impl Fn(&Path, bool) -> Cohort) {
    let counts = &json(&tests_dir().join("pyhealth/counts.json"))[demo];
    let cohort = parse(root, false);
    let folder = beside(root);
    make_up(&cohort, folder.path(), stay, tables);
    for (cohort, which) in [(cohort, "all"), (parse(folder.path(), true), "some")] {
        agrees(&prepare(cohort, &SplitOptions::default()).unwrap(), counts, which);
    }
}

#[test]
#[cfg_attr(not(real_tables), ignore = "needs the public demo tables")]
fn mimic4() {
    let tables = [("procedures_icd", "icd_code,icd_version"), ("prescriptions", "drug")];
    agree("mimic4", &data_dir().join("mimic-iv-demo-2.2/hosp"), "hadm_id", tables, |root, further| {
        if further {
            // The edition is a column of its own.
            let file = root.join("procedures_icd.csv");
            let text = fs::read_to_string(&file).unwrap().replace(",3893\n", ",3893,9\n");
            fs::write(file, text).unwrap();
        }
        let events = if further { vec![EventKind::Procedures, EventKind::Drugs] } else { Vec::new() };
        parse(Mimic4Options { root: FilePath(root.to_owned()), events, ..Default::default() })
    });
}

#[test]
#[cfg_attr(not(real_tables), ignore = "needs the public demo tables")]
fn mimic3() {
    let tables = [("PROCEDURES_ICD", "icd9_code"), ("PRESCRIPTIONS", "drug")];
    agree("mimic3", &data_dir().join("mimic-iii-demo"), "hadm_id", tables, |root, further| {
        let events = if further { vec![EventKind::Procedures, EventKind::Drugs] } else { Vec::new() };
        parse(Mimic3Options { root: FilePath(root.to_owned()), labs: false, events, ..Default::default() })
    });
}

/// The first code of a row of eICU's diagnoses, whose last column but one it is.
fn first_code(line: &str) -> &str {
    let (rest, _) = line.rsplit_once(',').unwrap();
    let codes = match rest.strip_suffix('"') {
        Some(quoted) => quoted.rsplit_once('"').unwrap().1,
        None => rest.rsplit_once(',').unwrap().1,
    };
    codes.split(',').next().unwrap().trim()
}

/// Numbers, V and E codes, as in `counts.py`.
fn is_icd9(code: &str) -> bool {
    let digits = |text: &str| text.bytes().next().is_some_and(|c| c.is_ascii_digit());
    digits(code)
        || code.strip_prefix('V').is_some_and(digits)
        || code.strip_prefix('E').is_some_and(|rest| {
            let category = rest.split('.').next().unwrap();
            category.len() == 3 && (category.starts_with('8') || category.starts_with('9'))
        })
}

#[test]
#[cfg_attr(not(real_tables), ignore = "needs the public demo tables")]
fn eicu() {
    let tables = [("physicalexam", "physicalexampath"), ("medication", "drugname")];
    // The counts are of stays with a row whose first code is of ICD-9-CM; others are mapped here, and counted as well.
    let demo = beside(&data_dir().join("eicu-demo"));
    let file = demo.path().join("diagnosis.csv");
    let text = fs::read_to_string(&file).unwrap();
    let kept = text.lines().enumerate().filter(|(i, line)| *i == 0 || is_icd9(first_code(line)));
    let kept: String = kept.map(|(_, line)| format!("{line}\n")).collect();
    assert!(kept.len() < text.len());
    fs::remove_file(&file).unwrap();
    fs::write(&file, kept).unwrap();
    agree("eicu", demo.path(), "patientunitstayid", tables, |root, further| {
        let examined =
            EventTable { kind: "procedures".into(), table: "physicalexam".into(), code: "physicalexampath".into() };
        let (events, event_tables) =
            if further { (vec![EventKind::Drugs], vec![examined]) } else { (Vec::new(), Vec::new()) };
        parse(EicuOptions { root: FilePath(root.to_owned()), events, event_tables, ..Default::default() })
    });
}

/// What the book says of PyHealth 1.1.6 on the tables of MIMIC-IV as they are.
#[test]
fn identifiers_are_not_the_order_of_time() {
    let counts = &json(&tests_dir().join("pyhealth/counts.json"))["mimic4"];
    let of = |view: &str, what: &str| numbers(&counts[view]["all"]["readmission_15"][what])[0];
    assert_eq!(
        (of("tables", "samples"), of("tables", "positives"), &counts["tables"]["stays_before_earlier_ones"]),
        (175, 90, &Value::from(88))
    );
    assert_eq!(
        (of("cohort", "samples"), of("cohort", "positives"), &counts["cohort"]["stays_before_earlier_ones"]),
        (126, 16, &Value::from(0))
    );
}
