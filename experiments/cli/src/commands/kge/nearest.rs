use super::RunArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::icd;
use dualk_sdk::kge::nearest;

/// Arguments of `dualk kge nearest`.
#[derive(Args)]
pub struct Nearest {
    #[command(flatten)]
    run: RunArgs,
    /// An entity, such as 428.0.
    entity: String,
    /// How many to show.
    #[arg(long, short, default_value_t = 10)]
    number: usize,
    /// Only entities that look like codes, such as V45.8.
    #[arg(long)]
    codes: bool,
}

impl Nearest {
    pub fn run(self) -> Result<()> {
        let (experiment, embeddings) = self.run.open()?;
        let is_code = |name: &str| {
            let rest = name.strip_prefix(['V', 'E']).unwrap_or(name);
            rest.starts_with(|c: char| c.is_ascii_digit()) && !name.contains(' ')
        };
        let wanted = |name: &str| !self.codes || is_code(name);
        let found = nearest(experiment.model(), &embeddings, &self.entity, self.number, wanted)?;
        println!("distance  entity");
        for (name, distance) in &found {
            // Numbers of another graph are not written as codes are.
            let title = icd::title(Icd::Icd9, name).filter(|_| is_code(name) && icd::dotted(Icd::Icd9, name) == *name);
            println!("{distance:8.4}  {name:8}  {}", title.unwrap_or_default());
        }
        Ok(())
    }
}
