//! Losses over independent labels, over their order, over numbers and over times.

mod asymmetric;
mod balanced_bce;
mod bce;
mod cox;
mod cross_entropy;
mod focal;
mod huber;
mod label_weight;
mod label_weighted;
mod log_sigmoid;
mod mse;
mod poisson;
mod ranking;
mod weighted_bce;

pub use asymmetric::{Asymmetric, AsymmetricOptions};
pub use balanced_bce::{BalancedBce, BalancedBceOptions};
pub use bce::{Bce, BceOptions};
pub use cox::{Cox, CoxOptions};
pub use cross_entropy::{CrossEntropy, CrossEntropyOptions};
pub use focal::{Focal, FocalOptions};
pub use huber::{Huber, HuberOptions};
pub use label_weight::{LabelWeight, LabelWeightOptions};
pub use label_weighted::{LabelWeighted, LabelWeightedOptions};
pub use mse::{Mse, MseOptions};
pub use poisson::{Poisson, PoissonOptions};
pub use ranking::{Ranking, RankingOptions};
pub use weighted_bce::{WeightedBce, WeightedBceOptions};

dualk_sdk::export_plugin! {
    loss: AsymmetricOptions,
    loss: BalancedBceOptions,
    loss: BceOptions,
    loss: CoxOptions,
    loss: CrossEntropyOptions,
    loss: FocalOptions,
    loss: HuberOptions,
    loss: LabelWeightOptions,
    loss: LabelWeightedOptions,
    loss: MseOptions,
    loss: PoissonOptions,
    loss: RankingOptions,
    loss: WeightedBceOptions,
}
