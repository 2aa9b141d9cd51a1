//! Slot `objective`: what a stage learns — its examples and targets, its heads, its metrics.

use super::{Builds, Component, PartKey, Slot, SlotKind};
use crate::boundary::Guarded;
use crate::boundary::guard::run;
use crate::data::{Dataset, Examples, Ragged};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which patients examples are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose the epoch on.
    Valid,
    /// To report on, once.
    Test,
}

/// One head of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadSpec {
    /// Name, unique in the objective; part of the parameters' path.
    pub name: String,
    /// The parts of the model whose vectors it sees, side by side in this order.
    pub inputs: Vec<PartKey>,
    /// Whether it also sees, before these, what each head sees last that earlier stages kept; see
    /// [`Head::embed`](super::Head::embed).
    pub sees_kept: bool,
    /// Which network the component of the slot `head` shall take, by a word that it knows; empty where any will do.
    pub network: String,
    /// Number of logits.
    pub outputs: usize,
    /// Whether heads of later stages may see what it sees last.
    pub keep: bool,
    /// Heads with initial parameters that it sees in place of kept ones where no earlier stage kept any.
    pub untrained: Vec<HeadSpec>,
}

impl HeadSpec {
    /// A head over the patient vector beside the lab vector, of any network, which later stages do not see.
    pub fn new(name: impl Into<String>, outputs: usize) -> Self {
        let (name, network, untrained) = (name.into(), String::new(), Vec::new());
        let inputs = vec![PartKey::PATIENT_ENCODER, PartKey::LAB];
        Self { name, inputs, sees_kept: false, network, outputs, keep: false, untrained }
    }

    /// The same over the vectors of other parts, by their [keys](PartKey) in `[model]`. A part that gives no vector a patient, or
    /// that the model is without, is refused before anything trains.
    pub fn sees(self, inputs: impl IntoIterator<Item = impl Into<PartKey>>) -> Self {
        Self { inputs: inputs.into_iter().map(Into::into).collect(), ..self }
    }

    /// The same, of a network by its name.
    pub fn network(self, name: &str) -> Self {
        Self { network: name.to_owned(), ..self }
    }

    /// The same, which heads of later stages may see. One that sees kept heads itself is refused before anything trains.
    pub fn kept(self) -> Self {
        Self { keep: true, ..self }
    }

    /// The same with what kept heads [embed](super::Head::embed) before its other vectors. Where no earlier stage kept any, the heads
    /// `untrained` take their place, with initial parameters; these see no kept heads.
    pub fn over_kept(self, untrained: Vec<HeadSpec>) -> Self {
        Self { sees_kept: true, untrained, ..self }
    }
}

/// The logits of one head for some examples, beside their targets.
pub struct Predictions<'a> {
    /// Name of the head.
    pub head: &'a str,
    /// Row-major logits, `targets.len()` rows of `columns`.
    pub logits: &'a [f32],
    /// Number of columns.
    pub columns: usize,
    /// Positive columns of each row.
    pub targets: &'a Ragged<u32>,
    /// Where targets are [numbers](Link), those of each row, as many as `logits`; else none.
    pub numbers: &'a [f32],
}

/// What a head gives where targets are numbers and no labels, and which losses it can be trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The mean of the number itself.
    Mean,
    /// The logarithm of the mean, which is never negative.
    LogMean,
    /// The logarithm of a hazard, up to a constant. The number is a time: above 0 when the event came then, below 0 when
    /// nothing had happened until then.
    LogHazard,
}

impl Link {
    /// What a target of this kind is called, in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "numbers",
            Self::LogMean => "numbers whose logarithm is learnt",
            Self::LogHazard => "times to an event",
        }
    }
}

/// Metrics of examples that come block by block, so that the logits of all of them are never in memory together.
pub trait Meter: Send {
    /// Counts a block of examples: one [`Predictions`] per head.
    fn update(&mut self, predictions: &[Predictions<'_>]);

    /// The metrics of all blocks so far, by name, in a fixed order.
    fn compute(&self) -> Vec<(String, f64)>;
}

/// How the columns of a head relate to a patient's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// Not at all.
    Nothing,
    /// Columns ask for codes: for each index of a code (node of the graph) the column that is positive when the code recurs.
    Codes(Vec<Option<u32>>),
    /// Columns ask for laboratory items: for each item of the cohort the column that is positive when it is abnormal.
    Labs(Vec<Option<u32>>),
    /// As `Codes`, but columns ask for masked codes of the last visit: codes that are seen of it are negatives, those of the
    /// visits before may be positives.
    Hidden(Vec<Option<u32>>),
    /// For each visit, which is a row of the cohort's admissions, the columns that it made positive itself. It is known of the
    /// visits before the last that is seen, such as their drugs.
    Visits(Ragged<u32>),
}

/// Which visit an example asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedVisit {
    /// The one after those that are seen.
    Next,
    /// The last of those that are seen, of which something else is known.
    Last,
    /// None in particular.
    None,
}

