//! The diseases that there are: modules of physiology, the codes and laboratory items that tell of them, and the clusters
//! in which they come.

use super::person::Person;
use crate::SyntheticOptions;
use crate::draw::{Draw, falling};
use crate::world::categories;
use dualk_sdk::train::derive_seed;
use std::collections::HashMap;

/// States of a module: healthy, deranged but not diagnosed, diagnosed, and progressed.
pub const STATES: usize = 4;
/// A chance for each state.
pub type ByState = [f64; STATES];

/// Visits before the first one that is recorded, in which diseases may have come.
const EARLIER: usize = 5;
/// Chance per visit that the most common chronic module of a patient's own cluster begins, and that another one does.
const CHRONIC: [f64; 2] = [0.2, 0.0012];
/// The same for an acute one.
const ACUTE: [f64; 2] = [0.28, 0.003];
/// Chance per visit that what is deranged is diagnosed.
const ONSET: f64 = 0.45;
/// Chance per visit that what is diagnosed progresses, at full strength.
const PROGRESSION: f64 = 0.35;
/// Chance that an acute module goes from derangement to an episode.
const EPISODE: f64 = 0.7;
/// Chance that a code of an episode is recorded.
const EPISODE_CODE: f64 = 0.7;
/// Chance that a variant is recorded beside a diagnosed chronic code.
const VARIANT: f64 = 0.06;
/// Chance that a healthy item is abnormal, at full noise.
const STRAY: f64 = 0.02;

/// One disease: a chain of states over visits, hidden but for its codes and items.
#[derive(Debug, Clone)]
pub struct Module {
    /// The chance of each of its codes, by state.
    pub codes: Vec<(u32, ByState)>,
    /// Its items.
    pub labs: Vec<u32>,
    /// The chance that an item is abnormal, by state.
    pub abnormal: ByState,
    /// Chances of the first recorded state, inside and outside of a patient's clusters.
    first: [ByState; 2],
    /// Chances of the next state.
    pub next: [[ByState; STATES]; 2],
    /// How strongly it comes with age.
    with_age: f64,
}

/// Everything that patients are made from.
#[derive(Debug, Clone)]
pub struct World {
    /// All modules.
    pub modules: Vec<Module>,
    /// The modules of each cluster, the most common cluster first.
    pub clusters: Vec<std::ops::Range<usize>>,
    /// Codes of which every visit has one, whoever the patient is, and their weights.
    pub reasons: Vec<(u32, f64)>,
    /// Code texts.
    pub codes: Vec<String>,
    /// Per item its category.
    pub labs: Vec<u8>,
    /// What a small knowledge graph says: head, relation, tail.
    pub knowledge: Vec<(String, &'static str, String)>,
    /// The chance that a patient's diseases come from two clusters.
    pub second_cluster: f64,
    /// Strength of age and sex.
    demographics: f64,
}

impl World {
    /// A world by its options.
    pub fn new(options: &SyntheticOptions, draw: &mut Draw) -> Self {
        let reasons = (options.codes / 25).max(3);
        let mut codes: Vec<String> = (0..reasons).map(|i| format!("V{}.{}", 10 + i / 10, i % 10)).collect();
        let mut world = Self {
            modules: Vec::new(),
            clusters: Vec::new(),
            reasons: weights_of_reasons(reasons, options.reasons),
            codes: Vec::new(),
            labs: categories(options.labs),
            knowledge: Vec::new(),
            second_cluster: options.second_cluster,
            demographics: options.demographics,
        };
        let (mut families, mut variants) = (Families::default(), Vec::new());
        for k in 0..options.clusters {
            world.add_cluster(k, options, &mut codes, &mut families, &mut variants);
        }
        world.add_variants(options, &variants, &mut codes, &mut families, draw);
        world.codes = codes;
        world.share_items(options, draw);
        world.misfile(options);
        world
    }

    /// Adds the modules of cluster `k`, and notes the variants of their codes, with module and family, for when all are there.
    fn add_cluster(
        &mut self,
        k: usize,
        options: &SyntheticOptions,
        codes: &mut Vec<String>,
        families: &mut Families,
        variants: &mut Vec<(usize, u32, usize)>,
    ) {
        let shared = options.codes - self.reasons.len();
        let of = Cluster::new(shared * (k + 1) / options.clusters - shared * k / options.clusters);
        let start = self.modules.len();
        for condition in 0..of.conditions {
            let family = families.of(k, condition);
            let (code, later) = (take(codes, families.next(family)), take(codes, families.next(family)));
            self.knowledge.push((codes[code as usize].clone(), "progresses_to", codes[later as usize].clone()));
            self.modules.push(chronic(options, condition, code, later));
            for variant in (condition..of.variants).step_by(of.conditions) {
                variants.push((self.modules.len() - 1, family, variant));
            }
        }
        for acute_module in 0..of.episodes {
            let family = families.of(k, of.conditions + acute_module);
            let share = of.acute * (acute_module + 1) / of.episodes - of.acute * acute_module / of.episodes;
            let own: Vec<u32> = (0..share).map(|_| take(codes, families.next(family))).collect();
            for pair in own.windows(2) {
                let [a, b] = [pair[0], pair[1]].map(|c| codes[c as usize].clone());
                self.knowledge.push((a, "occurs_with", b));
            }
            self.modules.push(acute(options, acute_module, &own));
        }
        self.clusters.push(start..self.modules.len());
    }

