//! What a file may ask for by name, and the instructions that make arrays and tensors of it.

use super::machine::{Machine, Step};
use super::{Id, Node};
use std::ops::Range;

/// Most dimensions of an array or tensor.
const MOST_DIMENSIONS: usize = 8;
/// Most arguments of a call that are looked at.
const MOST_ARGUMENTS: usize = 8;
/// The longest name of a type of numbers, in bytes.
const LONGEST_TYPE: usize = 16;

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

impl Machine<'_> {
    /// A class or function whose names stand behind the instruction.
    pub(super) fn name_behind(&mut self) -> Step<()> {
        let (module, name) = (self.line()?, self.line()?);
        self.name(module, name)
    }

    /// A class or function whose names are on the stack.
    pub(super) fn name_of_stack(&mut self) -> Step<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        let (Node::Text(module), Node::Text(name)) = (&self.nodes[module], &self.nodes[name]) else {
            return Err("a name that is no text".into());
        };
        self.name(module.clone(), name.clone())
    }

    fn name(&mut self, module: Range<usize>, name: Range<usize>) -> Step<()> {
        let text = |range| std::str::from_utf8(&self.bytes[range]).map_err(|_| "a name that is not UTF-8".to_owned());
        let (module, name) = (text(module)?, text(name)?);
        match Known::find(module, name) {
            Some(known) => self.push(Node::Known(known)),
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
        let sizes = self.items(id)?;
        if sizes.len() > MOST_DIMENSIONS {
            return Err(format!("an array of {} dimensions, more than {MOST_DIMENSIONS}", sizes.len()));
        }
        sizes.iter().map(|&id| self.whole(id)).collect()
    }

    /// Calls that build values.
    pub(super) fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Node::Known(function) = self.nodes[function] else { return Err("a call of what is no function".into()) };
        let arguments = self.items(arguments)?;
        let (count, arguments) = (arguments.len(), arguments[..arguments.len().min(MOST_ARGUMENTS)].to_vec());
        let node = match (function, &arguments[..]) {
            (Known::OrderedDict, []) => Node::Dict(Vec::new()),
            // The state comes with the next instruction.
            (Known::Reconstruct, [_, ..]) => Node::Array { shape: vec![], numbers: 0, data: 0..0 },
            (Known::Dtype, [kind, ..]) => match &self.nodes[*kind] {
                Node::Text(range) if range.len() <= LONGEST_TYPE => {
                    let kind = String::from_utf8_lossy(&self.bytes[range.clone()]).into_owned();
                    Node::Numbers { kind, little: true }
                }
                _ => return Err("a type of numbers without a name, or with a long one".into()),
            },
            (Known::RebuildTensor, [storage, offset, shape, strides, ..]) => Node::Tensor {
                storage: *storage,
                offset: self.whole(*offset)?,
                shape: self.sizes(*shape)?,
                strides: self.sizes(*strides)?,
            },
            (Known::RebuildParameter, [tensor, ..]) => return self.put(*tensor),
            _ => return Err(format!("a call of {function:?} with {count} arguments")),
        };
        self.push(node)
    }

    /// The state of an object: of arrays and types of numbers; what a dict carries beside its entries does not count.
    pub(super) fn build(&mut self) -> Step<()> {
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
                self.spend(size_of_val(&shape[..]))?;
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
    pub(super) fn outside(&mut self) -> Step<()> {
        let id = self.pop()?;
        let &[_, kind, key, _, count] = self.items(id)? else { return Err("a storage without its five parts".into()) };
        let (Node::Known(Known::Storage(kind)), Node::Text(key)) = (&self.nodes[kind], &self.nodes[key]) else {
            return Err("a storage without type or key".into());
        };
        let key = String::from_utf8_lossy(&self.bytes[key.clone()]).into_owned();
        let node = Node::Storage { kind, key, count: self.whole(count)? };
        self.push(node)
    }
}
