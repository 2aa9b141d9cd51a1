//! Models of every graph encoder, fusion and patient encoder: what they make of a patient depends on no other.

use crate::plugins;
use crate::support::{all_near, config, edges, tensor, values};
use dualk_plugin_losses::BceOptions;
use dualk_sdk::data::Visits;
use dualk_sdk::device::generator;
use dualk_sdk::graph::Graph;
use dualk_sdk::model::draw_parameters;
use dualk_sdk::plugin::Registry;
use dualk_sdk::prelude::*;
use dualk_sdk::toml;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use std::collections::BTreeSet;
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases.div_ceil(10), ..config() })]

    #[test]
    fn losses_and_vectors_of_patients_do_not_depend_on_their_company(
        (n, edges) in edges(),
        visits in vec(vec(vec(0..9usize, 1..5), 1..4), 1..12),
        order in vec(any::<u32>(), 12), size in 1..13usize, seed in any::<u16>(),
    ) {
        let graph = Graph::new(n, &edges).unwrap();
        let (examples, registry) = (examples(&visits, n), registry());
        let count = examples.len();
        let all: Vec<usize> = (0..count).collect();
        let mut shuffled = all.clone();
        shuffled.sort_by_key(|&i| order[i]);
        for parts in models() {
            let encoder = Encoder::new(&registry, parts, &graph, u64::from(seed));
            let whole = values(encoder.patients(&examples, &all));
            let width = whole.len() / count;
            let split: Vec<f64> = all.chunks(size).flat_map(|part| values(encoder.patients(&examples, part))).collect();
            prop_assert!(all_near(&split, &whole, 1e-4), "{:?} in parts of {}", parts, size);
            let moved = values(encoder.patients(&examples, &shuffled));
            let back: Vec<f64> = (0..count).flat_map(|i| {
                let place = shuffled.iter().position(|&s| s == i).unwrap();
                moved[place * width..(place + 1) * width].to_vec()
            }).collect();
            prop_assert!(all_near(&back, &whole, 1e-4), "{:?} in another order", parts);
            let (a, b) = (encoder.loss(&examples, &all), encoder.loss(&examples, &shuffled));
            prop_assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{:?}: {} and {}", parts, a, b);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases.div_ceil(50), ..config() })]

    #[test]
    fn losses_of_a_thousand_patients_are_those_of_their_batches(
        (n, edges) in edges(),
        visits in vec(vec(vec(0..9usize, 1..5), 1..4), 1000),
        order in vec(any::<u32>(), 1000), size in 1..1001usize, seed in any::<u16>(),
    ) {
        let graph = Graph::new(n, &edges).unwrap();
        let (examples, registry) = (examples(&visits, n), registry());
        let all: Vec<usize> = (0..examples.len()).collect();
        let mut shuffled = all.clone();
        shuffled.sort_by_key(|&i| order[i]);
        for parts in models() {
            let encoder = Encoder::new(&registry, parts, &graph, u64::from(seed));
            let whole = encoder.loss(&examples, &all);
            for size in [size, 1, 32, 256, 999, 1000] {
                // Of a thousand batches of one the first fifty.
                let used = &shuffled[..if size == 1 { 50 } else { all.len() }];
                let whole = if size == 1 { encoder.loss(&examples, used) } else { whole };
                let losses = used.chunks(size).map(|part| part.len() as f64 * encoder.loss(&examples, part));
                let mean = losses.sum::<f64>() / used.len() as f64;
                let near = (mean - whole).abs() <= 1e-4 * whole.abs().max(1.0);
                prop_assert!(near, "{:?} in batches of {}: {} and {}", parts, size, mean, whole);
            }
        }
    }
}

/// All encoders and fusions that are shipped are among those of the properties above.
#[test]
fn no_encoder_or_fusion_is_left_out() {
    let registry = registry();
    for (slot, tried) in
        [(Slot::GraphEncoder, &ENCODERS[..]), (Slot::Fusion, &FUSIONS[..]), (Slot::PatientEncoder, &PATIENTS[..])]
    {
        let shipped: BTreeSet<&str> = registry.components().filter(|c| c.slot == slot).map(|c| c.name).collect();
        let tried: BTreeSet<&str> = tried.iter().map(|named| named.0).collect();
        assert_eq!(shipped, tried, "{slot}");
    }
}

fn examples(visits: &[Vec<Vec<usize>>], nodes: usize) -> Examples {
    let mut codes: Ragged<u32> = Ragged::new();
    let mut of: Ragged<u32> = Ragged::new();
    for patient in visits {
        let first = codes.len() as u32;
        patient.iter().for_each(|visit| codes.push(visit.iter().map(|&c| (c % nodes) as u32)));
        of.push(first..codes.len() as u32);
    }
    let targets = visits.iter().map(|patient| vec![(patient.len() % 3) as u32]).collect();
    let labs = visits.iter().map(|_| std::iter::empty()).collect();
    let codes: Visits = codes.rows().map(<[u32]>::to_vec).collect();
    Examples { codes: Arc::new(codes), visits: of, labs, targets: vec![targets], ..Examples::default() }
}

/// A component by name, with its options as in a manifest.
type Named = (&'static str, &'static str);

const ENCODERS: [Named; 10] = [
    ("gat", "dims = [6]"),
    ("gatv2", "dims = [6]"),
    ("transformer", "dims = [6]\nheads = 2"),
    ("gcn", "dims = [6]"),
    ("lightgcn", ""),
    ("sgc", "dim = 6"),
    ("gin", "dims = [6]"),
    ("sage", "dims = [6]"),
    ("gram", "hidden = 4"),
    ("none", ""),
];
const FUSIONS: [Named; 11] = [
    ("attention", ""),
    ("gated", "hidden = 4"),
    ("global", ""),
    ("transformer", "dim = 4\nheads = 2\nfeed_forward = 4"),
    ("max", ""),
    ("mean", ""),
    ("sum", ""),
    ("dipole", "hidden = 3\nembed = 3\ndim = 4"),
    ("gru", "hidden = 4"),
    ("lstm", "hidden = 4"),
    ("retain", "hidden = 3"),
];
const PATIENTS: [Named; 3] = [
    ("fusions", ""),
    ("behrt", "dim = 4\nheads = 2\nlayers = 1\nfeed_forward = 4"),
    ("chet", "graph = 3\nhidden = 4\nattention = 3"),
];

/// A graph encoder, a fusion and a patient encoder: each of them beside the first of the others.
fn models() -> impl Iterator<Item = [Named; 3]> {
    let encoders = ENCODERS.into_iter().map(|encoder| [encoder, FUSIONS[0], PATIENTS[0]]);
    let fusions = FUSIONS.into_iter().skip(1).map(|fusion| [ENCODERS[0], fusion, PATIENTS[0]]);
    let patients = PATIENTS.into_iter().skip(1).map(|patient| [ENCODERS[0], FUSIONS[0], patient]);
    encoders.chain(fusions).chain(patients)
}

fn registry() -> Registry {
    plugins::registry(&[
        dualk_plugin_encoder_codes::register,
        dualk_plugin_encoder_neighbours::register,
        dualk_plugin_fusion_pooling::register,
        dualk_plugin_fusion_recurrent::register,
        dualk_plugin_patient_behrt::register,
        dualk_plugin_patient_chet::register,
    ])
}

fn given((_, options): Named) -> toml::Table {
    toml::from_str(options).unwrap()
}

/// The same fusion wherever a patient encoder asks for one.
struct Fusing<'a> {
    registry: &'a Registry,
    fusion: Named,
}

