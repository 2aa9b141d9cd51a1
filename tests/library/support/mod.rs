//! Loading published weights into modules and comparing with published numbers.

#![allow(dead_code)] // each test program uses a part of it

pub mod published;

use dualk_sdk::burn::optim::GradientsParams;
use dualk_sdk::model::{ParameterMapper, ParameterVisitor, map_parameters, visit_parameters};
use dualk_sdk::prelude::*;
use dualk_tests::Tensors;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Published tensors by name.
pub type Values = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The tensors whose names begin with `prefix`, without it.
pub fn with_prefix(file: &Tensors<f32>, prefix: &str) -> Values {
    let named = file.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.clone())));
    named.collect()
}

/// Renames torch's parameters to ours: the first pair whose old part is found is applied.
pub fn renamed(values: Values, pairs: &[(&str, &str)]) -> Values {
    let rename = |name: String| match pairs.iter().find(|(old, _)| name.contains(old)) {
        Some((old, new)) => name.replacen(old, new, 1),
        None => name,
    };
    values.into_iter().map(|(name, value)| (rename(name), value)).collect()
}

/// A tensor of a file.
pub fn tensor<const D: usize>(file: &Tensors<f32>, name: &str, device: &Device) -> Tensor<D> {
    let (shape, values) = file.get(name).unwrap_or_else(|| panic!("the file has no `{name}`"));
    Tensor::from_data(TensorData::new(values.clone(), shape.clone()), device)
}

/// Torch's Linear and recurrent weights are `[out, in]`, ours `[in, out]`.
fn is_transposed(path: &str) -> bool {
    const LINEAR: [&str; 34] = [
        "fc1",
        "fc2",
        "fc3",
        "fc",
        "fc_alpha",
        "fc_beta",
        "fc_out",
        "fc_pair",
        "fc_score",
        "lin",
        "lin_edge",
        "lin_key",
        "lin_l",
        "lin_query",
        "lin_r",
        "lin_skip",
        "lin_value",
        "ih",
        "hh",
        "ancestor",
        "code",
        "content",
        "embed",
        "gate",
        "key",
        "linear_inner",
        "linear_outer",
        "output",
        "project",
        "time",
        "query",
        "score",
        "value",
        "res",
    ];
    path.strip_suffix(".weight").is_some_and(|path| path.rsplit('.').next().is_some_and(|last| LINEAR.contains(&last)))
}

fn transposed(shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let &[rows, columns] = shape else { panic!("a matrix of shape {shape:?}") };
    let at = |i: usize| values[(i % rows) * columns + i / rows];
    (vec![columns, rows], (0..values.len()).map(at).collect())
}

/// A parameter's value in torch's layout.
fn published(path: &str, shape: Vec<usize>, values: Vec<f32>) -> (Vec<usize>, Vec<f32>) {
    if is_transposed(path) { transposed(&shape, &values) } else { (shape, values) }
}

/// The path without the parts that name a variant of an enumeration.
fn path_of(path: &str) -> String {
    path.split('.').filter(|part| !part.starts_with(char::is_uppercase)).collect::<Vec<_>>().join(".")
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Sets every parameter of a module from published values.
///
/// # Panics
/// When a parameter has no value, a value no parameter, or a shape differs.
pub fn set_parameters<M: Module>(module: M, values: &Values) -> M {
    struct Set<'a> {
        values: &'a Values,
        used: usize,
    }
    impl ParameterMapper for Set<'_> {
        fn map<const D: usize>(&mut self, path: &str, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let path = path_of(path);
            let (shape, values) = self.values.get(&path).unwrap_or_else(|| panic!("no published value of `{path}`"));
            self.used += 1;
            let (shape, values) = published(&path, shape.clone(), values.clone());
            param.map(|old| {
                assert_eq!(old.dims().as_slice(), shape, "shape of `{path}`");
                let trains = old.is_require_grad();
                Tensor::from_data(TensorData::new(values, shape), &old.device()).set_require_grad(trains)
            })
        }
    }
    let mut set = Set { values, used: 0 };
    let module = map_parameters(module, &mut set);
    assert_eq!(set.used, values.len(), "published parameters that the module lacks among {:?}", values.keys());
    module
}

