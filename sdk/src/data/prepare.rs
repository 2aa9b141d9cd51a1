//! From a cohort to what stages learn from, and to files.

use super::columns::{Values, write_parquet};
use super::{
    Cohort, Dataset, Events, PatientFacts, Sex, SplitOptions, Splits, Vocabulary, build_vocabulary, split,
    vocabulary_of,
};
use crate::graph::cooccurrence;
use crate::storage::{self, Access, Numbers, Tensor};
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

const SUMMARY: &str = "summary.json";
const FILES: [&str; 6] =
    [SUMMARY, "patients.parquet", "splits.json", "vocabulary.json", "graph.parquet", "tensors.safetensors"];

/// Vocabulary, split and disease graph of a cohort.
///
/// # Errors
/// When the cohort is empty or too small for the split; manifest keys are relative to the table of the split.
pub fn prepare(cohort: Cohort, options: &SplitOptions) -> Result<Dataset> {
    prepare_for(cohort, options, false)
}

/// The same for stages that ask about patients with one visit, too, where `single` says so: with a random split those of
/// [`Splits::single_splits`] that are in valid or test are not learnt from.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_for(cohort: Cohort, options: &SplitOptions, single: bool) -> Result<Dataset> {
    cohort.validate()?;
    if cohort.patients.is_empty() {
        cohort.not_empty().map_err(|e| e.help(notes(&cohort)))?;
    }
    let mut cohort = cohort;
    let mut vocabulary = build_vocabulary(&cohort);
    let splits = sides(options, single, &cohort, &vocabulary)?;
    if options.is_random() {
        let everyone = vocabulary;
        vocabulary = vocabulary_of(&cohort, &learnt(&cohort, &splits));
        let left_out = unknown(&cohort, &everyone, &vocabulary);
        cohort.notes.extend(left_out.into_iter().chain(held(&splits)));
    }
    let admissions = splits.pretrain.iter().flat_map(|&p| cohort.admissions.range(p));
    let graph = cooccurrence(vocabulary.nodes(), &vocabulary.admission_codes, admissions)?;
    Ok(Dataset { cohort, vocabulary, splits, graph, knowledge: None, labs_by_visit: Some(OnceLock::new()) })
}

/// The split of stages that ask about patients with one visit, or do not.
fn sides(options: &SplitOptions, single: bool, cohort: &Cohort, vocabulary: &Vocabulary) -> Result<Splits> {
    let mut splits = split(options, cohort, vocabulary)?;
    if single && options.is_random() {
        let [_, valid, test] = splits.single_splits(cohort);
        let held: HashSet<usize> = valid.into_iter().chain(test).collect();
        splits.pretrain.retain(|p| !held.contains(p));
    }
    Ok(splits)
}

/// Whether each patient is learnt from; the vocabulary is theirs. The published one is of everybody.
fn learnt(cohort: &Cohort, splits: &Splits) -> Vec<bool> {
    let mut learns = vec![false; cohort.patients.len()];
    [&splits.pretrain, &splits.train].into_iter().flatten().for_each(|&p| learns[p] = true);
    learns
}

/// Whether each patient is learnt from after a random split, which looks at no codes and items. All are where it cannot be
/// made: [`prepare_for`] says why.
pub(crate) fn learns(options: &SplitOptions, single: bool, cohort: &Cohort) -> Vec<bool> {
    match sides(options, single, cohort, &Vocabulary::default()) {
        Ok(splits) => learnt(cohort, &splits),
        Err(_) => vec![true; cohort.patients.len()],
    }
}

/// Patients with one visit who are on no side to learn from.
fn held(splits: &Splits) -> Option<(String, u64)> {
    let number = (splits.single.len() + splits.train.len()).saturating_sub(splits.pretrain.len());
    let what = "single-visit patients not learnt from, since they or the same persons are in valid or test";
    (number > 0).then(|| (what.to_owned(), number as u64))
}

