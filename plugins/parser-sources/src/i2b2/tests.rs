use super::*;
use crate::testing::{Folder, parse, parse_learning_from};
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::data::tables::OnBadRow;
use dualk_sdk::data::{PatientFacts, Sex, seconds};

/// Encounters 13, without a diagnosis, and 22, without a patient, are no visits. 47.0 is an appendectomy, and 470 a deviated septum.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write(
        "OBSERVATION_FACT.csv",
        "ENCOUNTER_NUM,PATIENT_NUM,CONCEPT_CD,START_DATE,MODIFIER_CD\n12,1,ICD10:I10,2020-05-02 10:00:00,@\n\
         12,1,ICD10CM:E11.9,2020-05-01 10:00:00,@\n12,1,ICD10:I10,2020-05-02 10:00:00,DX:2\n\
         11,1,ICD9:428.0,2019-01-31 10:00:00,@\n12,1,LOINC:2345-7,2020-04-01 10:00:00,@\n\
         13,1,LOINC:2345-7,2020-06-01 10:00:00,@\n21,2,ICD10:I10,2018-01-01 10:00:00,@\n\
         ,2,ICD10:I10,2018-01-01 10:00:00,@\n22,,ICD10:I10,2018-01-01 10:00:00,@\n\
         21,2,ICD9:47.0,2018-01-01 10:00:00,@\n-1,2,ICD10:I10,2018-01-01 10:00:00,@\n",
    );
    folder
}

fn options(folder: &Folder) -> I2b2Options {
    let root = FilePath(folder.path().to_owned());
    I2b2Options { root, code_system: CodeSystem::Icd10, abnormal: Flags::None, ..I2b2Options::default() }
}

/// Two patients with 121 results of glucose; one of encounter 11 stands in another unit, and the last has a modifier.
fn with_results() -> Folder {
    let folder = Folder::new();
    let mut text = "encounter_num,patient_num,concept_cd,start_date,modifier_cd,nval_num,valueflag_cd,units_cd\n\
                    11,1,ICD10:I10,2020-01-01,@,,@,@\n21,2,ICD10:E11.9,2020-01-01,@,,@,@\n"
        .to_owned();
    (1..=120).for_each(|value| text += &format!("21,2,LOINC:2345-7,2020-01-01,@,{value},@,mg/dL\n"));
    text += "11,1,LOINC:2345-7,2020-01-01,@,500,H,mg/dL\n11,1,LOINC:2345-7,2020-01-01,@,5,N,mmol/L\n\
             11,1,LOINC:718-7,2020-01-01,@,NULL,l,@\n-1,1,LOINC:2345-7,2020-01-01,@,900,H,mg/dL\n\
             31,3,LOINC:2345-7,2020-01-01,@,900,H,mg/dL\n11,1,CPT:99213,2020-01-01,@,,@,@\n\
             21,2,LOINC:2345-7,2020-01-01,LAB:LOW,1000,H,mg/dL\n";
    folder.write("observation_fact.csv", &text);
    folder
}

fn codes(cohort: &Cohort) -> Vec<Vec<&str>> {
    let name = |&code: &u32| cohort.code_names[code as usize].as_str();
    cohort.codes.rows().map(|row| row.iter().map(name).collect()).collect()
}

