//! Files as bytes: decompression and the first line.

use super::record::{self, Fault, NOT_UTF8};
use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::ops::Range;
use std::path::Path;

/// The bytes of a file, decompressed when it is gzip, whatever its name says.
fn bytes(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let io = |e| Error::io("read the file", path, e);
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
    let start = file.fill_buf().map_err(io)?;
    match start {
        [0x1f, 0x8b, ..] => Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))),
        _ => Ok(Box::new(file)),
    }
}

/// The same of a table, which has at least a line.
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let mut input = bytes(path)?;
    let is_empty = input.fill_buf().map_err(|e| unreadable(path, e))?.is_empty();
    match is_empty {
        true => Err(Error::user("the file is empty").at_file(path)),
        false => Ok(input),
    }
}

/// What some programs begin a text with to say that it is UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of a table's rows, the first of which is on line `first`: 2 behind a heading, else 1.
pub fn body(path: &Path, first: usize) -> Result<Box<dyn BufRead + Send>> {
    let mut input = open(path)?;
    if first > 1 {
        input.skip_until(b'\n').map_err(|e| unreadable(path, e))?;
        return Ok(input);
    }
    let mut start = Vec::new();
    input.by_ref().take(MARK.len() as u64).read_to_end(&mut start).map_err(|e| unreadable(path, e))?;
    match start == MARK {
        true => Ok(input),
        false => Ok(Box::new(Cursor::new(start).chain(input))),
    }
}

/// Reads a compressed file to its end.
///
/// # Errors
/// When it is damaged.
pub fn check_whole(path: &Path) -> Result<()> {
    let mut input = open(path)?;
    std::io::copy(&mut input, &mut std::io::sink()).map(drop).map_err(|e| unreadable(path, e))
}

/// What went wrong while reading bytes.
pub fn unreadable(path: &Path, e: std::io::Error) -> Error {
    let message = match e.kind() {
        std::io::ErrorKind::UnexpectedEof => "the gzip file is cut off before its end".to_owned(),
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => "the gzip file is damaged".to_owned(),
        _ => format!("cannot read the file: {e}"),
    };
    Error::user(message).at_file(path).because(e).help("copy or download the file again and compare its checksum")
}

/// The longest text that is read at once, in bytes. A few megabytes of gzip may be gigabytes of text.
const LONGEST_TEXT: u64 = 1 << 29;

/// A text file, without the mark that it is UTF-8.
///
/// # Errors
/// Names the first line that is not UTF-8, or the most bytes that a text may have.
pub fn text(path: &Path) -> Result<String> {
    text_up_to(path, LONGEST_TEXT)
}

fn text_up_to(path: &Path, most: u64) -> Result<String> {
    let mut text = Vec::new();
    bytes(path)?.take(most + 1).read_to_end(&mut text).map_err(|e| unreadable(path, e))?;
    if text.len() as u64 > most {
        return Err(Error::user(format!("the text is longer than {most} bytes, the most that is read"))
            .at_file(path)
            .help("tables with a heading have no limit; split other texts into several files"));
    }
    if text.starts_with(MARK) {
        text.drain(..MARK.len());
    }
    String::from_utf8(text).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        not_utf8(path, good.iter().filter(|&&b| b == b'\n').count() + 1)
    })
}

/// The lines of a text that are not blank, with their numbers from 1.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
}

/// The fields of a line between tabs. Whatever ends the line is part of none.
pub fn tab_fields(line: &str) -> std::str::Split<'_, char> {
    line.trim_end_matches(['\r', '\n']).split('\t')
}

/// The first of the [`lines`] of a text file, of which no more is read; `None` where all are blank.
///
/// # Errors
/// As of [`text`].
pub fn first_of_lines(path: &Path) -> Result<Option<(usize, String)>> {
    let mut input = bytes(path)?;
    for number in 1.. {
        let line = line_up_to(&mut input, path, number)?;
        if line.is_empty() {
            break;
        }
        let line = String::from_utf8(line).map_err(|_| not_utf8(path, number))?;
        let line = line.strip_prefix('\u{feff}').filter(|_| number == 1).unwrap_or(&line);
        if !line.trim().is_empty() {
            return Ok(Some((number, line.strip_suffix('\n').unwrap_or(line).to_owned())));
        }
    }
    Ok(None)
}

