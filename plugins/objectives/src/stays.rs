//! What the tasks about stays share: a visit that is asked about, and the visits that are seen with it. Every visit of a
//! multi-visit patient may be asked about, not the last alone.

use dualk_sdk::data::AdmissionFacts;
use dualk_sdk::prelude::*;
use std::sync::Arc;

/// One example.
pub struct Stay {
    /// Rows of the visits that are seen, in time order.
    pub seen: std::ops::Range<usize>,
    /// Positive columns.
    pub target: Vec<u32>,
}

/// Examples of stays that are asked for a number each: the visits that are seen, and the number.
pub fn numbers(data: &Prepared, stays: Vec<(std::ops::Range<usize>, f32)>) -> Examples {
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