/// What only valid and test patients have: nothing can be learnt about it.
pub(crate) fn unknown(cohort: &Cohort, everyone: &Vocabulary, learnt: &Vocabulary) -> Vec<(String, u64)> {
    let records = |v: &Vocabulary| v.admission_codes.values().len();
    let counts = [
        ("codes that only valid or test patients have, left out", everyone.codes.len() - learnt.codes.len()),
        ("records of these codes", records(everyone) - records(learnt)),
        ("items that are abnormal in valid or test patients alone, left out", everyone.labs.len() - learnt.labs.len()),
    ];
    let counts = counts.into_iter().map(|(what, n)| (what.to_owned(), n));
    let kinds = cohort.events.iter().zip(&learnt.events).flat_map(|(events, known)| unknown_events(events, known));
    counts.chain(kinds).filter(|(_, n)| *n > 0).map(|(what, n)| (what, n as u64)).collect()
}

/// Of codes of a further kind those that are not `known`, and their records.
fn unknown_events(events: &Events, known: &[u32]) -> [(String, usize); 2] {
    let mut is_known = vec![false; events.names.len()];
    known.iter().for_each(|&name| is_known[name as usize] = true);
    let records = events.rows.values().iter().filter(|&&name| !is_known[name as usize]).count();
    let kind = &events.kind;
    [
        (
            format!("{kind} that only valid or test patients have, which no task asks for"),
            events.names.len() - known.len(),
        ),
        (format!("records of these {kind}"), records),
    ]
}

/// Summaries count the labels of at most so many patients as rare.
const RARE: u64 = 3;

fn notes(cohort: &Cohort) -> String {
    let notes: Vec<String> = cohort.notes.iter().map(|(what, n)| format!("{what}: {n}")).collect();
    if notes.is_empty() { "the parser dropped nothing".into() } else { notes.join("; ") }
}

impl Dataset {
    /// Sizes, under the names that `summary.json` uses.
    pub fn counts(&self) -> Map<String, Value> {
        let (cohort, vocabulary, splits) = (&self.cohort, &self.vocabulary, &self.splits);
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let mut labs = Map::new();
        for (name, items) in cohort.lab_categories.iter().zip(&vocabulary.category_labs) {
            labs.insert(name.clone(), items.len().into());
        }
        labs.insert("all".into(), vocabulary.labs.len().into());
        let counts = json!({
            "patients": cohort.patients.len(),
            "admissions": cohort.admissions.values().len(),
            "max_admissions": longest(&mut cohort.admissions.rows().map(<[i64]>::len)),
            "max_codes": longest(&mut cohort.codes.rows().map(<[u32]>::len)),
            "max_labs": longest(&mut cohort.labs.rows().map(<[u32]>::len)),
            "codes": vocabulary.target_codes,
            "codes_pretrain": vocabulary.codes.len() - 1,
            "labs": labs,
            "single": splits.single.len(),
            "pretrain": splits.pretrain.len(),
            "train": splits.train.len(),
            "valid": splits.valid.len(),
            "test": splits.test.len(),
            "edges": self.graph.edges(),
            "rare_codes": self.rare_labels(RARE).len(),
        });
        match counts {
            Value::Object(counts) => counts,
            _ => Map::new(),
        }
    }

    /// The sizes, and under `flow` what was read and left out on the way: `summary.json`.
    pub fn summary(&self) -> Value {
        let mut summary = self.counts();
        summary.insert("flow".into(), json!(self.cohort.flow));
        Value::Object(summary)
    }

    /// Numbers of codes and laboratory items, and what they are called: `vocabulary.json`.
    pub fn names(&self) -> Value {
        vocabulary(self)
    }
}

