//! Lab layer.

mod linear;

pub use linear::{LinearLab, LinearOptions};

dualk_sdk::export_plugin! { lab: LinearOptions }
