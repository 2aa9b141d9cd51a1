//! `hake`: node features from a table of vectors by code.

use crate::table::Table;
use dualk_sdk::data::codes::prefixes;
use dualk_sdk::kge::EMBEDDINGS;
use dualk_sdk::prelude::*;
use std::path::PathBuf;

options! {
    /// Options of `hake`.
    pub struct HakeOptions {
        /// Table of vectors by code. `.safetensors`: tensor `vectors` and metadata `codes`, a JSON list; `.npz`: arrays
        /// `codes` and `vectors`.
        pub path: FilePath = FilePath::default(),
        /// Run folder of `dualk kge train`, in place of `path`: phases and moduli of its entities, as wide as it has them. Or a
        /// manifest of `dualk kge` (`.toml`): the experiment trains these vectors first, or takes them from the cache.
        pub kge: MadeFolder = MadeFolder::default(),
        /// Width of a vector; must be the file's. Not looked at with `kge`.
        #[schemars(range(min = 1))]
        pub dim: usize = 2000,
    }
}

impl Component for HakeOptions {
    const NAME: &'static str = "hake";
    const ABOUT: &'static str = "Vectors by code from a file, such as HAKE's embeddings of a knowledge graph.";
    const CITATION: &'static str = "Zhang et al., Learning Hierarchy-Aware Knowledge Graph Embeddings, AAAI 2020";
}

/// The vector of a code is that of the code, else of the code without its last character, else without the last two,
/// else zeros. The padding node has zeros.
#[derive(Debug)]
struct Hake {
    path: PathBuf,
    /// Width of the vectors; any where none is given.
    dim: Option<usize>,
}

impl BuildNodeInit for HakeOptions {
    fn build(self) -> Result<Box<dyn NodeInit>> {
        let dim = self.dim;
        if let Some(run) = self.kge.given() {
            if self.path.given().is_some() {
                return Err(Error::user("both `path` and `kge` are given").at_key("kge").help("give one of them"));
            }
            let path = run.join(EMBEDDINGS);
            if !self.kge.is_to_be_made() {
                let missing = |e| Error::io("read the embeddings of the run", &path, e).at_key("kge");
                let help = "`dualk kge train` prints the folder of its run; a manifest of `dualk kge` ends with .toml";
                std::fs::File::open(&path).map_err(|e| missing(e).help(help))?;
            }
            return Ok(Box::new(Hake { path, dim: None }));
        }
        let path = self.path.required("path")?.to_owned();
        std::fs::File::open(&path).map_err(|e| Error::io("read the table of vectors", &path, e).at_key("path"))?;
        Ok(Box::new(Hake { path, dim: Some(dim) }))
    }
}

impl NodeInit for Hake {
    fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures> {
        let table = Table::read(&self.path)?;
        let width = table.dim();
        if let Some(dim) = self.dim.filter(|dim| *dim != width) {
            let message = format!("the table's vectors have {width} numbers, not {dim}");
            return Err(Error::user(message).at_key("dim").at_file(&self.path).help(format!("write dim = {width}")));
        }
        let mut features = vec![0f32; context.codes.len() * width];
        let mut found = [0u64; 3];
        for (row, code) in features.chunks_exact_mut(width).zip(context.codes).skip(1) {
            if let Some((dropped, vector)) = find(&table, code) {
                row.copy_from_slice(vector);
                found[dropped] += 1;
            }
        }
        let missing = context.codes.len().saturating_sub(1) as u64 - found.iter().sum::<u64>();
        let data = TensorData::new(features, [context.codes.len(), width]);
        let notes = vec![
            ("codes in the table".to_owned(), found[0]),
            ("codes found without their last character".to_owned(), found[1]),
            ("codes found without their last two characters".to_owned(), found[2]),
            ("codes without a vector".to_owned(), missing),
        ];
        Ok(NodeFeatures { features: Tensor::from_data(data, context.device), notes })
    }
}

/// The vector of a code, and how many characters were dropped to find it.
fn find<'a>(table: &'a Table, code: &str) -> Option<(usize, &'a [f32])> {
    prefixes(code).enumerate().find_map(|(dropped, name)| Some((dropped, table.get(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::write_safetensors;

    fn init(path: PathBuf, dim: usize, codes: &[&str]) -> Result<NodeFeatures> {
        let codes: Vec<String> = codes.iter().map(|c| c.to_string()).collect();
        let node_init = HakeOptions { path: FilePath(path), dim, ..Default::default() }.build()?;
        node_init.init(&NodeInitContext { codes: &codes, device: &Device::flex() })
    }

    #[test]
    fn codes_fall_back_to_shorter_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.safetensors");
        write_safetensors(&path, &["428", "428.2", "V10"], &[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        let codes = ["", "428", "428.21", "428.9", "428.99", "V1", "V102"];
        let out = init(path, 2, &codes).unwrap();
        let rows = [[0.0f32, 0.0], [1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [5.0, 6.0]];
        out.features.into_data().assert_eq(&TensorData::from(rows), true);
        let notes: Vec<u64> = out.notes.iter().map(|n| n.1).collect();
        assert_eq!(notes, [1, 2, 1, 2]);
    }

    #[test]
    fn the_padding_node_is_zero_whatever_the_table_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.safetensors");
        write_safetensors(&path, &[""], &[[1.0, 2.0]]);
        let out = init(path, 2, &["", "7"]).unwrap();
        assert_eq!(out.features.abs().sum().into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn mistakes_name_their_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.safetensors");
        write_safetensors(&path, &["428"], &[[1.0, 2.0]]);
        let message = |path: PathBuf, dim| init(path, dim, &["", "428"]).unwrap_err().to_string();
        let other = message(path, 3);
        assert!(other.starts_with("`dim`: the table's vectors have 2 numbers, not 3"), "{other}");
        assert!(message(PathBuf::new(), 2).starts_with("`path`"));
        assert!(message(folder.path().join("absent.npz"), 2).starts_with("`path`: cannot read"));
    }

    #[test]
    fn it_is_a_sound_node_initialiser() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.safetensors");
        write_safetensors(&path, &["428", "428.2", "V10"], &[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        dualk_sdk::testing::check_node_init(HakeOptions { path: FilePath(path), dim: 2, ..Default::default() });
    }
}
