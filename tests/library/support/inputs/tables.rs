//! Tables of every parser, and of none.

use super::{Files, files_of, texts};
use dualk_plugin_parser_mimic::{Mimic3Options, Mimic4Options};
use dualk_plugin_parser_sources::{CsvOptions, EicuOptions, Flags, I2b2Options, MedsOptions, OmopOptions, Written};
use dualk_plugin_parser_synthetic::{SyntheticOptions, generate, write_raw};
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::data::columns::{Values, write_parquet};
use dualk_sdk::data::tables::Table;
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use std::fs;
use std::io::Write;
use std::path::Path;

/// What stands in a cell: what belongs there, and what does not.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..6u32).prop_map(|n| n.to_string()),
        4 => prop_oneof![Just("4280"), Just("25000"), Just("I50.9"), Just("E11.9"), Just("9"), Just("10"), Just("abnormal")]
            .prop_map(String::from),
        4 => (1..13u32, 1..29u32).prop_map(|(m, d)| format!("2150-{m:02}-{d:02} 10:00:00")),
        1 => prop_oneof![
            Just(""), Just("-1"), Just("NaN"), Just("1e999"), Just("99999999999999999999"), Just("0.5"), Just("\"\""),
            Just("\"a, b\""), Just("\"open"), Just("9999-99-99"), Just("0000-00-00 00:00:00"), Just("-9223372036854775808"),
        ].prop_map(String::from),
        1 => "[ -~é💊]{0,6}",
    ]
}

/// A table whose columns may be doubled or lacking, and rows too long or short.
fn table(columns: &'static [&'static str]) -> impl Strategy<Value = String> {
    let heads = prop_oneof![
        9 => Just(columns.join(",")),
        1 => vec(0..columns.len(), 0..=columns.len() + 1).prop_map(|i| i.iter().map(|&i| columns[i]).collect::<Vec<_>>().join(",")),
    ];
    let row = prop_oneof![19 => vec(cell(), columns.len()), 1 => vec(cell(), 0..columns.len() + 2)];
    let ends = prop_oneof![Just("\n"), Just("\r\n")];
    (heads, vec(row, 0..12), ends).prop_map(|(head, rows, end)| {
        std::iter::once(head).chain(rows.iter().map(|row| row.join(","))).map(|line| line + end).collect()
    })
}

fn parse(options: impl BuildParser) -> Result<()> {
    let cohort = options.build()?.parse(&ParserContext { progress: &Silent, compat: false, seed: 0, learns: None })?;
    cohort.validate()
}

fn root(folder: &Path) -> FilePath {
    FilePath(folder.to_owned())
}

/// A file, or none where it is not there.
fn if_there(folder: &Path, name: &str) -> FilePath {
    Some(folder.join(name)).filter(|path| path.is_file()).map_or_else(FilePath::default, FilePath)
}

pub fn mimic3() -> impl Strategy<Value = Files> {
    let admissions = table(&["SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME", "HOSPITAL_EXPIRE_FLAG"]);
    let diagnoses = table(&["SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"]);
    let labs = table(&["SUBJECT_ID", "HADM_ID", "ITEMID", "FLAG"]);
    let items = table(&["ITEMID", "CATEGORY", "LABEL"]);
    let patients = table(&["SUBJECT_ID", "GENDER", "DOB"]);
    (patients, admissions, diagnoses, labs, items).prop_map(|(patients, admissions, diagnoses, labs, items)| {
        texts([
            ("PATIENTS.csv", patients),
            ("ADMISSIONS.csv", admissions),
            ("DIAGNOSES_ICD.csv", diagnoses),
            ("LABEVENTS.csv", labs),
            ("D_LABITEMS.csv", items),
        ])
    })
}

