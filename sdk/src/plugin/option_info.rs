//! Options of components in words: what a manifest can set.

use schemars::Schema;
use serde_json::Value;

/// An option of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionInfo {
    /// Its key.
    pub name: String,
    /// What it takes, such as `number, at least 0 and below 1`.
    pub kind: String,
    /// Its default, as TOML; `none` when the key has none.
    pub default: String,
    /// Its documentation.
    pub about: String,
}

/// Options by the schema of all of them.
pub(super) fn options_of(schema: &Schema) -> Vec<OptionInfo> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let option = |(name, option): (&String, &Value)| OptionInfo {
        name: name.clone(),
        kind: kind_of(option),
        default: match option.get("default") {
            None | Some(Value::Null) => "none".to_owned(),
            Some(value) => value.to_string(),
        },
        about: option.get("description").and_then(Value::as_str).unwrap_or("").to_owned(),
    };
    properties.into_iter().flatten().map(option).collect()
}

/// What a schema accepts, in words.
fn kind_of(schema: &Value) -> String {
    let choices = choices_of(schema);
    if !choices.is_empty() {
        return choices.iter().map(|choice| format!("\"{choice}\"")).collect::<Vec<_>>().join(" or ");
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        _ => Vec::new(),
    };
    match kinds.first() {
        Some(&"boolean") => "true or false".to_owned(),
        Some(&"integer") => format!("integer{}", range_of(schema)),
        Some(&"number") => format!("number{}", range_of(schema)),
        Some(&"string") if schema.get("format").and_then(Value::as_str) == Some("path") => "path".to_owned(),
        Some(&"string") => "text".to_owned(),
        Some(&"array") => {
            let fewest = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
            let some = if fewest > 0 { "non-empty list" } else { "list" };
            let each = schema.get("items").map(kind_of).unwrap_or_default();
            format!("{some} of {}", each.replacen("integer", "integers", 1).replacen("number", "numbers", 1))
        }
        Some(_) => "table".to_owned(),
        None => "value".to_owned(),
    }
}

/// The texts of a choice.
fn choices_of(schema: &Value) -> Vec<&str> {
    if let Some(only) = schema.get("const").and_then(Value::as_str) {
        return vec![only];
    }
    if let Some(several) = schema.get("enum").and_then(Value::as_array) {
        return several.iter().filter_map(Value::as_str).collect();
    }
    let within = ["oneOf", "anyOf"].iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    within.flat_map(choices_of).collect()
}

/// The range of a number.
fn range_of(schema: &Value) -> String {
    let bound = |key: &str, words: &str| Some(format!("{words} {}", schema.get(key)?.as_f64()?));
    // Unsigned integers have the bound 0 of their type.
    let least = bound("minimum", "at least").or_else(|| bound("exclusiveMinimum", "above"));
    let most = bound("maximum", "at most").or_else(|| bound("exclusiveMaximum", "below"));
    let of_type = most.as_ref().is_some_and(|_| schema.get("format").is_some_and(|f| f.as_str() == Some("uint32")));
    match (least, most.filter(|_| !of_type)) {
        (Some(least), Some(most)) => format!(", {least} and {most}"),
        (Some(only), None) | (None, Some(only)) => format!(", {only}"),
        (None, None) => String::new(),
    }
}
