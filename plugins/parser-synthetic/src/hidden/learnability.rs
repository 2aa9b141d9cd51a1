//! Whether the generated cohort is worth learning from: a sparse graph, more to know than code frequencies, and options
//! that remove what they name.

use super::oracle;
use super::simulate::{Simulated, simulate};
use crate::{SyntheticOptions, generate};
use dualk_sdk::data::{Dataset, Sex, SplitOptions, prepare};
use std::collections::{BTreeSet, HashMap, HashSet};

fn dataset(options: &SyntheticOptions, seed: u64) -> Dataset {
    prepare(generate(options, seed), &SplitOptions::default()).unwrap()
}

/// Recall at 10 of the codes with the highest scores, averaged over test patients.
fn recall(data: &Dataset, score: impl Fn(usize) -> Vec<f64>) -> f64 {
    let truth = data.last_visit_codes(&data.splits.test);
    let one = |(i, &p): (usize, &usize)| {
        let scores = score(p);
        let mut ranked: Vec<u32> = (0..scores.len() as u32).collect();
        ranked.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        let hits = ranked[..10].iter().filter(|c| truth.row(i).contains(c)).count();
        hits as f64 / truth.row(i).len().min(10) as f64
    };
    data.splits.test.iter().enumerate().map(one).sum::<f64>() / data.splits.test.len() as f64
}

/// Recall at 10 by frequency, by the codes that a patient had most often, and by the true chances given what is observed
/// and given the hidden states.
fn measure(options: &SyntheticOptions, seed: u64) -> [f64; 4] {
    let data = dataset(options, seed);
    let simulated = simulate(options, seed);
    let asked = oracle::each(&simulated.world);
    let numbers: HashMap<&str, usize> =
        simulated.world.codes.iter().enumerate().map(|(i, code)| (code.as_str(), i)).collect();
    let frequency: Vec<f64> = data.label_counts(&data.splits.train).into_iter().map(|n| n as f64).collect();
    let history = |p: usize| {
        let mut scores: Vec<f64> = frequency.iter().map(|f| f / 1e6).collect();
        let rows = data.cohort.admissions.range(p);
        (rows.start..rows.end - 1).flat_map(|row| data.visit_codes(row)).for_each(|c| scores[c as usize] += 1.0);
        scores
    };
    let best = |p: usize, kind: usize| -> Vec<f64> {
        let rows = data.cohort.admissions.range(p);
        let chances = &oracle::of_visit(&simulated, p, rows.end - 1, false, &asked)[kind];
        data.vocabulary.codes[1..=data.vocabulary.target_codes].iter().map(|c| chances[numbers[c.as_str()]]).collect()
    };
    [
        recall(&data, |_| frequency.clone()),
        recall(&data, history),
        recall(&data, |p| best(p, 1)),
        recall(&data, |p| best(p, 0)),
    ]
}

#[test]
fn there_is_more_to_know_than_the_history_says() {
    for seed in [66, 1] {
        let options = SyntheticOptions { patients: 6000, ..SyntheticOptions::default() };
        let [frequency, history, given, known] = measure(&options, seed);
        println!(
            "seed {seed}: recall@10 by frequency {frequency:.3}, own history {history:.3}, given what is observed \
             {given:.3}, hidden state known {known:.3}"
        );
        assert!(history > frequency + 0.1, "history {history} against {frequency}");
        assert!(given > history + 0.05, "given what is observed {given} against {history}");
        assert!(known > given + 0.05, "hidden state known {known} against {given}");
    }
}

/// The part of items that are abnormal in modules in a state, and of codes that are recorded.
fn signs(options: &SyntheticOptions, state: u8) -> (f64, f64) {
    let simulated = simulate(options, 3);
    let (mut items, mut codes) = ((0.0, 0.0), (0.0, 0.0));
    for visit in &simulated.visits {
        for (module, _) in simulated.world.modules.iter().zip(&visit.states).filter(|(_, s)| **s == state) {
            items.0 += module.labs.iter().filter(|item| visit.labs.contains(item)).count() as f64;
            items.1 += module.labs.len() as f64;
            codes.0 += module.codes.iter().filter(|code| visit.codes.contains(&code.0)).count() as f64;
            codes.1 += module.codes.len() as f64;
        }
    }
    (items.0 / items.1, codes.0 / codes.1)
}