pub fn sound_mimic3() -> Vec<Files> {
    let admissions = "\"ROW_ID\",\"SUBJECT_ID\",\"HADM_ID\",\"ADMITTIME\",\"DISCHTIME\"\n1,7,12,2101-02-01 00:00:00,\n\
                      2,5,21,2101-01-03 00:00:00,2101-01-04 12:30:00\n3,7,11,2101-01-01 00:00:00,\n4,6,31,2101-01-01 00:00:00,\n";
    let diagnoses = "\"ROW_ID\",\"SUBJECT_ID\",\"HADM_ID\",\"SEQ_NUM\",\"ICD9_CODE\"\n1,7,11,1,\"4280\"\n2,7,12,1,\"E8490\"\n\
                     3,7,12,2,\"4280\"\n4,5,21,1,\"25000\"\n5,6,31,,\n";
    let labs = "SUBJECT_ID,HADM_ID,ITEMID,FLAG\n7,11,50912,abnormal\n7,11,50912,abnormal\n7,12,51222,delta\n\
                5,21,51222,abnormal\n5,,50912,abnormal\n";
    let mut files = texts([
        ("ADMISSIONS.csv", admissions.to_owned()),
        ("DIAGNOSES_ICD.csv", diagnoses.to_owned()),
        ("LABEVENTS.csv", labs.to_owned()),
        ("D_LABITEMS.csv", "ITEMID,CATEGORY\n50912,Chemistry\n51222,HEMATOLOGY\n".to_owned()),
    ]);
    let without_patients = files.clone();
    files.insert("PATIENTS.csv".into(), b"SUBJECT_ID,GENDER,DOB\n5,F,2041-01-03\n7,M,\n6,M,\n8,F,\n".to_vec());
    vec![files, without_patients]
}

pub fn read_mimic3(folder: &Path) -> Result<()> {
    parse(Mimic3Options { root: root(folder), ..Default::default() })
}

pub fn mimic4() -> impl Strategy<Value = Files> {
    let patients = table(&["subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group"]);
    let admissions = table(&["subject_id", "hadm_id", "admittime", "dischtime", "deathtime"]);
    let diagnoses = table(&["subject_id", "hadm_id", "seq_num", "icd_code", "icd_version"]);
    let labs = table(&["subject_id", "hadm_id", "itemid", "charttime", "flag"]);
    let items = table(&["itemid", "category", "label"]);
    (patients, admissions, diagnoses, labs, items).prop_map(|(patients, admissions, diagnoses, labs, items)| {
        texts([
            ("patients.csv", patients),
            ("admissions.csv", admissions),
            ("diagnoses_icd.csv", diagnoses),
            ("labevents.csv", labs),
            ("d_labitems.csv", items),
        ])
    })
}

pub fn sound_mimic4() -> Vec<Files> {
    let made_up = tempfile::tempdir().unwrap();
    let options = SyntheticOptions { patients: 40, clusters: 4, codes: 40, labs: 12, ..SyntheticOptions::default() };
    write_raw(&generate(&options, 5), made_up.path()).unwrap();
    let by_hand = texts([
        (
            "patients.csv",
            "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n1,F,60,2150,2014 - 2016,\n".to_owned(),
        ),
        (
            "admissions.csv",
            "subject_id,hadm_id,admittime,dischtime\n1,10,2150-11-12 10:00,2150-11-13 10:00\n1,11,2150-10-12 10:00,\n"
                .to_owned(),
        ),
        ("diagnoses_icd.csv", "subject_id,hadm_id,icd_code,icd_version\n1,10,4280,9\n1,11,25000,9\n".to_owned()),
        ("labevents.csv", "hadm_id,itemid,flag\n10,1,abnormal\n".to_owned()),
        ("d_labitems.csv", "itemid,category\n1,Chemistry\n".to_owned()),
    ]);
    vec![by_hand, files_of(made_up.path())]
}

pub fn read_mimic4(folder: &Path) -> Result<()> {
    let icd_map = if_there(folder, "icd10-icd9.csv");
    parse(Mimic4Options { root: root(folder), icd_map, ..Default::default() })
}

pub fn eicu() -> impl Strategy<Value = Files> {
    let patients = table(&["patientunitstayid", "patienthealthsystemstayid", "hospitaladmitoffset", "gender", "age"]);
    let diagnoses = table(&["patientunitstayid", "icd9code"]);
    let labs = table(&["patientunitstayid", "labtypeid", "labname", "labresult", "labmeasurenamesystem"]);
    (patients, diagnoses, labs).prop_map(|(patients, diagnoses, labs)| {
        texts([("patient.csv", patients), ("diagnosis.csv", diagnoses), ("lab.csv", labs)])
    })
}

