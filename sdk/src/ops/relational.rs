//! Convolutions over graphs whose edges have relations, each with weights of its own.

use super::dropout::Dropped;
use super::kernels::Kernels;
use super::{Csr, Precision};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::Tensor;
use std::ops::Range;
use std::sync::Arc;

/// The edges of a graph by their relations, as [`relational_convolution`] wants them. A row for each pair of a relation and a
/// node that it leads to, relation after relation.
#[derive(Debug)]
pub struct Relations {
    /// For each row the nodes that it comes from.
    arriving: Arc<Csr>,
    /// For each node the rows that lead to it, ascending.
    adding: Arc<Csr>,
    /// The node that each row leads to.
    to: Vec<u32>,
    /// The relation of each row.
    of_row: Vec<u32>,
    /// Where the rows of each relation end.
    ends: Vec<usize>,
}

impl Relations {
    /// Of a graph of `nodes` nodes: for each row the nodes that it comes from, with weights where these are not 1; the node that
    /// it leads to; and where the rows of each relation end, which has at least one. Repeats count.
    ///
    /// # Panics
    /// When the parts do not fit together, or a row comes from or leads to what is no node.
    pub fn new(nodes: usize, arriving: Arc<Csr>, to: &[u32], ends: Vec<usize>) -> Arc<Self> {
        let rows = arriving.len();
        let grow = ends.first().is_some_and(|&end| end > 0) && ends.windows(2).all(|two| two[0] < two[1]);
        assert!(grow && ends.last() == Some(&rows), "relations that end at {ends:?} for {rows} rows");
        assert!(to.len() == rows, "{} nodes to lead to for {rows} rows", to.len());
        let last = to.iter().map(|&node| node as usize + 1).max().unwrap_or(0).max(arriving.columns());
        assert!(last <= nodes, "{last} nodes at the ends of rows, of {nodes}");
        let mut of_node: Vec<Vec<u32>> = vec![Vec::new(); nodes];
        for (row, &node) in (0u32..).zip(to) {
            of_node[node as usize].push(row);
        }
        let mut of_row: Vec<u32> = Vec::with_capacity(rows);
        for (relation, &end) in (0u32..).zip(&ends) {
            of_row.resize(end, relation);
        }
        let adding = Csr::of(&of_node.into_iter().collect());
        Arc::new(Self { arriving, adding, to: to.to_vec(), of_row, ends })
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.adding.len()
    }

    /// Number of relations.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// For each row the nodes that it comes from.
    pub(super) fn arriving(&self) -> &Csr {
        &self.arriving
    }

    /// For each node the rows that lead to it.
    pub(super) fn adding(&self) -> &Csr {
        &self.adding
    }

    /// The node that each row leads to.
    pub(super) fn to(&self) -> &[u32] {
        &self.to
    }

    /// The rows of a relation.
    pub(super) fn rows(&self, relation: usize) -> Range<usize> {
        let before = relation.checked_sub(1).map_or(0, |before| self.ends[before]);
        before..self.ends[relation]
    }

    /// The relation of a row.
    pub(super) fn of_row(&self, row: usize) -> usize {
        self.of_row[row] as usize
    }

    /// Where the rows of each relation end when each is there `batch` times.
    fn ends(&self, batch: usize) -> Arc<Vec<usize>> {
        Arc::new(self.ends.iter().map(|end| end * batch).collect())
    }
}

/// A layer of R-GCN (Schlichtkrull et al., Modeling Relational Data with Graph Convolutional Networks, ESWC 2018, eq. 2), with
/// ReLU, for all members of a batch, which have the graph in common: for each of them and each node i,
///
/// output_i = ReLU(h_i W + b + Σ_r (Σ_{j →r i} w_j h_j) W_r).
///
/// On the CPU one kernel forward and one backward, with O(batch · (edges · k + (rows + nodes) · k · n)) work. They go through
/// the graph with a few members at a time, so that nothing of rows × batch is ever in memory; what stays for the backward pass
/// are inputs and output. Other devices put it together from [`weighted_sums`](super::weighted_sums) and
/// [`segment_matmul`](super::segment_matmul), and hold some tables of rows × batch · k numbers for the time of it.
///
/// # Shapes
/// - `h`: `[nodes, batch · k]`, for each node the members of the batch one after the other
/// - `weight`: `[k, n]`, `bias`: `[n]`
/// - `matrices`: `[relations · k, n]`, the W_r one below the other
/// - output: `[nodes, batch · n]`
///
/// # Panics
/// When the tensors have other shapes.
pub fn relational_convolution(
    relations: &Arc<Relations>,
    h: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    matrices: Tensor<2>,
) -> Tensor<2> {
    let ([nodes, columns], [k, n]) = (h.dims(), weight.dims());
    let fits = nodes == relations.nodes()
        && k > 0
        && columns.is_multiple_of(k)
        && matrices.dims() == [relations.count() * k, n]
        && bias.as_ref().is_none_or(|bias| bias.dims() == [n]);
    assert!(
        fits,
        "{} relations over {} nodes: h {:?}, weight {:?}, bias {:?}, matrices {:?}",
        relations.count(),
        relations.nodes(),
        h.dims(),
        weight.dims(),
        bias.as_ref().map(|bias| bias.dims()),
        matrices.dims()
    );
    if columns == 0 || n == 0 {
        return Tensor::zeros([nodes, columns / k * n], &h.device());
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([n], (&weight.device(), weight.dtype())));
    let bias = bias.unsqueeze_dim::<2>(0); // [1, n]
    let [h, weight, bias, matrices] = [h, weight, bias, matrices].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::relational_convolution(h, weight, bias, matrices, relations.clone()))
}

