//! Where triples come from.

use super::extracted;
use super::names::{Names, Triple, filter};
use super::written::Form;
use crate::data::codes::dotted;
use crate::data::hierarchy::{Icd, ancestors};
use crate::data::tables::{Table, text};
use crate::error::value;
use crate::options::FilePath;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// A source of triples.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum GraphSource {
    /// A hierarchy of codes: a table with the columns `code` and `parent_code`.
    Hierarchy {
        /// The table.
        path: FilePath,
        /// Name of the relation from a code to its parent.
        #[serde(default = "is_a")]
        relation: String,
    },
    /// Triples that were extracted from text: headings `Disease # Topic` or `code#Disease # Topic`, and below each
    /// indented tuples `('head', 'RELATION', 'tail')`.
    Text {
        /// The file of triples.
        path: FilePath,
        /// Table that aligns names with ICD-9 codes: a name, then the columns `cosine_sim` and `icd-9`.
        #[serde(default, skip_serializing_if = "not_given")]
        names: FilePath,
        /// Least similarity of a name to that of a code; names below stay names.
        #[serde(default = "similarity")]
        #[schemars(range(min = -1.0, max = 1.0))]
        similarity: f64,
        /// Leave out relations with fewer triples than this.
        #[serde(default)]
        least: usize,
    },
    /// A table of triples: with a heading of the columns `head`, `relation` and `tail`, or whose lines are head, relation and
    /// tail with tabs between.
    Table {
        /// The table.
        path: FilePath,
        /// What replaces the beginning of names: `{ "icd9cm_" = "" }`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        prefixes: BTreeMap<String, String>,
        /// Name for all relations that the table has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        relation: Option<String>,
        /// Names of the columns of head, relation and tail, or of head and tail where `relation` is given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        columns: Vec<String>,
        /// Whether the first line names the columns; by default it does in a `.csv`, and wherever it names head and tail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heading: Option<bool>,
    },
    /// What occurs together in the training cohort of an experiment, as relations of strength.
    Cooccurrence {
        /// A folder that `dualk prepare` wrote.
        path: FilePath,
        /// Least weights of the relations `with_1`, `with_2` …, from strong to weak.
        #[serde(default = "levels")]
        #[schemars(length(min = 1))]
        #[schemars(extend("items" = { "type": "number", "format": "double", "exclusiveMinimum": 0.0 }))]
        levels: Vec<f64>,
    },
    /// The categories and chapters above the diagnoses of the cohort, by their texts. For experiments alone.
    Icd {
        /// Which edition the codes are of.
        edition: Icd,
        /// Name of the relation from a code to what stands above it.
        #[serde(default = "is_a")]
        relation: String,
    },
    /// What the parser knows of the codes and items of its cohort: those that make patients up do. For experiments
    /// alone.
    Parser {
        /// Part of the facts that are right; each of the others has any code of the cohort as its tail.
        #[serde(default = "all")]
        #[schemars(range(min = 0.0, max = 1.0))]
        strength: f64,
    },
}

/// A fact in words: head, relation, tail.
pub type Fact = (String, String, String);

/// What sources that read no file go by.
pub struct OfCohort<'a> {
    /// The codes, dotted.
    pub codes: &'a [String],
    /// Gives the parser's facts, so many of them right.
    pub facts: &'a dyn Fn(f64) -> Result<Vec<Fact>>,
}

fn all() -> f64 {
    1.0
}

fn is_a() -> String {
    "is_a".to_owned()
}

fn similarity() -> f64 {
    0.95
}

fn levels() -> Vec<f64> {
    vec![0.2, 0.1, 0.05]
}

fn not_given(path: &FilePath) -> bool {
    path.given().is_none()
}

