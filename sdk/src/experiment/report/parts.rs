//! What the rows of a tested stage are for parts of the labels and of the patients, recall at every k, and whether their
//! probabilities come true.

use super::html::{escape, table, table_of};
use super::{Chart, Series, short};
use crate::Result;
use crate::experiment::compare::{is_oracle, model_row};
use crate::experiment::outcome::{LABELS, Row, StageOutcome, Stratum};
use crate::train::metrics::{column_head, lower_is_better};

/// Bins of fewer entries say nothing, and are left out of the picture.
const LEAST: u64 = 20;

/// The rows that a picture has room for: the model, the best rules, what knows more than a model can.
struct Shown<'a> {
    model: &'a Row,
    rules: Vec<&'a Row>,
    oracles: Vec<&'a Row>,
}

impl<'a> Shown<'a> {
    fn of(stage: &'a StageOutcome) -> Option<Self> {
        let model = &stage.rows[model_row(stage)?];
        let name = &model.metrics.iter().find(|(name, _)| name == "R@10").or(model.metrics.first())?.0;
        let sign = if lower_is_better(name) { -1.0 } else { 1.0 };
        let value = |row: &Row| row.metrics.iter().find(|(n, _)| n == name).map_or(f64::NAN, |(_, v)| sign * v);
        let others = || stage.rows.iter().filter(|row| row.name != model.name);
        let mut rules: Vec<&Row> = others().filter(|row| !is_oracle(&row.name) && !value(row).is_nan()).collect();
        rules.sort_by(|a, b| value(b).total_cmp(&value(a)));
        Some(Self { model, rules, oracles: others().filter(|row| is_oracle(&row.name)).collect() })
    }

    /// Lines of a chart, one for each row that has points.
    fn series(&self, points: impl Fn(&Row) -> Vec<(f64, f64)>) -> Vec<Series> {
        let rules = self.rules.iter().filter(|row| !points(row).is_empty()).take(3);
        let rows = std::iter::once(&self.model).chain(rules).chain(&self.oracles).take(6).enumerate();
        let line = |(colour, row): (usize, &&Row)| Series {
            name: row.name.clone(),
            points: points(row),
            colour,
            dashed: colour > 0,
        };
        rows.map(line).filter(|series| !series.points.is_empty()).collect()
    }

    /// What the model is compared with in tables of parts.
    fn others(&self) -> [(&'static str, Option<&'a Row>); 2] {
        [("best rule", self.rules.first().copied()), ("oracle", self.oracles.first().copied())]
    }

    /// The table of a measure of the parts that something divides.
    fn parts(&self, by: &str, measure: &str) -> String {
        let same = |s: &Stratum| (s.by.as_str(), s.measure.as_str()) == (by, measure);
        let others = self.others();
        let of_others =
            |part: &str| others.map(|(_, row)| row?.strata.iter().find(|s| same(s) && s.part == part).map(|s| s.value));
        let parts: Vec<(&Stratum, [Option<f64>; 2])> =
            self.model.strata.iter().filter(|s| same(s)).map(|s| (s, of_others(&s.part))).collect();
        // Errors of numbers have the unit of these, and may be above 1.
        let values = parts.iter().flat_map(|(s, others)| others.iter().flatten().copied().chain([s.value]));
        let most = values.filter(|value| value.is_finite()).fold(1.0, f64::max);
        // Versions before counted no patients.
        let (counted, count): (_, fn(&Stratum) -> usize) = match measure.starts_with(LABELS) {
            true => ("labels", |s| s.number),
            false if self.model.strata.iter().all(|s| s.patients == 0) => ("examples", |s| s.number),
            false => ("patients", |s| s.patients),
        };
        let scale = format!("from 0 to {}", short(most));
        let mut head = vec![escape(heading(by)), scale, counted.to_owned(), "model".to_owned()];
        head.extend(others.iter().filter(|(_, row)| row.is_some()).map(|(name, _)| (*name).to_owned()));
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.3}"));
        let row = |(s, values): &(&Stratum, [Option<f64>; 2])| {
            let known = others.iter().zip(values).filter(|((_, row), _)| row.is_some());
            let bar = bar(s.value, most, *values);
            let spread = s.interval.map_or(String::new(), |[low, high]| format!(" ±{:.3}", (high - low) / 2.0));
            let mut cells = vec![escape(&s.part), bar, count(s).to_string(), number(Some(s.value)) + &spread];
            cells.extend(known.map(|(_, value)| number(*value)));
            cells
        };
        let rows: Vec<Vec<String>> = parts.iter().map(row).collect();
        let title = format!("<h3>{}, {}</h3>\n", escape(&said(measure)), escape(&divided(by)));
        title + &table_of(&head, &rows, &vec![""; rows.len()])
    }
}

/// Recall at k, and how often what was predicted came true.
pub fn charts(stage: &StageOutcome) -> Result<String> {
    let Some(shown) = Shown::of(stage) else { return Ok(String::new()) };
    let mut charts = Vec::new();
    let series = shown.series(recall);
    if series.iter().any(|line| line.points.len() > 1) {
        let title = format!("Recall at k on test, {}", stage.objective);
        charts.push(Chart { title, x: "k, number of codes predicted".into(), series, part: true, ..Chart::default() });
    }
    let enough = |row: &Row| row.reliability.iter().filter(|bin| bin.entries >= LEAST).copied().collect::<Vec<_>>();
    let series = shown.series(|row| enough(row).iter().map(|bin| (bin.probability, bin.frequency)).collect());
    if series.first().is_some_and(|line| line.name == shown.model.name) {
        let head = ["mean probability", "came true", "entries"].map(str::to_owned);
        let bins = shown.model.reliability.iter();
        let rows: Vec<Vec<String>> =
            bins.map(|b| vec![short(b.probability), short(b.frequency), b.entries.to_string()]).collect();
        charts.push(Chart {
            title: "How often what was predicted came true".into(),
            x: "probability predicted".into(),
            series,
            part: true,
            diagonal: true,
            numbers: Some(table(&head, &rows)),
            ..Chart::default()
        });
    }
    let figures = charts.iter().map(Chart::figure).collect::<Result<String>>()?;
    Ok(if figures.is_empty() { figures } else { format!("<div class=\"charts\">{figures}</div>\n") })
}

