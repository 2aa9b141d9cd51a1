//! What editors check manifests with: `dualk schema` accepts what is shipped and refuses what the program refuses.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

use dualk_sdk::serde_json::{self, Value};
use dualk_sdk::toml::Table;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn schema(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_dualk")).arg("schema").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The first keys where a value does not fit, of the keywords that the schema uses. (The crate `jsonschema` says so too. Without
/// its client of HTTP it is 20 packages more, and asks for features of `ahash`, `num-complex` and others that would have all of
/// burn compiled once more.)
fn misfit(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let wrong = |is: bool| is.then(|| at.to_owned());
    let object = match schema {
        Value::Object(object) => object,
        other => return wrong(other == &Value::Bool(false)),
    };
    const KNOWN: [&str; 23] = [
        "type",
        "properties",
        "additionalProperties",
        "$defs",
        "description",
        "title",
        "$schema",
        "default",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "items",
        "anyOf",
        "oneOf",
        "enum",
        "const",
        "$ref",
        "required",
        "maxItems",
        // Of our own: what is there for `compat` alone, and what an experiment makes from a manifest.
        "x-compat",
        "x-made-by",
    ];
    object.keys().for_each(|key| assert!(KNOWN.contains(&key.as_str()), "this test does not know `{key}`"));
    if let Some(name) = object.get("$ref").and_then(Value::as_str) {
        let target = &root["$defs"][name.strip_prefix("#/$defs/").unwrap()];
        assert!(target.is_object(), "{name}");
        if let Some(found) = misfit(root, target, value, at) {
            return Some(found);
        }
    }
    for key in ["anyOf", "oneOf"] {
        let Some(choices) = object.get(key).and_then(Value::as_array) else { continue };
        let misfits: Vec<String> = choices.iter().map_while(|choice| misfit(root, choice, value, at)).collect();
        if misfits.len() == choices.len() {
            return misfits.into_iter().max_by_key(|place| (!place.ends_with(".type"), place.len()));
        }
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    let fits = match object.get("type") {
        Some(Value::String(kind)) => is(kind),
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        _ => true,
    };
    let chosen = object.get("enum").is_none_or(|all| all.as_array().unwrap().contains(value))
        && object.get("const").is_none_or(|only| only == value);
    let bound = |key: &str| object.get(key).and_then(Value::as_f64);
    let number = value.as_f64();
    let within = number.is_none_or(|n| {
        bound("minimum").is_none_or(|m| n >= m)
            && bound("maximum").is_none_or(|m| n <= m)
            && bound("exclusiveMinimum").is_none_or(|m| n > m)
            && bound("exclusiveMaximum").is_none_or(|m| n < m)
    });
    if !(fits && chosen && within) {
        return wrong(true);
    }
    if let Some(items) = value.as_array() {
        if (items.len() as f64) < bound("minItems").unwrap_or(0.0) {
            return wrong(true);
        }
        let each = object.get("items").unwrap_or(&Value::Bool(true));
        return items.iter().enumerate().find_map(|(i, item)| misfit(root, each, item, &format!("{at}[{i}]")));
    }
    let table = value.as_object()?;
    let required = object.get("required").and_then(Value::as_array).into_iter().flatten();
    if let Some(missing) = required.filter_map(Value::as_str).find(|key| !table.contains_key(*key)) {
        return Some(format!("{at}.{missing}"));
    }
    let others = object.get("additionalProperties").unwrap_or(&Value::Bool(true));
    table.iter().find_map(|(key, value)| {
        let schema = object.get("properties").and_then(|p| p.get(key)).unwrap_or(others);
        misfit(root, schema, value, &format!("{at}.{key}"))
    })
}

fn check(root: &Value, text: &str) -> Option<String> {
    let manifest: Table = text.parse().unwrap();
    misfit(root, root, &serde_json::to_value(manifest).unwrap(), "")
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "toml") && !path.ends_with("Cargo.toml")).collect()
}

#[test]
fn every_shipped_manifest_fits() {
    let (of_runs, of_graphs) = (schema(&[]), schema(&["--kge"]));
    let experiments = &Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files =
        [manifests(experiments), manifests(&experiments.join("baselines")), manifests(&experiments.join("sweeps"))]
            .concat();
    assert!(files.len() > 10);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        // Manifests of `dualk kge` have a model of one part, and keys of their own.
        if ["wn18rr-small", "wn18rr-laptop", "wn18rr-full", "icd9-kg"]
            .iter()
            .any(|name| file.file_stem().is_some_and(|s| s == *name))
        {
            continue;
        }
        let is_graph = ["triples = ", "[[data.source]]", "[train]"].iter().any(|key| text.contains(key));
        let root = if is_graph { &of_graphs } else { &of_runs };
        assert_eq!(check(root, &text), None, "{}", file.display());
    }
}

#[test]
fn mistakes_do_not_fit() {
    let root = schema(&[]);
    let cases = [
        ("sead = 1", ".sead"),
        ("seed = -1", ".seed"),
        ("[model]\ngraph_encoder = \"gta\"", ".model.graph_encoder"),
        ("[model]\ngraph_encoder = { type = \"gat\", haeds = 2 }", ".model.graph_encoder.haeds"),
        ("[model]\ngraph_encoder = { type = \"gat\", heads = 0 }", ".model.graph_encoder.heads"),
        ("[model]\ngraph_encoder = { type = \"gat\", dims = [] }", ".model.graph_encoder.dims"),
        ("[model]\ngraph_encoder = { type = \"gat\", dropout = 1.0 }", ".model.graph_encoder.dropout"),
        ("[model]\nvisit_fusion = { type = \"dipole\", score = \"best\" }", ".model.visit_fusion.score"),
        ("[[stage]]\ntype = \"train\"", ".stage[0].type"),
        ("[[stage]]\ntype = \"finetune\"\nloss = \"hinge\"", ".stage[0].loss"),
    ];
    for (text, place) in cases {
        assert_eq!(check(&root, text).as_deref(), Some(place), "{text}");
    }
    assert_eq!(check(&root, "[model]\ngraph_encoder = { type = \"gat\", dims = [8], heads = 2, dropout = 0.0 }"), None);
}