/// Rows of a step, and why some are left out.
fn left_out<'c>(cohort: &'c Cohort, what: &str) -> (u64, Vec<(&'c str, u64, bool)>) {
    let step = cohort.flow.iter().find(|step| step.what == what).unwrap();
    let left_out = step.left_out.iter().filter(|left_out| left_out.count > 0);
    (step.total, left_out.map(|left| (left.why.as_str(), left.count, left.by_rule)).collect())
}

#[test]
fn encounters_with_a_diagnosis_are_visits() {
    let folder = folder();
    let cohort = parse(options(&folder), false).unwrap();
    assert_eq!((cohort.patients.as_slice(), cohort.admissions.values()), (&[1, 2][..], &[11, 12, 21][..]));
    assert_eq!(codes(&cohort), [vec!["I50.9"], vec!["I10", "E11.9"], vec!["I10"]]);
    assert_eq!(cohort.code_titles[0], "Heart failure, unspecified");
    assert_eq!(cohort.admission_facts[1].start, seconds("2020-05-01 10:00:00"), "the earliest of its diagnoses");
    let why = [
        ("of other concepts", 2, true),
        ("of procedures in ICD-9", 1, true),
        ("without a patient", 1, false),
        ("without an encounter", 2, false),
    ];
    assert_eq!(left_out(&cohort, "rows of observation_fact"), (11, why.to_vec()));
    assert_eq!(left_out(&cohort, "diagnoses").0, 5);
}

/// An encounter of several patients is none, as one that stands for facts of no encounter.
#[test]
fn encounters_are_of_one_patient() {
    let folder = Folder::new();
    let facts = "encounter_num,patient_num,concept_cd,start_date\n0,1,ICD10:I10,2020-01-01\n1,1,ICD10:E11.9,2020-01-01\n\
                 0,2,ICD10:I10,2020-01-01\n0,2,ICD10:E11.9,2020-01-01\n@,2,ICD10:I10,2020-01-01\n2.0,2,ICD10:I10,2020-01-01\n";
    folder.write("observation_fact.csv", facts);
    let cohort = parse(options(&folder), false).unwrap();
    assert_eq!((cohort.patients.as_slice(), cohort.admissions.values()), (&[1, 2][..], &[1, 2][..]));
    let why = [("without an encounter", 1, false), ("of an encounter that several patients have", 3, false)];
    assert_eq!(left_out(&cohort, "rows of observation_fact"), (6, why.to_vec()));
}

#[test]
fn concepts_may_begin_otherwise_and_identifiers_may_be_texts() {
    let folder = Folder::new();
    folder.write(
        "observation_fact.csv",
        "encounter_num,patient_num,concept_cd,start_date\nE,7,DX|ICD10:I10,03.02.2020\n7,P,DX:E11.9,03.02.2020\n",
    );
    let icd10 = ["DX|ICD10:", "DX:"].map(String::from).to_vec();
    let other = I2b2Options { icd10, date_format: "%d.%m.%Y".into(), ..options(&folder) };
    let cohort = parse(other, false).unwrap();
    assert_eq!((cohort.patient_names.join(" "), cohort.admission_names.join(" ")), ("7 P".into(), "E 7".into()));
    assert_eq!(cohort.code_names, ["I10", "E11.9"]);
    let error = parse(options(&folder), false).unwrap_err().to_string();
    assert!(error.contains("no patient is left") && error.contains("icd9 and icd10 say"), "{error}");
}

/// Encounter 12 has no row, 13 no diagnosis, and -1 no patient. Of 2 the month of the death alone is known.
#[test]
fn dimensions_say_more_of_patients_and_visits() {
    let folder = folder();
    folder.write(
        "patient_dimension.csv",
        "PATIENT_NUM,VITAL_STATUS_CD,BIRTH_DATE,DEATH_DATE,SEX_CD,RACE_CD\n1,Y,1946-05-20 00:00:00,2019-02-02,F,white\n\
         2,MD,@,2018-01-15,@,@\n3,N,1990-01-01,NULL,M,black\n",
    );
    folder.write(
        "VISIT_DIMENSION.csv",
        "encounter_num,patient_num,inout_cd,start_date,end_date\n11,1,I,2019-01-30 08:00:00,2019-02-02 12:00:00\n\
         21,2,O,2018-01-01,2018-01-31\n13,1,O,2020-06-01,2020-06-01\n-1,1,@,@,@\n-1,2,@,@,@\n",
    );
    let cohort = parse(options(&folder), false).unwrap();
    let times: Vec<_> = cohort.admission_facts.iter().map(|facts| (facts.start, facts.end, facts.died)).collect();
    let at = seconds;
    let expected = [
        (at("2019-01-30 08:00:00"), at("2019-02-02 12:00:00"), Some(true)),
        (at("2020-05-01 10:00:00"), None, None),
        (at("2018-01-01"), at("2018-01-31"), None),
    ];
    assert_eq!(times, expected);
    let known = PatientFacts { sex: Some(Sex::Female), ethnicity: Some("white".into()) };
    assert_eq!(cohort.patient_facts, [known, PatientFacts::default()]);
    let ages: Vec<_> = cohort.admission_facts.iter().map(|facts| facts.age.map(|age| age as u32)).collect();
    assert_eq!(ages, [Some(72), Some(73), None]);
    assert!(!cohort.flow.iter().any(|step| ["sexes", "births", "deaths"].contains(&step.what.as_str())));
    let inputs = options(&folder).build().unwrap().inputs().unwrap();
    let names: Vec<_> = inputs.files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert_eq!(names, ["OBSERVATION_FACT.csv", "patient_dimension.csv", "VISIT_DIMENSION.csv"]);
}

#[test]
fn results_are_abnormal_outside_of_their_interval() {
    let folder = with_results();
    let cohort = parse(I2b2Options { abnormal: Flags::Interval, ..options(&folder) }, false).unwrap();
    // Of 121 results four are below the interval and four above.
    assert_eq!(cohort.lab_names, ["LOINC:2345-7 (mg/dL)"]);
    assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[0][..], &[0]]);
    assert_eq!((cohort.lab_items[0].id, cohort.lab_categories.join(" ")), (1, "laboratory".to_owned()));
    let why = [
        ("without an encounter", 1, false),
        ("of other concepts", 3, true),
        ("with a modifier", 1, true),
        ("without a number", 1, true),
        ("of admissions that are not in the cohort", 1, true),
    ];
    assert_eq!(left_out(&cohort, "results of observation_fact"), (129, why.to_vec()));
    let none = parse(options(&folder), false).unwrap();
    assert!(none.lab_items.is_empty() && none.flow.iter().all(|step| !step.what.starts_with("results")));
}

