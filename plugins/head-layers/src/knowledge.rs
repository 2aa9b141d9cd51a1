//! `knowledge`: a classifier beside codes and items of a patient that are propagated along a knowledge graph to what is asked for.

use crate::{Classifier, MlpHead, MlpOptions};
use dualk_sdk::burn::nn::{Linear, LinearConfig};
use dualk_sdk::burn::tensor::activation::relu;
use dualk_sdk::data::AGES;
use dualk_sdk::data::knowledge::Knowledge;
use dualk_sdk::ops::{Csr, Relations, relational_convolution, segment_matmul, weighted_sums};
use dualk_sdk::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What nodes start from: a code in a visit of each age, an item that was abnormal in one of each, an item that enters,
/// and the kind of the node: code, item, other.
const SIGNS: usize = 2 * AGES + 1 + KINDS;
const KINDS: usize = 3;
/// The feature of an item that enters, and that of a code.
const ENTERS: usize = 2 * AGES;
const CODE: usize = ENTERS + 1;

options! {
    /// Options of `knowledge`.
    pub struct KnowledgeOptions {
        /// Numbers that each node of the knowledge graph has for each patient.
        #[schemars(range(min = 1, max = 4096))]
        pub width: usize = 16,
        /// Number of layers: over how many edges what a patient had is propagated.
        #[schemars(range(min = 1, max = 1000))]
        pub layers: usize = 3,
        /// Most relations that have weights of their own; those with the fewest edges share one set.
        #[schemars(range(min = 1))]
        pub relations: usize = 16,
        /// Width of the hidden layer of the classifier.
        #[schemars(range(min = 1))]
        pub hidden: usize = 256,
        /// Widths of the two hidden layers of decoders, which ask for something else; what `mlp` has.
        #[schemars(length(equal = 2), inner(range(min = 1)))]
        pub decoder: Vec<usize> = vec![256, 128],
        /// Dropout rate after the hidden layers of classifier and decoder.
        #[schemars(with = "Fraction")]
        pub dropout: f64 = 0.4,
    }
}

impl Component for KnowledgeOptions {
    const NAME: &'static str = "knowledge";
    const ABOUT: &'static str =
        "A classifier, and a graph network for each patient over the knowledge graph of `data.knowledge`.";
    const CITATION: &'static str =
        "after Schlichtkrull et al., Modeling Relational Data with Graph Convolutional Networks, ESWC 2018";
}

/// Where the numbers of a knowledge graph's nodes go: along each relation, and backwards.
#[derive(Debug)]
struct Routes {
    codes: usize,
    /// The feature of each node's kind.
    kinds: Vec<u32>,
    /// What arrives by each relation at each node that it leads to is the sum over the edges by the root of their number.
    relations: Arc<Relations>,
    /// The node that each logit asks for.
    asked: Arc<Csr>,
}

impl Routes {
    fn new(graph: &Knowledge, asked: &[u32]) -> Self {
        let (mut offsets, mut members, mut weights) = (vec![0u32], Vec::new(), Vec::new());
        let (mut nodes, mut ends) = (Vec::new(), Vec::new()); // the node that each row leads to, and the rows of relations
        for relation in graph.relations() {
            for backwards in [false, true] {
                let mut sources: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
                for &(head, tail) in &relation.edges {
                    let (from, to) = if backwards { (tail, head) } else { (head, tail) };
                    sources.entry(to).or_default().push(from);
                }
                for (to, sources) in sources {
                    nodes.push(to);
                    weights.extend(std::iter::repeat_n(1.0 / (sources.len() as f32).sqrt(), sources.len()));
                    members.extend(sources);
                    offsets.push(members.len() as u32);
                }
                ends.push(nodes.len());
            }
        }
        let kind = |node: usize| match node {
            _ if node < graph.codes() => CODE,
            _ if node < graph.codes() + graph.items() => CODE + 1,
            _ => CODE + 2,
        };
        Self {
            codes: graph.codes(),
            kinds: (0..graph.nodes()).map(|node| kind(node) as u32).collect(),
            relations: Relations::new(graph.nodes(), Csr::new(offsets, members, Some(weights)), &nodes, ends),
            asked: Csr::of(&asked.iter().map(|&node| [node]).collect()),
        }
    }

