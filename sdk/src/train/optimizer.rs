//! Adam as PyTorch computes it, one kernel a parameter; its state goes by the paths of parameters, so that it can be
//! carried into another stage, and written to a file and read by another process.

use crate::ops::{AdamStep, Kernels};
use crate::{Error, Result};
use burn::backend::Dispatch;
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What a stage's optimizer knows at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerState {
    /// Nothing: moments are zero.
    Fresh,
    /// Moments and step counts of the stage before, where it trained the same parameters.
    Carried,
}

/// Adam (Kingma and Ba 2015, algorithm 1) with PyTorch's defaults: β = (0.9, 0.999), ε = 1e-8 beside the root of the
/// corrected second moment. Each parameter and its moments are updated in one pass over memory. Steps are counted for
/// each parameter, and only where it has a gradient.
#[derive(Debug, Clone, Default)]
pub struct Optimizer {
    moments: BTreeMap<String, Moments>,
}

/// Running means of a parameter's gradient, its numbers in a row.
#[derive(Debug, Clone)]
struct Moments {
    steps: i32,
    mean: Tensor<1>,
    square: Tensor<1>,
}

impl Optimizer {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes every parameter of `module` that has a gradient.
    pub fn step<M: Module>(&mut self, module: M, gradients: GradientsParams, lr: f64) -> M {
        module.map(&mut Step { path: Vec::new(), moments: &mut self.moments, gradients, lr })
    }

    /// How many steps the parameter at `path` has taken.
    pub fn steps(&self, path: &str) -> usize {
        self.moments.get(path).map_or(0, |m| m.steps as usize)
    }

    /// The state as safetensors: `mean/PATH` and `square/PATH` a parameter, and the number of its steps.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let failed =
            |e: safetensors::SafeTensorError| Error::program(format!("cannot write the optimizer: {e}")).at_file(file);
        let bytes = |tensor: &Tensor<1>| -> Vec<u8> {
            tensor.clone().into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect()
        };
        let mut named = Vec::new();
        for (path, moments) in &self.moments {
            named.push((format!("mean/{path}"), bytes(&moments.mean)));
            named.push((format!("square/{path}"), bytes(&moments.square)));
        }
        let view = |(name, bytes)| -> std::result::Result<(&str, TensorView<'_>), safetensors::SafeTensorError> {
            let (name, bytes): (&String, &Vec<u8>) = (name, bytes);
            Ok((name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?))
        };
        let views: Vec<_> =
            named.iter().map(|(n, b)| view((n, b))).collect::<std::result::Result<_, _>>().map_err(failed)?;
        let steps: HashMap<String, String> =
            self.moments.iter().map(|(p, m)| (p.clone(), m.steps.to_string())).collect();
        let bytes = safetensors::serialize(views, Some(steps)).map_err(failed)?;
        std::fs::write(file, bytes).map_err(|e| Error::io("write the optimizer", file, e))
    }

    /// What [`Optimizer::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read or is something else.
    pub fn load(file: &Path, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(file).map_err(|e| Error::io("read the optimizer", file, e))?;
        let other = |what: String| Error::user(format!("this is no state of an optimizer: {what}")).at_file(file);
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| other(e.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| other(e.to_string()))?;
        let device = device.clone().without_autodiff();
        let row = |name: String| -> Result<Tensor<1>> {
            let view = tensors.tensor(&name).map_err(|e| other(format!("`{name}`: {e}")))?;
            let values: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let count = values.len();
            Ok(Tensor::from_data(TensorData::new(values, [count]), &device))
        };
        let moments = header.metadata().iter().flatten().map(|(path, steps)| {
            let steps = steps.parse().map_err(|_| other(format!("`{path}` has taken `{steps}` steps")))?;
            let (mean, square) = (row(format!("mean/{path}"))?, row(format!("square/{path}"))?);
            Ok((path.clone(), Moments { steps, mean, square }))
        });
        Ok(Self { moments: moments.collect::<Result<_>>()? })
    }
}

/// One step over a module.
struct Step<'a> {
    path: Vec<String>,
    moments: &'a mut BTreeMap<String, Moments>,
    gradients: GradientsParams,
    lr: f64,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let path = self.path.join(".");
        let before = self.moments.remove(&path);
        let lr = self.lr;
        let mut after = None;
        let param = param.map(|value| {
            let (trains, checkpointing) = (value.is_require_grad(), value.gradient_checkpointing_strategy());
            let (value, moments) = adam(value.inner(), gradient, before, lr);
            after = Some(moments);
            let value = Tensor::from_inner(value);
            let value = match checkpointing {
                Some(strategy) => value.with_gradient_checkpointing_strategy(strategy),
                None => value,
            };
            value.set_require_grad(trains)
        });
        self.moments.extend(after.map(|moments| (path, moments)));
        param
    }
}

