//! Where triples come from: the sources that a manifest names, and their options.

use super::written::Form;
use crate::data::hierarchy::Icd;
use crate::options::{FilePath, Proportion};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A source of triples.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum GraphSource {
    /// A hierarchy of codes: a table with the columns `code` and `parent_code`.
    Hierarchy {
        /// The table.
        path: FilePath,
        /// Name of the relation from a code to its parent.
        #[serde(default = "is_a")]
        relation: String,
    },
    /// Triples that were extracted from text: headings `Disease # Topic` or `code#Disease # Topic`, and below each
    /// indented tuples `('head', 'RELATION', 'tail')`.
    Text {
        /// The file of triples.
        path: FilePath,
        /// Table that aligns names with ICD-9 codes: a name, then the columns `cosine_sim` and `icd-9`.
        #[serde(default, skip_serializing_if = "not_given")]
        names: FilePath,
        /// Least similarity of a name to that of a code; names below stay names.
        #[serde(default = "similarity")]
        #[schemars(range(min = -1.0, max = 1.0))]
        similarity: f64,
        /// Leave out relations with fewer triples than this.
        #[serde(default)]
        least: usize,
    },
    /// A table of triples: with a heading of the columns `head`, `relation` and `tail`, or whose lines are head, relation and
    /// tail with tabs between.
    Table {
        /// The table.
        path: FilePath,
        /// What replaces the beginning of names: `{ "icd9cm_" = "" }`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        prefixes: BTreeMap<String, String>,
        /// Name for all relations that the table has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        relation: Option<String>,
        /// Names of the columns of head, relation and tail, or of head and tail where `relation` is given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        columns: Vec<String>,
        /// Whether the first line names the columns; by default it does in a `.csv`, and wherever it names head and tail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heading: Option<bool>,
    },
    /// What occurs together in the training cohort of an experiment, as relations of strength.
    Cooccurrence {
        /// A folder that `dualk prepare` wrote.
        path: FilePath,
        /// Least weights of the relations `with_1`, `with_2` …, from strong to weak.
        #[serde(default = "levels")]
        #[schemars(length(min = 1))]
        #[schemars(extend("items" = { "type": "number", "format": "double", "exclusiveMinimum": 0.0 }))]
        levels: Vec<f64>,
    },
    /// The categories and chapters above the diagnoses of the cohort, by their texts. For experiments alone.
    Icd {
        /// Which edition the codes are of.
        edition: Icd,
        /// Name of the relation from a code to what stands above it.
        #[serde(default = "is_a")]
        relation: String,
    },
    /// What the parser knows of the codes and items of its cohort: those that make patients up do. For experiments
    /// alone.
    Parser {
        /// Fraction of the facts that are right; each of the others has any code of the cohort as its tail.
        #[serde(default = "all")]
        #[schemars(with = "Proportion")]
        strength: f64,
    },
}

/// A fact in words: head, relation, tail.
pub type Fact = (String, String, String);

/// The cohort, for sources that are derived from one.
pub struct OfCohort<'a> {
    /// The codes, dotted.
    pub codes: &'a [String],
    /// Gives the parser's facts, of which this fraction is right.
    pub facts: &'a dyn Fn(f64) -> Result<Vec<Fact>>,
}

fn all() -> f64 {
    1.0
}

fn is_a() -> String {
    "is_a".to_owned()
}

fn similarity() -> f64 {
    0.95
}

fn levels() -> Vec<f64> {
    vec![0.2, 0.1, 0.05]
}

fn not_given(path: &FilePath) -> bool {
    path.given().is_none()
}

impl GraphSource {
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Icd { .. } | Self::Parser { .. } => Ok(()),
            Self::Hierarchy { path, .. } | Self::Text { path, .. } => path.required("path").map(drop),
            Self::Table { path, relation, columns, heading, .. } => {
                path.required("path")?;
                Form { columns, heading: *heading, relation: relation.as_deref() }.check()
            }
            Self::Cooccurrence { path, levels } => {
                path.required("path")?;
                match levels.windows(2).all(|two| two[0] > two[1]) {
                    true => Ok(()),
                    false => Err(Error::user(format!("expected falling numbers, found {levels:?}")).at_key("levels")),
                }
            }
        }
    }

    /// Refuses a source that is derived from a cohort, where no cohort is at hand.
    pub(crate) fn check_without_cohort(&self) -> Result<()> {
        match self {
            Self::Icd { .. } | Self::Parser { .. } => {
                Err(Error::user("this source is derived from a cohort, and there is none here")
                    .at_key("type")
                    .help(
                        "it is for `data.knowledge` of an experiment, and for a manifest that its model names as `kge`",
                    )
                    .help("`dualk synth --of` writes what a parser knows"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses facts of a parser that has none.
    pub(crate) fn check_facts(facts: &[Fact]) -> Result<()> {
        match facts.is_empty() {
            true => Err(Error::user("this parser knows nothing of its codes").help(
                "name files: { type = \"table\", path = \"…\" }; or { type = \"icd\", edition = \"icd9\" }; or none: []",
            )),
            false => Ok(()),
        }
    }

    /// The paths of the source, by key.
    pub(crate) fn paths(&mut self) -> Vec<(&'static str, &mut FilePath)> {
        match self {
            Self::Icd { .. } | Self::Parser { .. } => Vec::new(),
            Self::Hierarchy { path, .. } | Self::Table { path, .. } | Self::Cooccurrence { path, .. } => {
                vec![("path", path)]
            }
            Self::Text { path, names, .. } => vec![("path", path), ("names", names)],
        }
    }
}
