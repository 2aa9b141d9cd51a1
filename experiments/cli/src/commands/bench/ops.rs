//! `dualk bench ops`: each operation of `dualk_sdk::ops`, forward and with its backward pass.
//!
//! Bytes are counted from the equations, with 4-byte numbers; `gathered` are rows of a table that neighbours or set
//! members point at, `streamed` everything that is read or written once. With n nodes, E edges, S sets, M members,
//! R rows of the table and width d:
//!
//! | | gathered forward | streamed forward | gathered backward | streamed backward |
//! |---|---|---|---|---|
//! | attention | 4·E·d | 4·(2·E + 2·n + n·d) | 4·E·d | 4·(2·E + 4·n + 2·n·d) |
//! | propagate | 4·E·d | 4·(2·E + n·d) | 4·E·d | 4·(2·E + n·d) |
//! | softmax_pool | 8·M·d | 4·(M + S·d) | 16·M·d | 4·(M + S·d + 2·R·d) |
//! | pool | 4·M·d | 4·(M + S·d) | 4·M·d | 4·(M + S·d + R·d) |
//! | matmul m × k × n | | 4·(m·k + k·n + m·n) | | 8·(m·k + k·n + m·n) |
//!
//! Backward, attention reads each row of the gradient once an edge; a softmax pool reads scores and values again and adds
//! to both gradients.

use super::machine::{Limits, gather};
use super::report::{Format, Report, Times};
use super::setup::{set_threads, wait};
use super::workload::Sizes;
use super::{check_room, plain, size};
use clap::{Args, ValueEnum};
use dualk_sdk::burn::nn::{Dropout, DropoutConfig};
use dualk_sdk::burn::tensor::{Device, Distribution, Tensor};
use dualk_sdk::data::{Dataset, Sets};
use dualk_sdk::experiment::device;
use dualk_sdk::ops::{Adjacency, Pooling, attention, matmul, pool, propagate, softmax_pool};
use dualk_sdk::serde_json::{Value, json};
use dualk_sdk::{Error, Result};
use std::sync::Arc;
use std::time::Instant;

const SLOPE: f64 = 0.2;

/// Arguments of `dualk bench ops`.
#[derive(Args)]
pub struct Ops {
    /// Operations to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kernel::ALL)]
    only: Vec<Kernel>,
    /// Width of a row, one head.
    #[arg(long, default_value_t = 256, value_parser = size)]
    width: usize,
    /// Width of the node features.
    #[arg(long, default_value_t = 2000, value_parser = size)]
    features: usize,
    /// Patients whose visits and codes the sets are.
    #[arg(long, default_value_t = 256, value_parser = size)]
    batch: usize,
    /// How often each is measured; the median counts.
    #[arg(long, default_value_t = 5, value_parser = size)]
    repeats: usize,
    /// Leave the plain formulations out: they take n × n numbers several times.
    #[arg(long)]
    no_plain: bool,
    #[command(flatten)]
    sizes: Sizes,
    /// Compute on auto, cpu, cuda, cuda:1, wgpu …
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of the CPU. Default: all.
    #[arg(long, value_parser = size)]
    threads: Option<usize>,
    #[command(flatten)]
    format: Format,
}

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kernel {
    /// Additive attention over incoming edges, as GAT has it.
    Attention,
    /// Weighted sum over incoming edges, as GCN has it.
    Propagate,
    /// Softmax pool of codes to visits.
    SoftmaxPoolCodes,
    /// Softmax pool of visits to patients.
    SoftmaxPoolVisits,
    /// Sum of codes to visits.
    Pool,
    /// The products of a step: features to the first layer, a layer to the next, patients to codes.
    Matmul,
}

impl Kernel {
    const ALL: [Self; 6] =
        [Self::Attention, Self::Propagate, Self::SoftmaxPoolCodes, Self::SoftmaxPoolVisits, Self::Pool, Self::Matmul];

    fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Propagate => "propagate",
            Self::SoftmaxPoolCodes => "softmax_pool codes",
            Self::SoftmaxPoolVisits => "softmax_pool visits",
            Self::Pool => "pool",
            Self::Matmul => "matmul",
        }
    }
}

/// What one pass moves and computes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    gathered: f64,
    streamed: f64,
    flop: f64,
}

impl Cost {
    fn plus(self, other: Self) -> Self {
        Self {
            gathered: self.gathered + other.gathered,
            streamed: self.streamed + other.streamed,
            flop: self.flop + other.flop,
        }
    }

