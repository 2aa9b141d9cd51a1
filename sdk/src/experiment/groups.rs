//! Subgroups of the test patients that a table is also told for: by the length of their history, their sex and their age.

use super::about::About;
use crate::component::Link;
use crate::data::{Cohort, Ragged, Sex};
use crate::train::{Resamples, Scale, assess_binary, assess_numbers};
use std::ops::Range;

/// How many visits are seen of a patient.
const HISTORIES: [(&str, Range<usize>); 4] =
    [("1 visit", 1..2), ("2 visits", 2..3), ("3 visits", 3..4), ("4 visits or more", 4..usize::MAX)];
/// Years of age.
const AGES: [(&str, Range<f32>); 4] =
    [("<45", f32::NEG_INFINITY..45.0), ("45–64", 45.0..65.0), ("65–79", 65.0..80.0), ("80+", 80.0..f32::INFINITY)];
/// Measures of a yes/no question.
const YES_NO: [&str; 3] = ["AUROC", "AUPRC", "Brier"];

/// Subgroups of the test patients.
pub(super) struct Groups {
    /// What divides them, such as `sex`.
    pub by: &'static str,
    /// The subgroups that are not empty: names, and which examples.
    pub parts: Vec<(&'static str, Vec<usize>)>,
}

/// A measure of some examples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    pub name: String,
    pub value: f64,
    /// How many examples or labels it is of.
    pub number: usize,
    /// How many patients these are of.
    pub patients: usize,
    /// Ends of its 95 % interval, where it is a mean over examples.
    pub interval: Option<[f64; 2]>,
}

/// What divides the patients of examples: how many visits are seen of them, their sex, and their age at the last of these.
/// A patient without visits is in no subgroup; one whose sex or age is not known is in none of those.
pub(super) fn groups(about: &[Option<About>], cohort: &Cohort) -> Vec<Groups> {
    let known = |about: &About| cohort.demographics(about.index, about.last);
    let sexes = [Sex::Female, Sex::Male];
    vec![
        divided(about, "history", HISTORIES.map(|(name, _)| name), |about| place(&HISTORIES, about.visits)),
        divided(about, "sex", sexes.map(Sex::name), |about| {
            sexes.iter().position(|&sex| known(about).sex == Some(sex))
        }),
        divided(about, "age", AGES.map(|(name, _)| name), |about| place(&AGES, known(about).age?)),
    ]
}

/// The subgroup whose range holds a value.
fn place<T: PartialOrd>(parts: &[(&str, Range<T>)], value: T) -> Option<usize> {
    parts.iter().position(|(_, range)| range.contains(&value))
}

