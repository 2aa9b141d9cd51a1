//! Small MEDS shards, written here.

use super::*;
use crate::Abnormal;
use crate::testing::{Folder, parse, parse_learning_from};
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::data::columns::{Values, write_parquet};
use dualk_sdk::data::{LabItem, Sex, seconds};
use std::fs;

type Row = (i64, Option<&'static str>, &'static str, Option<f32>);

/// A file with the standard's columns and types: int64, timestamp in microseconds, string, float32.
fn shard(folder: &Folder, name: &str, rows: &[Row]) {
    let path = folder.path().join("data").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let micros = |text: &str| -> i64 {
        let part = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
        // Days of 2016 alone.
        let days: i64 = 16_801 + [0, 31, 60, 91, 121][part(5..7) as usize - 1] + part(8..10) - 1;
        (days * 86_400 + part(11..13) * 3600 + part(14..16) * 60) * 1_000_000
    };
    let columns = [
        ("subject_id", Values::from(rows.iter().map(|row| row.0).collect::<Vec<_>>())),
        ("time", Values::times(rows.iter().map(|row| row.1.map(micros)).collect())),
        ("code", rows.iter().map(|row| row.2).collect::<Vec<_>>().into()),
        ("numeric_value", rows.iter().map(|row| row.3).collect::<Vec<_>>().into()),
    ];
    write_parquet(&path, columns.map(|(name, values)| (name.to_owned(), values)).into()).unwrap();
}

fn folder() -> Folder {
    let folder = Folder::new();
    let at = Some;
    let mut first: Vec<Row> = vec![
        (7, None, "GENDER//F", None),
        (7, at("2016-01-02 10:00"), "DIAGNOSIS//ICD//9//486", None),
        (7, at("2016-03-01 10:00"), "HOSPITAL_ADMISSION//EW EMER.", None),
        (7, at("2016-03-01 10:00"), "DIAGNOSIS//ICD//9//4280", None),
        (7, at("2016-03-09 10:00"), "DIAGNOSIS//ICD//10//E119", None),
        (7, at("2016-02-01 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-02-02 10:00"), "DIAGNOSIS//ICD//10//I509", None),
        (7, at("2016-02-02 11:00"), "LAB//50931//mg/dL", Some(500.0)),
    ];
    first.extend((1..=200).map(|v| (7, at("2016-03-02 09:00"), "LAB//50931//mg/dL", Some(v as f32))));
    shard(&folder, "train/0.parquet", &first);
    let second = [
        (8, at("2016-04-01 00:00"), "HOSPITAL_ADMISSION", None),
        (9, at("2016-04-01 00:00"), "HOSPITAL_ADMISSION", None),
        (9, at("2016-04-01 05:00"), "DIAGNOSIS//ICD//9//4280", None),
    ];
    shard(&folder, "held_out/0.parquet", &second);
    folder.write("map.csv", "ICD10,ICD9\nI509,4280\n");
    folder
}

/// What the data set says of a code.
fn describe(folder: &Folder, code: &str, description: &str) {
    fs::create_dir(folder.path().join("metadata")).unwrap();
    let columns = [("code", vec![code]), ("description", vec![description])];
    let columns = columns.map(|(name, values)| (name.to_owned(), Values::from(values)));
    write_parquet(&folder.path().join("metadata/codes.parquet"), columns.into()).unwrap();
}

fn options(folder: &Folder) -> MedsOptions {
    let path = |name: &str| FilePath(folder.path().join(name));
    MedsOptions { root: path(""), icd_map: path("map.csv"), ..Default::default() }
}

fn codes(cohort: &Cohort) -> Vec<Vec<&str>> {
    let name = |&code: &u32| cohort.code_names[code as usize].as_str();
    cohort.codes.rows().map(|row| row.iter().map(name).collect()).collect()
}