impl GraphSource {
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Icd { .. } | Self::Parser { .. } => Ok(()),
            Self::Hierarchy { path, .. } | Self::Text { path, .. } => path.required("path").map(drop),
            Self::Table { path, relation, columns, heading, .. } => {
                path.required("path")?;
                Form { columns, heading: *heading, relation: relation.as_deref() }.check()
            }
            Self::Cooccurrence { path, levels } => {
                path.required("path")?;
                match levels.windows(2).all(|two| two[0] > two[1]) {
                    true => Ok(()),
                    false => Err(Error::user(format!("expected falling numbers, found {levels:?}")).at_key("levels")),
                }
            }
        }
    }

    /// Refuses a source that is derived from a cohort, where there is none.
    pub(crate) fn check_without_cohort(&self) -> Result<()> {
        match self {
            Self::Icd { .. } | Self::Parser { .. } => {
                Err(Error::user("this source is derived from a cohort, and there is none here")
                    .at_key("type")
                    .help(
                        "it is for `data.knowledge` of an experiment, and for a manifest that its model names as `kge`",
                    )
                    .help("`dualk synth --of` writes what a parser knows"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses facts of a parser that has none.
    pub(crate) fn check_facts(facts: &[Fact]) -> Result<()> {
        match facts.is_empty() {
            true => Err(Error::user("this parser knows nothing of its codes").help(
                "name files: { type = \"table\", path = \"…\" }; or { type = \"icd\", edition = \"icd9\" }; or none: []",
            )),
            false => Ok(()),
        }
    }

    /// The paths of the source, by key.
    pub(crate) fn paths(&mut self) -> Vec<(&'static str, &mut FilePath)> {
        match self {
            Self::Icd { .. } | Self::Parser { .. } => Vec::new(),
            Self::Hierarchy { path, .. } | Self::Table { path, .. } | Self::Cooccurrence { path, .. } => {
                vec![("path", path)]
            }
            Self::Text { path, names, .. } => vec![("path", path), ("names", names)],
        }
    }

    fn read(&self, graph: &mut Triples, cohort: Option<&OfCohort<'_>>) -> Result<()> {
        let cohort = || match cohort {
            Some(cohort) => Ok(cohort),
            None => self.check_without_cohort().and_then(|()| Err(Error::program("a source without its cohort"))),
        };
        match self {
            Self::Icd { edition, relation } => {
                for code in cohort()?.codes.iter().filter(|code| !code.is_empty() && !code.contains(':')) {
                    let above = ancestors(code, *edition);
                    let chain = std::iter::once(code).chain(&above);
                    chain.zip(&above).for_each(|(code, parent)| graph.add(code, relation, parent));
                }
                Ok(())
            }
            Self::Parser { strength } => {
                let facts = (cohort()?.facts)(*strength)?;
                facts.iter().for_each(|(head, relation, tail)| graph.add(head, relation, tail));
                Self::check_facts(&facts)
            }
            Self::Hierarchy { path, relation } => hierarchy(path.required("path")?, relation, graph),
            Self::Text { path, names, similarity, least } => {
                let align = names.given().map(|names| alignment(names, *similarity, &graph.entities)).transpose()?;
                let found = extracted::read(path.required("path")?, &align.unwrap_or_default())?;
                let mut counts: HashMap<&str, usize> = HashMap::new();
                found.iter().for_each(|t| *counts.entry(&t[1]).or_default() += 1);
                found.iter().filter(|t| counts[t[1].as_str()] >= *least).for_each(|[h, r, t]| graph.add(h, r, t));
                Ok(())
            }
            Self::Table { path, prefixes, relation, columns, heading } => {
                let form = Form { columns, heading: *heading, relation: relation.as_deref() };
                table(path.required("path")?, prefixes, form, graph)
            }
            Self::Cooccurrence { path, levels } => cooccurrence(path.required("path")?, levels, graph),
        }
    }
}

/// Triples that sources were joined to.
#[derive(Debug, Default)]
pub struct Triples {
    /// Entities by index.
    pub entities: Names,
    /// Relations by index.
    pub relations: Names,
    /// Distinct triples, in the order of the sources.
    pub triples: Vec<Triple>,
    known: HashSet<Triple>,
    repeated: usize,
}

impl Triples {
    fn add(&mut self, head: &str, relation: &str, tail: &str) {
        let (head, relation) = (self.entities.add(head), self.relations.add(relation));
        let triple = Triple { head, relation, tail: self.entities.add(tail) };
        match self.known.insert(triple) {
            true => self.triples.push(triple),
            false => self.repeated += 1,
        }
    }

    /// Joins sources, which stand at `key` of a manifest, and leaves out entities in fewer than `least` triples; with a
    /// line on each source.
    ///
    /// # Errors
    /// Those of the sources, and where they leave nothing.
    pub fn join(
        sources: &[GraphSource],
        key: &str,
        least: usize,
        cohort: Option<&OfCohort<'_>>,
    ) -> Result<(Self, Vec<String>)> {
        let (mut joined, mut notes) = (Self::default(), Vec::new());
        for (i, source) in sources.iter().enumerate() {
            let before = (joined.triples.len(), joined.repeated);
            source.read(&mut joined, cohort).map_err(|e| e.within_key(&format!("{key}[{i}]")))?;
            let (new, repeated) = (joined.triples.len() - before.0, joined.repeated - before.1);
            notes.push(format!("source {i}: {new} triples, and {repeated} that were there already"));
        }
        if least > 1 {
            (joined.entities, joined.relations, joined.triples) =
                filter(&joined.entities, &joined.relations, joined.triples, least);
        }
        match joined.triples.is_empty() {
            true => Err(Error::user("the sources have no triples, or `least` leaves none").at_key(key)),
            false => Ok((joined, notes)),
        }
    }
}

/// The table of a hierarchy.
pub(super) fn hierarchy_table(path: &Path) -> Result<Table> {
    Table::at(path, &["code", "parent_code"])
}

fn hierarchy(path: &Path, relation: &str, graph: &mut Triples) -> Result<()> {
    let table = hierarchy_table(path)?;
    let rows = table.read()?;
    for (code, parent) in rows.texts("code")?.zip(rows.texts("parent_code")?) {
        if let (Some(code), Some(parent)) = (code, parent)
            && !code.is_empty()
            && !parent.is_empty()
        {
            graph.add(code, relation, parent);
        }
    }
    Ok(())
}

/// The table that aligns names, which are in its first column, with codes.
pub(super) fn names_table(path: &Path) -> Result<Table> {
    let table = Table::at(path, &["cosine_sim", "icd-9"])?;
    let first = table.header().first().cloned().unwrap_or_default();
    Table::at(path, &[&first, "cosine_sim", "icd-9"])
}

/// Codes by name in the form that names are compared in.
fn alignment(path: &Path, least: f64, entities: &Names) -> Result<HashMap<String, String>> {
    let table = names_table(path)?;
    let first = table.header().first().cloned().unwrap_or_default();
    let rows = table.read()?;
    let mut codes = HashMap::new();
    let columns = rows.texts(&first)?.zip(rows.texts("cosine_sim")?).zip(rows.texts("icd-9")?);
    for (i, ((name, similarity), code)) in columns.enumerate() {
        let (Some(name), Some(similarity), Some(code)) = (name, similarity, code) else { continue };
        let number: f64 = similarity.trim().parse().map_err(|_| {
            rows.error(i, format!("the column `cosine_sim` must hold a number, found {}", value(similarity)))
        })?;
        if number >= least {
            // Hierarchies write a range with the end of its last category.
            let ranged = format!("{code}.99");
            let code = match code.contains('-') {
                true if entities.get(&ranged).is_some() => ranged,
                true => code.to_owned(),
                false => dotted(code),
            };
            codes.insert(extracted::plain(name), code);
        }
    }
    Ok(codes)
}

/// Reads a table of triples, with other beginnings of names.
fn table(path: &Path, prefixes: &BTreeMap<String, String>, form: Form<'_>, graph: &mut Triples) -> Result<()> {
    let mut rules: Vec<(&String, &String)> = prefixes.iter().collect();
    rules.sort_by_key(|(from, _)| (std::cmp::Reverse(from.len()), *from));
    let rename = |name: &str| {
        let rule = rules.iter().find_map(|(from, to)| Some((to, name.strip_prefix(from.as_str())?)));
        rule.map_or_else(|| name.to_owned(), |(to, rest)| format!("{to}{rest}"))
    };
    form.read(path, |head, relation, tail| graph.add(&rename(head), relation, &rename(tail)))
}

/// The edges in a prepared folder.
pub(super) fn edges_table(folder: &Path) -> Result<Table> {
    Table::open(folder, "graph", &["source", "target", "weight"])
}

/// The codes of a prepared folder, by their numbers.
pub(super) fn codes_by_number(folder: &Path) -> Result<HashMap<String, String>> {
    let file = folder.join("vocabulary.json");
    let vocabulary: serde_json::Value = serde_json::from_str(&text(&file)?)
        .map_err(|e| Error::user(format!("this is no vocabulary: {e}")).at_file(&file))?;
    match vocabulary["code_map_pretrain"].as_object() {
        Some(codes) => Ok(codes.iter().map(|(code, id)| (id.to_string(), code.clone())).collect()),
        None => Err(Error::user("this is no vocabulary: it has no `code_map_pretrain`").at_file(&file)),
    }
}

/// Reads `graph.parquet` and `vocabulary.json` of a prepared folder.
fn cooccurrence(path: &Path, levels: &[f64], graph: &mut Triples) -> Result<()> {
    let table = edges_table(path)?;
    let (file, code_of) = (table.path().to_owned(), codes_by_number(path)?);
    let rows = table.read()?;
    for (i, ((source, target), weight)) in
        rows.texts("source")?.zip(rows.texts("target")?).zip(rows.texts("weight")?).enumerate()
    {
        let refuse = |what: &str, found: &str| {
            Error::user(format!("row {i}: expected {what}, found {}", value(found))).at_file(&file)
        };
        let (Some(source), Some(target), Some(weight)) = (source, target, weight) else { continue };
        let weight: f64 = weight.trim().parse().map_err(|_| refuse("a weight", weight))?;
        let code =
            |id: &str| code_of.get(id).map(String::as_str).ok_or_else(|| refuse("a code of vocabulary.json", id));
        if source != target
            && let Some(level) = levels.iter().position(|least| weight >= *least)
        {
            graph.add(code(source)?, &format!("with_{}", level + 1), code(target)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check_files;
    use super::*;
    use std::fs;
    use std::io::Write;

    fn source(text: &str) -> GraphSource {
        toml::from_str(text).unwrap()
    }

    fn names(graph: &Triples) -> Vec<String> {
        let (e, r) = (graph.entities.list(), graph.relations.list());
        let name = |t: &Triple| format!("{} {} {}", e[t.head as usize], r[t.relation as usize], e[t.tail as usize]);
        let mut all: Vec<String> = graph.triples.iter().map(name).collect();
        all.sort();
        all
    }

    #[test]
    fn sources_are_joined_and_aligned() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let hierarchy = file("icd.csv", "code,parent_code,name\n301.13,301.1,x\n301.1,300-316.99,y\n");
        let align = file(
            "names.csv",
            "its_name,icd_name,cosine_sim,icd-9\ncyclothymia,x,0.96,30113\nmood,y,0.97,300-316\nmania,z,0.5,29600\n",
        );
        let text = file(
            "text.txt",
            "Cyclothymia # T\n\t('Cyclothymia', 'CAUSED BY', 'Mood')\n\t('Mania', 'RARE', 'x')\n\t('Mania', 'CAUSED BY', 'Mood')\n",
        );
        let table = file("t.tsv", "icd9cm_301.13\tis_a\ticd9cm_301.1\nDB1\ttreats\ticd9cm_301.1\n");
        let sources = [
            source(&format!("type = 'hierarchy'\npath = {hierarchy:?}")),
            source(&format!("type = 'text'\npath = {text:?}\nnames = {align:?}\nleast = 2")),
            source(&format!("type = 'table'\npath = {table:?}\nprefixes = {{ 'icd9cm_' = '' }}")),
        ];
        let (graph, notes) = Triples::join(&sources, "data.source", 0, None).unwrap();
        let expected = [
            "301.1 is_a 300-316.99",
            "301.13 caused_by 300-316.99",
            "301.13 is_a 301.1",
            "DB1 treats 301.1",
            "mania caused_by 300-316.99",
        ];
        assert_eq!(names(&graph), expected);
        assert!(notes[2].contains("1 triples, and 1 that were"), "{notes:?}");
        let bad = file("bad.tsv", "a\tb\n");
        let bad = [source(&format!("type = 'table'\npath = {bad:?}"))];
        let error = Triples::join(&bad, "data.source", 0, None).unwrap_err().to_string();
        assert!(
            error.starts_with("`data.source[0]`") && error.contains("bad.tsv:1") && error.contains("2 fields"),
            "{error}"
        );
    }

    #[test]
    fn tables_of_triples_may_be_compressed_and_faults_name_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let (packed, bad) = (folder.path().join("t.tsv.gz"), folder.path().join("bad.csv"));
        let mut gzip = flate2::write::GzEncoder::new(fs::File::create(&packed).unwrap(), flate2::Compression::fast());
        gzip.write_all(b"a\tis_a\tb\n").unwrap();
        gzip.finish().unwrap();
        fs::write(&bad, "head,relation,tail\n\na,\"r\ns\",b\na,,b\n").unwrap();
        let of = |path: &Path| [source(&format!("type = 'table'\npath = {:?}", path.display().to_string()))];
        check_files(&of(&packed), "data.source").unwrap();
        assert_eq!(names(&Triples::join(&of(&packed), "data.source", 0, None).unwrap().0), ["a is_a b"]);
        let error = Triples::join(&of(&bad), "data.source", 0, None).unwrap_err().to_string();
        assert!(error.contains("lacks its head, relation or tail") && error.contains("bad.csv:5"), "{error}");
    }

    #[test]
    fn tables_have_headings_or_none_and_columns_of_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let joined = |name: &str, text: &str, keys: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            let sources = [source(&format!("type = 'table'\npath = {:?}\n{keys}", path.display().to_string()))];
            check_files(&sources, "data.source")?;
            Triples::join(&sources, "data.source", 0, None).map(|(graph, _)| names(&graph))
        };
        let cases = [
            // A heading is known by its names, whatever the file is called, and is no triple.
            ("a.tsv", "head\trelation\ttail\na\tr\tb\n", ""),
            ("a.txt", "Subject\tPredicate\tObject\r\na\tr\tb\r\n", ""),
            ("a.csv", "id,Head,Relation,Tail\n1,a,r,b\n", ""),
            ("a.csv", "source,target\na,b\n", "relation = 'r'"),
            ("a.tsv", "from\tx\tto\na\tr\tb\n", "columns = ['from', 'x', 'to']"),
            ("a.csv", "from,w,to\na,1,b\n", "columns = ['from', 'to']\nrelation = 'r'"),
            ("a.csv", "from,w,to\na,1,b\n", "columns = ['from', 'w', 'to']\nrelation = 'r'"),
            ("a.csv", "a,r,b\n", "heading = false"),
            ("a.csv", "a,b\n", "heading = false\nrelation = 'r'"),
            ("a.tsv", "a\tr\tb\n", "heading = false"),
            ("a.tsv", "a\tb\n", "relation = 'r'"),
        ];
        for (name, text, keys) in cases {
            assert_eq!(joined(name, text, keys).unwrap(), ["a r b"], "{name}, {text:?}, {keys}");
        }
        // What looks like a heading is a triple where that is said.
        assert_eq!(joined("a.tsv", "head\tr\ttail\n", "heading = false").unwrap(), ["head r tail"]);
        // So is one whose middle is another name; a mark of UTF-8 is no part of it.
        let marked = joined("a.tsv", "\u{feff}head\tpart_of\ttail\n", "relation = 'r'");
        assert_eq!(marked.unwrap(), ["head r tail"]);
        let refused: [(&str, &str, &str, &[&str]); 8] = [
            ("a.parquet", "", "heading = false", &["`data.source[0].heading`", "a Parquet file names its columns"]),
            ("a.csv", "a,r,b\n", "", &["the column `head` is missing", "columns = [", "or heading = false"]),
            (
                "a.tsv",
                "a\tr\tb\n",
                "heading = true",
                &["the column `head` is missing", "a.tsv:1", "or heading = false"],
            ),
            ("a.csv", "a,r,b,c\n", "heading = false", &["found 4 fields", "a.csv:1", "`columns`"]),
            ("a.tsv", "a\tr\tb\t1\n", "", &["found 4 fields", "a.tsv:1", "columns = ["]),
            ("a.csv", "a,b\n", "columns = ['a']", &["`data.source[0].columns`", "three columns, found 1"]),
            ("a.csv", "a,b\n", "columns = ['a', 'b']", &["`data.source[0].columns`", "found 2", "`relation`"]),
            (
                "a.csv",
                "a,b,c\n",
                "columns = ['a', 'b', 'c']\nheading = false",
                &["`data.source[0].heading`", "no heading"],
            ),
        ];
        for (name, text, keys, says) in refused {
            let error = joined(name, text, keys).unwrap_err().to_string();
            says.iter().for_each(|part| assert!(error.contains(part), "{text:?}, {keys}: lacks {part}: {error}"));
        }
    }

    #[test]
    fn weights_become_relations_of_strength_from_their_level_on() {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary = r#"{"code_map_pretrain": {"401.9": 1, "428.0": 2, "250.00": 3}}"#;
        fs::write(folder.path().join("vocabulary.json"), vocabulary).unwrap();
        let weights = "source,target,weight\n1,2,0.5\n2,1,0.4999\n1,3,0.1\n3,1,0.0999\n2,2,0.9\n2,3,0.05\n3,2,0.2\n";
        fs::write(folder.path().join("graph.csv"), weights).unwrap();
        let joined = |levels: &str| {
            let path = folder.path().display().to_string();
            let sources = [source(&format!("type = 'cooccurrence'\npath = {path:?}\n{levels}"))];
            check_files(&sources, "data.source").unwrap();
            names(&Triples::join(&sources, "data.source", 0, None).unwrap().0)
        };
        let expected = ["401.9 with_1 428.0", "401.9 with_2 250.00", "250.00 with_2 428.0", "428.0 with_2 401.9"]
            .map(str::to_owned);
        let sorted = |mut list: Vec<String>| {
            list.sort();
            list
        };
        assert_eq!(joined("levels = [0.5, 0.1]"), sorted(expected.to_vec()));
        // By default from 0.2, 0.1 and 0.05 on.
        let expected = [
            "401.9 with_1 428.0",
            "428.0 with_1 401.9",
            "250.00 with_1 428.0",
            "401.9 with_2 250.00",
            "250.00 with_3 401.9",
            "428.0 with_3 250.00",
        ];
        assert_eq!(joined(""), sorted(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn text_keeps_relations_of_at_least_so_many_triples() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.txt");
        let tuples = ["('a', 'ONE', 'b')", "('a', 'TWO', 'b')", "('b', 'TWO', 'c')", "('b', 'THREE', 'c')"];
        let more = ["('a', 'THREE', 'b')", "('c', 'THREE', 'a')"];
        let lines: String = tuples.iter().chain(&more).map(|tuple| format!("\t{tuple}\n")).collect();
        fs::write(&path, format!("Anything # T\n{lines}")).unwrap();
        let joined = |least: usize| {
            let path = path.display().to_string();
            let sources = [source(&format!("type = 'text'\npath = {path:?}\nleast = {least}"))];
            Triples::join(&sources, "data.source", 0, None).map(|(graph, _)| names(&graph))
        };
        let three = ["a three b", "b three c", "c three a"];
        assert_eq!(joined(3).unwrap(), three);
        assert_eq!(joined(2).unwrap(), ["a three b", "a two b", "b three c", "b two c", "c three a"]);
        assert_eq!(joined(1).unwrap().len(), 6);
        assert!(joined(4).unwrap_err().to_string().contains("`least` leaves none"));
    }

    #[test]
    fn sources_go_by_the_codes_of_a_cohort_where_there_is_one() {
        let codes = ["", "428.0", "428.1"].map(str::to_owned);
        let told = |strength: f64| Ok(vec![("50912".to_owned(), format!("said_{strength}"), "428.0".to_owned())]);
        let cohort = OfCohort { codes: &codes, facts: &told };
        let sources = [source("type = 'icd'\nedition = 'icd9'"), source("type = 'parser'\nstrength = 0.5")];
        let (graph, _) = Triples::join(&sources, "data.knowledge", 0, Some(&cohort)).unwrap();
        let expected = ["428 is_a 390-459", "428.0 is_a 428", "428.1 is_a 428", "50912 said_0.5 428.0"];
        assert_eq!(names(&graph), expected);
        let error = Triples::join(&sources, "data.source", 0, None).unwrap_err().to_string();
        assert!(error.starts_with("`data.source[0].type`") && error.contains("there is none here"), "{error}");
        let none = |_: f64| Ok(Vec::new());
        let cohort = OfCohort { codes: &codes, facts: &none };
        let error = Triples::join(&sources[1..], "data.knowledge", 0, Some(&cohort)).unwrap_err().to_string();
        assert!(error.contains("this parser knows nothing of its codes"), "{error}");
    }
}