fn divided<const N: usize>(
    about: &[Option<About>],
    by: &'static str,
    names: [&'static str; N],
    part: impl Fn(&About) -> Option<usize>,
) -> Groups {
    let mut parts: Vec<(&str, Vec<usize>)> = names.map(|name| (name, Vec::new())).into();
    for (example, about) in about.iter().enumerate() {
        if let Some(part) = about.as_ref().and_then(&part) {
            parts[part].1.push(example);
        }
    }
    parts.retain(|(_, examples)| !examples.is_empty());
    Groups { by, parts }
}

/// The mean of a measure over those of `examples` that have it; nothing when none has.
pub(super) fn mean_of(name: &str, values: &[f64], examples: &[usize], resamples: &Resamples) -> Option<Measured> {
    let here = examples.iter().map(|&i| (i as u32, values[i], 1.0)).filter(|(_, value, _)| !value.is_nan());
    let here: Vec<(u32, f64, f64)> = here.collect();
    let (number, sum) = (here.len(), here.iter().map(|(_, value, _)| value).sum::<f64>());
    (number > 0).then(|| Measured {
        name: name.to_owned(),
        value: sum / number as f64,
        number,
        patients: resamples.patients_of(here.iter().map(|(example, ..)| *example as usize)),
        interval: resamples.of_ratio(name, &here).map(|interval| [interval.low, interval.high]),
    })
}

/// The measures of a yes/no question for `examples` alone, without those that are undefined there.
pub(super) fn yes_no(
    scores: &[f32],
    targets: &Ragged<u32>,
    scale: Scale,
    examples: &[usize],
    resamples: &Resamples,
) -> Vec<Measured> {
    let patients = resamples.patients_of(examples.iter().copied());
    let scores: Vec<f32> = examples.iter().map(|&i| scores[i]).collect();
    let targets: Ragged<u32> = examples.iter().map(|&i| targets.row(i).iter().copied()).collect();
    let found = assess_binary(&scores, &targets, scale);
    let measured = |name: &str| {
        let value = found.get(name).filter(|value| !value.is_nan())?;
        Some(Measured { name: name.to_owned(), value, number: examples.len(), patients, interval: None })
    };
    YES_NO.into_iter().filter_map(measured).collect()
}

/// The measures of targets that are numbers for `examples` alone, without those that are undefined there.
///
/// # Shapes
/// - `scores`, `numbers`: rows of `columns`, one an example
pub(super) fn of_numbers(
    (scores, numbers): (&[f32], &[f32]),
    columns: usize,
    link: Link,
    examples: &[usize],
    resamples: &Resamples,
) -> Vec<Measured> {
    let (number, patients) = (examples.len(), resamples.patients_of(examples.iter().copied()));
    let rows = |all: &[f32]| -> Vec<f32> {
        examples.iter().flat_map(|&i| &all[i * columns..(i + 1) * columns]).copied().collect()
    };
    let found = assess_numbers(&rows(scores), columns, &rows(numbers), link).overall;
    let defined = found.into_iter().filter(|(_, value)| !value.is_nan());
    defined.map(|(name, value)| Measured { name, value, number, patients, interval: None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{AdmissionFacts, PatientFacts};

    /// Six patients of two visits each, the first visit of patient p being row 2 · p.
    fn cohort() -> Cohort {
        let sexes = [Some(Sex::Female), Some(Sex::Male), Some(Sex::Female), None, Some(Sex::Male), Some(Sex::Female)];
        let ages = [Some(44.9), Some(45.0), Some(64.9), Some(79.9), Some(80.0), None];
        let aged = |age| AdmissionFacts { age, ..AdmissionFacts::default() };
        Cohort {
            patient_facts: sexes.map(|sex| PatientFacts { sex, ethnicity: None }).into(),
            // The visit that is asked for is a decade later: it is not looked at.
            admission_facts: ages.iter().flat_map(|&age| [aged(age), aged(age.map(|age: f32| age + 10.0))]).collect(),
            ..Cohort::default()
        }
    }

    fn about() -> Vec<Option<About>> {
        let one = |p: usize| About { index: p, last: 2 * p, visits: 1 };
        (0..6).map(|p| Some(one(p))).chain([None]).collect()
    }

    fn parts(groups: &Groups) -> Vec<(&str, &[usize])> {
        groups.parts.iter().map(|(name, examples)| (*name, examples.as_slice())).collect()
    }

    #[test]
    fn patients_are_divided_by_history_sex_and_age_at_the_last_visit_seen() {
        let found = groups(&about(), &cohort());
        let [history, sex, age] = &found[..] else { panic!("three divisions") };
        assert_eq!([history.by, sex.by, age.by], ["history", "sex", "age"]);
        assert_eq!(parts(history), [("1 visit", &[0, 1, 2, 3, 4, 5][..])]);
        assert_eq!(parts(sex), [("female", &[0, 2, 5][..]), ("male", &[1, 4])]);
        assert_eq!(parts(age), [("<45", &[0][..]), ("45–64", &[1, 2]), ("65–79", &[3]), ("80+", &[4])]);
        let unknown = groups(&about(), &Cohort::default());
        assert!(parts(&unknown[1]).is_empty() && parts(&unknown[2]).is_empty());
    }

    #[test]
    fn a_mean_is_over_those_who_have_the_measure() {
        let values = [0.5, f64::NAN, 1.0, 0.0];
        let resamples = Resamples::new(&[0, 1, 2, 3], 0);
        let mean = |examples: &[usize]| mean_of("R@10", &values, examples, &resamples);
        // Draws have the first, the third or both of them.
        let expected =
            Measured { name: "R@10".into(), value: 0.75, number: 2, patients: 2, interval: Some([0.5, 1.0]) };
        assert_eq!(mean(&[0, 1, 2]), Some(expected));
        assert_eq!(mean(&[1]), None);
        assert_eq!(mean(&[1, 2]).unwrap().interval, None, "one patient is the same in every draw");
    }

    /// By hand. Of examples 0, 1, 3 and 5 the positives 0 and 5 score 2 and −1, the negatives 1 and 3 score 0 and −2: three of
    /// four pairs are in order; precision is 1 at the first positive and 2/3 at the second.
    #[test]
    fn a_yes_no_question_is_measured_within_a_part() {
        let scores = [2.0, 0.0, 9.0, -2.0, -9.0, -1.0];
        let targets: Ragged<u32> = [vec![0], vec![], vec![], vec![], vec![0], vec![0]].into_iter().collect();
        // The first two are of one patient.
        let resamples = Resamples::new(&[0, 0, 1, 2, 3, 4], 0);
        let found = yes_no(&scores, &targets, Scale::Logits, &[0, 1, 3, 5], &resamples);
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let squares = (1.0 - sigmoid(2.0)).powi(2) + 0.25 + sigmoid(-2.0).powi(2) + (1.0 - sigmoid(-1.0)).powi(2);
        let expected = [("AUROC", 0.75), ("AUPRC", (1.0 + 2.0 / 3.0) / 2.0), ("Brier", squares / 4.0)];
        assert_eq!(found.len(), 3);
        for (ours, (name, value)) in found.iter().zip(expected) {
            assert_eq!((ours.name.as_str(), ours.number, ours.patients), (name, 4, 3));
            assert!((ours.value - value).abs() < 1e-6, "{name}: {} and {value}", ours.value);
        }
        // Nobody says no here: there is no area under the ROC curve. An order alone has no Brier score.
        let names = |scale, examples: &[usize]| -> Vec<String> {
            yes_no(&scores, &targets, scale, examples, &resamples).into_iter().map(|measured| measured.name).collect()
        };
        assert_eq!(names(Scale::Logits, &[0, 5]), ["AUPRC", "Brier"]);
        assert_eq!(names(Scale::Order, &[0, 1]), ["AUROC", "AUPRC"]);
    }

    /// sklearn.metrics: mean_absolute_error, mean_squared_error, r2_score of the examples 1 to 4 alone; for times of the examples
    /// 0 to 6 lifelines.utils.concordance_index.
    #[test]
    fn numbers_are_measured_within_a_part() {
        let (scores, numbers) = ([90.0, 0.5, -1.0, 2.0, 0.0, 70.0], [0.0, 1.0, -2.0, 5.5, 0.25, -9.0]);
        let resamples = Resamples::new(&[0, 1, 2, 3, 1, 5, 6, 7], 0);
        let found = of_numbers((&scores, &numbers), 1, Link::Mean, &[1, 2, 3, 4], &resamples);
        let expected = [("MAE", 1.3125), ("RMSE", 1.841_364_982_832_029_3), ("R2", 0.542_917_324_907_846_3)];
        assert_eq!(found.len(), 3);
        for (ours, (name, value)) in found.iter().zip(expected) {
            assert_eq!((ours.name.as_str(), ours.number, ours.patients), (name, 4, 3));
            assert!((ours.value - value).abs() < 1e-12, "{name}: {} and {value}", ours.value);
        }
        // Of one number no variance is explained.
        let names: Vec<String> = of_numbers((&scores, &numbers), 1, Link::Mean, &[3], &resamples)
            .into_iter()
            .map(|measured| measured.name)
            .collect();
        assert_eq!(names, ["MAE", "RMSE"]);
        // Rows of two numbers: 1 and 2 off by nothing and by one, of the second example.
        let pairs = of_numbers((&[9.0, 9.0, 1.0, 2.0], &[0.0, 0.0, 1.0, 3.0]), 2, Link::Mean, &[1], &resamples);
        assert_eq!(pairs[0], Measured { name: "MAE".into(), value: 0.5, number: 1, patients: 1, interval: None });
        let scores = [0.3, -0.2, 1.0, 0.5, 2.0, -1.0, 0.0, 9.0];
        let times = [5.0, 3.0, -3.0, 8.0, 1.0, -8.0, 2.5, 20.0];
        let found = of_numbers((&scores, &times), 1, Link::LogHazard, &[0, 1, 2, 3, 4, 5, 6], &resamples);
        assert_eq!((found.len(), found[0].name.as_str(), found[0].number), (1, "C-index", 7));
        assert!((found[0].value - 0.611_111_111_111_111_2).abs() < 1e-12, "{}", found[0].value);
        assert!(
            of_numbers((&scores, &times), 1, Link::LogHazard, &[2, 5], &resamples).is_empty(),
            "nobody had the event"
        );
    }
}
