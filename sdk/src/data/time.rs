//! Dates and times as tables write them, in the Gregorian calendar.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::BrokenDownTime;

/// The first year that a format reads: fewer digits are a year of some century.
const FIRST_YEAR: i16 = 1000;

/// Seconds of a day.
pub const SECONDS_PER_DAY: i64 = 86_400;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Seconds since 1970 of a date such as `2166-05-20`, perhaps with a time such as `19:16:52` or `19:16` behind a blank or a
/// `T`, which may have a fraction, that is left out, and a zone: `Z`, `UTC`, `GMT`, or what it is ahead of UTC, such as `+10:00`;
/// a name in brackets behind it, as in `+01:00[Europe/Berlin]`, changes nothing. Times with a zone are those of UTC, and without
/// one what the clock of the source says, which counts as UTC beside them. `None` when there is no such day, time or zone.
///
/// ```
/// use dualk_sdk::data::seconds;
/// assert_eq!(seconds("1970-01-02 00:00:01"), Some(86_401));
/// assert_eq!(seconds("2016-05-20T19:16:52"), Some(1_463_771_812));
/// assert_eq!(seconds("2016-05-20T19:16:52-05:00"), seconds("2016-05-21 00:16:52Z"));
/// assert_eq!([seconds("2165-02-29"), seconds("2166-05-20 24:00:00"), seconds("yesterday")], [None; 3]);
/// ```
pub fn seconds(text: &str) -> Option<i64> {
    written(text).map(utc)
}

/// A time as it is written, and how many seconds its zone is ahead of UTC.
type Written = (DateTime, i64);

fn utc((time, ahead): Written) -> i64 {
    since_epoch(time) - ahead
}

fn written(text: &str) -> Option<Written> {
    let text = text.trim();
    let (date, clock) = text.split_once([' ', 'T']).map_or((text, None), |(date, clock)| (date, Some(clock)));
    let mut parts = date.split('-');
    // With two digits of the year nobody knows the century, nor whether it is the day.
    let year = parts.next().filter(|year| year.len() == 4);
    let year = i16::try_from(number(year, 4)?).ok().filter(|&year| year >= 1)?;
    let (month, day) = (small(parts.next())?, small(parts.next())?);
    let date = Date::new(year, month, day).ok().filter(|_| parts.next().is_none())?;
    let clock = clock.unwrap_or("0:0");
    let (clock, zone) = clock.split_at(clock.find(['Z', 'U', 'G', '+', '-']).unwrap_or(clock.len()));
    let (clock, fraction) = clock.trim_end().split_once('.').unwrap_or((clock.trim_end(), ""));
    let ahead = ahead(zone).filter(|_| fraction.bytes().all(|b| b.is_ascii_digit()))?;
    let mut parts = clock.split(':');
    let (hour, minute) = (small(parts.next())?, small(parts.next())?);
    let second = parts.next().map_or(Some(0), |second| small(Some(second)))?;
    let time = jiff::civil::Time::new(hour, minute, second, 0).ok().filter(|_| parts.next().is_none())?;
    Some((date.to_datetime(time), ahead))
}

/// Seconds that a zone is ahead of UTC: none without one, and of `Z`, `UTC` and `GMT`.
fn ahead(zone: &str) -> Option<i64> {
    let zone = match zone.split_once('[') {
        Some((offset, name)) => name.strip_suffix(']').filter(|name| is_zone_name(name)).map(|_| offset)?,
        None => zone,
    };
    if ["", "Z", "UTC", "GMT"].contains(&zone) {
        return Some(0);
    }
    let (sign, ahead) = match zone.split_at_checked(1) {
        Some(("+", ahead)) => (1, ahead),
        Some(("-", ahead)) => (-1, ahead),
        _ => return None,
    };
    let (hours, minutes) =
        ahead.split_once(':').or_else(|| ahead.split_at_checked(2)).filter(|parts| parts.0.len() == 2)?;
    let minutes = if minutes.is_empty() && ahead.len() == 2 { "00" } else { minutes };
    let (hours, minutes) = (small(Some(hours))?, small(Some(minutes)).filter(|_| minutes.len() == 2)?);
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

/// Whether this may be the name of a time zone, such as `Europe/Berlin`.
fn is_zone_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b))
}

