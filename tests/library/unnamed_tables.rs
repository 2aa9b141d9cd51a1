//! A parser that does not say which files it reads: what came of them tells runs apart.

#[path = "support/plugins.rs"]
mod plugins;

use dualk_plugin_parser_synthetic::SyntheticOptions;
use dualk_sdk::experiment::{Evaluation, Experiment, Manifest};
use dualk_sdk::plugin::{Registrar, Registry};
use dualk_sdk::prelude::*;
use dualk_sdk::progress::{Silent, Task};
use std::fs;
use std::path::Path;
use std::sync::Mutex;

options! {
    /// Options of `unnamed`.
    pub struct UnnamedOptions {
        /// A folder with a file of which the identifier of the first patient is read.
        pub folder: String = String::new(),
    }
}

impl Component for UnnamedOptions {
    const NAME: &'static str = "unnamed";
    const ABOUT: &'static str = "Made-up patients whose identifiers are those of a file.";
}

impl BuildParser for UnnamedOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        Ok(Box::new(self))
    }
}

impl Parser for UnnamedOptions {
    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let first: i64 = fs::read_to_string(Path::new(&self.folder).join("first")).unwrap().parse().unwrap();
        let made_up = SyntheticOptions { patients: 200, codes: 60, labs: 12, clusters: 5, ..Default::default() };
        let mut cohort = made_up.build()?.parse(context)?;
        cohort.patients.iter_mut().for_each(|patient| *patient += first);
        Ok(cohort)
    }
}

fn register(registrar: &mut Registrar<'_>) {
    registrar.add::<dualk_sdk::slots::parser, UnnamedOptions>();
}

fn registry() -> Registry {
    plugins::registry(&[register])
}

fn experiment(folder: &Path) -> Experiment {
    let text = format!(
        r#"
name = "unnamed"
backend.device = "cpu"
output.runs = {:?}
data.parser = {{ type = "unnamed", folder = {folder:?} }}
data.split = {{ type = "random", train = 0.6, valid = 0.2, test = 0.2 }}

[model]
node_init = {{ type = "random", dim = 8 }}
graph_encoder = {{ type = "gat", dims = [8] }}
head = {{ decoder = [8, 8], classifier = [8] }}

[[stage]]
type = "finetune"
epochs = 1
"#,
        folder.join("runs")
    );
    Experiment::new(Manifest::parse(&text, &[]).unwrap(), registry()).unwrap().without_cache()
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

#[test]
fn a_table_that_no_parser_names_makes_another_run_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let run = |first: &str| {
        fs::write(folder.path().join("first"), first).unwrap();
        experiment(folder.path()).run(&Silent).unwrap().1.path().to_owned()
    };
    let before = run("1000");
    let said = || {
        let lines = Lines::default();
        Experiment::evaluate_run(&before, Evaluation::default(), registry(), &lines).unwrap();
        lines.0.into_inner().unwrap().join("\n")
    };
    assert_eq!(run("1000"), before);
    assert!(!said().contains("warning"), "{}", said());
    let after = run("2000");
    assert!(after != before && before.join("result.json").is_file(), "the run of the table before stays");
    assert!(said().contains("since the run, something changed: prepared cohort: then "), "{}", said());
}
