//! The parts of a model, in one list.

use super::{ComponentRef, Model};
use crate::component::{Component, Slot};
use crate::model::{Fusions, FusionsOptions};
use crate::recipe::Recipe;

/// The patient encoder that has `code_fusion` and `visit_fusion` as its parts.
pub(super) const FUSIONS: &str = FusionsOptions::NAME;

/// The keys of `[model]` that name components, each with its slot.
pub(super) const PARTS: [(&str, Slot); 6] = [
    ("node_init", Slot::NodeInit),
    ("graph_encoder", Slot::GraphEncoder),
    ("patient_encoder", Slot::PatientEncoder),
    ("code_fusion", Slot::Fusion),
    ("visit_fusion", Slot::Fusion),
    ("lab", Slot::Lab),
];

impl Model {
    /// The component that a key of [`PARTS`] names.
    fn field(&mut self, key: &str) -> Option<&mut ComponentRef> {
        Some(match key {
            "node_init" => &mut self.node_init,
            "graph_encoder" => &mut self.graph_encoder,
            "patient_encoder" => &mut self.patient_encoder,
            "code_fusion" => &mut self.code_fusion,
            "visit_fusion" => &mut self.visit_fusion,
            "lab" => &mut self.lab,
            _ => return None,
        })
    }

    /// Key, slot and component of every part. The fusions are among them whatever the patient encoder: any may ask for them.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, Slot, ComponentRef)> {
        let mut model = self.clone();
        PARTS.into_iter().filter_map(move |(key, slot)| Some((key, slot, model.field(key)?.clone())))
    }

    /// Puts another component into a part.
    pub(crate) fn set_part(&mut self, key: &str, part: ComponentRef) {
        if let Some(field) = self.field(key) {
            *field = part;
        }
    }

    /// Puts a recipe's choice where the manifest names no component.
    pub(crate) fn complete(&mut self, recipe: &dyn Recipe) {
        for (key, _) in PARTS {
            if let Some(field) = self.field(key).filter(|field| field.is_open())
                && let Some(choice) = recipe.part(key)
            {
                *field = ComponentRef::named(choice);
            }
        }
    }

    /// Whether patients are encoded by the two fusions.
    fn has_fusions(&self) -> bool {
        self.patient_encoder.r#type == FUSIONS
    }

    /// What paths of parameters before the heads begin with.
    pub fn paths(&self) -> Vec<&'static str> {
        let patients: &[&str] = if self.has_fusions() { &Fusions::PARTS } else { &["patient_encoder"] };
        ["nodes", "encoder"].into_iter().chain(patients.iter().copied()).chain(["lab"]).collect()
    }
}
