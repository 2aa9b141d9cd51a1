//! The checks find what they are for. Each component here has one defect.

use super::*;
use crate::boundary::Guarded;
use crate::data::Sets;
use crate::graph::Graph;
use crate::ops::{Pooling, pool};
use crate::plugin::Registrar;
use crate::prelude::*;
use crate::recipe::{BuildRecipe, Recipe, Stage, StageContext};
use burn::nn::{Linear, LinearConfig};

crate::options! {
    /// What is wrong.
    struct Wrong {
        /// The defect.
        defect: String = String::new(),
        /// Width, of at least 1: that this is refused is for the component here, which declares no range.
        dim: usize = 4,
    }
}

impl Component for Wrong {
    const NAME: &'static str = "wrong";
    const ABOUT: &'static str = "Has a defect.";
    // Of the recipe below.
    const NEEDS: &'static str = "+objective what\n+loss how\n";
}

impl Wrong {
    fn is(&self, defect: &str) -> bool {
        self.defect == defect
    }

    /// The width, checked well or badly.
    fn width(&self) -> Result<usize> {
        match self.defect.as_str() {
            "panics" => Ok(std::num::NonZeroUsize::new(self.dim).unwrap_or_else(|| panic!("no width")).get()),
            "nameless" if self.dim == 0 => Err(Error::user("the width is wrong")),
            "blames itself" if self.dim == 0 => Err(Error::program("`dim` is wrong")),
            _ => at_least("dim", self.dim, 1),
        }
    }
}

