//! Cells that say something of patients and visits, such as the end of a stay.

use super::{Sex, Step};
use std::collections::HashMap;

/// How sources write that a sex is not known, or is neither female nor male.
const NO_SEX: [&str; 10] = ["unknown", "u", "other", "o", "x", "na", "n/a", "none", "null", "not recorded"];

/// What ends of visits are, in the plural.
const ENDS: &str = "ends of visits";

/// The largest number that is read as an age.
const OLDEST: f32 = 200.0;

/// Counts cells that have something in them which cannot be read, so that they are not taken for empty ones in silence.
///
/// ```
/// use dualk_sdk::data::Readings;
/// let mut readings = Readings::default();
/// assert_eq!([Some("1.0"), Some("0"), None, Some("?")].map(|cell| readings.died(cell)), [Some(true), Some(false), None, None]);
/// let steps: Vec<_> = readings.steps().collect();
/// assert_eq!((steps[0].what.as_str(), steps[0].total, steps[0].lost_count()), ("deaths", 3, 1));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Readings {
    kinds: Vec<Kind>,
}

#[derive(Debug, Clone)]
struct Kind {
    what: &'static str,
    total: u64,
    unread: HashMap<String, u64>,
    /// Of ends: those whose start is known, too, and those that are before it.
    placed: u64,
    early: u64,
}

impl Readings {
    /// What a cell says; nothing when it is empty, or when it cannot be read, which is counted. `what` says in the plural what
    /// such cells are, such as `ends of visits`.
    pub fn read<T>(
        &mut self,
        what: &'static str,
        cell: Option<&str>,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = cell.map(str::trim).filter(|text| !text.is_empty())?;
        let kind = self.kind(what);
        kind.total += 1;
        let found = read(text);
        if found.is_none() {
            *kind.unread.entry(text.to_owned()).or_default() += 1;
        }
        found
    }

    fn kind(&mut self, what: &'static str) -> &mut Kind {
        let at = self.kinds.iter().position(|kind| kind.what == what).unwrap_or_else(|| {
            self.kinds.push(Kind { what, total: 0, unread: HashMap::new(), placed: 0, early: 0 });
            self.kinds.len() - 1
        });
        &mut self.kinds[at]
    }

    /// The end of a visit, as it was read; nothing where it is before the start, which is counted among `ends of visits`.
    pub fn end(&mut self, start: Option<i64>, end: Option<i64>) -> Option<i64> {
        let Some((started, ended)) = start.zip(end) else { return end };
        let kind = self.kind(ENDS);
        kind.placed += 1;
        kind.early += u64::from(ended < started);
        end.filter(|_| ended >= started)
    }

    /// A sex, as [`Sex::parse`] reads it. `unknown` and `other` can be read, and give no sex.
    pub fn sex(&mut self, cell: Option<&str>) -> Option<Sex> {
        let none = |text: &str| NO_SEX.contains(&text.to_ascii_lowercase().as_str()).then_some(None);
        self.read("sexes", cell, |text| Sex::parse(text).map(Some).or_else(|| none(text))).flatten()
    }

    /// An age in years. Some sources move the births of the oldest by three centuries: what nobody reaches is not known.
    pub fn age(&mut self, cell: Option<&str>) -> Option<f32> {
        let years = |text: &str| text.parse().ok().filter(|years: &f32| (0.0..=OLDEST).contains(years));
        self.read("ages", cell, years)
    }

    /// Whether somebody died: `1`, `1.0`, `true`, `yes` and `y`, and the contrary, in either case of letters.
    pub fn died(&mut self, cell: Option<&str>) -> Option<bool> {
        self.read("deaths", cell, |text| match text.to_ascii_lowercase().as_str() {
            "1" | "1.0" | "true" | "yes" | "y" => Some(true),
            "0" | "0.0" | "false" | "no" | "n" => Some(false),
            _ => None,
        })
    }

    /// A step for each kind of cell some of which could not be read, or were ends before their starts.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        self.kinds.iter().filter(|kind| !kind.unread.is_empty() || kind.early > 0).map(|kind| {
            let unread = kind.unread.iter().map(|(text, n)| (text.as_str(), *n));
            let step = Step::new(kind.what, kind.total.max(kind.placed));
            let step = step.lost_values("that cannot be read", unread, |_| false);
            if kind.early > 0 { step.lost("before the start of the visit", kind.early) } else { step }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_counted_and_what_is_empty_is_not() {
        let mut readings = Readings::default();
        assert_eq!(
            [Some(" F "), Some("Unknown"), Some(""), Some("2")].map(|s| readings.sex(s)),
            [Some(Sex::Female), None, None, None]
        );
        assert_eq!(
            [Some("60"), Some("NaN"), Some("-1"), Some("300"), None].map(|age| readings.age(age)),
            [Some(60.0), None, None, None, None]
        );
        assert_eq!(readings.died(Some("FALSE")), Some(false));
        let steps: Vec<Step> = readings.steps().collect();
        let counts: Vec<_> = steps.iter().map(|step| (step.what.as_str(), step.total, step.lost_count())).collect();
        assert_eq!(counts, [("sexes", 3, 1), ("ages", 4, 3)], "deaths could all be read");
        assert!(steps.iter().all(|step| step.left_out[0].most.is_empty()), "what they are is not written");
    }

    #[test]
    fn ends_before_their_starts_are_unknown_and_counted() {
        let mut readings = Readings::default();
        assert_eq!(readings.end(Some(5), Some(9)), Some(9));
        assert_eq!(readings.steps().count(), 0);
        let ends = [(Some(5), Some(5)), (Some(5), Some(4)), (None, Some(4)), (Some(5), None)];
        assert_eq!(ends.map(|(start, end)| readings.end(start, end)), [Some(5), None, Some(4), None]);
        let counts = |readings: &Readings| {
            let step = readings.steps().next().unwrap();
            (step.what, step.total, step.left_out.iter().map(|l| l.count).collect::<Vec<_>>())
        };
        assert_eq!(counts(&readings), ("ends of visits".to_owned(), 3, vec![0, 1]));
        // Those that were read are the total, of which some may have no start beside them.
        for cell in ["1", "2", "3", "4", "?"] {
            readings.read("ends of visits", Some(cell), |text| text.parse::<i64>().ok());
        }
        assert_eq!(counts(&readings), ("ends of visits".to_owned(), 5, vec![1, 1]));
    }
}
