//! procedures_icd and prescriptions → codes of further kinds of each admission.

use dualk_sdk::data::tables::{OnBadRow, Row, Table};
use dualk_sdk::data::{Ids, Step};
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A kind of codes beside diagnoses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum EventKind {
    /// ICD procedures, as `ICD9:3893` or `ICD10:02HV33Z`.
    Procedures,
    /// Drugs that were prescribed, by the name in the column `drug`.
    Drugs,
}

/// A table of events: its admission, its name and, where it says so, the edition of the name.
pub struct Source {
    kind: EventKind,
    version: bool,
    table: Table,
}

impl EventKind {
    /// What the cohort calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Procedures => "procedures",
            Self::Drugs => "drugs",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Procedures => "procedures_icd",
            Self::Drugs => "prescriptions",
        }
    }

    /// Finds the table; `version` says whether procedures name their edition, as in MIMIC-IV.
    pub fn open(self, root: &Path, version: bool) -> Result<Source> {
        let columns: &[&str] = match (self, version) {
            (Self::Procedures, true) => &["hadm_id", "icd_code", "icd_version"],
            (Self::Procedures, false) => &["hadm_id", "icd9_code"],
            (Self::Drugs, _) => &["hadm_id", "drug"],
        };
        Ok(Source { kind: self, version, table: Table::open_any_case(root, self.table(), columns)?.0 })
    }
}

impl Source {
    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Adds the codes of the admissions of a cohort.
    pub fn add_to(&self, cohort: &mut Cohort, ids: &Ids, on_bad_row: OnBadRow, progress: &dyn Progress) -> Result<()> {
        let kind = self.kind.name();
        let kept: HashSet<i64> = cohort.admissions.values().iter().copied().collect();
        let (mut numbers, mut names, mut rows) = (HashMap::new(), Vec::new(), HashMap::<i64, Vec<u32>>::new());
        let (mut without, mut unnamed) = (0, 0);
        let mut task = progress.begin(kind, "rows", None);
        let name = |row: &Row<'_>| match (self.kind, self.version) {
            (EventKind::Procedures, true) => format!("ICD{}:{}", row.text(2), row.text(1)),
            (EventKind::Procedures, false) => format!("ICD9:{}", row.text(1)),
            (EventKind::Drugs, _) => row.text(1).to_owned(),
        };
        let scanned = self.table.scan(
            on_bad_row,
            |(found, without, unnamed): &mut (Vec<(i64, String)>, u64, u64), row| {
                match row.id(0, ids)? {
                    None => *without += 1,
                    Some(_) if row.text(1).is_empty() => *unnamed += 1,
                    Some(id) => found.extend(kept.contains(&id).then(|| (id, name(row)))),
                }
                Ok(())
            },
            |(found, without_here, unnamed_here), read| {
                (without, unnamed) = (without + without_here, unnamed + unnamed_here);
                for (id, name) in found {
                    let number = *numbers.entry(name).or_insert_with_key(|name: &String| {
                        names.push(name.clone());
                        names.len() as u32 - 1
                    });
                    let row = rows.entry(id).or_default();
                    if !row.contains(&number) {
                        row.push(number);
                    }
                }
                task.advance(read);
                Ok(())
            },
        )?;
        task.finish("");
        cohort.add_events(kind, &rows, &names);
        let step = Step::new(format!("rows of {}", self.kind.table()), scanned.rows)
            .lost("that cannot be used", scanned.bad)
            .lost("without an admission", without)
            .lost("without a name", unnamed);
        cohort.flow.push(step);
        Ok(())
    }
}