    /// How common each cluster is as the first one of a patient, up to a factor.
    pub fn popularity(&self, person: Option<&Person>) -> Vec<f64> {
        let common = |k: usize| person.map_or(1.0, |person| person.common(k, self.demographics));
        (0..self.clusters.len()).map(|k| falling(k) * common(k)).collect()
    }

    /// Variants of chronic codes: too rare to be learnt from patients. With the chance that `knowledge` gives, hierarchy and
    /// knowledge graph tell what they are variants of; else they are filed under something else.
    fn add_variants(
        &mut self,
        options: &SyntheticOptions,
        variants: &[(usize, u32, usize)],
        codes: &mut Vec<String>,
        families: &mut Families,
        draw: &mut Draw,
    ) {
        for &(module, family, _) in variants {
            let told = match draw.chance(options.knowledge) {
                true => (module, family),
                false => {
                    let other = variants[draw.below(variants.len())];
                    (other.0, other.1)
                }
            };
            let code = take(codes, families.next(told.1));
            let of = self.modules[told.0].codes[0].0;
            let chance = VARIANT * options.variants;
            if chance > 0.0 {
                self.knowledge.push((codes[code as usize].clone(), "variant_of", codes[of as usize].clone()));
            }
            self.modules[module].codes.push((code, [0.0, 0.0, chance * options.chronic.min(1.0), chance]));
        }
    }

