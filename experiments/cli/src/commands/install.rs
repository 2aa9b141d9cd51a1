//! `dualk install`: program, SDK, shipped plugins and what plugins are compiled against, in one folder.

use clap::Args;
use dualk_sdk::plugin::{Stamp, inspect};
use dualk_sdk::storage::{self, Draft};
use dualk_sdk::{Error, Result};
use std::collections::{BTreeSet, HashSet};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The file in share/dualk with the names of what was installed there and in lib/dualk, a line each.
const LIST: &str = "installed.txt";
/// Folders that are an installation's as they are: metadata, and documentation.
const DEPS: &str = "deps";
const DOC: &str = "doc";

/// Arguments of `dualk install`.
#[derive(Args)]
pub struct Install {
    /// Where to put bin/dualk, lib/dualk and share/dualk.
    #[arg(long, value_name = "FOLDER")]
    prefix: PathBuf,
    /// Leave out what plugins are compiled against.
    #[arg(long)]
    without_metadata: bool,
    /// Put what `cargo doc` made into share/dualk/doc.
    #[arg(long)]
    docs: bool,
}

/// Files of the build that are installed.
struct Parts {
    program: PathBuf,
    /// The SDK and the shipped plugins.
    libraries: Vec<PathBuf>,
    /// Metadata of all packages, and the compiler plugins among them.
    metadata: Vec<PathBuf>,
}

impl Install {
    pub fn run(self) -> Result<()> {
        self.install()?.iter().for_each(|line| println!("{line}"));
        Ok(())
    }

    /// What `dualk install --prefix PREFIX` is.
    pub(super) fn at(prefix: PathBuf, without_metadata: bool) -> Self {
        Self { prefix, without_metadata, docs: false }
    }

    /// Installs; lines that say what is where.
    pub(super) fn install(&self) -> Result<Vec<String>> {
        let mut parts = parts()?;
        parts.libraries.push(standard_library()?);
        if self.without_metadata {
            parts.metadata.clear();
        }
        let prefix = std::path::absolute(&self.prefix).map_err(|e| Error::io("find the folder", &self.prefix, e))?;
        let (library, share, bin) = (prefix.join("lib/dualk"), prefix.join("share/dualk"), prefix.join("bin"));
        let program = bin.join(format!("dualk{EXE_SUFFIX}"));
        let package = package();
        let manifests = Manifests::of(package.as_deref())?;
        let names = names(&parts, &manifests);
        replaceable(&library, &share, &names)?;
        check_program(&program, &share)?;
        let size = self.put(&parts, &manifests, &names, [&library, &share, &program])?;
        let plugins = parts.libraries.len().saturating_sub(2);
        let mut lines = vec![
            program.display().to_string(),
            format!("{}  SDK and {plugins} plugins", library.display()),
            match package {
                Some(_) => format!("{}  {} manifests", share.display(), manifests.files.len()),
                None => {
                    format!("{}  no manifests: the clone that this program was built in is gone", share.display())
                }
            },
        ];
        if self.docs {
            lines.push(format!("{}  the SDK's documentation", share.join("doc/dualk_sdk/index.html").display()));
        }
        lines.push(format!("{} MiB", size >> 20));
        let on_path = env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder == bin));
        if !on_path {
            lines.push(format!("{} is not on PATH", bin.display()));
        }
        Ok(lines)
    }

    /// Puts everything into place; the bytes that were written. All is there before anything of an earlier installation goes: the
    /// new program has the new libraries and manifests, or the old one the old.
    fn put(
        &self,
        parts: &Parts,
        manifests: &Manifests,
        names: &BTreeSet<PathBuf>,
        [library, share, program]: [&Path; 3],
    ) -> Result<u64> {
        let (drafts, new_program) =
            ((draft(library)?, draft(share)?), draft(&program.with_file_name("dualk-program"))?);
        let (new_library, new_share) = (drafts.0.path(), drafts.1.path());
        let mut size = copy_all(&parts.libraries, new_library)?;
        if !parts.metadata.is_empty() {
            size += copy_all(&parts.metadata, &new_library.join(DEPS))?;
        }
        size += manifests.copy(new_share)?;
        let list: String = names.iter().map(|name| format!("{}\n", name.display())).collect();
        storage::write(&new_share.join(LIST), list.as_bytes())?;
        if self.docs {
            size += copy_folder(&documentation(&parts.program)?, &new_share.join(DOC))?;
        }
        size += storage::copy(&parts.program, &new_program.path().join("dualk"))?;
        for new in [new_library, new_share, new_program.path()] {
            storage::sync_tree(new)?;
        }
        storage::exchange_all(&[
            (new_library.to_owned(), library.to_owned()),
            (new_share.to_owned(), share.to_owned()),
            (new_program.path().join("dualk"), program.to_owned()),
        ])?;
        Ok(size)
    }
}

