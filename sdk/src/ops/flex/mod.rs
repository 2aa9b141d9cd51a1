//! Kernels on the CPU. Rows of the output are divided among threads; each row has one owner.

mod activations;
mod adam;
mod copy_scores;
mod cross_entropy;
mod dot_attention;
mod dropout;
mod dynamic_attention;
mod edge_attention;
mod edge_passes;
mod largest;
mod real;
mod relational;
mod row_attention;
mod segments;
mod set_attention;
mod sparse_product;
mod tile_scores;
mod tiles;

use super::dropped::Dropped;
use super::kernels::{Activation, AdamStep, Entropy, Group, Kernels, Learning};
use super::{Csr, Precision, Relations};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use half::bf16;
use real::Real;
use std::sync::Arc;

/// The fewest rows of a graph or batch that are worth a task of their own.
const ROWS_PER_TASK: usize = 8;

/// Evaluates `$body` with `$T` as the type of the numbers of `$like`.
macro_rules! of_type {
    ($like:ident, $T:ident => $body:expr) => {
        match $like.dtype() {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            other => panic!("the kernels take numbers of 32 or 64 bits, not {other:?}"),
        }
    };
}
use of_type;

/// Evaluates `$body` with `$S` as the type of the numbers in tables, which `$lists` asks for.
macro_rules! of_precision {
    ($lists:ident, $T:ty, $S:ident => $body:expr) => {
        match $lists.precision() {
            Precision::F32 | Precision::Tf32 => {
                type $S = $T;
                $body
            }
            Precision::Bf16 => {
                type $S = bf16;
                $body
            }
        }
    };
}

impl Kernels for Flex {
    fn matrix_product(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        transposed: [bool; 2],
        precision: Precision,
    ) -> FloatTensor<Self> {
        // As tensor cores would have them: so that can be known here what that does to results.
        let factor = |tensor| if precision == Precision::Tf32 { rounded(tensor) } else { tensor };
        let turned = |tensor, turn| if turn { Flex::float_transpose(tensor) } else { tensor };
        Flex::float_matmul(turned(factor(left), transposed[0]), turned(factor(right), transposed[1]))
    }

    fn segment_product(
        values: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
        transposed: bool,
    ) -> FloatTensor<Self> {
        let [values, matrices] = [values, matrices].map(|t| t.to_contiguous());
        let ([rows, k], [all, columns]) = (dims(&values), dims(&matrices));
        let n = if transposed { all / ends.len() } else { columns };
        of_type!(values, T => {
            made(segments::product::<T>(numbers(&values), numbers(&matrices), [k, n], &ends, transposed), [rows, n])
        })
    }

    fn segment_gradient(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        ends: Arc<Vec<usize>>,
    ) -> FloatTensor<Self> {
        let [values, gradient] = [values, gradient].map(|t| t.to_contiguous());
        let ([_, k], [_, n]) = (dims(&values), dims(&gradient));
        of_type!(values, T => {
            made(segments::gradient::<T>(numbers(&values), numbers(&gradient), [k, n], &ends), [ends.len() * k, n])
        })
    }

    fn relational_convolution(
        h: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        relations: Arc<Relations>,
    ) -> FloatTensor<Self> {
        let [h, weight, bias, matrices] = [h, weight, bias, matrices].map(|t| t.to_contiguous());
        let ([nodes, columns], [k, n]) = (dims(&h), dims(&weight));
        of_type!(h, T => {
            let weights = relational_weights::<T>(&weight, &matrices);
            made(relational::forward(numbers(&h), numbers(&bias), weights, &relations), [nodes, columns / k * n])
        })
    }

