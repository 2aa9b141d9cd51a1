//! Where each key of a manifest was written.

use super::keys::{join, last};
use crate::Error;
use crate::error::{Place, nearest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Where a key was written.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// In a file; line and column are counted from 1.
    File { path: PathBuf, line: usize, column: usize },
    /// In a setting of the command line, as it was given.
    Setting(String),
}

impl Origin {
    /// The place of a byte of a file's text.
    fn at(path: &Path, text: &str, byte: usize) -> Self {
        let (line, column) = position(text, byte);
        Self::File { path: path.to_owned(), line, column }
    }

    /// The file; `None` for a setting.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Setting(_) => None,
        }
    }
}

/// The origins of the keys of a manifest, places in lists among them.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Those of the text of a file.
    pub fn of_text(path: &Path, text: &str, table: &DeTable<'_>) -> Self {
        let mut origins = Self::default();
        origins.note_table("", table, &|byte| Origin::at(path, text, byte));
        origins
    }

    fn note_table(&mut self, path: &str, table: &DeTable<'_>, locate: &impl Fn(usize) -> Origin) {
        for (key, value) in table {
            let path = join(path, key.get_ref());
            self.0.insert(path.clone(), locate(key.span().start));
            self.note_value(&path, value.get_ref(), locate);
        }
    }

    fn note_value(&mut self, path: &str, value: &DeValue<'_>, locate: &impl Fn(usize) -> Origin) {
        match value {
            DeValue::Table(table) => self.note_table(path, table, locate),
            DeValue::Array(array) => {
                for (i, item) in array.iter().enumerate() {
                    let path = format!("{path}[{i}]");
                    self.0.insert(path.clone(), locate(item.span().start));
                    self.note_value(&path, item.get_ref(), locate);
                }
            }
            _ => {}
        }
    }

    /// Puts the origins of a manifest on top of these.
    pub fn put(&mut self, over: Self) {
        self.0.extend(over.0);
    }

    /// Notes that a key has another value, and where it is written now: nothing inside of the old one is where it was.
    pub fn replace(&mut self, key: String, origin: Option<Origin>) {
        self.0.retain(|other, _| !is_inside(&key, other));
        self.0.extend(origin.map(|origin| (key, origin)));
    }

    /// The origin of this very key.
    pub fn of_itself(&self, key: &str) -> Option<&Origin> {
        self.0.get(key)
    }

    /// The origin of a key, or of the nearest key around it.
    pub fn of(&self, key: &str) -> Option<&Origin> {
        let mut key = key;
        loop {
            if let Some(origin) = self.0.get(key) {
                return Some(origin);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    /// A setting of something inside of a key, which is there for that alone where nothing around it was written.
    fn set_inside(&self, key: &str) -> Option<&Origin> {
        let set = self.0.iter().find(|(other, origin)| origin.file().is_none() && is_inside(key, other));
        set.map(|(_, origin)| origin)
    }

    /// Keys inside of which no others are, each with its origin.
    pub fn leaves(&self) -> impl Iterator<Item = (&String, &Origin)> {
        let is_leaf = |key: &str| !self.0.keys().any(|other| is_inside(key, other));
        self.0.iter().filter(move |(key, _)| is_leaf(key))
    }

    /// Whether a key was written in another file than this one.
    pub fn has_others_than(&self, path: &Path) -> bool {
        self.0.values().any(|origin| origin.file().is_some_and(|file| file != path))
    }

    /// Keys that end in a name, or in one that is written almost so; a few of them.
    pub fn keys_like(&self, name: &str) -> Vec<&str> {
        let near = nearest(name, self.0.keys().map(|key| last(key)));
        // Short names are near to everything.
        let Some(near) = near.filter(|near| *near == name || name.len() > 2) else { return Vec::new() };
        self.0.keys().filter(|key| last(key) == near).take(3).map(String::as_str).collect()
    }

    /// Adds file and line, or the setting, to an error that names a key; `path` is the file of a key that none wrote.
    pub fn place(&self, path: &Path, error: Error) -> Error {
        error.map_places(|place| match &place {
            Place::Key(key) => {
                let written = match self.of(key).or_else(|| self.set_inside(key)) {
                    Some(Origin::File { path, line, column }) => {
                        Place::File { path: path.clone(), line: Some(*line), column: Some(*column) }
                    }
                    Some(Origin::Setting(text)) => Place::Setting(text.clone()),
                    None => Place::File { path: path.to_owned(), line: None, column: None },
                };
                vec![place, written]
            }
            Place::File { .. } | Place::Setting(_) => vec![place],
        })
    }
}

/// Whether a key is inside of another.
fn is_inside(key: &str, inner: &str) -> bool {
    inner.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Line and column of a byte, from 1.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    (1 + before.matches('\n').count(), 1 + before[start..].chars().count())
}
