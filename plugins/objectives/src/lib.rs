//! What the stages of DuaLK learn, and tasks about stays.

mod abnormal_labs;
mod chronic_excluded;
mod diagnosis;
mod drug_recommendation;
mod heart_failure;
mod lab_layer;
mod length_of_stay;
mod masked_codes;
mod mortality;
mod next_visit;
mod rare;
mod readmission;
mod stay_days;
mod stays;
pub mod tasks;
#[cfg(test)]
mod testing;
mod time_to_readmission;

pub use abnormal_labs::AbnormalLabs;
pub use chronic_excluded::ChronicExcluded;
pub use diagnosis::Diagnosis;
pub use drug_recommendation::DrugRecommendation;
pub use heart_failure::HeartFailure;
pub use lab_layer::LabLayer;
pub use length_of_stay::LengthOfStay;
pub use masked_codes::MaskedCodes;
pub use mortality::Mortality;
pub use rare::Rare;
pub use readmission::{From, Readmission};
pub use stay_days::{Learns, StayDays};
pub use stays::{Before, Seen};
pub use time_to_readmission::TimeToReadmission;

dualk_sdk::export_plugin! {
    objective: AbnormalLabs,
    objective: LabLayer,
    objective: Diagnosis,
    objective: HeartFailure,
    objective: Rare,
    objective: ChronicExcluded,
    objective: DrugRecommendation,
    objective: LengthOfStay,
    objective: MaskedCodes,
    objective: Mortality,
    objective: Readmission,
    objective: StayDays,
    objective: TimeToReadmission,
}
