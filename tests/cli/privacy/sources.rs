//! The same for the tables of every parser, sound and broken.

use super::{dualk, manifest, printed, run_of, searched, searched_run};
use dualk_sdk::data::columns::{Values, write_parquet};
use std::fs;
use std::path::{Path, PathBuf};

/// The tables of a parser, with identifiers of patients from 77120000 on, of visits from 88340000, of events from 99450000,
/// and `CANARY` where tables have texts that no parser needs.
struct Source {
    /// Its options in a manifest.
    parser: &'static str,
    /// Tables by file name; their first line names the columns.
    tables: Vec<(&'static str, String)>,
}

/// Patients and visits: identifiers, the number of the visit from 1, and the row.
fn visits() -> impl Iterator<Item = (u32, u32, u32, u32)> {
    let visits = (0..24u32).flat_map(|p| (0..1 + p % 2).map(move |v| (p, v)));
    visits.map(|(p, v)| (77_120_000 + p, 88_340_000 + 10 * p + v, v + 1, p + v))
}

/// A table with a row for each visit, or for each of `times` things in it.
fn table(head: &str, times: u32, row: impl Fn(u32, u32, u32, u32) -> String) -> String {
    let rows = visits().flat_map(|visit| (0..times).map(move |i| (visit, i)));
    let rows = rows.map(|((patient, visit, number, n), i)| row(patient, visit, number, n + i) + "\n");
    format!("{head}\n{}", rows.collect::<String>())
}

const ICD9: [&str; 6] = ["4280", "25000", "4019", "5849", "2724", "41401"];
const DOTTED: [&str; 6] = ["428.0", "250.00", "401.9", "584.9", "272.4", "414.01"];
const PROCEDURES: [&str; 6] = ["3893", "9604", "9671", "3995", "8856", "3722"];
const DRUGS: [&str; 6] = ["Aspirin", "Insulin", "Heparin", "Furosemide", "Metoprolol", "Warfarin"];
const ICD10: [&str; 6] = ["I50.9", "E11.9", "I10", "N17.9", "E78.5", "I25.10"];

/// A code of a row.
fn of(codes: [&str; 6], n: u32) -> &str {
    codes[n as usize % 6]
}

fn flag(n: u32) -> &'static str {
    if n.is_multiple_of(2) { "abnormal" } else { "" }
}

fn mimic3() -> Source {
    let items = "ROW_ID,ITEMID,LABEL,CATEGORY\n1,500,a,Chemistry\n2,501,b,Hematology\n3,502,c,Blood Gas\n";
    let patients = (0..24u32).map(|p| format!("9945{p:04},{},F,2090-01-01 00:00:00,CANARY{p}\n", 77_120_000 + p));
    let tables = vec![
        ("raw/PATIENTS.csv", format!("ROW_ID,SUBJECT_ID,GENDER,DOB,NOTE\n{}", patients.collect::<String>())),
        (
            "raw/ADMISSIONS.csv",
            table("ROW_ID,SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,INSURANCE", 1, |p, v, i, n| {
                format!("9945{n:04},{p},{v},2150-0{i}-01 10:00:00,2150-0{i}-05 10:00:00,CANARY{n}")
            }),
        ),
        (
            "raw/DIAGNOSES_ICD.csv",
            table("ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE", 3, |p, v, _, n| {
                format!("9945{n:04},{p},{v},{},{}", n + 1, of(ICD9, n))
            }),
        ),
        (
            "raw/LABEVENTS.csv",
            table("ROW_ID,SUBJECT_ID,HADM_ID,ITEMID,CHARTTIME,VALUE,FLAG", 3, |p, v, _, n| {
                format!("9945{n:04},{p},{v},50{},2150-01-01 11:00:00,CANARY,{}", n % 3, flag(n))
            }),
        ),
        ("raw/D_LABITEMS.csv", items.to_owned()),
        (
            "raw/PROCEDURES_ICD.csv",
            table("ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE", 1, |p, v, _, n| {
                format!("9945{n:04},{p},{v},1,{}", of(PROCEDURES, n))
            }),
        ),
        (
            "raw/PRESCRIPTIONS.csv",
            table("ROW_ID,SUBJECT_ID,HADM_ID,DRUG,DOSE", 2, |p, v, _, n| {
                format!("9945{n:04},{p},{v},{},CANARY{n}", of(DRUGS, n))
            }),
        ),
        (
            "raw/D_ICD_PROCEDURES.csv",
            "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE\n1,3893,CANARY,a\n2,9604,CANARY,b\n3,9671,CANARY,c\n".to_owned(),
        ),
    ];
    Source { parser: "type = \"mimic3\", root = \"raw\", events = [\"procedures\", \"drugs\"]", tables }
}

