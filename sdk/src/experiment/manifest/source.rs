//! Manifest files: TOML with `extends`, and what settings and programs put over it.

use super::edit::{assign, lookup, merge};
use super::keys::{from_start, key_of, written};
use super::origins::{Origin, Origins, position};
use super::settings;
use crate::error::without_passwords;
use crate::{Error, Result};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, Deserializer};
use toml::{Table, Value};

/// A manifest as written: the merged table and the origin of each key.
#[derive(Debug, Clone, Default)]
pub struct Source {
    path: PathBuf,
    table: Table,
    origins: Origins,
}

/// The manifests that were met while one is read.
#[derive(Default)]
struct Extended {
    /// Manifests that are being read, each extending the next.
    chain: Vec<PathBuf>,
    /// Manifests that were read: a base of two bases counts once, under both.
    read: Vec<PathBuf>,
}

/// Whether the `[data]` of a manifest is that of a knowledge graph.
pub(in crate::experiment) fn names_triples(manifest: &Table) -> bool {
    let data = manifest.get("data").and_then(Value::as_table);
    data.is_some_and(|data| data.contains_key("triples") || data.contains_key("source"))
}

impl Source {
    /// Reads a file, merges it over what it `extends`, and applies `key=value` settings.
    ///
    /// # Errors
    /// For unreadable files, text that is not TOML and settings that lead nowhere.
    pub fn load(path: &Path, settings: &[String]) -> Result<Self> {
        let mut source = Self::read(path, &mut Extended::default())?;
        settings.iter().try_for_each(|setting| source.set(setting))?;
        Ok(source)
    }

    /// Names the experiment after its file when the manifest gives no name.
    pub(crate) fn name_after_file(&mut self) {
        let stem = self.path.file_stem().map(|stem| stem.to_string_lossy().replace(' ', "-")).unwrap_or_default();
        self.table.entry("name").or_insert(Value::String(stem));
    }

    /// A manifest in a text, with `key=value` settings applied. `name` stands for the file in errors.
    ///
    /// # Errors
    /// For text that is not TOML and settings that lead nowhere.
    pub fn from_text(name: &str, text: &str, settings: &[String]) -> Result<Self> {
        let mut source = Self::parse(Path::new(name), text)?;
        settings.iter().try_for_each(|setting| source.set(setting))?;
        Ok(source)
    }

