//! Times as MIMIC writes them.

/// A time of admission: ordered, with its year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// The year.
    pub year: i64,
    /// Month, day, hour, minute, second.
    rest: [u8; 5],
}

impl Time {
    /// Reads `2166-05-20 19:16:52`.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.trim().split_once(' ')?;
        let mut date = date.splitn(3, '-');
        let mut clock = clock.splitn(3, ':');
        let year = digits(date.next()?)?;
        let part = |text: Option<&str>| digits(text?).and_then(|n| u8::try_from(n).ok());
        let rest =
            [part(date.next())?, part(date.next())?, part(clock.next())?, part(clock.next())?, part(clock.next())?];
        let [month, day, hour, minute, second] = rest;
        let fits = (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
        (fits && year >= 1 && hour < 24 && minute < 60 && second < 60).then_some(Self { year, rest })
    }
}

fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn days(year: i64, month: u8) -> u8 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn times_are_read_strictly_and_compared() {
        let time = |text| Time::parse(text);
        assert!(time("2166-05-20 19:16:52") < time("2166-05-20 19:17:00"));
        assert_eq!(time("2166-05-20 19:16:52").map(|t| t.year), Some(2166));
        for wrong in ["2166-05-20", "2166-13-20 00:00:00", "2165-02-29 00:00:00", "2166-05-20 24:00:00", "x", ""] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
        assert!(time("2164-02-29 00:00:00").is_some());
    }
}
