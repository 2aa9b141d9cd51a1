//! Recurrent fusions: GRU and LSTM.

mod gates;
mod gru;
mod lstm;

pub use gru::{Gru, GruOptions};
pub use lstm::{Lstm, LstmOptions};

dualk_sdk::export_plugin! { fusion: GruOptions, fusion: LstmOptions }
