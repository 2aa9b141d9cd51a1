//! What serde says of a manifest, as errors with keys.

use super::keys::join;
use crate::Error;
use crate::options::{Refused, in_words};

/// What shows all keys of a manifest.
const SCHEMA: &str = "`dualk schema`";
/// What serde says of a table that does not say which component it is, or which kind of split, schedule or source.
const NO_TYPE: &str = "missing field `type`";

/// What serde says, as an error with a key, suggestions included.
pub(crate) fn from_serde(refused: Refused) -> Error {
    let Refused { key, message, .. } = refused;
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
    use crate::options::read;

    #[test]
    fn values_of_another_type_are_told_in_words_of_toml() {
        let of = |text: &str| {
            let table: toml::Table = toml::from_str(text).unwrap();
            from_serde(read::<Manifest>(table).unwrap_err()).message().to_owned()
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

    /// They were said of the table, and what else was wrong beside it was not found.
    #[test]
    fn values_inside_of_tables_with_a_type_have_keys_and_places() {
        let of = |text: &str, settings: &[String]| {
            let text = format!("name = 'x'\ndata.parser = 'x'\n{text}");
            Manifest::parse(&text, settings).unwrap_err().to_string()
        };
        let no_number = "invalid type: text \"x\", expected a number";
        let from_zero = "invalid type: text \"x\", expected a whole number from 0";
        for (text, key, says) in [
            ("data.split = { train = 'x', type = 'random' }", "data.split.train", no_number),
            ("data.split = { type = 'dualk', train = 9, test = 'x' }", "data.split.test", from_zero),
            ("data.split.type = 'randon'", "data.split.type", "unknown value `randon`"),
            ("data.split = { type = 'random', trian = 1 }", "data.split.trian", "unknown key `trian`"),
            ("data.split = { type = 'dualk', test = 9 }", "data.split", "missing field `train`"),
            (
                "data.knowledge = [{ type = 'cooccurrence', path = 'x', levels = [0.2, 'x'] }]",
                "data.knowledge[0].levels[1]",
                no_number,
            ),
            (
                "data.knowledge = [{ type = 'icd', edition = 'icd11' }]",
                "data.knowledge[0].edition",
                "unknown value `icd11`",
            ),
            ("model.graph_encoder = { dims = [8], type = 3 }", "model.graph_encoder.type", "`type` is a name, found 3"),
            (
                "stage = [{ type = 'x', schedule = { type = 'step', factor = 0.5, every = 'x' } }]",
                "stage[0].schedule.every",
                from_zero,
            ),
            (
                "stage = [{ type = 'x', optimizer = { type = 'sgd', momentum = 'x' } }]",
                "stage[0].optimizer.momentum",
                no_number,
            ),
        ] {
            let error = of(text, &[]);
            assert!(error.starts_with(&format!("`{key}`: {says}\n  --> manifest:3:")), "{text}: {error}");
        }
        let set = of("data.split = { type = 'random' }", &["data.split.train=\"x\"".to_owned()]);
        assert!(set.starts_with(&format!("`data.split.train`: {no_number}\n  --> --set data.split.train=")), "{set}");
        assert_eq!(set.matches("  --> ").count(), 1, "the others and its default need not sum to 1: {set}");
        let several = of("data.split = { type = 'dualk', train = 'x', test = 'x' }\noutput.baselines = 3", &[]);
        for key in ["data.split.train", "data.split.test", "output.baselines"] {
            assert!(several.contains(&format!("`{key}`: invalid type: ")), "{key}: {several}");
        }
        assert_eq!(several.matches("  --> ").count(), 3, "{several}");
    }
}
