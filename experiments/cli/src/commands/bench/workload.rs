//! A made-up disease graph and patients of the size and shape of MIMIC-IV.

use super::{check_room, size};
use clap::Args;
use dualk_sdk::data::legacy_random::RandomState;
use dualk_sdk::data::{Cohort, Dataset, LabItem, Ragged, Splits, Vocabulary};
use dualk_sdk::graph::Graph;
use dualk_sdk::serde_json::{Value, json};
use dualk_sdk::{Error, Result};

/// Longest history, in visits, and largest visit, in codes: those of MIMIC-IV.
const MOST_VISITS: usize = 90;
const MOST_CODES: usize = 40;
/// Popularity of a code falls as 1 / (rank + HUBS)^FALL, so that some ten codes co-occur with most others.
const HUBS: f64 = 10.0;
const FALL: f64 = 1.0;
/// Fraction of the laboratory items that are abnormal in a visit.
const ABNORMAL: f64 = 0.1;

/// Sizes of graph and patients.
#[derive(Args, Debug, Clone)]
pub struct Sizes {
    /// Nodes of the graph, the padding node 0 included.
    #[arg(long, default_value_t = 7946, value_parser = size)]
    pub nodes: usize,
    /// Directed edges of the graph.
    #[arg(long, default_value_t = 1_725_287, value_parser = size)]
    pub edges: usize,
    /// Codes to predict.
    #[arg(long, default_value_t = 7337, value_parser = size)]
    pub targets: usize,
    /// Mean number of visits that the model sees of a patient; skewed, 90 at most.
    #[arg(long, default_value_t = 2.6)]
    pub visits: f64,
    /// Mean number of codes of a visit; skewed, 40 at most.
    #[arg(long, default_value_t = 12.0)]
    pub codes: f64,
    /// Laboratory items of each category.
    #[arg(long, value_delimiter = ',', default_values_t = [239, 191, 15], value_parser = size)]
    pub labs: Vec<usize>,
    /// Seed of graph, patients and parameters.
    #[arg(long, default_value_t = 66)]
    pub seed: u64,
}

impl Sizes {
    /// Refuses sizes that no graph or patient can have.
    pub fn check(&self) -> Result<()> {
        let fail = |flag: &str, what: String| Err(Error::user(format!("--{flag}: {what}")));
        let codes = self.nodes.saturating_sub(1);
        let most = codes * codes.saturating_sub(1) / 2 * 2;
        if codes < 2 {
            return fail("nodes", format!("expected at least 3, found {}", self.nodes));
        }
        if self.edges > most {
            return fail("edges", format!("{} nodes have at most {most} edges, found {}", self.nodes, self.edges));
        }
        if self.targets == 0 || self.targets > codes {
            return fail("targets", format!("expected 1 to {codes} for {} nodes, found {}", self.nodes, self.targets));
        }
        if !(1.0..=MOST_VISITS as f64 / 2.0).contains(&self.visits) {
            return fail("visits", format!("expected a mean from 1 to {}, found {}", MOST_VISITS / 2, self.visits));
        }
        if !(1.0..=MOST_CODES as f64 / 2.0).contains(&self.codes) {
            return fail("codes", format!("expected a mean from 1 to {}, found {}", MOST_CODES / 2, self.codes));
        }
        if self.labs.is_empty() || self.labs.len() > 255 || self.labs.contains(&0) {
            return fail("labs", format!("expected 1 to 255 categories of at least 1 item, found {:?}", self.labs));
        }
        Ok(())
    }

    /// Everything that a stage learns from: `patients` patients, each in every split. A patient has the
    /// visits that the model sees, and one more to predict when `next_visit` is set.
    pub fn dataset(&self, patients: usize, next_visit: bool) -> Result<Dataset> {
        let of_patients = patients as f64 * self.visits * (self.codes + 4.0);
        check_room("patients and edges", of_patients + 3.0 * self.edges as f64)?;
        let mut draw = Draw::new(self.seed);
        let popularity = draw.popularity(self.nodes - 1);
        let graph = draw.graph(self.nodes, self.edges, &popularity)?;
        // Multi-visit patients, who alone have a next visit, have codes to predict alone.
        let used = if next_visit { &popularity[..self.targets] } else { &popularity[..] };
        Ok(draw.patients(self, graph, used, patients, next_visit))
    }
}

