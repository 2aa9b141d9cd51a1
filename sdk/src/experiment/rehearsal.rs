//! How much memory each stage will take: a few of its steps are done, at full size.

use super::made::untrained;
use super::model::fresh_model;
use super::plan::Plan;
use super::stage::{OpenStage, SplitExamples, check_stages};
use super::training::{Keeping, Observers, train};
use crate::data::{Dataset, Examples, Ragged};
use crate::model::Model;
use crate::progress::Silent;
use crate::train::{EpochRecord, Optimizer};
use crate::{Result, memory};
use serde::{Deserialize, Serialize};

/// Passes: the best weights so far are a copy of their own from the second one on.
const EPOCHS: usize = 2;
/// Batches that are trained on in each.
const BATCHES: usize = 3;
/// Examples that are evaluated; the logits of the others are added where evaluation holds them.
const EVALUATED: usize = 512;
/// Bytes that evaluation holds at most a logit and example: the logit, and its share of a copy.
const BYTES: u64 = 8;

/// What a stage will take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageMemory {
    /// The stage, such as `3-finetune`.
    pub stage: String,
    /// Largest memory of the process in it, in bytes; `None` where the system does not tell.
    pub peak: Option<u64>,
}

/// The largest memory of the process in each stage of a plan, whose epochs are cut for it.
pub(super) fn rehearse(plan: &mut Plan, data: &Dataset) -> Result<Vec<StageMemory>> {
    check_stages(plan, data, 0)?;
    for stage in &mut plan.manifest.stage {
        stage.epochs = Some(EPOCHS);
    }
    let mut model = fresh_model(plan, &untrained(plan)?, data, &plan.training_device(), |_| {})?;
    let (mut optimizer, mut found) = (Optimizer::new(), Vec::new());
    for index in 0..plan.manifest.stage.len() {
        let mut stage = OpenStage::new(plan, index, data)?;
        model = stage.enter(model)?;
        let rest = bytes_of_logits(&stage, &model);
        stage.splits = some(&stage.splits, BATCHES * stage.options().batch());
        memory::forget_peak();
        let mut on_epoch = |_: &EpochRecord| -> Result<()> { Ok(()) };
        let mut observers = Observers { on_epoch: &mut on_epoch, on_step: None, progress: &Silent };
        let trained = train(&stage, model, optimizer, &mut observers, Keeping::default())?;
        let peak = memory::peak().map(|bytes| bytes + rest);
        found.push(StageMemory { stage: stage.name(), peak });
        (model, optimizer) = (trained.model.keep_heads(), trained.optimizer);
    }
    Ok(found)
}

/// What evaluation will hold beside that of the rehearsal.
fn bytes_of_logits(stage: &OpenStage<'_>, model: &Model) -> u64 {
    // Metrics that are counted block by block hold no logits.
    if stage.objective.meter().is_some() {
        return 0;
    }
    let outputs: u64 = model.head_specs().iter().map(|head| head.outputs as u64).sum();
    let largest = stage.splits.valid.len().max(stage.splits.test.len());
    outputs * BYTES * largest.saturating_sub(EVALUATED) as u64
}

/// Enough of the examples for a rehearsal.
fn some(splits: &SplitExamples, train: usize) -> SplitExamples {
    SplitExamples {
        train: some_of(&splits.train, train),
        valid: some_of(&splits.valid, EVALUATED),
        test: some_of(&splits.test, EVALUATED),
    }
}

/// `count` examples: that with the most codes and that with the most visits, by which batches are padded, and the first of the
/// others.
fn some_of(examples: &Examples, count: usize) -> Examples {
    let codes = |&i: &usize| -> usize {
        examples.visits.row(i).iter().map(|&visit| examples.codes.row(visit as usize).len()).sum()
    };
    let all = 0..examples.len();
    let longest = [all.clone().max_by_key(codes), all.clone().max_by_key(|&i| examples.visits.row(i).len())];
    let mut chosen: Vec<usize> =
        longest.into_iter().flatten().chain(all.filter(|i| !longest.contains(&Some(*i)))).collect();
    chosen.dedup();
    chosen.truncate(count);
    let rows = |rows: &Ragged<u32>| -> Ragged<u32> { chosen.iter().map(|&i| rows.row(i).iter().copied()).collect() };
    let numbers = |numbers: &Vec<f32>| -> Vec<f32> {
        let columns = numbers.len() / examples.len().max(1);
        chosen.iter().flat_map(|&i| &numbers[i * columns..][..columns]).copied().collect()
    };
    Examples {
        visit_labs: examples.visit_labs.clone(),
        codes: examples.codes.clone(),
        visits: rows(&examples.visits),
        patients: chosen.iter().filter_map(|&i| examples.patients.get(i)).copied().collect(),
        labs: rows(&examples.labs),
        targets: examples.targets.iter().map(rows).collect(),
        numbers: examples.numbers.iter().map(numbers).collect(),
        demographics: chosen.iter().filter_map(|&i| examples.demographics.get(i)).copied().collect(),
    }
}
