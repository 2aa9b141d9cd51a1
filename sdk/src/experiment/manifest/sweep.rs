//! `[sweep]`: which members `dualk sweep` makes of a manifest.

use crate::train::derive_seed;
use crate::{Error, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Values for keys of the manifest. Configurations are every combination of `grid`, then the entries of `list`, then the
/// draws of `random`; without any of them, the manifest itself. Each is trained once a seed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SweepOptions {
    /// Seeds that every configuration is trained with; the manifest's own when empty.
    pub seeds: Vec<u64>,
    /// Dotted keys with lists of values, all combined: `{ "model.graph_encoder" = ["gat", "gcn"] }`.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub grid: Table,
    /// Configurations one by one, each a table of dotted keys; the empty table is the manifest itself.
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub list: Vec<Table>,
    /// Configurations at random.
    pub random: Option<RandomSearch>,
    /// The row of the table that the others are compared with; the first when absent.
    pub baseline: Option<String>,
    /// What `dualk sweep --quick` changes first: dotted keys with values, such as `"sweep.seeds" = [1]`.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub quick: Table,
}

/// Configurations drawn at random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomSearch {
    /// How many configurations.
    pub draws: usize,
    /// Seed of the draws.
    #[serde(default)]
    pub seed: u64,
    /// Dotted keys, each with a list of values, or with `{ low, high }` and, where wanted, `log = true` or
    /// `integer = true`.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub space: Table,
}

/// A range of `random.space`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    low: f64,
    high: f64,
    #[serde(default)]
    log: bool,
    #[serde(default)]
    integer: bool,
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
    pub fn configurations(&self) -> Result<Vec<Vec<Setting>>> {
        let mut all = Vec::new();
        if !self.grid.is_empty() {
            let axes = axes(&self.grid, "sweep.grid")?;
            let size = axes.iter().try_fold(1usize, |n, axis| n.checked_mul(axis.len())).unwrap_or(usize::MAX);
            if size > MOST {
                let message = format!("expected at most {MOST} combinations, found {size}");
                return Err(Error::user(message).at_key("sweep.grid").help("draw some of them with `sweep.random`"));
            }
            all.extend(combinations(&axes));
        }
        for (i, entry) in self.list.iter().enumerate() {
            let mut settings = Vec::new();
            flatten(entry, "", &format!("sweep.list[{i}]"), &mut |key, value, at| {
                settings.push(Setting { key, value: value.clone(), written_at: at });
                Ok(())
            })?;
            all.push(settings);
        }
        if let Some(random) = &self.random {
            all.extend(random.configurations()?);
        }
        if all.is_empty() {
            all.push(Vec::new());
        }
        for setting in all.iter().flatten() {
            let first = setting.key.split(['.', '[']).next().unwrap_or_default();
            if ["seed", "sweep", "output", "extends", "name"].contains(&first) {
                let help = if first == "seed" { "write seeds = [1, 2, 3]" } else { "change it in the manifest itself" };
                let message = format!("`{first}` cannot differ between the members of a sweep");
                return Err(Error::user(message).at_key(&setting.written_at).help(help));
            }
        }
        Ok(all)
    }
}

/// Most configurations of a sweep.
const MOST: usize = 10_000;

impl RandomSearch {
    fn configurations(&self) -> Result<Vec<Vec<Setting>>> {
        if self.draws == 0 || self.draws > MOST {
            let message = format!("expected 1 to {MOST} draws, found {}", self.draws);
            return Err(Error::user(message).at_key("sweep.random.draws"));
        }
        let mut space = Vec::new();
        flatten_space(&self.space, "", "sweep.random.space", &mut space)?;
        if space.is_empty() {
            return Err(Error::user("there is nothing to draw from").at_key("sweep.random.space"));
        }
        let draw = |n: usize| {
            let draw = |(axis, (key, at, choice)): (usize, &(String, String, Choice))| Setting {
                key: key.clone(),
                value: choice.draw(&mut ChaCha8Rng::seed_from_u64(derive_seed(self.seed, &[n as u64, axis as u64]))),
                written_at: at.clone(),
            };
            space.iter().enumerate().map(draw).collect()
        };
        Ok((0..self.draws).map(draw).collect())
    }
}

/// What a value of `random.space` is drawn from.
enum Choice {
    Values(Vec<Value>),
    Range(Range),
}

