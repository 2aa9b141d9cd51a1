//! Options that parsers of tables share, each declared once, and the check of those that name tables.

use super::coding::Coding;
use super::events::read_mapping;
use crate::Result;
use crate::error::Mistakes;
use std::path::Path;

/// The tables that the options `icd_map`, `group` and `drug_map` of a parser name, each where one is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodeTables<'a> {
    /// Equivalences of ICD-10-CM and ICD-9-CM.
    pub icd_map: Option<&'a Path>,
    /// Groups of codes.
    pub group: Option<&'a Path>,
    /// Codes that stand for drugs.
    pub drug_map: Option<&'a Path>,
}

impl CodeTables<'_> {
    /// The tables of the source as they were `opened`, once these can be used too.
    ///
    /// # Errors
    /// All mistakes together, those of the source first; each names its key.
    pub fn checked<T>(self, opened: Result<T>) -> Result<T> {
        let mut mistakes = Mistakes::default();
        let opened = mistakes.note(opened);
        mistakes.note(self.drug_map.map(read_mapping).transpose());
        mistakes.note(Coding::check(self.icd_map, self.group));
        mistakes.finish(opened)
    }
}

/// Declares the options of a parser as [`options!`](crate::options!) does, with those that it `shares` with others: a parser
/// names the ones that it has, and what the default of `code_system` is. A key means the same wherever it is.
///
/// | key | type | what |
/// |---|---|---|
/// | `code_system` | [`CodeSystem`](crate::data::coding::CodeSystem) | edition of the cohort's codes |
/// | `icd_map`, `group` | [`FilePath`](crate::options::FilePath) | tables for [`Coding`](crate::data::coding::Coding) |
/// | `date_format` | text | for [`Dates`](crate::data::Dates) |
/// | `events`, `event_tables` | lists | codes of [further kinds](crate::data::events) |
/// | `drug_map` | [`FilePath`](crate::options::FilePath) | what stands for a drug |
/// | `quantiles` | number | for [`labs::Rule::of`](crate::data::labs::Rule::of) |
/// | `on_bad_row` | [`OnBadRow`](crate::data::tables::OnBadRow) | what becomes of rows that cannot be used |
///
/// ```
/// dualk_sdk::source_options! {
///     /// Options of `mine`.
///     pub struct MineOptions {
///         /// Folder with the tables.
///         pub root: dualk_sdk::options::FilePath = dualk_sdk::options::FilePath::default(),
///     }
///     shares { code_system = dualk_sdk::data::coding::CodeSystem::Icd10, group, on_bad_row, }
/// }
/// assert!(MineOptions::default().group.given().is_none());
/// ```
#[macro_export]
macro_rules! source_options {
    (@add [$($head:tt)*] [$($fields:tt)*]) => {
        $crate::options! { $($head)* { $($fields)* } }
    };
    (@add [$($head:tt)*] [$($fields:tt)*] code_system = $default:expr, $($rest:tt)*) => {
        $crate::source_options! { @add [$($head)*] [$($fields)*
            /// Edition of the cohort's codes: `icd9`, `icd10`, or `ccsr` for categories of ICD-10 codes. Codes of the other
            /// edition become their equivalents; codes of other systems stay as they are.
            pub code_system: $crate::data::coding::CodeSystem = $default,
        ] $($rest)* }
    };
    (@add [$($head:tt)*] [$($fields:tt)*] icd_map, $($rest:tt)*) => {
        $crate::source_options! { @add [$($head)*] [$($fields)*
            /// Table of ICD-10-CM → ICD-9-CM equivalences with the columns ICD10 and ICD9, in place of the mapping of the CMS,
            /// which is part of the program and goes both ways; needed with `compat`.
            pub icd_map: $crate::options::FilePath = $crate::options::FilePath::default(),
        ] $($rest)* }
    };
    (@add [$($head:tt)*] [$($fields:tt)*] group, $($rest:tt)*) => {
        $crate::source_options! { @add [$($head)*] [$($fields)*
            /// Table of codes and their groups, such as CCS, with the columns code and group; the groups become the codes.
            pub group: $crate::options::FilePath = $crate::options::FilePath::default(),
        ] $($rest)* }
    };
    (@add [$($head:tt)*] [$($fields:tt)*] date_format, $($rest:tt)*) => {
        $crate::source_options! { @add [$($head)*] [$($fields)*
            /// How dates are written, by the letters of `strptime`, such as `%d.%m.%Y %H:%M`; when empty as `2016-05-20`, with a
            /// time of day or without. Columns that hold dates alone have what stands before the first blank or `T`. Dates and times
            /// of Parquet need no format.
            pub date_format: String = String::new(),
        ] $($rest)* }
    };
    (@add [$($head:tt)*] [$($fields:tt)*] events, $($rest:tt)*) => {
        $crate::source_options! { @add [$($head)*] [$($fields)*
            /// Further kinds of codes to read: `procedures`, `drugs`, or both.
            pub events: Vec<$crate::data::events::EventKind> = Vec::new(),
        ] $($rest)* }
    };
    (@add [$($head:tt)*] [$($fields:tt)*] event_tables, $($rest:tt)*) => {
        $crate::source_options! { @add [$($head)*] [$($fields)*
            /// Tables of other kinds of codes, as `{ kind = "devices", table = "device_exposure", code = "device_concept_id" }`:
            /// what the cohort calls them, the table beside the others without the end of its name, and its column of the code.
            pub event_tables: Vec<$crate::data::events::EventTable> = Vec::new(),
        ] $($rest)* }
    };
    (@add [$($head:tt)*] [$($fields:tt)*] drug_map, $($rest:tt)*) => {
        $crate::source_options! { @add [$($head)*] [$($fields)*
            /// Table that says what stands for each drug, such as its ATC code or its ingredients, with the columns drug, as the
            /// source writes it in either case of letters, and code; a drug may have several rows.
            pub drug_map: $crate::options::FilePath = $crate::options::FilePath::default(),
        ] $($rest)* }
    };
    (@add [$($head:tt)*] [$($fields:tt)*] quantiles, $($rest:tt)*) => {
        $crate::source_options! { @add [$($head)*] [$($fields)*
            /// Parts of the same size that the values of each laboratory item are cut into, 2 to 100; each part becomes an item,
            /// in place of abnormal results. 0: abnormal results alone.
            #[schemars(range(max = 100))]
            pub quantiles: usize = 0,
        ] $($rest)* }
    };
    (@add [$($head:tt)*] [$($fields:tt)*] on_bad_row, $($rest:tt)*) => {
        $crate::source_options! { @add [$($head)*] [$($fields)*
            /// What becomes of a row of laboratory results or of procedures, drugs and other kinds that cannot be used: `error`, or
            /// `skip`, which counts it.
            pub on_bad_row: $crate::data::tables::OnBadRow = $crate::data::tables::OnBadRow::Error,
        ] $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($own:tt)* } shares { $($shared:tt)* }) => {
        $crate::source_options! { @add [$(#[$meta])* $vis struct $name] [$($own)*] $($shared)* }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn all_tables_that_cannot_be_used_are_named_together() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = folder.path().join("wrong.csv");
        std::fs::write(&wrong, "a,b\n1,2\n").unwrap();
        let tables = CodeTables { icd_map: Some(&wrong), group: Some(&wrong), drug_map: Some(&wrong) };
        let error = tables.checked::<()>(Err(Error::user("there is no table").at_key("root"))).unwrap_err().to_string();
        let places: Vec<Option<usize>> =
            ["root", "drug_map", "icd_map", "group"].iter().map(|key| error.find(&format!("`{key}`: "))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{error}");
        assert_eq!(CodeTables::default().checked(Ok(3)).unwrap(), 3);
    }
}
