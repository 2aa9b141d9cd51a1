//! The true chances of the codes of a visit: with the hidden states known, and given what is observed before it.
//!
//! Modules depend on one another through the patient's clusters alone, and every code and item belongs to one module. So
//! the second is exact: the forward recursion of a hidden Markov model for each module, inside and outside of the
//! patient's clusters, and Bayes' rule over which clusters these are.

use super::person::Person;
use super::simulate::{Simulated, Visit, second_cluster};
use super::world::{ByState, Module, World, after};

/// Chances of all codes of the world in a visit whose hidden states are known.
pub fn known(world: &World, visit: &Visit) -> Vec<f64> {
    let mut chances = reasons(world);
    for (module, &state) in world.modules.iter().zip(&visit.states) {
        module.codes.iter().for_each(|(code, chance)| chances[*code as usize] = chance[state as usize]);
    }
    chances
}

/// What is known of a visit before it.
struct Belief {
    /// For each module, inside and outside of the patient's clusters, the chances of its state.
    states: Vec<[ByState; 2]>,
    /// Which clusters may be the patient's.
    kinds: Vec<Kind>,
}

/// One or two clusters, and the chance that they are the patient's.
struct Kind {
    first: usize,
    second: Option<usize>,
    chance: f64,
}

impl Kind {
    fn has(&self, cluster: usize) -> bool {
        self.first == cluster || self.second == Some(cluster)
    }
}

impl Belief {
    /// Of the visit after `seen`, given the codes and items of these, age and sex, and the items of that visit where it is under
    /// way.
    fn new(world: &World, person: Option<&Person>, seen: &[Visit], under_way: Option<&Visit>) -> Self {
        let marked = |visit: &Visit| {
            let mut codes = vec![false; world.codes.len()];
            visit.codes.iter().for_each(|&c| codes[c as usize] = true);
            codes
        };
        let codes: Vec<Vec<bool>> = seen.iter().map(marked).collect();
        // For each module, inside and outside: log-likelihood of what is seen, and chances of the state of the next visit.
        let belief = |module: &Module, outside: usize| {
            let ((mut now, next), mut likelihood) = (module.course(outside, person), 0.0);
            for (visit, codes) in seen.iter().zip(&codes) {
                for (s, chance) in now.iter_mut().enumerate() {
                    *chance *= module.chance_of_codes(codes, s) * module.chance_of_items(visit, s);
                }
                likelihood += normalise(&mut now);
                now = after(&now, &next);
            }
            if let Some(visit) = under_way {
                now.iter_mut().enumerate().for_each(|(s, chance)| *chance *= module.chance_of_items(visit, s));
                likelihood += normalise(&mut now);
            }
            (likelihood, now)
        };
        let beliefs: Vec<[(f64, ByState); 2]> =
            world.modules.iter().map(|module| [belief(module, 0), belief(module, 1)]).collect();
        let kinds = kinds(world, person, &beliefs);
        Self { states: beliefs.into_iter().map(|both| both.map(|(_, now)| now)).collect(), kinds }
    }

    /// Chances of all codes of the world.
    fn chances(&self, world: &World) -> Vec<f64> {
        let mut inside = vec![0.0; world.clusters.len()];
        for kind in &self.kinds {
            inside[kind.first] += kind.chance;
            kind.second.into_iter().for_each(|second| inside[second] += kind.chance);
        }
        let mut chances = reasons(world);
        for (cluster, inside) in world.clusters.iter().zip(inside) {
            for m in cluster.clone() {
                let [own, other] = &self.states[m];
                for (code, chance) in &world.modules[m].codes {
                    chances[*code as usize] = inside * expected(own, chance) + (1.0 - inside) * expected(other, chance);
                }
            }
        }
        chances
    }
}

