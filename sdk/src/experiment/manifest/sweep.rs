//! `[sweep]`: which members `dualk sweep` makes of a manifest.

use super::keys::{may_be_one, overlap, says, steps};
use super::random::RandomSearch;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Values for keys of the manifest. Configurations are every combination of `grid`, then the entries of `list`, then the
/// draws of `random`; without any of them, the manifest itself. Each is trained once a seed, and once a setting of `tune`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SweepOptions {
    /// Seeds that every configuration is trained with; the manifest's own when empty.
    pub seeds: Vec<u64>,
    /// Dotted keys with lists of values, all combined: `{ "model.graph_encoder" = ["gat", "gcn"] }`.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub grid: Table,
    /// Configurations one by one, each a table of dotted keys; the empty table is the manifest itself. `name` is that of its
    /// row.
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub list: Vec<Table>,
    /// Configurations at random.
    pub random: Option<RandomSearch>,
    /// Dotted keys with lists of values, all combined, that every configuration is tuned by: its row is the setting that is best
    /// on valid.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub tune: Table,
    /// With how many of the seeds, from the first on, the settings of `tune` are compared; with all when absent. With the others
    /// only the setting that is chosen trains.
    pub tune_seeds: Option<usize>,
    /// The row of the table that the others are compared with; the first when absent.
    pub baseline: Option<String>,
    /// What `dualk sweep --quick` changes first: dotted keys with values, such as `"sweep.seeds" = [1]`.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub quick: Table,
}

/// A key of the manifest, its value in a member, and the key of the sweep that says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Dotted key, such as `model.graph_encoder`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where it was written, such as `sweep.grid.model.graph_encoder[1]`.
    pub written_at: String,
}

impl SweepOptions {
    /// What `--quick` changes.
    pub fn quick(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        let _ = flatten(&self.quick, "", "sweep.quick", &mut |key, value, written_at| {
            settings.push(Setting { key, value: value.clone(), written_at });
            Ok(())
        });
        settings
    }

    /// The configurations, in the order of the manifest.
    ///
    /// # Errors
    /// Name the key, from `sweep` on.
    pub fn configurations(&self) -> Result<Vec<Configuration>> {
        let mut all: Vec<Configuration> =
            grid(&self.grid, "sweep.grid")?.into_iter().map(Configuration::from).collect();
        for (i, entry) in self.list.iter().enumerate() {
            all.push(listed(entry, &format!("sweep.list[{i}]"))?);
        }
        if let Some(random) = &self.random {
            all.extend(random.configurations()?.into_iter().map(Configuration::from));
        }
        if all.is_empty() {
            all.push(Configuration::default());
        }
        all.iter().try_for_each(|one| one.settings.iter().try_for_each(may_differ).map_err(|e| one.mistake(e)))?;
        self.check_names(&all)?;
        Ok(all)
    }

    /// The settings that each configuration is tuned by; one that changes nothing where it is not.
    ///
    /// # Errors
    /// Name the key, from `sweep` on: a key that is tuned is set by no configuration. One may set what holds it, without it.
    pub fn tunings(&self, configurations: &[Configuration]) -> Result<Vec<Vec<Setting>>> {
        let all = grid(&self.tune, "sweep.tune")?;
        let Some(first) = all.first() else { return Ok(vec![Vec::new()]) };
        first.iter().try_for_each(may_differ)?;
        first.iter().try_for_each(of_same_patients)?;
        let set = configurations.iter().flat_map(|one| one.settings.iter().map(move |setting| (one, setting)));
        for ((one, setting), tuned) in set.flat_map(|s| first.iter().map(move |t| (s, t))) {
            if says(&setting.key, &setting.value, &tuned.key) {
                let message = match setting.key == tuned.key {
                    true => format!("`{}` is tuned, and so is set by no configuration", tuned.key),
                    false => {
                        format!("`{}`, which is tuned, may be part of what this sets, `{}`", tuned.key, setting.key)
                    }
                };
                let error = Error::user(message).at_key(&setting.written_at);
                return Err(one.mistake(error.help("leave it out of `sweep.tune`, or here")));
            }
        }
        Ok(all)
    }

    /// Two rows of one name could not be told apart; entries that differ in the seeds of their patients alone are one row.
    fn check_names(&self, all: &[Configuration]) -> Result<()> {
        let named: Vec<&Configuration> = all.iter().filter(|one| one.name.is_some()).collect();
        let clash = |(i, one): (usize, &&Configuration)| {
            let other = named[..i].iter().find(|other| other.name == one.name)?;
            (other.changes(true) == one.changes(true) || other.changes(false) != one.changes(false))
                .then(|| one.name.clone())?
        };
        match named.iter().enumerate().find_map(clash) {
            None => Ok(()),
            Some(name) => Err(Error::user(format!("another row has the name `{name}`")).at_key(self.named_at(&name))),
        }
    }

