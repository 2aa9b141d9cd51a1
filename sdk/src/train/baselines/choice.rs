//! What a regression was chosen to be on valid.

use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter, Result};

/// The ridge of a regression, and how it looks at visits: those with the best metric on valid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Strength of the ridge (L2 penalty), 0 without one; `None` where nothing is fitted beyond the regression on pairs of example
    /// and code that all codes share.
    pub ridge: Option<f64>,
    /// The strengths that were tried, the weakest first.
    pub of: Vec<f64>,
    /// Whether visits are told apart by their age, or are one set; `None` where nobody has several.
    pub visits_apart: Option<bool>,
    /// Whether items of all visits are in that set, where those of each are known; else those of the last one are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_items: bool,
}

impl Choice {
    /// Says so where the strongest or the weakest of what was tried is best: others may be better. Nothing is weaker than no ridge.
    fn edge(&self) -> Option<&'static str> {
        let (ridge, weakest, strongest) = (self.ridge?, *self.of.first()?, *self.of.last()?);
        match ridge {
            _ if ridge == strongest && strongest > weakest => Some("the strongest that was tried"),
            _ if ridge == weakest && weakest > 0.0 => Some("the weakest that was tried"),
            _ => None,
        }
    }
}

/// In words, such as `ridge 10 of 0 to 100, visits told apart`.
impl Display for Choice {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (weakest, strongest) = (self.of.first().unwrap_or(&0.0), self.of.last().unwrap_or(&0.0));
        match self.ridge {
            Some(ridge) => write!(f, "ridge {ridge} of {weakest} to {strongest}")?,
            None => write!(f, "pairs alone, which is better than a ridge of {weakest} to {strongest}")?,
        }
        if let Some(edge) = self.edge() {
            write!(f, ", {edge}")?;
        }
        match self.visits_apart {
            Some(true) => f.write_str(", visits told apart"),
            Some(false) if self.all_items => f.write_str(", visits as one set, their items, too"),
            Some(false) => f.write_str(", visits as one set"),
            None => Ok(()),
        }
    }
}

/// Whether a metric is higher than another; any is higher than one that is undefined.
pub(super) fn is_higher(metric: f64, than: f64) -> bool {
    metric > than || than.is_nan() && !metric.is_nan()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_said_and_whether_it_is_at_an_end() {
        let of = vec![0.0, 1.0, 10.0, 100.0];
        let choice = |ridge, visits_apart| Choice { ridge, of: of.clone(), visits_apart, all_items: false };
        let said = |ridge, visits_apart| choice(ridge, visits_apart).to_string();
        assert_eq!(said(Some(10.0), Some(true)), "ridge 10 of 0 to 100, visits told apart");
        assert_eq!(said(Some(0.0), None), "ridge 0 of 0 to 100");
        let strongest = "ridge 100 of 0 to 100, the strongest that was tried, visits as one set";
        assert_eq!(said(Some(100.0), Some(false)), strongest);
        assert_eq!(said(None, None), "pairs alone, which is better than a ridge of 0 to 100");
        let with_items = Choice { all_items: true, ..choice(Some(10.0), Some(false)) };
        assert_eq!(with_items.to_string(), "ridge 10 of 0 to 100, visits as one set, their items, too");
        let weakest = Choice { ridge: Some(0.1), of: vec![0.1, 1.0], visits_apart: None, all_items: false };
        assert_eq!(weakest.to_string(), "ridge 0.1 of 0.1 to 1, the weakest that was tried");
    }

    #[test]
    fn any_metric_is_higher_than_one_that_is_undefined() {
        assert!(is_higher(0.5, 0.25) && !is_higher(0.5, 0.5) && is_higher(-1.0, f64::NAN));
        assert!(!is_higher(f64::NAN, f64::NAN) && !is_higher(f64::NAN, 0.5));
    }
}
