//! What is counted of a graph, and how its triples are ranked.

use super::program::{dualk, refuse, result, run_folder, said, succeed};
use super::support::write;
use dualk_sdk::serde_json::Value;
use std::fs;

// Five known entities and one, f, that training never saw. By the rule of one line b stands behind (·, r) twice and e once, and a,
// c and d before it once each. Of the others than the known answers, tails of (c, r): e first; f with a, c and d, all 0, behind them
// by number. Heads of (r, e): c with a, which is before it; of (r, f): c with a before it and d behind.
// Realistic ranks 1, 2.5, 1.5, 2; by a stable sort 1, 4, 2, 2.
#[test]
fn unseen_entities_are_ranked_and_ties_go_by_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("graph")).unwrap();
    let parts = [("train", "a\tr\tb\nc\tr\tb\nd\tr\te\n"), ("valid", ""), ("test", "c\tr\te\nc\tr\tf\n")];
    parts.iter().for_each(|(part, text)| fs::write(folder.join(format!("graph/{part}.txt")), text).unwrap());
    let manifest = "[data]\ntriples = \"graph\"\n[model]\ntype = \"transe\"\ndim = 4\n[train]\nsteps = 2\nbatch = 2\nnegatives = 2\n";
    fs::write(folder.join("tied.toml"), manifest).unwrap();
    let rule = |more: &[&str], ties: &str| {
        let run = run_folder(&succeed(folder, &[&["kge", "train", "tied.toml"], more].concat()));
        let outcome = result(&folder.join(run));
        assert_eq!((&outcome["ties"], &outcome["entities"]), (&Value::from(ties), &Value::from(6)));
        let mr = outcome["test"]["mr"].as_f64().unwrap();
        assert!((1.0..=6.0).contains(&mr), "{mr}");
        ["mr", "mrr", "hits@1", "hits@3"].map(|key| outcome["baseline"][key].as_f64().unwrap())
    };
    let close = |found: [f64; 4], expected: [f64; 4]| {
        let near = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near, "{found:?}, expected {expected:?}");
    };
    close(rule(&[], "realistic"), [7.0 / 4.0, (1.0 + 0.4 + 2.0 / 3.0 + 0.5) / 4.0, 0.25, 1.0]);
    close(rule(&["--set", "compat=dualk"], "published"), [9.0 / 4.0, (1.0 + 0.25 + 0.5 + 0.5) / 4.0, 0.25, 0.75]);

    let shown = succeed(folder, &["kge", "graph", "tied.toml", "--set", "data.reciprocal=true"]);
    for line in ["6 entities, 2 relations", "triples: 6 train, 0 valid, 2 test", "that training lacks: 1"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn one_of_a_kind_is_no_plural() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("graph")).unwrap();
    for (part, text) in [("train", "a\tr\tb\nb\tr\tc\n"), ("valid", ""), ("test", "a\tr\tc\n")] {
        fs::write(folder.join(format!("graph/{part}.txt")), text).unwrap();
    }
    let manifest = "[data]\ntriples = \"graph\"\n[model]\ntype = \"transe\"\ndim = 4\n[train]\nsteps = 1\nbatch = 2\nnegatives = 2\n";
    fs::write(folder.join("one.toml"), manifest).unwrap();
    let output = dualk(folder, &["kge", "train", "one.toml"]);
    let all = said(&output) + &String::from_utf8_lossy(&output.stdout);
    for says in ["3 entities, 1 relation\n", "1 step in ", "test, 1 triple, both sides"] {
        assert!(all.contains(says), "lacks {says:?}: {all}");
    }
}

#[test]
fn what_no_triples_tell_is_no_zero() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("graph")).unwrap();
    for (part, text) in [("train", "a\tr\tb\nb\tr\tc\n"), ("valid", ""), ("test", "")] {
        fs::write(folder.join(format!("graph/{part}.txt")), text).unwrap();
    }
    let manifest = "[data]\ntriples = \"graph\"\n[model]\ntype = \"transe\"\ndim = 4\n[train]\nsteps = 1\nbatch = 2\nnegatives = 2\n[evaluate]\nvalid = true\n";
    fs::write(folder.join("untested.toml"), manifest).unwrap();
    let printed = succeed(folder, &["kge", "train", "untested.toml"]);
    assert!(printed.contains("test, 0 triples") && !printed.contains("0.0000"), "{printed}");
    let row = printed.lines().find(|line| line.starts_with("backwards, or frequency")).unwrap();
    assert_eq!(row.matches('–').count(), 6, "{printed}");
    let run = run_folder(&printed);
    let outcome = result(&folder.join(&run));
    assert!(outcome["test"].is_null() && outcome["baseline"].is_null() && outcome.get("valid").is_none(), "{outcome}");
    refuse(folder, &["compare", &run], &["this is a run of an embedding"]);
    let again = succeed(folder, &["kge", "eval", &run]);
    assert!(again.contains('–') && !again.contains("0.0000"), "{again}");
}

#[test]
fn codes_of_a_cohort_are_counted_by_what_is_left_of_them_in_the_graph() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    fs::write(folder.join("codes.txt"), "401.12\n\n401.129\n402.0399\n 403 \n999.9\n").unwrap();
    fs::write(folder.join("vocabulary.json"), r#"{"code_map_pretrain": {"401.12": 1, "999.9": 2}}"#).unwrap();
    let counted = |file: &str, counts: &str| {
        let shown = succeed(folder, &["kge", "graph", "tree.toml", "--codes", file]);
        assert!(shown.contains(&format!("codes of {file}: {counts}")), "{shown}");
    };
    counted("codes.txt", "2 of 5 in the graph, 1 without their last character, 1 without two, 1 not");
    counted("vocabulary.json", "1 of 2 in the graph, 0 without their last character, 0 without two, 1 not");
    fs::write(folder.join("other.json"), "{}").unwrap();
    refuse(folder, &["kge", "graph", "tree.toml", "--codes", "other.json"], &["expected the vocabulary.json"]);
}