    /// Forward and backward pass over a graph.
    fn of_graph(kernel: Kernel, nodes: usize, edges: usize, width: usize) -> [Self; 2] {
        let (n, e, d) = (nodes as f64, edges as f64, width as f64);
        match kernel {
            Kernel::Attention => [
                Self { gathered: 4.0 * e * d, streamed: 4.0 * (2.0 * e + 2.0 * n + n * d), flop: e * (2.0 * d + 6.0) },
                Self {
                    gathered: 4.0 * e * d,
                    streamed: 4.0 * (2.0 * e + 4.0 * n + 2.0 * n * d),
                    flop: e * (4.0 * d + 5.0),
                },
            ],
            _ => [Self { gathered: 4.0 * e * d, streamed: 4.0 * (2.0 * e + n * d), flop: 2.0 * e * d }; 2],
        }
    }

    /// Forward and backward pass of a product of `[m, k]` and `[k, n]`.
    fn of_product([m, k, n]: [usize; 3]) -> [Self; 2] {
        let [m, k, n] = [m, k, n].map(|x| x as f64);
        let forward = Self { gathered: 0.0, streamed: 4.0 * (m * k + k * n + m * n), flop: 2.0 * m * k * n };
        [forward, forward.plus(forward)]
    }

    /// Forward and backward pass over sets of rows of a table.
    fn of_sets(kernel: Kernel, rows: usize, sets: &Sets, width: usize) -> [Self; 2] {
        let (m, s, r, d) = (sets.members().values().len() as f64, sets.len() as f64, rows as f64, width as f64);
        match kernel {
            Kernel::Pool => [
                Self { gathered: 4.0 * m * d, streamed: 4.0 * (m + s * d), flop: m * d },
                Self { gathered: 4.0 * m * d, streamed: 4.0 * (m + s * d + r * d), flop: m * d },
            ],
            _ => [
                Self { gathered: 8.0 * m * d, streamed: 4.0 * (m + s * d), flop: 7.0 * m * d },
                Self { gathered: 16.0 * m * d, streamed: 4.0 * (m + s * d + 2.0 * r * d), flop: 9.0 * m * d },
            ],
        }
    }
}

/// An operation on tracked inputs.
type Call = Box<dyn Fn(&[Tensor<2>]) -> Tensor<2>>;

/// An operation with its inputs and what it costs.
struct Work {
    name: String,
    /// Shapes of the inputs, which are random.
    inputs: Vec<[usize; 2]>,
    ours: Call,
    plain: Option<Call>,
    costs: [Cost; 2],
    /// GB/s at which the CPU reads rows in the order of the edges.
    gather: Option<f64>,
}

impl Work {
    /// The largest difference between ours and the plain formulation.
    fn difference(&self, inputs: &[Tensor<2>]) -> Option<f64> {
        let plain = self.plain.as_ref()?;
        let difference = ((self.ours)(inputs) - plain(inputs)).abs().max();
        Some(difference.into_data().iter::<f64>().next().unwrap_or(f64::NAN))
    }
}

impl Ops {
    pub fn run(self) -> Result<()> {
        self.check()?;
        set_threads(self.threads)?;
        let device = device::open(&self.device)?;
        let limits = match device.name.as_str() {
            "cpu" => Some(Limits::measure(self.sizes.nodes, self.width)?),
            _ => None, // bandwidths are measured for the CPU alone
        };
        let data = self.sizes.dataset(self.batch, false)?;
        let mut report = Report::new(self.format);
        // One after the other: the plain formulations take n × n numbers.
        let sparse = self.only.iter().filter(|&&kernel| kernel != Kernel::Matmul);
        let sparse = sparse.map(|&kernel| self.sparse_work(kernel, &data, &device.device, limits.is_some()));
        let products = self.only.contains(&Kernel::Matmul).then(|| self.products());
        for work in sparse.chain(products.into_iter().flatten()) {
            for measured in self.measure(&work, &device.device.clone().autodiff(), &device.name, limits)? {
                report.add(measured);
            }
        }
        report.finish();
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.sizes.check()?;
        let widest = self.width.max(self.features).max(self.sizes.targets);
        check_room("tables of these sizes", (self.sizes.nodes + self.batch) as f64 * widest as f64)?;
        let flags =
            [("width", self.width), ("features", self.features), ("batch", self.batch), ("repeats", self.repeats)];
        match flags.into_iter().find(|&(_, value)| value == 0) {
            Some((flag, _)) => Err(Error::user(format!("--{flag}: expected at least 1, found 0"))),
            None => Ok(()),
        }
    }

