//! Parsers and objectives.

use super::inputs::{ones, prepared};
use super::options::{check_options, path_options};
use super::{Report, Subject};
use crate::component::*;
use crate::data::Examples;
use crate::error::Blame;
use crate::progress::Silent;
use crate::train::metrics::lower_is_better;
use crate::{Error, slots};
use std::collections::BTreeSet;
use toml::{Table, Value};

pub(super) fn parser(subject: &Subject<'_>, report: &mut Report) {
    let parse = |compat: bool| {
        let parser = subject.registry.make::<slots::parser>(subject.name, subject.options.clone())?;
        parser.check()?;
        let cohort = parser.parse(&ParserContext { progress: &Silent, compat, seed: 3 })?;
        cohort.validate()?;
        Ok::<_, Error>(cohort)
    };
    for (what, compat) in [("a consistent cohort", false), ("a consistent cohort with compat = \"dualk\"", true)] {
        report.check(what, |findings| {
            let cohort = parse(compat)?;
            if cohort.patients.is_empty() {
                findings.push("it has no patients".to_owned());
            }
            let admissions: BTreeSet<i64> = cohort.admissions.values().iter().copied().collect();
            if admissions.len() != cohort.admissions.values().len() {
                findings.push("an admission is there twice".to_owned());
            }
            if cohort.patients.iter().collect::<BTreeSet<_>>().len() != cohort.patients.len() {
                findings.push("a patient is there twice".to_owned());
            }
            if cohort.lab_items.windows(2).any(|two| two[0].id >= two[1].id) {
                findings.push("laboratory items do not ascend by identifier".to_owned());
            }
            if cohort.labs.rows().any(|row| row.windows(2).any(|two| two[0] >= two[1])) {
                findings.push("abnormal items of an admission do not ascend".to_owned());
            }
            Ok(())
        });
    }
    report.check("the same cohort twice", |findings| {
        if parse(false)? != parse(false)? {
            findings.push("two cohorts from the same files and seed differ".to_owned());
        }
        Ok(())
    });
    report.check("the inputs that it names are files", |findings| {
        let parser = subject.registry.make::<slots::parser>(subject.name, subject.options.clone())?;
        let inputs = parser.inputs().unwrap_or_default();
        let missing = inputs.files.iter().filter(|file| !file.is_file());
        findings.extend(missing.map(|file| format!("{} is no file", file.display())));
        Ok(())
    });
    check_options(subject, report, |options| {
        subject.registry.make::<slots::parser>(subject.name, options)?.check()?;
        Ok(Vec::new())
    });
    let given =
        |option: &String| subject.options.get(option).and_then(Value::as_str).is_some_and(|path| !path.is_empty());
    for option in path_options(subject).into_iter().filter(given) {
        report.check(format!("`{option}` that is not there"), |findings| {
            let mut options = subject.options.clone();
            let absent = std::env::temp_dir().join("dualk-no-such-place");
            options.insert(option.clone(), Value::String(absent.to_string_lossy().into_owned()));
            let checked =
                subject.registry.make::<slots::parser>(subject.name, options).and_then(|parser| parser.check());
            match checked {
                Ok(()) => findings.push("check() accepts it: it should look for the files".to_owned()),
                Err(error) if error.blame() == Blame::User && error.to_string().contains("dualk-no-such-place") => (),
                Err(error) => findings.push(format!("the error should blame the user and name the place: {error}")),
            }
            Ok(())
        });
    }
}

/// Metrics for logits that are `sign` times right.
fn metrics_of(objective: &dyn Objective, heads: &[HeadSpec], examples: &Examples, sign: f32) -> Vec<(String, f64)> {
    let targets = &examples.targets;
    let right = |number: f32| match objective.link() {
        Some(Link::LogMean) => number.max(1e-3).ln(),
        Some(Link::LogHazard) => -number.abs(),
        Some(Link::Mean) | None => number,
    };
    let logits: Vec<Vec<f32>> = heads
        .iter()
        .zip(targets)
        .enumerate()
        .map(|(i, (head, targets))| {
            if objective.link().is_some() {
                return examples.numbers_of(i).iter().map(|&number| sign * right(number)).collect();
            }
            let mut logits = vec![-4.0 * sign; targets.len() * head.outputs];
            for (row, positives) in targets.rows().enumerate() {
                positives.iter().for_each(|&column| logits[row * head.outputs + column as usize] = 4.0 * sign);
            }
            logits
        })
        .collect();
    let predictions: Vec<Predictions<'_>> = heads
        .iter()
        .zip(targets)
        .zip(&logits)
        .enumerate()
        .map(|(i, ((head, targets), logits))| {
            let numbers = examples.numbers_of(i);
            Predictions { head: &head.name, logits, columns: head.outputs, targets, numbers }
        })
        .collect();
    objective.metrics(&predictions)
}

