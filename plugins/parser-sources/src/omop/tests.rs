//! Small tables of OMOP, written here.

use super::*;
use crate::testing::{Folder, parse};
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::data::events::{EventKind, EventTable};
use dualk_sdk::data::{LabItem, PatientFacts, Sex, seconds};

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write(
        "visit_occurrence.csv",
        "visit_occurrence_id,person_id,visit_concept_id,visit_start_date\n\
             11,1,9201,2016-05-21\n12,1,9201,2016-05-20\n13,1,9202,2016-06-01\n21,2,9201,2015-01-01\n",
    );
    folder.write(
        "condition_occurrence.csv",
        "visit_occurrence_id,condition_concept_id,condition_source_value\n\
             11,316139,I50.9\n12,316139,I509\n12,0,Z99.9\n21,201826,E11.9\n,201826,E11.9\n",
    );
    folder.write(
        "measurement.csv",
        "visit_occurrence_id,measurement_concept_id,value_as_number,range_low,range_high\n\
             11,3004501,200,70,100\n11,3004501,90,70,100\n11,3000963,7.5,12,\n21,3004501,60,,100\n,3004501,1,70,100\n\
             12,3004501,,70,100\n11,3004501,210,70,100\n",
    );
    folder.write("map.csv", "ICD10,ICD9\nI509,4280\nE119,25000\n");
    folder
}

fn options(folder: &Folder) -> OmopOptions {
    let path = |name: &str| FilePath(folder.path().join(name));
    OmopOptions { root: path(""), icd_map: path("map.csv"), visit_concepts: vec![9201], ..Default::default() }
}

#[test]
fn visits_conditions_and_measurements_follow_the_rules() {
    let cohort = parse(options(&folder()), false).unwrap();
    assert_eq!(cohort.patients, [1, 2]);
    assert_eq!(cohort.admissions.row(0), [12, 11], "by date");
    assert_eq!(cohort.code_names, ["428.0", "250.00"]);
    let item = |id| LabItem { id, category: Some(0) };
    assert_eq!(cohort.lab_items, [item(3_000_963), item(3_004_501)]);
    assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[][..], &[0, 1], &[]]);
    let lost: Vec<u64> = cohort.flow.iter().map(Step::lost_count).collect();
    assert_eq!(lost, [0, 1, 1, 0, 0, 1], "{:?}", cohort.flow);
}

#[test]
fn what_cannot_be_read_of_persons_and_visits_is_counted() {
    let folder = folder();
    folder.write("person.csv", "person_id,gender_concept_id,year_of_birth\n1,F,1946\n2,8507,long ago\n");
    folder.write("death.csv", "person_id,death_date\n2,2015\n");
    let cohort = parse(options(&folder), false).unwrap();
    for (what, total) in [("sexes", 2), ("births", 2), ("deaths", 1)] {
        let step = cohort.flow.iter().find(|step| step.what == what).unwrap();
        assert_eq!((step.total, step.lost_count()), (total, 1), "{what}");
    }
}

#[test]
fn numbers_of_persons_may_be_written_with_a_point() {
    let folder = folder();
    let with = |rows: &str| {
        let columns = "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth";
        folder.write("person.csv", &format!("{columns}\n{rows}\n"));
        parse(options(&folder), false).unwrap()
    };
    let expected = with("1,8507,1946,5,20\n2,8532,1955,,");
    assert_eq!(expected.patient_facts[0].sex, Some(Sex::Male));
    assert_eq!(with("1,8507.0,1946.0,5.0,20.0\n2,8532.0,1955.0,,"), expected);
    // What cannot be read is the whole date.
    let flow = with("1,8507,1946.0,13,20").flow;
    let births = flow.iter().find(|step| step.what == "births").unwrap();
    assert_eq!(births.left_out[0].unnamed, [("1946-13-20".to_owned(), 1)]);
}

#[test]
fn an_end_before_its_start_is_unknown_and_counted() {
    let folder = folder();
    // Where the end is a date alone, a visit of one day is none that ends before it starts.
    folder.write(
        "visit_occurrence.csv",
        "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_start_datetime,visit_end_date\n\
             11,1,9201,2016-05-21,,2016-05-19\n12,1,9201,2016-05-20,2016-05-20 08:30,2016-05-20\n\
             21,2,9201,2015-01-01,,2015-01-03\n",
    );
    folder.write("death.csv", "person_id,death_date\n1,2016-05-20\n");
    let cohort = parse(options(&folder), false).unwrap();
    let known: Vec<_> = cohort.admission_facts.iter().map(|facts| (facts.end, facts.died)).collect();
    let expected = [(seconds("2016-05-20 08:30"), Some(true)), (None, None), (seconds("2015-01-03"), Some(false))];
    assert_eq!(known, expected, "visits 12, 11 and 21");
    let step = cohort.flow.iter().find(|step| step.what == "ends of visits").unwrap();
    assert_eq!((step.total, step.lost_count()), (3, 1));
}

