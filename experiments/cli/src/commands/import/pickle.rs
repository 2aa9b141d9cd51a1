//! Reads Python pickles without running anything.
//!
//! A pickle is a program for a stack machine that may call any function. This machine knows the instructions that build
//! values, and of functions only those that NumPy and PyTorch write for arrays and tensors, which it carries out itself.
//! Whatever else a file asks for is refused with its place. Values lie in one list and name each other by number, so that
//! neither deep nor repeated nesting costs more than the file's length.

use dualk_sdk::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// A value of a pickle, by its place.
pub type Id = usize;

/// A value. Texts and bytes are places in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `None`.
    Nothing,
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(Range<usize>),
    Text(Range<usize>),
    /// A tuple, list or set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function that is known.
    Known(Known),
    /// A type of numbers: `f4`, `i8` …, and whether the lowest byte comes first.
    Numbers {
        kind: String,
        little: bool,
    },
    /// A NumPy array; bytes are places in the file.
    Array {
        shape: Vec<usize>,
        numbers: Id,
        data: Range<usize>,
    },
    /// What PyTorch keeps outside: type, key and count.
    Storage {
        kind: &'static str,
        key: String,
        count: usize,
    },
    /// A tensor on a storage.
    Tensor {
        storage: Id,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    },
}

/// Classes and functions that a file may name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    OrderedDict,
    Reconstruct,
    NdArray,
    Dtype,
    RebuildTensor,
    RebuildParameter,
    Storage(&'static str),
}

impl Known {
    fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::Reconstruct,
            ("numpy", "ndarray") => Self::NdArray,
            ("numpy", "dtype") => Self::Dtype,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage("f4"),
            ("torch", "DoubleStorage") => Self::Storage("f8"),
            ("torch", "HalfStorage") => Self::Storage("f2"),
            ("torch", "LongStorage") => Self::Storage("i8"),
            _ => return None,
        })
    }
}

