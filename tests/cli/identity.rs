//! A run is known by all that decides its results, and what has changed since is said.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

use dualk_sdk::plugin::plugin_file_name;
use dualk_sdk::serde_json::{self, Value};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DUALK: &str = env!("CARGO_BIN_EXE_dualk");

/// An experiment with a plugin file of its own, a copy of a shipped one.
struct Place {
    folder: tempfile::TempDir,
    plugin: PathBuf,
}

impl Place {
    fn new() -> Self {
        // Plugins in /tmp, where others can write, would be refused.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let plugin = folder.path().join(format!("{DLL_PREFIX}mine{DLL_SUFFIX}"));
        fs::copy(Path::new(DUALK).with_file_name(plugin_file_name("fusion-recurrent")), &plugin).unwrap();
        let manifest = format!(
            r#"name = "known"

[backend]
device = "cpu"

[[plugin]]
path = "{}"

[data]
parser = {{ type = "synthetic", patients = 200, codes = 40, labs = 6, clusters = 4 }}
split = {{ type = "random", train = 0.6, valid = 0.2, test = 0.2 }}

[model]
node_init = {{ type = "random", dim = 4 }}
graph_encoder = {{ type = "gcn", dims = [4] }}
visit_fusion = {{ type = "gru", hidden = 4 }}
lab = {{ type = "linear", dim = 4 }}

[output]
runs = "runs"

[[stage]]
type = "pretrain"
epochs = 3

[[stage]]
type = "finetune"
epochs = 2
"#,
            plugin.file_name().unwrap().to_str().unwrap()
        );
        fs::write(folder.path().join("known.toml"), manifest).unwrap();
        Self { folder, plugin }
    }

    fn dualk(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(DUALK);
        command.current_dir(self.folder.path()).env("DUALK_CACHE", self.folder.path().join("cache"));
        command.args(arguments).output().unwrap()
    }

    /// Runs it; the folder of the run, and what was said.
    fn run(&self, more: &[&str]) -> (PathBuf, String) {
        let output = self.dualk(&[&["run", "known.toml"], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let run = printed.lines().find_map(|line| line.strip_prefix("run: ")).unwrap().to_owned();
        (self.folder.path().join(run), said)
    }

    fn eval(&self, run: &Path, more: &[&str]) -> (String, String) {
        let output = self.dualk(&[&["eval", run.to_str().unwrap()], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (String::from_utf8_lossy(&output.stdout).into_owned(), said)
    }

    /// The plugin as another build would leave it: one byte more.
    fn rebuild(&self) {
        let bytes = fs::read(&self.plugin).unwrap();
        fs::write(&self.plugin, [&bytes[..], b"\0"].concat()).unwrap();
    }
}

fn json(file: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn what_decides_results_decides_the_folder() {
    let place = Place::new();
    let (first, _) = place.run(&[]);
    let weights = fs::read(first.join("model.safetensors")).unwrap();
    // Places of output and the cache decide nothing.
    let (again, _) = place.run(&["--no-cache", "--set", "output.checkpoint_minutes=1"]);
    assert_eq!(first, again);
    assert_eq!(fs::read(again.join("model.safetensors")).unwrap(), weights);
    let (seed, _) = place.run(&["--set", "seed=7"]);
    let hash = |run: &Path| run.file_name().unwrap().to_str().unwrap().strip_prefix("known-").unwrap().to_owned();
    assert!(hash(&first).len() == 16 && hash(&seed) != hash(&first));
    place.rebuild();
    let (rebuilt, _) = place.run(&[]);
    assert_ne!(hash(&rebuilt), hash(&first), "the run of the plugin before stays");
    assert_eq!(fs::read(first.join("model.safetensors")).unwrap(), weights);
    assert_eq!(fs::read_dir(place.folder.path().join("runs")).unwrap().count(), 3);
}

#[test]
fn an_evaluation_says_what_has_changed() {
    let place = Place::new();
    let (run, _) = place.run(&[]);
    let (_, said) = place.eval(&run, &[]);
    assert!(!said.contains("warning"), "{said}");
    // A result that the weights do not give.
    let file = run.join("result.json");
    let mut result = json(file.clone());
    let rows = result["stages"][0]["rows"].as_array_mut().unwrap();
    let model = rows.iter_mut().rfind(|row| row["name"].as_str().unwrap().contains(", epoch ")).unwrap();
    let metric = &mut model["metrics"][0];
    let name = metric[0].as_str().unwrap().to_owned();
    metric[1] = 0.8141.into();
    fs::write(&file, result.to_string()).unwrap();
    place.rebuild();
    let (_, said) = place.eval(&run, &[]);
    assert!(said.contains(&format!("not what the run recorded: {name} was 0.8141 and is")), "{said}");
    assert!(said.contains("since the run, something changed: plugins dualk-plugin-fusion-recurrent"), "{said}");
}

#[test]
fn a_checkpoint_is_named_by_its_own_epoch() {
    let place = Place::new();
    let (run, _) = place.run(&["--set", "stage[0].select=last"]);
    let trained = json(run.join("result.json"))["trained"].clone();
    assert_eq!((trained[0]["stage"].as_str(), trained[0]["epoch"].as_u64()), (Some("1-pretrain-joint"), Some(2)));
    let checkpoint = run.join("checkpoints/1-pretrain-joint.safetensors");
    let (printed, _) = place.eval(&run, &["--checkpoint", checkpoint.to_str().unwrap()]);
    assert!(printed.contains("known, epoch 3"), "{printed}");
}

#[test]
fn stages_from_the_cache_keep_what_they_took() {
    let place = Place::new();
    let (first, _) = place.run(&["--set", "output.runs=first"]);
    let (second, said) = place.run(&["--set", "output.runs=second"]);
    let (first, second) = (json(first.join("result.json")), json(second.join("result.json")));
    for (a, b) in first["trained"].as_array().unwrap().iter().zip(second["trained"].as_array().unwrap()) {
        assert_eq!((&a["seconds"], &a["peak_memory"], &a["epoch"]), (&b["seconds"], &b["peak_memory"], &b["epoch"]));
        assert_eq!((a["from_cache"].as_bool(), b["from_cache"].as_bool()), (Some(false), Some(true)));
        assert!(a["seconds"].as_f64().unwrap() > 0.0);
        if cfg!(target_os = "linux") {
            assert!(a["peak_memory"].as_u64().unwrap() > 1 << 20);
        }
    }
    assert!(said.contains("1-pretrain-joint: from the cache") && said.contains("(trained in"), "{said}");
}
