//! Embeddings and checkpoints as safetensors files.

use super::adam::Table;
use super::step::Parameters;
use super::triples::KnowledgeGraph;
use crate::data::knowledge::Names;
use crate::storage::{Numbers, Tensor};
use crate::{Error, Result, storage};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The file of embeddings in the folder of a run.
pub const EMBEDDINGS: &str = "model.safetensors";

/// Embeddings with the names of their rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// The parameters; without moments where they come from a finished run.
    pub parameters: Parameters,
    /// Name of each entity.
    pub entities: Names,
    /// Name of each relation.
    pub relations: Names,
}

/// Training that was interrupted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    pub parameters: Parameters,
    pub done: Done,
}

/// How far training is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Done {
    /// Steps that were done.
    pub step: u32,
    /// Seconds that they took.
    pub seconds: f64,
    /// Sum and number of the losses since the last line.
    pub losses: (f64, u32),
    /// Lines of `metrics.jsonl` so far.
    pub history: String,
}

/// A table's parameters or moments: `[rows, width]`.
fn matrix<'a>(name: String, table: &Table, values: &'a [f32]) -> Tensor<'a> {
    Tensor { name, shape: vec![table.last.len(), table.width], numbers: Numbers::F32(values) }
}

fn text_of(value: &impl serde::Serialize) -> Result<String> {
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
    let parts = tables.map(|(name, table)| matrix(name.to_owned(), table, &table.values));
    let (codes, relations) = (text_of(&graph.entities.list())?, text_of(&graph.relations.list())?);
    let metadata = [("codes".to_owned(), codes), ("relation_names".to_owned(), relations)];
    storage::replace(path, |file| storage::sealed(file, &parts, &metadata))
}

/// Reads what [`save_embeddings`] wrote.
///
/// # Errors
/// When the file cannot be read, is damaged, or holds something else.
pub fn load_embeddings(path: &Path) -> Result<Embeddings> {
    let bytes = fs::read(path).map_err(|e| Error::io("read the embeddings", path, e))?;
    let other =
        |what: String| Error::user(format!("these are no embeddings of a knowledge graph: {what}")).at_file(path);
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| other(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| other(e.to_string()))?;
    storage::check_seal(path, &bytes)?;
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
    let view = file.tensor(name).ok()?;
    let &[_, width] = view.shape() else { return None };
    Some((width, storage::floats(&view)?))
}

/// Writes what [`Checkpoint::load`] reads into a folder that nobody reads yet.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn save_checkpoint(path: &Path, parameters: &Parameters, done: &Done) -> Result<()> {
    let mut parts = Vec::new();
    for (name, table) in parameters.tables() {
        for (kind, values) in [("values", &table.values), ("first", &table.first), ("second", &table.second)] {
            parts.push(matrix(format!("{name}.{kind}"), table, values));
        }
        parts.push(Tensor::list(format!("{name}.last"), Numbers::U32(&table.last)));
    }
    let Done { step, seconds, losses: (sum, number), history } = done;
    let metadata = [
        ("step", step.to_string()),
        ("seconds", seconds.to_string()),
        ("losses", format!("{sum} {number}")),
        ("history", history.clone()),
    ];
    storage::tensors(path, &parts, &metadata.map(|(key, text)| (key.to_owned(), text)))
}

impl Checkpoint {
    /// A checkpoint of parameters of the same shape as `expected`.
    ///
    /// # Errors
    /// Say why it cannot be read.
    pub fn load(path: &Path, expected: &Parameters) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|e| e.to_string())?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| e.to_string())?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?;
        let read = header.metadata().as_ref().and_then(|metadata| Self::read(&file, metadata, expected));
        read.ok_or_else(|| "it is no training of parameters of this shape".to_owned())
    }

    fn read(file: &SafeTensors<'_>, metadata: &HashMap<String, String>, expected: &Parameters) -> Option<Self> {
        let table = |name: &str, like: &Table| -> Option<Table> {
            let read = |part: &str| read_floats(file, &format!("{name}.{part}")).map(|(_, values)| values);
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
        let (sum, number) = metadata.get("losses")?.split_once(' ')?;
        let done = Done {
            step: metadata.get("step")?.parse().ok()?,
            seconds: metadata.get("seconds")?.parse().ok()?,
            losses: (sum.parse().ok()?, number.parse().ok()?),
            history: metadata.get("history")?.clone(),
        };
        Some(Self { parameters, done })
    }
}

