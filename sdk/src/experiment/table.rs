//! Rows of a table of results, and what each is for every test patient.

use super::about::{About, about_of};
use super::groups::{Groups, Measured, groups, mean_of, of_numbers, yes_no};
use super::outcome::{LABELS, Row, Stratum};
use super::patients::{AREAS, PatientTable, SCORE, TRUTH, area};
use super::stage::OpenStage;
use super::strata::{Division, divisions};
use crate::component::HeadSpec;
use crate::data::Cohort;
use crate::train::{
    ACCURACY, Assessment, Interval, Metrics, Ranked, Resamples, Scored, assess, assess_binary, assess_numbers,
    derive_seed, drawn_f1, drawn_numbers, group_ids, metrics_of,
};

/// Seed of the bootstrap: the same for all experiments, so that runs on the same patients compare in pairs.
const BOOTSTRAP: u64 = 0;
/// Where recall is cut off for an objective without one of its own.
const KS: [usize; 4] = [10, 20, 30, 40];
/// Where the curve of recall has its points.
const CURVE: [usize; 13] = [1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 75, 100];

/// The name of weighted F1.
const F1: &str = "F1-w";

/// A measure by name, with a value for each test example.
type Values = Vec<(String, Vec<f64>)>;

/// What the rows of a table share.
pub(super) struct Table<'a> {
    stage: &'a OpenStage<'a>,
    heads: &'a [HeadSpec],
    about: Vec<Option<About>>,
    resamples: Resamples,
    /// What divides the patients.
    groups: Vec<Groups>,
    /// For each head, of each positive the stratum that it belongs to, by what divides them.
    labels: Vec<Vec<Division>>,
}

impl<'a> Table<'a> {
    pub fn new(stage: &'a OpenStage<'a>, heads: &'a [HeadSpec]) -> Self {
        let OpenStage { data, objective, splits, .. } = stage;
        let of = |head: usize| {
            let asks = objective.asks(data, head);
            divisions(&asks, head, heads[head].outputs, splits, data)
        };
        let about = about_of(&splits.test, data);
        let persons = persons(&about, &data.cohort);
        Self {
            stage,
            heads,
            groups: groups(&about, &data.cohort),
            about,
            resamples: Resamples::new(&persons, derive_seed(BOOTSTRAP, &[])),
            labels: (0..heads.len()).map(of).collect(),
        }
    }

    /// A row of each, and the values by patient.
    pub fn rows(&self, scored: &[Scored]) -> (Vec<Row>, PatientTable) {
        let (mut rows, mut by_patient) = (Vec::new(), PatientTable::default());
        by_patient.patients = self.patients();
        if !self.stage.data.cohort.persons.is_empty() {
            by_patient.persons = persons(&self.about, &self.stage.data.cohort);
        }
        for scored in scored {
            let (row, values) = self.row(scored);
            rows.push(row);
            let or_null = |values: Vec<f64>| values.into_iter().map(|v| (!v.is_nan()).then_some(v)).collect();
            let values = values.into_iter().map(|(measure, values)| (measure, or_null(values))).collect();
            by_patient.rows.insert(scored.name.clone(), values);
        }
        (rows, by_patient)
    }

    /// Whom the examples are about; the number of an example where it is no patient with visits.
    fn patients(&self) -> Vec<String> {
        let name = |(i, about): (usize, &Option<About>)| match about {
            Some(about) => self.stage.data.cohort.patient_name(about.index),
            None => format!("example {i}"),
        };
        self.about.iter().enumerate().map(name).collect()
    }

    /// A row, and what it is for each example.
    fn row(&self, scored: &Scored) -> (Row, Values) {
        let metrics = metrics_of(self.stage.objective.as_ref(), self.heads, &scored.heads, &self.stage.splits.test);
        let ks = if self.is_exclusive() { vec![1] } else { cut_offs(&metrics) };
        let (name, chosen) = (scored.name.clone(), scored.chosen.clone());
        let mut row = Row { name, metrics, chosen, ..Row::default() };
        let mut values = Values::new();
        for head in 0..self.heads.len() {
            self.add_head(head, scored, &ks, &mut row, &mut values);
        }
        let measures = values.iter().filter(|(name, _)| !name.ends_with(SCORE) && !name.ends_with(TRUTH));
        row.intervals = self.resamples.of_means(&measures.cloned().collect::<Values>());
        row.intervals.extend(self.no_means(scored, &row.metrics));
        (row, values)
    }

    /// Whether one of several classes is true.
    fn is_exclusive(&self) -> bool {
        self.stage.objective.exclusive()
    }

