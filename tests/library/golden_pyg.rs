//! Encoders, fusions and losses against numbers of PyTorch Geometric and PyTorch, which `golden-pyg/make.py` made, and a patient
//! encoder against those of its published code, which `golden-chet/make.py` ran.

mod support;

use dualk_plugin_encoder_codes::GramOptions;
use dualk_plugin_encoder_gat::{GatOptions, GatV2Options, TransformerOptions};
use dualk_plugin_encoder_gcn::{GcnOptions, LightGcnOptions, SgcOptions};
use dualk_plugin_encoder_neighbours::{Aggregate, GinOptions, Norm, SageOptions};
use dualk_plugin_fusion_attention::{GatedOptions, TransformerOptions as VisitTransformerOptions};
use dualk_plugin_fusion_pooling::{Activation, MaxOptions, MeanOptions, SumOptions};
use dualk_plugin_fusion_recurrent::{DipoleOptions, RetainOptions, Score};
use dualk_plugin_losses::{AsymmetricOptions, FocalOptions, LabelWeightedOptions, RankingOptions};
use dualk_plugin_patient_chet::ChetOptions;
use dualk_sdk::burn::module::Module;
use dualk_sdk::burn::optim::GradientsParams;
use dualk_sdk::graph::cooccurrence;
use dualk_sdk::prelude::*;
use dualk_tests::{Tensors, load, load_i64};
use std::path::PathBuf;
use std::sync::Arc;
use support::{
    allowed, assert_tensor, assert_values, device, largest, read_parameters, set_parameters, tensor, with_prefix,
};

fn path(name: &str) -> PathBuf {
    dualk_tests::tests_dir().join("golden-pyg").join(format!("{name}.safetensors"))
}

/// The part of a module's largest gradient below which gradients are compared with that part.
const CANCELLED: f32 = 1e-2;

/// Compares the output, and the gradients of Σ output · cotangent, of a module and its input.
fn check<M: Module>(file: &Tensors<f32>, module: M, forward: impl Fn(&M, Tensor<2>) -> Tensor<2>) {
    let module = set_parameters(module, &with_prefix(file, "param."));
    let x = tensor::<2>(file, "input.x", &device()).require_grad();
    let output = forward(&module, x.clone());
    assert_tensor("output", output.clone(), file);
    let mut gradients = (output * tensor::<2>(file, "cotangent", &device())).sum().backward();
    assert_tensor("grad.x", x.grad(&gradients).unwrap(), file);
    let gradients = GradientsParams::from_module(&mut gradients, &module);
    let mut expected = with_prefix(file, "grad.param.");
    let ours = read_parameters(&module, Some(&gradients));
    // What the output does not depend on has a gradient of zeros there and none here.
    expected.retain(|path, (_, values)| ours.contains_key(path) || values.iter().any(|&v| v != 0.0));
    if !expected.is_empty() {
        // Where terms cancel, what is left is of the size of the largest gradient's last digits.
        let floor = CANCELLED * expected.values().map(|(_, values)| largest(values)).fold(0.0, f32::max);
        assert_values("gradient", &ours, &expected, |_, expected| allowed(expected, floor));
    }
}

/// A graph with isolated nodes, repeated edges and self loops, and one of a single node.
fn check_encoder<O: BuildGraphEncoder>(name: &str, options: impl Fn() -> O) {
    check_encoder_on(&["small", "one"], name, options);
}

fn check_encoder_on<O: BuildGraphEncoder>(graphs: &[&str], name: &str, options: impl Fn() -> O) {
    for graph in graphs {
        let path = path(&format!("encoder_{name}_{graph}"));
        let file = load(&path);
        let ([nodes, input], weights) = (tensor::<2>(&file, "input.x", &device()).dims(), &file["input.weight"].1);
        let (_, ends) = &load_i64(&path)["edges"];
        let (sources, targets) = ends.split_at(weights.len());
        let edges: Vec<(u32, u32, f32)> =
            sources.iter().zip(targets).zip(weights).map(|((&s, &t), &w)| (s as u32, t as u32, w)).collect();
        let graph = Graph::new(nodes, &edges).unwrap();
        let context = GraphEncoderContext { input, codes: &[], device: &device() };
        check(&file, options().build(&context).unwrap(), |encoder, x| encoder.forward(x, &graph));
    }
}

