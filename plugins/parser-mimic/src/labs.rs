//! labevents and d_labitems → the laboratory items of each admission: abnormal ones, or parts of their values.

use dualk_sdk::data::labs::{self, Rule};
use dualk_sdk::data::tables::{Fault, NOT_IN_COHORT, OnBadRow, Pass, Row, Seen, Table};
use dualk_sdk::data::{Ids, LabItem, Step};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;

/// The categories that count, in the order of their decoders.
pub const CATEGORIES: [&str; 3] = ["hematology", "chemistry", "blood gas"];

/// Columns of the events, in the order in which they are asked for; the last is `valuenum` where values are cut.
const ADMISSION: usize = 0;
const ITEM: usize = 1;
const RESULT: usize = 2;

const WITHOUT: &str = "without an admission";

/// The tables that are needed.
pub struct Tables {
    rule: Rule,
    events: Table,
    items: Table,
    label: Option<String>,
}

/// What d_labitems says of an item.
struct Item {
    category: Option<u8>,
    label: String,
}

impl Tables {
    /// Finds the tables and checks their columns.
    pub fn open(root: &Path, quantiles: usize) -> Result<Self> {
        let rule = Rule::of(quantiles, Rule::Said)?;
        let result = if rule == Rule::Said { "flag" } else { "valuenum" };
        let open =
            |name: &str, columns: &[&str]| Table::open_any_case(root, name, columns).map_err(|e| e.at_key("root"));
        let mut mistakes = Mistakes::default();
        let events = mistakes.note(open("labevents", &["hadm_id", "itemid", result]));
        let items = mistakes.note(open("d_labitems", &["itemid", "category"]));
        let (events, mut items) = mistakes.finish(events.zip(items))?;
        let label = items.also("label").map_err(|e| e.at_key("root"))?;
        Ok(Self { rule, events, items, label })
    }

    /// The tables of results and of items.
    pub fn tables(&self) -> [&Table; 2] {
        [&self.events, &self.items]
    }

    /// Whether values are cut.
    pub fn cuts(&self) -> bool {
        self.rule.cuts()
    }

    /// Reads the items of a cohort's admissions. The events pass by: only the sets are held, and values where they are cut.
    pub fn add_to(
        &self,
        cohort: &mut Cohort,
        ids: &Ids,
        on_bad_row: OnBadRow,
        context: &ParserContext<'_>,
    ) -> Result<()> {
        let items = self.items()?;
        let places = cohort.places();
        let cut_from = context.cut_from(cohort, self.rule);
        let pass = Pass {
            table: &self.events,
            rows: "rows of labevents".into(),
            on_bad_row,
            losses: &[WITHOUT],
            rules: &[NOT_IN_COHORT],
            progress: context.progress,
        };
        let (sets, step) = labs::read(self.rule, &cut_from, |show| match self.rule {
            Rule::Said => pass.sets(|row| flagged(row, &places, ids), |at, item| show(at, item, 0.0)),
            _ => pass.each(|row| valued(row, &places, ids), |at, (item, value)| show(at, item, value)),
        })?;
        let unknown = Cell::new(0);
        sets.add_to(cohort, self.rule, |id| {
            let known = items.get(id);
            unknown.set(unknown.get() + u64::from(known.is_none()));
            let label = known.map(|item| item.label.clone()).unwrap_or_default();
            // Parts of values need some name.
            let name = if label.is_empty() && self.rule != Rule::Said { id.to_string() } else { label };
            (LabItem { id: *id, category: known.and_then(|item| item.category) }, name)
        });
        cohort.lab_categories = CATEGORIES.map(str::to_owned).to_vec();
        let without = cohort.lab_items.iter().filter(|item| item.category.is_none()).count() as u64;
        cohort.flow.push(step);
        let step = Step::new(self.rule.items(), cohort.lab_items.len() as u64);
        let step = step.lost("that d_labitems lacks", unknown.get());
        cohort.flow.push(step.by_rule("of no category that counts", without - unknown.get()));
        Ok(())
    }

    /// Categories and names of items.
    fn items(&self) -> Result<HashMap<i64, Item>> {
        let rows = self.items.read()?;
        let ids = rows.integers("itemid")?;
        let labels = rows.texts_if(self.label.as_deref())?;
        let category = |text: Option<&str>| {
            let text = text.unwrap_or("").to_lowercase();
            CATEGORIES.iter().position(|c| *c == text).map(|c| c as u8)
        };
        let item = |(category, label): (_, Option<&str>)| Item { category, label: label.unwrap_or("").to_owned() };
        Ok(ids.into_iter().zip(rows.texts("category")?.map(category).zip(labels).map(item)).collect())
    }
}

/// The item of a row that is flagged.
fn flagged(row: &Row<'_>, places: &HashMap<i64, usize>, ids: &Ids) -> Result<Seen<i64>, Fault> {
    if row.bytes(RESULT) != b"abnormal" {
        // What stands in rows that say nothing need not be right.
        return Ok(placed(row, row.id(ADMISSION, ids).ok().flatten(), places, None));
    }
    let (admission, item) = (row.id(ADMISSION, ids)?, row.integer(ITEM)?);
    Ok(placed(row, admission, places, Some(item)))
}

/// The item of a row that has a value, and the value.
fn valued(row: &Row<'_>, places: &HashMap<i64, usize>, ids: &Ids) -> Result<Seen<(i64, f32)>, Fault> {
    let admission = row.id(ADMISSION, ids)?;
    let Some(value) = row.number::<f32>(RESULT)? else { return Ok(placed(row, admission, places, None)) };
    let item = row.integer(ITEM)?;
    Ok(placed(row, admission, places, Some((item, value))))
}

/// What a row says, if anything, with the place of its admission.
fn placed<T>(row: &Row<'_>, admission: Option<i64>, places: &HashMap<i64, usize>, what: Option<T>) -> Seen<T> {
    match admission.and_then(|admission| places.get(&admission)) {
        Some(&at) => what.map_or(Seen::Nothing, |what| Seen::Of(at, what)),
        None if row.bytes(ADMISSION).is_empty() => Seen::Lost(WITHOUT),
        None => Seen::LeftOut(NOT_IN_COHORT),
    }
}
