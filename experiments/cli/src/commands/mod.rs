//! One file a command.

mod bench;
mod cache;
mod check;
mod compare;
mod doctor;
mod eval;
mod export;
mod icd;
mod import;
mod install;
mod kge;
mod list;
mod package;
mod plugin;
mod prepare;
mod report;
mod run;
mod schema;
mod scrub;
mod sweep;
mod synth;
mod watch;

use crate::interrupt;
use clap::{Args, Subcommand};
use dualk_sdk::cache::Cache;
use dualk_sdk::error::Mistakes;
use dualk_sdk::experiment::embedding::{KgeExperiment, KgeManifest};
use dualk_sdk::experiment::manifest::Source;
use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::plugin::{Inspection, PluginsLock, Registry, Trust};
use dualk_sdk::serde::Serialize;
use dualk_sdk::toml::Value;
use dualk_sdk::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
pub use watch::restore as restore_terminal;

/// What `dualk` can do.
#[derive(Subcommand)]
pub enum Command {
    /// Train and evaluate an experiment.
    Run(run::Run),
    /// Train variations of an experiment, and compare them.
    Sweep(sweep::Sweep),
    /// Compare runs: means over seeds, differences paired by patient.
    Compare(compare::Compare),
    /// Show how a run goes: curves, time left, memory, last lines.
    Watch(watch::Watch),
    /// Write the page of a finished run or a sweep anew.
    Report(report::Report),
    /// Check a manifest and the files it names, without starting work.
    Check(check::Check),
    /// Write cohort, vocabulary, split and graph of a manifest to a folder.
    Prepare(prepare::Prepare),
    /// Repeat the evaluation of a run from its weights.
    Eval(eval::Eval),
    /// Copy a run without what must not be shown to others.
    Scrub(scrub::Scrub),
    /// Write the vectors of a run's codes, with titles, as Parquet.
    Export(export::ExportCommand),
    /// Show title, chapter, category and equivalents of ICD codes.
    Icd(icd::IcdCommand),
    /// Embed knowledge graphs: train, evaluate, draw, look around.
    Kge(kge::Kge),
    /// Make a run of the files that the published DuaLK code saves.
    Import(import::Import),
    /// Show, clean and check what is kept between runs.
    Cache(cache::CacheCommand),
    /// Measure training steps, evaluation, kernels and the machine.
    Bench(bench::Bench),
    /// Show components, the plugins they come from and their options.
    List(list::List),
    /// Inspect, create and build plugins.
    Plugin(plugin::Plugin),
    /// Write made-up tables like those of MIMIC-IV, of any size.
    Synth(synth::Synth),
    /// Print the JSON Schema of manifests, for editors.
    Schema(schema::Schema),
    /// Install program, SDK and plugins, from a clone.
    Install(install::Install),
    /// Write archives that run on machines of the same kind without Rust.
    Package(package::Package),
    /// Show devices, versions and what is missing.
    Doctor(doctor::Doctor),
}

impl Command {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self {
            Command::Run(command) => command.run(),
            Command::Sweep(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Report(command) => command.run(),
            Command::Watch(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Prepare(command) => command.run(),
            Command::Eval(command) => command.run(),
            Command::Scrub(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Icd(command) => command.run(),
            Command::Kge(command) => command.run(),
            Command::Import(command) => command.run(),
            Command::Cache(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::List(command) => command.run(),
            Command::Plugin(command) => command.run(),
            Command::Synth(command) => command.run(),
            Command::Schema(command) => command.run(),
            Command::Install(command) => command.run(),
            Command::Package(command) => command.run(),
            Command::Doctor(command) => command.run(),
        }
    }
}

/// A manifest with changes from the command line.
#[derive(Args)]
pub struct ManifestArgs {
    /// The manifest, a TOML file; or the name of one that is installed.
    #[arg(value_parser = here_or_shipped)]
    manifest: PathBuf,
    /// Change a key, such as model.graph_encoder=gcn.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Compute on auto, cpu, cuda, cuda:1, wgpu or wgpu:1.
    #[arg(long)]
    device: Option<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// A manifest as it is named, or, where there is no such file, the one of this name that was installed with the program:
/// `experiments/quickstart.toml` is then found from any folder.
fn here_or_shipped(text: &str) -> std::result::Result<PathBuf, std::convert::Infallible> {
    let named = PathBuf::from(text);
    if named.exists() || named.is_absolute() {
        return Ok(named);
    }
    let program = std::env::current_exe().ok().and_then(|program| program.canonicalize().ok());
    let shipped = program.and_then(|p| p.parent()?.join("../share/dualk").join(&named).canonicalize().ok());
    Ok(shipped.unwrap_or(named))
}

/// Which plugin files may be loaded.
#[derive(Args)]
pub struct TrustArgs {
    /// Load no plugins but those of plugins.lock.
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    writable: WritableArg,
}

/// Whether a plugin file may be anyone's to change.
#[derive(Args, Default)]
pub struct WritableArg {
    /// Load plugin files that others may change, too.
    #[arg(long)]
    allow_world_writable: bool,
}

impl TrustArgs {
    /// As arguments of another command.
    fn as_arguments(&self) -> Vec<&'static str> {
        let given = [(self.locked, "--locked"), (self.writable.allow_world_writable, "--allow-world-writable")];
        given.iter().filter(|(given, _)| *given).map(|(_, argument)| *argument).collect()
    }

    /// A registry that loads what is trusted; the lock is in `folder`.
    fn registry(&self, folder: &Path) -> Result<Registry> {
        Ok(match self.locked {
            true => registry(self.writable.trust().locked(PluginsLock::read(&folder.join("plugins.lock"))?)),
            false => self.writable.registry(),
        })
    }
}

/// The one way to a registry that loads plugins for a command: what is loaded is announced and trusted.
fn registry(trust: Trust) -> Registry {
    Registry::new().trusting(trust)
}

impl WritableArg {
    /// A registry that loads what is trusted, without a lock.
    fn registry(&self) -> Registry {
        registry(self.trust())
    }

    /// Shows every plugin that did not come with the program before it runs, once.
    fn trust(&self) -> Trust {
        static SHOWN: Mutex<BTreeSet<(PathBuf, String)>> = Mutex::new(BTreeSet::new());
        let own = own_folders();
        let is_first = |plugin: &Inspection| {
            let this = (plugin.file.clone(), plugin.sha256.clone());
            // Whoever holds it only inserts, so that a panic leaves it whole.
            SHOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(this)
        };
        let trust = Trust::default().announce(move |plugin| {
            let is_own = plugin.file.parent().is_some_and(|folder| own.iter().any(|own| own == folder));
            if !is_own && is_first(plugin) {
                let (name, version, sha256) = (&plugin.name, &plugin.version, &plugin.sha256);
                eprintln!("plugin {name} {version}: {}\n  sha256 {sha256}", plugin.file.display());
            }
        });
        match self.allow_world_writable {
            true => trust.allow_world_writable(),
            false => trust,
        }
    }
}

/// Where the plugins are that come with this program.
fn own_folders() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok().and_then(|program| program.canonicalize().ok());
    let beside = program.as_deref().and_then(Path::parent).map(Path::to_owned);
    let installed = beside.as_ref().and_then(|folder| folder.join("../lib/dualk").canonicalize().ok());
    beside.into_iter().chain(installed).collect()
}

/// What asks training to stop, beside SIGINT and SIGTERM.
#[derive(Args, Clone, Copy)]
pub struct StopArgs {
    /// Save and stop on this signal too, such as USR1.
    #[arg(long, value_name = "SIGNAL", value_parser = interrupt::signal)]
    stop_signal: Option<i32>,
}

impl StopArgs {
    /// Looks at the signal from now on.
    fn listen(self) -> Result<()> {
        self.stop_signal.map_or(Ok(()), interrupt::also_on)
    }

