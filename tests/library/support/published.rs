//! Whole models of the published implementation, from the files of the folder `reference`.

use super::{Values, read_parameters, renamed, set_parameters, with_prefix};
use dualk_plugin_fusion_attention::AttentionOptions;
use dualk_plugin_head_layers::MlpOptions;
use dualk_plugin_lab_layers::LinearOptions;
use dualk_plugin_patient_fusions::Fusions;
use dualk_sdk::data::Batch;
use dualk_sdk::device::generator;
use dualk_sdk::model::{Model, ModelParts, freeze};
use dualk_sdk::prelude::*;
use dualk_sdk::serde_json::Value;
use dualk_tests::{Tensors, golden_dir, load, load_i64, metadata};
use std::collections::HashMap;

/// What is trained.
#[derive(Clone, Copy, PartialEq)]
pub enum Stage {
    Pretrain,
    Direct,
    Finetune,
}

/// A file of a whole model.
pub struct Case {
    pub file: Tensors<f32>,
    pub metadata: HashMap<String, Value>,
    pub codes: (Vec<usize>, Vec<i64>),
    /// The state before the first step, by the published names.
    pub before: Values,
}

impl Case {
    /// A file of the folder `reference`.
    pub fn open(name: &str) -> Self {
        let path = golden_dir().join("reference").join(name);
        let file = load(&path);
        let codes = load_i64(&path).remove("codes_x").unwrap_or_else(|| panic!("{name} has no `codes_x`"));
        let before = with_prefix(&file, "before.");
        Self { file, metadata: metadata(&path), codes, before }
    }

    /// The dropout of a part, such as `Decoder`.
    pub fn dropout(&self, part: &str) -> f64 {
        self.metadata["config"][part]["dropout"].as_f64().unwrap_or_else(|| panic!("no dropout of {part}"))
    }
}

/// Published names → paths in [`Model`].
pub fn renames(stage: Stage) -> Vec<(&'static str, &'static str)> {
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
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.before.get(name).unwrap_or_else(|| panic!("the state has no `{name}`")).0
    }

    pub fn widths(&self, head: &str, layers: &[&str]) -> Vec<usize> {
        layers.iter().map(|layer| self.shape(&format!("{head}.{layer}.weight"))[0]).collect()
    }

    fn columns(&self, label: usize) -> usize {
        self.file[&format!("labels.{label}")].0[1]
    }

    pub fn graph(&self) -> (Graph, bool) {
        let ends = &self.metadata["edge_index"];
        let weights = self.metadata.get("edge_weight").and_then(Value::as_array);
        let end = |side: usize, i: usize| ends[side][i].as_u64().unwrap() as u32;
        let weight = |i: usize| weights.map_or(1.0, |w| w[i].as_f64().unwrap() as f32);
        let edges = (0..ends[0].as_array().unwrap().len()).map(|i| (end(0, i), end(1, i), weight(i)));
        let nodes = self.shape("gnn_layer.node_features")[0];
        (Graph::new(nodes, &edges.collect::<Vec<_>>()).unwrap(), weights.is_some())
    }

    /// Code 0 is padding, and so is a visit without codes.
    pub fn batch(&self) -> Batch {
        let &[patients, visits, length] = &self.codes.0[..] else { panic!("codes_x is no three-dimensional array") };
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
        Batch {
            codes: Sets::new(codes),
            visits: Sets::new(sets),
            labs,
            visit_labs: Ragged::new(),
            demographics: Vec::new(),
            targets: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Parameters are drawn when they are first asked for, here to be replaced: not beside those who count on a seed.
    pub fn model(&self, stage: Stage, encoder: GraphEncoderModule, device: &Device) -> Model {
        generator::alone(|| self.filled(stage, encoder, device))
    }

    fn filled(&self, stage: Stage, encoder: GraphEncoderModule, device: &Device) -> Model {
        let features =
            Tensor::zeros([self.shape("gnn_layer.node_features")[0], self.shape("gnn_layer.node_features")[1]], device);
        let width = encoder.width();
        let fusion = |level| {
            let context = FusionContext { width, level, device };
            FusionModule::new(
                AttentionOptions { dropout: self.dropout("Attention"), ..AttentionOptions::default() }
                    .build(&context)
                    .unwrap(),
                "attention",
            )
        };
        let (labs, dim) = match stage {
            Stage::Pretrain => (1, 1), // the published model of this stage has no lab layer
            _ => (self.shape("lab_layer.weight")[1], self.shape("lab_layer.weight")[0]),
        };
        let lab = LinearOptions { dim }.build(&LabEncoderContext { labs, device }).unwrap();
        let fusions = Fusions::new(fusion(FusionLevel::Codes), fusion(FusionLevel::Visits));
        let patient_encoder = PatientEncoderModule::new(fusions, "fusions");
        let parts = ModelParts::new(features, encoder, patient_encoder, LabEncoderModule::new(lab, "linear"), labs);
        let options = MlpOptions {
            decoder: self.widths(if stage == Stage::Direct { "classifier" } else { "decoder1" }, &["fc1", "fc2"]),
            classifier: if stage == Stage::Finetune { self.widths("classifier", &["fc1"]) } else { vec![1] },
            decoder_dropout: Some(self.dropout("Decoder")),
            classifier_dropout: Some(self.dropout("Classifier")),
            ..MlpOptions::default()
        };
        let head = |label: usize| HeadSpec::new(label.to_string(), self.columns(label));
        let decoder = |label: usize| head(label).sees([PartKey::PATIENT_ENCODER]).network("decoder").kept();
        let decoders = || (0..3).map(decoder).collect();
        let make = |spec: &HeadSpec, input| {
            let context = HeadContext {
                network: &spec.network,
                input,
                outputs: spec.outputs,
                code_width: None,
                knowledge: None,
                device,
            };
            options.clone().build(&context).map(|head| HeadModule::new(head, "mlp"))
        };
        let model = Model::new(parts);
        let (model, heads) = match stage {
            Stage::Pretrain => (model, decoders()),
            Stage::Direct => (model, vec![head(3).network("decoder")]),
            Stage::Finetune => {
                let model = model.with_untrained(decoders(), make).unwrap();
                (model, vec![head(3).over_kept(Vec::new()).network("classifier")])
            }
        };
        let model = model.with_new_heads(heads, make).unwrap();
        let mut state = renamed(self.before.clone(), &renames(stage));
        if stage == Stage::Pretrain {
            state.extend(read_parameters(&model, None).into_iter().filter(|(path, _)| path.starts_with("lab.")));
        }
        freeze(set_parameters(model, &state), &["lab".to_owned()])
    }
}
