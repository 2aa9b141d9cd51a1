//! `sweep.random`: configurations drawn at random.

use super::sweep::{MOST, Setting, joined};
use crate::options::within_ranges;
use crate::train::derive_seed;
use crate::{Error, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Configurations drawn at random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomSearch {
    /// How many configurations.
    #[schemars(range(min = 1, max = MOST))]
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

impl RandomSearch {
    /// The draws.
    pub(super) fn configurations(&self) -> Result<Vec<Vec<Setting>>> {
        within_ranges(self).map_err(|e| e.within_key("sweep.random"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str) -> RandomSearch {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn draws_stay_in_their_ranges_and_repeat() {
        let text = "draws = 200\nseed = 3\n[space]\nlr = { low = 1e-4, high = 1e-2, log = true }\n\
                    width = { low = 4, high = 6, integer = true }\ndepth = { low = 1, high = 64, integer = true, log = true }\n\
                    loss = ['bce', 'focal']";
        let sweep = search(text);
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
        assert_ne!(search(&text.replace("seed = 3", "seed = 4")).configurations().unwrap(), all);
    }
}