/// The package of this program. cargo tells where the package is that it runs; a program that was started without it knows
/// where it was built.
fn package() -> Option<PathBuf> {
    let running = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    running.or_else(|| Some(PathBuf::from(env!("CARGO_MANIFEST_DIR"))).filter(|built| built.is_dir()))
}

/// The manifests beside a package.
struct Manifests {
    /// The clone, which their places are told from.
    root: PathBuf,
    files: Vec<PathBuf>,
}

impl Manifests {
    fn of(package: Option<&Path>) -> Result<Self> {
        // They are in the folder that the package's is in.
        let experiments = package.and_then(Path::parent);
        let files = experiments.map(manifests).transpose()?.unwrap_or_default();
        let root = experiments.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        Ok(Self { root, files })
    }

    /// Where one of them is in the clone.
    fn place<'a>(&self, file: &'a Path) -> &'a Path {
        file.strip_prefix(&self.root).unwrap_or(file)
    }

    /// Copies them to where they are in the clone; the bytes that were written.
    fn copy(&self, share: &Path) -> Result<u64> {
        let copied = self.files.iter().map(|file| {
            let place = share.join(self.place(file));
            copy_all(std::slice::from_ref(file), place.parent().unwrap_or(share))
        });
        copied.sum()
    }
}

/// The build that this program is part of.
fn parts() -> Result<Parts> {
    let program =
        env::current_exe().and_then(fs::canonicalize).map_err(|e| Error::io("find this program", "dualk", e))?;
    let folder = program.parent().unwrap_or(Path::new("."));
    let elsewhere = || {
        Error::user("this installs from a clone of the project, where it was built")
            .at_file(folder)
            .help("in the clone: cargo run --release -- install --prefix ~/.local")
    };
    let sdk = folder.join(format!("{DLL_PREFIX}dualk_sdk{DLL_SUFFIX}"));
    // In the target folder itself only when the SDK was asked for by name.
    let archive =
        fs::read(folder.join("deps/libdualk_sdk.rlib")).or_else(|_| fs::read(folder.join("libdualk_sdk.rlib")));
    let archive = archive.map_err(|_| elsewhere())?;
    let named = hashes(&archive);
    let is_plugin = |path: &PathBuf| {
        let name = name_of(path);
        name.starts_with(&format!("{DLL_PREFIX}dualk_plugin_")) && name.ends_with(DLL_SUFFIX)
    };
    // A kept target folder may hold plugins of earlier builds, by names that they no longer have.
    let is_current = |path: &PathBuf| inspect(path).is_ok_and(|found| found.stamp == Stamp::current());
    let mut libraries = files_of(folder)?;
    libraries.retain(|path| is_plugin(path) && is_current(path));
    libraries.push(sdk);
    let mut metadata = files_of(&folder.join("deps"))?;
    metadata.retain(|path| {
        let name = name_of(path);
        let stem = name.strip_suffix(".rmeta").or_else(|| name.strip_suffix(DLL_SUFFIX));
        stem.and_then(|stem| stem.rsplit_once('-')).is_some_and(|(_, hash)| named.contains(hash.as_bytes()))
    });
    Ok(Parts { program, libraries, metadata })
}

/// What follows a hyphen and may be the hash in a file name of cargo: the SDK's own metadata name every package that it
/// was made from by it.
fn hashes(archive: &[u8]) -> HashSet<&[u8]> {
    const LENGTH: usize = 16;
    let digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let after = archive.windows(LENGTH + 1).filter(|window| window[0] == b'-');
    after.map(|window| &window[1..]).filter(|hash| hash.iter().all(digit)).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Files of a folder by name.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io("read the folder", folder, e))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// Rust's own shared library, so that the program runs where there is no Rust.
fn standard_library() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "target-libdir"]).output();
    let output = output.map_err(|_| Error::user("there is no `rustc`").help("install Rust: https://rustup.rs"))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let is_std = |path: &PathBuf| {
        let name = name_of(path);
        name.starts_with(&format!("{DLL_PREFIX}std-")) && name.ends_with(DLL_SUFFIX)
    };
    files_of(&folder)?.into_iter().find(is_std).ok_or_else(|| {
        Error::user("the compiler has no shared standard library").at_file(folder).help(Stamp::current().rustc)
    })
}

