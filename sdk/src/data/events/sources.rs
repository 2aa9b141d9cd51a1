//! Tables of codes of further kinds, whose rows name their admission.

use super::{EventKind, EventTable, check_kinds, read};
use crate::Result;
use crate::data::tables::{NOT_IN_COHORT, OnBadRow, Pass, Row, Seen, Table};
use crate::data::{Cohort, Ids};
use crate::error::Mistakes;
use crate::progress::Progress;
use std::path::Path;

const CANCELLED: &str = "that were cancelled";

/// Where a data set has codes of further kinds.
pub struct Places<'a> {
    /// Folder of the tables.
    pub root: &'a Path,
    /// Column of the admission, in all of them.
    pub admission: &'static str,
    /// Table of procedures, and its columns: that of the code, then those that it is read with.
    pub procedures: (&'static str, &'a [&'a str]),
    /// Table of drugs, and its column of the code.
    pub drugs: (&'static str, &'a str),
    /// Column of any of them that says by `Yes` that a row does not count.
    pub cancelled: Option<&'static str>,
    /// What rows without an admission are called, and those without a code.
    pub losses: [&'static str; 2],
}

impl Places<'_> {
    /// Finds the tables of the kinds that are asked for. Names of tables and columns may be in any case.
    ///
    /// # Errors
    /// Name the key, the table and what is missing.
    pub fn open(&self, kinds: &[EventKind], others: &[EventTable]) -> Result<Vec<Source>> {
        check_kinds(kinds, others)?;
        let known = kinds.iter().map(|&kind| {
            let (name, columns): (&str, &[&str]) = match kind {
                EventKind::Procedures => self.procedures,
                EventKind::Drugs => (self.drugs.0, std::slice::from_ref(&self.drugs.1)),
            };
            self.source((kind.name(), Some(kind)), name, columns).map_err(|e| e.at_key("events"))
        });
        let other = |(i, EventTable { kind, table, code }): (usize, &EventTable)| {
            let source = self.source((kind.as_str(), None), table, &[code.as_str()]);
            source.map_err(|e| e.at_key(format!("event_tables[{i}]")))
        };
        let mut mistakes = Mistakes::default();
        let sources = known.chain(others.iter().enumerate().map(other));
        let sources = sources.filter_map(|source| mistakes.note(source)).collect();
        mistakes.done().map(|()| sources)
    }

    fn source(&self, (kind, place): (&str, Option<EventKind>), name: &str, columns: &[&str]) -> Result<Source> {
        let columns: Vec<&str> = [self.admission].into_iter().chain(columns.iter().copied()).collect();
        let mut table = Table::open_any_case(self.root, name, &columns)?;
        let cancelled = self.cancelled.map(|column| table.also(column)).transpose()?.flatten();
        let cancelled = cancelled.and_then(|column| table.place(&column));
        let (kind, name, losses) = (kind.to_owned(), name.to_owned(), self.losses);
        Ok(Source { kind, place, name, table, cancelled, losses })
    }
}

/// A table of codes of one kind.
pub struct Source {
    kind: String,
    /// The kind, where it was found in the place that the data set has for it.
    place: Option<EventKind>,
    /// What it is called, whatever its file's name is.
    name: String,
    table: Table,
    /// The column that says by `Yes` that a row does not count, where there is one.
    cancelled: Option<usize>,
    losses: [&'static str; 2],
}

impl Source {
    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The kind that the data set has this very table for; `None` for a table that an option names.
    pub fn place(&self) -> Option<EventKind> {
        self.place
    }

    /// Adds the codes of the admissions of a cohort. `code` is given a row, whose column 0 is the admission and whose column 1
    /// the code, and the code as it is written, and says what the cohort calls it; nothing where this stands for no code.
    ///
    /// # Errors
    /// Those of the pass over the table, and of the mapping of drugs.
    pub fn add_to(
        &self,
        cohort: &mut Cohort,
        ids: &Ids,
        drug_map: Option<&Path>,
        on_bad_row: OnBadRow,
        progress: &dyn Progress,
        code: impl Fn(&Row<'_>, &str) -> Option<String> + Sync,
    ) -> Result<()> {
        let pass = Pass {
            table: &self.table,
            rows: format!("rows of {}", self.name),
            on_bad_row,
            losses: &self.losses,
            rules: if self.cancelled.is_some() { &[CANCELLED, NOT_IN_COHORT] } else { &[NOT_IN_COHORT] },
            progress,
        };
        let (places, [no_admission, no_code]) = (cohort.places(), self.losses);
        let cancelled = |row: &Row<'_>| self.cancelled.is_some_and(|c| row.text(c).eq_ignore_ascii_case("yes"));
        read(&pass, &self.kind, drug_map, cohort, |row| {
            let (admission, written) = (row.id(0, ids)?, row.text(1));
            if cancelled(row) {
                return Ok(Seen::LeftOut(CANCELLED));
            }
            let Some(admission) = admission else { return Ok(Seen::Lost(no_admission)) };
            let Some(code) = Some(written).filter(|text| !text.is_empty()).and_then(|text| code(row, text)) else {
                return Ok(Seen::Lost(no_code));
            };
            Ok(places.get(&admission).map_or(Seen::LeftOut(NOT_IN_COHORT), |&at| Seen::Of(at, code)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::collections::HashMap;

    #[test]
    fn rows_are_read_from_the_place_of_a_kind_and_counted_where_they_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("DONE.csv", "STAY,CODE,EDITION\n10,3893,9\n11,3893,10\n11,0,9\n,1,9\n10,,9\n99,1,9\n");
        write("given.csv", "stay,drug,off\n10,aspirin,Yes\n11,aspirin,No\n");
        write("devices.csv", "stay,what\n10,pump\n");
        let places = Places {
            root: folder.path(),
            admission: "stay",
            procedures: ("done", &["code", "edition"]),
            drugs: ("given", "drug"),
            cancelled: Some("off"),
            losses: ["of no stay", "without a code"],
        };
        let devices = EventTable { kind: "devices".into(), table: "devices".into(), code: "what".into() };
        let sources = places.open(&[EventKind::Procedures, EventKind::Drugs], &[devices]).unwrap();
        let found: Vec<_> = sources.iter().map(Source::place).collect();
        assert_eq!(found, [Some(EventKind::Procedures), Some(EventKind::Drugs), None]);
        assert!(sources[0].table().path().ends_with("DONE.csv"));
        let codes = HashMap::from([(10, vec![0]), (11, vec![0])]);
        let (mut cohort, ids) =
            (Cohort::of_admissions(vec![(1, vec![10, 11])], &codes, &["a".into()]).0, Ids::default());
        for source in &sources {
            let edition = source.place() == Some(EventKind::Procedures);
            let name = |row: &Row<'_>, code: &str| {
                let named = if edition { format!("{}:{code}", row.text(2)) } else { code.to_owned() };
                (code != "0").then_some(named)
            };
            source.add_to(&mut cohort, &ids, None, OnBadRow::Error, &Silent, name).unwrap();
        }
        let names = |kind: &str| cohort.events(kind).unwrap().names.join(" ");
        assert_eq!(["procedures", "drugs", "devices"].map(names), ["9:3893 10:3893", "aspirin", "pump"]);
        assert_eq!(cohort.events("drugs").unwrap().rows.rows().map(<[u32]>::len).collect::<Vec<_>>(), [0, 1]);
        let left_out = |what: &str| {
            let step = cohort.flow.iter().find(|step| step.what == what).unwrap();
            let counted = step.left_out.iter().filter(|left_out| left_out.count > 0);
            counted.map(|left_out| format!("{} {}", left_out.count, left_out.why)).collect::<Vec<_>>()
        };
        let lost = ["1 of no stay", "2 without a code", "1 of admissions that are not in the cohort"];
        assert_eq!(left_out("rows of done"), lost);
        assert_eq!(left_out("rows of given"), ["1 that were cancelled"]);
        let none = EventTable { kind: "tests".into(), table: "devices".into(), code: "whom".into() };
        let error = places.open(&[], &[none]).err().unwrap().to_string();
        assert!(error.starts_with("`event_tables[0]`") && error.contains("`whom` is missing"), "{error}");
    }
}
