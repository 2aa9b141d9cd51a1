//! The manifest of an embedding: what `dualk kge train` reads.

use crate::component::{FilePath, Slot};
use crate::data::knowledge::GraphSource;
use crate::error::Mistakes;
use crate::experiment::manifest::{
    Compat, ComponentRef, Output, PluginRef, Source, check_name, component_schemas, from_serde,
};
use crate::kge::{KgeSchedule, KgeSplit, Unused};
use crate::options::{read, within_ranges};
use crate::plugin::Registry;
use crate::{Error, Result};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::{Table, Value};

/// An embedding of a knowledge graph. Keys that are not listed here are refused.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KgeManifest {
    /// Name of the experiment; part of the name of its run folder. Default: the name of the manifest's file.
    #[serde(default)]
    pub name: String,
    /// Seed of parameters, the order of triples and negatives.
    #[serde(default)]
    pub seed: u64,
    /// `"dualk"` reproduces quirks of the published code; leave it out for the sound behaviour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
    /// Plugins to load. Shipped ones are found without being listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugin: Vec<PluginRef>,
    /// Where to compute.
    #[serde(default, skip_serializing_if = "KgeBackend::is_default")]
    pub backend: KgeBackend,
    /// The knowledge graph.
    pub data: KgeData,
    /// The embedding model. Default: the one that serves by default.
    #[serde(default)]
    pub model: ComponentRef,
    /// How it is trained.
    #[serde(default)]
    pub train: TrainOptions,
    /// How it is evaluated.
    #[serde(default)]
    pub evaluate: EvaluateOptions,
    /// Where results go.
    #[serde(default)]
    pub output: Output,
}

/// Where an embedding is trained and evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KgeBackend {
    /// `cpu`, `auto`, `cuda`, `cuda:1`, `wgpu` or `wgpu:1`.
    pub device: String,
}

impl Default for KgeBackend {
    fn default() -> Self {
        Self { device: "cpu".into() }
    }
}

impl KgeBackend {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the triples come from: a folder that is split already, or sources that are joined and split here.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KgeData {
    /// Folder with `train.txt`, `valid.txt` and `test.txt`.
    #[serde(skip_serializing_if = "is_empty")]
    pub triples: FilePath,
    /// Sources of triples, joined in this order; equal triples count once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<GraphSource>,
    /// Leave out entities with fewer triples than this, and the triples that hold them.
    pub least: usize,
    /// Learn every training triple backwards too, by a relation of its own.
    pub reciprocal: bool,
    /// How joined sources are split.
    pub split: KgeSplit,
}

fn is_empty(path: &FilePath) -> bool {
    path.given().is_none()
}

/// How an embedding is trained.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Number of steps; heads and tails are asked for in turn.
    #[schemars(range(min = 1))]
    pub steps: u32,
    /// Triples of a step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Negatives of a triple.
    #[schemars(range(min = 1))]
    pub negatives: usize,
    /// Whether all triples of a step have the same negatives, less the known answers of each.
    pub shared_negatives: bool,
    /// Temperature α of the self-adversarial weights of negatives; 0 weighs all alike.
    #[schemars(range(min = 0.0))]
    pub adversarial: f64,
    /// Whether triples of frequent queries count less.
    pub subsampling: bool,
    /// Learning rate of Adam.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Schedule of the learning rate.
    pub schedule: KgeSchedule,
    /// What Adam does with rows that a step does not use.
    pub unused: Unused,
    /// Steps between two looks at the validation triples; 0 for none.
    pub validate_every: u32,
    /// Validation triples that are looked at; all when there are fewer.
    pub validate_triples: usize,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            steps: 80_000,
            batch: 512,
            negatives: 256,
            shared_negatives: false,
            adversarial: 0.5,
            subsampling: true,
            lr: 5e-5,
            schedule: KgeSchedule::Published,
            unused: Unused::Moved,
            validate_every: 0,
            validate_triples: 500,
        }
    }
}

/// How an embedding is evaluated.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateOptions {
    /// Resamples of the test triples from which 95 % intervals are taken; 0 for none.
    pub bootstrap: usize,
    /// Whether the validation triples are ranked at the end, too.
    pub valid: bool,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self { bootstrap: 1000, valid: false }
    }
}

impl KgeManifest {
    /// Reads a manifest with what it `extends`, and applies `key=value` settings over it.
    ///
    /// # Errors
    /// For unreadable files, text that is not TOML, unknown keys and values of the wrong type, each with its line.
    pub fn load(path: &Path, settings: &[String]) -> Result<(Self, Source)> {
        Self::from_source(Source::load(path, settings)?)
    }

    /// A manifest in a text, for programs that embed the SDK.
    ///
    /// # Errors
    /// As [`KgeManifest::load`], with lines of the text.
    pub fn parse(text: &str, settings: &[String]) -> Result<(Self, Source)> {
        Self::from_source(Source::from_text("manifest", text, settings)?)
    }

    /// A manifest that was read; [`Source::names_triples`] tells these from those of cohorts.
    ///
    /// # Errors
    /// For manifests of cohorts, unknown keys and values of the wrong type, each with its line.
    pub fn from_source(mut source: Source) -> Result<(Self, Source)> {
        source.name_after_file();
        let table = source.table().clone();
        if table.get("data").and_then(Value::as_table).is_some_and(|data| data.contains_key("parser")) {
            let error = Error::user("this manifest describes a cohort, and no knowledge graph").at_key("data.parser");
            return Err(
                source.place(error.help("`dualk run` takes it; `dualk kge` wants [data] triples or [[data.source]]"))
            );
        }
        let manifest = Self::from_table(table).map_err(|e| source.place(e))?;
        Ok((manifest, source))
    }

