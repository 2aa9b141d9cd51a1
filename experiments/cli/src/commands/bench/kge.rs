//! `dualk bench kge`: training steps of an embedding model on a made-up graph.

use super::machine::{forget_peak_memory, peak_memory_gib};
use super::report::{Format, Report, Times};
use super::setup::set_threads;
use super::{check_room, size};
use crate::commands::WritableArg;
use clap::Args;
use dualk_sdk::component::Slot;
use dualk_sdk::device::{self, NamedDevice};
use dualk_sdk::kge::{
    Adam, EmbeddingModel, KgeSchedule, KnowledgeGraph, Known, Parameters, SampleOptions, Sampler, Trained, Trainer,
    Triple, Unused, ranks_on, window,
};
use dualk_sdk::progress::Silent;
use dualk_sdk::serde_json::{Value, json};
use dualk_sdk::slots;
use dualk_sdk::toml::Table;
use dualk_sdk::{Error, Result};
use std::time::Instant;

/// Arguments of `dualk bench kge`.
#[derive(Args)]
pub struct Kge {
    /// The embedding model.
    #[arg(long, default_value = "hake")]
    model: String,
    /// Triples of a step.
    #[arg(long, default_value_t = 128, value_parser = size)]
    batch: usize,
    /// Negatives of a triple.
    #[arg(long, default_value_t = 256, value_parser = size)]
    negatives: usize,
    /// The model's option `dim`.
    #[arg(long, default_value_t = 500, value_parser = size)]
    dim: usize,
    /// Entities of the graph; WN18RR has 40,943, the graph of DuaLK 52,604.
    #[arg(long, default_value_t = 40_943, value_parser = size)]
    entities: usize,
    /// Relations of the graph.
    #[arg(long, default_value_t = 11, value_parser = size)]
    relations: usize,
    /// Triples of the graph.
    #[arg(long, default_value_t = 86_835, value_parser = size)]
    triples: usize,
    /// Steps that are timed, after three that are not; on devices other than the CPU twenty by twenty.
    #[arg(long, default_value_t = 20)]
    steps: u32,
    /// All triples of a step have the same negatives.
    #[arg(long)]
    shared: bool,
    /// Rows without a gradient stay as they are, instead of moving on by their first moment.
    #[arg(long)]
    still: bool,
    /// Where to compute: `cpu`, `cuda`, `wgpu`, or as `dualk doctor` lists them.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of the CPU. Default: all.
    #[arg(long, value_parser = size)]
    threads: Option<usize>,
    /// Triples that are ranked afterwards, on both sides, among all entities.
    #[arg(long, default_value_t = 0, value_parser = size)]
    ranked: usize,
    #[command(flatten)]
    format: Format,
}

/// Steps before those that are timed.
const WARM: u32 = 3;
/// Steps of a device that are timed together. Training reads losses a hundred times a run: a step begins there before the one
/// before has ended.
const TOGETHER: u32 = 20;

/// What steps took.
#[derive(Default)]
struct Measured {
    /// Seconds a step, and of these waiting for the batch.
    seconds: Vec<f64>,
    waits: Vec<f64>,
    /// Rows that were scored and cells, of all steps.
    rows: usize,
    cells: usize,
    /// The last loss.
    loss: f64,
}

impl Kge {
    /// Refuses sizes that the machine has no memory for.
    fn check_room(&self, model: &dyn EmbeddingModel) -> Result<()> {
        let product = |one: usize, other: usize| one as f64 * other as f64;
        let [of_entities, of_relations] = [model.entity_width(), model.relation_width()];
        // Parameters and both moments of Adam.
        let tables = 3.0 * (product(self.entities, of_entities) + product(self.relations, of_relations));
        check_room(
            "embeddings, triples and negatives",
            tables + product(self.triples, 3) + product(self.batch, self.negatives),
        )
    }

    pub fn run(self) -> Result<()> {
        set_threads(self.threads)?;
        self.check()?;
        let mut registry = WritableArg::default().registry();
        registry.require(Slot::KgeModel, &self.model).map_err(|e| e.at_key("--model"))?;
        let options = Table::from_iter([("dim".to_owned(), (self.dim as i64).into())]);
        let model = registry.make::<slots::kge_model>(&self.model, options)?;
        let device = device::open(&self.device).map_err(|e| e.at_key("--device"))?;
        self.check_room(&*model)?;
        forget_peak_memory();
        let graph = self.graph();
        let known = Known::new(&graph.train);
        let options = self.samples();
        let unused = if self.still { Unused::Still } else { Unused::Moved };
        let (schedule, epsilon) = (KgeSchedule::Constant, 1e-8);
        let adam = Adam { lr: 5e-5, beta1: 0.9, beta2: 0.999, epsilon, steps: options.steps, schedule, unused };
        let parameters = Parameters::new(&*model, self.entities, self.relations, 1);
        let mut trainer = Trainer::new(&*model, parameters, adam, window(&options), 0.5, &device)?;
        let sampler = Sampler::new(&graph, &known, options, 0).at_once(trainer.batches_at_once());
        let measured = self.train(&mut trainer, sampler)?;
        let mut line = self.line(&*model, &device.name, measured, peak_memory_gib());
        let parameters = trainer.into_parameters()?;
        if self.ranked > 0 {
            let (seconds, peak) = self.rank(&*model, parameters, &graph, known, &device)?;
            line["ranked"] = json!(self.ranked);
            line["rank_s"] = json!(seconds);
            line["rank_peak_rss_gib"] = json!(peak);
        }
        let mut report = Report::new(self.format);
        report.add(line);
        report.finish();
        Ok(())
    }

