//! The manifest of an experiment: what `dualk run` reads.

mod edit;
mod keys;
mod origins;
mod random;
mod schema;
mod serde_errors;
mod settings;
mod source;
mod sweep;

pub use super::heads::{Heads, Prior};
pub use super::parts::Model;
pub use random::RandomSearch;
pub(crate) use schema::component_schemas;
pub use schema::manifest_schema;
pub(crate) use serde_errors::from_serde;
pub use source::Source;
pub use sweep::{Configuration, Setting, SweepOptions};

pub use crate::component::ComponentRef;
use crate::component::Slot;
use crate::data::SplitOptions;
use crate::data::knowledge::GraphSource;
use crate::error::{Mistakes, server};
use crate::ops::Precision;
use crate::options::{Proportion, read, within_ranges};
pub use crate::recipe::{Mode, Stage};
use crate::storage::Access;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub(in crate::experiment) use source::names_triples;
use std::collections::BTreeSet;
use std::path::Path;
use toml::Table;

/// An experiment. Keys that are not listed here are refused.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the experiment; part of the name of its run folder. Default: the name of the manifest's file.
    #[serde(default)]
    pub name: String,
    /// Seed of parameters, dropout and the order of examples.
    #[serde(default)]
    pub seed: u64,
    /// `"dualk"` reproduces quirks of the published code; leave it out for the sound behaviour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
    /// The manifest describes weights that came from elsewhere, and not how to train them: `dualk run` refuses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evaluate_only: bool,
    /// What the types of stages mean, and which components serve where none is named. Default: that of the plugin
    /// which says so; of those that are shipped, `dualk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<ComponentRef>,
    /// Where to compute.
    #[serde(default)]
    pub backend: Backend,
    /// Plugins to load. Shipped ones are found without being listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugin: Vec<PluginRef>,
    /// Cohort and split.
    pub data: Data,
    /// The model; not needed to prepare data.
    #[serde(default)]
    pub model: Model,
    /// Stages, trained in this order; each goes on with what the earlier ones learnt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stage: Vec<Stage>,
    /// Members of `dualk sweep`; `dualk run` trains the manifest as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepOptions>,
    /// Where results go.
    #[serde(default)]
    pub output: Output,
}

/// Published behaviour to reproduce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compat {
    /// The code of the DuaLK publication.
    Dualk,
}

/// Where to compute.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backend {
    /// `auto`, `cpu`, `cuda`, `cuda:1`, `wgpu` or `wgpu:1`.
    pub device: String,
    /// `f32`; `bf16`: graph kernels read the rows of neighbours in it; `tf32`: matrices are multiplied in it, on CUDA only.
    pub precision: Precision,
}

impl Default for Backend {
    fn default() -> Self {
        Self { device: "auto".into(), precision: Precision::F32 }
    }
}

/// A plugin to load.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginRef {
    /// Name of a shipped plugin, or path of a shared library.
    pub path: String,
    /// Refuse any other file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Cohort and split.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Reads the raw tables.
    pub parser: ComponentRef,
    /// How patients are split.
    #[serde(default)]
    pub split: SplitOptions,
    /// Kinds of further codes, such as `drugs` and `procedures`, that stand beside diagnoses as codes of visits and nodes of
    /// the graph. They are seen, and not predicted. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Sources of a knowledge graph that says how codes and laboratory items hang together, for heads that look at one, and
    /// for baselines with `knowledge` in their name. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knowledge: Vec<GraphSource>,
    /// Fraction of the rows, codes or patients of a step that may be lost between tables and cohort; more is an error.
    /// Default: nothing is, and more than 0.05 a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Proportion>")]
    pub loss_limit: Option<f64>,
}

