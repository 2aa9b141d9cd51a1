//! A component as a manifest names it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// A component with its options: `{ type = "gat", heads = 4 }`, or just `"gat"`. The default names none, which leaves
/// the choice to the [recipe](crate::recipe).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ComponentRef {
    /// Name of the component.
    pub r#type: String,
    /// Its options.
    #[serde(flatten)]
    pub options: Table,
}

impl ComponentRef {
    /// A component with its default options.
    pub fn named(name: &str) -> Self {
        Self { r#type: name.to_owned(), options: Table::new() }
    }

    /// Whether it names none.
    pub fn is_open(&self) -> bool {
        self.r#type.is_empty()
    }
}

impl<'de> Deserialize<'de> for ComponentRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match Value::deserialize(deserializer)? {
            Value::String(name) => Ok(Self { r#type: name, options: Table::new() }),
            Value::Table(mut options) => match options.remove("type") {
                Some(Value::String(name)) => Ok(Self { r#type: name, options }),
                Some(other) => Err(D::Error::custom(format!("`type` is a name, found {other}"))),
                None => Err(D::Error::missing_field("type")),
            },
            other => Err(D::Error::custom(format!("expected a component such as {{ type = \"…\" }}, found {other}"))),
        }
    }
}

impl JsonSchema for ComponentRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Component".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "object", "properties": { "type": { "type": "string" } }, "required": ["type"] }
            ]
        })
    }
}
