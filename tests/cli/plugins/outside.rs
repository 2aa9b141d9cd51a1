//! A plugin outside the workspace, with a dependency of its own: its parameters are like all others.

use crate::support::{build, new};
use dualk_sdk::burn::tensor::Gradients;
use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::model::{ParameterVisitor, freeze, load_weights, parameters, save_weights, visit_parameters};
use dualk_sdk::plugin::Registry;
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_sdk::toml::Table;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// An encoder where a model has it, so that paths of parameters are those of a checkpoint.
#[derive(Module, Debug)]
struct Part {
    encoder: GraphEncoderModule,
}

const NAMES: [&str; 4] = ["encoder.layer.weight", "encoder.layer.bias", "encoder.gates.0", "encoder.gates.1"];

fn plugin(folder: &Path) -> PathBuf {
    let project = new(folder, "outside", Slot::GraphEncoder, Some(include_str!("fixtures/outside.rs")));
    let manifest = project.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap().replace("[dependencies]", "[dependencies]\nfastrand = \"2\"");
    fs::write(manifest, text).unwrap();
    let before = Instant::now();
    let library = build(&project);
    let seconds = before.elapsed().as_secs_f64();
    println!("the plugin outside the workspace was built in {seconds:.1} s, its dependency included");
    let lock = fs::read_to_string(project.join("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"fastrand\"") && !lock.contains("burn"), "{lock}");
    library
}

fn part(registry: &Registry, input: usize, options: Table, device: &Device) -> Part {
    let context = GraphEncoderContext { input, codes: &[], device };
    Part { encoder: registry.build::<slots::graph_encoder>("outside", options, &context).unwrap() }
}

fn visit(part: &Part, mut see: impl FnMut(&str, Tensor<1>, Option<Vec<f32>>), gradients: Option<&Gradients>) {
    struct Values<'a, F> {
        see: &'a mut F,
        gradients: Option<&'a Gradients>,
    }
    impl<F: FnMut(&str, Tensor<1>, Option<Vec<f32>>)> ParameterVisitor for Values<'_, F> {
        fn visit<const D: usize>(&mut self, path: &str, param: &Param<Tensor<D>>) {
            let gradient = self.gradients.and_then(|g| param.val().grad(g)).map(|g| g.into_data().iter().collect());
            (self.see)(path, param.val().reshape([-1]), gradient);
        }
    }
    visit_parameters(part, &mut Values { see: &mut see, gradients });
}

/// Values of all parameters by path.
fn values(part: &Part) -> BTreeMap<String, Vec<f32>> {
    let mut found = BTreeMap::new();
    visit(part, |path, value, _| _ = found.insert(path.to_owned(), value.into_data().iter().collect()), None);
    found
}

fn graph() -> Graph {
    Graph::new(4, &[(0, 1, 1.0), (1, 2, 0.5), (2, 1, 0.25), (3, 3, 1.0)]).unwrap()
}

fn features(device: &Device) -> Tensor<2> {
    Tensor::from_data([[0.1, -0.2, 0.3], [1.0, 0.5, -0.5], [0.0, 2.0, -1.0], [0.7, 0.7, 0.1]], device)
}

#[test]
fn a_plugin_outside_the_workspace_trains_like_any_part() {
    let folder = crate::support::folder();
    let library = plugin(folder.path());
    let mut registry = Registry::new();
    registry.load(&library, None).unwrap();
    parameters_are_found_frozen_saved_and_reloaded(&registry, folder.path());
    every_parameter_receives_a_gradient(&registry);
    stages_train_it_and_leave_it_alone_when_frozen(registry, &library, folder.path());
}

fn every_parameter_receives_a_gradient(registry: &Registry) {
    let device = Device::flex().autodiff();
    let part = part(registry, 3, Table::new(), &device);
    let out = part.encoder.forward(features(&device), &graph());
    assert_eq!(out.dims(), [4, 6]);
    let gradients = (out.clone() * out).sum().backward();
    let mut seen = Vec::new();
    let see = |path: &str, _: Tensor<1>, gradient: Option<Vec<f32>>| {
        let gradient = gradient.unwrap_or_else(|| panic!("{path} has no gradient"));
        assert!(gradient.iter().all(|g| g.is_finite() && *g != 0.0), "{path}: {gradient:?}");
        seen.push(path.to_owned());
    };
    visit(&part, see, Some(&gradients));
    assert_eq!(seen, NAMES);
}

