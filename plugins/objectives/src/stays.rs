//! What the tasks about stays share: a visit that is asked about, and the visits that are seen with it. Every visit of a
//! multi-visit patient may be asked about, not the last alone.

use crate::next_visit;
use dualk_sdk::data::{AdmissionFacts, Events, SECONDS_PER_DAY};
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Which visits are seen with the one that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Seen {
    /// The visit that is asked about, and all before it.
    History,
    /// The visit that is asked about alone, as PyHealth does.
    Visit,
}

impl Seen {
    /// The rows that are seen of a patient whose visits begin with `first`, up to and with `last`.
    pub fn rows(self, first: usize, last: usize) -> Range<usize> {
        match self {
            Self::History => first..last + 1,
            Self::Visit => last..last + 1,
        }
    }

    /// Whose laboratory items enter of `labs`: those of visits that are not seen do not. `own`: the stay that is asked about is
    /// the last that is seen.
    pub fn labs(self, labs: Labs, own: bool) -> Labs {
        match (self, labs) {
            (Self::Visit, Labs::Last | Labs::History) if own => Labs::None,
            (Self::Visit, Labs::History) => Labs::Last,
            (_, labs) => labs,
        }
    }
}

/// Whose abnormal laboratory items enter where nothing is known yet of the stay that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Before {
    /// Those of the last visit before it.
    Last,
    /// Those of all visits before it that are seen.
    History,
    /// None.
    None,
}

impl Before {
    /// The same choice in terms of [`Labs`].
    pub fn labs(self) -> Labs {
        match self {
            Self::Last => Labs::Last,
            Self::History => Labs::History,
            Self::None => Labs::None,
        }
    }
}

/// The codes of a kind. `key` is where the kind is asked for.
///
/// # Errors
/// When the cohort has none.
pub fn events<'a>(data: &'a Dataset, kind: &str, key: &str) -> Result<&'a Events> {
    let found = data.cohort.events(kind).filter(|events| !events.names.is_empty());
    found.ok_or_else(|| {
        let error = Error::user(format!("this cohort has no {kind}")).at_key(key);
        let kinds = data.cohort.events.iter().map(|events| events.kind.clone());
        error.suggest(kind, kinds).help("parsers read them when their options say so")
    })
}

/// Whether a visit has codes of all kinds that it needs.
pub struct Needs<'a>(Vec<&'a Events>);

impl<'a> Needs<'a> {
    /// # Errors
    /// When the cohort has none of a kind.
    pub fn new(data: &'a Dataset, kinds: &[String]) -> Result<Self> {
        kinds.iter().map(|kind| events(data, kind, "needs")).collect::<Result<_>>().map(Self)
    }

    /// Whether the visit of a row has them.
    pub fn met(&self, row: usize) -> bool {
        self.0.iter().all(|events| !events.rows.row(row).is_empty())
    }
}

/// Patients of a split. With `single`, those who have one visit are divided as the others are.
pub fn patients(data: &Dataset, split: Split, single: bool) -> Vec<usize> {
    let mut patients = next_visit::patients(data, split).to_vec();
    if single {
        let [train, valid, test] = data.splits.single_splits(&data.cohort);
        patients.extend(match split {
            Split::Train => train,
            Split::Valid => valid,
            Split::Test => test,
        });
    }
    patients
}

/// One example.
pub struct Stay {
    /// Rows of the visits that are seen, in time order.
    pub seen: Range<usize>,
    /// Row of the stay that is asked about: the last of these, or the one after them.
    pub asked: usize,
    /// Positive columns.
    pub target: Vec<u32>,
}

/// Examples of stays that are asked for a number each: the visits that are seen, and the number. `asked` gives the row of
/// the stay, `labs` whose items enter.
pub fn numbers(
    data: &Dataset,
    stays: Vec<(Range<usize>, f32)>,
    asked: fn(&Range<usize>) -> usize,
    labs: Labs,
) -> Examples {
    let (seen, numbers): (Vec<_>, Vec<f32>) = stays.into_iter().unzip();
    let stay = |seen: Range<usize>| Stay { asked: asked(&seen), seen, target: Vec::new() };
    let stays: Vec<Stay> = seen.into_iter().map(stay).collect();
    Examples { numbers: vec![numbers], ..examples(data, &stays, labs) }
}

/// The days between two times in seconds.
pub fn days_between(start: i64, end: i64) -> f64 {
    (end - start) as f64 / SECONDS_PER_DAY as f64
}