#[test]
fn a_subject_in_several_files_is_one_patient() {
    let at = Some;
    let rows: [Row; 7] = [
        (7, None, "GENDER//F", None),
        (7, at("2016-02-01 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-02-02 10:00"), "DIAGNOSIS//ICD//9//4280", None),
        (7, at("2016-03-01 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-03-02 10:00"), "DIAGNOSIS//ICD//9//25000", None),
        (7, at("2016-03-03 10:00"), "UNKNOWN", None),
        (8, at("2016-03-03 10:00"), "UNKNOWN", None),
    ];
    let whole = Folder::new();
    shard(&whole, "0.parquet", &rows);
    let one = MedsOptions { root: FilePath(whole.path().to_owned()), ..Default::default() };
    let one = parse(one, false).unwrap();
    assert_eq!((one.patients.as_slice(), codes(&one)), (&[7][..], vec![vec!["428.0"], vec!["250.00"]]));
    // Out of order, and with a last file that has nothing that counts.
    let parts = Folder::new();
    for (name, range) in [("0.parquet", 3..5), ("1.parquet", 0..3), ("2.parquet", 5..7)] {
        shard(&parts, name, &rows[range]);
    }
    let several = MedsOptions { root: FilePath(parts.path().to_owned()), ..Default::default() };
    let several = parse(several, false).unwrap();
    assert_eq!((&several.patients, codes(&several)), (&one.patients, codes(&one)));
    assert_eq!((several.patient_facts, several.admission_facts), (one.patient_facts, one.admission_facts));
}

#[test]
fn times_may_be_texts_in_any_format() {
    let folder = Folder::new();
    let write = |times: [&str; 4]| {
        let codes = ["HOSPITAL_ADMISSION", "DIAGNOSIS//ICD//9//4280", "HOSPITAL_DISCHARGE", "GENDER//F"];
        let columns = [
            ("subject_id", Values::from(vec![7i64; 4])),
            ("time", times.to_vec().into()),
            ("code", codes.to_vec().into()),
            ("numeric_value", vec![None::<f32>; 4].into()),
        ];
        let columns = columns.map(|(name, values)| (name.to_owned(), values)).into();
        write_parquet(&folder.path().join("0.parquet"), columns).unwrap();
    };
    let with = |format: &str| {
        let options = MedsOptions {
            root: FilePath(folder.path().to_owned()),
            date_format: format.into(),
            abnormal: Abnormal::None,
            ..Default::default()
        };
        parse(options, false)
    };
    write(["2016-02-01 10:00", "2016-02-02 10:00", "2016-02-03 11:30", ""]);
    let expected = with("").unwrap();
    assert_eq!(expected.admission_facts[0].end, seconds("2016-02-03 11:30"));
    write(["01/02/2016 10:00", "02/02/2016 10:00", "03/02/2016 11:30", ""]);
    assert_eq!(with("%d/%m/%Y %H:%M").unwrap(), expected);
    let error = with("").unwrap_err().to_string();
    assert!(error.contains("0.parquet") && error.contains("date_format"), "{error}");
    assert!(with("%d").unwrap_err().to_string().starts_with("`date_format`"));
}

#[test]
fn age_is_the_time_since_birth() {
    let folder = Folder::new();
    let events = [
        (7i64, "", "GENDER//F"),
        (7, "1956-02-01 10:00", "MEDS_BIRTH"),
        (7, "2016-02-02 10:00", "HOSPITAL_ADMISSION"),
        (7, "2016-02-03 10:00", "DIAGNOSIS//ICD//9//4280"),
        (8, "2016-03-01 10:00", "HOSPITAL_ADMISSION"),
        (8, "2016-03-02 10:00", "DIAGNOSIS//ICD//9//25000"),
    ];
    let columns = [
        ("subject_id", Values::from(events.map(|event| event.0).to_vec())),
        ("time", events.map(|event| event.1).to_vec().into()),
        ("code", events.map(|event| event.2).to_vec().into()),
        ("numeric_value", vec![None::<f32>; events.len()].into()),
    ];
    let columns = columns.map(|(name, values)| (name.to_owned(), values)).into();
    write_parquet(&folder.path().join("0.parquet"), columns).unwrap();
    let root = FilePath(folder.path().to_owned());
    let cohort = parse(MedsOptions { root, abnormal: Abnormal::None, ..Default::default() }, false).unwrap();
    let known = |patient: i64| {
        let p = cohort.patients.iter().position(|&id| id == patient).unwrap();
        let known = cohort.demographics(p, cohort.admissions.range(p).start);
        (known.age.map(f32::round), known.sex)
    };
    assert_eq!([known(7), known(8)], [(Some(60.0), Some(Sex::Female)), (None, None)]);
}

