//! Finding plugin files: by path, by name, and by the components that they bring, in the folders of the search path.

use super::descriptor::Stamp;
use super::loader::{Brought, described};
use crate::component::Slot;
use crate::{Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use std::{env, fs, io};

/// File name of the shipped plugin `name` on this platform.
pub fn plugin_file_name(name: &str) -> String {
    format!("{}dualk_plugin_{}{}", env::consts::DLL_PREFIX, name.replace('-', "_"), env::consts::DLL_SUFFIX)
}

/// Folders where plugins are looked up by name: those of `DUALK_PLUGIN_PATH`, then beside the program and where it is
/// installed.
pub fn search_path() -> Vec<PathBuf> {
    let listed = env::var_os("DUALK_PLUGIN_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&listed).filter(|p| !p.as_os_str().is_empty()).collect();
    let program = env::current_exe().ok().and_then(|exe| fs::canonicalize(exe).ok());
    folders.extend(program.as_deref().and_then(Path::parent).into_iter().flat_map(of_program));
    folders
}

/// Where the plugins are that come with a program in this folder. Cargo puts tests and examples one folder below the plugins: of no other
/// program the folder above is looked into.
fn of_program(folder: &Path) -> Vec<PathBuf> {
    let is_below = ["deps", "examples"].iter().any(|name| folder.ends_with(name));
    let is_of_cargo = |above: &&Path| [".cargo-lock", ".fingerprint"].iter().any(|name| above.join(name).exists());
    let above = folder.parent().filter(|_| is_below).filter(is_of_cargo);
    [folder.to_owned(), folder.join("../lib/dualk")].into_iter().chain(above.map(Path::to_owned)).collect()
}

/// The file of a plugin given by name or path.
pub(super) fn locate(plugin: &Path) -> Result<PathBuf> {
    let text = plugin.to_string_lossy();
    let is_name = plugin.components().count() == 1 && !text.contains('.') && !plugin.is_absolute();
    if !is_name {
        return match plugin.is_file() {
            true => Ok(plugin.to_owned()),
            false => Err(Error::user("there is no such plugin file").at_key("path").at_file(plugin)),
        };
    }
    by_name(&text)?.ok_or_else(|| {
        let error = Error::user(format!("no plugin is named `{text}`")).at_key("path");
        let error = error.suggest_with(&text, short_names(), "`dualk doctor`");
        with_unread(error).help("for a plugin of your own, give the path of its shared library")
    })
}

/// The file of the search path that has this name, or else the only name with this word: `gat` for `encoder-gat`. One that
/// another build left behind is taken where there is no other, so that loading it says so.
fn by_name(text: &str) -> Result<Option<PathBuf>> {
    let all = in_use();
    let named = |wanted: &str, all: &[(String, PathBuf)]| -> Vec<PathBuf> {
        all.iter().filter(|(name, _)| name == wanted).map(|(_, file)| file.clone()).collect()
    };
    let whole = text.replace('_', "-");
    let mut files = named(&whole, &all);
    if files.is_empty() {
        let with_word = all.iter().map(|(name, _)| name).filter(|name| name.split('-').any(|part| part == text));
        let with_word: BTreeSet<&String> = with_word.collect();
        files = match with_word.first().filter(|_| with_word.len() == 1) {
            Some(name) => named(name, &all),
            None => named(&whole, &shipped()),
        };
    }
    only(files, || format!("two plugin files are named `{text}`"))
}

/// The file that is meant by all of these: they are copies of one, or those of another build are passed over.
///
/// # Errors
/// When two of them differ: neither is the one that was meant.
fn only(mut files: Vec<PathBuf>, conflict: impl FnOnce() -> String) -> Result<Option<PathBuf>> {
    let current = |file: &PathBuf| listed(file).is_some_and(|found| found.stamp == Stamp::current());
    if files.iter().any(current) {
        files.retain(current);
    }
    let Some((first, others)) = files.split_first() else { return Ok(None) };
    match others.iter().find(|other| !same_bytes(first, other)) {
        Some(second) => {
            let origins = [first, second].map(|file| format!("plugin {}", file.display()));
            Err(between(Error::user(conflict()), &origins[0], &origins[1]))
        }
        None => Ok(Some(first.clone())),
    }
}

/// The error of two plugins of which neither is preferred, with both and how to choose.
pub(super) fn between(error: Error, first: &str, second: &str) -> Error {
    error
        .help(format!("first:  {first}"))
        .help(format!("second: {second}"))
        .help("remove one of the two from the [[plugin]] entries or the folders where plugins are looked up,")
        .help("or name the one that is meant in the manifest: [[plugin]] with path = \"…\"")
}

/// What the shipped plugins can be called: `gat` for `encoder-gat`, the whole name where two would share the word.
fn short_names() -> Vec<String> {
    let names: BTreeSet<String> = in_use().into_iter().map(|(name, _)| name).collect();
    let last = |name: &str| name.rsplit('-').next().unwrap_or_default().to_owned();
    let shared = |word: &str| names.iter().filter(|name| name.split('-').any(|part| part == word)).count() > 1;
    names.iter().map(|name| Some(last(name)).filter(|word| !shared(word)).unwrap_or_else(|| name.clone())).collect()
}

/// Plugins in the search path, by name and file, in the order of the folders. A name may have several files.
fn shipped() -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for folder in search_path() {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| {
                let stem = n.strip_prefix(env::consts::DLL_PREFIX)?.strip_suffix(env::consts::DLL_SUFFIX)?;
                stem.strip_prefix("dualk_plugin_").map(|n| n.replace('_', "-"))
            });
            // Cargo keeps copies with a hash in their name.
            if let Some(name) = name.filter(|n| !n.contains('.')) {
                found.push((name, path));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// An error about what no plugin brings, with what of the search path cannot be read and may bring it.
pub(super) fn with_unread(error: Error) -> Error {
    let unread = unread().into_iter().take(UNREAD_NAMED);
    unread.fold(error, |error, (path, e)| error.help(format!("cannot be read: {}: {e}", path.display())))
}

/// How much of what cannot be read an error names.
const UNREAD_NAMED: usize = 3;

/// Folders and plugins of the search path that are there and cannot be read.
fn unread() -> Vec<(PathBuf, io::Error)> {
    let folders = search_path().into_iter().filter_map(|folder| {
        let error = fs::read_dir(&folder).err()?;
        Some((folder, error))
    });
    let files = shipped().into_iter().filter_map(|(_, file)| {
        let error = fs::File::open(&file).err()?;
        Some((file, error))
    });
    folders.chain(files).filter(|(_, error)| error.kind() != io::ErrorKind::NotFound).collect()
}

/// The same without those that were left behind by a build of another SDK, all of whose components plugins of this one
/// bring: a plugin that was renamed since.
pub(super) fn in_use() -> Vec<(String, PathBuf)> {
    let all: Vec<(String, PathBuf, Option<Listed>)> =
        shipped().into_iter().map(|(name, file)| (name, file.clone(), listed(&file))).collect();
    let current = |i: &Listed| i.stamp == Stamp::current();
    let brought: BTreeSet<&(String, String)> =
        all.iter().filter_map(|(_, _, i)| i.as_ref().filter(|i| current(i))).flat_map(|i| &i.components).collect();
    let left_behind = |i: &Listed| !current(i) && i.components.iter().all(|c| brought.contains(c));
    let kept = all.iter().filter(|(_, _, i)| !i.as_ref().is_some_and(left_behind));
    kept.map(|(name, file, _)| (name.clone(), file.clone())).collect()
}

/// A file of the search path that is looked at and may never be loaded: nothing is hashed of it.
#[derive(Clone)]
struct Listed {
    file: PathBuf,
    stamp: Stamp,
    components: Vec<(String, String)>,
    defaults: Vec<(String, String)>,
}

impl Listed {
    fn read(file: &Path) -> Result<Self> {
        let (file, _, found) = described(file)?;
        let Brought { components, defaults, .. } = Brought::read(&found.components);
        Ok(Self { file, stamp: found.stamp, components, defaults })
    }
}

/// What a file says; read again only when it changed.
fn listed(file: &Path) -> Option<Listed> {
    type Known = HashMap<PathBuf, (u64, Option<SystemTime>, Option<Listed>)>;
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let about = fs::metadata(file).ok()?;
    let (size, time) = (about.len(), about.modified().ok());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    match known.get(file) {
        Some((s, t, found)) if (*s, *t) == (size, time) => found.clone(),
        _ => {
            let found = Listed::read(file).ok();
            known.insert(file.to_owned(), (size, time, found.clone()));
            found
        }
    }
}

/// The components of a slot that plugins of the search path bring for manifests that name none.
pub(super) fn defaults(slot: Slot) -> Vec<String> {
    let all = in_use().into_iter().filter_map(|(_, file)| listed(&file));
    let of_slot = all.flat_map(|i| i.defaults).filter(|(s, _)| s == slot.name());
    let names: BTreeSet<String> = of_slot.map(|(_, name)| name).collect();
    names.into_iter().collect()
}

/// The file in the search path that brings a component.
///
/// # Errors
/// When two of them do: neither is the one that was meant.
pub(super) fn provider(slot: Slot, name: &str) -> Result<Option<PathBuf>> {
    let brings = |i: &Listed| i.components.iter().any(|(s, n)| s == slot.name() && n == name);
    let files = in_use().into_iter().filter_map(|(_, file)| listed(&file)).filter(brings).map(|i| i.file);
    only(files.collect(), || format!("two plugins bring a {slot} named `{name}`"))
}

/// Whether two files are copies of one.
fn same_bytes(one: &Path, other: &Path) -> bool {
    is_one_file(one, other) || matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whether two paths lead to one file, as cargo makes them with a link from `release` to `release/deps`.
#[cfg(unix)]
fn is_one_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |file: &Path| fs::metadata(file).ok().map(|about| (about.dev(), about.ino()));
    number(one).is_some_and(|found| Some(found) == number(other))
}

#[cfg(not(unix))]
fn is_one_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others may put a library into the folder above that of a program, such as one for downloads.
    #[test]
    fn the_folder_above_a_program_is_looked_into_where_cargo_built_it_and_nowhere_else() {
        let downloads = tempfile::tempdir().unwrap();
        let at = |name: &str| downloads.path().join(name);
        let above = |name: &str| of_program(&at(name)).contains(&downloads.path().to_owned());
        for name in ["examples", "deps", "bin"] {
            assert_eq!(of_program(&at(name)), [at(name), at(name).join("../lib/dualk")]);
        }
        fs::create_dir(at(".fingerprint")).unwrap();
        assert!(above("examples") && above("deps") && !above("bin"));
    }
}
