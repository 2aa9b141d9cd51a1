//! Training and ranking on whichever device was chosen.

use super::adam::Adam;
#[cfg(cube)]
use super::cube::{DeviceRanker, DeviceStepper};
use super::formula::{Formula, Sizes};
use super::known::Known;
use super::model::EmbeddingModel;
use super::rank::{Rank, Trained, ranks_while};
use super::sample::Batch;
use super::step::{Parameters, Stepper};
use crate::data::knowledge::Triple;
use crate::device::NamedDevice;
use crate::progress::Progress;
use crate::{Error, Result};
use burn::tensor::Device;
use std::borrow::Cow;

/// Trains a model batch by batch, on the CPU or on a GPU.
#[allow(clippy::large_enum_variant)] // there is one of them
pub enum Trainer<'a> {
    /// On the CPU.
    Cpu(Stepper<'a>),
    /// On a GPU.
    #[cfg(cube)]
    Device(DeviceStepper),
}

/// Whether this is the CPU.
fn is_cpu(device: &NamedDevice) -> bool {
    device.device.clone().without_autodiff() == Device::flex()
}

/// What kernels for GPUs must know of a model.
fn formula(model: &dyn EmbeddingModel, device: &NamedDevice) -> Result<Formula> {
    model.formula().ok_or_else(|| {
        Error::user(format!("this embedding model has no kernels for {}", device.name))
            .at_key("backend.device")
            .help("give cpu, or let the model's `formula` name equations that have kernels: hake, mode, rotate, transe, complex")
    })
}

/// Refuses an embedding that is too large for a device before there is memory for it: kernels of GPUs count in 32 bits, the CPU
/// counts whatever there can be memory for.
///
/// # Errors
/// Name the sizes and what to do.
pub(crate) fn check_sizes(model: &dyn EmbeddingModel, device: &NamedDevice, sizes: &Sizes) -> Result<()> {
    let tables =
        [("entities", sizes.entities, model.entity_width()), ("relations", sizes.relations, model.relation_width())];
    for (of, rows, width) in tables {
        // Parameters and both moments.
        let bytes = rows.saturating_mul(width).saturating_mul(3 * size_of::<f32>());
        if isize::try_from(bytes).is_err() {
            let message = format!("the table of {rows} {of} of {width} numbers is larger than any memory");
            return Err(Error::user(message).at_key("model").help("give the model fewer dimensions"));
        }
    }
    if is_cpu(device) {
        return Ok(());
    }
    let formula = formula(model, device)?;
    #[cfg(cube)]
    return super::cube::check_sizes(formula, sizes);
    #[cfg(not(cube))]
    Err(Error::program(format!("no kernels for {formula:?}")))
}

impl<'a> Trainer<'a> {
    /// Trains `parameters` on a device; gaps between uses of a row are told apart up to `window` steps.
    ///
    /// # Errors
    /// When the model has no kernels for the device.
    pub fn new(
        model: &'a dyn EmbeddingModel,
        parameters: Parameters,
        adam: Adam,
        window: u32,
        alpha: f32,
        device: &NamedDevice,
    ) -> Result<Self> {
        if is_cpu(device) {
            return Ok(Self::Cpu(Stepper::new(model, parameters, adam, window, alpha)));
        }
        let formula = formula(model, device)?;
        #[cfg(cube)]
        return DeviceStepper::new(formula, &parameters, adam, window, alpha, &device.device).map(Self::Device);
        #[cfg(not(cube))]
        Err(Error::program(format!("no kernels for {formula:?}")))
    }

    /// How many batches may be made at once: on the CPU one, because steps want its threads.
    pub fn batches_at_once(&self) -> u32 {
        match self {
            Self::Cpu(_) => 1,
            #[cfg(cube)]
            Self::Device(_) => rayon::current_num_threads() as u32,
        }
    }

    /// How many batches may wait for their step: two rounds of those that are made at once, so that one is made while the steps
    /// of the other are.
    pub fn prefetched_batches(&self) -> usize {
        2 * self.batches_at_once().max(2) as usize
    }

    /// The learning rate of a step.
    pub fn rate(&self, step: u32) -> f64 {
        match self {
            Self::Cpu(stepper) => stepper.rate(step),
            #[cfg(cube)]
            Self::Device(stepper) => stepper.rate(step),
        }
    }

    /// One step of Adam. Gives the losses that are known by then: on the CPU that of this step; on a GPU none, but those of all
    /// steps since the last reading where they are `read`, for which the device is waited for.
    ///
    /// # Errors
    /// When the device fails.
    pub fn step(&mut self, batch: &Batch, read: bool) -> Result<Vec<f64>> {
        match self {
            Self::Cpu(stepper) => {
                let _ = read;
                Ok(vec![stepper.step(batch)])
            }
            #[cfg(cube)]
            Self::Device(stepper) => {
                stepper.step(batch)?;
                if read { stepper.losses() } else { Ok(Vec::new()) }
            }
        }
    }

