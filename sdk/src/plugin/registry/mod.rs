//! All components that an experiment can name.

mod loading;

use super::loader::LoadedPlugin;
use super::registrar::{ComponentInfo, Entry, Make, Registrar, origin};
use super::search::{between, with_unread};
use super::trust::Trust;
use crate::boundary::guard;
use crate::component::{Slot, SlotKind};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Table;

/// All components that an experiment can name, by slot and name.
///
/// ```ignore
/// let registry = Registry::new().with(dualk_plugin_encoder_gat::register)?;
/// ```
#[derive(Default)]
pub struct Registry {
    entries: BTreeMap<(Slot, String), Entry>,
    plugins: Vec<LoadedPlugin>,
    trust: Trust,
}

impl Registry {
    /// One without components: all come from plugins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks this of every plugin file from now on, before any of its code runs.
    pub fn trusting(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    /// Adds the components of a plugin that is linked into this program: its `register` function.
    ///
    /// # Errors
    /// When a name is taken in its slot.
    pub fn with(mut self, register: fn(&mut Registrar<'_>)) -> Result<Self> {
        self.add("linked into the program".into(), register)?;
        Ok(self)
    }

    /// The plugins loaded from files, in order.
    pub fn plugins(&self) -> &[LoadedPlugin] {
        &self.plugins
    }

    /// Every component, by slot and name.
    pub fn components(&self) -> impl Iterator<Item = &ComponentInfo> {
        self.entries.values().map(|e| &e.info)
    }

    /// What is known of a component.
    ///
    /// # Errors
    /// When there is no component of that name, with the names that there are.
    pub fn info(&self, slot: Slot, name: &str) -> Result<&ComponentInfo> {
        self.entry(slot, name).map(|e| &e.info)
    }

    /// The components of the slot of this name, and those of any slot whose own name it is.
    ///
    /// # Errors
    /// When neither a slot nor a component has it, with the names that there are.
    pub fn named(&self, name: &str) -> Result<Vec<&ComponentInfo>> {
        let slots = Slot::ALL.map(Slot::name);
        let is_meant = |info: &&ComponentInfo| info.slot.name() == name || info.name == name;
        let found: Vec<&ComponentInfo> = self.components().filter(is_meant).collect();
        if !found.is_empty() || slots.contains(&name) {
            return Ok(found);
        }
        let known = slots.into_iter().chain(self.components().map(|info| info.name));
        let error = Error::user(format!("neither a slot nor a component is named `{name}`"));
        let error = error.suggest_with(name, known, "`dualk list`");
        Err(with_unread(error).help("for a component of a plugin of your own, add --plugin FILE"))
    }

    /// Checks options and fills in defaults.
    ///
    /// # Errors
    /// For unknown components, unknown keys and values of the wrong type.
    pub fn check(&self, slot: Slot, name: &str, options: Table) -> Result<Table> {
        self.check_beside(slot, name, options, &[])
    }

    /// The same where a manifest has keys `beside` the options that the component knows nothing of: they are suggested and listed
    /// with the options.
    pub(crate) fn check_beside(&self, slot: Slot, name: &str, options: Table, beside: &[&str]) -> Result<Table> {
        let entry = self.entry(slot, name)?;
        guard::catch(|| guard::run(&origin(&entry.info), || (entry.check)(options, beside)))
    }

    /// Builds a component of slot `K`: `registry.build::<slots::fusion>(…)`.
    ///
    /// # Errors
    /// When there is no such component or it refuses its options.
    pub fn build<K: SlotKind>(&self, name: &str, options: Table, context: &K::Context<'_>) -> Result<K::Object> {
        let entry = self.entry(K::SLOT, name)?;
        let Some(make) = entry.make.downcast_ref::<Make<K>>() else {
            return Err(Error::program(format!("`{name}` is registered in the wrong slot")));
        };
        guard::catch(|| guard::run(&origin(&entry.info), || make(options, context)))
    }

    /// The same for a slot whose components need nothing but their options.
    ///
    /// # Errors
    /// When there is no such component or it refuses its options.
    pub fn make<K>(&self, name: &str, options: Table) -> Result<K::Object>
    where
        K: for<'a> SlotKind<Context<'a> = ()>,
    {
        self.build::<K>(name, options, &())
    }

    fn add(&mut self, plugin: Arc<str>, register: fn(&mut Registrar<'_>)) -> Result<()> {
        let mut entries = Vec::new();
        let mut registrar = Registrar { plugin: plugin.clone(), entries: &mut entries };
        guard::catch(|| {
            guard::run(&plugin, || register(&mut registrar));
            Ok(())
        })?;
        for entry in entries {
            let key = (entry.info.slot, entry.info.name.to_owned());
            if let Some(first) = self.entries.get(&key) {
                let message = format!("two plugins bring a {} named `{}`", entry.info.slot, entry.info.name);
                return Err(between(Error::user(message), &first.info.plugin, &plugin));
            }
            self.entries.insert(key, entry);
        }
        Ok(())
    }

    fn entry(&self, slot: Slot, name: &str) -> Result<&Entry> {
        self.entries.get(&(slot, name.to_owned())).ok_or_else(|| {
            let known: Vec<&str> = self.entries.keys().filter(|k| k.0 == slot).map(|k| k.1.as_str()).collect();
            let elsewhere = self.entries.keys().find(|k| k.1 == name).map(|k| k.0);
            let error = Error::user(format!("no {slot} is named `{name}`")).at_key("type");
            let error = error.suggest_with(name, known, &format!("`dualk list {slot}`"));
            match elsewhere {
                Some(other) => error.help(format!("`{name}` is a {other}")),
                None => with_unread(error).help("for a plugin of your own, add [[plugin]] with path = \"…\""),
            }
        })
    }
}
