//! The files of the published DuaLK code, and where their numbers belong here.
//!
//! | published | here | what changes |
//! |---|---|---|
//! | `gnn_layer.node_features` | `nodes` | rows by code |
//! | `gnn_layer.conv*.lin.weight` | `encoder.conv*.lin.weight` | transposed |
//! | `visit_attention.attn_weights` | `code_fusion.weight` | |
//! | `patient_attention.attn_weights` | `visit_fusion.weight` | |
//! | `lab_layer.weight` | `lab.fc.weight` | transposed; rows by laboratory item |
//! | `decoder1..3.fc*` | `decoders.0..2.Decoder.fc*` | transposed; the last layer by laboratory item |
//! | `classifier.fc*` | `heads.0.Classifier.fc*` | transposed; the last layer by code |
//!
//! Codes and items are numbered by `code_maps.pkl` there and by the vocabulary here.

use super::pickle::{Node, Pickle};
use super::torch::{self, Tensor};
use dualk_sdk::data::Dataset;
use dualk_sdk::model::Weights;
use dualk_sdk::storage;
use dualk_sdk::toml::{Table, Value, toml};
use dualk_sdk::{Error, Result, serde_json};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What was read.
pub struct Published {
    folder: PathBuf,
    checkpoint: PathBuf,
    state: BTreeMap<String, Tensor>,
    /// Numbers of codes, from 1, for the graph and for the classifier.
    graph_codes: HashMap<String, usize>,
    target_codes: HashMap<String, usize>,
    /// Per category, then for all: numbers of laboratory items, from 1.
    labs: Vec<HashMap<i64, usize>>,
    /// Patients by split.
    patients: Vec<(&'static str, Vec<i64>)>,
}

/// Categories by the decoder that predicts their items, and what is called all of them.
const CATEGORIES: [&str; 4] = ["hematology", "chemistry", "blood gas", "all"];
const SPLITS: [&str; 4] = ["pretrain", "train", "valid", "test"];

impl Published {
    /// Reads the files of a folder.
    ///
    /// # Errors
    /// Name the file and what it should hold.
    pub fn read(folder: &Path, checkpoint: &Path) -> Result<Self> {
        let maps = open(&folder.join("code_maps.pkl"))?;
        let pids = open(&folder.join("pids.pkl"))?;
        let checkpoint = folder.join(checkpoint);
        let lab_map = maps.entry(maps.pickle.root(), "lab_map")?;
        let patients = SPLITS.iter().map(|split| {
            let id = pids.entry(pids.pickle.root(), &format!("{split}_pids"))?;
            Ok((*split, pids.integers(id)?))
        });
        Ok(Self {
            state: torch::read(&checkpoint)?,
            graph_codes: maps.codes("code_map_pretrain")?,
            target_codes: maps.codes("code_map")?,
            labs: CATEGORIES.iter().map(|c| maps.items(maps.entry(lab_map, c)?)).collect::<Result<_>>()?,
            patients: patients.collect::<Result<_>>()?,
            folder: folder.to_owned(),
            checkpoint,
        })
    }

    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.state.get(name).ok_or_else(|| {
            Error::user(format!("the checkpoint has no `{name}`"))
                .at_file(&self.checkpoint)
                .help("give the state of a whole fine-tuned model, with its GNN, attentions, decoders and classifier")
        })
    }

    fn width(&self, name: &str, axis: usize) -> Result<usize> {
        let shape = &self.tensor(name)?.shape;
        shape.get(axis).copied().filter(|&width| width > 0).ok_or_else(|| {
            Error::user(format!("`{name}` has the shape {shape:?}, which this model does not have"))
                .at_file(&self.checkpoint)
        })
    }

