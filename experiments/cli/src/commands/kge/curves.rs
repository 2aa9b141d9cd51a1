use super::check_picture;
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
    /// mrr, mr, hits@1, hits@3, hits@10 or amri.
    #[arg(long, default_value = "mrr")]
    metric: String,
    /// The picture to write.
    #[arg(long, short, default_value = "curves.svg")]
    out: PathBuf,
}

impl Curves {
    pub fn run(self) -> Result<()> {
        check_picture(&self.out)?;
        let curves = self.runs.iter().map(|run| ValidationCurve::read(run)).collect::<Result<Vec<_>>>()?;
        let svg = curves_svg(&curves, &self.metric)?;
        storage::output(&self.out, |new| storage::write(new, svg.as_bytes()))?;
        let metric = &self.metric;
        let width = curves.iter().map(|curve| curve.name.chars().count()).max().unwrap_or(0).max(3);
        println!(
            "{:width$}     steps  minutes  {:>13}  {:>12}",
            "run",
            format!("valid {metric}"),
            format!("test {metric}")
        );
        for ValidationCurve { name, outcome, points } in &curves {
            for (step, seconds, metrics) in points {
                println!("{name:width$}  {step:8}  {:7.1}  {:13.4}", seconds / 60.0, metrics.get(metric));
            }
            let test = outcome.test.as_ref().map_or("–".to_owned(), |test| format!("{:.4}", test.both.get(metric)));
            println!("{name:width$}       end  {:7.1}  {:13}  {test:>12}", outcome.train_seconds / 60.0, "");
        }
        println!("{}", self.out.display());
        Ok(())
    }
}
