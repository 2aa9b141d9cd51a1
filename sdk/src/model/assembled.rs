//! The model of an experiment, assembled from its parts.

mod heads;
mod logits;
mod seen;

use super::History;
use super::age_and_sex::AgeAndSex;
use super::parameters::roots;
use super::part::{Given, Otherwise, PartInfo, Reads, Vectors};
use super::tensors::dense;
use crate::component::*;
use crate::data::Batch;
use crate::graph::Graph;
use crate::ops::{Precision, multiplying};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

/// The parts of a model, in one list and in the order in which they compute. Hands to the macro `$with`, for each before the
/// heads: its documentation, its key in `[model]`, the kind of its slot, what paths of its parameters begin with, what it
/// [`Reads`], what the model has [`Otherwise`]; of a part that gives one vector a patient, which heads may see, the method of
/// [`Model`] that has these; and of a part that components of another one are made of, which that is, and what it is built
/// with for vectors of a width on a device. After `=>` the same of the heads, as far as they have it.
macro_rules! each_part {
    ($with:ident) => {
        $with! {
            /// Initial features of the graph's nodes.
            node_init: NodeInitSlot, "nodes", Graph, Chosen;
            /// Node features and graph → code embeddings.
            graph_encoder: GraphEncoderSlot, "encoder", Graph, Chosen;
            /// Code embeddings and visits → patient. Default: `fusions`, which are the next two.
            patient_encoder: PatientEncoderSlot, "patient_encoder", Visits, Chosen, gives patient_vectors;
            /// Codes → visit.
            code_fusion: FusionSlot, "code_fusion", Visits, Chosen, of patient_encoder with FusionContext::codes;
            /// Visits → patient.
            visit_fusion: FusionSlot, "visit_fusion", Visits, Chosen, of patient_encoder with FusionContext::visits;
            /// Abnormal laboratory items → vector.
            lab: LabSlot, "lab", Labs, Chosen, gives lab_vectors;
            =>
            /// Vectors → logits.
            head: HeadSlot;
        }
    };
}
pub(crate) use each_part;

/// Declares [`PARTS`], [`KEYS`], and the way from a key to the vectors of its part.
macro_rules! declare_parts {
    (
        $($(#[$doc:meta])* $key:ident: $kind:ident, $path:literal, $reads:ident, $otherwise:ident
            $(, gives $vectors:ident)? $(, of $owner:ident with $context:path)?;)+
        => $(#[$head_doc:meta])* $head:ident: $head_kind:ident;
    ) => {
        /// The parts before the heads, in the order in which they compute.
        pub const PARTS: &[PartInfo] = &[$(PartInfo {
            key: stringify!($key),
            slot: <$kind as SlotKind>::SLOT,
            path: $path,
            reads: Reads::$reads,
            otherwise: Otherwise::$otherwise,
            gives_vectors: [$(Some(stringify!($vectors)),)? None::<&str>][0].is_some(),
            of: [$(Some(stringify!($owner)),)? None][0],
        },)+];

        /// The keys of `[model]` that name components, each with its slot: those of [`PARTS`], and that of the heads.
        pub const KEYS: &[(&str, Slot)] = &[
            $((stringify!($key), <$kind as SlotKind>::SLOT),)+
            (stringify!($head), <$head_kind as SlotKind>::SLOT),
        ];

        impl Model {
            /// The vectors of the part of a key; `None` where it gives none, and where the model is without it.
            fn vectors_of(&self, key: &str) -> Option<Vectors<'_>> {
                match key {
                    $($(stringify!($key) => self.$vectors(),)?)+
                    _ => None,
                }
            }
        }
    };
}
each_part! { declare_parts }

/// What a [`Model`] is made from. A part that a model can be without is an [`Option`], which [`ModelParts::new`] leaves empty.
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
    /// Whether age and sex enter the patient vector.
    pub demographics: bool,
}

impl ModelParts {
    /// The parts that every model has; `features` are `[nodes, dim]`.
    pub fn new(
        features: Tensor<2>,
        encoder: GraphEncoderModule,
        patient_encoder: PatientEncoderModule,
        lab: LabEncoderModule,
        labs: usize,
    ) -> Self {
        Self { features, encoder, patient_encoder, lab, labs, demographics: false }
    }
}

/// The fields of [`Model`] that are no parts before the heads; age and sex are added where heads begin.
const HEADS: [&str; 4] = ["demographics", "decoders", "heads", "histories"];