/// The number in a text of at most so many digits.
fn number(text: Option<&str>, digits: usize) -> Option<u16> {
    let text = text.filter(|t| (1..=digits).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok()
}

fn small(text: Option<&str>) -> Option<i8> {
    number(text, 2).and_then(|n| i8::try_from(n).ok())
}

fn since_epoch(time: DateTime) -> i64 {
    time.duration_since(EPOCH).as_secs()
}

/// What formats are made of.
const LETTERS: &str = "accepted: %Y year, %m month, %b its name, %d day, %H hour, %I of twelve and %p AM or PM, %M minute, %S \
                       second, %z zone, as of strptime; without the option times are such as 2016-05-20 19:16:52";

/// How a source writes dates.
///
/// ```
/// use dualk_sdk::data::Dates;
/// assert_eq!(Dates::new("%d.%m.%Y").unwrap().seconds("02.01.1970"), Some(86_400));
/// assert_eq!(Dates::default().seconds("1970-01-02"), Some(86_400));
/// assert!(Dates::new("%").is_err());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Dates {
    format: String,
}

impl Dates {
    /// What to do about a cell that [`read`](Self::read) does not take.
    pub const HELP: &str = "the option date_format says how other times are written, such as %d.%m.%Y %H:%M";

    /// In a format of `strptime`, such as `%d.%m.%Y %H:%M`; when it is empty, as [`seconds`] reads them.
    ///
    /// # Errors
    /// When there is no such format.
    pub fn new(format: &str) -> crate::Result<Self> {
        let dates = Self { format: format.to_owned() };
        // What is written in a format can be read in it, unless the format is invalid or leaves out a part of the date.
        let epoch = EPOCH.to_zoned(jiff::tz::TimeZone::UTC).ok();
        let written = epoch.and_then(|epoch| jiff::fmt::strtime::format(format, &epoch).ok());
        match format.is_empty() || written.is_some_and(|text| dates.seconds(&text).is_some()) {
            true => Ok(dates),
            false => {
                // It is written in the manifest, and in no table.
                let error = crate::Error::user(format!("this is no format of dates: \"{format}\""));
                Err(error.help("give year, month and day, such as %d.%m.%Y or %m/%d/%Y %H:%M").help(LETTERS))
            }
        }
    }

    /// As the option `date_format` says.
    ///
    /// # Errors
    /// Those of [`Dates::new`], with the key.
    pub fn of_option(format: &str) -> crate::Result<Self> {
        Self::new(format).map_err(|e| e.at_key("date_format"))
    }

    /// Seconds since 1970 of a cell. A column may hold dates alone where the format has a time of day behind a blank or a `T`, and
    /// what Parquet holds as dates and times is read whatever the format.
    pub fn read(&self, text: &str) -> Option<i64> {
        self.cell(text).map(utc)
    }

    /// What [`read`](Self::read) takes, for errors.
    pub fn accepted(&self) -> String {
        const USUAL: &str = "such as 2016-05-20 19:16:52 or 2016-05-20";
        match self.format.is_empty() {
            true => format!("a time {USUAL}"),
            false => format!("a time in the format {}, or {USUAL}", self.format),
        }
    }

    /// What is wrong with a cell of a column that [`read`](Self::read) does not take: what it takes, and the cell where errors may
    /// show it.
    pub fn wrong(&self, column: &str, cell: Option<&str>) -> String {
        format!("the column `{column}` must hold {}, found {}", self.accepted(), crate::error::cell(cell))
    }

    /// Days since 1970 of the date in a cell as it is written, whatever the time of day and the zone behind it; in the forms that
    /// [`read`](Self::read) knows.
    pub fn day(&self, text: &str) -> Option<i64> {
        self.cell(text).map(|(time, _)| since_epoch(time).div_euclid(SECONDS_PER_DAY))
    }

    /// Seconds since 1970 of the end of what began at `start`. A date without a time of day is some time of that day: where it
    /// began on the same one, no time before it did.
    ///
    /// ```
    /// use dualk_sdk::data::{Dates, seconds};
    /// let (dates, start) = (Dates::default(), seconds("2016-05-20 08:30"));
    /// assert_eq!(dates.end("2016-05-20", start), start);
    /// assert_eq!(dates.end("2016-05-20 08:00", start), seconds("2016-05-20 08:00"));
    /// ```
    pub fn end(&self, text: &str, start: Option<i64>) -> Option<i64> {
        let end = self.read(text)?;
        let is_that_day = |start: &i64| (1..SECONDS_PER_DAY).contains(&start.saturating_sub(end));
        Some(start.filter(is_that_day).filter(|_| self.is_date(text)).unwrap_or(end))
    }

