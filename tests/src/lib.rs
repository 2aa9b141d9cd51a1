//! What the tests share: where the golden numbers and the data sets are, and how to read them.
//!
//! Tests that need a folder which is absent print so and pass: a clone without them still runs every other test.

use dualk_sdk::serde_json::Value;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Tensors by name: shape and row-major values.
pub type Tensors<T> = HashMap<String, (Vec<usize>, Vec<T>)>;

/// The folder of golden numbers: `DUALK_GOLDEN`, else `shared/golden` beside the workspace. `None`, with a message,
/// when it is absent; a `DUALK_GOLDEN` that is no folder is a mistake and panics.
pub fn golden_dir() -> Option<PathBuf> {
    match std::env::var_os("DUALK_GOLDEN") {
        Some(given) => {
            let path = PathBuf::from(given);
            assert!(path.is_dir(), "DUALK_GOLDEN = {} is not a folder", path.display());
            Some(path)
        }
        None => beside_workspace("golden"),
    }
}

/// The folder of data sets: `shared/data` beside the workspace. `None`, with a message, when it is absent.
pub fn data_dir() -> Option<PathBuf> {
    beside_workspace("data")
}

fn beside_workspace(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    match path.is_dir() {
        true => Some(path.canonicalize().unwrap_or(path)),
        false => {
            eprintln!("skipped: there is no folder {}", path.display());
            None
        }
    }
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
