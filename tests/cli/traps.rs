//! Settings that would train something else than they say are refused, or said.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

use dualk_sdk::experiment::{Experiment, Manifest, Outcome};
use dualk_sdk::plugin::{Registrar, Registry};
use dualk_sdk::prelude::*;
use dualk_sdk::progress::{Silent, Task};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, result};

const MANIFEST: &str = r#"name = "trap"
seed = 3

[backend]
device = "cpu"

[data]
parser = { type = "synthetic", patients = 200, codes = 60, labs = 12, clusters = 4 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }

[model]
node_init = { type = "random", dim = 8 }
graph_encoder = { type = "gcn", dims = [8] }
code_fusion = "mean"
visit_fusion = "mean"
lab = { type = "linear", dim = 8 }
head = { decoder = [8, 8], classifier = [8], dropout = 0.0 }

[[stage]]
type = "finetune"
task = { type = "diagnosis", head = "direct" }
epochs = 3
"#;

/// Metrics of an objective by epoch, those of the last for all later ones.
const LATE: [f64; 3] = [f64::NAN, 0.5, 0.25];

options! {
    /// Options of `odd`.
    struct Odd {
        /// The metric that chooses the epoch.
        primary: String = "score".to_owned(),
        /// Whether the metric is ever a number.
        defined: bool = true,
        /// The part that its head sees.
        sees: String = "patient_encoder".to_owned(),
        /// Whether its head is kept, and sees kept heads.
        itself: bool = false,
    }
}

impl Component for Odd {
    const NAME: &'static str = "odd";
    const ABOUT: &'static str = "An objective of a test, whose metric has nothing to do with the model.";
}

/// What is built: it counts how often it is asked for metrics.
struct Odder {
    options: Odd,
    asked: AtomicUsize,
}

impl BuildObjective for Odd {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(Odder { options: self, asked: AtomicUsize::new(0) }))
    }
}

impl Objective for Odder {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        let outputs = data.vocabulary.target_codes;
        let head = HeadSpec::new("codes", outputs).sees([self.options.sees.clone()]).network("linear");
        Ok(vec![if self.options.itself { head.kept().over_kept(Vec::new()) } else { head }])
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let patients = match split {
            Split::Train => &data.splits.train,
            Split::Valid => &data.splits.valid,
            Split::Test => &data.splits.test,
        };
        let visits = |&p: &usize| data.cohort.admissions.range(p).map(|v| v as u32);
        Ok(Examples {
            codes: Arc::new(data.vocabulary.admission_codes.clone()),
            visits: patients.iter().map(visits).collect(),
            labs: data.last_visit_labs(patients),
            targets: vec![data.last_visit_codes(patients)],
            ..Examples::default()
        })
    }

    fn metrics(&self, _: &[Predictions<'_>]) -> Vec<(String, f64)> {
        let at = self.asked.fetch_add(1, Ordering::Relaxed).min(LATE.len() - 1);
        vec![("score".to_owned(), if self.options.defined { LATE[at] } else { f64::NAN })]
    }

    fn primary(&self) -> &str {
        &self.options.primary
    }
}

fn register(registrar: &mut Registrar<'_>) {
    registrar.add::<slots::objective, Odd>();
}

/// Trains with settings; the outcome and its folder, or the error.
fn run(folder: &Path, settings: &[&str]) -> result::Result<(Outcome, PathBuf), Error> {
    let file = folder.join("trap.toml");
    fs::write(&file, MANIFEST).unwrap();
    let runs = format!("output.runs={:?}", folder.join("runs"));
    let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).chain([runs]).collect();
    let registry = Registry::new().with(register)?;
    let (outcome, run) = Experiment::new(Manifest::load(&file, &settings)?, registry)?.run(&Silent)?;
    Ok((outcome, run.path().to_owned()))
}

/// The error that settings end in: the user's, with these words.
fn refused(settings: &[&str], words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let error = run(folder.path(), settings).err().unwrap_or_else(|| panic!("{settings:?} is accepted"));
    let text = error.to_string();
    words.iter().for_each(|word| assert!(text.contains(word), "{settings:?} lacks {word:?}: {text}"));
}

#[test]
fn what_is_to_be_frozen_exists() {
    refused(
        &["stage[0].freeze=[\"encodr\"]"],
        &["`stage[0].freeze[0]`", "no parameter's path begins with `encodr`", "did you mean `encoder`?"],
    );
    refused(&["stage[0].freeze=[\"heads.0.fc9\"]"], &["`stage[0].freeze[0]`", "`heads.0.fc9`"]);
    // A part of a model of other parts, and one of another patient encoder.
    refused(
        &["stage[0].freeze=[\"patient_encoder\"]"],
        &["no parameter's path begins with `patient_encoder`", "those of its parts: `code_fusion`, `visit_fusion`"],
    );
    refused(
        &["stage[0].freeze=[\"visit_fusion\"]", "model.patient_encoder={ type = \"behrt\", dim = 8, heads = 2 }"],
        &["no parameter's path begins with `visit_fusion`", "`model.visit_fusion` has no parameters in this model"],
    );
    // A part's key, where paths have another name.
    refused(&["stage[0].freeze=[\"graph_encoder\"]"], &["parameters of `model.graph_encoder` begin with `encoder`"]);
    refused(&["stage[0].lr_of={ encodr = 0.1 }"], &["`stage[0].lr_of.encodr`", "no parameter's path begins with"]);
}

