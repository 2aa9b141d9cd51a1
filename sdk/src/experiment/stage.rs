//! A stage of a plan over the data: what it learns, and from whom.

use super::about::{About, about_of};
use super::manifest::Stage;
use super::model::Entrance;
use super::plan::Plan;
use crate::component::{HeadSpec, LabelScores, Labs, Objective, Split};
use crate::data::{Dataset, Examples};
use crate::error::Mistakes;
use crate::model::Model;
use crate::train::{Select, check_examples, check_metric};
use crate::{Error, Result};

/// Examples of a stage by split.
pub(super) struct SplitExamples {
    pub train: Examples,
    pub valid: Examples,
    pub test: Examples,
}

impl SplitExamples {
    fn of(plan: &Plan, objective: &dyn Objective, data: &Dataset) -> Result<Self> {
        let examples = |split| examples(plan, objective, data, split);
        Ok(Self { train: examples(Split::Train)?, valid: examples(Split::Valid)?, test: examples(Split::Test)? })
    }
}

/// The examples of a split, with age and sex where these enter the model.
pub(super) fn examples(plan: &Plan, objective: &dyn Objective, data: &Dataset, split: Split) -> Result<Examples> {
    let mut examples = objective.examples(data, split)?;
    if plan.manifest.model.demographics {
        let known = |about: About| data.cohort.demographics(about.index, about.last);
        let about = about_of(&examples, data).into_iter();
        examples.demographics = about.map(|about| about.map(known).unwrap_or_default()).collect();
    }
    Ok(examples)
}

/// Asks every stage from `first` on for what it needs of the data, before any of them trains. One is open at a time.
///
/// # Errors
/// All that these data cannot serve, with the keys of the stages.
pub(super) fn check_stages(plan: &Plan, data: &Dataset, first: usize) -> Result<()> {
    let mut mistakes = Mistakes::default();
    for index in first..plan.manifest.stage.len() {
        mistakes.note(OpenStage::new(plan, index, data).and_then(|stage| stage.check()));
    }
    mistakes.done()
}

/// The key of what a stage learns.
fn key(plan: &Plan, index: usize) -> String {
    format!("stage[{index}].{}", plan.manifest.stage[index].objective().0)
}

/// A stage with its objective and examples.
pub(super) struct OpenStage<'a> {
    pub plan: &'a Plan,
    pub index: usize,
    pub data: &'a Dataset,
    pub objective: Box<dyn Objective>,
    pub splits: SplitExamples,
}

impl<'a> OpenStage<'a> {
    pub fn new(plan: &'a Plan, index: usize, data: &'a Dataset) -> Result<Self> {
        Self::with(plan, index, data, plan.objective(index)?)
    }

    /// The same, its objective being made already.
    pub fn with(plan: &'a Plan, index: usize, data: &'a Dataset, objective: Box<dyn Objective>) -> Result<Self> {
        let splits = SplitExamples::of(plan, objective.as_ref(), data).map_err(|e| e.within_key(&key(plan, index)))?;
        Ok(Self { plan, index, data, objective, splits })
    }

    /// What the manifest says of it.
    pub fn options(&self) -> &'a Stage {
        &self.plan.manifest.stage[self.index]
    }

    /// Its name, such as `3-finetune`.
    pub fn name(&self) -> String {
        self.options().name(self.index)
    }

    /// Whose laboratory items enter a model; `None` where the objective does not say.
    pub fn labs(&self, model: &Model) -> Option<Labs> {
        self.plan.labs(self.objective.as_ref(), self.data, model.tells_visits_apart())
    }

    /// What a reader of its table must know.
    pub fn caption(&self, model: &Model) -> String {
        let labs = self.labs(model).map(|labs| labs.caption().to_owned());
        let demographics = self.plan.manifest.model.demographics.then(|| "age and sex".to_owned());
        let said =
            [self.objective.caption()].into_iter().chain(labs).chain(demographics).filter(|text| !text.is_empty());
        said.collect::<Vec<_>>().join(" · ")
    }

    /// Gives the model the heads of the stage.
    pub fn enter(&self, model: Model) -> Result<Model> {
        let Self { plan, index, data, objective, splits } = self;
        let (objective, train, device) = (objective.as_ref(), Some(&splits.train), &plan.training_device());
        Entrance { plan, index: *index, objective, data, train, device }.enter(model)
    }

    /// Refuses a stage that these data cannot serve, whatever its model will be: its heads, its examples, the metric that is to
    /// choose its epoch or the setting of a row, and its test.
    fn check(&self) -> Result<()> {
        let Self { plan, index, data, objective, splits } = self;
        let (options, name, key) = (self.options(), self.name(), key(plan, *index));
        let heads = objective.heads(data).map_err(|e| e.within_key(&key))?;
        self.check_loss(&heads)?;
        check_examples(&name, &splits.train, &splits.valid, options.patience).map_err(|e| e.at_key(&key))?;
        if options.select() == Select::Best {
            check_metric(&name, objective.as_ref(), &heads, &splits.valid).map_err(|e| e.at_key(&key))?;
        }
        self.check_choice()?;
        if options.is_tested() { self.check_testable() } else { Ok(()) }
    }

    /// Refuses a loss that compares the labels of an example with one another where there is one alone: its gradient is 0, and what
    /// is tested would be what was drawn.
    fn check_loss(&self, heads: &[HeadSpec]) -> Result<()> {
        let compares = self.plan.loss(self.index)?.label_scores() != LabelScores::Probabilities;
        if !compares || heads.iter().any(|head| head.outputs != 1) {
            return Ok(());
        }
        let message = "this loss compares the labels of an example, and here is one: nothing would be learnt";
        Err(Error::user(message)
            .at_key(format!("stage[{}].loss", self.index))
            .help("questions of yes and no are learnt with `bce`"))
    }

    /// Refuses a stage by whose metrics on valid a setting is to be chosen where nobody is there. It is the last that is tested.
    fn check_choice(&self) -> Result<()> {
        let chooses = || self.plan.manifest.stage.iter().rposition(Stage::is_tested) == Some(self.index);
        match self.plan.chosen_on_valid && self.splits.valid.is_empty() && chooses() {
            false => Ok(()),
            true => Err(Error::user("what the row is tuned to is chosen on valid, and no valid patient has examples")
                .at_key("data.split")
                .help("give the split more valid patients, or leave out `sweep.tune`")),
        }
    }

    /// Refuses to test where there is nobody to test on.
    pub fn check_testable(&self) -> Result<()> {
        match self.splits.test.is_empty() {
            false => Ok(()),
            true => Err(Error::user("no test patient has examples for this objective")
                .at_key(key(self.plan, self.index))
                .help("give the split more test patients, or choose another task")),
        }
    }
}
