//! Reads `.pth` files of PyTorch: a zip archive with a pickle and a file for each storage.

use super::pickle::{Id, Node, Pickle, decode};
use dualk_sdk::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use zip::{CompressionMethod, ZipArchive};

/// A tensor: shape and numbers, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// All that is read and made of a file takes at most so many times its length: numbers have 64 bits here.
const TIMES: u64 = 6;

/// The tensors of a file by name; a file that holds a single one has it under the empty name.
///
/// # Errors
/// When the file is no such archive, holds anything but tensors, says sizes that its storages do not have, or asks for far
/// more memory than it is long.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let wrong = |what: String| Error::user(what).at_file(path);
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let length = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let archive = ZipArchive::new(file).map_err(|e| {
        wrong(format!("this is no archive of PyTorch: {e}"))
            .help("files of PyTorch before 1.6 have another form: load and save them again with a newer one")
    })?;
    let name = archive.file_names().find(|name| name.ends_with("/data.pkl")).map(str::to_owned);
    let name = name.ok_or_else(|| wrong("the archive has no data.pkl".into()))?;
    let folder = name.trim_end_matches("data.pkl").to_owned();
    let budget = length.saturating_mul(TIMES);
    let mut file = Archive { path, archive, folder, budget, left: budget, storages: HashMap::new() };
    if let Ok(order) = file.entry("byteorder")
        && order != b"little"
    {
        return Err(wrong("numbers with the highest byte first".into()));
    }
    let pickle = Pickle::read(file.entry("data.pkl")?, path)?;
    let mut tensors = BTreeMap::new();
    match pickle.dict(pickle.root()) {
        None => drop(tensors.insert(String::new(), file.tensor(&pickle, pickle.root())?)),
        Some(entries) => {
            for &(key, value) in entries {
                let key = pickle.text(key).ok_or_else(|| wrong("a tensor whose name is no text".into()))?;
                tensors.insert(key.to_owned(), file.tensor(&pickle, value)?);
            }
        }
    }
    Ok(tensors)
}

/// A file that is read, each storage once.
struct Archive<'a> {
    path: &'a Path,
    archive: ZipArchive<File>,
    folder: String,
    budget: u64,
    /// Bytes that may still be used.
    left: u64,
    storages: HashMap<String, Rc<Vec<f64>>>,
}

