//! Comparing runs: configurations over seeds, differences to one of them paired by patient.

mod columns;
mod facets;
mod groups;
mod notes;
mod origins;
mod record;
mod resample;
mod text;
mod unlearnt;
mod verdict;

pub(super) use facets::short;
pub use facets::{Facets, names};
pub use groups::{NamedRun, PlannedRun};
pub use record::{Record, comparable, is_oracle, model_row};
pub use resample::{ByPatient, Draws, holm, mean_and_sd};
pub use text::Format;

use crate::error::are;
use crate::experiment::patients::PatientTable;
use crate::experiment::run_dir::RunDir;
use crate::train::metrics::lower_is_better;
use crate::{Error, Result};
use columns::{Columns, Resampled};
use groups::Group;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Differences with a corrected p-value below this are called real.
pub const LEVEL: f64 = 0.05;

/// How runs are compared.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// Name of the row that the others are compared with; the first when absent.
    pub baseline: Option<String>,
    /// Metrics to show; all when empty.
    pub metrics: Vec<String>,
    /// Number of bootstrap draws.
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { baseline: None, metrics: Vec::new(), draws: 10_000, seed: 0 }
    }
}

/// A metric of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Mean over runs.
    pub mean: f64,
    /// Standard deviation over runs; `None` for a single one.
    pub sd: Option<f64>,
    /// Lower end of the 95 % interval over patients, where the metric is a mean over them or an area under the ROC curve.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// A metric of a row less that of the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Difference of the means over runs.
    pub mean: f64,
    /// Lower end of its 95 % interval, patients paired; over seeds too, where both rows have several runs.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// The p-value by random signs of the patients' differences, which is conditional on these trained models; of
    /// configurations after Holm's correction over them, of references and oracles as it is.
    pub p: Option<f64>,
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A configuration of the experiment.
    Configuration,
    /// A rule that learns nothing, or little, to compare with.
    Reference,
    /// A ranking that knows more than a model can.
    Oracle,
}

/// A row of the table.
#[derive(Debug, Clone)]
pub struct ComparedRow {
    /// Its name: what tells it from the other rows.
    pub name: String,
    /// Whether it is a configuration, a rule or an oracle.
    pub kind: Kind,
    /// What it was tuned to on valid, such as `lr = 0.002`.
    pub tuned: Option<String>,
    /// Of a configuration what a reader must know of its runs, such as whose laboratory items enter; else empty.
    pub caption: String,
    /// How many runs it sums up.
    pub runs: usize,
    /// Their folders.
    pub folders: Vec<PathBuf>,
    /// Estimates by metric.
    pub metrics: Vec<(String, Estimate)>,
    /// Differences from the baseline by metric.
    pub difference: Vec<(String, Difference)>,
    /// The metrics in which it is best and differs from every other configuration.
    pub best: Vec<String>,
    /// Means over runs on valid.
    pub valid: Vec<(String, f64)>,
    /// Parameters of its first run.
    pub parameters: usize,
    /// Mean wall time in seconds.
    pub seconds: f64,
}

/// A table of runs.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Names of the metrics.
    pub metrics: Vec<String>,
    /// Configurations in the order given, then references, then oracles.
    pub rows: Vec<ComparedRow>,
    /// Index of the row that the others are compared with.
    pub baseline: usize,
    /// What was asked.
    pub objective: String,
    /// Number of test examples.
    pub examples: usize,
    /// Number of patients that these are of, where it is known.
    pub patients: Option<usize>,
    /// The least and the most test examples of a run, where the runs of a row are on different patients: these are not paired.
    pub unpaired: Option<[usize; 2]>,
    /// Number of bootstrap draws.
    pub draws: usize,
    /// The metric that rows are ordered and chosen by.
    pub primary: String,
    /// What a reader should know before the figures.
    pub notes: Vec<String>,
    /// Which row to believe, and why.
    pub verdict: String,
}

impl RunDir {
    /// One line that says which row of a finished run's table to believe, and why; `None` where nothing was tested.
    pub fn verdict(&self) -> Option<String> {
        Some(Comparison::of_run(self, &CompareOptions::default()).ok()?.verdict)
    }
}