/// # Shapes
/// - output: that of `value` and `gradient`
fn adam<const D: usize>(
    value: Tensor<D>,
    gradient: Tensor<D>,
    moments: Option<Moments>,
    lr: f64,
) -> (Tensor<D>, Moments) {
    let (shape, device, count) = (value.shape(), value.device(), value.shape().num_elements());
    let zeros = || Tensor::<1>::zeros([count], &device);
    let moments = moments.unwrap_or_else(|| Moments { steps: 0, mean: zeros(), square: zeros() });
    let steps = moments.steps + 1;
    let step = AdamStep { lr, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, time: steps };
    let [p, g] = [value, gradient].map(|t| t.reshape([count]).into_dispatch()); // [numbers]
    let [m, v] = [moments.mean, moments.square].map(|t| t.to_device(&device).into_dispatch());
    let (p, m, v) = Dispatch::adam(p, g, m, v, step);
    let [p, mean, square] = [p, m, v].map(Tensor::<1>::from_dispatch);
    (p.reshape(shape), Moments { steps, mean, square })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;
    use burn::tensor::TensorData;

    #[derive(Module, Debug)]
    struct Vector {
        numbers: Param<Tensor<1>>,
    }

    /// Gradients, and the parameter after them: the algorithm of PyTorch's documentation in 64 bits, in Python.
    ///
    /// ```python
    /// m[i] = 0.9 * m[i] + 0.1 * g[i]; v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2
    /// p[i] -= 0.1 * (m[i] / (1 - 0.9 ** t)) / (math.sqrt(v[i] / (1 - 0.999 ** t)) + 1e-8)
    /// ```
    const STEPS: [([f32; 3], [f32; 3]); 3] = [
        ([0.1, -3.0, 0.0], [0.900_000_01, -1.900_000_1, 0.5]),
        ([0.2, 1.0, 1e-9], [0.803_481_8, -1.859_978_1, 0.495_084_5]),
        ([-0.4, 1.0, 0.0], [0.822_861_25, -1.849_761, 0.491_944_75]),
    ];

    fn start() -> Vector {
        let values = TensorData::from([1.0f32, -2.0, 0.5]);
        Vector { numbers: Param::from_tensor(Tensor::from_data(values, &Device::flex().autodiff())) }
    }

    /// A step whose gradient is `g`.
    fn step(optimizer: &mut Optimizer, vector: Vector, g: [f32; 3]) -> Vector {
        let mut gradients = GradientsParams::new();
        gradients.register(vector.numbers.id, Tensor::<1>::from_data(TensorData::from(g), &Device::flex()));
        optimizer.step(vector, gradients, 0.1)
    }

    fn check(vector: &Vector, expected: [f32; 3]) {
        let ours: Vec<f32> = vector.numbers.val().to_data().iter::<f32>().collect();
        for (a, b) in ours.iter().zip(expected) {
            assert!((a - b).abs() < 2e-7, "{ours:?} is not {expected:?}");
        }
    }

    #[test]
    fn steps_are_those_of_the_algorithm() {
        let (mut vector, mut optimizer) = (start(), Optimizer::new());
        for (g, expected) in STEPS {
            vector = step(&mut optimizer, vector, g);
            check(&vector, expected);
        }
        assert_eq!((optimizer.steps("numbers"), optimizer.steps("other")), (3, 0));
        assert!(vector.numbers.val().is_require_grad());
    }

    #[test]
    fn what_has_no_gradient_takes_no_step() {
        let mut optimizer = Optimizer::new();
        let vector = optimizer.step(start(), GradientsParams::new(), 0.1);
        check(&vector, [1.0, -2.0, 0.5]);
        assert_eq!(optimizer.steps("numbers"), 0);
    }

    #[test]
    fn a_saved_state_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("optimizer.safetensors");
        let (mut vector, mut optimizer) = (start(), Optimizer::new());
        for (i, (g, expected)) in STEPS.into_iter().enumerate() {
            vector = step(&mut optimizer, vector, g);
            check(&vector, expected);
            if i < 2 {
                optimizer.save(&file).unwrap();
                optimizer = Optimizer::load(&file, &Device::flex()).unwrap();
            }
        }
        std::fs::write(&file, "no tensors").unwrap();
        assert_eq!(Optimizer::load(&file, &Device::flex()).unwrap_err().exit_code(), 2);
    }
}
