//! Predictions of a model, example by example.

use super::about::{About, about_of};
use super::stage::OpenStage;
use crate::component::{AskedVisit, HeadSpec, Objective};
use crate::data::Dataset;
use crate::data::columns::{self, Values, write_parquet};
use crate::data::tables::Table;
use crate::model::Model;
use crate::progress::Silent;
use crate::train::predict;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// The first columns of a file of predictions.
const ABOUT: [&str; 5] = ["patient", "admission", "time", "visits", "targets"];

/// Refuses a path at which something is that is neither empty nor a file of predictions, so that no other work is replaced.
pub(super) fn check_replaceable(path: &Path) -> Result<()> {
    columns::check_replaceable(path)?;
    let holds_something = std::fs::metadata(path).is_ok_and(|found| found.len() > 0);
    match holds_something && !is_predictions(path) {
        false => Ok(()),
        true => {
            let message = "this Parquet file is there and holds no predictions of this program; it was not replaced";
            Err(Error::user(message).at_file(path).help("give another file, or remove this one"))
        }
    }
}

/// Whether a file is one that [`write_predictions`] wrote: by the names of its columns, and since no other program left notes
/// in it, as pandas does when it writes what was read from one.
fn is_predictions(path: &Path) -> bool {
    let Ok(table) = Table::at(path, &[]) else { return false };
    let header = table.header();
    let begins = header.len() > ABOUT.len() && header.iter().zip(ABOUT).all(|(column, about)| column == about);
    begins && table.is_bare_parquet()
}

