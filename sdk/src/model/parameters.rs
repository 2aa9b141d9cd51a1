//! The parameters of a module by path: freezing, saving, loading.

use super::paths::{ParameterMapper, ParameterVisitor, map_parameters, visit_parameters};
use crate::device::generator;
use crate::{Error, Result, storage};
use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A parameter's path and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Path from the module's root, such as `encoder.conv1.bias`.
    pub path: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether the optimizer changes it.
    pub trains: bool,
}

/// Lists the parameters of a module, in the order of its fields.
pub fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    listed(module, false)
}

/// The parameters that have no values yet, and take no memory.
pub(crate) fn undrawn<M: Module>(module: &M) -> Vec<Parameter> {
    listed(module, true)
}

fn listed<M: Module>(module: &M, undrawn_alone: bool) -> Vec<Parameter> {
    struct List {
        undrawn_alone: bool,
        found: Vec<Parameter>,
    }
    impl ParameterVisitor for List {
        fn visit<const D: usize>(&mut self, path: &str, param: &Param<Tensor<D>>) {
            if self.undrawn_alone && param.is_initialized() {
                return;
            }
            // A look at the value would draw it.
            let trains = self.undrawn_alone || param.val().is_require_grad();
            self.found.push(Parameter { path: path.to_owned(), shape: param.lazy_shape().to_vec(), trains });
        }
    }
    let mut list = List { undrawn_alone, found: Vec::new() };
    visit_parameters(module, &mut list);
    list.found
}

/// Draws the parameters that have no values yet, [alone](generator::alone). burn draws each only when it is first asked for,
/// which would be beside whatever other threads do by then.
pub fn draw_parameters<M: Module>(module: M) -> M {
    struct Draw;
    impl ModuleVisitor for Draw {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            drop(param.val());
        }
    }
    generator::alone(|| module.visit(&mut Draw));
    module
}

/// What paths in a module begin with, in the order of its fields; each with whether there is something that could train or
/// differ from step to step: a parameter, or dropout.
pub(super) fn roots<M: Module>(module: &M) -> Vec<(String, bool)> {
    struct Roots {
        path: Vec<String>,
        found: Vec<(String, bool)>,
    }
    impl Roots {
        fn mark(&mut self) {
            let root = self.path.first();
            self.found.iter_mut().filter(|(known, _)| Some(known) == root).for_each(|(_, changes)| *changes = true);
        }
    }
    impl ModuleVisitor for Roots {
        fn enter_module(&mut self, name: &str, _: &str) {
            if self.path.is_empty() && self.found.iter().all(|(known, _)| known != name) {
                self.found.push((name.to_owned(), false));
            }
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
            self.mark();
        }

        fn visit_flag(&mut self, _: &Param<Flag>) {
            self.mark();
        }
    }
    let mut roots = Roots { path: Vec::new(), found: Vec::new() };
    module.visit(&mut roots);
    roots.found
}

/// The first parameter, in the order of fields, that has a number which is not finite, and that number.
pub fn first_not_finite<M: Module>(module: &M) -> Option<(String, f32)> {
    struct Look(Option<(String, f32)>);
    impl ParameterVisitor for Look {
        fn visit<const D: usize>(&mut self, path: &str, param: &Param<Tensor<D>>) {
            if self.0.is_none() {
                let data = param.val().into_data();
                let number = data.iter::<f32>().find(|number| !number.is_finite());
                self.0 = number.map(|number| (path.to_owned(), number));
            }
        }
    }
    let mut look = Look(None);
    visit_parameters(module, &mut look);
    look.0
}

/// Switches dropout, and whatever else asks whether it trains, on or off in all parts of a module.
pub fn set_dropout<M: Module>(module: M, active: bool) -> M {
    struct Set(bool);
    impl ModuleMapper for Set {
        fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
            flag.with_value(self.0)
        }
    }
    module.map(&mut Set(active))
}

/// Makes exactly those parameters train whose path starts with none of `prefixes` (whole path components).
///
/// Dropout stays active in frozen parts, as in the publication; [`FrozenPart`](crate::train::FrozenPart) says when they run without.
pub fn freeze<M: Module>(module: M, prefixes: &[String]) -> M {
    struct Freeze<'a>(&'a [String]);
    impl ParameterMapper for Freeze<'_> {
        fn map<const D: usize>(&mut self, path: &str, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let within = |prefix: &String| {
                path.strip_prefix(prefix.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('.'))
            };
            let frozen = self.0.iter().any(within);
            param.set_require_grad(!frozen)
        }
    }
    map_parameters(module, &mut Freeze(prefixes))
}

/// Writes all float parameters as 32-bit safetensors, named by their paths, with a checksum by which [`load_weights`] refuses a
/// damaged file.
///
/// # Errors
/// When the file cannot be written.
pub fn save_weights<M: Module>(module: &M, file: &Path) -> Result<()> {
    struct Collect(Vec<(String, Vec<usize>, Vec<f32>)>);
    impl ParameterVisitor for Collect {
        fn visit<const D: usize>(&mut self, path: &str, param: &Param<Tensor<D>>) {
            let value = param.val();
            let shape = value.dims().to_vec();
            let values = value.into_data().iter::<f32>().collect();
            self.0.push((path.to_owned(), shape, values));
        }
    }
    let mut collect = Collect(Vec::new());
    visit_parameters(module, &mut collect);
    let tensors = collect.0.iter().map(|(path, shape, values)| storage::Tensor {
        name: path.clone(),
        shape: shape.clone(),
        numbers: storage::Numbers::F32(values),
    });
    storage::sealed(file, &tensors.collect::<Vec<_>>(), &[])
}

