//! `dualk check --leaks`: what is in order is said, and what is not is named.

#[path = "support/plugins.rs"]
mod plugins;

use dualk_plugin_parser_synthetic::SyntheticOptions;
use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use std::fs;
use std::path::Path;
use std::sync::Arc;

options! {
    /// Options of `reader`.
    pub struct ReaderOptions {
        /// Whether it learns from the patients that are tested.
        pub leaks: bool = false,
        /// Whether it is tested on patients with one visit, too.
        pub single: bool = false,
        /// Whether it says so.
        pub says: bool = false,
        /// Whether it learns from all patients with one visit.
        pub greedy: bool = false,
        /// Whether it sees no visit and does not say whose examples they are.
        pub blind: bool = false,
        /// Whether it says that its items are of the visits before the last, whose they are.
        pub peeks: bool = false,
        /// Whether it says that it asks for codes of the visit after those that are seen, which are all.
        pub knows: bool = false,
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
    fn heads(&self, _: &Dataset) -> Result<Vec<HeadSpec>> {
        Ok(vec![HeadSpec::new("any", 1).sees([PartKey::PATIENT_ENCODER]).network("linear")])
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let mut patients = match split {
            Split::Train if self.leaks => data.splits.test.clone(),
            Split::Train if self.greedy => [&data.splits.train[..], &data.splits.single].concat(),
            Split::Train => data.splits.train.clone(),
            Split::Valid => data.splits.valid.clone(),
            Split::Test => data.splits.test.clone(),
        };
        if self.single && split == Split::Test {
            let [_, _, test] = data.splits.single_splits(&data.cohort);
            patients.extend(test);
        }
        let seen = |p: usize| if self.blind { 0..0 } else { data.cohort.admissions.range(p) };
        Ok(Examples {
            codes: Arc::new(data.vocabulary.admission_codes.clone()),
            visits: patients.iter().map(|&p| seen(p).map(|v| v as u32)).collect(),
            labs: data.last_visit_labs(&patients),
            targets: vec![patients.iter().map(|_| [0]).collect()],
            ..Examples::default()
        })
    }

    fn asks_about_single(&self) -> bool {
        self.says
    }

    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        if self.knows { Asks::Codes(vec![None; data.vocabulary.nodes()]) } else { Asks::Nothing }
    }

    fn asked_visit(&self) -> AskedVisit {
        if self.peeks { AskedVisit::Last } else { AskedVisit::Next }
    }

    fn labs(&self) -> Option<Labs> {
        self.peeks.then_some(Labs::History)
    }

    fn metrics(&self, _: &[Predictions<'_>]) -> Vec<(String, f64)> {
        vec![("none".into(), 0.0)]
    }

    fn primary(&self) -> &str {
        "none"
    }
}

options! {
    /// Options of `twins`.
    pub struct TwinsOptions {}
}

impl Component for TwinsOptions {
    const NAME: &'static str = "twins";
    const ABOUT: &'static str = "Made-up patients, every two of which are the same person.";
}

impl BuildParser for TwinsOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        Ok(Box::new(self))
    }
}

impl Parser for TwinsOptions {
    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let made_up = SyntheticOptions { patients: 200, ..Default::default() };
        let mut cohort = made_up.build()?.parse(context)?;
        cohort.persons = (0..200).map(|p| p / 2).collect();
        Ok(cohort)
    }
}

fn register(registrar: &mut dualk_sdk::plugin::Registrar<'_>) {
    registrar.add::<dualk_sdk::slots::objective, ReaderOptions>();
    registrar.add::<dualk_sdk::slots::parser, TwinsOptions>();
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
    let stage = format!("[[stage]]\ntype = \"finetune\"\ntask = {task}");
    experiment_set("{ type = \"synthetic\", patients = 200 }", data, &stage, settings)
}

/// An experiment with a parser, and some stages.
fn experiment_of(parser: &str, data: &str, stages: &str) -> Result<Experiment> {
    experiment_set(parser, data, stages, &[])
}

