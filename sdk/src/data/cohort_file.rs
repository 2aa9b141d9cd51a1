//! A cohort as files, for the cache.

use super::{AdmissionFacts, Cohort, Events, LabItem, PatientFacts, Ragged, Sex, Step};
use crate::storage::{Numbers, Tensor};
use crate::{Error, Result, storage};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ARRAYS: &str = "cohort.safetensors";
const NAMES: &str = "cohort.json";

/// The parts of a cohort that are text.
#[derive(Serialize, Deserialize)]
struct Names {
    codes: Vec<String>,
    lab_categories: Vec<String>,
    patients: Vec<String>,
    admissions: Vec<String>,
    code_titles: Vec<String>,
    lab_names: Vec<String>,
    /// The ethnicities that occur; patients have their numbers.
    ethnicities: Vec<String>,
    /// Kind and names of further codes.
    events: Vec<(String, Vec<String>)>,
    /// Titles of the names of each kind.
    event_titles: Vec<Vec<String>>,
    flow: Vec<Step>,
    notes: Vec<(String, u64)>,
}

/// Stands for what is not known.
const UNKNOWN: i64 = i64::MIN;

/// Writes `cohort.safetensors` (64-bit integers) and `cohort.json` into a folder.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn save(cohort: &Cohort, folder: &Path) -> Result<()> {
    let ethnicities: BTreeSet<&str> = cohort.patient_facts.iter().filter_map(|f| f.ethnicity.as_deref()).collect();
    let arrays = arrays_of(cohort, &ethnicities);
    let tensors: Vec<Tensor<'_>> =
        arrays.iter().map(|(name, values)| Tensor::list(name, Numbers::I64(values))).collect();
    storage::tensors(&folder.join(ARRAYS), &tensors, &[])?;
    let names = names_of(cohort, &ethnicities);
    let text = serde_json::to_vec(&names).map_err(|e| Error::program(format!("cannot write {NAMES}: {e}")))?;
    storage::write(&folder.join(NAMES), &text)
}

/// The parts of a cohort that are numbers, by name.
fn arrays_of(cohort: &Cohort, ethnicities: &BTreeSet<&str>) -> Vec<(String, Vec<i64>)> {
    let wide = |values: &[u32]| values.iter().map(|&v| i64::from(v)).collect::<Vec<_>>();
    let offsets = |values: &[usize]| values.iter().map(|&v| v as i64).collect::<Vec<_>>();
    let ethnicity = |facts: &PatientFacts| match &facts.ethnicity {
        Some(text) => ethnicities.iter().take_while(|e| **e < text.as_str()).count() as i64,
        None => UNKNOWN,
    };
    let of_patients = |fact: &dyn Fn(&PatientFacts) -> i64| cohort.patient_facts.iter().map(fact).collect();
    let of_admissions = |fact: &dyn Fn(&AdmissionFacts) -> i64| cohort.admission_facts.iter().map(fact).collect();
    let sex = |facts: &PatientFacts| facts.sex.map_or(UNKNOWN, |sex| i64::from(sex == Sex::Male));
    let mut arrays = vec![
        ("patients.sex".to_owned(), of_patients(&sex)),
        ("patients.ethnicity".to_owned(), of_patients(&ethnicity)),
        ("admissions.start".to_owned(), of_admissions(&|f| f.start.unwrap_or(UNKNOWN))),
        ("admissions.end".to_owned(), of_admissions(&|f| f.end.unwrap_or(UNKNOWN))),
        ("admissions.age".to_owned(), of_admissions(&|f| f.age.map_or(UNKNOWN, |age| i64::from(age.to_bits())))),
        ("admissions.died".to_owned(), of_admissions(&|f| f.died.map_or(UNKNOWN, i64::from))),
    ];
    for (i, events) in cohort.events.iter().enumerate() {
        arrays.push((format!("events{i}.offsets"), offsets(events.rows.offsets())));
        arrays.push((format!("events{i}"), wide(events.rows.values())));
    }
    let plain = [
        ("patients", cohort.patients.clone()),
        ("patients.person", wide(&cohort.persons)),
        ("patients.cut_from", wide(&cohort.cut_from)),
        ("admissions.offsets", offsets(cohort.admissions.offsets())),
        ("admissions", cohort.admissions.values().to_vec()),
        ("codes.offsets", offsets(cohort.codes.offsets())),
        ("codes", wide(cohort.codes.values())),
        ("labs.offsets", offsets(cohort.labs.offsets())),
        ("labs", wide(cohort.labs.values())),
        ("lab_items", cohort.lab_items.iter().map(|item| item.id).collect()),
        ("lab_items.category", cohort.lab_items.iter().map(|item| item.category.map_or(-1, i64::from)).collect()),
    ];
    arrays.extend(plain.map(|(name, values)| (name.to_owned(), values)));
    arrays
}

