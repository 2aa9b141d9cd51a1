//! One CSV record: its fields, and what can be wrong with it.

use crate::{Error, Result};
use std::ops::Range;
use std::path::Path;

/// The longest field that is read, in bytes: more is a quote that was never closed.
pub const LONGEST_FIELD: usize = 1 << 17;

/// The message of a fault.
pub const NOT_UTF8: &str = "the text is not UTF-8";

/// What is wrong with a record.
#[derive(Debug)]
pub struct Fault {
    message: String,
    /// Where, in bytes of the block.
    at: usize,
}

impl Fault {
    /// A fault at a byte.
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), at }
    }

    /// What is wrong.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The error, with the place in `block`, whose first line is `first_line`.
    pub(super) fn explain(self, path: &Path, block: &[u8], first_line: usize) -> Error {
        let before = &block[..self.at.min(block.len())];
        let line = first_line + before.iter().filter(|&&b| b == b'\n').count();
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let column = 1 + String::from_utf8_lossy(&before[start..]).chars().count();
        let not_utf8 = self.message == NOT_UTF8;
        let error = Error::user(self.message).at_column(path, line, column);
        if not_utf8 { error.help(super::stream::CONVERT) } else { error }
    }
}

/// Whether a field that starts at byte `start` stands between quotes, inside of which they are doubled.
pub fn is_quoted(text: &[u8], start: usize) -> bool {
    start.checked_sub(1).is_some_and(|before| text[before] == b'"')
}

/// Splits the record that starts at byte `from` of `text` into `fields`, without the quotes around them, and returns
/// where the next one starts.
pub fn split(text: &[u8], from: usize, separator: u8, fields: &mut Vec<Range<usize>>) -> Result<usize, Fault> {
    fields.clear();
    let mut at = from;
    loop {
        let (field, end) = match text.get(at) {
            Some(b'"') => quoted(text, at, separator)?,
            _ => plain(text, at, separator)?,
        };
        if field.len() > LONGEST_FIELD {
            return Err(Fault::new(at, format!("a field is longer than {LONGEST_FIELD} bytes")));
        }
        fields.push(field);
        at = end + 1;
        if text.get(end) != Some(&separator) {
            return Ok(at.min(text.len()));
        }
    }
}

/// A field without quotes and where it ends.
fn plain(text: &[u8], at: usize, separator: u8) -> Result<(Range<usize>, usize), Fault> {
    let mut end = end_of_plain(text, at, separator);
    // Between tabs most writers know no quotes.
    while separator == b'\t' && text.get(end) == Some(&b'"') {
        end = end_of_plain(text, end + 1, separator);
    }
    if text.get(end) == Some(&b'"') {
        return Err(Fault::new(end, "a quote stands inside a field that does not start with one"));
    }
    let carriage = text.get(end) != Some(&separator) && end > at && text[end - 1] == b'\r';
    Ok((at..end - usize::from(carriage), end))
}