/// As SQL writes dates of columns that hold times, and as the conventions of OMOP have times that are not known.
#[test]
fn an_end_at_midnight_is_some_time_of_its_day() {
    let folder = folder();
    for (column, other) in [("visit_end_date", "visit_end_datetime"), ("visit_end_datetime", "visit_end_date")] {
        let heading = "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_start_datetime";
        let rows = "11,1,9201,2016-05-21,2016-05-21 08:30,2016-05-20 00:00:00,\n\
                    12,1,9201,2016-05-20,2016-05-20 08:30,2016-05-20 00:00:00.000,\n\
                    21,2,9201,2015-01-01,2015-01-01 08:30,2015-01-01 08:00:00,\n";
        folder.write("visit_occurrence.csv", &format!("{heading},{column},{other}\n{rows}"));
        let cohort = parse(options(&folder), false).unwrap();
        let ends: Vec<_> = cohort.admission_facts.iter().map(|facts| facts.end).collect();
        assert_eq!(ends, [seconds("2016-05-20 08:30"), None, None], "{column}: visits 12, 11 and 21");
        let step = cohort.flow.iter().find(|step| step.what == "ends of visits").unwrap();
        assert_eq!((step.total, step.lost_count()), (3, 2), "{column}");
    }
}

/// A death is on a day of the calendar where the visit is, whatever day that is in Greenwich.
#[test]
fn a_death_is_in_the_visit_that_has_its_day() {
    let folder = folder();
    folder.write(
        "visit_occurrence.csv",
        "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_start_datetime,visit_end_datetime\n\
             11,1,9201,2016-05-21,2016-05-21T02:00+10:00,2016-05-21T09:00+10:00\n\
             21,2,9201,2015-01-01,2015-01-01T08:00-05:00,2015-01-01T20:00-05:00\n",
    );
    folder.write("death.csv", "person_id,death_date\n1,2016-05-21\n2,2015-01-02\n");
    let cohort = parse(options(&folder), false).unwrap();
    let known = |i: usize| (cohort.admission_facts[i].start, cohort.admission_facts[i].died);
    assert_eq!(known(0), (seconds("2016-05-20 16:00"), Some(true)));
    assert_eq!(known(1), (seconds("2015-01-01 13:00"), Some(false)), "on the day after");
}

#[test]
fn a_person_who_is_there_twice_is_refused_and_deaths_that_differ_are_counted() {
    let folder = folder();
    folder.write("person.csv", "person_id,year_of_birth\n1,1946\n2,1955\n1,1947\n");
    let error = parse(options(&folder), false).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    assert!(text.contains("the person") && text.contains("occurs twice, first on line 2"), "{text}");
    assert!(text.contains("person.csv:4"), "{text}");
    folder.write("person.csv", "person_id,year_of_birth\n1,1946\n2,1955\n");
    folder.write(
        "visit_occurrence.csv",
        "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date\n\
             11,1,9201,2016-05-21,2016-05-22\n12,1,9201,2016-05-20,2016-05-20\n21,2,9201,2015-01-01,2015-01-03\n",
    );
    // A cause a row; of 1 the second says nothing else, the third says nothing, and the last another day.
    let rows = "1,2016-05-22\n1,2016-05-22\n1,\n2,2015-01-02\n1,2016-05-20\n";
    folder.write("death.csv", &format!("person_id,death_date\n{rows}"));
    let cohort = parse(options(&folder), false).unwrap();
    let died: Vec<_> = cohort.admission_facts.iter().map(|facts| facts.died).collect();
    assert_eq!(died, [Some(false), Some(true), Some(true)], "visits 12, 11 and 21");
    let step = &cohort.flow[1];
    assert_eq!((step.what.as_str(), step.total, step.lost_count()), ("rows of death", 5, 0));
    let odd: Vec<(&str, u64)> = step.odd.iter().map(|odd| (odd.what.as_str(), odd.count)).collect();
    assert_eq!(odd, [("on another day than the first row of their person, which counts", 1)]);
}