impl Comparison {
    /// Compares finished runs. Runs that differ in nothing but the seed are one row; rows are called as their experiments where these
    /// have names that differ, and by what is different about each.
    ///
    /// # Errors
    /// When a folder is no finished run, runs have different cohorts, splits or tasks, or the baseline is no row.
    pub fn of(folders: &[PathBuf], options: &CompareOptions) -> Result<Self> {
        Self::of_records(&folders.iter().map(|f| Record::read(f)).collect::<Result<Vec<_>>>()?, None, options)
    }

    /// The same with the names that sweeps give rows, which are kept where they tell rows apart.
    ///
    /// # Errors
    /// As of [`Comparison::of`].
    pub fn of_named(runs: &[NamedRun], options: &CompareOptions) -> Result<Self> {
        let read = |run: &NamedRun| Record::read(&run.folder).map(|read| Record { row: run.row.clone(), ..read });
        Self::of_records(&runs.iter().map(read).collect::<Result<Vec<_>>>()?, None, options)
    }

    /// Compares the finished runs of a sweep. Rows are as it was planned; of the settings that a row was tuned by, it is the one
    /// that is best on valid. Where it was planned on several cohorts or splits, runs are not paired.
    ///
    /// # Errors
    /// As of [`Comparison::of`], and when runs of a tuned row have no metrics on valid.
    pub fn of_planned(runs: &[PlannedRun], options: &CompareOptions) -> Result<Self> {
        let read = |run: &PlannedRun| -> Result<(Record, PlannedRun)> { Ok((Record::read(&run.folder)?, run.clone())) };
        let mut found = runs.iter().map(read).collect::<Result<Vec<_>>>()?;
        let (left, unpaired) = groups::keep_common(&mut found);
        let (mut records, runs): (Vec<Record>, Vec<PlannedRun>) = found.into_iter().unzip();
        if unpaired {
            // Values by patient are of other patients in each run.
            records.iter_mut().for_each(|record| record.patients = None);
        }
        let mut comparison = Self::of_records(&records, Some((runs.as_slice(), unpaired)), options)?;
        if left > 0 {
            comparison.notes.push(format!("{} left out: other rows have none on their patients yet", are(left, "run")));
        }
        Ok(comparison)
    }

    /// Of the runs of one row that decide, the setting that is best on valid.
    ///
    /// # Errors
    /// As of [`Comparison::of_planned`].
    pub(in crate::experiment) fn chosen_setting(runs: &[PlannedRun]) -> Result<Option<String>> {
        let records = runs.iter().map(|run| Record::read(&run.folder)).collect::<Result<Vec<_>>>()?;
        let Some(first) = records.first() else { return Ok(None) };
        let metrics = metrics_of(first, &[])?;
        Ok(groups::best(groups::planned(&records, runs), primary(first, &metrics))?.0.setting)
    }

    /// The table of one run, which need not have its name yet.
    ///
    /// # Errors
    /// When a file of it cannot be read.
    pub fn of_run(run: &RunDir, options: &CompareOptions) -> Result<Self> {
        Self::of_record(Record::of(run)?, options)
    }

    /// The table of a run that is held.
    pub(in crate::experiment) fn of_record(record: Record, options: &CompareOptions) -> Result<Self> {
        Self::of_records(&[record], None, options)
    }

