//! Options of `mimic4`.

use crate::Mimic4;
use dualk_sdk::data::tables::OnBadRow;
use dualk_sdk::prelude::*;

options! {
    /// Options of `mimic4`.
    pub struct Mimic4Options {
        /// Folder with patients, admissions, diagnoses_icd, labevents and d_labitems as `.csv`, `.csv.gz` or `.parquet`.
        pub root: FilePath = FilePath::default(),
        /// Table of ICD-10-CM → ICD-9-CM equivalences with the columns ICD10 and ICD9.
        pub icd_map: FilePath = FilePath::default(),
        /// What becomes of a row of labevents that cannot be used: `error`, or `skip`, which counts it.
        pub on_bad_row: OnBadRow = OnBadRow::Error,
    }
}

impl Component for Mimic4Options {
    const NAME: &'static str = "mimic4";
    const ABOUT: &'static str = "MIMIC-IV hospital tables, diagnoses as ICD-9";
    const CITATION: &'static str =
        "Johnson et al., MIMIC-IV, a freely accessible electronic health record dataset, 2023";
}

impl BuildParser for Mimic4Options {
    fn build(self) -> Result<Box<dyn Parser>> {
        let root = self.root.required("root")?.to_owned();
        let icd_map = self.icd_map.required("icd_map")?.to_owned();
        Ok(Box::new(Mimic4::new(root, icd_map).on_bad_row(self.on_bad_row)))
    }
}
