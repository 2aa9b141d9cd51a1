//! Options of `mimic3` and `mimic4`.

use crate::{Mimic3, Mimic4};
use dualk_sdk::data::Dates;
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::prelude::*;
use dualk_sdk::source_options;

source_options! {
    /// Options of `mimic4`.
    pub struct Mimic4Options {
        /// Folder with patients, admissions, diagnoses_icd, labevents and d_labitems as `.csv`, `.csv.gz` or `.parquet`.
        pub root: FilePath = FilePath::default(),
        /// With drugs among `events`: column of prescriptions that says which drug it is, such as `drug`, `ndc` or `gsn`.
        pub drug: String = "drug".into(),
    }
    shares {
        code_system = CodeSystem::Icd9, icd_map, group, date_format, events, event_tables, drug_map, quantiles, on_bad_row,
    }
}

impl Component for Mimic4Options {
    const NAME: &'static str = "mimic4";
    const ABOUT: &'static str = "MIMIC-IV hospital tables.";
    const CITATION: &'static str =
        "Johnson et al., MIMIC-IV, a freely accessible electronic health record dataset, 2023";
}

impl BuildParser for Mimic4Options {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Dates::of_option(&self.date_format)?;
        Ok(Box::new(Mimic4::new(self)))
    }
}

source_options! {
    /// Options of `mimic3`.
    pub struct Mimic3Options {
        /// Folder with ADMISSIONS, DIAGNOSES_ICD and, for laboratory items, LABEVENTS and D_LABITEMS as `.csv`, `.csv.gz`
        /// or `.parquet`; names of files and columns in upper or lower case.
        pub root: FilePath = FilePath::default(),
        /// Whether to read laboratory items.
        pub labs: bool = true,
        /// With drugs among `events`: column of prescriptions that says which drug it is, such as `drug`, `ndc` or `gsn`.
        pub drug: String = "drug".into(),
    }
    shares {
        code_system = CodeSystem::Icd9, group, date_format, events, event_tables, drug_map, quantiles, on_bad_row,
    }
}

impl Component for Mimic3Options {
    const NAME: &'static str = "mimic3";
    const ABOUT: &'static str = "MIMIC-III tables, whose codes are ICD-9.";
    const CITATION: &'static str = "Johnson et al., MIMIC-III, a freely accessible critical care database, 2016";
}

impl BuildParser for Mimic3Options {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Dates::of_option(&self.date_format)?;
        Ok(Box::new(Mimic3::new(self)))
    }
}
