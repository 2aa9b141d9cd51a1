//! The tables that sources are read from: hierarchies, names with their codes, and what `dualk prepare` wrote.

use super::extracted;
use super::names::Names;
use crate::data::codes::dotted;
use crate::data::tables::{Table, text};
use crate::error::value;
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The table of a hierarchy.
pub(super) fn hierarchy_table(path: &Path) -> Result<Table> {
    Table::at(path, &["code", "parent_code"])
}

/// Hands each code and its parent to `add`.
pub(super) fn hierarchy(path: &Path, mut add: impl FnMut(&str, &str)) -> Result<()> {
    let table = hierarchy_table(path)?;
    let rows = table.read()?;
    for (code, parent) in rows.texts("code")?.zip(rows.texts("parent_code")?) {
        if let (Some(code), Some(parent)) = (code, parent)
            && !code.is_empty()
            && !parent.is_empty()
        {
            add(code, parent);
        }
    }
    Ok(())
}

/// The table that aligns names, which are in its first column, with codes.
pub(super) fn names_table(path: &Path) -> Result<Table> {
    let table = Table::at(path, &["cosine_sim", "icd-9"])?;
    let first = table.header().first().cloned().unwrap_or_default();
    Table::at(path, &[&first, "cosine_sim", "icd-9"])
}

/// Codes by name in the form that names are compared in.
pub(super) fn alignment(path: &Path, least: f64, entities: &Names) -> Result<HashMap<String, String>> {
    let table = names_table(path)?;
    let first = table.header().first().cloned().unwrap_or_default();
    let rows = table.read()?;
    let mut codes = HashMap::new();
    let columns = rows.texts(&first)?.zip(rows.texts("cosine_sim")?).zip(rows.texts("icd-9")?);
    for (i, ((name, similarity), code)) in columns.enumerate() {
        let (Some(name), Some(similarity), Some(code)) = (name, similarity, code) else { continue };
        let number: f64 = similarity.trim().parse().map_err(|_| {
            rows.error(i, format!("the column `cosine_sim` must hold a number, found {}", value(similarity)))
        })?;
        if number >= least {
            // Hierarchies write a range with the end of its last category.
            let ranged = format!("{code}.99");
            let code = match code.contains('-') {
                true if entities.get(&ranged).is_some() => ranged,
                true => code.to_owned(),
                false => dotted(code),
            };
            codes.insert(extracted::plain(name), code);
        }
    }
    Ok(codes)
}

/// Gives names other beginnings: the longest of `prefixes` that a name has is replaced.
pub(super) fn renaming(prefixes: &BTreeMap<String, String>) -> impl Fn(&str) -> String {
    let mut rules: Vec<(&String, &String)> = prefixes.iter().collect();
    rules.sort_by_key(|(from, _)| (std::cmp::Reverse(from.len()), *from));
    move |name| {
        let rule = rules.iter().find_map(|(from, to)| Some((to, name.strip_prefix(from.as_str())?)));
        rule.map_or_else(|| name.to_owned(), |(to, rest)| format!("{to}{rest}"))
    }
}

/// The table of edges in a folder that `dualk prepare` wrote.
pub(super) fn edges_table(folder: &Path) -> Result<Table> {
    Table::open(folder, "graph", &["source", "target", "weight"])
}

/// The codes of such a folder, by their ids.
pub(super) fn codes_by_id(folder: &Path) -> Result<HashMap<String, String>> {
    let file = folder.join("vocabulary.json");
    let vocabulary: serde_json::Value = serde_json::from_str(&text(&file)?)
        .map_err(|e| Error::user(format!("this is no vocabulary: {e}")).at_file(&file))?;
    match vocabulary["code_map_pretrain"].as_object() {
        Some(codes) => Ok(codes.iter().map(|(code, id)| (id.to_string(), code.clone())).collect()),
        None => Err(Error::user("this is no vocabulary: it has no `code_map_pretrain`").at_file(&file)),
    }
}

/// Hands the edges of such a folder to `add`, as relations of strength between codes.
pub(super) fn cooccurrence(path: &Path, levels: &[f64], mut add: impl FnMut(&str, &str, &str)) -> Result<()> {
    let table = edges_table(path)?;
    let (file, code_of) = (table.path().to_owned(), codes_by_id(path)?);
    let rows = table.read()?;
    for (i, ((source, target), weight)) in
        rows.texts("source")?.zip(rows.texts("target")?).zip(rows.texts("weight")?).enumerate()
    {
        let refuse = |what: &str, found: &str| {
            Error::user(format!("row {i}: expected {what}, found {}", value(found))).at_file(&file)
        };
        let (Some(source), Some(target), Some(weight)) = (source, target, weight) else { continue };
        let weight: f64 = weight.trim().parse().map_err(|_| refuse("a weight", weight))?;
        let code =
            |id: &str| code_of.get(id).map(String::as_str).ok_or_else(|| refuse("a code of vocabulary.json", id));
        if source != target
            && let Some(level) = levels.iter().position(|least| weight >= *least)
        {
            add(code(source)?, &format!("with_{}", level + 1), code(target)?);
        }
    }
    Ok(())
}
