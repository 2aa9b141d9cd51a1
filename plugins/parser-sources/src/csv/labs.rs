//! Laboratory items of each visit: flagged, out of their limits, or by quantile.

use super::CsvOptions;
use super::layout::{Layout, Source};
use super::visits::{Found, Visits};
use crate::intervals::{Results, quantile};
use dualk_sdk::data::tables::{Fault, Row, Table};
use dualk_sdk::data::{LabItem, Step};
use dualk_sdk::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An item: its category, its name, and the part of its values where they are cut.
type Item = (String, String, usize);

/// Adds the items of all sources to the cohort.
pub fn add(
    layout: &Layout,
    options: &CsvOptions,
    visits: &Visits,
    cohort: &mut Cohort,
    progress: &dyn Progress,
) -> Result<()> {
    let place: HashMap<i64, usize> = cohort.admissions.values().iter().copied().zip(0..).collect();
    let mut sets: Vec<BTreeSet<Item>> = vec![BTreeSet::new(); place.len()];
    let said = |text: &str| options.abnormal.iter().any(|word| word.eq_ignore_ascii_case(text));
    if !layout.items.is_empty() {
        wide(layout, options, visits, &mut |admission, item, cell| {
            if let Some(&at) = place.get(&admission).filter(|_| said(cell)) {
                sets[at].insert((String::new(), item.to_owned(), 0));
            }
        })?;
    }
    if let Some(source) = &layout.labs {
        let results = Long::of(source, options, visits);
        let cuts = match options.quantiles {
            0 => HashMap::new(),
            parts => results.cuts(parts, progress)?,
        };
        let step = results.each(progress, |admission, result| {
            let Some(&at) = place.get(&admission) else { return };
            let part = match (options.quantiles, &result.value) {
                (0, _) => 0,
                (_, None) => return,
                (_, Some(value)) => match cuts.get(&result.item) {
                    Some(cuts) => 1 + cuts.partition_point(|cut| cut < value),
                    None => return,
                },
            };
            sets[at].insert((result.category, result.item, part));
        })?;
        cohort.flow.push(step);
    }
    if sets.iter().all(BTreeSet::is_empty) {
        return Ok(());
    }
    let categories: BTreeSet<&String> = sets.iter().flatten().map(|item| &item.0).collect();
    let categories: Vec<String> = categories.into_iter().cloned().collect();
    if categories.len() > usize::from(u8::MAX) {
        let message = format!("found {} categories of laboratory items, and there may be 255", categories.len());
        return Err(Error::user(message).at_key("category").help("leave the option out, or group the items"));
    }
    // Items are numbered by name; one in two categories belongs to the first.
    let mut items: BTreeMap<(String, usize), u8> = BTreeMap::new();
    for (category, name, part) in sets.iter().flatten() {
        let category = categories.partition_point(|c| c < category) as u8;
        items.entry((name.clone(), *part)).and_modify(|c| *c = category.min(*c)).or_insert(category);
    }
    let names: Vec<&(String, usize)> = items.keys().collect();
    let numbers: HashMap<&(String, usize), u32> = items.keys().zip(0..).collect();
    let of: Vec<u8> = items.values().copied().collect();
    let sets = sets.into_iter().map(|set| {
        set.into_iter().filter_map(|(_, name, part)| numbers.get(&(name, part)).copied()).collect::<Vec<u32>>()
    });
    cohort.set_labs(sets.collect(), |at| LabItem { id: i64::from(at) + 1, category: Some(of[at as usize]) });
    let parts = options.quantiles;
    cohort.set_lab_names(|id| {
        let (name, part) = names.get(usize::try_from(id - 1).ok()?)?;
        Some(if *part == 0 { name.clone() } else { format!("{name}, part {part} of {parts}") })
    });
    cohort.lab_categories =
        categories.into_iter().map(|c| if c.is_empty() { "laboratory".to_owned() } else { c }).collect();
    Ok(())
}

