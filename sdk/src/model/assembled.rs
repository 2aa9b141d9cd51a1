//! All parts of an experiment's model, wired.

use super::{Head, HeadOptions, History};
use crate::component::*;
use crate::data::{Batch, Ragged};
use crate::graph::Graph;
use crate::{Error, Result};
use burn::module::{Module, Param};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use std::ops::Range;

/// What a [`Model`] is made from.
pub struct ModelParts {
    /// `[nodes, dim]`
    pub features: Tensor<2>,
    /// Node features and graph → code embeddings.
    pub encoder: GraphEncoderModule,
    /// Code embeddings and visits → patient.
    pub patient_encoder: PatientEncoderModule,
    /// Abnormal laboratory items → vector.
    pub lab: LabEncoderModule,
    /// Number of laboratory items.
    pub labs: usize,
}

/// The model: trainable node features, graph encoder, patient encoder, lab layer, pretraining decoders and the heads of
/// the current stage. Paths of parameters begin with the names of these fields.
#[derive(Module, Debug)]
pub struct Model {
    nodes: Param<Tensor<2>>,
    encoder: GraphEncoderModule,
    patient_encoder: PatientEncoderModule,
    lab: LabEncoderModule,
    decoders: Vec<Head>,
    heads: Vec<Head>,
    /// The copy paths of heads, as many as heads, or none at all.
    histories: Vec<History>,
    #[module(skip)]
    labs: usize,
    #[module(skip)]
    decoder_specs: Vec<HeadSpec>,
    #[module(skip)]
    head_specs: Vec<HeadSpec>,
}

impl Model {
    /// Wires the parts; there are no heads yet.
    pub fn new(parts: ModelParts) -> Self {
        let ModelParts { features, encoder, patient_encoder, lab, labs } = parts;
        Self {
            nodes: Param::from_tensor(features),
            encoder,
            patient_encoder,
            lab,
            decoders: Vec::new(),
            heads: Vec::new(),
            histories: Vec::new(),
            labs,
            decoder_specs: Vec::new(),
            head_specs: Vec::new(),
        }
    }

    /// Replaces the heads of the stage by new ones.
    ///
    /// # Errors
    /// When a head wants pretraining decoders and there are none.
    pub fn with_new_heads(mut self, specs: Vec<HeadSpec>, options: &HeadOptions, device: &Device) -> Result<Self> {
        let heads = specs.iter().map(|spec| {
            let input = self.head_width(spec.input);
            Ok(Head::new(spec.kind, input, spec.outputs, options, device))
        });
        self.heads = heads.collect::<Result<_>>()?;
        self.head_specs = specs;
        self.histories = Vec::new();
        Ok(self)
    }

    /// Gives every head of the stage a copy path.
    ///
    /// # Errors
    /// When they are not as many as the heads.
    pub fn with_histories(mut self, histories: Vec<History>) -> Result<Self> {
        match histories.len() == self.heads.len() {
            true => self.histories = histories,
            false => return Err(Error::program("every head or none has a copy path")),
        }
        Ok(self)
    }

    /// Whether heads look at the codes of a batch beside the patient vector.
    pub fn looks_at_history(&self) -> bool {
        !self.histories.is_empty()
    }

    /// Gives the model untrained pretraining decoders, for experiments without a pretraining stage.
    pub fn with_new_decoders(mut self, specs: Vec<HeadSpec>, options: &HeadOptions, device: &Device) -> Self {
        let width = self.patient_encoder.width();
        self.decoders = specs.iter().map(|s| Head::new(s.kind, width, s.outputs, options, device)).collect();
        self.decoder_specs = specs;
        self
    }

    /// Turns the heads of the stage into the pretraining decoders of later ones, where their specification says so.
    pub fn keep_heads(mut self) -> Self {
        self.histories = Vec::new();
        let heads = std::mem::take(&mut self.heads).into_iter().zip(std::mem::take(&mut self.head_specs));
        let kept: (Vec<Head>, Vec<HeadSpec>) = heads.filter(|(_, spec)| spec.keep).unzip();
        if !kept.0.is_empty() {
            (self.decoders, self.decoder_specs) = kept;
        }
        self
    }

    /// Turns the pretraining decoders back into heads, to train them further.
    pub fn decoders_as_heads(mut self) -> Self {
        self.histories = Vec::new();
        self.heads = std::mem::take(&mut self.decoders);
        self.head_specs = std::mem::take(&mut self.decoder_specs);
        self
    }

    /// The heads of the stage.
    pub fn head_specs(&self) -> &[HeadSpec] {
        &self.head_specs
    }

    /// The pretraining decoders.
    pub fn decoder_specs(&self) -> &[HeadSpec] {
        &self.decoder_specs
    }