impl Cohort {
    /// The identifiers of some patients as a column: integers, or texts where the source has texts.
    pub fn patient_column(&self, patients: &[usize]) -> Values {
        match self.patient_names.is_empty() {
            true => patients.iter().map(|&p| self.patients[p]).collect::<Vec<_>>().into(),
            false => patients.iter().map(|&p| self.patient_names[p].as_str()).collect::<Vec<_>>().into(),
        }
    }

    /// The identifiers of some admissions, which are given as rows, as a column: integers, or texts where the source has texts;
    /// null where there is no admission.
    pub fn admission_column(&self, rows: &[Option<usize>]) -> Values {
        let identifier = |row: &Option<usize>| self.admissions.values().get((*row)?).copied();
        let name = |row: &Option<usize>| self.admission_names.get((*row)?).map(String::as_str);
        match self.admission_names.is_empty() {
            true => rows.iter().map(identifier).collect::<Vec<_>>().into(),
            false => rows.iter().map(name).collect::<Vec<_>>().into(),
        }
    }
}

/// Writes everything into the folder `out`, all of it or nothing: `summary.json`, `patients.parquet`, `splits.json`,
/// `vocabulary.json`, `graph.parquet` and `tensors.safetensors` (codes and labs as offsets and members).
///
/// # Errors
/// When `out` holds anything but the result of an earlier call, which is replaced.
pub fn write(dataset: &Dataset, out: &Path) -> Result<()> {
    storage::checked_folder(out, Access::Private, check_out, |new| {
        write_json(&new.join(SUMMARY), &dataset.summary())?;
        write_json(&new.join("splits.json"), &splits(dataset))?;
        write_json(&new.join("vocabulary.json"), &vocabulary(dataset))?;
        write_parquet(&new.join("patients.parquet"), patients(dataset))?;
        write_parquet(&new.join("graph.parquet"), graph(dataset))?;
        write_tensors(&new.join("tensors.safetensors"), dataset)
    })
}

/// Counts that every [summary](Dataset::summary) has.
const COUNTS: [&str; 6] = ["patients", "admissions", "codes", "train", "valid", "test"];

/// Whether a folder has every file that [`write()`] writes, and its summary is one.
fn is_result(folder: &Path) -> bool {
    let is_file = |name: &&str| fs::symlink_metadata(folder.join(name)).is_ok_and(|meta| meta.is_file());
    let summary = || -> Option<Value> { serde_json::from_slice(&fs::read(folder.join(SUMMARY)).ok()?).ok() };
    FILES.iter().all(is_file) && summary().is_some_and(|summary| COUNTS.iter().all(|count| summary[*count].is_u64()))
}

/// Refuses a folder that [`write()`] refuses, for those who ask before what is to be written has been read: it is absent, empty, or holds
/// what an earlier call wrote, all of it and nothing else.
///
/// # Errors
/// Name it.
pub fn check_out(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    if !out.is_dir() {
        return Err(Error::user("the output is a file, not a folder").at_file(out).help("give another folder"));
    }
    let entries = fs::read_dir(out).map_err(|e| Error::io("read the folder", out, e))?;
    let names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let ours = names.iter().all(|name| FILES.contains(&name.as_str())) && is_result(out);
    match names.is_empty() || ours {
        true => Ok(()),
        false => {
            let error = Error::user("the output folder holds other files; nothing was written").at_file(out);
            Err(error.help("give a new folder, or one that `dualk prepare` wrote"))
        }
    }
}

fn splits(dataset: &Dataset) -> Value {
    let cohort = &dataset.cohort;
    let id = |&p: &usize| match cohort.patient_names.get(p) {
        Some(name) => Value::from(name.as_str()),
        None => Value::from(cohort.patients[p]),
    };
    let ids = |patients: &[usize]| -> Vec<Value> { patients.iter().map(id).collect() };
    let splits = &dataset.splits;
    json!({
        "single": ids(&splits.single),
        "pretrain": ids(&splits.pretrain),
        "train": ids(&splits.train),
        "valid": ids(&splits.valid),
        "test": ids(&splits.test),
    })
}

