//! Diagnoses, procedures and drugs of each visit.

use super::layout::{Layout, Source};
use super::visits::{Found, NO_PATIENT, NO_VISIT, UNKNOWN_VISIT, Visits};
use super::{CsvOptions, Rows, Written};
use dualk_sdk::data::Step;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::events::EventSets;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables;
use dualk_sdk::error::cell;
use dualk_sdk::prelude::*;

/// The codes in the cells of a table, row after row.
struct Cells<'t> {
    visits: Vec<Found>,
    columns: Vec<Vec<Option<&'t str>>>,
    separator: &'t str,
}

impl<'t> Cells<'t> {
    fn of(source: &Source, options: &'t CsvOptions, rows: &'t tables::Rows<'_>, visits: &Visits) -> Result<Self> {
        let columns = source.cells.iter().map(|column| rows.texts_if(Some(column))).collect::<Result<_>>()?;
        Ok(Self { visits: visits.of_rows(source, rows)?, columns, separator: &options.separator })
    }

    /// Each code with its row and admission. Empty cells count only where a row has one column.
    fn each(&self, mut use_code: impl FnMut(usize, i64, &str) -> Result<()>) -> Result<()> {
        for (row, visit) in self.visits.iter().enumerate() {
            let Found::Visit(admission) = visit else { continue };
            for column in &self.columns {
                let cell = column[row].unwrap_or("").trim();
                if cell.is_empty() && self.columns.len() > 1 {
                    continue;
                }
                match self.separator.is_empty() {
                    true => use_code(row, *admission, cell)?,
                    false => {
                        let parts = cell.split(self.separator).map(str::trim);
                        let mut parts = parts.filter(|part| !part.is_empty() || cell.is_empty());
                        parts.try_for_each(|part| use_code(row, *admission, part))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn step(&self, what: &str) -> Step {
        let count = |kind: Found| self.visits.iter().filter(|found| **found == kind).count() as u64;
        Step::new(what, self.visits.len() as u64)
            .lost(NO_PATIENT, count(Found::NoPatient))
            .lost(NO_VISIT, count(Found::Nothing))
            .lost(UNKNOWN_VISIT, count(Found::Unknown))
    }
}

/// The diagnoses of each admission, in the order of the file.
pub fn diagnoses(
    layout: &Layout,
    options: &CsvOptions,
    visits: &Visits,
    coding: &mut Coding,
) -> Result<(Rows, [Step; 2])> {
    let rows = layout.codes.table.read()?;
    let cells = Cells::of(&layout.codes, options, &rows, visits)?;
    let versions = match options.written {
        Written::Version => rows.texts(&options.version)?.map(|text| text.map(str::trim)).collect(),
        _ => Vec::new(),
    };
    let mut codes = Rows::new();
    cells.each(|row, admission, code| {
        let edition = match options.written {
            Written::Icd9 => Icd::Icd9,
            Written::Icd10 => Icd::Icd10,
            Written::Version => match versions[row] {
                Some("9") => Icd::Icd9,
                Some("10") => Icd::Icd10,
                found => {
                    let message = format!("the column `{}` must hold 9 or 10, found {}", options.version, cell(found));
                    return Err(rows.error(row, message));
                }
            },
            Written::Other => {
                codes.entry(admission).or_default().extend(coding.other(code));
                return Ok(());
            }
        };
        codes.entry(admission).or_default().extend_from_slice(coding.codes(edition, code));
        Ok(())
    })?;
    Ok((codes, [cells.step("rows of codes"), coding.step("diagnoses")]))
}

/// What the rows of a table of a further kind say.
pub fn others(source: &Source, kind: &str, options: &CsvOptions, visits: &Visits, cohort: &mut Cohort) -> Result<()> {
    let rows = source.table.read()?;
    let cells = Cells::of(source, options, &rows, visits)?;
    let mut sets = EventSets::new(kind, options.drug_map.given())?;
    cells.each(|_, admission, name| {
        sets.add(admission, name);
        Ok(())
    })?;
    let places = cohort.places();
    let outside = |found: &&Found| matches!(found, Found::Visit(admission) if !places.contains_key(admission));
    let outside = cells.visits.iter().filter(outside).count() as u64;
    cohort.flow.push(cells.step(&format!("rows of {kind}")).by_rule(tables::NOT_IN_COHORT, outside));
    sets.add_to(cohort);
    Ok(())
}
