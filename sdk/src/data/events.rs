//! Codes of further kinds than diagnoses, such as procedures and drugs: their tables, and what stands for a drug.

mod sources;

pub use sources::{Places, Source};

use super::tables::{Fault, Pass, Row, Seen, Table};
use super::{Cohort, Step, atc};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// A kind of codes beside diagnoses that a data set has a place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "serde", rename_all = "snake_case")]
pub enum EventKind {
    /// What was done.
    Procedures,
    /// What was prescribed or given.
    Drugs,
}

impl EventKind {
    /// What the cohort calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Procedures => "procedures",
            Self::Drugs => DRUGS,
        }
    }
}

/// The kind whose names may be mapped.
pub const DRUGS: &str = "drugs";

/// A table with codes of a kind that has no place of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
pub struct EventTable {
    /// What the codes are, such as `devices`: the name that tasks and `nodes` use.
    pub kind: String,
    /// The table beside the others, without the end of its name, such as `device_exposure`.
    pub table: String,
    /// Its column of the code.
    pub code: String,
}

/// Refuses kinds that occur twice, and names that are empty or taken.
///
/// # Errors
/// Name the key.
pub fn check_kinds(known: &[EventKind], tables: &[EventTable]) -> Result<()> {
    let mut kinds = vec!["diagnoses"];
    for kind in known {
        if kinds.contains(&kind.name()) {
            return Err(Error::user(format!("{} are asked for twice", kind.name())).at_key("events"));
        }
        kinds.push(kind.name());
    }
    for (i, EventTable { kind, table, code }) in tables.iter().enumerate() {
        let key = |field: &str| format!("event_tables[{i}].{field}");
        for (field, text) in [("kind", kind), ("table", table), ("code", code)] {
            if text.trim().is_empty() {
                return Err(Error::user("expected a name, found nothing").at_key(key(field)));
            }
        }
        if kinds.contains(&kind.as_str()) {
            return Err(Error::user(format!("there are `{kind}` already")).at_key(key("kind")));
        }
        kinds.push(kind);
    }
    Ok(())
}

/// What stands for each drug: ATC codes, ingredients, or whatever a table says.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    codes: HashMap<String, Vec<String>>,
    titles: HashMap<String, String>,
}