/// A pickle that was read.
#[derive(Debug)]
pub struct Pickle {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle; `path` is for errors.
    ///
    /// # Errors
    /// Name the file and the place of the instruction that cannot be carried out.
    pub fn read(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let mut machine = Machine {
            bytes: &bytes,
            at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        match machine.run() {
            Ok(root) => {
                let nodes = machine.nodes;
                Ok(Self { bytes, nodes, root })
            }
            Err(what) => {
                let place = machine.at;
                Err(Error::user(format!("{what}, at byte {place}")).at_file(path).help(
                    "pickles are read without running anything: dicts, lists, NumPy arrays and PyTorch tensors alone",
                ))
            }
        }
    }

    /// The outermost value.
    pub fn root(&self) -> Id {
        self.root
    }

    /// A value.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The text of a value, if it is one.
    pub fn text(&self, id: Id) -> Option<&str> {
        match &self.nodes[id] {
            Node::Text(range) => std::str::from_utf8(&self.bytes[range.clone()]).ok(),
            _ => None,
        }
    }

    /// The entries of a dict, if it is one.
    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match &self.nodes[id] {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// Shape and numbers of an array, if it is one of floating-point numbers or integers.
    pub fn array(&self, id: Id) -> Option<(&[usize], Vec<f64>)> {
        let Node::Array { shape, numbers, data } = &self.nodes[id] else { return None };
        let Node::Numbers { kind, little } = &self.nodes[*numbers] else { return None };
        let values = decode(kind, *little, &self.bytes[data.clone()])?;
        (shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) == Some(values.len())).then_some((shape, values))
    }
}

/// Numbers of a NumPy type.
pub fn decode(kind: &str, little: bool, bytes: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(bytes: &[u8], little: bool, number: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let (chunks, rest) = bytes.as_chunks::<N>();
        let ordered = |mut chunk: [u8; N]| {
            if !little {
                chunk.reverse();
            }
            number(chunk)
        };
        rest.is_empty().then(|| chunks.iter().map(|chunk| ordered(*chunk)).collect())
    }
    match kind {
        "f2" => each(bytes, little, |b| half::f16::from_le_bytes(b).to_f64()),
        "f4" => each(bytes, little, |b| f64::from(f32::from_le_bytes(b))),
        "f8" => each(bytes, little, f64::from_le_bytes),
        "i4" => each(bytes, little, |b| f64::from(i32::from_le_bytes(b))),
        "i8" => each(bytes, little, |b| i64::from_le_bytes(b) as f64),
        _ => None,
    }
}

/// The machine: a stack of values, marks on it, and a memory.
struct Machine<'b> {
    bytes: &'b [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

type Step<T> = std::result::Result<T, String>;

impl Machine<'_> {
    fn run(&mut self) -> Step<Id> {
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
    fn step(&mut self) -> Step<Option<Id>> {
        match self.take::<1>()?[0] {
            0x80 => {
                let [version] = self.take()?;
                if version > 5 {
                    return Err(format!("a pickle of version {version}, known up to 5"));
                }
            }
            0x95 => drop(self.take::<8>()?), // a frame, which only helps readers of streams
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.above_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Node::Nothing),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' => {
                let [n] = self.take()?;
                self.push(Node::Int(n.into()));
            }
            b'M' => {
                let n = u16::from_le_bytes(self.take()?);
                self.push(Node::Int(n.into()));
            }
            b'J' => {
                let n = i32::from_le_bytes(self.take()?);
                self.push(Node::Int(n.into()));
            }
            0x8a => self.long()?,
            b'G' => {
                let x = f64::from_be_bytes(self.take()?);
                self.push(Node::Float(x));
            }
            0x8c => self.text::<1>()?,
            b'X' => self.text::<4>()?,
            0x8d => self.text::<8>()?,
            b'C' | b'U' => self.raw::<1>()?,
            b'B' | b'T' => self.raw::<4>()?,
            0x8e | 0x96 => self.raw::<8>()?,
            b')' | b']' | 0x8f => self.push(Node::List(Vec::new())),
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' | b'l' | 0x91 => {
                let items = self.above_mark()?;
                self.push(Node::List(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.above_mark()?;
                self.extend(items)?;
            }
            b'}' => self.push(Node::Dict(Vec::new())),
            b'd' => {
                let items = self.above_mark()?;
                self.push(Node::Dict(Vec::new()));
                self.insert(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.insert(&items)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Node::Text(module), Node::Text(name)) = (&self.nodes[module], &self.nodes[name]) else {
                    return Err("a name that is no text".into());
                };
                self.name(module.clone(), name.clone())?;
            }
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,
            b'Q' => self.outside()?,
            b'h' => {
                let [n] = self.take()?;
                self.recall(n.into())?;
            }
            b'j' => {
                let n = u32::from_le_bytes(self.take()?);
                self.recall(n.into())?;
            }
            b'q' => {
                let [n] = self.take()?;
                self.remember(n.into())?;
            }
            b'r' => {
                let n = u32::from_le_bytes(self.take()?);
                self.remember(n.into())?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            other => return Err(format!("the instruction {other:#04x} is not known")),
        }
        Ok(None)
    }

    fn take<const N: usize>(&mut self) -> Step<[u8; N]> {
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

    /// A span whose length is written before it, in `N` bytes.
    fn counted<const N: usize>(&mut self) -> Step<Range<usize>> {
        let mut length = [0; 8];
        length[..N].copy_from_slice(&self.take::<N>()?);
        let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| "a length beyond all memory")?;
        self.span(length)
    }

    fn text<const N: usize>(&mut self) -> Step<()> {
        let range = self.counted::<N>()?;
        std::str::from_utf8(&self.bytes[range.clone()]).map_err(|_| "a text that is not UTF-8")?;
        self.push(Node::Text(range));
        Ok(())
    }

    fn raw<const N: usize>(&mut self) -> Step<()> {
        let range = self.counted::<N>()?;
        self.push(Node::Bytes(range));
        Ok(())
    }

    fn long(&mut self) -> Step<()> {
        let range = self.counted::<1>()?;
        let bytes = &self.bytes[range];
        let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        wide.get_mut(..bytes.len()).ok_or("an integer of more than 64 bits")?.copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn line(&mut self) -> Step<Range<usize>> {
        let length = self.bytes[self.at..].iter().position(|&b| b == b'\n').ok_or("the file ends too early")?;
        let range = self.span(length)?;
        self.at += 1;
        Ok(range)
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(self.nodes.len() - 1);
    }

    fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.pop().ok_or_else(|| "nothing on the stack".to_owned()),
            false => Err("nothing on the stack".into()),
        }
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(|| "nothing on the stack".to_owned())
    }

