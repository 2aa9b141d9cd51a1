//! The model of an experiment, assembled from its parts.

use super::History;
use super::age_and_sex::AgeAndSex;
use super::parameters::roots;
use super::tensors::{constants, dense, identifiers};
use crate::component::*;
use crate::data::{Batch, Ragged};
use crate::graph::Graph;
use crate::ops::{Precision, multiplying};
use crate::{Error, Result};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use std::borrow::Cow;
use std::ops::Range;

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

/// What a part computes from. Outputs of frozen parts that read the graph alone are precomputed, once a stage, and so are those
/// of frozen parts that read visits, where all that reads the graph is frozen too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The graph, and no batch.
    Graph,
    /// The visits of a batch.
    Visits,
    /// The laboratory items of a batch.
    Labs,
}

impl Reads {
    /// Whether it computes from embedded nodes, or makes them.
    fn needs_graph(self) -> bool {
        matches!(self, Self::Graph | Self::Visits)
    }
}

/// What serves as a part for which the manifest names no component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// What the recipe chooses, or else the one component that [serves by default](Component::DEFAULT).
    Chosen,
    /// What the recipe chooses, or else nothing: the model is without the part. Its key has `#[serde(skip_serializing_if =
    /// "ComponentRef::is_open")]` in the list, so that manifests that leave it out are written as before there was the part.
    Nothing,
}

/// What is declared of a part before the heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartInfo {
    /// Its key in `[model]`.
    pub key: &'static str,
    /// The slot of its component.
    pub slot: Slot,
    /// What paths of its parameters begin with: the name of a field of [`Model`], or of a part that a field is made of.
    pub path: &'static str,
    /// What it computes from.
    pub reads: Reads,
    /// What there is where the manifest names no component.
    pub otherwise: Otherwise,
    /// Whether it gives one vector a patient, so that heads may [see](HeadSpec::sees) it.
    pub gives_vectors: bool,
    /// The key of the part that it is for: the model has it where the component of that [asks](Component::PARTS) for it.
    pub of: Option<&'static str>,
}

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

/// What the vectors of a part are computed from.
struct Given<'a> {
    /// `[batch, patient width]`, before age and sex are in them; `None` when no head looks at patients.
    patients: Option<Tensor<2>>,
    batch: &'a Batch,
}

/// Computes the vectors of a batch, `[batch, width]`; `None` where what they are computed from is not given.
type Compute<'a> = Box<dyn Fn(&Given<'_>) -> Option<Tensor<2>> + 'a>;