    /// A manifest in a table, which has no lines. `name` stands for the file in errors.
    pub(crate) fn of_table(name: &str, table: Table) -> Self {
        Self { path: PathBuf::from(name), table, ..Self::default() }
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let wrong = |what: &str, error: &toml::de::Error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            Error::user(format!("{what}: {}", error.message().trim())).at_column(path, line, column)
        };
        let parsed = DeTable::parse(text).map_err(|e| wrong("this is not TOML", &e))?;
        let origins = Origins::of_text(path, text, parsed.get_ref());
        let table = Table::deserialize(Deserializer::from(parsed)).map_err(|e| {
            let error = wrong("this value cannot be read", &e);
            error.help(format!("whole numbers are from {} to {}", i64::MIN, i64::MAX))
        })?;
        Ok(Self { path: path.to_owned(), table, origins })
    }

    /// Whether its `[data]` is that of a knowledge graph, and not of a cohort.
    pub fn names_triples(&self) -> bool {
        names_triples(self.table())
    }

    /// The merged table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The manifest's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file over what it extends, but for what was read before.
    fn read(path: &Path, extended: &mut Extended) -> Result<Self> {
        let canonical = fs::canonicalize(path).map_err(|e| Error::io("open the manifest", path, e))?;
        if extended.chain.contains(&canonical) {
            return Err(Error::user("this manifest extends itself").at_key("extends").at_file(path));
        }
        if extended.read.contains(&canonical) {
            return Ok(Self::default());
        }
        extended.chain.push(canonical);
        let bytes = fs::read(path).map_err(|e| Error::io("read the manifest", path, e))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let valid = e.utf8_error().valid_up_to();
            let line = 1 + e.as_bytes()[..valid].iter().filter(|&&b| b == b'\n').count();
            Error::user("the manifest is not UTF-8 text").at_line(path, line).because(e.utf8_error())
        })?;
        let mut own = Self::parse(path, &text)?;
        let mut merged = Self::default();
        for (key, base) in bases(own.table.remove("extends")).map_err(|e| own.place(e))? {
            let base = path.parent().unwrap_or(Path::new("")).join(base);
            merged.put(Self::read(&base, extended).map_err(|e| own.place(e.at_key(key)))?);
        }
        extended.read.extend(extended.chain.pop());
        merged.put(own);
        Ok(merged)
    }

    /// Puts a manifest on top of this one.
    fn put(&mut self, over: Self) {
        merge(&mut self.table, over.table);
        self.origins.put(over.origins);
        self.path = over.path;
    }

    /// Applies one `key=value`; the value is TOML, or else a text.
    ///
    /// # Errors
    /// For settings that lead nowhere.
    pub fn set(&mut self, setting: &str) -> Result<()> {
        settings::apply(setting, &mut self.table, &mut self.origins)
    }

    /// Gives a key a value, as a setting of this value would; errors name it as that.
    ///
    /// # Errors
    /// For keys that lead nowhere.
    pub fn assign(&mut self, key: &str, value: Value) -> Result<()> {
        settings::give(key, value, &mut self.table, &mut self.origins)
    }

    /// Gives a key the value that another key holds for it, so that errors name the line of that one.
    pub(in crate::experiment) fn set_from(&mut self, key: &str, value: Value, written_at: &str) -> Result<()> {
        let steps = written(key).map_err(|what| {
            let error = Error::user(format!("expected a dotted key such as model.graph_encoder: {what}"));
            self.place(error.at_key(written_at))
        })?;
        let steps = from_start(&self.table, &steps);
        let origin = self.origins.of(written_at).cloned();
        assign(&mut self.table, &steps, value).map_err(|what| self.place(Error::user(what).at_key(written_at)))?;
        self.origins.replace(key_of(&steps), origin);
        Ok(())
    }

    /// What the manifest says beyond those that it extends, settings included: key, value, and the file's name or
    /// `--set`. Everything when it extends none, but for that nothing is a difference.
    pub(in crate::experiment) fn differences(&self) -> Vec<(String, String, String)> {
        let extends = self.origins.has_others_than(&self.path);
        let is_own = |origin: &Origin| origin.file().is_none_or(|file| extends && file == self.path);
        let own = self.origins.leaves().filter(|(_, origin)| is_own(origin));
        let own = own.filter(|(key, _)| *key != "extends" && !key.starts_with("sweep"));
        let from = |origin: &Origin| {
            let name = origin.file().and_then(Path::file_name);
            name.map_or_else(|| "--set".to_owned(), |name| name.to_string_lossy().into_owned())
        };
        let value =
            |key: &str| lookup(&self.table, key).map_or_else(String::new, |v| without_passwords(&v.to_string()));
        own.map(|(key, origin)| (key.clone(), value(key), from(origin))).collect()
    }

    /// The folder that relative paths under `key` are taken from: the folder of the file that says it, the current
    /// one for `--set`.
    pub fn folder_of(&self, key: &str) -> PathBuf {
        let file = self.origins.of(key).map_or(Some(self.path.as_path()), Origin::file);
        file.and_then(Path::parent).map_or_else(PathBuf::new, Path::to_owned)
    }

    /// Whether `key` itself was given by `--set`.
    pub fn is_set(&self, key: &str) -> bool {
        self.origins.of_itself(key).is_some_and(|origin| origin.file().is_none())
    }

    /// Adds file and line, or the setting, to an error that names a key.
    pub fn place(&self, error: Error) -> Error {
        self.origins.place(&self.path, error)
    }
}

