//! A table of the folder `data`: keys in ascending order, each with one or more values.

use flate2::read::GzDecoder;
use std::io::Read;

/// Rows sorted by key.
pub struct Table {
    rows: Vec<(Box<str>, Box<str>)>,
}

impl Table {
    /// From its file, which `data/make.py` describes; `front` says whether values share beginnings too. What cannot be
    /// unpacked has no rows: tests look at every table of the folder.
    pub fn unpack(packed: &[u8], front: bool) -> Self {
        let mut text = String::new();
        let read = GzDecoder::new(packed).read_to_string(&mut text);
        let (keys, values) = text.split_once("\n\n").filter(|_| read.is_ok()).unwrap_or_default();
        let values: Vec<Box<str>> = match front {
            true => unshared(values),
            false => values.split('\n').map(Box::from).collect(),
        };
        Self { rows: unshared(keys).into_iter().zip(values).collect() }
    }

    /// The values of a key, in the order of the source.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.from(key).take_while(move |row| *row.0 == *key).map(|row| &*row.1)
    }

    /// The keys that begin with `prefix` and their values.
    pub fn below(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.from(prefix).take_while(move |row| row.0.starts_with(prefix)).map(|row| (&*row.0, &*row.1))
    }

    fn from(&self, key: &str) -> impl Iterator<Item = &(Box<str>, Box<str>)> {
        self.rows[self.rows.partition_point(|row| *row.0 < *key)..].iter()
    }

    /// Number of different keys.
    #[cfg(test)]
    pub fn keys(&self) -> usize {
        self.rows.chunk_by(|a, b| a.0 == b.0).count()
    }
}

/// Lines that begin with the number of characters that they share with the line before, as a character from `!` on.
fn unshared(lines: &str) -> Vec<Box<str>> {
    let mut before = String::new();
    let line = |line: &str| {
        let mut rest = line.chars();
        let shared = rest.next().map_or(0, |first| (first as usize).saturating_sub('!' as usize));
        let end = before.char_indices().nth(shared).map_or(before.len(), |(at, _)| at);
        before.truncate(end);
        before.push_str(rest.as_str());
        Box::from(before.as_str())
    };
    lines.split('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_back_what_they_share() {
        assert_eq!(
            unshared("!abc\n#d\n!é\n\"\n!"),
            ["abc".into(), "abd".into(), "é".into(), "é".into(), "".into()] as [Box<str>; 5]
        );
    }
}
