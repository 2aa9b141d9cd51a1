//! Node initialisers.

use super::gradients::{repeatable, values};
use super::inputs::codes;
use super::options::check_options;
use super::{Examined, Report, Subject, check};
use crate::component::*;
use crate::error::Blame;
use crate::{Result, slots};
use burn::tensor::{Device, Tensor};
use toml::Table;

/// Checks a node initialiser on known, unknown and no codes.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_node_init<C: BuildNodeInit>(options: C) {
    check::<slots::node_init, C>(options);
}

impl Examined for slots::node_init {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        let device = Device::flex();
        let features = |options: Table, codes: &[String]| -> Result<Tensor<2>> {
            let init = subject.registry.make::<slots::node_init>(subject.name, options)?;
            Ok(init.init(&NodeInitContext { codes, device: &device })?.features)
        };
        let mut unknown = codes(5);
        unknown[3] = "no code".to_owned();
        unknown[4] = "é".to_owned();
        for (what, codes) in [("codes", codes(9)), ("the padding node alone", codes(1)), ("unknown codes", unknown)] {
            report.check(format!("shapes: {what}"), |findings| {
                let features = match features(subject.options.clone(), &codes) {
                    // A component may need known codes, if it says so.
                    Err(error) if codes.len() == 1 && error.blame() == Blame::User => return Ok(()),
                    features => features?,
                };
                let [rows, width] = features.dims();
                if rows != codes.len() || width == 0 {
                    findings.push(format!("the features are [{rows}, {width}] for {} codes", codes.len()));
                }
                if values(features).iter().any(|x| !x.is_finite()) {
                    findings.push("a feature is not finite".to_owned());
                }
                Ok(())
            });
        }
        report.check("the same features from the same seed", |_| {
            repeatable(&device, || features(subject.options.clone(), &codes(9)).map(values).map_err(|e| e.to_string()))
                .map(drop)
        });
        check_options(subject, report, |options| features(options, &codes(9)).map(values));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Wrong, finds};
    use super::*;

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
}
