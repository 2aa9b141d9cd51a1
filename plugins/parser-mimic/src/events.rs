//! procedures_icd, prescriptions and other tables → codes of further kinds of each admission.

use dualk_sdk::data::events::{self, EventKind, EventTable};
use dualk_sdk::data::tables::{NOT_IN_COHORT, OnBadRow, Pass, Row, Seen, Table};
use dualk_sdk::data::{Ids, icd};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// A table of codes: of its admission, and of its code.
pub struct Source {
    kind: String,
    /// What it is called, whatever its file's name is.
    name: String,
    /// Procedures are those of an edition of the ICD, which a column may tell.
    procedures: Option<Edition>,
    table: Table,
    /// What procedures are called: d_icd_procedures, where it is there. Others have the title that comes with the program.
    titles: Option<Table>,
}

#[derive(Clone, Copy)]
enum Edition {
    Nine,
    Written,
}

impl Edition {
    /// Columns of d_icd_procedures: the code, its title, and the edition where there are two.
    fn titles(self) -> &'static [&'static str] {
        match self {
            Self::Nine => &["icd9_code", "long_title"],
            Self::Written => &["icd_code", "long_title", "icd_version"],
        }
    }

    /// What a procedure is called in the cohort.
    fn name(self, code: &str, version: &str) -> String {
        match self {
            Self::Nine => format!("ICD9:{code}"),
            Self::Written => format!("ICD{version}:{code}"),
        }
    }
}

/// Finds the tables of the kinds that are asked for. `version` says whether procedures name their edition, as in MIMIC-IV;
/// `drug` is the column of prescriptions.
///
/// # Errors
/// Name the key, the table and what is missing.
pub fn open(root: &Path, kinds: &[EventKind], others: &[EventTable], version: bool, drug: &str) -> Result<Vec<Source>> {
    events::check_kinds(kinds, others)?;
    let open = |name: &str, columns: &[&str]| Table::open_any_case(root, name, columns);
    let drug = drug.to_lowercase();
    let known = kinds.iter().map(|kind| {
        let (name, columns, procedures): (_, &[&str], _) = match (kind, version) {
            (EventKind::Procedures, true) => {
                ("procedures_icd", &["hadm_id", "icd_code", "icd_version"], Some(Edition::Written))
            }
            (EventKind::Procedures, false) => ("procedures_icd", &["hadm_id", "icd9_code"], Some(Edition::Nine)),
            (EventKind::Drugs, _) => ("prescriptions", &["hadm_id", &drug], None),
        };
        let table = open(name, columns).map_err(|e| e.at_key("events"))?;
        let titles = procedures.map(|edition| Table::open_if_there(root, "d_icd_procedures", edition.titles()));
        let titles = titles.transpose().map_err(|e| e.at_key("root"))?.flatten();
        Ok(Source { kind: kind.name().to_owned(), name: name.to_owned(), procedures, table, titles })
    });
    let others = others.iter().enumerate().map(|(i, EventTable { kind, table: name, code })| {
        let table =
            open(name, &["hadm_id", &code.to_lowercase()]).map_err(|e| e.at_key(format!("event_tables[{i}]")))?;
        Ok(Source { kind: kind.clone(), name: name.clone(), procedures: None, table, titles: None })
    });
    let mut mistakes = Mistakes::default();
    let sources = known.chain(others).filter_map(|source| mistakes.note(source)).collect();
    mistakes.done().map(|()| sources)
}

impl Source {
    /// The table, and that of titles.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.table).chain(&self.titles)
    }

    fn code(&self, row: &Row<'_>) -> String {
        match self.procedures {
            Some(Edition::Written) => Edition::Written.name(row.text(1), row.text(2)),
            Some(Edition::Nine) => Edition::Nine.name(row.text(1), ""),
            None => row.text(1).to_owned(),
        }
    }

    /// Adds the codes of the admissions of a cohort.
    pub fn add_to(
        &self,
        cohort: &mut Cohort,
        ids: &Ids,
        drug_map: Option<&Path>,
        on_bad_row: OnBadRow,
        progress: &dyn Progress,
    ) -> Result<()> {
        let pass = Pass {
            table: &self.table,
            rows: format!("rows of {}", self.name),
            on_bad_row,
            losses: &["without an admission", "without a name"],
            rules: &[NOT_IN_COHORT],
            progress,
        };
        let places = cohort.places();
        events::read(&pass, &self.kind, drug_map, cohort, |row| {
            Ok(match row.id(0, ids)? {
                None => Seen::Lost("without an admission"),
                Some(_) if row.text(1).is_empty() => Seen::Lost("without a name"),
                Some(id) => places.get(&id).map_or(Seen::LeftOut(NOT_IN_COHORT), |&at| Seen::Of(at, self.code(row))),
            })
        })?;
        self.add_titles(cohort)?;
        if self.procedures.is_some() {
            cohort.set_event_titles(&self.kind, |name| icd::procedure_title_of(name).map(str::to_owned));
        }
        Ok(())
    }

    fn add_titles(&self, cohort: &mut Cohort) -> Result<()> {
        let Some((table, edition)) = self.titles.as_ref().zip(self.procedures) else { return Ok(()) };
        let rows = table.read()?;
        let columns = edition.titles();
        let versions = rows.texts_if(columns.get(2).copied())?;
        let titles = rows.texts(columns[0])?.zip(rows.texts(columns[1])?).zip(versions);
        let titled = |((code, title), version): ((Option<&str>, Option<&str>), Option<&str>)| {
            Some((edition.name(code?.trim(), version.unwrap_or("").trim()), title?.trim().to_owned()))
        };
        let titles: HashMap<String, String> = titles.filter_map(titled).collect();
        cohort.set_event_titles(&self.kind, |name| titles.get(name).cloned());
        Ok(())
    }
}
