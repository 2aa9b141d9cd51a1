//! What serde says of a manifest, as errors with keys.

use super::keys::join;
use crate::Error;
use crate::options::in_words;

/// What shows all keys of a manifest.
const SCHEMA: &str = "`dualk schema`";
/// What serde says of a table that does not say which component it is, or which kind of split, schedule or source.
const NO_TYPE: &str = "missing field `type`";

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
        _ if message == NO_TYPE => Error::user(message)
            .at_key(key)
            .help("say which one it is beside its options: { type = \"…\", … }; `dualk list` shows all components"),
        _ => Error::user(in_words(&message)).at_key(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Manifest;

    #[test]
    fn values_of_another_type_are_told_in_words_of_toml() {
        let of = |text: &str| {
            let table: toml::Table = toml::from_str(text).unwrap();
            let read: Result<Manifest, _> = serde_path_to_error::deserialize(toml::Value::Table(table));
            from_serde(read.unwrap_err()).message().to_owned()
        };
        for (text, says) in [
            ("data = 3", "invalid type: integer `3`, expected a table"),
            ("model = 3", "invalid type: integer `3`, expected a table"),
            ("data = { split = 3 }", "expected a table"),
            ("stage = 3", "invalid type: integer `3`, expected a list"),
            ("name = 3", "invalid type: integer `3`, expected a text"),
            ("compat = 3", "expected a text"),
            ("output = { access = 3 }", "expected a text"),
        ] {
            let message = of(text);
            assert!(message.ends_with(says), "{text}: {message}");
            for word in ["struct", "enum", "variant", "sequence", "map", "string"] {
                assert!(!message.contains(word), "{text}: {message}");
            }
        }
    }
}