fn mimic4() -> Source {
    let items = "itemid,label,fluid,category\n500,a,Blood,Chemistry\n501,b,Blood,Hematology\n502,c,Blood,Blood Gas\n";
    let patients = "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n".to_owned();
    let rows = (0..24u32).map(|p| format!("{},F,60,2150,2014 - 2016,\n", 77_120_000 + p));
    let tables = vec![
        ("raw/patients.csv", patients + &rows.collect::<String>()),
        (
            "raw/admissions.csv",
            table("subject_id,hadm_id,admittime,dischtime,deathtime,race,insurance", 1, |p, v, i, n| {
                format!("{p},{v},2150-0{i}-01 10:00:00,2150-0{i}-05 10:00:00,,CANARY{n},CANARY{n}")
            }),
        ),
        (
            "raw/diagnoses_icd.csv",
            table("subject_id,hadm_id,seq_num,icd_code,icd_version", 3, |p, v, _, n| {
                format!("{p},{v},{},{},9", n + 1, of(ICD9, n))
            }),
        ),
        (
            "raw/labevents.csv",
            table("labevent_id,subject_id,hadm_id,itemid,charttime,flag,comments", 3, |p, v, _, n| {
                format!("9945{n:04},{p},{v},50{},2150-01-01 11:00:00,{},CANARY", n % 3, flag(n))
            }),
        ),
        ("raw/d_labitems.csv", items.to_owned()),
        (
            "raw/procedures_icd.csv",
            table("subject_id,hadm_id,seq_num,icd_code,icd_version", 1, |p, v, _, n| {
                format!("{p},{v},1,{},9", of(PROCEDURES, n))
            }),
        ),
        (
            "raw/prescriptions.csv",
            table("subject_id,hadm_id,pharmacy_id,drug,dose", 2, |p, v, _, n| {
                format!("{p},{v},9945{n:04},{},CANARY{n}", of(DRUGS, n))
            }),
        ),
    ];
    Source { parser: "type = \"mimic4\", root = \"raw\", events = [\"procedures\", \"drugs\"]", tables }
}

fn eicu() -> Source {
    let tables = vec![
        (
            "raw/patient.csv",
            table(
                "patientunitstayid,patienthealthsystemstayid,hospitaladmitoffset,uniquepid,gender,age,ethnicity,hospitaldischargestatus",
                1,
                |p, v, i, n| format!("{v},{p},-{},CANARY{n},Female,60,CANARY{n},Alive", 100 * (3 - i)),
            ),
        ),
        (
            "raw/diagnosis.csv",
            table("diagnosisid,patientunitstayid,icd9code,diagnosisstring", 3, |_, v, _, n| {
                format!("9945{n:04},{v},\"{}, {}\",CANARY{n}", of(DOTTED, n), of(ICD10, n))
            }),
        ),
        (
            "raw/lab.csv",
            table("labid,patientunitstayid,labtypeid,labname,labresult,labmeasurenamesystem", 9, |_, v, _, n| {
                format!("9945{n:04},{v},1,glucose,{},mg/dL", n * 7 % 31)
            }),
        ),
        (
            "raw/treatment.csv",
            table("treatmentid,patientunitstayid,treatmentstring,activeupondischarge", 1, |_, v, _, n| {
                format!("9945{n:04},{v},treatment {},CANARY{n}", n % 3)
            }),
        ),
        (
            "raw/medication.csv",
            table("medicationid,patientunitstayid,drugname,drugordercancelled,dosage", 2, |_, v, _, n| {
                format!("9945{n:04},{v},{},No,CANARY{n}", of(DRUGS, n))
            }),
        ),
    ];
    Source { parser: "type = \"eicu\", root = \"raw\", events = [\"procedures\", \"drugs\"]", tables }
}

