//! All components that an experiment can name.

use super::loader::{self, Inspection};
use super::option_info::{OptionInfo, options_of};
use super::trust::Trust;
use crate::boundary::guard;
use crate::component::*;
use crate::error::Mistakes;
use crate::model::FusionsOptions;
use crate::{Error, Result};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
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
    /// JSON Schema of its options, with defaults.
    pub schema: Schema,
    /// The plugin it comes from.
    pub plugin: Arc<str>,
}

/// A plugin in use.
#[derive(Debug, Clone)]
pub struct LoadedPlugin {
    /// Its package name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The file it came from; `None` when it was linked in.
    pub file: Option<PathBuf>,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: Option<String>,
}

/// Makes the objects of a slot from a table of options.
type Make<K> = Box<dyn Fn(Table, &<K as SlotKind>::Context<'_>) -> Result<<K as SlotKind>::Object> + Send + Sync>;

struct Entry {
    info: ComponentInfo,
    check: fn(Table) -> Result<Table>,
    /// A [`Make`] of the slot's kind.
    make: Box<dyn Any + Send + Sync>,
}

/// How errors call where components come from that are part of the SDK.
const BUILTIN: &str = "part of the SDK";

/// All components that an experiment can name, by slot and name.
///
/// ```ignore
/// let registry = Registry::new().with(dualk_plugin_encoder_gat::register)?;
/// ```
pub struct Registry {
    entries: BTreeMap<(Slot, String), Entry>,
    plugins: Vec<LoadedPlugin>,
    trust: Trust,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// What the SDK brings itself: the patient encoder `fusions`.
    pub fn new() -> Self {
        let mut registry = Self { entries: BTreeMap::new(), plugins: Vec::new(), trust: Trust::default() };
        let mut entries = Vec::new();
        Registrar { plugin: BUILTIN.into(), entries: &mut entries }.add::<PatientEncoderSlot, FusionsOptions>();
        registry.insert(entries);
        registry
    }

    fn insert(&mut self, entries: Vec<Entry>) {
        self.entries.extend(entries.into_iter().map(|entry| ((entry.info.slot, entry.info.name.to_owned()), entry)));
    }

    /// Asks this of every plugin file from now on, before any of its code runs.
    pub fn trusting(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    /// What the files say that would be loaded for these plugins and components, without running any of it: as
    /// [`Registry::load`] and [`Registry::require`] find them. Where a slot is `open`, the recipe's own choice is among them.
    ///
    /// # Errors
    /// When a file is missing, is no plugin, or no plugin brings a component.
    pub fn files(plugins: &[PathBuf], components: &[(Slot, String)], open: &BTreeSet<Slot>) -> Result<Vec<Inspection>> {
        let mut found: Vec<Inspection> = Vec::new();
        for plugin in plugins {
            found.push(loader::inspect(&loader::locate(plugin)?)?);
        }
        let builtin = Self::new();
        let mut wanted: VecDeque<(Slot, String)> = components.iter().cloned().collect();
        for slot in [Slot::Head, Slot::Recipe].into_iter().filter(|slot| open.contains(slot)) {
            let listed = found.iter().flat_map(|i| &i.defaults).filter(|(s, _)| s == slot.name());
            let listed = listed.map(|(_, name)| name.clone()).collect();
            wanted.push_front((slot, the_default(slot, listed)?));
        }
        while let Some((slot, name)) = wanted.pop_front() {
            let brings = |i: &Inspection| i.components.iter().any(|(s, n)| s == slot.name() && *n == name);
            if builtin.entries.contains_key(&(slot, name.clone())) || found.iter().any(brings) {
                continue;
            }
            let provider = loader::provider(slot, &name)?;
            let file = provider.ok_or_else(|| Error::user(format!("no plugin brings a {slot} named `{name}`")))?;
            let inspection = loader::inspect(&file)?;
            for (slot, name) in &inspection.needs {
                let slot = Slot::from_name(slot)?;
                wanted.extend(open.contains(&slot).then(|| (slot, name.clone())));
            }
            found.push(inspection);
        }
        Ok(found)
    }

    /// Adds the components of a plugin that is linked into this program: its `register` function.
    ///
    /// # Errors
    /// When a name is taken in its slot.
    pub fn with(mut self, register: fn(&mut Registrar<'_>)) -> Result<Self> {
        self.add("linked into the program".into(), register)?;
        Ok(self)
    }

    /// Loads a plugin: a shipped name such as `gat`, or the path of a shared library. `sha256`, when given, must be
    /// the file's. Loading the same file twice does nothing.
    ///
    /// # Errors
    /// When there is no such file, it was not built for this SDK, its checksum differs, or a name is taken.
    pub fn load(&mut self, plugin: &Path, sha256: Option<&str>) -> Result<()> {
        let opened = loader::open_file(&loader::locate(plugin)?)?;
        let inspection = &opened.inspection;
        if self.plugins.iter().any(|p| p.sha256.as_ref() == Some(&inspection.sha256)) {
            return Ok(());
        }
        inspection.verify(sha256)?;
        self.trust.check(inspection)?;
        let register = loader::load(&opened)?;
        self.add(origin_of(&inspection.file).into(), register)?;
        let Inspection { name, version, file, sha256, .. } = opened.inspection;
        self.plugins.push(LoadedPlugin { name, version, file: Some(file), sha256: Some(sha256) });
        Ok(())
    }

    /// Makes sure that a component is there: loads the plugin of the search path that brings it, if none did yet.
    ///
    /// # Errors
    /// When no plugin brings it, with the components there are, or when its plugin cannot be loaded.
    pub fn require(&mut self, slot: Slot, name: &str) -> Result<()> {
        if self.entries.contains_key(&(slot, name.to_owned())) {
            return Ok(());
        }
        match loader::provider(slot, name)? {
            Some(file) => self.load(&file, None),
            None => self.load_shipped().and_then(|()| self.entry(slot, name).map(|_| ())),
        }
    }

    /// Loads every plugin of the search path, for listings and suggestions.
    ///
    /// # Errors
    /// When one of them cannot be loaded.
    pub fn load_shipped(&mut self) -> Result<()> {
        loader::in_use().into_iter().try_for_each(|(_, file)| self.load(&file, None))
    }

    /// The component of a slot that serves where a manifest names none: one that is here already, or else one of the search
    /// path.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn default_of(&self, slot: Slot) -> Result<String> {
        let here = self.components().filter(|info| info.slot == slot && info.default);
        the_default(slot, here.map(|info| info.name.to_owned()).collect())
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
    /// When there is none of that name, with those there are.
    pub fn info(&self, slot: Slot, name: &str) -> Result<&ComponentInfo> {
        self.entry(slot, name).map(|e| &e.info)
    }

    /// SHA-256 of the plugin that brings a component; `None` when that is linked into the program, or there is none.
    pub fn sha256(&self, slot: Slot, name: &str) -> Option<&str> {
        let origin = &self.entries.get(&(slot, name.to_owned()))?.info.plugin;
        let brings = |plugin: &&LoadedPlugin| plugin.file.as_deref().is_some_and(|file| *origin_of(file) == **origin);
        self.plugins.iter().find(brings)?.sha256.as_deref()
    }

    /// Whether a component is part of the SDK itself, whose build says all that a checksum could.
    pub fn is_builtin(&self, slot: Slot, name: &str) -> bool {
        self.entries.get(&(slot, name.to_owned())).is_some_and(|entry| *entry.info.plugin == *BUILTIN)
    }

    /// Checks options and fills in defaults.
    ///
    /// # Errors
    /// For unknown components, unknown keys and values of the wrong type.
    pub fn check(&self, slot: Slot, name: &str, options: Table) -> Result<Table> {
        let entry = self.entry(slot, name)?;
        guard::catch(|| guard::run(&origin(&entry.info), || (entry.check)(options)))
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
                return Err(Error::user(message)
                    .help(format!("first:  {}", first.info.plugin))
                    .help(format!("second: {plugin}"))
                    .help("remove one of the two [[plugin]] entries"));
            }
            self.entries.insert(key, entry);
        }
        Ok(())
    }

    fn entry(&self, slot: Slot, name: &str) -> Result<&Entry> {
        self.entries.get(&(slot, name.to_owned())).ok_or_else(|| {
            let known: Vec<&str> = self.entries.keys().filter(|k| k.0 == slot).map(|k| k.1.as_str()).collect();
            let elsewhere = self.entries.keys().find(|k| k.1 == name).map(|k| k.0);
            let error = Error::user(format!("no {slot} is named `{name}`")).at_key("type").suggest(name, known);
            match elsewhere {
                Some(other) => error.help(format!("`{name}` is a {other}")),
                None => error.help("for a plugin of your own, add [[plugin]] with path = \"…\""),
            }
        })
    }
}

/// The default of a slot among those that are `here`, or else of the search path.
fn the_default(slot: Slot, here: Vec<String>) -> Result<String> {
    let mut all = if here.is_empty() { loader::defaults(slot) } else { here };
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Error::user(format!("no {slot} is named, and no plugin brings one that serves by default"))
            .help(format!("name one: {slot} = \"…\""))),
        (Some(last), false) => Err(Error::user(format!("no {slot} is named, and more than one serves by default"))
            .help(format!(
                "name one: {}",
                all.iter().chain([&last]).map(|n| format!("{slot} = \"{n}\"")).collect::<Vec<_>>().join(" or ")
            ))),
    }
}

