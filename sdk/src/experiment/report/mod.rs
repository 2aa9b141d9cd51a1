//! Pages for the browser: what a run, a sweep or a comparison found, on one page without outside resources.

mod chart;
mod comparison;
mod flow_figure;
mod html;
mod parts;
mod training;

use super::compare::{CompareOptions, Comparison, Record, is_oracle, model_row};
use super::fingerprint::Fingerprint;
use super::outcome::{Outcome, StageOutcome};
use super::patients::PatientTable;
use super::run_dir::RunDir;
use crate::data::Step;
use crate::plugin::{LockedPlugin, PluginsLock};
use crate::train::metrics::column_head;
use crate::train::{EpochRecord, RESAMPLES};
use crate::{Error, Result, storage};
use chart::short;
pub(super) use chart::{Chart, Series};
pub use html::is_page;
use html::{escape, page, paragraph, table, table_of, texts};
use serde_json::Value;
use std::fmt::Write;
use std::fs;

/// The file of a run that says what its manifest has beyond those that it extends.
pub(super) const CHANGES: &str = "changes.json";
const MANIFEST: &str = "manifest.toml";
/// What is said of a run with the published protocol.
const WATCHED: &str = "Test was looked at after every epoch, as the published code does.";
/// The page of a run.
const PAGE: &str = "report.html";

/// What the page of a run says beside the texts of its manifest and its log: what is in its other files.
pub(super) struct Contents {
    pub outcome: Outcome,
    pub history: Vec<EpochRecord>,
    /// The resolved manifest.
    pub manifest: toml::Table,
    /// What the manifest has beyond those that it extends: key, value, and where from.
    pub changes: Vec<(String, String, String)>,
    /// `None` where an older version wrote none, or nothing was trained.
    pub fingerprint: Option<Fingerprint>,
    /// How many rows and patients were read and left out.
    pub flow: Vec<Step>,
    pub environment: Value,
    pub plugins: Vec<LockedPlugin>,
    /// The table of the run, where a stage was tested.
    pub compared: Option<Comparison>,
}

impl Contents {
    /// Reads the files of a run.
    pub fn read(run: &RunDir) -> Result<Self> {
        let json = |file: &str| -> Result<Value> { Ok(serde_json::from_str(&text(run, file)?).unwrap_or_default()) };
        let lines = text(run, "metrics.jsonl")?;
        Ok(Self {
            outcome: run.outcome()?,
            history: lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            manifest: toml::from_str(&text(run, MANIFEST)?).unwrap_or_default(),
            changes: serde_json::from_str(&text(run, CHANGES)?).unwrap_or_default(),
            fingerprint: Fingerprint::read(run)?,
            flow: serde_json::from_value(json("summary.json")?["flow"].clone()).unwrap_or_default(),
            environment: json("environment.json")?,
            plugins: PluginsLock::listed(toml::from_str(&text(run, "plugins.lock")?).unwrap_or_default()),
            compared: Comparison::of_run(run, &CompareOptions::default()).ok(),
        })
    }

    /// The same with the table of the run, by the metrics of its test patients.
    pub fn compared(self, run: &RunDir, patients: Option<PatientTable>) -> Self {
        let Self { outcome, history, manifest, fingerprint, .. } = &self;
        let (history, path) = (history.iter().cloned(), run.path());
        let record = Record::new(path, manifest.clone(), outcome.clone(), fingerprint.clone(), patients, history);
        let compared = record.and_then(|record| Comparison::of_record(record, &CompareOptions::default()));
        Self { compared: compared.ok(), ..self }
    }

    /// Writes `report.html` of the run.
    pub fn write(&self, run: &RunDir) -> Result<()> {
        run.write(PAGE, self.page(run)?.as_bytes())
    }

    /// The page of the run.
    pub fn page(&self, run: &RunDir) -> Result<String> {
        let Self { outcome, history, .. } = self;
        let about = format!("{} parameters · {:.0} s on {}", outcome.parameters, outcome.seconds, outcome.device);
        let sections = [
            ("found", "What was found", found(outcome, self.compared.as_ref(), self.is_watched())?),
            ("parts", "Where it is good", outcome.stages.last().map(parts::strata).unwrap_or_default()),
            ("training", "Training", training::section(history)?),
            ("data", "What entered", self.entered(&text(run, "log.txt")?)),
            ("time", "Time", training::times(history, &outcome.trained)),
            ("manifest", "Manifest", self.manifest_section(&text(run, MANIFEST)?)),
            ("repeat", "How to repeat it", self.repeat(run)),
        ];
        Ok(page(&outcome.name, &about, &sections))
    }
}