    /// The manifest `table`, of which the `[data]` stays, with a model of the sizes of the checkpoint.
    pub fn manifest(&self, mut table: Table, runs: &Path) -> Result<Table> {
        let size = |name: &str, axis: usize| self.width(name, axis).map(|width| Value::Integer(width as i64));
        let is_gat = self.state.contains_key("gnn_layer.conv1.att_src");
        let mut encoder = toml! { dropout = 0.0 };
        let kind = if is_gat { "gat" } else { "gcn" };
        encoder.insert("type".into(), kind.into());
        encoder.insert("dims".into(), vec![size("gnn_layer.conv1.bias", 0)?, size("gnn_layer.conv2.bias", 0)?].into());
        if !is_gat {
            encoder.insert("edge_weight".into(), false.into()); // as published
        }
        let mut model = toml! {
            code_fusion = { type = "attention" }
            visit_fusion = { type = "attention" }
        };
        let mut part = |name: &str, table: Table| drop(model.insert(name.into(), table.into()));
        let of = |pairs: Vec<(&str, Value)>| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Table>();
        part("node_init", of(vec![("type", "random".into()), ("dim", size("gnn_layer.node_features", 1)?)]));
        part("graph_encoder", encoder);
        part("lab", of(vec![("type", "linear".into()), ("dim", size("lab_layer.bias", 0)?)]));
        let decoder = vec![size("decoder1.fc1.bias", 0)?, size("decoder1.fc2.bias", 0)?];
        let classifier = vec![size("classifier.fc1.bias", 0)?];
        part("head", of(vec![("decoder", decoder.into()), ("classifier", classifier.into())]));
        let stage = toml! {
            type = "finetune"
            task = "diagnosis"
            freeze = ["lab"]
        };
        table.insert("name".into(), "imported".into());
        table.insert("compat".into(), "dualk".into());
        table.insert("evaluate_only".into(), true.into());
        table.insert("model".into(), model.into());
        table.insert("stage".into(), Value::Array(vec![stage.into()]));
        let runs = std::path::absolute(runs).map_err(|e| Error::io("use", runs, e))?;
        table.insert("output".into(), of(vec![("runs", runs.to_string_lossy().into_owned().into())]).into());
        Ok(table)
    }

    /// The weights by the names and in the order of this project.
    ///
    /// # Errors
    /// When the cohort is another than the one that the model was trained on.
    pub fn weights(&self, data: &Dataset) -> Result<Weights> {
        self.compare_patients(data)?;
        let (vocabulary, cohort) = (&data.vocabulary, &data.cohort);
        let nodes = self.rows_of_codes(&self.graph_codes, &vocabulary.codes[1..])?;
        let nodes: Vec<usize> = std::iter::once(0).chain(nodes.into_iter().map(|row| row + 1)).collect();
        let classes = self.rows_of_codes(&self.target_codes, &vocabulary.codes[1..=vocabulary.target_codes])?;
        let items = |items: &[u32], of: usize| -> Result<Vec<usize>> {
            let ids = items.iter().map(|&item| cohort.lab_items[item as usize].id);
            rows(&self.labs[of], ids.collect(), |id| format!("the laboratory item {id}"), &self.folder)
        };
        let mut weights = Vec::new();
        for (name, tensor) in &self.state {
            let Some(path) = renamed(name) else { continue };
            check_finite(&tensor.values, || format!("the tensor `{name}`"), &self.checkpoint)?;
            let tensor = match path.as_str() {
                "nodes" => pick(tensor, &nodes),
                "heads.0.Classifier.fc2.weight" | "heads.0.Classifier.fc2.bias" => pick(tensor, &classes),
                "lab.fc.weight" => {
                    let columns = items(&vocabulary.labs, 3)?;
                    transposed(&pick(&transposed(tensor), &columns))
                }
                path if path.starts_with("decoders.") && path.contains(".fc3.") => {
                    let category = usize::from(path.as_bytes()[9] - b'0');
                    let labs = vocabulary.category_labs.get(category).map_or(&[][..], Vec::as_slice);
                    pick(tensor, &items(labs, category)?)
                }
                _ => tensor.clone(),
            };
            let is_layer = [".lin.weight", ".fc.weight", ".fc1.weight", ".fc2.weight", ".fc3.weight"];
            let tensor = if is_layer.iter().any(|end| path.ends_with(end)) { transposed(&tensor) } else { tensor };
            weights.push((path, tensor.shape, tensor.values));
        }
        Weights::new(&self.checkpoint, weights)
    }

