//! What readers are tried with. Of each: inputs that are sound, inputs that are well formed and may say nonsense, and how
//! it reads them from a folder.

#![allow(dead_code)] // each test program uses a part of it

pub mod files;
pub mod manifests;
pub mod tables;

use dualk_sdk::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

/// The files of a folder by name. `v.safetensors/header` and `v.npz/codes.npy` are parts of a file that [`packed`] puts
/// together: what is damaged there is damaged inside of lengths and checksums that fit.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Files of text.
pub fn texts<const N: usize>(files: [(&str, String); N]) -> Files {
    files.map(|(name, text)| (name.to_owned(), text.into_bytes())).into()
}

/// All files of a folder.
pub fn files_of(folder: &Path) -> Files {
    let (mut found, mut open) = (Files::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Files for a reader of a failure.
pub fn shown(files: &Files) -> String {
    files.iter().map(|(name, bytes)| format!("{name}: {}\n", bytes.escape_ascii())).collect()
}

/// Writes files into a folder, over those that are there.
pub fn write(folder: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// How the names of files end that are made of parts.
const ARCHIVES: [&str; 2] = ["npz", "pth"];

/// The files as readers get them. Entries of archives are compressed where there is a file `deflated`.
pub fn packed(files: &Files) -> Files {
    let mut packed = Files::new();
    for (name, bytes) in files {
        let (whole, part) = name.split_once('/').unwrap_or((name.as_str(), ""));
        let end = whole.rsplit('.').next().unwrap_or_default();
        if packed.contains_key(whole) || name == "deflated" {
            continue;
        }
        match (end, part) {
            ("safetensors", "header" | "data") => drop(packed.insert(whole.to_owned(), safetensors(files, whole))),
            (end, part) if ARCHIVES.contains(&end) && !part.is_empty() => {
                drop(packed.insert(whole.to_owned(), archive(files, whole)));
            }
            _ => drop(packed.insert(name.clone(), bytes.clone())),
        }
    }
    packed
}

/// The length of a header, the header, and what it describes.
fn safetensors(files: &Files, whole: &str) -> Vec<u8> {
    let part = |name: &str| files.get(&format!("{whole}/{name}")).map_or(&[][..], Vec::as_slice);
    let length = (part("header").len() as u64).to_le_bytes();
    [&length[..], part("header"), part("data")].concat()
}

fn archive(files: &Files, whole: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let method = match files.contains_key("deflated") {
        true => zip::CompressionMethod::Deflated,
        false => zip::CompressionMethod::Stored,
    };
    let options = zip::write::FileOptions::default().compression_method(method);
    for (name, bytes) in files {
        if let Some(entry) = name.strip_prefix(whole).and_then(|rest| rest.strip_prefix('/')) {
            zip.start_file(entry, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

/// The outcome of several readers: what is nobody's mistake in the input comes first.
pub fn together<const N: usize>(outcomes: [Result<()>; N]) -> Result<()> {
    let mut errors: Vec<Error> = outcomes.into_iter().filter_map(Result::err).collect();
    let worst = errors.iter().position(|e| e.blame() != dualk_sdk::error::Blame::User).unwrap_or(0);
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors.swap_remove(worst)),
    }
}
