//! The instructions that make numbers, texts, lists and dicts.

use super::machine::{Machine, Step};
use super::{Id, Node};

impl Machine<'_> {
    /// An integer that is written by its bytes, the lowest first.
    pub(super) fn integer<const N: usize, T: Into<i64>>(&mut self, number: impl Fn([u8; N]) -> T) -> Step<()> {
        let n = number(self.take()?).into();
        self.push(Node::Int(n))
    }

    pub(super) fn long(&mut self) -> Step<()> {
        let range = self.counted::<1>()?;
        let bytes = &self.bytes[range];
        let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        wide.get_mut(..bytes.len()).ok_or("an integer of more than 64 bits")?.copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(wide)))
    }

    pub(super) fn float(&mut self) -> Step<()> {
        let x = f64::from_be_bytes(self.take()?);
        self.push(Node::Float(x))
    }

    pub(super) fn text<const N: usize>(&mut self) -> Step<()> {
        let range = self.counted::<N>()?;
        std::str::from_utf8(&self.bytes[range.clone()]).map_err(|_| "a text that is not UTF-8")?;
        self.push(Node::Text(range))
    }

    pub(super) fn raw<const N: usize>(&mut self) -> Step<()> {
        let range = self.counted::<N>()?;
        self.push(Node::Bytes(range))
    }

    pub(super) fn tuple(&mut self, length: usize) -> Step<()> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
        items.reverse();
        self.push(Node::List(items))
    }

    /// A list of what is above the mark.
    pub(super) fn list(&mut self) -> Step<()> {
        let items = self.above_mark()?;
        self.push(Node::List(items))
    }

    pub(super) fn append(&mut self) -> Step<()> {
        let item = self.pop()?;
        self.extend(vec![item])
    }

    pub(super) fn append_all(&mut self) -> Step<()> {
        let items = self.above_mark()?;
        self.extend(items)
    }

    fn extend(&mut self, items: Vec<Id>) -> Step<()> {
        let top = self.top()?;
        self.spend(size_of_val(&items[..]))?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend(items),
            _ => return Err("items for what is no list".into()),
        }
        Ok(())
    }

    /// A dict of what is above the mark, keys and values by turns.
    pub(super) fn dict(&mut self) -> Step<()> {
        let items = self.above_mark()?;
        self.push(Node::Dict(Vec::new()))?;
        self.insert(&items)
    }

    pub(super) fn set(&mut self) -> Step<()> {
        let (value, key) = (self.pop()?, self.pop()?);
        self.insert(&[key, value])
    }

    pub(super) fn set_all(&mut self) -> Step<()> {
        let items = self.above_mark()?;
        self.insert(&items)
    }

    fn insert(&mut self, items: &[Id]) -> Step<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        let top = self.top()?;
        self.spend(size_of_val(items))?;
        match &mut self.nodes[top] {
            Node::Dict(entries) if rest.is_empty() => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err("entries for what is no dict".into()),
        }
        Ok(())
    }
}
