//! The files of a new plugin, from the templates in `experiments/scaffold/`.

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
        let text = text.replace("@LIBRARY@", &library).replace("@TITLE@", slot_title(slot));
        text.replace("@COMMAND@", command(slot))
    };
    let mut files = vec![
        ("Cargo.toml", fill(template!("Cargo.toml.in"))),
        ("README.md", fill(template!("README.md.in"))),
        (".gitignore", fill(template!("gitignore.in"))),
        ("experiment.toml", fill(&experiment(slot))),
        ("src/lib.rs", fill(source(slot))),
    ];
    if slot == Slot::Parser {
        files.push(("visits.csv", template!("visits.csv").to_owned()));
    }
    if slot == Slot::KgeModel {
        files.push(("triples.tsv", template!("triples.tsv").to_owned()));
    }
    files
}

fn source(slot: Slot) -> &'static str {
    match slot {
        Slot::Parser => template!("parser.rs"),
        Slot::NodeInit => template!("node_init.rs"),
        Slot::GraphEncoder => template!("graph_encoder.rs"),
        Slot::Fusion => template!("fusion.rs"),
        Slot::Lab => template!("lab.rs"),
        Slot::Loss => template!("loss.rs"),
        Slot::Objective => template!("objective.rs"),
        Slot::KgeModel => template!("kge_model.rs"),
    }
}

fn slot_title(slot: Slot) -> &'static str {
    match slot {
        Slot::Parser => "reads raw tables",
        Slot::NodeInit => "gives the nodes of the disease graph their first features",
        Slot::GraphEncoder => "turns node features and the disease graph into embeddings of codes",
        Slot::Fusion => "turns sets of vectors into one vector each",
        Slot::Lab => "turns abnormal laboratory items into a vector",
        Slot::Loss => "compares logits with targets",
        Slot::Objective => "says what a stage learns",
        Slot::KgeModel => "embeds a knowledge graph",
    }
}

/// The command that trains with a component of the slot.
pub fn command(slot: Slot) -> &'static str {
    match slot {
        Slot::KgeModel => "kge train",
        _ => "run",
    }
}

/// The manifest, with the new component in place of a shipped one.
fn experiment(slot: Slot) -> String {
    if slot == Slot::KgeModel {
        return template!("embedding.toml").to_owned();
    }
    let (keys, options): (&[&str], &str) = match slot {
        Slot::Parser => (&["parser"], ", path = \"visits.csv\""),
        Slot::NodeInit => (&["node_init"], ", dim = 32"),
        Slot::GraphEncoder => (&["graph_encoder"], ", dim = 32"),
        Slot::Fusion => (&["code_fusion", "visit_fusion"], ", dim = 32"),
        Slot::Lab => (&["lab"], ", dim = 32"),
        Slot::Loss => (&["loss"], ""),
        Slot::Objective => (&["task"], ""),
        Slot::KgeModel => (&[], ""),
    };
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
            let files = files(slot, "my-part");
            let left = ["@NAME@", "@SLOT@", "@LIBRARY@", "@TITLE@", "@COMMAND@"];
            let filled = |text: &str| left.iter().all(|placeholder| !text.contains(placeholder));
            assert!(files.iter().all(|(_, text)| filled(text)), "{slot}: a placeholder is left");
            let (_, manifest) = files.iter().find(|(file, _)| *file == "experiment.toml").unwrap();
            let named = manifest.matches("type = \"my-part\"").count();
            assert_eq!(named, if slot == Slot::Fusion { 2 } else { 1 }, "{slot}: {manifest}");
        }
    }
}