    /// Adds what is measured of a head.
    fn add_head(&self, head: usize, scored: &Scored, ks: &[usize], row: &mut Row, values: &mut Values) {
        let (test, link) = (&self.stage.splits.test, self.stage.objective.link());
        let (scores, targets, outputs) = (&scored.heads[head], &test.targets[head], self.heads[head].outputs);
        let mut found = match (link, outputs) {
            (Some(link), columns) => assess_numbers(scores, columns, test.numbers_of(head), link),
            (None, 1) => assess_binary(scores, targets, scored.scale),
            (None, columns) => assess(scores, columns, targets, ks, scored.scale),
        };
        if self.is_exclusive() {
            found.keep_accuracy();
        }
        let named = |name: &str| match self.heads.len() {
            1 => name.to_owned(),
            _ => format!("{}: {name}", self.heads[head].name),
        };
        row.strata.extend(self.strata(head, scored, &found, ks, &named("")));
        if self.heads.len() == 1 {
            let ks: Vec<usize> = CURVE.into_iter().filter(|k| *k <= outputs).collect();
            row.recall = found.recall_at(targets, &ks);
            row.recall.retain(|(_, value)| !value.is_nan());
            row.reliability.clone_from(&found.reliability);
        }
        let new = found.overall.iter().filter(|(name, _)| !row.metrics.iter().any(|(known, _)| known == name));
        row.measures.extend(new.map(|(name, value)| (named(name), *value)));
        values.extend(found.each.into_iter().map(|(name, each)| (named(&name), each)));
        if outputs == 1 && link.is_none() {
            let truth = targets.rows().map(|row| if row.is_empty() { 0.0 } else { 1.0 });
            values.push((named(SCORE), scores.iter().map(|&s| f64::from(s)).collect()));
            values.push((named(TRUTH), truth.collect()));
        }
    }

    /// Intervals of what is no mean over examples, of one head: areas of a yes/no question, errors and order of numbers, and the
    /// weighted F1 of a ranking where it is among the `metrics`.
    fn no_means(&self, scored: &Scored, metrics: &Metrics) -> Vec<Interval> {
        let test = &self.stage.splits.test;
        let ([scores], [HeadSpec { outputs, .. }]) = (scored.heads.as_slice(), self.heads) else { return Vec::new() };
        match self.stage.objective.link() {
            Some(link) => {
                let measures = drawn_numbers(scores, *outputs, test.numbers_of(0), link).into_iter();
                measures.filter_map(|(name, of)| self.resamples.interval(name, of)).collect()
            }
            None if *outputs == 1 => self.areas(scores),
            None if metrics.iter().any(|(name, _)| name == F1) => {
                let f1 = drawn_f1(scores, *outputs, &test.targets[0]);
                self.resamples.interval(F1, f1).into_iter().collect()
            }
            None => Vec::new(),
        }
    }

    /// Intervals of the areas of a yes/no question.
    fn areas(&self, scores: &[f32]) -> Vec<Interval> {
        let truth = self.stage.splits.test.targets[0].rows().map(|row| !row.is_empty());
        let examples = scores.iter().map(|&score| f64::from(score)).zip(truth);
        let Some(ranked) = Ranked::new(examples) else { return Vec::new() };
        let interval = |name: &&str| {
            let area = area(name)?;
            self.resamples.interval(name, |counts| area(&ranked, counts))
        };
        AREAS.iter().filter_map(interval).collect()
    }

    /// Measures of subgroups of the patients, and of a ranking those of strata of the labels before them.
    fn strata(&self, head: usize, scored: &Scored, found: &Assessment, ks: &[usize], prefix: &str) -> Vec<Stratum> {
        let (test, columns) = (&self.stage.splits.test, self.heads[head].outputs);
        let scores = &scored.heads[head];
        match self.stage.objective.link() {
            Some(link) => {
                let both = (scores.as_slice(), test.numbers_of(head));
                self.by_patient(prefix, |examples| of_numbers(both, columns, link, examples, &self.resamples))
            }
            None if columns == 1 => {
                let targets = &test.targets[head];
                self.by_patient(prefix, |examples| yes_no(scores, targets, scored.scale, examples, &self.resamples))
            }
            None => self.of_ranking(head, found, ks, prefix),
        }
    }

    /// Recall of strata of the labels, and recall of subgroups of the patients.
    fn of_ranking(&self, head: usize, found: &Assessment, ks: &[usize], prefix: &str) -> Vec<Stratum> {
        let (Some(&k), false) = (ks.get(1).or(ks.first()), found.ranks.is_empty()) else { return Vec::new() };
        let targets = self.stage.splits.test.targets[head].rows().zip(0..);
        let whose = targets.flat_map(|(row, example)| std::iter::repeat_n(example, row.len()));
        let labels: Vec<(u32, bool)> = whose.zip(found.ranks.iter().map(|&rank| (rank as usize) < k)).collect();
        let mut strata = Vec::new();
        for division in &self.labels[head] {
            let by = format!("{prefix}{}", division.by);
            let parts = of_labels(division, &labels, k, &self.resamples).into_iter();
            strata.extend(parts.map(|(part, measured)| stratum(&by, part, measured)));
        }
        let name = if self.is_exclusive() { ACCURACY.to_owned() } else { format!("R@{}", ks[0]) };
        let recall = found.each.iter().find(|(n, _)| *n == name).map(|(_, values)| values);
        strata.extend(self.by_patient(prefix, |examples| {
            recall.and_then(|values| mean_of(&name, values, examples, &self.resamples)).into_iter().collect()
        }));
        strata
    }