    /// Writes the vectors of the node features by code.
    pub fn write_vectors(&self, out: &Path) -> Result<usize> {
        let fail = |e| Error::io("read the folder", &self.folder, e);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("ICD2HAKE") && name.ends_with(".pkl") {
                files.push(path);
            }
        }
        let [path] = &files[..] else {
            return Err(
                Error::user(format!("expected one file ICD2HAKE_….pkl, found {}", files.len())).at_file(&self.folder)
            );
        };
        let file = open(path)?;
        let (mut codes, mut values, mut width) = (Vec::new(), Vec::new(), None);
        for &(code, vector) in file.dict(file.pickle.root())? {
            let (code, array) = (file.pickle.text(code), file.pickle.array(vector));
            let (Some(code), Some((&[length], numbers))) = (code, array) else {
                return Err(Error::user("expected a dict of codes and their vectors").at_file(path));
            };
            if *width.get_or_insert(length) != length {
                return Err(
                    Error::user(format!("the vector of {code} has another length than the others")).at_file(path)
                );
            }
            let numbers: Vec<f32> = numbers.into_iter().map(|x| x as f32).collect();
            check_finite(&numbers, || format!("the vector of {code}"), path)?;
            codes.push(code.to_owned());
            values.extend(numbers);
        }
        let shape = vec![codes.len(), width.unwrap_or(0)];
        let names = serde_json::to_string(&codes).map_err(|e| Error::program(e.to_string()))?;
        let tensors = BTreeMap::from([("vectors".to_owned(), Tensor { shape, values })]);
        write(&tensors, &[("codes".to_owned(), names)], out)?;
        Ok(codes.len())
    }

    fn rows_of_codes(&self, numbers: &HashMap<String, usize>, codes: &[String]) -> Result<Vec<usize>> {
        rows(numbers, codes.to_vec(), |code| format!("the code {code}"), &self.folder)
    }

    /// Patients of each split must be the published ones: else predictions are of others.
    fn compare_patients(&self, data: &Dataset) -> Result<()> {
        let splits = &data.splits;
        for ((split, published), ours) in
            self.patients.iter().zip([&splits.pretrain, &splits.train, &splits.valid, &splits.test])
        {
            let mut ours: Vec<i64> = ours.iter().map(|&p| data.cohort.patients[p]).collect();
            let mut published = published.clone();
            ours.sort_unstable();
            published.sort_unstable();
            if ours != published {
                let common = ours.iter().filter(|id| published.binary_search(id).is_ok()).count();
                let (n, m) = (published.len(), ours.len());
                return Err(Error::user(format!(
                    "{split}: {n} patients in pids.pkl, {m} from these tables, {common} in both"
                ))
                .at_file(self.folder.join("pids.pkl"))
                .help("data.split must have the sizes and the seed of the published run, and the tables be its own"));
            }
        }
        Ok(())
    }
}

/// Where each key stands, from 0; all of them must be there, and nothing else.
fn rows<K: std::hash::Hash + Eq>(
    numbers: &HashMap<K, usize>,
    keys: Vec<K>,
    name: impl Fn(&K) -> String,
    folder: &Path,
) -> Result<Vec<usize>> {
    let at = |what: String| Error::user(what).at_file(folder.join("code_maps.pkl"));
    if numbers.len() != keys.len() {
        let message = format!("{} entries there, {} from these tables", numbers.len(), keys.len());
        return Err(at(message).help("the tables must be those that the model was trained on"));
    }
    let row = |key: K| match numbers.get(&key) {
        Some(&number) if (1..=numbers.len()).contains(&number) => Ok(number - 1),
        _ => Err(at(format!("{} has no number there", name(&key)))),
    };
    let rows: Vec<usize> = keys.into_iter().map(row).collect::<Result<_>>()?;
    let mut taken = vec![false; rows.len()];
    match rows.iter().find(|&&row| std::mem::replace(&mut taken[row], true)) {
        None => Ok(rows),
        Some(row) => Err(at(format!("two entries have the number {}", row + 1))),
    }
}

/// Refuses numbers that are not finite.
fn check_finite(values: &[f32], what: impl FnOnce() -> String, file: &Path) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(Error::user(format!("{} has {value}", what()))
            .at_file(file)
            .help("a training that went wrong leaves such numbers: import what another one left")),
    }
}

/// The path of a published parameter here; `None` for what this model does not have.
fn renamed(name: &str) -> Option<String> {
    const PREFIXES: [(&str, &str); 9] = [
        ("gnn_layer.node_features", "nodes"),
        ("gnn_layer.", "encoder."),
        ("visit_attention.attn_weights", "code_fusion.weight"),
        ("patient_attention.attn_weights", "visit_fusion.weight"),
        ("lab_layer.", "lab.fc."),
        ("classifier.", "heads.0.Classifier."),
        ("decoder1.", "decoders.0.Decoder."),
        ("decoder2.", "decoders.1.Decoder."),
        ("decoder3.", "decoders.2.Decoder."),
    ];
    PREFIXES.iter().find_map(|(old, new)| name.strip_prefix(old).map(|rest| format!("{new}{rest}")))
}

