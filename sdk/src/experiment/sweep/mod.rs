//! Sweeps: many runs of one manifest, planned, trained several at once, and gone on with where they were.
//!
//! A member is a run in a process of its own: burn has one random generator a process. Members share trained stages
//! through the cache, so a stage that several have in common is trained by the first of them, for whom the others wait.

mod changed;
mod choice;
mod costs;
mod describe;
mod folders;
mod member;
mod memory;
mod plan;
mod planner;
mod queue;
mod run;
mod work;
mod worker;

pub use changed::Changed;
pub use costs::Costs;
pub use folders::{named_runs, run_folders};
pub use member::{MemberProgress, exit_with_parent};
pub use plan::{Plan, PlannedMember, State};
pub use run::{Finished, SweepRun};

use super::experiment::Experiment;
use super::identity::Identity;
use super::manifest::{Manifest, Source};
use super::plan::to_toml;
use crate::cache::Cache;
use crate::plugin::Registry;
use crate::storage::{Access, hex};
use crate::{Error, Result};
use planner::{Planner, quickened};
use sha2::{Digest, Sha256};

/// The members of a manifest's sweep.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Name of the experiment.
    pub name: String,
    /// The row that the others are compared with.
    pub baseline: Option<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// One a configuration, setting that it is tuned by, and seed.
    pub members: Vec<Member>,
}

/// One run of a sweep.
#[derive(Debug, Clone)]
pub struct Member {
    /// Digest of its manifest; name of its folder.
    pub id: String,
    /// Its row: as the manifest names it, or what is different about its configuration.
    pub name: String,
    /// Whether the manifest gives the row this name.
    pub named: bool,
    /// What the row is tuned to in it, such as `lr = 0.002`; `None` where nothing is tuned.
    pub setting: Option<String>,
    /// Whose patients it is trained and tested on, such as `data.split.seed = 2`; `None` where the sweep does not say.
    pub patients: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// Whether it trains only where its setting is the one that its row chose with other seeds.
    pub awaits_choice: bool,
    /// Its resolved manifest. `output` is filled in where it runs.
    pub manifest: Manifest,
    /// What decides its results, with the plugins of other members, too, and the threads of this process.
    identity: Identity,
    /// What it trains and keeps in the cache, as far as keys are known, in this order: embeddings, then stages. Equal keys are
    /// one training.
    keys: Vec<String>,
    /// How many of them are embeddings.
    embeddings: usize,
    /// Names and epochs of its stages.
    pub stages: Vec<(String, usize)>,
}

impl Sweep {
    /// Plans the members of a manifest, with what it says of `quick` where that is asked for; each checked as
    /// [`Experiment::new`] and [`Experiment::check`] do.
    ///
    /// # Errors
    /// Name the manifest's line, that of the sweep's key where a member is at fault.
    pub fn load(source: Source, quick: bool, registry: Registry, cache: Option<Cache>) -> Result<Self> {
        let (base, source) = Manifest::from_source(source)?;
        let (base, source) = if quick { quickened(base, source)? } else { (base, source) };
        let Some(options) = base.sweep.clone() else {
            return Err(Error::user("the manifest has no [sweep]").at_file(source.path()).help(
                "for example: [sweep], seeds = [1, 2, 3], grid = { \"model.graph_encoder\" = [\"gat\", \"gcn\"] }",
            ));
        };
        Planner::new(base, source, options, registry, cache).plan()
    }

    /// Who may read its runs and its page, beside their owner: as its first member says.
    pub fn access(&self) -> Access {
        self.members.first().map(|member| member.manifest.output.access).unwrap_or_default()
    }

    /// Names of the configurations, each once.
    pub fn rows(&self) -> Vec<String> {
        let mut names: Vec<String> = self.members.iter().map(|m| m.name.clone()).collect();
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Refuses a baseline that is no row.
    fn check_baseline(&self) -> Result<()> {
        match &self.baseline {
            Some(baseline) if !self.members.iter().any(|m| m.name == *baseline) => {
                let error = Error::user(format!("no row is named `{baseline}`")).at_key("sweep.baseline");
                Err(error.suggest(baseline, self.rows()))
            }
            _ => Ok(()),
        }
    }

    /// Trainings of a stage that members share, and so are done once: (trainings without sharing, with it).
    pub fn trainings(&self) -> (usize, usize) {
        let all = self.members.iter().map(|m| m.stages.len()).sum();
        let mut keys: Vec<&String> = self.members.iter().flat_map(Member::stage_keys).collect();
        let known = keys.len();
        keys.sort_unstable();
        keys.dedup();
        (all, all - known + keys.len())
    }
}

impl Member {
    fn of(experiment: &Experiment) -> Result<Self> {
        let mut manifest = experiment.manifest().clone();
        let embeddings = experiment.embedding_keys()?;
        let keys = embeddings.iter().chain(&experiment.stage_keys()?).map(|key| key.hex().to_owned()).collect();
        let embeddings = embeddings.len();
        let stages = manifest.stage_epochs();
        // Where results go is no part of what a member is.
        let output = std::mem::take(&mut manifest.output);
        let digest = Sha256::digest(to_toml(&manifest)?.as_bytes());
        manifest.output = output;
        let id = hex(&digest[..6]);
        let (name, seed, identity) = (String::new(), manifest.seed, experiment.identity()?);
        let (setting, patients) = (None, None);
        let (named, awaits_choice) = (false, false);
        Ok(Self {
            id,
            name,
            named,
            setting,
            patients,
            seed,
            awaits_choice,
            manifest,
            identity,
            keys,
            embeddings,
            stages,
        })
    }

    /// The keys of its stages.
    fn stage_keys(&self) -> &[String] {
        &self.keys[self.embeddings..]
    }

    /// For readers: name, what it is tuned to, patients, and seed.
    pub fn title(&self) -> String {
        format!("{}, seed {}", self.on_patients(), self.seed)
    }

    /// Its configuration, and whose patients it is trained on where the sweep says so.
    pub fn on_patients(&self) -> String {
        match &self.patients {
            Some(patients) => format!("{}, {patients}", self.configuration()),
            None => self.configuration(),
        }
    }

    /// Its row and what that is tuned to: members that differ in seeds alone have it in common.
    pub fn configuration(&self) -> String {
        match &self.setting {
            Some(setting) => format!("{}, {setting}", self.name),
            None => self.name.clone(),
        }
    }

    /// Epochs of all stages.
    pub fn epochs(&self) -> usize {
        self.stages.iter().map(|(_, epochs)| epochs).sum()
    }
}
