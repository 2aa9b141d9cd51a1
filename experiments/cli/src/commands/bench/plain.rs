//! The operations of `dualk_sdk::ops` written with nothing but tensors, to compare speed and results with: edges as
//! an n × n matrix, sets padded to the longest.

use dualk_sdk::burn::tensor::activation::{leaky_relu, softmax};
use dualk_sdk::burn::tensor::{Device, Int, Tensor, TensorData};
use dualk_sdk::data::Sets;
use dualk_sdk::ops::Adjacency;

/// Stands for −∞: its exponential is 0 in 32 bits, and it makes no NaN.
const ABSENT: f32 = -1e30;

/// Edges as a matrix, row = target, column = source: `of(weight, how many)` where there are any, else `absent`.
fn matrix(adjacency: &Adjacency, of: impl Fn(f32, f32) -> f32, absent: f32, device: &Device) -> Tensor<2> {
    let n = adjacency.nodes();
    let (mut sums, mut counts) = (vec![0f32; n], vec![0f32; n]);
    let mut values = Vec::with_capacity(n * n);
    for target in 0..n {
        sums.fill(0.0);
        counts.fill(0.0);
        let (sources, weights) = adjacency.incoming(target);
        for (&source, &weight) in sources.iter().zip(weights) {
            sums[source as usize] += weight;
            counts[source as usize] += 1.0;
        }
        values.extend(sums.iter().zip(&counts).map(|(&w, &c)| if c > 0.0 { of(w, c) } else { absent }));
    }
    Tensor::from_data(TensorData::new(values, [n, n]), &device.clone().without_autodiff())
}

/// Attention over incoming edges of one head.
pub struct Attention(Tensor<2>);

impl Attention {
    /// The matrix is made once for a graph, as the operation's own structures are.
    pub fn new(adjacency: &Adjacency, device: &Device) -> Self {
        Self(matrix(adjacency, |_, count| count.ln(), ABSENT, device))
    }

    /// # Shapes
    /// - `target`, `source`: `[nodes, 1]`
    /// - `values`, output: `[nodes, d]`
    pub fn forward(&self, target: Tensor<2>, source: Tensor<2>, values: Tensor<2>, slope: f64) -> Tensor<2> {
        let scores = leaky_relu(target + source.transpose(), slope) + self.0.clone(); // [nodes, nodes]
        softmax(scores, 1).matmul(values) // [nodes, d]
    }
}

/// Weighted sum over incoming edges.
pub struct Propagate(Tensor<2>);

impl Propagate {
    /// The matrix of an adjacency on a device, as of [`Attention`].
    pub fn new(adjacency: &Adjacency, device: &Device) -> Self {
        Self(matrix(adjacency, |weight, _| weight, 0.0, device))
    }

    /// # Shapes
    /// - `values`, output: `[nodes, d]`
    pub fn forward(&self, values: Tensor<2>) -> Tensor<2> {
        self.0.clone().matmul(values) // [nodes, d]
    }
}

/// Sets padded with row 0 to the longest.
pub struct Padded {
    rows: Tensor<1, Int>,
    /// 1 for members, 0 for padding: `[sets, longest, 1]`.
    mask: Tensor<3>,
    shape: [usize; 2],
}

impl Padded {
    pub fn new(sets: &Sets, device: &Device) -> Self {
        let (count, longest) = (sets.len(), sets.longest());
        let (mut rows, mut mask) = (vec![0i32; count * longest], vec![0f32; count * longest]);
        for (i, members) in sets.members().rows().enumerate() {
            for (j, &row) in members.iter().enumerate() {
                (rows[i * longest + j], mask[i * longest + j]) = (row as i32, 1.0);
            }
        }
        let device = device.clone().without_autodiff();
        let rows = Tensor::from_data(TensorData::new(rows, [count * longest]), &device);
        let mask = Tensor::from_data(TensorData::new(mask, [count, longest, 1]), &device);
        Self { rows, mask, shape: [count, longest] }
    }

    /// `[rows, d]` → `[sets, longest, d]`
    fn gather(&self, table: Tensor<2>) -> Tensor<3> {
        let ([_, d], [sets, longest]) = (table.dims(), self.shape);
        table.select(0, self.rows.clone()).reshape([sets, longest, d])
    }

    /// Softmax over members for every channel, and the weighted sum.
    ///
    /// # Shapes
    /// - `scores`, `values`: `[rows, d]`
    /// - output: `[sets, d]`
    pub fn softmax_pool(&self, scores: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        let hidden = (self.mask.clone() - 1.0) * -ABSENT; // [sets, longest, 1]
        let weights = softmax(self.gather(scores) + hidden, 1) * self.mask.clone(); // [sets, longest, d]
        (weights * self.gather(values)).sum_dim(1).squeeze_dim(1) // [sets, d]
    }

    /// Sum over members.
    ///
    /// # Shapes
    /// - `values`: `[rows, d]`
    /// - output: `[sets, d]`
    pub fn sum(&self, values: Tensor<2>) -> Tensor<2> {
        (self.gather(values) * self.mask.clone()).sum_dim(1).squeeze_dim(1) // [sets, d]
    }
}
