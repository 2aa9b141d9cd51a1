//! Codes of further kinds in tables whose rows name their admission.

use dualk_sdk::data::Ids;
use dualk_sdk::data::events::{self, EventKind, EventTable};
use dualk_sdk::data::tables::{NOT_IN_COHORT, OnBadRow, Pass, Row, Seen, Table};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::path::Path;

/// A table of codes: of its admission, and of its code.
pub struct Source {
    kind: String,
    name: String,
    table: Table,
    /// The column that says by `Yes` that a row does not count, where there is one.
    cancelled: Option<usize>,
}

/// Where a data set has codes of the known kinds.
pub struct Places<'a> {
    /// Folder of the tables.
    pub root: &'a Path,
    /// Column of the admission, in all of them.
    pub admission: &'static str,
    /// Table of procedures, and its column of the code.
    pub procedures: (&'static str, &'a str),
    /// Table of drugs, and its column of the code.
    pub drugs: (&'static str, &'a str),
    /// Column of any of them that says by `Yes` that a row does not count.
    pub cancelled: Option<&'static str>,
}

impl Places<'_> {
    /// Finds the tables of the kinds that are asked for.
    ///
    /// # Errors
    /// Name the key, the table and what is missing.
    pub fn open(&self, kinds: &[EventKind], others: &[EventTable]) -> Result<Vec<Source>> {
        events::check_kinds(kinds, others)?;
        let known = kinds.iter().map(|kind| {
            let (name, code) = match kind {
                EventKind::Procedures => self.procedures,
                EventKind::Drugs => self.drugs,
            };
            self.source(kind.name(), name, code).map_err(|e| e.at_key("events"))
        });
        let other = |(i, EventTable { kind, table, code }): (usize, &EventTable)| {
            self.source(kind, table, code).map_err(|e| e.at_key(format!("event_tables[{i}]")))
        };
        let mut mistakes = Mistakes::default();
        let sources = known.chain(others.iter().enumerate().map(other));
        let sources = sources.filter_map(|source| mistakes.note(source)).collect();
        mistakes.done().map(|()| sources)
    }

    fn source(&self, kind: &str, name: &str, code: &str) -> Result<Source> {
        let mut table = Table::open_any_case(self.root, name, &[self.admission, code])?;
        let cancelled = self.cancelled.map(|column| table.also(column)).transpose()?.flatten();
        let cancelled = cancelled.and_then(|column| table.place(&column));
        Ok(Source { kind: kind.to_owned(), name: name.to_owned(), table, cancelled })
    }
}

/// What rows of no admission are called.
pub const OF_NO_VISIT: &str = "of no visit";

const CANCELLED: &str = "that were cancelled";

impl Source {
    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Adds the codes of the admissions of a cohort. `nothing` is how the source writes that there is no code.
    pub fn add_to(
        &self,
        cohort: &mut Cohort,
        ids: &Ids,
        (drug_map, nothing): (Option<&Path>, &str),
        on_bad_row: OnBadRow,
        progress: &dyn Progress,
    ) -> Result<()> {
        let pass = Pass {
            table: &self.table,
            rows: format!("rows of {}", self.name),
            on_bad_row,
            losses: &[OF_NO_VISIT, "without a code"],
            rules: if self.cancelled.is_some() { &[CANCELLED, NOT_IN_COHORT] } else { &[NOT_IN_COHORT] },
            progress,
        };
        let places = cohort.places();
        let cancelled = |row: &Row<'_>| self.cancelled.is_some_and(|c| row.text(c).eq_ignore_ascii_case("yes"));
        events::read(&pass, &self.kind, drug_map, cohort, |row| {
            let (visit, code) = (row.id(0, ids)?, row.text(1));
            Ok(match visit {
                _ if cancelled(row) => Seen::LeftOut(CANCELLED),
                None => Seen::Lost(OF_NO_VISIT),
                Some(_) if code.is_empty() || code == nothing => Seen::Lost("without a code"),
                Some(id) => places.get(&id).map_or(Seen::LeftOut(NOT_IN_COHORT), |&at| Seen::Of(at, code.to_owned())),
            })
        })
    }
}
