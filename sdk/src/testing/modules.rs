//! Slots whose components are modules: graph encoders, fusions, lab encoders, heads.

use super::gradients::{Function, repeatable, values, with_gradients};
use super::inputs::{bits, codes, graph, histories, numbers, other_device, sets};
use super::options::check_options;
use super::{Examined, Report, Subject, check};
use crate::component::*;
use crate::data::knowledge::Knowledge;
use crate::data::{Ragged, Sets};
use crate::device::generator;
use crate::graph::Graph;
use crate::model::{load_weights, save_weights};
use crate::{Error, Result, slots};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;
use toml::Table;

pub(super) const WIDTH: usize = 6;

type Build<'a, M> = Box<dyn Fn(Table, &Device) -> Result<M> + 'a>;
type Forward<'a, M> = Box<dyn Fn(&M, Tensor<2>) -> Tensor<2> + 'a>;

/// A way to build and use a module: what it is called, its input, and how many rows it must give.
pub(super) struct Case<'a, M> {
    pub what: &'static str,
    pub input: TensorData,
    pub rows: usize,
    /// Rows that must be zero.
    pub zero: Vec<usize>,
    pub build: Build<'a, M>,
    pub forward: Forward<'a, M>,
}

impl<M: Module> Case<'_, M> {
    fn output(&self, options: &Table, device: &Device) -> Result<Tensor<2>> {
        let module = (self.build)(options.clone(), device)?;
        Ok((self.forward)(&module, Tensor::from_data(self.input.clone(), device)))
    }

    /// Checks that saved and loaded weights give the same output.
    fn check_weights(&self, options: &Table, device: &Device, findings: &mut Vec<String>) -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("create a folder", std::env::temp_dir(), e))?;
        let file = folder.path().join("weights.safetensors");
        let input = || Tensor::from_data(self.input.clone(), device);
        let one = (self.build)(options.clone(), device)?;
        save_weights(&one, &file)?;
        generator::seed(device, 77);
        let other = load_weights((self.build)(options.clone(), device)?, &file)?;
        if values((self.forward)(&one, input())) != values((self.forward)(&other, input())) {
            findings.push("loaded weights give another output: is something random outside of the parameters?".into());
        }
        Ok(())
    }

    /// Checks that two passes, and two modules of the same seed, are the same.
    fn check_repeats(&self, options: &Table, device: &Device, findings: &mut Vec<String>) -> Result<()> {
        let module = (self.build)(options.clone(), device)?;
        let once = || values((self.forward)(&module, Tensor::from_data(self.input.clone(), device)));
        if once() != once() {
            findings
                .push("without training, two passes differ: dropout must be off on a device without autodiff".into());
        }
        let fresh = || -> Result<Vec<TensorData>> {
            let module = (self.build)(options.clone(), device)?;
            Ok(with_gradients(&module, None).into_iter().map(|parameter| parameter.value).collect())
        };
        repeatable(device, || fresh().map_err(|e| e.to_string())).map(drop)
    }

    /// Checks that a moved module gives about the same output.
    fn check_move(&self, options: &Table, device: &Device, findings: &mut Vec<String>) -> Result<()> {
        let (other, tolerance) = other_device()?;
        let module = (self.build)(options.clone(), device)?;
        let here = values((self.forward)(&module, Tensor::from_data(self.input.clone(), device)));
        let moved = module.to_device(&other);
        let there = values((self.forward)(&moved, Tensor::from_data(self.input.clone(), &other)));
        let largest = here.iter().fold(0f32, |m, y| m.max(y.abs()));
        let difference = here.iter().zip(&there).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        if here.len() != there.len() || f64::from(difference) > tolerance * f64::from(largest) {
            findings.push(format!("the output differs by {difference}, where the largest number is {largest}"));
        }
        Ok(())
    }
}

