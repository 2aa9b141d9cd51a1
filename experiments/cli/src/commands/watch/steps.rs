//! The course of an embedding, by its steps.

use super::course::{Course, Curve};
use dualk_sdk::serde_json::{Value, from_str};

/// The metric of its validation triples.
const METRIC: &str = "MRR";

/// A line of `metrics.jsonl`.
struct Line {
    step: usize,
    loss: f64,
    /// Of training so far.
    seconds: f64,
    /// Where validation triples were looked at.
    mrr: Option<f64>,
}

impl Line {
    /// `None` of a line that is half written.
    fn read(text: &str) -> Option<Self> {
        let line: Value = from_str(text).ok()?;
        Some(Self {
            step: usize::try_from(line["step"].as_u64()?).ok()?,
            loss: line["loss"].as_f64()?,
            seconds: line["seconds"].as_f64()?,
            mrr: line["valid"]["mrr"].as_f64(),
        })
    }
}

/// What there is to draw of so many steps, by the text of `metrics.jsonl`. Validation triples are looked at every `validate_every`
/// steps, 0 being never.
pub fn course(metrics: &str, steps: usize, validate_every: u32) -> Course {
    let lines: Vec<Line> = metrics.lines().filter_map(Line::read).collect();
    let last = lines.last();
    let done = last.map_or(0, |line| line.step);
    let pace = last.map(|line| line.step as f64 / line.seconds.max(1e-9));
    let valid: Vec<(f64, f64)> = lines.iter().filter_map(|line| Some((line.step as f64, line.mrr?))).collect();
    let doing = if done < steps { format!("step {done}") } else { "ranking the test triples".to_owned() };
    Course {
        unit: "steps",
        done,
        all: steps,
        doing: last.map(|_| doing),
        pace,
        seconds_left: pace.map(|pace| steps.saturating_sub(done) as f64 / pace.max(1e-9)),
        valid: valid.last().map(|(_, mrr)| (METRIC.to_owned(), *mrr)),
        curves: [
            Curve {
                title: "loss on train".to_owned(),
                points: lines.iter().map(|line| (line.step as f64, line.loss)).collect(),
                missing: "",
            },
            Curve {
                title: format!("{METRIC} on valid"),
                points: valid,
                missing: match validate_every {
                    0 => "none: train.validate_every is 0",
                    _ => "none yet",
                },
            },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_has_its_steps_and_curves() {
        let text = "{\"step\":10,\"loss\":0.5,\"lr\":0.1,\"seconds\":2.0}\n\
                    {\"step\":20,\"loss\":0.25,\"lr\":0.1,\"seconds\":4.0,\"valid\":{\"mrr\":0.125,\"mr\":9.0}}\n{\"step\"";
        let found = course(text, 100, 20);
        assert_eq!((found.done, found.all, found.doing.as_deref()), (20, 100, Some("step 20")));
        assert_eq!((found.pace, found.seconds_left), (Some(5.0), Some(16.0)));
        assert_eq!(found.curves[0].points, [(10.0, 0.5), (20.0, 0.25)]);
        assert_eq!(found.curves[1].points, [(20.0, 0.125)]);
        assert_eq!(found.valid, Some(("MRR".to_owned(), 0.125)));
        assert_eq!(course(text, 20, 20).doing.as_deref(), Some("ranking the test triples"));
        let new = course("", 20, 0);
        assert_eq!((new.done, new.doing, new.pace), (0, None, None));
        assert!(new.curves[1].missing.contains("train.validate_every is 0"));
        assert!(course("", 20, 5).curves[1].missing.ends_with("yet"));
    }
}
