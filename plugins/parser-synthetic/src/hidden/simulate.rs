//! Patients drawn from the world.

use super::person::Person;
use super::world::{ByState, World};
use crate::SyntheticOptions;
use crate::draw::Draw;
use crate::generate::{FIRST_ADMISSION, FIRST_ITEM, FIRST_PATIENT};
use crate::world::CATEGORIES;
use dualk_sdk::data::{AdmissionFacts, LabItem, PatientFacts};
use dualk_sdk::prelude::*;
use std::collections::BTreeSet;

/// A cohort by options and seed.
pub fn generate(options: &SyntheticOptions, seed: u64) -> Cohort {
    simulate(options, seed).cohort()
}

/// A cohort with what is hidden in it.
pub struct Simulated {
    /// What patients are made from.
    pub world: World,
    /// Identifiers of patients.
    pub patients: Vec<i64>,
    /// Admissions of each patient.
    pub admissions: Ragged<i64>,
    /// All visits, in that order.
    pub visits: Vec<Visit>,
    /// Age and sex of each patient; nothing where they have none.
    pub people: Vec<Person>,
}

/// Draws a world and its patients.
pub fn simulate(options: &SyntheticOptions, seed: u64) -> Simulated {
    let mut draw = Draw::new(seed);
    let world = World::new(options, &mut draw);
    let mut visits = Vec::new();
    let mut patients: Vec<i64> = (0..options.patients as i64).map(|i| FIRST_PATIENT + 3 * i).collect();
    draw.shuffle(&mut patients);
    let mut admissions = Ragged::new();
    let people = Person::all(options, seed);
    for p in 0..patients.len() {
        let first = FIRST_ADMISSION + 7 * visits.len() as i64;
        let number = draw.number_of_visits(options.multi, options.max_visits, options.further);
        visits.extend(Patient::new(&world, people.get(p), &mut draw).visits(number, &mut draw));
        admissions.push((0..number as i64).map(|i| first + 7 * i));
    }
    Simulated { world, patients, admissions, visits, people }
}

/// Codes and items of a visit, as numbers of the world.
pub struct Visit {
    /// Diagnosis codes.
    pub codes: Vec<u32>,
    /// Abnormal items.
    pub labs: BTreeSet<u32>,
    /// The hidden state of each module.
    pub states: Vec<u8>,
}

/// A patient: which clusters its diseases come from.
pub struct Patient<'w> {
    world: &'w World,
    person: Option<&'w Person>,
    /// For each module 0 where it is of a cluster of the patient, else 1.
    outside: Vec<usize>,
}

/// The clusters of a patient, by the first of them.
pub fn second_cluster(first: usize, clusters: usize) -> usize {
    // Always the same neighbour: most pairs of clusters never meet, which keeps the disease graph sparse.
    (first + 1) % clusters
}

impl<'w> Patient<'w> {
    /// A patient.
    pub fn new(world: &'w World, person: Option<&'w Person>, draw: &mut Draw) -> Self {
        let first = draw.weighted(&world.popularity(person));
        let mut outside = vec![1; world.modules.len()];
        outside[world.clusters[first].clone()].fill(0);
        if draw.chance(world.second_cluster) {
            outside[world.clusters[second_cluster(first, world.clusters.len())].clone()].fill(0);
        }
        Self { world, person, outside }
    }

    /// Its visits in time order.
    pub fn visits(self, number: usize, draw: &mut Draw) -> Vec<Visit> {
        let modules = self.world.modules.iter().zip(&self.outside);
        let courses: Vec<_> = modules.map(|(module, &outside)| module.course(outside, self.person)).collect();
        let mut states: Vec<u8> = courses.iter().map(|(first, _)| state(first, draw)).collect();
        let mut visits = Vec::with_capacity(number);
        for visit in 0..number {
            if visit > 0 {
                for (now, (_, next)) in states.iter_mut().zip(&courses) {
                    *now = state(&next[*now as usize], draw);
                }
            }
            visits.push(self.visit(&states, draw));
        }
        visits
    }

    fn visit(&self, states: &[u8], draw: &mut Draw) -> Visit {
        let weights: Vec<f64> = self.world.reasons.iter().map(|reason| reason.1).collect();
        let mut codes = vec![self.world.reasons[draw.weighted(&weights)].0];
        let mut labs = BTreeSet::new();
        for (module, &state) in self.world.modules.iter().zip(states) {
            let state = state as usize;
            codes.extend(module.codes.iter().filter(|(_, chance)| draw.chance(chance[state])).map(|(code, _)| *code));
            labs.extend(module.labs.iter().filter(|_| draw.chance(module.abnormal[state])));
        }
        Visit { codes, labs, states: states.to_vec() }
    }
}

fn state(chances: &ByState, draw: &mut Draw) -> u8 {
    draw.weighted(chances) as u8
}

impl Simulated {
    /// The cohort of what occurs: code names in the order of first appearance, items ascending.
    pub fn cohort(self) -> Cohort {
        let Self { world, patients, admissions, visits, people } = self;
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
        let aged = |person: &Person| AdmissionFacts { age: Some(person.age.into()), ..AdmissionFacts::default() };
        let ages = people.iter().zip(admissions.rows()).flat_map(|(p, row)| std::iter::repeat_n(aged(p), row.len()));
        let sex = |person: &Person| PatientFacts { sex: Some(person.sex), ethnicity: None };
        Cohort {
            admission_facts: ages.collect(),
            patient_facts: people.iter().map(sex).collect(),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_have_one_cluster_or_two_by_the_option() {
        for (second_cluster, expected) in [(0.0, 1), (1.0, 2)] {
            let options = SyntheticOptions { second_cluster, ..SyntheticOptions::default() };
            let mut draw = Draw::new(5);
            let world = World::new(&options, &mut draw);
            for _ in 0..100 {
                let patient = Patient::new(&world, None, &mut draw);
                let own = world.clusters.iter().filter(|modules| patient.outside[modules.start] == 0);
                assert_eq!(own.count(), expected);
            }
        }
    }
}
