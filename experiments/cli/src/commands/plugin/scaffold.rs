//! The files of a new plugin, from the templates in `scaffold/`.

use dualk_sdk::component::Slot;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};

macro_rules! template {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/scaffold/", $file))
    };
}

/// The files of a plugin: paths and texts.
pub fn files(slot: Slot, name: &str) -> Vec<(&'static str, String)> {
    let library = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", name.replace('-', "_"));
    let fill = |text: &str| {
        let text = text.replace("@NAME@", name).replace("@SLOT@", slot.name());
        let text = text.replace("@LIBRARY@", &library).replace("@TITLE@", template(slot).title);
        text.replace("@COMMAND@", command(slot)).replace("@PROFILE@", profile(slot))
    };
    let mut files = vec![
        ("Cargo.toml", fill(template!("Cargo.toml.in"))),
        ("README.md", fill(template!("README.md.in"))),
        (".gitignore", fill(template!("gitignore.in"))),
        ("experiment.toml", fill(&experiment(slot))),
        ("src/lib.rs", fill(template(slot).source)),
    ];
    if slot == Slot::Parser {
        files.push(("visits.csv", template!("visits.csv").to_owned()));
    }
    if slot == Slot::KgeModel {
        files.push(("triples.tsv", template!("triples.tsv").to_owned()));
    }
    files
}

/// What a plugin for a slot is made from.
struct Template {
    slot: Slot,
    /// Its `lib.rs`.
    source: &'static str,
    /// What the component does, for the README.
    title: &'static str,
    /// The keys of the manifest that name it, and its options there.
    keys: (&'static [&'static str], &'static str),
}

const TEMPLATES: [Template; 11] = [
    Template {
        slot: Slot::Parser,
        source: template!("parser.rs"),
        title: "reads raw tables",
        keys: (&["parser"], ", path = \"visits.csv\""),
    },
    Template {
        slot: Slot::NodeInit,
        source: template!("node_init.rs"),
        title: "gives the nodes of the disease graph their first features",
        keys: (&["node_init"], ", dim = 32"),
    },
    Template {
        slot: Slot::GraphEncoder,
        source: template!("graph_encoder.rs"),
        title: "turns node features and the disease graph into embeddings of codes",
        keys: (&["graph_encoder"], ", dim = 32"),
    },
    Template {
        slot: Slot::PatientEncoder,
        source: template!("patient_encoder.rs"),
        title: "turns the visits of a patient into a vector",
        keys: (&["patient_encoder"], ", dim = 32"),
    },
    Template {
        slot: Slot::Fusion,
        source: template!("fusion.rs"),
        title: "turns sets of vectors into one vector each",
        keys: (&["code_fusion", "visit_fusion"], ", dim = 32"),
    },
    Template {
        slot: Slot::Lab,
        source: template!("lab.rs"),
        title: "turns abnormal laboratory items into a vector",
        keys: (&["lab"], ", dim = 32"),
    },
    Template {
        slot: Slot::Head,
        source: template!("head.rs"),
        title: "turns vectors into logits",
        keys: (&["head"], ", dim = 32"),
    },
    Template {
        slot: Slot::Loss,
        source: template!("loss.rs"),
        title: "compares logits with targets",
        keys: (&["loss"], ""),
    },
    Template {
        slot: Slot::Objective,
        source: template!("objective.rs"),
        title: "says what a stage learns",
        keys: (&["task"], ""),
    },
    Template {
        slot: Slot::Recipe,
        source: template!("recipe.rs"),
        title: "says which stages there are",
        keys: (&["recipe"], ""),
    },
    Template {
        slot: Slot::KgeModel,
        source: template!("kge_model.rs"),
        title: "embeds a knowledge graph",
        keys: (&[], ""),
    },
];

/// The template of a slot. A test makes sure that every slot has one.
fn template(slot: Slot) -> &'static Template {
    TEMPLATES.iter().find(|template| template.slot == slot).unwrap_or(&TEMPLATES[0])
}

/// The command that trains with a component of the slot.
pub fn command(slot: Slot) -> &'static str {
    match slot {
        Slot::KgeModel => "kge train",
        _ => "run",
    }
}

/// How a component is compiled. Most say which operations of the SDK follow one another, compiled there: optimising the
/// names of burn's operations in a loss takes seven seconds, and no step is faster for it.
fn profile(slot: Slot) -> &'static str {
    match slot {
        Slot::Parser | Slot::KgeModel => "",
        _ => {
            "\n# What computes is compiled in the SDK. Take this out where the plugin has loops of its own.\n\
              [profile.release]\nopt-level = 1\n"
        }
    }
}

/// The manifest, with the new component in place of a shipped one.
fn experiment(slot: Slot) -> String {
    if slot == Slot::KgeModel {
        return template!("embedding.toml").to_owned();
    }
    let (keys, options) = template(slot).keys;
    let line = |line: &str| match line.split_once(" = ") {
        Some((key, _)) if keys.contains(&key) => format!("{key} = {{ type = \"@NAME@\"{options} }}\n"),
        _ => format!("{line}\n"),
    };
    template!("experiment.toml").lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_gets_its_component_into_the_manifest() {
        for slot in Slot::ALL {
            assert_eq!(template(slot).slot, slot);
            let files = files(slot, "my-part");
            let left = ["@NAME@", "@SLOT@", "@LIBRARY@", "@TITLE@", "@COMMAND@", "@PROFILE@"];
            let filled = |text: &str| left.iter().all(|placeholder| !text.contains(placeholder));
            assert!(files.iter().all(|(_, text)| filled(text)), "{slot}: a placeholder is left");
            let (_, manifest) = files.iter().find(|(file, _)| *file == "experiment.toml").unwrap();
            let named = manifest.matches("type = \"my-part\"").count();
            assert_eq!(named, if slot == Slot::Fusion { 2 } else { 1 }, "{slot}: {manifest}");
        }
    }
}
