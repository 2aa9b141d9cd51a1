//! The operations that every backend implements by hand, behind the functions of this module's siblings. Those with a body are
//! put together from the others where a backend has no kernel for them.

pub(super) mod composed;

use super::dropped::Dropped;
use super::{Csr, Precision, Relations};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, ExtensionType, backend_extension};
use std::sync::Arc;

/// What one update of Adam needs besides tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of gradients, β₁.
    pub beta1: f64,
    /// Decay of the mean of their squares, β₂.
    pub beta2: f64,
    /// Keeps the denominator from 0.
    pub epsilon: f64,
    /// Number of this step, from 1.
    pub time: i32,
}

impl AdamStep {
    /// The factors of m / (√v · a + b) in PyTorch's form of the update: lr / (1 − β₁ᵗ) and 1 / √(1 − β₂ᵗ).
    pub(super) fn factors(&self) -> (f64, f64) {
        (self.lr / (1.0 - self.beta1.powi(self.time)), (1.0 - self.beta2.powi(self.time)).sqrt().recip())
    }
}

/// What a cross-entropy of independent labels is made with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entropy {
    /// P, the weight of positives.
    pub positive: f32,
    /// N, the weight of negatives.
    pub negative: f32,
    /// ε inside the logarithms; where it is 0, these are computed so that they never overflow.
    pub epsilon: f32,
}

impl Entropy {
    /// All entries weigh the same.
    pub(super) const PLAIN: Self = Self { positive: 1.0, negative: 1.0, epsilon: 0.0 };
}

/// An activation whose values lie between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
}

/// A parameter with its gradient and what Adam remembers of it.
#[derive(ExtensionType, Debug, Clone)]
pub struct Learning<B: Backend> {
    /// The parameter.
    pub parameter: FloatTensor<B>,
    /// Its gradient.
    pub gradient: FloatTensor<B>,
    /// Mean of its gradients.
    pub mean: FloatTensor<B>,
    /// Mean of their squares.
    pub square: FloatTensor<B>,
}

impl<B: Backend> Learning<B> {
    fn map<C: Backend>(self, tensor: &mut impl FnMut(FloatTensor<B>) -> FloatTensor<C>) -> Learning<C> {
        let [parameter, gradient, mean, square] = [self.parameter, self.gradient, self.mean, self.square].map(tensor);
        Learning { parameter, gradient, mean, square }
    }
}

