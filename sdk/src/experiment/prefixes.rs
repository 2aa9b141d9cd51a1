//! Prefixes of the paths of parameters, as manifests name them.

use super::manifest::Stage;
use crate::model::{Model, parameters};
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
        let begins =
            |path: &str, prefix: &str| path.strip_prefix(prefix).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        let is_part = |prefix: &str| self.parts.iter().any(|part| part == prefix);
        let known = |prefix: &str| is_part(prefix) || self.paths.iter().any(|path| begins(path, prefix));
        match prefixes.find(|(prefix, _)| !known(prefix)) {
            None => Ok(()),
            Some((prefix, key)) => Err(Error::user(format!("no parameter's path begins with `{prefix}`"))
                .at_key(key)
                .suggest(prefix, self.like(prefix))),
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
