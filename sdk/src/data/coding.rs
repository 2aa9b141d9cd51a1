//! From the diagnosis codes of a source to those of a cohort: one edition of the ICD, or groups of codes.

use super::codes::{IcdMap, dotted};
use super::hierarchy::Icd;
use super::tables::Table;
use super::{Step, icd};
use crate::error::Mistakes;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The edition in which a cohort has its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "serde", rename_all = "snake_case")]
pub enum CodeSystem {
    /// ICD-9-CM, as published: ICD-10 codes become ICD-9.
    #[default]
    Icd9,
    /// ICD-10-CM: ICD-9 codes become ICD-10.
    Icd10,
    /// Categories of the CCSR, some 500 groups of ICD-10-CM codes; ICD-9 codes become ICD-10 first.
    Ccsr,
}

/// Translates the codes of a source, numbers them in the order of their first appearance, and counts what it leaves out.
#[derive(Debug)]
pub struct Coding {
    system: CodeSystem,
    /// Without one, the mapping of the CMS.
    map: Option<IcdMap>,
    groups: Option<HashMap<String, String>>,
    /// Millions of rows hold some ten thousand codes: each is translated once. Those of ICD-9, of ICD-10, and of no edition.
    meanings: [HashMap<String, Meaning>; 3],
    numbers: HashMap<String, u32>,
    names: Vec<String>,
    seen: u64,
    empty: u64,
}

/// Where [`Coding`] has what codes of no edition mean.
const OTHER: usize = 2;

/// What a code of a table stands for.
#[derive(Debug, Clone)]
enum Meaning {
    /// Nothing in the wanted edition; how often it was there.
    OtherEdition(u64),
    /// A code without a group, and how often it was there.
    Ungrouped(u64),
    /// One code, or several that together say the same.
    Codes(Vec<u32>),
    /// A code that is written in the wanted edition and that no table has, and how often it was there.
    Unknown(Vec<u32>, u64),
}

impl Coding {
    /// With a table of equivalences (columns `ICD10` and `ICD9`) in place of the mapping of the CMS, which goes from
    /// either edition to the other; and with a table of groups (columns `code` and `group`), when codes are to be replaced
    /// by their group.
    ///
    /// # Errors
    /// Name the file and line.
    pub fn new(system: CodeSystem, icd_map: Option<&Path>, groups: Option<&Path>) -> Result<Self> {
        let map = icd_map.map(IcdMap::read).transpose().map_err(|e| e.at_key("icd_map"))?;
        Ok(Self {
            system,
            map,
            groups: groups.map(read_groups).transpose().map_err(|e| e.at_key("group"))?,
            meanings: Default::default(),
            numbers: HashMap::new(),
            names: Vec::new(),
            seen: 0,
            empty: 0,
        })
    }

    /// Whether it can translate without looking further: the files are there and have their columns.
    ///
    /// # Errors
    /// Name the key and the file.
    pub(super) fn check(icd_map: Option<&Path>, groups: Option<&Path>) -> Result<()> {
        let mut mistakes = Mistakes::default();
        for (path, columns, key) in [(icd_map, ["ICD10", "ICD9"], "icd_map"), (groups, ["code", "group"], "group")] {
            mistakes.note(path.map(|path| Table::at(path, &columns).map_err(|e| e.at_key(key))).transpose());
        }
        mistakes.done()
    }

    /// Whether the published rules have what they need: with `compat` ICD-10 codes go through a table that is given, and
    /// never through the mapping of the CMS.
    ///
    /// # Errors
    /// Names the key.
    pub fn published(compat: bool, system: CodeSystem, icd_map: Option<&Path>) -> Result<()> {
        if !compat || system != CodeSystem::Icd9 || icd_map.is_some() {
            return Ok(());
        }
        let error =
            Error::user("compat = \"dualk\" needs the table of equivalences of the publication").at_key("icd_map");
        Err(error
            .help("give a table with the columns ICD10 and ICD9")
            .help("without compat no table is needed: the mapping of the CMS is part of the program"))
    }