/// Reads weights written by [`save_weights`] into a module of the same shape.
///
/// # Errors
/// When the file is unreadable, damaged, lacks a parameter or has one of another shape.
pub fn load_weights<M: Module>(module: M, file: &Path) -> Result<M> {
    Weights::read(file)?.put_into(module)
}

/// Weights of a module by the paths of its parameters, with the file that they come from, which errors name.
#[derive(Debug, Clone)]
pub struct Weights {
    file: PathBuf,
    values: HashMap<String, TensorData>,
}

impl Weights {
    /// Those that [`save_weights`] wrote.
    ///
    /// # Errors
    /// When the file is unreadable, or damaged since.
    pub fn read(file: &Path) -> Result<Self> {
        Ok(Self { values: tensors_of(file)?, file: file.to_owned() })
    }

    /// Those that a program read from a file of another form: path, shape and numbers, row after row.
    ///
    /// # Errors
    /// When numbers do not fill a shape.
    pub fn new(file: &Path, tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>) -> Result<Self> {
        let mut values = HashMap::new();
        for (path, shape, numbers) in tensors {
            if shape.iter().try_fold(1usize, |all, &length| all.checked_mul(length)) != Some(numbers.len()) {
                let message = format!("`{path}` has {} numbers, which do not fill {shape:?}", numbers.len());
                return Err(Error::user(message).at_file(file));
            }
            values.insert(path, TensorData::new::<f32, _>(numbers, shape));
        }
        Ok(Self { values, file: file.to_owned() })
    }

    /// Puts them into a module of the same shape.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn put_into<M: Module>(self, module: M) -> Result<M> {
        put(self, module)
    }
}

fn put<M: Module>(weights: Weights, module: M) -> Result<M> {
    struct Load {
        values: HashMap<String, TensorData>,
        problem: Option<String>,
    }
    impl ParameterMapper for Load {
        fn map<const D: usize>(&mut self, path: &str, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let old = param.val();
            let Some(data) = self.values.remove(path) else {
                self.problem.get_or_insert(format!("the file has no `{path}`"));
                return param;
            };
            if data.shape().as_slice() != old.dims().as_slice() {
                let (file, model) = (data.shape().clone(), old.dims());
                self.problem.get_or_insert(format!("`{path}` is {file:?} in the file and {model:?} in the model"));
                return param;
            }
            let trains = old.is_require_grad();
            param.map(|old| Tensor::from_data(data, &old.device()).set_require_grad(trains))
        }
    }
    let mut load = Load { values: weights.values, problem: None };
    let module = map_parameters(module, &mut load);
    match load.problem {
        None => Ok(module),
        Some(problem) => Err(Error::user(format!("the weights do not fit the model: {problem}"))
            .at_file(weights.file)
            .help("use the manifest that the weights were trained with")),
    }
}

/// The tensors of a file of weights by name.
fn tensors_of(file: &Path) -> Result<HashMap<String, TensorData>> {
    let bytes = fs::read(file).map_err(|e| Error::io("read weights", file, e))?;
    let damaged = |e: safetensors::SafeTensorError| Error::user(format!("these are no safetensors: {e}")).at_file(file);
    let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    storage::check_seal(file, &bytes)?;
    let mut values = HashMap::new();
    for (name, view) in tensors.tensors() {
        let Some(floats) = storage::floats(&view) else {
            return Err(Error::user(format!("`{name}` is {:?}, expected F32", view.dtype())).at_file(file));
        };
        values.insert(name, TensorData::new::<f32, _>(floats, view.shape().to_vec()));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Layer {
        weight: Param<Tensor<2>>,
    }

    #[test]
    fn weights_of_a_program_are_those_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("w.safetensors"), Path::new("checkpoint.pth"));
        let layer = || Layer { weight: Param::from_tensor(Tensor::zeros([1, 2], &Device::flex())) };
        let of = |path: &str, shape: &[usize], numbers: &[f32]| {
            Weights::new(other, [(path.to_owned(), shape.to_vec(), numbers.to_vec())])
        };
        let numbers = |layer: Layer| -> Vec<f32> { layer.weight.val().into_data().iter::<f32>().collect() };
        let made = of("weight", &[1, 2], &[0.5, -3.0]).unwrap().put_into(layer()).unwrap();
        save_weights(&made, &file).unwrap();
        assert_eq!([numbers(made), numbers(load_weights(layer(), &file).unwrap())], [[0.5, -3.0]; 2]);
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        let error = load_weights(layer(), &file).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains("w.safetensors"), "{error}");
        for (path, shape, says) in [("bias", [1, 2], "has no `weight`"), ("weight", [2, 1], "[1, 2] in the model")] {
            let error = of(path, &shape, &[0.5, -3.0]).unwrap().put_into(layer()).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("--> checkpoint.pth"), "{error}");
        }
        for shape in [[1, 3], [usize::MAX, 2]] {
            let error = of("weight", &shape, &[0.5, -3.0]).unwrap_err().to_string();
            assert!(error.contains("`weight` has 2 numbers") && error.contains("checkpoint.pth"), "{error}");
        }
    }
}
