//! A graph that is learnt quickly, and what was learnt of it.

use std::fs;
use std::path::{Path, PathBuf};

/// A hierarchy and a table of siblings, embedded by HAKE.
pub const MANIFEST: &str = r#"name = "tree"
seed = 5

[[data.source]]
type = "hierarchy"
path = "tree.csv"

[[data.source]]
type = "table"
path = "like.tsv"

[data.split]
valid = 0.1
test = 0.1

[model]
type = "hake"
dim = 16
modulus_weight = 0.5

[train]
steps = 1500
batch = 32
negatives = 16
lr = 0.01
validate_every = 500
"#;

/// A tree of codes, three levels deep, and which of them are siblings.
pub fn write(folder: &Path) -> PathBuf {
    let (mut table, mut like) = ("code,parent_code,name\n".to_owned(), String::new());
    for a in 401..407 {
        for b in 0..6 {
            table += &format!("{a}.{b},{a},x\n");
            (0..b).for_each(|other| like += &format!("{a}.{other}\tlike\t{a}.{b}\n"));
            for c in 0..4 {
                table += &format!("{a}.{b}{c},{a}.{b},x\n");
                (0..c).for_each(|other| like += &format!("{a}.{b}{other}\tlike\t{a}.{b}{c}\n"));
            }
        }
        table += &format!("{a},390-459.99,x\n");
        (401..a).for_each(|other| like += &format!("{other}\tlike\t{a}\n"));
    }
    fs::write(folder.join("like.tsv"), like).unwrap();
    fs::write(folder.join("tree.csv"), table).unwrap();
    let file = folder.join("tree.toml");
    fs::write(&file, MANIFEST).unwrap();
    file
}

/// The bytes of each tensor of a run.
pub fn tensors(run: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(run.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> = file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
    tensors.sort();
    assert_eq!(tensors.len(), 3);
    tensors
}