/// Writes the logits of all heads: a row an example with `patient`, `admission` (the one that is asked about), `time` (when
/// that began, in seconds since 1970, where the source has it), `visits` (how many are seen) and `targets` (the labels that
/// are true), where targets are numbers a column of them, then a column a label, named as the objective says, else by head
/// and number.
pub(super) fn write_predictions(model: &Model, stage: &OpenStage<'_>, out: &Path) -> Result<()> {
    stage.check_testable()?;
    let (data, objective, test) = (stage.data, stage.objective.as_ref(), &stage.splits.test);
    let about: Option<Vec<About>> = about_of(test, data).into_iter().collect();
    let Some(about) = about else {
        return Err(Error::user("the examples of this stage are no patients with visits: they have no predictions")
            .help("give a checkpoint of a stage that does, or none"));
    };
    let (specs, mut taken) = (model.head_specs(), Taken::default());
    let names = label_names(specs, objective, data, &mut taken);
    let truth = (0..about.len()).map(|i| {
        let each = test.targets.iter().zip(&names);
        each.flat_map(|(targets, names)| targets.row(i).iter().map(|&c| names[c as usize].as_str())).collect::<Vec<_>>()
    });
    let first = columns_about(&about, objective.asked_visit(), data).into_iter().chain([Values::text_lists(truth)]);
    let mut columns: Vec<(String, Values)> = ABOUT.iter().map(|&name| name.to_owned()).zip(first).collect();
    for (head, (spec, names)) in specs.iter().zip(&names).enumerate() {
        let numbers = test.numbers_of(head);
        let named = names.iter().enumerate().filter(|_| !numbers.is_empty());
        let of = |(column, name): (usize, &String)| {
            (taken.once(format!("{name}:target"), &spec.name), column_of(numbers, column, spec.outputs))
        };
        columns.extend(named.map(of));
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
    let asked: Vec<Option<usize>> = about.iter().map(|a| a.asked(visit, data)).collect();
    let time = |row: &Option<usize>| cohort.admission_facts.get((*row)?)?.start;
    let patients: Vec<usize> = about.iter().map(|a| a.index).collect();
    [
        cohort.patient_column(&patients),
        cohort.admission_column(&asked),
        asked.iter().map(time).collect::<Vec<Option<i64>>>().into(),
        about.iter().map(|a| a.visits as u32).collect::<Vec<u32>>().into(),
    ]
}

/// A column of numbers that lie row by row.
fn column_of(numbers: &[f32], column: usize, width: usize) -> Values {
    numbers.iter().skip(column).step_by(width).copied().collect::<Vec<f32>>().into()
}

/// The names of the columns of all heads.
fn label_names(specs: &[HeadSpec], objective: &dyn Objective, data: &Dataset, taken: &mut Taken) -> Vec<Vec<String>> {
    let of_head = |(head, spec): (usize, &HeadSpec)| {
        let by_head = || match spec.outputs {
            1 => vec![spec.name.clone()],
            outputs => (0..outputs).map(|label| format!("{}:{label}", spec.name)).collect(),
        };
        let labels = objective.labels(data, head).filter(|labels| labels.len() == spec.outputs);
        labels.unwrap_or_else(by_head).into_iter().map(|name| taken.once(name, &spec.name)).collect::<Vec<String>>()
    };
    specs.iter().enumerate().map(of_head).collect()
}

/// Names that columns have.
struct Taken(BTreeSet<String>);

impl Default for Taken {
    fn default() -> Self {
        Self(ABOUT.iter().map(|&name| name.to_owned()).collect())
    }
}

impl Taken {
    /// A name that no column had: as long as one has it, it stands behind the name of its head.
    fn once(&mut self, mut name: String, head: &str) -> String {
        while !self.0.insert(name.clone()) {
            name = format!("{head}:{name}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::Split;
    use crate::data::Examples;
    use polars_arrow::datatypes::{ArrowDataType, ArrowSchema, Field};
    use polars_parquet::write::{CompressionOptions, FileWriter, StatisticsOptions, Version, WriteOptions};
    use std::fs;

    /// Heads of what is said of each.
    struct Said(Vec<Option<Vec<&'static str>>>);

    impl Objective for Said {
        fn heads(&self, _: &Dataset) -> Result<Vec<HeadSpec>> {
            Ok(Vec::new())
        }

        fn examples(&self, _: &Dataset, _: Split) -> Result<Examples> {
            Ok(Examples::default())
        }

        fn primary(&self) -> &str {
            "R@10"
        }

        fn labels(&self, _: &Dataset, head: usize) -> Option<Vec<String>> {
            Some(self.0[head].as_ref()?.iter().map(|&label| label.to_owned()).collect())
        }
    }

    /// Writes a file without rows that says in Arrow's words which columns it has, as other programs do.
    fn write_with_notes(path: &Path, names: &[&str]) {
        let field = |name: &&str| Field::new((*name).into(), ArrowDataType::Float32, false);
        let schema: ArrowSchema = names.iter().map(field).map(|field| (field.name.clone(), field)).collect();
        let options = WriteOptions {
            statistics: StatisticsOptions::default(),
            version: Version::V1,
            compression: CompressionOptions::Uncompressed,
            data_page_size: None,
        };
        let mut writer = FileWriter::try_new(fs::File::create(path).unwrap(), schema, options).unwrap();
        writer.end(None).unwrap();
    }

    #[test]
    fn only_predictions_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logits.parquet");
        let write = |names: &[&str]| {
            let columns = names.iter().map(|&name| (name.to_owned(), Values::from(vec![0.5f32]))).collect();
            write_parquet(&path, columns).unwrap();
        };
        let refused = || {
            let error = check_replaceable(&path).unwrap_err();
            let text = error.to_string();
            assert!(
                error.exit_code() == 2 && text.contains("logits.parquet") && text.contains("another file"),
                "{text}"
            );
        };
        assert!(check_replaceable(&path).is_ok(), "nothing is there");
        let columns = [&ABOUT[..], &["died"]].concat();
        write(&columns);
        assert!(check_replaceable(&path).is_ok(), "of an earlier evaluation");
        let other_order = ["admission", "patient", "time", "visits", "targets", "died"];
        for names in [&["patient", "age"][..], &ABOUT, &other_order, &["died"]] {
            write(names);
            refused();
        }
        write_with_notes(&path, &columns);
        refused();
        for text in ["PAR1", "notes"] {
            fs::write(&path, text).unwrap();
            refused();
        }
        fs::write(&path, "").unwrap();
        assert!(check_replaceable(&path).is_ok(), "an empty one holds nothing");
    }

    #[test]
    fn columns_have_names_that_differ() {
        let drugs = Some(vec!["time", "aspirin", "aspirin"]);
        let said = Said(vec![None, None, drugs.clone(), drugs, Some(vec!["too few"])]);
        let specs = [("died", 1), ("days", 2), ("drugs", 3), ("later", 3), ("visits", 2)]
            .map(|(name, outputs)| HeadSpec::new(name, outputs));
        let data = crate::testing::dataset().unwrap();
        let mut taken = Taken::default();
        let names = label_names(&specs, &said, &data, &mut taken);
        let expected = [
            &["died"][..],
            &["days:0", "days:1"],
            &["drugs:time", "aspirin", "drugs:aspirin"],
            &["later:time", "later:aspirin", "later:later:aspirin"],
            &["visits:0", "visits:1"],
        ];
        assert_eq!(names, expected);
        assert_eq!(taken.once("died:target".into(), "died"), "died:target");
    }
}