/// The same with settings over its manifest.
fn experiment_set(parser: &str, data: &str, stages: &str, settings: &[String]) -> Result<Experiment> {
    let text = format!(
        r#"
name = "leaks"
backend.device = "cpu"
data.parser = {parser}
{data}

[model]
node_init = {{ type = "random", dim = 4 }}
graph_encoder = {{ type = "gcn", dims = [4] }}

{stages}
"#
    );
    let registry =
        plugins::registry(&[dualk_plugin_parser_sources::register, dualk_plugin_parser_synthetic::register, register]);
    let manifest = Manifest::parse(&text, settings).unwrap();
    Ok(Experiment::new(manifest, registry)?.without_cache())
}

#[test]
fn what_is_in_order_is_said() {
    for task in ["{ type = \"reader\" }", "{ type = \"diagnosis\" }"] {
        let lines = found(task).unwrap_or_else(|e| panic!("{task}: {e}"));
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines[0].contains("no patient is in two splits"), "{lines:?}");
        assert!(lines[2].contains("are counted in the admissions of pretraining patients"), "{lines:?}");
        assert!(lines[4].contains("none on two sides"), "{lines:?}");
    }
}

/// The number that stands behind `word`.
fn number_after(line: &str, word: &str) -> usize {
    let (_, rest) = line.split_once(word).unwrap_or_else(|| panic!("no {word} in {line}"));
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
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
fn what_is_known_only_with_the_visit_that_is_asked_about_is_a_leak() {
    let error = found("{ type = \"reader\", peeks = true }").unwrap_err().to_string();
    assert!(
        error.contains("a leak: stage 1-finetune") && error.contains("laboratory items of other visits"),
        "{error}"
    );
    let error = found("{ type = \"reader\", knows = true }").unwrap_err().to_string();
    assert!(error.contains("see the last visit of their patient, and ask for codes of the next"), "{error}");
    // A shipped task has the items that it says, of whichever visits.
    for labs in ["none", "last", "history", "target"] {
        let lines = found(&format!("{{ type = \"diagnosis\", labs = {labs:?} }}"));
        assert!(lines.is_ok(), "{labs}: {lines:?}");
    }
}

#[test]
fn test_patients_that_pretraining_sees_are_a_leak() {
    let error = found("{ type = \"reader\", single = true }").unwrap_err().to_string();
    for says in ["a leak: stage 1-finetune", "of its test examples are in pretraining", "`asks_about_single`"] {
        assert!(error.contains(says), "{error}");
    }
    // Who says so has them kept out of everything that is learnt.
    let lines = found("{ type = \"reader\", single = true, says = true }").unwrap();
    let (single, held) = (number_after(&lines[0], "single"), number_after(&lines[0], "two splits,"));
    assert!(0 < held && held < single / 2 && lines[0].ends_with("of single are not learnt from"), "{lines:?}");
    assert!(lines[4].contains("none on two sides") && !lines[4].contains("pretraining"), "{lines:?}");
    // The published split keeps nobody out.
    let split = "data.split = { type = \"dualk\", train = 58, test = 7 }";
    let task = "{ type = \"reader\", single = true, says = true }";
    let error = experiment(task, split).unwrap().check_leaks(&Silent).unwrap_err().to_string();
    assert!(error.contains("of its test examples are in pretraining"), "{error}");
}

#[test]
fn who_is_kept_out_of_pretraining_is_learnt_from_by_no_stage() {
    let error = found("{ type = \"reader\", says = true, greedy = true }").unwrap_err().to_string();
    assert!(error.contains("its train examples share") && error.contains("patients with another split"), "{error}");
    // Where nobody is kept out, all may be learnt from.
    assert!(found("{ type = \"reader\", greedy = true }").is_ok());
}

#[test]
fn examples_of_nobody_prove_nothing() {
    let error = found("{ type = \"reader\", blind = true }").unwrap_err().to_string();
    assert!(error.contains("see no visit and do not say whose they are"), "{error}");
}

/// The lab layer, then a task.
const STAGES: &str = "[[stage]]\ntype = \"lab\"\n\n[[stage]]\ntype = \"finetune\"\ntask = { type = \"diagnosis\" }";

/// The published lab layer learns from int(0.85 n) of the n single-visit patients.
#[test]
fn examples_without_visits_are_counted_to_their_patients() {
    let lines =
        experiment_of("{ type = \"synthetic\", patients = 200 }", "", STAGES).unwrap().check_leaks(&Silent).unwrap();
    let single = number_after(&lines[0], "single");
    let train = single * 85 / 100;
    let valid = single - train;
    let expected = format!("train {train} examples of {train} patients, valid {valid} examples of {valid} patients");
    assert!(lines[4].contains(&expected), "{lines:?}");
}

#[test]
fn persons_who_are_several_patients_are_on_one_side() {
    let found = |split: &str| experiment_of("{ type = \"twins\" }", split, STAGES).unwrap().check_leaks(&Silent);
    let lines = found("").unwrap();
    assert!(lines[0].contains("no person on two sides"), "{lines:?}");
    assert!(number_after(&lines[0], "two sides,") > 0, "single-visit patients beside test patients: {lines:?}");
    assert!(lines[1].contains("200 patients of 100 persons"), "{lines:?}");
    assert!(lines[5].contains("persons") && lines[5].ends_with("none on two sides"), "{lines:?}");
    let error = found("data.split = { type = \"dualk\", train = 58, test = 7 }").unwrap_err().to_string();
    assert!(number_after(&error, "a leak:") > 0 && error.contains("of 100 persons are on two sides"), "{error}");
}

/// Sixty patients of two visits each and sixty of one, with a value of an item and a code of each visit; the first `alone` have a
/// code more that nobody else has.
fn tables(folder: &Path, alone: usize) -> String {
    let (mut visits, mut labs) = ("patient,visit,time,code\n".to_owned(), "visit,item,value\n".to_owned());
    for visit in 0..180 {
        let patient = if visit < 120 { visit / 2 } else { visit };
        let code = ["I10", "I50.9", "E11.9"][visit % 3];
        visits += &format!("{patient},{visit},2020-01-{:02},{code}\n", 1 + visit % 2);
        labs += &format!("{visit},Na,{}\n", visit * 7 % 41);
    }
    for patient in 0..alone {
        visits += &format!("{patient},{},2020-01-01,S00.{patient:02}\n", 2 * patient);
    }
    fs::write(folder.join("visits.csv"), visits).unwrap();
    fs::write(folder.join("labs.csv"), labs).unwrap();
    let path = |name: &str| folder.join(name);
    format!(
        "{{ type = \"csv\", visits = {:?}, code = [\"code\"], written = \"other\", labs = {:?}, value = \"value\", quantiles = 2 }}",
        path("visits.csv"),
        path("labs.csv")
    )
}

#[test]
fn whose_values_and_codes_are_learnt_from_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let found = |alone: usize, split: &str| {
        experiment_of(&tables(folder.path(), alone), split, "").unwrap().check_leaks(&Silent).unwrap()
    };
    let lines = found(60, "");
    assert_eq!(["train", "single"].map(|word| number_after(&lines[0], word)), [48, 60]);
    // Each of the twelve others has a code of its own, in one record.
    assert!(lines[3].ends_with("valid or test patients have, left out: 12; records of these codes: 12"), "{lines:?}");
    assert!(
        lines[4].ends_with("values in 2 columns are cut by results of 108 patients who are learnt from"),
        "{lines:?}"
    );
    let lines = found(0, "data.split = { type = \"dualk\", train = 40, test = 10 }");
    let everybody = "cut by results of 120 patients, 20 of them not learnt from, as published";
    assert!(lines[4].ends_with(everybody), "{lines:?}");
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
