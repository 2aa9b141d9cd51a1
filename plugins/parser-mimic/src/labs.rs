//! labevents and d_labitems → the set of abnormal items of each admission.

use dualk_sdk::data::tables::{OnBadRow, Row, Table};
use dualk_sdk::data::{Ids, LabItem, Step};
use dualk_sdk::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// The categories that count, in the order of their decoders.
pub const CATEGORIES: [&str; 3] = ["hematology", "chemistry", "blood gas"];

/// Abnormal laboratory items.
pub struct Labs {
    /// Items that are abnormal in some admission, ascending by identifier.
    pub items: Vec<LabItem>,
    /// Per admission ascending indices into the items.
    pub admissions: Ragged<u32>,
    /// Names of items by identifier.
    names: HashMap<i64, String>,
    /// What became of the rows of events and of the items.
    steps: [Step; 2],
}

impl Labs {
    /// Puts the items into a cohort of the same admissions.
    pub fn add_to(self, cohort: &mut Cohort) {
        cohort.labs = self.admissions;
        cohort.lab_items = self.items;
        cohort.lab_categories = CATEGORIES.map(str::to_owned).to_vec();
        cohort.set_lab_names(|id| self.names.get(&id).cloned());
        cohort.flow.extend(self.steps);
    }
}

/// Columns of the events, in the order in which they are asked for.
const COLUMNS: [&str; 3] = ["hadm_id", "itemid", "flag"];
const ADMISSION: usize = 0;
const ITEM: usize = 1;
const FLAG: usize = 2;

/// The tables that are needed.
pub struct Tables {
    events: Table,
    /// With the names of its columns as the file has them.
    items: (Table, Vec<String>),
    label: Option<String>,
}

impl Tables {
    /// Finds the tables and checks their columns.
    pub fn open(root: &Path) -> Result<Self> {
        let events = Table::open_any_case(root, "labevents", &COLUMNS)?.0;
        let (mut items, columns) = Table::open_any_case(root, "d_labitems", &["itemid", "category"])?;
        let label = items.also("label");
        Ok(Self { events, items: (items, columns), label })
    }

    /// Both.
    pub fn tables(&self) -> [&Table; 2] {
        [&self.events, &self.items.0]
    }

    /// Reads the abnormal items of the given admissions. The events pass by: only the sets are held.
    pub fn read(&self, admissions: &[i64], ids: &Ids, on_bad_row: OnBadRow, progress: &dyn Progress) -> Result<Labs> {
        let (categories, names) = self.categories()?;
        let place: HashMap<i64, u32> = admissions.iter().copied().zip(0..).collect();
        let mut sets = Sets { numbers: HashMap::new(), of: vec![Vec::new(); admissions.len()] };
        let mut task = progress.begin("abnormal lab events", "rows", None);
        let abnormal = |(found, without): &mut (Vec<(u32, i64)>, u64), row: &Row<'_>| {
            *without += u64::from(row.bytes(ADMISSION).is_empty());
            if row.bytes(FLAG) == b"abnormal" {
                let (admission, item) = (row.id(ADMISSION, ids)?, row.integer(ITEM)?);
                found.extend(admission.and_then(|a| place.get(&a)).map(|&at| (at, item)));
            }
            Ok(())
        };
        let mut without = 0;
        let scanned = self.events.scan(on_bad_row, abnormal, |(mut found, without_here), rows| {
            without += without_here;
            // Results of an admission stand together, and most repeat an item.
            found.sort_unstable();
            found.dedup();
            found.into_iter().for_each(|(at, item)| sets.insert(at, item));
            task.advance(rows);
            Ok(())
        })?;
        task.finish("");
        let Sets { numbers, of } = sets;
        let mut items: Vec<(i64, u32)> = numbers.into_iter().collect();
        items.sort_unstable();
        let mut order = vec![0; items.len()];
        items.iter().zip(0..).for_each(|(&(_, number), rank)| order[number as usize] = rank);
        let ascending = |set: Vec<u32>| {
            let mut set: Vec<u32> = set.into_iter().map(|number| order[number as usize]).collect();
            set.sort_unstable();
            set
        };
        let unknown = items.iter().filter(|item| !categories.contains_key(&item.0)).count() as u64;
        let category = |id: i64| categories.get(&id).copied().flatten();
        let categorised = (items.len() as u64, items.iter().filter(|item| category(item.0).is_some()).count() as u64);
        Ok(Labs {
            items: items.into_iter().map(|(id, _)| LabItem { id, category: category(id) }).collect(),
            admissions: of.into_iter().map(ascending).collect(),
            names,
            steps: [
                Step::new("rows of labevents", scanned.rows)
                    .lost("that cannot be used", scanned.bad)
                    .lost("without an admission", without),
                Step::new("abnormal laboratory items", categorised.0)
                    .lost("that d_labitems lacks", unknown)
                    .by_rule("of no category that counts", categorised.0 - categorised.1 - unknown),
            ],
        })
    }

    /// Categories and names of items.
    fn categories(&self) -> Result<(Categories, HashMap<i64, String>)> {
        let (table, columns) = &self.items;
        let rows = table.read()?;
        let ids = rows.integers(&columns[0])?;
        let texts = rows.texts(&columns[1])?.map(|text| text.unwrap_or("").to_lowercase());
        let of = |text: String| CATEGORIES.iter().position(|c| *c == text).map(|c| c as u8);
        let labels = rows.texts_if(self.label.as_deref())?;
        let named = |(&id, label): (&i64, Option<&str>)| label.map(|label| (id, label.to_owned()));
        let names = ids.iter().zip(labels).filter_map(named).collect();
        Ok((ids.into_iter().zip(texts.map(of)).collect(), names))
    }
}

/// The category of each item, where it is one that counts.
type Categories = HashMap<i64, Option<u8>>;

/// A set of items for each admission.
struct Sets {
    /// Items are numbered as they come.
    numbers: HashMap<i64, u32>,
    /// Small sets without order: looking through one is faster than anything cleverer.
    of: Vec<Vec<u32>>,
}

impl Sets {
    fn insert(&mut self, at: u32, item: i64) {
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(item).or_insert(next);
        let set = &mut self.of[at as usize];
        if !set.contains(&number) {
            set.push(number);
        }
    }
}