#[test]
fn codes_may_be_icd10_or_concepts() {
    let folder = folder();
    let icd10 = OmopOptions { code_system: CodeSystem::Icd10, icd_map: FilePath::default(), ..options(&folder) };
    assert_eq!(parse(icd10, false).unwrap().code_names, ["I50.9", "Z99.9", "E11.9"]);
    let concepts = OmopOptions { codes: OmopCodes::Concept, ..options(&folder) };
    assert_eq!(parse(concepts, false).unwrap().code_names, ["316139", "201826"]);
}

#[test]
fn persons_concepts_and_further_kinds_are_read_in_any_case_and_with_tabs() {
    let folder = folder();
    folder.write(
        "PERSON.csv",
        "PERSON_ID,GENDER_CONCEPT_ID,YEAR_OF_BIRTH,MONTH_OF_BIRTH,DAY_OF_BIRTH,ETHNICITY_SOURCE_VALUE\n\
             1,8532,1946,5,20,hispanic\n2,8507,1955,,,\n",
    );
    folder.write("death.csv", "person_id,death_date\n2,2015-01-01\n");
    // As vocabularies are handed out: tabs, and quotes inside of names.
    folder.write(
        "CONCEPT.csv",
        "concept_id\tconcept_name\n3004501\tGlucose, \"serum\"\n316139\tHeart failure\n4052536\tIntubation\n",
    );
    folder.write("procedure_occurrence.csv", "visit_occurrence_id,procedure_concept_id\n11,4052536\n12,0\n,4052536\n");
    folder.write("drug_exposure.csv", "visit_occurrence_id,drug_source_value\n11,Insulin\n12,aspirin\n21,Aspirin\n");
    folder.write("device_exposure.csv", "visit_occurrence_id;device_concept_id\n11;45768171\n");
    let devices =
        EventTable { kind: "devices".into(), table: "device_exposure".into(), code: "device_concept_id".into() };
    let cohort = parse(
        OmopOptions {
            codes: OmopCodes::Concept,
            events: vec![EventKind::Procedures, EventKind::Drugs],
            drug: "drug_source_value".into(),
            event_tables: vec![devices],
            ..options(&folder)
        },
        false,
    );
    let cohort = cohort.unwrap();
    let of = |kind: &str| {
        let events = cohort.events(kind).unwrap();
        (events.names.join(" "), events.rows.rows().map(<[u32]>::len).collect::<Vec<_>>())
    };
    // Visits 12, 11 and 21.
    assert_eq!(of("procedures"), ("4052536".into(), vec![0, 1, 0]));
    assert_eq!(of("drugs"), ("aspirin Insulin Aspirin".into(), vec![1, 1, 1]));
    assert_eq!(of("devices"), ("45768171".into(), vec![0, 1, 0]));
    assert_eq!(cohort.code_titles, ["Heart failure", ""]);
    assert_eq!(cohort.events("procedures").unwrap().titles, ["Intubation"]);
    assert!(cohort.events("devices").unwrap().titles.is_empty() && cohort.events("drugs").unwrap().titles.is_empty());
    let lost = |what: &str| cohort.flow.iter().find(|step| step.what == what).unwrap().lost_count();
    assert_eq!([lost("rows of procedure_occurrence"), lost("rows of drug_exposure")], [2, 0]);
    assert_eq!(cohort.patient_facts[1], PatientFacts { sex: Some(Sex::Male), ethnicity: None });
    assert_eq!(cohort.admission_facts[2].age, Some(59.505672), "from the middle of 1955");
    assert_eq!(cohort.admission_facts[2].died, None, "a visit without an end");

    let cohort = parse(options(&folder), false).unwrap();
    assert_eq!(cohort.patient_facts[0].ethnicity.as_deref(), Some("hispanic"));
    let ages: Vec<f32> = cohort.admission_facts.iter().map(|facts| facts.age.unwrap().round()).collect();
    assert_eq!(ages, [70.0, 70.0, 60.0]);
    assert_eq!(cohort.lab_names, ["3000963", "Glucose, \"serum\""]);
}

