//! Reading a table of vectors by code.

use crate::lines::Lines;
use dualk_sdk::prelude::*;
use half::f16;
use npyz::{DType, NpyFile, NpyHeader, Order, TypeChar};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::io::{Cursor, Read, Seek};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// Bytes of an array's header at most. NumPy's has some hundred.
const LONGEST_HEADER: u32 = 1 << 16;
/// Brackets within brackets in it at most: a shape in the description is two.
const DEEPEST: usize = 16;
/// Texts of an array at most: each takes more memory than its bytes.
const MOST_TEXTS: u64 = 1 << 24;
/// Bytes that an array may have however short its file is.
const FREE: u64 = 1 << 29;
/// Beyond that it may have so many times the bytes of its file: vectors are hardly shorter when they are compressed.
const MOST_PACKED: u64 = 64;

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
        // A row that is not there may be said to have any width.
        if rows == 0 {
            return Err(Error::user("`vectors` has no rows, expected at least one"));
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
        dualk_sdk::storage::check_seal(path, &bytes)?;
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
        let unreadable = |e| Error::io("read the table of vectors", path, e);
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let most = file.metadata().map_err(unreadable)?.len().saturating_mul(MOST_PACKED).max(FREE);
        let archive = ZipArchive::new(std::io::BufReader::new(file));
        let mut archive = archive.map_err(|e| Error::user(format!("this is no .npz archive: {e}")))?;
        let (codes, _) = array(&mut archive, ("codes", "texts"), most, |kind, file| match kind {
            TypeChar::UnicodeStr | TypeChar::ByteStr => Some(file.into_vec::<String>()),
            _ => None,
        })?;
        let (values, shape) = array(&mut archive, ("vectors", "32- or 16-bit floats"), most, |kind, file| {
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

/// An array of an archive, of so many bytes at most, and its shape.
fn array<T, R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    (name, expected): (&str, &str),
    most: u64,
    read: impl FnOnce(TypeChar, NpyFile<Box<dyn Read + '_>>) -> Option<std::io::Result<Vec<T>>>,
) -> Result<(Vec<T>, Vec<usize>)> {
    let damaged = |e: std::io::Error| Error::user(format!("the array `{name}` cannot be read: {e}")).because(e);
    let lacks = |e: ZipError| match e {
        ZipError::FileNotFound => Error::user(format!("the file has no array `{name}`")),
        other => Error::user(format!("the array `{name}` cannot be read: {other}")),
    };
    let mut entry = archive.by_name(&format!("{name}.npy")).map_err(lacks)?;
    let start = start(&mut entry).map_err(damaged)?;
    let entry: Box<dyn Read + '_> = Box::new(Cursor::new(start).chain(entry));
    let file = NpyFile::new(entry).map_err(damaged)?;
    let header = file.header().clone();
    let shape: Vec<usize> = header.shape().iter().map(|&d| d as usize).collect();
    if header.order() == Order::Fortran && shape.len() > 1 {
        return Err(Error::user(format!("the array `{name}` is in Fortran order"))
            .help("write it with numpy.ascontiguousarray(…)"));
    }
    let wrong = || Error::user(format!("the array `{name}` is {}, expected {expected}", header.dtype().descr()));
    let DType::Plain(kind) = header.dtype() else { return Err(wrong()) };
    check_length(&header, kind.type_char(), most).map_err(damaged)?;
    match read(kind.type_char(), file) {
        Some(values) => Ok((values.map_err(damaged)?, shape)),
        None => Err(wrong()),
    }
}

/// The beginning of an array up to its numbers, which `npyz` takes at its word: how long the header is, and how deep its brackets.
fn start(entry: &mut impl Read) -> std::io::Result<Vec<u8>> {
    // What files of NumPy begin with, a version of two bytes, and the length of the header in two bytes or, from version 2 on, four.
    let mut start = Vec::new();
    entry.by_ref().take(10).read_to_end(&mut start)?;
    let length = match start[..] {
        [_, _, _, _, _, _, 1, _, low, high] => u32::from(u16::from_le_bytes([low, high])),
        [.., low, high] if start.len() == 10 => {
            entry.by_ref().take(2).read_to_end(&mut start)?;
            let above = start.get(10..12).map_or(0, |above| u32::from(u16::from_le_bytes([above[0], above[1]])));
            above << 16 | u32::from(u16::from_le_bytes([low, high]))
        }
        _ => 0, // it is no array, as `npyz` says
    };
    if length > LONGEST_HEADER {
        return Err(refused(format!("its header has {length} bytes, and at most {LONGEST_HEADER} are read")));
    }
    let before = start.len();
    entry.take(length.into()).read_to_end(&mut start)?;
    let mut depth = 0usize;
    for byte in &start[before..] {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(refused(format!("its header has more than {DEEPEST} brackets in one another")));
        }
    }
    Ok(start)
}

/// Refuses an array of more than so many bytes, or of too many texts. What is shorter and not there is missed when it is read.
fn check_length(header: &NpyHeader, kind: TypeChar, most: u64) -> std::io::Result<()> {
    // Of objects, which nobody reads, it is not known.
    let Some(wide) = header.dtype().num_bytes() else { return Ok(()) };
    let numbers = header.shape().iter().try_fold(1u64, |all, &along| all.checked_mul(along));
    let length = numbers.and_then(|numbers| numbers.checked_mul(wide as u64));
    let is_text = matches!(kind, TypeChar::UnicodeStr | TypeChar::ByteStr);
    match (numbers, length) {
        (Some(numbers), _) if is_text && numbers > MOST_TEXTS => {
            Err(refused(format!("it has {numbers} texts, and at most {MOST_TEXTS} are read")))
        }
        (Some(_), Some(length)) if length <= most => Ok(()),
        _ => Err(refused(format!("it is longer than {most} bytes, the most that is read of this file"))),
    }
}

fn refused(what: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
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

    /// An archive of one array with this header behind its magic number and version, and of these bytes.
    fn write_header(path: &Path, name: &str, version: u8, length: u32, header: &str, data: &[u8]) {
        let mut bytes = [&b"\x93NUMPY"[..], &[version, 0]].concat();
        bytes.extend(&length.to_le_bytes()[..if version == 1 { 2 } else { 4 }]);
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        archive.start_file(format!("{name}.npy"), Default::default()).unwrap();
        std::io::Write::write_all(&mut archive, &bytes).unwrap();
        archive.finish().unwrap();
    }

    /// Each ended the process, or would have taken all memory.
    #[test]
    fn headers_that_promise_too_much_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.npz");
        let header =
            |kind: &str, shape: &str| format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let nested = "(".repeat(60_000);
        let cases = [
            (1, header("|S9000000000000", "(1,)"), "longer than 536870912 bytes"),
            (2, header("<U0", "(1099511627776,)"), "has 1099511627776 texts"),
            (1, header("|S2", "(4611686018427387904, 4)"), "longer than 536870912 bytes"),
            (1, header("|S2", "(3,)"), "cannot be read"),
            (1, nested, "brackets in one another"),
        ];
        for (version, header, says) in cases {
            write_header(&path, "codes", version, header.len() as u32, &header, b"abcd");
            let error = Table::read(&path).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains("the array `codes`") && text.contains(says) && text.contains("table.npz"), "{text}");
        }
        write_header(&path, "codes", 2, u32::MAX, "{", b"");
        let error = Table::read(&path).unwrap_err().to_string();
        assert!(error.contains("its header has 4294967295 bytes"), "{error}");
        // Zeros, which are packed to a thousandth.
        let zeros = vec![0; 3 << 24];
        let one = header("|S1", &format!("({},)", zeros.len()));
        write_header(&path, "codes", 1, one.len() as u32, &one, &zeros);
        let error = Table::read(&path).unwrap_err().to_string();
        assert!(error.contains("has 50331648 texts"), "{error}");
        // A sound one is read, and the other array is asked for next.
        let sound = header("|S2", "(2,)");
        write_header(&path, "codes", 2, sound.len() as u32, &sound, b"abcd");
        let error = Table::read(&path).unwrap_err().to_string();
        assert!(error.contains("has no array `vectors`"), "{error}");
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
        write(&path, Some(&[]), Dtype::F32, &[], [0, usize::MAX]);
        assert!(message().starts_with("`vectors` has no rows"), "{}", message());
        write(&path, Some(&["1", "2"]), Dtype::F32, &floats(&[1.0, f32::NAN]), [2, 1]);
        assert!(message().starts_with("the vector of `2` holds NaN"), "{}", message());
        std::fs::write(&path, b"no").unwrap();
        assert!(message().starts_with("these are no safetensors") && message().contains("table.safetensors"));
        let other = Table::read(&folder.path().join("table.pkl")).unwrap_err().to_string();
        assert!(other.contains(".safetensors or .npz"), "{other}");
    }
}
