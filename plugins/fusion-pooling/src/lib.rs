//! Fusions without attention.

mod activation;
mod max;
mod mean;
mod sum;

pub use activation::Activation;
pub use max::{Max, MaxOptions};
pub use mean::{Mean, MeanOptions};
pub use sum::{Sum, SumOptions};

dualk_sdk::export_plugin! { fusion: MaxOptions, fusion: MeanOptions, fusion: SumOptions }
