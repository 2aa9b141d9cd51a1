//! Optimizers as PyTorch computes them; their state is kept by the paths of parameters, so that it can be carried into
//! another stage, and written to a file and read by another process.

mod algorithm;
mod clip;
mod rates;

pub use algorithm::Algorithm;
pub(crate) use algorithm::{named_or_table, named_or_table_schema};
pub use rates::Rates;

use crate::model::{ParameterMapper, map_parameters};
use crate::{Error, Result, storage};
use algorithm::Job;
use burn::backend::GradientCheckpointingStrategy;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Shape, Tensor, TensorData};
use safetensors::SafeTensors;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The state of an optimizer: running means of each parameter's gradients. Steps are counted for each parameter, and only
/// where it has a gradient. Adam updates a parameter and its moments in one pass over memory.
#[derive(Debug, Clone, Default)]
pub struct Optimizer {
    moments: BTreeMap<String, Moments>,
}

/// Running means of a parameter's gradient, its numbers in a row.
#[derive(Debug, Clone)]
struct Moments {
    steps: i32,
    mean: Tensor<1>,
    /// None where the algorithm has none.
    square: Option<Tensor<1>>,
}

impl Moments {
    fn zero(count: usize, device: &Device) -> Self {
        Self { steps: 0, mean: Tensor::zeros([count], device), square: None }
    }
}

/// Settings of a step.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// The optimizer.
    pub algorithm: &'a Algorithm,
    /// Learning rates of parameters.
    pub rates: &'a Rates,
    /// The epoch, from 0.
    pub epoch: usize,
    /// The largest norm of all gradients together; larger ones are scaled down to it.
    pub clip_norm: Option<f64>,
}

impl Optimizer {
    /// A fresh state, before the first step.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes every parameter of `module` that has a gradient.
    pub fn step<M: Module>(&mut self, module: M, gradients: GradientsParams, update: Update<'_>) -> M {
        let gradients = match update.clip_norm {
            Some(norm) => clip::to_norm(&module, gradients, norm),
            None => gradients,
        };
        let mut take = Take { optimizer: self, gradients, update, jobs: Vec::new(), taken: Vec::new() };
        let module = map_parameters(module, &mut take);
        let Take { jobs, taken, .. } = take;
        let mut put = Put { values: HashMap::new() };
        for (taken, (value, moments)) in taken.into_iter().zip(update.algorithm.step(jobs)) {
            self.moments.insert(taken.path.clone(), moments);
            put.values.insert(taken.id, (taken, value));
        }
        module.map(&mut put)
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
        let values = |tensor: &Tensor<1>| -> Vec<f32> { tensor.clone().into_data().iter::<f32>().collect() };
        let mut named = Vec::new();
        for (path, moments) in &self.moments {
            named.push((format!("mean/{path}"), values(&moments.mean)));
            named.extend(moments.square.as_ref().map(|square| (format!("square/{path}"), values(square))));
        }
        let tensors: Vec<storage::Tensor<'_>> =
            named.iter().map(|(name, values)| storage::Tensor::list(name, storage::Numbers::F32(values))).collect();
        let steps: Vec<(String, String)> =
            self.moments.iter().map(|(path, moments)| (path.clone(), moments.steps.to_string())).collect();
        storage::tensors(file, &tensors, &steps)
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
            let values =
                storage::floats(&view).ok_or_else(|| other(format!("`{name}` is {:?}, expected F32", view.dtype())))?;
            let count = values.len();
            Ok(Tensor::from_data(TensorData::new(values, [count]), &device))
        };
        let moments = header.metadata().iter().flatten().map(|(path, steps)| {
            let steps = steps.parse().map_err(|_| other(format!("`{path}` has taken `{steps}` steps")))?;
            let (mean, square) = (row(format!("mean/{path}"))?, format!("square/{path}"));
            let square = tensors.names().contains(&square.as_str()).then(|| row(square)).transpose()?;
            Ok((path.clone(), Moments { steps, mean, square }))
        });
        Ok(Self { moments: moments.collect::<Result<_>>()? })
    }
}

/// Takes the parameters that have a gradient out of a module, all of them before the first steps: so they go together.
struct Take<'a> {
    optimizer: &'a mut Optimizer,
    gradients: GradientsParams,
    update: Update<'a>,
    jobs: Vec<Job>,
    taken: Vec<Taken>,
}

