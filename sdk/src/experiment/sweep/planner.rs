//! From a manifest with a sweep to its members.

use super::{Member, Sweep};
use crate::cache::Cache;
use crate::component::Slot;
use crate::experiment::Experiment;
use crate::experiment::compare::Facets;
use crate::experiment::manifest::{Manifest, Setting, Source, SweepOptions};
use crate::plugin::Registry;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::Path;
use toml::Value;

/// What a manifest says of a quick sweep, put into it.
pub(super) fn quickened(base: Manifest, mut source: Source, path: &Path) -> Result<(Manifest, Source)> {
    let settings = base.sweep.as_ref().map(SweepOptions::quick).unwrap_or_default();
    if settings.is_empty() {
        return Err(Error::user("the manifest does not say what a quick sweep is")
            .at_file(path)
            .help("for example: [sweep.quick], \"sweep.seeds\" = [1], \"stage[0].epochs\" = 5"));
    }
    settings.iter().try_for_each(|s| source.set_from(&s.key, s.value.clone(), &s.written_at))?;
    Manifest::from_source(source)
}

/// Members as far as they are planned.
pub(super) struct Planner {
    base: Manifest,
    source: Source,
    options: SweepOptions,
    /// Given to each member's experiment, and taken back.
    registry: Registry,
    cache: Option<Cache>,
    members: Vec<Member>,
    /// What is particular to each of them.
    facets: Vec<Facets>,
    notes: Vec<String>,
}

impl Planner {
    pub fn new(
        base: Manifest,
        source: Source,
        options: SweepOptions,
        registry: Registry,
        cache: Option<Cache>,
    ) -> Self {
        let (members, facets, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { base, source, options, registry, cache, members, facets, notes }
    }

    /// Plans a member for each configuration and seed.
    pub fn plan(mut self) -> Result<Sweep> {
        let configurations = self.options.configurations().map_err(|e| self.source.place(e))?;
        check_seeds(&self.options).map_err(|e| self.source.place(e))?;
        let seeds = if self.options.seeds.is_empty() { vec![self.base.seed] } else { self.options.seeds.clone() };
        let mut repeated = 0;
        for settings in &configurations {
            for &seed in &seeds {
                repeated += usize::from(!self.add(settings, seed, seed == seeds[0])?);
            }
        }
        if repeated > 0 {
            self.notes.push(format!("{repeated} members are the same as others and are left out"));
        }
        let Self { base, source, options, members, facets, notes, .. } = self;
        let mut sweep = Sweep { name: base.name, baseline: options.baseline, notes, members };
        sweep.name_members(&facets);
        sweep.check_baseline().map_err(|e| source.place(e))?;
        Ok(sweep)
    }

    /// Adds a member, after looking at its files where `check` says so; false when there is one like it.
    fn add(&mut self, settings: &[Setting], seed: u64, check: bool) -> Result<bool> {
        let mut own = self.source.clone();
        for setting in settings {
            own.set_from(&setting.key, setting.value.clone(), &setting.written_at)?;
        }
        let place = if self.options.seeds.is_empty() { "seed" } else { "sweep.seeds" };
        own.set_from("seed", Value::Integer(seed as i64), place)?;
        let experiment = Experiment::new(Manifest::from_source(own)?, std::mem::take(&mut self.registry))?;
        let experiment = self.with_fixed_cohort(experiment, seed)?.with_cache(self.cache.clone());
        if check {
            experiment.check()?;
        }
        let member = Member::of(&experiment)?;
        self.registry = experiment.into_registry();
        if self.members.iter().any(|other| other.id == member.id) {
            return Ok(false);
        }
        let table = toml::Table::try_from(&member.manifest)
            .map_err(|e| Error::program(format!("the manifest cannot be written: {e}")))?;
        self.facets.push(Facets::of(&table));
        self.members.push(member);
        Ok(true)
    }

    /// Seeds of a sweep are those of training: a parser that makes patients up by the experiment's seed gets that of the
    /// manifest itself, so that all members see the same patients.
    fn with_fixed_cohort(&mut self, experiment: Experiment, seed: u64) -> Result<Experiment> {
        let base = self.base.seed;
        let info = experiment.registry().info(Slot::Parser, &experiment.manifest().data.parser.r#type)?;
        let has_seed = info.schema.get("properties").and_then(|p| p.get("seed")).is_some();
        if seed == base || !has_seed || !experiment.is_made_up_by_seed()? {
            return Ok(experiment);
        }
        let note = format!("the cohort is that of seed {base} in all members: seeds are of training alone");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
        experiment.with_parser_option("seed", Value::Integer(base as i64))
    }
}

fn check_seeds(options: &SweepOptions) -> Result<()> {
    let mut seen = BTreeSet::new();
    match options.seeds.iter().enumerate().find(|(_, seed)| !seen.insert(**seed)) {
        None => Ok(()),
        Some((i, seed)) => {
            Err(Error::user(format!("the seed {seed} is there twice")).at_key(format!("sweep.seeds[{i}]")))
        }
    }
}