fn vocabulary(dataset: &Dataset) -> Value {
    let vocabulary = &dataset.vocabulary;
    let code_map = |n: usize| -> Map<String, Value> {
        vocabulary.codes[1..=n].iter().zip(1..).map(|(code, id)| (code.clone(), Value::from(id))).collect()
    };
    let items = |items: &[u32]| -> Map<String, Value> {
        let id = |&item: &u32| dataset.cohort.lab_items[item as usize].id.to_string();
        items.iter().zip(1..).map(|(item, number)| (id(item), Value::from(number))).collect()
    };
    let categories = dataset.cohort.lab_categories.iter().zip(&vocabulary.category_labs);
    let mut labs: Map<String, Value> = categories.map(|(name, labs)| (name.clone(), items(labs).into())).collect();
    labs.insert("all".into(), items(&vocabulary.labs).into());
    let all = vocabulary.codes.len() - 1;
    let cohort = &dataset.cohort;
    let titles: Map<String, Value> = cohort.titles().into_iter().map(|(code, title)| (code, title.into())).collect();
    let items = cohort.lab_items.iter().zip(&cohort.lab_names).filter(|(_, name)| !name.is_empty());
    let items: Map<String, Value> = items.map(|(item, name)| (item.id.to_string(), name.as_str().into())).collect();
    let events: Map<String, Value> =
        cohort.events.iter().map(|events| (events.kind.clone(), events.names.clone().into())).collect();
    json!({
        "code_map": code_map(vocabulary.target_codes),
        "code_map_pretrain": code_map(all),
        "labs": labs,
        "titles": titles,
        "lab_names": items,
        "events": events,
    })
}

/// One row an admission.
fn patients(dataset: &Dataset) -> Vec<(String, Values)> {
    let cohort = &dataset.cohort;
    let (mut patient, mut order) = (Vec::new(), Vec::new());
    for (p, row) in cohort.admissions.rows().enumerate() {
        patient.extend(row.iter().map(|_| p));
        order.extend(0..row.len() as u32);
    }
    let codes = cohort.codes.rows().map(|row| row.iter().map(|&c| cohort.code_names[c as usize].as_str()));
    let labs = cohort.labs.rows().map(|row| row.iter().map(|&l| cohort.lab_items[l as usize].id));
    let rows: Vec<Option<usize>> = (0..cohort.admissions.values().len()).map(Some).collect();
    let mut columns = named([
        ("patient", cohort.patient_column(&patient)),
        ("admission", cohort.admission_column(&rows)),
        ("order", order.into()),
        ("codes", Values::text_lists(codes)),
        ("abnormal_labs", Values::integer_lists(labs)),
    ]);
    columns.extend(known_columns(cohort, &patient));
    for events in &cohort.events {
        let rows = events.rows.rows().map(|row| row.iter().map(|&e| events.names[e as usize].as_str()));
        columns.push((events.kind.clone(), Values::text_lists(rows)));
    }
    columns
}

/// What is known of admissions and of the patients of each, as far as the cohort has it.
fn known_columns(cohort: &Cohort, patient: &[usize]) -> Vec<(String, Values)> {
    let mut columns = Vec::new();
    if !cohort.admission_facts.is_empty() {
        let facts = &cohort.admission_facts;
        let micros = |time: Option<i64>| time.and_then(|seconds| seconds.checked_mul(1_000_000));
        columns.extend(named([
            ("start", Values::times(facts.iter().map(|f| micros(f.start)).collect())),
            ("end", Values::times(facts.iter().map(|f| micros(f.end)).collect())),
            ("age", facts.iter().map(|f| f.age).collect::<Vec<_>>().into()),
            ("died", facts.iter().map(|f| f.died).collect::<Vec<_>>().into()),
        ]));
    }
    if !cohort.patient_facts.is_empty() {
        let of = |fact: fn(&PatientFacts) -> Option<&str>| -> Vec<Option<&str>> {
            patient.iter().map(|&p| fact(&cohort.patient_facts[p])).collect()
        };
        columns.extend(named([
            ("sex", of(|f| f.sex.map(Sex::name)).into()),
            ("ethnicity", of(|f| f.ethnicity.as_deref()).into()),
        ]));
    }
    if !cohort.persons.is_empty() {
        let persons: Vec<u32> = patient.iter().map(|&p| cohort.persons[p]).collect();
        columns.push(("person".to_owned(), persons.into()));
    }
    columns
}

