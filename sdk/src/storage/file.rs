//! Files, for their owner alone.

use super::access::own_file;
use super::fault::{Step, at};
use super::live::{forget, remember};
use crate::error::Place;
use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A file that is written, through a buffer.
pub struct Output(BufWriter<Guarded>);

/// What the system said when a write failed, for writers that lose it on the way.
#[derive(Debug, Clone, Default)]
pub struct Cause(Arc<Mutex<Option<io::Error>>>);

impl Cause {
    /// The error, once.
    pub fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn remember(&self, error: &io::Error) {
        let copy = match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
    }
}

impl Output {
    /// Where the error of a failed write can be found.
    pub fn cause(&self) -> Cause {
        self.0.get_ref().1.clone()
    }
}

/// Each write may be made to fail.
struct Guarded(File, Cause);

impl Write for Guarded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        at(Step::Write, || self.0.write(bytes)).inspect_err(|e| self.1.remember(e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Creates or empties a file. [`Write::flush`] must end the writing: errors of what is dropped are lost.
///
/// # Errors
/// Name the file.
pub fn create(path: &Path) -> Result<Output> {
    let file = blank(path)?;
    Ok(Output(BufWriter::with_capacity(1 << 16, Guarded(file, Cause::default()))))
}

/// Creates or empties a file for others: what a process prints, or a lock.
///
/// # Errors
/// Name the file.
pub fn blank(path: &Path) -> Result<File> {
    let open = || own_file().write(true).create(true).truncate(true).open(path);
    at(Step::Create, open).map_err(|e| Error::io("write", path, e))
}

/// Writes a file inside a folder that nobody reads yet.
///
/// # Errors
/// Name the file.
pub fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let mut out = create(path)?;
    out.write_all(contents).and_then(|()| out.flush()).map_err(|e| Error::io("write", path, e))
}

/// Copies a file with its rights; its length.
///
/// # Errors
/// Name the copy.
pub fn copy(file: &Path, to: &Path) -> Result<u64> {
    at(Step::Write, || fs::copy(file, to)).map_err(|e| Error::io("write", to, e))
}

/// Adds a line to a file.
///
/// # Errors
/// Name the file.
pub fn append(path: &Path, line: &str) -> Result<()> {
    let fail = |e| Error::io("write", path, e);
    let mut file = at(Step::Create, || own_file().create(true).append(true).open(path)).map_err(fail)?;
    at(Step::Write, || file.write_all(format!("{line}\n").as_bytes())).map_err(fail)
}

/// How much of a file tells what it is, in bytes.
const START: u64 = 4096;

/// Refuses a place where something is that is neither an empty file nor one that begins as `is_one` says, so that no other work is
/// replaced; `what` is what such a file is called.
///
/// # Errors
/// Name it.
pub fn check_replaceable(path: &Path, what: &str, is_one: impl Fn(&[u8]) -> bool) -> Result<()> {
    check_file(path)?;
    let mut start = Vec::new();
    match File::open(path).and_then(|file| file.take(START).read_to_end(&mut start)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("read", path, e)),
        Ok(_) => {}
    }
    match start.is_empty() || is_one(&start) {
        true => Ok(()),
        false => {
            let error = Error::user(format!("this file is there and is no {what}; it was not replaced")).at_file(path);
            Err(error.help("give another file, or remove this one"))
        }
    }
}

/// Refuses a place at which something is that is no file, such as a device, a pipe or a folder: it would be gone.
///
/// # Errors
/// Names it.
fn check_file(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            Err(Error::user("this is no file that can be replaced").at_file(path).help("give another file"))
        }
        _ => Ok(()),
    }
}

/// Replaces a file that the user names, as [`replace`] does; where that is a link, the file that it leads to.
///
/// # Errors
/// As of [`replace`], and when the link leads to nothing.
pub fn output(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.is_symlink() {
        let file = fs::canonicalize(path).map_err(|e| Error::io("follow the link", path, e))?;
        return replace(&file, fill);
    }
    replace(path, fill)
}