/// Writes `report.html` of a run whose other files are there, in the place of the page that is there, which others may read if they
/// could before.
///
/// # Errors
/// When a file of the run cannot be read, or the page cannot be written.
pub fn write_report(run: &RunDir) -> Result<()> {
    write_page(&run.file(PAGE), &Contents::read(run)?.page(run)?)
}

/// The text of a file of the run; nothing where it is not there.
fn text(run: &RunDir, file: &str) -> Result<String> {
    let file = run.file(file);
    match fs::read_to_string(&file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("read", &file, e)),
        found => Ok(found.unwrap_or_default()),
    }
}

/// The tables, the line which row to believe, and recall at k.
fn found(outcome: &Outcome, compared: Option<&Comparison>, is_watched: bool) -> Result<String> {
    let mut out = String::new();
    if let Some(compared) = compared {
        let _ = writeln!(out, "<p class=\"verdict\">{}</p>", escape(&compared.verdict));
    }
    for stage in &outcome.stages {
        out += &stage_table(stage, is_watched);
        out += &parts::charts(stage)?;
        out += &parts::calibration(stage);
    }
    Ok(out)
}

/// The table of a stage; `is_watched` says whether test was looked at while the run trained.
fn stage_table(stage: &StageOutcome, is_watched: bool) -> String {
    let metrics = stage.rows.first().map(|row| row.metrics.as_slice()).unwrap_or_default();
    let names = metrics.iter().map(|(name, _)| escape(&column_head(name)));
    let head: Vec<String> = std::iter::once(String::new()).chain(names).collect();
    let model = model_row(stage);
    let (mut rows, mut classes) = (Vec::new(), Vec::new());
    for (i, row) in stage.rows.iter().enumerate() {
        let cell = |(metric, value): &(String, f64)| {
            let interval = row.intervals.iter().find(|interval| interval.name == *metric);
            let interval = interval.map_or(String::new(), |i| format!("<small>{:.3} – {:.3}</small>", i.low, i.high));
            let value = if value.is_finite() { format!("{value:.4}") } else { "–".to_owned() };
            format!("{value}{interval}")
        };
        rows.push(std::iter::once(escape(&row.name)).chain(row.metrics.iter().map(cell)).collect());
        classes.push(if Some(i) == model {
            "model"
        } else if is_oracle(&row.name) {
            "oracle"
        } else {
            ""
        });
    }
    let mut out = format!("<h3>{}</h3>\n{}", escape(&stage.title()), table_of(&head, &rows, &classes));
    if stage.rows.iter().any(|row| !row.intervals.is_empty()) {
        let read = if is_watched { WATCHED } else { "Test was read once, after the epoch had been chosen on valid." };
        let _ = writeln!(
            out,
            "<p class=\"soft\">Small figures: 95 % intervals of a bootstrap over test patients, {RESAMPLES} resamples. {read}</p>"
        );
    }
    let notes = stage.notes();
    if !notes.is_empty() {
        let _ = writeln!(out, "<p class=\"soft\">Chosen on valid: {}.</p>", escape(&notes.join(". ")));
    }
    for said in [stage.not_shown(), stage.knows_more()].into_iter().flatten() {
        let _ = writeln!(out, "<p class=\"soft\">{}.</p>", escape(said));
    }
    out
}

impl Contents {
    /// Whether test was looked at while the run trained.
    fn is_watched(&self) -> bool {
        self.history.iter().any(|epoch| !epoch.test.is_empty())
    }

    /// Cohort, split, and what the model sees of a patient.
    fn entered(&self, log: &str) -> String {
        let mut out = texts(&["".into(), "".into()], &self.data_rows());
        // The lines of the log before training say what was dropped and repaired.
        let before: Vec<&str> = log.lines().take_while(|line| !outcome_line(line)).collect();
        if !before.is_empty() {
            let _ = writeln!(out, "<h3>What the log says of it</h3><pre>{}</pre>", escape(&before.join("\n")));
        }
        out += &flow_figure::html(&self.flow);
        out
    }

