//! Embedding models of knowledge graphs.

mod complex;
mod hake;
mod lanes;
mod mode;
mod rotate;
mod sine;
#[cfg(test)]
mod tests;
mod transe;

pub use complex::ComplexOptions;
pub use hake::HakeOptions;
pub use mode::ModeOptions;
pub use rotate::RotateOptions;
pub use transe::TranseOptions;

dualk_sdk::export_plugin! {
    kge_model: HakeOptions,
    kge_model: ModeOptions,
    kge_model: RotateOptions,
    kge_model: TranseOptions,
    kge_model: ComplexOptions,
}