/// Examples of stays, with the laboratory items that `labs` says, of visits before the stay only where they are seen.
pub fn examples(data: &Dataset, stays: &[Stay], labs: Labs) -> Examples {
    let items = |stay: &Stay| next_visit::items(labs, data, stay.seen.start, stay.asked);
    // Where the codes of the stay are seen, items by visit would tell its own, too.
    let by_visit = labs == Labs::History && !stays.iter().any(|stay| stay.seen.contains(&stay.asked));
    Examples {
        codes: Arc::new(data.vocabulary.admission_codes.clone()),
        visits: stays.iter().map(|stay| stay.seen.start as u32..stay.seen.end as u32).collect(),
        labs: stays.iter().map(items).collect(),
        visit_labs: if by_visit { data.all_visit_labs() } else { None },
        targets: vec![stays.iter().map(|stay| stay.target.iter().copied()).collect()],
        ..Examples::default()
    }
}

/// What is known of every admission.
///
/// # Errors
/// When the cohort has nothing of it, or not what `fact` says; `what` names it.
pub fn facts<'a>(data: &'a Dataset, what: &str, fact: fn(&AdmissionFacts) -> bool) -> Result<&'a [AdmissionFacts]> {
    let facts = data.cohort.admission_facts.as_slice();
    match facts.iter().any(fact) {
        true => Ok(facts),
        false => Err(Error::user(format!("this cohort does not say {what}"))
            .help("the page Parsers of the book says which columns are read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::data;
    use crate::{DrugRecommendation, LengthOfStay, Mortality, Readmission, StayDays, TimeToReadmission};
    use std::collections::BTreeSet;

    /// Looks whether the examples of a task have the items of the visits that `rows` gives for those that are seen, whether
    /// these are known `by_visit`, and whether the task says so. In row r item r modulo 3 is abnormal.
    fn check(task: &dyn Objective, labs: Labs, by_visit: bool, rows: fn(&[u32]) -> Vec<u32>) {
        let examples = task.examples(&data(), Split::Train).unwrap();
        assert!(!examples.is_empty());
        for (seen, found) in examples.visits.rows().zip(examples.labs.rows()) {
            let expected: BTreeSet<u32> = rows(seen).iter().map(|row| row % 3).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{labs:?} of {seen:?}");
        }
        assert_eq!((task.labs(), examples.visit_labs.is_some()), (Some(labs), by_visit));
    }

    /// The last visit that is seen, and those before it.
    fn parts(seen: &[u32]) -> (u32, Vec<u32>) {
        let (last, before) = seen.split_last().unwrap();
        (*last, before.to_vec())
    }

    /// Of the tasks that see the codes of the stay that they ask about.
    fn check_own(labs: Labs, rows: fn(&[u32]) -> Vec<u32>) {
        check(&LengthOfStay { labs, ..Default::default() }, labs, false, rows);
        check(&StayDays { labs, ..Default::default() }, labs, false, rows);
        check(&DrugRecommendation { labs, ..Default::default() }, labs, false, rows);
    }

    fn check_mortality(labs: Labs, rows: fn(&[u32]) -> Vec<u32>) {
        check(&Mortality { labs, ..Default::default() }, labs, labs == Labs::History, rows);
    }

    /// Of the tasks that ask about a stay of which nothing is known yet.
    fn check_next(labs: Before, rows: fn(&[u32]) -> Vec<u32>) {
        let by_visit = labs == Before::History;
        check(&Readmission { labs, ..Default::default() }, labs.labs(), by_visit, rows);
        check(&TimeToReadmission { labs, ..Default::default() }, labs.labs(), by_visit, rows);
    }

    #[test]
    fn items_of_a_stay_whose_codes_are_seen_enter_where_they_are_asked_for() {
        check_own(Labs::Target, |seen| vec![parts(seen).0]);
        check_own(Labs::Last, |seen| parts(seen).1.last().copied().into_iter().collect());
        check_own(Labs::History, |seen| parts(seen).1);
        check_own(Labs::None, |_| Vec::new());
        assert_eq!(LengthOfStay::default().labs, Labs::History);
        // Nothing is seen of the visits before.
        check(&LengthOfStay { seen: Seen::Visit, ..Default::default() }, Labs::None, false, |_| Vec::new());
    }

    #[test]
    fn items_of_the_next_stay_enter_where_it_may_be_under_way() {
        check_mortality(Labs::Target, |seen| vec![parts(seen).0 + 1]);
        check_mortality(Labs::Last, |seen| vec![parts(seen).0]);
        check_mortality(Labs::History, <[u32]>::to_vec);
        check_mortality(Labs::None, |_| Vec::new());
        check_next(Before::Last, |seen| vec![parts(seen).0]);
        check_next(Before::History, <[u32]>::to_vec);
        check_next(Before::None, |_| Vec::new());
        let alone = Readmission { seen: Seen::Visit, ..Default::default() };
        check(&alone, Labs::Last, true, |seen| vec![parts(seen).0]);
    }
}