    /// Whether a cell that can be read has no time of day.
    fn is_date(&self, text: &str) -> bool {
        let text = text.trim();
        let formatted = (!self.format.is_empty()).then(|| BrokenDownTime::parse(&self.format, text).ok()).flatten();
        formatted.map_or_else(|| !text.contains([' ', 'T']), |parsed| parsed.hour().is_none())
    }

    /// Seconds since 1970; `None` where there is no such date. What a format has as `%z` is applied as [`seconds`] applies
    /// zones.
    pub fn seconds(&self, text: &str) -> Option<i64> {
        self.formatted(text).map(utc)
    }

    fn cell(&self, text: &str) -> Option<Written> {
        let date = || {
            let (format, _) = self.format.split_once([' ', 'T'])?;
            Self { format: format.to_owned() }.formatted(text)
        };
        self.formatted(text).or_else(date).or_else(|| written(text))
    }

    fn formatted(&self, text: &str) -> Option<Written> {
        if self.format.is_empty() {
            return written(text);
        }
        let parsed = BrokenDownTime::parse(&self.format, text.trim()).ok()?;
        if parsed.iana_time_zone().is_some() {
            return None;
        }
        // `%Y` takes 69 for the year 69.
        let date = parsed.to_date().ok().filter(|date| date.year() >= FIRST_YEAR)?;
        let ahead = parsed.offset().map_or(0, |offset| i64::from(offset.seconds()));
        Some((date.to_datetime(parsed.to_time().unwrap_or(jiff::civil::Time::midnight())), ahead))
    }
}