fn names_of(cohort: &Cohort, ethnicities: &BTreeSet<&str>) -> Names {
    Names {
        codes: cohort.code_names.clone(),
        lab_categories: cohort.lab_categories.clone(),
        patients: cohort.patient_names.clone(),
        admissions: cohort.admission_names.clone(),
        code_titles: cohort.code_titles.clone(),
        lab_names: cohort.lab_names.clone(),
        ethnicities: ethnicities.iter().map(|&text| text.to_owned()).collect(),
        events: cohort.events.iter().map(|e| (e.kind.clone(), e.names.clone())).collect(),
        event_titles: cohort.events.iter().map(|e| e.titles.clone()).collect(),
        flow: cohort.flow.clone(),
        notes: cohort.notes.clone(),
    }
}

/// The arrays of a file; each is `None` when it is not there or holds what it cannot.
struct Arrays<'a>(SafeTensors<'a>);

impl Arrays<'_> {
    fn integers(&self, name: &str) -> Option<Vec<i64>> {
        let view = self.0.tensor(name).ok().filter(|view| view.dtype() == Dtype::I64)?;
        let (numbers, _) = view.data().as_chunks::<8>();
        Some(numbers.iter().map(|b| i64::from_le_bytes(*b)).collect())
    }

    fn small(&self, name: &str) -> Option<Vec<u32>> {
        self.integers(name)?.into_iter().map(|v| u32::try_from(v).ok()).collect()
    }

    fn offsets(&self, name: &str) -> Option<Vec<usize>> {
        self.integers(&format!("{name}.offsets"))?.into_iter().map(|v| usize::try_from(v).ok()).collect()
    }

    fn rows(&self, name: &str) -> Option<Ragged<u32>> {
        Ragged::from_parts(self.offsets(name)?, self.small(name)?)
    }

    /// Integers of which some are not known.
    fn known(&self, name: &str) -> Option<Vec<Option<i64>>> {
        Some(self.integers(name)?.into_iter().map(|v| (v != UNKNOWN).then_some(v)).collect())
    }

    fn patient_facts(&self, ethnicities: &[String]) -> Option<Vec<PatientFacts>> {
        let facts = self.known("patients.sex")?.into_iter().zip(self.known("patients.ethnicity")?);
        let patient = |(sex, ethnicity): (Option<i64>, Option<i64>)| PatientFacts {
            sex: sex.map(|sex| if sex == 1 { Sex::Male } else { Sex::Female }),
            ethnicity: ethnicity.and_then(|at| ethnicities.get(usize::try_from(at).ok()?)).cloned(),
        };
        Some(facts.map(patient).collect())
    }

    fn admission_facts(&self) -> Option<Vec<AdmissionFacts>> {
        let times = self.known("admissions.start")?.into_iter().zip(self.known("admissions.end")?);
        let others = self.known("admissions.age")?.into_iter().zip(self.known("admissions.died")?);
        let age = |bits: i64| u32::try_from(bits).ok().map(f32::from_bits);
        let facts = times.zip(others).map(|((start, end), (bits, died))| AdmissionFacts {
            start,
            end,
            age: bits.and_then(age),
            died: died.map(|d| d == 1),
        });
        Some(facts.collect())
    }
}