/// Manifests of the project, at any depth; the folder of this program has none.
fn manifests(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io("read the folder", folder, e))?.flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "cli" {
            found.extend(manifests(&path)?);
        } else if path.extension().is_some_and(|end| end == "toml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The names of what an installation puts into lib/dualk and share/dualk.
fn names(parts: &Parts, manifests: &Manifests) -> BTreeSet<PathBuf> {
    let libraries = parts.libraries.iter().map(|path| PathBuf::from(name_of(path)));
    let manifests = manifests.files.iter().map(|file| manifests.place(file).to_owned());
    libraries.chain(manifests).chain([PathBuf::from(LIST)]).collect()
}

/// Refuses folders with files that neither the new installation has nor the one before put there.
fn replaceable(library: &Path, share: &Path, new: &BTreeSet<PathBuf>) -> Result<()> {
    let before = fs::read_to_string(share.join(LIST)).unwrap_or_default();
    let before: BTreeSet<&Path> = before.lines().map(Path::new).collect();
    for (folder, as_it_is) in [(library, DEPS), (share, DOC)] {
        let mut names = Vec::new();
        files_below(folder, Path::new(""), as_it_is, &mut names)?;
        names.sort();
        if let Some(name) = names.iter().find(|name| !new.contains(*name) && !before.contains(name.as_path())) {
            let what = format!("the folder holds what no installation put there: `{}`", name.display());
            return Err(Error::user(what)
                .at_file(folder)
                .help("nothing was installed: move it elsewhere, or give another --prefix"));
        }
    }
    Ok(())
}

/// Refuses to put the program in the place of one that no installation put there, such as a script of somebody's.
fn check_program(program: &Path, share: &Path) -> Result<()> {
    match fs::symlink_metadata(program).is_err() || share.join(LIST).is_file() {
        true => Ok(()),
        false => Err(Error::user("there is a program of this name that no installation put there")
            .at_file(program)
            .help("nothing was installed: move it elsewhere, or give another --prefix")),
    }
}

/// The files of a folder at any depth, by their places in it, but for those in a folder of the name `but` at its top.
fn files_below(folder: &Path, place: &Path, but: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    let here = folder.join(place);
    let entries = match fs::read_dir(&here) {
        Err(_) if fs::symlink_metadata(&here).is_err() => return Ok(()),
        entries => entries.map_err(|e| Error::io("read the folder", &here, e))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("read the folder", &here, e))?;
        let place = place.join(entry.file_name());
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true if place == Path::new(but) => {}
            true => files_below(folder, &place, but, found)?,
            false => found.push(place),
        }
    }
    Ok(())
}

/// A folder that will take the place of `folder`, for all to read.
fn draft(folder: &Path) -> Result<Draft> {
    let above = folder.parent().unwrap_or(folder);
    storage::common_folder(above)?;
    let draft = Draft::beside(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o755))
            .map_err(|e| Error::io("create the folder", folder, e))?;
    }
    Ok(draft)
}

/// Copies files into a folder; their size.
fn copy_all(files: &[PathBuf], folder: &Path) -> Result<u64> {
    storage::common_folder(folder)?;
    files.iter().map(|file| storage::copy(file, &folder.join(file.file_name().unwrap_or_default()))).sum()
}

/// The folder that `cargo doc` writes beside that of the program.
fn documentation(program: &Path) -> Result<PathBuf> {
    let folder = program.parent().and_then(Path::parent).unwrap_or(Path::new(".")).join("doc");
    match folder.join("dualk_sdk/index.html").is_file() {
        true => Ok(folder),
        false => Err(Error::user("--docs: there is no documentation of the SDK")
            .at_file(folder)
            .help("in the clone: cargo doc --no-deps --package dualk-sdk")),
    }
}

/// A folder with all that is in it.
fn copy_folder(folder: &Path, to: &Path) -> Result<u64> {
    storage::common_folder(to)?;
    let entries = fs::read_dir(folder).map_err(|e| Error::io("read the folder", folder, e))?;
    let mut size = 0;
    for entry in entries {
        let path = entry.map_err(|e| Error::io("read the folder", folder, e))?.path();
        let place = to.join(path.file_name().unwrap_or_default());
        size += if path.is_dir() { copy_folder(&path, &place)? } else { storage::copy(&path, &place)? };
    }
    Ok(size)
}
