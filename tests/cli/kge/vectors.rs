//! Vectors that an experiment trains by the manifest that a part of its model names.

use super::interrupted::{checkpoints, interrupt};
use super::program::{command, dualk, printed, refuse, result, run_folder, said, succeed, with_cache};
use super::support::tensors;
use dualk_sdk::serde_json::{Value, from_slice};
use std::fs;
use std::path::{Path, PathBuf};

const VECTORS: &str = r#"seed = 5

[[data.source]]
type = "hierarchy"
path = "known/hierarchy.csv"

[[data.source]]
type = "table"
path = "known/knowledge.tsv"

[data.split]
valid = 0.1
test = 0.1

[model]
type = "hake"
dim = 4
modulus_weight = 0.5

[train]
steps = 3000
batch = 32
negatives = 8
lr = 0.01
"#;

const PATIENTS: &str = r#"name = "with"
[data]
parser = { type = "synthetic", patients = 200, codes = 60, labs = 20, clusters = 4 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }
[model]
node_init = { type = "hake", kge = "x.toml" }
graph_encoder = "none"
code_fusion = "mean"
visit_fusion = "mean"
[[stage]]
type = "finetune"
epochs = 1
task = { type = "diagnosis", head = "direct" }
"#;

/// `with.toml`, whose model starts from the vectors of `x.toml`, which are made from what there is to know of its patients.
fn write_both(folder: &Path) {
    fs::write(folder.join("with.toml"), PATIENTS).unwrap();
    fs::write(folder.join("x.toml"), VECTORS).unwrap();
    succeed(folder, &["synth", "--of", "with.toml", "known"]);
}

/// Runs an experiment, with a cache or without: its result, its folder and what was said.
fn run_with(folder: &Path, cache: &str, more: &[&str]) -> (Value, String, String) {
    let mut run = command(folder, &["run", "with.toml", "--device", "cpu"]);
    let output = run.env("DUALK_CACHE", cache).args(more).output().unwrap();
    let run = run_folder(&printed(&output));
    (result(&folder.join(&run)), run, said(&output))
}

