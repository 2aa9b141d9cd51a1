//! Reading a table of vectors by code.

use crate::lines::Lines;
use dualk_sdk::prelude::*;
use half::f16;
use npyz::{DType, NpyFile, Order, TypeChar};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::io::{Read, Seek};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// Vectors by code.
#[derive(Debug)]
pub struct Table {
    rows: HashMap<String, usize>,
    values: Vec<f32>,
    dim: usize,
}

impl Table {
    /// Reads a `.safetensors` or `.npz` file.
    pub fn read(path: &Path) -> Result<Self> {
        let table = match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => Self::from_safetensors(path),
            Some("npz") => Self::from_npz(path),
            _ => Err(Error::user("expected a file that ends with .safetensors or .npz")),
        };
        table.map_err(|e| if e.places().is_empty() { e.at_file(path) } else { e })
    }

    /// Reads a `.csv` or `.tsv` file, or what [`Table::read`] does.
    pub fn read_any(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("csv" | "tsv") => {
                let Lines { codes, values } = Lines::read(path)?;
                let shape = [codes.len(), values.len() / codes.len()];
                Self::new(codes, &shape, values).map_err(|e| e.at_file(path))
            }
            Some("safetensors" | "npz") => Self::read(path),
            _ => {
                let error = Error::user("expected a file that ends with .csv, .tsv, .safetensors or .npz");
                Err(error.at_file(path))
            }
        }
    }

    /// Width of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The vector of exactly this code.
    pub fn get(&self, code: &str) -> Option<&[f32]> {
        let row = *self.rows.get(code)?;
        Some(&self.values[row * self.dim..(row + 1) * self.dim])
    }

    fn new(codes: Vec<String>, shape: &[usize], values: Vec<f32>) -> Result<Self> {
        let &[rows, dim] = shape else {
            return Err(Error::user(format!("`vectors` has {} dimensions, expected 2", shape.len())));
        };
        if codes.len() != rows {
            return Err(Error::user(format!("there are {} codes for {rows} vectors", codes.len())));
        }
        if dim == 0 {
            return Err(Error::user("`vectors` has no numbers in a row, expected at least one"));
        }
        if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
            let code = &codes[bad / dim];
            return Err(Error::user(format!("the vector of `{code}` holds {}, expected finite numbers", values[bad])));
        }
        let mut by_code = HashMap::with_capacity(rows);
        for (row, code) in codes.into_iter().enumerate() {
            if let Some(first) = by_code.insert(code.clone(), row) {
                return Err(Error::user(format!("the code `{code}` stands in rows {first} and {row}, expected one")));
            }
        }
        Ok(Self { rows: by_code, values, dim })
    }

    fn from_safetensors(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("read the table of vectors", path, e))?;
        let damaged = |e: safetensors::SafeTensorError| Error::user(format!("these are no safetensors: {e}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let lacks = |what: &str| Error::user(format!("the file has no {what}"));
        let codes = header.metadata().as_ref().and_then(|m| m.get("codes"));
        let codes = codes.ok_or_else(|| lacks("metadata `codes`, a JSON list of one code for each vector"))?;
        let codes = dualk_sdk::serde_json::from_str(codes)
            .map_err(|e| Error::user(format!("metadata `codes` is no JSON list of texts: {e}")))?;
        let vectors = tensors.tensor("vectors").map_err(|_| lacks("tensor `vectors`"))?;
        let data = vectors.data();
        let values = match vectors.dtype() {
            Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Dtype::F16 => data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            other => return Err(Error::user(format!("`vectors` is {other:?}, expected F32 or F16"))),
        };
        Self::new(codes, vectors.shape(), values)
    }

    fn from_npz(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|e| Error::io("read the table of vectors", path, e))?;
        let archive = ZipArchive::new(std::io::BufReader::new(file));
        let mut archive = archive.map_err(|e| Error::user(format!("this is no .npz archive: {e}")))?;
        let (codes, _) = array(&mut archive, "codes", "texts", |kind, file| match kind {
            TypeChar::UnicodeStr | TypeChar::ByteStr => Some(file.into_vec::<String>()),
            _ => None,
        })?;
        let (values, shape) = array(&mut archive, "vectors", "32- or 16-bit floats", |kind, file| {
            match (kind, file.dtype().num_bytes()) {
                (TypeChar::Float, Some(4)) => Some(file.into_vec::<f32>()),
                (TypeChar::Float, Some(2)) => {
                    Some(file.into_vec::<f16>().map(|v| v.into_iter().map(f16::to_f32).collect()))
                }
                _ => None,
            }
        })?;
        Self::new(codes, &shape, values)
    }
}

