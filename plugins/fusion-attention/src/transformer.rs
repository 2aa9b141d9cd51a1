//! `transformer`: self-attention among the members, then their mean.

use dualk_sdk::burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::component::{at_least, divisor, in_range};
use dualk_sdk::ops::{PaddedSets, linear, sinusoid};
use dualk_sdk::prelude::*;

options! {
    /// Options of `transformer`.
    pub struct TransformerOptions {
        /// Width inside, which is the fused vector's.
        #[schemars(range(min = 1))]
        pub dim: usize = 128,
        /// Heads of the attention. Divides `dim`.
        #[schemars(range(min = 1))]
        pub heads: usize = 4,
        /// Number of layers.
        #[schemars(range(min = 1))]
        pub layers: usize = 1,
        /// Hidden width of the perceptron of a layer.
        #[schemars(range(min = 1))]
        pub feed_forward: usize = 256,
        /// Part of the numbers that is dropped during training.
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
        pub dropout: f64 = 0.1,
    }
}

impl Component for TransformerOptions {
    const NAME: &'static str = "transformer";
    const ABOUT: &'static str =
        "Self-attention among the members, visits with their order, and the mean of what results.";
    const CITATION: &'static str = "Vaswani et al., Attention Is All You Need, NeurIPS 2017";
}

/// out_s = mean_{x ∈ s} T(x W + b + p), T an encoder of Vaswani et al.: each layer adds multi-head attention among the
/// members and then a perceptron with GELU, and normalises after both.
///
/// p stands for visits alone: sines and cosines (section 3.5 of the paper) of how many visits a visit is before the
/// last. Their times do not enter. Codes of a visit have no order, so their p is 0.
#[derive(Module, Debug)]
pub struct Transformer {
    project: Linear,
    encoder: TransformerEncoder,
    ordered: bool,
    width: usize,
}

impl BuildFusion for TransformerOptions {
    type Module = Transformer;

    fn build(self, context: &FusionContext<'_>) -> Result<Transformer> {
        let width = at_least("dim", self.dim, 1)?;
        let dropout = in_range("dropout", self.dropout, 0.0, 1.0)?;
        let heads = divisor("heads", self.heads, "dim", width)?;
        let layers = at_least("layers", self.layers, 1)?;
        let hidden = at_least("feed_forward", self.feed_forward, 1)?;
        let encoder = TransformerEncoderConfig::new(width, hidden, heads, layers).with_dropout(dropout);
        Ok(Transformer {
            project: LinearConfig::new(context.width, width).init(context.device),
            encoder: encoder.init(context.device),
            ordered: context.level == FusionLevel::Visits,
            width,
        })
    }
}

impl Fusion for Transformer {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let device = values.device();
        let padded = PaddedSets::new(sets, &device);
        if padded.longest() == 0 {
            return Tensor::zeros([sets.len(), self.width], &device);
        }
        // Projected once a row of the table, however often the row occurs in the sets.
        let x = padded.gather(linear(&self.project, values)); // [sets, longest, dim]
        let x = if self.ordered { x + self.positions(sets, &device) } else { x };
        let mask = padded.mask(); // [sets, longest, 1]
        let absent = mask.clone().squeeze_dim::<2>(2).equal_elem(0.0); // [sets, longest]
        let out = self.encoder.forward(TransformerEncoderInput::new(x).mask_pad(absent)); // [sets, longest, dim]
        let lengths = mask.clone().sum_dim(1).clamp_min(1.0); // [sets, 1, 1]
        ((out * mask).sum_dim(1) / lengths).squeeze_dim(1) // [sets, dim]
    }

    fn width(&self) -> usize {
        self.width
    }
}

impl Transformer {
    /// The [sinusoid] of the visits between a visit and the last.
    ///
    /// # Shapes
    /// - output: `[sets, longest, dim]`, zeros where a set is shorter
    fn positions(&self, sets: &Sets, device: &Device) -> Tensor<3> {
        let (longest, d) = (sets.longest(), self.width);
        let mut values = vec![0f32; sets.len() * longest * d];
        for (s, members) in sets.members().rows().enumerate() {
            for t in 0..members.len() {
                sinusoid((members.len() - 1 - t) as f32, &mut values[(s * longest + t) * d..][..d]);
            }
        }
        Tensor::from_data(TensorData::new(values, [sets.len(), longest, d]), &device.clone().without_autodiff())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(options: TransformerOptions, level: FusionLevel) -> Result<Transformer> {
        options.build(&FusionContext { width: 3, level, device: &Device::flex() })
    }

    fn small() -> TransformerOptions {
        TransformerOptions { dim: 8, heads: 2, feed_forward: 8, ..Default::default() }
    }

    fn run(fusion: &Transformer, lists: &[&[u32]]) -> Tensor<2> {
        let values = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &Device::flex());
        fusion.forward(values, &Sets::new(lists.iter().map(|l| l.iter().copied()).collect()))
    }

    #[test]
    fn the_result_does_not_depend_on_the_longest_set() {
        let fusion = build(small(), FusionLevel::Visits).unwrap();
        let together = run(&fusion, &[&[1, 0], &[], &[0, 1, 1, 0]]);
        assert_eq!(together.dims(), [3, 8]);
        let alone = run(&fusion, &[&[1, 0]]).into_data();
        together.clone().slice([0..1]).into_data().assert_approx_eq::<f32>(&alone, Default::default());
        assert_eq!(together.slice([1..2]).abs().sum().into_scalar::<f32>(), 0.0);
        assert_eq!(run(&fusion, &[&[]]).dims(), [1, 8]);
    }

    #[test]
    fn order_counts_for_visits_and_not_for_codes() {
        for (level, equal) in [(FusionLevel::Codes, true), (FusionLevel::Visits, false)] {
            let fusion = build(small(), level).unwrap();
            let difference = run(&fusion, &[&[0, 1, 1]]) - run(&fusion, &[&[1, 1, 0]]);
            assert_eq!(difference.abs().sum().into_scalar::<f32>() < 1e-5, equal, "{level:?}");
        }
    }

    #[test]
    fn bad_options_name_their_key() {
        let of = |o: TransformerOptions| build(o, FusionLevel::Codes).unwrap_err().to_string();
        assert!(of(TransformerOptions { dim: 0, ..small() }).starts_with("`dim`"));
        assert!(of(TransformerOptions { heads: 0, ..small() }).starts_with("`heads`"));
        assert!(of(TransformerOptions { heads: 3, ..small() }).starts_with("`heads`"));
        assert!(of(TransformerOptions { layers: 0, ..small() }).starts_with("`layers`"));
        assert!(of(TransformerOptions { feed_forward: 0, ..small() }).starts_with("`feed_forward`"));
        assert!(of(TransformerOptions { dropout: 1.0, ..small() }).starts_with("`dropout`"));
    }
}
