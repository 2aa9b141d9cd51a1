use super::RunArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::progress::Console;
use dualk_sdk::serde_json::json;

/// Arguments of `dualk kge eval`.
#[derive(Args)]
pub struct Eval {
    #[command(flatten)]
    run: RunArgs,
    /// Compute on cpu, auto, cuda, cuda:1, wgpu or wgpu:1.
    #[arg(long)]
    device: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub fn run(self) -> Result<()> {
        let (mut experiment, embeddings) = self.run.open()?;
        if let Some(device) = self.device {
            experiment.manifest.backend.device = device;
        }
        let outcome = experiment.evaluate(&embeddings, &Console::default())?;
        match self.json {
            true => println!("{}", json!(outcome)),
            false => println!("{}", outcome.table()),
        }
        Ok(())
    }
}
