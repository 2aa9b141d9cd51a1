//! The four training stages against the published code, step by step and without randomness.

#[path = "support/plugins.rs"]
mod plugins;
mod support;

mod golden {
    use crate::plugins;
    use crate::support::{
        Values, device, device_name, read_parameters, relative, renamed, set_parameters, with_prefix,
    };
    use dualk_sdk::data::{Cohort, Dataset, LabItem};
    use dualk_sdk::experiment::{Experiment, Manifest, Observers, Trained};
    use dualk_sdk::model::Model;
    use dualk_sdk::plugin::Registrar;
    use dualk_sdk::prelude::*;
    use dualk_sdk::progress::Silent;
    use dualk_sdk::serde_json::Value;
    use dualk_sdk::train::{Optimizer, StepRecord, predict};
    use dualk_tests::{Tensors, golden_dir, json, load, load_f64, load_i64, metadata};
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::path::{Path, PathBuf};

    options! {
        /// Options of `recorded`.
        pub struct Recorded {
            /// The JSON file.
            pub path: FilePath = FilePath::default(),
        }
    }

    impl Component for Recorded {
        const NAME: &'static str = "recorded";
        const ABOUT: &'static str = "A cohort from the golden numbers.";
    }

    impl BuildParser for Recorded {
        fn build(self) -> Result<Box<dyn Parser>> {
            Ok(Box::new(self))
        }
    }

    const CATEGORIES: [&str; 3] = ["hematology", "chemistry", "blood gas"];

    impl Parser for Recorded {
        fn parse(&self, _: &ParserContext<'_>) -> Result<Cohort> {
            let file = json(&self.path.0);
            let integers = |v: &Value| v.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect::<Vec<_>>();
            let patients = file["patients"].as_array().unwrap().iter();
            let patients: Vec<_> = patients.map(|p| (p[0].as_i64().unwrap(), integers(&p[1]))).collect();
            let (mut names, mut numbers) = (Vec::new(), HashMap::new());
            let mut codes = HashMap::new();
            for (admission, listed) in file["admission_codes"].as_object().unwrap() {
                let number = |code: &Value| {
                    *numbers.entry(code.as_str().unwrap().to_owned()).or_insert_with_key(|code| {
                        names.push(code.clone());
                        names.len() as u32 - 1
                    })
                };
                codes.insert(admission.parse().unwrap(), listed.as_array().unwrap().iter().map(number).collect());
            }
            let (mut cohort, left_out) = Cohort::of_admissions(patients, &codes, &names);
            assert_eq!(left_out, 0);
            let labs = |admission: &i64| integers(&file["admission_abnormal_labs"][admission.to_string()]);
            let category = |id: i64| {
                let name = file["lab_category"][id.to_string()].as_str().unwrap_or("");
                CATEGORIES.iter().position(|c| *c == name).map(|c| c as u8)
            };
            let sets = cohort.admissions.values().iter().map(labs).collect();
            cohort.set_labs(sets, |id| LabItem { id, category: category(id) });
            cohort.lab_categories = CATEGORIES.map(str::to_owned).to_vec();
            Ok(cohort)
        }
    }

    fn register(registrar: &mut Registrar<'_>) {
        registrar.add::<slots::parser, Recorded>();
    }

    /// A stage of the published run.
    struct File {
        path: PathBuf,
        tensors: Tensors<f32>,
        wide: Tensors<f64>,
        metadata: HashMap<String, Value>,
    }

    impl File {
        fn open(stage: &str) -> Self {
            let path = golden_dir().join("trajectory-a").join(format!("{stage}.safetensors"));
            let (tensors, wide, metadata) = (load(&path), load_f64(&path), metadata(&path));
            Self { path, tensors, wide, metadata }
        }

        fn number(&self, key: &str) -> u64 {
            self.metadata[key].as_u64().unwrap_or_else(|| panic!("{}: no `{key}`", self.path.display()))
        }
    }

