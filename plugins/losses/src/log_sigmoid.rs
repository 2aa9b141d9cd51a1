//! The logarithm of a probability from its logit.

use dualk_sdk::prelude::*;

/// ln σ(z) as min(z, 0) − ln(1 + e^{−|z|}), which never overflows.
pub fn log_sigmoid(z: Tensor<2>) -> Tensor<2> {
    let size = z.clone().abs();
    // (z − |z|) / 2 is min(z, 0) with the slope ½ at 0, where min has none.
    (z - size.clone()) * 0.5 - size.neg().exp().log1p()
}
