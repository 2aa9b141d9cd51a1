//! What the tasks about stays share: a visit that is asked about, and the visits that are seen with it. Every visit of a
//! multi-visit patient may be asked about, not the last alone.

use crate::next_visit;
use dualk_sdk::data::{AdmissionFacts, Events};
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
    /// It and all before it.
    History,
    /// It alone, as PyHealth does.
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
}

/// The codes of a kind. `key` is where the kind is asked for.
///
/// # Errors
/// When the cohort has none.
pub fn events<'a>(data: &'a Prepared, kind: &str, key: &str) -> Result<&'a Events> {
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
    pub fn new(data: &'a Prepared, kinds: &[String]) -> Result<Self> {
        kinds.iter().map(|kind| events(data, kind, "needs")).collect::<Result<_>>().map(Self)
    }

    /// Whether the visit of a row has them.
    pub fn met(&self, row: usize) -> bool {
        self.0.iter().all(|events| !events.rows.row(row).is_empty())
    }
}

/// Patients of a part. With `single`, those who have one visit are divided as the others are.
pub fn patients(data: &Prepared, part: Part, single: bool) -> Vec<usize> {
    let mut patients = next_visit::patients(data, part).to_vec();
    if single {
        let [train, valid, test] = data.split.single_parts(&data.cohort);
        patients.extend(match part {
            Part::Train => train,
            Part::Valid => valid,
            Part::Test => test,
        });
    }
    patients
}

/// One example.
pub struct Stay {
    /// Rows of the visits that are seen, in time order.
    pub seen: Range<usize>,
    /// Positive columns.
    pub target: Vec<u32>,
}

/// Examples of stays that are asked for a number each: the visits that are seen, and the number.
pub fn numbers(data: &Prepared, stays: Vec<(Range<usize>, f32)>) -> Examples {
    let (seen, numbers): (Vec<_>, Vec<f32>) = stays.into_iter().unzip();
    let stays: Vec<Stay> = seen.into_iter().map(|seen| Stay { seen, target: Vec::new() }).collect();
    Examples { numbers: vec![numbers], ..examples(data, &stays) }
}

/// Seconds of a day.
pub const DAY: f64 = 86_400.0;

/// Examples of stays. The laboratory items are those of the last visit that is seen.
pub fn examples(data: &Prepared, stays: &[Stay]) -> Examples {
    Examples {
        codes: Arc::new(data.vocabulary.admission_codes.clone()),
        visits: stays.iter().map(|stay| stay.seen.start as u32..stay.seen.end as u32).collect(),
        labs: stays.iter().map(|stay| data.visit_labs(stay.seen.end - 1)).collect(),
        targets: vec![stays.iter().map(|stay| stay.target.iter().copied()).collect()],
        ..Examples::default()
    }
}

/// What is known of every admission.
///
/// # Errors
/// When the cohort has nothing of it, or not what `fact` says; `what` names it.
pub fn facts<'a>(data: &'a Prepared, what: &str, fact: fn(&AdmissionFacts) -> bool) -> Result<&'a [AdmissionFacts]> {
    let facts = data.cohort.admission_facts.as_slice();
    match facts.iter().any(fact) {
        true => Ok(facts),
        false => Err(Error::user(format!("this cohort does not say {what}"))
            .help("the page Parsers of the book says which columns are read")),
    }
}
