//@ compares logits with targets
//@ loss = { type = "@NAME@" }
//! A loss: logits and targets → a number to minimise.

use dualk_sdk::ops::mean;
use dualk_sdk::prelude::*;

// What a manifest can set, each with its default: `loss = { type = "@NAME@", gamma = 1.5 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// How much less an entry counts that is nearly right; 1 or more.
        #[schemars(range(min = 1.0), extend("exclusiveMaximum" = 100.0))]
        pub gamma: f64 = 2.0,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "Focal loss: cross-entropy in which entries that are nearly right count less.";
    const CITATION: &'static str = "Lin et al., Focal Loss for Dense Object Detection, ICCV 2017";
}

/// mean((1 − p)^γ · −ln p), where p is the probability given to the right answer of an entry.
#[derive(Debug)]
pub struct Focal {
    gamma: f64,
}

impl BuildLoss for Options {
    fn build(self) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Focal { gamma: self.gamma }))
    }
}

impl Loss for Focal {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        // −ln p = max(z, 0) − z y + ln(1 + e^{−|z|}) never overflows.
        let size = logits.clone().abs();
        let positive_part = (logits.clone() + size.clone()) * 0.5;
        let cross_entropy = positive_part - logits * targets + size.neg().exp().log1p(); // [batch, columns]
        let wrong = cross_entropy.clone().neg().exp().neg() + 1.0; // 1 − p
        mean(wrong.powf_scalar(self.gamma) * cross_entropy) // [1]
    }
}

export_plugin! { loss: Options }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_chance_by_hand_and_a_right_answer_is_free() {
        let device = Device::flex();
        let loss = Options { gamma: 2.0 }.build().unwrap();
        let of = |logit: f32| {
            let targets = Tensor::ones([1, 1], &device);
            loss.forward(Tensor::full([1, 1], logit, &device), targets).into_scalar::<f32>()
        };
        assert!((of(0.0) - 0.25 * std::f32::consts::LN_2).abs() < 1e-6);
        assert!(of(30.0) < 1e-6 && of(-30.0) > 29.0);
    }

    // Gradients, large logits, rows of one kind, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_sound() {
        dualk_sdk::testing::check_loss(Options::default());
    }
}