pub fn sound_eicu() -> Vec<Files> {
    let patients =
        "patientunitstayid,patienthealthsystemstayid,hospitaladmitoffset\n11,1,-5\n12,1,-2258\n21,2,0\n31,3,0\n";
    let diagnoses = "patientunitstayid,icd9code\n11,\"253.2, E23.0\"\n11,\"253.2, E23.0\"\n12,\"41.4, B96.2\"\n11,V45.81\n\
                     21,\"E849.0, Y92\"\n21,\n21,\"038.9, A41.9\"\n31,\n";
    let mut labs = String::from("patientunitstayid,labtypeid,labname,labresult,labmeasurenamesystem\n");
    (1..=200).for_each(|v| labs += &format!("12,1,glucose,{v},mg/dL\n"));
    labs += "21,1,glucose,500,mg/dL\n21,3,Hgb,7,g/dL\n21,2,vancomycin,1000,\n21,3,Hgb,,g/dL\n99,1,glucose,1,mg/dL\n";
    vec![texts([("patient.csv", patients.to_owned()), ("diagnosis.csv", diagnoses.to_owned()), ("lab.csv", labs)])]
}

pub fn read_eicu(folder: &Path) -> Result<()> {
    parse(EicuOptions { root: root(folder), ..Default::default() })
}

pub fn omop() -> impl Strategy<Value = Files> {
    let visits =
        table(&["visit_occurrence_id", "person_id", "visit_concept_id", "visit_start_date", "visit_end_datetime"]);
    let conditions = table(&["visit_occurrence_id", "condition_concept_id", "condition_source_value"]);
    let measurements =
        table(&["visit_occurrence_id", "measurement_concept_id", "value_as_number", "range_low", "range_high"]);
    let persons = table(&["person_id", "gender_concept_id", "year_of_birth", "race_source_value"]);
    let deaths = table(&["person_id", "death_date"]);
    let tables = (visits, conditions, measurements, persons, deaths);
    tables.prop_map(|(visits, conditions, measurements, persons, deaths)| {
        texts([
            ("visit_occurrence.csv", visits),
            ("condition_occurrence.csv", conditions),
            ("measurement.csv", measurements),
            ("person.csv", persons),
            ("death.csv", deaths),
        ])
    })
}

pub fn sound_omop() -> Vec<Files> {
    let visits = "visit_occurrence_id,person_id,visit_concept_id,visit_start_date\n11,1,9201,2016-05-21\n12,1,9201,2016-05-20\n\
                  13,1,9202,2016-06-01\n21,2,9201,2015-01-01\n";
    let conditions = "visit_occurrence_id,condition_concept_id,condition_source_value\n11,316139,I50.9\n12,316139,I509\n\
                      12,0,Z99.9\n21,201826,E11.9\n,201826,E11.9\n";
    let measurements = "visit_occurrence_id,measurement_concept_id,value_as_number,range_low,range_high\n\
                        11,3004501,200,70,100\n11,3004501,90,70,100\n11,3000963,7.5,12,\n21,3004501,60,,100\n\
                        ,3004501,1,70,100\n12,3004501,,70,100\n11,3004501,210,70,100\n";
    let few = texts([
        ("visit_occurrence.csv", visits.to_owned()),
        ("condition_occurrence.csv", conditions.to_owned()),
        ("measurement.csv", measurements.to_owned()),
        ("map.csv", "ICD10,ICD9\nI509,4280\nE119,25000\n".to_owned()),
    ]);
    let persons = "PERSON_ID,GENDER_CONCEPT_ID,YEAR_OF_BIRTH,MONTH_OF_BIRTH,DAY_OF_BIRTH,ETHNICITY_SOURCE_VALUE\n\
                   1,8532,1946,5,20,hispanic\n2,8507,1955,,,\n";
    let concepts =
        "concept_id\tconcept_name\n3004501\tGlucose, \"serum\"\n316139\tHeart failure\n4052536\tIntubation\n";
    let more = texts([
        ("PERSON.csv", persons.to_owned()),
        ("death.csv", "person_id,death_date\n2,2015-01-01\n".to_owned()),
        ("CONCEPT.csv", concepts.to_owned()),
    ]);
    vec![few.clone(), few.into_iter().chain(more).collect()]
}