/// The time so many seconds after 1970; `None` outside of the years -9999 to 9999.
pub(crate) fn time_at(seconds: i64) -> Option<DateTime> {
    EPOCH.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// The year of a time in seconds since 1970; outside of the years -9999 to 9999 the nearer of them.
pub fn year_of(seconds: i64) -> i64 {
    let outside = if seconds < 0 { -9999 } else { 9999 };
    time_at(seconds).map_or(outside, |time| time.year().into())
}

/// Seconds of a mean Gregorian year.
const YEAR: f64 = 31_556_952.0;

/// Years from one time to a later one, both in seconds.
pub fn years_between(earlier: i64, later: i64) -> Option<f64> {
    later.checked_sub(earlier).filter(|&seconds| seconds >= 0).map(|seconds| seconds as f64 / YEAR)
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
            ("2016-5-20 9:16", 1_463_735_760),
            ("2150-01-01T23:00:00+10:00", 5_680_328_400),
            ("2150-01-01T14:00:00Z", 5_680_332_000),
            ("2150-01-01 14:00:00.5-05:30", 5_680_351_800),
            ("2150-01-01 14:00 +0100", 5_680_328_400),
            ("2150-01-01 14:00+01", 5_680_328_400),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "2166-13-20",
            "2166-05-20 00:60",
            "2166-5",
            "2166-05-20 1",
            "2166-05-20 00:00:00:00",
            "0000-01-01",
            "2166-05-20 00:00:60",
            "-166-05-20",
            "2166-05-20-1",
            "99999-01-01",
            "2016-05-20 19:16:52+24:00",
            "2016-05-20 19:16:52+1:00",
            "2016-05-20 19:16:52+01:",
            "2016-05-20 19:16:52-01:60",
            "2016-05-20 19:16:52+",
            "2016-05-20 19:16:52Zulu",
            "2016-05-20 19:16:52.5x",
            "16-05-20",
            "166-05-20",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn zones_may_have_names() {
        // `date -u -d TEXT +%s` says so, without what is in brackets.
        for (text, expected) in [
            ("2014-08-19 07:41:35.220 UTC", 1_408_434_095),
            ("2014-08-19T07:41:35Z[UTC]", 1_408_434_095),
            ("2014-08-19 07:41:35 GMT", 1_408_434_095),
            ("2014-08-19T07:41:35.220+02:00[Europe/Berlin]", 1_408_426_895),
            ("2014-08-19T07:41:35-04:00[America/Port-au-Prince]", 1_408_448_495),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for end in [" UTC+1", " CET", "[Europe/Berlin]", "[UTC]", "Z[UTC", "Z[]", "Z[a b]"] {
            assert_eq!(seconds(&format!("2016-05-20 19:16:52{end}")), None, "{end}");
        }
    }

    #[test]
    fn years_are_those_of_the_calendar() {
        for year in [1, 1900, 1969, 1970, 1999, 2000, 2001, 2004, 2166, 2399, 2400, 9999] {
            let first = seconds(&format!("{year:04}-01-01")).unwrap();
            assert_eq!([year_of(first), year_of(first - 1)], [year, year - 1]);
        }
        assert_eq!([year_of(i64::MIN), year_of(i64::MAX)], [-9999, 9999]);
    }

    #[test]
    fn an_end_without_a_time_of_day_is_not_before_a_start_of_that_day() {
        let dates = Dates::new("%d.%m.%Y %H:%M").unwrap();
        let start = seconds("2016-05-20 08:30");
        for (text, expected) in [
            ("20.05.2016", start),
            ("2016-05-20", start),
            ("20.05.2016 00:00", seconds("2016-05-20")),
            ("2016-05-20T00:00", seconds("2016-05-20")),
            ("19.05.2016", seconds("2016-05-19")),
            ("21.05.2016", seconds("2016-05-21")),
            ("May", None),
        ] {
            assert_eq!(dates.end(text, start), expected, "{text}");
        }
        assert_eq!(Dates::new("%Y%m%d").unwrap().end("20160520", start), start);
        assert_eq!(
            [Dates::default().end("2016-05-20", start), dates.end("20.05.2016", None)],
            [start, seconds("2016-05-20")]
        );
    }

    #[test]
    fn dates_may_be_written_in_any_order() {
        // `date -u -d "2016-05-20 19:16" +%s` says so.
        for (format, text) in [
            ("%d.%m.%Y %H:%M", "20.05.2016 19:16"),
            ("%m/%d/%Y %I:%M %p", "05/20/2016 07:16 PM"),
            ("%d%b%Y:%H:%M", "20MAY2016:19:16"),
        ] {
            assert_eq!(Dates::new(format).unwrap().seconds(text), Some(1_463_771_760), "{format}");
        }
        let zoned = Dates::new("%d.%m.%Y %H:%M %z").unwrap();
        assert_eq!(zoned.read("20.05.2016 19:16 -0500"), Some(1_463_771_760 + 5 * 3600));
        // `date -u -d 2016-05-20 +%s` by 86,400, wherever it is that day.
        for text in ["20.05.2016 23:16 -0500", "20.05.2016 00:16 +1000", "2016-05-20", "2016-05-20T00:16+10:00"] {
            assert_eq!(zoned.day(text), Some(16_941), "{text}");
        }
        assert_eq!([Dates::default().day("1969-12-31 23:00"), zoned.day("May")], [Some(-1), None]);
        assert_eq!(Dates::new("%Y%m%d").unwrap().seconds("20160520"), Some(1_463_702_400));
        assert_eq!(Dates::new("%Y%m%d").unwrap().seconds("2016-05-20"), None);
        let dates = Dates::new("%d.%m.%Y %H:%M").unwrap();
        for (text, expected) in [
            ("20.05.2016 19:16", Some(1_463_771_760)),
            ("20.05.2016", Some(1_463_702_400)),
            ("2016-05-20 19:16:00", Some(1_463_771_760)),
            ("05/20/2016", None),
            ("20.05.16 19:16", None),
            ("20.05.16", None),
            ("20.05.201", None),
        ] {
            assert_eq!(dates.read(text), expected, "{text}");
        }
        // As Python reads them.
        let short = Dates::new("%d.%m.%y").unwrap();
        assert_eq!(["20.05.16", "01.01.70"].map(|text| short.read(text)), [Some(1_463_702_400), Some(0)]);
        for none in ["%Q?", "%Y-%m-%d %Q", "%d.%m", "%s", "day"] {
            let error = Dates::of_option(none).unwrap_err().to_string();
            let named = format!("`date_format`: this is no format of dates: \"{none}\"");
            for part in ["such as %d.%m.%Y", "%H hour", &named] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }

    #[test]
    fn what_is_no_time_is_told_what_is_one() {
        let found = "found (--show-values shows it)";
        let wrong = Dates::default().wrong("start", Some("May"));
        assert_eq!(
            wrong,
            format!("the column `start` must hold a time such as 2016-05-20 19:16:52 or 2016-05-20, {found}")
        );
        let of_format = Dates::new("%d.%m.%Y").unwrap().wrong("start", Some("May"));
        assert!(of_format.contains("a time in the format %d.%m.%Y, or such as 2016-05-20 19:16:52"), "{of_format}");
        assert!(of_format.ends_with(found) && Dates::default().wrong("start", None).ends_with("found nothing"));
        for dates in ["2016-05-20 19:16:52", "2016-05-20"] {
            assert!(Dates::default().read(dates).is_some() && Dates::default().accepted().contains(dates));
        }
    }
}
