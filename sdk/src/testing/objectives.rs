//! Objectives.

use super::inputs::{dataset, ones};
use super::options::check_options;
use super::{Examined, Report, Subject, check};
use crate::component::*;
use crate::data::{Dataset, Examples, Ragged};
use crate::model::PARTS;
use crate::train::metrics::lower_is_better;
use crate::{Result, slots};
use std::collections::BTreeSet;
use toml::Table;

type Found<'a> = &'a mut Vec<String>;

/// Checks an objective on a small [`dataset`]: heads, examples, targets and metrics belong together, and right answers
/// have better metrics than wrong ones.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_objective<C: BuildObjective>(options: C) {
    check::<slots::objective, C>(options);
}

impl Examined for slots::objective {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        let build = |options: Table| subject.registry.make::<slots::objective>(subject.name, options);
        let mut check = |what: &str, look: &dyn Fn(&dyn Objective, &Dataset, Found<'_>) -> Result<()>| {
            report.check(what, |findings| look(build(subject.options.clone())?.as_ref(), &dataset()?, findings));
        };
        check("heads", &heads);
        for (what, split) in [("train", Split::Train), ("valid", Split::Valid), ("test", Split::Test)] {
            check(&format!("examples: {what}"), &|objective, data, findings| {
                examples(objective, data, split, findings)
            });
        }
        check("metrics: finite, the same names, better for right answers", &metrics);
        check("what codes and items of a history are asked for again", &asked);
        check("what columns are called", &called);
        check_options(subject, report, |options| {
            let data = dataset()?;
            let objective = build(options)?;
            objective.heads(&data)?;
            objective.examples(&data, Split::Train)?;
            Ok(Vec::new())
        });
    }
}

fn heads(objective: &dyn Objective, data: &Dataset, findings: Found<'_>) -> Result<()> {
    let heads = objective.heads(data)?;
    let names: BTreeSet<&str> = heads.iter().map(|head| head.name.as_str()).collect();
    if heads.is_empty() || names.len() != heads.len() {
        findings.push(format!("{} heads of {} names", heads.len(), names.len()));
    }
    findings.extend(heads.iter().filter(|h| h.outputs == 0).map(|h| format!("the head `{}` has no outputs", h.name)));
    seen(&heads, findings);
    Ok(())
}

/// Notes parts of which heads see vectors, and no model has any; and heads that would see themselves.
fn seen(heads: &[HeadSpec], findings: Found<'_>) {
    let gives = |key: &PartKey| PARTS.iter().any(|part| part.gives_vectors && part.key == key.as_str());
    for head in heads {
        let unknown = head.inputs.iter().filter(|&key| !gives(key));
        findings
            .extend(unknown.map(|key| format!("the head `{}` sees `{key}`, of which there are no vectors", head.name)));
        if head.sees_kept && (head.keep || head.untrained.iter().any(|untrained| untrained.sees_kept)) {
            findings.push(format!("the head `{}` is kept, or stands for kept ones, and sees kept heads", head.name));
        }
        seen(&head.untrained, findings);
    }
}

fn examples(objective: &dyn Objective, data: &Dataset, split: Split, findings: Found<'_>) -> Result<()> {
    let (heads, examples) = (objective.heads(data)?, objective.examples(data, split)?);
    if split == Split::Train && examples.is_empty() {
        findings.push("there is nothing to learn from".to_owned());
    }
    if examples.targets.len() != heads.len() {
        findings.push(format!("{} targets for {} heads", examples.targets.len(), heads.len()));
    }
    for (i, head) in heads.iter().enumerate() {
        if let Some(targets) = examples.targets.get(i) {
            labels(head, targets, findings);
            if objective.exclusive() && head.outputs > 1 && targets.rows().any(|row| row.len() != 1) {
                findings.push(format!("an example of `{}` has not one class, which exclusive() says", head.name));
            }
        }
        let expected = if objective.link().is_some() { examples.len() * head.outputs } else { 0 };
        numbers(head, examples.numbers_of(i), expected, findings);
    }
    let admissions = examples.codes.len();
    if examples.visits.values().iter().any(|&visit| visit as usize >= admissions) {
        findings.push("a visit is beyond the admissions in `codes`".to_owned());
    }
    let labs = data.cohort.lab_items.len();
    if examples.labs.values().iter().any(|&lab| lab as usize >= labs) {
        findings.push("a laboratory item is beyond those of the cohort".to_owned());
    }
    Ok(())
}

fn labels(head: &HeadSpec, targets: &Ragged<u32>, findings: Found<'_>) {
    if targets.values().iter().any(|&column| column as usize >= head.outputs) {
        findings.push(format!("a target of `{}` is beyond its {} outputs", head.name, head.outputs));
    }
    if targets.rows().any(|row| row.windows(2).any(|two| two[0] >= two[1])) {
        findings.push(format!("targets of `{}` do not ascend, or one is there twice", head.name));
    }
}