/// There is nothing to freeze in it, and so nothing that would train all the same.
#[test]
fn a_part_without_parameters_may_be_frozen_but_nothing_inside_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let without = ["model.lab=\"none\"", "model.graph_encoder=\"none\"", "output.baselines=false"];
    let freeze = "stage[0].freeze=[\"lab\", \"encoder\", \"code_fusion\"]";
    run(folder.path(), &[&without[..], &[freeze]].concat()).unwrap();
    let inside = "stage[0].freeze=[\"lab.fc\"]";
    refused(&[inside, without[0]], &["path begins with `lab.fc`", "`model.lab` has no parameters in this model"]);
}

/// Before an earlier stage trains, too, which would leave a run to go on with.
#[test]
fn what_a_head_sees_exists() {
    let folder = tempfile::tempdir().unwrap();
    let of_lab = "{ type = \"odd\", sees = \"lab\" }";
    run(folder.path(), &[&format!("stage[0].task={of_lab}"), "output.baselines=false"]).unwrap();
    fs::remove_dir_all(folder.path().join("runs")).unwrap();
    let first = "{ type = \"finetune\", task = { type = \"diagnosis\", head = \"direct\" }, epochs = 1 }";
    for (sees, words) in [("lba", "did you mean `lab`?"), ("code_fusion", "accepted: patient_encoder, lab")] {
        let second = format!("{{ type = \"finetune\", task = {{ type = \"odd\", sees = \"{sees}\" }}, epochs = 1 }}");
        let error = run(folder.path(), &[&format!("stage=[{first}, {second}]")]).err().unwrap().to_string();
        for part in ["`stage[1].task`", &format!("the head `codes` sees the vectors of `{sees}`"), words] {
            assert!(error.contains(part), "lacks {part:?}: {error}");
        }
        let left = fs::read_dir(folder.path().join("runs")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing was trained");
    }
}

#[test]
fn a_head_that_would_see_itself_is_refused() {
    let itself = ["stage[0].task={ type = \"odd\", itself = true }"];
    refused(&itself, &["`stage[0].task`", "the head `codes` is kept and sees kept heads", "not both"]);
}

#[test]
fn a_lab_layer_that_nothing_trained_is_said() {
    for (settings, words) in [
        (&[][..], "the lab layer is trained by fine-tuning"),
        (&["stage[0].freeze=[\"lab\"]"], "warning: the lab layer is random and frozen"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_, path) = run(folder.path(), settings).unwrap();
        let log = fs::read_to_string(path.join("log.txt")).unwrap();
        assert!(log.contains(words), "{log}");
    }
}

#[test]
fn an_epoch_is_chosen_by_a_metric_that_there_is() {
    let missing = ["stage[0].task={ type = \"odd\", primary = \"R@7\" }"];
    refused(&missing, &["chooses epochs by `R@7`, which is none of its metrics: score"]);
    let undefined = ["stage[0].task={ type = \"odd\", defined = false }"];
    refused(&undefined, &["`score` is undefined on the", "valid examples in all epochs"]);
}

/// A softmax over one label is 1, and one label has no order: both have no gradient.
#[test]
fn a_question_of_yes_and_no_is_not_learnt_by_comparing_labels() {
    let task = "stage[0].task={ type = \"heart_failure\", head = \"direct\" }";
    for loss in ["cross_entropy", "ranking"] {
        let loss = format!("stage[0].loss={loss:?}");
        refused(&[task, &loss], &["`stage[0].loss`", "nothing would be learnt", "are learnt with `bce`"]);
    }
}

/// Keeps the lines that are shown.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Progress for Lines {
    fn begin(&self, what: &str, unit: &str, total: Option<u64>) -> Box<dyn Task> {
        Silent.begin(what, unit, total)
    }

    fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// Made-up stays have no times.
#[test]
fn what_the_data_cannot_serve_is_said_before_anything_trains() {
    let folder = tempfile::tempdir().unwrap();
    let (file, runs) = (folder.path().join("trap.toml"), folder.path().join("runs"));
    let later = r#"
[[stage]]
type = "finetune"
task = { type = "length_of_stay", head = "direct" }
loss = "cross_entropy"

[[stage]]
type = "finetune"
task = { type = "odd", defined = false }
"#;
    fs::write(&file, format!("{MANIFEST}{later}")).unwrap();
    let experiment = || {
        let registry = Registry::new().with(register).unwrap();
        let settings = [format!("output.runs={runs:?}")];
        Experiment::new(Manifest::load(&file, &settings).unwrap(), registry).unwrap().without_cache()
    };
    let lines = Lines::default();
    let errors =
        [experiment().run(&lines).map(drop).unwrap_err(), experiment().rehearse(&Silent).map(drop).unwrap_err()];
    for error in errors {
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        for says in
            ["`stage[1].task`: this cohort does not say when stays end", "`stage[2].task`: stage 3-finetune: `score`"]
        {
            assert!(text.contains(says), "{says}: {text}");
        }
    }
    let lines = lines.0.into_inner().unwrap();
    assert!(lines.iter().any(|line| line.starts_with("split: ")), "the data were there: {lines:?}");
    assert!(lines.iter().all(|line| !line.contains(" epoch ")), "{lines:?}");
    assert_eq!(fs::read_dir(&runs).map_or(0, |entries| entries.count()), 0, "nothing is left");
}

#[test]
fn a_first_score_that_is_not_a_number_is_beaten() {
    let folder = tempfile::tempdir().unwrap();
    let (outcome, _) = run(folder.path(), &["stage[0].task=\"odd\"", "output.baselines=false"]).unwrap();
    assert_eq!(outcome.trained[0].epoch, 1, "NaN, then the best, then a lower one");
}

#[test]
fn weights_from_elsewhere_are_not_trained_by_a_manifest_that_does_not_say_how() {
    refused(&["evaluate_only=true"], &["`evaluate_only`", "imported weights", "dualk eval RUN"]);
}
