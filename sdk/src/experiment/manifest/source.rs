//! Manifest files: TOML with `extends` and command-line settings, and where each key was written.

use super::keys::{from_start, join, key_of, last, place, step_into, steps, written};
use crate::error::{Place, nearest};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// Where a key was written.
#[derive(Debug, Clone)]
struct Origin {
    /// `None` for `--set`.
    file: Option<PathBuf>,
    line: usize,
    column: usize,
    /// What stands behind `--set`; `None` in a file.
    setting: Option<String>,
}

/// How settings are written.
const USAGE: &str = "for example --set seed=7 or --set 'stage[0].epochs=5': the key is dotted, and places in lists are counted \
                     from 0, or from the end from -1";

/// How their values are.
const VALUES: &str = "accepted: TOML, such as 7, true, [1, 2] or { type = \"gat\", heads = 2 }, and texts that do not begin, as \
                      TOML does, with a bracket or a quote";

/// What shows all keys of a manifest.
const SCHEMA: &str = "`dualk schema`";

/// A manifest as written: the merged table and the origin of each key.
#[derive(Debug, Clone, Default)]
pub struct Source {
    path: PathBuf,
    table: Table,
    origins: BTreeMap<String, Origin>,
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
    pub(crate) fn load(path: &Path, settings: &[String]) -> Result<Self> {
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
    pub(crate) fn from_text(name: &str, text: &str, settings: &[String]) -> Result<Self> {
        let mut source = Self::parse(Path::new(name), text)?;
        settings.iter().try_for_each(|setting| source.set(setting))?;
        Ok(source)
    }

    /// A manifest in a table, which has no lines. `name` stands for the file in errors.
    pub(crate) fn of_table(name: &str, table: Table) -> Self {
        Self { path: PathBuf::from(name), table, ..Self::default() }
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let parsed = DeTable::parse(text).map_err(|e| {
            let (line, column) = position(text, e.span().map_or(0, |s| s.start));
            Error::user(format!("this is not TOML: {}", e.message().trim())).at_column(path, line, column)
        })?;
        let mut own = Self { path: path.to_owned(), ..Self::default() };
        let locate = |at: usize| {
            let (line, column) = position(text, at);
            Origin { file: Some(path.to_owned()), line, column, setting: None }
        };
        note_table("", parsed.get_ref(), &locate, &mut own.origins);
        own.table = toml::from_str(text).map_err(|e| Error::user(e.message().to_owned()).at_file(path))?;
        Ok(own)
    }

    /// Whether its `[data]` is that of a knowledge graph.
    pub(crate) fn names_triples(&self) -> bool {
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
        self.origins.extend(over.origins);
        self.path = over.path;
    }

    /// Applies one `key=value`; the value is TOML, or else a text.
    fn set(&mut self, setting: &str) -> Result<()> {
        let wrong = |what: String| Error::user(format!("`--set {setting}`: {what}"));
        let with_meant = |error: Error, meant: Vec<String>| match meant.is_empty() {
            true => error.help(USAGE),
            false => error.help(format!("did you mean `{}`?", meant.join("` or `"))).help(USAGE),
        };
        let Some((key, text)) = setting.split_once('=') else {
            let error = wrong("expected KEY=VALUE, found no `=`".to_owned());
            return Err(with_meant(error, self.keys_like(setting.trim())));
        };
        let (key, text) = (key.trim(), text.trim());
        let steps = written(key).map_err(|what| with_meant(wrong(what), self.closed(key).into_iter().collect()))?;
        let steps = from_start(&self.table, &steps);
        let value = value_of(text).map_err(|what| wrong(what).help(VALUES))?;
        self.assign(&steps, value).map_err(|what| wrong(what).help(USAGE))?;
        let origin = Origin { file: None, line: 0, column: 0, setting: Some(setting.to_owned()) };
        self.origins.insert(key_of(&steps), origin);
        Ok(())
    }

    /// Settings of keys that end in a name, or in one that is written almost so; a few of them.
    fn keys_like(&self, name: &str) -> Vec<String> {
        let near = nearest(name, self.origins.keys().map(|key| last(key)));
        // Short names are near to everything.
        let Some(near) = near.filter(|near| *near == name || name.len() > 2) else { return Vec::new() };
        self.origins.keys().filter(|key| last(key) == near).take(3).map(|key| format!("{key}=VALUE")).collect()
    }

    /// A key whose brackets are not as they should be, as it may be meant: where it leads somewhere.
    fn closed(&self, key: &str) -> Option<String> {
        let steps = from_start(&self.table, &steps(key));
        let is_begun = self.table.contains_key(steps.first()?) && !steps.iter().any(String::is_empty);
        let mut root = Value::Table(self.table.clone());
        let leads = is_begun && assign(&mut root, &steps, Value::Boolean(true)).is_ok();
        leads.then(|| key_of(&steps))
    }

    /// Gives a key the value that another key holds for it, so that errors name the line of that one.
    pub(in crate::experiment) fn set_from(&mut self, key: &str, value: Value, written_at: &str) -> Result<()> {
        let steps = written(key).map_err(|what| {
            let error = Error::user(format!("expected a dotted key such as model.graph_encoder: {what}"));
            self.place(error.at_key(written_at))
        })?;
        let steps = from_start(&self.table, &steps);
        let origin = self.origin(written_at).cloned();
        self.assign(&steps, value).map_err(|what| self.place(Error::user(what).at_key(written_at)))?;
        let path = key_of(&steps);
        // Nothing inside of the old value is where it was.
        let inside = |other: &String| other.strip_prefix(&path).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.origins.retain(|other, _| !inside(other));
        self.origins.extend(origin.map(|origin| (path, origin)));
        Ok(())
    }

    fn assign(&mut self, steps: &[String], value: Value) -> Result<(), String> {
        let mut root = Value::Table(std::mem::take(&mut self.table));
        let outcome = assign(&mut root, steps, value);
        if let Value::Table(table) = root {
            self.table = table;
        }
        outcome
    }

    /// What the manifest says beyond those that it extends, settings included: key, value, and the file's name or
    /// `--set`. Everything when it extends none, but for that nothing is a difference.
    pub(in crate::experiment) fn differences(&self) -> Vec<(String, String, String)> {
        let of_base = |origin: &Origin| origin.file.as_ref().is_some_and(|file| *file != self.path);
        let extends = self.origins.values().any(of_base);
        let inner = |key: &str| {
            let below = |other: &String| other.strip_prefix(key).is_some_and(|r| r.starts_with(['.', '[']));
            self.origins.keys().any(below)
        };
        let own = self.origins.iter().filter(|(_, origin)| origin.file.is_none() || (extends && !of_base(origin)));
        let leaves = own.filter(|(key, _)| !inner(key) && *key != "extends" && !key.starts_with("sweep"));
        let from = |origin: &Origin| {
            let name = origin.file.as_ref().and_then(|file| file.file_name());
            name.map_or_else(|| "--set".to_owned(), |name| name.to_string_lossy().into_owned())
        };
        let value = |key: &str| lookup(&self.table, key).map_or_else(String::new, ToString::to_string);
        leaves.map(|(key, origin)| (key.clone(), value(key), from(origin))).collect()
    }

    /// The folder that relative paths under `key` are taken from: the folder of the file that says it, the current
    /// one for `--set`.
    pub fn folder_of(&self, key: &str) -> PathBuf {
        let file = self.origin(key).map_or(Some(&self.path), |origin| origin.file.as_ref());
        file.and_then(|f| f.parent()).map_or_else(PathBuf::new, Path::to_owned)
    }

    /// Whether `key` itself was given by `--set`.
    pub fn is_set(&self, key: &str) -> bool {
        self.origins.get(key).is_some_and(|origin| origin.file.is_none())
    }

    /// Adds file and line, or the setting, to an error that names a key.
    pub fn place(&self, error: Error) -> Error {
        error.map_places(|place| match &place {
            Place::Key(key) => {
                let written = match self.origin(key).or_else(|| self.set_inside(key)) {
                    Some(Origin { file: Some(path), line, column, .. }) => {
                        Place::File { path: path.clone(), line: Some(*line), column: Some(*column) }
                    }
                    Some(Origin { setting: Some(text), .. }) => Place::Setting(text.clone()),
                    _ => Place::File { path: self.path.clone(), line: None, column: None },
                };
                vec![place, written]
            }
            Place::File { .. } | Place::Setting(_) => vec![place],
        })
    }

    /// A setting of something inside of a key, which is there for that alone where nothing around it was written.
    fn set_inside(&self, key: &str) -> Option<&Origin> {
        let inside = |other: &str| other.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.origins.iter().find(|(other, origin)| origin.setting.is_some() && inside(other)).map(|(_, origin)| origin)
    }

    /// The origin of a key, or of the nearest key around it.
    fn origin(&self, key: &str) -> Option<&Origin> {
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return Some(origin);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
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

/// The value of a dotted key.
fn lookup<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut steps = steps(key).into_iter();
    let first = table.get(steps.next()?)?;
    steps.try_fold(first, step_into)
}

fn note_table(path: &str, table: &DeTable<'_>, locate: &impl Fn(usize) -> Origin, out: &mut BTreeMap<String, Origin>) {
    for (key, value) in table {
        let path = join(path, key.get_ref());
        out.insert(path.clone(), locate(key.span().start));
        note_value(&path, value.get_ref(), locate, out);
    }
}

fn note_value(path: &str, value: &DeValue<'_>, locate: &impl Fn(usize) -> Origin, out: &mut BTreeMap<String, Origin>) {
    match value {
        DeValue::Table(table) => note_table(path, table, locate, out),
        DeValue::Array(array) => {
            for (i, item) in array.iter().enumerate() {
                let path = format!("{path}[{i}]");
                out.insert(path.clone(), locate(item.span().start));
                note_value(&path, item.get_ref(), locate, out);
            }
        }
        _ => {}
    }
}

/// Line and column of a byte, from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    (1 + before.matches('\n').count(), 1 + before[start..].chars().count())
}

/// Puts `over` on top of `base`: tables merge, except that a component of another type replaces the whole table.
fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new))
                if new.get("type").is_none_or(|t| Some(t) == old.get("type")) =>
            {
                merge(old, new);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Takes a key out of a table, wherever it is; whether it was there.
pub(super) fn remove(table: &mut Table, key: &str) -> bool {
    let steps = steps(key);
    let Some((last, before)) = steps.split_last() else { return false };
    let Some((first, inner)) = before.split_first() else { return table.remove(*last).is_some() };
    let mut at = table.get_mut(*first);
    for step in inner {
        at = match at {
            Some(Value::Table(table)) => table.get_mut(*step),
            Some(Value::Array(items)) => place(step, items.len()).and_then(|i| items.get_mut(i)),
            _ => None,
        };
    }
    match at {
        Some(Value::Table(table)) => table.remove(*last).is_some(),
        // The others keep their places.
        _ => false,
    }
}

/// The value of a setting: TOML, or else a text, unless it begins as TOML does.
fn value_of(text: &str) -> Result<Value, String> {
    let as_text = || Value::String(text.to_owned());
    match toml::from_str::<Table>(&format!("value = {text}")) {
        Ok(mut table) => Ok(table.remove("value").unwrap_or_else(as_text)),
        Err(error) if text.starts_with(['{', '[', '"', '\'']) => {
            Err(format!("the value is not TOML: {}", error.message().trim()))
        }
        Err(_) => Ok(as_text()),
    }
}

/// Puts a value where the steps lead to.
///
/// # Errors
/// Say what is missing on the way.
fn assign(at: &mut Value, steps: &[String], value: Value) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else {
        *at = value;
        return Ok(());
    };
    match at {
        Value::Table(table) => {
            // A component may be written as its name alone.
            if let Some(Value::String(name)) = table.get(step).filter(|_| !rest.is_empty()) {
                let named = Table::from_iter([("type".to_owned(), Value::String(name.clone()))]);
                table.insert(step.clone(), Value::Table(named));
            }
            let entry = table.entry(step.clone()).or_insert_with(|| Value::Table(Table::new()));
            assign(entry, rest, value)
        }
        Value::Array(items) => {
            let length = items.len();
            let item = place(step, length).and_then(|i| items.get_mut(i));
            let missing =
                || format!("there is no item {step}: the list has {length}, counted from 0, or from the end from -1");
            assign(item.ok_or_else(missing)?, rest, value)
        }
        _ => Err(format!("`{step}` is inside a value that is no table")),
    }
}