    /// As arguments of another command.
    fn as_arguments(self) -> Vec<String> {
        self.stop_signal.map(|signal| vec!["--stop-signal".to_owned(), signal.to_string()]).unwrap_or_default()
    }
}

/// Whether to use what earlier runs kept.
#[derive(Args)]
pub struct CacheArgs {
    /// Neither use the cache nor add to it.
    #[arg(long)]
    no_cache: bool,
}

impl CacheArgs {
    /// The experiment with the cache of the user, or without any.
    fn apply(&self, experiment: Experiment) -> Experiment {
        match self.no_cache {
            true => experiment.without_cache(),
            false => experiment.with_cache(Cache::of_user()),
        }
    }
}

impl ManifestArgs {
    /// Loads the manifest and everything it names.
    fn experiment(self) -> Result<Experiment> {
        let registry = self.registry()?;
        Experiment::new(self.load()?, registry)
    }

    /// Loads the manifest and what its data need.
    fn data_only(self) -> Result<Experiment> {
        let registry = self.registry()?;
        Experiment::data_only(self.load()?, registry)
    }

    /// Reads the manifest with what the command line changes, be it that of an experiment or of an embedding.
    fn source(&self) -> Result<Source> {
        let mut source = Source::load(&self.manifest, &self.settings)?;
        if let Some(device) = &self.device {
            source.assign("backend.device", device.as_str().into())?;
        }
        Ok(source)
    }

    /// Loads everything that the manifest of an experiment names as [`ManifestArgs::experiment`] does, and finds all mistakes:
    /// those of its keys, of components and, when those can be looked at, of tables.
    fn checked(&self, source: Source) -> Result<Experiment> {
        let mut mistakes = Mistakes::default();
        let (manifest, source, read) = Manifest::partly_from_source(source)?;
        mistakes.note(read);
        let of_tables = (manifest.clone(), source.clone());
        let experiment = self.registry().and_then(|registry| Experiment::new((manifest, source), registry));
        let experiment = mistakes.note(experiment);
        if !mistakes.is_empty() {
            // What is wrong with the data's components was found above.
            let data = self.registry().and_then(|registry| Experiment::tables_only(of_tables, registry));
            if let Ok(data) = data {
                mistakes.note(data.check());
            }
        }
        mistakes.finish(experiment)
    }

    /// Loads everything that the manifest of an embedding names.
    fn embedding(&self, source: Source) -> Result<KgeExperiment> {
        KgeExperiment::new(KgeManifest::from_source(source)?, self.registry()?)
    }

    fn registry(&self) -> Result<Registry> {
        self.trust.registry(self.manifest.parent().unwrap_or(Path::new(".")))
    }

    fn load(self) -> Result<(Manifest, Source)> {
        Manifest::from_source(self.source()?)
    }
}

/// What an argument of the command line gives a key of a manifest.
fn value_of(argument: &str, given: impl Serialize) -> Result<Value> {
    Value::try_from(given).map_err(|e| {
        let most = format!("whole numbers are at most {}", i64::MAX);
        Error::user(format!("{argument}: {e}")).help(most)
    })
}