#[test]
fn an_experiment_trains_the_vectors_of_a_manifest_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    let (first, run, log) = run_with(folder, "cache", &[]);
    let vectors = |result: &Value| result["vectors"][0].clone();
    let from_cache = |result: &Value| vectors(result)["from_cache"].as_bool().unwrap();
    assert!(!from_cache(&first) && log.contains("vectors x: ") && log.contains("valid MRR"), "{log}");
    assert_eq!([&vectors(&first)["name"], &vectors(&first)["key"]], ["x", "model.node_init.kge"]);
    let kept = fs::read_to_string(folder.join(&run).join("log.txt")).unwrap();
    assert!(kept.contains("vectors x: ") && kept.contains("codes in the table: "), "{kept}");
    assert!(fs::read_to_string(folder.join(&run).join("plugins.lock")).unwrap().contains("kge-models"));
    let identity: Value = from_slice(&fs::read(folder.join(&run).join("identity.json")).unwrap()).unwrap();
    let files = identity["made_from"]["files"]["node_init kge"]["files"].to_string();
    assert!(files.contains("hierarchy.csv") && files.contains("knowledge.tsv"), "{files}");

    // Another seed trains another model, from the same vectors.
    let (second, _, log) = run_with(folder, "cache", &["--set", "seed=2"]);
    assert!(from_cache(&second) && log.contains("vectors x: from the cache, valid MRR"), "{log}");
    // Reading JSON may change the last digit.
    let mrr = |result: &Value| vectors(result)["valid_mrr"].as_f64().unwrap();
    assert!((mrr(&second) - mrr(&first)).abs() < 1e-12);

    // `dualk kge train` gives the same vectors to the bit, and the model the same digits.
    let train = ["kge", "train", "x.toml", "--set", "evaluate.valid=true"];
    let trained = run_folder(&succeed(folder, &train));
    assert_eq!(mrr(&first), result(&folder.join(&trained))["valid"]["mrr"].as_f64().unwrap());
    let entries = fs::read_dir(folder.join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let of_vectors = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("vectors-");
    let entries: Vec<PathBuf> = entries.filter(of_vectors).collect();
    assert_eq!(entries.len(), 1);
    assert!(tensors(&entries[0]) == tensors(&folder.join(&trained)), "other vectors");
    let (of_folder, _, _) = run_with(folder, "off", &["--set", &format!("model.node_init.kge={trained}")]);
    assert_eq!(of_folder["stages"], first["stages"]);
    assert!(of_folder.get("vectors").is_none());

    // Without a cache they are trained, to the same numbers; so they are from what the parser itself knows.
    let (without, _, _) = run_with(folder, "off", &[]);
    assert!(!from_cache(&without));
    assert_eq!(without["stages"], first["stages"]);
    let table = "type = \"table\"\npath = \"known/knowledge.tsv\"";
    fs::write(folder.join("y.toml"), VECTORS.replace(table, "type = \"parser\"")).unwrap();
    let (of_parser, _, _) = run_with(folder, "off", &["--set", "model.node_init.kge=y.toml"]);
    assert_eq!(of_parser["stages"], first["stages"]);
    let tree = "type = \"hierarchy\"\npath = \"known/hierarchy.csv\"";
    let both = VECTORS.replace(table, "type = \"parser\"").replace(tree, "type = \"icd\"\nedition = \"icd9\"");
    fs::write(folder.join("z.toml"), both).unwrap();
    let (of_cohort, _, _) = run_with(folder, "off", &["--set", "model.node_init.kge=z.toml"]);
    assert!(mrr(&of_cohort) > 0.0);
    refuse(folder, &["kge", "train", "y.toml"], &["`data.source[1].type`", "there is none here", "as `kge`"]);

    let eval = dualk(folder, &["eval", &run]);
    let text = said(&eval);
    assert!(eval.status.success() && !text.contains("recorded") && !text.contains("since the run"), "{text}");
    // The weights hold the vectors: the graph may be gone by then, which is said.
    fs::rename(folder.join("known"), folder.join("gone")).unwrap();
    let eval = dualk(folder, &["eval", &run]);
    let text = said(&eval);
    assert!(eval.status.success() && !text.contains("recorded") && text.contains("since the run"), "{text}");
    fs::rename(folder.join("gone"), folder.join("known")).unwrap();
    // So may their manifest, of which the run keeps a copy, and what it says by then is not that of the run.
    let other = VECTORS.replace("dim = 4", "dim = 6");
    for manifest in [None, Some(other)] {
        fs::remove_file(folder.join("x.toml")).unwrap_or_default();
        manifest.iter().for_each(|text| fs::write(folder.join("x.toml"), text).unwrap());
        let eval = dualk(folder, &["eval", &run, "--locked"]);
        let text = said(&eval);
        assert!(eval.status.success() && !text.contains("recorded") && !text.contains("since the run"), "{text}");
    }
    fs::remove_file(folder.join("x.toml")).unwrap();
    succeed(folder, &["export", &run, "--out", "exported"]);
    succeed(folder, &["scrub", &run, "--out", "shared"]);
    let shared = fs::read_to_string(folder.join("shared/vectors-node_init-kge.toml")).unwrap();
    assert!(shared.contains("path = \"hierarchy.csv\"") && shared.contains("name = \"x\""), "{shared}");
    assert!(!shared.contains("output"), "{shared}");
    fs::write(folder.join("x.toml"), VECTORS).unwrap();
    let check = dualk(folder, &["check", "with.toml", "--leaks", "--no-memory"]);
    let lines = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && lines.contains("vectors x: sources: 2 taken as they are"), "{lines}");

    // Another triple makes other vectors, and another run.
    let known = folder.join("known/knowledge.tsv");
    let text = fs::read_to_string(&known).unwrap();
    let (head, rest) = text.split_once('\t').unwrap();
    let tail = rest.split(['\t', '\n']).nth(1).unwrap();
    fs::write(&known, format!("{text}{tail}\tleads_to\t{head}\n")).unwrap();
    let (changed, other, _) = run_with(folder, "cache", &[]);
    assert!(!from_cache(&changed) && other != run, "{other}");
}