/// What a measurement says of its graph.
pub fn describe(graph: &Graph) -> Value {
    let most = (0..graph.nodes()).map(|n| graph.incoming(n).0.len()).max().unwrap_or(0);
    json!({ "nodes": graph.nodes(), "edges": graph.edges(), "largest_degree": most })
}

/// Random draws that never change.
struct Draw(RandomState);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(RandomState::new((seed ^ (seed >> 32)) as u32))
    }

    /// A number in (0, 1].
    fn unit(&mut self) -> f64 {
        (f64::from(self.0.next_u32()) + 1.0) / (f64::from(u32::MAX) + 1.0)
    }

    fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    /// Popularity of the codes 1, 2, …, numbered as a vocabulary does, by when they are first used.
    fn popularity(&mut self, codes: usize) -> Vec<f64> {
        let weights = (0..codes).map(|rank| (rank as f64 + HUBS).powf(-FALL));
        let mut first_use: Vec<(f64, f64)> = weights.map(|w| (self.exponential() / w, w)).collect();
        first_use.sort_by(|a, b| a.0.total_cmp(&b.0));
        first_use.into_iter().map(|(_, w)| w).collect()
    }

    /// A symmetric graph in which codes i and j are joined with chance min(1, c · w_i · w_j) (Chung and Lu 2002),
    /// drawn in time nodes + edges (Miller and Hagberg 2011); an odd edge becomes a self loop.
    fn graph(&mut self, nodes: usize, edges: usize, popularity: &[f64]) -> Result<Graph> {
        let mut order: Vec<u32> = (1..nodes as u32).collect();
        order.sort_by(|&a, &b| popularity[b as usize - 1].total_cmp(&popularity[a as usize - 1]));
        let weights: Vec<f64> = order.iter().map(|&code| popularity[code as usize - 1]).collect();
        let mut pairs = Vec::new();
        // A little more than wanted, so that chance leaves enough.
        let mut wanted = edges as f64 / 2.0;
        while pairs.len() < edges / 2 {
            wanted = wanted * 1.02 + 1.0;
            pairs = self.pairs(&weights, scale(&weights, wanted));
        }
        self.0.shuffle(&mut pairs);
        pairs.truncate(edges / 2);
        let both = |(a, b): (usize, usize)| [(order[a], order[b], 1.0), (order[b], order[a], 1.0)];
        let mut all: Vec<(u32, u32, f32)> = pairs.into_iter().flat_map(both).collect();
        if edges % 2 == 1 {
            all.push((order[0], order[0], 1.0));
        }
        all.sort_unstable_by_key(|&(source, target, _)| (target, source));
        Graph::new(nodes, &all)
    }

    /// Pairs i < j, each with chance min(1, c · w_i · w_j), of descending weights.
    fn pairs(&mut self, weights: &[f64], c: f64) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for (i, weight) in weights.iter().enumerate() {
            let chance = |j: usize| (c * weight * weights[j]).min(1.0);
            let mut j = i + 1;
            while j < weights.len() {
                let bound = chance(j);
                if bound < 1.0 {
                    j = j.saturating_add((self.unit().ln() / (1.0 - bound).ln()) as usize);
                }
                if j < weights.len() {
                    if self.unit() <= chance(j) / bound {
                        pairs.push((i, j));
                    }
                    j += 1;
                }
            }
        }
        pairs
    }

    fn patients(
        &mut self,
        sizes: &Sizes,
        graph: Graph,
        popularity: &[f64],
        patients: usize,
        next_visit: bool,
    ) -> Dataset {
        let Visits { admissions, codes, labs } = self.visits(sizes, popularity, patients, next_visit);
        let category = |c: usize| vec![c as u8; sizes.labs[c]];
        let items = (0..sizes.labs.len()).flat_map(category).enumerate();
        let lab_items: Vec<LabItem> =
            items.map(|(id, category)| LabItem { id: id as i64, category: Some(category) }).collect();
        let items = lab_items.len() as u32;
        let of = |c: usize| (0..items).filter(|&l| lab_items[l as usize].category == Some(c as u8)).collect();
        let all: Vec<usize> = (0..patients).collect();
        let mut names: Vec<String> = (0..graph.nodes()).map(|n| n.to_string()).collect();
        names[0].clear();
        Dataset {
            knowledge: None,
            labs_by_visit: None,
            vocabulary: Vocabulary {
                target_codes: sizes.targets,
                admission_codes: codes.clone().into(),
                category_labs: (0..sizes.labs.len()).map(of).collect(),
                labs: (0..items).collect(),
                codes: names.clone(),
                events: Vec::new(),
            },
            splits: Splits {
                single: Vec::new(),
                pretrain: all.clone(),
                train: all.clone(),
                valid: all.clone(),
                test: all,
            },
            cohort: Cohort {
                patients: (0..patients as i64).collect(),
                admissions,
                codes,
                code_names: names,
                labs,
                lab_items,
                lab_categories: (0..sizes.labs.len()).map(|c| format!("category {c}")).collect(),
                ..Cohort::default()
            },
            graph,
        }
    }

    /// The visits of all patients, with one more of each than the model sees where there is one to predict.
    fn visits(&mut self, sizes: &Sizes, popularity: &[f64], patients: usize, next_visit: bool) -> Visits {
        let numbers = cumulative(power_law(sizes.visits));
        let popularity = cumulative(popularity.to_vec());
        let items = sizes.labs.iter().sum::<usize>() as u32;
        let most = MOST_CODES.min(popularity.len().div_ceil(2));
        let (mut admissions, mut codes, mut labs) = (Ragged::new(), Ragged::new(), Ragged::new());
        for _ in 0..patients {
            let number = (1 + self.of(&numbers) + usize::from(next_visit)).min(MOST_VISITS);
            let first = codes.len() as i64;
            for _ in 0..number {
                codes.push(self.visit(sizes.codes, most, &popularity));
                let abnormal: Vec<u32> = (0..items).filter(|_| self.unit() <= ABNORMAL).collect();
                labs.push(abnormal);
            }
            admissions.push(first..codes.len() as i64);
        }
        Visits { admissions, codes, labs }
    }

    /// Different codes; their number is 1 and the sum of two exponentials.
    fn visit(&mut self, mean: f64, most: usize, codes: &[f64]) -> Vec<u32> {
        let more = (mean - 1.0) / 2.0 * (self.exponential() + self.exponential());
        let number = 1 + (more.round() as usize).min(most - 1);
        let mut visit: Vec<u32> = Vec::with_capacity(number);
        while visit.len() < number {
            let code = self.of(codes) as u32 + 1;
            if !visit.contains(&code) {
                visit.push(code);
            }
        }
        visit
    }

    /// An index, by cumulative weights.
    fn of(&mut self, cumulative: &[f64]) -> usize {
        let at = self.unit() * cumulative.last().copied().unwrap_or(0.0);
        cumulative.partition_point(|&c| c < at).min(cumulative.len() - 1)
    }
}