    /// Where the model is.
    pub fn device(&self) -> Device {
        self.nodes.val().device()
    }

    /// Embeds all nodes of the graph, or gives `None` when no head looks at patients.
    ///
    /// # Shapes
    /// - output: `[nodes, encoder width]`
    pub fn embeddings(&self, graph: &Graph) -> Option<Tensor<2>> {
        let wanted = self.head_specs.iter().any(|s| s.input != HeadInput::Lab);
        wanted.then(|| self.encoder.forward(self.nodes.val(), graph))
    }

    /// Patient vectors.
    ///
    /// # Shapes
    /// - `embeddings`: `[nodes, encoder width]`
    /// - output: `[batch, patient width]`
    pub fn patients(&self, embeddings: Tensor<2>, graph: &Graph, batch: &Batch) -> Tensor<2> {
        self.patient_encoder.forward(embeddings, graph, batch)
    }

    /// Logits of the heads `which`.
    ///
    /// # Shapes
    /// - `patients`: `[batch, patient width]`, what [`Model::patients`] gave; `None` when no head looks at patients
    /// - output: one `[batch, outputs]` a head
    pub fn logits(&self, patients: Option<Tensor<2>>, batch: &Batch, which: Range<usize>) -> Vec<Tensor<2>> {
        let inputs: Vec<HeadInput> = self.head_specs[which.clone()].iter().map(|s| s.input).collect();
        let sees_labs = inputs.iter().any(|i| *i != HeadInput::Patient);
        let lab = sees_labs.then(|| self.lab.forward(dense(&batch.labs, self.labs, &self.device()))); // [batch, lab width]
        let heads = which.zip(inputs);
        let logits = heads.map(|(i, input)| {
            let logits = self.heads[i].forward(self.head_input(input, patients.as_ref(), lab.as_ref()));
            match self.histories.get(i) {
                Some(history) => logits + history.forward(batch), // [batch, outputs]
                None => logits,
            }
        });
        logits.collect()
    }

    fn head_input(&self, input: HeadInput, patient: Option<&Tensor<2>>, lab: Option<&Tensor<2>>) -> Tensor<2> {
        let mut parts: Vec<Tensor<2>> = Vec::new();
        if input == HeadInput::Full {
            parts.extend(patient.iter().flat_map(|p| self.decoders.iter().map(|d| d.embed((*p).clone()))));
        }
        if input != HeadInput::Lab {
            parts.extend(patient.cloned());
        }
        if input != HeadInput::Patient {
            parts.extend(lab.cloned());
        }
        Tensor::cat(parts, 1) // [batch, sum of widths]
    }

    fn head_width(&self, input: HeadInput) -> usize {
        let (patient, lab) = (self.patient_encoder.width(), self.lab.width());
        match input {
            HeadInput::Patient => patient,
            HeadInput::PatientLab => patient + lab,
            HeadInput::Lab => lab,
            HeadInput::Full => self.decoders.iter().map(Head::embedding_width).sum::<usize>() + patient + lab,
        }
    }
}

/// Rows of column numbers as a matrix of zeros and ones. Devices with memory of their own get the numbers alone.
///
/// # Shapes
/// - output: `[rows.len(), columns]`
pub fn dense(rows: &Ragged<u32>, columns: usize, device: &Device) -> Tensor<2> {
    let places = rows.rows().enumerate().flat_map(|(i, row)| row.iter().map(move |&c| (i * columns) as u32 + c));
    let mut places: Vec<u32> = places.collect();
    if !places.is_sorted_by(|a, b| a < b) {
        places.sort_unstable();
        places.dedup();
    }
    counts(&places, rows.len() * columns, device).reshape([rows.len(), columns])
}

/// How often each of the numbers below `size` is in `places`; a constant. Devices with memory of their own get `places` alone.
///
/// # Shapes
/// - output: `[size]`
pub(super) fn counts(places: &[u32], size: usize, device: &Device) -> Tensor<1> {
    let device = device.clone().without_autodiff();
    if device == Device::flex() || places.is_empty() {
        let mut values = vec![0f32; size];
        places.iter().for_each(|&place| values[place as usize] += 1.0);
        return Tensor::from_data(TensorData::new(values, [size]), &device);
    }
    let count = places.len();
    let places: Vec<i32> = places.iter().map(|&place| place as i32).collect();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [count]), &device);
    Tensor::<1>::zeros([size], &device).scatter(0, places, Tensor::ones([count], &device), IndexingUpdateOp::Add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_marks_the_columns_of_each_row() {
        let rows: Ragged<u32> = [vec![2, 0, 2], vec![], vec![1]].into_iter().collect();
        let ours: Vec<f32> = dense(&rows, 3, &Device::flex()).into_data().iter::<f32>().collect();
        assert_eq!(ours, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }
}