#[test]
fn results_may_be_flagged_and_concepts_named() {
    let folder = with_results();
    let rows =
        "\\i2b2\\Labs\\1,LOINC:2345-7,Glucose\n\\i2b2\\Labs\\2,LOINC:718-7,Hemoglobin\n\\i2b2,LOINC:1-8,Acyclovir\n";
    folder.write("CONCEPT_DIMENSION.csv", &format!("CONCEPT_PATH,CONCEPT_CD,NAME_CHAR\n{rows}"));
    let cohort = parse(I2b2Options { abnormal: Flags::Flag, ..options(&folder) }, false).unwrap();
    assert_eq!(cohort.lab_names, ["Glucose (LOINC:2345-7)", "Hemoglobin (LOINC:718-7)"]);
    assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[0, 1][..], &[]]);
    let ids: Vec<i64> = cohort.lab_items.iter().map(|item| item.id).collect();
    assert_eq!(ids, [1, 2]);
    let flagged = I2b2Options { abnormal: Flags::Flag, ..options(&folder) };
    let inputs = flagged.build().unwrap().inputs().unwrap();
    assert!(!inputs.split && inputs.files.iter().any(|file| file.ends_with("CONCEPT_DIMENSION.csv")));
    let other = I2b2Options { lab: vec!["LAB:".into()], abnormal: Flags::Flag, ..options(&folder) };
    assert!(parse(other, false).unwrap().lab_items.is_empty());
}

#[test]
fn values_are_cut_by_those_who_are_learnt_from() {
    let folder = with_results();
    let cut = || I2b2Options { quantiles: 2, abnormal: Flags::Interval, ..options(&folder) };
    let names = [
        "LOINC:2345-7 (mg/dL), part 1 of 2",
        "LOINC:2345-7 (mg/dL), part 2 of 2",
        "LOINC:2345-7 (mmol/L), part 1 of 2",
    ];
    let all = parse(cut(), false).unwrap();
    assert_eq!(all.lab_names, names);
    assert_eq!(all.labs.rows().collect::<Vec<_>>(), [&[1, 2][..], &[0, 1]]);
    // Of 1 alone the result is the cut, and of the highest part nothing is known.
    let learnt = parse_learning_from(cut(), 1);
    assert_eq!(learnt.labs.rows().collect::<Vec<_>>(), [&[0, 1][..], &[0]]);
    assert!(cut().build().unwrap().inputs().unwrap().split);
    let none = I2b2Options { abnormal: Flags::None, ..cut() };
    assert!(parse(none, false).unwrap_err().to_string().starts_with("`quantiles`"));
}

#[test]
fn broken_results_are_named_or_skipped() {
    let folder = Folder::new();
    let head = "encounter_num,patient_num,concept_cd,start_date,nval_num,units_cd\n1,1,ICD10:I10,2020-01-01,,\n";
    folder.write("observation_fact.csv", &format!("{head}1,1,LOINC:2345-7,2020-01-01,high,mg/dL\n"));
    let with = |on_bad_row| I2b2Options { abnormal: Flags::Interval, on_bad_row, ..options(&folder) };
    let error = parse(with(OnBadRow::Error), false).unwrap_err().to_string();
    assert!(error.contains("observation_fact.csv:3") && error.contains("`nval_num` must hold a number"), "{error}");
    let cohort = parse(with(OnBadRow::Skip), false).unwrap();
    let why = vec![("that cannot be used", 1, false), ("of other concepts", 1, true)];
    assert_eq!(left_out(&cohort, "results of observation_fact"), (2, why));
    let flagged = I2b2Options { abnormal: Flags::Flag, ..options(&folder) };
    let error = parse(flagged, false).unwrap_err().to_string();
    assert!(error.contains("the column `valueflag_cd` is missing") && error.contains("abnormal = \"none\""), "{error}");
}