/// The visits of all patients, with the codes and the abnormal items of each.
struct Visits {
    admissions: Ragged<i64>,
    codes: Ragged<u32>,
    labs: Ragged<u32>,
}

fn cumulative(mut weights: Vec<f64>) -> Vec<f64> {
    let mut sum = 0.0;
    for weight in &mut weights {
        sum += *weight;
        *weight = sum;
    }
    weights
}

/// The c for which as many pairs as wanted are expected: Σ_{i<j} min(1, c · w_i · w_j) = `wanted`.
fn scale(weights: &[f64], wanted: f64) -> f64 {
    let sums = cumulative(weights.to_vec());
    let total = sums.last().copied().unwrap_or(0.0);
    let expected = |c: f64| -> f64 {
        let of = |i: usize| {
            let sure = weights.partition_point(|w| c * weights[i] * w >= 1.0).max(i + 1);
            (sure - i - 1) as f64 + c * weights[i] * (total - sums[sure - 1])
        };
        (0..weights.len()).map(of).sum()
    };
    bisect(|c| expected(c.exp()) >= wanted, -50.0, 50.0).exp()
}

/// Chances of 1, 2, …, 90 that fall as a power, with the given mean.
fn power_law(mean: f64) -> Vec<f64> {
    let chances = |fall: f64| -> Vec<f64> { (1..=MOST_VISITS).map(|v| (v as f64).powf(-fall)).collect() };
    let mean_of = |fall: f64| {
        let chances = chances(fall);
        chances.iter().enumerate().map(|(i, p)| (i + 1) as f64 * p).sum::<f64>() / chances.iter().sum::<f64>()
    };
    chances(bisect(|fall| mean_of(fall) <= mean, 0.0, 40.0))
}