    /// The experiment of the files, with `compat` and every default of its stages.
    fn experiment() -> Experiment {
        let [lab, joint, individual, finetune] = ["lab", "joint", "individual", "finetune"].map(File::open);
        let config = &joint.metadata["config"];
        let cohort = cohort_file();
        let sizes = json(&cohort);
        let text = format!(
            r#"
name = "trajectory"
compat = "dualk"
backend.device = "{}"
data.parser = {{ type = "recorded", path = {cohort:?} }}
data.split = {{ type = "dualk", train = {}, test = {}, seed = {} }}

[model]
node_init = {{ type = "random", dim = {} }}
graph_encoder = {{ type = "gat", dims = {} }}
code_fusion = {{ type = "attention", dropout = 0.0 }}
visit_fusion = {{ type = "attention", dropout = 0.0 }}
lab = {{ type = "linear", dim = {} }}
head = {{ decoder = {}, classifier = {}, dropout = 0.0 }}

[[stage]]
type = "lab"
epochs = {}
batch = {}
shuffle = false

[[stage]]
type = "pretrain"
epochs = {}
batch = {}
shuffle = false

[[stage]]
type = "pretrain"
mode = "individual"
epochs = {}
batch = {}
shuffle = false

[[stage]]
type = "finetune"
epochs = {}
batch = {}
shuffle = false
"#,
            device_name(),
            sizes["train_num"],
            sizes["test_num"],
            sizes["seed"],
            config["init_dim"],
            config["GNN"]["dims"],
            finetune.number("lab_width"),
            config["Decoder"]["dims"],
            config["Classifier"]["dims"],
            lab.number("epochs"),
            lab.number("batch"),
            joint.number("epochs"),
            joint.number("batch"),
            individual.number("epochs_each"),
            individual.number("batch"),
            finetune.number("epochs"),
            finetune.number("batch"),
        );
        let registry = plugins::registry(&[register, dualk_plugin_init_hake::register]);
        let manifest = Manifest::parse(&text, &[]).unwrap_or_else(|e| panic!("{e}"));
        Experiment::new(manifest, registry).unwrap_or_else(|e| panic!("{e}")).without_cache()
    }

    /// Patients, codes and abnormal items: beside the trajectory, or among what the preprocessing is compared with.
    fn cohort_file() -> PathBuf {
        let golden = golden_dir();
        let beside = golden.join("trajectory-a/cohort.json");
        if beside.is_file() { beside } else { golden.join("cohort-a/expected.json") }
    }

    /// Where each of our laboratory columns is in the published order, which is that of a set: for a category, or all.
    fn published_columns(data: &Dataset, category: &str) -> Vec<usize> {
        let names = json(&golden_dir().join("trajectory-a/names.json"));
        let ids: Vec<String> = match &names["lab_items"][category] {
            Value::Array(items) => {
                items.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()
            }
            other => panic!("names.json: lab_items of {category}: {other}"),
        };
        let items = match CATEGORIES.iter().position(|c| *c == category) {
            Some(c) => &data.vocabulary.category_labs[c],
            None => &data.vocabulary.labs,
        };
        let place = |&item: &u32| {
            let id = data.cohort.lab_items[item as usize].id.to_string();
            ids.iter().position(|other| *other == id).unwrap()
        };
        items.iter().map(place).collect()
    }

