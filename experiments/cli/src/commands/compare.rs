use clap::{Args, ValueEnum};
use dualk_sdk::experiment::compare::{CompareOptions, Comparison, Format};
use dualk_sdk::experiment::report::is_page;
use dualk_sdk::experiment::sweep::{Plan, named_runs};
use dualk_sdk::{Result, storage};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  dualk compare sweeps/encoders
  dualk compare runs/gat-1a2b3c4d runs/gcn-5e6f7a8b --metric R@10 --metric R@20
  dualk compare sweeps/encoders --baseline gcn --format latex --out encoders.tex";

/// Arguments of `dualk compare`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Compare {
    /// Sweeps, runs, or folders of runs. Runs that differ in the seed alone
    /// are one row; of the settings that a sweep tunes a row by, it is the
    /// one that is best on valid. Several folders together show every
    /// setting as a row.
    #[arg(required = true, value_name = "FOLDER", verbatim_doc_comment)]
    folders: Vec<PathBuf>,
    /// How the table is written.
    #[arg(long, value_enum, default_value = "table")]
    format: Form,
    /// The row to compare with. Default: the sweep's, else the first.
    #[arg(long, value_name = "ROW")]
    baseline: Option<String>,
    /// Show this metric; can be given many times. Default: all.
    #[arg(long, value_name = "NAME")]
    metric: Vec<String>,
    /// Show baselines and oracles; by default in tables for people alone.
    #[arg(long, value_name = "BOOL")]
    references: Option<bool>,
    /// Number of bootstrap draws.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    draws: u32,
    /// Write the table to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a page for the browser to this file, too.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// In what form a table is written.
#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// Aligned columns.
    Table,
    /// An array of rows.
    Json,
    /// A line a row and metric.
    Csv,
    /// With the rules of booktabs.
    Latex,
    /// As GitHub shows it.
    Markdown,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Table => Self::Table,
            Form::Json => Self::Json,
            Form::Csv => Self::Csv,
            Form::Latex => Self::Latex,
            Form::Markdown => Self::Markdown,
        }
    }
}

/// Where the caption of a table for people is, in bytes.
const CAPTION_WITHIN: usize = 64;

/// Whether a file begins as a table in one of the forms does: those for people with their caption.
fn is_table(start: &[u8]) -> bool {
    let caption = " · test, ".as_bytes();
    let first = &start[..start.len().min(CAPTION_WITHIN)];
    start.starts_with(b"name,runs,metric,")
        || is_rows(start)
        || first.windows(caption.len()).any(|part| part == caption)
}

/// Whether a file begins as an array of rows does: other programs write lists whose first key is a name, too.
fn is_rows(start: &[u8]) -> bool {
    let begins = ["[", "  {", "    \"name\": \"", "    \"runs\": ", "    \"metrics\": {"];
    let mut lines = start.split(|&byte| byte == b'\n');
    begins.iter().all(|begin| lines.next().is_some_and(|line| line.starts_with(begin.as_bytes())))
}

/// Says how many members of a sweep are complete, where some are not.
fn note_missing(plan: &Plan, folder: &Path) -> Result<()> {
    let (complete, all) = (plan.complete(folder)?, plan.to_train());
    if complete < all {
        eprintln!("{complete} of {all} members are complete: the table is of these");
    }
    Ok(())
}

impl Compare {
    pub fn run(self) -> Result<()> {
        if let Some(file) = &self.out {
            storage::check_replaceable(file, "table of a comparison", is_table)?;
        }
        if let Some(file) = &self.report {
            storage::check_replaceable(file, "page of dualk", is_page)?;
        }
        let runs = named_runs(&self.folders)?;
        let planned = match self.folders.as_slice() {
            [one] => Plan::read(one)?,
            _ => None,
        };
        if let (Some(plan), [folder]) = (&planned, self.folders.as_slice()) {
            note_missing(plan, folder)?;
        }
        let options = CompareOptions {
            baseline: self.baseline.or_else(|| planned.as_ref().and_then(|plan| plan.baseline.clone())),
            metrics: self.metric,
            draws: self.draws as usize,
            ..CompareOptions::default()
        };
        let table = match (&planned, self.folders.as_slice()) {
            (Some(plan), [folder]) => plan.compare(folder, &options)?,
            _ => Comparison::of_named(&runs, &options)?,
        };
        let text = table.render(self.format.into(), self.references)?;
        let write = |file: &PathBuf, text: &str| storage::output(file, |new| storage::write(new, text.as_bytes()));
        match &self.out {
            Some(file) => write(file, &text)?,
            None => print!("{text}"),
        }
        if let Some(file) = &self.report {
            let name = planned.map_or_else(|| "Comparison".to_owned(), |plan| plan.name);
            write(file, &table.html(&name))?;
            eprintln!("report: {}", file.display());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_other_programs_are_no_tables() {
        let row = |name: &str, second: &str| {
            format!(
                "[\n  {{\n    \"name\": \"{name}\",\n    {second},\n    \"metrics\": {{\n      \"R@10\": {{}}\n    }}\n  }}\n]\n"
            )
        };
        let long = "a".repeat(300);
        for (text, is_one) in [
            (row("gat", "\"runs\": 3"), true),
            (row(&long, "\"runs\": 3"), true),
            (row("gat", "\"age\": 3"), false),
            ("[\n  {\n    \"name\": \"Alice\"\n  }\n]\n".to_owned(), false),
            ("name,runs,metric,mean\n".to_owned(), true),
            ("diagnosis · test, 40 patients\n".to_owned(), true),
            (format!("{long} · test, 40 patients\n"), false),
        ] {
            assert_eq!(is_table(text.as_bytes()), is_one, "{text}");
        }
    }
}
