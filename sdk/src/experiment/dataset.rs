//! From a plan to the data that its stages learn from. The cohort comes from the cache, or from the raw tables.

use super::inputs::{cohort_key, seen};
use super::plan::Plan;
use crate::cache::Cache;
use crate::component::{Learns, Parser, ParserContext};
use crate::data::knowledge::{Knowledge, OfCohort, Triples};
use crate::data::prepare::learns;
use crate::data::{Cohort, Dataset, Splits, cohort_file, flow, prepare_for};
use crate::error::value;
use crate::{Error, Progress, Result};
use std::sync::Arc;

const COHORT: &str = "cohort";

/// Cohort, vocabulary, split and graph.
pub(super) fn dataset(plan: &Plan, cache: Option<&Cache>, progress: &dyn Progress) -> Result<Dataset> {
    let data = &plan.manifest.data;
    // They are read last, and what is wrong with them shall not be told after minutes.
    plan.check_knowledge()?;
    let mut cohort = cohort(plan, cache, progress)?;
    check_nodes(&cohort, &data.nodes)?;
    cohort.nodes.clone_from(&data.nodes);
    if let Some(limit) = data.loss_limit {
        flow::check(&cohort.flow, limit).map_err(|e| e.within_key("data"))?;
    }
    let single = plan.asks_about_single()?;
    let mut dataset = prepare_for(cohort, &data.split, single).map_err(|e| e.within_key("data.split"))?;
    dataset.graph = dataset.graph.with_precision(plan.manifest.backend.precision);
    if !plan.checked.tells_visits_apart {
        dataset.labs_by_visit = None;
    }
    if !data.knowledge.is_empty() {
        dataset.knowledge = Some(Arc::new(knowledge(plan, &dataset)?));
    }
    Ok(dataset)
}

/// What the knowledge graph of the manifest says of codes and items.
fn knowledge(plan: &Plan, data: &Dataset) -> Result<Knowledge> {
    const KEY: &str = "data.knowledge";
    let (parser, codes) = (&plan.parser, &data.vocabulary.codes);
    let cohort = OfCohort { codes, facts: &|strength| parser.knowledge(strength) };
    let (triples, _) = Triples::join(&plan.manifest.data.knowledge, KEY, 0, Some(&cohort))?;
    Knowledge::new(&triples, codes, &data.item_ids()).ok_or_else(|| {
        let first = triples.entities.list().first().map_or_else(String::new, value);
        let code = codes.get(1).map_or("", String::as_str);
        Error::user("none of its triples links codes or laboratory items of this cohort").at_key(KEY).help(format!(
            "its first entity is {first}; wanted are codes as the cohort has them, such as `{code}`, and items, such as \
             `item:50912`"
        ))
    })
}

/// Refuses kinds of nodes that the cohort lacks.
fn check_nodes(cohort: &Cohort, nodes: &[String]) -> Result<()> {
    match nodes.iter().enumerate().find(|(_, kind)| cohort.events(kind).is_none()) {
        None => Ok(()),
        Some((i, kind)) => {
            let error = Error::user(format!("this cohort has no `{kind}`")).at_key(format!("data.nodes[{i}]"));
            let kinds = cohort.events.iter().map(|events| events.kind.clone());
            Err(error.suggest(kind, kinds).help("parsers read them when their options say so"))
        }
    }
}

