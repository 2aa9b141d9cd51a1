use super::{CacheArgs, ManifestArgs, StopArgs, value_of};
use crate::{interrupt, threads};
use clap::Args;
use dualk_sdk::cache::Cache;
use dualk_sdk::experiment::compare::{CompareOptions, Format};
use dualk_sdk::experiment::sweep::{Changed, Finished, Plan, Sweep as Members, SweepRun};
use dualk_sdk::progress::Console;
use dualk_sdk::storage::Access;
use dualk_sdk::{Error, Result, storage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXAMPLES: &str = "Examples:
  dualk sweep experiments/sweeps/encoders.toml --out sweeps/encoders
  dualk sweep experiments/sweeps/encoders.toml --dry-run
  dualk sweep mine.toml --set 'sweep.seeds=[1,2,3]' --jobs 4 --threads 2

In the manifest:
  [sweep]
  seeds = [1, 2, 3]
  grid = { \"model.graph_encoder\" = [{ type = \"gat\" }, { type = \"gcn\" }] }

The same command goes on where an earlier one was, and tries again what failed.
Where plugins, tables or the SDK have changed since members were complete, it
says so and asks for --keep or --again. Ctrl-C and SIGTERM let the members save
a checkpoint first; a second one ends at once.";

/// Arguments of `dualk sweep`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Sweep {
    #[command(flatten)]
    manifest: ManifestArgs,
    /// Folder of the sweep. Default: sweeps/NAME.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// List members and expected time; train nothing.
    #[arg(long)]
    dry_run: bool,
    /// Make it smaller first, as its [sweep.quick] says.
    #[arg(long)]
    quick: bool,
    /// With --dry-run: train an epoch of each row first.
    #[arg(long, requires = "dry_run")]
    measure: bool,
    /// Most members at once. Default: cores, 1 on a GPU.
    #[arg(long, value_name = "N", value_parser = count)]
    jobs: Option<usize>,
    /// Threads of each member. Default: cores / jobs.
    #[arg(long, value_name = "N", value_parser = count)]
    threads: Option<usize>,
    /// Stop all at the first member that fails.
    #[arg(long)]
    fail_fast: bool,
    /// Keep members made with other plugins or tables.
    #[arg(long, conflicts_with = "again")]
    keep: bool,
    /// Train such members again; earlier runs stay.
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    stop: StopArgs,
    /// The seeds that are all there is to it.
    #[arg(skip)]
    only: Option<Vec<u64>>,
}

/// A number of members or threads.
fn count(text: &str) -> std::result::Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| (1..=threads::MOST).contains(number));
    number.ok_or_else(|| format!("expected a number from 1 to {}", threads::MOST))
}

impl Sweep {
    /// The sweep over nothing but seeds that `dualk run --seeds` is.
    pub(super) fn of_seeds(
        manifest: ManifestArgs,
        cache: CacheArgs,
        seeds: Vec<u64>,
        (keep, again): (bool, bool),
        stop: StopArgs,
    ) -> Self {
        let (out, jobs, threads, only) = (None, None, None, Some(seeds));
        Self {
            manifest,
            out,
            dry_run: false,
            quick: false,
            measure: false,
            jobs,
            threads,
            fail_fast: false,
            keep,
            again,
            cache,
            stop,
            only,
        }
    }

    /// The members of the manifest; where seeds are all there is to it, it sweeps over nothing else.
    fn members(&self) -> Result<Members> {
        let registry = self.manifest.registry()?;
        let cache = if self.cache.no_cache { None } else { Cache::of_user() };
        let mut source = self.manifest.source()?;
        if let Some(seeds) = &self.only {
            source.assign("sweep.seeds", value_of("--seeds", seeds)?)?;
        }
        let members = Members::load(source, self.quick, registry, cache)?;
        let Some(seeds) = self.only.as_ref().filter(|_| members.rows().len() > 1) else { return Ok(members) };
        let file = self.manifest.manifest.display();
        let help = format!("`dualk sweep {file} --set 'sweep.seeds={seeds:?}'` trains its members with these");
        Err(Error::user("--seeds: the manifest has a [sweep] over more than seeds").help(help))
    }

