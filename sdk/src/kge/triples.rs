//! A knowledge graph: triples over named entities and relations, in three splits.

use crate::data::knowledge::{Names, Triple};
use crate::data::tables::{lines, tab_fields, text};
use crate::error::value;
use crate::{Error, Result, storage};
use std::fs;
use std::path::Path;

/// A knowledge graph with its split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnowledgeGraph {
    /// Entities by id.
    pub entities: Names,
    /// Relations by id.
    pub relations: Names,
    /// Triples to learn from.
    pub train: Vec<Triple>,
    /// Triples to choose settings on.
    pub valid: Vec<Triple>,
    /// Triples to report on.
    pub test: Vec<Triple>,
}

impl KnowledgeGraph {
    /// Reads `train.txt`, `valid.txt` and `test.txt` of a folder, lines of `head<TAB>relation<TAB>tail`. Entities and
    /// relations have the ids of `entities.dict` and `relations.dict` (`id<TAB>name`) where these are, else ids in the
    /// order of their first use. Entities that occur in valid or test alone are kept.
    ///
    /// # Errors
    /// Name the file and line.
    pub fn read(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let what = if folder.exists() { "this is not a folder" } else { "there is no such folder" };
            let error = Error::user(what).at_file(folder);
            return Err(error.help("give the folder that holds train.txt, valid.txt and test.txt"));
        }
        let (entities, relations) = (dictionary(folder, "entities.dict")?, dictionary(folder, "relations.dict")?);
        let given = (entities.is_some(), relations.is_some());
        let (entities, relations) = (entities.unwrap_or_default(), relations.unwrap_or_default());
        let mut graph = Self { entities, relations, ..Self::default() };
        graph.train = graph.split(folder, "train", given)?;
        graph.valid = graph.split(folder, "valid", given)?;
        graph.test = graph.split(folder, "test", given)?;
        match graph.train.is_empty() {
            true => Err(Error::user("there is no triple to learn from").at_file(folder.join("train.txt"))),
            false => Ok(graph),
        }
    }

    fn split(&mut self, folder: &Path, name: &str, given: (bool, bool)) -> Result<Vec<Triple>> {
        let path = folder.join(format!("{name}.txt"));
        let mut triples = Vec::new();
        for (number, line) in lines(&text(&path)?) {
            // In every field, as in dictionaries: a name that ends so could not be read back.
            let mut parts = tab_fields(line).map(|field| field.trim_end_matches('\r'));
            let (Some(head), Some(relation), Some(tail), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                let found = tab_fields(line).count();
                return Err(Error::user(format!(
                    "expected head, relation and tail with tabs between, found {found} fields"
                ))
                .at_line(&path, number));
            };
            let mut id = |names: bool, given: bool, name: &str| {
                let (all, what) =
                    if names { (&mut self.entities, "entities") } else { (&mut self.relations, "relations") };
                match all.get(name) {
                    Some(id) => Ok(id),
                    None if !given => Ok(all.add(name)),
                    None => Err(Error::user(format!("`{name}` is not in {what}.dict")).at_line(&path, number)),
                }
            };
            let (head, tail) = (id(true, given.0, head)?, id(true, given.0, tail)?);
            triples.push(Triple { head, relation: id(false, given.1, relation)?, tail });
        }
        Ok(triples)
    }

    /// All triples, training first.
    pub fn all(&self) -> impl Iterator<Item = &Triple> {
        self.train.iter().chain(&self.valid).chain(&self.test)
    }

    /// Writes the graph in the form that [`read`](Self::read) takes, dictionaries included, into a folder that is absent or
    /// empty: all files or none.
    ///
    /// # Errors
    /// When the folder holds something, a name cannot be read back from lines and tabs, or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        storage::check_free(folder)?;
        check_names("entity", &self.entities)?;
        check_names("relation", &self.relations)?;
        self.check_lines()?;
        let is_new = !folder.exists();
        storage::common_folder(folder)?;
        let written = self.write_files(folder);
        if is_new && written.is_err() {
            let _ = fs::remove_dir(folder); // only when it is empty
        }
        written
    }

    /// Refuses triples of blank names alone, whose lines would be passed over.
    fn check_lines(&self) -> Result<()> {
        let blank = |names: &Names, id: u32| names.list()[id as usize].trim().is_empty();
        let lost = |t: &&Triple| {
            [t.head, t.tail].iter().all(|&id| blank(&self.entities, id)) && blank(&self.relations, t.relation)
        };
        self.all().find(lost).map_or(Ok(()), |triple| {
            let ids = format!("entities {} and {}, relation {}", triple.head, triple.tail, triple.relation);
            Err(Error::user(format!("all names of a triple are blank, and its line would be passed over ({ids})"))
                .help("mend them in the table that they come from; nothing was written"))
        })
    }

    fn write_files(&self, folder: &Path) -> Result<()> {
        let new = storage::Draft::beside(&folder.join("graph"))?;
        let mut pairs = Vec::new();
        let mut write = |name: &str, text: String| {
            pairs.push((new.path().join(name), folder.join(name)));
            storage::write(&new.path().join(name), text.as_bytes())
        };
        let (entities, relations) = (self.entities.list(), self.relations.list());
        let with_ids =
            |names: &[String]| names.iter().enumerate().map(|(id, name)| format!("{id}\t{name}\n")).collect();
        write("entities.dict", with_ids(entities))?;
        write("relations.dict", with_ids(relations))?;
        for (name, split) in [("train.txt", &self.train), ("valid.txt", &self.valid), ("test.txt", &self.test)] {
            let line = |t: &Triple| {
                let (head, tail) = (&entities[t.head as usize], &entities[t.tail as usize]);
                format!("{head}\t{}\t{tail}\n", relations[t.relation as usize])
            };
            write(name, split.iter().map(line).collect())?;
        }
        storage::sync_tree(new.path())?;
        storage::exchange_all(&pairs)
    }
}