impl Archive<'_> {
    fn wrong(&self, what: impl Into<String>) -> Error {
        Error::user(what).at_file(self.path)
    }

    fn spend(&mut self, bytes: u64) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.wrong(format!(
                "the tensors of this file take more than {} bytes, {TIMES} times its length: no checkpoint does",
                self.budget
            ))),
        }
    }

    /// A file of the archive. PyTorch writes them as they are, so that what is compressed is from somebody else.
    fn entry(&mut self, name: &str) -> Result<Vec<u8>> {
        let path = self.path;
        let wrong =
            |e: &dyn std::fmt::Display| Error::user(format!("cannot read {name} of the archive: {e}")).at_file(path);
        let file = self.archive.by_name(&format!("{}{name}", self.folder)).map_err(|e| wrong(&e))?;
        let (size, method) = (file.size(), file.compression());
        drop(file);
        if method != CompressionMethod::Stored {
            return Err(wrong(&"it is compressed, which PyTorch never does"));
        }
        self.spend(size)?;
        let file = self.archive.by_name(&format!("{}{name}", self.folder)).map_err(|e| wrong(&e))?;
        let mut bytes = Vec::new();
        // No more than the archive says, whatever is inside.
        file.take(size).read_to_end(&mut bytes).map_err(|e| wrong(&e))?;
        Ok(bytes)
    }

    fn storage(&mut self, kind: &str, key: &str) -> Result<Rc<Vec<f64>>> {
        let known = format!("{kind} {key}");
        if let Some(stored) = self.storages.get(&known) {
            return Ok(stored.clone());
        }
        let bytes = self.entry(&format!("data/{key}"))?;
        let stored = decode(kind, true, &bytes).ok_or_else(|| self.wrong("a storage of half numbers"))?;
        self.spend(8 * stored.len() as u64)?;
        let stored = Rc::new(stored);
        self.storages.insert(known, stored.clone());
        Ok(stored)
    }

    fn tensor(&mut self, pickle: &Pickle, id: Id) -> Result<Tensor> {
        let Node::Tensor { storage, offset, shape, strides } = pickle.node(id) else {
            return Err(self
                .wrong("there is something else than a tensor in the file")
                .help("save the state_dict of the model alone, as the published scripts do"));
        };
        let Node::Storage { kind, key, count } = pickle.node(*storage) else {
            return Err(self.wrong("a tensor without a storage"));
        };
        let stored = self.storage(kind, key)?;
        let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= stored.len().max(1));
        let fits = shape.len() == strides.len() && stored.len() == *count;
        let Some(size) = size.filter(|_| fits) else {
            return Err(self.wrong("a tensor of another size than its storage"));
        };
        self.spend(4 * size as u64)?;
        let mut values = Vec::with_capacity(size);
        for flat in 0..size {
            let (mut left, mut at) = (flat, *offset);
            for (&length, &stride) in shape.iter().zip(strides).rev() {
                at = at.saturating_add((left % length).saturating_mul(stride));
                left /= length;
            }
            let value = stored.get(at).ok_or_else(|| self.wrong("a tensor that reaches beyond its storage"))?;
            values.push(*value as f32);
        }
        Ok(Tensor { shape: shape.clone(), values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
    use proptest::sample::Index;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::FileOptions;

    /// `torch.save({"w": torch.tensor([[1., 2.], [3., 4.]]).t()})`, put together by hand: size, stride and count as given.
    fn archive(size: u8, stride: u8, count: u8) -> tempfile::NamedTempFile {
        archive_as(size, stride, count, CompressionMethod::Stored)
    }

    fn archive_as(size: u8, stride: u8, count: u8, method: CompressionMethod) -> tempfile::NamedTempFile {
        let mut pickle =
            b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage".to_vec();
        pickle.extend(b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK");
        pickle.push(count);
        pickle.extend(b"tQK\x00K\x02K");
        pickle.push(size);
        pickle.extend(b"\x86K\x01K");
        pickle.push(stride);
        pickle.extend(b"\x86\x89ccollections\nOrderedDict\n)RtRs.");
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = ZipWriter::new(file.reopen().unwrap());
        let numbers: Vec<u8> = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        for (name, bytes) in [("a/data.pkl", &pickle[..]), ("a/byteorder", b"little"), ("a/data/0", &numbers)] {
            zip.start_file(name, FileOptions::default().compression_method(method)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    #[test]
    fn tensors_are_read_by_their_strides() {
        let tensors = read(archive(2, 2, 4).path()).unwrap();
        assert_eq!(tensors["w"], Tensor { shape: vec![2, 2], values: vec![1.0, 3.0, 2.0, 4.0] });
    }

    #[test]
    fn sizes_that_storages_do_not_have_are_refused() {
        for (size, stride, count) in [(3, 2, 4), (255, 0, 4), (2, 200, 4), (2, 2, 9)] {
            let file = archive(size, stride, count);
            let error = read(file.path()).unwrap_err().to_string();
            assert!(error.contains("storage"), "{error}");
        }
    }

    #[test]
    fn compressed_storages_and_too_many_bytes_are_refused() {
        let error = read(archive_as(2, 2, 4, CompressionMethod::Deflated).path()).unwrap_err().to_string();
        assert!(error.contains("compressed, which PyTorch never does"), "{error}");
        let file = archive(2, 2, 4);
        let open = |budget| Archive {
            path: file.path(),
            archive: ZipArchive::new(file.reopen().unwrap()).unwrap(),
            folder: "a/".into(),
            budget,
            left: budget,
            storages: HashMap::new(),
        };
        // 16 bytes of the file, 32 as numbers; a second look costs nothing.
        let mut reader = open(48);
        assert!(reader.storage("f4", "0").is_ok() && reader.storage("f4", "0").is_ok() && reader.left == 0);
        let error = open(47).storage("f4", "0").unwrap_err().to_string();
        assert!(error.contains("more than 47 bytes"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"\x80\x02.").unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        assert!(error.contains("no archive of PyTorch"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damaged_archives_are_read_or_refused(
            sizes in any::<(u8, u8, u8)>(), deflated in any::<bool>(),
            damage in vec((any::<Index>(), any::<u8>()), 0..4), cut in prop_oneof![3 => Just(None), 1 => any::<Index>().prop_map(Some)],
        ) {
            let method = if deflated { CompressionMethod::Deflated } else { CompressionMethod::Stored };
            let file = archive_as(sizes.0, sizes.1, sizes.2, method);
            let mut bytes = std::fs::read(file.path()).unwrap();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.map_or(usize::MAX, |at| at.index(bytes.len())));
            std::fs::write(file.path(), bytes).unwrap();
            if let Err(error) = read(file.path()) {
                prop_assert_eq!(error.exit_code(), 2);
            }
        }
    }
}
