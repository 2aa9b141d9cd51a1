//! What every component has: a name, a description, its citation, and the components that it needs.

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
    /// Components that it uses by name, that manifests need not list: lines `+slot name`. Their plugins are found before it runs.
    const NEEDS: &'static str = "";
    /// Keys of `[model]` whose components it is made of: those that it asks for by [`SubParts`](super::SubParts). The list of the
    /// model's parts says which keys components of a slot may ask for.
    const PARTS: &'static [&'static str] = &[];
    /// Whether it is the default of its slot, where neither manifest nor recipe names a component. Recipes can be the default,
    /// parts of a model, such as heads, and embedding models.
    const DEFAULT: bool = false;
}
