//! Options of `i2b2`.

use super::I2b2;
use dualk_sdk::data::Dates;
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::prelude::*;
use dualk_sdk::source_options;

source_options! {
    /// Options of `i2b2`.
    pub struct I2b2Options {
        /// Folder with observation_fact and, where they are there, patient_dimension and visit_dimension as `.csv`, `.csv.gz` or
        /// `.parquet`; names of files and columns in upper or lower case.
        pub root: FilePath = FilePath::default(),
        /// Beginnings of the concepts that are diagnoses in ICD-9-CM; the rest is the code.
        pub icd9: Vec<String> = ["ICD9CM:", "ICD9:"].map(String::from).into(),
        /// Beginnings of the concepts that are diagnoses in ICD-10-CM; the rest is the code.
        pub icd10: Vec<String> = ["ICD10CM:", "ICD10:"].map(String::from).into(),
    }
    shares { code_system = CodeSystem::Icd9, icd_map, group, date_format, }
}

impl Component for I2b2Options {
    const NAME: &'static str = "i2b2";
    const ABOUT: &'static str = "i2b2 facts: encounters with a diagnosis are visits";
    const CITATION: &'static str = "Murphy et al., Serving the Enterprise and Beyond with i2b2, JAMIA 2010";
}

impl BuildParser for I2b2Options {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Dates::of_option(&self.date_format)?;
        for (key, beginnings) in [("icd9", &self.icd9), ("icd10", &self.icd10)] {
            if let Some(i) = beginnings.iter().position(String::is_empty) {
                let error = Error::user("expected a beginning of concepts, found an empty text");
                return Err(error.at_key(format!("{key}[{i}]")));
            }
        }
        Ok(Box::new(I2b2 { options: self, tables: Default::default() }))
    }
}
