//! One pass over a table of any size: blocks are read by one thread and split by all others, in little memory.

use super::blocks::Blocks;
use super::record::{self, Fault};
use super::{Table, stream};
use crate::Result;
use crate::error::counted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

/// Bytes of a block: far more than the longest field, far less than a cache of the last level.
const BLOCK: usize = 1 << 20;

/// What becomes of a row that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "serde", rename_all = "snake_case")]
pub enum OnBadRow {
    /// It ends the work, with its line and column.
    #[default]
    Error,
    /// It is left out and counted.
    Skip,
}

/// How many rows were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Rows that could be used, or not.
    pub rows: u64,
    /// Rows that could not be used.
    pub bad: u64,
}

/// A row of a table that is scanned.
pub struct Row<'t> {
    text: &'t [u8],
    /// The needed columns: index into `fields`, and name.
    columns: &'t [(usize, &'t str)],
    fields: &'t [Range<usize>],
}

impl<'t> Row<'t> {
    pub(super) fn new(text: &'t [u8], columns: &'t [(usize, &'t str)], fields: &'t [Range<usize>]) -> Self {
        Self { text, columns, fields }
    }

    /// All the text around the row, and where the row's first field starts in it.
    pub(super) fn all_text(&self) -> &'t [u8] {
        self.text
    }

    pub(super) fn start(&self) -> usize {
        self.fields.first().map_or(0, |field| field.start)
    }

    /// Number of needed columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// What the file calls a column.
    pub(crate) fn called(&self, column: usize) -> &'t str {
        self.columns[column].1
    }

    /// The bytes of the `column`-th of the table's needed columns, without the quotes around them.
    pub fn bytes(&self, column: usize) -> &'t [u8] {
        &self.text[self.fields[self.columns[column].0].clone()]
    }

    /// Whether a column is written between quotes, inside of which they are doubled.
    pub(super) fn is_quoted(&self, column: usize) -> bool {
        record::is_quoted(self.text, self.fields[self.columns[column].0].start)
    }

    /// The text of a column, blanks around it left out; nothing where nothing is written, or what is not UTF-8.
    pub fn text(&self, column: usize) -> &'t str {
        std::str::from_utf8(self.bytes(column)).unwrap_or_default().trim()
    }

    /// What is wrong with a column, for the caller to return.
    pub fn fault(&self, column: usize, message: impl Into<String>) -> Fault {
        Fault::new(self.fields[self.columns[column].0].start, message)
    }

    /// The integer in a column.
    ///
    /// # Errors
    /// When there is something else, or nothing.
    pub fn integer(&self, column: usize) -> Result<i64, Fault> {
        let bytes = self.bytes(column);
        super::integer(std::str::from_utf8(bytes).ok()).ok_or_else(|| {
            let text = std::str::from_utf8(bytes).ok().filter(|t| !t.is_empty());
            self.fault(column, super::not_an_integer(self.called(column), text))
        })
    }

    /// The number in a column, `None` where nothing is written.
    ///
    /// # Errors
    /// When there is something else.
    pub fn number<T: FromStr>(&self, column: usize) -> Result<Option<T>, Fault> {
        let text = Some(self.text(column)).filter(|text| !text.is_empty());
        text.map(str::parse::<T>).transpose().map_err(|_| {
            let (name, found) = (self.called(column), crate::error::cell(text));
            self.fault(column, format!("the column `{name}` must hold a number, found {found}"))
        })
    }

    /// The integer in a column, `None` where nothing is written.
    ///
    /// # Errors
    /// When there is something else.
    pub fn optional_integer(&self, column: usize) -> Result<Option<i64>, Fault> {
        if self.bytes(column).is_empty() { Ok(None) } else { self.integer(column).map(Some) }
    }
}

/// A block and where it stands in the file.
struct Numbered {
    number: usize,
    bytes: Vec<u8>,
}

/// What was found in a block.
struct Found<A> {
    block: Numbered,
    lines: usize,
    scanned: Scanned,
    found: A,
    fault: Option<Fault>,
}