/// The clusters that may be a patient's.
fn kinds(world: &World, person: Option<&Person>, beliefs: &[[(f64, ByState); 2]]) -> Vec<Kind> {
    let (number, popularity) = (world.clusters.len(), world.popularity(person));
    let evidence: Vec<f64> =
        world.clusters.iter().map(|modules| modules.clone().map(|m| beliefs[m][0].0 - beliefs[m][1].0).sum()).collect();
    let mut kinds = Vec::new();
    for first in 0..number {
        let second = second_cluster(first, number);
        kinds.push((first, None, (popularity[first] * (1.0 - world.second_cluster)).ln() + evidence[first]));
        let both = evidence[first] + if second == first { 0.0 } else { evidence[second] };
        let other = Some(second).filter(|&second| second != first);
        kinds.push((first, other, (popularity[first] * world.second_cluster).ln() + both));
    }
    let highest = kinds.iter().map(|kind| kind.2).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = kinds.iter().map(|kind| (kind.2 - highest).exp()).sum();
    let kind = |(first, second, weight): (usize, Option<usize>, f64)| Kind {
        first,
        second,
        chance: (weight - highest).exp() / total,
    };
    kinds.into_iter().map(kind).collect()
}

/// The mean over states of what is so in each.
fn expected(now: &ByState, of: &ByState) -> f64 {
    now.iter().zip(of).map(|(p, x)| p * x).sum()
}

/// What is asked of a visit: whether it has a code, by its number in the world, or any of several.
pub enum Asked {
    /// One code.
    One(usize),
    /// Several.
    Any(Group),
}

impl Asked {
    /// Whether any of the codes is recorded.
    pub fn new(world: &World, codes: &[usize]) -> Self {
        match codes {
            [code] => Self::One(*code),
            _ => Self::Any(Group::new(world, codes)),
        }
    }
}

/// Several codes. Those of one module come together, so that the chance of any of them does not follow from that of each.
pub struct Group {
    /// The chance that the reason for a visit is one of them.
    reason: f64,
    /// Each module with some of them: its cluster, its number, and by state the chance that none of them is recorded.
    modules: Vec<(usize, usize, ByState)>,
}

impl Group {
    fn new(world: &World, codes: &[usize]) -> Self {
        let none = |module: &Module| -> Option<ByState> {
            let own = module.codes.iter().filter(|(code, _)| codes.contains(&(*code as usize)));
            let own: Vec<&ByState> = own.map(|(_, chance)| chance).collect();
            (!own.is_empty())
                .then(|| std::array::from_fn(|s| own.iter().map(|chance| 1.0 - chance[s]).product::<f64>()))
        };
        let mut modules = Vec::new();
        for (k, cluster) in world.clusters.iter().enumerate() {
            modules.extend(cluster.clone().filter_map(|m| Some((k, m, none(&world.modules[m])?))));
        }
        let reasons = reasons(world);
        Self { reason: codes.iter().map(|&code| reasons[code]).sum(), modules }
    }

    /// The chance of any of them in a visit whose hidden states are known.
    fn known(&self, visit: &Visit) -> f64 {
        let none = |(_, m, none): &(usize, usize, ByState)| none[visit.states[*m] as usize];
        1.0 - (1.0 - self.reason) * self.modules.iter().map(none).product::<f64>()
    }

    /// The same by what is believed.
    fn believed(&self, belief: &Belief) -> f64 {
        let of_kind = |kind: &Kind| {
            let none = |(k, m, none): &(usize, usize, ByState)| {
                let outside = usize::from(!kind.has(*k));
                expected(&belief.states[*m][outside], none)
            };
            kind.chance * self.modules.iter().map(none).product::<f64>()
        };
        1.0 - (1.0 - self.reason) * belief.kinds.iter().map(of_kind).sum::<f64>()
    }
}

/// Chances of the reasons for a visit; 0 for all other codes.
fn reasons(world: &World) -> Vec<f64> {
    let mut chances = vec![0.0; world.codes.len()];
    let total: f64 = world.reasons.iter().map(|reason| reason.1).sum();
    world.reasons.iter().for_each(|(code, weight)| chances[*code as usize] = weight / total);
    chances
}

/// Makes chances sum to 1; the logarithm of what they summed to.
fn normalise(chances: &mut ByState) -> f64 {
    let sum: f64 = chances.iter().sum();
    chances.iter_mut().for_each(|c| *c /= sum);
    sum.ln()
}

