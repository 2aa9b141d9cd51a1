//! Codes and laboratory items by index.

use super::{Cohort, Events, SECONDS_PER_DAY, Visits, Vocabulary};

/// Numbers codes in the order of first use, those of multi-visit patients first, and laboratory items by id. Codes of
/// the further kinds of [`Cohort::nodes`] come last, as `kind:name`; in a visit they stand behind its diagnoses.
pub fn build_vocabulary(cohort: &Cohort) -> Vocabulary {
    vocabulary_of(cohort, &vec![true; cohort.patients.len()])
}

/// The same from some of the patients. Codes and items that only others have get no number: they are left out of their
/// admissions. Every code that these patients have is then to predict, since another's last visit may hold one that only
/// single-visit patients have.
pub fn vocabulary_of(cohort: &Cohort, learns: &[bool]) -> Vocabulary {
    let mut codes = vec![String::new()];
    let mut indices = vec![0u32; cohort.code_names.len()];
    let mut number = |single: bool| {
        let patients = (0..cohort.patients.len()).filter(|&p| learns[p] && (cohort.visits(p) == 1) == single);
        for &code in patients.flat_map(|p| cohort.admissions.range(p)).flat_map(|row| cohort.codes.row(row)) {
            let index = &mut indices[code as usize];
            if *index == 0 {
                *index = codes.len() as u32;
                codes.push(cohort.code_names[code as usize].clone());
            }
        }
        codes.len() - 1
    };
    let (of_multi, of_all) = (number(false), number(true));
    let target_codes = if learns.iter().all(|&learns| learns) { of_multi } else { of_all };
    let mut admission_codes: Vec<Vec<u32>> =
        cohort.codes.rows().map(|row| row.iter().map(|&c| indices[c as usize]).filter(|&c| c != 0).collect()).collect();
    for events in cohort.events.iter().filter(|events| cohort.nodes.contains(&events.kind)) {
        add_further(events, rows_of(cohort, learns), &mut codes, &mut admission_codes);
    }
    let admission_codes: Visits = admission_codes.into_iter().collect();
    let admission_codes = match cohort.admission_facts.is_empty() {
        true => admission_codes,
        false => admission_codes.at_days(days(cohort)),
    };
    let labs = used_labs(cohort, learns);
    let of = |category: usize| {
        let belongs = |&&item: &&u32| cohort.lab_items[item as usize].category == Some(category as u8);
        labs.iter().filter(belongs).copied().collect()
    };
    let category_labs = (0..cohort.lab_categories.len()).map(of).collect();
    let events = cohort.events.iter().map(|events| used_events(events, rows_of(cohort, learns))).collect();
    Vocabulary { codes, target_codes, admission_codes, category_labs, labs, events }
}

/// Numbers the codes of a further kind that are in the rows `learnt`, and adds them to the codes of all admissions.
fn add_further(
    events: &Events,
    learnt: impl Iterator<Item = usize>,
    codes: &mut Vec<String>,
    admission_codes: &mut [Vec<u32>],
) {
    let mut numbers = vec![None; events.names.len()];
    for name in used_events(events, learnt) {
        numbers[name as usize] = Some(codes.len() as u32);
        codes.push(format!("{}:{}", events.kind, events.names[name as usize]));
    }
    for (row, further) in admission_codes.iter_mut().zip(events.rows.rows()) {
        row.extend(further.iter().filter_map(|&name| numbers[name as usize]));
    }
}

/// The codes of a further kind that are in the rows `learnt`, ascending.
fn used_events(events: &Events, learnt: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut used = vec![false; events.names.len()];
    learnt.flat_map(|row| events.rows.row(row)).for_each(|&name| used[name as usize] = true);
    (0..).zip(used).filter(|(_, used)| *used).map(|(name, _)| name).collect()
}

/// The admissions of those who are learnt from.
fn rows_of<'a>(cohort: &'a Cohort, learns: &'a [bool]) -> impl Iterator<Item = usize> + 'a {
    let patients = (0..cohort.patients.len()).filter(move |&p| learns[p]);
    patients.flat_map(move |p| cohort.admissions.range(p))
}