/// The vectors that a part gives, one a patient.
struct Vectors<'a> {
    width: usize,
    of: Compute<'a>,
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

    /// Replaces the heads of the stage by new ones, made by `make` for vectors of a width.
    ///
    /// # Errors
    /// When a head cannot be made, or wants kept ones and there are none.
    pub fn with_new_heads(
        mut self,
        specs: Vec<HeadSpec>,
        make: impl FnMut(&HeadSpec, usize) -> Result<HeadModule>,
    ) -> Result<Self> {
        self.heads = self.made(&specs, make)?;
        self.head_specs = specs;
        self.histories = Vec::new();
        self.codes = Vec::new();
        self.priors = Vec::new();
        Ok(self)
    }

    /// Tells heads that look at codes which nodes their logits ask for; `None` for those that ask for something else.
    pub fn with_codes(mut self, nodes: &[Option<Vec<u32>>]) -> Self {
        let (device, heads) = (self.device(), self.heads.iter().zip(nodes));
        let codes = |(head, nodes): (&HeadModule, &Option<Vec<u32>>)| {
            let nodes = nodes.as_ref().filter(|_| head.looks_at_codes())?;
            Some(identifiers(nodes, &device))
        };
        self.codes = heads.map(codes).collect();
        self
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

    /// Gives the model untrained heads in place of kept ones, for experiments whose stages keep none.
    ///
    /// # Errors
    /// When a head cannot be made.
    pub fn with_untrained(
        mut self,
        specs: Vec<HeadSpec>,
        make: impl FnMut(&HeadSpec, usize) -> Result<HeadModule>,
    ) -> Result<Self> {
        self.decoders = self.made(&specs, make)?;
        self.decoder_specs = specs;
        Ok(self)
    }

    fn made(
        &self,
        specs: &[HeadSpec],
        mut make: impl FnMut(&HeadSpec, usize) -> Result<HeadModule>,
    ) -> Result<Vec<HeadModule>> {
        specs.iter().map(|spec| make(spec, self.width_of(spec)?)).collect()
    }

    /// Refuses heads that see what no part of this model gives, and such as are kept and see kept ones.
    ///
    /// # Errors
    /// Name the part, and those that there are; or the head.
    pub fn check_seen(&self, specs: &[HeadSpec]) -> Result<()> {
        for spec in specs {
            one_of_both(spec)?;
            spec.inputs.iter().try_for_each(|key| self.seen(spec, key).map(drop))?;
            self.check_seen(&spec.untrained)?;
        }
        Ok(())
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

    /// Adds to the logits of every head of the stage where they are to begin: of each output the same for all patients.
    ///
    /// # Errors
    /// When they are not as many as the heads and their outputs.
    pub fn with_priors(mut self, priors: &[Vec<f32>]) -> Result<Self> {
        if !priors.iter().map(Vec::len).eq(self.head_specs.iter().map(|spec| spec.outputs)) {
            return Err(Error::program("every output of every head has a prior, or none has"));
        }
        let device = self.device();
        self.priors = priors.iter().map(|prior| constants(prior, &device)).collect();
        Ok(self)
    }

    /// Whether heads look at the codes of a batch beside the patient vector.
    pub fn looks_at_history(&self) -> bool {
        !self.histories.is_empty() || self.tells_visits_apart()
    }

    /// Whether heads look at codes and laboratory items of a batch by visit, with a lab encoder or without.
    pub fn tells_visits_apart(&self) -> bool {
        self.heads.iter().any(Head::looks_at_histories)
    }

    /// Whether the lab layer looks at laboratory items.
    pub fn sees_items(&self) -> bool {
        self.lab.sees_items()
    }

    /// Keeps heads of the stage for later ones, where their specification says so.
    pub fn keep_heads(mut self) -> Self {
        self.histories = Vec::new();
        self.codes = Vec::new();
        self.priors = Vec::new();
        let heads = std::mem::take(&mut self.heads).into_iter().zip(std::mem::take(&mut self.head_specs));
        let kept: (Vec<HeadModule>, Vec<HeadSpec>) = heads.filter(|(_, spec)| spec.keep).unzip();
        if !kept.0.is_empty() {
            (self.decoders, self.decoder_specs) = kept;
        }
        self
    }

    /// Turns the kept heads back into heads of the stage, to train them further.
    pub fn kept_as_heads(mut self) -> Self {
        self.histories = Vec::new();
        self.codes = Vec::new();
        self.priors = Vec::new();
        self.heads = std::mem::take(&mut self.decoders);
        self.head_specs = std::mem::take(&mut self.decoder_specs);
        self
    }

    /// The heads of the stage.
    pub fn head_specs(&self) -> &[HeadSpec] {
        &self.head_specs
    }

    /// The heads that were kept.
    pub fn kept_specs(&self) -> &[HeadSpec] {
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

    /// Whether a head looks at embeddings of codes.
    pub fn looks_at_codes(&self) -> bool {
        self.codes.iter().any(Option::is_some)
    }

    /// Logits of the heads `which`.
    ///
    /// # Shapes
    /// - `encoded`: what [`Model::encoded`] gave; `None` when no head looks at patients
    /// - output: one `[batch, outputs]` a head
    pub fn logits(&self, encoded: Option<Encoded>, batch: &Batch, which: Range<usize>) -> Vec<Tensor<2>> {
        let precision = encoded.as_ref().map_or(Precision::F32, |encoded| encoded.precision);
        multiplying(precision, || self.logits_of(encoded, batch, which))
    }

    fn logits_of(&self, encoded: Option<Encoded>, batch: &Batch, which: Range<usize>) -> Vec<Tensor<2>> {
        let (patients, nodes) = encoded.map_or((None, None), |encoded| (Some(encoded.patients), encoded.nodes));
        let specs = &self.head_specs[which.clone()];
        let vectors = self.vectors(specs, &Given { patients, batch });
        let heads = which.zip(specs);
        let logits = heads.map(|(i, spec)| {
            let input = self.input_of(spec, &vectors);
            let codes = self.codes.get(i).and_then(Option::as_ref).zip(nodes.as_ref());
            let codes = codes.map(|(codes, nodes)| nodes.clone().select(0, codes.clone())); // [outputs, encoder width]
            let seen = self.seen_by(spec, batch);
            let logits = self.heads[i].logits(input, codes, &seen, spec.outputs);
            let logits = match self.priors.get(i) {
                Some(prior) => logits + prior.clone(), // [batch, outputs]
                None => logits,
            };
            match self.histories.get(i) {
                Some(history) => logits + history.forward(batch), // [batch, outputs]
                None => logits,
            }
        });
        logits.collect()
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

    /// The vectors that heads see of a batch, each computed once, with the key of its part.
    fn vectors(&self, specs: &[HeadSpec], given: &Given<'_>) -> Vec<(&'static str, Tensor<2>)> {
        let is_seen = |key: &str| specs.iter().any(|spec| self.sees(spec, &|part| part.key == key));
        let keys = PARTS.iter().map(|part| part.key).filter(|&key| is_seen(key));
        keys.filter_map(|key| Some((key, (self.vectors_of(key)?.of)(given)?))).collect()
    }

    /// What a head sees, side by side.
    fn input_of(&self, spec: &HeadSpec, vectors: &[(&'static str, Tensor<2>)]) -> Tensor<2> {
        let mut seen: Vec<Tensor<2>> = Vec::new();
        if spec.sees_kept {
            let kept = self.decoders.iter().zip(&self.decoder_specs);
            seen.extend(kept.map(|(head, kept)| head.embed(self.input_of(kept, vectors))));
        }
        for key in &spec.inputs {
            let of_part = vectors.iter().find(|(part, _)| *part == key.as_str());
            seen.extend(of_part.map(|(_, vectors)| vectors.clone()));
        }
        match seen.len() {
            1 => seen.remove(0),
            _ => Tensor::cat(seen, 1), // [batch, sum of widths]
        }
    }

    /// A batch as a head may look at it: without laboratory items where it does not see any.
    fn seen_by<'a>(&self, spec: &HeadSpec, batch: &'a Batch) -> Cow<'a, Batch> {
        match self.sees(spec, &|part| part.reads == Reads::Labs) {
            true => Cow::Borrowed(batch),
            false => {
                let labs = (0..batch.len()).map(|_| []).collect();
                Cow::Owned(Batch { labs, visit_labs: Ragged::new(), ..batch.clone() })
            }
        }
    }

    /// Whether a head sees a part that `is` such, itself or through heads that were kept.
    fn sees(&self, spec: &HeadSpec, is: &dyn Fn(&PartInfo) -> bool) -> bool {
        let sees = |part: &PartInfo| is(part) && spec.inputs.iter().any(|key| key.as_str() == part.key);
        PARTS.iter().any(sees) || spec.sees_kept && self.decoder_specs.iter().any(|kept| self.sees(kept, is))
    }

    /// The vectors that a head sees of a part.
    fn seen(&self, spec: &HeadSpec, key: &PartKey) -> Result<Vectors<'_>> {
        self.vectors_of(key.as_str()).ok_or_else(|| {
            let there = PARTS.iter().map(|part| part.key).filter(|key| self.vectors_of(key).is_some());
            not_given(&spec.name, key, &there.collect::<Vec<_>>())
        })
    }

    fn width_of(&self, spec: &HeadSpec) -> Result<usize> {
        one_of_both(spec)?;
        if spec.sees_kept && self.decoders.is_empty() {
            return Err(Error::program(
                "a head sees kept heads, but no earlier stage kept one and it names no untrained ones",
            ));
        }
        let kept: usize = if spec.sees_kept { self.decoders.iter().map(Head::width).sum() } else { 0 };
        let own = spec.inputs.iter().map(|key| self.seen(spec, key).map(|vectors| vectors.width));
        Ok(kept + own.sum::<Result<usize>>()?)
    }
}

/// Refuses a head that is kept and sees kept ones, or takes the place of one and does: it would see itself in a later stage.
fn one_of_both(spec: &HeadSpec) -> Result<()> {
    let untrained = spec.untrained.iter().find(|head| head.sees_kept);
    let (name, why) = match untrained {
        Some(head) => (&head.name, "takes the place of kept heads and sees kept ones"),
        None if spec.keep && spec.sees_kept => (&spec.name, "is kept and sees kept heads"),
        None => return Ok(()),
    };
    let error = Error::program(format!("the head `{name}` {why}, so that it would see itself in a later stage"));
    Err(error.help(
        "in a plugin, a `HeadSpec` is `kept()` or `over_kept(…)`, not both, and none of its `untrained` is `over_kept(…)`",
    ))
}

/// The error of a head that sees the vectors of a part which the model has not, but of the parts `there`.
fn not_given(head: &str, key: &PartKey, there: &[&str]) -> Error {
    let is_declared = PARTS.iter().any(|part| part.gives_vectors && part.key == key.as_str());
    let error = match is_declared {
        true => Error::user(format!("the head `{head}` sees the vectors of `{key}`, and this model has no such part"))
            .help(format!("name a component for it: model.{key} = \"…\"")),
        false => Error::program(format!("the head `{head}` sees the vectors of `{key}`, and no part gives such"))
            .help("in a plugin, `HeadSpec::sees` names keys of `[model]` whose parts give one vector a patient"),
    };
    error.suggest(key.as_str(), there)
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

    #[test]
    fn a_head_that_would_see_itself_is_refused() {
        let head = || HeadSpec::new("codes", 1);
        assert!(one_of_both(&head().kept()).is_ok());
        assert!(one_of_both(&head().over_kept(vec![HeadSpec::new("labs", 1).kept()])).is_ok());
        let of_kept = HeadSpec::new("labs", 1).over_kept(Vec::new());
        for (spec, says) in [
            (head().kept().over_kept(Vec::new()), "the head `codes` is kept and sees kept heads"),
            (head().over_kept(vec![of_kept]), "the head `labs` takes the place of kept heads and sees kept ones"),
        ] {
            let error = one_of_both(&spec).unwrap_err();
            assert_eq!(error.exit_code(), 1);
            assert!(error.to_string().contains(says) && error.to_string().contains("not both"), "{error}");
        }
    }

    #[test]
    fn a_part_that_is_not_there_is_named_beside_those_that_are() {
        let error = not_given("codes", &"lba".into(), &["patient_encoder", "lab"]);
        assert_eq!((error.exit_code(), error.key()), (1, None));
        let text = error.to_string();
        for part in ["the head `codes` sees the vectors of `lba`", "did you mean `lab`?", "patient_encoder, lab"] {
            assert!(text.contains(part), "lacks {part:?}: {text}");
        }
        let error = not_given("codes", &PartKey::LAB, &["patient_encoder"]);
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        for part in ["`lab`, and this model has no such part", "model.lab = \"…\"", "accepted: patient_encoder"] {
            assert!(text.contains(part), "lacks {part:?}: {text}");
        }
    }
}