    /// An operation over the graph or over sets; `gathers` where the rate of gathering its edges is measured too.
    fn sparse_work(&self, kernel: Kernel, data: &Dataset, device: &Device, gathers: bool) -> Work {
        let codes = Sets::new((*data.vocabulary.admission_codes).clone());
        match kernel {
            Kernel::Attention | Kernel::Propagate => {
                let adjacency = match kernel {
                    Kernel::Attention => Adjacency::with_self_loops(&data.graph),
                    _ => Adjacency::normalized(&data.graph, true),
                };
                let csr = adjacency.csr();
                let gather = gathers.then(|| gather(csr.members(), adjacency.nodes(), self.width));
                Work { gather, ..self.graph_work(kernel, adjacency, device) }
            }
            Kernel::SoftmaxPoolVisits => {
                let visits = data.cohort.admissions.rows().map(|row| row.iter().map(|&a| a as u32));
                self.set_work(kernel, codes.len(), &Sets::new(visits.collect()), device)
            }
            _ => self.set_work(kernel, self.sizes.nodes, &codes, device),
        }
    }

    /// The products of a step.
    fn products(&self) -> [Work; 3] {
        let (nodes, d) = (self.sizes.nodes, self.width);
        let shapes = [[nodes, self.features, d], [nodes, d, d], [self.batch, d, self.sizes.targets]];
        shapes.map(|shape| self.product_work(shape))
    }

    fn graph_work(&self, kernel: Kernel, adjacency: Arc<Adjacency>, device: &Device) -> Work {
        let (n, d, with_plain) = (adjacency.nodes(), self.width, !self.no_plain);
        let costs = Cost::of_graph(kernel, n, adjacency.edges(), d);
        if kernel == Kernel::Propagate {
            let plain = with_plain.then(|| plain::Propagate::new(&adjacency, device));
            let plain = plain.map(|p| -> Call { Box::new(move |x| p.forward(x[0].clone())) });
            let ours: Call = Box::new(move |x| propagate(&adjacency, x[0].clone()));
            return Work { name: kernel.name().into(), inputs: vec![[n, d]], ours, plain, costs, gather: None };
        }
        let plain = with_plain
            .then(|| plain::Attention::new(&adjacency, device))
            .map(|p| -> Call { Box::new(move |x| p.forward(x[0].clone(), x[1].clone(), x[2].clone(), SLOPE)) });
        let ours: Call = Box::new(move |x| attention(&adjacency, x[0].clone(), x[1].clone(), x[2].clone(), SLOPE));
        Work { name: kernel.name().into(), inputs: vec![[n, 1], [n, 1], [n, d]], ours, plain, costs, gather: None }
    }

    fn product_work(&self, shape: [usize; 3]) -> Work {
        let [m, k, n] = shape;
        Work {
            name: format!("{} {m} × {k} × {n}", Kernel::Matmul.name()),
            inputs: vec![[m, k], [k, n]],
            ours: Box::new(|x| matmul(x[0].clone(), x[1].clone())),
            plain: (!self.no_plain).then(|| -> Call { Box::new(|x| x[0].clone().matmul(x[1].clone())) }),
            costs: Cost::of_product(shape),
            gather: None,
        }
    }

    fn set_work(&self, kernel: Kernel, rows: usize, sets: &Sets, device: &Device) -> Work {
        let (sets, d) = (sets.clone(), self.width);
        let costs = Cost::of_sets(kernel, rows, &sets, d);
        let padding = (sets.clone(), device.clone());
        let padded = move || plain::Padded::new(&padding.0, &padding.1);
        let (inputs, ours, plain): (_, Call, Call) = match kernel {
            Kernel::Pool => (
                vec![[rows, d]],
                Box::new(move |x| pool(x[0].clone(), &sets, Pooling::Sum)),
                Box::new(move |x| padded().sum(x[0].clone())),
            ),
            _ => {
                let off: Dropout = DropoutConfig::new(0.0).init();
                (
                    vec![[rows, d]; 2],
                    Box::new(move |x| softmax_pool(x[0].clone(), x[1].clone(), &sets, &off)),
                    Box::new(move |x| padded().softmax_pool(x[0].clone(), x[1].clone())),
                )
            }
        };
        Work { name: kernel.name().into(), inputs, ours, plain: (!self.no_plain).then_some(plain), costs, gather: None }
    }