/// Makes a file of its own beside `path`, lets `fill` write it, and gives it that name when it is whole and on the disk:
/// a reader finds the old file or the new one.
///
/// # Errors
/// Those of `fill`, or those of the file, which name it; the old file is still there then. When something is there that is no file.
pub fn replace(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    check_file(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fail = |e| Error::io("write", path, e);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = at(Step::Create, || {
        let new = tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(folder)?.into_temp_path();
        remember(&new);
        Ok(Unfinished(new))
    });
    let new = new.map_err(fail)?;
    fill(&new.0).map_err(|e| renamed(e, &new.0, path))?;
    at(Step::Sync, || File::open(&new.0)?.sync_all()).map_err(fail)?;
    at(Step::Rename, || fs::rename(&new.0, path)).map_err(fail)?;
    at(Step::Sync, || File::open(folder)?.sync_all()).map_err(fail)
}

/// An error about files in `from` as one about files in `to`.
pub(super) fn renamed(error: Error, from: &Path, to: &Path) -> Error {
    error.map_places(|place| match place {
        Place::File { path, line, column } => {
            let path = match path.strip_prefix(from) {
                Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
                Ok(rest) => to.join(rest),
                Err(_) => path,
            };
            vec![Place::File { path, line, column }]
        }
        other => vec![other],
    })
}

struct Unfinished(tempfile::TempPath);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // First: what is forgotten and there would stay, if a signal came between the two.
        let _ = fs::remove_file(&self.0);
        forget(&self.0);
    }
}

/// Changes a name.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    at(Step::Rename, || fs::rename(from, to))
}

/// Removes a file, or a folder and what is in it. What is not there is removed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => remove_folder(path),
        Ok(_) => at(Step::Remove, || fs::remove_file(path)),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Removes a folder and what is in it at once.
pub(crate) fn remove_whole(folder: &Path) -> io::Result<()> {
    at(Step::Remove, || fs::remove_dir_all(folder))
}

/// Removes a folder and what is in it, its files one by one: links, and not what they lead to. What somebody else removes meanwhile
/// is removed.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    let gone = |done: io::Result<()>| match done {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    };
    if fs::symlink_metadata(folder)?.is_dir() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                gone(at(Step::Remove, || fs::remove_file(entry.path())))?;
            }
        }
    }
    remove_whole(folder)
}

/// Forces the names in a folder to the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    at(Step::Sync, || File::open(folder)?.sync_all())
}

/// Forces a file and its name to the disk.
///
/// # Errors
/// Name the file.
pub(crate) fn sync_file(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    let synced = at(Step::Sync, || File::open(path)?.sync_all()).and_then(|()| sync_folder(folder));
    synced.map_err(|e| Error::io("write", path, e))
}

/// Forces a folder and all in it to the disk.
///
/// # Errors
/// Name the file.
pub fn sync_tree(folder: &Path) -> Result<()> {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let fail = |e| Error::io("write", &folder, e);
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => at(Step::Sync, || File::open(&path)?.sync_all()).map_err(|e| Error::io("write", &path, e))?,
            }
        }
        at(Step::Sync, || File::open(&folder)?.sync_all()).map_err(fail)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        replace(&path, |new| write(new, b"one")).unwrap();
        let failed = replace(&path, |new| {
            write(new, b"tw")?;
            Err(Error::user("no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, |new| write(new, b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_removed_and_what_links_lead_to_is_not() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("mine")).unwrap();
        fs::write(at("mine/a"), "mine").unwrap();
        fs::create_dir_all(at("goes/inner")).unwrap();
        fs::write(at("goes/b"), "").unwrap();
        fs::write(at("goes/inner/c"), "").unwrap();
        symlink(at("mine"), at("goes/link")).unwrap();
        symlink(at("mine"), at("link")).unwrap();
        for name in ["goes", "link"] {
            remove_folder(&at(name)).unwrap();
            assert_eq!(remove_folder(&at(name)).unwrap_err().kind(), io::ErrorKind::NotFound, "{name}");
        }
        assert_eq!(fs::read_to_string(at("mine/a")).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_replaced_and_a_link_stays() {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let put = |name: &str| output(&at(name), |new| write(new, b"new"));
        let _listener = UnixListener::bind(at("socket")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("file"), "old").unwrap();
        for to in ["socket", "folder", "file", "nothing"] {
            symlink(to, at(&format!("to-{to}"))).unwrap();
        }
        for name in ["socket", "folder", "to-socket", "to-folder"] {
            let error = put(name).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("no file that can be replaced"), "{name}: {error}");
        }
        assert!(fs::symlink_metadata(at("socket")).is_ok_and(|socket| !socket.is_file()));
        let error = put("to-nothing").unwrap_err().to_string();
        assert!(error.contains("to-nothing") && at("to-nothing").is_symlink(), "{error}");
        put("to-file").unwrap();
        assert!(at("to-file").is_symlink());
        assert_eq!(fs::read(at("file")).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn files_are_their_owners() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for (name, made) in [("a", write as fn(&Path, &[u8]) -> Result<()>), ("b", |p, b| replace(p, |n| write(n, b)))]
        {
            let path = folder.path().join(name);
            made(&path, b"x").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
    }
}
