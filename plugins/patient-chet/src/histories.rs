//! Diagnoses of a batch by how they came to be: from the visit before, from its neighbours, or from elsewhere.

use crate::companions::Companions;
use dualk_sdk::ops::{Adjacency, Csr};
use dualk_sdk::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// The diagnoses of a batch: the codes of each visit, each once. Visits without codes are left out.
///
/// Those that emerge, from neighbours of the visit before or from elsewhere, come first, in the order of their visits. Those
/// that a recurrent unit reads follow by step: first visits and what stays from an emerging diagnosis, then what stays from
/// these, and so on. A step then works on diagnoses of all patients.
pub struct Histories {
    /// Embedded diagnoses that enter each context, with weights. Contexts are those of the diagnoses, and then those that
    /// neighbours of a visit have in it which are diagnosed in the next.
    pub diagnoses: Arc<Csr>,
    /// Embedded neighbours that enter each context.
    pub neighbours: Arc<Csr>,
    /// For each diagnosis that emerges its context as a neighbour of the visit before, where it was one.
    pub recalled: Arc<Csr>,
    /// For each other diagnosis that emerges its node.
    pub unrelated: Arc<Csr>,
    /// For each diagnosis that emerges those that do so at the same visit.
    pub together: Adjacency,
    /// For each diagnosis of a step itself in the visit before, among the diagnoses of the step before; nothing at first visits.
    pub steps: Vec<Sets>,
    /// The diagnoses of each visit, and after these as many empty lists as make it as many as diagnoses.
    pub of_visits: Adjacency,
    /// Number of visits.
    pub visits: usize,
    /// The visits of each patient.
    pub patients: Sets,
}

impl Histories {
    /// The histories of a batch.
    pub fn new(batch: &Batch, companions: &Companions) -> Self {
        let mut reader = Reader::new(companions);
        let codes = batch.codes.members();
        let patient = |visits: &[u32]| reader.patient(visits.iter().map(|&visit| codes.row(visit as usize)));
        let patients = batch.visits.members().rows().map(patient).collect();
        reader.histories(patients)
    }

    /// Number of diagnoses.
    pub fn count(&self) -> usize {
        self.of_visits.nodes()
    }

    /// Number of those that emerge.
    pub fn emerging(&self) -> usize {
        self.together.nodes()
    }
}

/// How a diagnosis came to be.
#[derive(Clone, Copy)]
enum Kind {
    /// A diagnosis of a first visit.
    First,
    /// A diagnosis that the visit before has too; its index there.
    Persistent(usize),
    /// A neighbour of the visit before; the index of its context there.
    Neighbour(usize),
    /// Neither in the visit before nor a neighbour of it.
    Unrelated,
}

/// A code of a visit.
struct Diagnosis {
    visit: usize,
    code: u32,
    kind: Kind,
    /// Steps of the recurrent unit up to it.
    step: usize,
}

/// What a node is at a visit.
#[derive(Clone, Copy)]
enum Role {
    /// A diagnosis, by its index.
    Diagnosis(usize),
    /// No diagnosis, and a companion of one.
    Neighbour,
    /// Neither a diagnosis nor a companion of one.
    Other,
}

/// What enters contexts: a node itself and its companions, as far as they are diagnoses or neighbours.
#[derive(Default)]
struct Contexts {
    diagnoses: Ragged<(u32, f32)>,
    neighbours: Ragged<(u32, f32)>,
}

impl Contexts {
    /// Adds that of a node at the visit that gave the roles.
    fn push(&mut self, node: u32, companions: &Companions, roles: &[Role]) {
        let entries = || std::iter::once((node, 1.0)).chain(companions.row(node).iter().copied());
        let role = |entry: &(u32, f32)| roles[entry.0 as usize];
        self.diagnoses.push(entries().filter(|entry| matches!(role(entry), Role::Diagnosis(_))));
        self.neighbours.push(entries().filter(|entry| matches!(role(entry), Role::Neighbour)));
    }
}

/// Reads patients, visit by visit.
struct Reader<'a> {
    companions: &'a Companions,
    /// Roles of all nodes at the visit that was read last.
    roles: Vec<Role>,
    diagnoses: Vec<Diagnosis>,
    /// Where the diagnoses of each visit begin, and the last ones end.
    visits: Vec<usize>,
    contexts: Contexts,
    /// Contexts of neighbours that are diagnosed in the next visit.
    recalled: Contexts,
}

impl<'a> Reader<'a> {
    fn new(companions: &'a Companions) -> Self {
        let roles = vec![Role::Other; companions.nodes()];
        let (contexts, recalled) = Default::default();
        Self { companions, roles, diagnoses: Vec::new(), visits: vec![0], contexts, recalled }
    }

