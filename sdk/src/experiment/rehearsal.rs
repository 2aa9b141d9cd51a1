//! How much memory each stage will take: a few of its steps are done, at full size.

use super::plan::Experiment;
use super::run::Parts;
use super::training::{Keeping, Observers};
use crate::data::{Examples, Prepared, Ragged};
use crate::progress::Silent;
use crate::train::{EpochRecord, Optimizer};
use crate::{Progress, Result, memory};

/// Passes: the best weights so far are a copy of their own from the second one on.
const EPOCHS: usize = 2;
/// Batches that are trained on in each.
const BATCHES: usize = 3;
/// Examples that are evaluated; the logits of the others are added where evaluation holds them.
const EVALUATED: usize = 512;
/// Bytes that evaluation holds at most a logit and example: the logit, and its share of a copy.
const BYTES: u64 = 8;

/// What a stage will take.
#[derive(Debug, Clone, PartialEq)]
pub struct StageMemory {
    /// The stage, such as `3-finetune`.
    pub stage: String,
    /// Largest memory of the process in it, in bytes; `None` where the system does not tell.
    pub peak: Option<u64>,
}

impl Experiment {
    /// The largest memory of the process in each stage, found by doing a few of its steps with the real data, graph and
    /// sizes. On devices with memory of their own this is that of the computer alone. Ends the experiment, whose epochs
    /// it cuts.
    ///
    /// # Errors
    /// Those of preparing the data and of training.
    pub fn rehearse(mut self, progress: &dyn Progress) -> Result<Vec<StageMemory>> {
        for stage in &mut self.manifest.stage {
            stage.epochs = Some(EPOCHS);
        }
        let rehearsed = crate::boundary::guard::catch(|| {
            let data = self.prepared(progress)?;
            self.rehearse_with(&data)
        });
        self.placed(rehearsed)
    }

    fn rehearse_with(&self, data: &Prepared) -> Result<Vec<StageMemory>> {
        let device = self.device.device.clone().autodiff();
        let mut model = self.model(data, &device, |_| {})?;
        let (mut optimizer, mut found) = (Optimizer::new(), Vec::new());
        for (index, stage) in self.manifest.stage.iter().enumerate() {
            let objective = self.objective(index)?;
            let whole = self.parts(objective.as_ref(), data)?;
            model = self.enter_stage(model, index, objective.as_ref(), data, &device)?;
            let outputs: u64 = model.head_specs().iter().map(|head| head.outputs as u64).sum();
            let largest = whole.valid.len().max(whole.test.len());
            // Metrics that are counted block by block hold no logits.
            let held = if objective.meter().is_some() { 0 } else { largest.saturating_sub(EVALUATED) as u64 };
            let rest = outputs * BYTES * held;
            let parts = Parts {
                train: first(&whole.train, BATCHES * stage.batch()),
                valid: first(&whole.valid, EVALUATED),
                test: first(&whole.test, EVALUATED),
            };
            memory::forget_peak();
            let mut on_epoch = |_: &EpochRecord| -> Result<()> { Ok(()) };
            let mut observers = Observers { on_epoch: &mut on_epoch, on_step: None, progress: &Silent };
            let objective = objective.as_ref();
            let keeping = Keeping::default();
            let trained = self.train(model, optimizer, index, objective, &parts, data, &mut observers, keeping)?;
            let peak = memory::peak().map(|bytes| bytes + rest);
            found.push(StageMemory { stage: stage.name(index), peak });
            (model, optimizer) = (trained.model.keep_heads(), trained.optimizer);
        }
        Ok(found)
    }
}

/// The first `count` examples.
fn first(examples: &Examples, count: usize) -> Examples {
    let first_numbers = |numbers: &Vec<f32>| {
        let columns = numbers.len() / examples.len().max(1);
        numbers[..columns * count.min(examples.len())].to_vec()
    };
    let cut = |rows: &Ragged<u32>| -> Ragged<u32> { rows.rows().take(count).map(|row| row.iter().copied()).collect() };
    Examples {
        codes: examples.codes.clone(),
        visits: cut(&examples.visits),
        labs: cut(&examples.labs),
        targets: examples.targets.iter().map(cut).collect(),
        numbers: examples.numbers.iter().map(first_numbers).collect(),
    }
}
