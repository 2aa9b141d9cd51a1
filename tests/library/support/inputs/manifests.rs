//! Manifests of experiments.

#[path = "../plugins.rs"]
mod plugins;

use super::{Files, texts};
use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::prelude::*;
use dualk_sdk::toml;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use std::fs;
use std::path::Path;

const MANIFEST: &str = r#"
name = "random"
seed = 1

[backend]
device = "cpu"
precision = "f32"

[data]
parser = { type = "synthetic", patients = 50, codes = 30, labs = 10, clusters = 3 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }

[model]
node_init = { type = "random", dim = 4 }
graph_encoder = { type = "gat", dims = [4, 4], heads = 1, dropout = 0.1 }
code_fusion = { type = "attention" }
lab = { type = "linear", dim = 4 }
head = { decoder = [8, 8], classifier = [8], dropout = 0.0 }

[output]
checkpoint_minutes = 5.0

[[stage]]
type = "lab"
epochs = 1

[[stage]]
type = "finetune"
epochs = 1
batch = 32
lr = 0.001
loss = { type = "bce" }
"#;

fn manifest(text: String) -> Files {
    texts([("m.toml", text)])
}

pub fn sound_manifests() -> Vec<Files> {
    vec![manifest(MANIFEST.to_owned())]
}

/// Those of the project that stand on their own, for a device that is chosen at once: what they name is not there, but what
/// they say is to the point.
pub fn published_manifests() -> Vec<Files> {
    let folder = dualk_tests::tests_dir().join("../experiments");
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    let texts = files.into_iter().map(|path| fs::read_to_string(path).unwrap());
    let whole = texts.filter(|text| !text.contains("extends = ") && !text.contains("[backend]"));
    whole.map(|text| manifest(text + "\n[backend]\ndevice = \"cpu\"\n")).collect()
}

/// Reads `m.toml` and checks what it asks for.
pub fn read_manifest(folder: &Path) -> Result<()> {
    let loaded = Manifest::load(&folder.join("m.toml"), &[])?;
    let registry = plugins::registry(&[dualk_plugin_parser_synthetic::register]);
    Experiment::new(loaded, registry)?.without_cache().check()
}

/// Sound manifests with some other values.
pub fn manifests() -> impl Strategy<Value = Files> {
    vec((any::<proptest::sample::Index>(), edit()), 1..4).prop_map(|edits| {
        let mut table: toml::Table = MANIFEST.parse().unwrap();
        for (at, edit) in edits {
            let paths = paths(&table.clone().into(), &[]);
            apply(&mut table, &paths[at.index(paths.len())], &edit);
        }
        manifest(toml::to_string(&table).unwrap())
    })
}

#[derive(Debug, Clone)]
enum Edit {
    Put(toml::Value),
    Remove,
    Rename(String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = prop_oneof![
        prop_oneof![Just(0i64), Just(-1), Just(1), Just(3), Just(1 << 31), Just(1 << 40), any::<i64>()]
            .prop_map(toml::Value::from),
        prop_oneof![Just(0.0), Just(-0.5), Just(1.5), Just(f64::NAN), Just(f64::INFINITY), any::<f64>()]
            .prop_map(toml::Value::from),
        prop_oneof![Just(""), Just("gat"), Just("cpu"), Just("../x"), Just("é\0")].prop_map(toml::Value::from),
        any::<bool>().prop_map(toml::Value::from),
        vec(-2..9i64, 0..4).prop_map(|list| toml::Value::Array(list.into_iter().map(toml::Value::from).collect())),
        Just(toml::Value::Table(toml::Table::new())),
    ];
    prop_oneof![6 => value.prop_map(Edit::Put), 1 => Just(Edit::Remove), 1 => "[a-z_.\"]{0,8}".prop_map(Edit::Rename)]
}

/// All places of a manifest: keys of tables and places in lists.
fn paths(value: &toml::Value, above: &[String]) -> Vec<Vec<String>> {
    let inner: Vec<(String, &toml::Value)> = match value {
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
        toml::Value::Array(list) => list.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let with = |key: &String| [above, std::slice::from_ref(key)].concat();
    let own: Vec<Vec<String>> = inner.iter().map(|(key, _)| with(key)).collect();
    let found = own.into_iter().chain(inner.iter().flat_map(|(key, value)| paths(value, &with(key))));
    // An empty manifest may have anything.
    let found: Vec<_> = found.collect();
    if found.is_empty() && above.is_empty() { vec![vec!["name".to_owned()]] } else { found }
}

fn apply(table: &mut toml::Table, path: &[String], edit: &Edit) {
    let (last, above) = path.split_last().unwrap();
    let mut top = toml::Value::Table(std::mem::take(table));
    let mut at = &mut top;
    for key in above {
        at = match at {
            toml::Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            other => other.get_mut(key).unwrap(),
        };
    }
    match (at, edit) {
        (toml::Value::Table(inner), Edit::Put(value)) => drop(inner.insert(last.clone(), value.clone())),
        (toml::Value::Table(inner), Edit::Remove) => drop(inner.remove(last)),
        (toml::Value::Table(inner), Edit::Rename(name)) => {
            if let Some(value) = inner.remove(last) {
                inner.insert(name.clone(), value);
            }
        }
        (toml::Value::Array(list), Edit::Put(value)) => list[last.parse::<usize>().unwrap()] = value.clone(),
        (toml::Value::Array(list), _) => drop(list.remove(last.parse::<usize>().unwrap())),
        _ => {}
    }
    if let toml::Value::Table(changed) = top {
        *table = changed;
    }
}
