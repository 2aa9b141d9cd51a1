//! What the stages of DuaLK learn.

mod abnormal_labs;
mod chronic_excluded;
mod diagnosis;
mod heart_failure;
mod lab_layer;
mod next_visit;
mod rare;

pub use abnormal_labs::AbnormalLabs;
pub use chronic_excluded::ChronicExcluded;
pub use diagnosis::Diagnosis;
pub use heart_failure::HeartFailure;
pub use lab_layer::LabLayer;
pub use rare::Rare;

dualk_sdk::export_plugin! {
    objective: AbnormalLabs,
    objective: LabLayer,
    objective: Diagnosis,
    objective: HeartFailure,
    objective: Rare,
    objective: ChronicExcluded,
}
