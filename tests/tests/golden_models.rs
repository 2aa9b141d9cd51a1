//! Whole models against the published implementation: logits, gradients, and losses and weights of three Adam steps.

mod support;

mod golden {
    use crate::support::{Values, allowed, assert_close, assert_tensor, assert_values, device, largest};
    use crate::support::{read_parameters, renamed, set_parameters, tensor, with_prefix};
    use dualk_plugin_attention::AttentionOptions;
    use dualk_plugin_gat::GatOptions;
    use dualk_plugin_gcn::GcnOptions;
    use dualk_plugin_lab::LinearOptions;
    use dualk_plugin_losses::{BceOptions, WeightedBceOptions};
    use dualk_sdk::burn::optim::{GradientsParams, ModuleOptimizer};
    use dualk_sdk::data::Batch;
    use dualk_sdk::model::{HeadOptions, Model, ModelParts, freeze};
    use dualk_sdk::prelude::*;
    use dualk_sdk::serde_json::Value;
    use dualk_sdk::train::Adam;
    use dualk_tests::{Tensors, golden_dir, load, load_i64, metadata};
    use std::collections::HashMap;
    use std::path::Path;

    /// A gradient smaller than this part of the model's largest is compared as if it had that size: it is what
    /// cancellation left of sums as large as the others.
    const MODEL_FLOOR: f32 = 1e-3;

    /// What is trained.
    #[derive(Clone, Copy, PartialEq)]
    enum Stage {
        Pretrain,
        Direct,
        Finetune,
    }

    /// A file of a whole model.
    struct Case {
        file: Tensors<f32>,
        metadata: HashMap<String, Value>,
        codes: (Vec<usize>, Vec<i64>),
        /// The state before the first step, by the published names.
        before: Values,
    }

    fn open(name: &str) -> Option<Case> {
        let path = golden_dir()?.join("reference").join(name);
        let file = load(&path);
        let codes = load_i64(&path).remove("codes_x").unwrap_or_else(|| panic!("{name} has no `codes_x`"));
        let before = initial_state(name, &file)?;
        Some(Case { file, metadata: metadata(&path), codes, before })
    }

    /// The state before the first step.
    ///
    /// A state that was saved by reference has been trained along: `before` then equals `after`, and the published
    /// numbers belong to another state. It is recovered where `initial/` has it (see its README): the one state with
    /// the published logits, first gradients, losses and weights after three steps.
    fn initial_state(name: &str, file: &Tensors<f32>) -> Option<Values> {
        let (before, after) = (with_prefix(file, "before."), with_prefix(file, "after."));
        if before != after {
            return Some(before);
        }
        let recovered = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/initial").join(name);
        if recovered.is_file() {
            let recovered = with_prefix(&load(&recovered), "");
            // Three Adam steps move a weight by at most about three learning rates: another file's state is told apart.
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 0.05;
            let same = |path: &String, a: &(Vec<usize>, Vec<f32>)| {
                recovered.get(path).is_some_and(|r| r.0 == a.0 && r.1.iter().zip(&a.1).all(near))
            };
            if recovered.len() == after.len() && after.iter().all(|(path, a)| same(path, a)) {
                return Some(recovered);
            }
        }
        eprintln!("skipped: in {name} the state before training is the state after it, so nothing can be computed");
        None
    }

    /// Published names → paths in [`Model`].
    fn renames(stage: Stage) -> Vec<(&'static str, &'static str)> {
        let mut names = vec![
            ("gnn_layer.node_features", "nodes"),
            ("gnn_layer.", "encoder."),
            ("visit_attention.attn_weights", "code_fusion.weight"),
            ("patient_attention.attn_weights", "visit_fusion.weight"),
            ("lab_layer.", "lab.fc."),
            ("classifier.", "heads.0."),
        ];
        names.extend(match stage {
            Stage::Pretrain => [("decoder1.", "heads.0."), ("decoder2.", "heads.1."), ("decoder3.", "heads.2.")],
            _ => [("decoder1.", "decoders.0."), ("decoder2.", "decoders.1."), ("decoder3.", "decoders.2.")],
        });
        names
    }

    impl Case {
        fn shape(&self, name: &str) -> &[usize] {
            &self.before.get(name).unwrap_or_else(|| panic!("the state has no `{name}`")).0
        }

        fn widths(&self, head: &str, layers: &[&str]) -> Vec<usize> {
            layers.iter().map(|layer| self.shape(&format!("{head}.{layer}.weight"))[0]).collect()
        }

        fn columns(&self, label: usize) -> usize {
            self.file[&format!("labels.{label}")].0[1]
        }

