//! Settings of the command line: `--set key=value`.

use super::edit::assign;
use super::keys::{from_start, is_too_deep, key_of, steps, written};
use super::origins::{Origin, Origins};
use crate::{Error, Result};
use toml::{Table, Value};

/// How settings are written.
const USAGE: &str = "for example --set seed=7 or --set 'stage[0].epochs=5': the key is dotted, and places in lists are counted \
                     from 0, or from the end from -1";

/// How their values are.
const VALUES: &str = "accepted: TOML, such as 7, true, [1, 2] or { type = \"gat\", heads = 2 }, and texts that do not begin, as \
                      TOML does, with a bracket or a quote";

/// Applies one `key=value` to a manifest; the value is TOML, or else a text.
///
/// # Errors
/// Name the setting, and what may be meant.
pub(super) fn apply(setting: &str, table: &mut Table, origins: &mut Origins) -> Result<()> {
    let with_meant = |error: Error, meant: Vec<String>| match meant.is_empty() {
        true => error.help(USAGE),
        false => error.help(format!("did you mean `{}`?", meant.join("` or `"))).help(USAGE),
    };
    let Some((key, text)) = setting.split_once('=') else {
        let error = wrong(setting, "expected KEY=VALUE, found no `=`");
        let like = origins.keys_like(setting.trim()).into_iter();
        return Err(with_meant(error, like.map(|key| format!("{key}=VALUE")).collect()));
    };
    let (key, text) = (key.trim(), text.trim());
    let meant = || closed(table, key).into_iter().collect();
    let steps = written(key).map_err(|what| with_meant(wrong(setting, &what), meant()))?;
    let steps = from_start(table, &steps);
    let value = value_of(text).map_err(|what| wrong(setting, &what).help(VALUES))?;
    put(setting, &steps, value, table, origins)
}

/// Gives a key the value that a program has for it, which errors show as the setting that it stands for.
///
/// # Errors
/// As [`apply`].
pub(super) fn give(key: &str, value: Value, table: &mut Table, origins: &mut Origins) -> Result<()> {
    let setting = format!("{key}={value}");
    let steps = written(key).map_err(|what| wrong(&setting, &what))?;
    let steps = from_start(table, &steps);
    put(&setting, &steps, value, table, origins)
}

fn put(setting: &str, steps: &[String], value: Value, table: &mut Table, origins: &mut Origins) -> Result<()> {
    assign(table, steps, value).map_err(|what| wrong(setting, &what).help(USAGE))?;
    origins.replace(key_of(steps), Some(Origin::Setting(setting.to_owned())));
    Ok(())
}

fn wrong(setting: &str, what: &str) -> Error {
    Error::user(format!("`--set {setting}`: {what}"))
}

/// A key whose brackets are not as they should be, as it may be meant: where it leads somewhere.
fn closed(table: &Table, key: &str) -> Option<String> {
    if is_too_deep(key) {
        return None;
    }
    let steps = from_start(table, &steps(key));
    let is_begun = table.contains_key(steps.first()?) && !steps.iter().any(String::is_empty);
    let leads = is_begun && assign(&mut table.clone(), &steps, Value::Boolean(true)).is_ok();
    leads.then(|| key_of(&steps))
}

/// The value of a setting: TOML, or else a text, unless it begins as TOML does.
fn value_of(text: &str) -> Result<Value, String> {
    let as_text = || Value::String(text.to_owned());
    match toml::from_str::<Table>(&format!("value = {text}")) {
        Ok(mut table) => Ok(table.remove("value").unwrap_or_else(as_text)),
        Err(error) if text.starts_with(['{', '[', '"', '\'']) => {
            Err(format!("the value is not TOML: {}", error.message().trim()))
        }
        Err(_) => Ok(as_text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use toml::de::DeTable;

    /// A setting of a manifest.
    fn set(text: &str, setting: &str) -> Result<Table> {
        let mut table: Table = toml::from_str(text).unwrap();
        let parsed = DeTable::parse(text).unwrap();
        let mut origins = Origins::of_text(Path::new("manifest"), text, parsed.get_ref());
        apply(setting, &mut table, &mut origins).map(|()| table)
    }

    #[test]
    fn mistakes_in_settings_say_what_is_accepted() {
        let text = "seed = 1\n[[stage]]\nepochs = 1\nlr = 0.1\n[[stage]]\nlr = 0.2\n";
        let set = |setting: &str| set(text, setting);
        let usage = "--set 'stage[0].epochs=5'";
        for (setting, says) in [
            (
                "lr",
                ["expected KEY=VALUE, found no `=`", "did you mean `stage[0].lr=VALUE` or `stage[1].lr=VALUE`?", usage],
            ),
            ("epoch", ["found no `=`", "did you mean `stage[0].epochs=VALUE`?", usage]),
            ("=3", ["there is no key", usage, usage]),
            (".lr=3", ["a name is missing in the key `.lr`", usage, usage]),
            ("stage[9].lr=1", ["there is no item 9: the list has 2", "from the end from -1", usage]),
            ("stage.lr=1", ["there is no item lr: the list has 2", usage, usage]),
            ("stage[0.lr=1", ["a `[` in the key `stage[0.lr` is not closed", "did you mean `stage[0].lr`?", usage]),
            ("seed.x=1", ["`x` is inside a value that is no table", usage, usage]),
            ("model.x={type=\"gat\"", ["the value is not TOML: ", "accepted: TOML, such as 7", "a bracket or a quote"]),
            ("name=\"a", ["the value is not TOML: ", "accepted: TOML, such as 7", "texts"]),
        ] {
            let error = set(setting).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(&format!("`--set {setting}`: ")) && error.exit_code() == 2, "{text}");
            says.iter().for_each(|part| assert!(text.contains(part), "{setting} lacks {part:?}: {text}"));
        }
        assert!(set("name={gat").unwrap_err().places().is_empty());
        // What may be meant leads somewhere.
        for setting in ["xy", "stage[0]lr=1", "stage[one].lr=1", "stage[9.lr=1"] {
            let far = set(setting).unwrap_err().to_string();
            assert!(!far.contains("did you mean"), "{far}");
        }
    }
}
