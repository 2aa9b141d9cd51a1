//! Small inputs for components.

use crate::Result;
use crate::data::{
    AdmissionFacts, Batch, Cohort, Dataset, LabItem, PatientFacts, Ragged, SECONDS_PER_DAY, Sets, Sex, SplitOptions,
    prepare,
};
use crate::graph::Graph;
use burn::tensor::{Device, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// Numbers in ±1.5, the same in every process.
pub(super) fn numbers(seed: u64, rows: usize, columns: usize) -> TensorData {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-1.5..1.5)).collect();
    TensorData::new(values, [rows, columns])
}

/// Zeros and ones, a third of them ones.
pub(super) fn bits(seed: u64, rows: usize, columns: usize) -> TensorData {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..rows * columns).map(|_| f32::from(u8::from(rng.random_bool(0.34)))).collect();
    TensorData::new(values, [rows, columns])
}

/// Codes of ICD-9-CM, all in chapters that differ or share families; the padding node has the empty text.
pub(super) fn codes(nodes: usize) -> Vec<String> {
    let known = ["", "428.0", "428.1", "250.00", "401.9", "584.9", "V45.81", "E878.2", "427.31"];
    (0..nodes).map(|i| known.get(i).map_or_else(|| format!("{}.{}", 100 + i, i % 10), |&c| c.to_owned())).collect()
}

/// Nine nodes: the padding node without edges, a hub, a repeated edge, a self loop, a node that only gives and one
/// without any edge.
pub(super) fn graph() -> Result<Graph> {
    let hub = (2..8).map(|i| (i, 1, 0.25 * i as f32));
    let others = [(1, 2, 1.0), (2, 3, 0.5), (3, 2, 0.75), (2, 3, 0.125), (4, 4, 2.0), (5, 6, 1.5)];
    Graph::new(9, &hub.chain(others).collect::<Vec<_>>())
}

/// Sets of many, one and no members; a member may be there twice.
pub(super) fn sets() -> Sets {
    Sets::new([vec![0, 3, 5, 1], vec![2], vec![], vec![6, 6, 4], vec![1, 2]].into_iter().collect())
}

const PATIENTS: i64 = 80;
/// Codes that are not seldom.
const COMMON: usize = 24;

/// Data to try an objective on: 80 made-up patients with one to four visits, codes of ICD-9-CM in which those of the
/// first visits come back, heart failure (428.*) and rare codes among them, and three categories of laboratory items.
///
/// # Errors
/// None that a user could cause.
pub fn dataset() -> Result<Dataset> {
    let mut cohort = Cohort {
        patients: (1..=PATIENTS).collect(),
        code_names: codes(COMMON + 20).into_iter().skip(1).collect(),
        lab_categories: ["hematology", "chemistry", "blood gas"].map(String::from).to_vec(),
        lab_items: (0..12).map(|i| LabItem { id: 50_800 + i, category: Some((i % 3) as u8) }).collect(),
        ..Cohort::default()
    };
    add_visits(&mut cohort);
    add_facts(&mut cohort);
    for kind in ["procedures", "drugs"] {
        let names: Vec<String> = (0..9).map(|i| format!("{kind} {i}")).collect();
        let own = |row: usize| cohort.codes.row(row).iter().map(|code| code % 9).collect::<Vec<u32>>();
        let rows = cohort.admissions.values().iter().enumerate().map(|(row, &id)| (id, own(row))).collect();
        cohort.add_events(kind, &rows, &names);
    }
    cohort.validate()?;
    prepare(cohort, &SplitOptions::Random { train: 0.6, valid: 0.2, test: 0.2, seed: 1 })
}

/// One to four visits of each patient, with codes and items.
fn add_visits(cohort: &mut Cohort) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut admission = 20_000;
    for patient in 0..PATIENTS {
        let own: Vec<u32> = (0..4).map(|_| rng.random_range(0..COMMON as u32)).collect();
        let visits = 1 + patient % 4;
        cohort.admissions.push((0..visits).map(|visit| admission + visit));
        admission += visits;
        for visit in 0..visits {
            let rare = (patient % 4 == 3 && visit == 3).then_some((COMMON + (patient / 4) as usize - 1) as u32);
            let new = rng.random_range(0..COMMON as u32);
            let codes: Vec<u32> = own.iter().copied().chain([new]).chain(rare).collect();
            let labs: BTreeSet<u32> = codes.iter().map(|code| code % 12).collect();
            cohort.codes.push(codes);
            cohort.labs.push(labs);
        }
    }
}

/// Stays of a patient begin 20 to 60 days after each other and last up to 17; every seventh ends in death.
fn add_facts(cohort: &mut Cohort) {
    cohort.patient_facts = (0..PATIENTS)
        .map(|p| PatientFacts {
            sex: Some([Sex::Female, Sex::Male][p as usize % 2]),
            ethnicity: Some(["A", "B"][p as usize % 2].into()),
        })
        .collect();
    for patient in 0..PATIENTS {
        let mut start = SECONDS_PER_DAY * (10_000 + patient);
        for visit in 0..1 + patient % 4 {
            let row = cohort.admission_facts.len() as i64;
            let facts = AdmissionFacts {
                start: Some(start),
                end: Some(start + row % 18 * SECONDS_PER_DAY),
                age: Some((40 + patient % 50) as f32),
                died: Some(row % 7 == 3),
            };
            cohort.admission_facts.push(facts);
            start += SECONDS_PER_DAY * (20 + 20 * ((patient + visit) % 3));
        }
    }
}

/// Rows of a table as sets of columns that hold a one.
pub(super) fn ones(rows: usize, columns: usize, values: &[f32]) -> Ragged<u32> {
    (0..rows).map(|r| (0..columns as u32).filter(move |&c| values[r * columns + c as usize] == 1.0)).collect()
}

/// So many patients, each with two visits of two codes up to `codes`, and every other one with the only item.
pub(super) fn histories(patients: usize, codes: u32) -> Batch {
    let code = |i: usize| 1 + i as u32 % codes;
    Batch {
        codes: Sets::new((0..2 * patients).map(|visit| [code(visit), code(3 * visit + 1)]).collect()),
        visits: Sets::new((0..patients as u32).map(|p| [2 * p, 2 * p + 1]).collect()),
        labs: (0..patients).map(|p| (0..p as u32 % 2).map(|_| 0)).collect(),
        visit_labs: (0..2 * patients).map(|visit| (0..visit as u32 % 2).map(|_| 0)).collect(),
        demographics: Vec::new(),
        targets: Vec::new(),
        numbers: Vec::new(),
    }
}

/// The device to move to.
pub(super) fn other_device() -> Result<(Device, f64)> {
    let tested = crate::device::tested()?;
    let tolerance = match tested.name.split(':').next() {
        Some("cuda") => 1e-2,
        Some("wgpu") => 1e-3,
        _ => 0.0,
    };
    Ok((tested.device, tolerance))
}
