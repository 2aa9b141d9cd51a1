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
//! same output twice, and a move to another device. That device is the one that `DUALK_TEST_DEVICE` names
//! ([`tested`](crate::device::tested)), as in the tests of the SDK; without it, the module moves within the CPU.
//!
//! burn has one random generator in a process, and some of the checks seed it. Other tests of the same program that draw
//! from it, as every layer does for its parameters, do so in [`generator::alone`]; what
//! [`draw_parameters`](crate::model::draw_parameters) makes of a module draws no more.

mod gradients;
mod inputs;
mod kge;
mod losses;
mod modules;
mod node_init;
mod objectives;
mod options;
mod parsers;
mod patients;
mod recipes;
mod report;
#[cfg(test)]
mod tests;

pub use inputs::dataset;
pub use kge::*;
pub use losses::*;
pub use modules::*;
pub use node_init::*;
pub use objectives::*;
pub use parsers::*;
pub use patients::*;
pub use recipes::*;
pub use report::{Check, Report};

use crate::component::{Builds, Slot, SlotKind, each_slot};
use crate::device::generator;
use crate::plugin::Registry;
use crate::{Error, Result};
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
    examine_slot(&subject, &mut report);
    Ok(report)
}

/// A component, as the checks use it.
struct Subject<'a> {
    registry: &'a Registry,
    slot: Slot,
    name: &'a str,
    options: Table,
}

/// What a slot asks of its components beside documented options. It stands beside the slot's `check_…`, in a file of this
/// folder.
trait Examined: SlotKind {
    /// Runs the checks.
    fn examine(subject: &Subject<'_>, report: &mut Report);
}

/// Declares the way from a slot to its checks.
macro_rules! examine_slots {
    ($($(#[$doc:meta])* $slot:ident: $name:ident $(= $kind:ident)?),+ $(,)?) => {
        /// Runs the checks of the component's slot.
        fn examine_slot(subject: &Subject<'_>, report: &mut Report) {
            match subject.slot {
                $(Slot::$slot => <crate::slots::$name as Examined>::examine(subject, report),)+
            }
        }
    };
}
each_slot! { examine_slots }

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
