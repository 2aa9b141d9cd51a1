//! Options of `omop`.

use super::Omop;
use crate::abnormal::not_read;
use dualk_sdk::data::Dates;
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::data::labs::Rule;
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::source_options;

source_options! {
    /// Options of `omop`.
    pub struct OmopOptions {
        /// Folder with visit_occurrence, condition_occurrence and, for laboratory items, measurement as `.csv`, `.csv.gz`
        /// or `.parquet`; names of files and columns in upper or lower case.
        pub root: FilePath = FilePath::default(),
        /// What a condition's code is: `icd10` or `icd9`, the edition in which condition_source_value is written, or
        /// `concept` for condition_concept_id.
        pub codes: OmopCodes = OmopCodes::Icd10,
        /// Concepts of the visits that count, such as 9201 for inpatient visits; all when empty.
        pub visit_concepts: Vec<i64> = Vec::new(),
        /// Whether to read measurements.
        pub labs: bool = true,
        /// How abnormal measurements are found: `range`, by range_low and range_high of the row, or `interval`, outside the
        /// central 95 % of the results of the same concept in the same unit.
        pub abnormal: Ranges = Ranges::Range,
        /// With procedures among `events`: column of procedure_occurrence, such as `procedure_source_value`.
        pub procedure: String = "procedure_concept_id".into(),
        /// With drugs among `events`: column of drug_exposure, such as `drug_source_value`.
        pub drug: String = "drug_concept_id".into(),
    }
    shares {
        code_system = CodeSystem::Icd9, icd_map, group, date_format, events, event_tables, drug_map, quantiles, on_bad_row,
    }
}

/// How abnormal measurements are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Ranges {
    /// Below range_low or above range_high.
    #[default]
    Range,
    /// As [`Rule::Interval`] has it.
    Interval,
}

/// What a condition's code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum OmopCodes {
    /// condition_source_value, written in ICD-10-CM.
    #[default]
    Icd10,
    /// condition_source_value, written in ICD-9-CM.
    Icd9,
    /// condition_concept_id, as it is.
    Concept,
}

impl Component for OmopOptions {
    const NAME: &'static str = "omop";
    const ABOUT: &'static str = "OMOP common data model: visits, conditions, measurements.";
    const CITATION: &'static str = "Observational Health Data Sciences and Informatics, OMOP CDM v5.4";
}

impl BuildParser for OmopOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Dates::of_option(&self.date_format)?;
        if self.codes == OmopCodes::Concept && self.group.given().is_some() {
            let error = Error::user("groups are of ICD codes, and codes = \"concept\" has none").at_key("group");
            return Err(error.help("leave one of the two out"));
        }
        match self.labs {
            true => drop(Rule::of(self.quantiles, Rule::Said)?),
            false => not_read(self.quantiles, "labs = false")?,
        }
        Ok(Box::new(Omop { options: self, tables: Default::default() }))
    }
}
