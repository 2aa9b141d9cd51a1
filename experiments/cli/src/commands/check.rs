use super::{CacheArgs, ManifestArgs};
use clap::Args;
use dualk_sdk::experiment::manifest::Source;
use dualk_sdk::experiment::sweep::{Plan, Sweep};
use dualk_sdk::experiment::{Experiment, Manifest, StageMemory};
use dualk_sdk::memory;
use dualk_sdk::progress::Console;
use dualk_sdk::{Error, Result, serde_json};

/// Arguments of `dualk check`.
#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    cache: CacheArgs,
    /// Print the manifest with every default filled in.
    #[arg(long)]
    resolved: bool,
    /// Do not read the data, nor say what memory it takes.
    #[arg(long)]
    no_memory: bool,
    /// Read the data; check that nobody is on two sides.
    #[arg(long)]
    leaks: bool,
    /// Print the memory of each stage as JSON, in bytes.
    #[arg(long, conflicts_with_all = ["resolved", "no_memory", "leaks"])]
    json: bool,
}

impl Check {
    pub fn run(self) -> Result<()> {
        let source = self.manifest.source()?;
        match source.names_triples() {
            true => self.embedding(source),
            false => self.experiment(source),
        }
    }

    fn embedding(self, source: Source) -> Result<()> {
        let experiment = self.manifest.embedding(source)?;
        if self.resolved {
            print!("{}", experiment.resolved()?);
        }
        experiment.check()?;
        let (manifest, device) = (&experiment.manifest, experiment.device()?.name);
        eprintln!("{}: ok, {} on {device}", manifest.name, manifest.model.r#type);
        if self.json {
            println!("[]");
        }
        Ok(())
    }

    fn experiment(self, source: Source) -> Result<()> {
        let experiment = self.cache.apply(self.manifest.checked(source.clone())?);
        if self.resolved {
            print!("{}", experiment.resolved()?);
        }
        experiment.check()?;
        let members = self.members(source)?;
        if self.leaks {
            experiment.check_leaks(&Console::default())?.iter().for_each(|line| println!("{line}"));
        }
        let trains = !experiment.manifest().stage.is_empty() && !experiment.manifest().evaluate_only;
        let manifest = experiment.manifest();
        let stages = match manifest.stage.len() {
            1 => "1 stage".to_owned(),
            n => format!("{n} stages"),
        };
        let ok = format!("{}: ok, {stages} on {}{members}", manifest.name, experiment.device().name);
        // What is resolved may be on its way to a file.
        if trains && !self.no_memory && !self.resolved {
            return expected_memory(experiment, &ok, self.json);
        }
        eprintln!("{ok}");
        if self.json {
            println!("[]");
        }
        Ok(())
    }
}

impl Check {
    /// Looks at every member of the sweep as at an experiment of its own, also of the quick one; how many there are. Nothing
    /// without a sweep.
    fn members(&self, source: Source) -> Result<String> {
        let (manifest, source) = Manifest::from_source(source)?;
        let Some(sweep) = manifest.sweep else { return Ok(String::new()) };
        let planned = |quick: bool| -> Result<usize> {
            let sweep = Sweep::load(source.clone(), quick, self.manifest.registry()?, None)?;
            // Of settings to choose from, the other seeds train one.
            Ok(Plan::of(&sweep, source.path(), 1).to_train())
        };
        let all = format!("; {} members of its sweep", planned(false)?);
        Ok(match sweep.quick().is_empty() {
            true => all,
            false => format!("{all}, {} with --quick", planned(true)?),
        })
    }
}

/// Says `ok` once every stage was rehearsed, for a model that the machine has no room for is refused there; then the largest
/// memory of the computer in each stage, and a warning when the machine has less.
fn expected_memory(experiment: Experiment, ok: &str, as_json: bool) -> Result<()> {
    let device = experiment.device().name.clone();
    let available = memory::available();
    let stages = experiment.rehearse(&Console::default())?;
    eprintln!("{ok}\n{}", heading(&device));
    match as_json {
        true => println!("{}", json(&stages)?),
        false => stages.iter().for_each(|stage| println!("{}", line(stage))),
    }
    let most = stages.iter().filter_map(|stage| stage.peak).max().unwrap_or(0);
    if let Some(warning) = available.and_then(|available| too_little(most, available)) {
        eprintln!("{warning}");
    }
    Ok(())
}

/// What the figures below are, and what is not known of a device with memory of its own: how much its allocator keeps in pages goes
/// by the device.
fn heading(device: &str) -> String {
    match device {
        "cpu" => "the most memory that each stage takes:".to_owned(),
        _ => format!(
            "below is memory of the computer; that of {device} is neither measured nor compared with what it has: nvidia-smi or the \
             like shows it during a run"
        ),
    }
}

fn json(stages: &[StageMemory]) -> Result<String> {
    serde_json::to_string(stages).map_err(|e| Error::program(format!("cannot write the memory of the stages: {e}")))
}

fn line(StageMemory { stage, peak }: &StageMemory) -> String {
    match peak {
        Some(peak) => format!("{stage:24} {:.3} GB", gigabytes(*peak)),
        None => format!("{stage:24} the system does not tell"),
    }
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

fn too_little(most: u64, available: u64) -> Option<String> {
    (available < most).then(|| {
        let (most, available) = (gigabytes(most), gigabytes(available));
        format!(
            "warning: this takes {most:.1} GB, and the machine has {available:.1} GB left: lower `batch` or the widths of the model"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{heading, too_little};

    #[test]
    fn memory_of_another_device_is_said_to_be_unknown() {
        let note = heading("cuda:0");
        assert!(note.contains("memory of the computer") && note.contains("cuda:0 is neither measured"), "{note}");
        assert_eq!(heading("cpu"), "the most memory that each stage takes:");
    }

    #[test]
    fn a_machine_that_has_less_is_warned_of() {
        let warning = too_little(3_000_000_000, 2_000_000_000).unwrap();
        assert!(warning.contains("takes 3.0 GB") && warning.contains("has 2.0 GB left"), "{warning}");
        assert_eq!(too_little(2_000_000_000, 2_000_000_000), None);
    }
}
