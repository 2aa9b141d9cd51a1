//! What a run has learnt, for other programs: the vectors of its codes, and of its test patients.

use super::about::patients_of;
use super::dataset::dataset;
use super::evaluation::{CODE_NAMES, changes, check_names, model_of_stage, stage_of};
use super::plan::Plan;
use super::run_dir::RunDir;
use super::stage;
use crate::cache::Cache;
use crate::component::Split;
use crate::data::columns::{Values, write_parquet};
use crate::data::{Dataset, Examples};
use crate::model::{Model, Weights};
use crate::storage::Access;
use crate::{Error, Progress, Result, storage};
use burn::module::Module;
use burn::tensor::Tensor;
use std::path::{Path, PathBuf};

/// What to export.
#[derive(Debug)]
pub struct Export<'a> {
    /// Folder to write.
    pub out: &'a Path,
    /// A checkpoint of the run, instead of its final weights.
    pub checkpoint: Option<&'a Path>,
    /// Whether the vectors of test patients are written as well.
    pub patients: bool,
    /// Where the cohort may come from.
    pub cache: Option<Cache>,
}

/// Names of the tables.
const CODES: &str = "codes.parquet";
const PATIENTS: &str = "patients.parquet";

/// Examples a forward pass.
const BATCH: usize = 256;

/// Writes the vectors of a run; returns the files.
pub(super) fn export(
    plan: &Plan,
    cache: Option<&Cache>,
    run: &RunDir,
    export: &Export<'_>,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>> {
    storage::check_free(export.out)?;
    let stage = stage_of(plan, export.checkpoint)?;
    let weights = export.checkpoint.map_or_else(|| run.file("model.safetensors"), Path::to_owned);
    let data = dataset(plan, cache, progress)?;
    check_names(run, &data, &CODE_NAMES)?;
    changes(plan, run, &data)?.iter().for_each(|line| progress.line(line));
    let (model, objective) = model_of_stage(plan, stage, Weights::read(&weights)?, &data)?;
    let model = model.valid();
    let Some(embeddings) = model.embeddings(&data.graph) else {
        return Err(Error::user("the model of this stage has no vectors for codes")
            .help("give a checkpoint of a stage that looks at codes"));
    };
    let patients = match export.patients {
        true => {
            let examples = stage::examples(plan, objective.as_ref(), &data, Split::Test)?;
            Some(patients(&model, embeddings.clone(), &examples, &data)?)
        }
        false => None,
    };
    let tables = [Some((CODES, codes(&data, embeddings))), patients.map(|columns| (PATIENTS, columns))];
    let files = tables.iter().flatten().map(|(name, _)| export.out.join(name)).collect();
    storage::checked_folder(export.out, Access::Private, storage::check_free, |new| {
        tables.into_iter().flatten().try_for_each(|(name, columns)| write_parquet(&new.join(name), columns))
    })?;
    Ok(files)
}

/// The columns of `patients.parquet`.
fn patients(
    model: &Model,
    embeddings: Tensor<2>,
    examples: &Examples,
    data: &Dataset,
) -> Result<Vec<(String, Values)>> {
    let Some(patients) = patients_of(examples, data) else {
        return Err(Error::user("the examples of this stage are no patients with visits: they have no vectors"));
    };
    let order: Vec<usize> = (0..examples.len()).collect();
    let (mut vectors, mut width) = (Vec::new(), 0);
    for chunk in order.chunks(BATCH) {
        let batch = examples.batch_of(chunk, model.tells_visits_apart());
        let encoded = model.with_demographics(model.patients(embeddings.clone(), &data.graph, &batch), &batch);
        width = encoded.dims()[1];
        vectors.extend(encoded.into_data().convert::<f32>().iter::<f32>());
    }
    let columns = [("patient", data.cohort.patient_column(&patients)), ("embedding", Values::vectors(vectors, width))];
    Ok(columns.map(|(name, values)| (name.to_owned(), values)).into())
}

/// The columns of `codes.parquet`: every node but that for padding.
fn codes(data: &Dataset, embeddings: Tensor<2>) -> Vec<(String, Values)> {
    let [nodes, width] = embeddings.dims();
    let vectors: Vec<f32> = embeddings.slice([1..nodes, 0..width]).into_data().convert::<f32>().iter::<f32>().collect();
    let (cohort, vocabulary) = (&data.cohort, &data.vocabulary);
    let names: Vec<&str> = vocabulary.codes[1..].iter().map(String::as_str).collect();
    let titles = cohort.titles();
    let title = |name: &str| titles.get(name).copied().unwrap_or_default();
    let mut admissions = vec![0u32; nodes];
    for row in vocabulary.admission_codes.rows() {
        let mut row = row.to_vec();
        row.sort_unstable();
        row.dedup();
        row.into_iter().for_each(|code| admissions[code as usize] += 1);
    }
    let columns = [
        ("number", Values::from((1..nodes as u32).collect::<Vec<_>>())),
        ("code", names.clone().into()),
        ("title", names.into_iter().map(title).collect::<Vec<_>>().into()),
        ("admissions", admissions.split_off(1).into()),
        ("embedding", Values::vectors(vectors, width)),
    ];
    columns.map(|(name, values)| (name.to_owned(), values)).into()
}