/// Where results go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Folder of run folders, relative to the current one.
    pub runs: std::path::PathBuf,
    /// Folder of the cache, relative to the current one. Default: that of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<std::path::PathBuf>,
    /// Minutes between two checkpoints inside an epoch; 0 writes one after every step, `inf` none. The end of an epoch writes
    /// one, too, unless checkpoints would take more than a twentieth of the time.
    #[schemars(range(min = 0.0), extend("x-infinite" = true))]
    pub checkpoint_minutes: f64,
    /// Who may read the run's folder, beside its owner: `private` for nobody, `group` or `all`.
    pub access: Access,
    /// Whether tables show simple baselines and a logistic regression.
    pub baselines: bool,
    /// Whether they show a logistic regression that learns from the knowledge graph, too, which takes as long as a short training.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub graph_regression: bool,
    /// Whether a run writes TensorBoard's event files, into its folder `tensorboard`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
    /// Address of an MLflow tracking server that is told of the run, such as `http://localhost:5000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<String>,
    /// The experiment of MLflow that the run belongs to. Default: `dualk`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow_experiment: Option<String>,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            runs: "runs".into(),
            cache: None,
            checkpoint_minutes: 5.0,
            access: Access::Private,
            baselines: true,
            graph_regression: false,
            tensorboard: false,
            mlflow: None,
            mlflow_experiment: None,
        }
    }
}

impl Output {
    /// The same for others to read: the address of the server without user and password.
    pub(in crate::experiment) fn without_password(&self) -> Self {
        Self { mlflow: self.mlflow.as_deref().map(server), ..self.clone() }
    }

    /// Refuses folders that are no paths: those of runs would be missed only when everything has been trained.
    pub(in crate::experiment) fn check(&self) -> Result<()> {
        let given = [("runs", Some(&self.runs)), ("cache", self.cache.as_ref())];
        match given.into_iter().find(|(_, folder)| folder.is_some_and(|folder| folder.as_os_str().is_empty())) {
            Some((key, _)) => {
                Err(Error::user("expected a folder, found an empty text").at_key(key).help("`.` is the current folder"))
            }
            None => Ok(()),
        }
    }
}

impl Manifest {
    /// The same for others to read: without passwords.
    pub(in crate::experiment) fn without_password(&self) -> Self {
        Self { output: self.output.without_password(), ..self.clone() }
    }