    /// The key of the last row that has this name.
    pub(in crate::experiment) fn named_at(&self, name: &str) -> String {
        let named = |entry: &Table| entry.get("name").and_then(Value::as_str) == Some(name);
        let last = self.list.iter().rposition(named);
        last.map_or_else(|| "sweep.list".to_owned(), |entry| format!("sweep.list[{entry}].name"))
    }
}

/// What a row of the table is trained with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// Name of the row, where the manifest gives one.
    pub name: Option<String>,
    /// What it changes in the manifest.
    pub settings: Vec<Setting>,
}

impl Configuration {
    /// A mistake of this row, with its name where the manifest gives one.
    fn mistake(&self, error: Error) -> Error {
        match &self.name {
            Some(name) => error.of(&format!("in the row `{name}`")),
            None => error,
        }
    }

    /// What it changes, with or without the seeds of cohort and split.
    fn changes(&self, with_seeds: bool) -> Vec<(&str, &Value)> {
        let is_seed = |setting: &&Setting| SEEDS_OF_PATIENTS.contains(&setting.key.as_str());
        let kept = self.settings.iter().filter(|setting| with_seeds || !is_seed(setting));
        kept.map(|setting| (setting.key.as_str(), &setting.value)).collect()
    }
}

impl Setting {
    /// Whether it says who the patients are, and who serves for what.
    pub(in crate::experiment) fn is_of_patients(&self) -> bool {
        ["data.split", "data.parser.seed"].iter().any(|key| overlap(&self.key, key))
    }
}

/// Keys whose values are no rows, but runs of a row on other patients.
const SEEDS_OF_PATIENTS: [&str; 2] = ["data.parser.seed", "data.split.seed"];

impl From<Vec<Setting>> for Configuration {
    fn from(settings: Vec<Setting>) -> Self {
        Self { name: None, settings }
    }
}

/// An entry of `list`.
fn listed(entry: &Table, at: &str) -> Result<Configuration> {
    let mut entry = entry.clone();
    let name = match entry.remove("name") {
        None => None,
        Some(Value::String(name)) if !name.trim().is_empty() && !name.contains(char::is_control) => Some(name),
        Some(other) => {
            let message = format!("expected the name of a row, on one line, found {other}");
            return Err(Error::user(message).at_key(format!("{at}.name")));
        }
    };
    let mut settings = Vec::new();
    flatten(&entry, "", at, &mut |key, value, at| {
        settings.push(Setting { key, value: value.clone(), written_at: at });
        Ok(())
    })?;
    Ok(Configuration { name, settings })
}

/// Refuses what is the same in all members.
fn may_differ(setting: &Setting) -> Result<()> {
    let first = steps(&setting.key).into_iter().next().unwrap_or_default();
    if !["seed", "sweep", "output", "extends", "name"].contains(&first) {
        return Ok(());
    }
    let help = match first {
        "seed" => "write seeds = [1, 2, 3]",
        "name" => "an entry of sweep.list has a name of its own",
        _ => "change it in the manifest itself",
    };
    let message = format!("`{first}` cannot differ between the members of a sweep");
    Err(Error::user(message).at_key(&setting.written_at).help(help))
}

/// Refuses to tune who the patients are: what is best on valid would be the easiest of them.
fn of_same_patients(setting: &Setting) -> Result<()> {
    match ["data.split", "data.parser"].iter().any(|key| overlap(&setting.key, key)) {
        false => Ok(()),
        true => Err(Error::user(format!("`{}` says who the patients are, and is not tuned", setting.key))
            .at_key(&setting.written_at)
            .help("seeds of cohort and split in `sweep.grid` make runs of a row on other patients")),
    }
}

/// Most configurations of a sweep.
pub(super) const MOST: usize = 10_000;

