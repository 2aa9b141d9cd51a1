//! Which plugin files may be loaded: loading one runs its code.

use super::{Inspection, LoadedPlugin};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What is asked of a plugin file before any of its code runs.
#[derive(Default)]
pub struct Trust {
    lock: Option<PluginsLock>,
    world_writable: bool,
    announce: Option<Announce>,
}

/// Gets every plugin before it is loaded.
type Announce = Box<dyn Fn(&Inspection) + Send + Sync>;

/// The plugins of `plugins.lock`, and where that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginsLock {
    file: PathBuf,
    plugins: Vec<LockedPlugin>,
}

/// A plugin file by its content. A plugin that was linked into a program has no file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedPlugin {
    /// Package name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it was.
    pub path: Option<PathBuf>,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct File {
    #[serde(default)]
    plugin: Vec<LockedPlugin>,
}

impl From<&Inspection> for LockedPlugin {
    fn from(found: &Inspection) -> Self {
        Self {
            name: found.name.clone(),
            version: found.version.clone(),
            path: Some(found.file.clone()),
            sha256: Some(found.sha256.clone()),
        }
    }
}

impl From<&LoadedPlugin> for LockedPlugin {
    fn from(loaded: &LoadedPlugin) -> Self {
        let LoadedPlugin { name, version, file, sha256 } = loaded.clone();
        Self { name, version, path: file, sha256 }
    }
}

impl PluginsLock {
    /// Reads a lock.
    ///
    /// # Errors
    /// When there is none, or it is no lock.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).map_err(|e| {
            Error::io("read the lock of plugins", file, e)
                .help("`dualk plugin lock MANIFEST` writes plugins.lock beside it")
        })?;
        let lock: File =
            toml::from_str(&text).map_err(|e| Error::user(format!("this is no plugins.lock: {e}")).at_file(file))?;
        Ok(Self { file: file.to_owned(), plugins: lock.plugin })
    }

    /// Writes a lock of these plugins.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(file: &Path, plugins: Vec<LockedPlugin>) -> Result<()> {
        fs::write(file, Self::text(plugins)?).map_err(|e| Error::io("write the lock of plugins", file, e))
    }

    /// What the file of such a lock holds.
    pub(crate) fn text(plugins: Vec<LockedPlugin>) -> Result<String> {
        toml::to_string(&File { plugin: plugins }).map_err(|e| Error::program(e.to_string()))
    }

    fn check(&self, found: &Inspection) -> Result<()> {
        let is_it = |sha256: &str| sha256.eq_ignore_ascii_case(&found.sha256);
        if self.plugins.iter().any(|locked| locked.sha256.as_deref().is_some_and(is_it)) {
            return Ok(());
        }
        let error = Error::user(format!("the plugin `{}` is not in the lock", found.name)).at_file(&found.file);
        let error = error.at_file(&self.file).help(format!("found:  {} {}", found.version, found.sha256));
        let error = match self.plugins.iter().find(|locked| locked.name == found.name) {
            Some(LockedPlugin { version, sha256, .. }) => {
                error.help(format!("locked: {version} {}", sha256.as_deref().unwrap_or("linked into a program")))
            }
            None => error,
        };
        Err(error.help("if you trust the file, `dualk plugin lock MANIFEST` writes a new lock"))
    }
}

impl Trust {
    /// Loads nothing that is not in the lock.
    pub fn locked(self, lock: PluginsLock) -> Self {
        Self { lock: Some(lock), ..self }
    }

    /// Loads files that anyone on the machine may change, too.
    pub fn allow_world_writable(self) -> Self {
        Self { world_writable: true, ..self }
    }

    /// Hands every plugin to `announce` before it is loaded.
    pub fn announce(self, announce: impl Fn(&Inspection) + Send + Sync + 'static) -> Self {
        Self { announce: Some(Box::new(announce)), ..self }
    }

    /// Refuses a plugin, or announces it.
    pub(super) fn check(&self, found: &Inspection) -> Result<()> {
        if !self.world_writable {
            refuse_world_writable(found)?;
        }
        if let Some(lock) = &self.lock {
            lock.check(found)?;
        }
        if let Some(announce) = &self.announce {
            announce(found);
        }
        Ok(())
    }
}

#[cfg(unix)]
fn refuse_world_writable(found: &Inspection) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    const OTHERS_WRITE: u32 = 0o002;
    /// In such a folder only the owner of a file may replace it.
    const STICKY: u32 = 0o1000;
    let mode = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    let folder = found.file.parent().unwrap_or(&found.file);
    let open = match (mode(&found.file) & OTHERS_WRITE != 0, mode(folder) & (OTHERS_WRITE | STICKY) == OTHERS_WRITE) {
        (true, _) => &found.file,
        (false, true) => folder,
        (false, false) => return Ok(()),
    };
    Err(Error::user(format!(
        "anyone on this machine may change the plugin `{}`, and loading it runs its code",
        found.name
    ))
    .at_file(&found.file)
    .help(format!("take that away: chmod o-w {}", open.display()))
    .help("or allow it: --allow-world-writable"))
}

#[cfg(not(unix))]
fn refuse_world_writable(_: &Inspection) -> Result<()> {
    Ok(())
}