/// Whose abnormal laboratory items the examples of an objective have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Labs {
    /// Those of the visit that is asked for, as published: they are known only once that visit is under way.
    Target,
    /// Those of the last visit before it.
    Last,
    /// Those of all visits before it.
    History,
    /// None.
    None,
}

impl Labs {
    /// What a table says of them.
    pub fn caption(self) -> &'static str {
        match self {
            Self::Target => "labs of the very visit that is predicted",
            Self::Last => "labs of the last visit before",
            Self::History => "labs of all visits before",
            Self::None => "no labs",
        }
    }
}

/// What a stage learns.
pub trait Objective: Send + Sync {
    /// The heads to train.
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>>;

    /// The examples of a split; one target per head.
    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples>;

    /// Metrics by name from one [`Predictions`] per head, in a fixed order. An objective gives these or a
    /// [`Objective::meter`].
    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        let Some(mut meter) = self.meter() else { return Vec::new() };
        meter.update(predictions);
        meter.compute()
    }

    /// The metrics counted block by block. Without it, evaluation holds the logits of all examples until it can ask
    /// [`Objective::metrics`]: 1.6 GB for 50,000 patients and 8,000 codes.
    fn meter(&self) -> Option<Box<dyn Meter>> {
        None
    }

    /// The metric that chooses the epoch; higher is better, unless its name says
    /// [otherwise](crate::train::metrics::lower_is_better).
    fn primary(&self) -> &str;

    /// What heads give where targets are numbers; `None`, the default, where they are labels.
    fn link(&self) -> Option<Link> {
        None
    }

    /// Whether the columns of a head are mutually exclusive classes, so that its prediction is the softmax of its logits, as in
    /// the loss `cross_entropy`.
    fn exclusive(&self) -> bool {
        false
    }

    /// Scores of further simple baselines for the examples of `split`: names, each with one score a column of each example, for
    /// each head.
    fn rules(&self, data: &Dataset, split: Split) -> Result<Vec<(String, Vec<Vec<f32>>)>> {
        let _ = (data, split);
        Ok(Vec::new())
    }

    /// Which column of a head each code or item of a patient's history would be again. Baselines that copy the history
    /// are made from it, and heads that look at it (`model.head.history`) where it is of [`Asks::Codes`].
    fn asks(&self, data: &Dataset, head: usize) -> Asks {
        let _ = (data, head);
        Asks::Nothing
    }

    /// Which visit the examples ask about; oracles and files of predictions go by it. Default: the one after those that are
    /// seen.
    fn asked_visit(&self) -> AskedVisit {
        AskedVisit::Next
    }

    /// What the columns of a head are called in files of predictions, in their order, as many as the head has outputs and each
    /// differently; `None` where the name of the head says it, of several columns with their numbers. Default: the codes or the
    /// [items](crate::data::Cohort::item_labels) that they [ask for](Objective::asks), where each asks for one.
    fn labels(&self, data: &Dataset, head: usize) -> Option<Vec<String>> {
        match self.asks(data, head) {
            Asks::Codes(columns) | Asks::Hidden(columns) => one_each(&columns, data.vocabulary.codes.clone()),
            Asks::Labs(columns) => one_each(&columns, data.cohort.item_labels()),
            Asks::Nothing | Asks::Visits(_) => None,
        }
    }

    /// Whose laboratory items the examples have, for tables, oracles and `dualk check --leaks`; `None`, the default, when that
    /// is not said. Whether they reach the model is the manifest's choice.
    fn labs(&self) -> Option<Labs> {
        None
    }

    /// Whether it asks about patients with one visit, too, as [`Splits::single_splits`](crate::data::Splits::single_splits) divides
    /// them. With a random split nothing is then learnt from those of valid and test; else pretraining sees all of them.
    fn asks_about_single(&self) -> bool {
        false
    }

    /// What else a reader of the table must know; empty when there is nothing to say.
    fn caption(&self) -> String {
        String::new()
    }
}

