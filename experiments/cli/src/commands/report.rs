use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::RunDir;
use dualk_sdk::experiment::compare::CompareOptions;
use dualk_sdk::experiment::report::{write_page, write_report};
use dualk_sdk::experiment::sweep::Plan;
use std::path::PathBuf;

/// Arguments of `dualk report`.
#[derive(Args)]
#[command(after_help = "Examples:\n  dualk report runs/quickstart-1a2b3c4d\n  dualk report sweeps/encoders")]
pub struct Report {
    /// A finished run, or a sweep.
    folder: PathBuf,
}

impl Report {
    pub fn run(self) -> Result<()> {
        let page = self.folder.join("report.html");
        match Plan::read(&self.folder)? {
            Some(plan) => {
                let options = CompareOptions { baseline: plan.baseline.clone(), ..CompareOptions::default() };
                let table = plan.compare(&self.folder, &options)?;
                write_page(&page, &table.html(&plan.name))?;
            }
            None => write_report(&RunDir::open(&self.folder)?)?,
        }
        println!("{}", page.display());
        Ok(())
    }
}