/// Columns of the table of visits as items; what a star stood for is the item's name.
fn wide(layout: &Layout, options: &CsvOptions, visits: &Visits, each: &mut dyn FnMut(i64, &str, &str)) -> Result<()> {
    let rows = layout.visits.read()?;
    let visit = if options.visit.is_empty() { &options.time } else { &options.visit };
    let source = Source {
        table: layout.visits.clone(),
        patient: Some(options.patient.clone()),
        visit: Some(visit.clone()),
        cells: Vec::new(),
    };
    let of = visits.of_rows(&source, &rows)?;
    for column in &layout.items {
        let beginnings = options.items.iter().filter_map(|name| name.strip_suffix('*'));
        let name = beginnings.filter_map(|beginning| column.strip_prefix(beginning)).find(|rest| !rest.is_empty());
        for (found, cell) in of.iter().zip(rows.texts(column)?) {
            if let (Found::Visit(admission), Some(cell)) = (found, cell) {
                each(*admission, name.unwrap_or(column), cell.trim());
            }
        }
    }
    Ok(())
}

/// A result that counts.
struct One {
    category: String,
    item: String,
    value: Option<f32>,
}

/// A table with a row a result.
struct Long<'a> {
    source: &'a Source,
    options: &'a CsvOptions,
    visits: &'a Visits,
    /// Places of patient and visit, and of item, flag, value, low, high and category.
    of: [Option<usize>; 2],
    columns: [Option<usize>; 6],
}

impl<'a> Long<'a> {
    fn of(source: &'a Source, options: &'a CsvOptions, visits: &'a Visits) -> Self {
        let place = |name: &str| source.table.place(name);
        let names = [&options.item, &options.flag, &options.value, &options.low, &options.high, &options.category];
        let of = [&source.patient, &source.visit].map(|name| name.as_deref().and_then(place));
        Self { source, options, visits, of, columns: names.map(|name| place(name)) }
    }

    fn table(&self) -> &Table {
        &self.source.table
    }

    fn number(&self, row: &Row<'_>, which: usize) -> Result<Option<f32>, Fault> {
        let Some(column) = self.columns[which] else { return Ok(None) };
        match row.text(column) {
            "" => Ok(None),
            text => match text.parse::<f32>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(row.fault(column, "expected a number in this column")),
            },
        }
    }

    /// The result of a row, unless it is normal; `None` where there is nothing to use.
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
        let one = || One { category: text(5).to_lowercase(), item: item.to_owned(), value };
        Ok((counts && !item.is_empty()).then(one))
    }

    /// Shows every result that counts with its admission, and says what was left out.
    fn each(&self, progress: &dyn Progress, mut show: impl FnMut(i64, One)) -> Result<Step> {
        let mut task = progress.begin("laboratory results", "rows", None);
        let (mut without, mut unknown) = (0, 0);
        let scanned = self.table().scan(
            self.options.on_bad_row,
            |(found, without, unknown): &mut (Vec<(i64, One)>, u64, u64), row| {
                let visit = self.visits.of_row(self.source, row, self.of);
                match visit.map_err(|message| row.fault(0, message))? {
                    Found::Nothing => *without += 1,
                    Found::Unknown => *unknown += 1,
                    Found::Visit(admission) => found.extend(self.result(row)?.map(|one| (admission, one))),
                }
                Ok(())
            },
            |(found, without_here, unknown_here), rows| {
                without += without_here;
                unknown += unknown_here;
                found.into_iter().for_each(|(admission, one)| show(admission, one));
                task.advance(rows);
                Ok(())
            },
        )?;
        task.finish("");
        Ok(Step::new("rows of labs", scanned.rows)
            .lost("that cannot be used", scanned.bad)
            .lost("without a visit", without)
            .lost("of a visit that is not among visits", unknown))
    }

    /// Where the values of each item are cut into parts of the same size.
    fn cuts(&self, parts: usize, progress: &dyn Progress) -> Result<HashMap<String, Vec<f32>>> {
        let mut results = Results::default();
        self.each(progress, |_, one| {
            if let Some(value) = one.value {
                results.add(one.item, value);
            }
        })?;
        Ok(results.into_values().map(|(item, values)| (item, quantile(values, parts))).collect())
    }
}