/// What each column asks for, where each asks for one thing; `columns` has the column of each of `names`.
fn one_each(columns: &[Option<u32>], names: Vec<String>) -> Option<Vec<String>> {
    let mut asked: BTreeMap<u32, String> = BTreeMap::new();
    for (name, column) in names.into_iter().zip(columns) {
        if column.is_some_and(|column| asked.insert(column, name).is_some()) {
            return None;
        }
    }
    let is_whole = asked.keys().copied().eq(0..asked.len() as u32);
    is_whole.then(|| asked.into_values().collect())
}

/// Options of an objective. Those that say what a model sees of a patient, and nothing of what it is asked, are marked with
/// `#[schemars(extend("x-input" = true))]`: runs that differ in them are compared, and others are refused.
pub trait BuildObjective: Component {
    /// Checks the options.
    fn build(self) -> Result<Box<dyn Objective>>;
}

impl Objective for Guarded<dyn Objective> {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        run(&self.origin, || self.inner.heads(data))
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let examples = run(&self.origin, || self.inner.examples(data, split))?;
        let rows = examples.len();
        if examples.visits.len() != rows || examples.targets.iter().any(|targets| targets.len() != rows) {
            return Err(Error::program(format!("{}: visits, labs and targets differ in number", self.origin)));
        }
        if !examples.patients.is_empty() && examples.patients.len() != rows {
            return Err(Error::program(format!("{}: patients are not those of the examples", self.origin)));
        }
        if examples.visit_labs.as_ref().is_some_and(|labs| labs.len() != examples.codes.len()) {
            return Err(Error::program(format!("{}: visit_labs are not those of each visit", self.origin)));
        }
        let (numbers, heads) = (&examples.numbers, examples.targets.len());
        let whole = |of: &Vec<f32>| of.len() >= rows && of.len().is_multiple_of(rows.max(1));
        match self.link() {
            Some(_) if numbers.len() == heads && numbers.iter().all(whole) => Ok(examples),
            None if numbers.iter().all(Vec::is_empty) => Ok(examples),
            link => {
                let wanted = link.map_or("labels", Link::name);
                Err(Error::program(format!("{}: targets are said to be {wanted}, but are not", self.origin)))
            }
        }
    }

    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        run(&self.origin, || self.inner.metrics(predictions))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        let inner = run(&self.origin, || self.inner.meter())?;
        Some(Box::new(Guarded { origin: self.origin.clone(), inner }))
    }

    fn primary(&self) -> &str {
        run(&self.origin, || self.inner.primary())
    }

    fn link(&self) -> Option<Link> {
        run(&self.origin, || self.inner.link())
    }

    fn exclusive(&self) -> bool {
        run(&self.origin, || self.inner.exclusive())
    }

    fn rules(&self, data: &Dataset, split: Split) -> Result<Vec<(String, Vec<Vec<f32>>)>> {
        run(&self.origin, || self.inner.rules(data, split))
    }

    fn asks(&self, data: &Dataset, head: usize) -> Asks {
        run(&self.origin, || self.inner.asks(data, head))
    }

    fn asked_visit(&self) -> AskedVisit {
        run(&self.origin, || self.inner.asked_visit())
    }

    fn labels(&self, data: &Dataset, head: usize) -> Option<Vec<String>> {
        run(&self.origin, || self.inner.labels(data, head))
    }

    fn labs(&self) -> Option<Labs> {
        run(&self.origin, || self.inner.labs())
    }

    fn asks_about_single(&self) -> bool {
        run(&self.origin, || self.inner.asks_about_single())
    }

    fn caption(&self) -> String {
        run(&self.origin, || self.inner.caption())
    }
}

impl Meter for Guarded<dyn Meter> {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        run(&self.origin, || self.inner.update(predictions));
    }

    fn compute(&self) -> Vec<(String, f64)> {
        run(&self.origin, || self.inner.compute())
    }
}

/// The slot `objective`.
pub enum ObjectiveSlot {}

impl SlotKind for ObjectiveSlot {
    const SLOT: Slot = Slot::Objective;
    type Context<'a> = ();
    type Object = Box<dyn Objective>;
}

impl<C: BuildObjective> Builds<ObjectiveSlot> for C {
    fn build_object(self, _: &(), origin: &Arc<str>) -> Result<Box<dyn Objective>> {
        Ok(Box::new(Guarded { inner: self.build()?, origin: origin.clone() }))
    }
}
