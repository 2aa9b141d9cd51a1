//! Results, and the table that a person reads.

use crate::component::Labs;
use crate::error::counted;
use crate::train::metrics::column_head;
use crate::train::{Choice, Interval, Metrics, Reliability};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What is said where a model with a knowledge graph stands beside no regression that learns from it.
const NOT_SHOWN: &str =
    "not shown: a logistic regression that learns from the knowledge graph, too (output.graph_regression = true)";

/// The row of the best ranking given what is observed, where it is known.
const BEST: &str = "oracle, given what is observed";
/// What is said where it knows items that the model does not get.
const KNOWS_MORE: &str =
    "oracle, given what is observed: knows the items of all visits before, of which not all enter here";

/// One row of a results table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was evaluated, such as `code frequency`.
    pub name: String,
    /// The objective's metrics on test; `null` where one is undefined.
    #[serde(with = "or_null")]
    pub metrics: Metrics,
    /// Further measures; see the book's page on the method.
    #[serde(with = "or_null", default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Metrics,
    /// Bootstrap over patients, each with all of its examples, of the metrics and measures that have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<Interval>,
    /// Measures of strata of the labels and of subgroups of the patients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strata: Vec<Stratum>,
    /// Recall at more k than the table shows, as pairs of k and R@k.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recall: Vec<(usize, f64)>,
    /// How often what was predicted came true; of rows with probabilities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<Reliability>,
    /// Of a regression the ridge and the view of visits that were chosen on valid: once, or for each column of numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<Choice>,
}

/// How the measure of a stratum of the labels begins, before the k.
pub(super) const LABELS: &str = "labels among the first ";

/// A measure of a stratum of the labels or of a subgroup of the patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stratum {
    /// What divides them, such as `code frequency`.
    pub by: String,
    /// The stratum or subgroup, such as `0–20 %`.
    pub part: String,
    /// Name of the measure.
    pub measure: String,
    /// Its value.
    pub value: f64,
    /// How many labels or examples it is of.
    pub number: usize,
    /// How many patients these are of; 0 in results of versions that did not count them.
    #[serde(default)]
    pub patients: usize,
    /// Ends of the 95 % interval of a bootstrap over patients, of what is of a stratum of the labels or a mean over patients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

/// Pairs of name and value; what is no number as null.
mod or_null {
    use super::Metrics;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(metrics: &Metrics, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(metrics.iter().map(|(name, value)| (name, (!value.is_nan()).then_some(*value))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
        let pairs = Vec::<(String, Option<f64>)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
    }
}

/// The results of a stage that was tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageOutcome {
    /// The stage, such as `3-finetune`.
    pub stage: String,
    /// The objective that it learnt.
    pub objective: String,
    /// Options of the objective that say what a model sees, and nothing of what it is asked; `None` in runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
    /// The metric that epochs were chosen by; `None` in runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Number of test examples.
    pub examples: usize,
    /// Number of patients that these are of; `None` in runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patients: Option<usize>,
    /// The epoch whose weights were tested, from 0.
    pub epoch: usize,
    /// What a reader must know, such as which laboratory items entered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caption: String,
    /// Baselines, then the model, whose name ends with its epoch, then rows whose names begin with `oracle`.
    pub rows: Vec<Row>,
}

/// Whom a stage was tested on, such as `2074 patients`, or `7831 examples of 2074 patients`.
pub(super) fn tested_on(examples: usize, patients: Option<usize>) -> String {
    match patients {
        Some(patients) if patients != examples => {
            format!("{} of {}", counted(examples, "example"), counted(patients, "patient"))
        }
        _ => counted(examples, "patient"),
    }
}

/// A stage that was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedStage {
    /// The stage, such as `3-finetune`.
    pub stage: String,
    /// The epoch whose weights were kept, from 0.
    pub epoch: usize,
    /// Wall time of its training in seconds, when it was trained.
    pub seconds: f64,
    /// Largest memory of the process in its training, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Whether it came from the cache; time and memory are those of the run that trained it.
    pub from_cache: bool,
}

impl TrainedStage {
    /// A line for logs.
    pub fn line(&self) -> String {
        let memory = self.peak_memory.map_or(String::new(), |bytes| format!(", {:.2} GB", bytes as f64 / 1e9));
        let (stage, seconds, epoch) = (&self.stage, self.seconds, self.epoch + 1);
        match self.from_cache {
            true => format!("{stage}: from the cache, kept epoch {epoch} (trained in {seconds:.1} s{memory})"),
            false => format!("{stage}: {seconds:.1} s{memory}, kept epoch {epoch}"),
        }
    }
}

/// Vectors of a knowledge graph that the model started from, of a manifest that it names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedVectors {
    /// The key that names the manifest, such as `model.node_init.kge`.
    pub key: String,
    /// Name of the embedding.
    pub name: String,
    /// Mean reciprocal rank of the validation triples, both sides; `None` where there are none.
    pub valid_mrr: Option<f64>,
    /// Seconds of their training, when they were trained.
    pub seconds: f64,
    /// Whether they came from the cache; the time is that of the run that trained them.
    pub from_cache: bool,
}

