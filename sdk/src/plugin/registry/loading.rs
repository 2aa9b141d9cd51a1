//! Components from plugin files: which files bring them, and loading these.

use super::Registry;
use crate::component::Slot;
use crate::error::Mistakes;
use crate::plugin::loader::{self, Inspection, LoadedPlugin, Opened};
use crate::plugin::search;
use crate::{Error, Result};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

impl Registry {
    /// What the files say that would be loaded for these plugins and components, without running any of it: as
    /// [`Registry::load`] and [`Registry::require`] find them. Where a slot is `open`, the recipe's own choice is among them,
    /// and what serves by default.
    ///
    /// # Errors
    /// When a file is missing, is no plugin, or no plugin brings a component.
    pub fn files(plugins: &[PathBuf], components: &[(Slot, String)], open: &BTreeSet<Slot>) -> Result<Vec<Inspection>> {
        let mut found: Vec<Inspection> = Vec::new();
        for plugin in plugins {
            found.push(loader::inspect(&search::locate(plugin)?)?);
        }
        let mut wanted: VecDeque<(Slot, String)> = components.iter().cloned().collect();
        for &slot in open {
            let listed = found.iter().flat_map(|i| &i.defaults).filter(|(s, _)| s == slot.name());
            let listed: Vec<String> = listed.map(|(_, name)| name.clone()).collect();
            // For other slots than its own a recipe may choose.
            if slot == Slot::Recipe || !listed.is_empty() || !search::defaults(slot).is_empty() {
                wanted.push_front((slot, the_default(slot, listed)?));
            }
        }
        while let Some((slot, name)) = wanted.pop_front() {
            let brings = |i: &Inspection| i.components.iter().any(|(s, n)| s == slot.name() && *n == name);
            if found.iter().any(brings) {
                continue;
            }
            let provider = search::provider(slot, &name)?;
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

    /// Loads a plugin: a shipped name such as `gat`, or the path of a shared library. `sha256`, when given, must be
    /// the file's. Loading the same file twice does nothing.
    ///
    /// # Errors
    /// When there is no such file, it was not built for this SDK, its checksum differs, or a name is taken.
    pub fn load(&mut self, plugin: &Path, sha256: Option<&str>) -> Result<()> {
        self.load_opened(loader::open_file(&search::locate(plugin)?)?, sha256)
    }

    fn load_opened(&mut self, opened: Opened, sha256: Option<&str>) -> Result<()> {
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
        match search::provider(slot, name)? {
            Some(file) => self.load(&file, None),
            None => {
                // For suggestions: what cannot be loaded is no mistake of who asks for something else.
                let _ = self.load_shipped();
                self.entry(slot, name).map(|_| ())
            }
        }
    }

    /// Loads the plugins of the search path, for listings and suggestions: not those that the lock lacks, and none in the place
    /// of one that is here by choice and brings the same component.
    ///
    /// # Errors
    /// When one of them cannot be loaded, or two bring one component: all of these. The others are loaded all the same.
    pub fn load_shipped(&mut self) -> Result<()> {
        let chosen: BTreeSet<(String, String)> =
            self.components().map(|info| (info.slot.name().to_owned(), info.name.to_owned())).collect();
        let mut mistakes = Mistakes::default();
        for (_, file) in search::in_use() {
            mistakes.note(self.load_unless(&file, &chosen).map_err(|e| e.help(DO_WITHOUT)));
        }
        mistakes.done()
    }

    /// Loads a plugin of the search path, unless it brings one of these components or the lock lacks it.
    fn load_unless(&mut self, file: &Path, chosen: &BTreeSet<(String, String)>) -> Result<()> {
        let opened = loader::open_file(file)?;
        let is_replaced = opened.inspection.components.iter().any(|component| chosen.contains(component));
        match !is_replaced && self.trust.admits(&opened.inspection) {
            true => self.load_opened(opened, None),
            false => Ok(()),
        }
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

    /// SHA-256 of the plugin that brings a component; `None` when that is linked into the program, or there is none.
    pub fn sha256(&self, slot: Slot, name: &str) -> Option<&str> {
        let origin = &self.entries.get(&(slot, name.to_owned()))?.info.plugin;
        let brings = |plugin: &&LoadedPlugin| plugin.file.as_deref().is_some_and(|file| *origin_of(file) == **origin);
        self.plugins.iter().find(brings)?.sha256.as_deref()
    }
}

/// What else helps where a plugin of the search path cannot be loaded.
const DO_WITHOUT: &str =
    "or do without: take the file out of the folders where plugins are looked up, which `dualk doctor` shows";

/// The default of a slot among those that are `here`, or else of the search path.
fn the_default(slot: Slot, here: Vec<String>) -> Result<String> {
    let mut all = if here.is_empty() { search::defaults(slot) } else { here };
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => {
            let error = Error::user(format!("no {slot} is named, and no plugin brings one that serves by default"));
            Err(search::with_unread(error).help(format!("name one: {slot} = \"…\"")))
        }
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