/// The parameters of a module, or their gradients (those that have one), by path in torch's layout.
pub fn read_parameters<M: Module>(module: &M, gradients: Option<&GradientsParams>) -> Values {
    struct Read<'a> {
        gradients: Option<&'a GradientsParams>,
        values: Values,
    }
    impl ParameterVisitor for Read<'_> {
        fn visit<const D: usize>(&mut self, path: &str, param: &Param<Tensor<D>>) {
            let path = path_of(path);
            let value = match self.gradients {
                Some(gradients) => gradients.get::<D>(param.id),
                None => Some(param.val()),
            };
            if let Some(value) = value {
                let shape = value.dims().to_vec();
                let value = published(&path, shape, floats(value));
                self.values.insert(path, value);
            }
        }
    }
    let mut read = Read { gradients, values: Values::new() };
    visit_parameters(module, &mut read);
    read.values
}

/// The device that `DUALK_TEST_DEVICE` names, by default the CPU; autodiff is on.
pub fn device() -> Device {
    dualk_sdk::device::tested().unwrap().device.autodiff()
}

/// Its name, such as `cpu` or `cuda:0`. Devices are looked for once: every comparison asks for it.
pub fn device_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| dualk_sdk::device::tested().unwrap().name);
    &NAME
}

thread_local! {
    static BURNS_LAYERS: Cell<bool> = const { Cell::new(false) };
}

/// What this thread tests holds layers of burn, whose products take TF32 on CUDA: 10 bits of each factor. On a Vulkan adapter
/// they are up to 2 % off too, for reasons unknown.
pub fn burns_layers() {
    BURNS_LAYERS.set(true);
}

/// Allowed relative difference; GPUs add in another order, and take exponentials as their drivers have them.
pub fn relative() -> f32 {
    match device_name().split(':').next() {
        Some("cpu") => 1e-4,
        _ if BURNS_LAYERS.get() => 5e-2,
        _ => 1e-3,
    }
}

/// An entry much smaller than the largest of its tensor is compared as if it were this part of that: sums in 32 bits
/// are accurate relative to their largest terms, not to what is left after these cancel.
pub const FLOOR: f32 = 1e-2;
/// The largest absolute value.
pub fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0f32, |m, v| m.max(v.abs()))
}

/// What each entry may differ by: [`relative`] · max(|expected|, FLOOR · max |expected|, `floor`).
pub fn allowed(expected: &[f32], floor: f32) -> Vec<f32> {
    let floor = floor.max(FLOOR * largest(expected)).max(f32::MIN_POSITIVE / relative());
    expected.iter().map(|e| relative() * e.abs().max(floor)).collect()
}

/// The largest difference relative to what is allowed; at most 1 when `ours` agrees with `expected`.
pub fn excess(ours: &[f32], expected: &[f32], allowed: &[f32]) -> f32 {
    let each = ours.iter().zip(expected).zip(allowed);
    each.map(|((o, e), a)| if o.is_nan() { f32::INFINITY } else { (o - e).abs() / a }).fold(0.0, f32::max)
}

/// Compares numbers with published ones, which they may differ from by `allowed`.
#[track_caller]
pub fn assert_within(name: &str, ours: &[f32], expected: &[f32], allowed: &[f32]) {
    assert_eq!(ours.len(), expected.len(), "size of {name}");
    let excess = excess(ours, expected, allowed);
    assert!(
        excess <= 1.0,
        "{name} differs {excess} times as much as allowed:\nours      {ours:?}\npublished {expected:?}"
    );
}

/// Compares numbers with published ones.
#[track_caller]
pub fn assert_close(name: &str, ours: &[f32], expected: &[f32]) {
    assert_within(name, ours, expected, &allowed(expected, 0.0));
}

/// Compares a tensor with published numbers.
#[track_caller]
pub fn assert_tensor<const D: usize>(name: &str, ours: Tensor<D>, file: &Tensors<f32>) {
    let (shape, expected) = file.get(name).unwrap_or_else(|| panic!("the file has no `{name}`"));
    let found: usize = ours.dims().iter().product();
    assert_eq!(found, shape.iter().product::<usize>(), "size of {name}");
    assert_close(name, &floats(ours), expected);
}

/// Compares values by path; `expected` may have fewer. `allowed` gives what the entries of a path may differ by.
#[track_caller]
pub fn assert_values(what: &str, ours: &Values, expected: &Values, allowed: impl Fn(&str, &[f32]) -> Vec<f32>) {
    assert!(!expected.is_empty(), "there are no published {what}");
    for (path, (shape, expected)) in expected {
        let (found, ours) = ours.get(path).unwrap_or_else(|| panic!("there is no {what} of `{path}`"));
        assert_eq!(found, shape, "shape of {what} of `{path}`");
        assert_within(&format!("{what} of `{path}`"), ours, expected, &allowed(path, expected));
    }
}
