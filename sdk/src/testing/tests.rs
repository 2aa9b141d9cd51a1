//! A component with one defect at a time, for the tests that show that checks find what they are for. These are beside the
//! checks, and make it one of their slot.

use super::{Check, Report, examine};
use crate::plugin::{Registrar, Registry};
use crate::prelude::*;
use burn::nn::{Linear, LinearConfig};
use toml::Table;

crate::options! {
    /// What is wrong.
    pub(super) struct Wrong {
        /// The defect.
        pub(super) defect: String = String::new(),
        /// Width, of at least 1: that this is refused is for the component here, which declares no range.
        pub(super) dim: usize = 4,
    }
}

impl Component for Wrong {
    const NAME: &'static str = "wrong";
    const ABOUT: &'static str = "Has a defect.";
    // Of the recipe that it is in `recipes.rs`.
    const NEEDS: &'static str = "+objective what\n+loss how\n";
}

impl Wrong {
    pub(super) fn is(&self, defect: &str) -> bool {
        self.defect == defect
    }

    /// The width, checked well or badly.
    pub(super) fn width(&self) -> Result<usize> {
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
pub(super) fn finds(slot: Slot, register: fn(&mut Registrar<'_>), defects: &[(&str, &str, &str)]) {
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
pub(super) struct Layer {
    layer: Linear,
    spare: Param<Tensor<1>>,
    pub(super) width: usize,
    #[module(skip)]
    pub(super) defect: String,
}

impl Layer {
    pub(super) fn new(options: &Wrong, input: usize, device: &Device) -> Result<Self> {
        let width = options.width()?;
        let layer = LinearConfig::new(input, width).init(device);
        let spare = Param::from_tensor(Tensor::full([width], 0.5, device));
        Ok(Self { layer, spare, width, defect: options.defect.clone() })
    }

    pub(super) fn is(&self, defect: &str) -> bool {
        self.defect == defect
    }

    pub(super) fn apply(&self, x: Tensor<2>) -> Tensor<2> {
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