    /// One measurement for the forward pass, one for both passes.
    fn measure(&self, work: &Work, device: &Device, name: &str, limits: Option<Limits>) -> Result<Vec<Value>> {
        let random = |shape: &[usize; 2]| Tensor::<2>::random(*shape, Distribution::Uniform(-1.0, 1.0), device);
        let inputs: Vec<Tensor<2>> = work.inputs.iter().map(random).collect();
        let difference = work.difference(&inputs);
        let passes = [("forward", false, work.costs[0]), ("forward+backward", true, work.costs[0].plus(work.costs[1]))];
        let mut out = Vec::new();
        for (pass, backward, cost) in passes {
            let ours = self.time(&work.ours, &inputs, backward, device)?;
            let plain = work.plain.as_ref().map(|p| self.time(p, &inputs, backward, device)).transpose()?;
            let seconds = ours.median();
            let floor = limits.map(|l| cost.gathered / l.table / 1e9 + cost.streamed / l.read / 1e9);
            out.push(json!({
                "bench": "ops",
                "kernel": work.name,
                "pass": pass,
                "device": name,
                "threads": rayon::current_num_threads(),
                "nodes": self.sizes.nodes,
                "edges": self.sizes.edges,
                "width": self.width,
                "seconds": seconds,
                "seconds_min": ours.min(),
                "seconds_max": ours.max(),
                "plain_seconds": plain.as_ref().map(Times::median),
                "speedup": plain.map(|p| p.median() / seconds),
                "max_difference": difference,
                "bytes_gathered": cost.gathered,
                "bytes_streamed": cost.streamed,
                "gb_per_s": (cost.gathered + cost.streamed) / seconds / 1e9,
                "flop": cost.flop,
                "gflop_per_s": cost.flop / seconds / 1e9,
                "table_gb_per_s": limits.map(|l| l.table),
                "read_gb_per_s": limits.map(|l| l.read),
                "gather_gb_per_s": work.gather,
                "gather_fraction": work.gather.map(|rate| cost.gathered / rate / 1e9 / seconds),
                "bandwidth_fraction": floor.map(|f| f / seconds),
                "matmul_gflop_per_s": limits.map(|l| l.matmul),
                "flop_fraction": limits.map(|l| cost.flop / seconds / 1e9 / l.matmul),
            }));
        }
        Ok(out)
    }

    /// Once to warm up, then `repeats` times.
    fn time(&self, call: &Call, inputs: &[Tensor<2>], backward: bool, device: &Device) -> Result<Times> {
        let mut seconds = Vec::new();
        for _ in 0..=self.repeats {
            let inputs: Vec<Tensor<2>> = match backward {
                true => inputs.iter().map(|x| x.clone().detach().require_grad()).collect(),
                false => inputs.iter().map(|x| x.clone().inner()).collect(),
            };
            wait(device)?;
            let start = Instant::now();
            let out = call(&inputs);
            // The gradient of a sum is constant, which the backward pass must still read for every row.
            let gradients = backward.then(|| out.clone().sum().backward());
            wait(device)?;
            seconds.push(start.elapsed().as_secs_f64());
            drop((out, gradients));
        }
        Ok(Times::new(seconds.split_off(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ours and the plain formulation are written separately and must agree.
    #[test]
    fn plain_formulations_agree() {
        let sizes = Sizes { nodes: 30, edges: 200, targets: 20, visits: 2.0, codes: 5.0, labs: vec![3], seed: 2 };
        let format = clap_format();
        let ops = Ops {
            only: Kernel::ALL.to_vec(),
            width: 8,
            features: 10,
            batch: 6,
            repeats: 1,
            no_plain: false,
            sizes,
            device: "cpu".into(),
            threads: None,
            format,
        };
        let data = ops.sizes.dataset(6, false).unwrap();
        let device = Device::flex();
        let sets = Sets::new((*data.vocabulary.admission_codes).clone());
        let of = |kernel| match kernel {
            Kernel::Attention => ops.graph_work(kernel, Adjacency::with_self_loops(&data.graph), &device),
            Kernel::Propagate => ops.graph_work(kernel, Adjacency::normalized(&data.graph, true), &device),
            Kernel::Matmul => ops.product_work([30, 10, 8]),
            _ => ops.set_work(kernel, 30, &sets, &device),
        };
        for kernel in Kernel::ALL {
            let measured = ops.measure(&of(kernel), &device.clone().autodiff(), "cpu", None).unwrap();
            assert_eq!(measured.len(), 2);
            let difference = measured[0]["max_difference"].as_f64().unwrap();
            assert!(difference < 1e-5, "{kernel:?}: {difference}");
        }
    }

    #[test]
    fn costs_are_counted_by_hand() {
        let [forward, backward] = Cost::of_graph(Kernel::Propagate, 3, 5, 4);
        assert_eq!(forward, Cost { gathered: 80.0, streamed: 4.0 * (10.0 + 12.0), flop: 40.0 });
        assert_eq!(forward, backward);
        let sets = Sets::new([vec![0u32, 1, 2], vec![1]].into_iter().collect());
        let [forward, backward] = Cost::of_sets(Kernel::Pool, 3, &sets, 2);
        assert_eq!(forward, Cost { gathered: 32.0, streamed: 4.0 * (4.0 + 4.0), flop: 8.0 });
        assert_eq!(backward.streamed, 4.0 * (4.0 + 4.0 + 6.0));
    }

    fn clap_format() -> Format {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            format: Format,
        }
        <Only as clap::Parser>::parse_from(["bench"]).format
    }
}