const DIMS: [usize; 2] = [8, 4];

#[test]
fn gat() {
    for (name, edge_weight, residual) in
        [("gat_heads", false, false), ("gat_edges", true, false), ("gat_residual", false, true)]
    {
        let options = || GatOptions { dims: DIMS.to_vec(), heads: 2, edge_weight, residual, ..GatOptions::default() };
        check_encoder(name, options);
    }
}

#[test]
fn gatv2() {
    for (name, edge_weight) in [("gatv2_heads", false), ("gatv2_edges", true)] {
        let dims = || DIMS.to_vec();
        check_encoder(name, || GatV2Options {
            dims: dims(),
            heads: 2,
            dropout: 0.0,
            edge_weight,
            ..Default::default()
        });
    }
}

#[test]
fn gcn() {
    check_encoder("gcn", || GcnOptions { dims: DIMS.to_vec(), dropout: 0.0, edge_weight: true });
}

#[test]
fn graph_transformer() {
    for (name, edge_weight) in [("transformer", false), ("transformer_edges", true)] {
        check_encoder(name, || TransformerOptions {
            dims: DIMS.to_vec(),
            heads: 2,
            dropout: 0.0,
            edge_weight,
            self_loops: true,
        });
    }
}

#[test]
fn sage() {
    for (name, aggregate) in [
        ("sage_mean", Aggregate::Mean),
        ("sage_max", Aggregate::Max),
        ("sage_sum", Aggregate::Sum),
        ("sage_pool", Aggregate::Pool),
    ] {
        check_encoder(name, || SageOptions { dims: DIMS.to_vec(), aggregate, dropout: 0.0, self_loops: true });
    }
}

#[test]
fn gin() {
    let options = |train_eps, norm| GinOptions {
        dims: DIMS.to_vec(),
        dropout: 0.0,
        eps: 0.25,
        train_eps,
        self_loops: true,
        norm,
    };
    for (name, train_eps) in [("gin", false), ("gin_trained", true)] {
        check_encoder(name, || options(train_eps, Norm::None));
    }
    check_encoder_on(&["small"], "gin_norm", || options(false, Norm::Batch));
}

#[test]
fn lightgcn() {
    for (name, edge_weight) in [("lightgcn", false), ("lightgcn_edges", true)] {
        check_encoder(name, || LightGcnOptions { layers: 3, edge_weight, self_loops: true });
    }
}

#[test]
fn sgc() {
    for (name, edge_weight) in [("sgc", false), ("sgc_edges", true)] {
        check_encoder(name, || SgcOptions { dim: 4, layers: 3, edge_weight });
    }
}

#[test]
fn gram() {
    let codes = ["", "428.0", "428.21", "V10.3"].map(String::from);
    let context = GraphEncoderContext { input: 5, codes: &codes, device: &device() };
    let encoder = GramOptions { hidden: 3, ..Default::default() }.build(&context).unwrap();
    let graph = Graph::new(4, &[]).unwrap();
    check(&load(&path("encoder_gram")), encoder, |encoder, x| encoder.forward(x, &graph));
}

/// Lists whose offsets and members are in a file, by the beginning of their names.
fn ragged(integers: &Tensors<i64>, prefix: &str) -> Ragged<u32> {
    let values = |part: &str| integers[&format!("{prefix}{part}")].1.iter();
    let offsets = values("offsets").map(|&offset| offset as usize).collect();
    Ragged::from_parts(offsets, values("members").map(|&member| member as u32).collect()).unwrap()
}

/// Sets of different lengths, one of them empty, with repeats.
fn check_fusion<O: BuildFusion>(name: &str, level: FusionLevel, options: O) {
    let path = path(&format!("fusion_{name}"));
    let sets = Sets::new(ragged(&load_i64(&path), ""));
    let file = load(&path);
    let sets = match file.get("input.days") {
        Some((_, days)) => sets.ago(days.clone()),
        None => sets,
    };
    let width = file["input.x"].0[1];
    let fusion = options.build(&FusionContext { width, level, device: &device() }).unwrap();
    check(&file, fusion, |fusion, x| fusion.forward(x, &sets));
}

