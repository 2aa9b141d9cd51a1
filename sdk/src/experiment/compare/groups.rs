//! Which runs are one row.

use super::facets::{Facets, names};
use super::record::Record;
use crate::train::metrics::lower_is_better;
use crate::{Error, Result};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A finished run of a sweep, and where the sweep has it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// Its folder.
    pub folder: PathBuf,
    /// Its row.
    pub row: String,
    /// What the row is tuned to in it, such as `lr = 0.002`; `None` where nothing is tuned.
    pub setting: Option<String>,
    /// Whether the setting of the row is chosen by it, among others.
    pub decides: bool,
}

/// A finished run, and what the manifest of its sweep calls its row.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedRun {
    /// Its folder.
    pub folder: PathBuf,
    /// The name; `None` of a run by itself, and where the manifest gives none.
    pub row: Option<String>,
}

/// Runs that differ in nothing but the seed.
pub(super) struct Group<'a> {
    pub name: String,
    pub setting: Option<String>,
    pub runs: Vec<&'a Record>,
    /// Those of the runs that a setting is chosen by.
    pub deciding: Vec<&'a Record>,
}

/// Groups by what manifests say.
pub(super) fn by_manifest(records: &[Record]) -> Vec<Group<'_>> {
    let mut groups: Vec<(&Facets, Vec<&Record>)> = Vec::new();
    for record in records {
        match groups.iter_mut().find(|(facets, _)| **facets == record.facets) {
            Some((_, group)) => group.push(record),
            None => groups.push((&record.facets, vec![record])),
        }
    }
    let names = match groups.as_slice() {
        [(_, runs)] => vec![given(runs).unwrap_or(&records[0].outcome.name).to_owned()],
        several => called(several),
    };
    names
        .into_iter()
        .zip(groups)
        .map(|(name, (_, runs))| Group { name, setting: None, runs, deciding: Vec::new() })
        .collect()
}

/// What manifests call a row: the name of an entry of a sweep's list, or of the experiment; nothing where its runs are called
/// otherwise.
fn given<'a>(runs: &[&'a Record]) -> Option<&'a str> {
    let name = |run: &'a Record| run.row.as_deref().unwrap_or(&run.outcome.name);
    let mut names = runs.iter().copied().map(name);
    let first = names.next()?;
    names.all(|other| other == first).then_some(first)
}

/// Names of rows: those that are given where they tell rows apart, with what is different about rows that are called alike; else what
/// is different about each.
fn called(groups: &[(&Facets, Vec<&Record>)]) -> Vec<String> {
    let differences = |of: &[usize]| names(&of.iter().map(|&row| groups[row].0.clone()).collect::<Vec<_>>());
    let all: Vec<usize> = (0..groups.len()).collect();
    let given: Vec<Option<&str>> = groups.iter().map(|(_, runs)| given(runs)).collect();
    let name = |row: usize| -> String {
        let Some(name) = given[row] else { return differences(&all)[row].clone() };
        let alike: Vec<usize> = all.iter().copied().filter(|&other| given[other] == given[row]).collect();
        match alike.iter().position(|&other| other == row) {
            Some(place) if alike.len() > 1 => format!("{name}, {}", differences(&alike)[place]),
            _ => name.to_owned(),
        }
    };
    let found: Vec<String> = all.iter().map(|&row| name(row)).collect();
    let apart = found.iter().collect::<BTreeSet<_>>().len() == found.len();
    match given.iter().all(|name| *name == given[0]) || !apart {
        true => differences(&all),
        false => found,
    }
}

/// Digests of cohorts and splits.
type Patients = BTreeSet<[String; 2]>;

/// Keeps the runs on patients that every row was run on, with each setting that it is tuned by. Returns how many are left out, and
/// whether those that are left are on several cohorts or splits, each row on all of them. Rows that have no patients in common stay
/// as they are.
pub(super) fn keep_common(found: &mut Vec<(Record, PlannedRun)>) -> (usize, bool) {
    let mut rows: BTreeMap<(&str, Option<&str>), Patients> = BTreeMap::new();
    for (record, run) in found.iter() {
        let Some(patients) = record.patients_in() else { return (0, false) };
        rows.entry((&run.row, run.setting.as_deref())).or_default().insert(patients.map(str::to_owned));
    }
    let shared = |a: Patients, b: Patients| -> Patients { a.intersection(&b).cloned().collect() };
    let common = rows.into_values().reduce(shared).unwrap_or_default();
    if common.is_empty() {
        return (0, false);
    }
    let all = found.len();
    found.retain(|(record, _)| record.patients_in().is_some_and(|on| common.contains(&on.map(str::to_owned))));
    (all - found.len(), common.len() > 1)
}

/// Groups as a sweep has planned them.
pub(super) fn planned<'a>(records: &'a [Record], planned: &[PlannedRun]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (record, plan) in records.iter().zip(planned) {
        let (name, setting) = (plan.row.clone(), plan.setting.clone());
        let place = groups.iter().position(|group| group.name == name && group.setting == setting);
        let place = place.unwrap_or_else(|| {
            groups.push(Group { name, setting, runs: Vec::new(), deciding: Vec::new() });
            groups.len() - 1
        });
        groups[place].runs.push(record);
        if plan.decides {
            groups[place].deciding.push(record);
        }
    }
    groups
}

