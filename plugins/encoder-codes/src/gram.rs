//! `gram`: attention of a code over its ancestors.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::data::hierarchy::{Icd, ancestors};
use dualk_sdk::ops::{PaddedSets, linear, tanh};
use dualk_sdk::prelude::*;
use std::collections::BTreeMap;

options! {
    /// Options of `gram`.
    pub struct GramOptions {
        /// Width of the attention's hidden layer.
        #[schemars(range(min = 1))]
        pub hidden: usize = 100,
        /// Edition of the codes: `icd9` or `icd10`.
        pub edition: Icd = Icd::Icd9,
    }
}

impl Component for GramOptions {
    const NAME: &'static str = "gram";
    const ABOUT: &'static str =
        "A code as the attention-weighted sum of itself and its ancestors in the ICD; the graph does not enter.";
    const CITATION: &'static str =
        "Choi et al., GRAM: Graph-based Attention Model for Healthcare Representation Learning, KDD 2017";
}

/// g_i = Σ_{j ∈ A(i)} α_ij e_j, α_ij = softmax_{j ∈ A(i)} u · tanh(W [e_i; e_j] + b) (eq. 1-3 of the paper), with A(i) the
/// code itself, what stands above it in the ICD, and a root. e_i of a code is its node feature; those of its ancestors are
/// parameters here. An embedding is as wide as the features.
///
/// The paper takes its hierarchy from the multi-level CCS, and may start e from GloVe vectors; here it is what the
/// codes spell out, and e starts as the node initialiser says, ancestors with the scale of `random`.
#[derive(Module, Debug)]
pub struct Gram {
    ancestors: Param<Tensor<2>>,
    /// The part of W that a code meets.
    code: Linear,
    /// The part of W that an ancestor meets, with b.
    ancestor: Linear,
    score: Linear,
    /// For each node the rows of its A(i): nodes first, then ancestors.
    #[module(skip)]
    families: Ragged<u32>,
    width: usize,
}

/// Standard deviation of the first embeddings of ancestors: the default of the node initialiser `random`.
const SCALE: f64 = 0.1;
/// Stands above all codes.
const ROOT: &str = "root";

impl BuildGraphEncoder for GramOptions {
    type Module = Gram;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Gram> {
        let (hidden, width, device) = (self.hidden, context.input, context.device);
        let above = |code: &String| match code.is_empty() {
            true => Vec::new(),
            false => ancestors(code, self.edition).into_iter().chain([ROOT.to_owned()]).collect(),
        };
        let above: Vec<Vec<String>> = context.codes.iter().map(above).collect();
        let mut rows: BTreeMap<&str, u32> = above.iter().flatten().map(|name| (name.as_str(), 0)).collect();
        rows.values_mut().zip(context.codes.len() as u32..).for_each(|(row, i)| *row = i);
        let family = |(i, above): (usize, &Vec<String>)| {
            std::iter::once(i as u32).chain(above.iter().map(|name| rows[name.as_str()])).collect::<Vec<u32>>()
        };
        let normal = Initializer::Normal { mean: 0.0, std: SCALE };
        let linear = |input, output, bias| LinearConfig::new(input, output).with_bias(bias).init(device);
        Ok(Gram {
            // One row more than there are when there are none: tensors without rows are not for every device.
            ancestors: normal.init([rows.len().max(1), width], device),
            code: linear(width, hidden, false),
            ancestor: linear(width, hidden, true),
            score: linear(hidden, 1, false),
            families: above.iter().enumerate().map(family).collect(),
            width,
        })
    }
}

impl GraphEncoder for Gram {
    fn forward(&self, features: Tensor<2>, _: &Graph) -> Tensor<2> {
        let families = PaddedSets::new(&Sets::new(self.families.clone()), &features.device());
        let codes = linear(&self.code, features.clone()); // [nodes, hidden]
        let all = Tensor::cat(vec![features, self.ancestors.val()], 0); // [nodes + ancestors, width]
        // W [e_i; e_j] is a sum of two products: each row is multiplied once, not once a pair.
        let ancestors = families.gather(linear(&self.ancestor, all.clone())); // [nodes, longest, hidden]
        let scores = linear(&self.score, tanh(ancestors + codes.unsqueeze_dim(1))); // [nodes, longest, 1]
        (families.softmax(scores) * families.gather(all)).sum_dim(1).squeeze_dim(1) // [nodes, width]
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(hidden: usize, codes: &[&str]) -> Result<Gram> {
        let codes: Vec<String> = codes.iter().map(|c| c.to_string()).collect();
        let context = GraphEncoderContext { input: 3, codes: &codes, device: &Device::flex() };
        GramOptions { hidden, ..Default::default() }.build(&context)
    }

    #[test]
    fn a_code_has_its_ancestors_and_the_root() {
        let gram = build(4, &["", "428.0", "428", "V10"]).unwrap();
        // In the order of names: 390-459, 428, V01-V91, root. The category 428 is an ancestor and a code of its own.
        let families: Vec<&[u32]> = gram.families.rows().collect();
        assert_eq!(families, [&[0][..], &[1, 5, 4, 7], &[2, 4, 7], &[3, 6, 7]]);
        assert_eq!(gram.ancestors.dims(), [4, 3]);
    }

    #[test]
    fn equal_embeddings_stay_and_the_padding_node_is_itself() {
        let device = Device::flex();
        let mut gram = build(4, &["", "428.0", "V10"]).unwrap();
        gram.ancestors = Param::from_tensor(Tensor::ones(gram.ancestors.dims(), &device));
        let x = Tensor::<2>::from_data([[7.0, 0.0, -2.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], &device);
        let out = gram.forward(x.clone(), &Graph::new(3, &[]).unwrap());
        out.into_data().assert_approx_eq::<f32>(&x.into_data(), Default::default());
        assert_eq!(gram.width(), 3);
    }

    #[test]
    fn codes_that_share_no_ancestor_but_the_root_can_be_told_from_siblings() {
        let gram = build(4, &["", "428.0", "428.1", "V10"]).unwrap();
        let shared = |a: usize, b: usize| {
            let (a, b) = (gram.families.row(a), gram.families.row(b));
            a.iter().filter(|row| b.contains(row)).count()
        };
        assert_eq!([shared(1, 2), shared(1, 3)], [3, 1]);
    }
}
