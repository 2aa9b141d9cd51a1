//! Building the parts of a model, at its own sizes or, to check options, at small ones.

use super::manifest::Model;
use crate::component::*;
use crate::data::knowledge::Knowledge;
use crate::error::Mistakes;
use crate::plugin::Registry;
use crate::{Error, Result};
use burn::tensor::Device;
use std::sync::Arc;

/// Widths of a check.
const SMALL: usize = 8;

/// Builds parts of a model from their components.
pub(super) struct Building<'a> {
    pub registry: &'a Registry,
    pub model: &'a Model,
    pub device: &'a Device,
}

impl Building<'_> {
    pub fn node_init(&self) -> Result<Box<dyn NodeInit>> {
        let part = &self.model.node_init;
        self.registry.make::<NodeInitSlot>(&part.r#type, part.options.clone()).map_err(within("node_init"))
    }

    /// The encoder for features of width `input`.
    pub fn graph_encoder(&self, input: usize, codes: &[String]) -> Result<GraphEncoderModule> {
        let part = &self.model.graph_encoder;
        let context = GraphEncoderContext { input, codes, device: self.device };
        let encoder = self.registry.build::<GraphEncoderSlot>(&part.r#type, part.options.clone(), &context);
        encoder.map_err(within("graph_encoder"))
    }

    /// The patient encoder, its fusions included, for code embeddings of a width.
    pub fn patient_encoder(&self, width: usize, codes: &[String]) -> Result<PatientEncoderModule> {
        let part = &self.model.patient_encoder;
        let fusion = |level, width| self.fusion(level, width);
        let context = PatientEncoderContext { width, codes, device: self.device, fusion: &fusion };
        let encoder = self.registry.build::<PatientEncoderSlot>(&part.r#type, part.options.clone(), &context);
        // An error of a fusion has its place already.
        encoder.map_err(|e| match e.key() {
            Some(key) if key.starts_with("model.") => e,
            _ => e.within_key("model.patient_encoder"),
        })
    }

    pub fn fusion(&self, level: FusionLevel, width: usize) -> Result<FusionModule> {
        let (key, part) = match level {
            FusionLevel::Codes => ("code_fusion", &self.model.code_fusion),
            FusionLevel::Visits => ("visit_fusion", &self.model.visit_fusion),
        };
        let context = FusionContext { width, level, device: self.device };
        self.registry.build::<FusionSlot>(&part.r#type, part.options.clone(), &context).map_err(within(key))
    }

    /// The lab encoder for a number of laboratory items.
    pub fn lab(&self, labs: usize) -> Result<LabEncoderModule> {
        let part = &self.model.lab;
        let context = LabEncoderContext { labs, device: self.device };
        self.registry.build::<LabSlot>(&part.r#type, part.options.clone(), &context).map_err(within("lab"))
    }

    /// A head of the network that an objective asks for.
    pub fn head(
        &self,
        network: &str,
        input: usize,
        outputs: usize,
        code_width: Option<usize>,
        knowledge: Option<AskedOf<'_>>,
    ) -> Result<HeadModule> {
        let part = &self.model.head.component;
        let context = HeadContext { network, input, outputs, code_width, knowledge, device: self.device };
        self.registry.build::<HeadSlot>(&part.r#type, part.options.clone(), &context).map_err(within("head"))
    }

    /// Builds every part at a small size, which checks the values of its options before work starts; but for those that are
    /// known to be `wrong`, by their keys. `knows`: the experiment has a knowledge graph.
    pub fn check(&self, wrong: &[&str], knows: bool, mistakes: &mut Mistakes) {
        let codes = &[String::new(), "428.0".to_owned()];
        let right = |key: &str| !wrong.contains(&key);
        if right("node_init") {
            mistakes.note(self.node_init());
        }
        if right("graph_encoder") {
            mistakes.note(self.graph_encoder(SMALL, codes));
        }
        let code_fusion = right("code_fusion") && mistakes.note(self.fusion(FusionLevel::Codes, SMALL)).is_some();
        let visit_fusion = right("visit_fusion") && mistakes.note(self.fusion(FusionLevel::Visits, SMALL)).is_some();
        if code_fusion && visit_fusion && right("patient_encoder") {
            mistakes.note(self.patient_encoder(SMALL, codes));
        }
        if right("lab") {
            mistakes.note(self.lab(SMALL));
        }
        if right("head") && mistakes.note(self.head("", SMALL, SMALL, None, None)).is_some() {
            let graph = knows.then(|| Arc::new(Knowledge::small(SMALL)));
            let asked: Vec<u32> = (1..=SMALL as u32).collect();
            let knowledge = graph.as_ref().map(|graph| AskedOf { graph, asked: &asked });
            mistakes.note(self.head("", SMALL, SMALL, Some(SMALL), knowledge));
        }
    }
}

fn within(key: &'static str) -> impl Fn(Error) -> Error {
    move |e| e.within_key(&format!("model.{key}"))
}