    /// `planned`: as a sweep has them, and whether the runs of a row are on different patients.
    fn of_records(
        records: &[Record],
        planned: Option<(&[PlannedRun], bool)>,
        options: &CompareOptions,
    ) -> Result<Self> {
        let Some(first) = records.first() else {
            return Err(Error::user("there is no finished run to compare"));
        };
        let apart = planned.is_some_and(|(_, unpaired)| unpaired);
        let check = if apart { record::same_question } else { comparable };
        records.iter().try_for_each(|other| check(first, other))?;
        let metrics = metrics_of(first, &options.metrics)?;
        let (groups, chosen) = match planned {
            Some((planned, _)) => {
                groups::tuned(groups::planned(records, planned), primary(first, &metrics_of(first, &[])?))?
            }
            None => (groups::by_manifest(records), Vec::new()),
        };
        let names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
        let baseline = baseline_of(&names, options)?;
        let patients = records.iter().find_map(|record| record.patients.as_ref());
        let mut columns = Columns::new(&metrics, patients.map(PatientTable::person_ids).unwrap_or_default());
        let primary_metric = primary(first, &metrics).to_owned();
        let mut comparison = Self {
            rows: rows(records, &groups, &metrics, &mut columns),
            notes: chosen.into_iter().chain(notes::of(records, &groups, &primary_metric, apart)).collect(),
            primary: primary_metric,
            metrics,
            baseline,
            objective: first.tested().objective.clone(),
            examples: first.tested().examples,
            patients: patients.map(PatientTable::number).or(first.tested().patients),
            unpaired: apart.then(|| examples(records)),
            draws: options.draws,
            verdict: String::new(),
        };
        let resampled = columns.resample(options);
        comparison.fill(&resampled, &columns);
        comparison.verdict = verdict::of(&comparison, &resampled, &columns);
        Ok(comparison)
    }

    /// Rows of one kind, with their index.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (usize, &ComparedRow)> {
        self.rows.iter().enumerate().filter(move |(_, row)| row.kind == kind)
    }

    /// Intervals, differences and best rows.
    fn fill(&mut self, resampled: &Option<Resampled>, columns: &Columns) {
        let metrics = self.metrics.clone();
        for (m, metric) in metrics.iter().enumerate() {
            let base = self.rows[self.baseline].metrics[m].1.mean;
            let family: Vec<usize> =
                self.of_kind(Kind::Configuration).map(|(i, _)| i).filter(|&i| i != self.baseline).collect();
            let raw = |row: usize| resampled.as_ref()?.p(columns, row, self.baseline, m);
            let p: Vec<Option<f64>> = family.iter().map(|&row| raw(row)).collect();
            let known: Option<Vec<f64>> = p.iter().copied().collect();
            let corrected = known.map(|p| holm(&p));
            let of_row = |row: usize| -> Difference {
                let mean = self.rows[row].metrics[m].1.mean - base;
                if row == self.baseline && self.unpaired.is_none() {
                    return Difference { mean: 0.0, low: Some(0.0), high: Some(0.0), p: Some(1.0) };
                }
                let interval = resampled.as_ref().and_then(|r| r.difference(columns, row, self.baseline, m));
                let p = match family.iter().position(|&other| other == row) {
                    Some(place) => corrected.as_ref().map(|p| p[place]),
                    None => raw(row), // references are a family of their own question, asked once
                };
                Difference { mean, low: interval.map(|i| i.0), high: interval.map(|i| i.1), p }
            };
            let differences: Vec<Difference> = (0..self.rows.len()).map(of_row).collect();
            for (row, difference) in differences.into_iter().enumerate() {
                if let Some((low, high)) = resampled.as_ref().and_then(|r| r.interval(columns, row, m)) {
                    (self.rows[row].metrics[m].1.low, self.rows[row].metrics[m].1.high) = (Some(low), Some(high));
                }
                self.rows[row].difference.push((metric.clone(), difference));
            }
            if let Some(best) = self.best(m).filter(|&best| self.stands_out(best, m, resampled, columns)) {
                self.rows[best].best.push(metric.clone());
            }
        }
    }

    /// The best configuration in a metric.
    fn best(&self, metric: usize) -> Option<usize> {
        let sign = if lower_is_better(&self.metrics[metric]) { -1.0 } else { 1.0 };
        let score = |row: &ComparedRow| sign * row.metrics[metric].1.mean;
        let rows = self.of_kind(Kind::Configuration).filter(|(_, row)| !score(row).is_nan());
        rows.max_by(|a, b| score(a.1).total_cmp(&score(b.1))).map(|(i, _)| i)
    }

    /// Whether a configuration differs from every other one, after Holm's correction over them, and by an interval without 0,
    /// which knows of seeds.
    fn stands_out(&self, row: usize, metric: usize, resampled: &Option<Resampled>, columns: &Columns) -> bool {
        let others = self.of_kind(Kind::Configuration).map(|(i, _)| i).filter(|&i| i != row);
        let p = |other: usize| {
            let resampled = resampled.as_ref()?;
            let interval = resampled.difference(columns, row, other, metric)?;
            resampled.p(columns, row, other, metric).filter(|_| verdict::is_apart(interval))
        };
        let p: Option<Vec<f64>> = others.map(p).collect();
        p.is_some_and(|p| !p.is_empty() && holm(&p).iter().all(|&p| p < LEVEL))
    }

    /// The rows as JSON; references too where they are wanted.
    pub fn to_json(&self, references: bool) -> Value {
        let rows = self.rows.iter().filter(|row| references || row.kind == Kind::Configuration);
        let map = |pairs: &[(String, Value)]| Value::Object(pairs.iter().cloned().collect::<Map<_, _>>());
        let row = |row: &ComparedRow| {
            let metrics: Vec<_> = row.metrics.iter().map(|(m, e)| (m.clone(), json!(e))).collect();
            let difference: Vec<_> = row.difference.iter().map(|(m, d)| (m.clone(), json!(d))).collect();
            let mut value =
                json!({ "name": row.name, "runs": row.runs, "metrics": map(&metrics), "difference": map(&difference) });
            if let Some(tuned) = &row.tuned {
                value["tuned"] = json!(tuned);
            }
            value
        };
        rows.map(row).collect()
    }
}

