//! Binary cross-entropy, plain and weighted.

mod bce;
mod weighted_bce;

pub use bce::{Bce, BceOptions};
pub use weighted_bce::{WeightedBce, WeightedBceOptions};

dualk_sdk::export_plugin! { loss: BceOptions, loss: WeightedBceOptions }