impl Parameters {
    fn tables(&self) -> [(&'static str, &Table); 3] {
        [("entities", &self.entities), ("relations", &self.relations), ("shared", &self.shared)]
    }

    /// Refuses parameters that are not finite, and names the first; `place` says where training stands.
    pub(crate) fn check_finite(&self, place: &str, entities: &Names, relations: &Names) -> Result<()> {
        let first = |(name, table): (&'static str, &Table)| {
            let at = table.values.iter().position(|x| !x.is_finite())?;
            Some((name, at / table.width, table.values[at]))
        };
        let Some((name, row, number)) = self.tables().into_iter().find_map(first) else { return Ok(()) };
        let what = match name {
            "entities" => format!("the vector of the entity `{}`", entities.list()[row]),
            "relations" => format!("the vector of the relation `{}`", relations.list()[row]),
            _ => "a weight that all triples share".to_owned(),
        };
        let error = Error::user(format!("{place}: {what} has {number}")).at_key("train.lr");
        Err(error.help("try a smaller learning rate"))
    }

    /// How many parameters there are.
    pub fn count(&self) -> usize {
        self.tables().iter().map(|(_, table)| table.values.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        let table = |width: usize, rows: usize| {
            let mut table = Table::new(width, (0..width * rows).map(|i| i as f32 - 1.5).collect());
            table.first.fill(0.25);
            table.last.fill(7);
            table
        };
        Parameters { entities: table(3, 4), relations: table(2, 2), shared: table(0, 0) }
    }

    fn graph() -> KnowledgeGraph {
        KnowledgeGraph {
            entities: ["a", "b\"ö", "c", "d"].into_iter().collect(),
            relations: ["r", "s"].into_iter().collect(),
            ..Default::default()
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused_and_named() {
        let (graph, mut parameters) = (graph(), parameters());
        let check = |of: &Parameters| of.check_finite("after step 3", &graph.entities, &graph.relations);
        check(&parameters).unwrap();
        parameters.shared = Table::new(2, vec![0.5, f32::NEG_INFINITY]);
        let says = |of: &Parameters, what: &str| {
            let error = check(of).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert_eq!(error.message(), format!("after step 3: {what}"));
            assert_eq!(error.key(), Some("train.lr"));
        };
        says(&parameters, "a weight that all triples share has -inf");
        parameters.relations.values[3] = f32::NAN;
        says(&parameters, "the vector of the relation `s` has NaN");
        parameters.entities.values[8] = f32::INFINITY;
        says(&parameters, "the vector of the entity `c` has inf");
    }

    #[test]
    fn files_are_read_as_they_were_written_and_equal_ones_have_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.safetensors"), folder.path().join("b.safetensors"));
        let (parameters, graph) = (parameters(), graph());
        save_embeddings(&a, &parameters, &graph).unwrap();
        save_embeddings(&b, &parameters, &graph).unwrap();
        assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap());
        let loaded = load_embeddings(&a).unwrap();
        assert_eq!(loaded.entities.list(), graph.entities.list());
        assert_eq!(loaded.parameters.entities.values, parameters.entities.values);
        // The library itself reads the file, which begins where it must.
        let bytes = fs::read(&a).unwrap();
        let view = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(view.tensor("vectors").unwrap().shape(), [4, 3]);
        assert_eq!(view.tensor("relations").unwrap().shape(), [2, 2]);

        let done = Done { step: 12, seconds: 1.5, losses: (0.1 + 0.2, 7), history: "{}\n".into() };
        save_checkpoint(&a, &parameters, &done).unwrap();
        let back = Checkpoint::load(&a, &parameters).unwrap();
        assert_eq!(back, Checkpoint { parameters: parameters.clone(), done });
        let mut other = parameters;
        other.entities = Table::new(3, vec![0.0; 15]);
        assert!(Checkpoint::load(&a, &other).unwrap_err().contains("of this shape"));
        assert!(Checkpoint::load(folder.path(), &other).is_err());
    }
}