impl Table {
    /// Looks at every row once. `row` adds what it needs to the findings of a block, on any thread; `each` gets them in
    /// the order of the file, on this one. Columns are numbered as they were asked for in [`Table::open`].
    ///
    /// # Errors
    /// The first row that cannot be split, or that `row` refuses, with line and column, unless such rows are skipped; a
    /// file that cannot be read in any case.
    pub fn scan<A: Default + Send>(
        &self,
        on_bad_row: OnBadRow,
        row: impl Fn(&mut A, &Row<'_>) -> Result<(), Fault> + Sync,
        mut each: impl FnMut(A, u64) -> Result<()>,
    ) -> Result<Scanned> {
        match &self.parquet {
            Some(file) => file.scan(self, on_bad_row, row, each),
            None => self.scan_text(on_bad_row, row, |found, rows, _| each(found, rows)),
        }
    }

    /// The same of a text file; `each` gets the line that a block begins with as well.
    pub(super) fn scan_text<A: Default + Send>(
        &self,
        on_bad_row: OnBadRow,
        row: impl Fn(&mut A, &Row<'_>) -> Result<(), Fault> + Sync,
        mut each: impl FnMut(A, u64, usize) -> Result<()>,
    ) -> Result<Scanned> {
        let input = stream::body(self.path(), self.first)?;
        let (mut line, columns) = (self.first, self.places());
        let workers = rayon::current_num_threads();
        let stop = AtomicBool::new(false);
        let (give_back, unused) = channel();
        // As many blocks as there will ever be, whoever is slow.
        (0..2 * workers + 2).for_each(|_| drop(give_back.send(Vec::with_capacity(BLOCK))));
        let (send, blocks) = sync_channel::<Numbered>(workers);
        let (send_found, found) = sync_channel(2 * workers + 2);
        let blocks = Mutex::new(blocks);
        let mut total = Scanned::default();
        let outcome = thread::scope(|scope| {
            let stop = &stop;
            let reader = scope.spawn(move || read(Blocks::new(input), &unused, &send, stop));
            for _ in 0..workers {
                let (send_found, blocks, columns, row) = (send_found.clone(), &blocks, &columns, &row);
                let look = move |block| self.look(block, on_bad_row, columns, row);
                scope.spawn(move || look_at_all(blocks, look, &send_found));
            }
            drop(send_found);
            let used = in_order(&found).try_for_each(|part: thread::Result<Found<A>>| {
                let part = part.unwrap_or_else(|panic| resume_unwind(panic));
                total.rows += part.scanned.rows;
                total.bad += part.scanned.bad;
                if let Some(fault) = part.fault {
                    return Err(fault.explain(self.path(), &part.block.bytes, line));
                }
                // The reader may be gone already.
                let _ = give_back.send(part.block.bytes);
                line += part.lines;
                each(part.found, part.scanned.rows, line - part.lines)
            });
            stop.store(true, Ordering::Relaxed);
            drop(found);
            drop(give_back);
            let read = reader.join().unwrap_or_else(|panic| resume_unwind(panic));
            read.map_err(|e| stream::unreadable(self.path(), e)).and(used)
        });
        // Damage of a compressed file shows at its end, and explains whatever looks wrong before.
        match outcome {
            Err(e) => stream::check_whole(self.path()).and(Err(e)),
            Ok(()) => Ok(total),
        }
    }

    /// Per needed column its place in the file, and its name there.
    pub(super) fn places(&self) -> Vec<(usize, &str)> {
        let place = |own: &String| self.header.iter().position(|h| h == own).unwrap_or_default();
        self.own.iter().map(|own| (place(own), own.as_str())).collect()
    }

    fn look<A: Default>(
        &self,
        block: Numbered,
        on_bad_row: OnBadRow,
        columns: &[(usize, &str)],
        row: impl Fn(&mut A, &Row<'_>) -> Result<(), Fault>,
    ) -> Found<A> {
        let text = &block.bytes[..];
        // Once for all rows: hardly any block fails.
        let utf8 = std::str::from_utf8(text).is_ok();
        let (mut at, mut fields) = (0, Vec::with_capacity(self.header.len()));
        let (mut scanned, mut found, mut fault) = (Scanned::default(), A::default(), None);
        while at < text.len() {
            if matches!(text[at..], [b'\n', ..] | [b'\r', b'\n', ..]) {
                at += memchr::memchr(b'\n', &text[at..]).map_or(1, |n| n + 1);
                continue;
            }
            scanned.rows += 1;
            let looked = record::split(text, at, self.separator, &mut fields).and_then(|next| {
                self.check_record(text, at..next, fields.len(), utf8)?;
                row(&mut found, &Row::new(text, columns, &fields)).map(|()| next)
            });
            match looked {
                Ok(next) => at = next,
                Err(e) if on_bad_row == OnBadRow::Error => {
                    fault = Some(e);
                    break;
                }
                Err(_) => {
                    scanned.bad += 1;
                    at = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n + 1);
                }
            }
        }
        let lines = memchr::memchr_iter(b'\n', text).count();
        Found { block, lines, scanned, found, fault }
    }

    fn check_record(&self, text: &[u8], at: Range<usize>, fields: usize, utf8: bool) -> Result<(), Fault> {
        let start = at.start;
        if !utf8 && let Err(e) = std::str::from_utf8(&text[at]) {
            return Err(Fault::new(start + e.valid_up_to(), record::NOT_UTF8));
        }
        if fields != self.header.len() {
            let message = format!(
                "the row has {}, and the table {}",
                counted(fields, "field"),
                counted(self.header.len(), "column")
            );
            return Err(Fault::new(start, message));
        }
        Ok(())
    }
}

fn read(
    mut blocks: Blocks<impl std::io::Read>,
    unused: &Receiver<Vec<u8>>,
    send: &SyncSender<Numbered>,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    for number in 0.. {
        let Ok(mut bytes) = unused.recv() else { break };
        blocks.next(&mut bytes, BLOCK)?;
        if bytes.is_empty() || stop.load(Ordering::Relaxed) || send.send(Numbered { number, bytes }).is_err() {
            break;
        }
    }
    Ok(())
}

/// Sends what is found in each block, or the panic, until there are no more.
fn look_at_all<A>(
    blocks: &Mutex<Receiver<Numbered>>,
    look: impl Fn(Numbered) -> Found<A>,
    send: &SyncSender<(usize, thread::Result<Found<A>>)>,
) {
    // To the last block even when nobody wants it: the reader must not wait for ever.
    while let Some(block) = next(blocks) {
        let number = block.number;
        let found = catch_unwind(AssertUnwindSafe(|| look(block)));
        let _ = send.send((number, found));
    }
}

fn next(blocks: &Mutex<Receiver<Numbered>>) -> Option<Numbered> {
    blocks.lock().ok()?.recv().ok()
}

/// What came with a number, in the order of the numbers: what is early waits.
fn in_order<T>(parts: &Receiver<(usize, T)>) -> impl Iterator<Item = T> {
    let (mut waiting, mut number) = (BTreeMap::new(), 0);
    std::iter::from_fn(move || {
        while !waiting.contains_key(&number) {
            let (at, part) = parts.recv().ok()?;
            waiting.insert(at, part);
        }
        number += 1;
        waiting.remove(&(number - 1))
    })
}
