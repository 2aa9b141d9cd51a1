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
mod task_options;
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

#[cfg(test)]
mod tests {
    use crate::testing::data;
    use crate::{AbnormalLabs, Diagnosis, DrugRecommendation, HeartFailure, LabLayer, LengthOfStay, MaskedCodes};
    use crate::{Mortality, Readmission, StayDays, TimeToReadmission};
    use dualk_sdk::prelude::*;

    /// What the columns of the heads of an objective are called, and the visit that it asks about.
    fn called(objective: &dyn Objective) -> (Vec<Option<Vec<String>>>, AskedVisit) {
        let data = data();
        let heads = objective.heads(&data).unwrap();
        let labels: Vec<_> = (0..heads.len()).map(|head| objective.labels(&data, head)).collect();
        for (labels, head) in labels.iter().zip(&heads) {
            assert!(labels.as_ref().is_none_or(|labels| labels.len() == head.outputs), "{}: {labels:?}", head.name);
        }
        (labels, objective.asked_visit())
    }

    fn named<const N: usize>(names: [&str; N]) -> Vec<Option<Vec<String>>> {
        vec![Some(names.map(String::from).to_vec())]
    }

    #[test]
    fn columns_are_called_by_what_they_ask_for() {
        let codes = &data().vocabulary.codes[1..];
        let all: Vec<Option<Vec<String>>> = vec![Some(codes.to_vec())];
        assert_eq!(codes.len(), 3);
        let (next, last) = (AskedVisit::Next, AskedVisit::Last);
        assert_eq!(called(&Diagnosis::default()), (all.clone(), next));
        assert_eq!(called(&MaskedCodes::default()), (all.clone(), last));
        assert_eq!(called(&LabLayer::default()), (all, last));
        let items = named(["chemistry:0", "chemistry:1", "chemistry:2"]);
        assert_eq!(called(&AbnormalLabs::default()), (items, AskedVisit::None));
        let days = ["0", "1", "2", "3", "4", "5", "6", "7", "8-14", "15+"].map(|days| format!("days:{days}"));
        assert_eq!(called(&LengthOfStay::default()), (vec![Some(days.to_vec())], last));
        let drugs = called(&DrugRecommendation::default());
        assert_eq!((drugs.0[0].as_ref(), drugs.1), (Some(&data().cohort.events[0].names), last));
        // Of one column, the name of the head.
        assert_eq!(called(&StayDays::default()), (vec![None], last));
        for objective in [
            &HeartFailure::default() as &dyn Objective,
            &Mortality::default(),
            &Readmission::default(),
            &TimeToReadmission::default(),
        ] {
            assert_eq!(called(objective), (vec![None], next));
        }
    }
}
