//! One call that checks a component of any slot, for the tests of its author.
//!
//! ```
//! # use dualk_sdk::prelude::*;
//! # options! {
//! #     /// Options of `square`.
//! #     pub struct Options {}
//! # }
//! # impl Component for Options {
//! #     const NAME: &'static str = "square";
//! #     const ABOUT: &'static str = "Mean square of the difference of probability and target.";
//! # }
//! # struct Square;
//! # impl Loss for Square {
//! #     fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
//! #         (burn::tensor::activation::sigmoid(logits) - targets).powi_scalar(2).mean()
//! #     }
//! # }
//! # impl BuildLoss for Options {
//! #     fn build(self) -> Result<Box<dyn Loss>> {
//! #         Ok(Box::new(Square))
//! #     }
//! # }
//! // In a test of the plugin; it panics with everything that was found.
//! dualk_sdk::testing::check_loss(Options::default());
//! ```
//!
//! The component is used as an experiment uses it: registered, built from a table of options, behind the slot's trait.
//! What is checked, where it applies: the documentation of the options, options of wrong types and out of range, shapes,
//! one element, empty sets, gradients against finite differences for every parameter, save → load → the same output, the
//! same output twice, and a move to another device. That device is the one that `DUALK_TEST_DEVICE` names, as in the
//! tests of the SDK; without it, the module moves within the CPU.
//!
//! burn has one random generator in a process, and other tests may draw from it in between. What depends on a seed is
//! therefore repeated until it was undisturbed.

mod gradients;
mod inputs;
mod kge;
mod modules;
mod objectives;
mod options;
mod parsers;
mod patients;
mod plain;
mod report;
#[cfg(test)]
mod tests;

pub use inputs::prepared;
pub use report::{Check, Report};

use crate::component::*;
use crate::device::generator;
use crate::kge::BuildKgeModel;
use crate::plugin::Registry;
use crate::recipe::BuildRecipe;
use crate::{Error, Result, slots};
use toml::Table;

/// Checks a component of a registry with these options; what is missing in them has its default. One check at a time:
/// others of this process wait, so that they do not draw each other's random numbers.
///
/// # Errors
/// When there is no such component.
pub fn examine(registry: &Registry, slot: Slot, name: &str, options: Table) -> Result<Report> {
    generator::alone(|| examine_alone(registry, slot, name, options))
}

fn examine_alone(registry: &Registry, slot: Slot, name: &str, options: Table) -> Result<Report> {
    let subject = Subject { registry, slot, name, options };
    let mut report = Report::new(format!("{slot} `{name}`"));
    options::check_documentation(&subject, registry.info(slot, name)?, &mut report);
    match slot {
        Slot::GraphEncoder => modules::graph_encoder(&subject, &mut report),
        Slot::PatientEncoder => patients::patient_encoder(&subject, &mut report),
        Slot::Fusion => modules::fusion(&subject, &mut report),
        Slot::Lab => modules::lab(&subject, &mut report),
        Slot::Head => modules::head(&subject, &mut report),
        Slot::Loss => plain::loss(&subject, &mut report),
        Slot::NodeInit => plain::node_init(&subject, &mut report),
        Slot::Parser => parsers::parser(&subject, &mut report),
        Slot::Objective => objectives::objective(&subject, &mut report),
        Slot::Recipe => plain::recipe(&subject, &mut report),
        Slot::KgeModel => kge::model(&subject, &mut report),
    }
    Ok(report)
}

/// A component, as the checks use it.
struct Subject<'a> {
    registry: &'a Registry,
    slot: Slot,
    name: &'a str,
    options: Table,
}

/// Registers one component alone and examines it.
#[track_caller]
fn check<K: SlotKind, C: Builds<K>>(options: C) {
    let examined = Registry::new().with(|registrar| registrar.add::<K, C>()).and_then(|registry| {
        let options = Table::try_from(&options)
            .map_err(|e| Error::program(format!("options of `{}` cannot be written as TOML: {e}", C::NAME)))?;
        examine(&registry, K::SLOT, C::NAME, options)
    });
    match examined {
        Ok(report) if report.passed() => (),
        Ok(report) => panic!("\n{report}"),
        Err(error) => panic!("{error}"),
    }
}

/// Checks a graph encoder on small graphs: with a hub, isolated nodes and repeated edges; without edges; of one node.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_graph_encoder<C: BuildGraphEncoder>(options: C) {
    check::<slots::graph_encoder, C>(options);
}

/// Checks a patient encoder on patients of many, one and no visits, each by itself and all together, with and without the
/// days between visits.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_patient_encoder<C: BuildPatientEncoder>(options: C) {
    check::<slots::patient_encoder, C>(options);
}

/// Checks a head: its logits, what it lends to later heads, and that a patient does not depend on those beside.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_head<C: BuildHead>(options: C) {
    check::<slots::head, C>(options);
}

/// Checks a fusion at both levels: sets of many, of one and of no members, each set by itself and all together.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_fusion<C: BuildFusion>(options: C) {
    check::<slots::fusion, C>(options);
}

/// Checks a lab encoder on admissions with many, one and no abnormal items, each by itself and all together, and
/// where there is a single item.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_lab<C: BuildLabEncoder>(options: C) {
    check::<slots::lab, C>(options);
}

/// Checks a loss: finite for logits of any size and labels of one kind alone, lower for right answers than for wrong
/// ones.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_loss<C: BuildLoss>(options: C) {
    check::<slots::loss, C>(options);
}

/// Checks a node initialiser on known, unknown and no codes.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_node_init<C: BuildNodeInit>(options: C) {
    check::<slots::node_init, C>(options);
}

/// Checks a parser on the files that the options name: the same cohort twice, a consistent one, its inputs, and what
/// it says of files that are not there.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_parser<C: BuildParser>(options: C) {
    check::<slots::parser, C>(options);
}

/// Checks an objective on [`prepared`] data: heads, examples, targets and metrics belong together, and right answers
/// have better metrics than wrong ones.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_objective<C: BuildObjective>(options: C) {
    check::<slots::objective, C>(options);
}

/// Checks a recipe: stages of all its types complete, in order and each by itself, and twice gives the same.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_recipe<C: BuildRecipe>(options: C) {
    check::<slots::recipe, C>(options);
}

/// Checks an embedding model: widths, first values, scores that a batch and a single candidate agree on, gradients of the
/// loss against finite differences for entities, relations and what triples share.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_kge_model<C: BuildKgeModel>(options: C) {
    check::<slots::kge_model, C>(options);
}
