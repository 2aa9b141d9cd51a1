//! The model of an experiment, assembled from the components of the slots.

mod age_and_sex;
mod assembled;
mod history;
mod parameters;
mod part;
mod paths;
mod tensors;

pub(crate) use assembled::each_part;
pub use assembled::{Encoded, KEYS, Model, ModelParts, PARTS};
pub use history::{History, HistoryMap};
pub(crate) use parameters::undrawn;
pub use parameters::{
    Parameter, Weights, draw_parameters, first_not_finite, freeze, load_weights, parameters, save_weights, set_dropout,
};
pub use part::{Otherwise, PartInfo, Reads};
pub use paths::{ParameterMapper, ParameterVisitor, map_parameters, visit_parameters};
pub use tensors::{dense, targets_of};
