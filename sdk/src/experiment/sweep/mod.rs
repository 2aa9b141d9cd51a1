//! Sweeps: many runs of one manifest, planned, trained several at once, and gone on with where they were.
//!
//! A member is a run in a process of its own: burn has one random generator a process. Members share trained stages
//! through the cache, so a stage that several have in common is trained by the first of them, for whom the others wait.

mod costs;
mod member;
mod memory;
mod plan;
mod queue;
mod run;

pub use costs::Costs;
pub use member::{MemberProgress, exit_with_parent};
pub use plan::{Plan, PlannedMember, State};
pub use run::{Finished, SweepRun};

use super::compare::{Facets, names};
use super::manifest::{Manifest, Source, SweepOptions};
use super::plan::{Experiment, to_toml};
use crate::cache::Cache;
use crate::component::Slot;
use crate::plugin::Registry;
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::path::Path;
use toml::Value;

/// The members of a manifest's sweep.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Name of the experiment.
    pub name: String,
    /// The row that the others are compared with.
    pub baseline: Option<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// One a configuration and seed.
    pub members: Vec<Member>,
}

/// One run of a sweep.
#[derive(Debug, Clone)]
pub struct Member {
    /// Digest of its manifest; name of its folder.
    pub id: String,
    /// What is different about its configuration.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// Its resolved manifest. `output` is filled in where it runs.
    pub manifest: Manifest,
    /// The keys that its stages have in the cache, as far as they are known: equal keys are one training.
    keys: Vec<String>,
    /// Names and epochs of its stages.
    pub stages: Vec<(String, usize)>,
}

impl Sweep {
    /// Plans the members of a manifest, with what it says of `quick` where that is asked for; each checked as [`Experiment::new`] and [`Experiment::check`] do.
    ///
    /// # Errors
    /// Name the manifest's line, that of the sweep's key where a member is at fault.
    pub fn load(
        path: &Path,
        settings: &[String],
        quick: bool,
        mut registry: Registry,
        cache: Option<Cache>,
    ) -> Result<Self> {
        let (mut base, mut source) = Manifest::from_source(Source::load(path, settings)?)?;
        if quick {
            let settings = base.sweep.as_ref().map(SweepOptions::quick).unwrap_or_default();
            if settings.is_empty() {
                return Err(Error::user("the manifest does not say what a quick sweep is")
                    .at_file(path)
                    .help("for example: [sweep.quick], \"sweep.seeds\" = [1], \"stage[0].epochs\" = 5"));
            }
            settings.iter().try_for_each(|s| source.set_from(&s.key, s.value.clone(), &s.written_at))?;
            (base, source) = Manifest::from_source(source)?;
        }
        let options = base.sweep.clone().unwrap_or_default();
        if base.sweep.is_none() {
            return Err(Error::user("the manifest has no [sweep]").at_file(path).help(
                "for example: [sweep], seeds = [1, 2, 3], grid = { \"model.graph_encoder\" = [\"gat\", \"gcn\"] }",
            ));
        }
        let configurations = options.configurations().map_err(|e| source.place(e))?;
        let seeds = if options.seeds.is_empty() { vec![base.seed] } else { options.seeds.clone() };
        check_seeds(&options).map_err(|e| source.place(e))?;
        let mut sweep =
            Self { name: base.name.clone(), baseline: options.baseline, notes: Vec::new(), members: Vec::new() };
        let (mut facets, mut repeated) = (Vec::new(), 0);
        for settings in &configurations {
            for &seed in &seeds {
                let mut own = source.clone();
                for setting in settings {
                    own.set_from(&setting.key, setting.value.clone(), &setting.written_at)?;
                }
                let place = if options.seeds.is_empty() { "seed" } else { "sweep.seeds" };
                own.set_from("seed", Value::Integer(seed as i64), place)?;
                let experiment = Experiment::new(Manifest::from_source(own)?, registry)?;
                let experiment = fixed_cohort(experiment, base.seed, seed, &mut sweep.notes)?.with_cache(cache.clone());
                if seed == seeds[0] {
                    experiment.check()?;
                }
                let member = Member::of(&experiment)?;
                registry = experiment.into_registry();
                if sweep.members.iter().any(|other| other.id == member.id) {
                    repeated += 1;
                    continue;
                }
                let table = toml::Table::try_from(&member.manifest)
                    .map_err(|e| Error::program(format!("the manifest cannot be written: {e}")))?;
                facets.push(Facets::of(&table));
                sweep.members.push(member);
            }
        }
        if repeated > 0 {
            sweep.notes.push(format!("{repeated} members are the same as others and are left out"));
        }
        sweep.name_members(&facets);
        if let Some(baseline) = &sweep.baseline
            && !sweep.members.iter().any(|m| m.name == *baseline)
        {
            let names = sweep.rows();
            let error = Error::user(format!("no row is named `{baseline}`")).at_key("sweep.baseline");
            return Err(source.place(error.suggest(baseline, names)));
        }
        Ok(sweep)
    }

