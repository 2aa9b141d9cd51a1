//! Reading, checking and opening plugin files. All `unsafe` blocks of the plugin system are here; `descriptor.rs` and
//! `export_plugin!` only name symbols.
#![allow(unsafe_code)]

use super::descriptor::{self, ANCHOR_SYMBOL, DESCRIPTOR_SYMBOL, Descriptor, Found, LAYOUT, Stamp};
use super::{Registrar, anchor};
use crate::component::Slot;
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What a plugin's file says, read without running any of it.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The file.
    pub file: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Package name of the plugin.
    pub name: String,
    /// Version of the plugin.
    pub version: String,
    /// The SDK build it was compiled against.
    pub stamp: Stamp,
    /// Its components: slot and name. Slots that this SDK does not know are kept as they are.
    pub components: Vec<(String, String)>,
    /// Those of its components that serve where a manifest names none: slot and name.
    pub defaults: Vec<(String, String)>,
    /// Components of other plugins that it names by itself: slot and name.
    pub needs: Vec<(String, String)>,
    layout: u32,
}

impl Inspection {
    /// Whether this SDK can load the plugin.
    ///
    /// # Errors
    /// Names what differs on both sides, and the remedy.
    pub fn verify(&self, sha256: Option<&str>) -> Result<()> {
        let refuse = |message: String| Error::user(message).at_file(&self.file);
        if let Some(pinned) = sha256.filter(|pinned| !pinned.eq_ignore_ascii_case(&self.sha256)) {
            return Err(refuse(format!("the plugin `{}` is not the pinned file", self.name))
                .at_key("sha256")
                .help(format!("pinned: {pinned}"))
                .help(format!("found:  {}", self.sha256))
                .help("if you trust the new file, update sha256"));
        }
        let host = Stamp::current();
        let differing = host.fields().into_iter().zip(self.stamp.fields()).find(|(h, p)| h.1 != p.1);
        if let Some(((what, host), (_, plugin))) = differing.filter(|_| self.layout == LAYOUT) {
            return Err(refuse(format!("the plugin `{}` was built for another {what}", self.name))
                .help(format!("plugin: {plugin}"))
                .help(format!("dualk:  {host}"))
                .help("rebuild it against this SDK: `dualk plugin build` in the plugin's folder"));
        }
        if self.layout != LAYOUT {
            return Err(refuse(format!("the plugin `{}` has a descriptor of another form", self.name))
                .help(format!("plugin: form {} (SDK {})", self.layout, self.stamp.sdk))
                .help(format!("dualk:  form {LAYOUT} (SDK {})", host.sdk))
                .help("rebuild it against this SDK: `dualk plugin build` in the plugin's folder"));
        }
        for (slot, name) in &self.components {
            Slot::from_name(slot).map_err(|e| {
                e.at_file(&self.file).help(format!("the plugin `{}` brings `{name}` for it", self.name))
            })?;
        }
        Ok(())
    }
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

/// A plugin's file, read once: what it says, and the very bytes that [`load`] runs.
pub(super) struct Opened {
    pub inspection: Inspection,
    bytes: Vec<u8>,
}

/// Reads what a plugin's file says, without running any of it.
///
/// # Errors
/// When the file cannot be read or is no plugin.
pub fn inspect(file: &Path) -> Result<Inspection> {
    open_file(file).map(|opened| opened.inspection)
}

/// The same, with the bytes that were looked at.
pub(super) fn open_file(file: &Path) -> Result<Opened> {
    let (file, bytes, found) = described(file)?;
    let Brought { components, defaults, needs } = Brought::read(&found.components);
    let inspection = Inspection {
        sha256: crate::storage::hex(&Sha256::digest(&bytes)),
        components,
        defaults,
        needs,
        name: found.name,
        version: found.version,
        stamp: found.stamp,
        layout: found.layout,
        file,
    };
    Ok(Opened { inspection, bytes })
}

/// A plugin's file: where it is, its bytes, and the descriptor in them.
pub(super) fn described(file: &Path) -> Result<(PathBuf, Vec<u8>, Found)> {
    let file = fs::canonicalize(file).map_err(|e| Error::io("open the plugin", file, e))?;
    let bytes = fs::read(&file).map_err(|e| Error::io("read the plugin", &file, e))?;
    let Some(found) = descriptor::find(&bytes) else {
        let library = [&b"\x7fELF"[..], b"MZ", b"\xcf\xfa\xed\xfe"].iter().any(|magic| bytes.starts_with(magic));
        let error = match library {
            true => Error::user("this shared library is no dualk plugin").help("its crate needs `export_plugin!`"),
            false => Error::user("this file is no shared library"),
        };
        return Err(error.at_file(&file).help("`dualk plugin new` writes a working plugin to start from"));
    };
    if is_truncated(&bytes) {
        return Err(Error::user("the end of this shared library is missing")
            .at_file(&file)
            .help("copy or build it again"));
    }
    Ok((file, bytes, found))
}

/// The components that a descriptor names, by slot and name, as [`Inspection`] has them.
pub(super) struct Brought {
    pub components: Vec<(String, String)>,
    pub defaults: Vec<(String, String)>,
    needs: Vec<(String, String)>,
}

impl Brought {
    pub fn read(components: &str) -> Self {
        let lines = components.lines().filter_map(|line| line.split_once(' '));
        let lines = lines.map(|(slot, name)| (slot.to_owned(), name.to_owned()));
        let (needs, components): (Vec<_>, Vec<_>) = lines.partition(|(slot, _)| slot.starts_with('+'));
        let (defaults, others): (Vec<_>, Vec<_>) = components.into_iter().partition(|(slot, _)| slot.starts_with('*'));
        let defaults = without_mark(defaults);
        let components = defaults.iter().cloned().chain(others).collect();
        Self { components, defaults, needs: without_mark(needs) }
    }
}

/// Lines of a descriptor without the sign that their slots begin with.
fn without_mark(lines: Vec<(String, String)>) -> Vec<(String, String)> {
    lines.into_iter().map(|(slot, name)| (slot[1..].to_owned(), name)).collect()
}

/// Whether a 64-bit little-endian ELF file ends before its section table, which its header places at the end: mapping
/// such a file would end the process.
fn is_truncated(bytes: &[u8]) -> bool {
    let number = |at: usize, size: usize| bytes[at..at + size].iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
    bytes.starts_with(b"\x7fELF\x02\x01")
        && (bytes.len() < 64 || number(0x28, 8).saturating_add(number(0x3a, 2) * number(0x3c, 2)) > bytes.len() as u64)
}

/// What a plugin registers its components with.
type Register = fn(&mut Registrar<'_>);

/// Opens a verified plugin for good and returns its `register` function. Plugins are never closed: vtables and
/// backward steps of tensors live in them. The bytes that run are those that were looked at, whatever has become of the
/// file since; the same bytes are opened once in a process.
pub(super) fn load(opened: &Opened) -> Result<Register> {
    static LOADED: Mutex<BTreeMap<String, Register>> = Mutex::new(BTreeMap::new());
    let inspection = &opened.inspection;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(register) = loaded.get(&inspection.sha256) {
        return Ok(*register);
    }
    let register = load_new(opened)?;
    loaded.insert(inspection.sha256.clone(), register);
    Ok(register)
}

fn load_new(opened: &Opened) -> Result<Register> {
    let inspection = &opened.inspection;
    let refuse = |message: String| Error::user(message).at_file(&inspection.file);
    let unusable = |e: libloading::Error| {
        refuse(format!("the plugin `{}` cannot be opened", inspection.name))
            .help(std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string))
            .help("rebuild it against this SDK: `dualk plugin build` in the plugin's folder")
    };
    // Memory without a name: nobody can put other bytes there. Where the system has none, or refuses to run what is in
    // it, a copy in a folder that only this user can enter.
    // SAFETY: opening runs the plugin's initialisers, which is what loading a plugin means; its stamp matches.
    let library = match private_memory(&opened.bytes).and_then(|file| unsafe { open(&file) }.ok()) {
        Some(library) => library,
        None => {
            let copy = private_copy(&inspection.file, &opened.bytes)?;
            // SAFETY: as above.
            unsafe { open(&copy.1) }.map_err(unusable)?
        }
    };
    // SAFETY: the symbol is a static `Descriptor` of the form that the stamp and layout name.
    let descriptor: &'static Descriptor = unsafe {
        let symbol = library.get::<*const Descriptor>(DESCRIPTOR_SYMBOL).map_err(unusable)?;
        &**symbol
    };
    // Looked up through the plugin, the anchor is the plugin's own if it has one, even where the dynamic linker binds
    // the plugin's calls to the host's functions of the same name.
    // SAFETY: only the address is used.
    let seen = unsafe { library.get::<*const u8>(ANCHOR_SYMBOL) }.map(|symbol| *symbol);
    std::mem::forget(library);
    if (descriptor.anchor)() != anchor() || !matches!(seen, Ok(address) if address == anchor()) {
        return Err(refuse(format!("the plugin `{}` carries its own copy of the SDK", inspection.name))
            .help("plugin: linked the SDK statically")
            .help("dualk:  host and plugins share one libdualk_sdk, which holds the only copy of burn")
            .help("build it with `dualk plugin build`, which passes `-C prefer-dynamic`"));
    }
    Ok(descriptor.register)
}

