//! Tensors as a safetensors file.

use super::create;
use crate::{Error, Result};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The metadata that has the SHA-256 of the rest of it and of all numbers, in hexadecimal, where a file is [`sealed`].
pub const SEAL: &str = "sha256";

/// The numbers of a tensor.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// Unsigned 32-bit integers.
    U32(&'a [u32]),
    /// 64-bit integers.
    I64(&'a [i64]),
}

impl Numbers<'_> {
    /// The name of the type, and bytes in all.
    fn kind(&self) -> (&'static str, usize) {
        match self {
            Self::F32(values) => ("F32", size_of_val(*values)),
            Self::U32(values) => ("U32", size_of_val(*values)),
            Self::I64(values) => ("I64", size_of_val(*values)),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::F32(values) => values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes())),
            Self::U32(values) => values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes())),
            Self::I64(values) => values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes())),
        }
    }
}

/// A tensor to write.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    /// Name in the file, such as `codes.offsets`.
    pub name: String,
    /// Length along each axis; none of a scalar.
    pub shape: Vec<usize>,
    /// Its numbers, row after row.
    pub numbers: Numbers<'a>,
}

impl<'a> Tensor<'a> {
    /// A tensor of one dimension.
    pub fn list(name: impl Into<String>, numbers: Numbers<'a>) -> Self {
        let length = match numbers {
            Numbers::F32(values) => values.len(),
            Numbers::U32(values) => values.len(),
            Numbers::I64(values) => values.len(),
        };
        Self { name: name.into(), shape: vec![length], numbers }
    }
}

/// Writes tensors number by number: what is written takes no memory twice, and the order is that which is given, so that
/// equal tensors are equal files (the library's map of metadata would shuffle them).
///
/// # Errors
/// When the file cannot be written.
pub fn tensors(path: &Path, tensors: &[Tensor<'_>], metadata: &[(String, String)]) -> Result<()> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        let texts: Map<String, Value> =
            metadata.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str()))).collect();
        header.insert("__metadata__".to_owned(), Value::Object(texts));
    }
    let ordered = ordered(tensors);
    let mut end = 0;
    for tensor in &ordered {
        let (kind, bytes) = tensor.numbers.kind();
        let start = end;
        end += bytes;
        header
            .insert(tensor.name.clone(), json!({ "dtype": kind, "shape": tensor.shape, "data_offsets": [start, end] }));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = create(path)?;
    let mut fill = || {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        ordered.iter().try_for_each(|tensor| tensor.numbers.write(&mut out))?;
        out.flush()
    };
    fill().map_err(|e| Error::io("write", path, e))
}

/// The order of tensors in a file: readers want numbers at multiples of their size.
fn ordered<'t, 'a>(tensors: &'t [Tensor<'a>]) -> Vec<&'t Tensor<'a>> {
    let (mut ordered, narrow): (Vec<_>, Vec<_>) = tensors.iter().partition(|t| matches!(t.numbers, Numbers::I64(_)));
    ordered.extend(narrow);
    ordered
}

/// Writes tensors as [`tensors`](fn@tensors) does, with the SHA-256 of their numbers and of the metadata, by which [`check_seal`] knows that
/// they are those that were written, wherever the file was copied to.
///
/// # Errors
/// When the file cannot be written.
pub fn sealed(path: &Path, parts: &[Tensor<'_>], metadata: &[(String, String)]) -> Result<()> {
    let mut hash = BufWriter::new(Hash(begun(metadata.iter().map(|(key, text)| (key, text)))));
    let filled = ordered(parts).iter().try_for_each(|tensor| tensor.numbers.write(&mut hash));
    let hash = filled.and_then(|()| hash.into_inner().map_err(|e| e.into_error()));
    let hash = hash.map_err(|e| Error::io("write", path, e))?;
    let seal = (SEAL.to_owned(), hex(&hash.0.finalize()));
    tensors(path, parts, &[metadata, &[seal]].concat())
}

/// The digest of metadata, into which the numbers go.
fn begun<'t>(metadata: impl Iterator<Item = (&'t String, &'t String)>) -> Sha256 {
    let mut texts: Vec<_> = metadata.filter(|(key, _)| *key != SEAL).collect();
    texts.sort();
    let mut hash = Sha256::new();
    for text in texts.iter().flat_map(|(key, text)| [key, text]) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash
}

