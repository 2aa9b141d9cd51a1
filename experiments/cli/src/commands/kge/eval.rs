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
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub fn run(self) -> Result<()> {
        let (experiment, embeddings) = self.run.open()?;
        let outcome = experiment.evaluate(&embeddings, &Console::default())?;
        match self.json {
            true => println!("{}", json!(outcome)),
            false => println!("{}", outcome.table()),
        }
        Ok(())
    }
}
