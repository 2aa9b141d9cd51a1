//! Options of `mimic3` and `mimic4`.

use crate::{EventKind, Mimic3, Mimic4};
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::data::tables::OnBadRow;
use dualk_sdk::prelude::*;

options! {
    /// Options of `mimic4`.
    pub struct Mimic4Options {
        /// Folder with patients, admissions, diagnoses_icd, labevents and d_labitems as `.csv`, `.csv.gz` or `.parquet`.
        pub root: FilePath = FilePath::default(),
        /// Table of ICD-10-CM → ICD-9-CM equivalences with the columns ICD10 and ICD9, in place of the mapping of the CMS,
        /// which is part of the program and goes both ways; needed with `compat`.
        pub icd_map: FilePath = FilePath::default(),
        /// Edition of the cohort's codes: `icd9`, as published, `icd10`, or `ccsr` for categories of ICD-10 codes.
        pub code_system: CodeSystem = CodeSystem::Icd9,
        /// Table of codes and their groups, such as CCS, with the columns code and group; the groups become the codes.
        pub group: FilePath = FilePath::default(),
        /// Further kinds of codes to read: `procedures` of procedures_icd, `drugs` of prescriptions.
        pub events: Vec<EventKind> = Vec::new(),
        /// What becomes of a row of labevents that cannot be used: `error`, or `skip`, which counts it.
        pub on_bad_row: OnBadRow = OnBadRow::Error,
    }
}

impl Component for Mimic4Options {
    const NAME: &'static str = "mimic4";
    const ABOUT: &'static str = "MIMIC-IV hospital tables";
    const CITATION: &'static str =
        "Johnson et al., MIMIC-IV, a freely accessible electronic health record dataset, 2023";
}

impl BuildParser for Mimic4Options {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Ok(Box::new(Mimic4 { options: self }))
    }
}

options! {
    /// Options of `mimic3`.
    pub struct Mimic3Options {
        /// Folder with ADMISSIONS, DIAGNOSES_ICD and, for laboratory items, LABEVENTS and D_LABITEMS as `.csv`, `.csv.gz`
        /// or `.parquet`; names of files and columns in upper or lower case.
        pub root: FilePath = FilePath::default(),
        /// Whether to read laboratory items.
        pub labs: bool = true,
        /// Edition of the cohort's codes: `icd9`, as they are written, or `icd10` and `ccsr`, which they become.
        pub code_system: CodeSystem = CodeSystem::Icd9,
        /// Table of codes and their groups, such as CCS, with the columns code and group; the groups become the codes.
        pub group: FilePath = FilePath::default(),
        /// Further kinds of codes to read: `procedures` of procedures_icd, `drugs` of prescriptions.
        pub events: Vec<EventKind> = Vec::new(),
        /// What becomes of a row of LABEVENTS that cannot be used: `error`, or `skip`, which counts it.
        pub on_bad_row: OnBadRow = OnBadRow::Error,
    }
}

impl Component for Mimic3Options {
    const NAME: &'static str = "mimic3";
    const ABOUT: &'static str = "MIMIC-III tables, whose codes are ICD-9";
    const CITATION: &'static str = "Johnson et al., MIMIC-III, a freely accessible critical care database, 2016";
}

impl BuildParser for Mimic3Options {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Ok(Box::new(Mimic3 { options: self }))
    }
}
