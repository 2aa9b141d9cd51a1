//! `mlp`: several layers over the abnormal laboratory items.

use dualk_sdk::burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::relu;
use dualk_sdk::component::last_width;
use dualk_sdk::ops::{dropout, linear};
use dualk_sdk::prelude::*;

options! {
    /// Options of `mlp`.
    pub struct MlpOptions {
        /// Output width of each layer; the last is that of the lab vector.
        #[schemars(length(min = 1), inner(range(min = 1)))]
        pub dims: Vec<usize> = vec![256, 256],
        /// Dropout rate between two layers.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.2,
    }
}

impl Component for MlpOptions {
    const NAME: &'static str = "mlp";
    const ABOUT: &'static str = "Layers with ReLU over the abnormal laboratory items, dropout between.";
}

/// x_l = ReLU(dropout(x_{l−1}) W_l + b_l); nothing of the items themselves is dropped.
#[derive(Module, Debug)]
pub struct MlpLab {
    layers: Vec<Linear>,
    dropout: Dropout,
    width: usize,
}

impl BuildLabEncoder for MlpOptions {
    type Module = MlpLab;

    fn build(self, context: &LabEncoderContext<'_>) -> Result<MlpLab> {
        let dropout = DropoutConfig::new(self.dropout).init();
        let width = last_width("dims", &self.dims)?;
        let inputs = std::iter::once(context.labs).chain(self.dims.iter().copied());
        let layers = inputs.zip(&self.dims).map(|(i, &o)| LinearConfig::new(i, o).init(context.device)).collect();
        Ok(MlpLab { layers, dropout, width })
    }
}

impl LabEncoder for MlpLab {
    fn forward(&self, labs: Tensor<2>) -> Tensor<2> {
        self.layers.iter().enumerate().fold(labs, |x, (i, layer)| {
            let x = if i == 0 { x } else { dropout(x, &self.dropout) };
            relu(linear(layer, x)) // [batch, dims[i]]
        })
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::LinearOptions;

    fn build(dims: Vec<usize>, dropout: f64) -> Result<MlpLab> {
        MlpOptions { dims, dropout }.build(&LabEncoderContext { labs: 3, device: &Device::flex() })
    }

    #[test]
    fn widths_follow_the_options() {
        for dims in [vec![4], vec![8, 6, 4]] {
            let lab = build(dims, 0.2).unwrap();
            assert_eq!((lab.forward(Tensor::ones([2, 3], &Device::flex())).dims(), lab.width()), ([2, 4], 4));
        }
    }

    #[test]
    fn one_layer_computes_what_linear_does() {
        let device = Device::flex();
        let x = || Tensor::<2>::from_data([[1.0, 0.0, 1.0]], &device);
        let linear = LinearOptions { dim: 4 }.build(&LabEncoderContext { labs: 3, device: &device }).unwrap();
        let mlp = MlpLab { layers: vec![linear.fc.clone()], ..build(vec![4], 0.2).unwrap() };
        mlp.forward(x()).into_data().assert_eq(&linear.forward(x()).into_data(), true);
    }
}
