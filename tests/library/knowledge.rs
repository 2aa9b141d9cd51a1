//! What experiments do before they read the sources of a knowledge graph, and what they prepare for the head that looks at
//! one.

#[path = "support/plugins.rs"]
mod plugins;

use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;

/// An experiment with these sources and a head.
fn experiment(sources: &str, head: &str) -> Experiment {
    let text = format!(
        r#"
name = "knowledge"
backend.device = "cpu"

[data]
parser = {{ type = "synthetic", patients = 200 }}
knowledge = [{sources}]

[model]
node_init = {{ type = "random", dim = 4 }}
graph_encoder = {{ type = "gcn", dims = [4] }}
head = "{head}"

[[stage]]
type = "finetune"
task = "diagnosis"
"#
    );
    let registry = plugins::registry(&[dualk_plugin_parser_synthetic::register]);
    Experiment::new(Manifest::parse(&text, &[]).unwrap(), registry).unwrap().without_cache()
}

#[test]
fn files_are_looked_at_before_there_are_patients() {
    /// Fails when a parser begins to work.
    struct Nobody;

    impl Progress for Nobody {
        fn begin(&self, what: &str, _: &str, _: Option<u64>) -> Box<dyn dualk_sdk::progress::Task> {
            panic!("{what} has begun");
        }

        fn line(&self, _: &str) {}
    }

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tree.csv");
    std::fs::write(&file, "code,parent\n428.0,428\n").unwrap();
    let experiment =
        experiment(&format!("{{ type = \"parser\" }}, {{ type = \"hierarchy\", path = {file:?} }}"), "mlp");
    for found in [experiment.check(), experiment.prepare(&Nobody).map(drop), experiment.run(&Nobody).map(drop)] {
        let error = found.unwrap_err().to_string();
        assert!(error.starts_with("`data.knowledge[1].path`: the column `parent_code` is missing"), "{error}");
        assert!(error.contains("tree.csv:1") && error.contains("manifest:7:"), "{error}");
    }
    std::fs::write(&file, "code,parent_code\n428.0,428\n").unwrap();
    experiment.check().unwrap();
    experiment.prepare(&Silent).unwrap();
}

#[test]
fn items_of_each_visit_are_there_for_heads_that_tell_visits_apart() {
    let of = |head: &str| experiment("{ type = \"parser\" }", head);
    let (together, apart) = (of("mlp"), of("knowledge"));
    let [for_mlp, for_knowledge] = [&together, &apart].map(|experiment| experiment.prepare(&Silent).unwrap());
    let objective = apart.registry().make::<slots::objective>("diagnosis", dualk_sdk::toml::Table::new()).unwrap();
    let is_known = |data: &Dataset| objective.examples(data, Split::Train).unwrap().visit_labs.is_some();
    assert!(is_known(&for_knowledge) && !is_known(&for_mlp));
    // Both heads can use what was prepared for one that tells visits apart.
    let device = Device::flex();
    let enter = |experiment: &Experiment, data: &Dataset| {
        let model = experiment.model(data, &device, |_| {}).unwrap();
        experiment.enter_stage(model, 0, objective.as_ref(), data, &device).map(|model| model.tells_visits_apart())
    };
    assert!(enter(&apart, &for_knowledge).unwrap());
    assert!(!enter(&together, &for_knowledge).unwrap());
    let error = enter(&apart, &for_mlp).unwrap_err().to_string();
    assert!(error.starts_with("`model.head`: a head tells visits apart"), "{error}");
}
