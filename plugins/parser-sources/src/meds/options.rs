//! Options of `meds`.

use super::Meds;
use crate::Abnormal;
use dualk_sdk::data::Dates;
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::source_options;
use std::collections::BTreeMap;

source_options! {
    /// Options of `meds`.
    pub struct MedsOptions {
        /// Root of the data set, whose folder `data` has the Parquet files, in folders or not.
        pub root: FilePath = FilePath::default(),
        /// What a visit is: `admission`, from an admission to the next, or `day`, each day with a diagnosis.
        pub visits: Visits = Visits::Admission,
        /// Beginning of the codes of admissions.
        pub admission: String = "HOSPITAL_ADMISSION".into(),
        /// Beginning of the codes of discharges.
        pub discharge: String = "HOSPITAL_DISCHARGE".into(),
        /// Beginning of the codes of diagnoses in ICD-9-CM; the rest is the code.
        pub icd9: String = "DIAGNOSIS//ICD//9//".into(),
        /// Beginning of the codes of diagnoses in ICD-10-CM; the rest is the code.
        pub icd10: String = "DIAGNOSIS//ICD//10//".into(),
        /// Beginning of the codes of laboratory results, such as `LAB//RESULT//`.
        pub lab: String = "LAB//".into(),
        /// Further kinds of codes to read, each with the beginning of its codes, as `{ procedures = "PROCEDURE//ICD//", drugs =
        /// "MEDICATION//START//" }`; the rest is the code.
        pub events: BTreeMap<String, String> = BTreeMap::new(),
        /// How abnormal results are found, as events do not say: `interval` or `none`.
        pub abnormal: Abnormal = Abnormal::Interval,
    }
    shares { code_system = CodeSystem::Icd9, icd_map, group, date_format, drug_map, quantiles, }
}

/// What a visit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Visits {
    /// The events from an admission up to the next; what is before the first belongs to none.
    #[default]
    Admission,
    /// The events of a day that has a diagnosis.
    Day,
}

impl Component for MedsOptions {
    const NAME: &'static str = "meds";
    const ABOUT: &'static str = "Medical Event Data Standard: Parquet files of events.";
    const CITATION: &'static str = "Arnrich et al., Medical Event Data Standard (MEDS), ICLR TS4H 2024";
}

impl BuildParser for MedsOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Dates::of_option(&self.date_format)?;
        let beginnings = [
            ("admission", &self.admission),
            ("discharge", &self.discharge),
            ("icd9", &self.icd9),
            ("icd10", &self.icd10),
            ("lab", &self.lab),
        ];
        let beginnings = beginnings.map(|(key, beginning)| (key.to_owned(), beginning)).into_iter();
        for (key, beginning) in beginnings.chain(self.events.iter().map(|(kind, b)| (format!("events.{kind}"), b))) {
            if beginning.is_empty() {
                return Err(Error::user("expected a prefix of codes, found an empty text").at_key(key));
            }
        }
        if self.events.contains_key("diagnoses") {
            return Err(Error::user("diagnoses have the keys icd9 and icd10").at_key("events.diagnoses"));
        }
        self.abnormal.rule(self.quantiles)?;
        Ok(Box::new(Meds { options: self, codes: Default::default(), tables: Default::default() }))
    }
}