/// The next line with its end; nothing at the end of the file.
fn line_up_to(input: &mut impl BufRead, path: &Path, number: usize) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    input.take(LONGEST_FIRST + 1).read_until(b'\n', &mut line).map_err(|e| unreadable(path, e))?;
    match line.len() as u64 > LONGEST_FIRST {
        true => Err(Error::user(format!("the line is longer than {LONGEST_FIRST} bytes"))
            .at_line(path, number)
            .help("is it a text of lines?")),
        false => Ok(line),
    }
}

/// What to do about text that is not UTF-8.
pub const CONVERT: &str = "convert the file, for instance with iconv -t UTF-8";

fn not_utf8(path: &Path, line: usize) -> Error {
    Error::user(NOT_UTF8).at_line(path, line).help(CONVERT)
}

/// The longest first line that is read, in bytes.
const LONGEST_FIRST: u64 = 1 << 20;

/// The fields of the first line, which must do what `must` says, and what stands between fields: commas, or, in a line that
/// these do not split, tabs or semicolons; tabs come first in a file whose name ends with `.tsv` or `.tsv.gz`.
pub fn first_line(path: &Path, must: &str) -> Result<(Vec<String>, u8)> {
    let mut line = Vec::new();
    open(path)?.take(LONGEST_FIRST + 1).read_until(b'\n', &mut line).map_err(|e| unreadable(path, e))?;
    let refuse = |what: String| Error::user(format!("the first line must {must}, and it is {what}")).at_line(path, 1);
    if line.contains(&0) {
        return Err(not_utf8(path, 1)); // half of a letter of UTF-16
    }
    if has_lone_returns(&line) {
        // Whatever follows the first of these is a row, of which nothing may be shown.
        let error = Error::user("lines of this text end with a carriage return alone").at_line(path, 1);
        return Err(error.help("convert the file, for instance with tr '\\r' '\\n'"));
    }
    if line.len() as u64 > LONGEST_FIRST {
        return Err(refuse(format!("longer than {LONGEST_FIRST} bytes")));
    }
    let line = line.strip_prefix(MARK).unwrap_or(&line);
    let line = std::str::from_utf8(line).map_err(|_| not_utf8(path, 1))?.trim_end_matches(['\n', '\r']);
    if line.trim().is_empty() {
        return Err(refuse("empty".to_owned()));
    }
    let several = |separator| Some((fields(line, separator).ok().filter(|fields| fields.len() > 1)?, separator));
    let name = path.as_os_str().to_string_lossy();
    let tabs_first = name.ends_with(".tsv") || name.ends_with(".tsv.gz");
    let separators = if tabs_first { *b"\t,;" } else { *b",\t;" };
    match separators.into_iter().find_map(several) {
        Some(found) => Ok(found),
        None => Ok((fields(line, b',').map_err(|fault| fault.explain(path, line.as_bytes(), 1))?, b',')),
    }
}

/// Whether a line has carriage returns outside of quotes before its end: old programs end lines with these, and with nothing else.
fn has_lone_returns(line: &[u8]) -> bool {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let mut in_quotes = false;
    line[..end].iter().any(|byte| {
        in_quotes ^= *byte == b'"';
        *byte == b'\r' && !in_quotes
    })
}

