//! `fusions`: codes fuse to visits, visits to patients.

use dualk_sdk::burn::module::{Content, Devices, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor};
use dualk_sdk::prelude::*;

options! {
    /// Options of `fusions`: none; the manifest names its parts as `model.code_fusion` and `model.visit_fusion`.
    pub struct FusionsOptions {}
}

impl Component for FusionsOptions {
    const NAME: &'static str = "fusions";
    const ABOUT: &'static str = "Codes fuse to visits (model.code_fusion), visits to patients (model.visit_fusion).";
    const PARTS: &'static [&'static str] = &Fusions::PARTS;
    const DEFAULT: bool = true;
}

impl BuildPatientEncoder for FusionsOptions {
    type Module = Fusions;

    fn build(self, context: &PatientEncoderContext<'_>) -> Result<Fusions> {
        let PatientEncoderContext { width, device, parts, .. } = *context;
        let [codes, visits] = Fusions::PARTS;
        let code_fusion = parts.fusion(codes, &FusionContext::codes(width, device))?;
        let visit_fusion = parts.fusion(visits, &FusionContext::visits(code_fusion.width(), device))?;
        Ok(Fusions { code_fusion, visit_fusion })
    }
}

/// Two fusions, one over the other. Paths of their parameters begin with `code_fusion` and `visit_fusion`, as if they were
/// the model's own parts: see [`Module::visit`] below.
#[derive(Debug, Clone)]
pub struct Fusions {
    code_fusion: FusionModule,
    visit_fusion: FusionModule,
}

impl Fusions {
    /// From both fusions; the second reads the output of the first.
    pub fn new(code_fusion: FusionModule, visit_fusion: FusionModule) -> Self {
        Self { code_fusion, visit_fusion }
    }

    /// Keys of the fusions in `[model]`, which paths of their parameters begin with.
    const PARTS: [&'static str; 2] = ["code_fusion", "visit_fusion"];

    fn each(self, mut change: impl FnMut(FusionModule) -> FusionModule) -> Self {
        Self { code_fusion: change(self.code_fusion), visit_fusion: change(self.visit_fusion) }
    }
}

impl PatientEncoder for Fusions {
    fn forward(&self, embeddings: Tensor<2>, _: &Graph, batch: &Batch) -> Tensor<2> {
        let visits = self.code_fusion.forward(embeddings, &batch.codes); // [visits, visit width]
        self.visit_fusion.forward(visits, &batch.visits) // [batch, patient width]
    }

    fn width(&self) -> usize {
        self.visit_fusion.width()
    }
}

/// The field of the model that holds the fusions, left out of the paths of their parameters.
const PARENT: &str = "patient_encoder";

impl Module for Fusions {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.visit_fusion.collect_devices(self.code_fusion.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|fusion| fusion.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|fusion| fusion.to_device(device))
    }

    fn train(self) -> Self {
        self.each(Module::train)
    }

    fn valid(&self) -> Self {
        Self { code_fusion: self.code_fusion.valid(), visit_fusion: self.visit_fusion.valid() }
    }

    fn materialize(self) -> Self {
        self.each(Module::materialize)
    }

    // Out of the parent and back into it, so that weights, manifests and frozen prefixes name the fusions alone.
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.exit_module(PARENT, "");
        for (name, fusion) in Self::PARTS.into_iter().zip([&self.code_fusion, &self.visit_fusion]) {
            visitor.enter_module(name, "");
            fusion.visit(visitor);
            visitor.exit_module(name, "");
        }
        visitor.enter_module(PARENT, "");
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        mapper.exit_module(PARENT, "");
        let mut names = Self::PARTS.into_iter();
        let mapped = self.each(|fusion| {
            let name = names.next().unwrap_or_default();
            mapper.enter_module(name, "");
            let fusion = fusion.map(mapper);
            mapper.exit_module(name, "");
            fusion
        });
        mapper.enter_module(PARENT, "");
        mapped
    }
}

impl ModuleDisplayDefault for Fusions {
    fn content(&self, content: Content) -> Option<Content> {
        content.add(Self::PARTS[0], &self.code_fusion).add(Self::PARTS[1], &self.visit_fusion).optional()
    }
}

impl ModuleDisplay for Fusions {}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::model::parameters;

    #[derive(Module, Debug)]
    struct Sum {
        weight: Param<Tensor<2>>,
    }

    impl Fusion for Sum {
        fn forward(&self, values: Tensor<2>, _: &Sets) -> Tensor<2> {
            values
        }

        fn width(&self) -> usize {
            3
        }
    }

    #[derive(Module, Debug)]
    struct Whole {
        patient_encoder: PatientEncoderModule,
        lab: Param<Tensor<2>>,
    }

    #[test]
    fn it_is_a_sound_patient_encoder() {
        dualk_sdk::testing::check_patient_encoder(FusionsOptions {});
    }

    #[test]
    fn paths_name_the_fusions_and_not_the_encoder() {
        let weight = || Param::from_tensor(Tensor::<2>::ones([1, 1], &Device::flex()));
        let fusion = || FusionModule::new(Sum { weight: weight() }, "sum");
        let encoder = PatientEncoderModule::new(Fusions::new(fusion(), fusion()), "fusions");
        let whole = Whole { patient_encoder: encoder, lab: weight() };
        let paths: Vec<String> = parameters(&whole).into_iter().map(|p| p.path).collect();
        assert_eq!(paths, ["code_fusion.weight", "visit_fusion.weight", "lab"]);
    }
}
