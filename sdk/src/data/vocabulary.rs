//! Identifiers of codes and laboratory items.

use super::{Cohort, Ragged, Vocabulary};

/// Numbers codes in the order of first use, those of multi-visit patients first, and laboratory items by identifier.
pub fn build_vocabulary(cohort: &Cohort) -> Vocabulary {
    let mut codes = vec![String::new()];
    let mut identifiers = vec![0u32; cohort.code_names.len()];
    let mut number = |single: bool| {
        let patients = (0..cohort.patients.len()).filter(|&p| (cohort.visits(p) == 1) == single);
        for &code in patients.flat_map(|p| cohort.admissions.range(p)).flat_map(|row| cohort.codes.row(row)) {
            let identifier = &mut identifiers[code as usize];
            if *identifier == 0 {
                *identifier = codes.len() as u32;
                codes.push(cohort.code_names[code as usize].clone());
            }
        }
        codes.len() - 1
    };
    let target_codes = number(false);
    number(true);
    let admission_codes: Ragged<u32> =
        cohort.codes.rows().map(|row| row.iter().map(|&c| identifiers[c as usize])).collect();
    let labs = used_labs(cohort);
    let of = |category: usize| {
        let belongs = |&&item: &&u32| cohort.lab_items[item as usize].category == Some(category as u8);
        labs.iter().filter(belongs).copied().collect()
    };
    let category_labs = (0..cohort.lab_categories.len()).map(of).collect();
    Vocabulary { codes, target_codes, admission_codes, category_labs, labs }
}

/// Items that have a category and are abnormal somewhere, ascending.
fn used_labs(cohort: &Cohort) -> Vec<u32> {
    let mut used = vec![false; cohort.lab_items.len()];
    cohort.labs.values().iter().for_each(|&item| used[item as usize] = true);
    let keep = |&item: &usize| used[item] && cohort.lab_items[item].category.is_some();
    (0..used.len()).filter(keep).map(|item| item as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::LabItem;

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
            notes: vec![],
        };
        let vocabulary = build_vocabulary(&cohort);
        assert_eq!(vocabulary.codes, ["", "c", "b", "d", "a"]);
        assert_eq!(vocabulary.target_codes, 3);
        assert_eq!(vocabulary.admission_codes.row(1), [1, 2, 1]);
        assert_eq!(vocabulary.labs, [0, 1], "item 2 has no category, item 3 does not occur");
        assert_eq!(vocabulary.category_labs, [vec![1], vec![0]]);
    }
}