fn omop() -> Source {
    let persons = (0..24u32).map(|p| format!("{},8532,1960,CANARY{p},CANARY{p}\n", 77_120_000 + p)).collect::<String>();
    let tables = vec![
        (
            "raw/person.csv",
            format!("person_id,gender_concept_id,year_of_birth,race_source_value,location_id\n{persons}"),
        ),
        (
            "raw/visit_occurrence.csv",
            table(
                "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date,provider",
                1,
                |p, v, i, n| format!("{v},{p},9201,2015-0{i}-01,2015-0{i}-04,CANARY{n}"),
            ),
        ),
        (
            "raw/condition_occurrence.csv",
            table(
                "condition_occurrence_id,visit_occurrence_id,condition_concept_id,condition_source_value",
                3,
                |_, v, _, n| format!("9945{n:04},{v},316139,{}", of(ICD10, n)),
            ),
        ),
        (
            "raw/measurement.csv",
            table(
                "measurement_id,visit_occurrence_id,measurement_concept_id,value_as_number,range_low,range_high,value_source_value",
                3,
                |_, v, _, n| format!("9945{n:04},{v},{},{},70,100,CANARY{n}", 3_004_500 + n % 3, 60 + 10 * (n % 6)),
            ),
        ),
        (
            "raw/procedure_occurrence.csv",
            table("procedure_occurrence_id,visit_occurrence_id,procedure_concept_id,note", 1, |_, v, _, n| {
                format!("9945{n:04},{v},{},CANARY{n}", 4_052_536 + n % 3)
            }),
        ),
        (
            "raw/drug_exposure.csv",
            table("drug_exposure_id,visit_occurrence_id,drug_concept_id,sig", 2, |_, v, _, n| {
                format!("9945{n:04},{v},{},CANARY{n}", 1_112_807 + n % 3)
            }),
        ),
        (
            "raw/death.csv",
            "person_id,death_date,cause\n77120000,2016-01-01,CANARY\n77120001,2016-01-02,CANARY\n77120002,2016-01-03,CANARY\n"
                .to_owned(),
        ),
        (
            "raw/concept.csv",
            "concept_id,concept_name,valid\n3004500,Glucose,CANARY\n3004501,Sodium,CANARY\n3004502,Urea,CANARY\n".to_owned(),
        ),
    ];
    Source { parser: "type = \"omop\", root = \"raw\", events = [\"procedures\", \"drugs\"]", tables }
}