/// The manifests that `extends` names, each with its key.
fn bases(extends: Option<Value>) -> Result<Vec<(String, String)>> {
    let expected = |key: &str, found: &Value| {
        let message = format!("expected the path of another manifest, or a list of paths, found {found}");
        Error::user(message).at_key(key)
    };
    match extends {
        None => Ok(Vec::new()),
        Some(Value::String(path)) => Ok(vec![("extends".to_owned(), path)]),
        Some(Value::Array(paths)) => {
            let path = |(i, path)| match path {
                Value::String(path) => Ok((format!("extends[{i}]"), path)),
                other => Err(expected(&format!("extends[{i}]"), &other)),
            };
            paths.into_iter().enumerate().map(path).collect()
        }
        Some(other) => Err(expected("extends", &other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_into_tables_and_lists() {
        let table: Table = toml::from_str("loss = 'bce'\nstage = [{ epochs = 1 }]").unwrap();
        let mut source = Source { table, ..Source::default() };
        source.set("stage[0].epochs=3").unwrap();
        source.set("loss.positive = 2.0").unwrap();
        source.set("name=plain-text").unwrap();
        let expected = "loss = { type = 'bce', positive = 2.0 }\nname = 'plain-text'\nstage = [{ epochs = 3 }]";
        assert_eq!(source.table, toml::from_str::<Table>(expected).unwrap());
        source.set("stage[-1].epochs=4").unwrap();
        assert_eq!(source.table["stage"], toml::from_str::<Table>("stage = [{ epochs = 4 }]").unwrap()["stage"]);
        assert!(source.is_set("stage[0].epochs") && !source.is_set("stage[-1].epochs"));
        assert!(source.set("stage[4].epochs=3").unwrap_err().to_string().contains("the list has 1"));
        assert!(source.set("nonsense").is_err());
        // A stack has room for some ten thousand calls.
        let deep = format!("{}=1", vec!["name"; 200_000].join("."));
        assert!(source.set(&deep).unwrap_err().to_string().contains("more than 80 names and places"));
        assert!(source.set_from(deep.trim_end_matches("=1"), Value::Integer(1), "sweep.grid").is_err());
    }

    #[test]
    fn a_number_that_is_too_large_is_named_with_its_place() {
        let error = Source::from_text("manifest", "name = 'x'\nseed = 9223372036854775808\n", &[]).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2, "{text}");
        for part in ["this value cannot be read", "manifest:2:8", "to 9223372036854775807"] {
            assert!(text.contains(part), "lacks {part:?}: {text}");
        }
    }

    #[test]
    fn mistakes_of_settings_name_these() {
        let setting = |text: &str| vec![text.to_owned()];
        let source = Source::from_text("manifest", "seed = 1", &setting("stag[0].lr=1")).unwrap();
        for key in ["stag", "stag[0].lr", "stag[0].lr.x"] {
            let error = source.place(Error::user("wrong").at_key(key)).to_string();
            assert_eq!(error, format!("`{key}`: wrong\n  --> --set stag[0].lr=1"));
        }
        for (key, place) in [("seed", "manifest:1:1"), ("sta", "manifest"), ("", "manifest")] {
            let error = source.place(Error::user("wrong").at_key(key)).to_string();
            assert_eq!(error, format!("`{key}`: wrong\n  --> {place}"));
        }
    }

    #[test]
    fn values_of_a_program_are_no_text_that_is_read() {
        let text = "stage = [{ epochs = 1 }]\nmodel = { e = { type = 'gat', dims = [8, 8] } }";
        let mut source = Source::from_text("manifest", text, &[]).unwrap();
        source.assign("stage[-1].epochs", Value::Integer(3)).unwrap();
        source.assign("model.e.dims", Value::Array(vec![Value::Integer(4), Value::Integer(0)])).unwrap();
        source.assign("name", "true".into()).unwrap();
        let expected = "name = 'true'\nstage = [{ epochs = 3 }]\nmodel = { e = { type = 'gat', dims = [4, 0] } }";
        assert_eq!(source.table, toml::from_str::<Table>(expected).unwrap());
        assert!(source.is_set("name") && source.is_set("stage[0].epochs"));
        let error = source.place(Error::user("wrong").at_key("model.e.dims[1]")).to_string();
        assert_eq!(error, "`model.e.dims[1]`: wrong\n  --> --set model.e.dims=[4, 0]");
        let lost = source.assign("stage[4].epochs", Value::Integer(3)).unwrap_err().to_string();
        assert!(lost.starts_with("`--set stage[4].epochs=3`: there is no item 4"), "{lost}");
    }

    #[test]
    fn what_a_setting_replaces_was_written_nowhere_else() {
        let text = "e = { type = 'gat', dims = [8, 8] }";
        for setting in ["e.dims=[4, 0]", "e={ type = \"gat\", dims = [4, 0] }"] {
            let source = Source::from_text("manifest", text, &[setting.to_owned()]).unwrap();
            let error = source.place(Error::user("wrong").at_key("e.dims[1]")).to_string();
            assert_eq!(error, format!("`e.dims[1]`: wrong\n  --> --set {setting}"));
            assert!(source.differences().iter().any(|(_, _, from)| from == "--set"), "{:?}", source.differences());
        }
    }

    #[test]
    fn several_manifests_are_extended_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("base.toml", "seed = 1\nname = 'base'\n");
        write("a.toml", "extends = 'base.toml'\nseed = 2\ndata = { parser = 'a' }\n");
        write("b.toml", "extends = 'base.toml'\nname = 'b'\n");
        write("c.toml", "extends = ['a.toml', 'b.toml']\nname = 'c'\n");
        let load = |name: &str| Source::load(&folder.path().join(name), &[]);
        let source = load("c.toml").unwrap();
        // The base of both is under both.
        let expected = "seed = 2\nname = 'c'\ndata = { parser = 'a' }";
        assert_eq!(source.table, toml::from_str::<Table>(expected).unwrap());
        assert_eq!(source.origins.of("name").unwrap().file(), Some(folder.path().join("c.toml").as_path()));
        assert_eq!(source.folder_of("data.parser"), folder.path());
        write("d.toml", "extends = ['a.toml', 3]\n");
        assert!(load("d.toml").unwrap_err().to_string().starts_with("`extends[1]`"));
        write("e.toml", "extends = ['a.toml', 'e.toml']\n");
        assert!(load("e.toml").unwrap_err().to_string().contains("extends itself"));
    }
}
