//! Encounters and their diagnoses. The table of facts has all that a warehouse knows: it is gone through and not held.

use super::{I2b2, given};
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::tables::{Fault, OnBadRow, Row, Table};
use dualk_sdk::data::{Dates, Ids, Stays, Step};
use dualk_sdk::prelude::*;
use std::collections::HashMap;

/// What is read of facts.
pub const COLUMNS: [&str; 4] = ["encounter_num", "patient_num", "concept_cd", "start_date"];
const ENCOUNTER: usize = 0;
const PATIENT: usize = 1;
const CONCEPT: usize = 2;
const START: usize = 3;

/// Why rows are lost.
const NO_PATIENT: &str = "without a patient";
pub const NO_ENCOUNTER: &str = "without an encounter";
const SHARED: &str = "of an encounter that several patients have";

/// By which rules they are left out.
pub const OTHER_CONCEPT: &str = "of other concepts";
const PROCEDURE: &str = "of procedures in ICD-9";

/// An encounter with a diagnosis.
pub struct Encounter {
    pub number: i64,
    pub patient: i64,
    /// The earliest of its diagnoses, in seconds since 1970.
    pub start: i64,
    /// The places of its concepts among all that are diagnoses, in the order of the file.
    concepts: Vec<u32>,
    is_shared: bool,
}

/// All encounters that have a diagnosis, in the order of the file.
pub struct Encounters {
    patient_ids: Ids,
    encounter_ids: Ids,
    pub all: Vec<Encounter>,
    /// The concepts that are diagnoses.
    concepts: Vec<String>,
    pub step: Step,
}

/// A diagnosis in the words of its row, but for its time.
struct Diagnosis {
    encounter: String,
    patient: String,
    concept: String,
    start: i64,
}

/// What is not taken of rows.
#[derive(Default)]
struct Counts {
    others: u64,
    procedures: u64,
    no_patient: u64,
    no_encounter: u64,
}

/// What is found in a block of the table.
#[derive(Default)]
struct Block {
    diagnoses: Vec<Diagnosis>,
    counts: Counts,
}

/// What has been found so far. Identifiers are texts: whether all are integers is known at the end.
struct Found {
    patients: Ids,
    encounters: Ids,
    all: Vec<Encounter>,
    concepts: HashMap<String, u32>,
    counts: Counts,
}

impl I2b2 {
    /// Goes through the facts.
    pub fn encounters(&self, facts: &Table, progress: &dyn Progress) -> Result<Encounters> {
        let dates = Dates::of_option(&self.options.date_format)?;
        let mut found = Found::nothing();
        let mut task = progress.begin("diagnoses", "rows", None);
        let scanned = facts.scan(
            OnBadRow::Error,
            |block: &mut Block, row| self.look(block, row, facts, &dates),
            |block, rows| {
                found.add(block);
                task.advance(rows);
                Ok(())
            },
        )?;
        task.finish("");
        Ok(found.settled(scanned.rows))
    }

    fn look(&self, block: &mut Block, row: &Row<'_>, facts: &Table, dates: &Dates) -> Result<(), Fault> {
        let (concept, counts) = (row.text(CONCEPT), &mut block.counts);
        match self.diagnosis(concept) {
            None => counts.others += 1,
            Some((Icd::Icd9, code)) if is_procedure(code) => counts.procedures += 1,
            Some(_) => match (identifier(row.text(PATIENT)), identifier(row.text(ENCOUNTER))) {
                (None, _) => counts.no_patient += 1,
                (_, None) => counts.no_encounter += 1,
                (Some(patient), Some(encounter)) => {
                    let (patient, encounter) = (patient.to_owned(), encounter.to_owned());
                    let start = time(row, facts, dates)?;
                    block.diagnoses.push(Diagnosis { encounter, patient, concept: concept.to_owned(), start });
                }
            },
        }
        Ok(())
    }
}

/// The time of a fact.
fn time(row: &Row<'_>, facts: &Table, dates: &Dates) -> Result<i64, Fault> {
    let written = given(row.text(START));
    let wrong = || {
        let wrong = dates.wrong(facts.called(COLUMNS[START]), written);
        row.fault(START, format!("{wrong}; {}", Dates::HELP))
    };
    written.and_then(|text| dates.read(text)).ok_or_else(wrong)
}