    /// The numbers of what a code stands for, dotted or not: mostly one, several when only together they say the same in
    /// the other edition, none when it is left out.
    pub fn codes(&mut self, edition: Icd, text: &str) -> &[u32] {
        self.seen += 1;
        let text = text.trim();
        if text.is_empty() || text == "." {
            self.empty += 1;
            return &[];
        }
        let of = usize::from(edition == Icd::Icd10);
        if !self.meanings[of].contains_key(text) {
            let meaning = self.translate(edition, text);
            self.meanings[of].insert(text.to_owned(), meaning);
        }
        match self.meanings[of].get_mut(text) {
            Some(Meaning::Codes(numbers)) => numbers,
            Some(Meaning::Unknown(numbers, times)) => {
                *times += 1;
                numbers
            }
            Some(Meaning::OtherEdition(times) | Meaning::Ungrouped(times)) => {
                *times += 1;
                &[]
            }
            None => &[],
        }
    }

    fn translate(&mut self, edition: Icd, text: &str) -> Meaning {
        let plain = text.replace('.', "").to_ascii_uppercase();
        let wanted = match self.system {
            CodeSystem::Icd9 => Icd::Icd9,
            CodeSystem::Icd10 | CodeSystem::Ccsr => Icd::Icd10,
        };
        let has_edition = matches!(self.system, CodeSystem::Icd9 | CodeSystem::Icd10) && self.groups.is_none();
        let unknown = edition == wanted && has_edition && !icd::is_known(edition, &plain);
        let codes = match edition == wanted {
            true => vec![plain],
            false => self.equivalents(edition, &plain),
        };
        if codes.is_empty() {
            return Meaning::OtherEdition(0);
        }
        let name = |code: &String| match (&self.groups, self.system) {
            (Some(groups), _) => groups.get(code).cloned(),
            (None, CodeSystem::Icd9) => Some(dotted(code)),
            (None, CodeSystem::Icd10) => Some(icd::dotted(Icd::Icd10, code)),
            (None, CodeSystem::Ccsr) => icd::category(code).map(str::to_owned),
        };
        let mut names: Vec<String> = codes.iter().filter_map(name).collect();
        names.dedup();
        if names.is_empty() {
            return Meaning::Ungrouped(0);
        }
        let numbers = names.into_iter().map(|name| self.number(name)).collect();
        if unknown { Meaning::Unknown(numbers, 0) } else { Meaning::Codes(numbers) }
    }

    /// Undotted codes of the other edition that say the same.
    fn equivalents(&self, from: Icd, code: &str) -> Vec<String> {
        match (&self.map, from) {
            (Some(map), Icd::Icd10) => map.icd9(code).map(str::to_owned).into_iter().collect(),
            // A table of equivalences goes one way.
            (Some(_), Icd::Icd9) => Vec::new(),
            (None, from) => icd::first_choice(from, code),
        }
    }

    /// The number of a code of no edition, taken as it is written, or replaced by its group; `None` when it has none or
    /// nothing is written.
    pub fn other(&mut self, text: &str) -> Option<u32> {
        self.seen += 1;
        let text = text.trim();
        if text.is_empty() {
            self.empty += 1;
            return None;
        }
        if !self.meanings[OTHER].contains_key(text) {
            let name = match &self.groups {
                Some(groups) => groups.get(&text.replace('.', "")).cloned(),
                None => Some(text.to_owned()),
            };
            let meaning = match name {
                Some(name) => Meaning::Codes(vec![self.number(name)]),
                None => Meaning::Ungrouped(0),
            };
            self.meanings[OTHER].insert(text.to_owned(), meaning);
        }
        match self.meanings[OTHER].get_mut(text) {
            Some(Meaning::Codes(numbers) | Meaning::Unknown(numbers, _)) => numbers.first().copied(),
            Some(Meaning::OtherEdition(times) | Meaning::Ungrouped(times)) => {
                *times += 1;
                None
            }
            None => None,
        }
    }

