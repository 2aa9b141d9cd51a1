//! The table of a tested stage: baselines, the model, oracles; and the same by patient.

use super::outcome::{Row, StageOutcome, Stratum};
use super::plan::Experiment;
use super::run::Parts;
use super::run_dir::RunDir;
use super::strata::{Division, divisions};
use crate::component::{Asks, HeadSpec, Objective, Oracle, ParserContext};
use crate::data::{Examples, Prepared};
use crate::model::Model;
use crate::progress::Silent;
use crate::train::{
    Assessment, BaselineContext, Resamples, Scale, Scored, assess, assess_binary, assess_numbers, baselines,
    derive_seed, log_loss, metrics_of, predict, predict_blocks,
};
use crate::{Error, Progress, Result};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Seed of the bootstrap: the same for all experiments, so that runs on the same patients compare in pairs.
const BOOTSTRAP: u64 = 0;
/// Where recall is cut off for an objective without one of its own.
const KS: [usize; 4] = [10, 20, 30, 40];
/// Where the curve of recall has its points.
const CURVE: [usize; 13] = [1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 75, 100];

/// A model to test.
pub(super) struct Tested<'a> {
    pub model: &'a Model,
    /// Which stage.
    pub stage: usize,
    /// The epoch of its weights, from 0.
    pub epoch: usize,
    /// Epoch and model that were best on valid, where others were selected.
    pub best_on_valid: Option<&'a (usize, Model)>,
}

/// Values of the rows of a table, by test patient: `patients-<stage>.json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct ByPatient {
    /// The patients, one a test example, in the order of the split.
    patients: Vec<String>,
    /// For each row and measure a value a patient; null where it is undefined.
    rows: BTreeMap<String, BTreeMap<String, Vec<Option<f64>>>>,
}

impl ByPatient {
    /// Writes the file of a stage to a run.
    pub fn write(&self, run: &RunDir, stage: &str) -> Result<()> {
        let text = serde_json::to_vec(self);
        let text = text.map_err(|e| Error::program(format!("cannot write measures by patient: {e}")))?;
        run.write(&format!("patients-{stage}.json"), &text)
    }
}

/// Whom an example is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About {
    /// Its place in the cohort.
    pub index: usize,
    /// The last visit that is seen, as a row of the cohort's admissions.
    pub last: usize,
    /// Visits that are seen.
    pub visits: usize,
    /// Visits that the patient has.
    pub of: usize,
}

/// Whom each example is about; `None` for one without visits.
pub(super) fn about_of(examples: &Examples, data: &Prepared) -> Vec<Option<About>> {
    let offsets = data.cohort.admissions.offsets();
    let about = |i: usize| {
        let last = *examples.visits.row(i).last()? as usize;
        let p = offsets.partition_point(|&o| o <= last) - 1;
        Some(About { index: p, last, visits: examples.visits.row(i).len(), of: data.cohort.visits(p) })
    };
    (0..examples.len()).map(about).collect()
}