        fn graph(&self) -> (Graph, bool) {
            let ends = &self.metadata["edge_index"];
            let weights = self.metadata.get("edge_weight").and_then(Value::as_array);
            let end = |side: usize, i: usize| ends[side][i].as_u64().unwrap() as u32;
            let weight = |i: usize| weights.map_or(1.0, |w| w[i].as_f64().unwrap() as f32);
            let edges = (0..ends[0].as_array().unwrap().len()).map(|i| (end(0, i), end(1, i), weight(i)));
            let nodes = self.shape("gnn_layer.node_features")[0];
            (Graph::new(nodes, &edges.collect::<Vec<_>>()).unwrap(), weights.is_some())
        }

        /// Code 0 is padding, and so is a visit without codes.
        fn batch(&self) -> Batch {
            let &[patients, visits, length] = &self.codes.0[..] else {
                panic!("codes_x is no three-dimensional array")
            };
            let (mut codes, mut sets) = (Ragged::new(), Ragged::new());
            for patient in self.codes.1.chunks_exact(visits * length) {
                let first = codes.len() as u32;
                for visit in patient.chunks_exact(length) {
                    let visit: Vec<u32> = visit.iter().filter(|&&c| c != 0).map(|&c| c as u32).collect();
                    if !visit.is_empty() {
                        codes.push(visit);
                    }
                }
                sets.push(first..codes.len() as u32);
            }
            assert_eq!(sets.len(), patients);
            let (shape, values) = &self.file["labs_x"];
            assert!(values.iter().all(|&v| v == 0.0 || v == 1.0), "labs_x is not of zeros and ones");
            let abnormal = |row: &[f32]| (0..row.len() as u32).filter(|&c| row[c as usize] == 1.0).collect::<Vec<_>>();
            let labs = values.chunks_exact(shape[1]).map(abnormal).collect();
            Batch { codes: Sets::new(codes), visits: Sets::new(sets), labs, targets: Vec::new() }
        }

        fn model(&self, stage: Stage, encoder: GraphEncoderModule, device: &Device) -> Model {
            let features = Tensor::zeros(
                [self.shape("gnn_layer.node_features")[0], self.shape("gnn_layer.node_features")[1]],
                device,
            );
            let width = encoder.width();
            let fusion = |level| {
                let context = FusionContext { width, level, device };
                FusionModule::new(AttentionOptions { dropout: 0.0 }.build(&context).unwrap(), "attention")
            };
            let (labs, dim) = match stage {
                Stage::Pretrain => (1, 1), // the published model of this stage has no lab layer
                _ => (self.shape("lab_layer.weight")[1], self.shape("lab_layer.weight")[0]),
            };
            let lab = LinearOptions { dim }.build(&LabEncoderContext { labs, device }).unwrap();
            let parts = ModelParts {
                features,
                encoder,
                code_fusion: fusion(FusionLevel::Codes),
                visit_fusion: fusion(FusionLevel::Visits),
                lab: LabEncoderModule::new(lab, "linear"),
                labs,
            };
            let options = HeadOptions {
                decoder: self.widths(if stage == Stage::Direct { "classifier" } else { "decoder1" }, &["fc1", "fc2"]),
                classifier: if stage == Stage::Finetune { self.widths("classifier", &["fc1"]) } else { vec![1] },
                dropout: 0.0,
            };
            let head = |label: usize, input, kind| {
                let (name, outputs) = (label.to_string(), self.columns(label));
                HeadSpec { name, input, kind, outputs, keep: true }
            };
            let decoders = (0..3).map(|i| head(i, HeadInput::Patient, HeadKind::Decoder)).collect();
            let model = Model::new(parts);
            let (model, heads) = match stage {
                Stage::Pretrain => (model, decoders),
                Stage::Direct => (model, vec![head(3, HeadInput::PatientLab, HeadKind::Decoder)]),
                Stage::Finetune => {
                    let model = model.with_new_decoders(decoders, &options, device);
                    (model, vec![head(3, HeadInput::Full, HeadKind::Classifier)])
                }
            };
            let model = model.with_new_heads(heads, &options, device).unwrap();
            let mut state = renamed(self.before.clone(), &renames(stage));
            if stage == Stage::Pretrain {
                state.extend(read_parameters(&model, None).into_iter().filter(|(path, _)| path.starts_with("lab.")));
            }
            freeze(set_parameters(model, &state), &["lab".to_owned()])
        }
    }

