//! Scaling gradients down to a norm.

use crate::ops;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// What PyTorch adds to the norm before it divides by it.
const SMALL: f64 = 1e-6;

/// Gradients whose norm, over all of them together, is at most `norm` (`torch.nn.utils.clip_grad_norm_`). Nothing is read
/// back from the device.
pub(super) fn to_norm<M: Module>(module: &M, gradients: GradientsParams, norm: f64) -> GradientsParams {
    let mut sum = SumOfSquares { gradients: &gradients, sum: None };
    module.visit(&mut sum);
    let Some(sum) = sum.sum else { return gradients };
    let factor = (sum.sqrt() + SMALL).recip().mul_scalar(norm).clamp_max(1.0); // [1]
    let mut scaled = Scaled { gradients, factor, scaled: GradientsParams::new() };
    module.visit(&mut scaled);
    scaled.scaled
}

struct SumOfSquares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let own = ops::sum(gradient.clone() * gradient); // [1]
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + own,
            None => own,
        });
    }
}

struct Scaled {
    gradients: GradientsParams,
    factor: Tensor<1>,
    scaled: GradientsParams,
}

impl ModuleVisitor for Scaled {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let factor = self.factor.clone().reshape([1; D]);
        self.scaled.register(param.id, gradient * factor);
    }
}