pub fn read_omop(folder: &Path) -> Result<()> {
    let icd_map = if_there(folder, "map.csv");
    parse(match icd_map.given().is_some() {
        true => OmopOptions { root: root(folder), icd_map, visit_concepts: vec![9201], ..Default::default() },
        false => OmopOptions { root: root(folder), ..Default::default() },
    })
}

/// Some of the codes are concepts.
pub fn i2b2() -> impl Strategy<Value = Files> {
    let facts =
        table(&["encounter_num", "patient_num", "concept_cd", "start_date", "nval_num", "units_cd", "modifier_cd"]);
    let patients = table(&["patient_num", "vital_status_cd", "birth_date", "death_date", "sex_cd", "race_cd"]);
    let visits = table(&["encounter_num", "start_date", "end_date"]);
    (facts, patients, visits).prop_map(|(facts, patients, visits)| {
        let facts = facts.replace("I50.9", "ICD10:I50.9").replace("4280", "ICD9:4280").replace("25000", "LOINC:2345-7");
        texts([("observation_fact.csv", facts), ("patient_dimension.csv", patients), ("visit_dimension.csv", visits)])
    })
}

pub fn sound_i2b2() -> Vec<Files> {
    let mut facts =
        String::from("ENCOUNTER_NUM,PATIENT_NUM,CONCEPT_CD,START_DATE,MODIFIER_CD,NVAL_NUM,VALUEFLAG_CD,UNITS_CD\n");
    (1..=120).for_each(|value| facts += &format!("12,1,LOINC:2345-7,2020-05-01,@,{value},@,mg/dL\n"));
    facts += "12,1,ICD10:I50.9,2020-05-02 10:00:00,@,,,\n12,1,ICD10:E11.9,2020-05-01,@,,,\n11,1,ICD9:4280,2019-01-31,@,,,\n\
              21,2,ICD9CM:250.00,2018-01-01,@,,,\n,2,ICD10:I50.9,2018-01-01,@,,,\n22,@,ICD10:I50.9,2018-01-01,@,,,\n\
              -1,2,ICD10:I50.9,2018-01-01,@,,,\n0,1,ICD10:I50.9,2018-01-01,@,,,\n0,2,ICD10:I50.9,2018-01-01,@,,,\n\
              21,2,ICD9:47.0,2018-01-01,@,,,\n21,2,LOINC:718-7,2018-01-01,LAB:LOW,12,@,g/dL\n21,2,LOINC:2345-7,2018-01-01,@,,H,@\n";
    let patients = "patient_num,vital_status_cd,birth_date,death_date,sex_cd,race_cd\n1,N,1946-05-20 00:00:00,,F,white\n\
                    2,Y,1955-01-01,2018-01-03,@,@\n3,@,@,NULL,M,black\n";
    let visits = "encounter_num,patient_num,start_date,end_date\n11,1,2019-01-31 08:00:00,2019-02-02\n12,1,@,2020-05-04\n\
                  21,2,2018-01-01,2018-01-03\n-1,1,@,@\n-1,2,@,@\n";
    let concepts = "concept_path,concept_cd,name_char\n\\i2b2\\1,LOINC:2345-7,Glucose\n\\i2b2\\2,LOINC:718-7,\n";
    let few = texts([("observation_fact.csv", facts)]);
    let more = texts([
        ("PATIENT_DIMENSION.csv", patients.to_owned()),
        ("visit_dimension.csv", visits.to_owned()),
        ("concept_dimension.csv", concepts.to_owned()),
    ]);
    vec![few.clone(), few.into_iter().chain(more).collect()]
}