    fn above_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or("there is no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, length: usize) -> Step<()> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
        items.reverse();
        self.push(Node::List(items));
        Ok(())
    }

    fn extend(&mut self, items: Vec<Id>) -> Step<()> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend(items),
            _ => return Err("items for what is no list".into()),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Id]) -> Step<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(entries) if rest.is_empty() => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err("entries for what is no dict".into()),
        }
        Ok(())
    }

    fn name(&mut self, module: Range<usize>, name: Range<usize>) -> Step<()> {
        let text = |range| std::str::from_utf8(&self.bytes[range]).map_err(|_| "a name that is not UTF-8".to_owned());
        let (module, name) = (text(module)?, text(name)?);
        match Known::find(module, name) {
            Some(known) => {
                self.push(Node::Known(known));
                Ok(())
            }
            None => {
                let shown: String = format!("{module}.{name}").chars().filter(|c| !c.is_control()).take(80).collect();
                Err(format!("the file asks for `{shown}`, which is not among what is known"))
            }
        }
    }

    fn items(&self, id: Id) -> Step<&[Id]> {
        match &self.nodes[id] {
            Node::List(items) => Ok(items),
            _ => Err("arguments that are no tuple".into()),
        }
    }

    fn whole(&self, id: Id) -> Step<usize> {
        match self.nodes[id] {
            Node::Int(n) => usize::try_from(n).map_err(|_| "a negative size".to_owned()),
            _ => Err("a size that is no integer".into()),
        }
    }

    fn sizes(&self, id: Id) -> Step<Vec<usize>> {
        self.items(id)?.iter().map(|&id| self.whole(id)).collect()
    }

    /// Calls that build values.
    fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Node::Known(function) = self.nodes[function] else { return Err("a call of what is no function".into()) };
        let arguments = self.items(arguments)?.to_vec();
        let node = match (function, &arguments[..]) {
            (Known::OrderedDict, []) => Node::Dict(Vec::new()),
            // The state comes with the next instruction.
            (Known::Reconstruct, [_, ..]) => Node::Array { shape: vec![], numbers: 0, data: 0..0 },
            (Known::Dtype, [kind, ..]) => match &self.nodes[*kind] {
                Node::Text(range) => {
                    let kind = String::from_utf8_lossy(&self.bytes[range.clone()]).into_owned();
                    Node::Numbers { kind, little: true }
                }
                _ => return Err("a type of numbers without a name".into()),
            },
            (Known::RebuildTensor, [storage, offset, shape, strides, ..]) => Node::Tensor {
                storage: *storage,
                offset: self.whole(*offset)?,
                shape: self.sizes(*shape)?,
                strides: self.sizes(*strides)?,
            },
            (Known::RebuildParameter, [tensor, ..]) => {
                self.stack.push(*tensor);
                return Ok(());
            }
            _ => return Err(format!("a call of {function:?} with {} arguments", arguments.len())),
        };
        self.push(node);
        Ok(())
    }

    /// The state of an object: of arrays and types of numbers; what a dict carries beside its entries does not count.
    fn build(&mut self) -> Step<()> {
        let state = self.pop()?;
        let object = self.top()?;
        match &self.nodes[object] {
            Node::Dict(_) => {}
            Node::Array { .. } => {
                let &[_, shape, numbers, fortran, data] = self.items(state)? else {
                    return Err("an array without its five parts".into());
                };
                let shape = self.sizes(shape)?;
                let Node::Bytes(data) = self.nodes[data].clone() else { return Err("an array without bytes".into()) };
                if self.nodes[fortran] != Node::Bool(false) && shape.len() > 1 {
                    return Err("an array in Fortran's order".into());
                }
                self.nodes[object] = Node::Array { shape, numbers, data };
            }
            Node::Numbers { kind, .. } => {
                let kind = kind.clone();
                let order = self.items(state)?.get(1).copied().ok_or("a type of numbers without its order")?;
                let little = match &self.nodes[order] {
                    Node::Text(range) => &self.bytes[range.clone()] != b">",
                    _ => true,
                };
                self.nodes[object] = Node::Numbers { kind, little };
            }
            _ => return Err("a state for what has none".into()),
        }
        Ok(())
    }

    /// What PyTorch keeps in a file beside the pickle.
    fn outside(&mut self) -> Step<()> {
        let id = self.pop()?;
        let &[_, kind, key, _, count] = self.items(id)? else { return Err("a storage without its five parts".into()) };
        let (Node::Known(Known::Storage(kind)), Node::Text(key)) = (&self.nodes[kind], &self.nodes[key]) else {
            return Err("a storage without type or key".into());
        };
        let key = String::from_utf8_lossy(&self.bytes[key.clone()]).into_owned();
        let node = Node::Storage { kind, key, count: self.whole(count)? };
        self.push(node);
        Ok(())
    }

    fn remember(&mut self, place: u64) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u64) -> Step<()> {
        let id = *self.memo.get(&place).ok_or("something is recalled that was never kept")?;
        self.stack.push(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
    use proptest::sample::select;

    fn read(bytes: &[u8]) -> Result<Pickle> {
        Pickle::read(bytes.to_vec(), Path::new("x.pkl"))
    }

    fn said(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn dicts_of_texts_and_numbers_are_read() {
        // pickle.dumps({"a": 1, "b": [2, -3, 2**40], "c": (None, True, 0.5)}, 4)
        let bytes = b"\x80\x04\x95,\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94]\x94(K\x02J\xfd\xff\xff\xff\
            \x8a\x06\x00\x00\x00\x00\x00\x01e\x8c\x01c\x94N\x88G?\xe0\x00\x00\x00\x00\x00\x00\x87\x94u.";
        let pickle = read(bytes).unwrap();
        let entries = pickle.dict(pickle.root()).unwrap();
        assert_eq!(entries.iter().map(|e| pickle.text(e.0).unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(pickle.node(entries[0].1), &Node::Int(1));
        let list = |id: Id| match pickle.node(id) {
            Node::List(items) => items.iter().map(|&i| pickle.node(i).clone()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(list(entries[1].1), [Node::Int(2), Node::Int(-3), Node::Int(1 << 40)]);
        assert_eq!(list(entries[2].1), [Node::Nothing, Node::Bool(true), Node::Float(0.5)]);
    }

    #[test]
    fn arrays_are_read() {
        // pickle.dumps(numpy.array([1, -2], dtype="float16"), 4), NumPy 2
        let bytes = b"\x80\x04\x95\x87\x00\x00\x00\x00\x00\x00\x00\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\
            \x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02\x85\x94h\x03\
            \x8c\x05dtype\x94\x93\x94\x8c\x02f2\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff\
            K\x00t\x94b\x89C\x04\x00<\x00\xc0\x94t\x94b.";
        let pickle = read(bytes).unwrap();
        assert_eq!(pickle.array(pickle.root()), Some((&[2][..], vec![1.0, -2.0])));
    }

    #[test]
    fn nothing_is_run() {
        // os.system("…") as protocols 0, 2 and 4 have it.
        assert!(said(b"cos\nsystem\n(S'x'\ntR.").contains("`os.system`, which is not among what is known, at byte 0"));
        assert!(said(b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00x\x85R.").contains("at byte 2"));
        assert!(said(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R.").contains("`posix.system`"));
        assert!(said(b"\x80\x02cbuiltins\neval\n.").contains("`builtins.eval`"));
    }

    #[test]
    fn hostile_files_are_refused_and_cost_no_more_than_their_length() {
        for (bytes, says) in [
            (&b""[..], "ends too early"),
            (b"\x80\x04", "ends too early"),
            (b"\x80\x09.", "version 9"),
            (b".", "nothing on the stack"),
            (b"(.", "nothing on the stack"),
            (b"t.", "there is no mark"),
            (b"h\x07.", "never kept"),
            (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "ends too early"),
            (b"X\xff\xff\xff\x7fabc.", "ends too early"),
            (b"\x8c\x01\xff.", "not UTF-8"),
            (b"K\x01K\x02s.", "nothing on the stack"),
            (b"K\x05K\x01K\x02s.", "no dict"),
            (b"K\x01)R.", "no function"),
            (b"K\x01K\x02b.", "has none"),
            (b"\xfe.", "instruction 0xfe"),
            (b"\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.", "64 bits"),
            (b"ccollections\nOrderedDict\nK\x01\x85R.", "with 1 arguments"),
        ] {
            let error = said(bytes);
            assert!(error.contains(says) && error.contains("x.pkl"), "{bytes:?}: {error}");
        }
        // A million tuples around each other, and 2^60 elements by doubling.
        let mut deep = b")".to_vec();
        deep.extend(std::iter::repeat_n(0x85, 1_000_000));
        deep.push(b'.');
        drop(read(&deep).unwrap());
        let mut doubled = b"K\x01\x85".to_vec();
        (0..60).for_each(|_| doubled.extend(b"2\x86"));
        doubled.push(b'.');
        drop(read(&doubled).unwrap());
    }

    #[test]
    fn arrays_that_do_not_fit_their_bytes_are_none() {
        assert_eq!(decode("f4", true, &[0; 6]), None);
        assert_eq!(decode("O", true, &[0; 8]), None);
        assert_eq!(decode("f4", false, &1.5f32.to_be_bytes()), Some(vec![1.5]));
    }

    /// Instructions of the machine with arguments that may be anything.
    fn instruction() -> impl Strategy<Value = Vec<u8>> {
        let plain = select(&b"(0123]}).NJKMGX\x88\x89\x85\x86\x87\x8a\x8b\x8c\x8e\x90\x91\x93\x94qrhjtlduseabcRoibQPBCTUVSILFg\x81\x92p\x95"[..])
            .prop_map(|byte| vec![byte]);
        let small = (select(&b"KqhCU\x8c\x8a\x80"[..]), any::<u8>()).prop_map(|(byte, argument)| vec![byte, argument]);
        let long = (select(&b"JXBTrj\x8b\x8d\x8e\x95\x96"[..]), any::<u32>())
            .prop_map(|(byte, argument)| [&[byte][..], &argument.to_le_bytes()].concat());
        let named = select(vec![
            &b"ctorch._utils\n_rebuild_tensor_v2\n"[..],
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"cnumpy\ndtype\n",
            b"cnumpy\nndarray\n",
            b"ccollections\nOrderedDict\n",
            b"ctorch\nFloatStorage\n",
            b"cos\nsystem\n",
            b"X\x07\x00\x00\x00storage",
            b"X\x01\x00\x00\x000",
            b"\x8c\x02f4",
            b"\x8c\x01<",
        ]);
        prop_oneof![4 => plain, 3 => small, 1 => long, 3 => named.prop_map(<[u8]>::to_vec)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_program_is_carried_out_or_refused(program in vec(instruction(), 0..40)) {
            let program = [b"\x80\x04", program.concat().as_slice(), b"."].concat();
            if let Err(error) = read(&program) {
                prop_assert_eq!(error.exit_code(), 2);
            }
        }
    }
}
