//! Walks over the parameters of a module, each with its path.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// Looks at parameters.
pub trait ParameterVisitor {
    /// Looks at a parameter and its path from the module's root, such as `encoder.conv1.bias`.
    fn visit<const D: usize>(&mut self, path: &str, param: &Param<Tensor<D>>);
}

/// Changes parameters.
pub trait ParameterMapper {
    /// Changes a parameter, by its path from the module's root.
    fn map<const D: usize>(&mut self, path: &str, param: Param<Tensor<D>>) -> Param<Tensor<D>>;
}

/// Shows all float parameters of a module to `visitor`, in the order of its fields.
pub fn visit_parameters<M: Module>(module: &M, visitor: &mut impl ParameterVisitor) {
    module.visit(&mut WithPath { path: Vec::new(), inner: visitor });
}

/// Hands all float parameters of a module to `mapper`, in the order of its fields.
pub fn map_parameters<M: Module>(module: M, mapper: &mut impl ParameterMapper) -> M {
    module.map(&mut WithPath { path: Vec::new(), inner: mapper })
}

/// Keeps the path while a module is walked over.
struct WithPath<'a, T> {
    path: Vec<String>,
    inner: &'a mut T,
}

impl<T: ParameterVisitor> ModuleVisitor for WithPath<'_, T> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.inner.visit(&self.path.join("."), param);
    }
}

impl<T: ParameterMapper> ModuleMapper for WithPath<'_, T> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.inner.map(&self.path.join("."), param)
    }
}