/// Results by their flags where the concepts have names.
pub fn read_i2b2(folder: &Path) -> Result<()> {
    let abnormal = if folder.join("concept_dimension.csv").is_file() { Flags::Flag } else { Flags::Interval };
    parse(I2b2Options { root: root(folder), abnormal, ..Default::default() })
}

/// With a file `way` whose first byte says by which options the tables are read.
pub fn csv() -> impl Strategy<Value = Files> {
    let visits = table(&["patient", "visit", "time", "code", "end", "age", "sex", "died"]);
    let labs = table(&["patient", "visit", "item", "value", "low", "high"]);
    (visits, labs, table(&["visit", "drug"]), 0..4u8).prop_map(|(visits, labs, drugs, way)| {
        texts([("v.csv", visits), ("l.csv", labs), ("d.csv", drugs), ("way", way.to_string())])
    })
}

pub fn sound_csv() -> Vec<Files> {
    let long = "patient,visit,time,code,sex,age\nA-1,2,2020-05-01,I10,f,61\nA-1,1,2019-01-31,I50.9,f,60\n\
                A-1,2,2020-05-01,E11.9,f,61\nB 2,1,2018-01-01,I10,male,40\nB 2,1,2018-01-01,,male,40\n,1,2018-01-01,I10,m,1\n";
    let wide = "patient,visit,time,dx1,dx2,dx10,end,died\n7,70,2020-01-01 10:00,4280,,25000,2020-01-03 10:00,0\n\
                7,71,2020-03-01,486,4280,,2020-03-02,1\n9,90,2020-01-01,E8490,,,,\n";
    let labs = "visit,item,value,low,high,group\n70,Glucose,200,70,100,chemistry\n70,Glucose,90,70,100,chemistry\n\
                71,Hb,7,12,16,blood\n99,Hb,7,12,16,blood\n71,Na,140,,,chemistry\n";
    let drugs = "visit,atc\n70,A10BA02\n70,A10BA02\n71,C03CA01\n70,N02BE01\n";
    let items = "patient,time,codes,lab_na,lab_k\n1,2,a; b,1,\n1,1,b,H,0\n2,1,c;;a,,\n,1,c,H,\n1,,c,,H\n3,1,,,1\n";
    let (way, of) = ("way", |way: u8| way.to_string());
    vec![
        texts([("v.csv", long.to_owned()), (way, of(6))]),
        texts([("v.csv", wide.to_owned()), ("l.csv", labs.to_owned()), ("d.csv", drugs.to_owned()), (way, of(4))]),
        texts([("v.csv", items.to_owned()), (way, of(5))]),
    ]
}

pub fn read_csv(folder: &Path) -> Result<()> {
    let path = |name: &str| FilePath(folder.join(name));
    let way = fs::read(folder.join("way")).ok().and_then(|bytes| bytes.first().copied()).unwrap_or(b'0');
    let visits = || CsvOptions { visits: path("v.csv"), ..Default::default() };
    let all = || CsvOptions { labs: path("l.csv"), drugs: path("d.csv"), value: "value".into(), ..visits() };
    let between = || CsvOptions { low: "low".into(), high: "high".into(), ..all() };
    parse(match way.wrapping_sub(b'0') % 7 {
        0 => between(),
        1 => CsvOptions { quantiles: 2, ..all() },
        2 => CsvOptions { quantiles: 100, ..all() },
        3 => CsvOptions { visit: String::new(), ..visits() },
        4 => CsvOptions {
            code: vec!["dx*".into()],
            written: Written::Icd9,
            code_system: CodeSystem::Icd9,
            category: "group".into(),
            drug: "atc".into(),
            ..between()
        },
        5 => CsvOptions {
            visit: String::new(),
            code: vec!["codes".into()],
            separator: ";".into(),
            written: Written::Other,
            items: vec!["lab_*".into()],
            ..visits()
        },
        _ => visits(),
    })
}

/// An event of MEDS: subject, hours since 1970, code, number.
type Event = (i64, Option<i64>, String, Option<f32>);