fn numbers(head: &HeadSpec, numbers: &[f32], expected: usize, findings: Found<'_>) {
    if numbers.len() != expected {
        findings.push(format!("{} numbers for `{}`, expected {expected}", numbers.len(), head.name));
    }
    let wrong = numbers.iter().find(|y| !y.is_finite());
    findings.extend(wrong.map(|y| format!("a target of `{}` is {y}", head.name)));
}

fn metrics(objective: &dyn Objective, data: &Dataset, findings: Found<'_>) -> Result<()> {
    let (heads, examples) = (objective.heads(data)?, objective.examples(data, Split::Train)?);
    let (right, wrong) =
        (metrics_of(objective, &heads, &examples, 1.0), metrics_of(objective, &heads, &examples, -1.0));
    let names = |metrics: &[(String, f64)]| metrics.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(&right) != names(&wrong) {
        findings.push(format!("the names differ: {:?} and {:?}", names(&right), names(&wrong)));
    }
    findings.extend(right.iter().chain(&wrong).filter(|m| !m.1.is_finite()).map(|m| format!("{} is {}", m.0, m.1)));
    let primary = |metrics: &[(String, f64)]| metrics.iter().find(|m| m.0 == objective.primary()).map(|m| m.1);
    let lower = lower_is_better(objective.primary());
    match (primary(&right), primary(&wrong)) {
        (Some(right), Some(wrong)) if right > wrong && !lower => (),
        (Some(right), Some(wrong)) if right < wrong && lower => (),
        (Some(right), Some(wrong)) => {
            findings.push(format!("{} is {right} for right answers, {wrong} for wrong ones", objective.primary()));
        }
        _ => findings.push(format!("there is no metric `{}`, which primary() names", objective.primary())),
    }
    let targets = heads.iter().map(|head| ones(0, head.outputs, &[])).collect();
    metrics_of(objective, &heads, &Examples { targets, ..Examples::default() }, 1.0);
    Ok(())
}

/// Metrics for logits that are `sign` times right.
fn metrics_of(objective: &dyn Objective, heads: &[HeadSpec], examples: &Examples, sign: f32) -> Vec<(String, f64)> {
    let logits: Vec<Vec<f32>> =
        heads.iter().enumerate().map(|(i, head)| logits_of(objective, i, head, examples, sign)).collect();
    let all = heads.iter().zip(&examples.targets).zip(&logits).enumerate();
    let predictions: Vec<Predictions<'_>> = all
        .map(|(i, ((head, targets), logits))| {
            let numbers = examples.numbers_of(i);
            Predictions { head: &head.name, logits, columns: head.outputs, targets, numbers }
        })
        .collect();
    objective.metrics(&predictions)
}

/// Logits of a head that are `sign` times right.
fn logits_of(objective: &dyn Objective, head: usize, spec: &HeadSpec, examples: &Examples, sign: f32) -> Vec<f32> {
    let right = |number: f32| match objective.link() {
        Some(Link::LogMean) => number.max(1e-3).ln(),
        Some(Link::LogHazard) => -number.abs(),
        Some(Link::Mean) | None => number,
    };
    if objective.link().is_some() {
        return examples.numbers_of(head).iter().map(|&number| sign * right(number)).collect();
    }
    let targets = &examples.targets[head];
    let mut logits = vec![-4.0 * sign; targets.len() * spec.outputs];
    for (row, positives) in targets.rows().enumerate() {
        positives.iter().for_each(|&column| logits[row * spec.outputs + column as usize] = 4.0 * sign);
    }
    logits
}

/// The columns of a map.
fn flat(map: &[Option<u32>]) -> Vec<u32> {
    map.iter().flatten().copied().collect()
}

fn called(objective: &dyn Objective, data: &Dataset, findings: Found<'_>) -> Result<()> {
    for (i, head) in objective.heads(data)?.iter().enumerate() {
        let Some(labels) = objective.labels(data, i) else { continue };
        if labels.len() != head.outputs {
            findings.push(format!("head `{}`: {} labels for its {} outputs", head.name, labels.len(), head.outputs));
        }
        if labels.iter().collect::<BTreeSet<_>>().len() != labels.len() {
            findings.push(format!("head `{}`: two columns have one label", head.name));
        }
    }
    Ok(())
}