#[test]
fn events_become_visits_from_one_admission_to_the_next() {
    let cohort = parse(options(&folder()), false).unwrap();
    assert_eq!(cohort.patients, [9, 7], "8 has an admission without codes; files in the order of their paths");
    assert_eq!(codes(&cohort), [["428.0"], ["428.0"], ["428.0"]]);
    assert_eq!(cohort.lab_items, [LabItem { id: 1, category: Some(0) }]);
    assert_eq!(cohort.labs.rows().map(<[u32]>::len).collect::<Vec<_>>(), [0, 1, 1]);
    let lost: Vec<u64> = cohort.flow.iter().map(Step::lost_count).collect();
    assert_eq!(lost, [0, 1, 1, 1, 1, 0], "{:?}", cohort.flow);
    // Of 1 … 200 and 500 six are below the interval and six above.
    let labs = cohort.flow.last().unwrap();
    assert_eq!((labs.what.as_str(), labs.total, labs.kept()), ("laboratory events", 201, 12));
    assert_eq!(cohort.patient_facts[1].sex, Some(Sex::Female));
    assert_eq!(cohort.admission_facts[1].start, seconds("2016-02-01 10:00"));
}

/// The total of a step, and why how many are left out, by rule or not.
fn left_out<'c>(cohort: &'c Cohort, what: &str) -> (u64, Vec<(&'c str, u64, bool)>) {
    let step = cohort.flow.iter().find(|step| step.what == what).unwrap();
    let of = step.left_out.iter().filter(|l| l.count > 0).map(|l| (l.why.as_str(), l.count, l.by_rule));
    (step.total, of.collect())
}

#[test]
fn what_belongs_to_no_visit_is_counted() {
    let folder = Folder::new();
    let at = Some;
    let rows: [Row; 13] = [
        (7, None, "GENDER//F", None),
        (7, None, "BIRTHPLACE//X", None),
        (7, None, "DIAGNOSIS//ICD//9//486", None),
        (7, None, "LAB//1", Some(1.0)),
        (7, at("2016-02-01 09:00"), "LAB//1", Some(1.0)),
        (7, at("2016-02-01 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-02-02 10:00"), "DIAGNOSIS//ICD//9//4280", None),
        (7, at("2016-02-02 11:00"), "LAB//1", Some(2.0)),
        (7, at("2016-02-02 11:00"), "LAB//1", None),
        (7, at("2016-02-05 11:00"), "LAB//1", Some(f32::INFINITY)),
        (7, at("2016-02-05 11:00"), "LAB//1", Some(3.0)),
        // Without a diagnosis in the visit.
        (8, at("2016-02-01 10:00"), "HOSPITAL_ADMISSION", None),
        (8, at("2016-02-01 11:00"), "LAB//1", Some(4.0)),
    ];
    shard(&folder, "0.parquet", &rows);
    let whole = MedsOptions { root: FilePath(folder.path().to_owned()), quantiles: 2, ..Default::default() };
    let cohort = parse(whole.clone(), false).unwrap();
    assert_eq!(cohort.patients, [7]);
    assert_eq!(left_out(&cohort, "events"), (13, vec![("without a time", 2, false)]));
    let expected = [
        ("without a number", 2, true),
        ("before the first admission", 1, false),
        ("of admissions that are not in the cohort", 1, true),
    ];
    assert_eq!(left_out(&cohort, "laboratory events"), (6, expected.to_vec()));
    let days = parse(MedsOptions { visits: Visits::Day, ..whole.clone() }, false).unwrap();
    let expected = [("without a number", 2, true), ("of days without a diagnosis", 3, true)];
    assert_eq!(left_out(&days, "laboratory events"), (6, expected.to_vec()));
    let none = parse(MedsOptions { abnormal: Abnormal::None, quantiles: 0, ..whole }, false).unwrap();
    assert_eq!(left_out(&none, "events"), (13, vec![("without a time", 1, false)]));
    assert!(none.flow.iter().all(|step| step.what != "laboratory events"));
}

#[test]
fn discharges_that_end_no_visit_are_counted() {
    let folder = Folder::new();
    let at = Some;
    let rows: [Row; 8] = [
        (7, at("2016-01-15 10:00"), "HOSPITAL_DISCHARGE", None),
        (7, at("2016-02-01 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-02-02 10:00"), "DIAGNOSIS//ICD//9//4280", None),
        (7, at("2016-02-05 10:00"), "HOSPITAL_DISCHARGE//HOME", None),
        // Of the admission below, before which it is.
        (7, at("2016-02-20 10:00"), "HOSPITAL_DISCHARGE", None),
        (7, at("2016-03-01 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-03-02 10:00"), "DIAGNOSIS//ICD//9//4280", None),
        (7, at("2016-03-02 11:00"), "UNKNOWN", None),
    ];
    shard(&folder, "0.parquet", &rows);
    let of = |rows: MedsOptions| parse(MedsOptions { abnormal: Abnormal::None, ..rows }, false).unwrap();
    let options = || MedsOptions { root: FilePath(folder.path().to_owned()), ..Default::default() };
    let cohort = of(options());
    let ends: Vec<_> = cohort.admission_facts.iter().map(|facts| facts.end).collect();
    assert_eq!(ends, [seconds("2016-02-05 10:00"), None]);
    let expected = [("before the first admission", 1, false), ("of a visit that had ended", 1, false)];
    assert_eq!(left_out(&cohort, "ends of visits"), (3, expected.to_vec()));
    let days = of(MedsOptions { visits: Visits::Day, ..options() });
    assert!(days.flow.iter().all(|step| step.what != "ends of visits"), "days end whenever somebody goes");
}

#[test]
fn what_is_at_the_time_of_a_discharge_is_of_the_stay_that_it_ends() {
    let folder = Folder::new();
    let at = Some;
    let rows: [Row; 10] = [
        (7, at("2016-02-01 10:00"), "HOSPITAL_ADMISSION", None),
        // As the diagnoses of MIMIC-IV, they have the time of the discharge, and another stay begins then.
        (7, at("2016-02-05 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-02-05 10:00"), "DIAGNOSIS//ICD//9//4280", None),
        (7, at("2016-02-05 10:00"), "HOSPITAL_DISCHARGE//HOME", None),
        (7, at("2016-02-09 10:00"), "DIAGNOSIS//ICD//9//25000", None),
        (7, at("2016-02-09 10:00"), "HOSPITAL_DISCHARGE//HOME", None),
        // One that ends when it begins.
        (7, at("2016-03-01 10:00"), "HOSPITAL_DISCHARGE//DIED", None),
        (7, at("2016-03-01 10:00"), "DIAGNOSIS//ICD//9//486", None),
        (7, at("2016-03-01 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-03-01 10:00"), "MEDS_DEATH", None),
    ];
    shard(&folder, "0.parquet", &rows);
    let root = FilePath(folder.path().to_owned());
    let cohort = parse(MedsOptions { root, abnormal: Abnormal::None, ..Default::default() }, false).unwrap();
    assert_eq!(codes(&cohort), [["428.0"], ["250.00"], ["486"]]);
    let known: Vec<_> = cohort.admission_facts.iter().map(|facts| (facts.start, facts.end, facts.died)).collect();
    let times = ["2016-02-01 10:00", "2016-02-05 10:00", "2016-02-09 10:00", "2016-03-01 10:00"].map(seconds);
    let expected =
        [(times[0], times[1], Some(false)), (times[1], times[2], Some(false)), (times[3], times[3], Some(true))];
    assert_eq!(known, expected);
    assert!(cohort.flow.iter().all(|step| step.what != "ends of visits"), "all discharges end a visit");
}

#[test]
fn stays_that_overlap_have_the_ends_that_they_had() {
    let folder = Folder::new();
    let at = Some;
    let rows: [Row; 8] = [
        (7, at("2016-02-01 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-02-02 10:00"), "DIAGNOSIS//ICD//9//4280", None),
        (7, at("2016-02-03 10:00"), "HOSPITAL_ADMISSION", None),
        (7, at("2016-02-04 10:00"), "HOSPITAL_DISCHARGE//HOME", None),
        (7, at("2016-02-05 10:00"), "DIAGNOSIS//ICD//9//25000", None),
        (7, at("2016-02-06 10:00"), "HOSPITAL_DISCHARGE//DIED", None),
        (7, at("2016-02-06 10:00"), "MEDS_DEATH", None),
        // Of no stay.
        (7, at("2016-02-07 10:00"), "HOSPITAL_DISCHARGE", None),
    ];
    shard(&folder, "0.parquet", &rows);
    let root = FilePath(folder.path().to_owned());
    let cohort = parse(MedsOptions { root, abnormal: Abnormal::None, ..Default::default() }, false).unwrap();
    let known: Vec<_> = cohort.admission_facts.iter().map(|facts| (facts.end, facts.died)).collect();
    let expected = [(seconds("2016-02-04 10:00"), Some(false)), (seconds("2016-02-06 10:00"), Some(true))];
    assert_eq!(known, expected);
    assert_eq!(left_out(&cohort, "ends of visits"), (3, vec![("of a visit that had ended", 1, false)]));
}

#[test]
fn further_kinds_begin_as_the_options_say() {
    let folder = folder();
    let at = Some;
    let rows = [
        (5, at("2016-01-01 10:00"), "HOSPITAL_ADMISSION", None),
        (5, at("2016-01-01 12:00"), "MEDICATION//START//Aspirin", None),
        (5, at("2016-01-01 13:00"), "MEDICATION//START//unknown", None),
        (5, at("2016-01-01 13:00"), "MEDICATION//STOP//Aspirin", None),
        (5, at("2016-01-01 12:00"), "PROCEDURE//ICD//9//3893", None),
        (5, at("2016-01-02 10:00"), "DIAGNOSIS//ICD//9//4280", None),
        (5, at("2016-01-02 10:00"), "HOSPITAL_DISCHARGE//HOME", None),
    ];
    shard(&folder, "train/0.parquet", &rows);
    folder.write("atc.csv", "drug,code\naspirin,B01AC06\n");
    describe(&folder, "PROCEDURE//ICD//9//3893", "Venous catheterization");
    let begins = [("procedures", "PROCEDURE//ICD//"), ("drugs", "MEDICATION//START//")];
    let with = MedsOptions {
        events: begins.map(|(kind, beginning)| (kind.to_owned(), beginning.to_owned())).into(),
        drug_map: FilePath(folder.path().join("atc.csv")),
        ..options(&folder)
    };
    let cohort = parse(with.clone(), false).unwrap();
    assert_eq!(cohort.patients, [9, 5]);
    let of = |kind: &str| {
        let events = cohort.events(kind).unwrap();
        (events.names.join(" "), events.rows.rows().map(<[u32]>::len).collect::<Vec<_>>())
    };
    assert_eq!(of("procedures"), ("9//3893".into(), vec![0, 1]));
    assert_eq!(of("drugs"), ("B01AC06".into(), vec![0, 1]));
    assert_eq!(cohort.events("procedures").unwrap().titles, ["Venous catheterization"]);
    assert_eq!(cohort.events("drugs").unwrap().titles, ["ATC B: blood and blood forming organs"]);
    // Where the data set says nothing, the program knows procedures of the ICD.
    fs::remove_dir_all(folder.path().join("metadata")).unwrap();
    let undescribed = parse(with.clone(), false).unwrap();
    let title = "Venous catheterization, not elsewhere classified";
    assert_eq!(undescribed.events("procedures").unwrap().titles, [title]);
    let drugs = cohort.flow.iter().find(|step| step.what == "drugs").unwrap();
    assert_eq!((drugs.total, drugs.left_out[1].unnamed.as_slice()), (2, &[("unknown".to_owned(), 1)][..]));
    let facts = cohort.admission_facts[1];
    assert_eq!((facts.end, facts.died), (seconds("2016-01-02 10:00"), Some(false)));
    let empty = MedsOptions { events: [("drugs".to_owned(), String::new())].into(), ..with };
    assert!(parse(empty, false).unwrap_err().to_string().starts_with("`events.drugs`"));
}

#[test]
fn values_may_be_cut_and_codes_described() {
    let folder = folder();
    describe(&folder, "LAB//50931//mg/dL", "Glucose");
    let cohort = parse(MedsOptions { quantiles: 2, ..options(&folder) }, false).unwrap();
    // Of 1 … 200 and 500 the first 101 are the lower part.
    let names = ["Glucose (50931//mg/dL), part 1 of 2", "Glucose (50931//mg/dL), part 2 of 2"];
    assert_eq!(cohort.lab_names, names);
    assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[][..], &[1], &[0, 1]]);
    let none = MedsOptions { quantiles: 2, abnormal: Abnormal::None, ..options(&folder) };
    assert!(parse(none, false).unwrap_err().to_string().starts_with("`quantiles`"));
    // Descriptions may be a text, by which the cohort is cached as by events.
    fs::remove_file(folder.path().join("metadata/codes.parquet")).unwrap();
    folder.write("metadata/codes.csv", "code,description\nLAB//50931//mg/dL,Sugar\n");
    let cohort = parse(options(&folder), false).unwrap();
    assert_eq!(cohort.lab_names, ["Sugar (50931//mg/dL)"]);
    let inputs = options(&folder).build().unwrap().inputs().unwrap();
    assert!(inputs.files.iter().any(|file| file.ends_with("metadata/codes.csv")), "{inputs:?}");
    // Two columns of descriptions are not none.
    folder.write("metadata/codes.csv", "code,description,description\nLAB//50931//mg/dL,Sugar,\n");
    let error = options(&folder).build().unwrap().check().unwrap_err().to_string();
    assert!(error.contains("the column `description` occurs 2 times"), "{error}");
}

