//! Heads as a manifest has them: the component that makes them, and what their logits get beside.

use crate::component::ComponentRef;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// Heads: the component that makes them, which may stay open where its options are given, and what the logits get
/// beside.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Heads {
    /// Whether a patient's own codes, and their neighbours in the graph, also reach the logits of a task directly, past
    /// fusions and hidden layers. Default: true, and false with `compat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<bool>,
    /// Where logits of labels begin. `"mean"`: all at the log-odds of the mean rate of the labels among the examples that a
    /// stage learns from; `true` or `"rates"`: each label at those of its own; `false` or `"none"`: near 0. Default: `"mean"`,
    /// and false with `compat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<Prior>,
    /// The component of the slot `head`.
    #[serde(flatten)]
    #[schemars(skip)]
    pub component: ComponentRef,
}

impl Heads {
    /// Its keys that are no options of the component.
    pub(super) const SWITCHES: [&'static str; 2] = ["history", "prior"];
}

impl<'de> Deserialize<'de> for Heads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// Reads heads key by key, so that a mistake has the key that it is at.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Heads;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a head such as { type = \"…\" }")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Heads, E> {
        Ok(Heads { component: ComponentRef::named(name), ..Heads::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Heads, A::Error> {
        let mut heads = Heads::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => heads.component.r#type = map.next_value()?,
                "history" => heads.history = Some(map.next_value()?),
                "prior" => heads.prior = Some(map.next_value()?),
                _ => drop(heads.component.options.insert(key, map.next_value()?)),
            }
        }
        Ok(heads)
    }
}

/// Where the logits of labels begin. The first two are written as `true` and `false`, as they were when there was no third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prior {
    /// At the log-odds of each label among the examples that a stage learns from.
    Rates,
    /// Near 0, a probability of a half each.
    Nothing,
    /// All at the log-odds of the mean rate of the labels.
    Mean,
}

impl Prior {
    /// The words for [`Prior::Rates`], [`Prior::Mean`] and [`Prior::Nothing`].
    const WORDS: &'static [&'static str] = &["rates", "mean", "none"];
}

impl Serialize for Prior {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rates => serializer.serialize_bool(true),
            Self::Nothing => serializer.serialize_bool(false),
            Self::Mean => serializer.serialize_str("mean"),
        }
    }
}

impl<'de> Deserialize<'de> for Prior {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Start)
    }
}

/// Reads a [`Prior`].
struct Start;

impl Visitor<'_> for Start {
    type Value = Prior;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "true, false or one of the texts `{}`", Prior::WORDS.join("`, `"))
    }

    fn visit_bool<E: de::Error>(self, has_rates: bool) -> Result<Prior, E> {
        Ok(if has_rates { Prior::Rates } else { Prior::Nothing })
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Prior, E> {
        match word {
            "rates" => Ok(Prior::Rates),
            "mean" => Ok(Prior::Mean),
            "none" => Ok(Prior::Nothing),
            other => Err(E::unknown_variant(other, Prior::WORDS)),
        }
    }
}

impl JsonSchema for Prior {
    fn schema_name() -> Cow<'static, str> {
        "Prior".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["boolean", "string"], "enum": [true, false, "rates", "mean", "none"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Table;

    fn head(text: &str) -> Result<Heads, toml::de::Error> {
        toml::from_str(text)
    }

    /// Caches and runs from before there was a third start know the first two by `true` and `false`.
    #[test]
    fn a_start_is_written_in_one_way_however_it_was_said() {
        for (said, prior, written) in [
            ("true", Prior::Rates, "true"),
            ("\"rates\"", Prior::Rates, "true"),
            ("\"mean\"", Prior::Mean, "\"mean\""),
            ("false", Prior::Nothing, "false"),
            ("\"none\"", Prior::Nothing, "false"),
        ] {
            let heads = head(&format!("type = \"mlp\"\nhistory = false\nprior = {said}\nclassifier = [8]")).unwrap();
            assert_eq!((heads.history, heads.prior), (Some(false), Some(prior)), "{said}");
            let table = Table::try_from(&heads).unwrap();
            assert_eq!((table.len(), table["prior"].to_string().as_str()), (4, written), "{said}");
            let again = head(&toml::to_string(&heads).unwrap()).unwrap();
            assert_eq!((again.history, again.prior), (heads.history, heads.prior), "{said}");
            assert_eq!((again.component.r#type.as_str(), &again.component), ("mlp", &heads.component), "{said}");
        }
        let open = head("").unwrap();
        assert!(open.prior.is_none() && open.component.is_open());
    }

    #[test]
    fn wrong_values_are_answered_with_what_is_accepted() {
        for (wrong, says) in [
            ("prior = \"maen\"", "unknown variant `maen`, expected one of `rates`, `mean`, `none`"),
            ("prior = 1", "expected true, false or one of the texts `rates`, `mean`, `none`"),
            ("history = \"yes\"", "expected a boolean"),
            ("type = 3", "expected a string"),
        ] {
            let error = head(wrong).unwrap_err();
            assert!(error.message().contains(says), "{wrong}: {error}");
        }
    }
}
