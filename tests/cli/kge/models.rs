//! The vectors of a run in the model of an experiment, and what is known of its made-up patients.

use super::program::{dualk, refuse, run_folder, succeed};
use super::support::write;
use dualk_sdk::serde_json::{Value, from_slice};
use std::fs;

#[test]
fn a_model_starts_from_the_vectors_of_a_run_and_what_is_known_of_patients_is_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let run = run_folder(&succeed(folder, &["kge", "train", "tree.toml", "--set", "train.steps=100"]));
    #[cfg(unix)]
    for file in fs::read_dir(folder.join(&run)).unwrap().map(|entry| entry.unwrap().path()).chain([folder.join(&run)]) {
        use std::os::unix::fs::PermissionsExt;
        let about = fs::metadata(&file).unwrap();
        let expected = if about.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(about.permissions().mode() & 0o777, expected, "{}", file.display());
    }
    // Into the graph of a cohort: codes as the synthetic parser makes them are looked up in the run.
    let manifest = format!(
        "name = \"with-kge\"\n[data]\nparser = {{ type = \"synthetic\", patients = 200, codes = 60, labs = 20, clusters = 4 }}\n\
         split = {{ type = \"random\", train = 0.6, valid = 0.2, test = 0.2 }}\n\
         [model]\nnode_init = {{ type = \"hake\", kge = {run:?} }}\ngraph_encoder = \"none\"\ncode_fusion = \"mean\"\n\
         visit_fusion = \"mean\"\n[[stage]]\ntype = \"finetune\"\nepochs = 1\ntask = {{ type = \"diagnosis\", head = \"direct\" }}\n"
    );
    fs::write(folder.join("with.toml"), &manifest).unwrap();
    let output = dualk(folder, &["run", "with.toml", "--device", "cpu"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && log.contains("codes in the table") && log.contains("codes without a vector"),
        "{log}"
    );
    // What there is to know of these patients is a source of triples.
    succeed(folder, &["synth", "--of", "with.toml", "known"]);
    let sources = "[[data.source]]\ntype = 'hierarchy'\npath = 'known/hierarchy.csv'\n[[data.source]]\ntype = 'table'\n\
                   path = 'known/knowledge.tsv'\n";
    fs::write(folder.join("known.toml"), sources).unwrap();
    let shown = succeed(folder, &["kge", "graph", "known.toml"]);
    let lines = fs::read_to_string(folder.join("known/knowledge.tsv")).unwrap().lines().count();
    assert!(lines > 40 && shown.contains(&format!("source 1: {lines} triples, and 0 that were there")), "{shown}");
    // The tables beside it are of the same patients.
    let tables = "data.parser={ type = \"mimic4\", root = \"known\", icd_map = \"known/icd10-icd9.csv\" }";
    succeed(folder, &["prepare", "with.toml", "--out", "made"]);
    succeed(folder, &["prepare", "with.toml", "--out", "read", "--set", tables]);
    let splits = |out: &str| fs::read(folder.join(out).join("splits.json")).unwrap();
    assert!(splits("made") == splits("read"));
    let vocabulary = |out: &str| {
        let bytes = fs::read(folder.join(out).join("vocabulary.json")).unwrap();
        let found: Value = from_slice(&bytes).unwrap();
        [found["code_map"].clone(), found["labs"].clone()]
    };
    assert_eq!(vocabulary("made"), vocabulary("read"));
    let other = manifest.replace("type = \"synthetic\"", "type = \"mimic4\"");
    fs::write(folder.join("other.toml"), other).unwrap();
    refuse(
        folder,
        &["synth", "--of", "other.toml", "x"],
        &["data.parser.type", "expected `synthetic`, found `mimic4`"],
    );
    fs::write(folder.join("other.toml"), manifest.replace("type = \"synthetic\"", "type = \"synthetic\", noise = nan"))
        .unwrap();
    refuse(folder, &["synth", "--of", "other.toml", "x"], &["data.parser.noise", "found NaN"]);
    refuse(folder, &["synth", "--of", "with.toml", "--knowledge", "2", "x"], &["`--knowledge`"]);
    assert!(!folder.join("x").exists());
    fs::write(folder.join("with.toml"), manifest.replace(&run, "no-run")).unwrap();
    refuse(folder, &["check", "with.toml"], &["model.node_init.kge", "no such file", "with.toml:6"]);
}
