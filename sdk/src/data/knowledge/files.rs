//! A look at the files of sources before anything is read: whether they are there, and begin as they should.

use super::extracted::check_line;
use super::source_tables::{codes_by_id, edges_table, hierarchy_table, names_table};
use super::sources::GraphSource;
use super::written::{Form, triple};
use crate::data::tables::{check_folder, first_of_lines};
use crate::error::Mistakes;
use crate::options::{FilePath, within_ranges};
use crate::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Names of files that are suggested, at most.
const SUGGESTED: usize = 8;

/// Looks at sources, which stand at `key` of a manifest: at their options, and at the beginning of each file. What is wrong
/// further down is found when they are read.
///
/// # Errors
/// All mistakes, each with its key and file.
pub(crate) fn check_files(sources: &[GraphSource], key: &str) -> Result<()> {
    let mut mistakes = Mistakes::default();
    for (i, source) in sources.iter().enumerate() {
        let key = format!("{key}[{i}]");
        mistakes.note(within_ranges(source).map_err(|e| e.within_key(&key)));
        mistakes.note(source.check().map_err(|e| e.within_key(&key)));
        mistakes.note(source.check_files().map_err(|e| e.within_key(&key)));
    }
    mistakes.done()
}

impl GraphSource {
    fn check_files(&self) -> Result<()> {
        let mut mistakes = Mistakes::default();
        let mut look = |key: &str, path: &FilePath, check: &dyn Fn(&Path) -> Result<()>| {
            // One that is needed and not given is a mistake of the options.
            if let Some(path) = path.given() {
                mistakes.note(check(path).map_err(|e| e.at_key(key)));
            }
        };
        match self {
            Self::Icd { .. } | Self::Parser { .. } => {}
            Self::Hierarchy { path, .. } => {
                look("path", path, &|path| check_file(path).and_then(|()| hierarchy_table(path).map(drop)));
            }
            Self::Text { path, names, .. } => {
                look("path", path, &|path| check_first_line(path, &check_line));
                look("names", names, &|path| check_file(path).and_then(|()| names_table(path).map(drop)));
            }
            Self::Table { path, relation, columns, heading, .. } => look("path", path, &|path| {
                check_file(path)?;
                let form = Form { columns, heading: *heading, relation: relation.as_deref() };
                match form.open(path)? {
                    Some(_) => Ok(()),
                    None => check_first_line(path, &|line| triple(line, form.relation).map(drop)),
                }
            }),
            Self::Cooccurrence { path, .. } => look("path", path, &check_prepared),
        }
        mistakes.done()
    }
}

/// Refuses what is no file.
fn check_file(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let error = Error::user("expected a file, found a folder").at_file(path);
            Err(error.help("give the path of the file itself"))
        }
        Ok(_) => Ok(()),
        Err(e) => {
            let missing = e.kind() == ErrorKind::NotFound;
            let (error, name) = (Error::io("read the file", path, e), path.file_name().unwrap_or_default());
            Err(if missing { error.suggest(&name.to_string_lossy(), files_beside(path)) } else { error })
        }
    }
}

/// Names of the files beside one that is not there, with the same ending: those that are most alike first.
fn files_beside(path: &Path) -> Vec<String> {
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let entries = path.parent().map(fs::read_dir).into_iter().flatten().flatten().flatten();
    let files = entries.map(|entry| entry.path()).filter(|file| file.extension() == path.extension() && file.is_file());
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())).collect();
    names.sort_by_cached_key(|name| (strsim::damerau_levenshtein(name, &wanted), name.clone()));
    names.truncate(SUGGESTED);
    names
}

/// Refuses a file of text whose first line is not as it should be; one without lines says nothing, and that is known when
/// all sources are joined.
fn check_first_line(path: &Path, check: &dyn Fn(&str) -> Result<()>) -> Result<()> {
    check_file(path)?;
    match first_of_lines(path)? {
        Some((number, line)) => check(&line).map_err(|e| e.at_line(path, number)),
        None => Ok(()),
    }
}

