//! labevents and d_labitems → the set of abnormal items of each admission.

use dualk_sdk::data::LabItem;
use dualk_sdk::data::tables::Table;
use dualk_sdk::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// The categories that count, in the order of their decoders.
pub const CATEGORIES: [&str; 3] = ["hematology", "chemistry", "blood gas"];

/// Abnormal laboratory items.
pub struct Labs {
    /// Items that are abnormal in some admission, ascending by identifier.
    pub items: Vec<LabItem>,
    /// Per admission ascending indices into the items.
    pub admissions: Ragged<u32>,
    /// Items that the table of items lacks.
    pub unknown: u64,
}

/// The tables that are needed.
pub struct Tables {
    events: Table,
    items: Table,
}

impl Tables {
    /// Finds the tables and checks their columns.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self {
            events: Table::open(root, "labevents", &["hadm_id", "itemid", "flag"])?,
            items: Table::open(root, "d_labitems", &["itemid", "category"])?,
        })
    }

    /// Reads the abnormal items of the given admissions. The events pass by: only the sets are held.
    pub fn read(&self, admissions: &[i64], progress: &dyn Progress) -> Result<Labs> {
        let categories = self.categories()?;
        let place: HashMap<i64, usize> = admissions.iter().enumerate().map(|(i, &a)| (a, i)).collect();
        let mut sets = vec![BTreeSet::new(); admissions.len()];
        let mut task = progress.begin("abnormal lab events", "events", None);
        self.events.each_where("flag", "abnormal", |rows| {
            let of = rows.optional_integers("hadm_id")?;
            let items = rows.integers("itemid")?;
            for (admission, item) in of.into_iter().zip(items) {
                if let Some(&at) = admission.and_then(|a| place.get(&a)) {
                    sets[at].insert(item);
                }
            }
            task.advance(rows.len() as u64);
            Ok(())
        })?;
        task.finish("");
        let used: BTreeSet<i64> = sets.iter().flatten().copied().collect();
        let number: BTreeMap<i64, u32> = used.iter().copied().zip(0..).collect();
        let unknown = used.iter().filter(|item| !categories.contains_key(item)).count() as u64;
        let category = |id: i64| categories.get(&id).copied().flatten();
        Ok(Labs {
            items: used.iter().map(|&id| LabItem { id, category: category(id) }).collect(),
            admissions: sets.iter().map(|set| set.iter().map(|item| number[item])).collect(),
            unknown,
        })
    }

    fn categories(&self) -> Result<HashMap<i64, Option<u8>>> {
        let rows = self.items.read()?;
        let ids = rows.integers("itemid")?;
        let texts = rows.texts("category")?.map(|text| text.unwrap_or("").to_lowercase());
        let of = |text: String| CATEGORIES.iter().position(|c| *c == text).map(|c| c as u8);
        Ok(ids.into_iter().zip(texts.map(of)).collect())
    }
}
