//@ says which stages there are
//@ recipe = { type = "@NAME@" }
//@ type = "fit"
//! A recipe: which stages a method has, and what they are where a manifest says nothing.

use dualk_sdk::prelude::*;
use dualk_sdk::recipe::{BuildRecipe, Recipe, Stage, StageContext};

// What a manifest can set, each with its default: `recipe = { type = "@NAME@", epochs = 20 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// Epochs of a stage that names none.
        #[schemars(range(min = 1))]
        pub epochs: usize = 10,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "One stage, `fit`, that trains everything.";
    // What it names below, so that plugins are known before any of their code runs.
    const NEEDS: &'static str = "+node_init random\n+graph_encoder gat\n+fusion attention\n+lab linear\n\
        +objective diagnosis\n+loss bce\n";
}

impl BuildRecipe for Options {
    fn build(self) -> Result<Box<dyn Recipe>> {
        Ok(Box::new(self))
    }
}

impl Recipe for Options {
    fn types(&self) -> Vec<(&'static str, &'static str)> {
        vec![("fit", "learns the task")]
    }

    fn part(&self, key: &str) -> Option<&'static str> {
        match key {
            "node_init" => Some("random"),
            "graph_encoder" => Some("gat"),
            "code_fusion" | "visit_fusion" => Some("attention"),
            "lab" => Some("linear"),
            _ => None, // patient encoders and heads have a default of their own
        }
    }

    fn complete(&self, mut stage: Stage, _: &StageContext<'_>) -> Result<Stage> {
        if stage.task.is_none() && stage.objective.is_none() {
            stage.objective = Some(ComponentRef::named("diagnosis"));
        }
        stage.loss = stage.loss.or_else(|| Some(ComponentRef::named("bce")));
        stage.epochs = stage.epochs.or(Some(self.epochs));
        stage.test = stage.test.or(Some(true));
        Ok(stage)
    }
}

export_plugin! { recipe: Options }

#[cfg(test)]
mod tests {
    use super::*;

    // Types that complete, alone and in order, and no key that comes and goes: `cargo test` says what is wrong.
    #[test]
    fn it_is_a_sound_recipe() {
        dualk_sdk::testing::check_recipe(Options::default());
    }
}
