//! Patients of made-up tables, drawn from the world. These tables stay what they are: figures were measured on them.

use crate::draw::{Draw, falling};
use crate::world::{Cluster, Condition, Episode, World};
use std::collections::BTreeSet;

/// Chance that a patient with two visits has a third, and so on.
const FURTHER_VISIT: f64 = 0.4;
/// Chance that a patient's diseases come from two clusters.
const SECOND_CLUSTER: f64 = 0.3;
/// Chance that a visit is about the same as the one before.
const SAME_EPISODE: f64 = 0.4;
/// Chance that a visit brings a new chronic condition.
const NEW_CONDITION: f64 = 0.1;
/// Chance that a code of an episode is recorded.
const EPISODE_CODE: f64 = 0.7;
/// Chance that a visit has a rare code.
const RARE_CODE: f64 = 0.12;
/// Chance that an item is abnormal for no reason, for as many items as there are.
const STRAY_ITEMS: f64 = 1.0;
/// First patient.
pub const FIRST_PATIENT: i64 = 10_000_000;
/// First admission.
pub const FIRST_ADMISSION: i64 = 20_000_000;
/// First laboratory item.
pub const FIRST_ITEM: i64 = 50_800;

/// How many of everything there are in made-up tables, and how plainly it shows.
#[derive(Debug, Clone)]
pub struct Sizes {
    /// Fraction of the patients with two or more admissions.
    pub multi: f64,
    /// Most admissions of a patient.
    pub max_visits: usize,
    /// Number of clusters of diseases.
    pub clusters: usize,
    /// Number of diagnosis codes.
    pub codes: usize,
    /// Number of laboratory items.
    pub labs: usize,
    /// Chance that a visit records a chronic condition of its patient.
    pub persistence: f64,
    /// Chance that an item shows the condition that it belongs to.
    pub lab_signal: f64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { multi: 0.4, max_visits: 8, clusters: 44, codes: 880, labs: 150, persistence: 0.85, lab_signal: 0.75 }
    }
}

/// Draws the number of visits of a patient.
pub fn number_of_visits(options: &Sizes, draw: &mut Draw) -> usize {
    draw.number_of_visits(options.multi, options.max_visits, FURTHER_VISIT)
}

/// Codes and items of a visit, as numbers of the world.
pub struct Visit {
    /// Diagnosis codes.
    pub codes: Vec<u32>,
    /// Abnormal items.
    pub labs: BTreeSet<u32>,
}

/// A patient: its diseases so far.
pub struct Patient<'w> {
    world: &'w World,
    options: &'w Sizes,
    clusters: Vec<&'w Cluster>,
    conditions: Vec<&'w Condition>,
}

impl<'w> Patient<'w> {
    /// A patient with the diseases of its first visit.
    pub fn new(world: &'w World, options: &'w Sizes, draw: &mut Draw) -> Self {
        let popularity: Vec<f64> = (0..world.clusters.len()).map(falling).collect();
        let first = draw.weighted(&popularity);
        // Always the same neighbour: most pairs of clusters never meet, which keeps the disease graph sparse.
        let second = (first + 1) % world.clusters.len();
        let mut clusters = vec![&world.clusters[first]];
        if draw.chance(SECOND_CLUSTER) {
            clusters.push(&world.clusters[second]);
        }
        let mut patient = Self { world, options, clusters, conditions: Vec::new() };
        for (rank, number) in [(0, 2 + draw.below(3)), (1, 1 + draw.below(2))] {
            if let Some(&cluster) = patient.clusters.get(rank) {
                (0..number).for_each(|_| patient.contract(cluster, draw));
            }
        }
        patient
    }

    /// Adds a condition of `cluster`, common ones more often; nothing when the patient has it.
    fn contract(&mut self, cluster: &'w Cluster, draw: &mut Draw) {
        let weights: Vec<f64> = (0..cluster.chronic.len()).map(falling).collect();
        let condition = &cluster.chronic[draw.weighted(&weights)];
        if !self.conditions.iter().any(|c| c.code == condition.code) {
            self.conditions.push(condition);
        }
    }

    /// Its visits in time order.
    pub fn visits(mut self, number: usize, draw: &mut Draw) -> Vec<Visit> {
        let mut episode = self.episode(draw);
        let mut visits = Vec::with_capacity(number);
        for _ in 0..number {
            if draw.chance(NEW_CONDITION) {
                self.contract(self.clusters[0], draw);
            }
            if !draw.chance(SAME_EPISODE) {
                episode = self.episode(draw);
            }
            visits.push(self.visit(episode, draw));
        }
        visits
    }

    fn episode(&self, draw: &mut Draw) -> &'w Episode {
        let cluster = self.clusters[if draw.chance(0.75) { 0 } else { self.clusters.len() - 1 }];
        &cluster.episodes[draw.below(cluster.episodes.len())]
    }

    fn visit(&self, episode: &Episode, draw: &mut Draw) -> Visit {
        let mut codes: Vec<u32> = episode.codes.iter().copied().filter(|_| draw.chance(EPISODE_CODE)).collect();
        if codes.is_empty() {
            codes.push(episode.codes[draw.below(episode.codes.len())]);
        }
        let mut causes: Vec<u32> = episode.labs.clone();
        for condition in &self.conditions {
            if draw.chance(self.options.persistence) {
                codes.push(condition.code);
                causes.extend(&condition.labs);
            }
        }
        if draw.chance(RARE_CODE) {
            codes.extend(draw.some(&self.clusters[0].rare, 1));
        }
        let mut labs: BTreeSet<u32> = causes.into_iter().filter(|_| draw.chance(self.options.lab_signal)).collect();
        if draw.chance(STRAY_ITEMS) {
            labs.insert(draw.below(self.world.labs.len()) as u32);
        }
        Visit { codes, labs }
    }
}