impl TrainedVectors {
    /// A line for logs.
    pub fn line(&self) -> String {
        let Self { name, seconds, .. } = self;
        let mrr = self.valid_mrr.map_or_else(|| "no valid triples".to_owned(), |mrr| format!("valid MRR {mrr:.4}"));
        match self.from_cache {
            true => format!("vectors {name}: from the cache, {mrr} (trained in {seconds:.1} s)"),
            false => format!("vectors {name}: {seconds:.1} s, {mrr}"),
        }
    }
}

impl StageOutcome {
    /// What the table is of, in one line.
    pub fn title(&self) -> String {
        let caption = if self.caption.is_empty() { String::new() } else { format!(" · {}", self.caption) };
        format!("{} · test, {}{caption}", self.objective, tested_on(self.examples, self.patients))
    }

    /// What regressions were chosen to be on valid, a line for each row that is one.
    pub fn notes(&self) -> Vec<String> {
        self.rows.iter().filter_map(Row::note).collect()
    }

    /// Where a rule looks at a knowledge graph and no regression does, a line that names the one that is shown if it is asked for:
    /// without it a model that looks at the graph may seem better than it is.
    pub fn not_shown(&self) -> Option<&'static str> {
        let has = |name: &str| self.rows.iter().any(|row| row.name == name);
        let is_missing = has("history, then knowledge") && !has("logistic regression, with knowledge");
        is_missing.then_some(NOT_SHOWN)
    }

    /// Where the best ranking given what is observed knows more items than enter, a line that says so: the best that the model could
    /// reach is below it.
    pub fn knows_more(&self) -> Option<&'static str> {
        let enters = |labs: Labs| self.caption.split(" · ").any(|said| said == labs.caption());
        let is_there = self.rows.iter().any(|row| row.name == BEST);
        (is_there && (enters(Labs::Last) || enters(Labs::None))).then_some(KNOWS_MORE)
    }

    /// Where the trained model is among the rows.
    pub fn model_row(&self) -> Option<usize> {
        self.rows.iter().rposition(|row| !row.is_oracle())
    }

    /// The trained model.
    pub fn model(&self) -> Option<&Row> {
        self.model_row().map(|row| &self.rows[row])
    }
}

impl Row {
    /// Whether it knows how the data were made.
    pub fn is_oracle(&self) -> bool {
        self.name.starts_with("oracle")
    }

    /// Half the width of the 95 % interval of a metric, where there is one.
    pub fn spread(&self, metric: &str) -> Option<f64> {
        self.intervals.iter().find(|i| i.name == metric).map(|i| (i.high - i.low) / 2.0)
    }

    /// What it was chosen to be, such as `logistic regression: ridge 10 of 0 to 100, visits told apart`.
    fn note(&self) -> Option<String> {
        let mut said: Vec<String> = self.chosen.iter().map(ToString::to_string).collect();
        said.dedup();
        (!said.is_empty()).then(|| format!("{}: {}", self.name, said.join("; ")))
    }

    /// A metric as text: with its spread, or a dash where it is undefined.
    pub(super) fn cell(&self, name: &str, value: f64) -> String {
        match self.spread(name) {
            _ if value.is_nan() => "–".to_owned(),
            Some(spread) => format!("{value:.4} ±{spread:.3}"),
            None => format!("{value:.4}"),
        }
    }
}

/// What a run yields: `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the experiment.
    pub name: String,
    /// Device, such as `cpu`.
    pub device: String,
    /// Number of parameters of the model.
    pub parameters: usize,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Vectors of knowledge graphs that were trained for it, or came from the cache.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vectors: Vec<TrainedVectors>,
    /// All stages, tested or not, in their order.
    #[serde(default)]
    pub trained: Vec<TrainedStage>,
    /// Tested stages, the last one being the experiment's result.
    pub stages: Vec<StageOutcome>,
}

impl Outcome {
    /// Metrics of the trained model in the last tested stage.
    pub fn test(&self) -> Option<&Metrics> {
        self.stages.last().and_then(StageOutcome::model).map(|r| &r.metrics)
    }

    /// A table a tested stage, in plain text.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for stage in &self.stages {
            let _ = writeln!(text, "\n{}", stage.title());
            let names: Vec<&str> =
                stage.rows.first().map(|r| r.metrics.iter().map(|m| m.0.as_str()).collect()).unwrap_or_default();
            let first = stage.rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0).max(8);
            let wide = |name: &str| stage.rows.iter().any(|row| row.spread(name).is_some());
            let width = |name: &str| column_head(name).chars().count().max(if wide(name) { 13 } else { 6 }) + 2;
            let rule = "─".repeat(first + names.iter().map(|n| width(n)).sum::<usize>());
            let _ = writeln!(text, "{rule}");
            let head = |line: String, n: &&str| format!("{line}{:>w$}", column_head(n), w = width(n));
            let head = names.iter().fold(" ".repeat(first), head);
            let _ = writeln!(text, "{head}\n{rule}");
            for row in &stage.rows {
                let _ = write!(text, "{:first$}", row.name);
                for (name, value) in &row.metrics {
                    let _ = write!(text, "{:>w$}", row.cell(name, *value), w = width(name));
                }
                let _ = writeln!(text);
            }
            let _ = writeln!(text, "{rule}");
            if names.iter().any(|name| wide(name)) {
                let _ = writeln!(text, "±: half a 95 % interval over test patients, by the bootstrap");
            }
            let said = [stage.not_shown(), stage.knows_more()].into_iter().flatten().map(str::to_owned);
            stage.notes().into_iter().chain(said).for_each(|note| text += &format!("{note}\n"));
        }
        text
    }
}

