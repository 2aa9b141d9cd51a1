//! Age and sex of made-up patients.

use crate::SyntheticOptions;
use crate::draw::Draw;
use dualk_sdk::data::Sex;
use dualk_sdk::train::derive_seed;

/// The ages that patients have, in years.
const AGES: std::ops::Range<usize> = 20..90;
/// The age at which diseases begin as often as without demographics.
const MIDDLE: f64 = 55.0;

/// What is known of a patient. The age is the same at all visits.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// Age in years.
    pub age: u8,
    /// Sex.
    pub sex: Sex,
}

impl Person {
    /// A person a patient, from a generator of their own; nobody at strength 0.
    pub fn all(options: &SyntheticOptions, seed: u64) -> Vec<Self> {
        if options.demographics == 0.0 {
            return Vec::new();
        }
        let mut draw = Draw::new(derive_seed(seed, &[1]));
        let person = |_| Self {
            age: (AGES.start + draw.below(AGES.len())) as u8,
            sex: if draw.chance(0.5) { Sex::Female } else { Sex::Male },
        };
        (0..options.patients).map(person).collect()
    }

    /// How often what comes with age at a strength begins, as a multiple.
    pub fn often(&self, strength: f64) -> f64 {
        1.0 + strength * (f64::from(self.age) / MIDDLE - 1.0)
    }

    /// How common a cluster is at a strength, as a multiple: of three, one is as common in both sexes, one commoner in women
    /// and one in men.
    pub fn common(&self, cluster: usize, strength: f64) -> f64 {
        match (cluster % 3, self.sex) {
            (0, _) => 1.0,
            (1, Sex::Female) | (2, Sex::Male) => 1.0 + strength,
            _ => 1.0 - strength / 2.0,
        }
    }
}
