//! A graph encoder of one's own beside shipped plugins. Its text in a crate of its own is a plugin.
//!
//! ```text
//! cargo run --release --example own_encoder
//! ```

// ANCHOR: plugin
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::ops::{Adjacency, linear, propagate};
use dualk_sdk::prelude::*;

options! {
    /// Options of `mean`.
    pub struct MeanOptions {
        /// Width of an embedding.
        #[schemars(range(min = 1))]
        pub dim: usize = 128,
    }
}

impl Component for MeanOptions {
    const NAME: &'static str = "mean";
    const ABOUT: &'static str = "One layer, then the mean over neighbours.";
}

/// One layer, then the mean over neighbours.
#[derive(Module, Debug)]
pub struct Mean {
    layer: Linear,
    width: usize,
}

impl BuildGraphEncoder for MeanOptions {
    type Module = Mean;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Mean> {
        let layer = LinearConfig::new(context.input, self.dim).init(context.device);
        Ok(Mean { layer, width: self.dim })
    }
}

impl GraphEncoder for Mean {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        let adjacency = Adjacency::normalized(graph, true);
        propagate(&adjacency, linear(&self.layer, features)) // [nodes, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

export_plugin! { graph_encoder: MeanOptions }
// ANCHOR_END: plugin

/// Trains with it. The other components come from the shipped plugins, loaded when they are named.
fn main() {
    use dualk_sdk::experiment::{Experiment, Manifest};
    const MANIFEST: &str = r#"
        name = "own-encoder"
        data.parser = "synthetic"
        model.node_init = { type = "random", dim = 64 }
        model.graph_encoder = { type = "mean", dim = 64 }

        [[stage]]
        type = "finetune"
        epochs = 20
    "#;
    let run = || {
        let registry = dualk_sdk::plugin::Registry::new().with(register)?;
        let experiment = Experiment::new(Manifest::parse(MANIFEST, &[])?, registry)?;
        experiment.run(&dualk_sdk::progress::Console::default())
    };
    match run() {
        Ok((outcome, folder)) => println!("{}\n{}", outcome.table(), folder.path().display()),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(error.exit_code().into());
        }
    }
}
