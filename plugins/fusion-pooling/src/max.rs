//! `max`: the largest number of every channel.

use dualk_sdk::ops::PaddedSets;
use dualk_sdk::prelude::*;

options! {
    /// Options of `max`.
    pub struct MaxOptions {}
}

impl Component for MaxOptions {
    const NAME: &'static str = "max";
    const ABOUT: &'static str = "Largest number of every channel among the members.";
}

/// out_s,c = max_{x ∈ s} x_c; zeros for an empty set.
#[derive(Module, Debug)]
pub struct Max {
    width: usize,
}

impl BuildFusion for MaxOptions {
    type Module = Max;

    fn build(self, context: &FusionContext<'_>) -> Result<Max> {
        Ok(Max { width: context.width })
    }
}

impl Fusion for Max {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let padded = PaddedSets::new(sets, &values.device());
        if padded.longest() == 0 {
            return Tensor::zeros([sets.len(), self.width], &values.device());
        }
        // The mask of the first member is that of the set: it is 0 when the set is empty.
        let filled = padded.mask().narrow(1, 0, 1); // [sets, 1, 1]
        let members = padded.gather(values) + padded.score_mask(); // [sets, longest, width]
        (members.max_dim(1) * filled).squeeze_dim(1) // [sets, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_empty_sets_do_not_enter() {
        let device = Device::flex();
        let max = MaxOptions {}.build(&FusionContext { width: 2, level: FusionLevel::Codes, device: &device }).unwrap();
        let values = Tensor::<2>::from_data([[9.0, 9.0], [-1.0, 3.0], [-2.0, 4.0]], &device);
        for (lists, expected) in [
            (vec![vec![1, 2], vec![], vec![1]], vec![[-1.0f32, 4.0], [0.0, 0.0], [-1.0, 3.0]]),
            (vec![vec![]], vec![[0.0, 0.0]]),
        ] {
            let out = max.forward(values.clone(), &Sets::new(lists.into_iter().collect())).into_data();
            let expected = TensorData::new(expected.concat(), [expected.len(), 2]);
            out.assert_approx_eq::<f32>(&expected, Default::default());
        }
    }
}
