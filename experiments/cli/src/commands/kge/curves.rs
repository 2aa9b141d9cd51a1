use clap::Args;
use dualk_sdk::experiment::embedding::{ValidationCurve, curves_svg};
use dualk_sdk::{Result, storage};
use std::path::PathBuf;

/// Arguments of `dualk kge curves`.
#[derive(Args)]
pub struct Curves {
    /// Folders of runs.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The metric: `mrr`, `mr`, `hits@1`, `hits@3`, `hits@10` or `amri`.
    #[arg(long, default_value = "mrr")]
    metric: String,
    /// The picture to write.
    #[arg(long, short, default_value = "curves.svg")]
    out: PathBuf,
}

impl Curves {
    pub fn run(self) -> Result<()> {
        let curves = self.runs.iter().map(|run| ValidationCurve::read(run)).collect::<Result<Vec<_>>>()?;
        let svg = curves_svg(&curves, &self.metric)?;
        storage::replace(&self.out, |new| storage::write(new, svg.as_bytes()))?;
        let width = curves.iter().map(|curve| curve.name.chars().count()).max().unwrap_or(0).max(3);
        println!("{:width$}     steps  minutes  valid mrr  test mrr", "run");
        for ValidationCurve { name, outcome, points } in &curves {
            for (step, seconds, metrics) in points {
                println!("{name:width$}  {step:8}  {:7.1}  {:9.4}", seconds / 60.0, metrics.mrr);
            }
            let (minutes, mrr) = (outcome.train_seconds / 60.0, outcome.test.both.mrr);
            println!("{name:width$}       end  {minutes:7.1}             {mrr:8.4}");
        }
        println!("{}", self.out.display());
        Ok(())
    }
}
