//! Laboratory items of each visit: flagged, out of their limits, or by quantile.

use super::CsvOptions;
use super::layout::{Layout, Source};
use super::visits::{Found, NO_PATIENT, NO_VISIT, UNKNOWN_VISIT, Visits};
use dualk_sdk::data::labs::{self, LabSets, Rule};
use dualk_sdk::data::tables::{Fault, NOT_IN_COHORT, Pass, Row, Seen};
use dualk_sdk::data::{LabItem, Step};
use dualk_sdk::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Items by name, with their categories: one in two belongs to the first.
#[derive(Default)]
struct Items {
    of: BTreeMap<String, String>,
    categories: BTreeSet<String>,
}

impl Items {
    fn add(&mut self, name: &str, category: String) {
        self.categories.insert(category.clone());
        match self.of.get_mut(name) {
            Some(known) if *known <= category => {}
            Some(known) => *known = category,
            None => drop(self.of.insert(name.to_owned(), category)),
        }
    }

    /// Puts the items of every admission into the cohort, numbered by their names.
    fn add_to(self, sets: LabSets<String>, rule: Rule, cohort: &mut Cohort) -> Result<()> {
        let categories: Vec<String> = self.categories.into_iter().collect();
        if categories.len() > usize::from(u8::MAX) {
            let message = format!("found {} categories of laboratory items, and there may be 255", categories.len());
            return Err(Error::user(message).at_key("category").help("leave the option out, or group the items"));
        }
        let (of, numbers): (_, HashMap<&String, i64>) = (&self.of, self.of.keys().zip(1..).collect());
        sets.add_to(cohort, rule, |item| {
            let category = of.get(item).map(|of| categories.partition_point(|c| c < of) as u8);
            (LabItem { id: numbers.get(item).copied().unwrap_or_default(), category }, item.clone())
        });
        cohort.lab_categories =
            categories.into_iter().map(|c| if c.is_empty() { "laboratory".to_owned() } else { c }).collect();
        Ok(())
    }
}

/// Why a result that counts is lost.
const NO_NAME: &str = "without a name";

/// Adds the items of all sources to the cohort.
pub fn add(
    layout: &Layout,
    options: &CsvOptions,
    visits: &Visits,
    cohort: &mut Cohort,
    context: &ParserContext<'_>,
) -> Result<()> {
    let rule = Rule::of(options.quantiles, Rule::Said)?;
    let places = cohort.places();
    let (mut items, mut sets) = (Items::default(), LabSets::new(places.len()));
    if let Some(source) = &layout.labs {
        let results = Long::of(source, options, visits, &places);
        let (pass, cut_from) = (results.pass(context.progress), context.cut_from(cohort, rule));
        let (found, step) = labs::read(rule, &cut_from, |show| {
            pass.each(
                |row| results.look(row),
                |at, one: One| {
                    items.add(&one.item, one.category);
                    show(at, one.item, one.value);
                },
            )
        })?;
        sets = found;
        cohort.flow.push(step);
    }
    if !layout.items.is_empty() {
        let step = wide(layout, options, visits, &places, &mut |at, item, cell| {
            if options.abnormal.iter().any(|word| word.eq_ignore_ascii_case(cell)) {
                items.add(item, String::new());
                sets.insert(at, item.to_owned(), 0);
            }
        })?;
        cohort.flow.push(step);
    }
    if items.of.is_empty() { Ok(()) } else { items.add_to(sets, rule, cohort) }
}