/// What serde says, as an error with a key, suggestions included.
pub(crate) fn from_serde(error: serde_path_to_error::Error<toml::de::Error>) -> Error {
    let path = error.path().to_string();
    let key = if path == "." { String::new() } else { path };
    let message = error.inner().message().trim().to_owned();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (message.starts_with("unknown field"), message.starts_with("unknown variant"), quoted.split_first()) {
        (true, _, Some((found, known))) => {
            let parent = key.rsplit_once('.').map_or("", |(parent, _)| parent);
            let parent = if key.ends_with(found) { parent } else { &key };
            // `extends` is gone by now, but it is a key.
            let known = known.iter().copied().chain(parent.is_empty().then_some("extends"));
            Error::user(format!("unknown key `{found}`")).at_key(join(parent, found)).suggest_with(found, known, SCHEMA)
        }
        (_, true, Some((found, known))) => {
            let known = known.iter().copied();
            Error::user(format!("unknown value `{found}`")).at_key(key).suggest_with(found, known, SCHEMA)
        }
        _ => Error::user(message).at_key(key),
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
    }

    #[test]
    fn settings_that_are_none_say_what_is_accepted() {
        let text = "seed = 1\n[[stage]]\nepochs = 1\nlr = 0.1\n[[stage]]\nlr = 0.2\n";
        let set = |setting: &str| Source::from_text("manifest", text, &[setting.to_owned()]);
        let usage = "--set 'stage[0].epochs=5'";
        for (setting, says) in [
            (
                "lr",
                ["expected KEY=VALUE, found no `=`", "did you mean `stage[0].lr=VALUE` or `stage[1].lr=VALUE`?", usage],
            ),
            ("epoch", ["found no `=`", "did you mean `stage[0].epochs=VALUE`?", usage]),
            ("=3", ["there is no key", usage, usage]),
            (".lr=3", ["a name is missing in the key `.lr`", usage, usage]),
            ("stage[9].lr=1", ["there is no item 9: the list has 2", "from the end from -1", usage]),
            ("stage.lr=1", ["there is no item lr: the list has 2", usage, usage]),
            ("stage[0.lr=1", ["a `[` in the key `stage[0.lr` is not closed", "did you mean `stage[0].lr`?", usage]),
            ("seed.x=1", ["`x` is inside a value that is no table", usage, usage]),
            ("model.x={type=\"gat\"", ["the value is not TOML: ", "accepted: TOML, such as 7", "a bracket or a quote"]),
            ("name=\"a", ["the value is not TOML: ", "accepted: TOML, such as 7", "texts"]),
        ] {
            let error = set(setting).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(&format!("`--set {setting}`: ")) && error.exit_code() == 2, "{text}");
            says.iter().for_each(|part| assert!(text.contains(part), "{setting} lacks {part:?}: {text}"));
        }
        assert!(set("name={gat").unwrap_err().places().is_empty());
        // What may be meant leads somewhere.
        for setting in ["xy", "stage[0]lr=1", "stage[one].lr=1", "stage[9.lr=1"] {
            let far = set(setting).unwrap_err().to_string();
            assert!(!far.contains("did you mean"), "{far}");
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
        assert_eq!(source.origin("name").unwrap().file, Some(folder.path().join("c.toml")));
        assert_eq!(source.folder_of("data.parser"), folder.path());
        write("d.toml", "extends = ['a.toml', 3]\n");
        assert!(load("d.toml").unwrap_err().to_string().starts_with("`extends[1]`"));
        write("e.toml", "extends = ['a.toml', 'e.toml']\n");
        assert!(load("e.toml").unwrap_err().to_string().contains("extends itself"));
    }

    #[test]
    fn keys_are_taken_out_wherever_they_are() {
        let mut table: Table = toml::from_str("a = 1\nb = { c = 2, d = [{ e = 3, f = 4 }] }").unwrap();
        assert!(remove(&mut table, "b.d[0].e") && remove(&mut table, "a"));
        assert!(!remove(&mut table, "b.d[1].e") && !remove(&mut table, "b.x.y") && !remove(&mut table, "b.d[0]"));
        assert_eq!(table, toml::from_str::<Table>("b = { c = 2, d = [{ f = 4 }] }").unwrap());
    }

    #[test]
    fn another_type_replaces_the_options_of_the_first() {
        let mut base: Table = toml::from_str("e = { type = 'gat', heads = 2 }").unwrap();
        merge(&mut base, toml::from_str("e = { type = 'gcn' }").unwrap());
        assert_eq!(base, toml::from_str::<Table>("e = { type = 'gcn' }").unwrap());
        let mut base: Table = toml::from_str("e = { type = 'gat', heads = 2 }").unwrap();
        merge(&mut base, toml::from_str("e = { heads = 4 }").unwrap());
        assert_eq!(base, toml::from_str::<Table>("e = { type = 'gat', heads = 4 }").unwrap());
    }
}