    /// Reads the visits of a patient, each by its codes. Returns the numbers of those that have any.
    fn patient<'b>(&mut self, visits: impl Iterator<Item = &'b [u32]>) -> Range<u32> {
        let first = self.visits.len() as u32 - 1;
        let mut before = Vec::new();
        for codes in visits.filter(|codes| !codes.is_empty()) {
            let mut codes = codes.to_vec();
            codes.sort_unstable();
            codes.dedup();
            self.visit(&codes, &before);
            before = codes;
        }
        self.forget(&before);
        first..self.visits.len() as u32 - 1
    }

    fn visit(&mut self, codes: &[u32], before: &[u32]) {
        let start = self.diagnoses.len();
        codes.iter().for_each(|&code| self.diagnose(code, before.is_empty()));
        self.forget(before);
        self.remember(codes, start);
        codes.iter().for_each(|&code| self.contexts.push(code, self.companions, &self.roles));
        self.visits.push(self.diagnoses.len());
    }

    /// Adds a diagnosis; roles are those of the visit before.
    fn diagnose(&mut self, code: u32, first: bool) {
        let kind = match self.roles[code as usize] {
            _ if first => Kind::First,
            Role::Diagnosis(before) => Kind::Persistent(before),
            Role::Neighbour => {
                self.recalled.push(code, self.companions, &self.roles);
                Kind::Neighbour(self.recalled.diagnoses.len() - 1)
            }
            Role::Other => Kind::Unrelated,
        };
        let step = match kind {
            Kind::First => 1,
            Kind::Persistent(before) => self.diagnoses[before].step + 1,
            Kind::Neighbour(_) | Kind::Unrelated => 0,
        };
        self.diagnoses.push(Diagnosis { visit: self.visits.len() - 1, code, kind, step });
    }

    /// Gives nodes their roles at the visit with these codes, whose diagnoses are numbered from `start`.
    fn remember(&mut self, codes: &[u32], start: usize) {
        self.companions_of(codes, Role::Neighbour);
        (start..).zip(codes).for_each(|(number, &code)| self.roles[code as usize] = Role::Diagnosis(number));
    }

    fn forget(&mut self, codes: &[u32]) {
        self.companions_of(codes, Role::Other);
        codes.iter().for_each(|&code| self.roles[code as usize] = Role::Other);
    }

    fn companions_of(&mut self, codes: &[u32], role: Role) {
        for &(companion, _) in codes.iter().flat_map(|&code| self.companions.row(code)) {
            self.roles[companion as usize] = role;
        }
    }

    fn histories(&self, patients: Ragged<u32>) -> Histories {
        let mut order: Vec<usize> = (0..self.diagnoses.len()).collect();
        order.sort_by_key(|&number| self.diagnoses[number].step);
        let emerging = &order[..order.partition_point(|&number| self.diagnoses[number].step == 0)];
        let kinds = || emerging.iter().map(|&number| &self.diagnoses[number]);
        let recalled = kinds().map(|diagnosis| match diagnosis.kind {
            Kind::Neighbour(context) => Some((order.len() + context) as u32),
            _ => None,
        });
        let unrelated = kinds().map(|diagnosis| matches!(diagnosis.kind, Kind::Unrelated).then_some(diagnosis.code));
        let own = |contexts: &Ragged<(u32, f32)>, recalled: &Ragged<(u32, f32)>| {
            matrix(order.iter().map(|&number| contexts.row(number)).chain(recalled.rows()))
        };
        Histories {
            diagnoses: own(&self.contexts.diagnoses, &self.recalled.diagnoses),
            neighbours: own(&self.contexts.neighbours, &self.recalled.neighbours),
            recalled: Csr::of(&recalled.collect()),
            unrelated: Csr::of(&unrelated.collect()),
            together: self.together(emerging),
            steps: self.steps(&order),
            of_visits: self.of_visits(&order),
            visits: self.visits.len() - 1,
            patients: Sets::new(patients),
        }
    }

    /// For each of the diagnoses that emerge the places of those of its visit.
    fn together(&self, emerging: &[usize]) -> Adjacency {
        let visit = |number: usize| self.diagnoses[number].visit;
        let (mut lists, mut start) = (Ragged::new(), 0);
        for same in emerging.chunk_by(|&a, &b| visit(a) == visit(b)) {
            let end = start + same.len() as u32;
            same.iter().for_each(|_| lists.push(start..end));
            start = end;
        }
        Adjacency::from(Csr::of(&lists))
    }

    fn steps(&self, order: &[usize]) -> Vec<Sets> {
        let step = |number: usize| self.diagnoses[number].step;
        let (mut places, mut steps) = (vec![0u32; order.len()], Vec::new());
        for same in order.chunk_by(|&a, &b| step(a) == step(b)) {
            (0u32..).zip(same).for_each(|(place, &number)| places[number] = place);
            if step(same[0]) > 0 {
                let before = same.iter().map(|&number| match self.diagnoses[number].kind {
                    Kind::Persistent(before) => Some(places[before]),
                    _ => None,
                });
                steps.push(Sets::new(before.collect()));
            }
        }
        steps
    }

    fn of_visits(&self, order: &[usize]) -> Adjacency {
        let mut places = vec![0u32; order.len()];
        (0u32..).zip(order).for_each(|(place, &number)| places[number] = place);
        let visits = self.visits.windows(2).map(|ends| places[ends[0]..ends[1]].to_vec());
        let rest = std::iter::repeat_n(Vec::new(), order.len() + 1 - self.visits.len());
        Adjacency::from(Csr::of(&visits.chain(rest).collect()))
    }
}