/// Where the first separator, line break or quote is.
///
/// Fields are a few bytes long: eight bytes at once are faster than one by one, and than a search set up for each field.
fn end_of_plain(text: &[u8], mut at: usize, separator: u8) -> usize {
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let eight = u64::from_le_bytes(*eight);
        let ends = zeros(eight ^ repeat(separator)) | zeros(eight ^ repeat(b'\n')) | zeros(eight ^ repeat(b'"'));
        if ends != 0 {
            return at + ends.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text[at..].iter().position(|&b| b == separator || matches!(b, b'\n' | b'"'));
    rest.map_or(text.len(), |n| at + n)
}

const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The highest bit of each byte that is zero; bits above the lowest of them may be wrong.
const fn zeros(bytes: u64) -> u64 {
    bytes.wrapping_sub(repeat(0x01)) & !bytes & repeat(0x80)
}

/// The inside of a field in quotes, doubled ones kept, and where the field ends.
fn quoted(text: &[u8], at: usize, separator: u8) -> Result<(Range<usize>, usize), Fault> {
    let mut from = at + 1;
    let last = text.len().min(from + LONGEST_FIELD + 1);
    loop {
        let Some(close) = memchr::memchr(b'"', &text[from.min(last)..last]).map(|n| from + n) else {
            return Err(Fault::new(at, never_closed(last < text.len())));
        };
        let inside = at + 1..close;
        match (text.get(close + 1), text.get(close + 2)) {
            (Some(b'"'), _) => from = close + 2,
            (None | Some(b'\n'), _) => return Ok((inside, close + 1)),
            (Some(&next), _) if next == separator => return Ok((inside, close + 1)),
            (Some(b'\r'), None | Some(b'\n')) => return Ok((inside, close + 2)),
            _ => return Err(Fault::new(at, "text follows the closing quote of this field")),
        }
    }
}

fn never_closed(more: bool) -> String {
    let quote = "a quote that opens in this row is";
    match more {
        true => format!("{quote} not closed within {LONGEST_FIELD} bytes, the longest that a field may be"),
        false => format!("{quote} never closed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Result<Vec<Vec<&str>>, String> {
        fields_at(text, b',')
    }

    fn fields_at(text: &str, separator: u8) -> Result<Vec<Vec<&str>>, String> {
        let (mut at, mut ranges, mut records) = (0, Vec::new(), Vec::new());
        while at < text.len() {
            at =
                split(text.as_bytes(), at, separator, &mut ranges).map_err(|f| format!("{} at {}", f.message, f.at))?;
            records.push(ranges.iter().map(|r| &text[r.clone()]).collect());
        }
        Ok(records)
    }

    #[test]
    fn records_are_split_as_rfc_4180_says() {
        assert_eq!(fields("a,b\n1,\n").unwrap(), [["a", "b"], ["1", ""]]);
        assert_eq!(fields("a,b\r\n,\"x\"\r\n").unwrap(), [["a", "b"], ["", "x"]]);
        assert_eq!(fields("\"x,\ny\",\"\"\n\"\"\"q\"\"\",z").unwrap(), [["x,\ny", ""], ["\"\"q\"\"", "z"]]);
        assert_eq!(fields("\n").unwrap(), [[""]]);
        assert_eq!(fields_at("a,b;\"c;d\"\r\n;1,5\n", b';').unwrap(), [["a,b", "c;d"], ["", "1,5"]]);
        assert_eq!(fields_at("5\" x\t\"c\td\"\n\ta \"b\"\n", b'\t').unwrap(), [["5\" x", "c\td"], ["", "a \"b\""]]);
        // The end of a field at each of eight places, and beside bytes that differ from a comma in one bit.
        for n in 0..20 {
            let long = "-".repeat(n);
            assert_eq!(fields(&format!("{long},-\n{long}\n")).unwrap(), [vec![&long[..], "-"], vec![&long]]);
        }
    }

    #[test]
    fn faults_say_where() {
        assert!(fields("a,b\"c\n").unwrap_err().ends_with("at 3"));
        assert!(fields("a,\"b\nc").unwrap_err().contains("never closed at 2"));
        assert!(fields("a,\"b\"c\n").unwrap_err().contains("closing quote of this field at 2"));
        let lines = format!("1,\"{}", "x\n".repeat(LONGEST_FIELD));
        assert!(fields(&lines).unwrap_err().contains("not closed within 131072 bytes, the longest"));
        let doubled = format!("1,\"{}", "\"\"".repeat(LONGEST_FIELD));
        assert!(fields(&doubled).unwrap_err().contains("not closed within 131072 bytes, the longest"));
        let longest = format!("1,\"{}\"\n", "x".repeat(LONGEST_FIELD));
        assert_eq!(fields(&longest).unwrap()[0][1].len(), LONGEST_FIELD);
        let long = format!("1,{}\n", "x".repeat(LONGEST_FIELD + 1));
        assert!(fields(&long).unwrap_err().contains("longer than 131072 bytes at 2"));
    }
}