/// Reads what [`save`] wrote; `None` when it does not make a cohort.
pub(crate) fn load(folder: &Path) -> Option<Cohort> {
    let bytes = fs::read(folder.join(ARRAYS)).ok()?;
    let arrays = Arrays(SafeTensors::deserialize(&bytes).ok()?);
    let names: Names = serde_json::from_slice(&fs::read(folder.join(NAMES)).ok()?).ok()?;
    let mut events = Vec::new();
    for (i, ((kind, of_kind), titles)) in names.events.into_iter().zip(names.event_titles).enumerate() {
        events.push(Events { kind, names: of_kind, titles, rows: arrays.rows(&format!("events{i}"))? });
    }
    let items = arrays.integers("lab_items")?.into_iter().zip(arrays.integers("lab_items.category")?);
    let cohort = Cohort {
        patients: arrays.integers("patients")?,
        admissions: Ragged::from_parts(arrays.offsets("admissions")?, arrays.integers("admissions")?)?,
        codes: arrays.rows("codes")?,
        code_names: names.codes,
        labs: arrays.rows("labs")?,
        lab_items: items.map(|(id, category)| LabItem { id, category: u8::try_from(category).ok() }).collect(),
        lab_categories: names.lab_categories,
        cut_from: arrays.small("patients.cut_from")?,
        persons: arrays.small("patients.person")?,
        patient_names: names.patients,
        admission_names: names.admissions,
        code_titles: names.code_titles,
        lab_names: names.lab_names,
        patient_facts: arrays.patient_facts(&names.ethnicities)?,
        admission_facts: arrays.admission_facts()?,
        events,
        nodes: Vec::new(),
        flow: names.flow,
        notes: names.notes,
    };
    cohort.validate().ok().map(|()| cohort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cohort_is_read_as_it_was_written() {
        let rows = |rows: Vec<Vec<u32>>| rows.into_iter().collect::<Ragged<u32>>();
        let cohort = Cohort {
            patients: vec![7, -3],
            admissions: [vec![1i64, i64::MAX], vec![5]].into_iter().collect(),
            codes: rows(vec![vec![0, 1, 0], vec![1], vec![2]]),
            code_names: vec!["250.00".into(), "é".into(), String::new()],
            labs: rows(vec![vec![], vec![1], vec![0, 1]]),
            lab_items: vec![LabItem { id: 50_001, category: None }, LabItem { id: 50_002, category: Some(1) }],
            lab_categories: vec!["blood".into(), "chemistry".into()],
            cut_from: vec![1],
            persons: vec![0, 0],
            patient_names: vec!["A-1".into(), "007".into()],
            admission_names: ["x", "y", "z"].map(String::from).to_vec(),
            code_titles: ["Diabetes", "", "é"].map(String::from).to_vec(),
            lab_names: vec!["Glucose".into(), String::new()],
            patient_facts: vec![
                PatientFacts { sex: Some(Sex::Male), ethnicity: Some("WHITE".into()) },
                PatientFacts { sex: None, ethnicity: Some("ASIAN".into()) },
            ],
            admission_facts: vec![
                AdmissionFacts { start: Some(-5), end: Some(9), age: Some(64.5), died: Some(true) },
                AdmissionFacts { start: None, end: None, age: Some(0.0), died: Some(false) },
                AdmissionFacts::default(),
            ],
            events: vec![Events {
                kind: "drugs".into(),
                names: vec!["aspirin".into(), "insulin".into()],
                titles: vec!["against pain".into(), String::new()],
                rows: rows(vec![vec![1, 0], vec![], vec![0]]),
            }],
            nodes: Vec::new(),
            flow: vec![Step::new("patients", 9).lost("without codes", 7).by_rule("young", 0)],
            notes: vec![("left out".into(), 3)],
        };
        let folder = tempfile::tempdir().unwrap();
        save(&cohort, folder.path()).unwrap();
        assert_eq!(load(folder.path()), Some(cohort));
        fs::write(folder.path().join(ARRAYS), b"x").unwrap();
        assert_eq!(load(folder.path()), None);
        assert_eq!(load(&folder.path().join("none")), None);
    }
}
