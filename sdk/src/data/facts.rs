//! What is known of patients and admissions beside codes and laboratory items, where a source has it.

use serde::{Deserialize, Serialize};

/// Sex as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(crate = "serde", rename_all = "snake_case")]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

impl Sex {
    /// Reads `F`, `f`, `female`, `M`, `male` …; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "f" | "female" | "woman" => Some(Self::Female),
            "m" | "male" | "man" => Some(Self::Male),
            _ => None,
        }
    }

    /// `female` or `male`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
        }
    }
}

/// What is known of a patient.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PatientFacts {
    /// Sex as recorded.
    pub sex: Option<Sex>,
    /// Ethnicity or race in the words of the source.
    pub ethnicity: Option<String>,
}

/// What is known of an admission.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AdmissionFacts {
    /// Beginning, in seconds since 1970 by the clock of the source, which may have been moved per patient: only
    /// differences between admissions of one patient mean something.
    pub start: Option<i64>,
    /// End, by the same clock.
    pub end: Option<i64>,
    /// Age in years at the beginning. Sources that hide the age of old people say what they say: MIMIC-IV 91 or more, MIMIC-III
    /// some 300, eICU `> 89`, which is read as 90.
    pub age: Option<f32>,
    /// Whether the patient died in it.
    pub died: Option<bool>,
}

/// Codes of another kind than diagnoses, with a vocabulary of their own.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events {
    /// What they are, such as `procedures` or `drugs`.
    pub kind: String,
    /// The codes or names, in order of first appearance.
    pub names: Vec<String>,
    /// Per admission, indices into the names in the order of the source, each once.
    pub rows: super::Ragged<u32>,
}

/// Seconds since 1970 of a date such as `2166-05-20`, perhaps with a time such as `19:16:52` or `19:16` behind a blank or a
/// `T`; `None` when there is no such day or time.
///
/// ```
/// use dualk_sdk::data::seconds;
/// assert_eq!(seconds("1970-01-02 00:00:01"), Some(86_401));
/// assert_eq!(seconds("2016-05-20T19:16:52"), Some(1_463_771_812));
/// assert_eq!([seconds("2165-02-29"), seconds("2166-05-20 24:00:00"), seconds("yesterday")], [None; 3]);
/// ```
pub fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, clock) = text.split_once([' ', 'T']).map_or((text, None), |(date, clock)| (date, Some(clock)));
    let number = |text: Option<&str>, digits: std::ops::RangeInclusive<usize>| {
        let text = text.filter(|t| digits.contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit()))?;
        text.parse::<i64>().ok()
    };
    let mut parts = date.split('-');
    let year = number(parts.next(), 1..=4)?;
    let (month, day) = (number(parts.next(), 1..=2)?, number(parts.next(), 1..=2)?);
    if parts.next().is_some() || year < 1 || !(1..=12).contains(&month) || day < 1 || day > days(year, month) {
        return None;
    }
    let of_day = match clock {
        None => 0,
        Some(clock) => {
            // Fractions and zones are left out: nothing here needs them.
            let clock = clock.split(['.', 'Z', '+']).next().unwrap_or(clock);
            let mut parts = clock.split(':');
            let (hour, minute) = (number(parts.next(), 1..=2)?, number(parts.next(), 1..=2)?);
            let second = match parts.next() {
                None => 0,
                second => number(second, 1..=2)?,
            };
            if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
                return None;
            }
            hour * 3600 + minute * 60 + second
        }
    };
    Some(day_number(year, month, day) * 86_400 + of_day)
}

fn days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to a day of the Gregorian calendar: eras of 400 years, years from March.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The year of a time in seconds since 1970.
pub fn year_of(seconds: i64) -> i64 {
    // A first guess that is at most a year off.
    let guess = 1970 + seconds.div_euclid(31_556_952);
    let begins = |year: i64| day_number(year, 1, 1) * 86_400;
    match () {
        _ if seconds < begins(guess) => guess - 1,
        _ if seconds >= begins(guess + 1) => guess + 1,
        _ => guess,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        // `date -u -d TEXT +%s` says so.
        for (text, expected) in [
            ("1970-01-01", 0),
            ("2000-02-29 00:00:00", 951_782_400),
            ("1969-12-31 23:59:59", -1),
            ("1900-03-01", -2_203_891_200),
            ("2150-01-01T00:00", 5_680_281_600),
            ("2016-05-20 19:16:52.000+00:00", 1_463_771_812),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for wrong in ["", "2166-13-20", "2166-05-20 00:60", "2166-5", "2166-05-20 1", "2166-05-20 00:00:00:00"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn years_are_those_of_the_calendar() {
        for year in [1, 1900, 1969, 1970, 1999, 2000, 2001, 2004, 2166, 2399, 2400, 9999] {
            let first = day_number(year, 1, 1) * 86_400;
            assert_eq!([year_of(first), year_of(first - 1)], [year, year - 1]);
        }
    }
}