impl Module {
    /// The chance that exactly those of its codes are recorded that are, in a state.
    fn chance_of_codes(&self, recorded: &[bool], state: usize) -> f64 {
        let one = |(code, chance): &(u32, ByState)| match recorded[*code as usize] {
            true => chance[state],
            false => 1.0 - chance[state],
        };
        self.codes.iter().map(one).product()
    }

    /// The chance that exactly those of its items are abnormal that are, in a state.
    fn chance_of_items(&self, visit: &Visit, state: usize) -> f64 {
        let chance = self.abnormal[state];
        self.labs.iter().map(|item| if visit.labs.contains(item) { chance } else { 1.0 - chance }).product()
    }
}

/// The chances of what is asked of `visit`, a row of the simulation's visits, which is one of `patient`: with the hidden states
/// known, and given what is observed.
pub fn of_visit(
    simulated: &Simulated,
    patient: usize,
    visit: usize,
    under_way: bool,
    asked: &[Asked],
) -> [Vec<f64>; 2] {
    let Simulated { world, visits, people, admissions, .. } = simulated;
    let (target, seen) = (&visits[visit], &visits[admissions.range(patient).start..visit]);
    let belief = Belief::new(world, people.get(patient), seen, under_way.then_some(target));
    let of = |chances: Vec<f64>, any: &dyn Fn(&Group) -> f64| -> Vec<f64> {
        let one = |asked: &Asked| match asked {
            Asked::One(code) => chances[*code],
            Asked::Any(group) => any(group),
        };
        asked.iter().map(one).collect()
    };
    [
        of(known(world, target), &|group| group.known(target)),
        of(belief.chances(world), &|group| group.believed(&belief)),
    ]
}

