//! `linear`: one layer over the abnormal laboratory items.

use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::ops::linear_relu;
use dualk_sdk::prelude::*;

options! {
    /// Options of `linear`.
    pub struct LinearOptions {
        /// Width of the lab vector.
        #[schemars(range(min = 1))]
        pub dim: usize = 256,
    }
}

impl Component for LinearOptions {
    const NAME: &'static str = "linear";
    const ABOUT: &'static str = "One layer with ReLU over the abnormal laboratory items.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

/// y = ReLU(x W + b).
#[derive(Module, Debug)]
pub struct LinearLab {
    pub(crate) fc: Linear,
    width: usize,
}

impl BuildLabEncoder for LinearOptions {
    type Module = LinearLab;

    fn build(self, context: &LabEncoderContext<'_>) -> Result<LinearLab> {
        Ok(LinearLab { fc: LinearConfig::new(context.labs, self.dim).init(context.device), width: self.dim })
    }
}

impl LabEncoder for LinearLab {
    fn forward(&self, labs: Tensor<2>) -> Tensor<2> {
        linear_relu(&self.fc, labs, None) // [batch, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_abnormal_item_leaves_the_positive_part_of_the_bias() {
        let device = Device::flex();
        let lab = LinearOptions { dim: 4 }.build(&LabEncoderContext { labs: 3, device: &device }).unwrap();
        let out = lab.forward(Tensor::zeros([2, 3], &device));
        let bias = lab.fc.bias.as_ref().unwrap().val().clamp_min(0.0).unsqueeze_dim::<2>(0).repeat_dim(0, 2);
        out.into_data().assert_eq(&bias.into_data(), true);
    }
}
