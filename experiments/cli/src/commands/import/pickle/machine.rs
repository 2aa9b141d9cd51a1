//! The machine: it takes one instruction after the other, with a stack and a memory.

use super::{Id, Node};
use std::collections::HashMap;
use std::ops::Range;

/// All that values, stack and memory may take, in bytes: an instruction of one byte may ask for a hundred.
const MOST_BYTES: usize = 1 << 29;

/// The machine: a stack of values, marks on it, and a memory.
pub(super) struct Machine<'b> {
    pub(super) bytes: &'b [u8],
    /// The place of the next instruction; after an error, of the one that cannot be carried out.
    pub(super) at: usize,
    pub(super) nodes: Vec<Node>,
    pub(super) stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Bytes that may still be taken.
    pub(super) left: usize,
}

/// What an instruction gives, or why it cannot be carried out.
pub(super) type Step<T> = std::result::Result<T, String>;

impl<'b> Machine<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        let (nodes, stack, marks, memo) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
        Self { bytes, at: 0, nodes, stack, marks, memo, left: MOST_BYTES }
    }
}

impl Machine<'_> {
    /// The value that the program ends with.
    pub(super) fn run(&mut self) -> Step<Id> {
        loop {
            let start = self.at;
            match self.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(root),
                Err(what) => {
                    self.at = start;
                    return Err(what);
                }
            }
        }
    }

    /// One instruction; the result at the last.
    #[expect(clippy::too_many_lines, reason = "a table of instructions, one a line")]
    fn step(&mut self) -> Step<Option<Id>> {
        match self.take::<1>()?[0] {
            0x80 => self.version()?,
            0x95 => drop(self.take::<8>()?), // a frame, which only helps readers of streams
            b'.' => return self.pop().map(Some),
            b'(' => self.mark()?,
            b'0' => drop(self.pop()?),
            b'1' => drop(self.above_mark()?),
            b'2' => self.repeat()?,
            b'N' => self.push(Node::Nothing)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'K' => self.integer(u8::from_le_bytes)?,
            b'M' => self.integer(u16::from_le_bytes)?,
            b'J' => self.integer(i32::from_le_bytes)?,
            0x8a => self.long()?,
            b'G' => self.float()?,
            0x8c => self.text::<1>()?,
            b'X' => self.text::<4>()?,
            0x8d => self.text::<8>()?,
            b'C' | b'U' => self.raw::<1>()?,
            b'B' | b'T' => self.raw::<4>()?,
            0x8e | 0x96 => self.raw::<8>()?,
            b')' | b']' | 0x8f => self.push(Node::List(Vec::new()))?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' | b'l' | 0x91 => self.list()?,
            b'a' => self.append()?,
            b'e' | 0x90 => self.append_all()?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'd' => self.dict()?,
            b's' => self.set()?,
            b'u' => self.set_all()?,
            b'c' => self.name_behind()?,
            0x93 => self.name_of_stack()?,
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,
            b'Q' => self.outside()?,
            b'h' => self.recall::<1>()?,
            b'j' => self.recall::<4>()?,
            b'q' => self.remember_as::<1>()?,
            b'r' => self.remember_as::<4>()?,
            0x94 => self.remember(self.memo.len() as u64)?,
            other => return Err(format!("the instruction {other:#04x} is not known")),
        }
        Ok(None)
    }

    fn version(&mut self) -> Step<()> {
        let [version] = self.take()?;
        match version > 5 {
            true => Err(format!("a pickle of version {version}, known up to 5")),
            false => Ok(()),
        }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Step<[u8; N]> {
        let range = self.span(N)?;
        self.bytes[range].try_into().map_err(|_| "the file ends too early".to_owned())
    }

    fn span(&mut self, length: usize) -> Step<Range<usize>> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or("the file ends too early")?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    /// A number without a sign, in `N` bytes, the lowest first.
    fn unsigned<const N: usize>(&mut self) -> Step<u64> {
        let mut number = [0; 8];
        number[..N].copy_from_slice(&self.take::<N>()?);
        Ok(u64::from_le_bytes(number))
    }

    /// A span whose length is written before it, in `N` bytes.
    pub(super) fn counted<const N: usize>(&mut self) -> Step<Range<usize>> {
        let length = usize::try_from(self.unsigned::<N>()?).map_err(|_| "a length beyond all memory")?;
        self.span(length)
    }

    /// A span up to the end of its line.
    pub(super) fn line(&mut self) -> Step<Range<usize>> {
        let length = self.bytes[self.at..].iter().position(|&b| b == b'\n').ok_or("the file ends too early")?;
        let range = self.span(length)?;
        self.at += 1;
        Ok(range)
    }

    /// Takes memory.
    pub(super) fn spend(&mut self, bytes: usize) -> Step<()> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| format!("the values of the file take more than {MOST_BYTES} bytes"))?;
        Ok(())
    }

    pub(super) fn push(&mut self, node: Node) -> Step<()> {
        self.spend(size_of::<Node>() + node.beside())?;
        self.nodes.push(node);
        self.put(self.nodes.len() - 1)
    }

    /// Puts a value on the stack.
    pub(super) fn put(&mut self, id: Id) -> Step<()> {
        self.spend(size_of::<Id>())?;
        self.stack.push(id);
        Ok(())
    }

    fn mark(&mut self) -> Step<()> {
        self.spend(size_of::<usize>())?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.pop().ok_or_else(|| "nothing on the stack".to_owned()),
            false => Err("nothing on the stack".into()),
        }
    }

    pub(super) fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(|| "nothing on the stack".to_owned())
    }

    pub(super) fn above_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or("there is no mark")?;
        Ok(self.stack.split_off(mark))
    }

    /// Puts the top of the stack on it once more.
    fn repeat(&mut self) -> Step<()> {
        self.put(self.top()?)
    }

    fn remember_as<const N: usize>(&mut self) -> Step<()> {
        let place = self.unsigned::<N>()?;
        self.remember(place)
    }

    fn remember(&mut self, place: u64) -> Step<()> {
        let top = self.top()?;
        // With what a table keeps free.
        self.spend(2 * size_of::<(u64, Id)>())?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall<const N: usize>(&mut self) -> Step<()> {
        let place = self.unsigned::<N>()?;
        let id = *self.memo.get(&place).ok_or("something is recalled that was never kept")?;
        self.put(id)
    }
}