impl Choice {
    fn draw(&self, random: &mut ChaCha8Rng) -> Value {
        match self {
            Self::Values(values) => values[random.random_range(0..values.len())].clone(),
            Self::Range(Range { low, high, integer: true, log: false }) => {
                Value::Integer(random.random_range(*low as i64..=*high as i64))
            }
            Self::Range(range) => {
                let at: f64 = random.random();
                let value = match range.log {
                    true => (range.low.ln() + at * (range.high.ln() - range.low.ln())).exp(),
                    false => range.low + at * (range.high - range.low),
                };
                match range.integer {
                    true => Value::Integer((value.round() as i64).clamp(range.low as i64, range.high as i64)),
                    // Four digits are as many as a rate deserves, and the row's name shows them all.
                    false => Value::Float(format!("{value:.3e}").parse().unwrap_or(value)),
                }
            }
        }
    }
}

fn flatten_space(table: &Table, prefix: &str, at: &str, out: &mut Vec<(String, String, Choice)>) -> Result<()> {
    for (key, value) in table {
        let (path, at) = (joined(prefix, key), format!("{at}.{key}"));
        let wrong = |message: String| Error::user(message).at_key(&at);
        match value {
            Value::Array(values) if values.is_empty() => return Err(wrong("expected at least one value".into())),
            Value::Array(values) => out.push((path, at, Choice::Values(values.clone()))),
            Value::Table(inner) if inner.contains_key("low") || inner.contains_key("high") => {
                let range: Range =
                    value.clone().try_into().map_err(|e: toml::de::Error| wrong(e.message().trim().to_owned()))?;
                let whole = |x: f64| x.fract() == 0.0 && x.abs() < 9e15;
                let good = range.low < range.high
                    && range.high.is_finite()
                    && (!range.log || range.low > 0.0)
                    && (!range.integer || (whole(range.low) && whole(range.high)));
                if !good {
                    let message = format!("expected low < high, found {} and {}", range.low, range.high);
                    return Err(
                        wrong(message).help("with log = true both are above 0, with integer = true both are whole")
                    );
                }
                out.push((path, at, Choice::Range(range)));
            }
            Value::Table(inner) => flatten_space(inner, &path, &at, out)?,
            other => {
                let message = format!("expected a list of values, or {{ low = …, high = … }}, found {other}");
                return Err(wrong(message));
            }
        }
    }
    Ok(())
}

fn joined(prefix: &str, key: &str) -> String {
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
        axes.push(values.iter().enumerate().map(setting).collect());
        Ok(())
    })?;
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
        let text = |settings: Vec<Setting>| {
            settings.iter().map(|s| format!("{}={}", s.key, s.value)).collect::<Vec<_>>().join(" ")
        };
        options.configurations().unwrap().into_iter().map(text).collect()
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
    fn draws_stay_in_their_ranges_and_repeat() {
        let text = "[random]\ndraws = 200\nseed = 3\n[random.space]\nlr = { low = 1e-4, high = 1e-2, log = true }\n\
                    width = { low = 4, high = 6, integer = true }\ndepth = { low = 1, high = 64, integer = true, log = true }\n\
                    loss = ['bce', 'focal']";
        let sweep = options(text);
        let all = sweep.configurations().unwrap();
        assert_eq!((all.len(), all.clone()), (200, sweep.configurations().unwrap()));
        let values = |key: usize| all.iter().map(move |c| c[key].value.clone());
        let rates: Vec<f64> = values(0).map(|v| v.as_float().unwrap()).collect();
        assert!(rates.iter().all(|r| (1e-4..=1e-2).contains(r)));
        // Half of the draws of a logarithmic range lie below its geometric middle: 100 ± 5 standard deviations of 7.
        let below = rates.iter().filter(|&&r| r < 1e-3).count();
        assert!((65..=135).contains(&below), "{below}");
        let mut widths: Vec<i64> = values(1).map(|v| v.as_integer().unwrap()).collect();
        widths.sort_unstable();
        widths.dedup();
        assert_eq!(widths, [4, 5, 6]);
        assert!(values(2).all(|v| (1..=64).contains(&v.as_integer().unwrap())));
        assert!(values(3).any(|v| v.as_str() == Some("focal")) && values(3).any(|v| v.as_str() == Some("bce")));
        assert_ne!(options(&text.replace("seed = 3", "seed = 4")).configurations().unwrap(), all);
    }

    #[test]
    fn mistakes_name_their_key() {
        let cases = [
            ("grid = { a = 1 }", "sweep.grid.a", "write [1]"),
            ("grid = { a = [] }", "sweep.grid.a", "at least one"),
            ("grid = { seed = [1, 2] }", "sweep.grid.seed[0]", "seeds = [1, 2, 3]"),
            ("list = [{ 'output.runs' = 'x' }]", "sweep.list[0].output.runs", "cannot differ"),
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
