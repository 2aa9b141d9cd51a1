//! Embeddings and checkpoints as safetensors files.

use super::adam::Table;
use super::step::Parameters;
use super::triples::{KnowledgeGraph, Names};
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Embeddings with the names of their rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// The numbers; without moments where they come from a finished run.
    pub parameters: Parameters,
    /// Name of each entity.
    pub entities: Names,
    /// Name of each relation.
    pub relations: Names,
}

/// Training that was interrupted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checkpoint {
    pub parameters: Parameters,
    /// Steps that were done.
    pub step: u32,
    /// Seconds that they took.
    pub seconds: f64,
    /// Lines of `metrics.jsonl` so far.
    pub history: String,
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn matrix(table: &Table, values: &[f32]) -> (Dtype, Vec<usize>, Vec<u8>) {
    (Dtype::F32, vec![table.last.len(), table.width], floats(values))
}

type Parts = Vec<(String, (Dtype, Vec<usize>, Vec<u8>))>;

fn write(path: &Path, parts: Parts, metadata: HashMap<String, String>) -> Result<()> {
    let failed = |e| Error::program("cannot write tensors").at_file(path).because(e);
    let views =
        parts.iter().map(|(name, (dtype, shape, bytes))| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>().map_err(failed)?;
    // Written beside and renamed, so that an interrupted write leaves the last one whole.
    let partial = path.with_file_name(".partial.safetensors");
    safetensors::serialize_to_file(views, Some(metadata), &partial).map_err(failed)?;
    fs::rename(&partial, path).map_err(|e| Error::io("write", path, e))
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::program("cannot write JSON").because(e))
}

/// Writes embeddings: `vectors` (a row an entity), `relations` and `shared`, the names as JSON lists `codes` and
/// `relation_names` in the metadata. Node initialisers read it as a table of vectors by code.
///
/// # Errors
/// When the file cannot be written.
pub fn save_embeddings(path: &Path, parameters: &Parameters, graph: &KnowledgeGraph) -> Result<()> {
    let tables =
        [("vectors", &parameters.entities), ("relations", &parameters.relations), ("shared", &parameters.shared)];
    let parts = tables.map(|(name, table)| (name.to_owned(), matrix(table, &table.values))).into();
    let metadata = HashMap::from([
        ("codes".to_owned(), json(&graph.entities.list())?),
        ("relation_names".to_owned(), json(&graph.relations.list())?),
    ]);
    write(path, parts, metadata)
}

/// Reads what [`save_embeddings`] wrote.
///
/// # Errors
/// When the file cannot be read or holds something else.
pub fn load_embeddings(path: &Path) -> Result<Embeddings> {
    let bytes = fs::read(path).map_err(|e| Error::io("read the embeddings", path, e))?;
    let other =
        |what: String| Error::user(format!("these are no embeddings of a knowledge graph: {what}")).at_file(path);
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| other(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| other(e.to_string()))?;
    let names = |key: &str| -> Result<Names> {
        let text = header.metadata().as_ref().and_then(|m| m.get(key)).ok_or_else(|| other(format!("no `{key}`")))?;
        let list: Vec<String> = serde_json::from_str(text).map_err(|e| other(e.to_string()))?;
        Ok(list.into_iter().collect())
    };
    let table = |name: &str| -> Result<Table> {
        let (width, values) = read_floats(&file, name).ok_or_else(|| other(format!("no matrix `{name}`")))?;
        Ok(Table { last: vec![0; values.len().checked_div(width).unwrap_or(0)], width, values, ..Table::default() })
    };
    let parameters =
        Parameters { entities: table("vectors")?, relations: table("relations")?, shared: table("shared")? };
    let (entities, relations) = (names("codes")?, names("relation_names")?);
    match parameters.entities.last.len() == entities.len() && parameters.relations.last.len() == relations.len() {
        true => Ok(Embeddings { parameters, entities, relations }),
        false => Err(other("rows and names differ in number".to_owned())),
    }
}

fn read_floats(file: &SafeTensors<'_>, name: &str) -> Option<(usize, Vec<f32>)> {
    let view = file.tensor(name).ok().filter(|view| view.dtype() == Dtype::F32)?;
    let &[_, width] = view.shape() else { return None };
    let (numbers, _) = view.data().as_chunks::<4>();
    Some((width, numbers.iter().map(|b| f32::from_le_bytes(*b)).collect()))
}

impl Checkpoint {
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut parts: Parts = Vec::new();
        for (name, table) in self.parameters.tables() {
            parts.push((format!("{name}.values"), matrix(table, &table.values)));
            parts.push((format!("{name}.first"), matrix(table, &table.first)));
            parts.push((format!("{name}.second"), matrix(table, &table.second)));
            let last: Vec<u8> = table.last.iter().flat_map(|v| v.to_le_bytes()).collect();
            parts.push((format!("{name}.last"), (Dtype::U32, vec![table.last.len()], last)));
        }
        let metadata = HashMap::from([
            ("step".to_owned(), self.step.to_string()),
            ("seconds".to_owned(), self.seconds.to_string()),
            ("history".to_owned(), self.history.clone()),
        ]);
        write(path, parts, metadata)
    }

    /// A checkpoint of parameters of the same shape as `expected`; `None` when there is none that can be read.
    pub fn load(path: &Path, expected: &Parameters) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let (_, header) = SafeTensors::read_metadata(&bytes).ok()?;
        let (file, metadata) = (SafeTensors::deserialize(&bytes).ok()?, header.metadata().clone()?);
        let table = |name: &str, like: &Table| -> Option<Table> {
            let read = |part: &str| read_floats(&file, &format!("{name}.{part}")).map(|(_, values)| values);
            let last = file.tensor(&format!("{name}.last")).ok()?;
            let (last, _) = last.data().as_chunks::<4>();
            let table = Table {
                width: like.width,
                values: read("values")?,
                first: read("first")?,
                second: read("second")?,
                last: last.iter().map(|b| u32::from_le_bytes(*b)).collect(),
            };
            let n = like.values.len();
            let same = [&table.values, &table.first, &table.second].iter().all(|v| v.len() == n);
            (same && table.last.len() == like.last.len()).then_some(table)
        };
        let [(entities, a), (relations, b), (shared, c)] = expected.tables();
        let parameters =
            Parameters { entities: table(entities, a)?, relations: table(relations, b)?, shared: table(shared, c)? };
        Some(Self {
            parameters,
            step: metadata.get("step")?.parse().ok()?,
            seconds: metadata.get("seconds")?.parse().ok()?,
            history: metadata.get("history")?.clone(),
        })
    }
}

impl Parameters {
    fn tables(&self) -> [(&'static str, &Table); 3] {
        [("entities", &self.entities), ("relations", &self.relations), ("shared", &self.shared)]
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        self.tables().iter().map(|(_, table)| table.values.len()).sum()
    }
}