    /// Names of the configurations, each once.
    pub fn rows(&self) -> Vec<String> {
        let mut names: Vec<String> = self.members.iter().map(|m| m.name.clone()).collect();
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    fn name_members(&mut self, facets: &[Facets]) {
        let mut distinct: Vec<Facets> = Vec::new();
        for one in facets {
            if !distinct.contains(one) {
                distinct.push(one.clone());
            }
        }
        let names = match distinct.len() {
            1 => vec![self.name.clone()],
            _ => names(&distinct),
        };
        for (member, one) in self.members.iter_mut().zip(facets) {
            let place = distinct.iter().position(|f| f == one).unwrap_or_default();
            names[place].clone_into(&mut member.name);
        }
    }

    /// Trainings of a stage that members share, and so are done once: (trainings without sharing, with it).
    pub fn trainings(&self) -> (usize, usize) {
        let all = self.members.iter().map(|m| m.stages.len()).sum();
        let mut keys: Vec<&String> = self.members.iter().flat_map(|m| &m.keys).collect();
        let known = keys.len();
        keys.sort_unstable();
        keys.dedup();
        (all, all - known + keys.len())
    }
}

impl Member {
    fn of(experiment: &Experiment) -> Result<Self> {
        let mut manifest = experiment.manifest.clone();
        let keys = experiment.stage_keys()?.iter().map(|key| key.hex().to_owned()).collect();
        let stages = manifest.stage_epochs();
        // Where results go is no part of what a member is.
        let output = std::mem::take(&mut manifest.output);
        let digest = Sha256::digest(to_toml(&manifest)?.as_bytes());
        manifest.output = output;
        let id = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
        Ok(Self { id, name: String::new(), seed: manifest.seed, manifest, keys, stages })
    }

    /// For readers: name and seed.
    pub fn title(&self) -> String {
        format!("{}, seed {}", self.name, self.seed)
    }

    /// Epochs of all stages.
    pub fn epochs(&self) -> usize {
        self.stages.iter().map(|(_, epochs)| epochs).sum()
    }
}

fn check_seeds(options: &SweepOptions) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    match options.seeds.iter().enumerate().find(|(_, seed)| !seen.insert(**seed)) {
        None => Ok(()),
        Some((i, seed)) => {
            Err(Error::user(format!("the seed {seed} is there twice")).at_key(format!("sweep.seeds[{i}]")))
        }
    }
}

/// Seeds of a sweep are those of training: a parser that makes patients up by the experiment's seed gets that of the
/// manifest itself, so that all members see the same patients.
fn fixed_cohort(experiment: Experiment, base: u64, seed: u64, notes: &mut Vec<String>) -> Result<Experiment> {
    let by_seed = experiment.parser()?.inputs().is_some_and(|inputs| inputs.seed);
    let parser = experiment.manifest.data.parser.r#type.clone();
    let info = experiment.registry().info(Slot::Parser, &parser)?;
    let has_seed = info.schema.get("properties").and_then(|p| p.get("seed")).is_some();
    if !by_seed || !has_seed || seed == base {
        return Ok(experiment);
    }
    let note = format!("the cohort is that of seed {base} in all members: seeds are of training alone");
    if !notes.contains(&note) {
        notes.push(note);
    }
    experiment.with_parser_option("seed", Value::Integer(base as i64))
}
