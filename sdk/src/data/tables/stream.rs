//! Files as bytes: decompression and the header.

use super::record::NOT_UTF8;
use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The bytes of a file, decompressed when it is gzip, whatever its name says.
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let io = |e| Error::io("read the table", path, e);
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
    let start = file.fill_buf().map_err(io)?;
    match start {
        [] => Err(Error::user("the file is empty").at_file(path)),
        [0x1f, 0x8b, ..] => Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))),
        _ => Ok(Box::new(file)),
    }
}

/// The bytes behind the first line.
pub fn body(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let mut input = open(path)?;
    input.skip_until(b'\n').map_err(|e| unreadable(path, e))?;
    Ok(input)
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

/// A text file.
///
/// # Errors
/// Names the first line that is not UTF-8.
pub fn text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|e| unreadable(path, e))?;
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        not_utf8(path, good.iter().filter(|&&b| b == b'\n').count() + 1)
    })
}

/// What to do about text that is not UTF-8.
pub const CONVERT: &str = "convert the file, for instance with iconv -t UTF-8";

fn not_utf8(path: &Path, line: usize) -> Error {
    Error::user(NOT_UTF8).at_line(path, line).help(CONVERT)
}

/// The longest first line that is read, in bytes.
const LONGEST_HEADER: u64 = 1 << 20;

/// The column names of a table, and what stands between its fields: commas, or, in a first line without any, tabs or
/// semicolons.
pub fn header(path: &Path) -> Result<(Vec<String>, u8)> {
    let mut line = Vec::new();
    open(path)?.take(LONGEST_HEADER + 1).read_until(b'\n', &mut line).map_err(|e| unreadable(path, e))?;
    if line.len() as u64 > LONGEST_HEADER {
        let message = format!("the first line must name the columns, and it is longer than {LONGEST_HEADER} bytes");
        return Err(Error::user(message).at_line(path, 1));
    }
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
    let line = std::str::from_utf8(line).map_err(|_| not_utf8(path, 1))?.trim_end_matches(['\n', '\r']);
    if line.trim().is_empty() {
        return Err(Error::user("the first line must name the columns, and it is empty").at_line(path, 1));
    }
    let split = [b',', b'\t', b';'].map(|separator| (fields(line, separator), separator));
    let [commas, ..] = &split;
    Ok(split.iter().find(|(fields, _)| fields.len() > 1).unwrap_or(commas).clone())
}

/// The fields of one record.
fn fields(record: &str, separator: u8) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in record.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if c == char::from(separator) && !quoted => fields.push(String::new()),
            _ => fields.last_mut().into_iter().for_each(|f| f.push(c)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_may_be_quoted_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "a,\"b\"\r\n1,2\n").unwrap();
        assert_eq!(header(&path).unwrap(), (vec!["a".to_owned(), "b".into()], b','));
        for (text, separator) in [("a;\"b,c\"\n", b';'), ("a\tb,c\n", b','), ("a\tb;c\n", b'\t')] {
            std::fs::write(&path, text).unwrap();
            let (names, found) = header(&path).unwrap();
            assert_eq!((names.len(), found), (2, separator), "{text}");
        }
        std::fs::write(&path, vec![b'x'; LONGEST_HEADER as usize + 1]).unwrap();
        let error = header(&path).unwrap_err().to_string();
        assert!(error.contains("longer than 1048576 bytes") && error.contains("t.csv:1"), "{error}");
    }
}
