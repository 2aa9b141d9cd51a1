//! A cohort as the raw tables that `mimic4` reads.

use crate::{Knowledge, SyntheticOptions, generate};
use dualk_sdk::data::Sex;
use dualk_sdk::prelude::*;
use dualk_sdk::storage::{self, Access};
use std::fmt::Write;
use std::path::Path;

const ICD10_HEART_FAILURE: &str = "I509";
const ICD9_HEART_FAILURE: &str = "4280";
/// The year in which patients have the age that their row says.
const YEAR: usize = 2150;

/// Writes the patients that the parser makes up by these options into the folder `out`: their tables as [`write_raw`] does, and
/// what there is to know of them with this `strength` as [`Knowledge::write`] does. All of it or nothing.
///
/// # Errors
/// When `out` holds something, `strength` is no chance, or a file cannot be written.
pub fn write_patients(options: &SyntheticOptions, strength: f64, out: &Path) -> Result<()> {
    storage::check_free(out)?;
    let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    storage::common_folder(parent)?;
    storage::checked_folder(out, Access::Private, storage::check_free, |new| {
        Knowledge::of_patients(options).write(new, strength)?;
        write_raw(&generate(options, options.seed), new)
    })
}

/// Writes `cohort` into `folder` as patients, admissions, diagnoses_icd, labevents and d_labitems, with the table
/// `icd10-icd9.csv` beside them. Some codes are written as ICD-10, and rows are added that a parser must leave out:
/// normal results and those without an admission. Age and sex are those of the first admission, or empty.
///
/// # Errors
/// When a file cannot be written.
pub fn write_raw(cohort: &Cohort, folder: &Path) -> Result<()> {
    storage::common_folder(folder)?;
    let Tables { patients, admissions, diagnoses, events } = Tables::of(cohort);
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
        storage::write(&path, text.as_bytes())?;
    }
    Ok(())
}

/// The texts of the tables with rows of patients.
struct Tables {
    patients: String,
    admissions: String,
    diagnoses: String,
    events: String,
}

impl Tables {
    fn of(cohort: &Cohort) -> Self {
        let mut tables = Self {
            patients: "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n".into(),
            admissions: "subject_id,hadm_id,admittime,admission_type\n".into(),
            diagnoses: "subject_id,hadm_id,seq_num,icd_code,icd_version\n".into(),
            events: "labevent_id,subject_id,hadm_id,itemid,charttime,flag,comments\n".into(),
        };
        for (p, &subject) in cohort.patients.iter().enumerate() {
            let known = cohort.demographics(p, cohort.admissions.range(p).start);
            let sex = known.sex.map_or("", |sex| if sex == Sex::Female { "F" } else { "M" });
            let age = known.age.map_or(String::new(), |age| age.to_string());
            row(&mut tables.patients, format_args!("{subject},{sex},{age},{YEAR},2014 - 2016,"));
            for (order, at) in cohort.admissions.range(p).enumerate() {
                tables.add_admission(cohort, subject, order, at);
            }
        }
        tables
    }

    /// Adds what belongs to the admission in row `at`, the `order`-th of its patient.
    fn add_admission(&mut self, cohort: &Cohort, subject: i64, order: usize, at: usize) {
        let Self { admissions, diagnoses, events, .. } = self;
        let admission = cohort.admissions.values()[at];
        // Within a year as long as there are no more than ninety: the age is that of the year.
        let time = format!("{}-{:02}-0{} 08:00:00", YEAR + order / 90, 3 + order / 9 % 10, 1 + order % 9);
        row(admissions, format_args!("{subject},{admission},{time},EW EMER."));
        for (seq, &code) in cohort.codes.row(at).iter().enumerate() {
            let code = cohort.code_names[code as usize].replace('.', "");
            let (code, version) = match code == ICD9_HEART_FAILURE && at.is_multiple_of(2) {
                true => (ICD10_HEART_FAILURE, 10),
                false => (code.as_str(), 9),
            };
            row(diagnoses, format_args!("{subject},{admission},{},{code},{version}", seq + 1));
        }
        for &lab in cohort.labs.row(at) {
            let item = cohort.lab_items[lab as usize].id;
            row(events, format_args!("{at},{subject},{admission},{item},{time},abnormal,\"high, ___\""));
            row(events, format_args!("{at},{subject},,{item},{time},abnormal,___"));
        }
        for item in cohort.lab_items.iter().skip(at % 7).step_by(61) {
            row(events, format_args!("{at},{subject},{admission},{},{time},,___", item.id));
        }
    }
}

fn row(table: &mut String, fields: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(table, "{fields}");
}
