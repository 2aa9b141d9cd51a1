//! The slots by the names that manifests and [`export_plugin!`](crate::export_plugin) use: kinds for
//! [`Registry::build`](crate::plugin::Registry::build).

mod export;

pub use crate::kge::KgeModelSlot as kge_model;
pub use crate::recipe::RecipeSlot as recipe;

use crate::component::each_slot;

/// Exports the kinds of components by the names of their slots.
macro_rules! export_kinds {
    ($($(#[$doc:meta])* $slot:ident: $name:ident $(= $kind:ident)?),+ $(,)?) => {
        $($(pub use crate::component::$kind as $name;)?)+
    };
}
each_slot! { export_kinds }
