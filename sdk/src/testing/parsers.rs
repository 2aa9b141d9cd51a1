//! Parsers.

use super::options::{check_options, path_options};
use super::{Examined, Report, Subject, check};
use crate::component::*;
use crate::data::Cohort;
use crate::error::Blame;
use crate::progress::Silent;
use crate::{Result, slots};
use std::collections::BTreeSet;
use toml::Value;

/// Checks a parser on the files that the options name: the same cohort twice, a consistent one, its inputs, and what
/// it says of files that are not there.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_parser<C: BuildParser>(options: C) {
    check::<slots::parser, C>(options);
}

impl Examined for slots::parser {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        for (what, compat) in [("a consistent cohort", false), ("a consistent cohort with compat = \"dualk\"", true)] {
            report.check(what, |findings| {
                inconsistencies(&parsed(subject, compat)?, findings);
                Ok(())
            });
        }
        report.check("the same cohort twice", |findings| {
            if parsed(subject, false)? != parsed(subject, false)? {
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
        absent_files(subject, report);
    }
}

fn parsed(subject: &Subject<'_>, compat: bool) -> Result<Cohort> {
    let parser = subject.registry.make::<slots::parser>(subject.name, subject.options.clone())?;
    parser.check()?;
    let cohort = parser.parse(&ParserContext { progress: &Silent, compat, seed: 3, learns: None })?;
    cohort.validate()?;
    Ok(cohort)
}

/// What is wrong with a cohort beside what [`Cohort::validate`] finds.
fn inconsistencies(cohort: &Cohort, findings: &mut Vec<String>) {
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
}

/// Checks that files which options name are missed when they are not there.
fn absent_files(subject: &Subject<'_>, report: &mut Report) {
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

#[cfg(test)]
mod tests {
    use super::super::inputs::dataset;
    use super::super::tests::{Wrong, finds};
    use super::*;

    impl BuildParser for Wrong {
        fn build(self) -> Result<Box<dyn Parser>> {
            self.width()?;
            Ok(Box::new(self))
        }
    }

    impl Parser for Wrong {
        fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
            static CALLS: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
            let mut cohort = dataset()?.cohort.clone();
            match self.defect.as_str() {
                "twice" => cohort.patients[1] = cohort.patients[0],
                "moody" => cohort.patients[0] = -CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
                "compat" if context.compat => cohort.lab_items.clear(),
                _ => (),
            }
            Ok(cohort)
        }
    }

    #[test]
    fn of_a_parser() {
        finds(
            Slot::Parser,
            |r| r.add::<slots::parser, Wrong>(),
            &[
                ("twice", "a consistent cohort", "a patient occurs twice"),
                ("moody", "the same cohort twice", "differ"),
                ("compat", "compat = \"dualk\"", "a lab index is out of range"),
            ],
        );
    }
}