#[test]
fn pooling() {
    check_fusion("mean", FusionLevel::Codes, MeanOptions {});
    check_fusion("max", FusionLevel::Codes, MaxOptions {});
    check_fusion("sum", FusionLevel::Codes, SumOptions { activation: Activation::None });
    check_fusion("sum_tanh", FusionLevel::Codes, SumOptions { activation: Activation::Tanh });
}

#[test]
fn gated() {
    check_fusion("gated", FusionLevel::Codes, GatedOptions { hidden: 3 });
}

#[test]
fn visit_transformer() {
    support::burns_layers();
    let options =
        || VisitTransformerOptions { dim: 8, heads: 2, layers: 2, feed_forward: 12, dropout: 0.0, elapsed: false };
    check_fusion("transformer_visits", FusionLevel::Visits, options());
    check_fusion("transformer_codes", FusionLevel::Codes, options());
    let elapsed = VisitTransformerOptions { elapsed: true, ..options() };
    check_fusion("transformer_elapsed", FusionLevel::Visits, elapsed);
}

#[test]
fn retain() {
    for (name, elapsed) in [("retain", false), ("retain_elapsed", true)] {
        check_fusion(name, FusionLevel::Visits, RetainOptions { hidden: 3, elapsed });
    }
}

#[test]
fn dipole() {
    for (name, score, bidirectional) in [
        ("dipole_location", Score::Location, true),
        ("dipole_general", Score::General, true),
        ("dipole_concat", Score::Concat, true),
        ("dipole_location_ahead", Score::Location, false),
    ] {
        check_fusion(name, FusionLevel::Visits, DipoleOptions { hidden: 3, embed: 5, dim: 6, score, bidirectional });
    }
}

/// The graph counted, neighbours, divisions of visits and patient vectors.
#[test]
fn chet() {
    let path = dualk_tests::tests_dir().join("golden-chet/chet.safetensors");
    let (file, integers) = (load(&path), load_i64(&path));
    let [nodes, width] = tensor::<2>(&file, "input.x", &device()).dims();
    let counted = ragged(&integers, "counted.");
    let graph = cooccurrence(nodes, &counted, 0..counted.len()).unwrap();
    let (codes, visits) = (ragged(&integers, "codes."), ragged(&integers, "visits."));
    let labs = visits.rows().map(|_| std::iter::empty()).collect();
    let examples = Examples { codes: Arc::new(codes.into()), visits, labs, ..Examples::default() };
    let batch = examples.batch(&(0..examples.len()).collect::<Vec<_>>());
    let names = vec![String::new(); nodes];
    let context = PatientEncoderContext { width, codes: &names, device: &device(), parts: &() };
    let encoder = ChetOptions { graph: 5, hidden: 7, attention: 32, threshold: 0.15 }.build(&context).unwrap();
    check(&file, encoder, |encoder, x| encoder.forward(x, &graph, &batch));
}

fn check_loss(name: &str, options: impl BuildLoss) {
    let (file, device) = (load(&path(&format!("loss_{name}"))), device());
    let logits = tensor::<2>(&file, "input.x", &device).require_grad();
    let value = options.build().unwrap().forward(logits.clone(), tensor(&file, "input.targets", &device));
    assert_tensor("output", value.clone(), &file);
    let gradients = (value * tensor::<1>(&file, "cotangent", &device)).backward();
    assert_tensor("grad.x", logits.grad(&gradients).unwrap(), &file);
}

#[test]
fn losses() {
    check_loss("focal", FocalOptions::default());
    check_loss("focal_other", FocalOptions { alpha: 0.6, gamma: 1.5 });
    check_loss("asymmetric", AsymmetricOptions::default());
    check_loss("label_weighted", LabelWeightedOptions {});
    check_loss("ranking", RankingOptions {});
}
