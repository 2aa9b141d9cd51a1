//! A panic inside a plugin ends the run with an error that names the plugin.

use crate::support::{build, fail, new};
use dualk_sdk::component::Slot;
use std::fs;
use std::path::Path;

fn write_manifest(folder: &Path, library: &Path, component: &str) {
    let text = format!(
        r#"name = "defect"
[[plugin]]
path = {library:?}
[backend]
device = "cpu"
[data]
parser = {{ type = "synthetic", patients = 200, codes = 64, labs = 12, clusters = 4 }}
split = {{ type = "random", train = 0.6, valid = 0.2, test = 0.2 }}
[model]
node_init = {{ type = "random", dim = 8 }}
graph_encoder = {{ type = "{component}" }}
lab = {{ type = "linear", dim = 8 }}
[[stage]]
type = "finetune"
task = {{ type = "diagnosis", head = "direct" }}
epochs = 1
"#
    );
    fs::write(folder.join("defect.toml"), text).unwrap();
}

#[test]
fn a_panic_names_plugin_component_and_line() {
    let folder = crate::support::folder();
    let project = new(folder.path(), "defective", Slot::GraphEncoder, Some(include_str!("fixtures/panics.rs")));
    let library = build(&project);
    let names = |error: &str, component: &str, what: &str| {
        let subject = format!("{component} (plugin {})", library.display());
        for expected in [subject.as_str(), what, "src/lib.rs:", "report it to its author"] {
            assert!(error.contains(expected), "lacks {expected}: {error}");
        }
    };

    write_manifest(folder.path(), &library, "breaks_in_build");
    for command in ["check", "run"] {
        let error = fail(folder.path(), &[command, "defect.toml"], 1);
        names(&error, "graph_encoder `breaks_in_build`", "panicked: no width above 8 is known");
    }

    write_manifest(folder.path(), &library, "breaks_in_forward");
    let error = fail(folder.path(), &["run", "defect.toml"], 1);
    names(&error, "graph_encoder `breaks_in_forward`", "panicked: index out of bounds");
    assert!(!folder.path().join("runs").exists(), "a run that failed leaves no folder");

    // What a parser says may be of a patient.
    let manifest = fs::read_to_string(folder.path().join("defect.toml")).unwrap();
    let from = manifest.find("parser = {").unwrap();
    let line = manifest[from..].lines().next().unwrap();
    fs::write(folder.path().join("parse.toml"), manifest.replace(line, "parser = \"breaks_in_parse\"")).unwrap();
    let error = fail(folder.path(), &["run", "parse.toml"], 1);
    names(&error, "parser `breaks_in_parse`", "panicked: (--show-values shows it)");
    assert!(!error.contains("77120000"), "{error}");
    let error = fail(folder.path(), &["run", "parse.toml", "--show-values"], 1);
    assert!(error.contains("panicked: `no such patient: 77120000`"), "{error}");

    // Scores are computed on threads of a pool.
    let triples: String = (0..40).map(|i| format!("a{i}\tis_a\tb{}\n", i % 4)).collect();
    fs::write(folder.path().join("triples.tsv"), triples).unwrap();
    let manifest = format!(
        "[[plugin]]\npath = {library:?}\n[[data.source]]\ntype = \"table\"\npath = \"triples.tsv\"\n[data.split]\n\
         valid = 0.0\ntest = 0.1\n[model]\ntype = \"breaks_in_scores\"\n[train]\nsteps = 2\nbatch = 8\nnegatives = 4\n"
    );
    fs::write(folder.path().join("scores.toml"), manifest).unwrap();
    let error = fail(folder.path(), &["kge", "train", "scores.toml"], 1);
    names(&error, "kge_model `breaks_in_scores`", "panicked: index out of bounds");
}
