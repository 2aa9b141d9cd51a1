//! What a plugin author needs: `use dualk_sdk::prelude::*;`.

pub use crate::burn;
pub use crate::burn::module::{Module, Param};
pub use crate::burn::tensor::{Device, Int, Tensor, TensorData};
pub use crate::component::*;
pub use crate::data::{Batch, Cohort, Dataset, Examples, Ragged, Sets};
pub use crate::error::{Error, Result};
pub use crate::graph::Graph;
pub use crate::kge::BuildKgeModel;
pub use crate::progress::Progress;
pub use crate::{export_plugin, options, slots};