/// Declares [`Group`] from one list of its places, which are fields, as `ExtensionType` is derived of fields.
macro_rules! group {
    ($count:literal: $($place:ident)*) => {
        /// Parameters that are updated together. Where there are fewer, the rest of the places repeats one of them.
        #[derive(ExtensionType, Debug, Clone)]
        #[allow(missing_docs)]
        pub struct Group<B: Backend> {
            $(#[extension_type] pub $place: Learning<B>,)*
        }

        impl<B: Backend> Group<B> {
            /// The most parameters of a group.
            pub const SIZE: usize = $count;

            /// A group with what `place` gives for each place.
            pub fn new(mut place: impl FnMut() -> Learning<B>) -> Self {
                Self { $($place: place(),)* }
            }

            /// What stands in the places, in order.
            pub fn into_places(self) -> [Learning<B>; $count] {
                [$(self.$place),*]
            }

            /// The group with other places.
            pub(super) fn map_places(self, mut place: impl FnMut(Learning<B>) -> Learning<B>) -> Self {
                Self { $($place: place(self.$place),)* }
            }

            /// The same places with other tensors.
            pub(super) fn map<C: Backend>(self, mut tensor: impl FnMut(FloatTensor<B>) -> FloatTensor<C>) -> Group<C> {
                Group { $($place: self.$place.map(&mut tensor),)* }
            }
        }
    };
}

group!(16: p0 p1 p2 p3 p4 p5 p6 p7 p8 p9 p10 p11 p12 p13 p14 p15);

/// Kernels over [`Csr`]: `n` outputs, a table of `m` rows, `h` heads of `d` channels each.
///
/// Every output has one owner, which adds in the order of the members: there are no atomic operations, and repeated
/// calls give the same bits on the same device.
#[backend_extension(Flex, Cube: cfg(cube), Autodiff)]
pub trait Kernels: Backend {
    /// Attention over edges, and the log-sum-exp of the scores of each node and head.
    ///
    /// # Shapes
    /// - `target`: `[n, h]`, `source`: `[m, h]`, `values`: `[m, h * d]`
    /// - output: `[n, h * d]` and `[n, h]`
    fn edge_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of the three inputs of [`Kernels::edge_attention`], from that of its first output.
    #[allow(clippy::too_many_arguments)]
    fn edge_attention_backward(
        gradient: FloatTensor<Self>,
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The product of two matrices, each transposed first where asked, and its factors rounded where `precision` says so.
    ///
    /// # Shapes
    /// - `left`: `[m, k]`, or `[k, m]` transposed; `right`: `[k, n]`, or `[n, k]` transposed
    /// - output: `[m, n]`
    fn matrix_product(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        transposed: [bool; 2],
        precision: Precision,
    ) -> FloatTensor<Self>;

    /// The products of consecutive groups of rows with a matrix for each group, transposed first where asked.
    ///
    /// # Shapes
    /// - `values`: `[m, k]`, or `[m, n]` transposed; `matrices`: `[groups · k, n]`; `ends`: where each group's rows end
    /// - output: `[m, n]`, or `[m, k]` transposed
    fn segment_product(
        values: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
        transposed: bool,
    ) -> FloatTensor<Self>;

    /// Gradient of the matrices of [`Kernels::segment_product`], not transposed, from that of its output.
    fn segment_gradient(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
    ) -> FloatTensor<Self>;

    /// A layer of R-GCN with ReLU, for all members of a batch.
    ///
    /// # Shapes
    /// - `h`: `[nodes, batch · k]`, `weight`: `[k, n]`, `bias`: `[1, n]`, `matrices`: `[relations · k, n]`
    /// - output: `[nodes, batch · n]`
    fn relational_convolution(
        h: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        relations: Arc<Relations>,
    ) -> FloatTensor<Self> {
        composed::composed::<Self>([h, weight, bias, matrices], &relations)
    }

    /// Gradients of `h`, `weight`, `bias` and `matrices` of [`Kernels::relational_convolution`], from that of its output, and
    /// the output.
    fn relational_convolution_backward(
        gradient: FloatTensor<Self>,
        output: FloatTensor<Self>,
        h: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        relations: Arc<Relations>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let inputs = [gradient, output, h, weight, matrices];
        let [h, weight, bias, matrices] = composed::composed_backward::<Self>(inputs, &relations);
        (h, weight, bias, matrices)
    }

    /// A matrix with a row added to each of its rows.
    ///
    /// # Shapes
    /// - `values`, output: `[m, n]`; `row`: `[1, n]`
    fn add_row(values: FloatTensor<Self>, row: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The sum of the rows of a matrix.
    ///
    /// # Shapes
    /// - `values`: `[m, n]`; output: `[1, n]`
    fn row_sums(values: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The sum of all numbers, or their mean.
    ///
    /// # Shapes
    /// - `values`: any; output: `[1]`
    fn total(values: FloatTensor<Self>, mean: bool) -> FloatTensor<Self>;

    /// Weighted sums of rows: the product of the sparse matrix, or of its transpose, with the table.
    ///
    /// # Shapes
    /// - `values`: `[m, d]`
    /// - output: `[rows, d]`; rows beyond the matrix are zero
    fn sparse_product(values: FloatTensor<Self>, matrix: Arc<Csr>, transposed: bool, rows: usize) -> FloatTensor<Self>;

    /// For each list and channel the largest number among the rows, and at which entry of the list it stands, the first of
    /// equal ones; zero and −1 for a list without entries.
    ///
    /// # Shapes
    /// - `values`: `[m, d]`
    /// - output: `[n, d]` twice
    fn largest(values: FloatTensor<Self>, lists: Arc<Csr>) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradient of `values` of [`Kernels::largest`], of `rows` rows, from that of its first output and the second.
    fn largest_backward(
        gradient: FloatTensor<Self>,
        places: FloatTensor<Self>,
        lists: Arc<Csr>,
        rows: usize,
    ) -> FloatTensor<Self>;

    /// Softmax over the members of each set, dropout on the weights, weighted sum; and the log-sum-exp of the scores.
    ///
    /// # Shapes
    /// - `scores`: `[m, c]` with c = d, or c = 1 for the same weights in every channel; `values`: `[m, d]`
    /// - output: `[n, d]` and `[n, c]`
    fn set_attention(
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of `scores` and `values` of [`Kernels::set_attention`], from that of its first output.
    fn set_attention_backward(
        gradient: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Zero at the places that are dropped, grown elsewhere.
    ///
    /// # Shapes
    /// - output: that of `values`
    fn dropout(values: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self>;

    /// A row added to each row, negative numbers cut off, and places dropped.
    ///
    /// # Shapes
    /// - `values`, output: `[m, n]`; `row`: `[1, n]`
    fn rectify(values: FloatTensor<Self>, row: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self>;

    /// Gradient of `values` of [`Kernels::rectify`], from that of its output and the output.
    fn rectify_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>, scale: f32) -> FloatTensor<Self>;

    /// An activation of each number.
    ///
    /// # Shapes
    /// - output: that of `values`
    fn activate(values: FloatTensor<Self>, by: Activation) -> FloatTensor<Self> {
        composed::activate::<Self>(values, by)
    }

    /// Gradient of `values` of [`Kernels::activate`], from that of its output and the output.
    fn activate_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>, by: Activation) -> FloatTensor<Self> {
        composed::activate_backward::<Self>(gradient, output, by)
    }

    /// The mean of −P y ln(σ(z) + ε) − N (1 − y) ln(1 − σ(z) + ε) over all logits z.
    ///
    /// # Shapes
    /// - `logits`, `targets`: `[m, n]`; output: `[1]`
    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>, terms: Entropy) -> FloatTensor<Self>;

    /// Gradient of `logits` of [`Kernels::cross_entropy`], from that of its output.
    fn cross_entropy_backward(
        gradient: FloatTensor<Self>,
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        terms: Entropy,
    ) -> FloatTensor<Self>;

    /// Ones at the columns that each row lists, zeros elsewhere. `lists` has where each row's columns begin, the end of the
    /// last, counted from what follows, and then the columns.
    ///
    /// # Shapes
    /// - `lists`: `[rows + 1 + numbers]`; output: `[rows, columns]`, in 32 bits
    fn marks(lists: IntTensor<Self>, rows: usize, columns: usize) -> FloatTensor<Self>;

    /// The scores that codes and items of each patient give to columns in the copy path of a head. A list for each code and then
    /// for each item, if these enter; members are patient · ages + age.
    ///
    /// # Shapes
    /// - `own`, `near`: `[1, ages]`; `own_of`, `near_of`: `[codes, ages]`; `item`: `[1, 1]`; `item_of`: `[items, 1]`
    /// - output: `[lists + codes, patients]`: scores of codes for themselves, of codes for their neighbours, and of items
    #[allow(clippy::too_many_arguments)]
    fn copy_scores(
        own_of: FloatTensor<Self>,
        own: FloatTensor<Self>,
        near_of: FloatTensor<Self>,
        near: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        item: FloatTensor<Self>,
        lists: Arc<Csr>,
        patients: usize,
    ) -> FloatTensor<Self>;

    /// Gradients of `own_of`, `near_of` and `item_of` of [`Kernels::copy_scores`], from that of its output.
    fn copy_scores_backward(
        gradient: FloatTensor<Self>,
        own_of: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        lists: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// One update of Adam for the first `count` places of a group, in one pass over memory: the new parameters and moments,
    /// in the places of the old ones where nothing else holds them. All have the same step.
    ///
    /// # Shapes
    /// - all of a place: the parameter's
    fn adam(#[extension_type] group: Group<Self>, count: usize, step: AdamStep) -> Group<Self>;
}
