//! `dualk check --leaks`: what is in order is said, and what is not is named.

use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::plugin::Registry;
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use std::sync::Arc;

options! {
    /// Options of `reader`.
    pub struct ReaderOptions {
        /// Whether it learns from the patients that are tested.
        pub leaks: bool = false,
        /// Whether it is tested on patients with one visit, too.
        pub single: bool = false,
    }
}

impl Component for ReaderOptions {
    const NAME: &'static str = "reader";
    const ABOUT: &'static str = "Whether a patient's last visit has any code.";
}

impl BuildObjective for ReaderOptions {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

impl Objective for ReaderOptions {
    fn heads(&self, _: &Prepared) -> Result<Vec<HeadSpec>> {
        Ok(vec![HeadSpec::new("any", 1).sees([HeadInput::Patient]).network("linear")])
    }

    fn examples(&self, data: &Prepared, part: Part) -> Result<Examples> {
        let mut patients = match part {
            Part::Train if self.leaks => data.split.test.clone(),
            Part::Train => data.split.train.clone(),
            Part::Valid => data.split.valid.clone(),
            Part::Test => data.split.test.clone(),
        };
        if self.single && part == Part::Test {
            patients.extend(&data.split.single);
        }
        Ok(Examples {
            codes: Arc::new(data.vocabulary.admission_codes.clone()),
            visits: patients.iter().map(|&p| data.cohort.admissions.range(p).map(|v| v as u32)).collect(),
            labs: data.last_visit_labs(&patients),
            targets: vec![patients.iter().map(|_| [0]).collect()],
            ..Examples::default()
        })
    }

    fn metrics(&self, _: &[Predictions<'_>]) -> Vec<(String, f64)> {
        vec![("none".into(), 0.0)]
    }

    fn primary(&self) -> &str {
        "none"
    }
}

fn register(registrar: &mut dualk_sdk::plugin::Registrar<'_>) {
    registrar.add::<dualk_sdk::slots::objective, ReaderOptions>();
}

fn found(task: &str) -> Result<Vec<String>> {
    experiment(task, "")?.check_leaks(&Silent)
}

/// An experiment with further lines of its manifest.
fn experiment(task: &str, data: &str) -> Result<Experiment> {
    experiment_with(task, data, &[])
}

/// The same with settings over its manifest.
fn experiment_with(task: &str, data: &str, settings: &[String]) -> Result<Experiment> {
    let text = format!(
        r#"
name = "leaks"
backend.device = "cpu"
data.parser = {{ type = "synthetic", patients = 200 }}
{data}

[model]
node_init = {{ type = "random", dim = 4 }}
graph_encoder = {{ type = "gcn", dims = [4] }}

[[stage]]
type = "finetune"
task = {task}
"#
    );
    let plugins = [
        dualk_plugin_encoder_gcn::register,
        dualk_plugin_fusion_attention::register,
        dualk_plugin_init_codes::register,
        dualk_plugin_head_layers::register,
        dualk_plugin_lab_layers::register,
        dualk_plugin_losses::register,
        dualk_plugin_objectives::register,
        dualk_plugin_parser_synthetic::register,
        dualk_plugin_recipe_dualk::register,
        register,
    ];
    let registry = plugins.into_iter().fold(Registry::new(), |registry, plugin| registry.with(plugin).unwrap());
    let manifest = Manifest::parse(&text, settings).unwrap();
    Ok(Experiment::new(manifest, registry)?.without_cache())
}

#[test]
fn what_is_in_order_is_said() {
    for task in ["{ type = \"reader\" }", "{ type = \"diagnosis\" }"] {
        let lines = found(task).unwrap_or_else(|e| panic!("{task}: {e}"));
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines[0].contains("no patient is in two parts"), "{lines:?}");
        assert!(lines[2].contains("are counted in the admissions of pretraining patients"), "{lines:?}");
        assert!(lines[4].contains("none on two sides"), "{lines:?}");
    }
}

#[test]
fn items_of_the_visit_that_is_predicted_are_said_where_they_enter() {
    let said = |labs: &str, settings: &[String]| {
        let task = format!("{{ type = \"diagnosis\", labs = {labs:?} }}");
        let lines = experiment_with(&task, "", settings).unwrap().check_leaks(&Silent).unwrap();
        lines[4].ends_with("labs of the very visit that is predicted enter (`labs = \"target\"`)")
    };
    assert!(said("target", &[]) && !said("history", &[]));
    assert!(!said("target", &["model.lab=none".to_owned()]));
}

#[test]
fn test_patients_that_pretraining_sees_are_counted() {
    let with = |single: bool| found(&format!("{{ type = \"reader\", single = {single} }}")).unwrap();
    assert!(!with(false)[4].contains("in pretraining"), "{:?}", with(false));
    let lines = with(true);
    let (_, single) = lines[0].split_once("single ").unwrap();
    let (number, _) = single.split_once(':').unwrap();
    assert!(number.parse::<usize>().unwrap() > 0);
    assert!(lines[4].contains(&format!("patients ({number} of them in pretraining)")), "{lines:?}");
}

#[test]
fn an_objective_that_learns_from_test_patients_is_named() {
    let error = found("{ type = \"reader\", leaks = true }").unwrap_err().to_string();
    assert!(error.contains("finetune") && error.contains("train examples"), "{error}");
}

/// Co-occurrence that was counted with another split knows of patients to report on.
#[test]
fn a_knowledge_graph_that_was_counted_on_other_patients_is_refused() {
    let task = "{ type = \"diagnosis\" }";
    let folder = tempfile::tempdir().unwrap();
    let knows = |name: &str, split: &str| {
        let path = folder.path().join(name);
        let prepared = experiment(task, split).unwrap().prepare(&Silent).unwrap();
        dualk_sdk::data::write(&prepared, &path).unwrap();
        let source = format!("data.knowledge = [{{ type = \"cooccurrence\", path = {path:?} }}]");
        experiment(task, &source).unwrap().check_leaks(&Silent)
    };
    let lines = knows("same", "").unwrap();
    assert!(lines[4].contains("1 counted on patients to learn from"), "{lines:?}");
    let error = knows("other", "data.split = { type = \"random\", seed = 9 }").unwrap_err().to_string();
    assert!(error.contains("was not counted on the patients that are learnt from here"), "{error}");
    assert!(error.contains("data.knowledge[0].path") && error.contains("dualk prepare"), "{error}");
    let lines = experiment(task, "data.knowledge = [{ type = \"parser\" }]").unwrap().check_leaks(&Silent).unwrap();
    assert!(lines[4].contains("1 taken as they are"), "{lines:?}");
}
