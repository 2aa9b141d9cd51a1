use super::{CacheArgs, ManifestArgs};
use crate::interrupt;
use clap::Args;
use dualk_sdk::experiment::Experiment;
use dualk_sdk::experiment::sweep::{MemberProgress, exit_with_parent};
use dualk_sdk::progress::Console;
use dualk_sdk::{Progress, Result};
use std::path::{Path, PathBuf};

/// Arguments of `dualk run`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    cache: CacheArgs,
    /// Go on from the last checkpoint of an interrupted run of the same experiment; start anew where there is none.
    #[arg(long)]
    resume: bool,
    /// Save and stop on this signal too, such as USR1 from a scheduler.
    #[arg(long, value_name = "SIGNAL", value_parser = interrupt::signal)]
    stop_signal: Option<i32>,
    /// This run is a member of a sweep: it says in this folder how far it is, and ends when its standard input does.
    #[arg(long, value_name = "FOLDER", hide = true)]
    member: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  dualk run experiments/quickstart.toml
  dualk run experiments/quickstart.toml --set model.graph_encoder.type=gcn --set name=gcn
  dualk run experiments/quickstart.toml --resume

Ctrl-C and SIGTERM finish the step, save a checkpoint and end with 130 or 143; a second one ends at once.";

/// What a reader is about to wait for: what the manifest's first comment says, its stages and where they are trained.
fn what_comes(file: &Path, experiment: &Experiment) -> String {
    let manifest = &experiment.manifest;
    let about = std::fs::read_to_string(file).ok().and_then(|text| first_comment(&text));
    let about = about.map_or(manifest.name.clone(), |about| format!("{}: {about}", manifest.name));
    let stages = manifest.stage_epochs();
    let each = stages.iter().map(|(name, epochs)| match epochs {
        1 => format!("{name}, 1 epoch"),
        n => format!("{name}, {n} epochs"),
    });
    let each: Vec<String> = each.collect();
    format!("{about}\nto come on {}: the data; {}; the test", experiment.device().name, each.join("; "))
}

/// The first sentence of the comment that a manifest begins with, up to the commands that show how to run it.
fn first_comment(text: &str) -> Option<String> {
    let lines = text.lines().skip_while(|line| line.starts_with("#:"));
    let lines = lines.map_while(|line| line.strip_prefix("# ").filter(|text| !text.starts_with(' ')));
    let all = lines.collect::<Vec<_>>().join(" ");
    let sentence = all.split(". ").next()?.trim_end_matches([':', '.']).trim();
    (!sentence.is_empty()).then(|| sentence.to_owned())
}

impl Run {
    pub fn run(self) -> Result<()> {
        if let Some(signal) = self.stop_signal {
            interrupt::also_on(signal)?;
        }
        let file = self.manifest.manifest.clone();
        let member =
            self.member.as_deref().map(|folder| MemberProgress::new(folder, Console::default())).transpose()?;
        if member.is_some() {
            exit_with_parent(interrupt::stop());
        }
        let console = Console::default();
        let progress: &dyn Progress = match &member {
            Some(member) => member,
            None => &console,
        };
        let experiment = self.cache.apply(self.manifest.experiment()?).stopping_at(interrupt::stop());
        if experiment.sweep().is_some() {
            progress.line(&format!(
                "[sweep] is left out by `dualk run`; `dualk sweep {}` trains its members",
                file.display()
            ));
        }
        experiment.check()?;
        if member.is_none() {
            progress.line(&what_comes(&file, &experiment));
        }
        let (outcome, run) = match self.resume {
            true => experiment.resume(progress)?,
            false => experiment.run(progress)?,
        };
        println!("{}", outcome.table());
        if let Some(verdict) = run.verdict() {
            println!("→ {verdict}\n");
        }
        println!("{} parameters, {:.0} s on {}", outcome.parameters, outcome.seconds, outcome.device);
        println!("run: {}", run.path().display());
        if let Some(member) = &member {
            member.finished(run.path());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::first_comment;

    #[test]
    fn the_first_sentence_of_a_manifest_says_what_it_is() {
        let of = |text| first_comment(text);
        assert_eq!(
            of("# All stages,\n# in minutes:\n#   dualk run x\nname = 'x'\n").as_deref(),
            Some("All stages, in minutes")
        );
        assert_eq!(of("#:schema ./s.json\n# One. Two.\n").as_deref(), Some("One"));
        assert_eq!([of("name = 'x'\n# later\n"), of(""), of("#   dualk run x\n")], [None, None, None]);
    }
}