pub(super) fn joined(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Calls `visit` for every key of a table of dotted keys. A table that is no component holds more keys.
fn flatten(
    table: &Table,
    prefix: &str,
    at: &str,
    visit: &mut dyn FnMut(String, &Value, String) -> Result<()>,
) -> Result<()> {
    for (key, value) in table {
        let (path, at) = (joined(prefix, key), format!("{at}.{key}"));
        match value {
            // `model.graph_encoder = "gcn"` without quotes around the key is a table in a table.
            Value::Table(inner) if !inner.contains_key("type") && !key.contains('.') && !inner.is_empty() => {
                flatten(inner, &path, &at, visit)?;
            }
            _ => visit(path, value, at)?,
        }
    }
    Ok(())
}

/// Every combination of a table of dotted keys with lists of values; none of an empty one.
fn grid(table: &Table, at: &str) -> Result<Vec<Vec<Setting>>> {
    if table.is_empty() {
        return Ok(Vec::new());
    }
    let axes = axes(table, at)?;
    let size = axes.iter().try_fold(1usize, |n, axis| n.checked_mul(axis.len())).unwrap_or(usize::MAX);
    if size > MOST {
        let message = format!("expected at most {MOST} combinations, found {size}");
        return Err(Error::user(message).at_key(at).help("draw some of them with `sweep.random`"));
    }
    Ok(combinations(&axes))
}

/// Each key of the grid with its values.
fn axes(grid: &Table, at: &str) -> Result<Vec<Vec<Setting>>> {
    let mut axes = Vec::new();
    flatten(grid, "", at, &mut |key, value, at| {
        let values = match value {
            Value::Array(values) if !values.is_empty() => values,
            Value::Array(_) => return Err(Error::user("expected at least one value").at_key(at)),
            other => {
                let message = format!("expected a list of values, found {other}");
                return Err(Error::user(message).at_key(at).help(format!("write [{other}]")));
            }
        };
        let setting = |(i, value): (usize, &Value)| Setting {
            key: key.clone(),
            value: value.clone(),
            written_at: format!("{at}[{i}]"),
        };
        axes.push(values.iter().enumerate().map(setting).collect::<Vec<_>>());
        Ok(())
    })?;
    let keys = axes.iter().filter_map(|axis| axis.first());
    for (i, one) in keys.clone().enumerate() {
        if let Some(other) = keys.clone().take(i).find(|other| may_be_one(&one.key, &other.key)) {
            let message = format!("`{}` may be `{}`, which is there as well", one.key, other.key);
            return Err(Error::user(message).at_key(&one.written_at).help("count places of both from the same end"));
        }
    }
    Ok(axes)
}

/// Every combination, the last key running fastest.
fn combinations(axes: &[Vec<Setting>]) -> Vec<Vec<Setting>> {
    axes.iter().fold(vec![Vec::new()], |sofar, axis| {
        let with = |settings: &Vec<Setting>| {
            let settings = settings.clone();
            axis.iter().map(move |one| settings.iter().cloned().chain([one.clone()]).collect::<Vec<_>>())
        };
        sofar.iter().flat_map(with).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> SweepOptions {
        toml::from_str(text).unwrap()
    }

    fn texts(options: &SweepOptions) -> Vec<String> {
        options.configurations().unwrap().iter().map(|one| text(&one.settings)).collect()
    }

    fn text(settings: &[Setting]) -> String {
        settings.iter().map(|s| format!("{}={}", s.key, s.value)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_grid_combines_and_a_list_adds() {
        let sweep = options("grid = { a = [1, 2], 'b.c' = ['x', 'y'] }\nlist = [{}, { 'b.c' = 'z', b = { d = 3 } }]");
        let expected = ["a=1 b.c=\"x\"", "a=1 b.c=\"y\"", "a=2 b.c=\"x\"", "a=2 b.c=\"y\"", "", "b.c=\"z\" b.d=3"];
        assert_eq!(texts(&sweep), expected);
        assert_eq!(texts(&options("seeds = [1, 2]")), [""]);
        // Keys without quotes are the same keys.
        assert_eq!(texts(&options("grid.b.c = [1, 2]")), ["b.c=1", "b.c=2"]);
    }

    #[test]
    fn every_configuration_is_tuned_by_all_combinations() {
        let sweep = options("grid = { a = [1, 2] }\ntune = { 'b.c' = ['x', 'y'], lr = [0.1, 0.2] }");
        let tunings = sweep.tunings(&sweep.configurations().unwrap()).unwrap();
        let texts: Vec<String> = tunings.iter().map(|one| text(one)).collect();
        assert_eq!(texts, ["b.c=\"x\" lr=0.1", "b.c=\"x\" lr=0.2", "b.c=\"y\" lr=0.1", "b.c=\"y\" lr=0.2"]);
        // Nothing to tune is one setting that changes nothing.
        assert_eq!(options("seeds = [1]").tunings(&[]).unwrap(), [Vec::new()]);
    }

    #[test]
    fn what_is_tuned_is_set_nowhere_else() {
        let tune = "tune = { 'model.head.width' = [1, 2] }";
        let cases = [
            ("'model.head.width' = 3", true),
            ("'model.head' = { type = 'mlp', width = 4 }", true),
            ("'model.head' = { type = 'mlp' }", false),
            ("'model.head.width.more' = 1", true),
            ("'model.head.widths' = 1", false),
            ("'model.lab' = 'none'", false),
        ];
        for (entry, refused) in cases {
            let sweep = options(&format!("{tune}\nlist = [{{ {entry} }}]"));
            let found = sweep.tunings(&sweep.configurations().unwrap());
            match refused {
                true => {
                    let error = found.unwrap_err().to_string();
                    assert!(error.contains("`sweep.list[0].model") && error.contains("is tuned"), "{entry}: {error}");
                }
                false => assert_eq!(found.unwrap().len(), 2, "{entry}"),
            }
        }
    }

    #[test]
    fn the_last_stage_is_tuned_however_many_a_row_has() {
        let tune = "tune = { 'stage[-1].lr' = [1, 2] }";
        let tunings = |entry: &str| {
            let sweep = options(&format!("{tune}\nlist = [{{ {entry} }}]"));
            sweep.tunings(&sweep.configurations().unwrap()).map(|all| all.len()).map_err(|error| error.to_string())
        };
        assert_eq!(tunings("stage = [{ lr = 3 }, { epochs = 2 }]"), Ok(2));
        for entry in ["stage = [{ epochs = 2 }, { lr = 3 }]", "'stage[1].lr' = 3", "'stage[-1].lr' = 3"] {
            assert!(tunings(entry).unwrap_err().contains("is tuned"), "{entry}");
        }
        let error = tunings("name = 'deep', 'stage[1].lr' = 3").unwrap_err();
        assert!(
            error.starts_with("`sweep.list[0].stage[1].lr`: in the row `deep`: `stage[-1].lr`, which is"),
            "{error}"
        );
        let error = tunings("'stage[0].lr' = 3").unwrap_err();
        assert!(
            error.contains("`stage[-1].lr`, which is tuned, may be part of what this sets, `stage[0].lr`"),
            "{error}"
        );
    }

    #[test]
    fn entries_of_a_list_may_have_names() {
        let sweep = options("list = [{ name = 'RETAIN', a = 1 }, { a = 2 }]");
        let all = sweep.configurations().unwrap();
        assert_eq!((all[0].name.as_deref(), text(&all[0].settings)), (Some("RETAIN"), "a=1".to_owned()));
        assert_eq!(all[1].name, None);
    }

    #[test]
    fn entries_that_differ_in_seeds_of_patients_alone_are_one_row() {
        let of = |second: &str| {
            let sweep = options(&format!(
                "list = [{{ name = 'x', a = 1, 'data.split.seed' = 1 }}, {{ name = 'x', {second} }}]"
            ));
            sweep.configurations().map(|all| all.len()).map_err(|error| error.to_string())
        };
        assert_eq!(of("a = 1, 'data.split.seed' = 2"), Ok(2));
        for other in ["a = 2, 'data.split.seed' = 2", "a = 1, 'data.split.seed' = 1"] {
            assert!(of(other).unwrap_err().contains("another row has the name `x`"), "{other}");
        }
        for key in ["data.split.seed", "data.parser.patients"] {
            let tuned = options(&format!("tune = {{ '{key}' = [1, 2] }}")).tunings(&[]).unwrap_err().to_string();
            assert!(tuned.contains(&format!("`sweep.tune.{key}[0]`")) && tuned.contains("is not tuned"), "{tuned}");
        }
    }

    #[test]
    fn mistakes_name_their_key() {
        let cases = [
            ("list = [{ name = 3 }]", "sweep.list[0].name", "found 3"),
            ("list = [{ name = \"a\\nb\" }]", "sweep.list[0].name", "on one line"),
            ("grid = { 's[-1].a' = [1], 's[1].a' = [2] }", "sweep.grid.s[1].a[0]", "`s[1].a` may be `s[-1].a`"),
            ("list = [{ name = 'x', a = 1 }, { name = 'x', a = 2 }]", "sweep.list[1].name", "another row"),
            ("grid = { name = ['x'] }", "sweep.grid.name[0]", "name of its own"),
            ("grid = { a = 1 }", "sweep.grid.a", "write [1]"),
            ("grid = { a = [] }", "sweep.grid.a", "at least one"),
            ("grid = { seed = [1, 2] }", "sweep.grid.seed[0]", "seeds = [1, 2, 3]"),
            ("list = [{ 'output.runs' = 'x' }]", "sweep.list[0].output.runs", "`: `output` cannot differ"),
            ("list = [{}, { name = 'y', seed = 2 }]", "sweep.list[1].seed", "in the row `y`: `seed` cannot differ"),
            ("random = { draws = 0, space = { a = [1] } }", "sweep.random.draws", "1 to 10000"),
            ("random = { draws = 2, space = { a = { low = 2, high = 1 } } }", "sweep.random.space.a", "low < high"),
            ("random = { draws = 2, space = { a = 3 } }", "sweep.random.space.a", "found 3"),
        ];
        for (text, key, says) in cases {
            let error = options(text).configurations().unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")) && error.contains(says), "{text}: {error}");
        }
    }
}