/// Checks that every case gives numbers of the right shape.
fn check_shapes<M: Module>(options: &Table, cases: &[Case<'_, M>], width: impl Fn(&M) -> usize, report: &mut Report) {
    let device = Device::flex();
    for case in cases {
        report.check(format!("shapes: {}", case.what), |findings| {
            let module = (case.build)(options.clone(), &device)?;
            let out = (case.forward)(&module, Tensor::from_data(case.input.clone(), &device));
            let (found, expected) = (out.dims(), [case.rows, width(&module)]);
            if found != expected {
                findings.push(format!("the output is {found:?}, expected {expected:?}: rows and width()"));
                return Ok(());
            }
            let out = values(out);
            if let Some(wrong) = out.iter().find(|y| !y.is_finite()) {
                findings.push(format!("a number of the output is {wrong}"));
            }
            for &row in &case.zero {
                if out[row * expected[1]..(row + 1) * expected[1]].iter().any(|&y| y != 0.0) {
                    findings.push("the vector of the empty set is not zero".to_owned());
                }
            }
            Ok(())
        });
    }
}

/// Checks that every module passes; the first case is the one for gradients and weights.
pub(super) fn check_module<M: Module>(
    subject: &Subject<'_>,
    cases: &[Case<'_, M>],
    width: impl Fn(&M) -> usize,
    input_gradient: bool,
    report: &mut Report,
) {
    let device = Device::flex();
    let options = &subject.options;
    check_shapes(options, cases, width, report);
    let Some(case) = cases.first() else { return };
    let learning = device.clone().autodiff();
    report.check("gradients of every parameter against finite differences", |findings| {
        generator::seed(&learning, 1); // for what is drawn while it is built
        let module = (case.build)(options.clone(), &learning)?;
        let (input, output) = (case.input.clone(), &*case.forward);
        Function { module, input, output, input_gradient }.compare(&learning, findings)
    });
    report.check("save, load, the same output", |findings| case.check_weights(options, &device, findings));
    report.check("the same output twice, the same parameters from the same seed", |findings| {
        case.check_repeats(options, &device, findings)
    });
    report.check("move to another device", |findings| case.check_move(options, &device, findings));
    check_options(subject, report, |options| case.output(&options, &device).map(values));
}

/// Checks a graph encoder on small graphs: with a hub, isolated nodes and repeated edges; without edges; of one node.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_graph_encoder<C: BuildGraphEncoder>(options: C) {
    check::<slots::graph_encoder, C>(options);
}

impl Examined for slots::graph_encoder {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        let graphs = [
            ("a hub, isolated nodes, repeated edges", graph()),
            ("no edges", Graph::new(4, &[])),
            ("the padding node alone", Graph::new(1, &[])),
        ];
        let graphs: Result<Vec<(&str, Graph)>> = graphs.into_iter().map(|(what, graph)| Ok((what, graph?))).collect();
        let Ok(graphs) = graphs else { return };
        let names: Vec<Vec<String>> = graphs.iter().map(|(_, graph)| codes(graph.nodes())).collect();
        let cases: Vec<Case<'_, GraphEncoderModule>> = graphs
            .iter()
            .zip(&names)
            .map(|((what, graph), codes)| Case {
                what,
                input: numbers(1, graph.nodes(), WIDTH),
                rows: graph.nodes(),
                zero: Vec::new(),
                build: Box::new(|options, device| {
                    let context = GraphEncoderContext { input: WIDTH, codes, device };
                    subject.registry.build::<slots::graph_encoder>(subject.name, options, &context)
                }),
                forward: Box::new(|module, input| module.forward(input, graph)),
            })
            .collect();
        check_module(subject, &cases, GraphEncoder::width, true, report);
    }
}

fn fusion_case<'a>(
    subject: &'a Subject<'a>,
    what: &'static str,
    level: FusionLevel,
    sets: &'a Sets,
) -> Case<'a, FusionModule> {
    Case {
        what,
        input: numbers(2, 7, WIDTH),
        rows: sets.len(),
        zero: sets.members().rows().enumerate().filter(|(_, set)| set.is_empty()).map(|(i, _)| i).collect(),
        build: Box::new(move |options, device| {
            let context = FusionContext { width: WIDTH, level, device };
            subject.registry.build::<slots::fusion>(subject.name, options, &context)
        }),
        forward: Box::new(move |module, input| module.forward(input, sets)),
    }
}

/// Checks a fusion at both levels: sets of many, of one and of no members, each set by itself and all together.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_fusion<C: BuildFusion>(options: C) {
    check::<slots::fusion, C>(options);
}

impl Examined for slots::fusion {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        let (all, one) = (sets(), Sets::new([vec![4]].into_iter().collect()));
        let (empty, none) = (Sets::new([vec![]].into_iter().collect()), Sets::new(Ragged::new()));
        let cases = [
            fusion_case(subject, "visits of patients", FusionLevel::Visits, &all),
            fusion_case(subject, "codes of visits", FusionLevel::Codes, &all),
            fusion_case(subject, "one set of one member", FusionLevel::Visits, &one),
            fusion_case(subject, "one empty set", FusionLevel::Visits, &empty),
            fusion_case(subject, "no sets", FusionLevel::Visits, &none),
        ];
        check_module(subject, &cases, Fusion::width, true, report);
        report.check("a set does not depend on those beside it", |findings| {
            let device = Device::flex();
            let case = &cases[0];
            let module = (case.build)(subject.options.clone(), &device)?;
            let input = || Tensor::from_data(case.input.clone(), &device);
            let together = values(module.forward(input(), &all));
            let width = module.width();
            for (i, set) in all.members().rows().enumerate() {
                let alone = Sets::new([set.to_vec()].into_iter().collect());
                let alone = values(module.forward(input(), &alone));
                compare_rows(&format!("set {i}"), &alone, &together[i * width..(i + 1) * width], findings);
            }
            Ok(())
        });
    }
}