/// Where `reached` becomes true between `low` and `high`.
fn bisect(reached: impl Fn(f64) -> bool, mut low: f64, mut high: f64) -> f64 {
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if reached(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> Sizes {
        Sizes { nodes: 400, edges: 8001, targets: 300, visits: 3.0, codes: 12.0, labs: vec![20, 10], seed: 1 }
    }

    #[test]
    fn the_graph_has_the_edges_asked_for_and_hubs() {
        let graph = sizes().dataset(1, false).unwrap().graph;
        assert_eq!((graph.nodes(), graph.edges()), (400, 8001));
        assert!(graph.incoming(0).0.is_empty(), "node 0 is padding");
        let mut degrees: Vec<usize> = (1..400).map(|n| graph.incoming(n).0.len()).collect();
        degrees.sort_unstable();
        assert!(degrees[398] > 5 * degrees[199], "{degrees:?}");
        let edges: std::collections::HashSet<_> = graph.iter().map(|(s, t, _)| (s, t)).collect();
        assert_eq!(edges.len(), 8001, "no edge is there twice");
        assert!(edges.iter().all(|&(s, t)| edges.contains(&(t, s))), "edges go both ways");
    }

    #[test]
    fn a_full_graph_can_be_drawn() {
        let sizes = Sizes { nodes: 12, edges: 110, targets: 11, ..sizes() };
        sizes.check().unwrap();
        assert_eq!(sizes.dataset(1, false).unwrap().graph.edges(), 110);
    }

    #[test]
    fn patients_have_the_means_asked_for() {
        let data = sizes().dataset(4000, true).unwrap();
        data.cohort.validate().unwrap();
        let visits = data.cohort.codes.len() as f64 / 4000.0;
        assert!((visits - 4.0).abs() < 0.3, "{visits} with the one to predict");
        let codes = data.cohort.codes.values().len() as f64 / data.cohort.codes.len() as f64;
        assert!((codes - 12.0).abs() < 0.5, "{codes}");
        let longest = data.cohort.codes.rows().map(<[u32]>::len).max().unwrap();
        assert!(longest <= MOST_CODES && longest > 25, "{longest}");
        assert!(data.vocabulary.admission_codes.values().iter().all(|&c| (1..=300).contains(&c)));
    }

    #[test]
    fn impossible_sizes_name_their_flag() {
        let refused = |sizes: Sizes| sizes.check().unwrap_err().to_string();
        assert!(refused(Sizes { nodes: 2, ..sizes() }).contains("--nodes"));
        assert!(refused(Sizes { edges: 400 * 400, ..sizes() }).contains("--edges"));
        assert!(refused(Sizes { targets: 400, ..sizes() }).contains("--targets"));
        assert!(refused(Sizes { visits: f64::NAN, ..sizes() }).contains("--visits"));
        assert!(refused(Sizes { codes: 0.5, ..sizes() }).contains("--codes"));
        assert!(refused(Sizes { labs: vec![3, 0], ..sizes() }).contains("--labs"));
    }
}
