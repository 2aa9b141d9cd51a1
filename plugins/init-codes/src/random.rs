//! `random`: node features from a random generator.

use dualk_sdk::burn::tensor::Distribution as Draw;
use dualk_sdk::memory;
use dualk_sdk::options::check_room;
use dualk_sdk::prelude::*;
use dualk_sdk::serde::{Deserialize, Serialize};

/// What random numbers are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, dualk_sdk::schemars::JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Distribution {
    /// Normal with mean 0 and standard deviation `scale`.
    Normal,
    /// Uniform between −`scale` and `scale`.
    Uniform,
}

options! {
    /// Options of `random`.
    pub struct RandomOptions {
        /// Width of a vector.
        #[schemars(range(min = 1))]
        pub dim: usize = 256,
        /// `normal` or `uniform`.
        pub distribution: Distribution = Distribution::Normal,
        /// Standard deviation of the normal distribution, or bound of the uniform one.
        #[schemars(range(min = 0.0))]
        pub scale: f64 = 0.1,
    }
}

impl Component for RandomOptions {
    const NAME: &'static str = "random";
    const ABOUT: &'static str = "Random vectors, normal or uniform.";
}

/// Random vectors; the padding node has zeros.
#[derive(Debug)]
struct Random {
    dim: usize,
    draw: Draw,
}

impl BuildNodeInit for RandomOptions {
    fn build(self) -> Result<Box<dyn NodeInit>> {
        let Self { dim, scale, .. } = self;
        let draw = match self.distribution {
            Distribution::Normal => Draw::Normal(0.0, scale),
            Distribution::Uniform => Draw::Uniform(-scale, scale),
        };
        Ok(Box::new(Random { dim, draw }))
    }
}

impl Random {
    /// Refuses vectors that the machine has no memory for: the system would end the program.
    fn check_room(&self, nodes: usize) -> Result<()> {
        // Of four bytes a number, and once more where padding comes before them.
        let bytes = 8.0 * nodes as f64 * self.dim as f64;
        let refused = check_room(&format!("vectors of {nodes} codes"), bytes, memory::available());
        refused.map_err(|e| e.at_key("dim").help("lower it"))
    }
}

impl NodeInit for Random {
    fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures> {
        let nodes = context.codes.len().saturating_sub(1);
        self.check_room(nodes)?;
        let padding = Tensor::zeros([1, self.dim], context.device);
        let rows = Tensor::random([nodes, self.dim], self.draw, context.device);
        Ok(NodeFeatures { features: Tensor::cat(vec![padding, rows], 0), notes: Vec::new() }) // [nodes, dim]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(options: RandomOptions) -> Result<Vec<f32>> {
        let codes = vec![String::new(); 101];
        let features = options.build()?.init(&NodeInitContext { codes: &codes, device: &Device::flex() })?.features;
        assert_eq!(features.dims()[0], 101);
        Ok(features.into_data().iter::<f32>().collect())
    }

    #[test]
    fn a_width_beyond_any_memory_is_refused_before_there_is_any_for_it() {
        let error = init(RandomOptions { dim: 1 << 55, ..RandomOptions::default() }).unwrap_err();
        assert!(error.key() == Some("dim") && error.message().contains("vectors of 100 codes take"), "{error}");
    }

    #[test]
    fn numbers_have_the_scale_asked_for() {
        for (distribution, expected) in [(Distribution::Normal, 0.5), (Distribution::Uniform, 0.5 / 3f32.sqrt())] {
            let values = init(RandomOptions { dim: 100, distribution, scale: 0.5 }).unwrap();
            assert!(values[..100].iter().all(|&v| v == 0.0));
            let deviation = (values[100..].iter().map(|v| v * v).sum::<f32>() / 10_000.0).sqrt();
            assert!((deviation / expected - 1.0).abs() < 0.05, "{deviation}");
        }
    }
}