/// Refuses what is no folder that `dualk prepare` wrote.
fn check_prepared(folder: &Path) -> Result<()> {
    let wrote = |e: Error| e.help("expected a folder that `dualk prepare` wrote");
    check_folder(folder).map_err(wrote)?;
    let mut mistakes = Mistakes::default();
    mistakes.note(edges_table(folder).map_err(wrote));
    mistakes.note(codes_by_id(folder).map_err(wrote));
    mistakes.done()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of sources, in whose texts `DIR` is the folder.
    fn said(folder: &Path, sources: &[&str]) -> String {
        let folder = folder.display().to_string();
        let source = |text: &&str| -> GraphSource { toml::from_str(&text.replace("DIR", &folder)).unwrap() };
        let sources: Vec<GraphSource> = sources.iter().map(source).collect();
        check_files(&sources, "data.knowledge").map_or_else(|e| e.to_string(), |()| String::new())
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("prepared")).unwrap();
        for (name, text) in [
            ("tree.csv", "code,parent\n1,2\n"),
            ("text.txt", "no heading\n"),
            ("names.csv", "name,cosine_sim,icd9\n"),
            ("pairs.tsv", "\na\tb\n"),
            ("later.tsv", "\na\tb\tc\r\nd\n"),
            ("triples.csv", "head,tail\na,b\n"),
            ("prepared/graph.csv", "source,target\n"),
            ("prepared/vocabulary.json", "{}"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn what_is_wrong_with_files_is_said_before_they_are_read() {
        let folder = folder();
        let cases: [(&str, &[&str]); 9] = [
            (
                "type = 'hierarchy'\npath = 'DIR/tree.csv'",
                &[
                    "`data.knowledge[0].path`: the column `parent_code` is missing",
                    "tree.csv:1",
                    "accepted: code, parent",
                ],
            ),
            (
                "type = 'hierarchy'\npath = 'DIR/tre.csv'",
                &["`data.knowledge[0].path`: cannot read the file: no such file", "did you mean `tree.csv`?"],
            ),
            (
                "type = 'table'\npath = 'DIR/prepared'",
                &["`data.knowledge[0].path`: expected a file, found a folder", "prepared"],
            ),
            (
                "type = 'text'\npath = 'DIR/text.txt'\nnames = 'DIR/names.csv'",
                &[
                    "`data.knowledge[0].path`: expected a heading",
                    "text.txt:1",
                    "`data.knowledge[0].names`: the column `icd-9` is missing",
                    "did you mean `icd9`?",
                ],
            ),
            ("type = 'table'\npath = 'DIR/pairs.tsv'", &["with tabs between, found 2 fields", "pairs.tsv:2"]),
            ("type = 'table'\npath = 'DIR/triples.csv'", &["the column `relation` is missing", "triples.csv:1"]),
            (
                "type = 'cooccurrence'\npath = 'DIR/prepared'",
                &["the column `weight` is missing", "graph.csv:1", "no `code_map_pretrain`", "vocabulary.json"],
            ),
            ("type = 'cooccurrence'\npath = 'DIR/tree.csv'", &["this is not a folder", "`dualk prepare`"]),
            ("type = 'cooccurrence'\npath = ''", &["`data.knowledge[0].path`: this key is required"]),
        ];
        for (source, says) in cases {
            let error = said(folder.path(), &[source]);
            for part in says {
                assert!(error.contains(part), "{source}: lacks {part}: {error}");
            }
        }
    }

    #[test]
    fn all_mistakes_of_all_sources_are_said_and_rows_are_not_looked_at() {
        let folder = folder();
        let right = [
            "type = 'icd'\nedition = 'icd9'",
            "type = 'parser'",
            "type = 'table'\npath = 'DIR/triples.csv'\nrelation = 'is_a'",
            "type = 'table'\npath = 'DIR/later.tsv'",
        ];
        assert_eq!(said(folder.path(), &right), "");
        let absent = "type = 'text'\npath = 'DIR/absent.txt'\nnames = 'DIR/absent.csv'\nsimilarity = 2.0";
        let error = said(folder.path(), &["type = 'parser'\nstrength = 2.0", absent]);
        for says in ["[0].strength`", "[1].similarity`", "[1].path`", "[1].names`"] {
            assert!(error.contains(&format!("`data.knowledge{says}")), "lacks {says}: {error}");
        }
        assert_eq!(error.matches("\nerror: ").count(), 3, "{error}");
    }
}