/// How errors name the plugin in a file.
fn origin_of(file: &Path) -> String {
    format!("plugin {}", file.display())
}

/// How errors name a component.
fn origin(info: &ComponentInfo) -> String {
    format!("{} `{}` ({})", info.slot, info.name, info.plugin)
}

/// Collects the components of one plugin; [`export_plugin!`](crate::export_plugin) calls [`Registrar::add`] for each.
pub struct Registrar<'a> {
    plugin: Arc<str>,
    entries: &'a mut Vec<Entry>,
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
            schema: schema_of::<C>(),
            plugin: self.plugin.clone(),
        }
    }
}

/// The schema of a component's options in one piece, so that it can be put inside another.
fn schema_of<C: Component>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<C>()
}

fn check_options<C: Component>(table: Table) -> Result<Table> {
    let options: C = parse_options(table)?;
    Table::try_from(&options).map_err(|e| Error::program(format!("options of `{}` cannot be written: {e}", C::NAME)))
}

/// Reads options, refusing keys that the component does not have. Every wrong one is named: it is left out, and the rest read.
fn parse_options<C: Component>(mut table: Table) -> Result<C> {
    let schema = schema_of::<C>();
    let known = schema.get("properties").and_then(|p| p.as_object());
    let known: Vec<&str> = known.map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default();
    let mut mistakes = Mistakes::default();
    let unknown: Vec<String> = table.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
    for key in unknown {
        let error = Error::user(format!("`{}` has no option `{key}`", C::NAME)).at_key(&key);
        let error = error.suggest(&key, known.iter().copied());
        mistakes.note::<()>(Err(with_options(error, C::NAME, &schema, &key, mistakes.is_empty())));
        table.remove(&key);
    }
    loop {
        let error = match serde_path_to_error::deserialize(toml::Value::Table(table.clone())) {
            Ok(options) => return mistakes.finish(Some(options)),
            Err(error) => error,
        };
        let key = error.path().to_string();
        let option = key.split(['.', '[']).next().unwrap_or_default();
        let message = error.inner().to_string().trim().to_owned();
        // What was left out may have been needed.
        let follows = message.starts_with("missing field") && !mistakes.is_empty();
        if !follows {
            let error = Error::user(message).at_key(if key == "." { "" } else { &key });
            mistakes.note::<()>(Err(with_options(error, C::NAME, &schema, option, mistakes.is_empty())));
        }
        if follows || table.remove(option).is_none() {
            return mistakes.finish(None);
        }
    }
}

