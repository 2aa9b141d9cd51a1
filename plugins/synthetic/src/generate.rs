//! Patients drawn from the world.

use crate::SyntheticOptions;
use crate::draw::{Draw, falling};
use crate::world::{CATEGORIES, Cluster, Condition, Episode, World};
use dualk_sdk::data::LabItem;
use dualk_sdk::prelude::*;
use std::collections::BTreeSet;

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

/// A cohort by options and seed.
pub fn generate(options: &SyntheticOptions, seed: u64) -> Cohort {
    let mut draw = Draw::new(seed);
    let world = World::new(options, &mut draw);
    let mut visits = Vec::new();
    let mut patients: Vec<i64> = (0..options.patients as i64).map(|i| FIRST_PATIENT + 3 * i).collect();
    draw.shuffle(&mut patients);
    let mut admissions = Ragged::new();
    for _ in &patients {
        let first = FIRST_ADMISSION + 7 * visits.len() as i64;
        let number = number_of_visits(options, &mut draw);
        visits.extend(Patient::new(&world, options, &mut draw).visits(number, &mut draw));
        admissions.push((0..number as i64).map(|i| first + 7 * i));
    }
    compact(world, patients, admissions, visits)
}

/// One, or two and with falling chance more.
pub fn number_of_visits(options: &SyntheticOptions, draw: &mut Draw) -> usize {
    if !draw.chance(options.multi) {
        return 1;
    }
    let mut number = 2;
    while number < options.max_visits && draw.chance(0.4) {
        number += 1;
    }
    number
}

/// Codes and items of a visit, as numbers of the world.
pub struct Visit {
    /// Codes.
    pub codes: Vec<u32>,
    /// Abnormal items.
    pub labs: BTreeSet<u32>,
}

/// A patient: its diseases so far.
pub struct Patient<'w> {
    world: &'w World,
    options: &'w SyntheticOptions,
    clusters: Vec<&'w Cluster>,
    conditions: Vec<&'w Condition>,
}

impl<'w> Patient<'w> {
    /// A patient with the diseases of its first visit.
    pub fn new(world: &'w World, options: &'w SyntheticOptions, draw: &mut Draw) -> Self {
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

/// The cohort of what occurs: code names in the order of first appearance, items ascending.
fn compact(world: World, patients: Vec<i64>, admissions: Ragged<i64>, visits: Vec<Visit>) -> Cohort {
    let mut numbers = vec![None; world.codes.len()];
    let mut code_names = Vec::new();
    let mut codes = Ragged::new();
    for visit in &visits {
        codes.push(visit.codes.iter().map(|&code| {
            *numbers[code as usize].get_or_insert_with(|| {
                code_names.push(world.codes[code as usize].clone());
                code_names.len() as u32 - 1
            })
        }));
    }
    let used: BTreeSet<u32> = visits.iter().flat_map(|v| &v.labs).copied().collect();
    let mut places = vec![0; world.labs.len()];
    used.iter().zip(0..).for_each(|(&lab, place)| places[lab as usize] = place);
    let item = |&lab: &u32| LabItem { id: FIRST_ITEM + i64::from(lab), category: Some(world.labs[lab as usize]) };
    Cohort {
        patients,
        admissions,
        codes,
        code_names,
        labs: visits.iter().map(|v| v.labs.iter().map(|&lab| places[lab as usize])).collect(),
        lab_items: used.iter().map(item).collect(),
        lab_categories: CATEGORIES.map(|(name, _)| name.to_owned()).to_vec(),
        ..Cohort::default()
    }
}
