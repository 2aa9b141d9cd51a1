//! Predictions of a model, example by example, and whom they are about.

use crate::component::HeadSpec;
use crate::data::columns::{Values, write_parquet};
use crate::data::{Examples, Prepared};
use crate::model::Model;
use crate::progress::Silent;
use crate::train::predict;
use crate::{Error, Result};
use std::path::Path;

/// Whom an example is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About {
    /// Its place in the cohort.
    pub index: usize,
    /// The last visit that is seen, as a row of the cohort's admissions.
    pub last: usize,
    /// Visits that are seen.
    pub visits: usize,
    /// Visits that the patient has.
    pub of: usize,
}

/// Whom each example is about; `None` for one without visits.
pub(super) fn about_of(examples: &Examples, data: &Prepared) -> Vec<Option<About>> {
    let offsets = data.cohort.admissions.offsets();
    let about = |i: usize| {
        let last = *examples.visits.row(i).last()? as usize;
        let p = offsets.partition_point(|&o| o <= last) - 1;
        Some(About { index: p, last, visits: examples.visits.row(i).len(), of: data.cohort.visits(p) })
    };
    (0..examples.len()).map(about).collect()
}

/// The patient of each example, by index; `None` when examples are no patients with visits.
pub(super) fn patients_of(examples: &Examples, data: &Prepared) -> Option<Vec<usize>> {
    let offsets = data.cohort.admissions.offsets();
    let patient = |i: usize| {
        let first = *examples.visits.row(i).first()? as usize;
        offsets.partition_point(|&o| o <= first).checked_sub(1)
    };
    (0..examples.len()).map(patient).collect()
}

/// Writes the logits of all heads: a row an example with `patient`, `admission` (the one that is predicted), `time` (when
/// that began, in seconds since 1970, where the source has it), `visits` (how many are seen) and `targets` (the labels that
/// are true), where targets are numbers a column of them, then a column a label, named by the code where labels are the
/// codes to predict, else by head and number.
pub(super) fn write_predictions(model: &Model, examples: &Examples, data: &Prepared, out: &Path) -> Result<()> {
    let about: Option<Vec<About>> = about_of(examples, data).into_iter().collect();
    let Some(about) = about else {
        return Err(Error::user("the examples of this stage are no patients with visits: they have no predictions")
            .help("give a checkpoint of a stage that does, or none"));
    };
    let specs = model.head_specs();
    let names: Vec<Vec<String>> = specs.iter().map(|spec| label_names(spec, data)).collect();
    let mut columns = columns_about(&about, data);
    let truth = (0..about.len()).map(|i| {
        let each = examples.targets.iter().zip(&names);
        each.flat_map(|(targets, names)| targets.row(i).iter().map(|&c| names[c as usize].as_str())).collect::<Vec<_>>()
    });
    columns.push(("targets".to_owned(), Values::text_lists(truth)));
    for (head, spec) in specs.iter().enumerate() {
        let numbers = examples.numbers_of(head);
        let columns_of = if numbers.is_empty() { 0 } else { spec.outputs };
        let name = |column| format!("{}:{column}:target", spec.name);
        columns.extend((0..columns_of).map(|column| (name(column), column_of(numbers, column, spec.outputs))));
    }
    let logits = predict(model, &data.graph, examples, &mut Silent);
    for (names, logits) in names.into_iter().zip(&logits) {
        let width = names.len();
        let named = names.into_iter().enumerate();
        columns.extend(named.map(|(label, name)| (name, column_of(logits, label, width))));
    }
    write_parquet(out, columns)
}

/// Patient, admission, time and visits of each example.
fn columns_about(about: &[About], data: &Prepared) -> Vec<(String, Values)> {
    let cohort = &data.cohort;
    // What all visits tell is asked of no visit in particular.
    let row = |a: &About| Some(a.last + 1).filter(|_| a.visits < a.of);
    let target = |a: &About| cohort.admissions.values().get(row(a)?).copied();
    let time = |a: &About| cohort.admission_facts.get(row(a)?)?.start;
    let patients: Vec<usize> = about.iter().map(|a| a.index).collect();
    let columns = [
        ("patient", cohort.patient_column(&patients)),
        ("admission", about.iter().map(target).collect::<Vec<Option<i64>>>().into()),
        ("time", about.iter().map(time).collect::<Vec<Option<i64>>>().into()),
        ("visits", about.iter().map(|a| a.visits as u32).collect::<Vec<u32>>().into()),
    ];
    columns.map(|(name, values)| (name.to_owned(), values)).into()
}

/// A column of numbers that lie row by row.
fn column_of(numbers: &[f32], column: usize, width: usize) -> Values {
    numbers.iter().skip(column).step_by(width).copied().collect::<Vec<f32>>().into()
}

/// The labels of a head, as predictions name them.
fn label_names(spec: &HeadSpec, data: &Prepared) -> Vec<String> {
    match spec.outputs == data.vocabulary.target_codes {
        true => data.vocabulary.codes[1..=spec.outputs].to_vec(),
        false => (0..spec.outputs).map(|label| format!("{}:{label}", spec.name)).collect(),
    }
}
