//! What differs between manifests, as names of rows.

use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// A part of a resolved manifest that can differ: a component with its options, or a plain value.
#[derive(Debug, Clone, PartialEq)]
enum Facet {
    Component(String, Table),
    Plain(Value),
}

/// The parts of a manifest by path. Stages go by their kind, so that a manifest that lacks one stage still has the others
/// in common with one that has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facets {
    parts: BTreeMap<String, Facet>,
    /// Where what the last tested stage learns is among them.
    task: Option<String>,
}

/// Keys that do not make another configuration: names, seeds, and where results and plugins are.
const ASIDE: [&str; 6] = ["name", "seed", "output", "plugin", "sweep", "evaluate_only"];

impl Facets {
    /// The facets of a resolved manifest.
    pub fn of(manifest: &Table) -> Self {
        let mut facets = Self::default();
        for (key, value) in manifest.iter().filter(|(key, _)| !ASIDE.contains(&key.as_str())) {
            match value {
                Value::Array(stages) if key == "stage" => facets.add_stages(stages),
                value => facets.add(key, value),
            }
        }
        facets
    }

    /// The same without the seeds of cohort and split: they say who the patients are, and make no other configuration.
    pub(in crate::experiment) fn of_any_patients(mut self) -> Self {
        for path in ["data.parser", "data.split"] {
            if let Some(Facet::Component(_, options)) = self.parts.get_mut(path) {
                options.remove("seed");
            }
        }
        self
    }

    fn add(&mut self, path: &str, value: &Value) {
        match value {
            Value::Table(table) => match table.get("type").and_then(Value::as_str) {
                Some(name) => {
                    let mut options = table.clone();
                    options.remove("type");
                    self.parts.insert(path.to_owned(), Facet::Component(name.to_owned(), options));
                }
                None => table.iter().for_each(|(key, value)| self.add(&format!("{path}.{key}"), value)),
            },
            value => {
                self.parts.insert(path.to_owned(), Facet::Plain(value.clone()));
            }
        }
    }

    fn add_stages(&mut self, stages: &[Value]) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let tests = |stage: &Table| stage.get("test").and_then(Value::as_bool) == Some(true);
        // Resolved manifests say which stages are tested; in others it is the last.
        let any = stages.iter().filter_map(Value::as_table).any(tests);
        for stage in stages.iter().filter_map(Value::as_table) {
            let text = |key: &str| stage.get(key).and_then(Value::as_str);
            let kind = text("type").unwrap_or("stage");
            // Whoever says nothing trains all heads together.
            let kind = match text("mode").filter(|mode| *mode != "joint") {
                Some(mode) => format!("{kind}-{mode}"),
                None => kind.to_owned(),
            };
            let n = seen.entry(kind.clone()).or_default();
            *n += 1;
            let path = if *n == 1 { kind } else { format!("{kind}-{n}") };
            self.parts.insert(path.clone(), Facet::Plain(Value::Boolean(true)));
            if tests(stage) || !any {
                let key = if stage.contains_key("task") { "task" } else { "objective" };
                self.task = Some(format!("{path}.{key}"));
            }
            for (key, value) in stage.iter().filter(|(key, _)| !["type", "mode"].contains(&key.as_str())) {
                self.add(&format!("{path}.{key}"), value);
            }
        }
    }

    fn get(&self, path: &str) -> Option<&Facet> {
        self.parts.get(path)
    }

    /// The component at a path, such as `data.parser`, as a text for messages.
    pub fn text(&self, path: &str) -> String {
        match self.get(path) {
            None => "none".to_owned(),
            Some(Facet::Plain(value)) => short(value),
            Some(Facet::Component(name, options)) => {
                let options: Vec<String> = options.iter().map(|(k, v)| format!("{k} = {}", short(v))).collect();
                format!("{name} {{ {} }}", options.join(", "))
            }
        }
    }

    /// What the last tested stage is asked, without the options of its objective that say what a model sees: `inputs`.
    pub fn task(&self, inputs: &[&str]) -> String {
        match self.task.as_deref().and_then(|path| self.get(path)) {
            Some(Facet::Component(name, options)) => {
                let asked = options.iter().filter(|(key, _)| !inputs.contains(&key.as_str()));
                let options: Vec<String> = asked.map(|(k, v)| format!("{k} = {}", short(v))).collect();
                if options.is_empty() { name.clone() } else { format!("{name} {{ {} }}", options.join(", ")) }
            }
            Some(Facet::Plain(name)) => short(name),
            None => "none".to_owned(),
        }
    }

    /// Paths below any of `prefixes` at which this differs from another.
    pub fn differing<'a>(&'a self, other: &'a Self, prefixes: &[&str]) -> Vec<&'a str> {
        let paths: BTreeSet<&str> = self.parts.keys().chain(other.parts.keys()).map(String::as_str).collect();
        let below = |path: &&str| {
            prefixes.iter().any(|p| path.strip_prefix(p).is_some_and(|r| r.is_empty() || r.starts_with('.')))
        };
        paths.into_iter().filter(below).filter(|path| self.get(path) != other.get(path)).collect()
    }
}

