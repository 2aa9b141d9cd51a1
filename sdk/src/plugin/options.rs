//! Options from tables, and errors that say which there are.

use super::option_info::{OptionInfo, options_of};
use crate::component::Component;
use crate::error::{MOST_LISTED, Mistakes};
use crate::options::{Refused, in_words, out_of_range, read, schema_of};
use crate::{Error, Result};
use schemars::Schema;
use toml::Table;

/// The options with those that are left out filled in. Keys `beside` them are none, but may be meant by one that is misspelt.
pub(super) fn check_options<C: Component>(table: Table, beside: &[&str]) -> Result<Table> {
    written(&read_options::<C>(table, beside)?)
}

/// Reads options, refusing keys that the component does not have and values outside of the declared ranges.
pub(super) fn parse_options<C: Component>(table: Table) -> Result<C> {
    read_options(table, &[])
}

fn written<C: Component>(options: &C) -> Result<Table> {
    Table::try_from(options).map_err(|e| Error::program(format!("options of `{}` cannot be written: {e}", C::NAME)))
}

/// Every wrong option is named: it is left out, and the rest read.
fn read_options<C: Component>(table: Table, beside: &[&str]) -> Result<C> {
    let schema = schema_of::<C>();
    let mut mistakes = Mistakes::default();
    let mut table = without_unknown::<C>(table, &schema, beside, &mut mistakes);
    loop {
        let Refused { key, message, .. } = match read(table.clone()) {
            Ok(options) => {
                for error in out_of_range(&schema, written::<C>(&options)?) {
                    mistakes.note::<()>(Err(explained(error, &schema)));
                }
                return mistakes.finish(Some(options));
            }
            Err(refused) => refused,
        };
        let option = key.split(['.', '[']).next().unwrap_or_default();
        let message = in_words(&message);
        // What was left out may have been needed.
        let follows = message.starts_with("missing field") && !mistakes.is_empty();
        if !follows {
            let error = Error::user(message).at_key(&key);
            mistakes.note::<()>(Err(with_options(error, C::NAME, &schema, option, mistakes.is_empty())));
        }
        if follows || table.remove(option).is_none() {
            return mistakes.finish(None);
        }
    }
}

/// The options without keys that the component does not have, each of which is a mistake.
fn without_unknown<C: Component>(mut table: Table, schema: &Schema, beside: &[&str], mistakes: &mut Mistakes) -> Table {
    let known = schema.get("properties").and_then(|p| p.as_object());
    let known: Vec<&str> = known.map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default();
    let unknown: Vec<String> = table.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
    for key in unknown {
        let error = Error::user(format!("`{}` has no option `{key}`", C::NAME)).at_key(&key);
        let error = error.suggest_with(&key, known.iter().chain(beside).copied(), &command(C::NAME));
        let is_first = mistakes.is_empty();
        let error = with_options(error, C::NAME, schema, &key, is_first);
        mistakes.note::<()>(Err(match is_first && !beside.is_empty() {
            true => error.help(format!("beside these, whatever the component: `{}`", beside.join("`, `"))),
            false => error,
        }));
        table.remove(&key);
    }
    table
}

/// The error with what the option means that its key names.
fn explained(error: Error, schema: &Schema) -> Error {
    let key = error.key().map(|key| key.split(['.', '[']).next().unwrap_or_default().to_owned());
    about(error, &options_of(schema), &key.unwrap_or_default())
}

fn about(error: Error, options: &[OptionInfo], key: &str) -> Error {
    match options.iter().find(|option| option.name == key) {
        Some(option) => error.help(format!("{key}: {}", option.about)),
        None => error,
    }
}

/// What shows all options of a component, with what they mean.
fn command(component: &str) -> String {
    format!("`dualk list {component}`")
}

/// The error with what the option means that it is about, and, the first time, what the component accepts, an option a line.
fn with_options(error: Error, component: &str, schema: &Schema, key: &str, first: bool) -> Error {
    let options = options_of(schema);
    let error = about(error, &options, key);
    if !first {
        return error;
    }
    match options.is_empty() {
        true => error.help(format!("`{component}` has no options")),
        false => error
            .help(format!(
                "options of `{component}`, with their defaults:\n{}",
                table_of(component, &options, key).join("\n")
            ))
            .help(format!("{} says what they mean", command(component))),
    }
}