/// The model: trainable node features, graph encoder, patient encoder, lab layer, the heads that earlier stages kept
/// (`decoders`) and those of the current stage. Paths of parameters begin with the names of these fields.
#[derive(Module, Debug)]
pub struct Model {
    nodes: Param<Tensor<2>>,
    encoder: GraphEncoderModule,
    patient_encoder: PatientEncoderModule,
    /// What age and sex add to the patient vector, where they enter.
    demographics: Option<AgeAndSex>,
    lab: LabEncoderModule,
    decoders: Vec<HeadModule>,
    heads: Vec<HeadModule>,
    /// The copy paths of heads, as many as heads, or none at all.
    histories: Vec<History>,
    /// For each head that looks at codes the nodes of those that its logits ask for.
    #[module(skip)]
    codes: Vec<Option<Tensor<1, Int>>>,
    /// Where the logits of each head begin, `[1, outputs]`; none at all where that is 0.
    #[module(skip)]
    priors: Vec<Tensor<2>>,
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
        let ModelParts { features, encoder, patient_encoder, lab, labs, demographics } = parts;
        let width = patient_encoder.width();
        Self {
            demographics: demographics.then(|| AgeAndSex::new(width, &features.device())),
            nodes: Param::from_tensor(features),
            encoder,
            patient_encoder,
            lab,
            decoders: Vec::new(),
            heads: Vec::new(),
            histories: Vec::new(),
            codes: Vec::new(),
            priors: Vec::new(),
            labs,
            decoder_specs: Vec::new(),
            head_specs: Vec::new(),
        }
    }

    /// The parts of this very model before the heads: what paths of their parameters begin with, and what they read.
    ///
    /// What [`PARTS`] does not declare counts as read from the graph alone: nothing is precomputed while it trains.
    pub fn parts(&self) -> Vec<(String, Reads)> {
        let roots = roots(self);
        let is_there = |path: &str| roots.iter().any(|(root, _)| root == path);
        let is_divided = |key: &str| PARTS.iter().any(|part| part.of == Some(key) && is_there(part.path));
        let is_part = |root: &str, changes: bool| match PARTS.iter().find(|part| part.path == root) {
            _ if HEADS.contains(&root) => false,
            Some(part) if part.otherwise != Otherwise::Nothing && !is_divided(part.key) => true,
            // A field is there whether the model has the part or not, and whether it has anything beside its own parts or not.
            _ => changes,
        };
        let parts = roots.iter().filter(|(root, changes)| is_part(root, *changes)).map(|(root, _)| {
            let reads = PARTS.iter().find(|part| part.path == root).map_or(Reads::Graph, |part| part.reads);
            (root.clone(), reads)
        });
        parts.collect()
    }

    /// Width of an embedded node.
    pub fn embedding_width(&self) -> usize {
        self.encoder.width()
    }

    /// Whether the lab layer looks at laboratory items.
    pub fn sees_items(&self) -> bool {
        self.lab.sees_items()
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
        let wanted = self.head_specs.iter().any(|spec| self.sees(spec, &|part| part.reads.needs_graph()));
        wanted.then(|| multiplying(graph.precision(), || self.encoder.forward(self.nodes.val(), graph)))
    }

    /// Patient vectors, before age and sex are in them.
    ///
    /// # Shapes
    /// - `embeddings`: `[nodes, encoder width]`
    /// - output: `[batch, patient width]`
    pub fn patients(&self, embeddings: Tensor<2>, graph: &Graph, batch: &Batch) -> Tensor<2> {
        multiplying(graph.precision(), || self.patient_encoder.forward(embeddings, graph, batch))
    }

    /// Patient vectors with age and sex in them, where these enter.
    ///
    /// # Shapes
    /// - `patients`, output: `[batch, patient width]`
    pub fn with_demographics(&self, patients: Tensor<2>, batch: &Batch) -> Tensor<2> {
        match &self.demographics {
            Some(map) => map.add(patients, &batch.demographics),
            None => patients,
        }
    }

    /// What heads see of patients: their vectors, and embedded nodes where a head looks at codes.
    pub fn encoded(&self, embeddings: Tensor<2>, graph: &Graph, batch: &Batch) -> Encoded {
        let nodes = self.looks_at_codes().then(|| embeddings.clone());
        Encoded { patients: self.patients(embeddings, graph, batch), nodes, precision: graph.precision() }
    }

    /// Patient vectors, with age and sex in them where these enter.
    fn patient_vectors(&self) -> Option<Vectors<'_>> {
        let of = move |given: &Given<'_>| {
            let patients = given.patients.clone()?;
            Some(self.with_demographics(patients, given.batch))
        };
        Some(Vectors { width: self.patient_encoder.width(), of: Box::new(of) })
    }

    /// Lab vectors.
    fn lab_vectors(&self) -> Option<Vectors<'_>> {
        let of = move |given: &Given<'_>| {
            let labs = dense(&given.batch.labs, self.labs, &self.device());
            Some(self.lab.forward(labs)) // [batch, lab width]
        };
        Some(Vectors { width: self.lab.width(), of: Box::new(of) })
    }
}

/// What heads see of the patients of a batch.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// `[batch, patient width]`, before age and sex are in them: those do not change where all before the heads is frozen.
    pub(crate) patients: Tensor<2>,
    /// `[nodes, encoder width]`, where a head looks at codes.
    pub(crate) nodes: Option<Tensor<2>>,
    /// In which numbers heads multiply.
    pub(crate) precision: Precision,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_name_parts_that_give_vectors() {
        let gives = |key: &PartKey| PARTS.iter().any(|part| part.gives_vectors && part.key == key.as_str());
        assert!([PartKey::PATIENT_ENCODER, PartKey::LAB].iter().all(gives));
        assert!(HeadSpec::new("any", 1).inputs.iter().all(gives));
        // One vector a node, and one a visit.
        assert!(!["graph_encoder", "code_fusion"].map(PartKey::new).iter().any(gives));
    }
}