/// A name for each configuration: what it has that others have not, and nothing else. Where the others change one thing
/// each of the first, only the change is named.
pub fn names(all: &[Facets]) -> Vec<String> {
    let paths: BTreeSet<&String> = all.iter().flat_map(|f| f.parts.keys()).collect();
    let differs = |path: &&&String| all.iter().any(|f| f.get(path) != all[0].get(path));
    let mut paths: Vec<&str> = paths.iter().filter(differs).map(|p| p.as_str()).collect();
    // A stage that is missing takes its keys with it.
    let missing = |path: &str| all.iter().any(|f| f.get(path).is_none());
    let parents: Vec<&str> = paths.iter().copied().filter(|p| !p.contains('.') && missing(p)).collect();
    paths.retain(|path| {
        let parent = path.split('.').next().filter(|parent| parents.contains(parent) && parent != path);
        // What differs even between those that have the stage.
        parent.is_none_or(|parent| {
            let mut present = all.iter().filter(|f| f.get(parent).is_some()).map(|f| f.get(path));
            let first = present.next();
            present.any(|facet| Some(facet) != first)
        })
    });
    if paths.is_empty() {
        return vec!["the manifest".to_owned(); all.len()];
    }
    let labels = |f: &Facets, relative: bool| -> String {
        let shown = paths.iter().filter(|path| !relative || f.get(path) != all[0].get(path));
        let texts: Vec<String> = shown.map(|path| label(all, f, path, &paths)).collect();
        if texts.is_empty() { "base".to_owned() } else { texts.join(", ") }
    };
    // One change at a time names itself; combinations are named by all their values.
    let changes: usize = all.iter().map(|f| paths.iter().filter(|path| f.get(path) != all[0].get(path)).count()).sum();
    let relative = paths.len() > 1 && 2 * changes <= paths.len() * (all.len() - 1);
    all.iter().map(|f| labels(f, relative)).collect()
}

fn label(all: &[Facets], one: &Facets, path: &str, paths: &[&str]) -> String {
    let last = path.rsplit('.').next().unwrap_or(path);
    let alike = paths.iter().filter(|p| p.rsplit('.').next() == Some(last)).count() > 1;
    let key = if alike { path } else { last };
    match one.get(path) {
        Some(Facet::Component(name, options)) => {
            let text = component(all, path, name, options);
            if paths.len() == 1 { text } else { format!("{key} = {text}") }
        }
        Some(Facet::Plain(Value::Boolean(true))) if !path.contains('.') => format!("with {path}"),
        None if !path.contains('.') => format!("without {path}"),
        Some(Facet::Plain(value)) => format!("{key} = {}", short(value)),
        None => format!("{key} = none"),
    }
}

/// A component by its name, with the options in which it differs from others of that name.
fn component(all: &[Facets], path: &str, name: &str, options: &Table) -> String {
    let same: Vec<&Table> = all
        .iter()
        .filter_map(|f| match f.get(path) {
            Some(Facet::Component(other, options)) if other == name => Some(options),
            _ => None,
        })
        .collect();
    let differs = |key: &String| same.iter().any(|o| o.get(key) != same[0].get(key));
    let shown: Vec<String> =
        options.iter().filter(|(k, _)| differs(k)).map(|(k, v)| format!("{k}={}", short(v))).collect();
    std::iter::once(name.to_owned()).chain(shown).collect::<Vec<_>>().join(" ")
}

