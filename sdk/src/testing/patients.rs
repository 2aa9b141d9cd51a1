//! Patient encoders.

use super::gradients::values;
use super::inputs::{codes, graph, numbers};
use super::modules::{Case, WIDTH, check_module, compare_rows};
use super::{Examined, Report, Subject, check};
use crate::component::*;
use crate::data::{Batch, Examples, Ragged, Sets, Visits};
use crate::ops::{Pooling, pool};
use crate::{Result, slots};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// The fusion that encoders get here that are made of fusions.
#[derive(Module, Debug)]
struct Mean {
    width: usize,
}

impl Fusion for Mean {
    fn forward(&self, values: Tensor<2>, sets: &Sets) -> Tensor<2> {
        pool(values, sets, Pooling::Mean)
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// The parts of an encoder that asks for these keys.
struct Parts(&'static [&'static str]);

impl SubParts for Parts {
    fn fusion(&self, key: &str, context: &FusionContext<'_>) -> Result<FusionModule> {
        match self.0.contains(&key) {
            true => Ok(FusionModule::new(Mean { width: context.width }, "the mean of the checks")),
            false => Err(no_sub_part(Slot::Fusion, key)),
        }
    }
}

/// Patients of three, one, one (without codes) and two visits.
fn examples(dated: bool) -> Examples {
    let visits: Visits =
        [vec![1, 2], vec![3], vec![4, 5, 6, 1], vec![2], vec![], vec![7, 8], vec![7]].into_iter().collect();
    let visits = if dated { visits.at_days(vec![0.0, 20.0, 400.5, 0.0, 0.0, 0.0, 3.0]) } else { visits };
    let patients: Ragged<u32> = [vec![0, 1, 2], vec![3], vec![4], vec![5, 6]].into_iter().collect();
    let labs = patients.rows().map(|_| std::iter::empty()).collect();
    Examples { codes: Arc::new(visits), visits: patients, labs, targets: Vec::new(), ..Examples::default() }
}

/// Batches of the examples, and what is special about them; the first is of all.
fn batches(dated: &Examples) -> [(&'static str, Batch); 5] {
    [
        ("patients of three, one and two visits, and one without codes", dated.batch(&[0, 1, 2, 3])),
        ("visits whose days are not known", examples(false).batch(&[0, 1, 2, 3])),
        ("one patient of one visit", dated.batch(&[1])),
        ("no codes at all", dated.batch(&[2])),
        ("no patients", dated.batch(&[])),
    ]
}

/// Checks a patient encoder on patients of many, one and no visits, each by itself and all together, with and without the
/// days between visits.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_patient_encoder<C: BuildPatientEncoder>(options: C) {
    check::<slots::patient_encoder, C>(options);
}

impl Examined for slots::patient_encoder {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        let Ok(graph) = graph() else { return };
        let (graph, codes) = (&graph, &codes(graph.nodes()));
        let declared = subject.registry.info(subject.slot, subject.name).map(|info| info.parts).unwrap_or_default();
        let parts = &Parts(declared);
        let dated = examples(true);
        let batches = batches(&dated);
        let build = move |options, device: &Device| {
            let context = PatientEncoderContext { width: WIDTH, codes, device, parts };
            subject.registry.build::<slots::patient_encoder>(subject.name, options, &context)
        };
        let case = |(what, batch): &'_ (&'static str, Batch)| -> Case<'_, PatientEncoderModule> {
            let batch = batch.clone();
            Case {
                what,
                input: numbers(6, graph.nodes(), WIDTH),
                rows: batch.len(),
                zero: Vec::new(),
                build: Box::new(build),
                forward: Box::new(move |module, input| module.forward(input, graph, &batch)),
            }
        };
        let cases: Vec<Case<'_, PatientEncoderModule>> = batches.iter().map(case).collect();
        check_module(subject, &cases, PatientEncoder::width, true, report);
        report.check("a patient does not depend on those beside it", |findings| {
            let device = Device::flex();
            let module = build(subject.options.clone(), &device)?;
            let input = || Tensor::from_data(cases[0].input.clone(), &device);
            let together = values(module.forward(input(), graph, &batches[0].1));
            let width = module.width();
            for i in 0..dated.len() {
                let alone = values(module.forward(input(), graph, &dated.batch(&[i])));
                compare_rows(&format!("patient {i}"), &alone, &together[i * width..(i + 1) * width], findings);
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Layer, Wrong, finds};
    use super::*;
    use crate::graph::Graph;

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
}