/// A sparse matrix from its rows, entries by column and weight.
fn matrix<'a>(rows: impl Iterator<Item = &'a [(u32, f32)]>) -> Arc<Csr> {
    let (mut offsets, mut members, mut weights) = (vec![0], Vec::new(), Vec::new());
    for row in rows {
        members.extend(row.iter().map(|entry| entry.0));
        weights.extend(row.iter().map(|entry| entry.1));
        offsets.push(members.len() as u32);
    }
    Csr::new(offsets, members, Some(weights))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 goes with 2 and 3, 2 and 3 with 1, 4 with 5.
    fn companions() -> Arc<Companions> {
        let edges = [(1, 2, 0.75), (1, 3, 0.25), (2, 1, 1.0), (3, 1, 1.0), (4, 5, 1.0), (5, 4, 1.0)];
        Companions::of(&Graph::new(7, &edges).unwrap(), 0.01)
    }

    fn histories(patients: &[&[&[u32]]]) -> Histories {
        let companions = companions();
        let mut reader = Reader::new(&companions);
        let patients = patients.iter().map(|visits| reader.patient(visits.iter().copied())).collect();
        reader.histories(patients)
    }

    fn lists(csr: &Csr) -> Vec<Vec<(u32, f32)>> {
        let weight = |at: usize| csr.weights().map_or(1.0, |weights| weights[at]);
        (0..csr.len()).map(|i| csr.range(i).map(|at| (csr.members()[at], weight(at))).collect()).collect()
    }

    fn members(csr: &Csr) -> Vec<Vec<u32>> {
        lists(csr).into_iter().map(|list| list.into_iter().map(|entry| entry.0).collect()).collect()
    }

    fn sets(sets: &Sets) -> Vec<&[u32]> {
        sets.members().rows().collect()
    }

    #[test]
    fn diagnoses_stay_come_from_neighbours_or_from_elsewhere() {
        // Visits {1, 4}, {1, 2, 6}, {2}: 1 stays, 2 was a neighbour, 6 was none; then 2 stays.
        let found = histories(&[&[&[4, 1], &[1, 2, 6], &[2]]]);
        // In order: 2 and 6, which emerge; step 1: 1 and 4 of the first visit and 2 of the last; step 2: 1 of the second.
        assert_eq!((found.emerging(), found.count(), found.visits), (2, 6, 3));
        assert_eq!(members(&found.recalled), [vec![6], vec![]]);
        assert_eq!(members(&found.unrelated), [vec![], vec![6]]);
        assert_eq!(members(&found.together.csr()), [vec![0, 1], vec![0, 1]]);
        assert_eq!(found.steps.iter().map(sets).collect::<Vec<_>>(), [vec![&[][..], &[], &[0]], vec![&[0][..]]]);
        assert_eq!(members(&found.of_visits.csr()), [vec![2, 3], vec![5, 0, 1], vec![4], vec![], vec![], vec![]]);
        assert_eq!(sets(&found.patients), [&[0, 1, 2]]);
    }

    #[test]
    fn contexts_are_of_the_visit() {
        let found = histories(&[&[&[4, 1], &[1, 2, 6], &[2]]]);
        // 2, 6, 1 and 4 of the first visit, 2 of the last, 1 of the second; 2 as a neighbour of the first visit.
        let diagnoses = [
            vec![(2, 1.0), (1, 1.0)],
            vec![(6, 1.0)],
            vec![(1, 1.0)],
            vec![(4, 1.0)],
            vec![(2, 1.0)],
            vec![(1, 1.0), (2, 0.75)],
            vec![(1, 1.0)],
        ];
        let neighbours = [
            vec![],
            vec![],
            vec![(2, 0.75), (3, 0.25)],
            vec![(5, 1.0)],
            vec![(1, 1.0)],
            vec![(3, 0.25)],
            vec![(2, 1.0)],
        ];
        assert_eq!(lists(&found.diagnoses), diagnoses);
        assert_eq!(lists(&found.neighbours), neighbours);
    }

    #[test]
    fn visits_without_codes_and_repeats_are_left_out() {
        let (plain, odd) =
            (histories(&[&[&[1], &[2]], &[], &[&[1]]]), histories(&[&[&[1, 1], &[], &[2]], &[&[]], &[&[1]]]));
        assert_eq!(lists(&plain.diagnoses), lists(&odd.diagnoses));
        assert_eq!(lists(&plain.neighbours), lists(&odd.neighbours));
        assert_eq!(
            (sets(&plain.patients), sets(&odd.patients)),
            (vec![&[0, 1][..], &[], &[2]], vec![&[0, 1][..], &[], &[2]])
        );
        // What a patient had is no neighbour of the next patient's.
        assert_eq!(members(&odd.recalled), [vec![3]]);
        assert_eq!((histories(&[&[], &[&[]]]).count(), histories(&[]).count()), (0, 0));
    }
}
