//! What the tests share: where the golden numbers and the data sets are, and how to read them.
//!
//! Numbers of the published implementation are in `golden/` beside this crate; `shared/golden` beside the workspace, or
//! where `DUALK_GOLDEN` says, holds more. Tests that need what only these folders have are ignored without them: the
//! build script looks.

use dualk_sdk::data::Cohort;
use dualk_sdk::serde_json::Value;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Tensors by name: shape and row-major values.
pub type Tensors<T> = HashMap<String, (Vec<usize>, Vec<T>)>;

/// A cohort without names, facts and counts: what is left is the same whatever table it was read from.
pub fn bare(cohort: Cohort) -> Cohort {
    Cohort {
        patients: cohort.patients,
        admissions: cohort.admissions,
        codes: cohort.codes,
        code_names: cohort.code_names,
        labs: cohort.labs,
        lab_items: cohort.lab_items,
        lab_categories: cohort.lab_categories,
        ..Cohort::default()
    }
}

/// The folder of golden numbers: `DUALK_GOLDEN`, else `shared/golden` beside the workspace, else this crate's own.
///
/// # Panics
/// When `DUALK_GOLDEN` is no folder.
pub fn golden_dir() -> PathBuf {
    match std::env::var_os("DUALK_GOLDEN") {
        Some(given) => {
            let path = PathBuf::from(given);
            assert!(path.is_dir(), "DUALK_GOLDEN = {} is not a folder", path.display());
            path
        }
        None => beside_workspace("golden").unwrap_or_else(|| tests_dir().join("golden")),
    }
}

/// The folder of this crate, where small golden numbers are: `DUALK_TESTS`, for tests that run on another machine than the one
/// that built them, else where it was built.
pub fn tests_dir() -> PathBuf {
    std::env::var_os("DUALK_TESTS").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// The folder of data sets, `shared/data` beside the workspace.
///
/// # Panics
/// When it is absent: tests that need it say so with `cfg_attr(not(real_tables), ignore)`.
pub fn data_dir() -> PathBuf {
    beside_workspace("data").unwrap_or_else(|| panic!("there is no folder shared/data beside the workspace"))
}

fn beside_workspace(name: &str) -> Option<PathBuf> {
    let path = tests_dir().join("../../shared").join(name);
    path.is_dir().then(|| path.canonicalize().unwrap_or(path))
}

/// The `f32` tensors of a safetensors file.
///
/// # Panics
/// When the file cannot be read.
pub fn load(path: &Path) -> Tensors<f32> {
    select(path, Dtype::F32, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// The `i64` tensors of a safetensors file.
///
/// # Panics
/// When the file cannot be read.
pub fn load_i64(path: &Path) -> Tensors<i64> {
    select(path, Dtype::I64, |b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
}

/// The `f64` tensors of a safetensors file.
///
/// # Panics
/// When the file cannot be read.
pub fn load_f64(path: &Path) -> Tensors<f64> {
    select(path, Dtype::F64, |b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
}

/// The metadata of a safetensors file, whose values are JSON.
///
/// # Panics
/// When the file cannot be read.
pub fn metadata(path: &Path) -> HashMap<String, Value> {
    let bytes = read(path);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let parse = |(k, v): (&String, &String)| {
        let value = dualk_sdk::serde_json::from_str(v).unwrap_or_else(|e| panic!("{}: `{k}`: {e}", path.display()));
        (k.clone(), value)
    };
    header.metadata().iter().flatten().map(parse).collect()
}

/// A JSON file.
///
/// # Panics
/// When the file cannot be read.
pub fn json(path: &Path) -> Value {
    dualk_sdk::serde_json::from_slice(&read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn select<T>(path: &Path, dtype: Dtype, value: impl Fn(&[u8]) -> T) -> Tensors<T> {
    let bytes = read(path);
    let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let wanted = file.iter().filter(|(_, view)| view.dtype() == dtype);
    let read = wanted.map(|(name, view)| {
        let values = view.data().chunks_exact(dtype.bitsize() / 8).map(&value).collect();
        (name.to_owned(), (view.shape().to_vec(), values))
    });
    read.collect()
}
