//! Options of `csv`.

use super::Csv;
use dualk_sdk::data::Dates;
use dualk_sdk::data::coding::CodeSystem;
use dualk_sdk::data::labs::Rule;
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::source_options;

source_options! {
    /// Options of `csv`. All tables may be `.csv`, `.csv.gz` or `.parquet`.
    pub struct CsvOptions {
        /// Table of visits: a row a visit, or several with the same visit, such as a row a diagnosis.
        pub visits: FilePath = FilePath::default(),
        /// Column of the patient, in every table; other tables than visits may lack it where visits have identifiers of
        /// their own.
        pub patient: String = "patient".into(),
        /// Column of the visit, in every table; empty when a patient's visits are told apart by their time alone.
        pub visit: String = "visit".into(),
        /// Column of the time of a visit: dates, perhaps with a time of day, or numbers. Empty when visits stand in order.
        pub time: String = "time".into(),
        /// Table of the diagnoses, a row a visit or several; the table of visits when left out.
        pub codes: FilePath = FilePath::default(),
        /// Columns of diagnoses: one name, several, or with a star at the end, as in `dx*`.
        pub code: Vec<String> = vec!["code".into()],
        /// What stands between several codes in one cell, such as `;`; empty when a cell holds one.
        pub separator: String = String::new(),
        /// How diagnoses are written: `icd10`, `icd9`, `version` when the column of that option tells, or `other`.
        pub written: Written = Written::Icd10,
        /// With `written = "version"`: column that holds 9 or 10.
        pub version: String = "version".into(),
        /// Table of laboratory results, a row a result.
        pub labs: FilePath = FilePath::default(),
        /// Column of the laboratory item.
        pub item: String = "item".into(),
        /// Column that says whether a result is abnormal.
        pub flag: String = String::new(),
        /// What is written for an abnormal result, in either case of letters.
        pub abnormal: Vec<String> = ["abnormal", "a", "h", "hh", "high", "l", "ll", "low", "1", "true", "yes"].map(String::from).into(),
        /// Column of the value of a result, for `low` and `high` or `quantiles`.
        pub value: String = String::new(),
        /// Column of the lowest normal value of a result.
        pub low: String = String::new(),
        /// Column of the highest normal value of a result.
        pub high: String = String::new(),
        /// Column of the category of an item; each category gets a pretraining decoder. Empty: all have one.
        pub category: String = String::new(),
        /// Columns of the table of visits that are laboratory items, such as `lab_*`: abnormal where one of the texts of
        /// `abnormal` is written.
        pub items: Vec<String> = Vec::new(),
        /// Table of drugs, a row a drug.
        pub drugs: FilePath = FilePath::default(),
        /// Column of the drug, such as its ATC code or its ingredient.
        pub drug: String = "drug".into(),
        /// Table of procedures, a row a procedure.
        pub procedures: FilePath = FilePath::default(),
        /// Column of the procedure.
        pub procedure: String = "procedure".into(),
        /// Column of visits with the end, when there is one.
        pub end: String = "end".into(),
        /// Column of visits with the age in years, when there is one.
        pub age: String = "age".into(),
        /// Column of visits with the sex, when there is one.
        pub sex: String = "sex".into(),
        /// Column of visits with the ethnicity, when there is one.
        pub ethnicity: String = "ethnicity".into(),
        /// Column of visits that says with 1 or 0 whether the patient died in the visit, when there is one.
        pub died: String = "died".into(),
    }
    shares {
        code_system = CodeSystem::Icd10, icd_map, group, date_format, event_tables, drug_map, quantiles, on_bad_row,
    }
}

/// How diagnoses are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Written {
    /// In ICD-10-CM.
    #[default]
    Icd10,
    /// In ICD-9-CM.
    Icd9,
    /// In the edition that a column names.
    Version,
    /// In any other system: texts are taken as they are.
    Other,
}

impl Component for CsvOptions {
    const NAME: &'static str = "csv";
    const ABOUT: &'static str = "Any tables, CSV or Parquet, long or wide, by the names of their columns.";
}

impl BuildParser for CsvOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.visits.required("visits")?;
        let need = |key: &str, value: &str| match value.is_empty() {
            true => Err(Error::user("expected the name of a column, found nothing").at_key(key)),
            false => Ok(()),
        };
        need("patient", &self.patient)?;
        if self.code.is_empty() {
            return Err(Error::user("expected at least one column of codes, found none").at_key("code"));
        }
        if self.visit.is_empty() && self.time.is_empty() {
            let error = Error::user("visits need identifiers or times to be told apart").at_key("visit");
            return Err(error.help("give the column `visit`, the column `time`, or both"));
        }
        if self.written == Written::Version {
            need("version", &self.version)?;
        } else if self.version != Self::default().version {
            let error =
                Error::user("a column of editions is read with `written` = \"version\" alone").at_key("version");
            return Err(error.help("give written = \"version\", or leave `version` out"));
        }
        self.check_results()?;
        if self.quantiles > 0 {
            need("value", &self.value)?;
        }
        Dates::of_option(&self.date_format)?;
        Ok(Box::new(Csv { options: self, layout: Default::default() }))
    }
}

impl CsvOptions {
    /// Refuses options of laboratory results of which one would not be looked at.
    fn check_results(&self) -> Result<()> {
        Rule::of(self.quantiles, Rule::Said)?;
        let given = |columns: &[(&'static str, &String)]| {
            columns.iter().find(|(_, column)| !column.is_empty()).map(|(key, _)| *key)
        };
        let limits = [("low", &self.low), ("high", &self.high)];
        let default = String::new();
        let item = if self.item == Self::default().item { &default } else { &self.item };
        let results = [("item", item), ("flag", &self.flag), ("value", &self.value), ("category", &self.category)];
        let of_labs = [&results[..], &limits].concat();
        if let Some(key) = given(&of_labs).filter(|_| self.labs.given().is_none()) {
            let error =
                Error::user("this is a column of laboratory results, and no table of them is named").at_key(key);
            return Err(error.help("give their table as `labs`, which may be that of visits, or leave the option out"));
        }
        match given(&limits) {
            Some(key) if self.value.is_empty() => {
                let error = Error::user("limits alone do not say whether a result is abnormal").at_key(key);
                return Err(error.help("give the column of the `value` that they are limits of"));
            }
            Some(key) if self.quantiles > 0 => {
                let error = Error::user("limits are not looked at where values are cut into `quantiles`").at_key(key);
                return Err(error.help("leave the limits or `quantiles` out"));
            }
            None if !self.value.is_empty() && self.quantiles == 0 => {
                let error = Error::user("a value alone does not say whether a result is abnormal").at_key("value");
                return Err(error.help("give `low`, `high` or both, or cut values into `quantiles`"));
            }
            _ => {}
        }
        if !self.flag.is_empty() && !self.value.is_empty() {
            let error = Error::user("results have either a flag or a value that says whether they are abnormal");
            return Err(error.at_key("flag").help("leave one of `flag` and `value` out"));
        }
        Ok(())
    }
}
