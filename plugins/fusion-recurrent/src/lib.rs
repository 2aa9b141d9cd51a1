//! Recurrent fusions: GRU and LSTM, and two published models of visits built on GRUs.

mod dipole;
mod gates;
mod gru;
mod lstm;
mod retain;

pub use dipole::{Dipole, DipoleOptions, Score};
pub use gru::{Gru, GruOptions};
pub use lstm::{Lstm, LstmOptions};
pub use retain::{Retain, RetainOptions};

dualk_sdk::export_plugin! {
    fusion: DipoleOptions,
    fusion: GruOptions,
    fusion: LstmOptions,
    fusion: RetainOptions,
}
