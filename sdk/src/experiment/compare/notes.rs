//! What a reader should know before the figures of a table.

use super::groups::Group;
use super::record::Record;
use super::{origins, unlearnt};
use crate::error::counted;
use std::collections::BTreeSet;

/// The notes of a table; `apart`: the runs of a row are on different patients.
pub(super) fn of(records: &[Record], groups: &[Group<'_>], primary: &str, apart: bool) -> Vec<String> {
    let mut notes = vec![reads_of_test(records, groups, primary)];
    if groups.iter().any(|group| seeds(group) != seeds(&groups[0])) {
        notes.push(
            "the rows have different seeds: their means are over different numbers of runs, or other ones".into(),
        );
    }
    notes.extend(records.iter().find_map(|record| record.tested().knows_more()).map(str::to_owned));
    if !apart {
        notes.extend(repeated(groups));
    }
    notes.extend(unlearnt::note(groups, primary));
    notes.extend(origins::note(records, groups));
    if apart {
        let note = "no intervals, differences by patient or p-values: the runs of a row are on different patients";
        notes.push(format!("{note}, and ± is over these, too"));
    } else if records.iter().any(|r| r.patients.is_none()) {
        notes.push("no intervals: at least one run has no metrics by patient; run it again with this version".into());
    } else {
        notes.extend(few_runs(groups).map(str::to_owned));
    }
    notes
}

/// The seeds of the runs of a row.
fn seeds(group: &Group<'_>) -> BTreeSet<i64> {
    group.runs.iter().map(|run| run.seed()).collect()
}

/// What was chosen on test: nothing, but where rows have no metric on valid by which the last line could choose one of them.
fn chosen_on_test(groups: &[Group<'_>], primary: &str) -> String {
    let is_on_valid = |run: &&Record| run.valid.iter().any(|(name, _)| name == primary);
    match groups.len() > 1 && !groups.iter().all(|group| group.runs.first().is_some_and(is_on_valid)) {
        true => format!("the last line chooses its row on it, as not all have {primary} on valid"),
        false => "nothing was chosen on it".to_owned(),
    }
}

/// A line that names rows with several runs of one seed, such as copies, and runs before and after a plugin was rebuilt.
fn repeated(groups: &[Group<'_>]) -> Option<String> {
    let of_row = |group: &Group<'_>| {
        let seeds = seeds(group).len();
        let noun = if seeds == 1 { "seed" } else { "seeds" };
        (seeds < group.runs.len()).then(|| format!("{}, {} runs of {seeds} {noun}", group.name, group.runs.len()))
    };
    let rows: Vec<String> = groups.iter().filter_map(of_row).collect();
    let what = "several runs have one seed: they count as several, and the standard deviation is too small";
    (!rows.is_empty()).then(|| format!("{what}: {}", rows.join("; ")))
}

/// How often test was read, which runs with the published protocol do after every epoch, and what was chosen on it.
fn reads_of_test(records: &[Record], groups: &[Group<'_>], primary: &str) -> String {
    let watched = records.iter().map(|record| record.watched).sum::<usize>();
    let also = match watched {
        0 => String::new(),
        epochs => format!(", and after {} while they trained, as the published code does", counted(epochs, "epoch")),
    };
    let chosen = chosen_on_test(groups, primary);
    format!("test was read {}: once for each run{also}; {chosen}", counted(records.len() + watched, "time"))
}

/// What rows of one or two runs leave open.
fn few_runs(groups: &[Group<'_>]) -> Option<&'static str> {
    match groups.iter().map(|group| group.runs.len()).min()? {
        1 if groups.len() > 1 => Some("rows of one run: no interval knows what another seed would give"),
        2 => Some("rows of two runs say little of the spread over seeds, so ± is wide: with more seeds it is narrower"),
        _ => None,
    }
}