    /// The features of every node of every patient, node after node: a row of `nodes` · `batch.len()` for each.
    fn signs(&self, batch: &Batch) -> Arc<Csr> {
        let patients = batch.len();
        // Row and feature, of which equal ones add up.
        let mut entries: Vec<(u32, u32)> = Vec::new();
        let mut add = |node: usize, patient: usize, sign: usize| {
            entries.push(((node * patients + patient) as u32, sign as u32));
        };
        batch.codes_by_age(|p, age, code| add(code as usize, p, age));
        batch.labs_by_age(|p, age, item| add(self.codes + item as usize, p, AGES + age));
        // Where items are known by visit, those that enter are these again.
        for (p, items) in batch.labs.rows().enumerate().filter(|_| batch.visit_labs.is_empty()) {
            items.iter().for_each(|&item| add(self.codes + item as usize, p, ENTERS));
        }
        Csr::counted(self.kinds.len() * patients, entries, &self.kinds)
    }
}

/// One step along the edges: h'_n = ReLU(W h_n + b + Σ_r W_r Σ_{m →r n} h_m / √|{m →r n}|), the relations r in both
/// directions.
#[derive(Module, Debug)]
struct Layer {
    own: Linear,
    /// W_r, one below the other: `[relations · width, width]`
    relations: Param<Tensor<2>>,
}

impl Layer {
    /// # Shapes
    /// - `h`, output: `[nodes, batch · width]`
    fn forward(&self, h: Tensor<2>, relations: &Arc<Relations>) -> Tensor<2> {
        let bias = self.own.bias.as_ref().map(|bias| bias.val());
        relational_convolution(relations, h, self.own.weight.val(), bias, self.relations.val())
    }
}

/// The product of many narrow rows with one small matrix: those of one group.
fn product(rows: Tensor<2>, matrix: Tensor<2>) -> Tensor<2> {
    let ends = Arc::new(vec![rows.dims()[0]]);
    segment_matmul(rows, matrix, &ends)
}

/// logits_pc = mlp(x_p)_c + Σ_l v_l · h^l_pc, where h⁰_pn = ReLU(Σ of the rows of a table that say which visits of patient p
/// have the code n, whether the item n is abnormal, and of which kind n is), and h^l follows from h^{l-1} by a step along the
/// edges. All that is learnt beside the classifier belongs to relations and kinds, and to no code: what many codes teach
/// serves those that are seldom seen. v starts at 0.
#[derive(Module, Debug)]
pub struct Propagation {
    classifier: Classifier,
    /// `[SIGNS, width]`
    signs: Param<Tensor<2>>,
    layers: Vec<Layer>,
    /// v, for each layer and the start: `[width, 1]`
    out: Vec<Param<Tensor<2>>>,
    #[module(skip)]
    routes: Arc<Routes>,
}

impl Propagation {
    fn new(options: &KnowledgeOptions, context: &HeadContext<'_>, asked: &AskedOf<'_>) -> Self {
        let routes = Routes::new(&asked.graph.with_relations(options.relations), asked.asked);
        let width = options.width;
        let layer = |bias: bool| LinearConfig::new(width, width).with_bias(bias).init(context.device);
        let of_relations = || {
            let each = (0..routes.relations.count()).map(|_| layer(false).weight.val()).collect();
            Param::from_tensor(Tensor::cat(each, 0).detach())
        };
        Self {
            classifier: Classifier::new(context, options.hidden, options.dropout),
            signs: LinearConfig::new(SIGNS, width).with_bias(false).init(context.device).weight,
            layers: (0..options.layers).map(|_| Layer { own: layer(true), relations: of_relations() }).collect(),
            out: (0..=options.layers).map(|_| Param::from_tensor(Tensor::zeros([width, 1], context.device))).collect(),
            routes: Arc::new(routes),
        }
    }

    /// What is propagated to the codes that are asked for.
    ///
    /// # Shapes
    /// - output: `[batch.len(), outputs]`
    fn propagated(&self, batch: &Batch) -> Tensor<2> {
        let (patients, width) = (batch.len(), self.signs.val().dims()[1]);
        let Routes { relations, asked, .. } = &*self.routes;
        let nodes = relations.nodes();
        if patients == 0 {
            return Tensor::zeros([0, asked.len()], &self.signs.val().device());
        }
        let start = weighted_sums(self.routes.signs(batch), self.signs.val()); // [nodes · batch, width]
        let mut h = relu(start).reshape([nodes, patients * width]);
        let said = |h: &Tensor<2>, out: &Param<Tensor<2>>| {
            product(h.clone().reshape([nodes * patients, width]), out.val()).reshape([nodes, patients])
        };
        let mut sum = said(&h, &self.out[0]);
        for (layer, out) in self.layers.iter().zip(&self.out[1..]) {
            h = layer.forward(h, relations);
            sum = sum + said(&h, out);
        }
        weighted_sums(asked.clone(), sum).transpose()
    }
}

/// [`Propagation`] where logits ask for codes.
#[derive(Module, Debug)]
pub enum KnowledgeHead {
    /// Logits that ask for codes.
    Codes(Propagation),
    /// Other logits.
    Other(MlpHead),
}