    /// Where the data come from, how many there are, and how they are split: words and values.
    fn data_rows(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut add = |what: &str, value: String| rows.push(vec![what.to_owned(), value]);
        let at = |path: &[&str]| {
            let (first, rest) = path.split_first()?;
            rest.iter().try_fold(self.manifest.get(*first)?, |at, key| at.get(key))
        };
        if let Some(parser) = component(at(&["data", "parser"])) {
            add("source", parser);
        }
        if let Some(data) = &self.fingerprint {
            add("patients", data.patients.to_string());
            add("admissions", data.admissions.to_string());
            add("pretrain", format!("{} patients", data.pretrain));
            add("train", format!("{} patients", data.train));
            add("valid", format!("{} patients, to choose the epoch", data.valid));
            let read = if self.is_watched() { "looked at after every epoch" } else { "read once" };
            add("test", format!("{} patients, {read}", data.test));
            add("digests", data.digests_text());
        }
        if let Some(split) = component(at(&["data", "split"])) {
            add("split", split);
        }
        tasks(&self.manifest).into_iter().for_each(|task| add("task", task));
        if let Some(lab) = component(at(&["model", "lab"])) {
            add("laboratory items", lab);
        }
        if at(&["model", "demographics"]).and_then(toml::Value::as_bool) == Some(true) {
            add("age and sex", "enter the patient vector".to_owned());
        }
        rows
    }

    fn manifest_section(&self, manifest: &str) -> String {
        let mut out = String::new();
        if !self.changes.is_empty() {
            let row = |(key, value, from): &(String, String, String)| vec![key.clone(), value.clone(), from.clone()];
            let rows: Vec<Vec<String>> = self.changes.iter().map(row).collect();
            out += "<h3>What it has beyond the manifest that it extends</h3>\n";
            out += &texts(&["key".into(), "value".into(), "from".into()], &rows);
        }
        let _ = writeln!(
            out,
            "<details><summary>The whole manifest, defaults filled in</summary><pre>{}</pre></details>",
            escape(manifest)
        );
        out
    }

    /// The command, versions and plugins.
    fn repeat(&self, run: &RunDir) -> String {
        let folder = run.path().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = folder.trim_start_matches('.');
        let mut out = paragraph(
            "Train it again from its own manifest, with the plugins of its lock, and test it again from its weights:",
        );
        let _ = write!(
            out,
            "<pre>dualk run {0}/manifest.toml --locked\ndualk eval {0}</pre>\n",
            escape(folder_name(folder, &self.outcome.name))
        );
        let mut rows = Vec::new();
        collect(&self.environment, "", &mut rows);
        if !rows.is_empty() {
            out += &texts(&["made with".into(), "".into()], &rows);
        }
        let sha256 =
            |plugin: &LockedPlugin| plugin.sha256.as_deref().unwrap_or("–").chars().take(16).collect::<String>();
        let row = |plugin: &LockedPlugin| vec![plugin.name.clone(), plugin.version.clone(), sha256(plugin)];
        let plugins: Vec<Vec<String>> = self.plugins.iter().map(row).collect();
        if !plugins.is_empty() {
            out += "<h3>Plugins</h3>\n";
            out += &table(&["plugin".into(), "version".into(), "SHA-256 begins".into()], &plugins)
                .replace("<td>", "<td class=\"left\">");
        }
        out
    }
}

/// What stages are asked: their tasks, and what a stage learns that is tested.
fn tasks(manifest: &toml::Table) -> Vec<String> {
    let stages = manifest.get("stage").and_then(toml::Value::as_array).into_iter().flatten();
    let asked = |stage: &toml::Value| {
        let tested = stage.get("test").and_then(toml::Value::as_bool) == Some(true);
        component(stage.get("task").or_else(|| stage.get("objective").filter(|_| tested)))
    };
    stages.filter_map(asked).collect()
}

/// A component with its options.
fn component(value: Option<&toml::Value>) -> Option<String> {
    let table = value?.as_table()?;
    let options: Vec<String> = table.iter().filter(|(k, _)| *k != "type").map(|(k, v)| format!("{k} = {v}")).collect();
    Some(format!("{} ({})", table.get("type")?.as_str()?, options.join(", ")))
}