impl Experiment {
    /// Tests a model: the table, and the values of each patient for every row of it.
    pub(super) fn test(
        &self,
        tested: &Tested<'_>,
        objective: &dyn Objective,
        parts: &Parts,
        data: &Prepared,
        progress: &dyn Progress,
    ) -> Result<(StageOutcome, ByPatient)> {
        let stage = &self.manifest.stage[tested.stage];
        if parts.test.is_empty() {
            return Err(Error::user("no test patient has examples for this objective")
                .at_key(format!("stage[{}].{}", tested.stage, stage.objective().0))
                .help("give the split more test patients, or choose another task"));
        }
        let heads = tested.model.head_specs();
        let mut scored = match self.manifest.output.baselines {
            true => {
                let task = progress.begin("baselines", "", None);
                let labs = self.manifest.model.lab.r#type != "none";
                let Parts { train, valid, test } = parts;
                let found = baselines(&BaselineContext { data, objective, heads, train, valid, test, labs });
                task.finish("");
                found?
            }
            false => Vec::new(),
        };
        let mut predicted = |name: String, model: &Model| {
            let heads = predict(model, &data.graph, &parts.test, &mut Silent);
            scored.push(Scored { name, heads, scale: Scale::Logits });
        };
        if let Some((epoch, model)) = tested.best_on_valid {
            predicted(format!("best on valid, epoch {}", epoch + 1), model);
        }
        predicted(format!("{}, epoch {}", self.manifest.name, tested.epoch + 1), tested.model);
        scored.extend(self.oracles(objective, heads, &parts.test, data)?);
        let name = stage.name(tested.stage);
        let table = Table::new(objective, heads, parts, data);
        let (mut rows, mut by_patient) = (Vec::new(), ByPatient::default());
        by_patient.patients = table.patients(data);
        for scored in &scored {
            let (row, values) = table.row(scored);
            rows.push(row);
            let or_null = |values: Vec<f64>| values.into_iter().map(|v| (!v.is_nan()).then_some(v)).collect();
            let values = values.into_iter().map(|(measure, values)| (measure, or_null(values))).collect();
            by_patient.rows.insert(scored.name.clone(), values);
        }
        // Beside the loss on test, to see what was learnt by heart.
        if !parts.valid.is_empty()
            && objective.link().is_none()
            && let Some(row) = rows.iter_mut().rev().find(|row| !row.is_oracle())
        {
            let mut sums = vec![0.0; heads.len()];
            predict_blocks(tested.model, &data.graph, &parts.valid, &mut Silent, |logits, batch| {
                for ((sum, spec), (logits, targets)) in
                    sums.iter_mut().zip(heads).zip(logits.iter().zip(&batch.targets))
                {
                    *sum += log_loss(logits, spec.outputs, targets) * batch.len() as f64;
                }
            });
            let each = sums.into_iter().map(|sum| sum / parts.valid.len() as f64);
            row.measures.push(("valid log loss".to_owned(), each.sum::<f64>() / heads.len().max(1) as f64));
        }
        let outcome = StageOutcome {
            stage: name,
            objective: stage.objective().1.r#type,
            examples: parts.test.len(),
            epoch: tested.epoch,
            caption: objective.caption(),
            rows,
        };
        Ok((outcome, by_patient))
    }
}

impl Experiment {
    /// Rankings by the true chances of codes, where the patients are made up.
    fn oracles(
        &self,
        objective: &dyn Objective,
        heads: &[HeadSpec],
        test: &Examples,
        data: &Prepared,
    ) -> Result<Vec<Scored>> {
        let asks: Vec<Asks> = (0..heads.len()).map(|head| objective.asks(data, head)).collect();
        let about: Option<Vec<About>> = about_of(test, data).into_iter().collect();
        let (Some(about), true) = (about, asks.iter().all(|a| matches!(a, Asks::Codes(_)))) else {
            return Ok(Vec::new());
        };
        let parser = self.parser()?;
        let context = ParserContext { progress: &Silent, compat: self.manifest.is_compat(), seed: self.manifest.seed };
        let visits: Vec<usize> = about.iter().map(|a| a.last + 1).collect();
        let oracles = parser.oracles(&context, &data.cohort, &visits, objective.sees_labs_of_target())?;
        let codes = data.vocabulary.codes.iter().enumerate();
        let identifiers: HashMap<&str, usize> = codes.map(|(i, code)| (code.as_str(), i)).collect();
        let scores = |chances: &[Vec<f32>], asks: &Asks, columns: usize| -> Vec<f32> {
            let Asks::Codes(map) = asks else { return Vec::new() };
            let column = |code: &String| map[*identifiers.get(code.as_str())?].map(|c| c as usize);
            let columns_of: Vec<Option<usize>> = data.cohort.code_names.iter().map(column).collect();
            let logits = |row: &Vec<f32>| {
                // The chance that none of the codes of a column comes, as if each came by itself.
                let mut none = vec![1f64; columns];
                for (chance, column) in row.iter().zip(&columns_of) {
                    column.iter().for_each(|&c| none[c] *= 1.0 - f64::from(*chance));
                }
                none.into_iter().map(|n| (((1.0 - n).max(1e-9)).ln() - n.max(1e-9).ln()) as f32).collect::<Vec<_>>()
            };
            chances.iter().flat_map(logits).collect()
        };
        let scored = |oracle: Oracle| Scored {
            name: format!("oracle, {}", oracle.name),
            heads: asks.iter().zip(heads).map(|(a, head)| scores(&oracle.chances, a, head.outputs)).collect(),
            scale: Scale::Logits,
        };
        Ok(oracles.into_iter().map(scored).collect())
    }
}