    /// What is measured of each subgroup of the patients.
    fn by_patient(&self, prefix: &str, measure: impl Fn(&[usize]) -> Vec<Measured>) -> Vec<Stratum> {
        let mut strata = Vec::new();
        for Groups { by, parts } in &self.groups {
            let by = format!("{prefix}{by}");
            for (part, examples) in parts {
                strata.extend(measure(examples).into_iter().map(|measured| stratum(&by, part, measured)));
            }
        }
        strata
    }
}

/// The person that each example is of, by id; what is no patient with visits stands for itself.
fn persons(about: &[Option<About>], cohort: &Cohort) -> Vec<usize> {
    group_ids(about.iter().enumerate().map(|(i, about)| about.map(|about| cohort.person(about.index)).ok_or(i)))
}

/// Where the metrics of an objective cut recall off.
fn cut_offs(metrics: &Metrics) -> Vec<usize> {
    let ks: Vec<usize> = metrics.iter().filter_map(|(name, _)| name.strip_prefix("R@")?.parse().ok()).collect();
    if ks.is_empty() { KS.to_vec() } else { ks }
}

/// What is measured of a stratum or subgroup.
fn stratum(by: &str, part: &str, Measured { name, value, number, patients, interval }: Measured) -> Stratum {
    Stratum { by: by.to_owned(), part: part.to_owned(), measure: name, value, number, patients, interval }
}

/// How many labels of each stratum are among the first `k`.
///
/// `labels`: of each positive its example, and whether it is among these.
fn of_labels<'a>(
    division: &'a Division,
    labels: &[(u32, bool)],
    k: usize,
    resamples: &Resamples,
) -> Vec<(&'a str, Measured)> {
    // Of each stratum the examples that have labels there, with how many are found and how many there are.
    let mut terms: Vec<Vec<(u32, f64, f64)>> = vec![Vec::new(); division.parts.len()];
    for (&(example, found), &part) in labels.iter().zip(&division.of) {
        let hit = f64::from(u8::from(found));
        match terms[part].last_mut() {
            Some(last) if last.0 == example => (last.1, last.2) = (last.1 + hit, last.2 + 1.0),
            _ => terms[part].push((example, hit, 1.0)),
        }
    }
    let name = format!("{LABELS}{k}");
    let parts = division.parts.iter().zip(terms).filter(|(_, terms)| !terms.is_empty());
    let measured = |(part, terms): (&'a String, Vec<(u32, f64, f64)>)| {
        let (hits, number) = terms.iter().fold((0.0, 0.0), |(a, b), term| (a + term.1, b + term.2));
        let interval = resamples.of_ratio(&name, &terms).map(|interval| [interval.low, interval.high]);
        let patients = resamples.patients_of(terms.iter().map(|(example, ..)| *example as usize));
        let (value, number) = (hits / number, number as usize);
        (part.as_str(), Measured { name: name.clone(), value, number, patients, interval })
    };
    parts.map(measured).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: of the labels with the ranks 0, 9 and 10 two are among the first ten, of those with 3 and 40 one.
    #[test]
    fn labels_of_a_part_are_counted_among_the_first() {
        let parts = ["new", "none", "repeated"].map(String::from).to_vec();
        let division = Division { by: "had before", parts, of: vec![2, 0, 2, 0, 2] };
        // Three patients: the first has two labels of one part, and the third alone has one of the other part that is found.
        let labels = [(0, true), (1, false), (1, true), (2, true), (2, false)];
        let found = of_labels(&division, &labels, 10, &Resamples::new(&[0, 1, 2], 0));
        let values: Vec<_> = found.iter().map(|(part, of)| (*part, of.value, of.number, of.interval)).collect();
        let (new, repeated) = (values[0], values[1]);
        // Draws have labels of the second patient alone, of the third alone, or of both.
        assert_eq!(new, ("new", 0.5, 2, Some([0.0, 1.0])));
        assert_eq!((repeated.0, repeated.1, repeated.2), ("repeated", 2.0 / 3.0, 3));
        // The first two examples may be of one patient: those with new labels are the second and the third, all have repeated ones.
        let patients = |persons: &[usize]| -> Vec<usize> {
            let found = of_labels(&division, &labels, 10, &Resamples::new(persons, 0));
            found.iter().map(|(_, of)| of.patients).collect()
        };
        assert_eq!([patients(&[0, 1, 2]), patients(&[0, 0, 1])], [[2, 3], [2, 2]]);
        // Those of the third patient are not found: it is drawn never, or twice or thrice.
        assert!(repeated.3.is_some_and(|[low, high]| low <= 1.0 / 3.0 && high == 1.0), "{repeated:?}");
        let alone = stratum("codes: had before", "new", found[0].1.clone());
        assert_eq!((alone.by.as_str(), alone.measure.as_str()), ("codes: had before", "labels among the first 10"));
    }
}
