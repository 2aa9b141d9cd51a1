//! Runs an experiment from Rust code: no command line, and plugins linked in instead of loaded.
//!
//! ```text
//! cargo run --release --example embed
//! ```

use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::plugin::Registry;
use dualk_sdk::{Result, progress::Silent};

const MANIFEST: &str = r#"
name = "embedded"
data.parser = "synthetic"
model.node_init = { type = "random", dim = 64 }
model.graph_encoder = { type = "gcn", dims = [64, 64] }

[[stage]]
type = "finetune"
task = { type = "diagnosis", head = "direct" }
epochs = 20
"#;

fn run() -> Result<()> {
    let registry = Registry::new()
        .with(dualk_plugin_parser_synthetic::register)?
        .with(dualk_plugin_init_codes::register)?
        .with(dualk_plugin_encoder_gcn::register)?
        .with(dualk_plugin_fusion_attention::register)?
        .with(dualk_plugin_patient_fusions::register)?
        .with(dualk_plugin_head_layers::register)?
        .with(dualk_plugin_lab_layers::register)?
        .with(dualk_plugin_losses::register)?
        .with(dualk_plugin_objectives::register)?
        .with(dualk_plugin_recipe_dualk::register)?; // the stages of the manifest
    let experiment = Experiment::new(Manifest::parse(MANIFEST, &[])?, registry)?;
    let (outcome, run) = experiment.run(&Silent)?;
    println!("{}\n{}", outcome.table(), run.path().display());
    Ok(())
}

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(error.exit_code().into());
    }
}
