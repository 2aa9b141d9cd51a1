//! What editors check manifests with: `dualk schema` accepts what is shipped and refuses what the program refuses.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use dualk_sdk::serde_json::{self, Value};
use dualk_sdk::toml::Table;
use program::{dualk, said, succeed};
use std::fs;
use std::path::{Path, PathBuf};

fn schema(arguments: &[&str]) -> Value {
    let printed = succeed(Path::new("."), &[&["schema"], arguments].concat());
    serde_json::from_str(&printed).unwrap()
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
    const KNOWN: [&str; 26] = [
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
        // Of our own: what is there for `compat` alone, what an experiment makes from a manifest, what may be `inf`, and what a model
        // sees.
        "x-compat",
        "x-made-by",
        "x-infinite",
        "x-input",
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
    let others = object.get("additionalProperties").unwrap_or(&Value::Bool(true));
    let wrong = table.iter().find_map(|(key, value)| {
        let schema = object.get("properties").and_then(|p| p.get(key)).unwrap_or(others);
        misfit(root, schema, value, &format!("{at}.{key}"))
    });
    let mut required = object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    wrong.or_else(|| required.find(|key| !table.contains_key(*key)).map(|missing| format!("{at}.{missing}")))
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
    let folders = ["", "baselines", "knowledge", "rehearsal", "sweeps"].map(|inner| experiments.join(inner));
    let files = folders.iter().map(|folder| manifests(folder)).collect::<Vec<_>>().concat();
    assert!(files.len() >= 40);
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
        ("[model]\nhead = { type = \"mlp\", prior = \"maen\" }", ".model.head.prior"),
        ("[model]\nhead = { type = \"mlp\", prior = 1 }", ".model.head.prior"),
        ("[[stage]]\ntype = \"train\"", ".stage[0].type"),
        ("[[stage]]\ntype = \"finetune\"\nloss = \"hinge\"", ".stage[0].loss"),
    ];
    for (text, place) in cases {
        assert_eq!(check(&root, text).as_deref(), Some(place), "{text}");
    }
    assert_eq!(check(&root, "[model]\ngraph_encoder = { type = \"gat\", dims = [8], heads = 2, dropout = 0.0 }"), None);
    for prior in ["true", "false", "\"rates\"", "\"mean\"", "\"none\""] {
        assert_eq!(check(&root, &format!("[model]\nhead = {{ type = \"mlp\", prior = {prior} }}")), None, "{prior}");
    }
}

/// Ranges are declared once: what the schema refuses the program refuses, at the same key.
#[test]
fn numbers_out_of_range_are_refused_by_schema_and_program() {
    let (of_runs, of_graphs) = (schema(&[]), schema(&["--kge"]));
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("data.loss_limit = 1.5", "data.loss_limit", "expected 0 to 1, found 1.5"),
        ("data.split = { type = \"dualk\", train = 0, test = 1 }", "data.split.train", "at least 1, found 0"),
        ("data.split = { type = \"random\", train = 0.5, valid = 0.5, test = -1.0 }", "data.split.test", "found -1"),
        ("data.knowledge = [{ type = \"parser\", strength = 2.0 }]", "data.knowledge[0].strength", "found 2"),
        ("stage = [{ type = \"finetune\", epochs = 0 }]", "stage[0].epochs", "at least 1, found 0"),
        ("stage = [{ type = \"finetune\", lr = 0.0 }]", "stage[0].lr", "above 0, found 0"),
        ("stage = [{ type = \"finetune\", lr_of = { head = -1.0 } }]", "stage[0].lr_of.head", "above 0, found -1"),
        (
            "stage = [{ type = \"finetune\", optimizer = { type = \"adamw\", beta2 = 1.0 } }]",
            "stage[0].optimizer.beta2",
            "less than 1, found 1",
        ),
        (
            "stage = [{ type = \"finetune\", schedule = { type = \"piecewise\", from = [1, 2], lr = [0.1, 0.0] } }]",
            "stage[0].schedule.lr[1]",
            "above 0, found 0",
        ),
        ("sweep.random = { draws = 10001, space = { a = [1] } }", "sweep.random.draws", "1 to 10000, found 10001"),
        ("output.checkpoint_minutes = -1.0", "output.checkpoint_minutes", "at least 0, or inf, found -1"),
        (
            "data.source = [{ type = \"text\", path = \"x\", similarity = 1.5 }]",
            "data.source[0].similarity",
            "found 1.5",
        ),
        ("data.source = [{ type = \"cooccurrence\", path = \"x\", levels = [] }]", "data.source[0].levels", "found 0"),
        ("data.triples = \"x\"\ndata.split.valid = 1.0", "data.split.valid", "less than 1, found 1"),
        ("data.triples = \"x\"\ntrain.batch = 0", "train.batch", "at least 1, found 0"),
        (
            "data.triples = \"x\"\ntrain.schedule = { type = \"linear\", hold = 1.0 }",
            "train.schedule.hold",
            "less than 1, found 1",
        ),
    ];
    for (text, key, says) in cases {
        let is_graph = text.contains("data.source") || text.contains("data.triples");
        let (root, parser) = if is_graph { (&of_graphs, "") } else { (&of_runs, "data.parser = \"synthetic\"\n") };
        let text = format!("{parser}{text}\n");
        assert_eq!(check(root, &text), Some(format!(".{key}")), "{text}");
        fs::write(folder.path().join("m.toml"), &text).unwrap();
        let output = dualk(folder.path(), &["check", "m.toml", "--device", "cpu"]);
        let error = said(&output);
        let line = error.lines().find(|line| line.starts_with(&format!("error: `{key}`: expected ")));
        assert!(output.status.code() == Some(2) && line.is_some_and(|line| line.contains(says)), "{text}: {error}");
        assert_eq!(error.matches(&format!("`{key}`")).count(), 1, "{error}");
    }
}
