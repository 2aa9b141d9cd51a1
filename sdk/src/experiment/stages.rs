//! The model of an experiment and how it goes from stage to stage.

use super::building::Building;
use super::plan::Experiment;
use crate::component::*;
use crate::data::Prepared;
use crate::device::generator;
use crate::model::{History, HistoryMap, Model, ModelParts};
use crate::recipe::no_joint_stage;
use crate::train::derive_seed;
use crate::{Error, Result};
use burn::tensor::Device;

impl Experiment {
    /// Creates the model with fresh parameters; notes go to `note`.
    ///
    /// # Errors
    /// Name the manifest's key.
    pub fn model(&self, data: &Prepared, device: &Device, note: impl FnMut(String)) -> Result<Model> {
        generator::alone(|| {
            generator::seed(device, derive_seed(self.manifest.seed, &[0]));
            self.fresh_model(data, device, note)
        })
    }

    fn fresh_model(&self, data: &Prepared, device: &Device, mut note: impl FnMut(String)) -> Result<Model> {
        let building = Building { registry: &self.registry, model: &self.manifest.model, device };
        let codes = &data.vocabulary.codes;
        let features = building.node_init()?.init(&NodeInitContext { codes, device });
        let features = features.map_err(|e| e.within_key("model.node_init"))?;
        features.notes.iter().for_each(|(what, n)| note(format!("{what}: {n}")));
        let features = features.features;
        let [nodes, input] = features.dims();
        if nodes != codes.len() {
            let message = format!("the node initialiser gave {nodes} rows for {} nodes", codes.len());
            return Err(Error::program(message).at_key("model.node_init"));
        }
        let encoder = building.graph_encoder(input, codes)?;
        let patient_encoder = building.patient_encoder(encoder.width(), codes)?;
        // A column of zeros where the cohort has no items: tensors without columns are not for every device.
        let labs = data.vocabulary.labs.len().max(1);
        let lab = building.lab(labs)?;
        Ok(Model::new(ModelParts { features, encoder, patient_encoder, lab, labs }))
    }

    /// Gives the model the heads of a stage: new ones, or those that the joint stage kept for the individual one.
    ///
    /// # Errors
    /// When the objective refuses the data, a head cannot be made, or an individual stage finds none that a joint one kept.
    pub fn enter_stage(
        &self,
        model: Model,
        index: usize,
        objective: &dyn Objective,
        data: &Prepared,
        device: &Device,
    ) -> Result<Model> {
        generator::alone(|| {
            generator::seed(device, derive_seed(self.manifest.seed, &[1, index as u64]));
            self.with_heads(model, index, objective, data, device)
        })
    }

    fn with_heads(
        &self,
        model: Model,
        index: usize,
        objective: &dyn Objective,
        data: &Prepared,
        device: &Device,
    ) -> Result<Model> {
        let specs = objective.heads(data)?;
        if self.manifest.stage[index].is_individual() {
            return match model.kept_specs() == specs {
                true => Ok(model.kept_as_heads()),
                false => Err(no_joint_stage().within_key(&format!("stage[{index}]"))),
            };
        }
        let building = Building { registry: &self.registry, model: &self.manifest.model, device };
        let asks: Vec<Asks> = (0..specs.len()).map(|head| objective.asks(data, head)).collect();
        let nodes: Vec<Option<Vec<u32>>> = asks.iter().zip(&specs).map(|(a, spec)| nodes_of(a, spec.outputs)).collect();
        let width = model.embedding_width();
        let mut code_widths = nodes.iter().map(|nodes| nodes.as_ref().map(|_| width));
        let make =
            |spec: &HeadSpec, input| building.head(&spec.network, input, spec.outputs, code_widths.next().flatten());
        let untrained = specs.iter().find(|spec| !spec.untrained.is_empty()).map(|spec| spec.untrained.clone());
        let model = match untrained.filter(|_| model.kept_specs().is_empty()) {
            Some(untrained) => model
                .with_untrained(untrained, |spec, input| building.head(&spec.network, input, spec.outputs, None))?,
            None => model,
        };
        let outputs: Vec<usize> = specs.iter().map(|spec| spec.outputs).collect();
        let model = model.with_new_heads(specs, make)?.with_codes(&nodes);
        match self.manifest.model.head.history == Some(true) {
            true => self.with_copy_paths(model, &outputs, &asks, data, device),
            false => Ok(model),
        }
    }

    /// Gives every head a copy path, when all of them ask for codes.
    fn with_copy_paths(
        &self,
        model: Model,
        outputs: &[usize],
        asks: &[Asks],
        data: &Prepared,
        device: &Device,
    ) -> Result<Model> {
        let Some(asks) = asks.iter().map(columns_of).collect::<Option<Vec<_>>>() else { return Ok(model) };
        let sees_labs = self.manifest.model.lab.r#type != "none";
        let map = |(&columns, &outputs): (&&[Option<u32>], &usize)| {
            let map = HistoryMap::new(columns, outputs, &data.graph);
            let admissions = data.split.pretrain.iter().flat_map(|&p| data.cohort.admissions.range(p));
            let codes = |row: usize| data.vocabulary.admission_codes.row(row).iter().copied();
            match sees_labs {
                true => map.with_items(data.vocabulary.labs.len(), admissions.map(|r| (codes(r), data.visit_labs(r)))),
                false => map,
            }
        };
        let histories = asks.iter().zip(outputs).map(map).map(|map| History::new(map, device));
        model.with_histories(histories.collect())
    }
}

/// The node whose code each column asks for, when every column asks for one code.
fn nodes_of(asks: &Asks, outputs: usize) -> Option<Vec<u32>> {
    let Asks::Codes(columns) = asks else { return None };
    let mut nodes = vec![None; outputs];
    for (node, column) in columns.iter().enumerate() {
        let Some(column) = column else { continue };
        if nodes.get_mut(*column as usize)?.replace(node as u32).is_some() {
            return None;
        }
    }
    nodes.into_iter().collect()
}

/// The columns of codes, when it is codes that are asked for.
fn columns_of(asks: &Asks) -> Option<&[Option<u32>]> {
    match asks {
        Asks::Codes(columns) => Some(columns),
        Asks::Nothing | Asks::Labs(_) => None,
    }
}
