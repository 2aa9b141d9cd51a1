//! Layers, fusions, heads, losses, metrics and whole models against numbers of the published implementation.

mod support;

mod golden {
    use crate::support::{allowed, assert_close, assert_tensor, assert_values, device, excess, relative};
    use crate::support::{read_parameters, renamed, set_parameters, tensor, with_prefix};
    use dualk_plugin_encoder_gat::GatOptions;
    use dualk_plugin_encoder_gcn::GcnOptions;
    use dualk_plugin_fusion_attention::{AttentionOptions, GlobalOptions};
    use dualk_plugin_fusion_recurrent::{GruOptions, LstmOptions};
    use dualk_plugin_head_layers::{Classifier, Decoder};
    use dualk_plugin_losses::{BceOptions, WeightedBceOptions};
    use dualk_sdk::burn::module::Module;
    use dualk_sdk::burn::optim::GradientsParams;
    use dualk_sdk::prelude::*;
    use dualk_sdk::serde_json::Value;
    use dualk_sdk::train::metrics;
    use dualk_tests::{Tensors, golden_dir, json, load, metadata};
    use std::path::PathBuf;

    fn path(name: &str) -> PathBuf {
        golden_dir().join("reference").join(name)
    }

    /// The graph in the metadata of a file, with its edge weights if it has them.
    fn graph(path: &std::path::Path, nodes: usize) -> (Graph, bool) {
        let metadata = metadata(path);
        let ends = |i: usize| metadata["edge_index"][i].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32);
        let weights = metadata.get("edge_weight").and_then(Value::as_array);
        let weight = |i: usize| weights.map_or(1.0, |w| w[i].as_f64().unwrap() as f32);
        let edges: Vec<(u32, u32, f32)> =
            ends(0).zip(ends(1)).enumerate().map(|(i, (s, t))| (s, t, weight(i))).collect();
        (Graph::new(nodes, &edges).unwrap(), weights.is_some())
    }

    fn shape(file: &Tensors<f32>, name: &str) -> Vec<usize> {
        file.get(name).unwrap_or_else(|| panic!("the file has no `{name}`")).0.clone()
    }

    /// Compares the output, and the gradients of Σ output · cotangent, of a module and its input.
    fn check<M: Module, const D: usize>(
        file: &Tensors<f32>,
        module: M,
        renames: &[(&str, &str)],
        input: (&str, Tensor<2>),
        forward: impl Fn(&M, Tensor<2>) -> Tensor<D>,
    ) {
        let parameters = |prefix| {
            let mut values = renamed(with_prefix(file, prefix), renames);
            values.remove(input.0.trim_start_matches("param."));
            values
        };
        let module = set_parameters(module, &parameters("param."));
        let x = input.1.require_grad();
        let output = forward(&module, x.clone());
        assert_tensor("output", output.clone(), file);
        let (_, cotangent) = &file["cotangent"];
        let cotangent = Tensor::<D>::from_data(TensorData::new(cotangent.clone(), output.dims()), &output.device());
        let mut gradients = (output * cotangent).sum().backward();
        assert_tensor(&format!("grad.{}", input.0), x.grad(&gradients).unwrap(), file);
        let gradients = GradientsParams::from_module(&mut gradients, &module);
        let ours = read_parameters(&module, Some(&gradients));
        assert_values("gradient", &ours, &parameters("grad.param."), |_, expected| allowed(expected, 0.0));
    }

    fn check_encoder<O: BuildGraphEncoder>(name: &str, options: impl Fn(Vec<usize>, bool) -> O) {
        let path = path(name);
        let (file, device) = (load(&path), device());
        let x = tensor::<2>(&file, "param.node_features", &device);
        let [nodes, input] = x.dims();
        let (graph, weighted) = graph(&path, nodes);
        let dims = ["param.conv1.lin.weight", "param.conv2.lin.weight"].map(|name| shape(&file, name)[0]).to_vec();
        let encoder =
            options(dims, weighted).build(&GraphEncoderContext { input, codes: &[], device: &device }).unwrap();
        check(&file, encoder, &[], ("param.node_features", x), |e, x| e.forward(x, &graph));
    }

    #[test]
    fn layer_gat() {
        check_encoder("layer_gat.safetensors", |dims, _| GatOptions { dims, dropout: 0.0, ..Default::default() });
    }

    #[test]
    fn layer_gcn() {
        check_encoder("layer_gcn.safetensors", |dims, edge_weight| GcnOptions { dims, dropout: 0.0, edge_weight });
    }

    /// `input.x` is one set `[members, width]`, or several of equal length `[sets, members, width]`.
    fn check_fusion<O: BuildFusion>(
        name: &str,
        level: FusionLevel,
        renames: &[(&str, &str)],
        options: impl Fn(&Tensors<f32>) -> O,
    ) {
        let path = path(name);
        let (file, device) = (load(&path), device());
        let full = shape(&file, "input.x");
        let (width, members) = (full[full.len() - 1], full[full.len() - 2]);
        let (_, values) = &file["input.x"];
        let rows = values.len() / width;
        let x = Tensor::<2>::from_data(TensorData::new(values.clone(), [rows, width]), &device);
        let sets = (0..rows / members).map(|s| (s * members) as u32..((s + 1) * members) as u32).collect();
        let sets = Sets::new(sets);
        let fusion = options(&file).build(&FusionContext { width, level, device: &device }).unwrap();
        check(&file, fusion, renames, ("input.x", x), |f, x| f.forward(x, &sets));
    }

    const GLOBAL: [(&str, &str); 4] =
        [("u_omega_o", "gate"), ("w_omega", "weight"), ("b_omega", "bias"), ("u_omega", "context")];

    const RECURRENT: [(&str, &str); 8] = [
        ("gru.weight_ih_l0", "gates.ih.weight"),
        ("gru.weight_hh_l0", "gates.hh.weight"),
        ("gru.bias_ih_l0", "gates.ih.bias"),
        ("gru.bias_hh_l0", "gates.hh.bias"),
        ("lstm.weight_ih_l0", "gates.ih.weight"),
        ("lstm.weight_hh_l0", "gates.hh.weight"),
        ("lstm.bias_ih_l0", "gates.ih.bias"),
        ("lstm.bias_hh_l0", "gates.hh.bias"),
    ];

    #[test]
    fn fusion_simple() {
        let options = |_: &Tensors<f32>| AttentionOptions { dropout: 0.0, ..AttentionOptions::default() };
        check_fusion("fusion_simple.safetensors", FusionLevel::Codes, &[("attn_weights", "weight")], options);
    }

    #[test]
    fn fusion_global_code() {
        check_fusion("fusion_global_code.safetensors", FusionLevel::Codes, &GLOBAL, |_| GlobalOptions {});
    }

    #[test]
    fn fusion_global_visit() {
        check_fusion("fusion_global_visit.safetensors", FusionLevel::Visits, &GLOBAL, |_| GlobalOptions {});
    }

    #[test]
    fn fusion_gru() {
        let options = |file: &Tensors<f32>| GruOptions { hidden: shape(file, "param.gru.weight_hh_l0")[1] };
        check_fusion("fusion_gru.safetensors", FusionLevel::Visits, &RECURRENT, options);
    }

    #[test]
    fn fusion_lstm() {
        let options = |file: &Tensors<f32>| LstmOptions { hidden: shape(file, "param.lstm.weight_hh_l0")[1] };
        check_fusion("fusion_lstm.safetensors", FusionLevel::Visits, &RECURRENT, options);
    }

    #[test]
    fn decoder() {
        let path = path("decoder.safetensors");
        let (file, device) = (load(&path), device());
        let [first, second, outputs] = ["fc1", "fc2", "fc3"].map(|l| shape(&file, &format!("param.{l}.weight"))[0]);
        let x = tensor::<2>(&file, "input.x", &device);
        let context = HeadContext {
            network: "decoder",
            input: x.dims()[1],
            outputs,
            code_width: None,
            knowledge: None,
            device: &device,
        };
        let decoder = Decoder::new(&context, [first, second], 0.0);
        check(&file, decoder, &[], ("input.x", x), |d, x| d.forward(x));
    }

    #[test]
    fn classifier() {
        let path = path("classifier.safetensors");
        let (file, device) = (load(&path), device());
        let [hidden, outputs] = ["fc1", "fc2"].map(|l| shape(&file, &format!("param.{l}.weight"))[0]);
        let x = tensor::<2>(&file, "input.x", &device);
        let context = HeadContext {
            network: "classifier",
            input: x.dims()[1],
            outputs,
            code_width: None,
            knowledge: None,
            device: &device,
        };
        let classifier = Classifier::new(&context, hidden, 0.0);
        check(&file, classifier, &[], ("input.x", x), |c, x| c.forward(x));
    }

    fn check_loss(name: &str, loss: Box<dyn Loss>) {
        let path = path(name);
        let (file, device) = (load(&path), device());
        let logits = tensor::<2>(&file, "logits", &device).require_grad();
        let value = loss.forward(logits.clone(), tensor(&file, "targets", &device));
        let gradients = value.backward();
        assert_tensor("loss", value, &file);
        assert_tensor("grad.logits", logits.grad(&gradients).unwrap(), &file);
    }

    #[test]
    fn loss_bce() {
        check_loss("loss_bce.safetensors", BceOptions {}.build().unwrap());
    }

    #[test]
    fn loss_weighted_bce() {
        for (name, positive, negative) in [("1_1", 1.0, 1.0), ("2_half", 2.0, 0.5)] {
            let loss = WeightedBceOptions { positive, negative }.build().unwrap();
            check_loss(&format!("loss_weighted_{name}.safetensors"), loss);
        }
    }

    #[test]
    fn metrics_json() {
        let path = path("metrics.json");
        let file = json(&path);
        let list = |v: &Value| v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>();
        let rows = |name: &str| file[name].as_array().unwrap().iter().map(list).collect::<Vec<_>>();
        let (truth, scores) = (rows("y_true"), rows("scores"));
        let columns = scores[0].len();
        let scores: Vec<f32> = scores.into_iter().flatten().map(|s| s as f32).collect();
        let marks = |row: &Vec<f64>| (0..columns as u32).filter(|&c| row[c as usize] > 0.5).collect::<Vec<_>>();
        let positives: Ragged<u32> = truth.iter().map(marks).collect();
        let close = |name: &str, ours: f64, expected: &Value| {
            let expected = expected.as_f64().unwrap();
            assert!((ours - expected).abs() <= 1e-12, "{name} is {ours}, published {expected}");
        };
        for (i, k) in list(&file["ks"]).into_iter().enumerate() {
            let at = |name: &str, metric: fn(&[f32], usize, &Ragged<u32>, usize) -> f64| {
                close(&format!("{name} {k}"), metric(&scores, columns, &positives, k as usize), &file[name][i]);
            };
            at("precision_at_k", metrics::precision_at_k);
            at("recall_at_k", metrics::recall_at_k);
        }
        close("f1_weighted", metrics::f1_weighted(&scores, columns, &positives), &file["f1_weighted"]);
        close("f1_macro", metrics::f1_macro(&scores, columns, &positives), &file["f1_macro"]);
        close("f1_micro", metrics::f1_micro(&scores, columns, &positives), &file["f1_micro"]);
        let truth: Vec<bool> = list(&file["binary_true"]).iter().map(|&t| t > 0.5).collect();
        let scores: Vec<f32> = list(&file["binary_score"]).iter().map(|&s| s as f32).collect();
        close("roc_auc", metrics::roc_auc(&scores, &truth), &file["roc_auc"]);
        close("average_precision", metrics::average_precision(&scores, &truth), &file["average_precision"]);
        close("binary_f1_at_half", metrics::binary_f1_at_half(&scores, &truth), &file["binary_f1_at_half"]);
    }

    /// The comparison itself notices differences.
    #[test]
    fn closeness_is_relative() {
        let excess = |ours: &[f32], expected: &[f32]| excess(ours, expected, &allowed(expected, 0.0));
        assert!(excess(&[1.0 + 0.5 * relative(), -2.0], &[1.0, -2.0]) < 1.0);
        assert!(excess(&[1.0 + 2.0 * relative(), -2.0], &[1.0, -2.0]) > 1.0);
        assert!(excess(&[0.02 * relative(), 1.0], &[0.0, 1.0]) > 1.0);
        assert!(excess(&[f32::NAN], &[1.0]) > 1.0);
        assert_close("zeros", &[0.0], &[0.0]);
    }
}