#[test]
fn encounters_of_inpatients_may_be_all_that_count() {
    let folder = folder();
    let of = |inout: &str| parse(I2b2Options { inout: vec![inout.to_owned()], ..options(&folder) }, false);
    let error = of("I").unwrap_err().to_string();
    assert!(error.starts_with("`inout`: the table `visit_dimension` is missing"), "{error}");
    folder.write("visit_dimension.csv", "encounter_num,INOUT_CD\n11,I\n21,O\n");
    let cohort = of("i").unwrap();
    assert_eq!((cohort.patients.as_slice(), cohort.admissions.values()), (&[1][..], &[11][..]));
    let why = vec![("of which inout_cd says something else, or nothing", 2, true)];
    assert_eq!(left_out(&cohort, "encounters with a diagnosis"), (3, why));
    assert!(of("E").unwrap_err().to_string().contains("no patient is left"));
    folder.write("visit_dimension.csv", "encounter_num\n11\n");
    let error = of("I").unwrap_err().to_string();
    assert!(error.starts_with("`inout`: the column `inout_cd` is missing"), "{error}");
}

#[test]
fn patients_and_visits_have_one_row_in_their_dimension() {
    for (name, rows, says) in [
        (
            "patient_dimension.csv",
            "patient_num,sex_cd\n1,F\n1,M\n",
            "the patient (--show-values shows it) occurs twice",
        ),
        (
            "visit_dimension.csv",
            "encounter_num,end_date\n12,\n12,\n",
            "the encounter (--show-values shows it) occurs twice",
        ),
        ("visit_dimension.csv", "end_date\n2020-01-01\n", "the column `encounter_num` is missing"),
        ("patient_dimension.csv", "patient_num,sex_cd,SEX_CD,sex_cd\n", "the column `sex_cd` occurs 2 times"),
    ] {
        let folder = folder();
        folder.write(name, rows);
        let error = parse(options(&folder), false).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(says), "{error}");
    }
    // Only what is written counts as lost.
    let folder = folder();
    folder.write("visit_dimension.csv", "encounter_num,start_date,end_date\n12,2020-05-03,2020-05-01\n11,@,soon\n");
    let cohort = parse(options(&folder), false).unwrap();
    let why = vec![("that cannot be read", 1, false), ("before the start of the visit", 1, false)];
    assert_eq!(left_out(&cohort, "ends of visits"), (2, why));
}

#[test]
fn mistakes_name_the_place() {
    let folder = folder();
    let said = |options: I2b2Options| parse(options, false).unwrap_err().to_string();
    assert!(said(I2b2Options::default()).starts_with("`root`"));
    let empty = vec!["ICD9:".to_owned(), String::new()];
    assert!(said(I2b2Options { icd9: empty, ..options(&folder) }).starts_with("`icd9[1]`"));
    assert!(said(I2b2Options { lab: vec![String::new()], ..options(&folder) }).starts_with("`lab[0]`"));
    assert!(said(I2b2Options { date_format: "%d".into(), ..options(&folder) }).starts_with("`date_format`"));
    let head = "encounter_num,patient_num,concept_cd,start_date\n1,1,ICD10:I10,2020-01-01\n";
    for (row, says) in
        [("2,1,ICD10:I10,soon\n", "`start_date` must hold a time"), ("2,1,ICD10:I10,@\n", "found nothing")]
    {
        let folder = Folder::new();
        folder.write("observation_fact.csv", &format!("{head}{row}"));
        let error = said(options(&folder));
        assert!(error.contains("observation_fact.csv:3") && error.contains(says), "{error}");
        assert!(error.contains("date_format"), "{error}");
        folder.write("observation_fact.csv", "encounter_num,concept_cd,start_date\n1,ICD10:I10,2020-01-01\n");
        assert!(said(options(&folder)).contains("the column `patient_num` is missing"));
    }
}

#[test]
fn it_is_a_sound_parser() {
    dualk_sdk::testing::check_parser(options(&folder()));
    let folder = with_results();
    dualk_sdk::testing::check_parser(I2b2Options { abnormal: Flags::Interval, ..options(&folder) });
}