    /// Published weights with our names, and laboratory items in our order.
    fn ours(values: Values, stage: Stage, data: &Dataset) -> Values {
        let heads = match stage {
            Stage::Finetune => ["decoders.0.", "decoders.1.", "decoders.2."],
            _ => ["heads.0.", "heads.1.", "heads.2."],
        };
        let names = [
            ("gnn_layer.node_features", "nodes"),
            ("gnn_layer.", "encoder."),
            ("visit_attention.attn_weights", "code_fusion.weight"),
            ("patient_attention.attn_weights", "visit_fusion.weight"),
            ("lab_layer.", "lab.fc."),
            ("classifier.", "heads.0."),
            ("decoder1.", heads[0]),
            ("decoder2.", heads[1]),
            ("decoder3.", heads[2]),
            ("0.", "lab.fc."),
            ("3.", "heads.0.fc."),
        ];
        let mut values = renamed(values, if stage == Stage::Lab { &names[9..] } else { &names[..9] });
        let all = published_columns(data, "all");
        if let Some((shape, weight)) = values.get_mut("lab.fc.weight") {
            *weight = weight.chunks_exact(shape[1]).flat_map(|row| all.iter().map(|&c| row[c])).collect();
        }
        for (head, category) in heads.iter().zip(CATEGORIES).filter(|_| stage != Stage::Lab) {
            let rows = published_columns(data, category);
            for part in ["weight", "bias"] {
                if let Some((shape, values)) = values.get_mut(&format!("{head}fc3.{part}")) {
                    let width = shape.get(1).copied().unwrap_or(1);
                    *values = rows.iter().flat_map(|&r| values[r * width..][..width].to_vec()).collect();
                }
            }
        }
        values
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Stage {
        Lab,
        Joint,
        Individual,
        Finetune,
    }

    /// What a stage did.
    struct Trajectory {
        trained: Trained,
        steps: Vec<StepRecord>,
    }

    /// Trains a stage from the published weights.
    fn train(
        experiment: &Experiment,
        data: &Dataset,
        (model, optimizer): (Model, Optimizer),
        stage: Stage,
        file: &File,
    ) -> Trajectory {
        let index = stage as usize;
        let device = device();
        let (_, objective) = experiment.manifest().stage[index].objective();
        let objective = experiment.registry().make::<slots::objective>(&objective.r#type, objective.options).unwrap();
        let model = experiment.enter_stage(model, index, objective.as_ref(), data, &device).unwrap();
        let mut state = ours(with_prefix(&file.tensors, "before."), stage, data);
        for (path, value) in read_parameters(&model, None) {
            state.entry(path).or_insert(value);
        }
        let model = set_parameters(model, &state);
        let steps = RefCell::new(Vec::new());
        let on_step = |step| steps.borrow_mut().push(step);
        let mut on_epoch = |_: &_| Ok(());
        let mut observers = Observers { on_epoch: &mut on_epoch, on_step: Some(&on_step), progress: &Silent };
        let trained = experiment.train_stage(model, optimizer, index, data, &mut observers);
        let trained = trained.unwrap_or_else(|e| panic!("{e}"));
        Trajectory { trained, steps: steps.into_inner() }
    }

    fn start(experiment: &Experiment) -> (Dataset, (Model, Optimizer)) {
        let data = experiment.prepare(&Silent).unwrap_or_else(|e| panic!("{e}"));
        let model = experiment.model(&data, &device(), |_| {}).unwrap();
        (data, (model, Optimizer::new()))
    }

    /// Losses of every step, learning rates, and weights after the last.
    fn compare(trajectory: &Trajectory, stage: Stage, file: &File, data: &Dataset, each: usize) {
        let (losses, rates) = (&file.wide["losses"].1, &file.wide["lr"].1);
        assert_eq!(trajectory.steps.len(), losses.len(), "steps");
        for (i, (step, (&loss, &lr))) in trajectory.steps.iter().zip(losses.iter().zip(rates)).enumerate() {
            assert_eq!(step.lr, lr, "learning rate of step {i}");
            let allowed = if i % each < 50 { f64::from(relative()).min(1e-3) } else { 1e-3 };
            let difference = (step.loss / loss - 1.0).abs();
            assert!(difference <= allowed, "loss of step {i}: {} instead of {loss}", step.loss);
        }
        let found = read_parameters(&trajectory.trained.model, None);
        let expected = ours(with_prefix(&file.tensors, "after."), stage, data);
        assert!(!expected.is_empty());
        for (path, (shape, expected)) in &expected {
            let (found_shape, found) = found.get(path).unwrap_or_else(|| panic!("there is no `{path}`"));
            assert_eq!(found_shape, shape, "shape of `{path}`");
            let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
            let apart = found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(apart <= 3e-2 * largest, "`{path}` differs by {apart}, its largest is {largest}");
        }
    }

    #[test]
    fn trajectory_lab() {
        let (experiment, file) = (experiment(), File::open("lab"));
        let (data, start) = start(&experiment);
        let trajectory = train(&experiment, &data, start, Stage::Lab, &file);
        compare(&trajectory, Stage::Lab, &file, &data, usize::MAX);
    }

    #[test]
    fn trajectory_joint() {
        let (experiment, file) = (experiment(), File::open("joint"));
        let (data, start) = start(&experiment);
        let trajectory = train(&experiment, &data, start, Stage::Joint, &file);
        compare(&trajectory, Stage::Joint, &file, &data, usize::MAX);
    }

    #[test]
    fn trajectory_individual() {
        let (experiment, file) = (experiment(), File::open("individual"));
        let (data, start) = start(&experiment);
        // Its optimizer is the joint stage's.
        let joint = train(&experiment, &data, start, Stage::Joint, &File::open("joint")).trained;
        let start = (joint.model.keep_heads(), joint.optimizer);
        let trajectory = train(&experiment, &data, start, Stage::Individual, &file);
        compare(&trajectory, Stage::Individual, &file, &data, trajectory.steps.len() / CATEGORIES.len());
    }

    #[test]
    fn trajectory_finetune() {
        let (experiment, file) = (experiment(), File::open("finetune"));
        let (data, start) = start(&experiment);
        let trajectory = train(&experiment, &data, start, Stage::Finetune, &file);
        compare(&trajectory, Stage::Finetune, &file, &data, usize::MAX);
        test_logits(&experiment, &trajectory, &file, &data);
    }

    /// The last weights' logits for the test patients.
    fn test_logits(experiment: &Experiment, trajectory: &Trajectory, file: &File, data: &Dataset) {
        let (_, objective) = experiment.manifest().stage[Stage::Finetune as usize].objective();
        let objective = experiment.registry().make::<slots::objective>(&objective.r#type, objective.options).unwrap();
        let examples = objective.examples(data, Split::Test).unwrap();
        let patients: Vec<i64> = data.splits.test.iter().map(|&p| data.cohort.patients[p]).collect();
        assert_eq!(patients, patients_of(&file.path));
        let task = &mut *Silent.begin("", "", None);
        let logits = predict(&trajectory.trained.model, &data.graph, &examples, task).remove(0);
        let expected = &file.tensors["test_logits"].1;
        assert_eq!(logits.len(), expected.len());
        let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        let apart = logits.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(apart <= 1e-2 * largest, "test logits differ by {apart}, the largest is {largest}");
    }

    fn patients_of(path: &Path) -> Vec<i64> {
        load_i64(path).remove("test_patients").unwrap().1
    }
}