    /// All parameters after the last step, to go on from. Rows that it did not use are moved on as far as the window of their last use
    /// reached.
    ///
    /// # Errors
    /// When the device fails.
    pub fn parameters(&self) -> Result<Cow<'_, Parameters>> {
        match self {
            Self::Cpu(stepper) => Ok(Cow::Borrowed(&stepper.parameters)),
            #[cfg(cube)]
            Self::Device(stepper) => stepper.parameters().map(Cow::Owned),
        }
    }

    /// All parameters, as they are after the last step.
    ///
    /// # Errors
    /// When the device fails.
    pub fn into_parameters(self) -> Result<Parameters> {
        match self {
            Self::Cpu(stepper) => Ok(stepper.into_parameters()),
            #[cfg(cube)]
            Self::Device(stepper) => stepper.into_parameters(),
        }
    }
}

/// Ranks of triples on both sides by a trained model, on a device: see [`ranks`](crate::kge::ranks).
///
/// # Errors
/// When the model has no kernels for the device.
pub fn ranks_on(
    device: &NamedDevice,
    trained: &Trained<'_>,
    triples: &[Triple],
    known: &Known,
    progress: &dyn Progress,
) -> Result<Vec<Rank>> {
    ranks_on_while(device, trained, triples, known, progress, &|| Ok(()))
}

/// The same, as long as `go_on`, which is asked before each block, has nothing against it.
///
/// # Errors
/// Those of `go_on`, and when the model has no kernels for the device.
pub(crate) fn ranks_on_while(
    device: &NamedDevice,
    trained: &Trained<'_>,
    triples: &[Triple],
    known: &Known,
    progress: &dyn Progress,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Vec<Rank>> {
    let entities = trained.parameters.entities.last.len();
    if triples.is_empty() {
        return Ok(Vec::new());
    }
    if is_cpu(device) {
        return ranks_while(trained, entities, triples, known, progress, go_on);
    }
    let formula = formula(trained.model, device)?;
    #[cfg(cube)]
    return DeviceRanker::new(formula, trained.parameters, &device.device)?.ranks(triples, known, progress, go_on);
    #[cfg(not(cube))]
    Err(Error::program(format!("no kernels for {formula:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kge::model::{Queries, Side};
    use crate::kge::schedule::{KgeSchedule, Unused};

    /// −|e + r − candidate|, of one number, and no formula.
    struct Plain;

    impl EmbeddingModel for Plain {
        fn entity_width(&self) -> usize {
            1
        }

        fn relation_width(&self) -> usize {
            1
        }

        fn query_width(&self) -> usize {
            1
        }

        fn saved(&self) -> usize {
            0
        }

        fn init_entity(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
            row[0] = uniform();
        }

        fn init_relation(&self, uniform: &mut dyn FnMut() -> f32, row: &mut [f32]) {
            row[0] = uniform();
        }

        fn query(&self, open: Side, entity: &[f32], relation: &[f32], query: &mut [f32]) {
            query[0] = if open == Side::Tail { entity[0] + relation[0] } else { entity[0] - relation[0] };
        }

        fn query_backward(
            &self,
            _: Side,
            _: &[f32],
            _: &[f32],
            d_query: &[f32],
            d_entity: &mut [f32],
            d_relation: &mut [f32],
        ) {
            d_entity[0] += d_query[0];
            d_relation[0] += d_query[0];
        }

        fn scores(&self, candidate: &[f32], queries: Queries<'_>, _: &[f32], scores: &mut [f32], _: &mut [f32]) {
            for (score, &row) in scores.iter_mut().zip(queries.rows) {
                *score = -(queries.values[row as usize] - candidate[0]).abs();
            }
        }

        fn backward(
            &self,
            _: &[f32],
            _: Queries<'_>,
            _: &[f32],
            _: &[f32],
            _: &[f32],
            _: &mut [f32],
            _: &mut [f32],
            _: &mut [f32],
        ) {
        }
    }

    #[test]
    fn the_cpu_counts_beyond_32_bits_and_not_beyond_memory() {
        let cpu = NamedDevice { name: "cpu".into(), device: Device::flex() };
        let of = |entities| Sizes { entities, relations: 1, triples: 1 << 20, candidates: 1 << 20, ranks: true };
        check_sizes(&Plain, &cpu, &of(1 << 33)).unwrap();
        let error = check_sizes(&Plain, &cpu, &of(1 << 60)).unwrap_err();
        assert_eq!((error.exit_code(), error.key()), (2, Some("model")));
        assert!(error.message().contains("the table of 1152921504606846976 entities of 1 numbers"), "{error}");
    }

    fn refused(device: &NamedDevice) -> Option<Error> {
        let (schedule, unused) = (KgeSchedule::Constant, Unused::Moved);
        let adam = Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps: 1, schedule, unused };
        Trainer::new(&Plain, Parameters::new(&Plain, 3, 1, 1), adam, 8, 1.0, device).err()
    }

    #[test]
    fn a_model_without_a_formula_is_refused_on_devices_and_told_what_to_do() {
        let cpu = NamedDevice { name: "cpu".into(), device: Device::flex() };
        assert!(refused(&cpu).is_none());
        let gpu = NamedDevice { name: "cuda:0".into(), ..cpu };
        // The kernels' device where there is one; what a model without a formula is told needs none.
        let others = crate::device::devices().into_iter().filter(|device| !is_cpu(device)).take(1);
        let told = others.filter_map(|device| refused(&device)).chain(formula(&Plain, &gpu).err());
        for error in told {
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            for part in ["backend.device", "no kernels for", "give cpu", "`formula`", "hake"] {
                assert!(text.contains(part), "{text}");
            }
        }
        assert!(formula(&Plain, &gpu).is_err());
    }
}
