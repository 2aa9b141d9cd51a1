//! `none`: the laboratory items do not enter.

use dualk_sdk::prelude::*;

options! {
    /// Options of `none`.
    pub struct NoneOptions {}
}

impl Component for NoneOptions {
    const NAME: &'static str = "none";
    const ABOUT: &'static str = "A single zero: laboratory items do not enter.";
}

/// y = 0, one number wide: tensors without columns are not for every device.
#[derive(Module, Debug)]
pub struct NoLab {
    width: usize,
}

impl BuildLabEncoder for NoneOptions {
    type Module = NoLab;

    fn build(self, _: &LabEncoderContext<'_>) -> Result<NoLab> {
        Ok(NoLab { width: 1 })
    }
}

impl LabEncoder for NoLab {
    fn forward(&self, labs: Tensor<2>) -> Tensor<2> {
        Tensor::zeros([labs.dims()[0], self.width], &labs.device()) // [batch, 1]
    }

    fn width(&self) -> usize {
        self.width
    }

    fn sees_items(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_do_not_enter() {
        let device = Device::flex();
        let lab = NoneOptions {}.build(&LabEncoderContext { labs: 3, device: &device }).unwrap();
        let out = lab.forward(Tensor::ones([2, 3], &device));
        assert_eq!(out.dims(), [2, lab.width()]);
        assert_eq!(out.abs().sum().into_scalar::<f32>(), 0.0);
        assert!(!lab.sees_items());
    }
}
