//! Parameters, their gradients, and finite differences.

use crate::device::generator;
use crate::model::{ParameterMapper, ParameterVisitor, map_parameters, parameters, visit_parameters};
use crate::{Error, Result};
use burn::module::{Module, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use std::collections::BTreeSet;

/// A parameter with its gradient, when it has one.
pub(super) struct WithGradient {
    pub path: String,
    pub value: TensorData,
    pub gradient: Option<Vec<f32>>,
}

/// Every float parameter, with its gradient.
pub(super) fn with_gradients<M: Module>(module: &M, gradients: Option<&Gradients>) -> Vec<WithGradient> {
    struct Collect<'a> {
        gradients: Option<&'a Gradients>,
        found: Vec<WithGradient>,
    }
    impl ParameterVisitor for Collect<'_> {
        fn visit<const D: usize>(&mut self, path: &str, param: &Param<Tensor<D>>) {
            let gradient = self.gradients.and_then(|g| param.val().grad(g)).map(|g| g.into_data().iter().collect());
            self.found.push(WithGradient { path: path.to_owned(), value: param.val().into_data(), gradient });
        }
    }
    let mut collect = Collect { gradients, found: Vec::new() };
    visit_parameters(module, &mut collect);
    collect.found
}

/// The module with one number of one parameter moved.
fn moved<M: Module>(module: M, path: &str, index: usize, by: f32) -> M {
    struct Move<'a> {
        wanted: &'a str,
        index: usize,
        by: f32,
    }
    impl ParameterMapper for Move<'_> {
        fn map<const D: usize>(&mut self, path: &str, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if path != self.wanted {
                return param;
            }
            let (index, by) = (self.index, self.by);
            param.map(|value| {
                let device = value.device();
                let trains = value.is_require_grad();
                Tensor::from_data(shifted(&value.into_data(), index, by), &device).set_require_grad(trains)
            })
        }
    }
    map_parameters(module, &mut Move { wanted: path, index, by })
}

fn shifted(data: &TensorData, index: usize, by: f32) -> TensorData {
    let mut values: Vec<f32> = data.iter().collect();
    values[index] += by;
    TensorData::new(values, data.shape().clone())
}

pub(super) fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

/// What `compute` gives when it starts at one seed: twice the same.
///
/// # Errors
/// When it gives something else the second time.
pub(super) fn repeatable<T: PartialEq>(device: &Device, compute: impl Fn() -> T) -> Result<T> {
    let once = || seeded(device, &compute);
    let first = once();
    match once() == first {
        true => Ok(first),
        false => Err(Error::program("the same seed gives other numbers the second time")
            .help("draw from burn's generator, or from one with a seed of its own")
            .help("other tests of this program that draw do so in `dualk_sdk::device::generator::alone`")),
    }
}

fn seeded<T>(device: &Device, compute: impl FnOnce() -> T) -> T {
    generator::seed(device, 1);
    compute()
}

/// A scalar function of a module and its input: Σ c_i y_i with fixed c.
pub(super) struct Function<'a, M> {
    pub module: M,
    pub input: TensorData,
    pub output: &'a dyn Fn(&M, Tensor<2>) -> Tensor<2>,
    /// Whether gradients must reach the input.
    pub input_gradient: bool,
}