    /// The components that it names: slot and name, each once.
    pub fn components(&self) -> Vec<(Slot, String)> {
        let mut named = vec![(Slot::Parser, self.data.parser.r#type.clone())];
        named.extend(self.recipe.iter().map(|recipe| (Slot::Recipe, recipe.r#type.clone())));
        named.extend(self.model.parts().map(|(_, slot, part)| (slot, part.r#type)));
        for stage in &self.stage {
            named.push((Slot::Objective, stage.objective().1.r#type));
            named.push((Slot::Loss, stage.loss().r#type));
        }
        // What is left open is what the recipe needs.
        named.retain(|(_, name)| !name.is_empty());
        named.sort();
        named.dedup();
        named
    }

    /// The slots for which it leaves a choice to the recipe.
    pub fn open_slots(&self) -> BTreeSet<Slot> {
        let parts = self.model.parts().filter(|(_, _, part)| part.is_open()).map(|(_, slot, _)| slot);
        let open = |stage: &Stage| {
            let objective = stage.objective().1.is_open().then_some(Slot::Objective);
            objective.into_iter().chain(stage.loss().is_open().then_some(Slot::Loss))
        };
        let recipe = self.recipe.is_none().then_some(Slot::Recipe);
        recipe.into_iter().chain(parts).chain(self.stage.iter().flat_map(open)).collect()
    }

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
    /// As [`Manifest::load`], with lines of the text.
    pub fn parse(text: &str, settings: &[String]) -> Result<(Self, Source)> {
        Self::from_source(Source::from_text("manifest", text, settings)?)
    }

    /// A manifest in a table, for programs that make one.
    ///
    /// # Errors
    /// As [`Manifest::load`], without lines.
    pub fn of_table(table: Table) -> Result<(Self, Source)> {
        Self::from_source(Source::of_table("manifest", table))
    }

    /// A manifest that was read.
    ///
    /// # Errors
    /// For unknown keys and values of the wrong type, each with its line.
    pub fn from_source(source: Source) -> Result<(Self, Source)> {
        let (manifest, source, read) = Self::partly_from_source(source)?;
        read.map(|()| (manifest, source))
    }

    /// What can be understood of a manifest, and its mistakes: what is wrong is left out, so that the rest can be looked at.
    ///
    /// # Errors
    /// For manifests that lack what they must have.
    pub fn partly_from_source(mut source: Source) -> Result<(Self, Source, Result<()>)> {
        source.name_after_file();
        if source.names_triples() {
            let error = Error::user("this manifest describes a knowledge graph, and no cohort").at_key("data");
            return Err(source.place(error.help("`dualk kge train` takes it")));
        }
        let (manifest, read) = Self::from_table(source.table().clone()).map_err(|e| source.place(e))?;
        let read = read.map_err(|e| source.place(e));
        Ok((manifest, source, read))
    }

    /// Finds every wrong key and value: what is wrong is left out, and the rest looked at.
    fn from_table(mut table: Table) -> Result<(Self, Result<()>)> {
        let mut mistakes = Mistakes::default();
        let (mut is_name_wrong, mut is_split_wrong) = (false, false);
        loop {
            let refused = match read::<Self>(table.clone()) {
                Ok(manifest) => {
                    // A name that was left out is none that was chosen.
                    if !is_name_wrong {
                        mistakes.note(check_name(&manifest.name));
                    }
                    // Nor is a sum with a default in the place of a part that was.
                    if !is_split_wrong {
                        mistakes.note(manifest.data.split.check().map_err(|e| e.within_key("data.split")));
                    }
                    manifest.check(&mut mistakes);
                    return Ok((manifest, mistakes.done()));
                }
                Err(refused) => refused,
            };
            // What was left out may have been needed: then what needs it is left out, too.
            let follows = refused.message.starts_with("missing field") && !mistakes.is_empty();
            let around = refused.around.clone();
            let error = from_serde(refused);
            is_name_wrong |= error.key() == Some("name");
            is_split_wrong |= error.key().is_some_and(|key| key.starts_with("data.split"));
            let inner = error.key().is_some_and(|key| edit::remove(&mut table, key));
            let removed = inner || edit::remove(&mut table, &around);
            if !follows {
                mistakes.note::<()>(Err(error));
            }
            if !removed {
                break;
            }
        }
        mistakes.done().and_then(|()| Err(Error::program("the manifest cannot be read")))
    }

    /// Names and epochs of the stages.
    pub fn stage_epochs(&self) -> Vec<(String, usize)> {
        self.stage.iter().enumerate().map(|(i, s)| (s.name(i), s.epochs())).collect()
    }

    /// Whether published quirks are reproduced.
    pub fn is_compat(&self) -> bool {
        self.compat == Some(Compat::Dualk)
    }

    /// Checks what needs no component, but for name and split.
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.note(within_ranges(self));
        mistakes.note(self.output.check().map_err(|e| e.within_key("output")));
        for (i, source) in self.data.knowledge.iter().enumerate() {
            mistakes.note(source.check().map_err(|e| e.within_key(&format!("data.knowledge[{i}]"))));
        }
        mistakes.note(self.sweep.iter().try_for_each(|sweep| sweep.configurations().map(drop)));
        for (i, stage) in self.stage.iter().enumerate() {
            mistakes.note(stage.check().map_err(|e| e.within_key(&format!("stage[{i}]"))));
        }
    }
}

/// The longest name, in bytes: what is written beside the folder of a run has up to 44 more, and file systems have 255 for a name.
const LONGEST_NAME: usize = 200;

/// Refuses names that cannot be those of folders.
pub(in crate::experiment) fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name.is_empty() || name.starts_with('.') || !name.chars().all(good) {
        true => {
            let message = format!("expected letters, digits, `-`, `_` and `.`, found \"{name}\"");
            Err(Error::user(message).at_key("name").help("the name becomes a folder"))
        }
        false if name.len() > LONGEST_NAME => {
            let message = format!("expected at most {LONGEST_NAME} characters, found {}", name.len());
            Err(Error::user(message).at_key("name").help("the name becomes a folder"))
        }
        false => Ok(()),
    }
}