impl SubParts for Fusing<'_> {
    fn fusion(&self, _: &str, context: &FusionContext<'_>) -> Result<FusionModule> {
        self.registry.build::<slots::fusion>(self.fusion.0, given(self.fusion), context)
    }
}

/// A graph encoder and a patient encoder.
struct Encoder {
    graph: Graph,
    nodes: Tensor<2>,
    encoder: GraphEncoderModule,
    patients: PatientEncoderModule,
}

impl Encoder {
    fn new(registry: &Registry, parts: [Named; 3], graph: &Graph, seed: u64) -> Self {
        generator::alone(|| {
            generator::seed(&Device::flex(), seed);
            Self::drawn(registry, parts, graph, seed as usize)
        })
    }

    fn drawn(registry: &Registry, [encoder, fusion, patients]: [Named; 3], graph: &Graph, shift: usize) -> Self {
        let device = Device::flex();
        let code = |i: usize| if i == 0 { String::new() } else { format!("{}.{}", 400 + i, i % 10) };
        let codes: Vec<String> = (0..graph.nodes()).map(code).collect();
        let context = GraphEncoderContext { input: 4, codes: &codes, device: &device };
        let encoder = registry.build::<slots::graph_encoder>(encoder.0, given(encoder), &context).unwrap();
        let parts = &Fusing { registry, fusion };
        let context = PatientEncoderContext { width: encoder.width(), codes: &codes, device: &device, parts };
        let patients = registry.build::<slots::patient_encoder>(patients.0, given(patients), &context).unwrap();
        let nodes: Vec<f32> = (0..graph.nodes() * 4).map(|i| ((i * 7 + shift) % 13) as f32 / 6.5 - 1.0).collect();
        Self {
            graph: graph.clone(),
            nodes: tensor(&nodes, 4),
            encoder: draw_parameters(encoder),
            patients: draw_parameters(patients),
        }
    }

    fn patients(&self, examples: &Examples, indices: &[usize]) -> Tensor<2> {
        let embeddings = self.encoder.forward(self.nodes.clone(), &self.graph);
        self.patients.forward(embeddings, &self.graph, &examples.batch(indices))
    }

    fn loss(&self, examples: &Examples, indices: &[usize]) -> f64 {
        let batch = examples.batch(indices);
        let patients = self.patients(examples, indices);
        let width = patients.dims()[1];
        let rows = batch.targets[0].rows();
        let rows = rows.flat_map(|row| (0..width as u32).map(move |c| f32::from(u8::from(row.contains(&c)))));
        let targets = tensor(&rows.collect::<Vec<_>>(), width);
        let loss = BceOptions {}.build().unwrap().forward(patients, targets);
        f64::from(loss.into_scalar::<f32>())
    }
}
