//! Lab encoders.

mod linear;
mod mlp;
mod none;

pub use linear::{LinearLab, LinearOptions};
pub use mlp::{MlpLab, MlpOptions};
pub use none::{NoLab, NoneOptions};

dualk_sdk::export_plugin! { lab: LinearOptions, lab: MlpOptions, lab: NoneOptions }