    fn number(&mut self, name: String) -> u32 {
        let names = &mut self.names;
        *self.numbers.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            names.len() as u32 - 1
        })
    }

    /// The code of a number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The title of a code of [`Coding::names`]; nothing for groups of a table.
    pub fn title(&self, name: &str) -> Option<String> {
        match (&self.groups, self.system) {
            (Some(_), _) => None,
            (None, CodeSystem::Icd9) => icd::title(Icd::Icd9, name).map(str::to_owned),
            (None, CodeSystem::Icd10) => icd::title(Icd::Icd10, name).map(str::to_owned),
            (None, CodeSystem::Ccsr) => icd::category_title(name),
        }
    }

    /// How many codes were given to it, and what was left out of them. `what` says what they are, such as `diagnoses`.
    pub fn step(&self, what: &str) -> Step {
        let left = |times: fn(&Meaning) -> u64| {
            let each = self.meanings.iter().flatten();
            each.map(move |(text, meaning)| (text.as_str(), times(meaning))).filter(|(_, n)| *n > 0)
        };
        let edition = match self.system {
            CodeSystem::Icd9 => "without an ICD-9 equivalent",
            CodeSystem::Icd10 | CodeSystem::Ccsr => "without an ICD-10 equivalent",
        };
        let step = Step::new(what, self.seen).lost("without a code", self.empty);
        let other = left(|meaning| if let Meaning::OtherEdition(n) = meaning { *n } else { 0 });
        let ungrouped = left(|meaning| if let Meaning::Ungrouped(n) = meaning { *n } else { 0 });
        let unknown = left(|meaning| if let Meaning::Unknown(_, n) = meaning { *n } else { 0 });
        let tables = match self.system {
            CodeSystem::Icd9 => "unknown to the tables of ICD-9-CM",
            CodeSystem::Icd10 | CodeSystem::Ccsr => "unknown to the tables of ICD-10-CM",
        };
        // What stands in a column of codes may be anything: identifiers, where the wrong one was named.
        let is_code = |text: &str| {
            let editions = [Icd::Icd9, Icd::Icd10].into_iter().zip(&self.meanings);
            editions.filter(|(_, meanings)| meanings.contains_key(text)).any(|(of, _)| icd::has_shape(of, text))
        };
        let step = step.lost_values(edition, other, is_code).lost_values("without a group", ungrouped, is_code);
        step.odd_values(tables, unknown, is_code)
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

    /// The numbers of several codes.
    fn all<const N: usize>(coding: &mut Coding, codes: [(Icd, &str); N]) -> [Vec<u32>; N] {
        codes.map(|(edition, text)| coding.codes(edition, text).to_vec())
    }

    #[test]
    fn a_table_of_equivalences_makes_one_edition_of_both() {
        let folder = tempfile::tempdir().unwrap();
        let map = folder.path().join("map.csv");
        fs::write(&map, "ICD10,ICD9\nI509,4280\nA00,NoDx\n").unwrap();
        let codes =
            [(Icd::Icd9, "4280"), (Icd::Icd10, "I50.9"), (Icd::Icd9, "428.0 "), (Icd::Icd10, "A00"), (Icd::Icd9, "")];
        let mut coding = Coding::new(CodeSystem::Icd9, Some(&map), None).unwrap();
        assert_eq!(all(&mut coding, codes), [vec![0], vec![0], vec![0], vec![], vec![]]);
        assert_eq!(coding.names(), ["428.0"]);
        let step = coding.step("diagnoses");
        assert_eq!((step.total, step.left_out[0].count), (5, 1));
        assert_eq!(step.left_out[1].most, [("A00".to_owned(), 1)]);

        let mut coding = Coding::new(CodeSystem::Icd10, Some(&map), None).unwrap();
        assert_eq!(all(&mut coding, codes), [vec![], vec![0], vec![], vec![1], vec![]]);
        assert_eq!(coding.names(), ["I50.9", "A00"]);
        assert_eq!(coding.step("diagnoses").left_out[1].count, 2);
    }

    #[test]
    fn without_a_table_the_mapping_of_the_cms_goes_both_ways() {
        let codes = [(Icd::Icd9, "427.31"), (Icd::Icd10, "i48.91"), (Icd::Icd10, "A02.1"), (Icd::Icd9, "E934.2")];
        let mut coding = Coding::new(CodeSystem::Icd9, None, None).unwrap();
        assert_eq!(all(&mut coding, codes), [vec![0], vec![0], vec![1, 2], vec![3]]);
        assert_eq!(coding.names(), ["427.31", "003.1", "995.91", "E934.2"]);
        assert_eq!(coding.title("427.31").as_deref(), Some("Atrial fibrillation"));

        let mut coding = Coding::new(CodeSystem::Icd10, None, None).unwrap();
        assert_eq!(all(&mut coding, codes), [vec![0], vec![0], vec![1], vec![]]);
        assert_eq!(coding.names(), ["I48.91", "A02.1"]);
        assert_eq!(coding.step("diagnoses").left_out[1].most, [("E934.2".to_owned(), 1)]);

        let mut coding = Coding::new(CodeSystem::Ccsr, None, None).unwrap();
        assert_eq!(all(&mut coding, codes), [vec![0], vec![0], vec![1], vec![]]);
        assert_eq!(coding.names(), ["CIR017", "INF002"]);
    }

    #[test]
    fn codes_that_no_table_has_are_kept_and_counted() {
        let mut coding = Coding::new(CodeSystem::Icd9, None, None).unwrap();
        let codes = [(Icd::Icd9, "428.0"), (Icd::Icd9, "428"), (Icd::Icd9, "999.99"), (Icd::Icd9, "999.99")];
        assert_eq!(all(&mut coding, codes), [vec![0], vec![1], vec![2], vec![2]]);
        let step = coding.step("diagnoses");
        assert_eq!((step.total, step.kept(), step.odd.len()), (4, 4, 1));
        assert_eq!((step.odd[0].count, step.odd[0].most.as_slice()), (2, &[("999.99".to_owned(), 2)][..]));
        // R97 is a heading and Q00.9 does not exist. A code of the other edition is lost where it has no equivalent.
        let mut coding = Coding::new(CodeSystem::Icd10, None, None).unwrap();
        all(&mut coding, [(Icd::Icd10, "R97"), (Icd::Icd10, "Q00.9"), (Icd::Icd9, "E934.2")]);
        assert_eq!(coding.step("diagnoses").odd[0].most, [("Q00.9".to_owned(), 1)]);
    }

    #[test]
    fn codes_of_another_edition_than_is_said_are_worth_a_warning() {
        let mut coding = Coding::new(CodeSystem::Icd9, None, None).unwrap();
        all(&mut coding, ["I50.9", "N179", "J189", "4280"].map(|code| (Icd::Icd9, code)));
        let lines = crate::data::flow::warnings(&[coding.step("diagnoses")]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let says =
            "75.0 % of diagnoses that are kept are odd (3 of 4): unknown to the tables of ICD-9-CM; look whether";
        assert!(lines[0].contains(says) && !lines[0].contains("I50.9"), "{lines:?}");
    }

    #[test]
    fn what_has_no_shape_of_a_code_is_counted_and_not_named() {
        for (system, edition) in [(CodeSystem::Icd10, Icd::Icd10), (CodeSystem::Icd9, Icd::Icd10)] {
            let mut coding = Coding::new(system, None, None).unwrap();
            all(&mut coding, [(edition, "77120000"), (edition, "A-1")]);
            let step = coding.step("diagnoses");
            assert_eq!(step.lost_count() + step.odd.iter().map(|odd| odd.count).sum::<u64>(), 2);
            assert!(step.left_out.iter().all(|l| l.most.is_empty()) && step.odd.iter().all(|odd| odd.most.is_empty()));
        }
        let folder = tempfile::tempdir().unwrap();
        let groups = folder.path().join("groups.csv");
        fs::write(&groups, "code,group\nx,y\n").unwrap();
        let mut coding = Coding::new(CodeSystem::Icd9, None, Some(&groups)).unwrap();
        assert_eq!(coding.other("4280"), None);
        let ungrouped = &coding.step("diagnoses").left_out[2];
        assert_eq!((ungrouped.count, ungrouped.most.len()), (1, 0), "of no edition, of which nothing is known");
    }

    #[test]
    fn published_rules_need_the_published_table() {
        assert!(Coding::published(false, CodeSystem::Icd9, None).is_ok());
        assert!(Coding::published(true, CodeSystem::Icd9, Some(Path::new("map.csv"))).is_ok());
        let error = Coding::published(true, CodeSystem::Icd9, None).unwrap_err().to_string();
        assert!(error.starts_with("`icd_map`"), "{error}");
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
        let codes = ["428.0", "4281", "250.00", "486"].map(|text| (Icd::Icd9, text));
        assert_eq!(all(&mut coding, codes), [vec![0], vec![0], vec![1], vec![]]);
        assert_eq!(coding.names(), ["108", "49"]);
        assert_eq!(coding.step("diagnoses").left_out[2].most, [("486".to_owned(), 1)]);
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

    #[test]
    fn tables_of_codes_with_one_name_twice_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (map, groups) = (folder.path().join("map.csv"), folder.path().join("groups.csv"));
        fs::write(&map, "ICD10,ICD9,ICD9\nI509,4280,4281\n").unwrap();
        fs::write(&groups, "code,group,group\n1,2,3\n").unwrap();
        let error = Coding::check(Some(&map), Some(&groups)).unwrap_err().to_string();
        for says in ["`icd_map`: the column `ICD9` occurs 2", "map.csv:1", "`group`: the column `group` occurs 2"] {
            assert!(error.contains(says), "{says}: {error}");
        }
        assert!(Coding::new(CodeSystem::Icd9, Some(&map), None).is_err());
    }
}
