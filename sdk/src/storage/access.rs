//! Who may read what is written.

use super::fault::{Step, at};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// Who may read a result, beside its owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Nobody: folders are 0700 and files 0600.
    #[default]
    Private,
    /// The group of the folder: 0750 and 0640.
    Group,
    /// Everybody on the machine: 0755 and 0644.
    All,
}

impl Access {
    /// Gives a folder and all in it to whom it is for. Nothing is taken away from anybody: what is there was private.
    ///
    /// # Errors
    /// When the rights of a file cannot be changed.
    pub fn give(self, folder: &Path) -> Result<()> {
        match self {
            Access::Private => Ok(()),
            // The folder itself may be named by a link.
            _ => folder
                .canonicalize()
                .and_then(|real| self.give_all(&real))
                .map_err(|e| Error::io("change who may read", folder, e)),
        }
    }

    #[cfg(unix)]
    fn give_all(self, path: &Path) -> io::Result<()> {
        let kind = fs::symlink_metadata(path)?.file_type();
        // What a link leads to is not of this folder.
        if kind.is_symlink() {
            return Ok(());
        }
        if kind.is_dir() {
            for entry in fs::read_dir(path)? {
                self.give_all(&entry?.path())?;
            }
        }
        self.give_one(path, kind.is_dir())
    }

    #[cfg(unix)]
    fn give_one(self, path: &Path, is_folder: bool) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mode = match (self, is_folder) {
            (Access::All, true) => 0o755,
            (Access::All, false) => 0o644,
            (Access::Group, true) => 0o750,
            (Access::Group, false) => 0o640,
            (Access::Private, true) => 0o700,
            (Access::Private, false) => 0o600,
        };
        // A folder that hands its group on goes on with it.
        let kept = if is_folder { fs::metadata(path)?.permissions().mode() & 0o7000 } else { 0 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode | kept))
    }

    #[cfg(not(unix))]
    fn give_all(self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    #[cfg(not(unix))]
    fn give_one(self, _: &Path, _: bool) -> io::Result<()> {
        Ok(())
    }
}

/// Gives the file `new` the rights of `old`, whose place it takes; none where that is not there.
///
/// # Errors
/// When the rights cannot be changed.
pub fn like(old: &Path, new: &Path) -> Result<()> {
    match fs::metadata(old) {
        Ok(meta) => fs::set_permissions(new, meta.permissions()).map_err(|e| Error::io("change who may read", new, e)),
        Err(_) => Ok(()),
    }
}

/// Creates a folder and those above it that are missing, each for its owner alone. One that is there stays as it is.
///
/// # Errors
/// When it cannot be created.
pub fn own_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    at(Step::Create, || private().recursive(true).create(path)).map_err(|e| Error::io("create the folder", path, e))
}

/// Creates a folder and those above it that are missing, each for whom `access` says: nobody finds what is in a folder of another's
/// own. One that is there stays as it is.
///
/// # Errors
/// When it cannot be created, or its rights not be changed.
pub(crate) fn folder_for(path: &Path, access: Access) -> Result<()> {
    let missing = |above: &&Path| !above.as_os_str().is_empty() && !above.exists();
    let made: Vec<&Path> = path.ancestors().take_while(missing).collect();
    for folder in made.into_iter().rev() {
        // What `..` leads to is there by then.
        if folder.exists() {
            continue;
        }
        own_folder(folder)?;
        if access != Access::Private {
            access.give_one(folder, true).map_err(|e| Error::io("change who may read", folder, e))?;
        }
    }
    own_folder(path)
}

/// Creates a folder for its owner alone, in one that is there.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    private().create(path)
}

fn private() -> DirBuilder {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder
}

/// Creates a folder and those above it that are missing, with the rights that the user gives to all new folders.
///
/// # Errors
/// When it cannot be created.
pub fn common_folder(path: &Path) -> Result<()> {
    match path.is_dir() {
        true => Ok(()),
        false => at(Step::Create, || fs::create_dir_all(path)).map_err(|e| Error::io("create the folder", path, e)),
    }
}

/// Options that create a file for its owner alone.
pub(super) fn own_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}
