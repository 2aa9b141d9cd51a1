//! Data for the tests of tasks about stays.

use dualk_sdk::data::{AdmissionFacts, LabItem, SECONDS_PER_DAY, SplitOptions, prepare};
use dualk_sdk::prelude::*;
use std::collections::HashMap;

/// Sixty patients with one to four admissions. The admission in row r of the cohort lasts r modulo 16 days, ends in death when
/// r modulo 7 is 3, has a drug unless r modulo 4 is 0, and in it item r modulo 3 is abnormal; the o-th of a patient begins on
/// day 100·o + 10·o².
pub fn data() -> Dataset {
    let mut cohort = Cohort {
        code_names: ["428.0", "250.00", "401.9"].map(String::from).to_vec(),
        lab_items: (0..3).map(|id| LabItem { id, category: Some(0) }).collect(),
        lab_categories: vec!["chemistry".to_owned()],
        ..Cohort::default()
    };
    let mut row = 0;
    for patient in 0..60 {
        let visits = 1 + patient % 4;
        cohort.patients.push(patient);
        cohort.admissions.push((0..visits).map(|v| row + v));
        for order in 0..visits {
            let start = (100 * order + 10 * order * order) * SECONDS_PER_DAY;
            cohort.codes.push([(row % 3) as u32]);
            cohort.labs.push([(row % 3) as u32]);
            cohort.admission_facts.push(AdmissionFacts {
                start: Some(start),
                end: Some(start + row % 16 * SECONDS_PER_DAY),
                age: None,
                died: Some(row % 7 == 3),
            });
            row += 1;
        }
    }
    let drugs: HashMap<i64, Vec<u32>> =
        (0..row).filter(|row| row % 4 != 0).map(|row| (row, vec![(row % 5) as u32])).collect();
    let names: Vec<String> = (0..5).map(|drug| format!("drug {drug}")).collect();
    cohort.add_events("drugs", &drugs, &names);
    cohort.validate().unwrap();
    prepare(cohort, &SplitOptions::default()).unwrap()
}