/// The metric that rows are ordered and chosen by: the one that chose their epochs, R@10 where a run of an older version does not say
/// it; the first where it is not shown.
fn primary<'a>(run: &Record, metrics: &'a [String]) -> &'a str {
    let chose = run.tested().primary.as_deref().unwrap_or("R@10");
    metrics.iter().find(|m| *m == chose).unwrap_or(&metrics[0])
}

/// The row to compare with, by name; the first where none is named.
fn baseline_of(names: &[String], options: &CompareOptions) -> Result<usize> {
    let Some(name) = &options.baseline else { return Ok(0) };
    let place = names.iter().position(|n| n == name);
    place.ok_or_else(|| Error::user(format!("no row is named `{name}`")).suggest(name, names))
}

/// Configurations in the order given, then references, then oracles.
fn rows(records: &[Record], groups: &[Group<'_>], metrics: &[String], columns: &mut Columns) -> Vec<ComparedRow> {
    let mut rows: Vec<ComparedRow> = groups.iter().map(|group| configuration(group, metrics, columns)).collect();
    for name in references(records) {
        let kinds = kinds(&name, groups, metrics);
        for (first, group) in &kinds {
            let shown = if kinds.len() > 1 { format!("{name} ({})", groups[*first].name) } else { name.clone() };
            rows.push(reference(&name, shown, &once(&name, group, metrics), metrics, columns));
        }
    }
    rows
}

/// The row of a group.
fn configuration(group: &Group<'_>, metrics: &[String], columns: &mut Columns) -> ComparedRow {
    let of_run = |r: &&Record| values(metrics, r.model());
    let model = |r: &Record| r.tested().rows[model_row(r.tested()).unwrap_or_default()].name.clone();
    let by_patient = |r: &&Record, metric: &str| r.patients.as_ref()?.column(&model(r), metric);
    let row = columns.row(group.name.clone(), Kind::Configuration, &group.runs, of_run, by_patient);
    let caption = group.runs.first().map(|r| r.tested().caption.clone()).unwrap_or_default();
    ComparedRow { tuned: group.setting.clone(), caption, ..row }
}

/// The metrics of a reference in a run that has it.
fn reference_values(name: &str, run: &Record, metrics: &[String]) -> Option<Vec<f64>> {
    run.references().find(|(n, _)| *n == name).map(|(_, found)| values(metrics, found))
}

/// The runs that have a reference, apart where it is another one: a rule may see what a configuration gives it, such as
/// laboratory items or a knowledge graph. Each with the first of its groups. Groups without a common seed of the same patients are
/// not told apart.
fn kinds<'a>(name: &str, groups: &[Group<'a>], metrics: &[String]) -> Vec<(usize, Vec<&'a Record>)> {
    let of = |run: &Record| reference_values(name, run, metrics);
    let differ = |a: &Record, b: &Record| {
        a.seed() == b.seed()
            && a.patients_in() == b.patients_in()
            && !are_equal(&of(a).unwrap_or_default(), &of(b).unwrap_or_default())
    };
    let mut kinds: Vec<(usize, Vec<&Record>)> = Vec::new();
    for (g, group) in groups.iter().enumerate() {
        let group: Vec<&Record> = group.runs.iter().copied().filter(|run| of(run).is_some()).collect();
        if group.is_empty() {
            continue;
        }
        let same = |(_, known): &&mut (usize, Vec<&Record>)| !known.iter().any(|a| group.iter().any(|b| differ(a, b)));
        match kinds.iter_mut().find(same) {
            Some((_, known)) => known.extend(group),
            None => kinds.push((g, group)),
        }
    }
    kinds
}

