//! Knowledge graphs, and their embeddings.

use super::program::said;
use super::support::{contents, dualk, fail_each, keeps_what_is_there, leftovers, weights};
use std::fs;
use std::path::Path;

const GRAPH: &str = r#"name = "graph"
seed = 5

[data]
triples = "triples"

[model]
type = "transe"
dim = 4

[train]
steps = 4
batch = 16
negatives = 4

[output]
checkpoint_minutes = 0
"#;

fn graph(folder: &Path) {
    let triples = folder.join("triples");
    fs::create_dir(&triples).unwrap();
    let text = |from: usize| (from..from + 40).map(|i| format!("e{}\tr{}\te{}\n", i % 20, i % 3, i * 7 % 20)).collect();
    for (name, text) in
        [("train.txt", text(0)), ("valid.txt", "e1\tr0\te5\n".into()), ("test.txt", "e2\tr1\te3\n".into())]
    {
        fs::write(triples.join(name), String::as_bytes(&text)).unwrap();
    }
    fs::write(folder.join("graph.toml"), GRAPH).unwrap();
}

#[test]
fn embeddings_of_graphs() {
    let place = tempfile::tempdir().unwrap();
    graph(place.path());
    let train = ["kge", "train", "graph.toml"];
    let output = dualk(place.path(), &train, None);
    assert!(output.status.success(), "{}", said(&output));
    let whole = weights(&place.path().join("runs"));
    assert_eq!(whole.len(), 1);
    let failures = fail_each(1, &train, graph, |folder, when| {
        let found = weights(&folder.join("runs"));
        assert!(found.is_empty() || found == whole, "{when}");
        let again = dualk(folder, &["kge", "train", "graph.toml", "--resume"], None);
        assert!(again.status.success(), "{when}{}", said(&again));
        assert_eq!(weights(&folder.join("runs")), whole, "{when}");
        assert_eq!(fs::read_dir(folder.join("runs")).unwrap().count(), 1, "{when}");
    });
    assert!(failures > 40, "{failures}");
}

/// Dictionaries of one graph with the triples of another would be read, and mean something else.
#[test]
fn graphs_are_written_whole_or_not_at_all() {
    const FILES: [&str; 5] = ["entities.dict", "relations.dict", "test.txt", "train.txt", "valid.txt"];
    let write = ["kge", "graph", "graph.toml", "--out", "written"];
    let place = tempfile::tempdir().unwrap();
    graph(place.path());
    assert!(dualk(place.path(), &write, None).status.success());
    let new = contents(&place.path().join("written"));
    assert!(new.keys().eq(FILES.map(Path::new)), "{:?}", new.keys());
    keeps_what_is_there(&write, place.path(), "written");
    let failures = fail_each(1, &write, graph, |folder, when| {
        let found = contents(&folder.join("written"));
        assert!(found.is_empty() || found == new, "half of the graph: {when}");
    });
    assert!(failures > 20, "{failures}");
}

/// A picture that was there before.
const OLD: &str = "<svg>old</svg>";

/// A picture of a run, and the work of a bench for other programs.
#[test]
fn pictures_and_workloads_are_whole() {
    let place = tempfile::tempdir().unwrap();
    graph(place.path());
    let output = dualk(place.path(), &["kge", "train", "graph.toml", "--set", "train.validate_every=2"], None);
    assert!(output.status.success(), "{}", said(&output));
    let run = fs::read_dir(place.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let curves = ["kge", "curves", run.to_str().unwrap(), "--out", "curves.svg"];
    let small = ["--batch", "3", "--steps", "2", "--nodes", "60", "--edges", "401", "--targets", "50", "--out", "work"];
    let workload = [&["bench", "workload", "--stage", "finetune"], &small[..]].concat();
    let before = |folder: &Path| fs::write(folder.join("curves.svg"), OLD).unwrap();
    for (arguments, least) in [(&curves[..], 4), (&workload[..], 8)] {
        let new = tempfile::tempdir().unwrap();
        before(new.path());
        let output = dualk(new.path(), arguments, None);
        assert!(output.status.success(), "{}", said(&output));
        let new = contents(new.path());
        let failures = fail_each(1, arguments, before, |folder, when| {
            let found = contents(folder);
            for (name, bytes) in &found {
                assert!(
                    bytes == OLD.as_bytes() || Some(bytes) == new.get(name),
                    "{} is half of it: {when}",
                    name.display()
                );
            }
            assert!(found.len() == 1 || found.len() == new.len(), "{:?}: {when}", found.keys());
            assert_eq!(leftovers(folder), [""; 0], "{when}");
        });
        assert!(failures >= least, "{arguments:?}: {failures}");
    }
}
