//! Options: documented, with defaults, and refused in words that name them.

use super::{Report, Subject};
use crate::boundary::guard;
use crate::error::Blame;
use crate::plugin::ComponentInfo;
use crate::{Error, Result};
use serde_json::Value as Json;
use toml::{Table, Value};

/// Checks what `dualk list` shows.
pub(super) fn check_documentation(subject: &Subject<'_>, info: &ComponentInfo, report: &mut Report) {
    report.check("documentation", |findings| {
        if info.about.trim().is_empty() || info.about.contains('\n') {
            findings.push("ABOUT should say in one line what it does".to_owned());
        }
        let mut named = info.name.chars();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if !named.next().is_some_and(|c| c.is_ascii_lowercase()) || !named.all(plain) {
            findings.push(format!("`{}` should be lower case, digits, `_` and `-`, a letter first", info.name));
        }
        for (option, schema) in properties(info) {
            if schema.get("description").and_then(Json::as_str).is_none_or(|text| text.trim().is_empty()) {
                findings.push(format!("the option `{option}` has no documentation"));
            }
        }
        let defaults = subject.registry.check(info.slot, info.name, Table::new())?;
        let again = subject.registry.check(info.slot, info.name, defaults.clone())?;
        if again != defaults {
            findings.push("the default options, written and read, are others".to_owned());
        }
        Ok(())
    });
    report.check("an unknown option is refused", |findings| {
        let option = Table::from_iter([("no_such_option".to_owned(), Value::Boolean(true))]);
        match subject.registry.check(info.slot, info.name, option) {
            Ok(_) => findings.push("it is accepted: declare options with `options!`".to_owned()),
            Err(error) => expect_named(&error, "no_such_option", findings),
        }
        Ok(())
    });
    report.check("an option of another type is refused", |findings| {
        check_types(subject, info, findings);
        Ok(())
    });
}

/// Checks that a value of another type is refused for every option, with its name.
fn check_types(subject: &Subject<'_>, info: &ComponentInfo, findings: &mut Vec<String>) {
    for (option, schema) in properties(info) {
        let wrong = match takes(schema, "string") {
            true => Value::Array(vec![Value::Boolean(true)]),
            false => Value::String("text".to_owned()),
        };
        let table = Table::from_iter([(option.clone(), wrong.clone())]);
        match subject.registry.check(info.slot, info.name, table) {
            Ok(_) => findings.push(format!("`{option} = {wrong}` is accepted")),
            Err(error) => expect_named(&error, option, findings),
        }
    }
}

/// Builds and uses the component with numbers at the edge and beyond: an error that names the option, or finite output.
pub(super) fn check_options(subject: &Subject<'_>, report: &mut Report, try_it: impl Fn(Table) -> Result<Vec<f32>>) {
    let Ok(info) = subject.registry.info(subject.slot, subject.name) else { return };
    report.check("options at the edge are refused by name, or work", |findings| {
        for (option, schema) in properties(info) {
            for value in edges(schema) {
                let mut options = subject.options.clone();
                options.insert(option.clone(), value.clone());
                match guard::catch(|| try_it(options)) {
                    Ok(output) if output.iter().all(|y| y.is_finite()) => (),
                    Ok(_) => findings.push(format!("`{option} = {value}` is accepted and gives NaN or infinity")),
                    Err(error) if error.blame() == Blame::Program => {
                        findings.push(format!("`{option} = {value}` is a user's mistake, but: {error}"));
                    }
                    // A file that is not there is named well enough by its path.
                    Err(error) if value.as_str().is_some_and(|path| error.to_string().contains(path)) => (),
                    Err(error) => expect_named(&error, option, findings),
                }
            }
        }
        Ok(())
    });
}

fn expect_named(error: &Error, option: &str, findings: &mut Vec<String>) {
    if !error.to_string().contains(&format!("`{option}")) {
        findings.push(format!("the error does not name `{option}` (`.at_key`): {error}"));
    }
}

fn properties(info: &ComponentInfo) -> impl Iterator<Item = (&String, &Json)> {
    info.schema.get("properties").and_then(Json::as_object).into_iter().flatten()
}

/// Options that name files.
pub(super) fn path_options(subject: &Subject<'_>) -> Vec<String> {
    let Ok(info) = subject.registry.info(subject.slot, subject.name) else { return Vec::new() };
    let is_path = |schema: &Json| schema.get("format").and_then(Json::as_str) == Some("path");
    properties(info).filter(|(_, schema)| is_path(schema)).map(|(option, _)| option.clone()).collect()
}

/// Whether a schema accepts a type of JSON.
fn takes(schema: &Json, kind: &str) -> bool {
    let direct = match schema.get("type") {
        Some(Json::String(only)) => only == kind,
        Some(Json::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    };
    let strings = kind == "string" && (schema.get("enum").is_some() || schema.get("const").is_some());
    let within = ["anyOf", "oneOf"].iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    direct || strings || within.into_iter().any(|one| takes(one, kind))
}

/// Values that tempt a component.
fn edges(schema: &Json) -> Vec<Value> {
    let mut found = Vec::new();
    if takes(schema, "integer") {
        found.extend([Value::Integer(0), Value::Integer(1), Value::Integer(-1)]);
    } else if takes(schema, "number") {
        found.extend([0.0, 1.0, -1.0, f64::NAN, f64::INFINITY].map(Value::Float));
    }
    if takes(schema, "array") {
        found.push(Value::Array(Vec::new()));
        let items = schema.get("items").map(edges).unwrap_or_default();
        found.extend(items.into_iter().map(|item| Value::Array(vec![item])));
    }
    if schema.get("format").and_then(Json::as_str) == Some("path") {
        found.push(Value::String("/no/such/place".to_owned()));
    } else if takes(schema, "string") {
        found.push(Value::String("no-such-choice".to_owned()));
    }
    found
}
