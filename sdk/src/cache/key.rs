//! What determines a result.

use crate::storage::hex;
use crate::{Error, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Files up to this size are known by their content alone.
const WHOLE: u64 = 16 << 20;
/// How much is read at the beginning, in the middle and at the end of longer ones.
const SAMPLE: u64 = 64 << 10;

/// Everything that determines a result, and its SHA-256.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    made_from: Value,
    hex: String,
}

impl Key {
    /// The key of these circumstances. The order of keys in objects counts.
    pub fn of(made_from: Value) -> Self {
        let hex = hex(&Sha256::digest(made_from.to_string()));
        Self { made_from, hex }
    }

    /// SHA-256 in hexadecimal.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// What it was made from.
    pub fn made_from(&self) -> &Value {
        &self.made_from
    }
}

/// What tells a file from another: its name and, up to 16 MiB, the SHA-256 of its content, wherever it lies; of a longer
/// one its size, time of change and the SHA-256 of three samples.
///
/// # Errors
/// When the file cannot be read.
pub fn fingerprint(file: &Path) -> Result<Value> {
    let fail = |e| Error::io("read", file, e);
    let meta = fs::metadata(file).map_err(fail)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if meta.len() <= WHOLE {
        let content = fs::read(file).map_err(fail)?;
        return Ok(json!({ "name": name, "sha256": hex(&Sha256::digest(content)) }));
    }
    let (mut reader, mut hash) = (File::open(file).map_err(fail)?, Sha256::new());
    let mut sample = vec![0; SAMPLE as usize];
    for at in [0, (meta.len() - SAMPLE) / 2, meta.len() - SAMPLE] {
        reader.seek(SeekFrom::Start(at)).and_then(|_| reader.read_exact(&mut sample)).map_err(fail)?;
        hash.update(&sample);
    }
    let changed =
        meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos() as u64);
    Ok(json!({ "name": name, "bytes": meta.len(), "changed_ns": changed, "samples_sha256": hex(&hash.finalize()) }))
}

/// The same of a file that only has to be known where it lies: of a longer one, on Unix, its inode and the time at which anything
/// about it was last changed as well, which no program can set back. Another place or another owner makes it another one.
///
/// # Errors
/// When the file cannot be read.
pub fn fingerprint_in_place(file: &Path) -> Result<Value> {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut found = fingerprint(file)?;
    #[cfg(unix)]
    if found.get("bytes").is_some() {
        use std::os::unix::fs::MetadataExt;
        let meta = fs::metadata(file).map_err(|e| Error::io("read", file, e))?;
        found["inode"] = meta.ino().into();
        found["touched"] = json!([meta.ctime(), meta.ctime_nsec()]);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_known_by_content_and_long_ones_by_size_time_and_samples() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, content).unwrap();
            file
        };
        let small = fingerprint(&write("a.csv", b"x,y")).unwrap();
        assert_eq!(small, fingerprint(&write("elsewhere/a.csv", b"x,y")).unwrap());
        assert_ne!(small, fingerprint(&write("a.csv", b"x,z")).unwrap());
        let mut long = vec![7u8; (WHOLE + 10) as usize];
        let before = fingerprint(&write("b.csv", &long)).unwrap();
        assert_eq!(before["bytes"], WHOLE + 10);
        let file = write("b.csv", &long);
        File::options().append(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert_ne!(before, fingerprint(&file).unwrap());
        *long.last_mut().unwrap() = 8;
        let changed = fingerprint(&write("b.csv", &long)).unwrap();
        assert_ne!(before["samples_sha256"], changed["samples_sha256"]);
        let absent = fingerprint(&folder.path().join("none.csv")).unwrap_err();
        assert!(absent.to_string().contains("none.csv"), "{absent}");
    }

    #[test]
    #[cfg(unix)]
    fn a_long_file_that_was_changed_between_its_samples_and_set_back_is_another_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("long.csv");
        let mut long = vec![7u8; (WHOLE + 10) as usize];
        let write = |content: &[u8]| {
            fs::write(&file, content).unwrap();
            File::options().append(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
            (fingerprint(&file).unwrap(), fingerprint_in_place(&file).unwrap())
        };
        let (before, before_in_place) = write(&long);
        assert_eq!(fingerprint_in_place(&file).unwrap(), before_in_place, "reading changes nothing");
        std::thread::sleep(std::time::Duration::from_millis(50)); // the clock of file systems has ticks
        long[1 << 20] = 8;
        let (after, after_in_place) = write(&long);
        assert_eq!(before, after);
        assert_ne!(before_in_place, after_in_place);
        fs::write(&file, "short").unwrap();
        assert_eq!(fingerprint(&file).unwrap(), fingerprint_in_place(&file).unwrap(), "known by its content alone");
    }

    #[test]
    fn keys_follow_their_circumstances() {
        assert_eq!(Key::of(json!({ "a": 1 })), Key::of(json!({ "a": 1 })));
        assert_ne!(Key::of(json!({ "a": 1 })).hex(), Key::of(json!({ "a": 1.0 })).hex());
        assert_eq!(Key::of(json!(1)).hex().len(), 64);
    }
}