/// Of every name the group that is best on valid in a metric, among those with the most runs that decide, and lines that say so, and how
/// close the choice was.
pub(super) fn tuned<'a>(groups: Vec<Group<'a>>, metric: &str) -> Result<(Vec<Group<'a>>, Vec<String>)> {
    if groups.iter().all(|group| group.setting.is_none()) {
        return Ok((groups, Vec::new()));
    }
    let mut rows: Vec<Vec<Group<'a>>> = Vec::new();
    for group in groups {
        match rows.iter_mut().find(|row| row[0].name == group.name) {
            Some(row) => row.push(group),
            None => rows.push(vec![group]),
        }
    }
    let (least, most) = (rows.iter().map(Vec::len).min().unwrap_or(0), rows.iter().map(Vec::len).max().unwrap_or(0));
    let chosen = rows.into_iter().map(|row| best(row, metric)).collect::<Result<Vec<_>>>()?;
    let (chosen, next): (Vec<Group<'a>>, Vec<Option<Behind>>) = chosen.into_iter().unzip();
    let texts: Vec<String> =
        chosen.iter().map(|group| format!("{}: {}", group.name, group.setting.as_deref().unwrap_or("-"))).collect();
    let settings = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let with = deciding_seeds(&chosen);
    let note = format!("each row is the best of {settings} settings on valid, by {metric}{with}: {}", texts.join("; "));
    let notes = std::iter::once(note).chain(ahead(&chosen, &next)).collect();
    Ok((chosen, notes))
}

/// By how much settings were chosen; nothing where there was no other.
fn ahead(chosen: &[Group<'_>], next: &[Option<Behind>]) -> Option<String> {
    let text = |(group, next): (&Group<'_>, &Option<Behind>)| {
        let Behind { by, setting } = next.as_ref()?;
        Some(format!("{}: {by:.4} ({setting})", group.name))
    };
    let texts: Vec<String> = chosen.iter().zip(next).filter_map(text).collect();
    let runs = chosen.iter().flat_map(|group| &group.deciding);
    let patients: BTreeSet<Option<usize>> = runs.map(|run| Some(run.fingerprint.as_ref()?.valid)).collect();
    let on = match patients.into_iter().collect::<Vec<_>>().as_slice() {
        [Some(valid)] => format!(" ({valid} patients)"),
        _ => String::new(),
    };
    (!texts.is_empty()).then(|| format!("ahead of the next best setting on valid{on} by: {}", texts.join("; ")))
}

/// With which seeds settings were chosen, where that is not all.
fn deciding_seeds(chosen: &[Group<'_>]) -> String {
    if chosen.iter().all(|group| group.deciding.len() == group.runs.len()) {
        return String::new();
    }
    let seeds: BTreeSet<i64> = chosen.iter().flat_map(|group| &group.deciding).map(|run| run.seed()).collect();
    let word = if seeds.len() == 1 { "seed" } else { "seeds" };
    format!(", with {word} {}", seeds.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))
}

/// The setting that comes after the one that is chosen.
pub(super) struct Behind {
    /// How much worse it is on valid.
    by: f64,
    setting: String,
}

/// The group that is best on valid, among those with the most runs that decide, and the one that comes after it.
pub(super) fn best<'a>(row: Vec<Group<'a>>, metric: &str) -> Result<(Group<'a>, Option<Behind>)> {
    let most = row.iter().map(|group| group.deciding.len()).max().unwrap_or(0);
    let sign = if lower_is_better(metric) { -1.0 } else { 1.0 };
    let mut ranked: Vec<(f64, Group<'a>)> = Vec::new();
    for group in row.into_iter().filter(|group| group.deciding.len() == most) {
        let values = group.deciding.iter().map(|run| on_valid(run, metric)).collect::<Result<Vec<f64>>>()?;
        ranked.push((sign * values.iter().sum::<f64>() / values.len() as f64, group));
    }
    // The first of equal ones stays first; what is no number is worse than all.
    let better = |a: f64, b: f64| a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(Ordering::Equal));
    ranked.sort_by(|a, b| better(a.0, b.0));
    let mut ranked = ranked.into_iter();
    let (mean, best) = ranked.next().ok_or_else(|| Error::program("a row without runs"))?;
    let next = ranked.next().filter(|(other, _)| !other.is_nan());
    Ok((best, next.and_then(|(other, group)| Some(Behind { by: mean - other, setting: group.setting? }))))
}

fn on_valid(run: &Record, metric: &str) -> Result<f64> {
    let found = run.valid.iter().find(|(name, _)| name == metric);
    found.map(|(_, value)| *value).ok_or_else(|| {
        Error::user(format!("a tuned row is chosen on valid, and this run has no {metric} there"))
            .at_file(&run.path)
            .help("`dualk compare` of run folders shows every setting as a row")
    })
}
