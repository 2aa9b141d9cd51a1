//! Reads Python pickles without running anything.
//!
//! A pickle is a program for a stack machine that may call any function. This machine knows the instructions that build
//! values, and of functions only those that NumPy and PyTorch write for arrays and tensors, which it carries out itself.
//! Whatever else a file asks for is refused with its place. Values lie in one list and name each other by number, so that
//! neither deep nor repeated nesting costs more than the file's length, and what they take in all is limited.

mod machine;
mod objects;
mod values;

use dualk_sdk::{Error, Result};
use machine::Machine;
use objects::Known;
use std::ops::Range;
use std::path::Path;

/// A value of a pickle, by its place.
pub type Id = usize;

/// A value. Texts and bytes are places in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `None`.
    Nothing,
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(Range<usize>),
    Text(Range<usize>),
    /// A tuple, list or set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function that is known.
    Known(Known),
    /// A type of numbers: `f4`, `i8` …, and whether the lowest byte comes first.
    Numbers {
        kind: String,
        little: bool,
    },
    /// A NumPy array; bytes are places in the file.
    Array {
        shape: Vec<usize>,
        numbers: Id,
        data: Range<usize>,
    },
    /// What PyTorch keeps outside: type, key and count.
    Storage {
        kind: &'static str,
        key: String,
        count: usize,
    },
    /// A tensor on a storage.
    Tensor {
        storage: Id,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    },
}

impl Node {
    /// Bytes that it takes beside its own.
    fn beside(&self) -> usize {
        match self {
            Self::List(items) => size_of_val(&items[..]),
            Self::Dict(entries) => size_of_val(&entries[..]),
            Self::Array { shape, .. } => size_of_val(&shape[..]),
            Self::Tensor { shape, strides, .. } => size_of_val(&shape[..]) + size_of_val(&strides[..]),
            Self::Numbers { kind, .. } => kind.len(),
            Self::Storage { key, .. } => key.len(),
            _ => 0,
        }
    }
}

/// A pickle that was read.
#[derive(Debug)]
pub struct Pickle {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle; `path` is for errors.
    ///
    /// # Errors
    /// Name the file and the place of the instruction that cannot be carried out.
    pub fn read(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let mut machine = Machine::new(&bytes);
        match machine.run() {
            Ok(root) => {
                let nodes = machine.nodes;
                Ok(Self { bytes, nodes, root })
            }
            Err(what) => {
                let place = machine.at;
                Err(Error::user(format!("{what}, at byte {place}")).at_file(path).help(
                    "pickles are read without running anything: dicts, lists, NumPy arrays and PyTorch tensors alone",
                ))
            }
        }
    }

    /// The outermost value.
    pub fn root(&self) -> Id {
        self.root
    }

    /// A value.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The text of a value, if it is one.
    pub fn text(&self, id: Id) -> Option<&str> {
        match &self.nodes[id] {
            Node::Text(range) => std::str::from_utf8(&self.bytes[range.clone()]).ok(),
            _ => None,
        }
    }

    /// The entries of a dict, if it is one.
    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match &self.nodes[id] {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// Shape and numbers of an array, if it is one of floating-point numbers or integers.
    pub fn array(&self, id: Id) -> Option<(&[usize], Vec<f64>)> {
        let Node::Array { shape, numbers, data } = &self.nodes[id] else { return None };
        let Node::Numbers { kind, little } = &self.nodes[*numbers] else { return None };
        let values = decode(kind, *little, &self.bytes[data.clone()])?;
        (shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) == Some(values.len())).then_some((shape, values))
    }
}

/// Numbers of a NumPy type.
pub fn decode(kind: &str, little: bool, bytes: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(bytes: &[u8], little: bool, number: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let (chunks, rest) = bytes.as_chunks::<N>();
        let ordered = |mut chunk: [u8; N]| {
            if !little {
                chunk.reverse();
            }
            number(chunk)
        };
        rest.is_empty().then(|| chunks.iter().map(|chunk| ordered(*chunk)).collect())
    }
    match kind {
        "f2" => each(bytes, little, |b| half::f16::from_le_bytes(b).to_f64()),
        "f4" => each(bytes, little, |b| f64::from(f32::from_le_bytes(b))),
        "f8" => each(bytes, little, f64::from_le_bytes),
        "i4" => each(bytes, little, |b| f64::from(i32::from_le_bytes(b))),
        "i8" => each(bytes, little, |b| i64::from_le_bytes(b) as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
