//! Triples of sources, from files and cohorts to the joined graph.

use super::*;
use std::fs;
use std::io::Write;
use std::path::Path;

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
        ("a.csv", "head,relation,Relation,tail\na,1,2,b\n", "relation = 'r'"),
        ("a.tsv", "head\trelation\trelation\ttail\na\t1\t2\tb\n", "relation = 'r'"),
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
    let refused: [(&str, &str, &str, &[&str]); 13] = [
        ("a.csv", "head,relation,tail,Tail\na,r,b,c\n", "", &["the column `tail` occurs 2 times", "a.csv"]),
        ("a.tsv", "Head\tHEAD\trelation\ttail\na\tb\tr\tc\n", "", &["`Head` occurs 2 times", "a.tsv"]),
        ("a.csv", "head,relation,Relation,tail\na,r,s,b\n", "", &["`relation` occurs 2 times", "a.csv"]),
        ("a.tsv", "head\trelation\trelation\ttail\na\tr\ts\tb\n", "", &["`relation` occurs 2 times", "a.tsv"]),
        ("a.csv", "a,r,b,a\n", "columns = ['a', 'r', 'b']", &["the column `a` occurs 2 times", "a.csv:1"]),
        ("a.parquet", "", "heading = false", &["`data.source[0].heading`", "a Parquet file names its columns"]),
        ("a.csv", "a,r,b\n", "", &["the column `head` is missing", "columns = [", "or heading = false"]),
        ("a.tsv", "a\tr\tb\n", "heading = true", &["the column `head` is missing", "a.tsv:1", "or heading = false"]),
        ("a.csv", "a,r,b,c\n", "heading = false", &["found 4 fields", "a.csv:1", "`columns`"]),
        ("a.tsv", "a\tr\tb\t1\n", "", &["found 4 fields", "a.tsv:1", "columns = ["]),
        ("a.csv", "a,b\n", "columns = ['a']", &["`data.source[0].columns`", "three columns, found 1"]),
        ("a.csv", "a,b\n", "columns = ['a', 'b']", &["`data.source[0].columns`", "found 2", "`relation`"]),
        ("a.csv", "a,b,c\n", "columns = ['a', 'b', 'c']\nheading = false", &["`data.source[0].heading`", "no heading"]),
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
    let expected =
        ["401.9 with_1 428.0", "401.9 with_2 250.00", "250.00 with_2 428.0", "428.0 with_2 401.9"].map(str::to_owned);
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
