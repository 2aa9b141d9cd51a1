//! Components that are no modules, with their plugin's name on every panic.

use super::guard::run;
use crate::component::*;
use crate::data::{Cohort, Examples, Prepared, Ragged};
use crate::recipe::{Recipe, Stage, StageContext};
use crate::{Error, Result};
use burn::tensor::Tensor;
use std::sync::Arc;

/// A component and how errors name it.
pub(crate) struct Guarded<T: ?Sized> {
    pub origin: Arc<str>,
    pub inner: Box<T>,
}

impl Parser for Guarded<dyn Parser> {
    fn check(&self) -> Result<()> {
        run(&self.origin, || self.inner.check())
    }

    fn inputs(&self) -> Option<Inputs> {
        run(&self.origin, || self.inner.inputs())
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        run(&self.origin, || self.inner.parse(context))
    }

    fn oracles(
        &self,
        context: &ParserContext<'_>,
        cohort: &Cohort,
        visits: &[usize],
        under_way: bool,
    ) -> Result<Vec<Oracle>> {
        run(&self.origin, || self.inner.oracles(context, cohort, visits, under_way))
    }
}

impl NodeInit for Guarded<dyn NodeInit> {
    fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures> {
        run(&self.origin, || self.inner.init(context))
    }
}

impl Loss for Guarded<dyn Loss> {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        run(&self.origin, || self.inner.forward(logits, targets))
    }

    fn fitted(&self, targets: &Ragged<u32>, columns: usize) -> Option<Box<dyn Loss>> {
        let inner = run(&self.origin, || self.inner.fitted(targets, columns))?;
        Some(Box::new(Guarded { origin: self.origin.clone(), inner }))
    }
}

impl Objective for Guarded<dyn Objective> {
    fn heads(&self, data: &Prepared) -> Result<Vec<HeadSpec>> {
        run(&self.origin, || self.inner.heads(data))
    }

    fn examples(&self, data: &Prepared, part: Part) -> Result<Examples> {
        let examples = run(&self.origin, || self.inner.examples(data, part))?;
        let rows = examples.len();
        match examples.visits.len() == rows && examples.targets.iter().all(|targets| targets.len() == rows) {
            true => Ok(examples),
            false => Err(Error::program(format!("{}: visits, labs and targets differ in number", self.origin))),
        }
    }

    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        run(&self.origin, || self.inner.metrics(predictions))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        let inner = run(&self.origin, || self.inner.meter())?;
        Some(Box::new(Guarded { origin: self.origin.clone(), inner }))
    }

    fn primary(&self) -> &str {
        run(&self.origin, || self.inner.primary())
    }

    fn asks(&self, data: &Prepared, head: usize) -> Asks {
        run(&self.origin, || self.inner.asks(data, head))
    }

    fn sees_labs_of_target(&self) -> bool {
        run(&self.origin, || self.inner.sees_labs_of_target())
    }

    fn caption(&self) -> String {
        run(&self.origin, || self.inner.caption())
    }
}

impl Recipe for Guarded<dyn Recipe> {
    fn types(&self) -> Vec<(&'static str, &'static str)> {
        run(&self.origin, || self.inner.types())
    }

    fn part(&self, key: &str) -> Option<&'static str> {
        run(&self.origin, || self.inner.part(key))
    }

    fn complete(&self, stage: Stage, context: &StageContext<'_>) -> Result<Stage> {
        run(&self.origin, || self.inner.complete(stage, context))
    }

    fn notes(&self, stages: &[Stage], has_lab: bool) -> Vec<String> {
        run(&self.origin, || self.inner.notes(stages, has_lab))
    }
}

impl Meter for Guarded<dyn Meter> {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        run(&self.origin, || self.inner.update(predictions));
    }

    fn compute(&self) -> Vec<(String, f64)> {
        run(&self.origin, || self.inner.compute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Loss for Broken {
        fn forward(&self, _: Tensor<2>, _: Tensor<2>) -> Tensor<1> {
            panic!("no such loss")
        }
    }

    #[test]
    fn a_panic_in_a_method_names_the_component() {
        let loss: Guarded<dyn Loss> = Guarded { origin: "loss `broken` (plugin x.so)".into(), inner: Box::new(Broken) };
        let zeros = Tensor::<2>::zeros([1, 1], &burn::tensor::Device::flex());
        let error = crate::plugin::guard::catch(|| Ok(loss.forward(zeros.clone(), zeros))).unwrap_err();
        assert!(error.to_string().starts_with("loss `broken` (plugin x.so) panicked: no such loss"), "{error}");
    }
}