    /// Refuses sizes that no graph and no batch has.
    fn check(&self) -> Result<()> {
        for (name, value) in
            [("--entities", self.entities), ("--relations", self.relations), ("--triples", self.triples)]
        {
            if value == 0 || value > 1 << 30 {
                return Err(Error::user(format!("{name}: expected a number from 1 to 1,073,741,824, found {value}")));
            }
        }
        for (name, value) in
            [("--batch", self.batch), ("--negatives", self.negatives), ("--steps", self.steps as usize)]
        {
            if value == 0 {
                return Err(Error::user(format!("{name}: expected at least 1, found 0")));
            }
        }
        Ok(())
    }

    fn samples(&self) -> SampleOptions {
        SampleOptions {
            batch: self.batch,
            negatives: self.negatives,
            shared: self.shared,
            subsampling: true,
            // As in the middle of training, so that it is known when the rows of the last timed steps are used again.
            steps: WARM + self.steps + 64,
            seed: 1,
        }
    }

    /// What is reported of the steps.
    fn line(&self, model: &dyn EmbeddingModel, device: &str, measured: Measured, peak: Option<f64>) -> Value {
        let Measured { seconds, waits, rows, cells, loss } = measured;
        let n = f64::from(self.steps);
        let (times, waits) = (Times::new(seconds), Times::new(waits));
        let (rows, cells) = (rows as f64 / n, cells as f64 / n);
        let (width, query) = (model.entity_width() as f64, model.query_width() as f64);
        json!({
            "bench": "kge",
            "model": self.model,
            "device": device,
            "threads": rayon::current_num_threads(),
            "batch": self.batch,
            "negatives": self.negatives,
            "dim": self.dim,
            "entities": self.entities,
            "relations": self.relations,
            "steps": self.steps,
            "step_s": times.median(),
            "step_s_min": times.min(),
            "step_s_max": times.max(),
            // Of these, for the batch: sampling is on a thread of its own.
            "wait_s": waits.median(),
            "peak_rss_gib": peak,
            "loss": loss,
            "rows": rows,
            "cells": cells,
            // Scored rows are read once to score, and row and moments are read and written once to update.
            "bytes_floor": rows * width * 4.0 * 7.0,
            // What both passes read and add to of queries, from caches.
            "bytes_queries": cells * query * 4.0 * 4.0,
        })
    }

    /// Times the steps: one by one on the CPU, and on a device [`TOGETHER`] at a time, with one reading of the loss. From the end
    /// of a step to that of the next, waiting for the batch included.
    fn train(&self, trainer: &mut Trainer<'_>, sampler: Sampler<'_>) -> Result<Measured> {
        let together = if matches!(trainer, Trainer::Cpu(_)) { 1 } else { TOGETHER };
        let (all, mut measured) = (WARM + self.steps, Measured::default());
        let (sender, receiver) = std::sync::mpsc::sync_channel(trainer.prefetched_batches());
        std::thread::scope(|scope| {
            scope
                .spawn(move || sampler.map(|batch| sender.send(batch).ok()).take_while(Option::is_some).for_each(drop));
            let (mut start, mut ready, mut waited, mut last) = (Instant::now(), Instant::now(), 0.0, 0);
            for batch in receiver.into_iter().take(all as usize) {
                let (step, timed) = (batch.step + 1, batch.step >= WARM);
                waited += ready.elapsed().as_secs_f64();
                let ends = step == all || step >= WARM && (step - WARM).is_multiple_of(together);
                measured.loss = trainer.step(&batch, ends)?.last().copied().unwrap_or(measured.loss);
                if timed {
                    measured.rows += batch.scored.rows.len();
                    measured.cells += batch.cells.len();
                }
                if ends {
                    let steps = f64::from(step - last);
                    if timed {
                        measured.seconds.push(start.elapsed().as_secs_f64() / steps);
                        measured.waits.push(waited / steps);
                    }
                    (start, waited, last) = (Instant::now(), 0.0, step);
                }
                ready = Instant::now();
            }
            Ok(measured)
        })
    }

    /// Ranks the first triples of the graph as `dualk kge eval` does, without the moments of Adam: seconds, and the peak of
    /// memory.
    fn rank(
        &self,
        model: &dyn EmbeddingModel,
        mut parameters: Parameters,
        graph: &KnowledgeGraph,
        known: Known,
        device: &NamedDevice,
    ) -> Result<(f64, Option<f64>)> {
        for table in [&mut parameters.entities, &mut parameters.relations] {
            (table.first, table.second) = (Vec::new(), Vec::new());
        }
        forget_peak_memory();
        let triples = &graph.train[..self.ranked.min(graph.train.len())];
        let start = Instant::now();
        let trained = Trained { model, parameters: &parameters };
        let found = ranks_on(device, &trained, triples, &known, &Silent)?;
        std::hint::black_box(found);
        Ok((start.elapsed().as_secs_f64(), peak_memory_gib()))
    }

    fn graph(&self) -> KnowledgeGraph {
        let mut state = 1u64;
        let mut below = |n: usize| {
            // A linear congruential generator (Knuth's constants) is random enough for a workload.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((u128::from(state) * n as u128) >> 64) as u32
        };
        let train = (0..self.triples)
            .map(|_| Triple { head: below(self.entities), relation: below(self.relations), tail: below(self.entities) })
            .collect();
        let names = |n: usize| (0..n).map(|i| i.to_string()).collect();
        KnowledgeGraph { entities: names(self.entities), relations: names(self.relations), train, ..Default::default() }
    }
}