/// What the rows of a table share.
struct Table<'a> {
    objective: &'a dyn Objective,
    heads: &'a [HeadSpec],
    test: &'a Examples,
    about: Vec<Option<About>>,
    resamples: Resamples,
    /// For each head, of each positive the part that it belongs to, by what divides them.
    labels: Vec<Vec<Division>>,
}

impl<'a> Table<'a> {
    fn new(objective: &'a dyn Objective, heads: &'a [HeadSpec], parts: &'a Parts, data: &Prepared) -> Self {
        let of = |head: usize| {
            let asks = objective.asks(data, head);
            divisions(&asks, head, heads[head].outputs, parts, data)
        };
        Self {
            objective,
            heads,
            test: &parts.test,
            about: about_of(&parts.test, data),
            resamples: Resamples::new(parts.test.len(), derive_seed(BOOTSTRAP, &[])),
            labels: (0..heads.len()).map(of).collect(),
        }
    }

    /// Whom the examples are about; the number of an example where it is no patient with visits.
    fn patients(&self, data: &Prepared) -> Vec<String> {
        let name = |(i, about): (usize, &Option<About>)| match about {
            Some(about) => data.cohort.patient_name(about.index),
            None => format!("example {i}"),
        };
        self.about.iter().enumerate().map(name).collect()
    }

    /// A row, and what it is for each example.
    fn row(&self, scored: &Scored) -> (Row, Vec<(String, Vec<f64>)>) {
        let metrics = metrics_of(self.objective, self.heads, &scored.heads, self.test);
        let mut ks: Vec<usize> = metrics.iter().filter_map(|(name, _)| name.strip_prefix("R@")?.parse().ok()).collect();
        if ks.is_empty() {
            ks = KS.to_vec();
        }
        let (mut measures, mut values, mut strata) = (Vec::new(), Vec::new(), Vec::new());
        let (mut recall, mut reliability) = (Vec::new(), Vec::new());
        for (head, spec) in self.heads.iter().enumerate() {
            let (scores, targets) = (&scored.heads[head], &self.test.targets[head]);
            let link = self.objective.link();
            let found = match (link, spec.outputs) {
                (Some(link), columns) => assess_numbers(scores, columns, self.test.numbers_of(head), link),
                (None, 1) => assess_binary(scores, targets, scored.scale),
                (None, columns) => assess(scores, columns, targets, &ks, scored.scale),
            };
            let named = |name: &String| match self.heads.len() {
                1 => name.clone(),
                _ => format!("{}: {name}", spec.name),
            };
            strata.extend(self.strata(head, &found, &ks, named(&String::new())));
            if self.heads.len() == 1 {
                let ks: Vec<usize> = CURVE.into_iter().filter(|k| *k <= spec.outputs).collect();
                recall = found.recall_at(targets, &ks);
                recall.retain(|(_, value)| !value.is_nan());
                reliability.clone_from(&found.reliability);
            }
            let new = found.overall.iter().filter(|(name, _)| !metrics.iter().any(|(known, _)| known == name));
            measures.extend(new.map(|(name, value)| (named(name), *value)));
            values.extend(found.each.iter().map(|(name, each)| (named(name), each.clone())));
            if spec.outputs == 1 && link.is_none() {
                values.push((named(&"score".to_owned()), scores.iter().map(|&s| f64::from(s)).collect()));
                let truth = targets.rows().map(|row| if row.is_empty() { 0.0 } else { 1.0 });
                values.push((named(&"truth".to_owned()), truth.collect()));
            }
        }
        let in_table = |name: &str| name != "score" && name != "truth";
        let means: Vec<(String, Vec<f64>)> = values.iter().filter(|(name, _)| in_table(name)).cloned().collect();
        let mut intervals = self.resamples.of_means(&means);
        intervals.extend(self.areas(scored));
        (Row { name: scored.name.clone(), metrics, measures, intervals, strata, recall, reliability }, values)
    }