fn graph(dataset: &Dataset) -> Vec<(String, Values)> {
    let mut edges: Vec<(u32, u32, f32)> = dataset.graph.iter().collect();
    edges.sort_unstable_by_key(|e| (e.0, e.1));
    named([
        ("source", edges.iter().map(|e| e.0).collect::<Vec<_>>().into()),
        ("target", edges.iter().map(|e| e.1).collect::<Vec<_>>().into()),
        ("weight", edges.iter().map(|e| e.2).collect::<Vec<_>>().into()),
    ])
}

fn named<const N: usize>(columns: [(&str, Values); N]) -> Vec<(String, Values)> {
    columns.into_iter().map(|(name, values)| (name.to_owned(), values)).collect()
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::program("cannot write JSON").because(e))?;
    text.push('\n');
    storage::write(path, text.as_bytes())
}

/// Ragged arrays over admissions: indices of codes, columns of labs; and the admissions of each patient.
fn write_tensors(path: &Path, dataset: &Dataset) -> Result<()> {
    let labs: super::Ragged<u32> = (0..dataset.cohort.labs.len()).map(|row| dataset.visit_labs(row)).collect();
    let codes = &dataset.vocabulary.admission_codes;
    let wide = |values: &[u32]| values.iter().map(|&v| v as i64).collect();
    let offsets = |values: &[usize]| values.iter().map(|&v| v as i64).collect();
    let arrays: [(&str, Vec<i64>); 5] = [
        ("patients.offsets", offsets(dataset.cohort.admissions.offsets())),
        ("codes.offsets", offsets(codes.offsets())),
        ("codes.ids", wide(codes.values())),
        ("labs.offsets", offsets(labs.offsets())),
        ("labs.columns", wide(labs.values())),
    ];
    let tensors = arrays.each_ref().map(|(name, values)| Tensor::list(*name, Numbers::I64(values)));
    storage::tensors(path, &tensors, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_earlier_result_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        assert!(check_out(&out).is_ok());
        fs::create_dir(&out).unwrap();
        assert!(check_out(&out).is_ok());
        let counts: Map<String, Value> = COUNTS.iter().map(|count| ((*count).to_owned(), 1.into())).collect();
        let ours = Value::Object(counts).to_string();
        let said = || check_out(&out).unwrap_err().to_string();
        fs::write(out.join(SUMMARY), &ours).unwrap();
        assert!(said().contains("holds other files"), "a summary alone is somebody else's");
        FILES.iter().skip(1).for_each(|name| fs::write(out.join(name), "x").unwrap());
        assert!(check_out(&out).is_ok());
        for summary in ["{}", "[1]", "no JSON", "{\"patients\": \"many\"}"] {
            fs::write(out.join(SUMMARY), summary).unwrap();
            assert!(said().contains("nothing was written"), "{summary}");
        }
        fs::write(out.join(SUMMARY), &ours).unwrap();
        fs::write(out.join("notes.md"), "mine").unwrap();
        assert!(said().contains("holds other files"));
        fs::remove_file(out.join("notes.md")).unwrap();
        fs::remove_file(out.join("splits.json")).unwrap();
        fs::create_dir(out.join("splits.json")).unwrap();
        assert!(said().contains("holds other files"), "a folder of that name is no file of ours");
    }
}