fn i2b2() -> Source {
    let head = "encounter_num,patient_num,concept_cd,provider_id,start_date,modifier_cd,instance_num,valtype_cd,tval_char,nval_num,units_cd";
    let facts = table(head, 12, |p, v, i, n| {
        let result = (n % 12 > 3).then(|| ("LOINC:2345-7".to_owned(), (n * 7 % 31).to_string(), "mg/dL"));
        let (concept, value, unit) = result.unwrap_or_else(|| (format!("ICD9:{}", of(DOTTED, n)), String::new(), "@"));
        format!("{v},{p},{concept},CANARY{n},2015-0{i}-01 10:00:00,@,9945{n:04},T,CANARY{n},{value},{unit}")
    });
    let patients = (0..24u32).map(|p| format!("{},Y,1960-01-01,2016-01-01,F,CANARY{p},CANARY{p}\n", 77_120_000 + p));
    let patients = patients.collect::<String>();
    let tables = vec![
        ("raw/observation_fact.csv", facts),
        (
            "raw/patient_dimension.csv",
            format!("patient_num,vital_status_cd,birth_date,death_date,sex_cd,race_cd,zip_cd\n{patients}"),
        ),
        (
            "raw/visit_dimension.csv",
            table("encounter_num,patient_num,start_date,end_date,location_cd", 1, |p, v, i, n| {
                format!("{v},{p},2015-0{i}-01 10:00:00,2015-0{i}-04,CANARY{n}")
            }),
        ),
        (
            "raw/concept_dimension.csv",
            "concept_path,concept_cd,name_char\nCANARY,LOINC:2345-7,Glucose\nCANARY,LOINC:1-8,a\nCANARY,LOINC:2-6,b\n"
                .to_owned(),
        ),
    ];
    Source { parser: "type = \"i2b2\", root = \"raw\"", tables }
}

/// Identifiers that are texts, as any table may have them.
fn csv() -> Source {
    let tables = vec![
        (
            "visits.csv",
            table("patient,visit,time,end,age,sex,ethnicity,died,note", 1, |p, v, i, n| {
                format!("CANARY-{p},CANARY-{v},2020-0{i}-01,2020-0{i}-03,60,f,CANARY{n},0,CANARY{n}")
            }),
        ),
        ("codes.csv", table("patient,visit,code", 3, |p, v, _, n| format!("CANARY-{p},CANARY-{v},{}", of(ICD10, n)))),
        (
            "labs.csv",
            table("patient,visit,item,flag", 3, |p, v, _, n| {
                format!("CANARY-{p},CANARY-{v},item {},{}", n % 3, flag(n))
            }),
        ),
        (
            "drugs.csv",
            table("patient,visit,drug,dose", 2, |p, v, _, n| {
                format!("CANARY-{p},CANARY-{v},{},CANARY{n}", of(DRUGS, n))
            }),
        ),
    ];
    Source {
        parser: "type = \"csv\", visits = \"visits.csv\", codes = \"codes.csv\", labs = \"labs.csv\", flag = \"flag\", \
                 drugs = \"drugs.csv\"",
        tables,
    }
}

