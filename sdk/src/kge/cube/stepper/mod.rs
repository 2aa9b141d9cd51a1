//! Training steps on a device.

mod adam;
mod pass;
mod sent;
mod summed;

use super::place::{DeviceTable, Place};
use super::sizes::{check_step, check_table};
use crate::kge::adam::{Adam, Late};
use crate::kge::formula::Formula;
use crate::kge::sample::Batch;
use crate::kge::step::Parameters;
use crate::{Error, Result};
use burn::tensor::Device;
use burn_cubecl::tensor::CubeTensor;
use sent::kept_rows;

/// Losses that are kept on the device until somebody asks.
const LOSSES: usize = 1024;

/// Trains batch by batch on a device, as [`Stepper`](crate::kge::Stepper) does on the CPU. Nothing is copied to the host but
/// what is asked for.
pub struct DeviceStepper {
    place: Place,
    formula: Formula,
    entities: DeviceTable,
    relations: DeviceTable,
    shared: DeviceTable,
    adam: Adam,
    window: u32,
    late: Late,
    /// The step that comes next.
    next: u32,
    alpha: f32,
    losses: CubeTensor,
    pending: usize,
    kept: Vec<f64>,
    powers: Vec<[f32; 2]>,
    /// How many numbers were sent with the last batch.
    sent: usize,
}

impl DeviceStepper {
    /// Trains `parameters` on a device; gaps between uses of a row are told apart up to `window` steps.
    ///
    /// # Errors
    /// When the device runs no such kernels, or a table is too large.
    pub fn new(
        formula: Formula,
        parameters: &Parameters,
        adam: Adam,
        window: u32,
        alpha: f32,
        device: &Device,
    ) -> Result<Self> {
        let place = Place::new(device)
            .ok_or_else(|| Error::user("this device runs no kernels of embeddings").at_key("backend.device"))?;
        for (of, table) in [("entities", &parameters.entities), ("relations", &parameters.relations)] {
            check_table(of, table.last.len(), table.width)?;
        }
        let table = |table| DeviceTable::new(&place, table);
        let (entities, relations) = (table(&parameters.entities), table(&parameters.relations));
        let (shared, losses) = (table(&parameters.shared), place.empty(LOSSES));
        let (kept, powers, late) = (Vec::new(), Vec::new(), Late::new(adam.clone(), window));
        Ok(Self {
            place,
            formula,
            entities,
            relations,
            shared,
            adam,
            window,
            late,
            next: 0,
            alpha,
            losses,
            pending: 0,
            kept,
            powers,
            sent: 0,
        })
    }

    /// The learning rate of a step.
    pub fn rate(&self, step: u32) -> f64 {
        self.adam.rate(step)
    }

    /// One step of Adam.
    ///
    /// # Errors
    /// When the device fails, or its kernels cannot count what the step makes.
    pub fn step(&mut self, batch: &Batch) -> Result<()> {
        check_step(self.formula, batch.triples.len(), batch.candidates)?;
        if self.pending == LOSSES {
            self.kept = self.losses()?;
        }
        let rates = self.adam.rates(batch.step, self.window);
        let keep = kept_rows(batch, false);
        self.catch_up(batch);
        self.next = batch.step + 1;
        let sent = self.send(batch, &rates, &keep);
        let passed = self.pass(&sent, batch, &rates);
        self.finish(&passed, &sent, &rates);
        self.move_rows(&passed, &sent, batch, &rates);
        Ok(())
    }

    /// The losses of the steps since the last call. Waits for them.
    ///
    /// # Errors
    /// When the device fails.
    pub fn losses(&mut self) -> Result<Vec<f64>> {
        let mut all = std::mem::take(&mut self.kept);
        let pending = std::mem::take(&mut self.pending);
        all.extend(self.place.read(&self.losses, pending)?.into_iter().map(f64::from));
        Ok(all)
    }

    /// All numbers after the last step, to go on from: those of [`Stepper::parameters`](crate::kge::Stepper::parameters).
    ///
    /// # Errors
    /// When the device fails.
    pub fn parameters(&self) -> Result<Parameters> {
        let [entities, relations, mut shared] =
            [&self.entities, &self.relations, &self.shared].map(|table| table.read(&self.place));
        if let (Ok(table), 0) = (&mut shared, self.shared.width) {
            *table = crate::kge::Table::default();
        }
        Ok(Parameters { entities: entities?, relations: relations?, shared: shared? })
    }

    /// All numbers at the end: those of [`Stepper::into_parameters`](crate::kge::Stepper::into_parameters).
    ///
    /// # Errors
    /// When the device fails.
    pub fn into_parameters(mut self) -> Result<Parameters> {
        let mut parameters = self.parameters()?;
        parameters.catch_up(self.next, &mut self.late);
        Ok(parameters)
    }
}