impl Mapping {
    /// What stands for a drug; nothing when the table lacks it.
    pub fn codes(&self, drug: &str) -> &[String] {
        self.codes.get(&drug.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The title of a code, where the table has one.
    pub fn title(&self, code: &str) -> Option<&str> {
        self.titles.get(code).map(String::as_str)
    }
}

/// Reads a table with the columns `drug` and `code`, and perhaps `title`, that of the code. A drug with several rows has several
/// codes; the case of letters does not count.
///
/// # Errors
/// Name the key, the file and the line.
pub fn read_mapping(path: &Path) -> Result<Mapping> {
    let at_key = |e: Error| e.at_key("drug_map");
    let mut table = Table::at(path, &["drug", "code"]).map_err(at_key)?;
    let title = table.also("title").map_err(at_key)?;
    let rows = table.read().map_err(at_key)?;
    let titles = rows.texts_if(title.as_deref()).map_err(at_key)?;
    let mut mapping = Mapping::default();
    for (i, (drug, code)) in rows.texts("drug")?.zip(rows.texts("code")?).enumerate() {
        let (Some(drug), Some(code)) = (drug.map(str::trim), code.map(str::trim)) else {
            let message = "expected a drug and its code, found nothing in one of the columns";
            return Err(at_key(rows.error(i, message)));
        };
        if let Some(title) = titles[i].map(str::trim).filter(|title| !title.is_empty()) {
            mapping.titles.entry(code.to_owned()).or_insert_with(|| title.to_owned());
        }
        let codes = mapping.codes.entry(drug.to_lowercase()).or_default();
        if !codes.iter().any(|other| other == code) {
            codes.push(code.to_owned());
        }
    }
    match mapping.codes.is_empty() {
        true => Err(at_key(Error::user("the table of drugs is empty").at_file(path))),
        false => Ok(mapping),
    }
}

/// Codes of one kind: names are numbered in the order of their first appearance.
pub struct EventSets {
    kind: String,
    mapping: Option<Mapping>,
    /// What each name that was met stands for, and how often it was met.
    meanings: HashMap<String, (Vec<u32>, u64)>,
    numbers: HashMap<String, u32>,
    names: Vec<String>,
    seen: u64,
    empty: u64,
    rows: HashMap<i64, Vec<u32>>,
}

impl EventSets {
    /// Nothing yet. A mapping, when there is one, replaces the names of drugs, and of no other kind.
    ///
    /// # Errors
    /// Those of [`read_mapping`].
    pub fn new(kind: &str, drug_map: Option<&Path>) -> Result<Self> {
        Ok(Self {
            mapping: drug_map.filter(|_| kind == DRUGS).map(read_mapping).transpose()?,
            kind: kind.to_owned(),
            meanings: HashMap::new(),
            numbers: HashMap::new(),
            names: Vec::new(),
            seen: 0,
            empty: 0,
            rows: HashMap::new(),
        })
    }

    /// Adds what a name stands for to an admission, by its identifier.
    pub fn add(&mut self, admission: i64, name: &str) {
        self.seen += 1;
        let name = name.trim();
        if name.is_empty() {
            self.empty += 1;
            return;
        }
        if !self.meanings.contains_key(name) {
            let stands_for = match &self.mapping {
                Some(mapping) => mapping.codes(name).to_vec(),
                None => vec![name.to_owned()],
            };
            let numbers = stands_for.into_iter().map(|code| {
                *self.numbers.entry(code).or_insert_with_key(|code| {
                    self.names.push(code.clone());
                    self.names.len() as u32 - 1
                })
            });
            let numbers = numbers.collect();
            self.meanings.insert(name.to_owned(), (numbers, 0));
        }
        if let Some((numbers, times)) = self.meanings.get_mut(name) {
            *times += 1;
            let row = self.rows.entry(admission).or_default();
            numbers.iter().for_each(|number| {
                if !row.contains(number) {
                    row.push(*number);
                }
            });
        }
    }

    /// Puts them into a cohort, and what was lost into its flow. Drugs have the titles of the mapping; where all of them are ATC
    /// codes, those without one have the name of their main group.
    pub fn add_to(self, cohort: &mut Cohort) {
        cohort.add_events(&self.kind, &self.rows, &self.names);
        if let Some(mapping) = &self.mapping {
            cohort.set_event_titles(&self.kind, |code| mapping.title(code).map(str::to_owned));
        }
        if self.kind == DRUGS && self.names.iter().all(|name| atc::group(name).is_some()) {
            cohort.set_event_titles(&self.kind, |code| {
                atc::group(code).map(|group| format!("ATC {}: {group}", &code[..1]))
            });
        }
        let step = Step::new(&*self.kind, self.seen).lost("without a name", self.empty);
        let unmapped = self.meanings.iter().filter(|(_, (numbers, _))| numbers.is_empty());
        let unmapped = unmapped.map(|(name, (_, times))| (name.as_str(), *times));
        cohort.flow.push(match self.mapping {
            // Names of drugs have no shape: where the wrong column was named, they are identifiers.
            Some(_) => step.lost_values("that drug_map lacks", unmapped, |_| false),
            None => step,
        });
    }
}

/// Reads a table of codes of further kinds into a cohort: `name` gives the place of the admission and the code of a row.
///
/// # Errors
/// Those of the pass and of the mapping.
pub fn read(
    pass: &Pass<'_>,
    kind: &str,
    drug_map: Option<&Path>,
    cohort: &mut Cohort,
    name: impl Fn(&Row<'_>) -> Result<Seen<String>, Fault> + Sync,
) -> Result<()> {
    let mut sets = EventSets::new(kind, drug_map)?;
    let admissions = cohort.admissions.values();
    let step = pass.each(name, |at, name| sets.add(admissions[at], &name))?;
    cohort.flow.push(step);
    sets.add_to(cohort);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohort_of_two() -> Cohort {
        let codes = HashMap::from([(10, vec![0]), (11, vec![0])]);
        Cohort::of_admissions(vec![(1, vec![10, 11])], &codes, &["428.0".to_owned()]).0
    }

    #[test]
    fn names_are_numbered_and_counted() {
        let (mut cohort, mut sets) = (cohort_of_two(), EventSets::new("devices", None).unwrap());
        for (admission, name) in [(11, "b"), (10, " a "), (11, "b"), (11, ""), (99, "c")] {
            sets.add(admission, name);
        }
        sets.add_to(&mut cohort);
        let devices = cohort.events("devices").unwrap();
        assert_eq!(devices.names, ["a", "b"]);
        assert_eq!(devices.rows.rows().collect::<Vec<_>>(), [[0], [1]]);
        let step = cohort.flow.last().unwrap();
        assert_eq!((step.total, step.lost_count()), (5, 1));
    }

    #[test]
    fn a_table_says_what_stands_for_a_drug() {
        let folder = tempfile::tempdir().unwrap();
        let map = folder.path().join("atc.csv");
        std::fs::write(&map, "drug,code\nAspirin,B01AC06\nco-trimoxazole,J01EA01\nCo-Trimoxazole,J01EC01\n").unwrap();
        let mut cohort = cohort_of_two();
        let mut sets = EventSets::new(DRUGS, Some(&map)).unwrap();
        for (admission, name) in [(10, "ASPIRIN"), (11, "co-trimoxazole"), (11, "rare"), (10, "rare"), (10, "x")] {
            sets.add(admission, name);
        }
        sets.add_to(&mut cohort);
        let drugs = cohort.events(DRUGS).unwrap();
        assert_eq!(drugs.names, ["B01AC06", "J01EA01", "J01EC01"]);
        assert_eq!(drugs.rows.rows().collect::<Vec<_>>(), [&[0][..], &[1, 2]]);
        let (blood, infections) = ("ATC B: blood and blood forming organs", "ATC J: antiinfectives for systemic use");
        assert_eq!(drugs.titles, [blood, infections, infections]);
        let lost = &cohort.flow.last().unwrap().left_out[1];
        assert!(lost.most.is_empty());
        assert_eq!((lost.count, lost.unnamed.as_slice()), (3, &[("rare".to_owned(), 2), ("x".into(), 1)][..]));
        // Titles of the table come first; they are named with their kind, beside those of diagnoses.
        let text = "drug,code,title\nAspirin,B01AC06,acetylsalicylic acid\nother,B01AC07,\n";
        std::fs::write(&map, text).unwrap();
        let mut cohort = Cohort { code_titles: vec!["Heart failure".into()], ..cohort_of_two() };
        let mut sets = EventSets::new(DRUGS, Some(&map)).unwrap();
        ["aspirin", "other"].iter().for_each(|name| sets.add(10, name));
        sets.add_to(&mut cohort);
        let titles = cohort.titles().into_iter().map(|(code, title)| format!("{code} {title}")).collect::<Vec<_>>();
        assert_eq!(
            titles,
            ["428.0 Heart failure", "drugs:B01AC06 acetylsalicylic acid", &format!("drugs:B01AC07 {blood}")]
        );
        // Only drugs are mapped.
        assert!(EventSets::new("procedures", Some(&map)).unwrap().mapping.is_none());
        for (text, says) in [
            ("drug,code\nAspirin,\n", "atc.csv:2"),
            ("drug,code\n", "is empty"),
            ("name,code\nx,y\n", "`drug` is missing"),
            ("drug,code,code\nx,y,z\n", "the column `code` occurs 2 times"),
        ] {
            std::fs::write(&map, text).unwrap();
            let error = read_mapping(&map).unwrap_err().to_string();
            assert!(error.starts_with("`drug_map`") && error.contains(says), "{error}");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        let table = |kind: &str| EventTable { kind: kind.into(), table: "t".into(), code: "c".into() };
        assert!(check_kinds(&[EventKind::Drugs], &[table("devices")]).is_ok());
        for (known, tables, key) in [
            (vec![EventKind::Drugs, EventKind::Drugs], vec![], "`events`"),
            (vec![EventKind::Drugs], vec![table("drugs")], "`event_tables[0].kind`"),
            (vec![], vec![table("a"), table("a")], "`event_tables[1].kind`"),
            (vec![], vec![table("diagnoses")], "`event_tables[0].kind`"),
            (vec![], vec![EventTable { code: " ".into(), ..table("a") }], "`event_tables[0].code`"),
        ] {
            let error = check_kinds(&known, &tables).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