fn report(slot: Slot, defect: &str, register: fn(&mut Registrar<'_>)) -> Report {
    let registry = Registry::new().with(register).unwrap();
    let options = Table::from_iter([("defect".to_owned(), defect.into())]);
    examine(&registry, slot, "wrong", options).unwrap()
}

/// The defect is found by that check, with those words, and by no other; without it nothing is.
fn finds(slot: Slot, register: fn(&mut Registrar<'_>), defects: &[(&str, &str, &str)]) {
    let sound = report(slot, "", register);
    assert!(sound.passed(), "{sound}");
    for (defect, check, words) in defects {
        let report = report(slot, defect, register);
        let failed: Vec<&Check> = report.checks.iter().filter(|check| !check.findings.is_empty()).collect();
        let found = failed.iter().any(|c| c.name.contains(check) && c.findings.iter().any(|f| f.contains(words)));
        assert!(found, "{defect}: no `{words}` in `{check}`\n{report}");
        assert!(report.to_string().contains("FAILED"));
    }
}

/// An encoder or a fusion.
#[derive(Module, Debug)]
struct Layer {
    layer: Linear,
    spare: Param<Tensor<1>>,
    width: usize,
    #[module(skip)]
    defect: String,
}

impl Layer {
    fn new(options: &Wrong, input: usize, device: &Device) -> Result<Self> {
        let width = options.width()?;
        let layer = LinearConfig::new(input, width).init(device);
        let spare = Param::from_tensor(Tensor::full([width], 0.5, device));
        Ok(Self { layer, spare, width, defect: options.defect.clone() })
    }

    fn is(&self, defect: &str) -> bool {
        self.defect == defect
    }

    fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        let spare = match self.is("detached") {
            true => self.spare.val().detach(),
            false => self.spare.val(),
        };
        let y = self.layer.forward(x);
        let y = match self.is("unused") {
            true => y,
            false => y * spare.unsqueeze_dim::<2>(0),
        };
        match self.defect.as_str() {
            // A constant that is right in value takes part of the gradient away.
            "half" => y.clone() * 0.5 + y.detach() * 0.5,
            "infinite" => y / 0.0,
            "wide" => Tensor::cat(vec![y.clone(), y], 1),
            "restless" => {
                let device = y.device();
                let noise = Tensor::random(y.dims(), burn::tensor::Distribution::Default, &device);
                y + noise
            }
            _ => y,
        }
    }
}

impl BuildGraphEncoder for Wrong {
    type Module = Layer;

    fn build(self, context: &GraphEncoderContext<'_>) -> Result<Layer> {
        Layer::new(&self, context.input, context.device)
    }
}

impl GraphEncoder for Layer {
    fn forward(&self, features: Tensor<2>, graph: &Graph) -> Tensor<2> {
        assert!(graph.edges() > 0 || !self.is("edges"), "there must be edges");
        self.apply(features)
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[test]
fn of_a_graph_encoder() {
    const SLOPES: &str = "finite differences";
    finds(
        Slot::GraphEncoder,
        |r| r.add::<slots::graph_encoder, Wrong>(),
        &[
            ("detached", SLOPES, "spare: changes the output, but no gradient reaches it"),
            ("unused", SLOPES, "spare: no gradient reaches it, and it does not change the output"),
            ("half", SLOPES, "finite differences give"),
            ("infinite", "shapes: a hub", "inf"),
            ("wide", "shapes: a hub", "the output is [9, 8], expected [9, 4]"),
            ("restless", "the same output twice", "two passes differ"),
            ("edges", "shapes: no edges", "there must be edges"),
            ("panics", "options at the edge", "`dim = 0` is a user's mistake"),
            ("nameless", "options at the edge", "does not name `dim`"),
            ("blames itself", "options at the edge", "`dim = 0` is a user's mistake"),
        ],
    );
}

impl BuildFusion for Wrong {
    type Module = Layer;

    fn build(self, context: &FusionContext<'_>) -> Result<Layer> {
        Layer::new(&self, context.width, context.device)
    }
}

impl Fusion for Layer {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        let fused = pool(self.apply(values), sets, Pooling::Mean);
        match self.defect.as_str() {
            "empty" => fused + 1.0,
            "together" if !sets.is_empty() => fused.clone() * fused.abs().mean().unsqueeze_dim::<2>(0),
            _ => fused,
        }
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[test]
fn of_a_fusion() {
    finds(
        Slot::Fusion,
        |r| r.add::<slots::fusion, Wrong>(),
        &[
            ("empty", "shapes: one empty set", "the empty set is not zero"),
            ("together", "does not depend on those beside it", "set 0 by itself differs"),
        ],
    );
}

impl BuildPatientEncoder for Wrong {
    type Module = Layer;

    fn build(self, context: &PatientEncoderContext<'_>) -> Result<Layer> {
        if self.is("secretive") {
            context.parts.fusion("code_fusion", &FusionContext::codes(context.width, context.device))?;
        }
        Layer::new(&self, context.width, context.device)
    }
}

impl PatientEncoder for Layer {
    fn forward(&self, embeddings: Tensor<2>, _: &Graph, batch: &Batch) -> Tensor<2> {
        let visits = pool(self.apply(embeddings), &batch.codes, Pooling::Mean);
        pool(visits, &batch.visits, Pooling::Mean)
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[test]
fn of_a_patient_encoder() {
    let words = "it has no fusion `code_fusion` among its parts";
    finds(
        Slot::PatientEncoder,
        |r| r.add::<slots::patient_encoder, Wrong>(),
        &[("secretive", "shapes: patients of three", words)],
    );
}

impl BuildLabEncoder for Wrong {
    type Module = Layer;

    fn build(self, context: &LabEncoderContext<'_>) -> Result<Layer> {
        Layer::new(&self, context.labs, context.device)
    }
}

impl LabEncoder for Layer {
    fn forward(&self, labs: Tensor<2>) -> Tensor<2> {
        match self.is("together") {
            true => self.apply(labs.clone() - labs.mean_dim(0)),
            false => self.apply(labs),
        }
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[test]
fn of_a_lab_encoder() {
    finds(
        Slot::Lab,
        |r| r.add::<slots::lab, Wrong>(),
        &[("together", "does not depend on those beside it", "admission 0 by itself")],
    );
}

impl BuildLoss for Wrong {
    fn build(self) -> Result<Box<dyn Loss>> {
        self.width()?;
        Ok(Box::new(self))
    }
}

impl Loss for Wrong {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let p = burn::tensor::activation::sigmoid(logits);
        let error = match self.defect.as_str() {
            "naive" => return (targets * p.log()).neg().mean(),
            "backwards" => (targets + p - 1.0).powi_scalar(2),
            "blind" => (p - targets).detach().powi_scalar(2),
            _ => (p - targets).powi_scalar(2),
        };
        match self.is("rows") {
            true => error.mean_dim(1).squeeze_dim(1),
            false => error.mean(),
        }
    }
}

#[test]
fn of_a_loss() {
    finds(
        Slot::Loss,
        |r| r.add::<slots::loss, Wrong>(),
        &[
            ("naive", "large negative logits", "NaN"),
            ("backwards", "right answers cost less", "right answers cost"),
            ("rows", "one finite number: rows of both kinds", "the loss is ["),
            ("blind", "one finite number", "tracked"),
        ],
    );
}

impl BuildNodeInit for Wrong {
    fn build(self) -> Result<Box<dyn NodeInit>> {
        self.width()?;
        Ok(Box::new(self))
    }
}

impl NodeInit for Wrong {
    fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures> {
        let rows = context.codes.len() - usize::from(self.is("padding"));
        Ok(NodeFeatures { features: Tensor::ones([rows, self.dim], context.device), notes: Vec::new() })
    }
}

#[test]
fn of_a_node_initialiser() {
    finds(
        Slot::NodeInit,
        |r| r.add::<slots::node_init, Wrong>(),
        &[("padding", "shapes: codes", "[8, 4] for 9 codes")],
    );
}

impl BuildParser for Wrong {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.width()?;
        Ok(Box::new(self))
    }
}

impl Parser for Wrong {
    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        static CALLS: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
        let mut cohort = dataset()?.cohort.clone();
        match self.defect.as_str() {
            "twice" => cohort.patients[1] = cohort.patients[0],
            "moody" => cohort.patients[0] = -CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            "compat" if context.compat => cohort.lab_items.clear(),
            _ => (),
        }
        Ok(cohort)
    }
}

#[test]
fn of_a_parser() {
    finds(
        Slot::Parser,
        |r| r.add::<slots::parser, Wrong>(),
        &[
            ("twice", "a consistent cohort", "a patient occurs twice"),
            ("moody", "the same cohort twice", "differ"),
            ("compat", "compat = \"dualk\"", "a lab index is out of range"),
        ],
    );
}

impl BuildObjective for Wrong {
    fn build(self) -> Result<Box<dyn Objective>> {
        self.width()?;
        Ok(Box::new(self))
    }
}

impl Objective for Wrong {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        let outputs = data.vocabulary.nodes() - 1 - if self.is("narrow") { 30 } else { 0 };
        let part = if self.is("astray") { PartKey::new("lba") } else { PartKey::PATIENT_ENCODER };
        Ok(vec![HeadSpec::new("codes", outputs).sees([part])])
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let patients = match split {
            Split::Train => &data.splits.train,
            Split::Valid => &data.splits.valid,
            Split::Test => &data.splits.test,
        };
        let visits = |&p: &usize| data.cohort.admissions.range(p).map(|v| v as u32);
        Ok(Examples {
            codes: std::sync::Arc::new(data.vocabulary.admission_codes.clone()),
            visits: patients.iter().map(visits).collect(),
            labs: data.last_visit_labs(patients),
            targets: vec![data.last_visit_codes(patients)],
            ..Examples::default()
        })
    }

    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        let recall = |p: &Predictions<'_>| crate::train::metrics::recall_at_k(p.logits, p.columns, p.targets, 5);
        let sign = if self.is("worse") { -1.0 } else { 1.0 };
        predictions.iter().map(|p| ("R@5".to_owned(), sign * recall(p))).collect()
    }

    fn primary(&self) -> &str {
        if self.is("unknown") { "R@7" } else { "R@5" }
    }

    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        let columns = (0..data.vocabulary.nodes() as u32).map(|code| code.checked_sub(1));
        Asks::Codes(if self.is("beyond") { columns.map(|c| c.map(|c| c + 1)).collect() } else { columns.collect() })
    }
}

#[test]
fn of_an_objective() {
    const METRICS: &str = "metrics: finite";
    finds(
        Slot::Objective,
        |r| r.add::<slots::objective, Wrong>(),
        &[
            ("astray", "heads", "the head `codes` sees `lba`"),
            ("narrow", "examples: train", "is beyond its"),
            ("worse", METRICS, "for right answers"),
            ("unknown", METRICS, "there is no metric `R@7`"),
            ("beyond", "what codes and items of a history are asked for again", "is beyond its"),
        ],
    );
}

crate::options! {
    /// Options without a word.
    struct Silent {
        dim: usize = 4,
    }
}

impl Component for Silent {
    const NAME: &'static str = "Not A Name";
    const ABOUT: &'static str = "";
}

impl BuildLoss for Silent {
    fn build(self) -> Result<Box<dyn Loss>> {
        BuildLoss::build(Wrong::default())
    }
}

#[test]
#[should_panic(expected = "the option `dim` has no documentation")]
fn of_what_is_not_documented() {
    check_loss(Silent::default());
}

/// An objective over one example, which says that its targets are of `link` and gives `numbers`.
struct Says {
    link: Option<Link>,
    numbers: Vec<Vec<f32>>,
}

impl Objective for Says {
    fn heads(&self, _: &Dataset) -> Result<Vec<HeadSpec>> {
        Ok(vec![HeadSpec::new("any", 1)])
    }

    fn examples(&self, _: &Dataset, _: Split) -> Result<Examples> {
        let one = || std::iter::once(Vec::<u32>::new()).collect::<Ragged<u32>>();
        let numbers = self.numbers.clone();
        Ok(Examples { visits: one(), labs: one(), targets: vec![one()], numbers, ..Examples::default() })
    }

    fn primary(&self) -> &str {
        "any"
    }

    fn link(&self) -> Option<Link> {
        self.link
    }
}

#[test]
fn targets_are_what_the_objective_says() {
    let data = dataset().unwrap();
    let given = |link, numbers: &[&[f32]]| {
        let numbers = numbers.iter().map(|row| row.to_vec()).collect();
        let objective: Box<dyn Objective> = Box::new(Says { link, numbers });
        Guarded { origin: "objective `says`".into(), inner: objective }.examples(&data, Split::Train)
    };
    assert!(given(None, &[]).is_ok() && given(Some(Link::Mean), &[&[3.0]]).is_ok());
    let wrong = [(None, vec![&[3.0f32][..]]), (Some(Link::Mean), vec![]), (Some(Link::LogHazard), vec![&[][..]])];
    for (link, numbers) in wrong {
        let error = given(link, &numbers).unwrap_err().to_string();
        assert!(error.contains("objective `says`: targets are said to be"), "{error}");
    }
}

impl BuildRecipe for Wrong {
    fn build(self) -> Result<Box<dyn Recipe>> {
        self.width()?;
        Ok(Box::new(self))
    }
}

impl Recipe for Wrong {
    fn types(&self) -> Vec<(&'static str, &'static str)> {
        vec![("fit", "learns")]
    }

    fn part(&self, key: &str) -> Option<&'static str> {
        match key {
            "lab" => self.is("secretive").then_some("linear"),
            _ => None,
        }
    }

    fn complete(&self, stage: Stage, _: &StageContext<'_>) -> Result<Stage> {
        let (objective, loss) = (Some(ComponentRef::named("what")), Some(ComponentRef::named("how")));
        Ok(Stage { objective, loss, ..stage })
    }
}

#[test]
fn of_a_recipe() {
    let words = "there is no line `+lab linear`";
    finds(Slot::Recipe, |r| r.add::<slots::recipe, Wrong>(), &[("secretive", "NEEDS says what it names", words)]);
}