#[test]
fn values_are_cut_by_those_who_are_learnt_from() {
    let folder = folder();
    let at = Some;
    let third = [
        (5, at("2016-04-01 00:00"), "HOSPITAL_ADMISSION", None),
        (5, at("2016-04-01 05:00"), "DIAGNOSIS//ICD//9//4280", None),
        (5, at("2016-04-01 05:00"), "LAB//50931//mg/dL", Some(300.0)),
        (5, at("2016-04-01 06:00"), "LAB//50931//mg/dL", Some(400.0)),
    ];
    shard(&folder, "train/1.parquet", &third);
    let options = || MedsOptions { quantiles: 2, ..options(&folder) };
    // Of 300 and 400 the first is the cut; of all 203 results it is 102.
    let learnt = parse_learning_from(options(), 5);
    assert_eq!(learnt.patients, [9, 7, 5]);
    assert_eq!(learnt.labs.rows().collect::<Vec<_>>(), [&[][..], &[1], &[0], &[0, 1]]);
    let all = parse(options(), false).unwrap();
    assert_eq!(all.labs.rows().collect::<Vec<_>>(), [&[][..], &[1], &[0, 1], &[1]]);
    assert_eq!((learnt.cut_from, all.cut_from), (vec![2], vec![0, 1, 2]));
}

#[test]
fn days_need_no_admissions_and_codes_may_stay_icd10() {
    let folder = folder();
    let days = MedsOptions { visits: Visits::Day, code_system: CodeSystem::Icd10, ..options(&folder) };
    let cohort = parse(days, false).unwrap();
    assert_eq!((cohort.patients.as_slice(), codes(&cohort)), (&[7][..], vec![vec!["I50.9"], vec!["E11.9"]]));
}

#[test]
fn what_is_no_meds_data_set_is_refused() {
    let folder = Folder::new();
    let said = |options| parse(options, false).unwrap_err().to_string();
    assert!(said(options(&folder)).contains("no .parquet file"));
    folder.write("a.parquet", "text");
    assert!(said(options(&folder)).contains("a.parquet"));
    let folder = self::folder();
    let other = MedsOptions { admission: "VISIT".into(), ..options(&folder) };
    assert!(said(other).contains("no patient is left"));
    assert!(said(MedsOptions { lab: String::new(), ..options(&folder) }).starts_with("`lab`"));
}

#[test]
fn it_is_a_sound_parser() {
    let folder = folder();
    dualk_sdk::testing::check_parser(options(&folder));
}