fn asked(objective: &dyn Objective, data: &Dataset, findings: Found<'_>) -> Result<()> {
    for (i, head) in objective.heads(data)?.iter().enumerate() {
        let (columns, entries, expected) = match objective.asks(data, i) {
            Asks::Nothing => continue,
            Asks::Codes(map) | Asks::Hidden(map) => (flat(&map), map.len(), data.vocabulary.nodes()),
            Asks::Labs(map) => (flat(&map), map.len(), data.cohort.lab_items.len()),
            Asks::Visits(rows) => (rows.values().to_vec(), rows.len(), data.vocabulary.admission_codes.len()),
        };
        if entries != expected {
            findings.push(format!("head `{}`: {entries} entries for {expected} codes, items or visits", head.name));
        }
        if let Some(column) = columns.iter().find(|&&column| column as usize >= head.outputs) {
            findings.push(format!("head `{}`: column {column} is beyond its {} outputs", head.name, head.outputs));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Wrong, finds};
    use super::*;
    use crate::boundary::Guarded;

    impl BuildObjective for Wrong {
        fn build(self) -> Result<Box<dyn Objective>> {
            self.width()?;
            Ok(Box::new(self))
        }
    }

    impl Objective for Wrong {
        fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
            let outputs = data.vocabulary.nodes() - 1 - if self.is("narrow") { 30 } else { 0 };
            let part = if self.is("astray") { PartKey::new("lba") } else { PartKey::PATIENT_ENCODER };
            let head = HeadSpec::new("codes", outputs).sees([part]);
            Ok(vec![if self.is("itself") { head.kept().over_kept(Vec::new()) } else { head }])
        }

        fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
            let patients = match split {
                Split::Train => &data.splits.train,
                Split::Valid => &data.splits.valid,
                Split::Test => &data.splits.test,
            };
            let visits = |&p: &usize| data.cohort.admissions.range(p).map(|v| v as u32);
            Ok(Examples {
                codes: std::sync::Arc::new(data.vocabulary.admission_codes.clone()),
                visits: patients.iter().map(visits).collect(),
                labs: data.last_visit_labs(patients),
                targets: vec![data.last_visit_codes(patients)],
                ..Examples::default()
            })
        }

        fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
            let recall = |p: &Predictions<'_>| crate::train::metrics::recall_at_k(p.logits, p.columns, p.targets, 5);
            let sign = if self.is("worse") { -1.0 } else { 1.0 };
            predictions.iter().map(|p| ("R@5".to_owned(), sign * recall(p))).collect()
        }

        fn primary(&self) -> &str {
            if self.is("unknown") { "R@7" } else { "R@5" }
        }

        fn asks(&self, data: &Dataset, _: usize) -> Asks {
            let columns = (0..data.vocabulary.nodes() as u32).map(|code| code.checked_sub(1));
            Asks::Codes(if self.is("beyond") { columns.map(|c| c.map(|c| c + 1)).collect() } else { columns.collect() })
        }
    }

    #[test]
    fn of_an_objective() {
        const METRICS: &str = "metrics: finite";
        finds(
            Slot::Objective,
            |r| r.add::<slots::objective, Wrong>(),
            &[
                ("astray", "heads", "the head `codes` sees `lba`"),
                ("itself", "heads", "the head `codes` is kept, or stands for kept ones"),
                ("narrow", "examples: train", "is beyond its"),
                ("worse", METRICS, "for right answers"),
                ("unknown", METRICS, "there is no metric `R@7`"),
                ("beyond", "what codes and items of a history are asked for again", "is beyond its"),
            ],
        );
    }

    /// An objective over one example, which says that its targets are of `link` and gives `numbers`.
    struct Says {
        link: Option<Link>,
        numbers: Vec<Vec<f32>>,
    }

    impl Objective for Says {
        fn heads(&self, _: &Dataset) -> Result<Vec<HeadSpec>> {
            Ok(vec![HeadSpec::new("any", 1)])
        }

        fn examples(&self, _: &Dataset, _: Split) -> Result<Examples> {
            let one = || std::iter::once(Vec::<u32>::new()).collect::<Ragged<u32>>();
            let numbers = self.numbers.clone();
            Ok(Examples { visits: one(), labs: one(), targets: vec![one()], numbers, ..Examples::default() })
        }

        fn primary(&self) -> &str {
            "any"
        }

        fn link(&self) -> Option<Link> {
            self.link
        }
    }

    #[test]
    fn targets_are_what_the_objective_says() {
        let data = dataset().unwrap();
        let given = |link, numbers: &[&[f32]]| {
            let numbers = numbers.iter().map(|row| row.to_vec()).collect();
            let objective: Box<dyn Objective> = Box::new(Says { link, numbers });
            Guarded { origin: "objective `says`".into(), inner: objective }.examples(&data, Split::Train)
        };
        assert!(given(None, &[]).is_ok() && given(Some(Link::Mean), &[&[3.0]]).is_ok());
        let wrong = [(None, vec![&[3.0f32][..]]), (Some(Link::Mean), vec![]), (Some(Link::LogHazard), vec![&[][..]])];
        for (link, numbers) in wrong {
            let error = given(link, &numbers).unwrap_err().to_string();
            assert!(error.contains("objective `says`: targets are said to be"), "{error}");
        }
    }
}