pub(super) fn compare_rows(what: &str, alone: &[f32], together: &[f32], findings: &mut Vec<String>) {
    let largest = together.iter().fold(1e-6f32, |m, y| m.max(y.abs()));
    let difference = alone.iter().zip(together).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    if alone.len() != together.len() || difference > 1e-4 * largest {
        findings.push(format!("{what} by itself differs by {difference} from the same among others"));
    }
}

/// Checks a lab encoder on admissions with many, one and no abnormal items, each by itself and all together, and
/// where there is a single item.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_lab<C: BuildLabEncoder>(options: C) {
    check::<slots::lab, C>(options);
}

impl Examined for slots::lab {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        const LABS: usize = 9;
        let case = |what, labs: usize, input: TensorData| -> Case<'_, LabEncoderModule> {
            Case {
                what,
                rows: input.shape()[0],
                input,
                zero: Vec::new(),
                build: Box::new(move |options, device| {
                    subject.registry.build::<slots::lab>(subject.name, options, &LabEncoderContext { labs, device })
                }),
                forward: Box::new(|module, input| module.forward(input)),
            }
        };
        let cases = [
            case("admissions with items", LABS, bits(3, 5, LABS)),
            case("one admission", LABS, bits(4, 1, LABS)),
            case("no abnormal items", LABS, TensorData::zeros::<f32, _>([2, LABS])),
            case("a single item", 1, bits(5, 3, 1)),
        ];
        check_module(subject, &cases, LabEncoder::width, false, report);
        report.check("an admission does not depend on those beside it", |findings| {
            let device = Device::flex();
            let module = (cases[0].build)(subject.options.clone(), &device)?;
            let input = Tensor::<2>::from_data(cases[0].input.clone(), &device);
            let together = values(module.forward(input.clone()));
            let width = module.width();
            for i in 0..5 {
                let alone = values(module.forward(input.clone().narrow(0, i, 1)));
                compare_rows(&format!("admission {i}"), &alone, &together[i * width..(i + 1) * width], findings);
            }
            Ok(())
        });
    }
}

/// Checks a head: its logits, what it lends to later heads, and that a patient does not depend on those beside.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_head<C: BuildHead>(options: C) {
    check::<slots::head, C>(options);
}

impl Examined for slots::head {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        const OUTPUTS: usize = 4;
        let (graph, asked) = (&Arc::new(Knowledge::small(OUTPUTS)), &[1, 2, 3, 4]);
        let case = |what, outputs: usize, input: TensorData, code_width: Option<usize>| -> Case<'_, HeadModule> {
            Case {
                what,
                rows: input.shape()[0],
                input,
                zero: Vec::new(),
                build: Box::new(move |options, device| {
                    let knowledge = code_width.map(|_| AskedOf { graph, asked });
                    let context = HeadContext { network: "", input: WIDTH, outputs, code_width, knowledge, device };
                    subject.registry.build::<slots::head>(subject.name, options, &context)
                }),
                forward: Box::new(move |module, input| {
                    let codes = code_width.filter(|_| module.looks_at_codes());
                    let codes = codes.map(|width| Tensor::from_data(numbers(9, outputs, width), &input.device()));
                    let batch = histories(input.dims()[0], OUTPUTS as u32);
                    module.logits(input, codes, &batch, outputs)
                }),
            }
        };
        let logits = [
            case("logits of patients", OUTPUTS, numbers(1, 5, WIDTH), Some(WIDTH)),
            case("logits of one patient", OUTPUTS, numbers(2, 1, WIDTH), Some(WIDTH)),
        ];
        check_module(subject, &logits, |_| OUTPUTS, true, report);
        let single = [case("a single logit", 1, numbers(3, 3, WIDTH), None)];
        check_shapes(&subject.options, &single, |_| 1, report);
        let lent = case("what heads of later stages see", OUTPUTS, numbers(4, 5, WIDTH), None);
        let lent = [Case { forward: Box::new(|module: &HeadModule, input| module.embed(input)), ..lent }];
        check_shapes(&subject.options, &lent, HeadModule::width, report);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Layer, Wrong, finds};
    use super::*;
    use crate::ops::{Pooling, pool};

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
}
