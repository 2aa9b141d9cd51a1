//! Reading a table of vectors from lines of text.

use dualk_sdk::prelude::*;
use std::path::Path;

/// Codes, and the numbers of their vectors one after another.
pub struct Lines {
    /// A code a vector.
    pub codes: Vec<String>,
    /// The vectors, row after row.
    pub values: Vec<f32>,
}

/// Reads lines of a code and its numbers, with `separator` between. A first line whose second field is no number is a
/// heading; blank lines are skipped.
pub fn read(path: &Path, separator: char) -> Result<Lines> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read the table of vectors", path, e))?;
    let mut lines = Lines { codes: Vec::new(), values: Vec::new() };
    let mut width = None;
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let refuse = |message: String| Error::user(message).at_line(path, i + 1);
        let mut fields = line.split(separator).map(unquoted);
        let code = fields.next().unwrap_or_default();
        let fields: Vec<&str> = fields.collect();
        if i == 0 && fields.first().is_some_and(|first| first.parse::<f32>().is_err()) {
            continue;
        }
        let expected = *width.get_or_insert(fields.len());
        if fields.is_empty() {
            return Err(refuse(format!("the code `{code}` is followed by no number")));
        }
        if fields.len() != expected {
            let message = format!("the code `{code}` is followed by {} numbers, expected {expected}", fields.len());
            return Err(refuse(message.replace(" 1 numbers", " 1 number")).help("all vectors have the same width"));
        }
        for field in fields {
            match field.parse::<f32>() {
                Ok(value) if value.is_finite() => lines.values.push(value),
                _ => return Err(refuse(format!("`{field}` is no finite number"))),
            }
        }
        lines.codes.push(code.to_owned());
    }
    match lines.codes.is_empty() {
        true => Err(Error::user("the table has no vectors").at_file(path)),
        false => Ok(lines),
    }
}

/// A field without the blanks and quotes around it.
fn unquoted(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|f| f.strip_suffix('"')).unwrap_or(field)
}