    fn check(name: &str, stage: Stage, build: impl Fn(&Case, &GraphEncoderContext<'_>, bool) -> GraphEncoderModule) {
        let Some(case) = open(name) else { return };
        let device = device();
        let (graph, weighted) = case.graph();
        let context =
            GraphEncoderContext { input: case.shape("gnn_layer.node_features")[1], codes: &[], device: &device };
        let mut model = case.model(stage, build(&case, &context, weighted), &device);
        let batch = case.batch();
        let (labels, loss) = match stage {
            Stage::Pretrain => (0..3, BceOptions {}.build()),
            _ => (3..4, WeightedBceOptions::default().build()),
        };
        let loss = loss.unwrap();
        let targets: Vec<Tensor<2>> = labels.map(|i| tensor(&case.file, &format!("labels.{i}"), &device)).collect();
        let mut optimizer = ModuleOptimizer::from(Adam);
        let lr = case.metadata["lr"].as_f64().unwrap();
        let expected = renamed(with_prefix(&case.file, "grad."), &renames(stage));
        let floor = MODEL_FLOOR * expected.values().map(|(_, g)| largest(g)).fold(0.0, f32::max);
        let (mut losses, mut first) = (Vec::new(), Values::new());
        for step in 0..case.file["losses"].1.len() {
            let patients = model.embeddings(&graph).map(|e| model.patients(e, &batch));
            let logits = model.logits(patients, &batch, 0..targets.len());
            if step == 0 {
                for (i, logits) in logits.iter().enumerate() {
                    assert_tensor(&format!("logits.{i}"), logits.clone(), &case.file);
                }
            }
            let each = logits.into_iter().zip(&targets).map(|(logits, targets)| loss.forward(logits, targets.clone()));
            let total = each.reduce(|sum, loss| sum + loss).unwrap();
            losses.push(total.clone().into_scalar::<f32>());
            let mut gradients = total.backward();
            let gradients = GradientsParams::from_module(&mut gradients, &model);
            if step == 0 {
                first = read_parameters(&model, Some(&gradients));
                assert_values("gradient", &first, &expected, |_, expected| allowed(expected, floor));
            }
            model = optimizer.step(lr, model, gradients);
        }
        assert_close("losses", &losses, &case.file["losses"].1);
        let after = renamed(with_prefix(&case.file, "after."), &renames(stage));
        assert_values("weight after training", &read_parameters(&model, None), &after, |path, weights| {
            let mut margin = allowed(weights, 0.0);
            if let (Some((_, published)), Some((_, ours))) = (expected.get(path), first.get(path)) {
                // Adam divides a gradient by its size: what a gradient may differ by moves the three steps by as large
                // a part of them. Where both gradients are exactly zero, nothing may move.
                let noise = allowed(published, floor).into_iter().zip(published.iter().zip(ours));
                for (margin, (noise, (&p, &o))) in margin.iter_mut().zip(noise) {
                    let part = if p == 0.0 && o == 0.0 { 0.0 } else { (noise / p.abs()).min(1.0) };
                    *margin += reach(lr, case.file["losses"].1.len()) * part;
                }
            }
            margin
        });
    }

    /// How far Adam moves a weight at most, about.
    fn reach(lr: f64, steps: usize) -> f32 {
        (2.0 * lr * steps as f64) as f32
    }

    fn gat(case: &Case, context: &GraphEncoderContext<'_>, _: bool) -> GraphEncoderModule {
        let dims = case.widths("gnn_layer", &["conv1.lin", "conv2.lin"]);
        let options = GatOptions { dims, dropout: 0.0, ..Default::default() };
        GraphEncoderModule::new(options.build(context).unwrap(), "gat")
    }

    fn gcn(case: &Case, context: &GraphEncoderContext<'_>, edge_weight: bool) -> GraphEncoderModule {
        let dims = case.widths("gnn_layer", &["conv1.lin", "conv2.lin"]);
        let options = GcnOptions { dims, dropout: 0.0, edge_weight };
        GraphEncoderModule::new(options.build(context).unwrap(), "gcn")
    }

    #[test]
    fn gat_pretrain() {
        check("model_gat_pretrain.safetensors", Stage::Pretrain, gat);
    }

    #[test]
    fn gat_direct() {
        check("model_gat_direct.safetensors", Stage::Direct, gat);
    }

    #[test]
    fn gat_finetune() {
        check("model_gat_finetune.safetensors", Stage::Finetune, gat);
    }

    #[test]
    fn gcn_pretrain() {
        check("model_gcn_pretrain.safetensors", Stage::Pretrain, gcn);
    }

    #[test]
    fn gcn_direct() {
        check("model_gcn_direct.safetensors", Stage::Direct, gcn);
    }

    #[test]
    fn gcn_finetune() {
        check("model_gcn_finetune.safetensors", Stage::Finetune, gcn);
    }
}