    fn relational_convolution_backward(
        gradient: FloatTensor<Self>,
        output: FloatTensor<Self>,
        h: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        matrices: FloatTensor<Self>,
        relations: Arc<Relations>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, output, h, weight, matrices] =
            [gradient, output, h, weight, matrices].map(|t| t.to_contiguous());
        let [k, n] = dims(&weight);
        of_type!(h, T => {
            let weights = relational_weights::<T>(&weight, &matrices);
            let outputs = relational::Outputs { gradient: numbers(&gradient), output: numbers(&output) };
            let [d_h, d_weight, d_bias, d_matrices] =
                relational::backward(numbers(&h), weights, outputs, &relations);
            (made(d_h, dims(&h)), made(d_weight, [k, n]), made(d_bias, [1, n]), made(d_matrices, dims(&matrices)))
        })
    }

    fn edge_attention(
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [target, source, values] = [target, source, values].map(|t| t.to_contiguous());
        let ([n, heads], [_, width]) = (dims(&target), dims(&values));
        of_type!(values, T => {
            let inputs = attention_inputs::<T>(&target, &source, width, slope);
            let (output, log_sum_exp) = of_precision!(edges, T, S => {
                edge_attention::forward::<T, S>(inputs, numbers(&values), &edges)
            });
            (made(output, [n, width]), made(log_sum_exp, [n, heads]))
        })
    }

    fn edge_attention_backward(
        gradient: FloatTensor<Self>,
        target: FloatTensor<Self>,
        source: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        edges: Arc<Csr>,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, target, source, values] = [gradient, target, source, values].map(|t| t.to_contiguous());
        of_type!(values, T => {
            let inputs = attention_inputs::<T>(&target, &source, dims(&values)[1], slope);
            let outputs = edge_attention::Outputs { output: numbers(&output), log_sum_exp: numbers(&log_sum_exp) };
            let [d_target, d_source, d_values] = of_precision!(edges, T, S => {
                edge_attention::backward::<T, S>(inputs, outputs, numbers(&values), numbers(&gradient), &edges)
            });
            (made(d_target, dims(&target)), made(d_source, dims(&source)), made(d_values, dims(&values)))
        })
    }

    fn add_row(values: FloatTensor<Self>, row: FloatTensor<Self>) -> FloatTensor<Self> {
        Flex::float_add(values, row)
    }

    fn row_sums(values: FloatTensor<Self>) -> FloatTensor<Self> {
        Flex::float_sum_dim(values, 0)
    }

    fn total(values: FloatTensor<Self>, mean: bool) -> FloatTensor<Self> {
        if mean { Flex::float_mean(values) } else { Flex::float_sum(values) }
    }

    fn sparse_product(values: FloatTensor<Self>, matrix: Arc<Csr>, transposed: bool, rows: usize) -> FloatTensor<Self> {
        let values = values.to_contiguous();
        let [_, width] = dims(&values);
        of_type!(values, T => {
            let sums: Vec<T> = of_precision!(matrix, T, S => {
                sparse_product::product::<T, S>(numbers(&values), width, &matrix, transposed, rows)
            });
            made(sums, [rows, width])
        })
    }

    fn largest(values: FloatTensor<Self>, lists: Arc<Csr>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let values = values.to_contiguous();
        let [_, width] = dims(&values);
        of_type!(values, T => {
            let [output, places] = largest::forward::<T>(numbers(&values), width, &lists);
            (made(output, [lists.len(), width]), made(places, [lists.len(), width]))
        })
    }

    fn largest_backward(
        gradient: FloatTensor<Self>,
        places: FloatTensor<Self>,
        lists: Arc<Csr>,
        rows: usize,
    ) -> FloatTensor<Self> {
        let gradient = gradient.to_contiguous();
        let [_, width] = dims(&gradient);
        of_type!(gradient, T => {
            made(largest::backward::<T>(numbers(&gradient), numbers(&places), width, &lists, rows), [rows, width])
        })
    }

    fn set_attention(
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [scores, values] = [scores, values].map(|t| t.to_contiguous());
        let ([_, channels], [_, width]) = (dims(&scores), dims(&values));
        of_type!(values, T => {
            let (output, log_sum_exp) = set_attention::forward(set_inputs::<T>(&scores, &values, dropped), &sets);
            (made(output, [sets.len(), width]), made(log_sum_exp, [sets.len(), channels]))
        })
    }

    fn set_attention_backward(
        gradient: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        values: FloatTensor<Self>,
        output: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        sets: Arc<Csr>,
        dropped: Dropped,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [gradient, scores, values] = [gradient, scores, values].map(|t| t.to_contiguous());
        of_type!(values, T => {
            let inputs = set_inputs::<T>(&scores, &values, dropped);
            let outputs = set_attention::Outputs {
                gradient: numbers(&gradient),
                output: numbers(&output),
                log_sum_exp: numbers(&log_sum_exp),
            };
            let [d_scores, d_values] = set_attention::backward(inputs, outputs, &sets);
            (made(d_scores, dims(&scores)), made(d_values, dims(&values)))
        })
    }

    fn dropout(values: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self> {
        let mut values = whole(values);
        of_type!(values, T => {
            // Copied first where another tensor shares them.
            dropout::drop_places(values.storage_mut::<T>(), &dropped);
        });
        values
    }

    fn rectify(values: FloatTensor<Self>, row: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self> {
        let (mut values, row) = (whole(values), row.to_contiguous());
        of_type!(values, T => dropout::rectify(values.storage_mut::<T>(), numbers(&row), &dropped));
        values
    }

    fn rectify_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        let (mut gradient, output) = (whole(gradient), output.to_contiguous());
        of_type!(gradient, T => {
            dropout::rectify_backward(gradient.storage_mut::<T>(), numbers(&output), T::of(scale));
        });
        gradient
    }

    fn activate(values: FloatTensor<Self>, by: Activation) -> FloatTensor<Self> {
        let mut values = whole(values);
        of_type!(values, T => activations::forward(values.storage_mut::<T>(), by));
        values
    }

    fn activate_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>, by: Activation) -> FloatTensor<Self> {
        let (mut gradient, output) = (whole(gradient), output.to_contiguous());
        of_type!(gradient, T => activations::backward(gradient.storage_mut::<T>(), numbers(&output), by));
        gradient
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>, terms: Entropy) -> FloatTensor<Self> {
        let [logits, targets] = [logits, targets].map(|t| t.to_contiguous());
        of_type!(logits, T => made(vec![cross_entropy::mean::<T>(numbers(&logits), numbers(&targets), terms)], [1]))
    }

    fn cross_entropy_backward(
        gradient: FloatTensor<Self>,
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        terms: Entropy,
    ) -> FloatTensor<Self> {
        let [gradient, logits, targets] = [gradient, logits, targets].map(|t| t.to_contiguous());
        of_type!(logits, T => {
            let gradient = numbers::<T>(&gradient)[0];
            made(cross_entropy::gradients::<T>(numbers(&logits), numbers(&targets), gradient, terms), logits.shape())
        })
    }

    fn marks(lists: IntTensor<Self>, rows: usize, columns: usize) -> FloatTensor<Self> {
        let lists = lists.to_contiguous();
        let Some(lists) = lists.as_slice::<i32>() else {
            panic!("lists of whole numbers of 32 bits, not {:?}", lists.dtype());
        };
        let mut output = vec![0f32; rows * columns];
        for (row, ends) in lists[..rows + 1].windows(2).enumerate() {
            let own = &lists[rows + 1..][ends[0] as usize..ends[1] as usize];
            own.iter().for_each(|&column| output[row * columns + column as usize] = 1.0);
        }
        made(output, [rows, columns])
    }

    fn copy_scores(
        own_of: FloatTensor<Self>,
        own: FloatTensor<Self>,
        near_of: FloatTensor<Self>,
        near: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        item: FloatTensor<Self>,
        lists: Arc<Csr>,
        patients: usize,
    ) -> FloatTensor<Self> {
        let [own_of, own, near_of, near, item_of, item] =
            [own_of, own, near_of, near, item_of, item].map(|t| t.to_contiguous());
        let [codes, ages] = dims(&own_of);
        of_type!(own_of, T => {
            let tables = copy_scores::Tables {
                own: (numbers::<T>(&own_of), numbers(&own)),
                near: (numbers(&near_of), numbers(&near)),
                item: (numbers(&item_of), numbers(&item)),
                ages,
            };
            made(copy_scores::forward(tables, codes, &lists, patients), [codes + lists.len(), patients])
        })
    }

    fn copy_scores_backward(
        gradient: FloatTensor<Self>,
        own_of: FloatTensor<Self>,
        item_of: FloatTensor<Self>,
        lists: Arc<Csr>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let gradient = gradient.to_contiguous();
        let (codes, items) = (dims(&own_of), dims(&item_of));
        of_type!(gradient, T => {
            let [own, near, item] = copy_scores::backward::<T>(numbers(&gradient), codes, items[0], &lists);
            (made(own, codes), made(near, codes), made(item, items))
        })
    }

    fn adam(group: Group<Self>, count: usize, step: AdamStep) -> Group<Self> {
        let mut number = 0;
        group.map_places(|place| {
            number += 1;
            if number > count { place } else { learn(place, &step) }
        })
    }
}