pub(super) fn objective(subject: &Subject<'_>, report: &mut Report) {
    let build = |options: Table| subject.registry.make::<slots::objective>(subject.name, options);
    report.check("heads", |findings| {
        let heads = build(subject.options.clone())?.heads(&prepared()?)?;
        let names: BTreeSet<&str> = heads.iter().map(|head| head.name.as_str()).collect();
        if heads.is_empty() || names.len() != heads.len() {
            findings.push(format!("{} heads of {} names", heads.len(), names.len()));
        }
        findings
            .extend(heads.iter().filter(|h| h.outputs == 0).map(|h| format!("the head `{}` has no outputs", h.name)));
        Ok(())
    });
    for (what, part) in [("train", Part::Train), ("valid", Part::Valid), ("test", Part::Test)] {
        report.check(format!("examples: {what}"), |findings| {
            let data = prepared()?;
            let objective = build(subject.options.clone())?;
            let (heads, examples) = (objective.heads(&data)?, objective.examples(&data, part)?);
            if part == Part::Train && examples.is_empty() {
                findings.push("there is nothing to learn from".to_owned());
            }
            if examples.targets.len() != heads.len() {
                findings.push(format!("{} targets for {} heads", examples.targets.len(), heads.len()));
            }
            for (head, targets) in heads.iter().zip(&examples.targets) {
                if targets.values().iter().any(|&column| column as usize >= head.outputs) {
                    findings.push(format!("a target of `{}` is beyond its {} outputs", head.name, head.outputs));
                }
                if targets.rows().any(|row| row.windows(2).any(|two| two[0] >= two[1])) {
                    findings.push(format!("targets of `{}` do not ascend, or one is there twice", head.name));
                }
            }
            for (i, head) in heads.iter().enumerate() {
                let numbers = examples.numbers_of(i);
                let expected = if objective.link().is_some() { examples.len() * head.outputs } else { 0 };
                if numbers.len() != expected {
                    findings.push(format!("{} numbers for `{}`, expected {expected}", numbers.len(), head.name));
                }
                findings.extend(
                    numbers.iter().find(|y| !y.is_finite()).map(|y| format!("a target of `{}` is {y}", head.name)),
                );
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
        });
    }
    report.check("metrics: finite, the same names, better for right answers", |findings| {
        let data = prepared()?;
        let objective = build(subject.options.clone())?;
        let heads = objective.heads(&data)?;
        let examples = objective.examples(&data, Part::Train)?;
        let (right, wrong) = (
            metrics_of(objective.as_ref(), &heads, &examples, 1.0),
            metrics_of(objective.as_ref(), &heads, &examples, -1.0),
        );
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
        let none = Examples { targets, ..Examples::default() };
        metrics_of(objective.as_ref(), &heads, &none, 1.0);
        Ok(())
    });
    report.check("what codes and items of a history are asked for again", |findings| {
        let data = prepared()?;
        let objective = build(subject.options.clone())?;
        for (i, head) in objective.heads(&data)?.iter().enumerate() {
            let (columns, expected) = match objective.asks(&data, i) {
                Asks::Nothing => continue,
                Asks::Codes(columns) => (columns, data.vocabulary.nodes()),
                Asks::Labs(columns) => (columns, data.cohort.lab_items.len()),
            };
            if columns.len() != expected {
                findings.push(format!("head `{}`: {} entries for {expected} codes or items", head.name, columns.len()));
            }
            if let Some(column) = columns.iter().flatten().find(|&&column| column as usize >= head.outputs) {
                findings.push(format!("head `{}`: column {column} is beyond its {} outputs", head.name, head.outputs));
            }
        }
        Ok(())
    });
    check_options(subject, report, |options| {
        let data = prepared()?;
        let objective = build(options)?;
        objective.heads(&data)?;
        objective.examples(&data, Part::Train)?;
        Ok(Vec::new())
    });
}
