//! Options of `i2b2`.

use super::I2b2;
use crate::Abnormal;
use dualk_sdk::data::Dates;
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::data::labs::Rule;
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::source_options;

source_options! {
    /// Options of `i2b2`.
    pub struct I2b2Options {
        /// Folder with observation_fact and, where they are there, patient_dimension, visit_dimension and concept_dimension as
        /// `.csv`, `.csv.gz` or `.parquet`; names of files and columns in upper or lower case.
        pub root: FilePath = FilePath::default(),
        /// Beginnings of the concepts that are diagnoses in ICD-9-CM; the rest is the code.
        pub icd9: Vec<String> = ["ICD9CM:", "ICD9:"].map(String::from).into(),
        /// Beginnings of the concepts that are diagnoses in ICD-10-CM; the rest is the code.
        pub icd10: Vec<String> = ["ICD10CM:", "ICD10:"].map(String::from).into(),
        /// What inout_cd of visit_dimension says of the encounters that count, such as `I` for inpatients, in either case of
        /// letters; all when empty.
        pub inout: Vec<String> = Vec::new(),
        /// Beginnings of the concepts that are laboratory results.
        pub lab: Vec<String> = vec!["LOINC:".into()],
        /// How abnormal results are found: `interval`, outside the central 95 % of the results of the same concept in the same
        /// unit; `flag`, by H, L or A in valueflag_cd; or `none`, which reads no results.
        pub abnormal: Flags = Flags::Interval,
    }
    shares { code_system = CodeSystem::Icd9, icd_map, group, date_format, quantiles, on_bad_row, }
}

/// How abnormal results are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Flags {
    /// As [`Rule::Interval`] has it.
    #[default]
    Interval,
    /// By the flags of the source.
    Flag,
    /// No laboratory items.
    None,
}

impl Flags {
    /// What counts of results; `None` when none is read.
    ///
    /// # Errors
    /// Names the key where values of items are to be cut that are not read.
    pub fn rule(self, quantiles: usize) -> Result<Option<Rule>> {
        match self {
            Self::Interval => Abnormal::Interval.rule(quantiles),
            Self::Flag => Rule::of(quantiles, Rule::Said).map(Some),
            Self::None => Abnormal::None.rule(quantiles),
        }
    }
}

impl Component for I2b2Options {
    const NAME: &'static str = "i2b2";
    const ABOUT: &'static str = "i2b2 facts: encounters with a diagnosis are visits.";
    const CITATION: &'static str = "Murphy et al., Serving the Enterprise and Beyond with i2b2, JAMIA 2010";
}

impl BuildParser for I2b2Options {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Dates::of_option(&self.date_format)?;
        for (key, beginnings) in [("icd9", &self.icd9), ("icd10", &self.icd10), ("lab", &self.lab)] {
            if let Some(i) = beginnings.iter().position(String::is_empty) {
                let error = Error::user("expected a beginning of concepts, found an empty text");
                return Err(error.at_key(format!("{key}[{i}]")));
            }
        }
        self.abnormal.rule(self.quantiles)?;
        Ok(Box::new(I2b2 { options: self, tables: Default::default() }))
    }
}