/// The curve of a row; of what the table has where there is no finer one.
fn recall(row: &Row) -> Vec<(f64, f64)> {
    if !row.recall.is_empty() {
        return row.recall.iter().map(|&(k, value)| (k as f64, value)).collect();
    }
    let at = |name: &str| name.strip_prefix("R@").and_then(|k| k.parse::<f64>().ok());
    row.metrics.iter().filter_map(|(name, value)| Some((at(name)?, *value))).collect()
}

/// Calibration of the rows that have probabilities.
pub fn calibration(stage: &StageOutcome) -> String {
    let columns = ["log loss", "Brier", "ECE", "valid log loss"];
    let measure = |row: &Row, name: &str| row.measures.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
    let rows: Vec<&Row> = stage.rows.iter().filter(|row| measure(row, "ECE").is_some()).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head: Vec<String> = std::iter::once("").chain(columns).map(str::to_owned).collect();
    let cell = |value: Option<f64>| value.filter(|v| v.is_finite()).map_or("–".to_owned(), |v| format!("{v:.5}"));
    let cells = |row: &&Row| {
        std::iter::once(row.name.clone()).chain(columns.map(|c| cell(measure(row, c)))).collect::<Vec<_>>()
    };
    let title = format!("<h3>Are its probabilities true? {}</h3>\n", escape(&stage.objective));
    let said = "<p class=\"soft\">Lower is better. Brier: mean squared distance between probability and truth, where one of \
                several classes is true summed over them. ECE: mean distance between probability and frequency in 15 bins of \
                equal width, of classes that of the most likely one. Where most entries are 0, as with rare codes, \
                all three are small whatever a model does: compare the rows. Log loss on valid beside that on test shows what \
                was learnt by heart.</p>\n";
    title + &table(&head, &rows.iter().map(cells).collect::<Vec<_>>()) + said
}

/// What is said of intervals.
const SPREAD: &str = "±: half a 95 % interval over test patients, of recall. ";

/// Measures of parts, one table for whatever divides them.
pub fn strata(stage: &StageOutcome) -> String {
    let Some(shown) = Shown::of(stage) else { return String::new() };
    let mut groups: Vec<(&str, &str)> = Vec::new();
    for stratum in &shown.model.strata {
        if !groups.contains(&(&stratum.by, &stratum.measure)) {
            groups.push((&stratum.by, &stratum.measure));
        }
    }
    let out: String = groups.into_iter().map(|(by, measure)| shown.parts(by, measure)).collect();
    if out.is_empty() {
        return out;
    }
    let [(_, rule), (_, oracle)] = shown.others();
    let named = |row: Option<&Row>, what: &str| row.map_or(String::new(), |r| format!("; {what}: {}", r.name));
    let legend = format!(
        "Model and bar: {}{}{}. {}Few labels or patients make any value uncertain.",
        shown.model.name,
        named(rule, "best rule and dot"),
        named(oracle, "oracle and line"),
        if shown.model.strata.iter().any(|s| s.interval.is_some()) { SPREAD } else { "" }
    );
    format!("<p class=\"soft\">{}</p>\n{out}", escape(&legend))
}

/// What divides the labels or patients, without the name of a head before it.
fn division(by: &str) -> &str {
    by.rsplit(": ").next().unwrap_or(by)
}

/// What the first column of a table of parts is.
fn heading(by: &str) -> &str {
    match division(by) {
        "code frequency" => "rarest in training first",
        "history" => "visits seen",
        "had before" => "codes",
        "had before and code frequency" => "codes, rarest in training first",
        "age" => "age at the last visit seen",
        other => other,
    }
}

/// How the parts come about, in words.
fn divided(by: &str) -> String {
    let plain = format!("by {}", division(by));
    let said = match division(by) {
        "code frequency" => "by the frequency of the code",
        "had before" => "new and repeated codes",
        "had before and code frequency" => "new and repeated codes by their frequency",
        "chapter" => "by the chapter of the code",
        "history" => "by the length of the history",
        _ => plain.as_str(),
    };
    match by.rsplit_once(": ") {
        Some((head, _)) => format!("{head}, {said}"),
        None => said.to_owned(),
    }
}

/// A measure in words.
fn said(measure: &str) -> String {
    match measure.strip_prefix(LABELS) {
        Some(k) => format!("Part of the true codes among the first {k}"),
        None => column_head(measure),
    }
}

/// A value between 0 and `most` as a bar, others as marks on it.
fn bar(value: f64, most: f64, [rule, oracle]: [Option<f64>; 2]) -> String {
    let place = |v: f64| 100.0 * (v / most).clamp(0.0, 1.0);
    let mark = |tag: &str, value: Option<f64>| {
        let value = value.filter(|v| v.is_finite());
        value.map_or(String::new(), |v| format!("<{tag} style=\"left:{:.1}%\"></{tag}>", place(v)))
    };
    format!(
        "<div class=\"bar part\" aria-hidden=\"true\"><i style=\"left:0;width:{:.1}%\"></i>{}{}</div>",
        place(if value.is_finite() { value } else { 0.0 }),
        mark("b", rule),
        mark("u", oracle)
    )
}
