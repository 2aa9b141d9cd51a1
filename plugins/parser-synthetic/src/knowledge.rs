//! What a knowledge graph and a hierarchy say of a made-up world.

use crate::SyntheticOptions;
use crate::draw::Draw;
use crate::files::{Files, proportion};
use crate::generate::FIRST_ITEM;
use crate::{hidden, world};
use dualk_sdk::data::hierarchy::{Icd, ancestors};
use dualk_sdk::prelude::*;
use dualk_sdk::storage;
use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

/// A triple of head, relation and tail.
pub type Fact = (String, &'static str, String);

/// All codes of a world, and how they really hang together.
#[derive(Debug, Clone)]
pub struct Knowledge {
    codes: Vec<String>,
    facts: Vec<Fact>,
    seed: u64,
}

impl Knowledge {
    /// The knowledge of the patients that the parser `synthetic` makes up by these options.
    pub fn of_patients(options: &SyntheticOptions) -> Self {
        let world = hidden::World::new(options, &mut Draw::new(options.seed));
        let main = |module: usize| world.codes[world.modules[module].codes[0].0 as usize].clone();
        let mut facts = world.knowledge.clone();
        for cluster in &world.clusters {
            facts.extend(cluster.clone().skip(1).map(|module| (main(module), "found_with", main(cluster.start))));
        }
        Self { codes: world.codes, facts, seed: options.seed }
    }

    /// The knowledge of the tables that these numbers give.
    pub fn of_tables(files: &Files) -> Self {
        let world = world::World::new(&files.sizes(), &mut Draw::new(files.seed));
        let name = |code: u32| world.codes[code as usize].clone();
        let mut facts: Vec<Fact> = Vec::new();
        for cluster in &world.clusters {
            let Some(first) = cluster.chronic.first() else { continue };
            let found_with = |code: u32| (name(code), "found_with", name(first.code));
            facts.extend(cluster.chronic.iter().skip(1).map(|condition| found_with(condition.code)));
            facts.extend(cluster.rare.iter().map(|&code| (name(code), "complication_of", name(first.code))));
            for episode in &cluster.episodes {
                facts.extend(episode.codes.first().map(|&code| found_with(code)));
                facts.extend(episode.codes.windows(2).map(|two| (name(two[0]), "occurs_with", name(two[1]))));
            }
            let conditions = cluster.chronic.iter().map(|condition| (condition.code, &condition.labs));
            let episodes = cluster.episodes.iter().filter_map(|e| Some((*e.codes.first()?, &e.labs)));
            for (code, labs) in conditions.chain(episodes) {
                let item = |&item: &u32| ((FIRST_ITEM + i64::from(item)).to_string(), "abnormal_in", name(code));
                facts.extend(labs.iter().map(item));
            }
        }
        Self { codes: world.codes, facts, seed: files.seed }
    }

    /// The facts as a graph that is right with chance `strength`: each of the others has any code as its tail. 0 leaves a
    /// graph of the same size that says nothing.
    pub fn told(&self, strength: f64) -> Vec<Fact> {
        let mut draw = Draw::new(self.seed ^ 0x6b6e_6f77);
        let mut seen = HashSet::new();
        let told = self.facts.iter().map(|(head, relation, tail)| {
            let right = draw.chance(strength);
            let other = &self.codes[draw.below(self.codes.len())];
            (head.clone(), *relation, if right { tail.clone() } else { other.clone() })
        });
        told.filter(|fact| fact.0 != fact.2 && seen.insert(fact.clone())).collect()
    }

    /// Codes and those above them, each pair once: subcategory, category, chapter.
    pub fn hierarchy(&self) -> Vec<(String, String)> {
        let mut seen = HashSet::new();
        let chain = |code: &String| {
            let above = ancestors(code, Icd::Icd9);
            std::iter::once(code.clone()).chain(above.clone()).zip(above).collect::<Vec<_>>()
        };
        self.codes.iter().flat_map(chain).filter(|pair| seen.insert(pair.clone())).collect()
    }

    /// Writes `knowledge.tsv`, a line a triple with tabs between, and `hierarchy.csv` with the columns `code`, `parent_code`
    /// and `name` into a folder, as sources of `dualk kge`.
    ///
    /// # Errors
    /// When `strength` is no chance, or a file cannot be written.
    pub fn write(&self, folder: &Path, strength: f64) -> Result<()> {
        proportion("--knowledge", strength)?;
        let (mut graph, mut tree) = (String::new(), String::from("code,parent_code,name\n"));
        for (head, relation, tail) in self.told(strength) {
            // Writing into a string cannot fail.
            let _ = writeln!(graph, "{head}\t{relation}\t{tail}");
        }
        for (code, parent) in self.hierarchy() {
            let _ = writeln!(tree, "{code},{parent},");
        }
        storage::common_folder(folder)?;
        // A graph with the hierarchy of other codes would be read, and mean something else.
        let new = storage::Draft::beside(&folder.join("knowledge"))?;
        let mut pairs = Vec::new();
        for (name, text) in [("knowledge.tsv", graph), ("hierarchy.csv", tree)] {
            storage::write(&new.path().join(name), text.as_bytes())?;
            pairs.push((new.path().join(name), folder.join(name)));
        }
        storage::sync_tree(new.path())?;
        storage::exchange_all(&pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The part of pairs of codes with a fact between them that the world puts together.
    fn right(facts: &[Fact], cluster_of: &HashMap<String, usize>) -> f64 {
        let both = facts.iter().filter_map(|f| Some((cluster_of.get(&f.0)?, cluster_of.get(&f.2)?)));
        let pairs: Vec<bool> = both.map(|(a, b)| a == b).collect();
        assert!(pairs.len() > 50, "{}", pairs.len());
        pairs.iter().filter(|&&same| same).count() as f64 / pairs.len() as f64
    }

    #[test]
    fn facts_are_those_that_patients_are_made_from_and_strength_0_removes_them() {
        let options = SyntheticOptions::default();
        let world = hidden::World::new(&options, &mut Draw::new(options.seed));
        let mut cluster_of = HashMap::new();
        for (k, cluster) in world.clusters.iter().enumerate() {
            for (code, _) in cluster.clone().flat_map(|m| &world.modules[m].codes) {
                cluster_of.insert(world.codes[*code as usize].clone(), k);
            }
        }
        let of_patients = Knowledge::of_patients(&options);
        let files = Files::default();
        let of_tables = Knowledge::of_tables(&files);
        let mut table_cluster = HashMap::new();
        let tables = world::World::new(&files.sizes(), &mut Draw::new(files.seed));
        for (k, cluster) in tables.clusters.iter().enumerate() {
            let codes = cluster.chronic.iter().map(|c| c.code).chain(cluster.rare.iter().copied());
            for code in codes.chain(cluster.episodes.iter().flat_map(|e| e.codes.clone())) {
                table_cluster.insert(tables.codes[code as usize].clone(), k);
            }
        }
        for (knowledge, cluster_of) in [(of_patients, cluster_of), (of_tables, table_cluster)] {
            assert_eq!(right(&knowledge.told(1.0), &cluster_of), 1.0);
            let [none, half] = [0.0, 0.5].map(|strength| right(&knowledge.told(strength), &cluster_of));
            // As many clusters as there are put two codes together by chance.
            assert!(none < 0.2 && (0.4..0.7).contains(&half), "{none} {half}");
            let heads: HashSet<&String> = knowledge.facts.iter().map(|f| &f.0).collect();
            let linked =
                cluster_of.keys().filter(|code| heads.contains(code) || knowledge.facts.iter().any(|f| f.2 == **code));
            assert_eq!(linked.count(), cluster_of.len(), "codes that the graph does not have");
        }
    }

    #[test]
    fn files_are_sources_of_triples() {
        let folder = tempfile::tempdir().unwrap();
        let knowledge = Knowledge::of_patients(&SyntheticOptions::default());
        knowledge.write(folder.path(), 1.0).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let (graph, tree) = (read("knowledge.tsv"), read("hierarchy.csv"));
        assert!(graph.lines().all(|line| line.split('\t').count() == 3));
        assert!(tree.starts_with("code,parent_code,name\n") && tree.contains("\n428.0,428,\n428,390-459,\n"), "{tree}");
        let error = knowledge.write(folder.path(), 1.5).unwrap_err().to_string();
        assert!(error.starts_with("`--knowledge`"), "{error}");
    }
}
