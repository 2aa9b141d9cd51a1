//! What plugins register: a component's description, and functions that check its options and build it.

use super::option_info::{OptionInfo, options_of};
use super::options::{check_options, parse_options};
use crate::Result;
use crate::component::{Builds, Component, Slot, SlotKind};
use crate::options::schema_of;
use schemars::Schema;
use std::any::Any;
use std::sync::Arc;
use toml::Table;

/// What is known of a component.
#[derive(Debug, Clone)]
pub struct ComponentInfo {
    /// Its slot.
    pub slot: Slot,
    /// Its name in manifests.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// Where it was published, or empty.
    pub citation: &'static str,
    /// Whether it serves where a manifest names none of its slot.
    pub default: bool,
    /// Components that it names by itself: lines `+slot name`.
    pub needs: &'static str,
    /// Keys of `[model]` whose components it is made of.
    pub parts: &'static [&'static str],
    /// JSON Schema of its options, with defaults.
    pub schema: Schema,
    /// The plugin it comes from.
    pub plugin: Arc<str>,
}

impl ComponentInfo {
    /// The options, in the order of their declaration.
    pub fn options(&self) -> Vec<OptionInfo> {
        options_of(&self.schema)
    }
}

/// Makes the objects of a slot from a table of options.
pub(super) type Make<K> =
    Box<dyn Fn(Table, &<K as SlotKind>::Context<'_>) -> Result<<K as SlotKind>::Object> + Send + Sync>;

/// A component, and what checks its options and builds it.
pub(super) struct Entry {
    pub info: ComponentInfo,
    /// Takes keys beside the options, too, for suggestions.
    pub check: fn(Table, &[&str]) -> Result<Table>,
    /// A [`Make`] of the slot's kind.
    pub make: Box<dyn Any + Send + Sync>,
}

/// Collects the components of one plugin; [`export_plugin!`](crate::export_plugin) calls [`Registrar::add`] for each.
pub struct Registrar<'a> {
    pub(super) plugin: Arc<str>,
    pub(super) entries: &'a mut Vec<Entry>,
}

impl Registrar<'_> {
    /// Adds a component to the slot `K`.
    pub fn add<K: SlotKind, C: Builds<K>>(&mut self) {
        let info = self.info::<C>(K::SLOT);
        let origin: Arc<str> = origin(&info).into();
        let make: Make<K> = Box::new(move |table, context| parse_options::<C>(table)?.build_object(context, &origin));
        self.entries.push(Entry { info, check: check_options::<C>, make: Box::new(make) });
    }

    fn info<C: Component>(&self, slot: Slot) -> ComponentInfo {
        ComponentInfo {
            slot,
            name: C::NAME,
            about: C::ABOUT,
            citation: C::CITATION,
            default: C::DEFAULT,
            needs: C::NEEDS,
            parts: C::PARTS,
            schema: schema_of::<C>(),
            plugin: self.plugin.clone(),
        }
    }
}

/// How errors name a component.
pub(super) fn origin(info: &ComponentInfo) -> String {
    format!("{} `{}` ({})", info.slot, info.name, info.plugin)
}