/// Takes numbers into a digest.
struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes in hexadecimal, such as a digest's.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses the bytes of a safetensors file that are not those that were [`sealed`]; one without a seal, as other programs write it,
/// passes.
///
/// # Errors
/// Name the file.
pub fn check_seal(path: &Path, bytes: &[u8]) -> Result<()> {
    let Ok((header, about)) = SafeTensors::read_metadata(bytes) else { return Ok(()) };
    let Some(metadata) = about.metadata() else { return Ok(()) };
    let mut hash = begun(metadata.iter());
    hash.update(bytes.get(size_of::<u64>() + header..).unwrap_or_default());
    let is_whole = metadata.get(SEAL).is_none_or(|seal| *seal == hex(&hash.finalize()));
    let error = || Error::user("the file is damaged: what it holds is not what was written").at_file(path);
    let help = "copy it anew, or make it anew; who changes it on purpose leaves `sha256` out of its metadata";
    if is_whole { Ok(()) } else { Err(error().help(help)) }
}

/// The numbers of a tensor of 32-bit floats; `None` where it holds others.
pub(crate) fn floats(tensor: &TensorView<'_>) -> Option<Vec<f32>> {
    let (numbers, _) = tensor.data().as_chunks::<4>();
    (tensor.dtype() == Dtype::F32).then(|| numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let reals = Tensor { name: "b".into(), shape: vec![1, 3], numbers: Numbers::F32(&[0.5, -1.0, f32::MAX]) };
        let parts = [
            reals,
            Tensor::list("a", Numbers::I64(&[i64::MIN, 7])),
            Tensor::list("c", Numbers::U32(&[])),
            Tensor::list("d", Numbers::U32(&[3])),
        ];
        let metadata = [("z".to_owned(), "1".to_owned()), ("a".into(), "\"".into())];
        tensors(&path, &parts, &metadata).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["a"], "\"");
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let b = file.tensor("b").unwrap();
        assert_eq!((b.dtype(), b.shape(), &b.data()[..4]), (Dtype::F32, &[1, 3][..], &0.5f32.to_le_bytes()[..]));
        assert_eq!([floats(&b), floats(&file.tensor("a").unwrap())], [Some(vec![0.5, -1.0, f32::MAX]), None]);
        assert_eq!(file.tensor("a").unwrap().data(), [i64::MIN.to_le_bytes(), 7i64.to_le_bytes()].concat());
        assert_eq!(
            (file.tensor("c").unwrap().shape(), file.tensor("d").unwrap().data()),
            (&[0][..], &3u32.to_le_bytes()[..])
        );
        tensors(&path, &[], &[]).unwrap();
        assert!(SafeTensors::deserialize(&std::fs::read(&path).unwrap()).unwrap().is_empty());
    }

    #[test]
    fn a_sealed_file_tells_any_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let parts = [
            Tensor::list("a", Numbers::F32(&[0.5, -1.0])),
            Tensor::list("b", Numbers::I64(&[7])),
            Tensor::list("c", Numbers::U32(&[3; 5000])),
        ];
        sealed(&path, &parts, &[("z".to_owned(), "1".to_owned())]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let (header, about) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(about.metadata().as_ref().unwrap().len(), 2);
        check_seal(&path, &bytes).unwrap();
        for at in 8 + header..bytes.len() {
            bytes[at] ^= 4;
            let error = check_seal(&path, &bytes).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("t.safetensors"), "{error}");
            bytes[at] ^= 4;
        }
        let text = bytes.windows(5).position(|w| w == b"\"z\":\"").unwrap() + 5;
        bytes[text] = b'2';
        assert!(check_seal(&path, &bytes).is_err());
        tensors(&path, &parts, &[]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 4;
        check_seal(&path, &bytes).unwrap();
    }
}