fn shard(events: &[Event]) -> Vec<u8> {
    let columns = [
        ("subject_id", Values::from(events.iter().map(|e| e.0).collect::<Vec<_>>())),
        ("time", Values::times(events.iter().map(|e| e.1.map(|t| t.wrapping_mul(3_600_000_000))).collect())),
        ("code", events.iter().map(|e| e.2.as_str()).collect::<Vec<_>>().into()),
        ("numeric_value", events.iter().map(|e| e.3).collect::<Vec<_>>().into()),
    ];
    parquet(columns.map(|(name, values)| (name.to_owned(), values)).into())
}

fn parquet(columns: Vec<(String, Values)>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.parquet");
    write_parquet(&file, columns).unwrap();
    fs::read(file).unwrap()
}

fn meds_code() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("HOSPITAL_ADMISSION".to_owned()),
        3 => Just("DIAGNOSIS//ICD//9//4280".to_owned()),
        2 => Just("DIAGNOSIS//ICD//10//I509".to_owned()),
        2 => Just("LAB//50931//mg/dL".to_owned()),
        1 => Just("GENDER//F".to_owned()),
        1 => "(HOSPITAL_ADMISSION|DIAGNOSIS|LAB|BIRTH)?(//)?[ -~é]{0,8}",
    ]
}

pub fn meds() -> impl Strategy<Value = Files> {
    let subject = prop_oneof![9 => 0..4i64, 1 => any::<i64>()];
    let time = prop_oneof![9 => (0..100i64).prop_map(Some), 1 => any::<Option<i64>>()];
    let events = vec((subject, time, meds_code(), any::<Option<f32>>()), 0..40);
    (events, 1..3usize).prop_map(|(events, shards)| {
        let shards = events.chunks(events.len().div_ceil(shards).max(1)).enumerate();
        shards.map(|(i, events)| (format!("data/{i}.parquet"), shard(events))).collect()
    })
}

pub fn sound_meds() -> Vec<Files> {
    let event =
        |subject: i64, hour: i64, code: &str, number: Option<f32>| (subject, Some(hour), code.to_owned(), number);
    let mut first = vec![
        (7, None, "GENDER//F".to_owned(), None),
        event(7, 404_000, "HOSPITAL_ADMISSION//EW EMER.", None),
        event(7, 404_000, "DIAGNOSIS//ICD//9//4280", None),
        event(7, 404_100, "DIAGNOSIS//ICD//10//E119", None),
        event(7, 403_000, "HOSPITAL_ADMISSION", None),
        event(7, 403_010, "DIAGNOSIS//ICD//9//25000", None),
        event(7, 403_011, "LAB//50931//mg/dL", Some(500.0)),
    ];
    first.extend((1..=20).map(|v| event(7, 404_005, "LAB//50931//mg/dL", Some(v as f32))));
    let second = [
        event(8, 405_000, "HOSPITAL_ADMISSION", None),
        event(9, 405_000, "HOSPITAL_ADMISSION", None),
        event(9, 405_005, "DIAGNOSIS//ICD//9//4280", None),
    ];
    let map = b"ICD10,ICD9\nI509,4280\nE119,25000\n".to_vec();
    let files = [("data/0.parquet", shard(&first)), ("data/1.parquet", shard(&second)), ("map.csv", map)];
    vec![files.map(|(name, bytes)| (name.to_owned(), bytes)).into()]
}

pub fn read_meds(folder: &Path) -> Result<()> {
    parse(MedsOptions { root: root(folder), icd_map: if_there(folder, "map.csv"), ..Default::default() })
}

/// A compressed table, and one in Parquet.
pub fn sound_compressed() -> Vec<Files> {
    let text: String = (0..200).map(|i| format!("{i},\"a, {i}\",x{i}\n")).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(format!("id,b,c\n{text}").as_bytes()).unwrap();
    vec![[("t.csv.gz".to_owned(), encoder.finish().unwrap())].into()]
}

pub fn sound_parquet() -> Vec<Files> {
    let columns = [("id", (0..200i64).collect::<Vec<_>>().into()), ("b", vec!["q"; 200].into())];
    let table = parquet(columns.map(|(name, values)| (name.to_owned(), values)).into());
    vec![[("t.parquet".to_owned(), table)].into()]
}

