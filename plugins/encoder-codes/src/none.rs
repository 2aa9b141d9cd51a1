//! `none`: the node features are the embeddings.

use dualk_sdk::prelude::*;

options! {
    /// Options of `none`.
    pub struct NoneOptions {}
}

impl Component for NoneOptions {
    const NAME: &'static str = "none";
    const ABOUT: &'static str = "The trained node features themselves; the graph does not enter.";
}

/// y = x.
#[derive(Module, Debug)]
pub struct NoEncoder {
    width: usize,
}

impl BuildGraphEncoder for NoneOptions {
    type Module = NoEncoder;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<NoEncoder> {
        Ok(NoEncoder { width: context.input })
    }
}

impl GraphEncoder for NoEncoder {
    fn forward(&self, features: Tensor<2>, _: &Graph) -> Tensor<2> {
        features
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_pass_as_they_are() {
        let device = Device::flex();
        let encoder = NoneOptions {}.build(&GraphEncoderContext { input: 2, codes: &[], device: &device }).unwrap();
        let x = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &device);
        let out = encoder.forward(x.clone(), &Graph::new(2, &[(0, 1, 1.0)]).unwrap());
        out.into_data().assert_eq(&x.into_data(), true);
        assert_eq!(encoder.width(), 2);
    }
}