/// The rows of these numbers, in their order; rows beyond the last give none, and loading says so.
fn pick(tensor: &Tensor, rows: &[usize]) -> Tensor {
    let width: usize = tensor.shape.iter().skip(1).product();
    let values: Vec<f32> =
        rows.iter().filter_map(|&row| tensor.values.get(row * width..(row + 1) * width)).flatten().copied().collect();
    let mut shape = tensor.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = values.len().checked_div(width).unwrap_or(0);
    }
    Tensor { shape, values }
}

fn transposed(tensor: &Tensor) -> Tensor {
    let &[rows, columns] = &tensor.shape[..] else { return tensor.clone() };
    let place = |i: usize| tensor.values[i % rows * columns + i / rows];
    Tensor { shape: vec![columns, rows], values: (0..rows * columns).map(place).collect() }
}

fn write(tensors: &BTreeMap<String, Tensor>, metadata: &[(String, String)], out: &Path) -> Result<()> {
    fn part<'t>((name, tensor): (&String, &'t Tensor)) -> storage::Tensor<'t> {
        let numbers = storage::Numbers::F32(&tensor.values);
        storage::Tensor { name: name.clone(), shape: tensor.shape.clone(), numbers }
    }
    check_vectors(out)?;
    let parts: Vec<storage::Tensor<'_>> = tensors.iter().map(part).collect();
    storage::output(out, |new| storage::tensors(new, &parts, metadata))
}

/// Refuses a file that is neither empty nor one of vectors by code, such as the weights of a run.
fn check_vectors(out: &Path) -> Result<()> {
    // The length of a heading in eight bytes, then the heading.
    storage::check_replaceable(out, "safetensors file", |start| start.get(8) == Some(&b'{'))?;
    let holds_something = fs::metadata(out).is_ok_and(|found| found.len() > 0);
    match holds_something && !is_vectors(out) {
        false => Ok(()),
        true => {
            let message =
                "this safetensors file is there and holds other things than vectors by code; it was not replaced";
            Err(Error::user(message).at_file(out).help("give another file, or remove this one"))
        }
    }
}

/// Whether a safetensors file has what [`Published::write_vectors`] writes, and nothing else: embeddings have it beside more.
fn is_vectors(file: &Path) -> bool {
    let Some(heading) = heading(file) else { return false };
    let names = |value: &serde_json::Value| -> Vec<String> {
        let mut names: Vec<String> = value.as_object().into_iter().flat_map(|named| named.keys().cloned()).collect();
        names.sort();
        names
    };
    names(&heading) == ["__metadata__", "vectors"] && names(&heading["__metadata__"]) == ["codes"]
}

/// The longest heading that readers of safetensors files take, in bytes.
const LONGEST_HEADING: u64 = 100_000_000;

/// The heading of a safetensors file; `None` where there is none.
fn heading(file: &Path) -> Option<serde_json::Value> {
    let mut file = fs::File::open(file).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = Some(u64::from_le_bytes(length)).filter(|&length| length <= LONGEST_HEADING)?;
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Prints what is in a file: names and shapes of tensors, entries of dicts.
///
/// # Errors
/// When the file cannot be read.
pub fn show(path: &Path) -> Result<()> {
    if path.extension().is_some_and(|end| end == "pth" || end == "pt") {
        for (name, tensor) in torch::read(path)? {
            println!("{:40} {:?}", if name.is_empty() { "(the tensor)" } else { &name }, tensor.shape);
        }
        return Ok(());
    }
    let file = open(path)?;
    let entries = file.dict(file.pickle.root())?;
    for &(key, value) in entries.iter().take(SHOWN) {
        let key = file.pickle.text(key).unwrap_or("(no text)");
        match file.pickle.node(value) {
            Node::Dict(entries) => println!("{key:40} dict of {}", entries.len()),
            Node::List(items) => println!("{key:40} list of {}", items.len()),
            Node::Array { shape, .. } => println!("{key:40} array {shape:?}"),
            other => println!("{key:40} {other:?}"),
        }
    }
    if entries.len() > SHOWN {
        println!("and {} more", entries.len() - SHOWN);
    }
    Ok(())
}

/// Entries of a dict that are shown.
const SHOWN: usize = 20;

/// A pickle and where it is.
struct PickleFile {
    path: PathBuf,
    pickle: Pickle,
}

fn open(path: &Path) -> Result<PickleFile> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    Ok(PickleFile { pickle: Pickle::read(bytes, path)?, path: path.to_owned() })
}

impl PickleFile {
    fn wrong(&self, what: impl Into<String>) -> Error {
        Error::user(what).at_file(&self.path)
    }