/// An identifier, without what pandas writes behind integers of a column that has empty cells. Negative numbers are none: -1 is
/// the encounter of facts that belong to none.
pub fn identifier(text: &str) -> Option<&str> {
    let text = given(text)?;
    let number = |text: &str| text.parse::<i64>().ok();
    let text = text.strip_suffix(".0").filter(|text| number(text).is_some()).unwrap_or(text);
    Some(text).filter(|text| number(text).is_none_or(|number| number >= 0))
}

/// Whether a code of ICD-9 is that of a procedure, such as 47.0, to which some warehouses give the beginning of diagnoses: these have
/// three digits before the dot.
fn is_procedure(code: &str) -> bool {
    let category = code.trim().split_once('.').map(|(category, _)| category.as_bytes());
    category.is_some_and(|category| category.len() == 2 && category.iter().all(u8::is_ascii_digit))
}

impl Counts {
    fn add(&mut self, other: Self) {
        let Self { others, procedures, no_patient, no_encounter } = other;
        (self.others, self.procedures) = (self.others + others, self.procedures + procedures);
        (self.no_patient, self.no_encounter) = (self.no_patient + no_patient, self.no_encounter + no_encounter);
    }
}

impl Found {
    fn nothing() -> Self {
        let (all, concepts, counts) = (Vec::new(), HashMap::new(), Counts::default());
        Self { patients: Ids::texts(), encounters: Ids::texts(), all, concepts, counts }
    }

    fn add(&mut self, block: Block) {
        self.counts.add(block.counts);
        for Diagnosis { encounter, patient, concept, start } in block.diagnoses {
            let (number, patient) = (self.encounters.add(&encounter), self.patients.add(&patient));
            let next = self.concepts.len() as u32;
            let concept = *self.concepts.entry(concept).or_insert(next);
            // Numbers are given from 1 on.
            if self.all.len() < number as usize {
                self.all.push(Encounter { number, patient, start, concepts: Vec::new(), is_shared: false });
            }
            let known = &mut self.all[number as usize - 1];
            known.start = known.start.min(start);
            known.is_shared |= known.patient != patient;
            known.concepts.push(concept);
        }
    }

    /// The encounters of one patient each, with the identifiers that they have in the source.
    fn settled(self, rows: u64) -> Encounters {
        let Self { patients, encounters, mut all, concepts: places, counts } = self;
        let shared = all.iter().filter(|encounter| encounter.is_shared);
        let shared = shared.map(|encounter| encounter.concepts.len() as u64).sum();
        let ((patient_ids, patients), (encounter_ids, encounters)) = (patients.settled(), encounters.settled());
        all.retain(|encounter| !encounter.is_shared);
        for encounter in &mut all {
            encounter.patient = patients[encounter.patient as usize - 1];
            encounter.number = encounters[encounter.number as usize - 1];
        }
        let mut concepts = vec![String::new(); places.len()];
        places.into_iter().for_each(|(concept, place)| concepts[place as usize] = concept);
        let step = Step::new("rows of observation_fact", rows);
        let step = step.by_rule(OTHER_CONCEPT, counts.others).by_rule(PROCEDURE, counts.procedures);
        let step = step.lost(NO_PATIENT, counts.no_patient).lost(NO_ENCOUNTER, counts.no_encounter);
        Encounters { patient_ids, encounter_ids, all, concepts, step: step.lost(SHARED, shared) }
    }
}

impl Encounters {
    /// Per encounter its codes, each once.
    pub fn codes(&self, parser: &I2b2, coding: &mut Coding) -> HashMap<i64, Vec<u32>> {
        let mut of_encounter = HashMap::with_capacity(self.all.len());
        for Encounter { number, concepts, .. } in &self.all {
            let mut codes = Vec::new();
            for &concept in concepts {
                let Some((edition, code)) = parser.diagnosis(&self.concepts[concept as usize]) else { continue };
                for code in coding.codes(edition, code) {
                    if !codes.contains(code) {
                        codes.push(*code);
                    }
                }
            }
            of_encounter.insert(*number, codes);
        }
        of_encounter
    }

    /// Nobody yet, with the identifiers of patients and encounters.
    pub fn nobody(&mut self) -> Stays {
        Stays::new(std::mem::take(&mut self.patient_ids), std::mem::take(&mut self.encounter_ids))
    }
}
