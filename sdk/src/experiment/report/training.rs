//! Curves of training, one chart a metric, and how long the stages took.

use super::{Chart, Series, short, table};
use crate::Result;
use crate::experiment::outcome::TrainedStage;
use crate::train::EpochRecord;
use crate::train::metrics::lower_is_better;

/// All epochs of a run in a row, and where the stages begin.
struct Line<'a> {
    records: &'a [EpochRecord],
    phases: Vec<(f64, String)>,
}

/// The charts.
pub fn section(history: &[EpochRecord]) -> Result<String> {
    if history.is_empty() {
        return Ok(String::new());
    }
    let line = Line::new(history);
    let mut charts = vec![line.loss()];
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in history.iter().flat_map(|r| &r.valid) {
        if !names.contains(&name.as_str()) && !is_loss(name) {
            names.push(name);
        }
    }
    charts.extend(names.into_iter().map(|name| line.metric(name)));
    let mut out = "<div class=\"charts\">\n".to_owned();
    for chart in charts {
        out += &chart.figure()?;
    }
    Ok(out + "</div>\n")
}

fn is_loss(name: &str) -> bool {
    name.eq_ignore_ascii_case("loss")
}

impl<'a> Line<'a> {
    fn new(records: &'a [EpochRecord]) -> Self {
        let mut phases: Vec<(f64, String)> = Vec::new();
        for (i, record) in records.iter().enumerate() {
            // Heads that train in turn are one phase.
            let stage = record.stage.split(':').next().unwrap_or_default();
            let name = stage.split_once('-').map_or(stage, |(_, name)| name);
            if phases.last().is_none_or(|(_, last)| last != name) {
                phases.push((i as f64 + 1.0, name.to_owned()));
            }
        }
        Self { records, phases }
    }

    /// The points of consecutive epochs of one stage and head are a line of their own.
    fn lines(&self, value: impl Fn(&EpochRecord) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
        let mut lines: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
        for (i, record) in self.records.iter().enumerate() {
            let Some(value) = value(record) else { continue };
            let point = (i as f64 + 1.0, value);
            match lines.last_mut().filter(|(stage, _)| *stage == record.stage) {
                Some((_, points)) => points.push(point),
                None => lines.push((&record.stage, vec![point])),
            }
        }
        lines.into_iter().map(|(_, points)| points).collect()
    }

    /// Training and validation loss.
    fn loss(&self) -> Chart {
        // Older runs have it among their metrics, or not at all.
        let of_metrics = |r: &EpochRecord| r.valid.iter().find(|(n, _)| is_loss(n)).map(|(_, v)| *v);
        let valid = |r: &EpochRecord| r.valid_loss.or_else(|| of_metrics(r));
        let train = self.lines(|r| Some(r.train_loss));
        let valid = self.lines(valid);
        let mut series = joined("train, dropout on", &train, 0, false);
        if !valid.is_empty() {
            series.extend(joined("valid", &valid, 1, true));
        }
        let title = if series.len() > 1 { "Loss on train and valid" } else { "Loss on train" };
        Chart { title: title.into(), x: "epoch".into(), series, phases: self.phases.clone(), ..Chart::default() }
    }

    /// A metric on valid, and on test where the published protocol looks at it.
    fn metric(&self, name: &str) -> Chart {
        let of = |metrics: &[(String, f64)]| metrics.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        let valid = self.lines(|r| of(&r.valid));
        let test = self.lines(|r| of(&r.test));
        let mut series = joined("valid", &valid, 0, false);
        if !test.is_empty() {
            series.extend(joined("test", &test, 1, true));
        }
        // Phases that have the metric.
        let (from, to) =
            series.iter().flat_map(|s| &s.points).fold((f64::MAX, f64::MIN), |(a, b), p| (a.min(p.0), b.max(p.0)));
        let begun = self.phases.iter().rposition(|(at, _)| *at <= from).unwrap_or(0);
        let phases = self.phases[begun..].iter().filter(|(at, _)| *at <= to).cloned().collect();
        let part = !lower_is_better(name);
        let title = format!("{name} on valid");
        Chart { title, x: "epoch of all stages".into(), series, phases, part, ..Chart::default() }
    }
}

/// Lines with gaps between the stages as one series: a point that is no number ends a line.
fn joined(name: &str, lines: &[Vec<(f64, f64)>], colour: usize, dashed: bool) -> Vec<Series> {
    let points = lines.concat();
    vec![Series { name: name.to_owned(), points, colour, dashed }]
}

/// Time and memory of the stages.
pub fn times(history: &[EpochRecord], trained: &[TrainedStage]) -> String {
    let row = |stage: &TrainedStage| {
        let of_stage = |r: &&EpochRecord| r.stage.split(':').next() == Some(stage.stage.as_str());
        let epochs = history.iter().filter(of_stage).count();
        let memory = stage.peak_memory.map_or("–".to_owned(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9));
        let from = if stage.from_cache { "from the cache" } else { "" };
        let each = stage.seconds / epochs.max(1) as f64;
        vec![stage.stage.clone(), epochs.to_string(), short(stage.seconds), short(each), memory, from.to_owned()]
    };
    let rows: Vec<Vec<String>> = trained.iter().map(row).collect();
    match rows.is_empty() {
        true => String::new(),
        false => {
            table(&["stage", "epochs", "seconds", "seconds an epoch", "peak memory", ""].map(str::to_owned), &rows)
        }
    }
}
