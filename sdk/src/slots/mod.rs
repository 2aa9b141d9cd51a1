//! The slots by the names that manifests and [`export_plugin!`](crate::export_plugin) use: kinds for
//! [`Registry::build`](crate::plugin::Registry::build).

mod export;

pub use crate::component::{
    FusionSlot as fusion, GraphEncoderSlot as graph_encoder, HeadSlot as head, LabSlot as lab, LossSlot as loss,
    NodeInitSlot as node_init, ObjectiveSlot as objective, ParserSlot as parser, PatientEncoderSlot as patient_encoder,
};
pub use crate::kge::KgeModelSlot as kge_model;
pub use crate::recipe::RecipeSlot as recipe;
