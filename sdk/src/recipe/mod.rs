//! Recipes: what the types of stages mean, and which components serve where a manifest names none.
//!
//! A stage is an objective, the parameters that it trains, what it carries on, and a schedule. A recipe brings presets for
//! it: the method that a publication describes. It is a slot like any other, so that a plugin can bring another method.

mod complete;
mod stage;

pub use complete::completed;
pub(crate) use complete::{check_turns, completed_stage, no_heads_to_train};
pub use stage::{Mode, Stage};

use crate::Result;
use crate::boundary::Guarded;
use crate::boundary::guard::run;
use crate::component::{Builds, Component, Slot, SlotKind};
use crate::model::Parameter;
use std::sync::Arc;

/// Where a stage stands.
pub struct StageContext<'a> {
    /// Whether to reproduce the published quirks (`compat = "dualk"`).
    pub compat: bool,
    /// The stages before it, completed.
    pub earlier: &'a [Stage],
    /// What paths of parameters before the heads begin with, for the parts that the model has, in the order in which they
    /// compute.
    pub paths: &'a [&'static str],
}

/// A method: its types of stages, and the components it uses by default.
pub trait Recipe: Send + Sync {
    /// The types of stages, each with what it is for.
    fn types(&self) -> Vec<(&'static str, &'static str)>;

    /// The component for a key of `[model]` that the manifest leaves out, such as `graph_encoder`; `None` when there is none
    /// to choose.
    fn part(&self, key: &str) -> Option<&'static str>;

    /// Fills in what the manifest leaves open in a stage of one of the types. What the recipe leaves open too has a general
    /// default: Adam at 10⁻³, a constant rate, the best epoch on valid, everything trains, no table of the test patients.
    ///
    /// # Errors
    /// Name the stage's key that makes no sense for its type.
    fn complete(&self, stage: Stage, context: &StageContext<'_>) -> Result<Stage>;

    /// What a reader of the log must know of the stages, such as a part that nothing trains. `parameters` are those of the model
    /// before the first stage, without heads.
    fn notes(&self, stages: &[Stage], parameters: &[Parameter]) -> Vec<String> {
        let _ = (stages, parameters);
        Vec::new()
    }
}

impl Recipe for Guarded<dyn Recipe> {
    fn types(&self) -> Vec<(&'static str, &'static str)> {
        run(&self.origin, || self.inner.types())
    }

    fn part(&self, key: &str) -> Option<&'static str> {
        run(&self.origin, || self.inner.part(key))
    }

    fn complete(&self, stage: Stage, context: &StageContext<'_>) -> Result<Stage> {
        run(&self.origin, || self.inner.complete(stage, context))
    }

    fn notes(&self, stages: &[Stage], parameters: &[Parameter]) -> Vec<String> {
        run(&self.origin, || self.inner.notes(stages, parameters))
    }
}

/// Options of a recipe.
pub trait BuildRecipe: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn Recipe>>;
}

/// The slot `recipe`.
pub enum RecipeSlot {}

impl SlotKind for RecipeSlot {
    const SLOT: Slot = Slot::Recipe;
    type Context<'a> = ();
    type Object = Box<dyn Recipe>;
}

impl<C: BuildRecipe> Builds<RecipeSlot> for C {
    fn build_object(self, _: &(), origin: &Arc<str>) -> Result<Box<dyn Recipe>> {
        Ok(Box::new(Guarded { inner: self.build()?, origin: origin.clone() }))
    }
}
