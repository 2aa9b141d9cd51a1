use super::sweep::Sweep;
use super::{CacheArgs, ManifestArgs, StopArgs};
use crate::interrupt;
use clap::Args;
use dualk_sdk::experiment::sweep::{MemberProgress, PlannedMember, exit_with_parent};
use dualk_sdk::experiment::{Experiment, Outcome, RunDir};
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
    /// Go on with an interrupted run of the same, if any.
    #[arg(long)]
    resume: bool,
    /// Train with seeds 1..5 (1 to 5) or 1,2,8; compare.
    #[arg(long, value_name = "SEEDS", value_parser = seeds, conflicts_with_all = ["resume", "member"])]
    seeds: Option<Seeds>,
    /// With --seeds: keep runs made with other plugins.
    #[arg(long, requires = "seeds", conflicts_with = "again")]
    keep: bool,
    /// With --seeds: train such runs again.
    #[arg(long, requires = "seeds")]
    again: bool,
    #[command(flatten)]
    stop: StopArgs,
    /// This run is a member of a sweep: it says in this folder how far it is, and ends when its standard input does.
    #[arg(long, value_name = "FOLDER", hide = true)]
    member: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  dualk run experiments/quickstart.toml
  dualk run experiments/quickstart.toml --set model.graph_encoder=gcn --set name=gcn
  dualk run experiments/quickstart.toml --resume
  dualk run experiments/quickstart.toml --seeds 1..5

Ctrl-C and SIGTERM finish the step, save a checkpoint and end with 130 or 143; a second one ends at once.";

/// Seeds of runs that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seeds(Vec<u64>);

/// The most seeds that a range may have: more is a slip of the finger.
const MOST_SEEDS: u64 = 1000;

fn seeds(text: &str) -> std::result::Result<Seeds, String> {
    const EXPECTED: &str = "expected a range such as 1..5, or seeds such as 1,2,8";
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| format!("{EXPECTED}; found `{text}`"));
    let Some((first, last)) = text.split_once("..") else {
        return text.split(',').map(number).collect::<std::result::Result<_, _>>().map(Seeds);
    };
    let (first, last) = (number(first)?, number(last.trim_start_matches('='))?);
    match last.checked_sub(first) {
        None => Err(format!("{EXPECTED}; {first} is larger than {last}")),
        Some(n) if n >= MOST_SEEDS => Err(format!("at most {MOST_SEEDS} seeds; {text} are {}", n.saturating_add(1))),
        Some(_) => Ok(Seeds((first..=last).collect())),
    }
}

/// What a reader is about to wait for: what the manifest's first comment says, its stages and where they are trained.
fn what_comes(file: &Path, experiment: &Experiment) -> String {
    let manifest = &experiment.manifest();
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

fn show(outcome: &Outcome, run: &RunDir) {
    println!("{}", outcome.table());
    if let Some(verdict) = run.verdict() {
        println!("→ {verdict}\n");
    }
    println!("{} parameters, {:.0} s on {}", outcome.parameters, outcome.seconds, outcome.device);
    println!("run: {}", run.path().display());
}

/// Whether a run is a member of a sweep that is tuned.
fn is_tuned(member: Option<&Path>) -> bool {
    member.and_then(PlannedMember::of_folder).is_some_and(|member| member.setting.is_some())
}

impl Run {
    pub fn run(self) -> Result<()> {
        if let Some(Seeds(seeds)) = self.seeds {
            return Sweep::of_seeds(self.manifest, self.cache, seeds, (self.keep, self.again), self.stop).run();
        }
        self.stop.listen()?;
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
        // A member is gone on with by its sweep.
        let stop = if member.is_some() { interrupt::stop() } else { interrupt::stop_of(&["--resume"]) };
        let experiment = self.cache.apply(self.manifest.experiment()?).stopping_at(stop);
        let experiment = if is_tuned(self.member.as_deref()) { experiment.chosen_on_valid() } else { experiment };
        if experiment.sweep().is_some() {
            progress.line(&format!(
                "[sweep] is left out by `dualk run`; `dualk sweep {}` trains its members",
                file.display()
            ));
        }
        experiment.check()?;
        // A manifest without stages is refused at once.
        if member.is_none() && !experiment.manifest().stage.is_empty() {
            progress.line(&what_comes(&file, &experiment));
        }
        let (outcome, run) = match self.resume {
            true => experiment.resume(progress)?,
            false => experiment.run(progress)?,
        };
        show(&outcome, &run);
        if let Some(member) = &member {
            member.finished(run.path());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Seeds, first_comment, seeds};

    #[test]
    fn seeds_are_ranges_or_lists() {
        let of = |text| seeds(text).map(|Seeds(seeds)| seeds);
        assert_eq!(of("1..5"), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(of("3..=4"), Ok(vec![3, 4]));
        assert_eq!(of("1, 8,2"), Ok(vec![1, 8, 2]));
        assert_eq!(of("7"), Ok(vec![7]));
        for (text, said) in
            [("5..1", "5 is larger than 1"), ("a", "found `a`"), ("0..9999999999", "at most 1000"), ("", "")]
        {
            assert!(of(text).unwrap_err().contains(said), "{text}");
        }
    }

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