fn write(source: &Source, folder: &Path) {
    for (name, text) in &source.tables {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    fs::write(folder.join("canary.toml"), manifest(source.parser)).unwrap();
}

/// All commands that touch patients, on sound tables.
fn nothing_leaks(folder: &Path) {
    for arguments in [
        &["check", "canary.toml"][..],
        &["check", "canary.toml", "--leaks", "--no-memory"],
        &["prepare", "canary.toml", "--out", "out"],
        &["run", "canary.toml"],
    ] {
        let output = dualk(folder, arguments);
        let text = printed(&output, &format!("{arguments:?}"));
        assert!(output.status.success(), "{arguments:?}: {text}");
    }
    let run = run_of(folder);
    for arguments in [&["eval", run.to_str().unwrap()][..], &["scrub", run.to_str().unwrap(), "--out", "shared"]] {
        let output = dualk(folder, arguments);
        let text = printed(&output, &format!("{arguments:?}"));
        assert!(output.status.success(), "{arguments:?}: {text}");
    }
    assert!(searched_run(&run) >= 8, "log, report, results, weights");
    assert!(searched(&folder.join("shared")) >= 6);
}

#[test]
fn no_parser_lets_an_identifier_out() {
    for source in [mimic3(), mimic4(), eicu(), omop(), i2b2(), csv()] {
        let folder = tempfile::tempdir().unwrap();
        write(&source, folder.path());
        nothing_leaks(folder.path());
    }
}

/// MEDS has its events in Parquet, and perhaps a table that describes codes.
#[test]
fn events_of_meds_let_no_identifier_out() {
    let folder = tempfile::tempdir().unwrap();
    let (mut subjects, mut times, mut codes, mut numbers) = (vec![], vec![], vec![], vec![]);
    for (patient, _, number, n) in visits() {
        let day = i64::from(16_000 + 60 * number);
        let mut event = |code: String, value: Option<f32>| {
            subjects.push(i64::from(patient));
            times.push(Some((day * 86_400 + codes.len() as i64) * 1_000_000));
            codes.push(code);
            numbers.push(value);
        };
        event("HOSPITAL_ADMISSION//CANARY".into(), None);
        (0..3).for_each(|i| event(format!("DIAGNOSIS//ICD//9//{}", of(ICD9, n + i)), None));
        (0..9).for_each(|i| event(format!("LAB//{}//mg/dL", 500 + i % 3), Some(((n + i) * 7 % 31) as f32)));
        event(format!("NOTE//CANARY{n}"), None);
    }
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let columns = [
        ("subject_id", Values::from(subjects)),
        ("time", Values::times(times)),
        ("code", codes.into()),
        ("numeric_value", numbers.into()),
    ];
    let data = folder.path().join("raw/data");
    fs::create_dir_all(&data).unwrap();
    let described = folder.path().join("raw/metadata");
    fs::create_dir_all(&described).unwrap();
    fs::write(described.join("codes.csv"), "code,description,note\nLAB//500//mg/dL,Sugar,CANARY\n").unwrap();
    let shard = data.join("0.parquet");
    write_parquet(&shard, columns.map(|(name, values)| (name.to_owned(), values)).into()).unwrap();
    fs::write(folder.path().join("canary.toml"), manifest("type = \"meds\", root = \"raw\", quantiles = 2")).unwrap();
    nothing_leaks(folder.path());
    let sound = fs::read(&shard).unwrap();
    for length in [0, 3, sound.len() / 2, sound.len() - 1] {
        fs::write(&shard, &sound[..length]).unwrap();
        let output = dualk(folder.path(), &["prepare", "canary.toml", "--out", "out", "--no-cache"]);
        let text = printed(&output, &format!("a shard of {length} bytes"));
        assert_eq!(output.status.code(), Some(2), "{text}");
    }
}

/// A table with one cell of its fourth row changed.
fn with_cell(text: &str, column: usize, value: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut cells: Vec<&str> = lines[3].split(',').collect();
    cells[column] = value;
    lines[3] = cells.join(",");
    lines.join("\n") + "\n"
}

/// Where a column of codes holds identifiers, they are counted, and named with `--show-values` alone.
#[test]
fn identifiers_among_codes_are_counted_and_not_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = csv();
    source.parser = "type = \"csv\", visits = \"visits.csv\", codes = \"codes.csv\", labs = \"labs.csv\", \
                     flag = \"flag\", written = \"icd10\", code_system = \"icd9\"";
    source.tables[1].1 = table("patient,visit,code", 4, |p, v, _, n| {
        let code = if n % 4 == 0 { p.to_string() } else { of(ICD10, n).to_owned() };
        format!("CANARY-{p},CANARY-{v},{code}")
    });
    write(&source, folder.path());
    nothing_leaks(folder.path());
    let file = folder.path().join("canary.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[data]", "[data]\nloss_limit = 0.1")).unwrap();
    let output = dualk(folder.path(), &["prepare", "canary.toml", "--out", "limited", "--no-cache"]);
    let hidden = printed(&output, "a loss beyond its limit");
    assert!(output.status.code() == Some(2) && hidden.contains("`data.loss_limit`"), "{hidden}");
    let output = dualk(folder.path(), &["prepare", "canary.toml", "--out", "limited", "--no-cache", "--show-values"]);
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(shown.contains("most often: 7712"), "{shown}");
}