/// The numbers of TF32 next to those of 32 bits: 10 bits of mantissa.
fn rounded(tensor: FlexTensor) -> FlexTensor {
    let mut tensor = whole(tensor);
    if tensor.dtype() == DType::F32 {
        tensor.storage_mut::<f32>().iter_mut().for_each(|x| *x = nearest_tf32(*x));
    }
    tensor
}

/// The nearest number of TF32; of two as near the larger one, as the hardware has it.
fn nearest_tf32(x: f32) -> f32 {
    if x.is_finite() { f32::from_bits((x.to_bits() + 0x1000) & !0x1fff) } else { x }
}

/// One update of Adam.
fn learn(place: Learning<Flex>, step: &AdamStep) -> Learning<Flex> {
    let Learning { parameter, gradient, mean, square } = place;
    let gradient = gradient.to_contiguous();
    let [mut parameter, mut mean, mut square] = [parameter, mean, square].map(whole);
    of_type!(parameter, T => {
        // Copied first where another tensor shares them.
        let (p, m, v) = (parameter.storage_mut::<T>(), mean.storage_mut::<T>(), square.storage_mut::<T>());
        adam::update(p, numbers(&gradient), m, v, step);
    });
    Learning { parameter, gradient, mean, square }
}

fn attention_inputs<'a, T: Real>(
    target: &'a FlexTensor,
    source: &'a FlexTensor,
    width: usize,
    slope: f32,
) -> edge_attention::Inputs<'a, T> {
    let [_, heads] = dims(target);
    edge_attention::Inputs { target: numbers(target), source: numbers(source), heads, width, slope: T::of(slope) }
}

