use super::{CacheArgs, ManifestArgs};
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::Experiment;
use dualk_sdk::memory;
use dualk_sdk::progress::Console;

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
    /// Prepare the data and do a few steps of every stage, to say how much memory each will take.
    #[arg(long)]
    memory: bool,
    /// Read the data and prove that no patient is on two sides: of the parts, of the examples of any stage, of the graph
    /// and the vocabulary.
    #[arg(long)]
    leaks: bool,
}

impl Check {
    pub fn run(self) -> Result<()> {
        if self.manifest.names_a_graph()? {
            let experiment = self.manifest.embedding()?;
            if self.resolved {
                print!("{}", experiment.resolved()?);
            }
            experiment.check()?;
            eprintln!("{}: ok, {} on cpu", experiment.manifest.name, experiment.manifest.model.r#type);
            return Ok(());
        }
        let experiment = self.cache.apply(self.manifest.experiment()?);
        if self.resolved {
            print!("{}", experiment.resolved()?);
        }
        experiment.check()?;
        if self.leaks {
            experiment.check_leaks(&Console::default())?.iter().for_each(|line| println!("{line}"));
        }
        eprintln!(
            "{}: ok, {} stages on {}",
            experiment.manifest.name,
            experiment.manifest.stage.len(),
            experiment.device().name
        );
        if self.memory { expected_memory(experiment) } else { Ok(()) }
    }
}

/// A line a stage, and a warning when the machine has less.
fn expected_memory(experiment: Experiment) -> Result<()> {
    let device = experiment.device().name.clone();
    let available = memory::available();
    let stages = experiment.rehearse(&Console::default())?;
    if device != "cpu" {
        eprintln!("memory of {device} is not counted, only that of the computer");
    }
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let mut most = 0;
    for stage in stages {
        let Some(peak) = stage.peak else {
            println!("{:24} the system does not tell", stage.stage);
            continue;
        };
        println!("{:24} {:.3} GB", stage.stage, gigabytes(peak));
        most = most.max(peak);
    }
    if let Some(available) = available.filter(|available| *available < most) {
        eprintln!(
            "warning: this takes {:.1} GB, and the machine has {:.1} GB left: lower `batch` or the widths of the model",
            gigabytes(most),
            gigabytes(available)
        );
    }
    Ok(())
}
