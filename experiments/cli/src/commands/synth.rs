use clap::Args;
use dualk_plugin_parser_synthetic::{Files, SyntheticOptions, write_patients};
use dualk_sdk::component::{Component, Slot};
use dualk_sdk::experiment::Manifest;
use dualk_sdk::plugin::Registry;
use dualk_sdk::progress::Console;
use dualk_sdk::toml::{Table, Value};
use dualk_sdk::{Error, Result};
use std::path::{Path, PathBuf};

/// Arguments of `dualk synth`.
#[derive(Args)]
pub struct Synth {
    /// Number of patients.
    #[arg(long, default_value_t = 10_000)]
    patients: usize,
    /// Number of rows of labevents.
    #[arg(long, default_value_t = 1_000_000)]
    lab_rows: u64,
    /// Seed of the files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write .csv.gz instead of .csv.
    #[arg(long)]
    gzip: bool,
    /// Diagnosis codes that there are.
    #[arg(long, default_value_t = Files::default().codes)]
    codes: usize,
    /// Laboratory items that there are.
    #[arg(long, default_value_t = Files::default().labs)]
    labs: usize,
    /// Part with two admissions or more.
    #[arg(long, default_value_t = Files::default().multi)]
    multi: f64,
    /// Further codes of each admission.
    #[arg(long, default_value_t = 0)]
    incidental: usize,
    /// A knowledge graph, too: 0 nothing right, 1 all.
    #[arg(long, value_name = "CHANCE")]
    knowledge: Option<f64>,
    /// Write patients that this manifest makes up.
    #[arg(long, value_name = "MANIFEST", conflicts_with_all = ["patients", "lab_rows", "seed", "gzip", "codes", "labs", "multi",
        "incidental"])]
    of: Option<PathBuf>,
    /// Folder to write; it must be absent or empty.
    out: PathBuf,
}

impl Synth {
    pub fn run(self) -> Result<()> {
        let Self { patients, lab_rows, seed, gzip, codes, labs, multi, incidental, knowledge, of, out } = self;
        match of {
            Some(manifest) => write_patients(&patients_of(&manifest)?, knowledge.unwrap_or(1.0), &out)?,
            None => {
                let files = Files { patients, lab_rows, seed, gzip, codes, labs, multi, incidental, knowledge };
                files.write(&out, &Console::default())?;
            }
        }
        println!("{}", out.display());
        Ok(())
    }
}

/// By which options the patients of a manifest are made up.
fn patients_of(manifest: &Path) -> Result<SyntheticOptions> {
    let (Manifest { data, .. }, source) = Manifest::load(manifest, &[])?;
    let found = match data.parser.r#type.as_str() {
        SyntheticOptions::NAME => options_of(data.parser.options).map_err(|e| e.within_key("data.parser")),
        other => Err(Error::user(format!("expected `synthetic`, found `{other}`")).at_key("data.parser.type")),
    };
    found.map_err(|e| source.place(e))
}

/// The options, checked as any component's are.
fn options_of(options: Table) -> Result<SyntheticOptions> {
    let registry = Registry::new().with(dualk_plugin_parser_synthetic::register)?;
    let checked = Value::Table(registry.check(Slot::Parser, SyntheticOptions::NAME, options)?);
    let options = checked.try_into::<SyntheticOptions>().map_err(|e| Error::user(e.message().to_owned()))?;
    options.check().map(|()| options)
}