    /// Gives every item to one module: acute ones get two for one of chronic ones.
    fn share_items(&mut self, options: &SyntheticOptions, draw: &mut Draw) {
        let mut places: Vec<usize> = Vec::new();
        for (m, module) in self.modules.iter().enumerate() {
            let is_acute = module.next[0][1][0] > 0.0;
            places.extend(std::iter::repeat_n(m, if is_acute { 2 } else { 1 }));
        }
        draw.shuffle(&mut places);
        for item in 0..options.labs {
            let module = &mut self.modules[places[item % places.len()]];
            module.labs.push(item as u32);
            let (item, code) =
                (crate::generate::FIRST_ITEM + item as i64, self.codes[module.codes[0].0 as usize].clone());
            self.knowledge.push((item.to_string(), "abnormal_in", code));
        }
    }
}

impl World {
    /// Exchanges the texts of codes, but for the part `families` of them: what hangs together has them in common no more, and facts
    /// are told of the new ones. The draws are their own, so that patients stay the same but for what codes are called.
    fn misfile(&mut self, options: &SyntheticOptions) {
        let mut draw = Draw::new(derive_seed(options.seed, &[2]));
        let places: Vec<usize> = (0..self.codes.len()).filter(|_| !draw.chance(options.families)).collect();
        let mut others = places.clone();
        draw.shuffle(&mut others);
        let pairs = places.iter().zip(&others);
        let renamed: HashMap<String, String> =
            pairs.map(|(&own, &other)| (self.codes[own].clone(), self.codes[other].clone())).collect();
        let facts = self.knowledge.iter_mut().flat_map(|(head, _, tail)| [head, tail]);
        for text in facts.chain(&mut self.codes) {
            if let Some(new) = renamed.get(text.as_str()) {
                text.clone_from(new);
            }
        }
    }
}

/// The reasons for visits, which have the first codes, and their weights: those of all but the first times a strength.
fn weights_of_reasons(number: usize, strength: f64) -> Vec<(u32, f64)> {
    let weight = |i: usize| if i == 0 { falling(i) } else { strength * falling(i) };
    (0..number).map(|i| (i as u32, weight(i))).collect()
}

fn take(codes: &mut Vec<String>, code: String) -> u32 {
    codes.push(code);
    codes.len() as u32 - 1
}

/// How the codes of a cluster are divided.
struct Cluster {
    conditions: usize,
    variants: usize,
    acute: usize,
    episodes: usize,
}

impl Cluster {
    /// Of `n` codes, from 6 on.
    fn new(n: usize) -> Self {
        let (conditions, variants) = ((n * 4 / 22).max(1), n / 5);
        let acute = n - 2 * conditions - variants;
        Self { conditions, variants, acute, episodes: (acute / 5).max(1) }
    }
}

/// How often a disease begins inside and outside of a patient's clusters. Without clustering it is both as often as over all
/// clusters with it.
fn rates([inside, outside]: [f64; 2], options: &SyntheticOptions) -> [f64; 2] {
    let own = (1.0 + options.second_cluster) / options.clusters as f64;
    let all = own * inside + (1.0 - own) * outside;
    [inside, outside].map(|rate| options.clustering * rate + (1.0 - options.clustering) * all)
}

/// A chronic module: it stays, and may progress to another code.
fn chronic(options: &SyntheticOptions, rank: usize, code: u32, later: u32) -> Module {
    let (onset, progression) = (ONSET, PROGRESSION * options.progression);
    let next = rates(CHRONIC, options).map(|rate| {
        let begins = (rate * falling(rank) * options.chronic).min(1.0);
        [
            [1.0 - begins, begins, 0.0, 0.0],
            [0.0, 1.0 - onset, onset, 0.0],
            [0.0, 0.0, 1.0 - progression, progression],
            [0.0, 0.0, 0.0, 1.0],
        ]
    });
    let kept = options.persistence;
    let with_age = if rank.is_multiple_of(2) { options.demographics } else { 0.0 };
    let codes = vec![(code, [0.0, 0.0, kept, kept]), (later, [0.0, 0.0, 0.0, kept])];
    Module { with_age, ..module(options, next, codes) }
}

/// An acute module: an episode comes and goes.
fn acute(options: &SyntheticOptions, rank: usize, codes: &[u32]) -> Module {
    let next = rates(ACUTE, options).map(|rate| {
        let begins = (rate * falling(rank) * options.acute).min(1.0);
        [
            [1.0 - begins, begins, 0.0, 0.0],
            [1.0 - EPISODE, 0.0, EPISODE, 0.0],
            [1.0 - options.lasting, 0.0, options.lasting, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    });
    module(options, next, codes.iter().map(|&code| (code, [0.0, 0.0, EPISODE_CODE, 0.0])).collect())
}

fn module(options: &SyntheticOptions, next: [[ByState; STATES]; 2], codes: Vec<(u32, ByState)>) -> Module {
    let first = next.each_ref().map(first);
    let (stray, measured) = (STRAY * options.noise, 1.0 - options.missing_labs);
    let early = (options.lab_signal * options.physiology).max(stray);
    let late = options.lab_signal.max(stray);
    let abnormal = [stray, early, late, late].map(|chance| chance.min(1.0) * measured);
    Module { codes, labs: Vec::new(), abnormal, first, next, with_age: 0.0 }
}

/// Chances of the first recorded state.
fn first(next: &[ByState; STATES]) -> ByState {
    (0..EARLIER).fold([1.0, 0.0, 0.0, 0.0], |now, _| after(&now, next))
}

impl Module {
    /// Chances of the first recorded state and of the next ones, inside or `outside` (1) of a patient's clusters.
    pub fn course(&self, outside: usize, person: Option<&Person>) -> (ByState, [ByState; STATES]) {
        let mut next = self.next[outside];
        let Some(person) = person.filter(|_| self.with_age > 0.0) else { return (self.first[outside], next) };
        let begins = (next[0][1] * person.often(self.with_age)).min(1.0);
        next[0] = [1.0 - begins, begins, 0.0, 0.0];
        (first(&next), next)
    }
}

/// Chances of the states one visit on.
pub fn after(now: &ByState, next: &[ByState; STATES]) -> ByState {
    let mut then = [0.0; STATES];
    for (chance, row) in now.iter().zip(next) {
        then.iter_mut().zip(row).for_each(|(t, p)| *t += chance * p);
    }
    then
}

/// Families of codes: three digits, shared by what belongs together.
#[derive(Default)]
struct Families {
    used: HashMap<u32, usize>,
}

impl Families {
    /// The number of a family of a cluster. That of the first condition of the first cluster is heart failure.
    fn of(&self, cluster: usize, family: usize) -> u32 {
        // Ten families a cluster; 997 is prime, so that numbers differ and clusters are spread over the chapters.
        match ((cluster * 10 + family) * 53 % 997 + 1) as u32 {
            1 => 428,
            428 => 1,
            number => number,
        }
    }

    /// The next code of a family, dotted as ICD-9.
    fn next(&mut self, family: u32) -> String {
        let i = self.used.entry(family).or_default();
        *i += 1;
        match *i - 1 {
            i @ 0..10 => format!("{family:03}.{i}"),
            i => format!("{family:03}.{}{}", i / 10 % 10, i % 10),
        }
    }
}
