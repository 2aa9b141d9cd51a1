//! diagnoses_icd → codes of each admission.

use crate::visits::Visits;
use dualk_sdk::data::Step;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{Rows, Table};
use dualk_sdk::error::value;
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Per admission the numbers of its codes, in file order, repeats kept.
pub type Codes = HashMap<i64, Vec<u32>>;

/// Finds the table of MIMIC-IV and checks its columns.
pub fn open(root: &Path) -> Result<Table> {
    Table::open(root, "diagnoses_icd", &["subject_id", "hadm_id", "icd_code", "icd_version"])
}

/// Reads the codes of the kept admissions in MIMIC-IV, which names the edition of each.
pub fn read(table: &Table, coding: &mut Coding, visits: &Visits) -> Result<(Codes, [Step; 2])> {
    let rows = table.read()?;
    let versions = rows.integers("icd_version")?;
    let edition = |i: usize| match versions[i] {
        9 => Ok(Icd::Icd9),
        10 => Ok(Icd::Icd10),
        other => Err(rows.error(i, format!("the column `icd_version` must hold 9 or 10, found {}", value(other)))),
    };
    read_rows(&rows, ["subject_id", "hadm_id", "icd_code"], edition, coding, visits)
}

/// Reads the codes of the kept admissions; `columns` are those of patients, admissions and codes. With the codes come two
/// steps: rows, and codes.
pub fn read_rows(
    rows: &Rows<'_>,
    columns: [&str; 3],
    edition: impl Fn(usize) -> Result<Icd>,
    coding: &mut Coding,
    visits: &Visits,
) -> Result<(Codes, [Step; 2])> {
    let [subject, admission, code] = columns;
    let stays = &visits.stays;
    let subjects = stays.patient_ids.column(rows, subject)?;
    let admissions = stays.admission_ids.column(rows, admission)?;
    let owners = stays.owners();
    let (mut codes, mut without, mut unknown, mut of_others, mut not_kept) = (Codes::new(), 0, 0, 0, 0);
    for (i, text) in rows.texts(code)?.enumerate() {
        let edition = edition(i)?;
        let Some(admission) = admissions[i] else {
            without += 1;
            continue;
        };
        match owners.get(&admission) {
            None if visits.admissions.contains(&admission) => not_kept += 1,
            None => unknown += 1,
            Some(owner) if subjects[i] != Some(*owner) => of_others += 1,
            Some(_) => {
                let numbers = coding.codes(edition, text.unwrap_or(""));
                codes.entry(admission).or_default().extend_from_slice(numbers);
            }
        }
    }
    let step = Step::new("rows of diagnoses_icd", rows.len() as u64)
        .lost("without an admission", without)
        .lost("of an admission that admissions lacks", unknown)
        .lost("of another patient than their admission", of_others)
        .by_rule("of admissions left out above", not_kept);
    Ok((codes, [step, coding.step("diagnoses")]))
}
