//! Options from tables, and errors that say which there are.

use crate::component::Component;
use crate::error::Mistakes;
use crate::plugin::option_info::{OptionInfo, options_of};
use crate::{Error, Result};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use toml::Table;

/// The schema of a component's options in one piece, so that it can be put inside another.
pub(super) fn schema_of<C: Component>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<C>()
}

/// The options with those that are left out filled in.
pub(super) fn check_options<C: Component>(table: Table) -> Result<Table> {
    let options: C = parse_options(table)?;
    Table::try_from(&options).map_err(|e| Error::program(format!("options of `{}` cannot be written: {e}", C::NAME)))
}

/// Reads options, refusing keys that the component does not have. Every wrong one is named: it is left out, and the rest read.
pub(super) fn parse_options<C: Component>(mut table: Table) -> Result<C> {
    let schema = schema_of::<C>();
    let known = schema.get("properties").and_then(|p| p.as_object());
    let known: Vec<&str> = known.map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default();
    let mut mistakes = Mistakes::default();
    let unknown: Vec<String> = table.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
    for key in unknown {
        let error = Error::user(format!("`{}` has no option `{key}`", C::NAME)).at_key(&key);
        let error = error.suggest(&key, known.iter().copied());
        mistakes.note::<()>(Err(with_options(error, C::NAME, &schema, &key, mistakes.is_empty())));
        table.remove(&key);
    }
    loop {
        let error = match serde_path_to_error::deserialize(toml::Value::Table(table.clone())) {
            Ok(options) => return mistakes.finish(Some(options)),
            Err(error) => error,
        };
        let key = error.path().to_string();
        let option = key.split(['.', '[']).next().unwrap_or_default();
        let message = error.inner().to_string().trim().to_owned();
        // What was left out may have been needed.
        let follows = message.starts_with("missing field") && !mistakes.is_empty();
        if !follows {
            let error = Error::user(message).at_key(if key == "." { "" } else { &key });
            mistakes.note::<()>(Err(with_options(error, C::NAME, &schema, option, mistakes.is_empty())));
        }
        if follows || table.remove(option).is_none() {
            return mistakes.finish(None);
        }
    }
}

/// The error with what the option means that it is about, and, the first time, what the component accepts, an option a line.
fn with_options(error: Error, component: &str, schema: &Schema, key: &str, first: bool) -> Error {
    let options = options_of(schema);
    let error = match options.iter().find(|option| option.name == key) {
        Some(option) => error.help(format!("{key}: {}", option.about)),
        None => error,
    };
    if !first {
        return error;
    }
    let name = options.iter().map(|option| option.name.len()).max().unwrap_or(0);
    let kind = options.iter().map(|option| option.kind.chars().count()).max().unwrap_or(0);
    let line = |o: &OptionInfo| format!("      {:name$}  {:kind$}  {}", o.name, o.kind, o.default);
    let table: Vec<String> = options.iter().map(line).collect();
    match table.is_empty() {
        true => error.help(format!("`{component}` has no options")),
        false => error
            .help(format!("options of `{component}`, with their defaults:\n{}", table.join("\n")))
            .help("`dualk list SLOT` says what they mean"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::options! {
        /// Demo.
        struct Demo {
            /// Output width of each layer.
            dims: Vec<usize> = vec![256, 256],
        }
    }

    impl Component for Demo {
        const NAME: &'static str = "demo";
        const ABOUT: &'static str = "A demo.";
    }

    fn parse(text: &str) -> Result<Demo> {
        parse_options(toml::from_str(text).unwrap())
    }

    #[test]
    fn options_have_defaults_and_refuse_what_they_do_not_know() {
        assert_eq!(parse("").unwrap().dims, [256, 256]);
        let unknown = parse("dim = [1]").unwrap_err().to_string();
        assert!(unknown.contains("did you mean `dims`?"), "{unknown}");
        let negative = parse("dims = [8, -1]").unwrap_err().to_string();
        assert!(
            negative.contains("dims[1]") && negative.contains("-1") && negative.contains("Output width"),
            "{negative}"
        );
        let all = parse("dims = 3\nheads = 2\nwidth = 1").unwrap_err().to_string();
        for says in ["no option `heads`", "no option `width`", "`dims`: "] {
            assert!(all.contains(says), "{says}: {all}");
        }
    }
}