/// Times and numbers that cannot be read: what is accepted is said, and the cell with `--show-values` alone.
#[test]
fn cells_that_cannot_be_read_are_shown_only_when_asked() {
    let time = "must hold a time such as 2016-05-20 19:16:52 or 2016-05-20";
    for (source, name, column, says) in [
        (mimic3(), "raw/ADMISSIONS.csv", 3, format!("`ADMITTIME` {time}, found")),
        (mimic4(), "raw/patients.csv", 4, "`anchor_year_group` must start with a year".to_owned()),
        (eicu(), "raw/lab.csv", 4, "`labresult` must hold a number, found".to_owned()),
        (omop(), "raw/visit_occurrence.csv", 3, format!("`visit_start_date` {time}, found")),
        (omop(), "raw/measurement.csv", 3, "`value_as_number` must hold a number, found".to_owned()),
        (i2b2(), "raw/observation_fact.csv", 4, format!("`start_date` {time}, found")),
        (csv(), "visits.csv", 2, format!("`time` {time}, or a number, found")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(&source, folder.path());
        let (_, text) = source.tables.iter().find(|table| table.0 == name).unwrap();
        fs::write(folder.path().join(name), with_cell(text, column, "CANARY which is longer than a number")).unwrap();
        let prepare = ["prepare", "canary.toml", "--out", "out", "--no-cache"];
        let output = dualk(folder.path(), &prepare);
        let hidden = printed(&output, name);
        assert_eq!(output.status.code(), Some(2), "{hidden}");
        assert!(hidden.contains(&says) && hidden.contains("found (--show-values shows it)"), "{hidden}");
        let output = dualk(folder.path(), &[&prepare[..], &["--show-values"]].concat());
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(shown.contains(&says) && shown.contains("found `CANARY which is longer than a number`"), "{shown}");
    }
}

/// Every column, and so those that are needed, once more behind the others.
const TWICE: &str = "columns twice";

/// Every column of every table in turn holds what does not belong there; columns and rows are twice there, rows too long, or cut.
#[test]
fn errors_about_broken_tables_show_nothing_of_them() {
    for source in [mimic3(), mimic4(), eicu(), omop(), i2b2(), csv()] {
        let (mut tried, mut refused) = (0, 0);
        for (name, text) in &source.tables {
            let columns: Vec<&str> = text.lines().next().unwrap().split(',').collect();
            let mut broken: Vec<(String, String)> = columns
                .iter()
                .enumerate()
                .flat_map(|(i, column)| {
                    ["CANARY", "77129999"].map(|value| (format!("{column} = {value}"), with_cell(text, i, value)))
                })
                .collect();
            let last = text.lines().last().unwrap();
            broken.push(("an open quote".into(), with_cell(text, columns.len() - 1, "\"CANARY")));
            broken.push(("a row twice".into(), format!("{text}{last}\n")));
            broken.push(("a row too long".into(), format!("{text}{last},CANARY,CANARY\n")));
            broken.push(("a row cut".into(), text[..text.len() - last.len() / 2].to_owned()));
            broken.push(("no heading".into(), text.split_once('\n').unwrap().1.to_owned()));
            broken.push((TWICE.into(), text.lines().map(|line| format!("{line},{line}\n")).collect()));
            for (what, text) in broken {
                let folder = tempfile::tempdir().unwrap();
                write(&source, folder.path());
                fs::write(folder.path().join(name), text).unwrap();
                let output = dualk(folder.path(), &["prepare", "canary.toml", "--out", "out", "--no-cache"]);
                let what = format!("{}, {name}, {what}", source.parser);
                let text = printed(&output, &what);
                assert!(matches!(output.status.code(), Some(0 | 2)), "{what}: {text}");
                let table = PathBuf::from(name).file_stem().unwrap().to_string_lossy().into_owned();
                assert!(output.status.success() || text.contains(&table), "{what} names no file: {text}");
                assert!(!what.ends_with(TWICE) || text.contains("` occurs 2 times"), "{what}: {text}");
                tried += 1;
                refused += usize::from(!output.status.success());
            }
        }
        println!("{}: {refused} of {tried} refused", source.parser);
        assert!(refused > 10 && tried > 25);
    }
}
