//! What is known of every visit.

use super::Ragged;
use std::ops::Deref;

/// Codes of each visit, and when it was where that is known. Reads as the codes alone: `visits.row(i)`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Visits {
    codes: Ragged<u32>,
    days: Vec<f32>,
}

impl Visits {
    /// Visits of which nothing but the codes is known.
    pub fn new(codes: Ragged<u32>) -> Self {
        Self { codes, days: Vec::new() }
    }

    /// The same with the day of each visit, counted from any day, NaN where it is not known; only differences between visits
    /// of a patient mean something.
    ///
    /// # Panics
    /// When there are not as many days as visits.
    pub fn at_days(self, days: Vec<f32>) -> Self {
        assert_eq!(days.len(), self.codes.len(), "a day for each visit");
        Self { days, ..self }
    }

    /// The same visits at the same days with other codes, such as some of their own.
    ///
    /// # Panics
    /// When there are not as many rows as visits.
    pub fn with_codes(self, codes: Ragged<u32>) -> Self {
        assert_eq!(codes.len(), self.codes.len(), "codes for each visit");
        Self { codes, ..self }
    }

    /// Days from visit `earlier` to visit `later`; `None` where that is not known.
    pub fn days_between(&self, earlier: usize, later: usize) -> Option<f32> {
        let days = self.days.get(later)? - self.days.get(earlier)?;
        days.is_finite().then_some(days)
    }
}

impl Deref for Visits {
    type Target = Ragged<u32>;

    fn deref(&self) -> &Ragged<u32> {
        &self.codes
    }
}

impl From<Ragged<u32>> for Visits {
    fn from(codes: Ragged<u32>) -> Self {
        Self::new(codes)
    }
}

impl<R: IntoIterator<Item = u32>> FromIterator<R> for Visits {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        Self::new(rows.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_between_visits() {
        let visits: Visits = [vec![1], vec![2, 3], vec![]].into_iter().collect();
        assert_eq!((visits.row(1), visits.days_between(0, 1)), (&[2, 3][..], None));
        let dated = visits.at_days(vec![0.0, 2.5, f32::NAN]);
        assert_eq!((dated.days_between(0, 1), dated.days_between(0, 2)), (Some(2.5), None));
        let others = dated.with_codes([vec![], vec![3], vec![4]].into_iter().collect());
        assert_eq!((others.row(1), others.days_between(0, 1)), (&[3][..], Some(2.5)));
    }
}