impl BuildHead for KnowledgeOptions {
    type Module = KnowledgeHead;

    fn build(self, context: &HeadContext<'_>) -> Result<KnowledgeHead> {
        let Self { decoder, hidden, dropout, .. } = self.clone();
        let other = MlpOptions { decoder, classifier: vec![hidden], dropout, ..MlpOptions::default() };
        match (context.code_width, &context.knowledge) {
            (None, _) => other.build(context).map(KnowledgeHead::Other),
            (Some(_), Some(asked)) => Ok(KnowledgeHead::Codes(Propagation::new(&self, context, asked))),
            (Some(_), None) => {
                Err(Error::user("the head `knowledge` looks at a knowledge graph, and the manifest names none")
                    .help("write [data] knowledge = [{ type = \"icd\", edition = \"icd9\" }], or sources of triples"))
            }
        }
    }
}

impl Head for KnowledgeHead {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Codes(head) => head.classifier.forward(x),
            Self::Other(head) => head.forward(x),
        }
    }

    fn forward_with_histories(&self, x: Tensor<2>, batch: &Batch) -> Tensor<2> {
        match self {
            Self::Codes(head) => head.classifier.forward(x) + head.propagated(batch),
            Self::Other(head) => head.forward(x),
        }
    }

    fn looks_at_histories(&self) -> bool {
        matches!(self, Self::Codes(_))
    }

    fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Codes(head) => head.classifier.embed(x),
            Self::Other(head) => head.embed(x),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Codes(head) => head.classifier.width(),
            Self::Other(head) => head.width(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::data::knowledge::{Fact, GraphSource, OfCohort, Triples};
    use dualk_sdk::device::generator;
    use dualk_sdk::model::draw_parameters;

    #[test]
    fn it_is_a_sound_head() {
        dualk_sdk::testing::check_head(KnowledgeOptions {
            width: 3,
            layers: 2,
            hidden: 5,
            decoder: vec![7, 5],
            ..Default::default()
        });
    }

    /// Codes 1 → 2 → 3, of which 3 is asked for first; item 4 → 2; and one entity, node 5, over 1 and 3.
    fn graph() -> Arc<Knowledge> {
        let codes = ["", "428.0", "428.1", "584.9"].map(str::to_owned);
        let fact = |(h, r, t): (&str, &str, &str)| -> Fact { (h.into(), r.into(), t.into()) };
        let facts = [
            ("428.0", "leads_to", "428.1"),
            ("428.1", "leads_to", "584.9"),
            ("50912", "abnormal_in", "428.1"),
            ("428.0", "is_a", "grave"),
            ("584.9", "is_a", "grave"),
        ];
        let told = move |_: f64| Ok(facts.into_iter().map(fact).collect());
        let sources: [GraphSource; 1] = [GraphSource::Parser { strength: 1.0 }];
        let cohort = OfCohort { codes: &codes, facts: &told };
        let (triples, _) = Triples::join(&sources, "data.knowledge", 0, Some(&cohort)).unwrap();
        Arc::new(Knowledge::new(&triples, &codes, &[50912]).unwrap())
    }

    fn head(layers: usize, device: &Device) -> Propagation {
        let (graph, options) = (graph(), KnowledgeOptions { width: 1, layers, dropout: 0.0, ..Default::default() });
        let knowledge = Some(AskedOf { graph: &graph, asked: &[3, 1] });
        let context =
            HeadContext { network: "classifier", input: 2, outputs: 2, code_width: Some(4), knowledge, device };
        // It draws while it is built, too, and others count on their seed meanwhile.
        match generator::alone(|| draw_parameters(options.build(&context).unwrap())) {
            KnowledgeHead::Codes(head) => head,
            KnowledgeHead::Other(_) => unreachable!("codes are asked for"),
        }
    }

    /// Two patients: visits {1, 2}, {1, 1} and item 0; and one visit {3}.
    fn batch() -> Batch {
        let ragged = |rows: Vec<Vec<u32>>| rows.into_iter().collect::<Ragged<u32>>();
        Batch {
            codes: Sets::new(ragged(vec![vec![1, 2], vec![1, 1], vec![3]])),
            visits: Sets::new(ragged(vec![vec![0, 1], vec![2]])),
            labs: ragged(vec![vec![0], vec![]]),
            visit_labs: Ragged::new(),
            demographics: Vec::new(),
            targets: Vec::new(),
            numbers: Vec::new(),
        }
    }

    fn constant<const D: usize>(value: f32, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::full(shape, value, device))
    }

    /// Codes by age, items by age, an item that enters, and kinds.
    const SIGNS_OF_TEST: [f32; SIGNS] = [1.0, 10.0, 100.0, 2000.0, 3000.0, 4000.0, 1000.0, 0.0, 0.0, 0.0];

    /// With every weight 1, numbers can be added up by hand.
    #[test]
    fn what_patients_had_is_propagated_along_the_edges_both_ways() {
        let device = dualk_sdk::device::tested().unwrap().device;
        let mut head = head(1, &device);
        head.signs = Param::from_tensor(Tensor::from_data(SIGNS_OF_TEST.map(|sign| [sign]), &device));
        for layer in &mut head.layers {
            layer.own.weight = constant(1.0, [1, 1], &device);
            layer.own.bias = Some(constant(0.0, [1], &device));
            layer.relations = constant(1.0, [layer.relations.dims()[0], 1], &device);
        }
        // h⁰ of the first patient: code 1 in the last visit (once, though it is there twice) and the one before, 11; code 2
        // in the one before, 10; the item, 1000. h¹ of node 3: 0 + 10 from 2, and 0 from the entity between; of node 1: 11
        // + 10 from 2. The second patient: h⁰ of node 3 is 1, and so is h¹; node 1 gets nothing.
        head.out = vec![constant(1.0, [1, 1], &device), constant(100.0, [1, 1], &device)];
        let found: Vec<f32> = head.propagated(&batch()).into_data().iter().collect();
        assert_eq!(found, [0.0 + 100.0 * 10.0, 11.0 + 100.0 * 21.0, 1.0 + 100.0 * 1.0, 0.0]);

        // Two steps on, node 3 gets what node 2 has got: 10 + 11 + 1000, and what the entity has, 11 + 0 by the
        // root of two edges.
        let mut two = self::head(2, &device);
        two.signs = head.signs.clone();
        two.layers = vec![head.layers[0].clone(), head.layers[0].clone()];
        two.out = [0.0, 0.0, 1.0].map(|value| constant(value, [1, 1], &device)).to_vec();
        let found: Vec<f32> = two.propagated(&batch()).into_data().iter().collect();
        let expected = 10.0 + (10.0 + 11.0 + 1000.0) + 11.0 / 2f32.sqrt();
        assert!((found[0] - expected).abs() < 1e-3, "{} and {expected}", found[0]);

        // Where items are known by visit, it is these that count: here of the visit before the last.
        let ragged = |rows: Vec<Vec<u32>>| rows.into_iter().collect::<Ragged<u32>>();
        let by_visit = Batch { visit_labs: ragged(vec![vec![0], vec![], vec![]]), ..batch() };
        let found: Vec<f32> = two.propagated(&by_visit).into_data().iter().collect();
        assert!((found[0] - (expected + 2000.0)).abs() < 1e-3, "{} and {}", found[0], expected + 2000.0);
    }

    #[test]
    fn it_starts_as_its_classifier_and_every_weight_receives_a_gradient() {
        let device = dualk_sdk::device::tested().unwrap().device.autodiff();
        let mut head = head(2, &device);
        let out: Vec<f32> = head.propagated(&batch()).into_data().iter().collect();
        assert_eq!(out, [0.0; 4]);
        head.signs = constant(0.5, [SIGNS, 1], &device);
        for layer in &mut head.layers {
            layer.own.weight = constant(0.5, [1, 1], &device);
            layer.own.bias = Some(constant(0.1, [1], &device));
            layer.relations = constant(0.5, [layer.relations.dims()[0], 1], &device);
        }
        head.out = (0..3).map(|_| constant(0.5, [1, 1], &device)).collect();
        let gradients = head.propagated(&batch()).sum().backward();
        let of = |param: &Param<Tensor<2>>| -> Vec<f32> {
            param.val().grad(&gradients).unwrap().into_data().iter().collect()
        };
        // Nobody has a code before the visit before the last, and items are not known by visit.
        assert_eq!(
            of(&head.signs).iter().map(|g| *g != 0.0).collect::<Vec<_>>(),
            [true, true, false, false, false, false, true, true, true, true]
        );
        for layer in &head.layers {
            assert!(of(&layer.own.weight)[0] != 0.0);
            assert!(of(&layer.relations).iter().any(|g| *g != 0.0));
        }
        assert!(head.out.iter().all(|out| of(out)[0] != 0.0));
    }

    #[test]
    fn without_a_graph_the_error_says_where_it_is_named() {
        let device = &Device::flex();
        let context = HeadContext { network: "", input: 2, outputs: 2, code_width: Some(4), knowledge: None, device };
        let error = KnowledgeOptions::default().build(&context).unwrap_err().to_string();
        assert!(error.contains("the manifest names none") && error.contains("[data] knowledge = [{"), "{error}");
    }
}