#[test]
fn values_may_be_cut_by_unit_instead_of_compared_with_ranges() {
    let folder = folder();
    let mut text = String::from("visit_occurrence_id,measurement_concept_id,value_as_number,unit_concept_id\n");
    (1..=120).for_each(|v| text += &format!("12,3004501,{v},8840\n"));
    text += "11,3004501,5,8753\n11,3004501,500,8840\n21,3004501,,8840\n";
    folder.write("measurement.csv", &text);
    let cut = OmopOptions { quantiles: 2, ..options(&folder) };
    let cohort = parse(cut.clone(), false).unwrap();
    let names =
        ["3004501 in unit 8753, part 1 of 2", "3004501 in unit 8840, part 1 of 2", "3004501 in unit 8840, part 2 of 2"];
    assert_eq!(cohort.lab_names, names);
    assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[1, 2][..], &[0, 2], &[]]);
    let interval = OmopOptions { abnormal: Ranges::Interval, ..options(&folder) };
    let cohort = parse(interval, false).unwrap();
    // Of 121 results four are below the interval and four above.
    assert_eq!(cohort.labs.rows().map(<[u32]>::len).collect::<Vec<_>>(), [1, 1, 0]);
    let error = parse(options(&folder), false).unwrap_err().to_string();
    assert!(error.contains("`range_low` is missing") && error.contains("abnormal = \"interval\""), "{error}");
    let none = OmopOptions { labs: false, ..cut };
    assert!(parse(none, false).unwrap_err().to_string().starts_with("`quantiles`"));
}

#[test]
fn dates_and_times_may_be_written_in_any_format() {
    let folder = folder();
    let write = |dates: [&str; 5]| {
        let [first, first_end, second, second_time, death] = dates;
        let head = "visit_occurrence_id,person_id,visit_start_date,visit_start_datetime,visit_end_date";
        folder.write(
            "visit_occurrence.csv",
            &format!("{head}\n11,1,{first},,{first_end}\n12,1,{second},{second_time},\n21,2,{second},,\n"),
        );
        folder.write("death.csv", &format!("person_id,death_date\n1,{death}\n"));
    };
    let with = |format: &str| {
        parse(OmopOptions { date_format: format.into(), visit_concepts: vec![], ..options(&folder) }, false)
    };
    write(["2016-05-20", "2016-06-11", "2016-07-12", "2016-07-12 08:30", "2016-06-01"]);
    let expected = with("").unwrap();
    assert_eq!(expected.admissions.row(0), [11, 12]);
    assert_eq!(
        (expected.admission_facts[0].died, expected.admission_facts[1].start),
        (Some(true), seconds("2016-07-12 08:30"))
    );
    write(["20.05.2016", "11.06.2016", "12.07.2016", "12.07.2016 08:30", "01.06.2016"]);
    assert_eq!(with("%d.%m.%Y %H:%M").unwrap(), expected);
    let error = with("").unwrap_err().to_string();
    assert!(error.contains("visit_occurrence.csv:2") && error.contains("date_format"), "{error}");
    assert!(with("%H:%M").unwrap_err().to_string().starts_with("`date_format`"));
}

#[test]
fn all_visits_count_unless_concepts_are_named() {
    let folder = folder();
    let all = OmopOptions { visit_concepts: vec![], ..options(&folder) };
    assert_eq!(parse(all, false).unwrap().patients, [2], "the outpatient visit of 1 has no codes");
}

#[test]
fn broken_tables_and_options_are_refused() {
    let text = "visit_occurrence_id,measurement_concept_id,value_as_number,range_low,range_high\n11,1,2,3,high\n";
    for (file, content, says) in [
        ("measurement.csv", text, "measurement.csv:2"),
        ("measurement.csv", "measurement_id\n", "is missing"),
        (
            "visit_occurrence.csv",
            "visit_occurrence_id,person_id,visit_concept_id,visit_start_date\n1,1,9201,May\n",
            ":2",
        ),
        ("map.csv", "ICD10\n", "`icd_map`"),
        ("person.csv", "person_id,gender_concept_id\n1,8507\n2,8507\n1,8532\n", "person.csv:4"),
        ("person.csv", "person_id,gender_concept_id,gender_concept_id\n1,8507,8532\n", "occurs 2 times"),
    ] {
        let folder = folder();
        folder.write(file, content);
        let error = parse(options(&folder), false).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let folder = folder();
    let published = OmopOptions { icd_map: FilePath::default(), ..options(&folder) };
    let error = parse(published.clone(), true).unwrap_err();
    assert!(error.to_string().starts_with("`icd_map`"), "{error}");
    assert_eq!(
        parse(published, false).unwrap().code_names,
        ["428.0", "250.00"],
        "by the mapping of the CMS, which has none for Z99.9"
    );
    let none = OmopOptions { visit_concepts: vec![1], ..options(&folder) };
    assert!(parse(none, false).unwrap_err().to_string().contains("no patient is left"));
}

#[test]
fn it_is_a_sound_parser() {
    let folder = folder();
    dualk_sdk::testing::check_parser(options(&folder));
}