/// The cohort: from the cache, or parsed and added to it.
fn cohort(plan: &Plan, cache: Option<&Cache>, progress: &dyn Progress) -> Result<Cohort> {
    let parser = plan.parser.as_ref();
    let key = cache.map(|_| cohort_key(plan, parser)).transpose()?.flatten();
    let Some((cache, key)) = cache.zip(key) else { return parsed(plan, parser, progress) };
    if let Some(entry) = cache.get(COHORT, &key)
        && let Some(cohort) = cohort_file::load(&entry)
    {
        progress.line(&format!("cohort: from the cache ({})", entry.display()));
        return Ok(cohort);
    }
    let cohort = parsed(plan, parser, progress)?;
    let (patients, admissions) = (cohort.patients.len(), cohort.admissions.values().len());
    let about = format!("{}: {patients} patients, {admissions} admissions", plan.manifest.data.parser.r#type);
    cache.keep(COHORT, &key, &about, |folder| cohort_file::save(&cohort, folder), progress);
    Ok(cohort)
}

/// The cohort that the parser reads, from files that stayed as they were meanwhile.
///
/// # Errors
/// Those of the parser, and when a file changed, which is named: a table of half the rows is a table, too.
fn parsed(plan: &Plan, parser: &dyn Parser, progress: &dyn Progress) -> Result<Cohort> {
    let before = seen(plan, parser);
    let (split, single) = (&plan.manifest.data.split, plan.asks_about_single()?);
    let of_split: &Learns<'_> = &|cohort: &Cohort| learns(split, single, cohort);
    let learns = split.is_random().then_some(of_split);
    let context = ParserContext { progress, compat: plan.manifest.is_compat(), seed: plan.manifest.seed, learns };
    let cohort = parser.parse(&context).map_err(|e| e.within_key("data.parser"));
    let after = seen(plan, parser);
    let changed = before.iter().find(|(file, seen)| after.get(*file) != Some(*seen)).map(|(file, _)| file);
    if let Some(file) = changed.or_else(|| after.keys().find(|file| !before.contains_key(*file))) {
        return Err(Error::user("this file changed while it was read")
            .at_file(file)
            .help("wait until whatever writes it is done, and begin again"));
    }
    let cohort = cohort?;
    cohort.validate()?;
    // Else the cohort of another split would come from the cache.
    if split.is_random() && !cohort.cut_from.is_empty() && parser.inputs().is_some_and(|inputs| !inputs.split) {
        let message = "the parser cuts values by who is learnt from, and its `inputs` do not say so";
        return Err(Error::program(message).help("set `split` of its `Inputs`").at_key("data.parser"));
    }
    Ok(cohort)
}

/// The data in a few lines.
pub(super) fn summarise(data: &Dataset) -> Vec<String> {
    let (cohort, vocabulary, splits) = (&data.cohort, &data.vocabulary, &data.splits);
    let pairs = (data.graph.nodes() as f64 - 1.0).powi(2).max(1.0);
    let mut lines = vec![
        format!(
            "{} patients, {} admissions, {} codes ({} to predict), {} lab items",
            cohort.patients.len(),
            cohort.admissions.values().len(),
            vocabulary.codes.len() - 1,
            vocabulary.target_codes,
            vocabulary.labs.len()
        ),
        format!(
            "split: {} pretrain, {} train, {} valid, {} test",
            splits.pretrain.len(),
            splits.train.len(),
            splits.valid.len(),
            splits.test.len()
        ),
        format!(
            "graph: {} nodes, {} edges ({:.1} % of pairs)",
            data.graph.nodes(),
            data.graph.edges(),
            100.0 * data.graph.edges() as f64 / pairs
        ),
    ];
    lines.extend(data.knowledge.iter().map(|knowledge| knowledge.summary()));
    lines.extend(nothing_chosen(splits).map(str::to_owned));
    lines.extend(losses(data));
    lines
}

/// What a reader must know where nobody is there to choose by.
fn nothing_chosen(splits: &Splits) -> Option<&'static str> {
    let warning = "warning: valid has no patients: the last epoch of a stage is kept, and nothing chooses how strong \
                   the ridge of regressions beside the model is";
    (splits.valid.is_empty() && !splits.train.is_empty()).then_some(warning)
}

/// What was left out between tables and cohort: a table, and a warning for each large loss.
pub(super) fn losses(data: &Dataset) -> Vec<String> {
    let cohort = &data.cohort;
    let table = flow::table(&cohort.flow);
    let notes = cohort.notes.iter().map(|(what, n)| format!("{what}: {n}"));
    table.lines().map(str::to_owned).chain(notes).chain(flow::warnings(&cohort.flow)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_without_valid_is_told_that_nothing_is_chosen() {
        let splits = |train: &[usize], valid: &[usize]| Splits {
            train: train.to_vec(),
            valid: valid.to_vec(),
            ..Splits::default()
        };
        assert!(nothing_chosen(&splits(&[0, 1], &[])).is_some_and(|line| line.starts_with("warning: valid has no")));
        assert_eq!(nothing_chosen(&splits(&[0, 1], &[2])), None);
        assert_eq!(nothing_chosen(&Splits::default()), None, "prepared without a split");
    }
}
