//! All subjects with their visits, file after file.

use super::Meds;
use super::events::{Counts, Subject};
use super::files::Tables;
use super::labs::Labs;
use super::visits::{Ends, Grouped, visits};
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::events::EventSets;
use dualk_sdk::data::tables::{Rows, Table};
use dualk_sdk::data::{Ids, PatientFacts, Stays};
use dualk_sdk::prelude::*;
use std::collections::HashMap;

/// All visits, numbered from 1.
#[derive(Default)]
pub struct All {
    pub stays: Stays,
    pub codes: HashMap<i64, Vec<u32>>,
    pub items: HashMap<i64, Vec<(usize, u32)>>,
    pub within: u64,
    pub without: u64,
    pub results_without: u64,
    pub ends: Ends,
    pub counts: Counts,
}

impl All {
    fn add(&mut self, subject: i64, facts: PatientFacts, grouped: Grouped, further: &mut [EventSets]) {
        (self.within, self.without) = (self.within + grouped.within, self.without + grouped.without);
        self.results_without += grouped.results_without;
        self.ends.add(grouped.ends);
        for visit in grouped.visits {
            let number = self.stays.len() as i64 + 1;
            self.stays.add(subject, number, number as f64, visit.facts);
            self.codes.insert(number, visit.codes);
            self.items.insert(number, visit.items);
            visit.further.iter().for_each(|(kind, code)| further[*kind].add(number, code));
        }
        *self.stays.patient(subject) = facts;
    }
}

impl Meds {
    /// Reads every file, and groups the events of each subject once its last file was read.
    pub fn all(
        &self,
        tables: &Tables,
        labs: &Labs,
        coding: &mut Coding,
        further: &mut [EventSets],
        progress: &dyn Progress,
    ) -> Result<All> {
        let (mut all, mut ids) = (All::default(), None);
        let (last, mut waiting) = (Self::last_files(&tables.events, &mut ids)?, HashMap::<i64, Subject>::new());
        let mut task = progress.begin("events", "files", Some(tables.events.len() as u64));
        for (place, table) in tables.events.iter().enumerate() {
            let rows = table.read()?;
            let subjects = Self::subjects(&rows, &mut ids)?;
            let mut found = self.events(table, &rows, labs, coding, &subjects, &mut all.counts)?;
            // One that has nothing in its last file that counts, and something in an earlier one.
            for subject in subjects.iter().filter(|subject| last[*subject] == place) {
                if let Some(earlier) = waiting.remove(subject) {
                    let later = found.remove(subject).unwrap_or_default();
                    found.insert(*subject, later.after(earlier));
                }
            }
            for (subject, found) in found {
                if last[&subject] > place {
                    let earlier = waiting.remove(&subject).unwrap_or_default();
                    waiting.insert(subject, found.after(earlier));
                    continue;
                }
                all.add(subject, found.facts, visits(found.events, self.options.visits), further);
            }
            task.advance(1);
        }
        task.finish("");
        all.stays.patient_ids = ids.unwrap_or_default();
        all.stays.readings = std::mem::take(&mut all.counts.readings);
        Ok(all)
    }

    /// For each subject the last file that it is in.
    fn last_files(events: &[Table], ids: &mut Option<Ids>) -> Result<HashMap<i64, usize>> {
        let mut last = HashMap::new();
        for (place, table) in events.iter().enumerate() {
            let table = table.only(&["subject_id"])?;
            let subjects = Self::subjects(&table.read()?, ids)?;
            last.extend(subjects.into_iter().map(|subject| (subject, place)));
        }
        Ok(last)
    }

    /// The subjects of a file's rows; the first file decides whether they are integers, as the standard has it.
    pub fn subjects(rows: &Rows<'_>, ids: &mut Option<Ids>) -> Result<Vec<i64>> {
        match ids {
            None => {
                let (first, numbers) = Ids::of(rows, "subject_id")?;
                *ids = Some(first);
                Ok(numbers)
            }
            Some(ids) if ids.are_integers() => {
                let found = |(i, number): (usize, Option<i64>)| {
                    number.ok_or_else(|| rows.error(i, "the column `subject_id` holds no identifier"))
                };
                ids.column(rows, "subject_id")?.into_iter().enumerate().map(found).collect()
            }
            Some(ids) => Ok(rows.texts("subject_id")?.map(|text| ids.add(text.unwrap_or(""))).collect()),
        }
    }
}
