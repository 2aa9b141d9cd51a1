//! `global`: attention from a learned context, of codes and of visits.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::DropoutConfig;
use dualk_sdk::ops::{PaddedSets, add_row, matmul, softmax_pool, tanh};
use dualk_sdk::prelude::*;

options! {
    /// Options of `global`.
    pub struct GlobalOptions {}
}

impl Component for GlobalOptions {
    const NAME: &'static str = "global";
    const ABOUT: &'static str = "Attention from a learned context: one weight a code; a weight and a gate a visit.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

/// Keeps a row of zeros from dividing by zero, as PyTorch's `normalize` does with ε = 1e-12.
const EPSILON_SQUARED: f32 = 1e-24;

/// Codes: v = tanh(x W + b), out_s = Σ_{x ∈ s} softmax_{x ∈ s}(v · u) x.
///
/// Visits: v = tanh(z / ‖z‖₂) with z = x W + b, out_s = Σ_{x ∈ s} α (β ∘ x) with α = softmax_{x ∈ s}(v · u) and
/// β = softmax_{x ∈ s}(v U), separate for each channel.
///
/// The published model cannot construct these two; the formulas are those of its classes.
#[derive(Module, Debug)]
pub struct Global {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    context: Param<Tensor<1>>,
    gate: Option<Param<Tensor<2>>>,
    width: usize,
}

impl BuildFusion for GlobalOptions {
    type Module = Global;

    fn build(self, context: &FusionContext<'_>) -> Result<Global> {
        let (width, device) = (context.width, context.device);
        let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
        Ok(Global {
            weight: normal.init([width, width], device),
            bias: normal.init([width], device),
            context: normal.init([width], device),
            gate: (context.level == FusionLevel::Visits).then(|| normal.init([width, width], device)),
            width,
        })
    }
}

impl Fusion for Global {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let z = add_row(matmul(values.clone(), self.weight.val()), self.bias.val()); // [rows, width]
        let context = self.context.val().unsqueeze_dim::<2>(1); // [width, 1]
        let Some(gate) = &self.gate else {
            let scores = matmul(tanh(z), context); // [rows, 1]
            return softmax_pool(scores, values, sets, &DropoutConfig::new(0.0).init()); // [sets, width]
        };
        let norm = (z.clone().square().sum_dim(1) + EPSILON_SQUARED).sqrt(); // [rows, 1]
        let v = tanh(z / norm);
        let padded = PaddedSets::new(sets, &values.device());
        if padded.longest() == 0 {
            return Tensor::zeros([sets.len(), self.width], &values.device());
        }
        let alpha = padded.softmax(padded.gather(matmul(v.clone(), context))); // [sets, longest, 1]
        let beta = padded.softmax(padded.gather(matmul(v, gate.val()))); // [sets, longest, width]
        (alpha * beta * padded.gather(values)).sum_dim(1).squeeze_dim(1) // [sets, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_is_itself_and_none_is_zero() {
        let device = Device::flex();
        for level in [FusionLevel::Codes, FusionLevel::Visits] {
            let global = GlobalOptions {}.build(&FusionContext { width: 2, level, device: &device }).unwrap();
            let values = Tensor::<2>::from_data([[1.0, -2.0], [0.5, 0.25]], &device);
            for (lists, expected) in
                [(vec![vec![1], vec![]], vec![[0.5f32, 0.25], [0.0, 0.0]]), (vec![vec![]], vec![[0.0, 0.0]])]
            {
                let out = global.forward(values.clone(), &Sets::new(lists.into_iter().collect())).into_data();
                let expected = TensorData::new(expected.concat(), [expected.len(), 2]);
                out.assert_approx_eq::<f32>(&expected, Default::default());
            }
        }
    }
}