/// Columns of the table of visits as items; what a star stood for is the item's name. `each` is shown what is written, with the
/// place of its admission. How many cells hold something, and what was left out of them.
fn wide(
    layout: &Layout,
    options: &CsvOptions,
    visits: &Visits,
    places: &HashMap<i64, usize>,
    each: &mut dyn FnMut(usize, &str, &str),
) -> Result<Step> {
    let rows = layout.visits.read()?;
    let visit = if options.visit.is_empty() { &options.time } else { &options.visit };
    let source = Source {
        table: layout.visits.clone(),
        patient: Some(options.patient.clone()),
        visit: Some(visit.clone()),
        cells: Vec::new(),
    };
    let of = visits.of_rows(&source, &rows)?;
    let (mut written, mut no_patient, mut no_visit, mut outside) = (0, 0, 0, 0);
    for column in &layout.items {
        let beginnings = options.items.iter().filter_map(|name| name.strip_suffix('*'));
        let name = beginnings.filter_map(|beginning| column.strip_prefix(beginning)).find(|rest| !rest.is_empty());
        for (found, cell) in of.iter().zip(rows.texts(column)?) {
            let Some(cell) = cell.map(str::trim).filter(|cell| !cell.is_empty()) else { continue };
            written += 1;
            match found {
                Found::NoPatient => no_patient += 1,
                Found::Nothing | Found::Unknown => no_visit += 1,
                Found::Visit(admission) => match places.get(admission) {
                    Some(&at) => each(at, name.unwrap_or(column), cell),
                    None => outside += 1,
                },
            }
        }
    }
    let step = Step::new("cells of laboratory items", written);
    Ok(step.lost(NO_PATIENT, no_patient).lost(NO_VISIT, no_visit).by_rule(NOT_IN_COHORT, outside))
}

/// A result that counts.
struct One {
    category: String,
    item: String,
    /// 0 where only abnormal results count.
    value: f32,
}

/// A table with a row a result.
struct Long<'a> {
    source: &'a Source,
    options: &'a CsvOptions,
    visits: &'a Visits,
    places: &'a HashMap<i64, usize>,
    /// Places of patient and visit, and of item, flag, value, low, high and category.
    of: [Option<usize>; 2],
    columns: [Option<usize>; 6],
}

impl<'a> Long<'a> {
    fn of(source: &'a Source, options: &'a CsvOptions, visits: &'a Visits, places: &'a HashMap<i64, usize>) -> Self {
        let place = |name: &str| source.table.place(name);
        let names = [&options.item, &options.flag, &options.value, &options.low, &options.high, &options.category];
        let of = [&source.patient, &source.visit].map(|name| name.as_deref().and_then(place));
        Self { source, options, visits, places, of, columns: names.map(|name| place(name)) }
    }

    fn pass<'p>(&'p self, progress: &'p dyn Progress) -> Pass<'p> {
        Pass {
            table: &self.source.table,
            rows: "rows of labs".into(),
            on_bad_row: self.options.on_bad_row,
            losses: &[NO_PATIENT, NO_VISIT, UNKNOWN_VISIT, NO_NAME],
            rules: &[NOT_IN_COHORT],
            progress,
        }
    }

    fn number(&self, row: &Row<'_>, which: usize) -> Result<Option<f32>, Fault> {
        self.columns[which].map_or(Ok(None), |column| row.number(column))
    }

    fn look(&self, row: &Row<'_>) -> Result<Seen<One>, Fault> {
        let visit = self.visits.of_row(self.source, row, self.of);
        Ok(match visit.map_err(|message| row.fault(0, message))? {
            Found::NoPatient => Seen::Lost(NO_PATIENT),
            Found::Nothing => Seen::Lost(NO_VISIT),
            Found::Unknown => Seen::Lost(UNKNOWN_VISIT),
            Found::Visit(admission) => match (self.result(row)?, self.places.get(&admission)) {
                (_, None) => Seen::LeftOut(NOT_IN_COHORT),
                (Some(one), Some(_)) if one.item.is_empty() => Seen::Lost(NO_NAME),
                (Some(one), Some(&at)) => Seen::Of(at, one),
                _ => Seen::Nothing,
            },
        })
    }

    /// The result of a row, unless it does not count.
    fn result(&self, row: &Row<'_>) -> Result<Option<One>, Fault> {
        let text = |which: usize| self.columns[which].map_or("", |column| row.text(column));
        let item = text(0);
        let value = self.number(row, 2)?;
        let (low, high) = (self.number(row, 3)?, self.number(row, 4)?);
        let counts = if self.options.quantiles > 0 {
            value.is_some_and(f32::is_finite)
        } else if self.columns[1].is_some() {
            self.options.abnormal.iter().any(|word| word.eq_ignore_ascii_case(text(1)))
        } else if self.columns[2].is_some() {
            value.is_some_and(|v| low.is_some_and(|low| v < low) || high.is_some_and(|high| v > high))
        } else {
            true
        };
        let one = || One { category: text(5).to_lowercase(), item: item.to_owned(), value: value.unwrap_or_default() };
        Ok(counts.then(one))
    }
}