/// When each admission began, in days since the first of its patient; NaN where that is not known.
fn days(cohort: &Cohort) -> Vec<f32> {
    let facts = &cohort.admission_facts;
    let of_patient = |p: usize| {
        let rows = cohort.admissions.range(p);
        let starts = facts[rows].iter().map(|facts| facts.start);
        let first = starts.clone().flatten().min().unwrap_or(0);
        starts
            .map(move |start| start.map_or(f32::NAN, |start| ((start - first) as f64 / SECONDS_PER_DAY as f64) as f32))
            .collect::<Vec<_>>()
    };
    (0..cohort.patients.len()).flat_map(of_patient).collect()
}

/// Items that have a category and are abnormal somewhere in those who are learnt from, ascending.
fn used_labs(cohort: &Cohort, learns: &[bool]) -> Vec<u32> {
    let mut used = vec![false; cohort.lab_items.len()];
    rows_of(cohort, learns).flat_map(|row| cohort.labs.row(row)).for_each(|&item| used[item as usize] = true);
    let keep = |&item: &usize| used[item] && cohort.lab_items[item].category.is_some();
    (0..used.len()).filter(keep).map(|item| item as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::LabItem;

    #[test]
    fn codes_of_further_kinds_come_last() {
        let mut cohort = Cohort {
            patients: vec![7, 8],
            admissions: [vec![70], vec![80, 81]].into_iter().collect(),
            codes: [vec![0], vec![1, 1], vec![1]].into_iter().collect(),
            code_names: ["a", "b"].map(String::from).to_vec(),
            labs: [vec![], vec![], vec![]].into_iter().collect(),
            ..Cohort::default()
        };
        let drugs = [(70, vec![1]), (80, vec![0, 1, 1])].into();
        cohort.add_events("drugs", &drugs, &["x".to_owned(), "y".to_owned()]);
        let without = build_vocabulary(&cohort);
        assert_eq!((without.codes, without.events), (["", "b", "a"].map(String::from).to_vec(), vec![vec![0, 1]]));
        assert_eq!(vocabulary_of(&cohort, &[true, false]).events, [[0]], "drug x is that of the other alone");
        cohort.nodes = vec!["drugs".to_owned()];
        let vocabulary = build_vocabulary(&cohort);
        assert_eq!(
            (vocabulary.target_codes, vocabulary.codes),
            (1, ["", "b", "a", "drugs:y", "drugs:x"].map(String::from).to_vec())
        );
        let rows: Vec<&[u32]> = vocabulary.admission_codes.rows().collect();
        assert_eq!(rows, [&[2, 3][..], &[1, 1, 4, 3], &[1]]);

        // Learnt from the first patient alone, drug x is unknown.
        let vocabulary = vocabulary_of(&cohort, &[true, false]);
        assert_eq!((vocabulary.codes, vocabulary.target_codes), (["", "a", "drugs:y"].map(String::from).to_vec(), 1));
        assert_eq!(vocabulary.admission_codes.rows().collect::<Vec<_>>(), [&[1, 2][..], &[2], &[]]);
    }

    #[test]
    fn codes_of_multi_visit_patients_come_first() {
        let cohort = Cohort {
            patients: vec![7, 8],
            admissions: [vec![70], vec![80, 81]].into_iter().collect(),
            codes: [vec![0, 1], vec![2, 1, 2], vec![3]].into_iter().collect(),
            code_names: ["a", "b", "c", "d"].map(String::from).to_vec(),
            labs: [vec![0, 2], vec![], vec![1, 2]].into_iter().collect(),
            lab_items: [Some(1), Some(0), None, Some(0)].map(|category| LabItem { id: 0, category }).to_vec(),
            lab_categories: vec!["hematology".into(), "chemistry".into()],
            ..Cohort::default()
        };
        let vocabulary = build_vocabulary(&cohort);
        assert_eq!(vocabulary.codes, ["", "c", "b", "d", "a"]);
        assert_eq!(vocabulary.target_codes, 3);
        assert_eq!(vocabulary.admission_codes.row(1), [1, 2, 1]);
        assert_eq!(vocabulary.labs, [0, 1], "item 2 has no category, item 3 does not occur");
        assert_eq!(vocabulary.category_labs, [vec![1], vec![0]]);

        // Learnt from the first patient alone, codes 2 and 3 and item 1 are unknown.
        let vocabulary = vocabulary_of(&cohort, &[true, false]);
        assert_eq!((vocabulary.codes, vocabulary.target_codes), (["", "a", "b"].map(String::from).to_vec(), 2));
        assert_eq!(vocabulary.admission_codes.rows().collect::<Vec<_>>(), [&[1, 2][..], &[2], &[]]);
        assert_eq!(vocabulary.labs, [0]);
    }
}
