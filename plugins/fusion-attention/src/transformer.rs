//! `transformer`: self-attention among the members, then their mean.

use dualk_sdk::burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::component::divisor;
use dualk_sdk::ops::{PaddedSets, elapsed, linear, sinusoid};
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
        #[schemars(range(min = 1, max = 1000))]
        pub layers: usize = 1,
        /// Hidden width of the perceptron of a layer.
        #[schemars(range(min = 1))]
        pub feed_forward: usize = 256,
        /// Dropout rate of the transformer.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.1,
        /// Whether the days from each visit to the last enter as well; of visits alone.
        pub elapsed: bool = false,
    }
}

impl Component for TransformerOptions {
    const NAME: &'static str = "transformer";
    const ABOUT: &'static str =
        "Self-attention among the members, visits with their order and perhaps elapsed time; the mean of what results.";
    const CITATION: &'static str = "Vaswani et al., Attention Is All You Need, NeurIPS 2017";
}

/// Numbers that describe a time: sine and cosine of four frequencies.
const TIMES: usize = 8;

/// out_s = mean_{x ∈ s} T(x W + b + p + t W_t), T an encoder of Vaswani et al.: each layer adds multi-head attention among the
/// members and then a perceptron with GELU, and normalises after both.
///
/// p stands for visits alone: sines and cosines (section 3.5 of the paper) of how many visits a visit is before the
/// last. t is there with `elapsed` alone: sin(ω ln(1 + d)) and its cosine for ω = 1, 2, 4, 8, with d the days from a visit to the last,
/// 0 where they are not known. It stands where BEHRT (Li et al. 2020) has an embedding of age. Codes of a visit have neither order
/// nor times: their p and t are 0.
#[derive(Module, Debug)]
pub struct Transformer {
    project: Linear,
    encoder: TransformerEncoder,
    time: Option<Linear>,
    ordered: bool,
    width: usize,
}

impl BuildFusion for TransformerOptions {
    type Module = Transformer;

    fn build(self, context: &FusionContext<'_>) -> Result<Transformer> {
        let Self { dim: width, layers, feed_forward: hidden, dropout, .. } = self;
        let heads = divisor("heads", self.heads, "dim", width)?;
        let encoder = TransformerEncoderConfig::new(width, hidden, heads, layers).with_dropout(dropout);
        let ordered = context.level == FusionLevel::Visits;
        Ok(Transformer {
            project: LinearConfig::new(context.width, width).init(context.device),
            encoder: encoder.init(context.device),
            time: (self.elapsed && ordered)
                .then(|| LinearConfig::new(TIMES, width).with_bias(false).init(context.device)),
            ordered,
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
        let x = match &self.time {
            Some(time) => x + time.forward(times(sets, &device)),
            None => x,
        };
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
        padded(sets, self.width, device, |place, row| sinusoid(place.before_last as f32, row))
    }
}

/// The [elapsed] time from each member to the last.
///
/// # Shapes
/// - output: `[sets, longest, TIMES]`, zeros where a set is shorter
fn times(sets: &Sets, device: &Device) -> Tensor<3> {
    let days = sets.days_ago();
    padded(sets, TIMES, device, |place, row| elapsed(days.get(place.member).copied().unwrap_or(0.0), row))
}

/// Where a member stands.
struct Place {
    /// Among the members of all sets.
    member: usize,
    /// Members of its set behind it.
    before_last: usize,
}

/// What `of` says of each member, a constant.
///
/// # Shapes
/// - output: `[sets, longest, width]`, zeros where a set is shorter
fn padded(sets: &Sets, width: usize, device: &Device, of: impl Fn(Place, &mut [f32])) -> Tensor<3> {
    let longest = sets.longest();
    let mut values = vec![0f32; sets.len() * longest * width];
    for (s, members) in sets.members().rows().enumerate() {
        for t in 0..members.len() {
            let place = Place { member: sets.members().offsets()[s] + t, before_last: members.len() - 1 - t };
            of(place, &mut values[(s * longest + t) * width..][..width]);
        }
    }
    Tensor::from_data(TensorData::new(values, [sets.len(), longest, width]), &device.clone().without_autodiff())
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
    fn elapsed_time_counts_for_visits_that_have_it() {
        let values = Tensor::<2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]], &Device::flex());
        let dated = |fusion: &Transformer, days: [f32; 2]| {
            fusion.forward(values.clone(), &Sets::new([vec![0, 1]].into_iter().collect()).ago(days.to_vec()))
        };
        for (level, elapsed, counts) in
            [(FusionLevel::Visits, true, true), (FusionLevel::Visits, false, false), (FusionLevel::Codes, true, false)]
        {
            let fusion = build(TransformerOptions { elapsed, ..small() }, level).unwrap();
            let base = dated(&fusion, [30.0, 0.0]);
            let difference = (base - dated(&fusion, [300.0, 0.0])).abs().sum().into_scalar::<f32>();
            assert_eq!(difference > 1e-4, counts, "{level:?} {elapsed} {difference}");
            // Sets without days are those of a single day.
            let undated = run(&fusion, &[&[0, 1]]) - dated(&fusion, [0.0, 0.0]);
            assert_eq!(undated.abs().sum().into_scalar::<f32>(), 0.0);
        }
    }

    #[test]
    fn heads_that_do_not_divide_the_width_are_refused() {
        let error = build(TransformerOptions { heads: 3, ..small() }, FusionLevel::Codes).unwrap_err().to_string();
        assert!(error.starts_with("`heads`"), "{error}");
    }
}
