//! From the diagnosis codes of a source to those of a cohort: one edition of the ICD, or groups of codes.

use super::codes::{IcdMap, dotted};
use super::hierarchy::Icd;
use super::tables::Table;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The edition in which a cohort has its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "serde", rename_all = "snake_case")]
pub enum CodeSystem {
    /// ICD-9-CM, as published: ICD-10 codes go through a table of equivalences, those without one are left out.
    #[default]
    Icd9,
    /// ICD-10-CM as it is; ICD-9 codes have no single equivalent and are left out.
    Icd10,
}

/// Translates the codes of a source, numbers them in the order of their first appearance, and counts what it leaves out.
#[derive(Debug)]
pub struct Coding {
    system: CodeSystem,
    map: IcdMap,
    groups: Option<HashMap<String, String>>,
    /// Millions of rows hold some ten thousand codes: each is translated once.
    meanings: HashMap<(Icd, String), Meaning>,
    numbers: HashMap<String, u32>,
    names: Vec<String>,
    other_edition: u64,
    ungrouped: u64,
}

/// What is written in a table stands for this.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Nothing,
    OtherEdition,
    Ungrouped,
    Code(u32),
}

impl Coding {
    /// With a table of equivalences (columns `ICD10` and `ICD9`), which is needed where ICD-10 codes become ICD-9, and a
    /// table of groups (columns `code` and `group`), when codes are to be replaced by their group.
    ///
    /// # Errors
    /// Name the file and line.
    pub fn new(system: CodeSystem, icd_map: Option<&Path>, groups: Option<&Path>) -> Result<Self> {
        let map = match (system, icd_map) {
            (CodeSystem::Icd9, Some(path)) => IcdMap::read(path).map_err(|e| e.at_key("icd_map"))?,
            _ => IcdMap::default(),
        };
        Ok(Self {
            system,
            map,
            groups: groups.map(read_groups).transpose().map_err(|e| e.at_key("group"))?,
            meanings: HashMap::new(),
            numbers: HashMap::new(),
            names: Vec::new(),
            other_edition: 0,
            ungrouped: 0,
        })
    }

    /// Whether it can translate without looking further: the files are there and have their columns.
    ///
    /// # Errors
    /// Name the key and the file.
    pub fn check(icd_map: Option<&Path>, groups: Option<&Path>) -> Result<()> {
        if let Some(path) = icd_map {
            Table::at(path, &["ICD10", "ICD9"]).map_err(|e| e.at_key("icd_map"))?;
        }
        if let Some(path) = groups {
            Table::at(path, &["code", "group"]).map_err(|e| e.at_key("group"))?;
        }
        Ok(())
    }

    /// The number of a code, dotted or not; `None` when it is left out.
    pub fn code(&mut self, edition: Icd, text: &str) -> Option<u32> {
        let text = text.trim_end();
        let meaning = match self.meanings.get(&(edition, text.to_owned())) {
            Some(&meaning) => meaning,
            None => {
                let meaning = self.translate(edition, text);
                self.meanings.insert((edition, text.to_owned()), meaning);
                meaning
            }
        };
        match meaning {
            Meaning::Code(number) => return Some(number),
            Meaning::OtherEdition => self.other_edition += 1,
            Meaning::Ungrouped => self.ungrouped += 1,
            Meaning::Nothing => {}
        }
        None
    }

    fn translate(&mut self, edition: Icd, text: &str) -> Meaning {
        let plain = text.replace('.', "");
        let code = match (edition, self.system) {
            _ if plain.is_empty() => return Meaning::Nothing,
            (Icd::Icd9, CodeSystem::Icd9) | (Icd::Icd10, CodeSystem::Icd10) => plain,
            (Icd::Icd10, CodeSystem::Icd9) => match self.map.icd9(&plain) {
                Some(code) => code.to_owned(),
                None => return Meaning::OtherEdition,
            },
            (Icd::Icd9, CodeSystem::Icd10) => return Meaning::OtherEdition,
        };
        let name = match (&self.groups, self.system) {
            (Some(groups), _) => match groups.get(&code) {
                Some(group) => group.clone(),
                None => return Meaning::Ungrouped,
            },
            (None, CodeSystem::Icd9) => dotted(&code),
            (None, CodeSystem::Icd10) => dotted_icd10(&code),
        };
        self.number(name)
    }

    /// The number of a code of no edition, taken as it is written.
    pub fn other(&mut self, name: &str) -> Option<u32> {
        match self.number(name.to_owned()) {
            Meaning::Code(number) => Some(number),
            _ => None,
        }
    }