/// Of runs on several cohorts or splits those in which a reference has other patients or values than in the ones before: a rule is the
/// same in every row and seed of the same patients, which is no further draw. On the same patients alone, all.
fn once<'a>(name: &str, group: &[&'a Record], metrics: &[String]) -> Vec<&'a Record> {
    let mut kept: Vec<&Record> = Vec::new();
    for &run in group {
        let is_copy = |other: &&Record| {
            let values = |run: &Record| reference_values(name, run, metrics).unwrap_or_default();
            other.patients_in() == run.patients_in() && are_equal(&values(other), &values(run))
        };
        if !kept.iter().any(is_copy) {
            kept.push(run);
        }
    }
    let several = group.iter().any(|run| run.patients_in() != group[0].patients_in());
    if several { kept } else { group.to_vec() }
}

/// Whether metrics are the same.
fn are_equal(ours: &[f64], theirs: &[f64]) -> bool {
    const SAME: f64 = 1e-6;
    ours.iter().zip(theirs).all(|(&a, &b)| (a - b).abs() <= SAME || a.is_nan() && b.is_nan())
}

/// The row of a baseline or an oracle.
fn reference(name: &str, shown: String, group: &[&Record], metrics: &[String], columns: &mut Columns) -> ComparedRow {
    let of_run = |r: &&Record| reference_values(name, r, metrics).unwrap_or_default();
    let by_patient = |r: &&Record, metric: &str| r.patients.as_ref()?.column(name, metric);
    let kind = if is_oracle(name) { Kind::Oracle } else { Kind::Reference };
    columns.row(shown, kind, group, of_run, by_patient)
}

/// The metrics to show.
fn metrics_of(first: &Record, wanted: &[String]) -> Result<Vec<String>> {
    let known: Vec<String> = first.model().iter().map(|(name, _)| name.clone()).collect();
    if let Some(unknown) = wanted.iter().find(|m| !known.contains(m)) {
        return Err(Error::user(format!("these runs have no metric `{unknown}`")).suggest(unknown, &known));
    }
    match wanted.is_empty() {
        false => Ok(wanted.to_vec()),
        true if known.is_empty() => Err(Error::user("the first run has no metrics").at_file(&first.path)),
        true => Ok(known),
    }
}

fn values(metrics: &[String], of: &[(String, f64)]) -> Vec<f64> {
    metrics.iter().map(|m| of.iter().find(|(n, _)| n == m).map_or(f64::NAN, |(_, v)| *v)).collect()
}

/// Names of the rows to compare with, in the order of the first run that has them, oracles last.
fn references(records: &[Record]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in records.iter().flat_map(Record::references) {
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    }
    names.sort_by_key(|name| is_oracle(name)); // keeps the order otherwise
    names
}

/// The least and the most test examples of a run.
fn examples(records: &[Record]) -> [usize; 2] {
    let of_runs = || records.iter().map(|record| record.tested().examples);
    [of_runs().min().unwrap_or(0), of_runs().max().unwrap_or(0)]
}

#[cfg(test)]
mod tests;
