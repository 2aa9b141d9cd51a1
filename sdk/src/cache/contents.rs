//! What an entry was written with, and whether it still is what was written.

use super::MANIFEST;
use crate::storage::hex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// What is in an entry, and what it was made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Contents {
    pub kind: String,
    pub key: String,
    pub about: String,
    pub made_from: Value,
    pub files: BTreeMap<String, FileContents>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileContents {
    pub bytes: u64,
    pub sha256: String,
}

/// Whether an entry can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is complete; its files were not compared.
    Complete,
    /// Being written, or left by a run that was killed.
    Unfinished,
    /// A file is missing or differs from what was written, as the text says.
    Damaged(String),
    /// A file cannot be read, as the text says: nobody knows what is in it, and nothing removes it.
    Unreadable(String),
}

/// The contents of the entry in a folder, as it says them itself.
///
/// # Errors
/// The state of an entry that does not.
pub(super) fn read_contents(path: &Path) -> std::result::Result<Contents, State> {
    let text = fs::read(path.join(MANIFEST)).map_err(|e| State::Unreadable(format!("{MANIFEST}: {e}")))?;
    serde_json::from_slice(&text).map_err(|e| State::Damaged(format!("{MANIFEST}: {e}")))
}

/// The state of an entry by its files: the first that is not as it was written, is gone or cannot be read.
pub(super) fn compared(path: &Path, contents: &Contents) -> State {
    for (name, written) in &contents.files {
        match file_contents(&path.join(name)) {
            Ok(found) if found == *written => {}
            Ok(_) => return State::Damaged(format!("{name} differs from what was written")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return State::Damaged(format!("{name} is missing")),
            Err(e) => return State::Unreadable(format!("{name}: {e}")),
        }
    }
    State::Complete
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> std::io::Result<String> {
    file_contents(path).map(|contents| contents.sha256)
}

/// Size and SHA-256 of a file.
pub(super) fn file_contents(path: &Path) -> std::io::Result<FileContents> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(FileContents { bytes, sha256: hex(&hash.finalize()) }),
            n => {
                hash.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
}
