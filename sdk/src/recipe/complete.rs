//! Completing the stages of a manifest.

use super::{Mode, Recipe, Stage, StageContext};
use crate::train::Schedule;
use crate::{Error, Result};

/// The stages of a manifest with the defaults of all their keys.
///
/// # Errors
/// Name the manifest's key.
pub fn completed(recipe: &dyn Recipe, stages: Vec<Stage>, compat: bool, paths: &[&'static str]) -> Result<Vec<Stage>> {
    let mut done = Vec::new();
    for stage in stages {
        let context = StageContext { compat, earlier: &done, paths };
        let stage = completed_stage(recipe, stage, &context)?;
        done.push(stage);
    }
    Ok(done)
}

/// A stage with the defaults of all keys: those of the recipe, then the general ones. Options of components stay as
/// they are.
///
/// # Errors
/// Name the manifest's key: an unknown type, what makes no sense for it, or an optimizer that is carried on from nowhere.
pub(crate) fn completed_stage(recipe: &dyn Recipe, stage: Stage, context: &StageContext<'_>) -> Result<Stage> {
    let place = |e: Error| e.within_key(&format!("stage[{}]", context.earlier.len()));
    let types = recipe.types();
    if !types.iter().any(|(name, _)| *name == stage.r#type) {
        let error = Error::user(format!("no stage is of type `{}`", stage.r#type)).at_key("type");
        let known: Vec<&str> = types.iter().map(|(name, _)| *name).collect();
        return Err(place(error.suggest(&stage.r#type, known)));
    }
    let mut stage = recipe.complete(stage, context).map_err(place)?;
    if let Some(key) = open(&stage) {
        let message = format!("the recipe says nothing of `{key}` for stages of type `{}`", stage.r#type);
        return Err(place(Error::user(message).at_key(key).help("give it in the manifest")));
    }
    carry_on(&mut stage, context.earlier.last()).map_err(place)?;
    stage.schedule = Some(match stage.schedule() {
        Schedule::Cosine { epochs, least } => Schedule::Cosine { epochs: epochs.or(Some(stage.epochs())), least },
        other => other,
    });
    Ok(Stage {
        epochs: Some(stage.epochs()),
        batch: Some(stage.batch()),
        select: Some(stage.select()),
        shuffle: Some(stage.shuffle()),
        warmup: Some(stage.warmup.unwrap_or(0)),
        accumulate: Some(stage.accumulate()),
        freeze: Some(stage.freeze().to_vec()),
        carry_optimizer: Some(stage.carries_optimizer()),
        test: Some(stage.is_tested()),
        ..stage
    })
}

/// The component that a stage needs and does not name.
fn open(stage: &Stage) -> Option<&'static str> {
    let (key, objective) = stage.objective();
    if objective.is_open() {
        return Some(key);
    }
    stage.loss().is_open().then_some("loss")
}

/// Refuses a stage that trains heads in turn where no stage before it trained those of the same objective together; all of them
/// with their components.
pub(crate) fn check_turns(stage: &Stage, earlier: &[Stage]) -> Result<()> {
    let together = |before: &Stage| before.mode() == Mode::Joint && before.objective().1 == stage.objective().1;
    match stage.is_individual() && !earlier.iter().any(together) {
        true => Err(no_heads_to_train()),
        false => Ok(()),
    }
}

/// The error of a stage that trains heads in turn where no earlier one made them.
pub(crate) fn no_heads_to_train() -> Error {
    Error::user("an individual stage trains the heads of an earlier joint stage")
        .at_key("mode")
        .help("put a stage with mode = \"joint\" and the same objective before it")
}

/// The optimizer and the learning rate, which may be those that the stage before ended with.
fn carry_on(stage: &mut Stage, before: Option<&Stage>) -> Result<()> {
    if !stage.carries_optimizer() {
        stage.optimizer = Some(stage.optimizer());
        stage.lr = Some(stage.lr());
        return Ok(());
    }
    let Some(before) = before else {
        return Err(Error::user("the first stage has no optimizer to carry on")
            .at_key("carry_optimizer")
            .help("leave it out, or put the stage whose optimizer goes on before it"));
    };
    let algorithm = stage.optimizer.clone().unwrap_or_else(|| before.optimizer());
    if before.optimizer().name() != algorithm.name() {
        let message =
            format!("{} cannot go on from {} of the stage before", algorithm.name(), before.optimizer().name());
        return Err(Error::user(message).at_key("optimizer").help("use the same optimizer"));
    }
    stage.optimizer = Some(algorithm);
    // The rate of the last epoch.
    let carried = before.rates().at(before.epochs().saturating_sub(1));
    stage.lr = stage.lr.or(Some(carried));
    Ok(())
}
