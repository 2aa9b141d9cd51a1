//! Prefixes of the paths of parameters, as manifests name them.

use super::manifest::Stage;
use crate::model::{Model, PARTS, parameters};
use crate::{Error, Result};

/// What prefixes can mean in a model.
pub(super) struct Prefixes {
    /// What paths before the heads begin with. A part without parameters, such as one that takes the mean, has nothing to
    /// freeze and is no mistake.
    parts: Vec<String>,
    paths: Vec<String>,
}

impl Prefixes {
    pub fn new(model: &Model) -> Self {
        let parts = model.parts().into_iter().map(|(path, _)| path).collect();
        Self { parts, paths: parameters(model).into_iter().map(|p| p.path).collect() }
    }

    /// Refuses a prefix of frozen parameters that no parameter has.
    pub fn check_frozen(&self, stage: &Stage, index: usize) -> Result<()> {
        let prefixes = stage.freeze().iter().enumerate();
        self.check(prefixes.map(|(i, prefix)| (prefix.as_str(), format!("stage[{index}].freeze[{i}]"))))
    }

    /// The same for prefixes before the heads, which come with their stage.
    pub fn check_frozen_parts(&self, stage: &Stage, index: usize) -> Result<()> {
        let of_heads = |prefix: &str| prefix.starts_with("heads") || prefix.starts_with("decoders");
        let prefixes = stage.freeze().iter().enumerate().filter(|(_, prefix)| !of_heads(prefix));
        self.check(prefixes.map(|(i, prefix)| (prefix.as_str(), format!("stage[{index}].freeze[{i}]"))))
    }

    /// Refuses a learning rate for parameters that no model has.
    pub fn check_rates(&self, stage: &Stage, index: usize) -> Result<()> {
        let prefixes = stage.lr_of.keys();
        self.check(prefixes.map(|prefix| (prefix.as_str(), format!("stage[{index}].lr_of.{prefix}"))))
    }

    fn check<'a>(&self, mut prefixes: impl Iterator<Item = (&'a str, String)>) -> Result<()> {
        match prefixes.find(|(prefix, _)| !self.has_part(prefix) && !self.has_parameters(prefix)) {
            None => Ok(()),
            Some((prefix, key)) => {
                let error = Error::user(format!("no parameter's path begins with `{prefix}`")).at_key(key);
                let error = match self.why(prefix) {
                    Some(why) => error.help(why),
                    None => error,
                };
                Err(error.suggest(prefix, self.like(prefix)))
            }
        }
    }

    fn has_part(&self, path: &str) -> bool {
        self.parts.iter().any(|part| part == path)
    }

    fn has_parameters(&self, prefix: &str) -> bool {
        let begins = |path: &String| path.strip_prefix(prefix).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        self.paths.iter().any(begins)
    }

    /// Why a prefix that begins with a part of models has no parameters, where others of that part would not be meant.
    fn why(&self, prefix: &str) -> Option<String> {
        let root = prefix.split('.').next().unwrap_or(prefix);
        let part = PARTS.iter().find(|part| part.path == root || part.key == root)?;
        let inner = PARTS.iter().filter(|other| other.of == Some(part.key) && self.has_part(other.path));
        let inner: Vec<String> = inner.map(|other| format!("`{}`", other.path)).collect();
        let key = part.key;
        match () {
            () if part.path != root => {
                Some(format!("paths of the parameters of `model.{key}` begin with `{}`", part.path))
            }
            () if self.has_parameters(part.path) => None,
            () if inner.is_empty() => Some(format!("`model.{key}` has no parameters in this model")),
            () => Some(format!("the parameters of `model.{key}` are those of its parts: {}", inner.join(", "))),
        }
    }

    /// What could have been meant: prefixes of paths with as many components as `like`.
    fn like(&self, like: &str) -> Vec<String> {
        let depth = like.split('.').count();
        let cut = |path: &String| path.split('.').take(depth).collect::<Vec<_>>().join(".");
        let mut prefixes: Vec<String> = self.paths.iter().map(cut).collect();
        prefixes.dedup();
        prefixes
    }
}
