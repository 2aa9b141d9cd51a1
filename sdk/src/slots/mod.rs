//! The slots by the names that manifests and [`export_plugin!`](crate::export_plugin) use: kinds for
//! [`Registry::build`](crate::plugin::Registry::build).

mod export;

use crate::component::each_slot;

/// Exports every kind by the name of its slot.
macro_rules! export_kinds {
    ($($(#[$doc:meta])* $slot:ident: $name:ident = $($kind:ident)::+),+ $(,)?) => {
        $(pub use crate::$($kind)::+ as $name;)+
    };
}
each_slot! { export_kinds }
