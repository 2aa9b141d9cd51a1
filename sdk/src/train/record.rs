//! What is recorded of an epoch.

use super::Metrics;
use serde::{Deserialize, Serialize};

/// One pass over examples, as `metrics.jsonl` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The stage, such as `3-finetune`.
    pub stage: String,
    /// Epoch, from 0.
    pub epoch: usize,
    /// Mean loss of the epoch's training examples, dropout on.
    pub train_loss: f64,
    /// The same loss on valid, dropout off; absent without valid examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_loss: Option<f64>,
    /// Metrics on valid.
    #[serde(with = "as_map")]
    pub valid: Metrics,
    /// Metrics on test where a published code watches these during training; else nothing.
    #[serde(with = "as_map", default, skip_serializing_if = "Vec::is_empty")]
    pub test: Metrics,
    /// Learning rate.
    pub lr: f64,
    /// Wall time, evaluation included.
    pub seconds: f64,
}

impl EpochRecord {
    /// As a line of JSON.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which is a defect of this program.
    pub fn to_json(&self) -> crate::Result<String> {
        serde_json::to_string(self).map_err(|e| crate::Error::program(format!("cannot write metrics: {e}")))
    }

    /// Reads a line of JSON.
    ///
    /// # Errors
    /// When it is no record.
    pub fn from_json(line: &str) -> crate::Result<Self> {
        serde_json::from_str(line).map_err(|e| crate::Error::program(format!("cannot read metrics: {e}")))
    }
}

/// Metrics as an object, in their order; what is no number as null.
mod as_map {
    use super::Metrics;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(metrics: &Metrics, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(metrics.iter().map(|(name, value)| (name, value)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
        let map = serde_json::Map::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(name, value)| (name, value.as_f64().unwrap_or(f64::NAN))).collect())
    }
}