/// The error with what the option means that it is about, and, the first time, what the component accepts, an option a line.
fn with_options(error: Error, component: &str, schema: &Schema, key: &str, first: bool) -> Error {
    let options = options_of(schema);
    let error = match options.iter().find(|option| option.name == key) {
        Some(option) => error.help(format!("{key}: {}", option.about)),
        None => error,
    };
    if !first {
        return error;
    }
    let name = options.iter().map(|option| option.name.len()).max().unwrap_or(0);
    let kind = options.iter().map(|option| option.kind.chars().count()).max().unwrap_or(0);
    let line = |o: &OptionInfo| format!("      {:name$}  {:kind$}  {}", o.name, o.kind, o.default);
    let table: Vec<String> = options.iter().map(line).collect();
    match table.is_empty() {
        true => error.help(format!("`{component}` has no options")),
        false => error
            .help(format!("options of `{component}`, with their defaults:\n{}", table.join("\n")))
            .help("`dualk list SLOT` says what they mean"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::options! {
        /// Demo.
        struct Demo {
            /// Output width of each layer.
            dims: Vec<usize> = vec![256, 256],
        }
    }

    impl Component for Demo {
        const NAME: &'static str = "demo";
        const ABOUT: &'static str = "A demo.";
    }

    fn parse(text: &str) -> Result<Demo> {
        parse_options(toml::from_str(text).unwrap())
    }

    #[test]
    fn options_have_defaults_and_refuse_what_they_do_not_know() {
        assert_eq!(parse("").unwrap().dims, [256, 256]);
        let unknown = parse("dim = [1]").unwrap_err().to_string();
        assert!(unknown.contains("did you mean `dims`?"), "{unknown}");
        let negative = parse("dims = [8, -1]").unwrap_err().to_string();
        assert!(
            negative.contains("dims[1]") && negative.contains("-1") && negative.contains("Output width"),
            "{negative}"
        );
        let all = parse("dims = 3\nheads = 2\nwidth = 1").unwrap_err().to_string();
        for says in ["no option `heads`", "no option `width`", "`dims`: "] {
            assert!(all.contains(says), "{says}: {all}");
        }
    }
}
