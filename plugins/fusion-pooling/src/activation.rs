//! What a pooled vector passes through.

use dualk_sdk::burn::tensor::activation::relu;
use dualk_sdk::ops::tanh;
use dualk_sdk::prelude::*;
use dualk_sdk::serde::{Deserialize, Serialize};

/// A function of every number. All of them keep zero, so that an empty set stays the zero vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, dualk_sdk::schemars::JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Activation {
    /// The number itself.
    None,
    /// Its positive part.
    Relu,
    /// Its hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The function of each number of `x`, in the same shape.
    pub fn apply(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Activation::None => x,
            Activation::Relu => relu(x),
            Activation::Tanh => tanh(x),
        }
    }
}