/// Every code of the world.
#[cfg(test)]
pub fn each(world: &World) -> Vec<Asked> {
    (0..world.codes.len()).map(Asked::One).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SyntheticOptions;
    use crate::draw::falling;
    use crate::hidden::simulate::simulate;
    use crate::hidden::world::STATES;
    use dualk_sdk::data::Sex;

    /// A world of two clusters with few modules, in which every course of states can be gone through.
    fn small() -> SyntheticOptions {
        SyntheticOptions { patients: 40, clusters: 2, codes: 17, labs: 6, multi: 1.0, ..SyntheticOptions::default() }
    }

    /// The chances of a module's codes at the next visit by the sum over all courses of states.
    fn by_enumeration(
        world: &World,
        module: &Module,
        (outside, person): (usize, Option<&Person>),
        seen: &[Visit],
    ) -> (f64, Vec<f64>) {
        let (first, next) = module.course(outside, person);
        let marked = |visit: &Visit| {
            let mut codes = vec![false; world.codes.len()];
            visit.codes.iter().for_each(|&c| codes[c as usize] = true);
            codes
        };
        let (mut total, mut sums) = (0.0, vec![0.0; module.codes.len()]);
        for course in 0..STATES.pow(seen.len() as u32 + 1) {
            let state = |visit: usize| course / STATES.pow(visit as u32) % STATES;
            let mut chance = first[state(0)];
            for (v, visit) in seen.iter().enumerate() {
                chance *= module.chance_of_codes(&marked(visit), state(v)) * module.chance_of_items(visit, state(v));
                chance *= next[state(v)][state(v + 1)];
            }
            total += chance;
            let last = state(seen.len());
            sums.iter_mut().zip(&module.codes).for_each(|(sum, (_, c))| *sum += chance * c[last]);
        }
        (total, sums)
    }

    #[test]
    fn chances_are_those_of_all_courses_of_states() {
        for demographics in [0.0, 0.8] {
            agrees_with_all_courses(&SyntheticOptions { demographics, ..small() });
        }
        let (clustering, reasons, variants, families) = (0.0, 0.0, 0.0, 0.0);
        agrees_with_all_courses(&SyntheticOptions { clustering, reasons, variants, families, ..small() });
        for lasting in [0.0, 1.0] {
            agrees_with_all_courses(&SyntheticOptions { lasting, ..small() });
        }
        for second_cluster in [0.0, 1.0] {
            agrees_with_all_courses(&SyntheticOptions { second_cluster, clustering: 0.5, ..small() });
        }
    }

    fn agrees_with_all_courses(options: &SyntheticOptions) {
        let simulated = simulate(options, 4);
        let world = &simulated.world;
        for p in 0..20 {
            let rows = simulated.admissions.range(p);
            let seen = &simulated.visits[rows.start..rows.end - 1];
            if seen.len() > 3 {
                continue;
            }
            let person = simulated.people.get(p);
            let found = Belief::new(world, person, seen, None).chances(world);
            // With two clusters a patient has the first, the second, or (from either side) both.
            let of = |m| [0, 1].map(|outside| by_enumeration(world, m, (outside, person), seen));
            let each: Vec<[(f64, Vec<f64>); 2]> = world.modules.iter().map(of).collect();
            // The second cluster is commoner in women.
            let in_sex = match person.map(|person| person.sex) {
                Some(Sex::Female) => 1.0 + options.demographics,
                Some(Sex::Male) => 1.0 - options.demographics / 2.0,
                None => 1.0,
            };
            let (f, two) = ([falling(0), falling(1) * in_sex], options.second_cluster);
            let alone = 1.0 - two;
            let kinds = [([0, 1], f[0] * alone), ([1, 0], f[1] * alone), ([0, 0], (f[0] + f[1]) * two)];
            let weight = |(outside, prior): &([usize; 2], f64)| {
                let of = |k: usize| world.clusters[k].clone().map(|m| each[m][outside[k]].0).product::<f64>();
                prior * of(0) * of(1)
            };
            let total: f64 = kinds.iter().map(weight).sum();
            for k in 0..2 {
                for m in world.clusters[k].clone() {
                    for (i, (code, _)) in world.modules[m].codes.iter().enumerate() {
                        let of = |kind: &([usize; 2], f64)| {
                            let (chance, sums) = &each[m][kind.0[k]];
                            weight(kind) * sums[i] / chance
                        };
                        let expected = kinds.iter().map(of).sum::<f64>() / total;
                        let ours = found[*code as usize];
                        assert!((ours - expected).abs() < 1e-9, "patient {p}, code {code}: {ours} and {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn chances_are_as_frequent_as_they_say() {
        let options = SyntheticOptions { patients: 3000, multi: 1.0, ..SyntheticOptions::default() };
        let simulated = simulate(&options, 9);
        let asked = each(&simulated.world);
        for kind in 0..2 {
            let mut bins = vec![(0.0, 0.0, 0.0); 10];
            for p in 0..simulated.patients.len() {
                let rows = simulated.admissions.range(p);
                let chances = &of_visit(&simulated, p, rows.end - 1, false, &asked)[kind];
                let codes = &simulated.visits[rows.end - 1].codes;
                for (code, &chance) in chances.iter().enumerate() {
                    let bin = &mut bins[((chance * 10.0) as usize).min(9)];
                    let hit = f64::from(u8::from(codes.contains(&(code as u32))));
                    *bin = (bin.0 + chance, bin.1 + hit, bin.2 + chance * (1.0 - chance));
                }
            }
            for (expected, found, variance) in bins {
                let apart = (expected - found).abs() / variance.sqrt().max(1e-9);
                assert!(apart < 4.0 || expected == found, "kind {kind}: {expected} expected, {found} found");
            }
        }
    }

    /// All codes of the episodes of the first cluster and of a chronic disease of the second, and a reason for visits. As if each came
    /// by itself, given what is observed, the sum would be too large: codes of an episode come together.
    #[test]
    fn any_of_several_codes_is_as_frequent_as_is_said() {
        let options = SyntheticOptions { patients: 3000, multi: 1.0, ..SyntheticOptions::default() };
        let simulated = simulate(&options, 9);
        let world = &simulated.world;
        let is_acute = |module: &usize| world.modules[*module].next[0][1][0] > 0.0;
        let modules = world.clusters[0].clone().filter(is_acute).chain([world.clusters[1].start]);
        let of_modules = modules.flat_map(|module| world.modules[module].codes.iter().map(|(code, _)| *code as usize));
        let codes: Vec<usize> = of_modules.chain([1]).collect();
        let asked: Vec<Asked> =
            std::iter::once(Asked::new(world, &codes)).chain(codes.iter().map(|&c| Asked::One(c))).collect();
        for kind in 0..2 {
            let (mut expected, mut alone, mut found, mut variance) = (0f64, 0f64, 0f64, 0f64);
            for p in 0..simulated.patients.len() {
                let last = simulated.admissions.range(p).end - 1;
                let chances = &of_visit(&simulated, p, last, false, &asked)[kind];
                let has = simulated.visits[last].codes.iter().any(|&code| codes.contains(&(code as usize)));
                expected += chances[0];
                alone += 1.0 - chances[1..].iter().map(|chance| 1.0 - chance).product::<f64>();
                found += f64::from(u8::from(has));
                variance += chances[0] * (1.0 - chances[0]);
            }
            assert!((expected - found).abs() < 4.0 * variance.sqrt(), "kind {kind}: {expected}, found {found}");
            // With the states known, they are independent.
            assert_eq!(alone > found + 5.0 * variance.sqrt(), kind == 1, "kind {kind}: {alone}, found {found}");
        }
    }

    #[test]
    fn a_group_of_one_code_has_its_chance() {
        let simulated = simulate(&small(), 4);
        let world = &simulated.world;
        let groups: Vec<Asked> = (0..world.codes.len()).map(|code| Asked::Any(Group::new(world, &[code]))).collect();
        for p in 0..20 {
            let last = simulated.admissions.range(p).end - 1;
            let of = |asked: &[Asked]| of_visit(&simulated, p, last, true, asked).concat();
            for (ours, expected) in of(&groups).into_iter().zip(of(&each(world))) {
                assert!((ours - expected).abs() < 1e-12, "patient {p}: {ours} and {expected}");
            }
        }
        assert!(Group::new(world, &[]).known(&simulated.visits[0]) == 0.0);
    }

    /// The first chronic code of each cluster comes with age. In young and old women and men it is as frequent as is said.
    #[test]
    fn age_and_sex_are_among_what_is_observed() {
        let options = SyntheticOptions { patients: 3000, multi: 1.0, demographics: 1.0, ..SyntheticOptions::default() };
        let simulated = simulate(&options, 11);
        let world = &simulated.world;
        let asked = each(world);
        // By cluster, age and sex: expected, found, variance.
        let mut sums = vec![[[(0.0, 0.0, 0.0); 2]; 2]; world.clusters.len()];
        for (p, person) in simulated.people.iter().enumerate() {
            let last = simulated.admissions.range(p).end - 1;
            let [_, chances] = of_visit(&simulated, p, last, false, &asked);
            for (cluster, sums) in world.clusters.iter().zip(&mut sums) {
                let code = world.modules[cluster.start].codes[0].0;
                let chance = chances[code as usize];
                let sum = &mut sums[usize::from(person.age >= 55)][usize::from(person.sex == Sex::Male)];
                let hit = f64::from(u8::from(simulated.visits[last].codes.contains(&code)));
                *sum = (sum.0 + chance, sum.1 + hit, sum.2 + chance * (1.0 - chance));
            }
        }
        for (k, sums) in sums.iter().enumerate() {
            for (expected, found, variance) in sums.iter().flatten() {
                assert!((expected - found).abs() < 5.0 * variance.sqrt(), "cluster {k}: {expected}, found {found}");
            }
        }
        let found = |age: usize, sex: usize| sums.iter().map(|sums| sums[age][sex].1).sum::<f64>();
        let (young, old) = (found(0, 0) + found(0, 1), found(1, 0) + found(1, 1));
        assert!(old > 1.3 * young, "{old} of the old, {young} of the young");
        let of = |k: usize, sex: usize| sums[k][0][sex].1 + sums[k][1][sex].1;
        assert!(of(1, 0) > 1.3 * of(1, 1) && of(2, 1) > 1.3 * of(2, 0), "commoner in women, and in men");
    }
}