/// Reads `t.csv.gz` or `t.parquet`.
pub fn read_table(folder: &Path) -> Result<()> {
    let table = Table::open(folder, "t", &["id", "b"])?;
    let rows = table.read()?;
    rows.integers("id")?;
    rows.texts("b")?.for_each(drop);
    Ok(())
}

/// How a table of text is split, below a heading that is sound: `commas`, `tabs` or `semicolons` hold the rows.
const DIALECTS: [(&str, u8); 3] = [("commas", b','), ("tabs", b'\t'), ("semicolons", b';')];

pub fn dialect() -> impl Strategy<Value = Files> {
    let piece = prop_oneof![
        Just("a"),
        Just("é"),
        Just(","),
        Just("\t"),
        Just(";"),
        Just("\""),
        Just("\"\""),
        Just("\n"),
        Just("\r\n"),
        Just(" "),
        Just("12"),
        Just("\",\""),
        Just("\n\""),
        Just("\"\n"),
    ];
    (vec(piece, 0..40), 0..DIALECTS.len()).prop_map(|(pieces, i)| texts([(DIALECTS[i].0, pieces.concat())]))
}

pub fn sound_dialect() -> Vec<Files> {
    let rows = "1,\"a, b\",\n\"2\",\"say \"\"x\"\"\",\"a\nb\"\r\n\n,,\n\"\",é,\"\"\"\"\n";
    DIALECTS.map(|(name, by)| texts([(name, rows.replace(',', &char::from(by).to_string()))])).into()
}

/// Tables are split as `csv-core` splits them, the parser of the `csv` crate, or refused. (The crate itself asks for
/// features of serde that would have all of burn compiled once more.)
pub fn read_dialect(folder: &Path) -> Result<()> {
    let there = DIALECTS.iter().find_map(|&(name, by)| Some((fs::read(folder.join(name)).ok()?, by)));
    let Some((rows, by)) = there else { return Err(Error::user("there is no table")) };
    // A carriage return alone ends a line there and is a letter here.
    let mut text = [&b"x"[..], &[by], b"y", &[by], b"z\n"].concat();
    let lone = |i: usize| rows[i] == b'\r' && rows.get(i + 1) != Some(&b'\n');
    text.extend((0..rows.len()).filter(|&i| !lone(i)).map(|i| rows[i]));
    let file = folder.join("t.csv");
    fs::write(&file, &text).map_err(|e| Error::io("write", &file, e))?;
    let table = Table::at(&file, &["x", "y", "z"])?;
    let ours = table.read()?;
    let mut columns: Vec<Vec<&str>> = Vec::new();
    for name in ["x", "y", "z"] {
        columns.push(ours.texts(name)?.map(Option::unwrap_or_default).collect());
    }
    let theirs = records(&text, by);
    assert_eq!(theirs.len(), 1 + ours.len(), "rows");
    for (i, record) in theirs[1..].iter().enumerate() {
        let ours: Vec<&str> = columns.iter().map(|column| column[i]).collect();
        assert_eq!(*record, ours, "row {i}");
    }
    Ok(())
}

/// All records, as `csv-core` reads them.
fn records(bytes: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let (mut text, mut ends) = (vec![0; bytes.len() + 1], vec![0; bytes.len() + 2]);
    let (mut rest, mut written, mut fields, mut records) = (bytes, 0, 0, Vec::new());
    loop {
        let (result, read, wrote, ended) = reader.read_record(rest, &mut text[written..], &mut ends[fields..]);
        (rest, written, fields) = (&rest[read..], written + wrote, fields + ended);
        match result {
            csv_core::ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends[..fields].iter().copied());
                let cell = |(start, &end): (usize, &usize)| String::from_utf8_lossy(&text[start..end]).into_owned();
                records.push(starts.zip(&ends[..fields]).map(cell).collect());
                (written, fields) = (0, 0);
            }
            csv_core::ReadRecordResult::End => return records,
            csv_core::ReadRecordResult::InputEmpty => {}
            other => panic!("{other:?}"),
        }
    }
}
