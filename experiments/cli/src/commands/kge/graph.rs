use super::KgeManifestArgs;
use clap::Args;
use dualk_sdk::data::codes::prefixes;
use dualk_sdk::serde_json::{Value, from_str};
use dualk_sdk::{Error, Result, storage};
use std::path::{Path, PathBuf};

/// Arguments of `dualk kge graph`.
#[derive(Args)]
pub struct Graph {
    #[command(flatten)]
    manifest: KgeManifestArgs,
    /// Write the graph to this folder, absent or empty.
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Count codes of this vocabulary.json in the graph.
    #[arg(long, value_name = "FILE")]
    codes: Option<PathBuf>,
}

impl Graph {
    pub fn run(self) -> Result<()> {
        self.out.as_deref().map_or(Ok(()), storage::check_free)?;
        let (graph, lines) = self.manifest.experiment()?.graph()?;
        lines.iter().for_each(|line| println!("{line}"));
        if let Some(file) = &self.codes {
            let codes = read_codes(file)?;
            let mut found = [0usize; 3];
            for code in &codes {
                if let Some(dropped) = prefixes(code).position(|name| graph.entities.get(name).is_some()) {
                    found[dropped] += 1;
                }
            }
            println!(
                "codes of {}: {} of {} in the graph, {} without their last character, {} without two, {} not",
                file.display(),
                found[0],
                codes.len(),
                found[1],
                found[2],
                codes.len() - found.iter().sum::<usize>()
            );
        }
        if let Some(out) = &self.out {
            graph.write(out)?;
            println!("{}", out.display());
        }
        Ok(())
    }
}

fn read_codes(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::io("read the codes", file, e))?;
    if !text.trim_start().starts_with('{') {
        return Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect());
    }
    let other = || Error::user("expected the vocabulary.json of `dualk prepare`").at_file(file);
    let vocabulary: Value = from_str(&text).map_err(|_| other())?;
    let codes = vocabulary["code_map_pretrain"].as_object().ok_or_else(other)?;
    Ok(codes.keys().cloned().collect())
}