/// The bytes as a file without a name, by a path that stays theirs: the dynamic linker knows libraries by their paths.
#[cfg(target_os = "linux")]
fn private_memory(bytes: &[u8]) -> Option<PathBuf> {
    use rustix::fs::{MemfdFlags, memfd_create};
    use std::io::Write;
    use std::os::fd::IntoRawFd;
    let mut file = fs::File::from(memfd_create("dualk-plugin", MemfdFlags::CLOEXEC).ok()?);
    file.write_all(bytes).ok()?;
    Some(format!("/proc/self/fd/{}", file.into_raw_fd()).into())
}

#[cfg(not(target_os = "linux"))]
fn private_memory(_: &[u8]) -> Option<PathBuf> {
    None
}

/// The bytes in a folder of this user alone, which goes when it is dropped.
fn private_copy(file: &Path, bytes: &[u8]) -> Result<(crate::storage::Scratch, PathBuf)> {
    let folder = crate::storage::Scratch::new("dualk-plugin")?;
    let copy = folder.path().join(file.file_name().unwrap_or_default());
    crate::storage::write(&copy, bytes)?;
    Ok((folder, copy))
}

#[cfg(unix)]
unsafe fn open(file: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: the caller's. Everything is resolved now, so that what is missing is an error and not a crash later.
    unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL).map(Into::into) }
}

#[cfg(not(unix))]
unsafe fn open(file: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: the caller's.
    unsafe { libloading::Library::new(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_holds_its_section_table() {
        let library = |offset: u64, size: u16, count: u16, length: usize| {
            let mut bytes = vec![0; length];
            bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            bytes[0x28..0x30].copy_from_slice(&offset.to_le_bytes());
            bytes[0x3a..0x3c].copy_from_slice(&size.to_le_bytes());
            bytes[0x3c..0x3e].copy_from_slice(&count.to_le_bytes());
            bytes
        };
        assert!(!is_truncated(&library(64, 64, 2, 192)) && is_truncated(&library(64, 64, 2, 191)));
        assert!(is_truncated(&library(u64::MAX, 64, 2, 192)), "beyond all numbers");
        assert!(is_truncated(b"\x7fELF\x02\x01") && !is_truncated(b"\x7fELF\x01\x01"));
    }
}
