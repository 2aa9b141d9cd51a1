//! The model of a plan: as it begins, and with the heads of a stage.

use super::heads::Prior;
use super::made::Made;
use super::parts::Building;
use super::plan::Plan;
use crate::component::*;
use crate::data::{Dataset, Examples, Ragged};
use crate::device::generator;
use crate::model::{History, HistoryMap, Model, PARTS, Parameter, draw_parameters, undrawn};
use crate::recipe::no_heads_to_train;
use crate::train::{derive_seed, mean_prior, prior};
use crate::{Error, Result};
use crate::{memory, options};
use burn::tensor::Device;
use std::borrow::Cow;

/// The model with fresh parameters, its parts built from the folders that were made; notes go to `note`.
pub(super) fn fresh_model(
    plan: &Plan,
    made: &Made,
    data: &Dataset,
    device: &Device,
    note: impl FnMut(String),
) -> Result<Model> {
    let model = &made.named_in(&plan.manifest.model);
    generator::alone(|| {
        generator::seed(device, derive_seed(plan.manifest.seed, &[0]));
        let building = Building { model, ..plan.building(device) };
        drawn(plan, Model::new(building.build_parts(data, note)?))
    })
}

/// A fresh model in a stage, with the heads that the stages before it leave behind, and what the stage learns.
pub(super) fn led_to(
    plan: &Plan,
    stage: usize,
    data: &Dataset,
    mut model: Model,
) -> Result<(Model, Box<dyn Objective>)> {
    let device = &plan.training_device();
    for index in 0..stage {
        let objective = plan.objective(index)?;
        let entrance = Entrance { plan, index, objective: objective.as_ref(), data, train: None, device };
        model = entrance.with_heads(model)?.keep_heads();
    }
    let objective = plan.objective(stage)?;
    let entrance = Entrance { plan, index: stage, objective: objective.as_ref(), data, train: None, device };
    let model = entrance.enter(model)?;
    Ok((model, objective))
}

/// Refuses a plan with an objective whose heads see what the model has not, before anything trains.
pub(super) fn check_heads(plan: &Plan, data: &Dataset, model: &Model) -> Result<()> {
    let device = &plan.training_device();
    (0..plan.manifest.stage.len()).try_for_each(|index| {
        let objective = plan.objective(index)?;
        let entrance = Entrance { plan, index, objective: objective.as_ref(), data, train: None, device };
        entrance.specs(model).map(drop)
    })
}

/// A model whose parameters have values, where the machine has memory for them.
fn drawn(plan: &Plan, model: Model) -> Result<Model> {
    if plan.device.name == "cpu" {
        check_room(&undrawn(&model), memory::available())?;
    }
    Ok(draw_parameters(model))
}

/// Refuses parameters that are more than the machine has memory for, before there is any for them: the system would end the program.
fn check_room(parameters: &[Parameter], available: Option<u64>) -> Result<()> {
    let bytes = |p: &Parameter| p.shape.iter().fold(4.0, |all: f64, &along| all * along as f64);
    let largest = parameters.iter().rev().max_by(|a, b| bytes(a).total_cmp(&bytes(b)));
    let Some(Parameter { path, shape, .. }) = largest else { return Ok(()) };
    options::check_room("parameters", parameters.iter().map(bytes).sum(), available).map_err(|e| {
        let part = PARTS.iter().find(|part| path.split('.').next() == Some(part.path));
        let key = part.map_or_else(|| "model.head".to_owned(), |part| format!("model.{}", part.key));
        e.at_key(key).help(format!("the largest is `{path}`: {shape:?}")).help("lower its widths")
    })
}

/// A model at the beginning of a stage.
pub(super) struct Entrance<'a> {
    pub plan: &'a Plan,
    pub index: usize,
    pub objective: &'a dyn Objective,
    pub data: &'a Dataset,
    /// Its examples to learn from, where they are there already.
    pub train: Option<&'a Examples>,
    pub device: &'a Device,
}

