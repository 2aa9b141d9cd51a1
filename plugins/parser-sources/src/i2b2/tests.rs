use super::*;
use crate::testing::{Folder, parse};
use dualk_sdk::data::coding::CodeSystem;
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
    I2b2Options { root, code_system: CodeSystem::Icd10, ..I2b2Options::default() }
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
}