/// Whether a line of the log is of a trained stage, such as `1-lab: 3.2 s, kept epoch 4`.
fn outcome_line(line: &str) -> bool {
    line.chars().next().is_some_and(|c| c.is_ascii_digit()) && line.contains(": ") && line.contains("kept epoch")
}

/// The name that the run's folder has once it is complete.
fn folder_name<'a>(folder: &'a str, name: &'a str) -> &'a str {
    let folder = folder.split(".unfinished-").next().unwrap_or(folder);
    let folder = match folder.rsplit_once('.') {
        Some((front, process)) if process.chars().all(|c| c.is_ascii_digit()) => front,
        _ => folder,
    };
    if folder.starts_with(name) { folder } else { name }
}

/// The leaves of a JSON object as rows.
fn collect(value: &Value, prefix: &str, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix} {key}") };
                collect(value, &path, rows);
            }
        }
        Value::Null => {}
        Value::String(text) => rows.push(vec![prefix.to_owned(), text.clone()]),
        other => rows.push(vec![prefix.to_owned(), other.to_string()]),
    }
}

/// Writes what a page is to a file, for `dualk report`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_page(file: &std::path::Path, page: &str) -> Result<()> {
    storage::replace(file, |new| {
        storage::write(new, page.as_bytes())?;
        storage::like(file, new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::outcome::Row;
    use crate::train::Choice;

    #[test]
    fn what_a_tested_stage_learns_is_its_task() {
        let manifest = "[[stage]]\nobjective = { type = 'masked' }\n[[stage]]\ntask = { type = 'rare' }\n\
                        [[stage]]\nobjective = { type = 'next', least = 2 }\ntest = true";
        assert_eq!(tasks(&toml::from_str(manifest).unwrap()), ["rare ()", "next (least = 2)"]);
    }

    #[test]
    fn the_table_says_what_regressions_were_chosen_to_be() {
        let choice = Choice { ridge: Some(10.0), of: vec![0.0, 10.0, 100.0], visits_apart: None, all_items: false };
        let row = |name: &str, chosen| Row { name: name.into(), chosen, ..Row::default() };
        let stage =
            StageOutcome::of_rows(vec![row("logistic regression", vec![choice]), row("x, epoch 1", Vec::new())]);
        let said = "<p class=\"soft\">Chosen on valid: logistic regression: ridge 10 of 0 to 100.</p>";
        assert!(stage_table(&stage, false).contains(said), "{}", stage_table(&stage, false));
        let model = StageOutcome { rows: vec![row("x, epoch 1", Vec::new())], ..stage };
        assert!(!stage_table(&model, false).contains("Chosen on valid"));
    }

    #[test]
    fn a_page_does_not_say_that_test_was_read_once_where_it_was_looked_at_after_every_epoch() {
        let interval = crate::train::Interval { name: "R@10".into(), error: 0.1, low: 0.25, high: 0.5 };
        let row = Row { name: "x, epoch 1".into(), intervals: vec![interval], ..Row::default() };
        let stage = StageOutcome::of_rows(vec![row]);
        let [once, watched] = [false, true].map(|is_watched| stage_table(&stage, is_watched));
        assert!(once.contains("Test was read once") && !once.contains(WATCHED), "{once}");
        assert!(watched.contains(WATCHED) && !watched.contains("read once"), "{watched}");
    }

    #[test]
    fn the_table_says_what_enters() {
        let row = |name: &str| Row { name: name.into(), metrics: vec![("R@10".into(), 0.5)], ..Row::default() };
        let stage = StageOutcome {
            caption: "labs of the last visit before".into(),
            ..StageOutcome::of_rows(vec![row("code frequency"), row("x, epoch 1")])
        };
        let table = stage_table(&stage, false);
        assert!(table.contains("<h3>diagnosis · test, 7 patients · labs of the last visit before</h3>"), "{table}");
        let silent = stage_table(&StageOutcome { caption: String::new(), ..stage }, false);
        assert!(silent.contains("<h3>diagnosis · test, 7 patients</h3>"), "{silent}");
    }
}