    fn dict(&self, id: usize) -> Result<&[(usize, usize)]> {
        self.pickle.dict(id).ok_or_else(|| self.wrong("expected a dict"))
    }

    fn entry(&self, id: usize, key: &str) -> Result<usize> {
        let entries = self.dict(id)?;
        let found = entries.iter().rev().find(|(k, _)| self.pickle.text(*k) == Some(key));
        found.map(|entry| entry.1).ok_or_else(|| {
            let known = entries.iter().filter_map(|(k, _)| self.pickle.text(*k));
            self.wrong(format!("there is no `{key}`")).suggest(key, known)
        })
    }

    fn number(&self, id: usize) -> Result<i64> {
        match self.pickle.node(id) {
            Node::Int(n) => Ok(*n),
            _ => Err(self.wrong("expected an integer")),
        }
    }

    fn codes(&self, key: &str) -> Result<HashMap<String, usize>> {
        let entries = self.dict(self.entry(self.pickle.root(), key)?)?;
        let each = |&(code, number): &(usize, usize)| {
            let code = self.pickle.text(code).ok_or_else(|| self.wrong(format!("a code of `{key}` is no text")))?;
            Ok((code.to_owned(), usize::try_from(self.number(number)?).unwrap_or(0)))
        };
        entries.iter().map(each).collect()
    }

    fn items(&self, id: usize) -> Result<HashMap<i64, usize>> {
        let each = |&(item, number): &(usize, usize)| {
            Ok((self.number(item)?, usize::try_from(self.number(number)?).unwrap_or(0)))
        };
        self.dict(id)?.iter().map(each).collect()
    }

    fn integers(&self, id: usize) -> Result<Vec<i64>> {
        let array = self.pickle.array(id).ok_or_else(|| self.wrong("expected an array of integers"))?;
        Ok(array.1.into_iter().map(|x| x as i64).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_row_of_its_own() {
        let folder = Path::new("published");
        let of = |numbers: [usize; 2]| {
            let numbers: HashMap<String, usize> = ["a", "b"].map(String::from).into_iter().zip(numbers).collect();
            rows(&numbers, vec!["a".to_owned(), "b".to_owned()], |code| format!("the code {code}"), folder)
        };
        assert_eq!(of([2, 1]).unwrap(), [1, 0]);
        for (numbers, says) in [([2, 2], "two entries have the number 2"), ([1, 3], "the code b has no number there")] {
            let error = of(numbers).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(says) && error.to_string().contains("code_maps.pkl"), "{error}");
        }
    }

    #[test]
    fn vectors_replace_nothing_but_vectors() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("hake.safetensors");
        let tensor = |name: &str| (name.to_owned(), Tensor { shape: vec![1, 2], values: vec![0.5, 1.0] });
        let said = |name: &str| (name.to_owned(), "[\"428\"]".to_owned());
        let file = |names: &[&str], metadata: &[&str]| {
            let _ = fs::remove_file(&out);
            let tensors: BTreeMap<String, Tensor> = names.iter().map(|name| tensor(name)).collect();
            let metadata: Vec<_> = metadata.iter().map(|name| said(name)).collect();
            write(&tensors, &metadata, &out).unwrap();
        };
        file(&["vectors"], &["codes"]);
        assert!(check_vectors(&out).is_ok());
        // Weights of a run, embeddings of a run, and vectors of nothing.
        let others: [(&[&str], &[&str]); 3] = [
            (&["heads.0.Classifier.fc1.weight", "nodes"], &[]),
            (&["relations", "shared", "vectors"], &["codes", "relation_names"]),
            (&["vectors"], &[]),
        ];
        for (names, metadata) in others {
            file(names, metadata);
            let before = fs::read(&out).unwrap();
            let error = write(&BTreeMap::from([tensor("vectors")]), &[said("codes")], &out).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("was not replaced"), "{names:?}: {error}");
            assert_eq!(fs::read(&out).unwrap(), before);
        }
        fs::write(&out, "").unwrap();
        assert!(check_vectors(&out).is_ok(), "an empty one holds nothing");
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused_and_named() {
        let file = Path::new("checkpoint.pth");
        let check = |values: &[f32]| check_finite(values, || "the tensor `w`".to_owned(), file);
        assert!(check(&[0.0, -1.5, f32::MAX]).is_ok());
        for (value, says) in [(f32::NAN, "the tensor `w` has NaN"), (f32::NEG_INFINITY, "the tensor `w` has -inf")] {
            let error = check(&[0.0, value]).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(says), "{error}");
        }
    }
}