    fn number(&mut self, name: String) -> Meaning {
        let names = &mut self.names;
        Meaning::Code(*self.numbers.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            names.len() as u32 - 1
        }))
    }

    /// The code of a number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What was left out, as (what, how many).
    pub fn notes(&self) -> [(String, u64); 2] {
        let edition = match self.system {
            CodeSystem::Icd9 => "ICD-10 codes without an ICD-9 equivalent left out",
            CodeSystem::Icd10 => "ICD-9 codes left out, as code_system is icd10",
        };
        [(edition.to_owned(), self.other_edition), ("codes without a group left out".to_owned(), self.ungrouped)]
    }
}

/// An undotted ICD-10 code with its dot, after three characters.
fn dotted_icd10(code: &str) -> String {
    match code.char_indices().nth(3) {
        Some((at, _)) => format!("{}.{}", &code[..at], &code[at..]),
        None => code.to_owned(),
    }
}

/// Undotted code → group. Quotes that spreadsheets put around codes do not count.
fn read_groups(path: &Path) -> Result<HashMap<String, String>> {
    let table = Table::at(path, &["code", "group"])?;
    let rows = table.read()?;
    let clean = |text: Option<&str>| text.unwrap_or("").trim_matches(['\'', '"', ' ']).to_owned();
    let codes: Vec<String> = rows.texts("code")?.map(|text| clean(text).replace('.', "")).collect();
    let mut groups = HashMap::new();
    for (i, (code, group)) in codes.into_iter().zip(rows.texts("group")?.map(clean)).enumerate() {
        if code.is_empty() || group.is_empty() {
            return Err(rows.error(i, "expected a code and its group, found nothing in one of the columns"));
        }
        if let Some(other) = groups.insert(code.clone(), group.clone()).filter(|other| *other != group) {
            let message = format!("the code {code} is in the group `{group}` and, above, in `{other}`");
            return Err(rows.error(i, message).help("a code has one group"));
        }
    }
    match groups.is_empty() {
        true => Err(Error::user("the table of groups is empty").at_file(path)),
        false => Ok(groups),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn codes_of_both_editions_become_one() {
        let folder = tempfile::tempdir().unwrap();
        let map = folder.path().join("map.csv");
        fs::write(&map, "ICD10,ICD9\nI509,4280\nA00,NoDx\n").unwrap();
        let mut coding = Coding::new(CodeSystem::Icd9, Some(&map), None).unwrap();
        let codes =
            [(Icd::Icd9, "4280"), (Icd::Icd10, "I50.9"), (Icd::Icd9, "428.0 "), (Icd::Icd10, "A00"), (Icd::Icd9, "")];
        assert_eq!(codes.map(|(edition, text)| coding.code(edition, text)), [Some(0), Some(0), Some(0), None, None]);
        assert_eq!((coding.names(), coding.notes()[0].1), (&["428.0".to_owned()][..], 1));

        let mut coding = Coding::new(CodeSystem::Icd10, Some(&map), None).unwrap();
        assert_eq!(codes.map(|(edition, text)| coding.code(edition, text)), [None, Some(0), None, Some(1), None]);
        assert_eq!((coding.names(), coding.notes()[0].1), (&["I50.9".to_owned(), "A00".to_owned()][..], 2));
    }

    #[test]
    fn groups_replace_codes() {
        let folder = tempfile::tempdir().unwrap();
        let groups = folder.path().join("ccs.csv");
        let read = |text: &str| {
            fs::write(&groups, text).unwrap();
            Coding::new(CodeSystem::Icd9, None, Some(&groups))
        };
        let mut coding = read("code,group\n'4280',108\n428.1,108\n\"25000\",49\n").unwrap();
        let codes = ["428.0", "4281", "250.00", "486"].map(|text| coding.code(Icd::Icd9, text));
        assert_eq!(codes, [Some(0), Some(0), Some(1), None]);
        assert_eq!((coding.names(), coding.notes()[1].1), (&["108".to_owned(), "49".to_owned()][..], 1));
        for (text, line, what) in [
            ("code,group\n4280,108\n4281,\n", 3, "found nothing"),
            ("code,group\n4280,108\n428.0,109\n", 3, "and, above, in `108`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(&format!("ccs.csv:{line}")) && error.contains(what), "{error}");
        }
        assert!(read("code,group\n").unwrap_err().to_string().contains("is empty"));
        assert!(read("code,ccs\n1,2\n").unwrap_err().to_string().contains("`group` is missing"));
    }
}
