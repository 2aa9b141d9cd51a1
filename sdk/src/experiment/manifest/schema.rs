//! JSON Schema of manifests, with the options of every component of a registry.

use super::{Heads, Manifest};
use crate::component::Slot;
use crate::model::KEYS;
use crate::plugin::{ComponentInfo, Registry};
use crate::recipe::RecipeSlot;
use schemars::schema_for;
use serde_json::{Map, Value, json};
use toml::Table;

/// The keys of the manifest that name components beside parts of the model, by the definition they are in.
const PLACES: [(&str, &str, Slot); 4] = [
    ("Data", "parser", Slot::Parser),
    ("Stage", "loss", Slot::Loss),
    ("Stage", "objective", Slot::Objective),
    ("Stage", "task", Slot::Objective),
];

/// A JSON Schema that editors use to complete and check manifests.
pub fn manifest_schema(registry: &Registry) -> Value {
    let mut schema = schema_for!(Manifest).to_value();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let paths = json!([{ "type": "string" }, { "type": "array", "items": { "type": "string" } }]);
        let about = "Another manifest, merged under this one; or several, the later ones over the earlier.";
        let base = json!({ "anyOf": paths, "description": about });
        properties.insert("extends".into(), base);
    }
    // What a manifest leaves out may stand in the one that it extends.
    schema.as_object_mut().map(|object| object.remove("required"));
    let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) else { return schema };
    definitions["Data"].as_object_mut().map(|data| data.remove("required"));
    let parts = KEYS.iter().map(|&(key, slot)| ("Model", key, slot));
    for (definition, key, slot) in PLACES.into_iter().chain(parts) {
        let about = definitions[definition]["properties"][key].get("description").cloned();
        let mut place = Map::from_iter([("$ref".to_owned(), json!(format!("#/$defs/{slot}")))]);
        place.extend(about.map(|text| ("description".to_owned(), text)));
        definitions[definition]["properties"][key] = Value::Object(place);
    }
    for slot in Slot::ALL {
        definitions.insert(slot.name().to_owned(), component_schemas(registry, slot));
    }
    let switches = Heads::SWITCHES.map(|key| (key, definitions["Heads"]["properties"][key].clone()));
    let heads = definitions["head"]["anyOf"].as_array_mut().into_iter().flatten();
    heads.filter(|head| head.get("properties").is_some()).for_each(|head| {
        switches.iter().for_each(|(key, switch)| head["properties"][key] = switch.clone());
        head.as_object_mut().map(|head| head.remove("required"));
    });
    definitions.remove("Heads");
    definitions.remove("Component");
    let types = stage_types(registry);
    if !types.is_empty() {
        definitions["Stage"]["properties"]["type"]["enum"] = json!(types);
    }
    schema
}

/// The types of stages that the recipes of a registry know.
fn stage_types(registry: &Registry) -> Vec<&'static str> {
    let recipes = registry.components().filter(|c| c.slot == Slot::Recipe);
    let types = recipes.filter_map(|c| registry.make::<RecipeSlot>(c.name, Table::new()).ok()).flat_map(|r| r.types());
    let mut names: Vec<&str> = types.map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What may stand where a component of a slot is named.
pub(crate) fn component_schemas(registry: &Registry, slot: Slot) -> Value {
    let components: Vec<&ComponentInfo> = registry.components().filter(|c| c.slot == slot).collect();
    let names: Vec<&str> = components.iter().map(|c| c.name).collect();
    let tables = components.into_iter().map(component_table);
    let choices: Vec<Value> = std::iter::once(json!({ "type": "string", "enum": names })).chain(tables).collect();
    json!({ "anyOf": choices })
}

fn component_table(component: &ComponentInfo) -> Value {
    let mut table = component.schema.clone().to_value();
    if let Some(object) = table.as_object_mut() {
        object.remove("$schema");
        object.insert("description".into(), json!(component.about));
        object.insert("required".into(), json!(["type"]));
        let properties = object.entry("properties").or_insert_with(|| json!({}));
        properties["type"] = json!({ "const": component.name });
    }
    table
}