/// Refuses names that [`KnowledgeGraph::read`] would read as something else.
fn check_names(what: &str, names: &Names) -> Result<()> {
    let trouble = |name: &str| match name {
        _ if name.contains('\t') => Some("has a tab"),
        _ if name.contains('\n') || name.ends_with('\r') => Some("has a line break"),
        _ if name.starts_with('\u{feff}') => Some("begins with a byte-order mark"),
        _ => None,
    };
    let found = names.list().iter().enumerate().find_map(|(id, name)| Some((id, name, trouble(name)?)));
    found.map_or(Ok(()), |(id, name, trouble)| {
        let shown = value(format_args!("{name:?}"));
        Err(Error::user(format!("the name of {what} {id} {trouble} and cannot stand between tabs in a line: {shown}"))
            .help("mend it in the table that it comes from; nothing was written")
            .help("`dualk kge train` and `dualk run` take the name as it is"))
    })
}

/// Reads `id<TAB>name` lines, whose ids count from 0; `None` when there is no such file.
fn dictionary(folder: &Path, name: &str) -> Result<Option<Names>> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let mut names = Names::default();
    for (line_number, line) in lines(&text(&path)?) {
        let refuse = |message: String| Err(Error::user(message).at_line(&path, line_number));
        match line.trim_end_matches('\r').split_once('\t') {
            Some((id, name)) if id.trim().parse() == Ok(names.len()) => {
                if names.get(name).is_some() {
                    return refuse(format!("`{name}` is there twice"));
                }
                names.add(name);
            }
            Some((id, _)) => return refuse(format!("expected the id {}, found `{id}`", names.len())),
            None => return refuse("expected an id and a name with a tab between".to_owned()),
        }
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whatever_ends_a_field() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("train.txt"), "a\r\tr\tb\r\r\nb\tr\r\ta\n").unwrap();
        ["valid.txt", "test.txt"].iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        let graph = KnowledgeGraph::read(folder.path()).unwrap();
        assert_eq!(
            (graph.entities.list(), graph.relations.list()),
            (&["a".to_owned(), "b".to_owned()][..], &["r".to_owned()][..])
        );
        let again = folder.path().join("again");
        graph.write(&again).unwrap();
        assert_eq!(KnowledgeGraph::read(&again).unwrap(), graph);
        // A graph of somebody else's has files by these names, too.
        let error = graph.write(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
        assert!(fs::read_to_string(folder.path().join("train.txt")).unwrap().starts_with("a\r\tr"));
    }

    /// Tables of CSV can have such names in quotes.
    #[test]
    fn names_that_would_be_read_as_something_else_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let graph = |entity: &str, relation: &str| KnowledgeGraph {
            entities: ["a", entity].into_iter().collect(),
            relations: [relation].into_iter().collect(),
            train: vec![Triple { head: 0, relation: 0, tail: 1 }],
            ..KnowledgeGraph::default()
        };
        let refused = [("b\tc", "has a tab"), ("b\nc", "a line break"), ("b\r", "a line break")];
        for (name, what) in refused.into_iter().chain([("\u{feff}b", "a byte-order mark")]) {
            for (graph, of) in [(graph(name, "r"), "entity 1"), (graph("b", name), "relation 0")] {
                let error = graph.write(&out).unwrap_err();
                let text = error.to_string();
                assert!(error.exit_code() == 2 && text.contains(&format!("the name of {of} ")), "{text}");
                assert!(text.contains(what) && text.contains("--show-values"), "{text}");
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{text}");
            }
        }
        let blank = KnowledgeGraph { entities: ["", " "].into_iter().collect(), ..graph("b", "") };
        let error = blank.write(&out).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("all names of a triple are blank"), "{error}");
        for fine in [graph("b c\rd", "ö\""), graph("", " ")] {
            fine.write(&out).unwrap();
            assert_eq!(KnowledgeGraph::read(&out).unwrap(), fine);
            fs::remove_dir_all(&out).unwrap();
        }
    }
}