#[cfg(test)]
impl StageOutcome {
    /// A stage with these rows, for tests.
    pub(super) fn of_rows(rows: Vec<Row>) -> Self {
        Self {
            stage: "1-finetune".into(),
            objective: "diagnosis".into(),
            inputs: None,
            primary: None,
            examples: 7,
            patients: None,
            epoch: 0,
            caption: String::new(),
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undefined_is_null() {
        let metrics = vec![("AUC".to_owned(), f64::NAN), ("F1".to_owned(), 0.5)];
        let row = Row { name: "x".into(), metrics: metrics.clone(), measures: metrics, ..Row::default() };
        let text = serde_json::to_string(&row).unwrap();
        let pairs = r#"[["AUC",null],["F1",0.5]]"#;
        assert!(text.contains(&format!(r#""metrics":{pairs},"measures":{pairs}"#)), "{text}");
        let read: Row = serde_json::from_str(&text).unwrap();
        assert!(read.metrics[0].1.is_nan() && read.measures[1].1 == 0.5);
        assert!(!text.contains("chosen") && read.chosen.is_empty(), "{text}");
    }

    #[test]
    fn what_a_regression_was_chosen_to_be_stands_below_the_table_and_in_its_row() {
        let of = vec![0.0, 1.0, 10.0, 100.0];
        let choice = |ridge| Choice { ridge: Some(ridge), of: of.clone(), visits_apart: Some(true), all_items: false };
        let row = |name: &str, chosen| Row {
            name: name.into(),
            metrics: vec![("R@10".into(), 0.5)],
            chosen,
            ..Row::default()
        };
        let rows =
            vec![row("regression", vec![choice(10.0), choice(10.0), choice(0.0)]), row("x, epoch 1", Vec::new())];
        let text = serde_json::to_string(&rows[0]).unwrap();
        let expected = r#"{"ridge":10.0,"of":[0.0,1.0,10.0,100.0],"visits_apart":true}"#;
        assert!(text.contains(&format!(r#""chosen":[{expected},"#)), "{text}");
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), rows[0]);
        let stage = StageOutcome::of_rows(rows);
        let (name, device) = ("x".to_owned(), "cpu".to_owned());
        let (vectors, trained) = (Vec::new(), Vec::new());
        let outcome = Outcome { name, device, parameters: 1, seconds: 1.0, vectors, trained, stages: vec![stage] };
        let said = "regression: ridge 10 of 0 to 100, visits told apart; ridge 0 of 0 to 100, visits told apart";
        assert_eq!(outcome.stages[0].notes(), [said]);
        assert!(outcome.table().ends_with(&format!("─\n{said}\n")), "{}", outcome.table());
    }

    #[test]
    fn a_reader_is_told_that_the_best_ranking_knows_items_that_do_not_enter() {
        let told = |caption: &str, name: &str| {
            let row = |name: &str| Row { name: name.into(), metrics: vec![("R@10".into(), 0.5)], ..Row::default() };
            let stage =
                StageOutcome { caption: caption.into(), ..StageOutcome::of_rows(vec![row("x, epoch 1"), row(name)]) };
            let (name, device) = ("x".to_owned(), "cpu".to_owned());
            let (vectors, trained) = (Vec::new(), Vec::new());
            let said = stage.knows_more();
            let outcome = Outcome { name, device, parameters: 1, seconds: 1.0, vectors, trained, stages: vec![stage] };
            assert_eq!(outcome.table().contains(KNOWS_MORE), said.is_some());
            said
        };
        assert_eq!(told("learns from every visit · no labs", BEST), Some(KNOWS_MORE));
        assert_eq!(told("labs of the last visit before · age and sex", BEST), Some(KNOWS_MORE));
        assert_eq!(told("labs of all visits before", BEST), None);
        assert_eq!(told("labs of the very visit that is predicted", BEST), None);
        assert_eq!(told("no labs", "oracle, hidden state known"), None);
        assert_eq!(told("", BEST), None);
    }

    #[test]
    fn a_reader_is_told_of_the_regression_that_knows_the_graph() {
        let not_shown = |names: &[&str]| {
            let row = |name: &&str| Row { name: (*name).to_owned(), ..Row::default() };
            StageOutcome::of_rows(names.iter().map(row).collect()).not_shown()
        };
        assert_eq!(not_shown(&["logistic regression", "x, epoch 1"]), None);
        let rule = "history, then knowledge";
        assert_eq!(not_shown(&[rule, "logistic regression", "x, epoch 1"]), Some(NOT_SHOWN));
        assert_eq!(not_shown(&[rule, "logistic regression, with knowledge", "x, epoch 1"]), None);
    }
}
