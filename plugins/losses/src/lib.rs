//! Losses over independent labels, and one over their order.

mod asymmetric;
mod balanced_bce;
mod bce;
mod cross_entropy;
mod focal;
mod label_weight;
mod label_weighted;
mod log_sigmoid;
mod ranking;
mod weighted_bce;

pub use asymmetric::{Asymmetric, AsymmetricOptions};
pub use balanced_bce::{BalancedBce, BalancedBceOptions};
pub use bce::{Bce, BceOptions};
pub use cross_entropy::{CrossEntropy, CrossEntropyOptions};
pub use focal::{Focal, FocalOptions};
pub use label_weight::{LabelWeight, LabelWeightOptions};
pub use label_weighted::{LabelWeighted, LabelWeightedOptions};
pub use ranking::{Ranking, RankingOptions};
pub use weighted_bce::{WeightedBce, WeightedBceOptions};

dualk_sdk::export_plugin! {
    loss: AsymmetricOptions,
    loss: BalancedBceOptions,
    loss: BceOptions,
    loss: CrossEntropyOptions,
    loss: FocalOptions,
    loss: LabelWeightOptions,
    loss: LabelWeightedOptions,
    loss: RankingOptions,
    loss: WeightedBceOptions,
}
