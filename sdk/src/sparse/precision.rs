//! In which numbers kernels read tables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The numbers in which graph kernels read the rows of neighbours. Sums, parameters and everything else stay in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// Rounded to bfloat16 (8 bits of mantissa), which halves the bytes a kernel reads. On the CPU only.
    Bf16,
}
