//! Which plugin files may be loaded: loading one runs its code.

use super::{Inspection, LoadedPlugin};
use crate::storage::{self, Access};
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
    /// When there is no such file, or it is no lock.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).map_err(|e| {
            Error::io("read the lock of plugins", file, e)
                .help("`dualk plugin lock MANIFEST` writes plugins.lock beside it")
        })?;
        let lock: File =
            toml::from_str(&text).map_err(|e| Error::user(format!("this is no plugins.lock: {e}")).at_file(file))?;
        Ok(Self { file: file.to_owned(), plugins: lock.plugin })
    }

    /// Refuses a place where something is that is neither an empty file nor a lock, and the folder of a run, whose lock says what
    /// made it.
    ///
    /// # Errors
    /// Name it.
    pub fn check_replaceable(file: &Path) -> Result<()> {
        let is_beside = |name: &str| file.with_file_name(name).is_file();
        if is_beside("result.json") && is_beside("manifest.toml") {
            let error = Error::user("this is the folder of a run, whose lock says what made it").at_file(file);
            return Err(error.help("lock the manifest that the run was made from, or a copy of it in another folder"));
        }
        storage::check_replaceable(file, "lock of plugins", |_| is_lock(file))
    }

    /// Writes a lock of these plugins.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(file: &Path, plugins: Vec<LockedPlugin>) -> Result<()> {
        let text = Self::text(plugins)?;
        storage::replace(file, |new| {
            storage::write(new, text.as_bytes())?;
            Access::All.give(new)
        })
    }

    /// What the file of such a lock holds.
    pub(crate) fn text(plugins: Vec<LockedPlugin>) -> Result<String> {
        toml::to_string(&File { plugin: plugins }).map_err(|e| Error::program(e.to_string()))
    }

    /// The plugins in a lock; nothing where it cannot be read as one.
    pub(crate) fn listed(lock: toml::Table) -> Vec<LockedPlugin> {
        toml::Value::Table(lock).try_into::<File>().map(|file| file.plugin).unwrap_or_default()
    }

    fn holds(&self, found: &Inspection) -> bool {
        let is_it = |sha256: &str| sha256.eq_ignore_ascii_case(&found.sha256);
        self.plugins.iter().any(|locked| locked.sha256.as_deref().is_some_and(is_it))
    }

    fn check(&self, found: &Inspection) -> Result<()> {
        if self.holds(found) {
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

/// Whether a file holds a list of plugins and nothing else.
fn is_lock(file: &Path) -> bool {
    let table = fs::read_to_string(file).ok().and_then(|text| toml::from_str::<toml::Table>(&text).ok());
    table.is_some_and(|table| {
        table.keys().all(|key| key == "plugin") && toml::Value::Table(table).try_into::<File>().is_ok()
    })
}

impl Trust {
    /// Loads nothing that is not in the lock.
    pub fn locked(self, lock: PluginsLock) -> Self {
        Self { lock: Some(lock), ..self }
    }

    /// Loads files that others on the machine may change, too.
    pub fn allow_world_writable(self) -> Self {
        Self { world_writable: true, ..self }
    }

    /// Hands every plugin to `announce` before it is loaded.
    pub fn announce(self, announce: impl Fn(&Inspection) + Send + Sync + 'static) -> Self {
        Self { announce: Some(Box::new(announce)), ..self }
    }

    /// Whether the lock has the plugin, or no lock is asked for.
    pub(super) fn admits(&self, found: &Inspection) -> bool {
        self.lock.as_ref().is_none_or(|lock| lock.holds(found))
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

/// Refuses a file that somebody else than this user and root can change, or put another one in the place of: by
/// writing it, as its owner, or in any of the folders above it. Above the folder that holds the program as well, what lies beside it
/// is as safe as that is, and no more is looked at.
#[cfg(unix)]
fn refuse_world_writable(found: &Inspection) -> Result<()> {
    let beside_program = || {
        let program = std::env::current_exe().and_then(fs::canonicalize).ok()?;
        let folder = program.parent()?;
        let installed = fs::canonicalize(folder.join("../lib/dualk")).ok();
        match found.file.parent()? {
            own if own == folder => Some(2),
            // The file, `dualk`, and `lib` unless the program is in a folder that others may change as well.
            own if Some(own) == installed.as_deref() => {
                Some(2 + usize::from(others_may_change(folder, false).is_none()))
            }
            _ => None,
        }
    };
    let looked_at = beside_program().unwrap_or(usize::MAX);
    for (above, path) in found.file.ancestors().take(looked_at).enumerate() {
        // The file and its folder are the plugin's; those above hold other things as well.
        if let Some((who, remedy)) = others_may_change(path, above < 2) {
            return Err(Error::user(format!(
                "{who} may change the plugin `{}`, and loading it runs its code",
                found.name
            ))
            .at_file(&found.file)
            .help(remedy)
            .help("or allow it: --allow-world-writable"));
        }
    }
    Ok(())
}

/// Who else may change a file or what a folder holds, and what to do about it: only of what is `own` to the plugin and to this
/// user rights are to be taken away, since others may need theirs in a folder such as `/tmp`. A sticky folder, as that is, keeps
/// others from replacing a file, and not from making one that is missing: it does not pass.
#[cfg(unix)]
fn others_may_change(path: &Path, own: bool) -> Option<(&'static str, String)> {
    use std::os::unix::fs::MetadataExt;
    const STICKY: u32 = 0o1000;
    const GROUP_WRITES: u32 = 0o020;
    const OTHERS_WRITE: u32 = 0o002;
    let shown = path.display();
    // What cannot be asked is not known to be safe.
    let Ok(meta) = fs::metadata(path) else {
        return Some(("somebody", format!("who can change this cannot be told: {shown}")));
    };
    // The owner of this process is that of its folder in /proc; where there is none, root's files alone pass.
    let user = fs::metadata("/proc/self").map(|own| own.uid()).unwrap_or(0);
    let remedy = |change: &str| match own && meta.uid() == user && meta.mode() & STICKY == 0 {
        true => format!("take that away: chmod {change} {shown}"),
        false => format!("move the plugin to a folder that only you can write to, and not below {shown}"),
    };
    if meta.uid() != 0 && meta.uid() != user {
        let move_it = "move the plugin to a folder that only you can write to";
        return Some(("another user", format!("it belongs to user {}: {shown}; {move_it}", meta.uid())));
    }
    if meta.mode() & OTHERS_WRITE != 0 {
        return Some(("anyone on this machine", remedy("o-w")));
    }
    // Where there is an access control list, these bits are the most that anybody has whom it names.
    if meta.mode() & GROUP_WRITES != 0 && (meta.gid() != 0 || has_list(path)) {
        return Some(("a group of users", remedy("g-w")));
    }
    None
}

/// Whether a path has an access control list, or that cannot be told.
#[cfg(target_os = "linux")]
fn has_list(path: &Path) -> bool {
    use rustix::io::Errno;
    let mut list = [0u8; 4096];
    let found = rustix::fs::getxattr(path, "system.posix_acl_access", &mut list);
    !matches!(found, Err(Errno::NODATA | Errno::OPNOTSUPP))
}

#[cfg(all(unix, not(target_os = "linux")))]
fn has_list(_: &Path) -> bool {
    false
}

#[cfg(not(unix))]
fn refuse_world_writable(_: &Inspection) -> Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_lock_replaces_nothing_but_a_lock_and_none_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugins.lock");
        let check = || PluginsLock::check_replaceable(&file);
        assert!(check().is_ok(), "nothing is there");
        for text in ["my notes", "name = \"x\"\n", "[[plugin]]\nname = 3\n", "plugin = 3\n"] {
            fs::write(&file, text).unwrap();
            let error = check().unwrap_err();
            assert!(error.to_string().contains("is no lock of plugins; it was not replaced"), "{text}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        let locked = LockedPlugin { name: "gat".into(), version: "1.0.0".into(), path: None, sha256: None };
        for plugins in [vec![], vec![locked]] {
            PluginsLock::write(&file, plugins).unwrap();
            assert!(check().is_ok());
        }
        fs::write(folder.path().join("manifest.toml"), "").unwrap();
        assert!(check().is_ok());
        fs::write(folder.path().join("result.json"), "{}").unwrap();
        assert!(check().unwrap_err().to_string().contains("the folder of a run"));
    }

    #[test]
    fn what_others_may_change_or_nobody_can_tell_is_not_safe() {
        let folder = tempfile::tempdir().unwrap();
        let with = |mode: u32| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            others_may_change(folder.path(), true).map(|(who, _)| who)
        };
        assert_eq!([with(0o755), with(0o700)], [None, None]);
        // A sticky folder, too.
        assert_eq!([with(0o1777), with(0o707)], [Some("anyone on this machine"); 2]);
        let (who, remedy) = others_may_change(&folder.path().join("gone"), true).unwrap();
        assert!(who == "somebody" && remedy.contains("cannot be told") && remedy.ends_with("gone"), "{remedy}");
    }

    /// The remedy for a file below `/tmp` was to take everybody's right to write there, which breaks a machine.
    #[test]
    fn rights_are_taken_from_what_is_the_plugins_own_alone() {
        let folder = tempfile::tempdir().unwrap();
        let remedy = |mode: u32, own: bool| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            others_may_change(folder.path(), own).unwrap().1
        };
        assert!(remedy(0o777, true).starts_with("take that away: chmod o-w "));
        for remedy in [remedy(0o1777, true), remedy(0o777, false), remedy(0o1777, false)] {
            assert!(remedy.starts_with("move the plugin to a folder that only you can write to"), "{remedy}");
            assert!(!remedy.contains("chmod"), "{remedy}");
        }
    }

    /// An access control list lets a user write whom neither owner nor group are, root's group as well: acl(5).
    #[cfg(target_os = "linux")]
    #[test]
    fn whom_an_access_control_list_names_may_not_write_either() {
        use rustix::fs::{XattrFlags, setxattr};
        let folder = tempfile::tempdir().unwrap();
        // Owner, the user 12345, group, mask, others: tag, rights, number.
        let entries =
            [(0x01, 7, u32::MAX), (0x02, 7, 12345), (0x04, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)];
        let entry = |(tag, rights, number): (u16, u16, u32)| {
            [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &number.to_le_bytes()].concat()
        };
        let list: Vec<u8> = 2u32.to_le_bytes().into_iter().chain(entries.into_iter().flat_map(entry)).collect();
        if setxattr(folder.path(), "system.posix_acl_access", &list, XattrFlags::empty()).is_err() {
            eprintln!("not tried: {} has no access control lists", folder.path().display());
            return;
        }
        assert!(has_list(folder.path()));
        assert_eq!(others_may_change(folder.path(), true).map(|(who, _)| who), Some("a group of users"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(others_may_change(folder.path(), true).is_none(), "it is named and may not write");
    }
}
