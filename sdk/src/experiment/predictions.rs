//! Predictions of a model, example by example.

use super::about::{About, about_of};
use super::stage::OpenStage;
use crate::component::{AskedVisit, HeadSpec, Objective};
use crate::data::Dataset;
use crate::data::columns::{Values, write_parquet};
use crate::model::Model;
use crate::progress::Silent;
use crate::train::predict;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// The first columns of a file of predictions.
const ABOUT: [&str; 5] = ["patient", "admission", "time", "visits", "targets"];

/// Writes the logits of all heads: a row an example with `patient`, `admission` (the one that is asked about), `time` (when
/// that began, in seconds since 1970, where the source has it), `visits` (how many are seen) and `targets` (the labels that
/// are true), where targets are numbers a column of them, then a column a label, named as the objective says, else by head
/// and number.
pub(super) fn write_predictions(model: &Model, stage: &OpenStage<'_>, out: &Path) -> Result<()> {
    let (data, objective, test) = (stage.data, stage.objective.as_ref(), &stage.parts.test);
    let about: Option<Vec<About>> = about_of(test, data).into_iter().collect();
    let Some(about) = about else {
        return Err(Error::user("the examples of this stage are no patients with visits: they have no predictions")
            .help("give a checkpoint of a stage that does, or none"));
    };
    let specs = model.head_specs();
    let names = label_names(specs, objective, data);
    let truth = (0..about.len()).map(|i| {
        let each = test.targets.iter().zip(&names);
        each.flat_map(|(targets, names)| targets.row(i).iter().map(|&c| names[c as usize].as_str())).collect::<Vec<_>>()
    });
    let first = columns_about(&about, objective.asked_visit(), data).into_iter().chain([Values::text_lists(truth)]);
    let mut columns: Vec<(String, Values)> = ABOUT.iter().map(|&name| name.to_owned()).zip(first).collect();
    for (head, spec) in specs.iter().enumerate() {
        let numbers = test.numbers_of(head);
        let columns_of = if numbers.is_empty() { 0 } else { spec.outputs };
        let name = |column| format!("{}:{column}:target", spec.name);
        columns.extend((0..columns_of).map(|column| (name(column), column_of(numbers, column, spec.outputs))));
    }
    let logits = predict(model, &data.graph, test, &mut Silent);
    for (names, logits) in names.into_iter().zip(&logits) {
        let width = names.len();
        let named = names.into_iter().enumerate();
        columns.extend(named.map(|(label, name)| (name, column_of(logits, label, width))));
    }
    write_parquet(out, columns)
}

/// Patient, admission, time and visits of each example.
fn columns_about(about: &[About], visit: AskedVisit, data: &Dataset) -> [Values; 4] {
    let cohort = &data.cohort;
    let asked = |a: &About| cohort.admissions.values().get(a.asked(visit, data)?).copied();
    let time = |a: &About| cohort.admission_facts.get(a.asked(visit, data)?)?.start;
    let patients: Vec<usize> = about.iter().map(|a| a.index).collect();
    [
        cohort.patient_column(&patients),
        about.iter().map(asked).collect::<Vec<Option<i64>>>().into(),
        about.iter().map(time).collect::<Vec<Option<i64>>>().into(),
        about.iter().map(|a| a.visits as u32).collect::<Vec<u32>>().into(),
    ]
}

/// A column of numbers that lie row by row.
fn column_of(numbers: &[f32], column: usize, width: usize) -> Values {
    numbers.iter().skip(column).step_by(width).copied().collect::<Vec<f32>>().into()
}

/// The names of the columns of all heads, each once: what is taken already stands behind the name of its head.
fn label_names(specs: &[HeadSpec], objective: &dyn Objective, data: &Dataset) -> Vec<Vec<String>> {
    let mut taken: BTreeSet<String> = ABOUT.iter().map(|&name| name.to_owned()).collect();
    let of_head = |(head, spec): (usize, &HeadSpec)| {
        let numbered = || (0..spec.outputs).map(|label| format!("{}:{label}", spec.name)).collect();
        let labels = objective.labels(data, head).filter(|labels| labels.len() == spec.outputs);
        let once = |name: String| match taken.insert(name.clone()) {
            true => name,
            false => format!("{}:{name}", spec.name),
        };
        labels.unwrap_or_else(numbered).into_iter().map(once).collect::<Vec<String>>()
    };
    specs.iter().enumerate().map(of_head).collect()
}