impl<M: Module> Function<'_, M> {
    fn weights(len: usize) -> Vec<f32> {
        (0..len).map(|i| 0.5 + ((i * 7919 + 13) % 101) as f32 / 100.0 * if i % 2 == 0 { 1.0 } else { -1.0 }).collect()
    }

    fn outputs(&self, module: &M, input: &TensorData, device: &Device) -> Result<Vec<f32>> {
        repeatable(device, || values((self.output)(module, Tensor::from_data(input.clone(), device))))
    }

    fn sum(outputs: &[f32]) -> f64 {
        outputs.iter().zip(Self::weights(outputs.len())).map(|(y, c)| f64::from(*y) * f64::from(c)).sum()
    }

    /// Compares gradients with finite differences: four numbers of each parameter and of the input, those of the largest
    /// gradient among them.
    pub fn compare(&self, device: &Device, findings: &mut Vec<String>) -> Result<()> {
        if !self.input_gradient && with_gradients(&self.module, None).is_empty() {
            return Ok(()); // nothing learns
        }
        // burn draws parameters when they are first asked for, which is not to be among what is repeated.
        seeded(device, || drop(parameters(&self.module)));
        let plain = self.outputs(&self.module, &self.input, device)?;
        let input = Tensor::<2>::from_data(self.input.clone(), device).set_require_grad(self.input_gradient);
        let out = seeded(device, || (self.output)(&self.module, input.clone()));
        let weights = TensorData::new(Self::weights(plain.len()), out.dims());
        let gradients = (out * Tensor::from_data(weights, device)).sum().backward();
        // What rounding in 32 bits may change in the sum.
        let size = plain.iter().map(|y| f64::from(y.abs())).fold(0.0, f64::max) * (plain.len() as f64).sqrt();
        let noise = 3e-6 * size.max(1e-3);

        let mut parts = with_gradients(&self.module, Some(&gradients));
        if self.input_gradient && self.input.num_elements() > 0 {
            let gradient = input.grad(&gradients).map(|g| g.into_data().iter().collect());
            parts.push(WithGradient { path: "the input".into(), value: self.input.clone(), gradient });
        }
        let last = if self.input_gradient { parts.len().saturating_sub(1) } else { usize::MAX };
        for (number, WithGradient { path, value, gradient }) in parts.iter().enumerate() {
            if value.num_elements() == 0 {
                continue;
            }
            let at = |index: usize, by: f32| -> Result<f64> {
                let (module, input) = match number == last {
                    true => (self.module.clone(), shifted(&self.input, index, by)),
                    false => (moved(self.module.clone(), path, index, by), self.input.clone()),
                };
                Ok(Self::sum(&self.outputs(&module, &input, device)?))
            };
            compare_one(path, value, gradient.as_deref(), noise, at, findings)?;
        }
        Ok(())
    }
}

/// Compares a few numbers of one parameter.
fn compare_one(
    path: &str,
    value: &TensorData,
    gradient: Option<&[f32]>,
    noise: f64,
    at: impl Fn(usize, f32) -> Result<f64>,
    findings: &mut Vec<String>,
) -> Result<()> {
    const STEPS: [f32; 3] = [1e-2, 2e-3, 5e-2];
    let len = value.num_elements();
    let largest = gradient.map(|g| (0..len).max_by(|&a, &b| g[a].abs().total_cmp(&g[b].abs())).unwrap_or(0));
    let scale = largest.and_then(|i| gradient.map(|g| f64::from(g[i].abs()))).unwrap_or(0.0);
    let mut felt = false;
    for index in chosen(len, largest) {
        let analytic = gradient.map_or(0.0, |g| f64::from(g[index]));
        if !analytic.is_finite() {
            findings.push(format!("{path}: the gradient of number {index} is {analytic}"));
            return Ok(());
        }
        // A step may cross a kink, as that of ReLU: one of three steps must agree.
        let mut nearest = (f64::INFINITY, 0.0);
        for step in STEPS {
            let numeric = (at(index, step)? - at(index, -step)?) / (2.0 * f64::from(step));
            let allowed = 0.02 * analytic.abs().max(numeric.abs()) + 2e-3 * scale + noise / f64::from(step);
            felt |= numeric.abs() > 2.0 * noise / f64::from(step);
            let error = (numeric - analytic).abs() / allowed;
            if error < nearest.0 {
                nearest = (error, numeric);
            }
            if error <= 1.0 {
                break;
            }
        }
        if gradient.is_some() && nearest.0 > 1.0 {
            let numeric = nearest.1;
            findings.push(format!(
                "{path}: the gradient of number {index} is {analytic:.5}, finite differences give {numeric:.5}"
            ));
        }
    }
    if gradient.is_none() {
        findings.push(match felt {
            true => format!("{path}: changes the output, but no gradient reaches it"),
            false => format!("{path}: no gradient reaches it, and it does not change the output: is it used?"),
        });
    }
    Ok(())
}

/// Three of `len` numbers and another one, each once.
fn chosen(len: usize, another: Option<usize>) -> BTreeSet<usize> {
    (0..3).map(|i| (i * 7919 + 5) % len).chain(another).collect()
}