    fn from_table(table: Table) -> Result<Self> {
        let manifest: Self = read(table).map_err(from_serde)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether published quirks are reproduced.
    pub fn is_compat(&self) -> bool {
        self.compat == Some(Compat::Dualk)
    }

    /// Refuses sources that are derived from a cohort, where no cohort is at hand.
    pub(super) fn check_without_cohort(&self) -> Result<()> {
        self.data.source.iter().enumerate().try_for_each(|(i, source)| {
            source.check_without_cohort().map_err(|e| e.within_key(&format!("data.source[{i}]")))
        })
    }

    fn check(&self) -> Result<()> {
        let mut mistakes = Mistakes::default();
        mistakes.note(within_ranges(self));
        mistakes.note(check_name(&self.name));
        mistakes.note(self.output.check().map_err(|e| e.within_key("output")));
        mistakes.note(self.data.check().map_err(|e| e.within_key("data")));
        for (i, source) in self.data.source.iter().enumerate() {
            mistakes.note(source.check().map_err(|e| e.within_key(&format!("data.source[{i}]"))));
        }
        mistakes.note(self.train.check().map_err(|e| e.within_key("train")));
        mistakes.done()
    }
}

impl KgeData {
    fn check(&self) -> Result<()> {
        let given = self.triples.given().is_some();
        if given != self.source.is_empty() {
            let what = if given { "both `triples` and sources are given" } else { "no triples are given" };
            let help = "write triples = \"FOLDER\" (train.txt, valid.txt, test.txt), or [[data.source]] tables";
            return Err(Error::user(what).help(help));
        }
        self.split.check().map_err(|e| e.within_key("split"))
    }
}

impl TrainOptions {
    fn check(&self) -> Result<()> {
        match self.batch.saturating_mul(self.negatives) > 1 << 28 {
            true => {
                let message = format!("{} triples of {} negatives are too many", self.batch, self.negatives);
                Err(Error::user(message).at_key("batch").help("a step may score 268,435,456 negatives"))
            }
            false => Ok(()),
        }
    }
}

/// A JSON Schema of these manifests, with the options of every embedding model of a registry.
pub fn kge_schema(registry: &Registry) -> serde_json::Value {
    let mut schema = schema_for!(KgeManifest).to_value();
    if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
        let paths = serde_json::json!([{ "type": "string" }, { "type": "array", "items": { "type": "string" } }]);
        let about = "Another manifest, merged under this one; or several, the later ones over the earlier.";
        let base = serde_json::json!({ "anyOf": paths, "description": about });
        properties.insert("extends".into(), base);
        let about = "The embedding model.";
        properties.insert("model".into(), serde_json::json!({ "$ref": "#/$defs/kge_model", "description": about }));
    }
    schema.as_object_mut().map(|object| object.remove("required"));
    if let Some(definitions) = schema.get_mut("$defs").and_then(serde_json::Value::as_object_mut) {
        definitions.insert(Slot::KgeModel.name().to_owned(), component_schemas(registry, Slot::KgeModel));
        definitions.remove("Component");
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_out_of_range_is_named_with_its_line() {
        let text = "name = 'x'\n[data]\nsplit = { valid = 1.0, test = 0 }\n[[data.source]]\ntype = 'parser'\n\
                    strength = 1.5\n[[data.source]]\ntype = 'cooccurrence'\npath = 'x'\nlevels = [0.2, 0.0]\n[train]\n\
                    steps = 0\nlr = inf\nschedule = { type = 'linear', hold = 1 }\n[output]\ncheckpoint_minutes = nan";
        let error = KgeManifest::parse(text, &[]).unwrap_err().to_string();
        for says in [
            "`data.split.valid`: expected at least 0 and less than 1, found 1\n  --> manifest:3:",
            "`data.source[0].strength`: expected 0 to 1, found 1.5\n  --> manifest:6:",
            "`data.source[1].levels[1]`: expected a number above 0, found 0\n  --> manifest:10:",
            "`train.steps`: expected a number of at least 1, found 0\n  --> manifest:12:",
            "`train.lr`: expected a number of at least 0 and finite, found inf\n  --> manifest:13:",
            "`train.schedule.hold`: expected at least 0 and less than 1, found 1\n  --> manifest:14:",
            "`output.checkpoint_minutes`: expected a number of at least 0, or inf, found NaN\n  --> manifest:16:",
        ] {
            assert!(error.contains(says), "{says}: {error}");
        }
        assert_eq!(error.matches("  --> manifest:").count(), 7, "{error}");
        let good = "name = 'x'\ndata.triples = 'x'\noutput.checkpoint_minutes = inf\ntrain.lr = 0\n\
                    train.schedule = { type = 'linear', hold = 0.0 }";
        assert!(KgeManifest::parse(good, &[]).is_ok());
        let nowhere = KgeManifest::parse(good, &["output.runs=''".to_owned()]).unwrap_err().to_string();
        assert!(nowhere.contains("`output.runs`: expected a folder"), "{nowhere}");
    }

    #[test]
    fn a_wrong_value_inside_of_a_table_with_a_type_has_its_key() {
        let text = "name = 'x'\ndata.triples = 'x'\ntrain.schedule = { type = 'linear', hold = 'x' }";
        let error = KgeManifest::parse(text, &[]).unwrap_err().to_string();
        let says = "`train.schedule.hold`: invalid type: text \"x\", expected a number\n  --> manifest:3:";
        assert!(error.starts_with(says), "{error}");
    }
}
