//! Diagnosis codes: spelling, mapping, lists.

pub use super::spelling::{dotted, prefixes, without_trailing_zeros};

use super::tables::{self, Table};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// ICD-10-CM → ICD-9-CM equivalences.
#[derive(Debug, Clone, Default)]
pub struct IcdMap {
    to_icd9: HashMap<String, String>,
}

impl IcdMap {
    /// Reads a table with the columns `ICD10` and `ICD9`; a later row for the same ICD-10 code wins.
    pub fn read(path: &Path) -> Result<Self> {
        let table = Table::at(path, &["ICD10", "ICD9"])?;
        let rows = table.read()?;
        let texts =
            |column| -> Result<Vec<String>> { Ok(rows.texts(column)?.map(|t| t.unwrap_or("").to_owned()).collect()) };
        Ok(Self { to_icd9: texts("ICD10")?.into_iter().zip(texts("ICD9")?).collect() })
    }

    /// The undotted ICD-9 code of an undotted ICD-10 code, or of the latter with a 1 added; `None` when there is none.
    pub fn icd9(&self, icd10: &str) -> Option<&str> {
        let found = self.to_icd9.get(icd10).or_else(|| self.to_icd9.get(&format!("{icd10}1")))?;
        (!found.is_empty() && found != "NoDx").then_some(found.as_str())
    }
}

impl FromIterator<(String, String)> for IcdMap {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self { to_icd9: pairs.into_iter().collect() }
    }
}

/// A list of codes; membership ignores trailing zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeList {
    codes: HashSet<String>,
}

impl CodeList {
    /// Reads a file of dotted codes, one a line; blank lines are skipped.
    pub fn read(path: &Path) -> Result<Self> {
        let mut codes = HashSet::new();
        for (number, line) in tables::lines(&tables::text(path)?) {
            let code = line.trim();
            if code.contains(|c: char| !c.is_ascii_alphanumeric() && c != '.') {
                let error = Error::user("expected one code on the line").at_line(path, number);
                return Err(error.help("write one dotted ICD-9 code a line, such as 493.90"));
            }
            codes.insert(without_trailing_zeros(code).to_owned());
        }
        match codes.is_empty() {
            true => Err(Error::user("the list of codes is empty").at_file(path)),
            false => Ok(Self { codes }),
        }
    }

    /// Whether the list holds `code`.
    pub fn contains(&self, code: &str) -> bool {
        self.codes.contains(without_trailing_zeros(code))
    }

    /// Number of codes that differ in more than trailing zeros.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapping_tries_the_code_then_the_code_with_a_one() {
        let pairs = [("A00", "001"), ("B001", "0541"), ("C00", "NoDx"), ("A00", "0010"), ("D001", "")];
        let map: IcdMap = pairs.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        assert_eq!(map.icd9("A00"), Some("0010"), "a later duplicate wins");
        assert_eq!(map.icd9("B00"), Some("0541"));
        assert_eq!([map.icd9("C00"), map.icd9("D00"), map.icd9("E00")], [None; 3]);
    }

    #[test]
    fn lists_ignore_trailing_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes.txt");
        std::fs::write(&path, "493.9\n\n250\r\n").unwrap();
        let list = CodeList::read(&path).unwrap();
        assert!(list.contains("493.90") && list.contains("250.00") && !list.contains("493.91"));
        assert_eq!(list.len(), 2);
        std::fs::write(&path, "493.9\n250, 251\n").unwrap();
        assert!(CodeList::read(&path).unwrap_err().to_string().contains("codes.txt:2"));
    }
}