fn parameters_are_found_frozen_saved_and_reloaded(registry: &Registry, folder: &Path) {
    let device = Device::flex().autodiff();
    let one = part(registry, 3, Table::new(), &device);
    let listed = parameters(&one);
    let shapes: Vec<&[usize]> = listed.iter().map(|p| p.shape.as_slice()).collect();
    assert_eq!(listed.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), NAMES);
    assert_eq!(shapes, [&[3, 6][..], &[6], &[6], &[6]]);
    assert!(listed.iter().all(|p| p.trains));

    let frozen = freeze(one.clone(), &["encoder.gates".to_owned()]);
    let trains: Vec<bool> = parameters(&frozen).iter().map(|p| p.trains).collect();
    assert_eq!(trains, [true, true, false, false]);

    let file = folder.join("part.safetensors");
    save_weights(&one, &file).unwrap();
    let other = part(registry, 3, Table::from_iter([("seed".to_owned(), 8.into())]), &device);
    assert_ne!(values(&other), values(&one));
    let other = load_weights(other, &file).unwrap();
    assert_eq!(values(&other), values(&one));
    let out = |part: &Part| part.encoder.forward(features(&device), &graph()).into_data();
    out(&other).assert_eq(&out(&one), true);
}

const MANIFEST: &str = r#"name = "outside"
seed = 5

[backend]
device = "cpu"

[data]
parser = { type = "synthetic", patients = 300, codes = 64, labs = 12, clusters = 4 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }

[model]
node_init = { type = "random", dim = 8 }
graph_encoder = { type = "outside", dim = 6 }
lab = { type = "linear", dim = 8 }

[[stage]]
type = "finetune"
task = { type = "diagnosis", head = "direct" }
freeze = ["encoder"]
epochs = 1

[[stage]]
type = "finetune"
task = { type = "diagnosis", head = "direct" }
epochs = 3
select = "last"

[[stage]]
type = "finetune"
task = { type = "diagnosis", head = "direct" }
freeze = ["encoder.layer"]
epochs = 1
"#;

fn stages_train_it_and_leave_it_alone_when_frozen(registry: Registry, library: &Path, folder: &Path) {
    let file = folder.join("outside.toml");
    fs::write(&file, MANIFEST).unwrap();
    let runs = format!("output.runs={:?}", folder.join("runs"));
    let manifest = Manifest::load(&file, &[runs]).unwrap();
    let (_, run) = Experiment::new(manifest, registry).unwrap().run(&Silent).unwrap();

    let mut registry = Registry::new();
    registry.load(library, None).unwrap();
    let after = |stage: usize| {
        let file = run.path().join(format!("checkpoints/{stage}-finetune.safetensors"));
        values(&load_weights(part(&registry, 8, Table::new(), &Device::flex()), &file).unwrap())
    };
    let (first, trained, last) = (after(1), after(2), after(3));
    for name in NAMES {
        assert_ne!(first[name], trained[name], "{name} did not train");
        assert_eq!(trained[name] == last[name], name.starts_with("encoder.layer"), "{name}");
    }
    let history = fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
    let records = history.lines().map(|l| dualk_sdk::serde_json::from_str::<dualk_sdk::serde_json::Value>(l).unwrap());
    let records = records.filter(|r| r["stage"] == "2-finetune");
    let losses: Vec<f64> = records.map(|r| r["train_loss"].as_f64().unwrap()).collect();
    assert!(losses.len() == 3 && losses[2] < losses[0], "{losses:?}");
    let lock: Table = fs::read_to_string(run.path().join("plugins.lock")).unwrap().parse().unwrap();
    let locked = lock["plugin"].as_array().unwrap().iter().find(|p| p["name"].as_str() == Some("outside")).unwrap();
    assert_eq!(locked["path"].as_str().map(Path::new), Some(fs::canonicalize(library).unwrap().as_path()));
}