    pub fn run(self) -> Result<()> {
        self.stop.listen()?;
        let file = self.manifest.manifest.clone();
        let members = self.members()?;
        let name = if self.quick { format!("{}-quick", members.name) } else { members.name.clone() };
        let folder = self.out.clone().unwrap_or_else(|| Path::new("sweeps").join(name));
        let progress = Console::default();
        let commands = Commands::new(&self.manifest, self.cache.no_cache, self.stop);
        let launch = |member: &Path| commands.run(member);
        let estimate = |member: &Path| commands.estimate(member);
        let run = SweepRun {
            folder: &folder,
            manifest: &file,
            jobs: self.jobs,
            threads: self.threads,
            fail_fast: self.fail_fast,
            changed: match (self.keep, self.again) {
                (true, _) => Changed::Keep,
                (_, true) => Changed::Again,
                _ => Changed::Refuse,
            },
            launch: &launch,
            estimate: &estimate,
            stop: interrupt::stop_of(&[]),
            progress: &progress,
        };
        if self.dry_run {
            let costs = self.measure.then(|| run.measure(&members)).transpose()?;
            print!("{}", run.describe(&members, costs)?);
            return Ok(());
        }
        members.notes.iter().for_each(|note| eprintln!("{note}"));
        let finished = run.run(&members)?;
        report(&folder, members.access(), &finished)
    }
}

/// The commands that members are trained and looked at with.
struct Commands {
    /// Arguments about plugins.
    trust: Vec<&'static str>,
    no_cache: bool,
    /// The lock that members get a copy of.
    lock: Option<PathBuf>,
    /// Members stop on the signal, too, where it reaches all of them.
    stop: StopArgs,
}

/// Gives a member a copy of the lock; none where it cannot be had, which the member says.
fn copy_lock(lock: &Path, copy: &Path) {
    let text = fs::read(lock).ok();
    if text.is_none_or(|text| storage::replace(copy, |new| storage::write(new, &text)).is_err()) {
        let _ = fs::remove_file(copy); // an earlier one would be taken for it
    }
}

impl Commands {
    /// Of these arguments. `--locked` looks beside the manifest.
    fn new(manifest: &ManifestArgs, no_cache: bool, stop: StopArgs) -> Self {
        let lock = manifest.trust.locked.then(|| manifest.manifest.with_file_name("plugins.lock"));
        Self { trust: manifest.trust.as_arguments(), no_cache, lock, stop }
    }

    /// `verb` for the manifest of a member.
    fn of(&self, verb: &str, member: &Path) -> Command {
        if let Some(lock) = &self.lock {
            copy_lock(lock, &member.join("plugins.lock"));
        }
        let program = std::env::current_exe().unwrap_or_else(|_| "dualk".into());
        let mut command = Command::new(program);
        command.arg(verb).arg(member.join("manifest.toml")).args(&self.trust);
        if self.no_cache {
            command.arg("--no-cache");
        }
        command
    }

    /// Tells the memory of a member's stages.
    fn estimate(&self, member: &Path) -> Command {
        let mut command = self.of("check", member);
        command.arg("--json");
        command
    }

    /// Trains a member. One that was interrupted goes on.
    fn run(&self, member: &Path) -> Command {
        let mut command = self.of("run", member);
        command.arg("--member").arg(member).arg("--resume").args(self.stop.as_arguments());
        command
    }
}

/// Prints the table of what is complete, and what failed.
fn report(folder: &Path, access: Access, finished: &Finished) -> Result<()> {
    let plan = Plan::read(folder)?.ok_or_else(|| Error::program("the sweep left no plan"))?;
    if !plan.finished(folder).is_empty() {
        // Members that are missing may be those of the baseline.
        let with = |baseline| plan.compare(folder, &CompareOptions { baseline, ..CompareOptions::default() });
        let table = with(plan.baseline.clone()).or_else(|_| with(None))?;
        print!("{}", table.render(Format::Table, None)?);
        let page = folder.join("report.html");
        storage::replace(&page, |new| {
            storage::write(new, table.html(&plan.name).as_bytes())?;
            access.give(new)
        })?;
        println!("\nreport: {}", page.display());
    }
    println!("sweep: {}", folder.display());
    match finished.failed.as_slice() {
        [] => Ok(()),
        failed => {
            let members = finished.complete + failed.len() + finished.left;
            let message = format!("{} of {members} members failed", failed.len());
            let error = match finished.code {
                2 => Error::user(message),
                _ => Error::program(message),
            };
            let error = failed.iter().fold(error, |error, (title, text, log)| {
                let text = text.replace('\n', "\n    ");
                error.help(format!("{title}: {text}\n    log: {}", log.display()))
            });
            Err(error.help("the same command tries them again, and only them"))
        }
    }
}
