//! Mistakes in the manifest of an embedding and in its files.

use super::program::{refuse, succeed};
use super::support::write;
use std::fs;

#[test]
fn mistakes_name_their_place_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let cases: [(&str, &[&str]); 9] = [
        ("model.dim=0", &["`model.dim`", "at least 1"]),
        ("model.dimm=4", &["`model.dimm`", "did you mean `dim`?"]),
        ("model.type=hak", &["no kge_model is named `hak`", "did you mean `hake`?"]),
        ("train.negatives=0", &["`train.negatives`", "at least 1, found 0"]),
        ("train.lr=-1", &["`train.lr`"]),
        ("data.triples=absent", &["`data`", "both `triples` and sources are given"]),
        ("data.split.test=1.5", &["`data.split.test`", "at least 0 and less than 1, found 1.5"]),
        ("data.split.test=0.99", &["`data.split.test`: nothing is left to train on"]),
        ("train.stepps=3", &["unknown key `stepps`", "did you mean `steps`?"]),
    ];
    for (setting, says) in cases {
        refuse(folder, &["kge", "train", "tree.toml", "--set", setting], says);
    }
    refuse(folder, &["run", "tree.toml"], &["describes a knowledge graph", "`dualk kge train` takes it"]);
    succeed(folder, &["check", "tree.toml"]);
    let no_device = ["`backend.device`: there is no device `cpus` on this machine", "--set backend.device="];
    refuse(folder, &["check", "tree.toml", "--device", "cpus"], &no_device);
    let other = |source: &'static str| ["check", "tree.toml", "--set", source];
    refuse(folder, &other("data.source[0].path=like.tsv"), &["`data.source[0].path`: the column `code` is missing"]);
    refuse(folder, &other("data.source[1].path=lik.tsv"), &["`data.source[1].path`", "did you mean `like.tsv`?"]);
    fs::create_dir(folder.join("graph")).unwrap();
    fs::write(folder.join("graph/train.txt"), "a\tr\tb\nb\tr\n").unwrap();
    fs::write(folder.join("folder.toml"), "[data]\ntriples = \"graph\"\n").unwrap();
    refuse(folder, &["kge", "train", "folder.toml"], &["train.txt:2", "found 2 fields", "folder.toml:2"]);
    refuse(folder, &["kge", "eval", "graph"], &["this is no run folder"]);
    assert!(!folder.join("runs").exists(), "something is left behind");
}