/// The fields of one record.
fn fields(record: &str, separator: u8) -> Result<Vec<String>, Fault> {
    let mut places = Vec::new();
    record::split(record.as_bytes(), 0, separator, &mut places)?;
    let field = |place: Range<usize>| match record::is_quoted(record.as_bytes(), place.start) {
        true => record[place].replace("\"\"", "\""),
        false => record[place].to_owned(),
    };
    Ok(places.into_iter().map(field).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_may_be_quoted_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let heading = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            first_line(&path, "name the columns")
        };
        assert_eq!(heading(b"a,\"b\"\r\n1,2\n").unwrap(), (vec!["a".to_owned(), "b".into()], b','));
        for (text, separator) in [("a;\"b,c\"\n", b';'), ("a\tb,c\n", b','), ("a\tb;c\n", b'\t')] {
            let (names, found) = heading(text.as_bytes()).unwrap();
            assert_eq!((names.len(), found), (2, separator), "{text}");
        }
        let tabs = folder.path().join("t.tsv");
        std::fs::write(&tabs, "a, or b\tc\n").unwrap();
        assert_eq!(first_line(&tabs, "name the columns").unwrap().1, b'\t');
        let error = heading(&vec![b'x'; LONGEST_FIRST as usize + 1]).unwrap_err().to_string();
        assert!(error.contains("longer than 1048576 bytes") && error.contains("t.csv:1"), "{error}");
    }

    #[test]
    fn no_line_and_no_text_is_read_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.txt");
        let write = |text: &[u8]| std::fs::write(&path, text).unwrap();
        write(b"\xef\xbb\xbf\n \r\na\tb\r\nc\n");
        assert_eq!(first_of_lines(&path).unwrap(), Some((3, "a\tb\r".to_owned())));
        assert_eq!(text_up_to(&path, 14).unwrap(), "\n \r\na\tb\r\nc\n");
        let error = text_up_to(&path, 13).unwrap_err().to_string();
        assert!(error.contains("longer than 13 bytes") && error.contains("t.txt"), "{error}");
        write(b"\n\n");
        assert_eq!(first_of_lines(&path).unwrap(), None);
        // A few kilobytes of gzip.
        let file = std::fs::File::create(&path).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        let mut endless = Read::chain(&b"\n"[..], std::io::repeat(b'x').take(LONGEST_FIRST + 1));
        std::io::copy(&mut endless, &mut gzip).unwrap();
        gzip.finish().unwrap();
        let error = first_of_lines(&path).unwrap_err().to_string();
        assert!(error.contains("longer than 1048576 bytes") && error.contains("t.txt:2"), "{error}");
    }

    #[test]
    fn tabs_are_between_fields_and_ends_of_lines_in_none() {
        let split = |line| tab_fields(line).collect::<Vec<_>>();
        assert_eq!(split("a\tb\r\t\r\r"), ["a", "b\r", ""]);
        assert_eq!(split("a b\n"), ["a b"]);
    }

    /// What is the only line of a file was read as a heading, and its rows were lost or shown as names of columns.
    #[test]
    fn lines_that_end_with_a_carriage_return_alone_are_refused_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let heading = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            first_line(&path, "name the columns").map(|(names, _)| names).map_err(|e| e.to_string())
        };
        let long = "id,note\r".to_owned() + &"77120001,x\r".repeat(LONGEST_FIRST as usize / 8);
        for text in ["id,note\r77120001,x\r", "\u{feff}id\r77120001\r", "id,\"note\"\r77120001,\"x\"\r", long.as_str()]
        {
            let error = heading(text.as_bytes()).unwrap_err();
            let says = ["a carriage return alone", "t.csv:1", "tr '\\r' '\\n'"];
            assert!(says.iter().all(|says| error.contains(says)) && !error.contains("7712"), "{error}");
        }
        for text in ["id,note\r\n1,x\r\n", "id,\"no\rte\"\n", "id,note\r\r\n"] {
            assert_eq!(heading(text.as_bytes()).unwrap().len(), 2, "{text:?}");
        }
        // UTF-16 without a mark, in whichever order.
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let text: Vec<u8> = "id,note\r\n1,x\r\n".encode_utf16().flat_map(order).collect();
            let error = heading(&text).unwrap_err();
            assert!(error.contains(NOT_UTF8) && error.contains("iconv"), "{error}");
        }
    }

    /// By RFC 4180, 2.5 to 2.7; between tabs quotes are letters, as rows have them.
    #[test]
    fn headings_are_split_as_rows_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let heading = |text: &str| {
            std::fs::write(&path, text).unwrap();
            first_line(&path, "name the columns").map(|(names, _)| names)
        };
        assert_eq!(heading("\"the \"\"first\"\", a\",b\n").unwrap(), ["the \"first\", a", "b"]);
        assert_eq!(heading("5\" wide\tb\n").unwrap(), ["5\" wide", "b"]);
        for (text, says, place) in
            [("a,\"b\n1,2\n", "never closed", "t.csv:1:3"), ("a,b\"c\n", "a quote stands inside a field", "t.csv:1:4")]
        {
            let error = heading(text).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains(place), "{error}");
        }
    }
}
