//! How embeddings ranked their validation triples while they were trained, as a picture.

use crate::experiment::report::{Chart, Series};
use crate::experiment::run_dir::RunDir;
use crate::kge::{KgeOutcome, RankMetrics};
use crate::{Error, Result};
use serde::Deserialize;
use std::path::Path;

/// The looks at the validation triples of a run.
#[derive(Debug, Clone)]
pub struct ValidationCurve {
    /// Name of the experiment.
    pub name: String,
    /// What came of it.
    pub outcome: KgeOutcome,
    /// Steps, seconds of training and metrics of each look, in order.
    pub points: Vec<(u32, f64, RankMetrics)>,
}

/// A line of `metrics.jsonl`.
#[derive(Deserialize)]
struct Line {
    step: u32,
    seconds: f64,
    valid: Option<RankMetrics>,
}

impl ValidationCurve {
    /// From the folder of a run of `dualk kge train`.
    ///
    /// # Errors
    /// When the folder is no run of an embedding, or the run never looked at validation triples.
    pub fn read(folder: &Path) -> Result<Self> {
        let run = RunDir::open(folder)?;
        let read = |name: &str| {
            let path = run.file(name);
            std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))
        };
        let outcome: KgeOutcome = serde_json::from_str(&read("result.json")?)
            .map_err(|e| Error::user("this is no run of `dualk kge train`").at_file(run.path()).because(e))?;
        let lines = read("metrics.jsonl")?;
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let points: Vec<_> =
            lines.filter_map(|line| line.valid.map(|metrics| (line.step, line.seconds, metrics))).collect();
        match points.is_empty() {
            true => Err(Error::user("this run never looked at its validation triples")
                .at_file(run.path())
                .help("`train.validate_every` says after how many steps it does; 1000 is a good number")),
            false => Ok(Self { name: outcome.name.clone(), outcome, points }),
        }
    }
}

/// A metric of the validation triples by minutes of training, a line for each run, as SVG.
///
/// # Errors
/// When there is no such metric.
pub fn curves_svg(curves: &[ValidationCurve], metric: &str) -> Result<String> {
    let names = RankMetrics::default().named().map(|(name, _)| name);
    if !names.contains(&metric) {
        return Err(Error::user(format!("there is no metric `{metric}`")).suggest(metric, names));
    }
    let series = |(i, curve): (usize, &ValidationCurve)| Series {
        name: curve.name.clone(),
        points: curve.points.iter().map(|(_, seconds, metrics)| (seconds / 60.0, metrics.get(metric))).collect(),
        colour: i,
        dashed: i >= 6,
    };
    let chart = Chart {
        title: format!("{metric} of validation triples"),
        x: "minutes of training".to_owned(),
        series: curves.iter().enumerate().map(series).collect(),
        zoomed: true,
        ..Chart::default()
    };
    chart.picture()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, scale: f64) -> ValidationCurve {
        let metrics = |mrr: f64| RankMetrics { mrr, ..RankMetrics::default() };
        let points = (1..=4).map(|i| (i * 100, f64::from(i) * scale, metrics(0.4 + 0.02 * f64::from(i)))).collect();
        ValidationCurve { name: name.to_owned(), outcome: KgeOutcome::default(), points }
    }

    #[test]
    fn a_line_for_each_run_over_minutes() {
        let svg = curves_svg(&[curve("short & small", 30.0), curve("long", 120.0)], "mrr").unwrap();
        assert!(svg.contains("short &amp; small") && svg.contains(">long<"), "{svg}");
        assert!(svg.contains("minutes of training") && svg.contains("mrr of validation triples"), "{svg}");
        // Eight minutes, and no part of the height for values that none has.
        assert!(svg.contains("\n8\n") && !svg.contains("\n0\n"), "{svg}");
        assert!(!svg.contains("var(") && svg.starts_with("<svg xmlns"), "{svg}");
        let (opened, closed) = (svg.matches("<svg").count(), svg.matches("</svg>").count());
        assert_eq!((opened, closed), (2, 2));
    }

    #[test]
    fn other_metrics_are_refused() {
        let error = curves_svg(&[curve("a", 1.0)], "hits@5").unwrap_err().to_string();
        assert!(error.contains("`hits@5`") && error.contains("hits@10"), "{error}");
    }
}
