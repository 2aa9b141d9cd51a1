//! Measurements as JSON lines or as a table.

use clap::Args;
use dualk_sdk::serde_json::{Map, Value};

/// How results are printed.
#[derive(Args, Debug, Clone, Copy)]
pub struct Format {
    /// One JSON object a line, as soon as it is measured (the default).
    #[arg(long, conflicts_with = "table")]
    json: bool,
    /// A table for people, at the end.
    #[arg(long)]
    table: bool,
}

/// Prints measurements in the format asked for.
pub struct Report {
    format: Format,
    rows: Vec<Map<String, Value>>,
}

impl Report {
    pub fn new(format: Format) -> Self {
        Self { format, rows: Vec::new() }
    }

    /// Adds a measurement, a JSON object.
    pub fn add(&mut self, measured: Value) {
        match (self.format.table, measured) {
            (true, Value::Object(row)) => self.rows.push(flat(row)),
            (_, measured) => println!("{measured}"),
        }
    }

    /// Prints the table, if it is one.
    pub fn finish(self) {
        if self.format.table {
            print!("{}", table(&self.rows));
        }
    }
}

/// Objects within `row` become keys such as `phases.batch`.
fn flat(row: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in row {
        match value {
            Value::Object(inner) => out.extend(inner.into_iter().map(|(k, v)| (format!("{key}.{k}"), v))),
            value => drop(out.insert(key, value)),
        }
    }
    out
}

/// Keys down, measurements across: there are more keys than measurements.
fn table(rows: &[Map<String, Value>]) -> String {
    let mut keys: Vec<&String> = Vec::new();
    rows.iter().flat_map(Map::keys).for_each(|key| {
        if !keys.contains(&key) {
            keys.push(key);
        }
    });
    // What is an object in one measurement and nothing in another has its rows already.
    let within = |key: &str, other: &str| other.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    let keys: Vec<&String> = keys.iter().copied().filter(|key| !keys.iter().any(|other| within(key, other))).collect();
    let first = keys.iter().map(|k| k.len()).max().unwrap_or(0);
    let columns: Vec<Vec<String>> =
        rows.iter().map(|row| keys.iter().map(|&k| row.get(k).map_or("".into(), cell)).collect()).collect();
    let widths: Vec<usize> = columns.iter().map(|c| c.iter().map(String::len).max().unwrap_or(0)).collect();
    let line = |(i, key): (usize, &&String)| {
        let cells = columns.iter().zip(&widths).map(|(column, width)| format!("  {:>width$}", column[i]));
        format!("{key:first$}{}\n", cells.collect::<String>())
    };
    keys.iter().enumerate().map(line).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => n.as_f64().map(four_digits).unwrap_or_default(),
        other => other.to_string(),
    }
}

/// Four digits that count, and the exponent of large numbers.
fn four_digits(x: f64) -> String {
    let size = x.abs().log10().floor();
    match size {
        _ if x == 0.0 => "0".into(),
        s if (-6.0..4.0).contains(&s) => format!("{x:.*}", (3.0 - s) as usize),
        _ => format!("{x:.3e}"),
    }
}

/// Seconds of repeated runs.
#[derive(Debug, Clone)]
pub struct Times(Vec<f64>);

impl Times {
    /// The given seconds, at least one of them.
    pub fn new(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    pub fn median(&self) -> f64 {
        let n = self.0.len();
        if n == 0 { f64::NAN } else { (self.0[(n - 1) / 2] + self.0[n / 2]) / 2.0 }
    }

    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::serde_json::json;

    #[test]
    fn the_median_is_between_the_middle_two() {
        assert_eq!(Times::new(vec![5.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Times::new(vec![8.0, 1.0, 2.0, 4.0]).median(), 3.0);
        assert_eq!((Times::new(vec![3.0, 2.0]).min(), Times::new(vec![3.0, 2.0]).max()), (2.0, 3.0));
    }

    #[test]
    fn a_table_has_a_line_for_every_key() {
        let row = |value: Value| flat(value.as_object().unwrap().clone());
        let rows = [row(json!({ "a": 1, "b": { "c": 0.5 } })), row(json!({ "a": "x", "d": null }))];
        assert_eq!(table(&rows), "a         1  x\nb.c  0.5000   \nd            -\n");
    }

    #[test]
    fn numbers_have_four_digits() {
        let shown = [0.0, 0.0012346, 0.5, 12.3456, 1234.5, 12_345_678.0].map(four_digits);
        assert_eq!(shown, ["0", "0.001235", "0.5000", "12.35", "1234", "1.235e7"]);
    }
}
