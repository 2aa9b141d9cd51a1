//! Heads as a manifest has them: the component that makes them, and what their logits get beside.

use crate::component::ComponentRef;
use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Heads: the component that makes them, which may stay open where its options are given, and what the logits get
/// beside.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Heads {
    /// Whether a patient's own codes, and their neighbours in the graph, also reach the logits of a task directly, past
    /// fusions and hidden layers. Default: true, and false with `compat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<bool>,
    /// Whether logits of labels begin at the log-odds of each label among the examples that a stage learns from. Default:
    /// true, and false with `compat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<bool>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Heads, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn heads_are_a_name_or_a_table_and_wrong_values_are_answered() {
        let heads = head("type = \"mlp\"\nhistory = false\nprior = true\nclassifier = [8]").unwrap();
        assert_eq!((heads.history, heads.prior), (Some(false), Some(true)));
        assert_eq!((heads.component.r#type.as_str(), heads.component.options.len()), ("mlp", 1));
        let again = head(&toml::to_string(&heads).unwrap()).unwrap();
        assert_eq!((again.history, again.prior, again.component), (heads.history, heads.prior, heads.component));
        let open = head("").unwrap();
        assert!(open.prior.is_none() && open.component.is_open());
        for (wrong, says) in [("history = \"yes\"", "expected a boolean"), ("type = 3", "expected a string")] {
            let error = head(wrong).unwrap_err();
            assert!(error.message().contains(says), "{wrong}: {error}");
        }
    }
}