/// An array of an archive, and its shape.
fn array<T, R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
    expected: &str,
    read: impl FnOnce(TypeChar, NpyFile<Box<dyn Read + '_>>) -> Option<std::io::Result<Vec<T>>>,
) -> Result<(Vec<T>, Vec<usize>)> {
    let damaged = |e: std::io::Error| Error::user(format!("the array `{name}` cannot be read: {e}")).because(e);
    let lacks = |e: ZipError| match e {
        ZipError::FileNotFound => Error::user(format!("the file has no array `{name}`")),
        other => Error::user(format!("the array `{name}` cannot be read: {other}")),
    };
    let entry: Box<dyn Read + '_> = Box::new(archive.by_name(&format!("{name}.npy")).map_err(lacks)?);
    let file = NpyFile::new(entry).map_err(damaged)?;
    let header = file.header().clone();
    let shape: Vec<usize> = header.shape().iter().map(|&d| d as usize).collect();
    if header.order() == Order::Fortran && shape.len() > 1 {
        return Err(Error::user(format!("the array `{name}` is in Fortran order"))
            .help("write it with numpy.ascontiguousarray(…)"));
    }
    let wrong = || Error::user(format!("the array `{name}` is {}, expected {expected}", header.dtype().descr()));
    let DType::Plain(kind) = header.dtype() else { return Err(wrong()) };
    match read(kind.type_char(), file) {
        Some(values) => Ok((values.map_err(damaged)?, shape)),
        None => Err(wrong()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use npyz::WriterBuilder;
    use safetensors::tensor::TensorView;

    pub fn write_safetensors(path: &Path, codes: &[&str], vectors: &[[f32; 2]]) {
        let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
        write(path, Some(codes), Dtype::F32, &bytes, [vectors.len(), 2]);
    }

    fn write(path: &Path, codes: Option<&[&str]>, dtype: Dtype, bytes: &[u8], shape: [usize; 2]) {
        let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
        let codes = codes.map(|c| [("codes".to_owned(), format!("{c:?}"))].into());
        safetensors::serialize_to_file([("vectors", view)], codes, path).unwrap();
    }

    fn write_npz(path: &Path, codes: &str, vectors: &str) {
        let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        add_array(&mut archive, "codes", codes, &[2], ["428.0", "V10"].map(str::to_owned));
        let numbers = [1.0, -2.5, 0.5, 4.0];
        match vectors {
            "<f2" => add_array(&mut archive, "vectors", vectors, &[2, 2], numbers.map(f16::from_f32)),
            _ => add_array(&mut archive, "vectors", vectors, &[2, 2], numbers),
        }
        archive.finish().unwrap();
    }

    fn add_array<T: npyz::Serialize, const N: usize>(
        archive: &mut zip::ZipWriter<std::fs::File>,
        name: &str,
        kind: &str,
        shape: &[u64],
        values: [T; N],
    ) {
        let mut bytes = Vec::new();
        let kind = DType::Plain(kind.parse().unwrap());
        let mut writer = npyz::WriteOptions::new().dtype(kind).shape(shape).writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        archive.start_file(format!("{name}.npy"), Default::default()).unwrap();
        std::io::Write::write_all(archive, &bytes).unwrap();
    }

    #[test]
    fn npz_texts_and_widths() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.npz");
        for codes in ["<U7", "|S5"] {
            for vectors in ["<f4", "<f2"] {
                write_npz(&path, codes, vectors);
                let table = Table::read(&path).unwrap();
                assert_eq!((table.dim(), table.get("428.0"), table.get("V1")), (2, Some(&[1.0, -2.5][..]), None));
                assert_eq!(table.get("V10"), Some(&[0.5, 4.0][..]));
            }
        }
    }

    #[test]
    fn safetensors_may_hold_halves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.safetensors");
        let bytes: Vec<u8> = [0.5, -3.0].iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        write(&path, Some(&["428"]), Dtype::F16, &bytes, [1, 2]);
        assert_eq!(Table::read(&path).unwrap().get("428"), Some(&[0.5, -3.0][..]));
    }

    #[test]
    fn damage_is_described() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.safetensors");
        let message = || Table::read(&path).unwrap_err().to_string();
        let floats = |v: &[f32]| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        write(&path, None, Dtype::F32, &floats(&[1.0]), [1, 1]);
        assert!(message().starts_with("the file has no metadata `codes`"), "{}", message());
        write(&path, Some(&["1", "2"]), Dtype::F32, &floats(&[1.0]), [1, 1]);
        assert!(message().starts_with("there are 2 codes for 1 vectors"), "{}", message());
        write(&path, Some(&["1", "1"]), Dtype::F32, &floats(&[1.0, 2.0]), [2, 1]);
        assert!(message().starts_with("the code `1` stands in rows 0 and 1"), "{}", message());
        write(&path, Some(&["1", "2"]), Dtype::F32, &[], [2, 0]);
        assert!(message().starts_with("`vectors` has no numbers in a row"), "{}", message());
        write(&path, Some(&["1", "2"]), Dtype::F32, &floats(&[1.0, f32::NAN]), [2, 1]);
        assert!(message().starts_with("the vector of `2` holds NaN"), "{}", message());
        std::fs::write(&path, b"no").unwrap();
        assert!(message().starts_with("these are no safetensors") && message().contains("table.safetensors"));
        let other = Table::read(&folder.path().join("table.pkl")).unwrap_err().to_string();
        assert!(other.contains(".safetensors or .npz"), "{other}");
    }
}