#[test]
fn strengths_of_zero_remove_what_they_name() {
    let options = |change: fn(&mut SyntheticOptions)| {
        let mut options = SyntheticOptions { patients: 1500, ..SyntheticOptions::default() };
        change(&mut options);
        options
    };
    let (items, codes) = signs(&options(|_| ()), 1);
    assert!((0.6..0.72).contains(&items) && codes == 0.0, "deranged: {items} of the items, {codes} of the codes");
    let (items, _) = signs(&options(|o| o.physiology = 0.0), 1);
    assert!((0.01..0.03).contains(&items), "without physiology {items} of the items are abnormal before the codes");
    let (items, codes) = signs(&options(|o| o.lab_signal = 0.0), 2);
    assert!(
        (0.01..0.03).contains(&items) && codes > 0.3,
        "without a signal {items} of the items, {codes} of the codes"
    );
    let reached = |change: fn(&mut SyntheticOptions), state: u8| {
        simulate(&options(change), 3).visits.iter().flat_map(|v| v.states.clone()).any(|s| s == state)
    };
    assert!(reached(|_| (), 3) && !reached(|o| o.progression = 0.0, 3));
    let none = simulate(&options(|o| (o.acute, o.chronic, o.noise) = (0.0, 0.0, 0.0)), 3);
    assert!(none.visits.iter().all(|v| v.codes.len() == 1 && v.labs.is_empty()));
    // Variants are filed under the family of the code that they go with, or anywhere.
    let right = |knowledge: f64| {
        let world = simulate(&SyntheticOptions { knowledge, ..SyntheticOptions::default() }, 3).world;
        let of = |module: &super::world::Module| {
            let text = |i: usize| world.codes[module.codes[i].0 as usize].clone();
            (module.codes.len() > 2 && module.next[0][2][0] == 0.0).then(|| text(0)[..3] == text(2)[..3])
        };
        let filed: Vec<bool> = world.modules.iter().filter_map(of).collect();
        filed.iter().filter(|&&right| right).count() as f64 / filed.len() as f64
    };
    assert_eq!(right(1.0), 1.0);
    assert!(right(0.0) < 0.1 && (0.3..0.7).contains(&right(0.5)), "{} {}", right(0.0), right(0.5));
}

/// Simulations with an option at two values.
fn both(change: impl Fn(f64, SyntheticOptions) -> SyntheticOptions, values: [f64; 2]) -> [Simulated; 2] {
    let options = || SyntheticOptions { patients: 500, ..SyntheticOptions::default() };
    values.map(|value| simulate(&change(value, options()), 3))
}

/// Codes of all visits, as far as they are wanted.
fn codes(simulated: &Simulated, wanted: impl Fn(u32) -> bool) -> Vec<Vec<u32>> {
    simulated.visits.iter().map(|visit| visit.codes.iter().copied().filter(|&code| wanted(code)).collect()).collect()
}

#[test]
fn variants_and_reasons_are_removed_and_all_else_stays() {
    let [all, none] = both(|variants, o| SyntheticOptions { variants, ..o }, [1.0, 0.0]);
    let chronic = all.world.modules.iter().filter(|module| module.next[0][2][0] == 0.0);
    let variants: HashSet<u32> = chronic.flat_map(|module| &module.codes[2..]).map(|(code, _)| *code).collect();
    let recorded = |s: &Simulated| codes(s, |code| variants.contains(&code)).concat().len();
    assert!(recorded(&all) > 20 && recorded(&none) == 0, "{} recorded", recorded(&all));
    let others = |s: &Simulated| codes(s, |code| !variants.contains(&code));
    assert_eq!(others(&all), others(&none));
    let told = |s: &Simulated| s.world.knowledge.iter().filter(|fact| fact.1 == "variant_of").count();
    assert_eq!((told(&all), told(&none)), (variants.len(), 0));

    let [all, none] = both(|reasons, o| SyntheticOptions { reasons, ..o }, [1.0, 0.0]);
    let reasons = all.world.reasons.len() as u32;
    let of_visits = |s: &Simulated| codes(s, |code| code < reasons);
    assert!(of_visits(&all).concat().iter().any(|&code| code > 0));
    assert!(of_visits(&none).iter().all(|codes| codes[..] == [0]));
    assert_eq!(codes(&all, |code| code >= reasons), codes(&none, |code| code >= reasons));
}

/// By hand: of 12 clusters 1.3 are a patient's, so that the first chronic disease of each begins at 1.3/12 · .2 + 10.7/12 · .0012.
#[test]
fn without_clustering_diseases_come_as_often_in_all_patients() {
    let [all, none] = both(|clustering, o| SyntheticOptions { clustering, ..o }, [1.0, 0.0]);
    assert!(all.world.modules.iter().all(|module| module.next[0] != module.next[1]));
    assert!(none.world.modules.iter().all(|module| module.next[0] == module.next[1]));
    let begins = |s: &Simulated| s.world.modules[0].next[0][0][1];
    assert_eq!(begins(&all), 0.2);
    assert!((begins(&none) - (1.3 / 12.0 * 0.2 + 10.7 / 12.0 * 0.0012)).abs() < 1e-12);
}

/// One that does not last must derange anew before it comes again.
#[test]
fn without_lasting_no_episode_is_in_two_visits() {
    let [some, none] = both(|lasting, o| SyntheticOptions { lasting, chronic: 0.0, ..o }, [0.5, 0.0]);
    let again = |s: &Simulated| {
        let reasons = s.world.reasons.len() as u32;
        let all = codes(s, |code| code >= reasons);
        let of_patient = |ends: &[usize]| -> usize {
            let pairs = all[ends[0]..ends[1]].windows(2);
            pairs.filter(|pair| pair[0].iter().any(|code| pair[1].contains(code))).count()
        };
        s.admissions.offsets().windows(2).map(of_patient).sum::<usize>()
    };
    assert!(again(&some) > 20 && again(&none) == 0, "{} and {}", again(&some), again(&none));
}

