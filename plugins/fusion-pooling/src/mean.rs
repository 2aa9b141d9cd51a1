//! `mean`: the mean of the members.

use dualk_sdk::ops::{Pooling, pool};
use dualk_sdk::prelude::*;

options! {
    /// Options of `mean`.
    pub struct MeanOptions {}
}

impl Component for MeanOptions {
    const NAME: &'static str = "mean";
    const ABOUT: &'static str = "Mean of the members.";
}

/// out_s = 1/|s| Σ_{x ∈ s} x.
#[derive(Module, Debug)]
pub struct Mean {
    width: usize,
}

impl BuildFusion for MeanOptions {
    type Module = Mean;

    fn build(self, context: &FusionContext<'_>) -> Result<Mean> {
        Ok(Mean { width: context.width })
    }
}

impl Fusion for Mean {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        pool(values, sets, Pooling::Mean) // [sets, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        let device = Device::flex();
        let mean =
            MeanOptions {}.build(&FusionContext { width: 2, level: FusionLevel::Codes, device: &device }).unwrap();
        let values = Tensor::<2>::from_data([[1.0, -2.0], [4.0, 1.0]], &device);
        let out = mean.forward(values, &Sets::new([vec![0, 1, 1], vec![]].into_iter().collect()));
        out.into_data().assert_approx_eq::<f32>(&TensorData::from([[3.0f32, 0.0], [0.0, 0.0]]), Default::default());
        assert_eq!(mean.width(), 2);
    }
}