    /// Intervals of the areas of a yes/no question.
    fn areas(&self, scored: &Scored) -> Vec<crate::train::Interval> {
        let ([head], [targets]) = (scored.heads.as_slice(), self.test.targets.as_slice()) else { return Vec::new() };
        if self.heads[0].outputs != 1 || self.objective.link().is_some() {
            return Vec::new();
        }
        let mut order: Vec<(f32, bool, usize)> =
            head.iter().zip(targets.rows()).enumerate().map(|(i, (&s, row))| (s, !row.is_empty(), i)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let area = |counts: &[u8]| {
            let (mut positives, mut negatives, mut twice_above) = (0f64, 0f64, 0f64);
            for group in order.chunk_by(|a, b| a.0 == b.0) {
                let of =
                    |class: bool| group.iter().filter(|e| e.1 == class).map(|e| f64::from(counts[e.2])).sum::<f64>();
                let (p, n) = (of(true), of(false));
                twice_above += n * (2.0 * positives + p);
                (positives, negatives) = (positives + p, negatives + n);
            }
            twice_above / (2.0 * positives * negatives)
        };
        ["AUC", "AUROC"].iter().filter_map(|name| self.resamples.interval(name, area)).collect()
    }

    /// Recall of parts of the labels, and recall by the length of the history.
    fn strata(&self, head: usize, found: &Assessment, ks: &[usize], prefix: String) -> Vec<Stratum> {
        let (Some(&k), false) = (ks.get(1).or(ks.first()), found.ranks.is_empty()) else { return Vec::new() };
        let mut strata = Vec::new();
        for division in &self.labels[head] {
            let mut sums = vec![(0usize, 0usize); division.parts.len()];
            for (&rank, &part) in found.ranks.iter().zip(&division.of) {
                sums[part] = (sums[part].0 + usize::from((rank as usize) < k), sums[part].1 + 1);
            }
            for (part, (hits, number)) in division.parts.iter().zip(sums).filter(|(_, (_, number))| *number > 0) {
                let value = hits as f64 / number as f64;
                let (by, measure) = (format!("{prefix}{}", division.by), format!("labels among the first {k}"));
                strata.push(Stratum { by, part: part.clone(), measure, value, number });
            }
        }
        let name = format!("R@{}", ks[0]);
        let Some((_, values)) = found.each.iter().find(|(n, _)| *n == name) else { return strata };
        for (part, visits) in
            [("1 visit", 1..2), ("2 visits", 2..3), ("3 visits", 3..4), ("4 visits or more", 4..usize::MAX)]
        {
            let here = self
                .about
                .iter()
                .zip(values)
                .filter(|(about, value)| about.is_some_and(|a| visits.contains(&a.visits)) && !value.is_nan());
            let values: Vec<f64> = here.map(|(_, value)| *value).collect();
            if !values.is_empty() {
                let (number, value) = (values.len(), values.iter().sum::<f64>() / values.len() as f64);
                let by = format!("{prefix}history");
                strata.push(Stratum { by, part: part.to_owned(), measure: name.clone(), value, number });
            }
        }
        strata
    }
}