fn relational_weights<'a, T: Real>(weight: &'a FlexTensor, matrices: &'a FlexTensor) -> relational::Weights<'a, T> {
    relational::Weights { own: numbers(weight), relations: numbers(matrices), widths: dims(weight) }
}

fn set_inputs<'a, T: Real>(
    scores: &'a FlexTensor,
    values: &'a FlexTensor,
    dropped: Dropped,
) -> set_attention::Inputs<'a, T> {
    let ([_, channels], [_, width]) = (dims(scores), dims(values));
    set_attention::Inputs { scores: numbers(scores), values: numbers(values), channels, width, dropped }
}

fn dims(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.shape();
    [shape[0], shape[1]]
}

/// The numbers of a contiguous tensor.
fn numbers<T: Real>(tensor: &FlexTensor) -> &[T] {
    match tensor.as_slice() {
        Some(numbers) => numbers,
        None => panic!("a kernel got a tensor of {:?} where it expects contiguous {:?}", tensor.dtype(), T::dtype()),
    }
}

/// The tensor as one that fills its storage in order, as it is where it does.
fn whole(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    let fills = layout.is_contiguous()
        && layout.start_offset() == 0
        && tensor.bytes().len() == layout.num_elements() * tensor.dtype().size();
    if fills { tensor } else { tensor.to_contiguous() }
}

fn made<T: Real>(numbers: Vec<T>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(numbers), Layout::contiguous(shape.into()), T::dtype())
}