/// The layer from `h`, `weight`, `bias` and `matrices` by other kernels, for devices without one for all of it.
pub(super) fn composed<B: Kernels>(
    [h, weight, bias, matrices]: [FloatTensor<B>; 4],
    relations: &Relations,
) -> FloatTensor<B> {
    let [batch, k, n] = sizes::<B>(&h, &weight);
    let (nodes, rows) = (relations.nodes(), relations.arriving.len());
    let arrived = B::sparse_product(h.clone(), relations.arriving.clone(), false, rows); // [rows, batch · k]
    let arrived = reshaped::<B>(arrived, rows * batch, k);
    let turned = B::segment_product(arrived, matrices, relations.ends(batch), false); // [rows · batch, n]
    let turned = reshaped::<B>(turned, rows, batch * n);
    let added = B::sparse_product(turned, relations.adding.clone(), false, nodes); // [nodes, batch · n]
    let own = B::matrix_product(reshaped::<B>(h, nodes * batch, k), weight, [false; 2], Precision::F32);
    let sum = B::float_add(own, reshaped::<B>(added, nodes * batch, n));
    reshaped::<B>(B::rectify(sum, bias, Dropped::NOTHING), nodes, batch * n)
}

/// Gradients of `h`, `weight`, `bias` and `matrices` of [`composed`], from that of its output, the output and inputs. What
/// arrives in rows is summed up once more.
pub(super) fn composed_backward<B: Kernels>(
    [gradient, output, h, weight, matrices]: [FloatTensor<B>; 5],
    relations: &Relations,
) -> [FloatTensor<B>; 4] {
    let [batch, k, n] = sizes::<B>(&h, &weight);
    let (nodes, rows, ends) = (relations.nodes(), relations.arriving.len(), relations.ends(batch));
    let gradient = B::rectify_backward(gradient, output, 1.0); // [nodes, batch · n]
    let of_rows = B::sparse_product(gradient.clone(), relations.adding.clone(), true, rows); // [rows, batch · n]
    let of_rows = reshaped::<B>(of_rows, rows * batch, n);
    let arrived = B::sparse_product(h.clone(), relations.arriving.clone(), false, rows); // [rows, batch · k]
    let arrived = reshaped::<B>(arrived, rows * batch, k);
    let of_matrices = B::segment_gradient(arrived, of_rows.clone(), ends.clone());
    let of_arrived = B::segment_product(of_rows, matrices, ends, true); // [rows · batch, k]
    let of_arrived = reshaped::<B>(of_arrived, rows, batch * k);
    let of_sources = B::sparse_product(of_arrived, relations.arriving.clone(), true, nodes); // [nodes, batch · k]
    let (h, gradient) = (reshaped::<B>(h, nodes * batch, k), reshaped::<B>(gradient, nodes * batch, n));
    let of_weight = B::matrix_product(h, gradient.clone(), [true, false], Precision::F32);
    let of_own = B::matrix_product(gradient.clone(), weight, [false, true], Precision::F32); // [nodes · batch, k]
    let of_h = B::float_add(reshaped::<B>(of_own, nodes, batch * k), of_sources);
    [of_h, of_weight, B::row_sums(gradient), of_matrices]
}

/// Members of the batch, and the numbers that a node has before and after.
fn sizes<B: Kernels>(h: &FloatTensor<B>, weight: &FloatTensor<B>) -> [usize; 3] {
    let (h, weight) = (h.shape(), weight.shape());
    [h[1] / weight[0], weight[0], weight[1]]
}

fn reshaped<B: Kernels>(tensor: FloatTensor<B>, rows: usize, columns: usize) -> FloatTensor<B> {
    B::float_reshape(tensor, [rows, columns].into())
}
