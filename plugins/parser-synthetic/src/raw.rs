//! A cohort as the raw tables that `mimic4` reads.

use dualk_sdk::prelude::*;
use std::fmt::Write;
use std::path::Path;

const ICD10_HEART_FAILURE: &str = "I509";
const ICD9_HEART_FAILURE: &str = "4280";

/// Writes `cohort` into `folder` as patients, admissions, diagnoses_icd, labevents and d_labitems, with the table
/// `icd10-icd9.csv` beside them. Some codes are written as ICD-10, and rows are added that a parser must leave out:
/// normal results and those without an admission.
///
/// # Errors
/// When a file cannot be written.
pub fn write_raw(cohort: &Cohort, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
    let mut patients = String::from("subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n");
    let mut admissions = String::from("subject_id,hadm_id,admittime,admission_type\n");
    let mut diagnoses = String::from("subject_id,hadm_id,seq_num,icd_code,icd_version\n");
    let mut events = String::from("labevent_id,subject_id,hadm_id,itemid,charttime,flag,comments\n");
    for (p, &subject) in cohort.patients.iter().enumerate() {
        row(&mut patients, format_args!("{subject},F,60,2150,2014 - 2016,"));
        for (order, at) in cohort.admissions.range(p).enumerate() {
            let admission = cohort.admissions.values()[at];
            let time = format!("{}-03-0{} 08:00:00", 2150 + order / 9, 1 + order % 9);
            row(&mut admissions, format_args!("{subject},{admission},{time},EW EMER."));
            for (seq, &code) in cohort.codes.row(at).iter().enumerate() {
                let code = cohort.code_names[code as usize].replace('.', "");
                let (code, version) = match code == ICD9_HEART_FAILURE && at % 2 == 0 {
                    true => (ICD10_HEART_FAILURE, 10),
                    false => (code.as_str(), 9),
                };
                row(&mut diagnoses, format_args!("{subject},{admission},{},{code},{version}", seq + 1));
            }
            for &lab in cohort.labs.row(at) {
                let item = cohort.lab_items[lab as usize].id;
                row(&mut events, format_args!("{at},{subject},{admission},{item},{time},abnormal,\"high, ___\""));
                row(&mut events, format_args!("{at},{subject},,{item},{time},abnormal,___"));
            }
            for item in cohort.lab_items.iter().skip(at % 7).step_by(61) {
                row(&mut events, format_args!("{at},{subject},{admission},{},{time},,___", item.id));
            }
        }
    }
    let mut items = String::from("itemid,label,fluid,category\n");
    for item in &cohort.lab_items {
        let category =
            item.category.and_then(|c| cohort.lab_categories.get(c as usize)).map_or("Other", String::as_str);
        row(&mut items, format_args!("{},\"Item, {}\",Blood,{}", item.id, item.id, category.to_uppercase()));
    }
    let map = format!("TABLETYP,ICD10,ICD9\nD,{ICD10_HEART_FAILURE},{ICD9_HEART_FAILURE}\n");
    let tables = [
        ("patients", patients),
        ("admissions", admissions),
        ("diagnoses_icd", diagnoses),
        ("labevents", events),
        ("d_labitems", items),
        ("icd10-icd9", map),
    ];
    for (name, text) in tables {
        let path = folder.join(format!("{name}.csv"));
        std::fs::write(&path, text).map_err(|e| Error::io("write the table", &path, e))?;
    }
    Ok(())
}

fn row(table: &mut String, fields: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(table, "{fields}");
}
