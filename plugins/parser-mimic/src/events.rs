//! procedures_icd, prescriptions and other tables → codes of further kinds of each admission, and titles of procedures.

use dualk_sdk::data::events::{EventKind, EventTable, Places, Source};
use dualk_sdk::data::tables::{OnBadRow, Row, Table};
use dualk_sdk::data::{Ids, icd};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// The tables of further kinds.
pub struct Tables {
    sources: Vec<Source>,
    edition: Edition,
    /// What procedures are called: d_icd_procedures, where it is there. Others have the title that comes with the program.
    titles: Option<Table>,
}

/// The edition of the ICD that procedures are of.
#[derive(Clone, Copy)]
pub enum Edition {
    /// ICD-9, as in MIMIC-III.
    Nine,
    /// That of a column, as in MIMIC-IV.
    Written,
}

impl Edition {
    /// Columns of procedures_icd: the code, and the edition where there are two.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Nine => &["icd9_code"],
            Self::Written => &["icd_code", "icd_version"],
        }
    }

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

    /// What the procedure of a row is called in the cohort.
    fn name_in(self, row: &Row<'_>, code: &str) -> String {
        match self {
            Self::Nine => self.name(code, ""),
            Self::Written => self.name(code, row.text(2)),
        }
    }
}

impl Tables {
    /// Finds the tables of the kinds that are asked for, and of the others; `drug` is the column of prescriptions.
    ///
    /// # Errors
    /// Name the key, the table and what is missing.
    pub fn open(
        root: &Path,
        edition: Edition,
        (kinds, others): (&[EventKind], &[EventTable]),
        drug: &str,
    ) -> Result<Self> {
        let places = Places {
            root,
            admission: "hadm_id",
            procedures: ("procedures_icd", edition.columns()),
            drugs: ("prescriptions", drug),
            cancelled: None,
            losses: ["without an admission", "without a name"],
        };
        let mut mistakes = Mistakes::default();
        let sources = mistakes.note(places.open(kinds, others));
        let titles = kinds.contains(&EventKind::Procedures);
        let titles = titles.then(|| Table::open_if_there(root, "d_icd_procedures", edition.titles())).transpose();
        let titles = mistakes.note(titles.map_err(|e| e.at_key("root")));
        let (sources, titles) = mistakes.finish(sources.zip(titles))?;
        Ok(Self { sources, edition, titles: titles.flatten() })
    }

    /// The tables, and that of titles.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.sources.iter().map(Source::table).chain(&self.titles)
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
        for source in &self.sources {
            let are_procedures = source.place() == Some(EventKind::Procedures);
            source.add_to(cohort, ids, drug_map, on_bad_row, progress, |row, code| {
                Some(if are_procedures { self.edition.name_in(row, code) } else { code.to_owned() })
            })?;
            if are_procedures {
                self.add_titles(cohort)?;
            }
        }
        Ok(())
    }

    /// Titles of procedures: those of the table first.
    fn add_titles(&self, cohort: &mut Cohort) -> Result<()> {
        let kind = EventKind::Procedures.name();
        if let Some(table) = &self.titles {
            let (rows, columns) = (table.read()?, self.edition.titles());
            let versions = rows.texts_if(columns.get(2).copied())?;
            let titles = rows.texts(columns[0])?.zip(rows.texts(columns[1])?).zip(versions);
            let titled = |((code, title), version): ((Option<&str>, Option<&str>), Option<&str>)| {
                Some((self.edition.name(code?.trim(), version.unwrap_or("").trim()), title?.trim().to_owned()))
            };
            let titles: HashMap<String, String> = titles.filter_map(titled).collect();
            cohort.set_event_titles(kind, |name| titles.get(name).cloned());
        }
        cohort.set_event_titles(kind, |name| icd::procedure_title_of(name).map(str::to_owned));
        Ok(())
    }
}