/// A line for each option, up to a dozen, with that of `key` among them, and how many more there are.
fn table_of(component: &str, options: &[OptionInfo], key: &str) -> Vec<String> {
    let behind = options.iter().skip(MOST_LISTED).find(|option| option.name == key);
    let shown: Vec<&OptionInfo> =
        options.iter().take(MOST_LISTED - usize::from(behind.is_some())).chain(behind).collect();
    let name = shown.iter().map(|option| option.name.len()).max().unwrap_or(0);
    let kind = shown.iter().map(|option| option.kind.chars().count()).max().unwrap_or(0);
    let line = |o: &&OptionInfo| format!("      {:name$}  {:kind$}  {}", o.name, o.kind, o.default);
    let more = Some(options.len() - shown.len()).filter(|&more| more > 0);
    let more = more.map(|more| format!("      and {more} more: {} shows all", command(component)));
    shown.iter().map(line).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Fraction, Proportion};

    crate::options! {
        /// Demo.
        struct Demo {
            /// Output width of each layer.
            #[schemars(length(min = 1), inner(range(min = 1, max = 512)))]
            dims: Vec<usize> = vec![256, 256],
            /// Two of a kind.
            #[schemars(length(equal = 2), inner(range(min = 1)))]
            pair: Vec<usize> = vec![2, 1],
            /// What is dropped.
            #[schemars(with = "Option<Fraction>")]
            dropout: Option<f64> = None,
            /// How much it weighs.
            #[schemars(range(min = 0.0))]
            weight: f64 = 1.0,
            /// Strictly between.
            #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
            inner: f64 = 0.5,
            /// Above 0, and at most 1.
            #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 1.0))]
            part: f64 = 0.5,
            /// How likely it is.
            #[schemars(with = "Proportion")]
            chance: f64 = 0.5,
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
        let Demo { dims, dropout, weight, .. } = parse("").unwrap();
        assert_eq!((dims, dropout, weight), (vec![256, 256], None, 1.0));
        let unknown = parse("dim = [1]").unwrap_err().to_string();
        assert!(unknown.contains("did you mean `dims`?"), "{unknown}");
        let negative = parse("dims = [8, -1]").unwrap_err().to_string();
        assert!(
            negative.contains("dims[1]") && negative.contains("-1") && negative.contains("Output width"),
            "{negative}"
        );
        for (text, says) in [
            ("dims = 3", "`dims`: invalid type: integer `3`, expected a list"),
            ("dims = { a = 1 }", "`dims`: invalid type: a table, expected a list"),
            ("weight = 'x'", "`weight`: invalid type: text \"x\", expected a number"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text}: {error}");
        }
        let all = parse("dims = 3\nheads = 2\nwidth = 1").unwrap_err().to_string();
        for says in ["no option `heads`", "no option `width`", "`dims`: "] {
            assert!(all.contains(says), "{says}: {all}");
        }
    }

    #[test]
    fn keys_beside_the_options_may_be_meant_too() {
        let of = |text: &str| check_options::<Demo>(toml::from_str(text).unwrap(), &["history", "prior"]);
        assert!(of("weight = 2").is_ok());
        let near = of("prioor = true").unwrap_err().to_string();
        let beside = "beside these, whatever the component: `history`, `prior`";
        for says in ["no option `prioor`", "did you mean `prior`?", "part, chance, history, prior\n", beside] {
            assert!(near.contains(says), "{says}: {near}");
        }
        let two = of("prioor = true\nhistroy = true").unwrap_err().to_string();
        assert!(two.contains("did you mean `history`?") && two.matches(beside).count() == 1, "{two}");
    }

    crate::options! {
        /// Many.
        struct Many {
            /// Of a.
            a: u8 = 1,
            /// Of b.
            b: u8 = 1,
            /// Of c.
            c: u8 = 1,
            /// Of d.
            d: u8 = 1,
            /// Of e.
            e: u8 = 1,
            /// Of f.
            f: u8 = 1,
            /// Of g.
            g: u8 = 1,
            /// Of h.
            h: u8 = 1,
            /// Of i.
            i: u8 = 1,
            /// Of j.
            j: u8 = 1,
            /// Of k.
            k: u8 = 1,
            /// Of l.
            l: u8 = 1,
            /// Of m.
            m: u8 = 1,
            /// Of n.
            n: u8 = 1,
        }
    }

    impl Component for Many {
        const NAME: &'static str = "many";
        const ABOUT: &'static str = "Many options.";
    }

    #[test]
    fn a_dozen_options_are_shown_with_the_one_that_is_meant() {
        let of = |text: &str| parse_options::<Many>(toml::from_str(text).unwrap()).unwrap_err().to_string();
        let shown = |error: &str| -> String {
            let rows = error.lines().filter_map(|line| line.strip_prefix("      "));
            rows.filter_map(|row| row.split_once("  ")).map(|(name, _)| name.trim()).collect()
        };
        let unknown = of("unknown = 3");
        assert!(
            unknown.contains("accepted: a, b, c, d, e, f, g, h, i, j, k, l, and 2 more: `dualk list many`"),
            "{unknown}"
        );
        assert!(unknown.contains("      and 2 more: `dualk list many` shows all\n"), "{unknown}");
        assert!(unknown.ends_with("  = `dualk list many` says what they mean"), "{unknown}");
        assert_eq!(shown(&unknown), "abcdefghijkl");
        assert_eq!(shown(&of("n = 'x'")), "abcdefghijkn");
    }

    #[test]
    fn values_are_within_the_declared_ranges() {
        let parsed = parse("dims = [1, 512]\ndropout = 0.0\nweight = 1e9\nchance = 1").unwrap();
        assert_eq!((parsed.dims, parsed.dropout, parsed.chance), (vec![1, 512], Some(0.0), 1.0));
        for (text, says) in [
            ("dims = [1, 0]", "`dims[1]`: expected 1 to 512, found 0"),
            ("dims = [513]", "`dims[0]`: expected 1 to 512, found 513"),
            ("dims = []", "`dims`: expected at least 1 of them, found 0"),
            ("pair = [1]", "`pair`: expected at least 2 of them, found 1"),
            ("pair = [1, 2, 3]", "`pair`: expected at most 2 of them, found 3"),
            ("dropout = 1", "`dropout`: expected at least 0 and less than 1, found 1"),
            ("dropout = nan", "`dropout`: expected at least 0 and less than 1, found NaN"),
            ("weight = -0.5", "`weight`: expected a number of at least 0, found -0.5"),
            ("weight = inf", "`weight`: expected a number of at least 0 and finite, found inf"),
            ("inner = 1.5", "`inner`: expected more than 0 and less than 1, found 1.5"),
            ("part = 0", "`part`: expected more than 0 and at most 1, found 0"),
            ("chance = 1.5", "`chance`: expected 0 to 1, found 1.5"),
            ("chance = nan", "`chance`: expected 0 to 1, found NaN"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text}: {error}");
        }
        let all = parse("dims = [0]\nweight = -1\nheads = 2").unwrap_err().to_string();
        for says in ["no option `heads`", "`dims[0]`: ", "`weight`: ", "How much it weighs"] {
            assert!(all.contains(says), "{says}: {all}");
        }
    }
}