impl Entrance<'_> {
    /// Gives the model the heads of the stage, whose logits begin where the manifest says.
    pub fn enter(&self, model: Model) -> Result<Model> {
        let model = self.with_heads(model)?;
        // Targets that are numbers have no rates.
        match self.plan.manifest.model.head.prior.filter(|_| self.objective.link().is_none()) {
            Some(Prior::Rates) => self.with_priors(model, prior),
            Some(Prior::Mean) => self.with_priors(model, mean_prior),
            Some(Prior::Nothing) | None => Ok(model),
        }
    }

    /// Lets logits begin where `start` says, after how often their labels are positive among the examples to learn from.
    fn with_priors(&self, model: Model, start: impl Fn(usize, &Ragged<u32>, bool) -> Vec<f32>) -> Result<Model> {
        let train = match self.train {
            Some(train) => Cow::Borrowed(train),
            None => Cow::Owned(self.objective.examples(self.data, Split::Train)?),
        };
        let is_exclusive = self.objective.exclusive();
        let heads = model.head_specs().iter().zip(&train.targets);
        let priors: Vec<Vec<f32>> = heads.map(|(spec, targets)| start(spec.outputs, targets, is_exclusive)).collect();
        model.with_priors(&priors)
    }

    /// Gives the model the heads of the stage: new ones, or those that an earlier stage kept where they train in turn.
    fn with_heads(&self, model: Model) -> Result<Model> {
        generator::alone(|| {
            generator::seed(self.device, derive_seed(self.plan.manifest.seed, &[1, self.index as u64]));
            let specs = self.specs(&model)?;
            match self.plan.manifest.stage[self.index].is_individual() {
                false => self.with_new_heads(model, specs).and_then(|model| drawn(self.plan, model)),
                true if model.kept_specs() == specs => Ok(model.kept_as_heads()),
                true => Err(no_heads_to_train().within_key(&format!("stage[{}]", self.index))),
            }
        })
    }

    /// The heads of the objective, which see parts that the model has.
    fn specs(&self, model: &Model) -> Result<Vec<HeadSpec>> {
        let specs = self.objective.heads(self.data)?;
        let (key, _) = self.plan.manifest.stage[self.index].objective();
        model.check_seen(&specs).map_err(|e| e.within_key(&format!("stage[{}].{key}", self.index)))?;
        Ok(specs)
    }

    fn with_new_heads(&self, model: Model, specs: Vec<HeadSpec>) -> Result<Model> {
        let building = self.plan.building(self.device);
        let asks: Vec<Asks> = (0..specs.len()).map(|head| self.objective.asks(self.data, head)).collect();
        let nodes: Vec<Option<Vec<u32>>> = asks.iter().zip(&specs).map(|(a, spec)| nodes_of(a, spec.outputs)).collect();
        let width = model.embedding_width();
        let mut asked = nodes.iter();
        let make = |spec: &HeadSpec, input| {
            let asked = asked.next().and_then(Option::as_deref);
            let knowledge = self.data.knowledge.as_ref().zip(asked).map(|(graph, asked)| AskedOf { graph, asked });
            building.head(&spec.network, input, spec.outputs, asked.map(|_| width), knowledge)
        };
        let model = with_untrained(model, &specs, &building)?;
        let outputs: Vec<usize> = specs.iter().map(|spec| spec.outputs).collect();
        let model = model.with_new_heads(specs, make)?.with_codes(&nodes);
        if model.tells_visits_apart() && self.data.labs_by_visit.is_none() {
            return Err(Error::program("a head tells visits apart, and the data set was made for heads that do not")
                .at_key("model.head")
                .help("prepare the data set with the experiment that has this head")
                .help("in a plugin, `looks_at_histories` must not depend on `HeadContext::network`"));
        }
        match self.plan.manifest.model.head.history == Some(true) {
            true => self.with_copy_paths(model, &outputs, &asks),
            false => Ok(model),
        }
    }

    /// Gives every head a copy path, when all of them ask for codes.
    fn with_copy_paths(&self, model: Model, outputs: &[usize], asks: &[Asks]) -> Result<Model> {
        let Some(asks) = asks.iter().map(columns_of).collect::<Option<Vec<_>>>() else { return Ok(model) };
        let data = self.data;
        let sees_labs = model.sees_items();
        let map = |(&columns, &outputs): (&&[Option<u32>], &usize)| {
            let map = HistoryMap::new(columns, outputs, &data.graph);
            let admissions = data.splits.pretrain.iter().flat_map(|&p| data.cohort.admissions.range(p));
            let codes = |row: usize| data.vocabulary.admission_codes.row(row).iter().copied();
            match sees_labs {
                true => map.with_items(data.vocabulary.labs.len(), admissions.map(|r| (codes(r), data.visit_labs(r)))),
                false => map,
            }
        };
        let histories = asks.iter().zip(outputs).map(map).map(|map| History::new(map, self.device));
        model.with_histories(histories.collect())
    }
}

/// Gives a model whose stages have kept no heads those that a spec sees untrained.
fn with_untrained(model: Model, specs: &[HeadSpec], building: &Building<'_>) -> Result<Model> {
    let untrained = specs.iter().find(|spec| !spec.untrained.is_empty()).map(|spec| spec.untrained.clone());
    match untrained.filter(|_| model.kept_specs().is_empty()) {
        Some(untrained) => {
            model.with_untrained(untrained, |spec, input| building.head(&spec.network, input, spec.outputs, None, None))
        }
        None => Ok(model),
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
        Asks::Nothing | Asks::Labs(_) | Asks::Hidden(_) | Asks::Visits(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_no_memory_holds_are_refused_by_the_part_that_has_the_most() {
        let of = |path: &str, shape| Parameter { path: path.to_owned(), shape, trains: true };
        let parameters = [of("lab.weight", vec![8, 8]), of("encoder.convs.0.weight", vec![1 << 24; 2])];
        let error = check_room(&parameters, Some(1 << 40)).unwrap_err();
        assert_eq!((error.exit_code(), error.key()), (2, Some("model.graph_encoder")));
        let text = error.to_string();
        assert!(text.contains("parameters take 1125899.9 GB") && text.contains("encoder.convs.0.weight"), "{text}");
        assert!(check_room(&parameters[..1], Some(256)).is_ok() && check_room(&parameters[..1], Some(255)).is_err());
        assert!(check_room(&parameters, None).is_ok() && check_room(&[], Some(0)).is_ok());
    }
}