#[test]
fn a_manifest_that_names_no_model_has_the_one_that_serves_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    let unnamed = VECTORS.replace("[model]\ntype = \"hake\"\ndim = 4\nmodulus_weight = 0.5\n", "");
    assert!(!unnamed.contains("model"));
    fs::write(folder.join("x.toml"), &unnamed).unwrap();
    let resolved = succeed(folder, &["check", "x.toml", "--resolved"]);
    let resolved: dualk_sdk::toml::Table = resolved.parse().unwrap();
    assert_eq!(resolved["model"]["type"].as_str(), Some("hake"));
    // The lock of an experiment knows which plugin brings it, too.
    assert!(succeed(folder, &["plugin", "lock", "with.toml"]).contains("kge-models"));
}

#[test]
fn members_of_a_sweep_share_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    let sweep = format!(
        "{PATIENTS}[backend]\ndevice = \"cpu\"\n[sweep]\nseeds = [1, 2]\n[[sweep.list]]\nname = \"random\"\n\
         \"model.node_init\" = {{ type = \"random\", dim = 8 }}\n[[sweep.list]]\nname = \"graph\"\n\
         \"model.node_init\" = {{ type = \"hake\", kge = \"x.toml\" }}\n"
    );
    fs::write(folder.join("sweep.toml"), sweep).unwrap();
    printed(&with_cache(folder, &["sweep", "sweep.toml", "--jobs", "2"]).output().unwrap());
    let members = fs::read_dir(folder.join("sweeps/with/members")).unwrap().map(|member| member.unwrap().path());
    let logs: Vec<String> = members.map(|member| fs::read_to_string(member.join("log.txt")).unwrap()).collect();
    let lines = logs.iter().flat_map(|log| log.lines());
    let of_vectors: Vec<&str> = lines.filter(|line| line.starts_with("vectors x: ")).collect();
    let cached = of_vectors.iter().filter(|line| line.starts_with("vectors x: from the cache")).count();
    assert_eq!((logs.len(), of_vectors.len(), cached), (4, 2, 1), "{of_vectors:?}");
}

#[test]
fn mistakes_in_a_manifest_of_vectors_name_it_and_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    succeed(folder, &["check", "with.toml", "--no-memory"]);
    let cases = [
        ("steps = 3000", "steps = 0", "`train.steps`: expected a number of at least 1, found 0"),
        ("steps = 3000", "stepps = 3000", "`train.stepps`: unknown key `stepps`"),
        ("dim = 4", "dim = 0", "`model.dim`"),
        ("knowledge.tsv", "knowledg.tsv", "`data.source[1].path`"),
        ("type = \"table\"\npath = \"known/knowledge.tsv\"", "type = \"icd\"", "`data.source[1]`"),
    ];
    for (text, wrong, says) in cases {
        fs::write(folder.join("x.toml"), VECTORS.replace(text, wrong)).unwrap();
        for command in [&["check", "with.toml"][..], &["run", "with.toml", "--device", "cpu"]] {
            refuse(folder, command, &["`model.node_init.kge`: ", says, "x.toml:", "with.toml:6"]);
        }
    }
    fs::remove_file(folder.join("x.toml")).unwrap();
    let says = ["`model.node_init.kge`: cannot open the manifest", "x.toml", "with.toml:6"];
    refuse(folder, &["check", "with.toml"], &says);
    assert!(!folder.join("runs").exists(), "something is left behind");
}

#[test]
fn what_the_model_has_not_is_said_before_its_vectors_train() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    let output = dualk(folder, &["run", "with.toml", "--device", "cpu", "--set", "stage[0].freeze=[\"nods\"]"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no parameter's path begins with `nods`") && !said.contains("vectors x: "), "{said}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_of_vectors_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_both(folder);
    fs::write(folder.join("x.toml"), VECTORS.replace("steps = 3000", "steps = 40000")).unwrap();
    let (whole, _, _) = run_with(folder, "off", &["--set", "output.runs=whole"]);
    // Signals are looked at once the data are there, and vectors come next.
    interrupt(folder, &["run", "with.toml", "--device", "cpu"], "log.txt", ("SIGTERM", 15));
    let checkpoints = checkpoints(folder, "vectors-node_init-kge-");
    let last = checkpoints.last().unwrap().join("state.safetensors");
    assert!(last.is_file());
    let (resumed, _, log) = run_with(folder, "off", &["--resume"]);
    assert!(log.contains("its vectors") && log.contains("of the vectors"), "{log}");
    assert_eq!(resumed["stages"], whole["stages"]);
    assert_eq!(resumed["vectors"][0]["valid_mrr"], whole["vectors"][0]["valid_mrr"]);
}
