//! What every component has.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// Options of a component and what `dualk list` says of it. Made with [`options!`](crate::options!).
pub trait Component: Serialize + DeserializeOwned + JsonSchema + Default + Send + Sync + 'static {
    /// Name in manifests: `type = "…"`.
    const NAME: &'static str;
    /// One line.
    const ABOUT: &'static str;
    /// Where it was published, if it was.
    const CITATION: &'static str = "";
    /// Components that it names by itself: lines `+slot name`. What loads them must be known before it runs.
    const NEEDS: &'static str = "";
    /// Whether it is the one of its slot where neither manifest nor recipe names one. A recipe can be, and a
    /// part of a model, such as the head.
    const DEFAULT: bool = false;
}
