//! TensorBoard's event files: records with masked CRC-32C around protobuf messages.
//!
//! Five messages with six fields are written by hand: the code generator of prost would change how burn's own macros are
//! built.

use crate::experiment::run_dir::{EVENTS, EVENTS_OF_RUNS, is_events};
use crate::storage::{self, Output};
use crate::{Error, Result};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that is being written.
pub struct EventFile {
    path: PathBuf,
    file: Output,
}

impl EventFile {
    /// Starts a file in a folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        // A run that goes on after an interruption writes all of its events anew.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if is_events(&entry.file_name().to_string_lossy()) {
                let path = entry.path();
                storage::remove(&path).map_err(|e| Error::io("remove an earlier event file", &path, e))?;
            }
        }
        storage::own_folder(folder)?;
        // What TensorBoard looks for is `tfevents`; the rest keeps names apart.
        let name = format!("{EVENTS}{}{EVENTS_OF_RUNS}{}.0", now() as u64, std::process::id());
        let path = folder.join(name);
        let file = storage::create(&path)?;
        let mut this = Self { path, file };
        let mut event = Message::default();
        event.double(1, now());
        event.bytes(3, b"brain.Event:2");
        this.record(&event.0)?;
        this.flush()?;
        Ok(this)
    }

    /// Writes numbers of a step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scalars(&mut self, step: i64, scalars: &[(String, f64)]) -> Result<()> {
        for (tag, value) in scalars {
            // Event { wall_time: 1, step: 2, summary: 5 { value: 1 { tag: 1, simple_value: 2 } } }
            let mut entry = Message::default();
            entry.bytes(1, tag.as_bytes());
            entry.float(2, *value as f32);
            let mut summary = Message::default();
            summary.bytes(1, &entry.0);
            let mut event = Message::default();
            event.double(1, now());
            event.varint(2, step as u64);
            event.bytes(5, &summary.0);
            self.record(&event.0)?;
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|e| Error::io("write", &self.path, e))
    }

    fn record(&mut self, data: &[u8]) -> Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend(length);
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(data);
        record.extend(masked_crc(data).to_le_bytes());
        self.file.write_all(&record).map_err(|e| Error::io("write", &self.path, e))
    }
}

/// A number of an event file.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The step that it belongs to.
    pub step: i64,
    /// Its tag, such as `4-finetune/valid/R@10`.
    pub tag: String,
    /// The number.
    pub value: f32,
}

/// Reads what `EventFile` writes, for tests; checksums are compared.
///
/// # Errors
/// When the file cannot be read, or is no event file.
pub fn read_events(file: &Path) -> Result<Vec<Event>> {
    let bytes = fs::read(file).map_err(|e| Error::io("read", file, e))?;
    let broken = || Error::user("this is no event file, or a cut one").at_file(file);
    let mut events = Vec::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(12).ok_or_else(broken)?;
        let length = u64::from_le_bytes(head[..8].try_into().unwrap_or_default()) as usize;
        let (data, after) = after.split_at_checked(length).ok_or_else(broken)?;
        let (crc, after) = after.split_at_checked(4).ok_or_else(broken)?;
        if head[8..] != masked_crc(&head[..8]).to_le_bytes() || crc != masked_crc(data).to_le_bytes() {
            return Err(broken());
        }
        let event = fields(data).ok_or_else(broken)?;
        let step = event.iter().find(|(n, _)| *n == 2).map_or(0, |(_, value)| value.number() as i64);
        for (_, summary) in event.iter().filter(|(n, _)| *n == 5) {
            for (_, entry) in fields(summary.bytes()).ok_or_else(broken)? {
                let entry = fields(entry.bytes()).ok_or_else(broken)?;
                let of = |field: u64| entry.iter().find(|(n, _)| *n == field).map(|(_, value)| *value);
                if let Some((tag, value)) = of(1).zip(of(2)) {
                    let tag = String::from_utf8_lossy(tag.bytes()).into_owned();
                    events.push(Event { step, tag, value: f32::from_bits(value.number() as u32) });
                }
            }
        }
        rest = after;
    }
    Ok(events)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A protobuf message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.raw(field << 3);
        self.raw(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.raw(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.raw(field << 3 | 2);
        self.raw(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.raw(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }
}

/// A value of a message that is read.
#[derive(Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn number(&self) -> u64 {
        if let Self::Number(n) = self { *n } else { 0 }
    }

    fn bytes(&self) -> &'a [u8] {
        if let Self::Bytes(b) = self { b } else { &[] }
    }
}

fn fields(mut data: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !data.is_empty() {
        let key = varint(&mut data)?;
        let value = match key & 7 {
            0 => Field::Number(varint(&mut data)?),
            1 => Field::Number(u64::from_le_bytes(take(&mut data, 8)?.try_into().ok()?)),
            2 => {
                let length = varint(&mut data)? as usize;
                Field::Bytes(take(&mut data, length)?)
            }
            5 => Field::Number(u64::from(u32::from_le_bytes(take(&mut data, 4)?.try_into().ok()?))),
            _ => return None,
        };
        fields.push((key >> 3, value));
    }
    Some(fields)
}

fn varint(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(data, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(data: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (front, rest) = data.split_at_checked(length)?;
    *data = rest;
    Some(front)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_format() {
        // The check value of CRC-32C, and TensorFlow's mask of it.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        // tensorboard.compat.tensorflow_stub.pywrap_tensorflow: masked_crc32c(b"123456789") and of eight bytes of a length
        assert_eq!(masked_crc(b"123456789"), MASKED_DIGITS);
        assert_eq!(masked_crc(&24u64.to_le_bytes()), MASKED_24);
    }

    const MASKED_DIGITS: u32 = 0xc78a_b0e5;
    const MASKED_24: u32 = 0x224b_7fa3;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path()).unwrap();
        let scalars = vec![("4-finetune/valid/R@10".to_owned(), 0.5), ("x".to_owned(), -1.25)];
        events.scalars(300, &scalars).unwrap();
        let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let expected = [("4-finetune/valid/R@10", 0.5), ("x", -1.25)].map(|(tag, value)| Event {
            step: 300,
            tag: tag.into(),
            value,
        });
        assert_eq!(read_events(&path).unwrap(), expected);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(read_events(&path).unwrap_err().to_string().contains("no event file"));
    }
}