#[test]
fn without_families_the_hierarchy_says_nothing_and_the_graph_is_right() {
    let [all, none] = both(|families, o| SyntheticOptions { families, ..o }, [1.0, 0.0]);
    let text = |s: &Simulated, code: u32| s.world.codes[code as usize].clone();
    // The first two codes of each disease that has two.
    let pairs = |s: &Simulated| -> Vec<(String, String)> {
        let modules = s.world.modules.iter().filter(|module| module.codes.len() > 1);
        modules.map(|module| (text(s, module.codes[0].0), text(s, module.codes[1].0))).collect()
    };
    let alike = |s: &Simulated| {
        let pairs = pairs(s);
        pairs.iter().filter(|(a, b)| a[..3] == b[..3]).count() as f64 / pairs.len() as f64
    };
    assert_eq!(alike(&all), 1.0);
    assert!(alike(&none) < 0.1, "{}", alike(&none));
    for simulated in [&all, &none] {
        let told: HashSet<(&str, &str)> =
            simulated.world.knowledge.iter().map(|(head, _, tail)| (head.as_str(), tail.as_str())).collect();
        assert!(pairs(simulated).iter().all(|(a, b)| told.contains(&(a.as_str(), b.as_str()))));
    }
    let sorted = |s: &Simulated| s.world.codes.iter().cloned().collect::<BTreeSet<String>>();
    assert_eq!(sorted(&all), sorted(&none));
    assert_eq!(codes(&all, |_| true), codes(&none, |_| true));
}

#[test]
fn nothing_is_missing_and_no_visit_follows_where_that_is_said() {
    let options = SyntheticOptions { patients: 500, missing_labs: 0.0, lab_signal: 1.0, ..SyntheticOptions::default() };
    assert_eq!(signs(&options, 2).0, 1.0);
    let [all, none] = both(|further, o| SyntheticOptions { further, ..o }, [0.5, 0.0]);
    let most = |s: &Simulated| s.admissions.rows().map(<[i64]>::len).max();
    assert!(most(&all) > Some(2) && most(&none) == Some(2));
}

#[test]
fn the_cohort_is_shaped_like_mimic() {
    let data = dataset(&SyntheticOptions::default(), 66);
    let counts = data.counts();
    let count = |key: &str| counts[key].as_u64().unwrap();
    let multi = count("train") + count("valid") + count("test");
    assert!(multi >= 1200 && count("single") >= 1500, "{multi} patients with several admissions");
    assert!((250..=264).contains(&count("codes_pretrain")), "{} codes", count("codes_pretrain"));
    assert!(count("rare_codes") > 0);
    assert!(counts["labs"].as_object().unwrap().values().all(|n| n.as_u64().unwrap() > 10), "{:?}", counts["labs"]);
    let is = |code: &u32| data.vocabulary.codes[*code as usize + 1].starts_with("428");
    let fails = |&&p: &&usize| data.visit_codes(data.last_visit(p)).iter().any(is);
    let failing = data.splits.train.iter().filter(fails).count() as f64 / data.splits.train.len() as f64;
    assert!((0.05..0.4).contains(&failing), "{failing} with heart failure");
    assert!(data.cohort.code_names.iter().all(|c| c.as_bytes()[3] == b'.'));
    let distinct: std::collections::HashSet<&String> = data.cohort.code_names.iter().collect();
    assert_eq!(distinct.len(), data.cohort.code_names.len(), "codes repeat");
}

#[test]
fn age_and_sex_leave_numbers_of_visits_codes_and_items_as_they_are() {
    let options = |demographics| SyntheticOptions { patients: 1000, demographics, ..SyntheticOptions::default() };
    let (none, some) = (generate(&options(0.0), 7), generate(&options(0.5), 7));
    assert!(none.patient_facts.is_empty() && none.admission_facts.is_empty());
    some.validate().unwrap();
    assert_eq!((&none.patients, &none.admissions), (&some.patients, &some.admissions));
    let worlds = [0.0, 0.5].map(|strength| simulate(&options(strength), 7).world);
    assert_eq!((&worlds[0].codes, &worlds[0].knowledge), (&worlds[1].codes, &worlds[1].knowledge));
    let known: Vec<_> = (0..1000).map(|p| some.demographics(p, some.admissions.range(p).start)).collect();
    assert!(known.iter().all(|known| known.age.is_some_and(|age| (20.0..90.0).contains(&age))));
    let women = known.iter().filter(|known| known.sex == Some(Sex::Female)).count();
    assert!((430..570).contains(&women), "{women} of 1000");
}

#[test]
fn the_seed_decides_everything() {
    let options = SyntheticOptions { patients: 50, ..SyntheticOptions::default() };
    assert_eq!(generate(&options, 7), generate(&options, 7));
    assert_ne!(generate(&options, 7), generate(&options, 8));
}
