//! In which numbers kernels read tables and multiply matrices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The numbers that kernels read. Sums, parameters and everything else stay in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// Products of matrices round their factors to 10 bits of mantissa, as NVIDIA's tensor cores take them. On CUDA only.
    Tf32,
    /// Graph kernels read the rows of neighbours rounded to bfloat16 (7 bits of mantissa), which halves the bytes.
    Bf16,
}

impl Precision {
    /// Its name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}
