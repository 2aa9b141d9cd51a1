//! `text`: vectors from a file, as they are there.

use crate::table::Table;
use dualk_sdk::prelude::*;
use std::path::PathBuf;

options! {
    /// Options of `text`.
    pub struct TextOptions {
        /// Vectors by code. `.csv` or `.tsv`: a line a code, which is followed by its numbers; a first line whose second
        /// field is no number is a heading. `.safetensors`: tensor `vectors` and metadata `codes`, a JSON list; `.npz`:
        /// arrays `codes` and `vectors`.
        pub path: FilePath = FilePath::default(),
    }
}

impl Component for TextOptions {
    const NAME: &'static str = "text";
    const ABOUT: &'static str =
        "Vectors by code from a file, as given: embeddings of the codes' descriptions, for example.";
}

/// The vector of exactly this code, else zeros; as wide as those of the file. The padding node has zeros.
#[derive(Debug)]
struct Text {
    path: PathBuf,
}

impl BuildNodeInit for TextOptions {
    fn build(self) -> Result<Box<dyn NodeInit>> {
        let path = self.path.required("path")?.to_owned();
        std::fs::File::open(&path).map_err(|e| Error::io("read the table of vectors", &path, e).at_key("path"))?;
        Ok(Box::new(Text { path }))
    }
}

impl NodeInit for Text {
    fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures> {
        let table = Table::read_any(&self.path)?;
        let mut features = vec![0f32; context.codes.len() * table.dim()];
        let mut found = 0;
        for (row, code) in features.chunks_exact_mut(table.dim()).zip(context.codes).skip(1) {
            if let Some(vector) = table.get(code) {
                row.copy_from_slice(vector);
                found += 1;
            }
        }
        let missing = context.codes.len().saturating_sub(1) as u64 - found;
        if found == 0 && missing > 0 {
            return Err(Error::user("the table has a vector for none of the codes")
                .at_key("path")
                .at_file(&self.path)
                .help("codes are dotted, such as 428.0, and compared as they are"));
        }
        let features = Tensor::from_data(TensorData::new(features, [context.codes.len(), table.dim()]), context.device);
        let notes = vec![("codes in the table".to_owned(), found), ("codes without a vector".to_owned(), missing)];
        Ok(NodeFeatures { features, notes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::write_safetensors;

    fn init(path: PathBuf, codes: &[&str]) -> Result<NodeFeatures> {
        let codes: Vec<String> = codes.iter().map(|c| c.to_string()).collect();
        let node_init = TextOptions { path: FilePath(path) }.build()?;
        node_init.init(&NodeInitContext { codes: &codes, device: &Device::flex() })
    }

    #[test]
    fn every_form_of_the_file_gives_the_same_vectors() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("a.csv"), "code,x,y\n428,1,2\n\"V10\",5e0, 6.0\n").unwrap();
        // As some programs write it: with the mark of UTF-8, and all in quotes.
        std::fs::write(file("a2.csv"), "\u{feff}\"428\",\"1\",\"2\"\r\n\"V10\",\"5\",\"6\"").unwrap();
        std::fs::write(file("b.tsv"), "428\t1.0\t2\r\nV10\t5\t6\r\n\r\n").unwrap();
        write_safetensors(&file("c.safetensors"), &["428", "V10"], &[[1.0, 2.0], [5.0, 6.0]]);
        for name in ["a.csv", "a2.csv", "b.tsv", "c.safetensors"] {
            let out = init(file(name), &["", "428", "428.2", "V10"]).unwrap();
            let rows = [[0.0f32, 0.0], [1.0, 2.0], [0.0, 0.0], [5.0, 6.0]];
            out.features.into_data().assert_eq(&TensorData::from(rows), true);
            assert_eq!(out.notes.iter().map(|n| n.1).collect::<Vec<_>>(), [2, 1]);
        }
    }

    #[test]
    fn mistakes_name_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            init(path.clone(), &["", "428"]).unwrap_err().to_string()
        };
        let of = |text: &str, place: &str, what: &str| {
            let message = message(text);
            assert!(message.contains(place) && message.contains(what), "{message}");
        };
        of("428,1,2\nV10,3\n", "table.csv:2:1", "the row has 2 fields, and the table 3 columns");
        of("428,1,2\n\nV10,3,x\n", "table.csv:3:7", "`x`");
        of("code,1,2\n428,nan,1\n", "table.csv:2:5", "`nan`");
        of("428,1\n\"V10,2\n", "table.csv:2:1", "never closed");
        of("428\n", "table.csv:1", "no number");
        of("code,x\n", "table.csv", "no vectors");
        of("428,1\n428,2\n", "table.csv", "`428`");
        of("999,1\n", "`path`", "none of the codes");
        assert!(init(PathBuf::new(), &[""]).unwrap_err().to_string().starts_with("`path`"));
        let absent = init(folder.path().join("absent.csv"), &[""]).unwrap_err().to_string();
        assert!(absent.starts_with("`path`: cannot read"), "{absent}");
    }
}
