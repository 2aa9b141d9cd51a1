//! Columns of Parquet as the text that a CSV file would have.

use super::rows::Texts;
use crate::data::time::{SECONDS_PER_DAY, time_at};
use arrow::array::{Array, BinaryViewArray, BooleanArray, PrimitiveArray, Utf8ViewArray};
use arrow::datatypes::{ArrowDataType as Type, TimeUnit};
use arrow::types::NativeType;
use polars_arrow as arrow;
use std::fmt::{Debug, Display};

/// Whether columns of a type have a text.
pub fn have_text(of: &Type) -> bool {
    matches!(
        of,
        Type::Boolean
            | Type::Int8
            | Type::Int16
            | Type::Int32
            | Type::Int64
            | Type::UInt8
            | Type::UInt16
            | Type::UInt32
            | Type::UInt64
            | Type::Float32
            | Type::Float64
            | Type::Utf8View
            | Type::BinaryView
            | Type::Date32
            | Type::Timestamp(..)
            | Type::Time32(_)
            | Type::Time64(_)
            | Type::Decimal(..)
    )
}

/// Adds the values of an array. `None` when they have no text or are too many.
pub fn add(texts: &mut Texts, array: &dyn Array) -> Option<()> {
    match array.dtype() {
        Type::Utf8View => array.as_any().downcast_ref::<Utf8ViewArray>()?.iter().all(|t| texts.push(t.unwrap_or(""))),
        Type::BinaryView => {
            let text = |b: Option<&[u8]>| std::str::from_utf8(b.unwrap_or(b"")).is_ok_and(|text| texts.push(text));
            array.as_any().downcast_ref::<BinaryViewArray>()?.iter().all(text)
        }
        Type::Boolean => array.as_any().downcast_ref::<BooleanArray>()?.iter().all(|b| written(texts, b, display)),
        Type::Int8 => each::<i8>(texts, array, display)?,
        Type::Int16 => each::<i16>(texts, array, display)?,
        Type::Int32 => each::<i32>(texts, array, display)?,
        Type::Int64 => each::<i64>(texts, array, display)?,
        Type::UInt8 => each::<u8>(texts, array, display)?,
        Type::UInt16 => each::<u16>(texts, array, display)?,
        Type::UInt32 => each::<u32>(texts, array, display)?,
        Type::UInt64 => each::<u64>(texts, array, display)?,
        Type::Float32 => each::<f32>(texts, array, |texts, value| float(texts, value.into(), value))?,
        Type::Float64 => each::<f64>(texts, array, |texts, value| float(texts, value, value))?,
        Type::Date32 => each(texts, array, day)?,
        Type::Timestamp(unit, _) => each::<i64>(texts, array, |texts, value| time(texts, value, *unit))?,
        Type::Time32(unit) => each::<i32>(texts, array, |texts, value| time_of_day(texts, value.into(), *unit))?,
        Type::Time64(unit) => each::<i64>(texts, array, |texts, value| time_of_day(texts, value, *unit))?,
        Type::Decimal(_, scale) => each::<i128>(texts, array, |texts, value| decimal(texts, value, *scale))?,
        _ => false,
    }
    .then_some(())
}

fn each<T: NativeType>(texts: &mut Texts, array: &dyn Array, write: impl Fn(&mut Texts, T) -> bool) -> Option<bool> {
    let values = array.as_any().downcast_ref::<PrimitiveArray<T>>()?;
    Some(values.iter().all(|value| written(texts, value.copied(), &write)))
}

fn written<T>(texts: &mut Texts, value: Option<T>, write: impl Fn(&mut Texts, T) -> bool) -> bool {
    match value {
        Some(value) => write(texts, value),
        None => texts.push(""),
    }
}

fn display(texts: &mut Texts, value: impl Display) -> bool {
    texts.write(format_args!("{value}"))
}

/// Integers become floats on the way through pandas when some are missing.
fn float(texts: &mut Texts, value: f64, shortest: impl Debug) -> bool {
    match value.fract() == 0.0 && value.abs() < 2f64.powi(63) {
        true => texts.write(format_args!("{}", value as i64)),
        false => texts.write(format_args!("{shortest:?}")),
    }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Date and time without the fraction of a second; those that are told in a zone, in that of Greenwich. What is no day of the
/// calendar stays the number that it is.
fn time(texts: &mut Texts, value: i64, unit: TimeUnit) -> bool {
    match time_at(value.div_euclid(per_second(unit))) {
        Some(at) => texts.write(format_args!("{}", at.strftime("%Y-%m-%d %H:%M:%S"))),
        None => display(texts, value),
    }
}

fn day(texts: &mut Texts, days: i32) -> bool {
    match time_at(i64::from(days) * SECONDS_PER_DAY) {
        Some(at) => texts.write(format_args!("{}", at.date())),
        None => display(texts, days),
    }
}

fn time_of_day(texts: &mut Texts, value: i64, unit: TimeUnit) -> bool {
    let (hour, minute, second) = clock(value.div_euclid(per_second(unit)));
    texts.write(format_args!("{hour:02}:{minute:02}:{second:02}"))
}

fn clock(seconds: i64) -> (i64, i64, i64) {
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn decimal(texts: &mut Texts, value: i128, scale: usize) -> bool {
    let unit = 10u128.saturating_pow(scale as u32);
    let (sign, size) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    match size % unit {
        0 => texts.write(format_args!("{sign}{}", size / unit)),
        rest => texts.write(format_args!("{sign}{}.{rest:0scale$}", size / unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(write: impl Fn(&mut Texts) -> bool) -> String {
        let mut texts = Texts::default();
        assert!(write(&mut texts));
        texts.get(0).to_owned()
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // `date -u -d @SECONDS` says so.
        for (seconds, written) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_463_771_812, "2016-05-20 19:16:52"),
            (-1, "1969-12-31 23:59:59"),
            (-2_203_891_200, "1900-03-01 00:00:00"),
            (5_680_281_600, "2150-01-01 00:00:00"),
        ] {
            assert_eq!(texts(|t| time(t, seconds, TimeUnit::Second)), written);
            assert_eq!(texts(|t| time(t, seconds * 1_000_000 + 7, TimeUnit::Microsecond)), written);
        }
        assert_eq!([0, 16_941].map(|days| texts(|t| day(t, days))), ["1970-01-01", "2016-05-20"]);
        assert_eq!(texts(|t| time(t, i64::MAX, TimeUnit::Second)), i64::MAX.to_string());
        assert_eq!(texts(|t| time_of_day(t, 86_399_999, TimeUnit::Millisecond)), "23:59:59");
    }

    #[test]
    fn numbers_are_short_and_whole_ones_have_no_point() {
        let float = |value: f64| texts(|t| float(t, value, value));
        assert_eq!([2.0, -3.0, 0.1, 2.5, 1e20].map(float), ["2", "-3", "0.1", "2.5", "1e20"]);
        assert_eq!(texts(|t| super::float(t, 0.1f32.into(), 0.1f32)), "0.1");
        assert_eq!(float(f64::NAN), "NaN");
        let decimal = |value, scale| texts(|t| decimal(t, value, scale));
        assert_eq!([decimal(1250, 2), decimal(1200, 2), decimal(-5, 3)], ["12.50", "12", "-0.005"]);
    }
}
