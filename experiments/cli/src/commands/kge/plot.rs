use super::{RunArgs, check_picture};
use clap::Args;
use dualk_sdk::kge::{Subtree, polar_svg};
use dualk_sdk::{Result, storage};
use std::path::PathBuf;

/// Arguments of `dualk kge plot`.
#[derive(Args)]
pub struct Plot {
    #[command(flatten)]
    run: RunArgs,
    /// The entity at the top, such as 390-459.99.
    #[arg(long)]
    root: String,
    /// The relation upwards. Default: that of the root.
    #[arg(long)]
    relation: Option<String>,
    /// How many levels below the root.
    #[arg(long, default_value_t = 3)]
    depth: usize,
    /// The picture to write.
    #[arg(long, short, default_value = "polar.svg")]
    out: PathBuf,
}

impl Plot {
    pub fn run(self) -> Result<()> {
        check_picture(&self.out)?;
        let (experiment, embeddings) = self.run.open()?;
        let (graph, _) = experiment.graph()?;
        let tree = Subtree::new(&graph, &self.root, self.relation.as_deref(), self.depth)?;
        let relation = &graph.relations.list()[tree.relation as usize];
        let title = format!("{} and what is below it by {relation}", self.root);
        let (svg, levels) = polar_svg(experiment.model(), &embeddings, &tree, &title)?;
        storage::output(&self.out, |new| storage::write(new, svg.as_bytes()))?;
        println!("level  entities  mean modulus");
        for (level, (entities, modulus)) in levels.iter().enumerate() {
            println!("{level:5}  {entities:8}  {modulus:12.5}");
        }
        println!("{}", self.out.display());
        Ok(())
    }
}
