//! Metrics by test patient, which comparisons pair: `patients-<stage>.json`.
//!
//! The test of a stage writes them; [`patient_table`] is the only reader.

use super::run_dir::RunDir;
use crate::train::{Ranked, group_ids};
use crate::{Error, Result, storage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;

/// Values by patient of a yes/no question that are no measure: what comparisons need for differences of areas.
pub(super) const SCORE: &str = "score";
pub(super) const TRUTH: &str = "truth";
/// The measures of such a question that are the area under a curve.
pub(super) const AREAS: [&str; 4] = ["AUC", "AUROC", "AP", "AUPRC"];

/// How one of [`AREAS`] is computed of a resample: under the ROC or the precision-recall curve.
pub(super) fn area(measure: &str) -> Option<fn(&Ranked, &[u8]) -> f64> {
    match measure {
        "AUC" | "AUROC" => Some(Ranked::area),
        "AP" | "AUPRC" => Some(Ranked::precision),
        _ => None,
    }
}

/// Metrics of the rows of a table, by test patient.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PatientTable {
    /// The patient of each test example, in the order of the split.
    pub patients: Vec<String>,
    /// The person that each is, by id, where several patients are one; else nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<usize>,
    /// For each row of the table and each metric that is a mean over examples, a value an example; `None` where the metric
    /// is undefined for one.
    pub rows: BTreeMap<String, BTreeMap<String, Vec<Option<f64>>>>,
}

impl PatientTable {
    /// Writes the file of a stage to a run.
    pub(super) fn write(&self, run: &RunDir, stage: &str) -> Result<()> {
        let text = serde_json::to_vec(self);
        let text = text.map_err(|e| Error::program(format!("cannot write measures by patient: {e}")))?;
        // A checkpoint at the end of the stage goes by it.
        let path = run.file(&file(stage));
        storage::write(&path, &text)?;
        storage::sync_file(&path)
    }

    /// The person that each example is of, as [`group_ids`] counts them: examples of a person are not independent, whichever
    /// patients they are of.
    pub fn person_ids(&self) -> Vec<usize> {
        if self.persons.is_empty() { group_ids(&self.patients) } else { group_ids(&self.persons) }
    }

    /// Whether there is a value an example in every column.
    fn is_whole(&self) -> bool {
        let examples = self.patients.len();
        let mut columns = self.rows.values().flat_map(BTreeMap::values);
        columns.all(|column| column.len() == examples) && (self.persons.is_empty() || self.persons.len() == examples)
    }

    /// How many patients the examples are of.
    pub fn number(&self) -> usize {
        group_ids(&self.patients).into_iter().max().map_or(0, |last| last + 1)
    }

    /// The values of a row and metric, NaN where undefined.
    pub fn column(&self, row: &str, metric: &str) -> Option<Vec<f64>> {
        let values = self.rows.get(row)?.get(metric)?;
        Some(values.iter().map(|v| v.unwrap_or(f64::NAN)).collect())
    }
}

fn file(stage: &str) -> String {
    format!("patients-{stage}.json")
}

/// Metrics by patient of a tested stage of a run; `None` where none were kept.
///
/// # Errors
/// When the file cannot be read, or lacks values.
pub fn patient_table(run: &RunDir, stage: &str) -> Result<Option<PatientTable>> {
    let file = run.file(&file(stage));
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", file, e)),
    };
    // What serde says may name a patient: only where it is.
    let table: PatientTable = serde_json::from_slice(&text)
        .map_err(|e| Error::user("these are no metrics by patient").at_column(&file, e.line(), e.column()))?;
    match table.is_whole() {
        true => Ok(Some(table)),
        false => Err(Error::user("these metrics by patient have not one value for each of `patients`")
            .at_file(file)
            .help("put back what `dualk run` wrote; without this file the run is compared by its means alone")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_none_is_told_by_its_place_and_names_no_patient() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::at(folder.path());
        assert_eq!(patient_table(&run, "1-lab").unwrap(), None);
        storage::write(&run.file("patients-1-lab.json"), b"{\n \"patients\": [77120001], \"rows\": {} }").unwrap();
        let error = patient_table(&run, "1-lab").unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == 2 && text.contains("patients-1-lab.json:2:"), "{text}");
        assert!(!text.contains("7712"), "{text}");
    }

    /// A comparison took a value that was not there.
    #[test]
    fn a_table_that_lacks_values_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::at(folder.path());
        let read = |persons: &str, values: &str| {
            let rows = format!("{{ \"history\": {{ \"R@10\": [0.5, null], \"P@10\": {values} }} }}");
            let text = format!("{{ \"patients\": [\"77120001\", \"b\"], \"persons\": {persons}, \"rows\": {rows} }}");
            storage::write(&run.file("patients-1-lab.json"), text.as_bytes()).unwrap();
            patient_table(&run, "1-lab")
        };
        assert!(read("[]", "[1.0, 0.5]").unwrap().is_some() && read("[4, 4]", "[1.0, 0.5]").unwrap().is_some());
        for (persons, values) in [("[]", "[1.0]"), ("[]", "[1.0, 0.5, 0.5]"), ("[]", "[]"), ("[4]", "[1.0, 0.5]")] {
            let error = read(persons, values).unwrap_err();
            let text = error.to_string();
            assert!(error.exit_code() == 2 && text.contains("patients-1-lab.json"), "{text}");
            assert!(text.contains("one value for each") && !text.contains("7712"), "{text}");
        }
    }
}
