//! A file as blocks of whole records, so that these can be looked at in parallel.

use std::io::{self, Read};

/// Cuts what it reads into blocks.
pub struct Blocks<R> {
    input: R,
    /// Bytes of the record that the last block broke off.
    rest: Vec<u8>,
    /// Whether the line that goes on is left out: its start filled a block.
    skipping: bool,
    done: bool,
}

impl<R: Read> Blocks<R> {
    /// Blocks of `input`, whose header has been read.
    pub fn new(input: R) -> Self {
        Self { input, rest: Vec::new(), skipping: false, done: false }
    }

    /// Fills `block`, at most `size` bytes, with whole records; empty at the end.
    ///
    /// A record that does not fit is broken at a line, or, when the line does not fit either, its rest is left out: both
    /// are faults that whoever splits the block finds.
    pub fn next(&mut self, block: &mut Vec<u8>, size: usize) -> io::Result<()> {
        block.clear();
        block.append(&mut self.rest);
        while !self.done && block.len() < size {
            let have = block.len();
            let read = (&mut self.input).take((size - have) as u64).read_to_end(block)?;
            self.done = read == 0;
            if self.skipping {
                let line = memchr::memchr(b'\n', &block[have..]);
                block.drain(have..line.map_or(block.len(), |n| have + n));
                self.skipping = line.is_none();
            }
        }
        if self.done {
            return Ok(());
        }
        match cut(block) {
            Some(end) => self.rest.extend_from_slice(&block[end..]),
            None => self.skipping = true,
        }
        block.truncate(block.len() - self.rest.len());
        Ok(())
    }
}

/// Where the last whole record ends: behind the last line break outside of quotes, or else behind the last one.
fn cut(block: &[u8]) -> Option<usize> {
    let mut inside = memchr::memchr_iter(b'"', block).count() % 2 == 1;
    for at in memchr::memrchr2_iter(b'\n', b'"', block) {
        match block[at] {
            b'"' => inside = !inside,
            _ if !inside => return Some(at + 1),
            _ => {}
        }
    }
    memchr::memrchr(b'\n', block).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str, size: usize) -> Vec<String> {
        let (mut blocks, mut block, mut all) = (Blocks::new(text.as_bytes()), Vec::new(), Vec::new());
        loop {
            blocks.next(&mut block, size).unwrap();
            if block.is_empty() {
                return all;
            }
            all.push(String::from_utf8(block.clone()).unwrap());
        }
    }

    #[test]
    fn records_stay_whole() {
        assert_eq!(blocks("1,a\n2,b\n3,c", 9), ["1,a\n2,b\n", "3,c"]);
        assert_eq!(blocks("1,a\n2,\"b\nc\"\n3\n", 9), ["1,a\n", "2,\"b\nc\"\n", "3\n"]);
    }

    #[test]
    fn what_does_not_fit_is_broken_at_lines() {
        // The quote is never closed, and the last line is too long.
        assert_eq!(blocks("\"a\nb\nc\nd\n", 6), ["\"a\nb\n", "c\nd\n"]);
        assert_eq!(blocks("123456789\n1\n", 4), ["1234", "\n1\n"]);
    }

    /// Where a record ends: at a line break outside of quotes.
    fn ends(text: &str) -> Vec<usize> {
        let mut quoted = false;
        let end = |(at, c): (usize, char)| {
            quoted ^= c == '"';
            (c == '\n' && !quoted).then_some(at + 1)
        };
        text.char_indices().filter_map(end).collect()
    }

    #[test]
    fn blocks_of_any_size_hold_the_same_records() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        for _ in 0..200 {
            let cells = ["a", "1.5", "\"x\ny\"", "\"\"", "\"a \"\"b\"\"\n\"", "é", "\"\n\n\""];
            let row = |random: &mut rand_chacha::ChaCha8Rng| {
                let cell = |_| cells[random.random_range(0..cells.len())];
                (0..3).map(cell).collect::<Vec<_>>().join(",")
            };
            let rows: Vec<String> = (0..random.random_range(1..30)).map(|_| row(&mut random)).collect();
            let text = rows.join("\n") + if random.random() { "\n" } else { "" };
            let (longest, all) = (rows.iter().map(String::len).max().unwrap() + 1, ends(&text));
            for size in (longest..longest + 20).chain([text.len(), 2 * text.len()]) {
                let found = blocks(&text, size.max(longest));
                assert_eq!(found.concat(), text, "{size}");
                let mut at = 0;
                for block in &found {
                    assert!(block.len() <= size.max(longest));
                    at += block.len();
                    assert!(at == text.len() || all.contains(&at), "{size}: cut in a record, {found:?}");
                }
            }
        }
    }
}