/// A value as a reader wants it: no quotes, and of a path the last part.
pub(in crate::experiment) fn short(value: &Value) -> String {
    match value {
        Value::String(text) if text.contains('/') => text.rsplit('/').next().unwrap_or(text).to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let shown: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", short(value))).collect();
            format!("{{ {} }}", shown.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "name = 'x'\nseed = 1\n[model]\ngraph_encoder = { type = 'gat', heads = 1, dims = [8, 8] }\n\
        lab = { type = 'linear', dim = 8 }\n[[stage]]\ntype = 'lab'\nepochs = 3\nlr = 0.001\n\
        [[stage]]\ntype = 'finetune'\nepochs = 4\nlr = 0.001\nloss = { type = 'bce' }";

    fn of(changes: &[(&str, &str)]) -> Facets {
        let text = changes.iter().fold(BASE.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        Facets::of(&toml::from_str(&text).unwrap())
    }

    const GCN: (&str, &str) = ("'gat', heads = 1", "'gcn'");
    const FOCAL: (&str, &str) = ("'bce'", "'focal'");

    #[test]
    fn one_component_names_itself() {
        assert_eq!(names(&[of(&[]), of(&[GCN])]), ["gat", "gcn"]);
        let heads = ("heads = 1", "heads = 4");
        assert_eq!(names(&[of(&[]), of(&[heads]), of(&[GCN])]), ["gat heads=1", "gat heads=4", "gcn"]);
    }

    #[test]
    fn seeds_names_and_folders_are_no_difference() {
        let other = of(&[("name = 'x'", "name = 'y'"), ("seed = 1", "seed = 2")]);
        assert_eq!(other, of(&[]));
        assert_eq!(names(&[of(&[])]), ["the manifest"]);
    }

    #[test]
    fn seeds_of_patients_are_no_other_configuration() {
        let of = |data: &str| Facets::of(&toml::from_str(&format!("[data]\n{data}")).unwrap());
        let all = [(1, 2, 9), (3, 4, 9), (1, 2, 8)].map(|(parser, split, patients)| {
            of(&format!(
                "parser = {{ type = 'p', patients = {patients}, seed = {parser} }}\n\
                 split = {{ type = 'random', seed = {split} }}"
            ))
        });
        assert_ne!(all[0], all[1]);
        let [a, b, c] = all.map(Facets::of_any_patients);
        assert_eq!(a, b);
        assert_ne!(a, c);
    }

    #[test]
    fn combinations_show_all_values_and_single_changes_the_change() {
        let all = [of(&[]), of(&[FOCAL]), of(&[GCN]), of(&[GCN, FOCAL])];
        let expected = [
            "loss = bce, graph_encoder = gat",
            "loss = focal, graph_encoder = gat",
            "loss = bce, graph_encoder = gcn",
            "loss = focal, graph_encoder = gcn",
        ];
        assert_eq!(names(&all), expected);
        let all = [of(&[]), of(&[FOCAL]), of(&[GCN]), of(&[("dim = 8", "dim = 16")])];
        assert_eq!(names(&all), ["base", "loss = focal", "graph_encoder = gcn", "lab = linear dim=16"]);
    }

    /// The task of a manifest with these stages.
    fn task(stages: &str) -> String {
        Facets::of(&toml::from_str(stages).unwrap()).task(&["labs"])
    }

    #[test]
    fn the_task_is_that_of_the_last_tested_stage_of_any_recipe() {
        let stage = |kind: &str, key: &str, name: &str, test: bool| {
            format!(
                "[[stage]]\ntype = '{kind}'\n{key} = {{ type = '{name}', least = 2, labs = 'last' }}\ntest = {test}\n"
            )
        };
        let other = |name: &str| stage("warm", "objective", "masked", false) + &stage("adapt", "objective", name, true);
        assert_eq!(task(&other("rare")), "rare { least = 2 }");
        assert_ne!(task(&other("rare")), task(&other("diagnosis")));
        // Stages of one kind are numbered, and come in the order of the manifest.
        let many: String = (1..=11).map(|i| stage("finetune", "task", &format!("t{i}"), i < 11)).collect();
        assert_eq!(task(&many), "t10 { least = 2 }");
        assert_eq!(
            task(&(stage("finetune", "task", "a", true) + &stage("adapt", "objective", "b", false))),
            "a { least = 2 }"
        );
        // As it is written, a manifest leaves it to the recipe which stage is tested.
        assert_eq!(task("[[stage]]\ntype = 'lab'\n[[stage]]\ntype = 'finetune'\ntask = 'rare'\n"), "rare");
        assert_eq!(task("name = 'x'"), "none");
    }

    #[test]
    fn a_missing_stage_is_one_difference() {
        let without = of(&[("[[stage]]\ntype = 'lab'\nepochs = 3\nlr = 0.001\n", "")]);
        assert_eq!(names(&[of(&[]), without]), ["with lab", "without lab"]);
    }

    #[test]
    fn stages_of_any_recipe_go_by_their_mode() {
        let stages = |mode: &str| format!("[[stage]]\ntype = 'warm'\nmode = '{mode}'\nlr = 0.1\n");
        let of = |text: String| Facets::of(&toml::from_str(&text).unwrap());
        let (both, joint) = (of(stages("joint") + &stages("individual")), of(stages("joint")));
        assert_eq!(names(&[both, joint]), ["with warm-individual", "without warm-individual"]);
    }

    #[test]
    fn keys_of_one_name_show_their_stage() {
        let all =
            [of(&[]), of(&[("lr = 0.001", "lr = 0.01")]), of(&[("epochs = 3\nlr = 0.001", "epochs = 3\nlr = 0.01")])];
        assert_eq!(names(&all)[2], "finetune.lr = 0.001, lab.lr = 0.01");
    }
}