/// What a parameter has beside its numbers.
struct Taken {
    id: ParamId,
    path: String,
    shape: Shape,
    trains: bool,
    checkpointing: Option<GradientCheckpointingStrategy>,
}

impl ParameterMapper for Take<'_> {
    fn map<const D: usize>(&mut self, path: &str, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let (id, moments) = (param.id, self.optimizer.moments.remove(path));
        let (lr, path) = (self.update.rates.of(path, self.update.epoch), path.to_owned());
        param.map(|value| {
            let (trains, checkpointing) = (value.is_require_grad(), value.gradient_checkpointing_strategy());
            let (shape, device, count) = (value.shape(), value.device(), value.shape().num_elements());
            self.taken.push(Taken { id, path, shape, trains, checkpointing });
            let (value, gradient) = (value.inner().reshape([count]), gradient.reshape([count])); // [numbers]
            self.jobs.push(Job { value, gradient, moments, lr });
            Tensor::empty([1; D], &device) // nobody else may hold the numbers that change
        })
    }
}

/// Puts them back.
struct Put {
    values: HashMap<ParamId, (Taken, Tensor<1>)>,
}

impl ModuleMapper for Put {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((taken, value)) = self.values.remove(&param.id) else { return param };
        param.map(|_| {
            let value = Tensor::<D>::from_inner(value.reshape(taken.shape));
            let value = match taken.checkpointing {
                Some(strategy) => value.with_gradient_checkpointing_strategy(strategy),
                None => value,
            };
            value.set_require_grad(taken.trains)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::within_ranges;
    use burn::module::Module;
    use burn::tensor::TensorData;

    #[derive(Module, Debug)]
    struct Vector {
        numbers: Param<Tensor<1>>,
    }

    /// Gradients of three steps.
    const GRADIENTS: [[f32; 3]; 3] = [[0.1, -3.0, 0.0], [0.2, 1.0, 1e-9], [-0.4, 1.0, 0.0]];

    /// The parameter after each step of Adam: the algorithm of PyTorch's documentation in 64 bits, in Python.
    ///
    /// ```python
    /// m[i] = 0.9 * m[i] + 0.1 * g[i]; v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2
    /// p[i] -= 0.1 * (m[i] / (1 - 0.9 ** t)) / (math.sqrt(v[i] / (1 - 0.999 ** t)) + 1e-8)
    /// ```
    const ADAM: [[f32; 3]; 3] = [
        [0.900_000_01, -1.900_000_1, 0.5],
        [0.803_481_8, -1.859_978_1, 0.495_084_5],
        [0.822_861_25, -1.849_761, 0.491_944_75],
    ];

    /// The parameter after the third step of other optimizers, from PyTorch:
    ///
    /// ```python
    /// G = [[.1, -3, 0], [.2, 1, 1e-9], [-.4, 1, 0]]
    /// def run(make, clip=None):
    ///     p = torch.nn.Parameter(torch.tensor([1., -2, .5], dtype=torch.float64)); o = make([p])
    ///     for g in G:
    ///         p.grad = torch.tensor(g, dtype=torch.float64)
    ///         if clip: torch.nn.utils.clip_grad_norm_([p], clip)
    ///         o.step()
    ///     print(p.tolist())
    /// ```
    const OTHERS: [(&str, Option<f64>, [f32; 3]); 6] = [
        // run(lambda p: torch.optim.Adam(p, lr=.1, weight_decay=.1))
        ("type = 'adam'\nweight_decay = 0.1", None, [0.786_862_1, -1.833_598_5, 0.204_871_31]),
        // run(lambda p: torch.optim.AdamW(p, lr=.1))
        ("type = 'adamw'", None, [0.820_160_7, -1.844_006_9, 0.490_451_16]),
        // run(lambda p: torch.optim.AdamW(p, lr=.1, betas=(.8, .99), eps=1e-3, weight_decay=.5), 1.5)
        (
            "type = 'adamw'\nbeta1 = 0.8\nbeta2 = 0.99\nepsilon = 0.001\nweight_decay = 0.5",
            Some(1.5),
            [0.715_351_3, -1.645_271_7, 0.428_687_41],
        ),
        // run(lambda p: torch.optim.SGD(p, lr=.1), 1)
        ("type = 'sgd'", Some(1.0), [1.014_196, -2.090_961_1, 0.5]),
        // run(lambda p: torch.optim.SGD(p, lr=.1, momentum=.9, weight_decay=.01))
        ("type = 'sgd'\nmomentum = 0.9\nweight_decay = 0.01", None, [0.969_352_8, -1.466_829_3, 0.497_197_4]),
        // run(lambda p: torch.optim.SGD(p, lr=.1, momentum=.9, nesterov=True))
        ("type = 'sgd'\nmomentum = 0.9\nnesterov = true", None, [0.987_41, -1.429_3, 0.5]),
    ];

    fn start() -> Vector {
        let values = TensorData::from([1.0f32, -2.0, 0.5]);
        Vector { numbers: Param::from_tensor(Tensor::from_data(values, &Device::flex().autodiff())) }
    }

    /// A step whose gradient is `g`.
    fn step(
        optimizer: &mut Optimizer,
        vector: Vector,
        g: [f32; 3],
        algorithm: &Algorithm,
        clip: Option<f64>,
    ) -> Vector {
        let mut gradients = GradientsParams::new();
        gradients.register(vector.numbers.id, Tensor::<1>::from_data(TensorData::from(g), &Device::flex()));
        let rates = Rates::constant(0.1);
        optimizer.step(vector, gradients, Update { algorithm, rates: &rates, epoch: 0, clip_norm: clip })
    }

    fn check(vector: &Vector, expected: [f32; 3]) {
        let ours: Vec<f32> = vector.numbers.val().to_data().iter::<f32>().collect();
        for (a, b) in ours.iter().zip(expected) {
            assert!((a - b).abs() < 3e-7, "{ours:?} is not {expected:?}");
        }
    }

    #[test]
    fn a_state_of_other_numbers_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.safetensors");
        let tensors = [storage::Tensor::list("mean/w", storage::Numbers::U32(&[1]))];
        storage::tensors(&file, &tensors, &[("w".to_owned(), "1".to_owned())]).unwrap();
        let error = Optimizer::load(&file, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("`mean/w` is U32, expected F32") && error.contains("state.safetensors"), "{error}");
    }

    #[test]
    fn adam_steps_are_those_of_the_algorithm() {
        let (mut vector, mut optimizer) = (start(), Optimizer::new());
        for (g, expected) in GRADIENTS.into_iter().zip(ADAM) {
            vector = step(&mut optimizer, vector, g, &Algorithm::default(), None);
            check(&vector, expected);
        }
        assert_eq!((optimizer.steps("numbers"), optimizer.steps("other")), (3, 0));
        assert!(vector.numbers.val().is_require_grad());
    }

    #[test]
    fn other_optimizers_step_as_in_pytorch() {
        for (options, clip, expected) in OTHERS {
            let algorithm: Algorithm = toml::from_str(options).unwrap();
            algorithm.check().unwrap();
            let (mut vector, mut optimizer) = (start(), Optimizer::new());
            for g in GRADIENTS {
                vector = step(&mut optimizer, vector, g, &algorithm, clip);
            }
            println!("{options}");
            check(&vector, expected);
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for (options, says) in [
            ("type = 'adam'\nbeta1 = 1.0", "`beta1`: expected at least 0 and less than 1, found 1"),
            ("type = 'adamw'\nweight_decay = -0.1", "`weight_decay`: expected a number of at least 0, found -0.1"),
            ("type = 'sgd'\nnesterov = true", "needs a momentum"),
        ] {
            let algorithm: Algorithm = toml::from_str(options).unwrap();
            let error = within_ranges(&algorithm).and_then(|()| algorithm.check()).unwrap_err().to_string();
            assert!(error.contains(says), "{options}: {error}");
        }
        assert!(toml::from_str::<Algorithm>("type = 'sgd'\nbeta1 = 0.5").is_err());
    }

    #[derive(Module, Debug)]
    struct Many {
        all: Vec<Param<Tensor<2>>>,
    }

    /// More parameters than go together, of many sizes; the third without a gradient in the first step, another held by
    /// somebody else.
    #[test]
    fn many_parameters_step_as_each_would_alone() {
        let device = crate::device::tested().unwrap().device;
        let sizes: Vec<[usize; 2]> = (0..37).map(|i| [[1, 1], [3, 5], [40, 33], [1, 700]][i % 4]).collect();
        let numbers = |i: usize, of: f32, [m, n]: [usize; 2]| -> Vec<f32> {
            (0..m * n).map(|k| (of + i as f32 * 0.7 + k as f32 * 1.3).sin()).collect()
        };
        let tensor = |values: Vec<f32>, shape: [usize; 2], device: &Device| {
            Tensor::<2>::from_data(TensorData::new(values, shape), device)
        };
        let of = |(i, &shape): (usize, &[usize; 2])| {
            Param::from_tensor(tensor(numbers(i, 0.3, shape), shape, &device.clone().autodiff()))
        };
        let mut many = Many { all: sizes.iter().enumerate().map(of).collect() };
        let held = many.all[5].val();
        let before: Vec<f32> = held.clone().into_data().iter().collect();
        let (algorithm, rates, mut optimizer) = (Algorithm::default(), Rates::constant(0.1), Optimizer::new());
        for step in 0..2 {
            let mut gradients = GradientsParams::new();
            for (i, (param, &shape)) in many.all.iter().zip(&sizes).enumerate().filter(|(i, _)| (*i, step) != (2, 0)) {
                gradients.register(param.id, tensor(numbers(i, 1.0 + step as f32, shape), shape, &device));
            }
            let update = Update { algorithm: &algorithm, rates: &rates, epoch: 0, clip_norm: None };
            many = optimizer.step(many, gradients, update);
        }
        assert_eq!(held.into_data().iter::<f32>().collect::<Vec<_>>(), before);
        assert_eq!((optimizer.steps("all.2"), optimizer.steps("all.36")), (1, 2));
        for (i, (param, &shape)) in many.all.iter().zip(&sizes).enumerate() {
            let gradients = (0..2).filter(|&step| (i, step) != (2, 0)).map(|s| numbers(i, 1.0 + s as f32, shape));
            let expected = adam_in_64_bits(numbers(i, 0.3, shape), gradients.collect());
            let ours: Vec<f32> = param.val().into_data().iter().collect();
            for (a, b) in ours.iter().zip(expected) {
                assert!((f64::from(*a) - b).abs() < 2e-6, "parameter {i}: {a} is not {b}");
            }
            assert!(param.val().is_require_grad() && param.val().dims() == shape);
        }
    }

    /// The algorithm of PyTorch's documentation, at a learning rate of 0.1.
    fn adam_in_64_bits(start: Vec<f32>, gradients: Vec<Vec<f32>>) -> Vec<f64> {
        let mut p: Vec<f64> = start.into_iter().map(f64::from).collect();
        let (mut m, mut v) = (vec![0.0; p.len()], vec![0.0; p.len()]);
        for (t, gradient) in (1..).zip(gradients) {
            for (i, g) in gradient.into_iter().map(f64::from).enumerate() {
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let (m, v): (f64, f64) = (m[i] / (1.0 - 0.9f64.powi(t)), v[i] / (1.0 - 0.999f64.powi(t)));
                p[i] -= 0.1 * m / (v.sqrt() + 1e-8);
            }
        }
        p
    }

    #[test]
    fn what_has_no_gradient_takes_no_step() {
        let mut optimizer = Optimizer::new();
        let (algorithm, rates) = (Algorithm::default(), Rates::constant(0.1));
        let update = Update { algorithm: &algorithm, rates: &rates, epoch: 0, clip_norm: Some(1.0) };
        let vector = optimizer.step(start(), GradientsParams::new(), update);
        check(&vector, [1.0, -2.0, 0.5]);
        assert_eq!(optimizer.steps("numbers"), 0);
    }

    #[test]
    fn a_saved_state_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("optimizer.safetensors");
        let momentum: Algorithm = toml::from_str(OTHERS[5].0).unwrap();
        for (algorithm, expected) in [(Algorithm::default(), ADAM[2]), (momentum, OTHERS[5].2)] {
            let (mut vector, mut optimizer) = (start(), Optimizer::new());
            for g in GRADIENTS {
                vector = step(&mut optimizer, vector, g, &algorithm, None);
                optimizer.save(&file).unwrap();
                optimizer = Optimizer::load(&file, &Device::flex()).unwrap();
            }
            check(&vector, expected);
        }
        std::fs::write(&file, "no tensors").unwrap();
        assert_eq!(Optimizer::load(&file, &Device::flex()).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_state_before_the_first_step_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("optimizer.safetensors");
        Optimizer::new().save(&file).unwrap();
        assert!(Optimizer::load(&file, &Device::flex()).unwrap().moments.is_empty());
    }
}
