//! Options of `synthetic`.

use crate::Knowledge;
use crate::hidden::oracle::{self, Asked};
use crate::hidden::simulate::{generate, simulate};
use dualk_sdk::component::{Inputs, Oracle};
use dualk_sdk::data::knowledge::Fact;
use dualk_sdk::memory;
use dualk_sdk::options::check_room;
use dualk_sdk::prelude::*;
use rayon::prelude::*;
use std::collections::HashMap;

options! {
    /// Options of `synthetic`.
    pub struct SyntheticOptions {
        /// Number of patients.
        #[schemars(range(min = 1))]
        pub patients: usize = 3600,
        /// Fraction of the patients with two or more admissions.
        #[schemars(with = "Proportion")]
        pub multi: f64 = 0.4,
        /// Chance that another admission follows the second and each later one.
        #[schemars(with = "Proportion")]
        pub further: f64 = 0.5,
        /// Most admissions of a patient.
        #[schemars(range(min = 2))]
        pub max_visits: usize = 10,
        /// Number of clusters of diseases.
        #[schemars(range(min = 2, max = 99))]
        pub clusters: usize = 12,
        /// Strength of clusters: how much likelier the diseases of a patient's own ones are. 0: diseases come independently.
        #[schemars(with = "Proportion")]
        pub clustering: f64 = 1.0,
        /// Chance that a patient's diseases come from two clusters. 0: from one.
        #[schemars(with = "Proportion")]
        pub second_cluster: f64 = 0.3,
        /// Number of diagnosis codes.
        pub codes: usize = 264,
        /// Number of laboratory items in the three categories together.
        #[schemars(range(min = 3, max = 100_000))]
        pub labs: usize = 96,
        /// Strength of chronic diseases: how often they begin, as a multiple. 0 removes them.
        #[schemars(range(min = 0.0, max = 5.0))]
        pub chronic: f64 = 1.0,
        /// Strength of acute diseases. 0 removes them.
        #[schemars(range(min = 0.0, max = 5.0))]
        pub acute: f64 = 1.0,
        /// Chance that an episode of an acute disease is still there at the next visit. 0: none is in two visits.
        #[schemars(with = "Proportion")]
        pub lasting: f64 = 0.5,
        /// Chance that a visit records a chronic code of its patient.
        #[schemars(with = "Proportion")]
        pub persistence: f64 = 0.85,
        /// Strength of progression from a chronic code to a later one. 0 removes it.
        #[schemars(with = "Proportion")]
        pub progression: f64 = 1.0,
        /// Chance that an item is abnormal in the disease that it belongs to. 0: items say nothing.
        #[schemars(with = "Proportion")]
        pub lab_signal: f64 = 0.75,
        /// The same before the diagnosis, as a part of `lab_signal`. 0: items say nothing before the codes.
        #[schemars(with = "Proportion")]
        pub physiology: f64 = 1.0,
        /// Chance that an item is not measured in a visit.
        #[schemars(with = "Proportion")]
        pub missing_labs: f64 = 0.1,
        /// Strength of items that are abnormal for no reason. 0 removes them.
        #[schemars(range(min = 0.0, max = 5.0))]
        pub noise: f64 = 1.0,
        /// Strength of rare variants of chronic codes: how often they are recorded, as a multiple. 0 removes them.
        #[schemars(range(min = 0.0, max = 5.0))]
        pub variants: f64 = 1.0,
        /// How different the reasons for visits are: the weight of all but the most common one, as a multiple. 0: every visit has
        /// the same one, as no visit is without a code.
        #[schemars(range(min = 0.0, max = 5.0))]
        pub reasons: f64 = 1.0,
        /// Fraction of the codes that the hierarchy has in their own family. The others change places with one another. 0: families
        /// say nothing, of variants neither; the knowledge graph stays right.
        #[schemars(with = "Proportion")]
        pub families: f64 = 1.0,
        /// Fraction of the rare variants of a code that hierarchy and knowledge graph file rightly. 0: they say nothing of them.
        #[schemars(with = "Proportion")]
        pub knowledge: f64 = 1.0,
        /// Strength of age and sex: every other chronic disease begins more often with age, and some clusters are commoner in
        /// one sex. 0: patients have neither.
        #[schemars(with = "Proportion")]
        pub demographics: f64 = 0.0,
        /// Seed of the patients. The experiment's own seed leaves them as they are.
        pub seed: u64 = 66,
    }
}

impl Component for SyntheticOptions {
    const NAME: &'static str = "synthetic";
    const ABOUT: &'static str = "Made-up patients whose hidden physiology drives laboratory items and later diagnoses.";
}

impl SyntheticOptions {
    /// Checks the options.
    pub fn check(&self) -> Result<()> {
        self.check_room()?;
        let (least, most) = (self.clusters * 8, self.clusters * 40);
        match (least..=most).contains(&self.codes) {
            true => Ok(()),
            false => {
                let message = format!("{} clusters share {least} to {most} codes, found {}", self.clusters, self.codes);
                Err(Error::user(message).at_key("codes"))
            }
        }
    }
}

impl SyntheticOptions {
    /// Refuses patients that the machine has no memory for: the system would end the program.
    fn check_room(&self) -> Result<()> {
        // What a visit takes at least.
        const BYTES: f64 = 100.0;
        let most = self.max_visits.saturating_sub(1) as f64;
        let after_first = match self.further < 1.0 {
            true => (1.0 / (1.0 - self.further)).min(most),
            false => most,
        };
        let bytes = BYTES * self.patients as f64 * (1.0 + self.multi * after_first);
        check_room("these patients", bytes, memory::available())
            .map_err(|e| e.at_key("patients").help("ask for fewer, or lower `max_visits` or `further`"))
    }
}

impl BuildParser for SyntheticOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.check()?;
        Ok(Box::new(Synthetic { options: self }))
    }
}

/// Makes up patients.
pub struct Synthetic {
    options: SyntheticOptions,
}

impl Parser for Synthetic {
    fn inputs(&self) -> Option<Inputs> {
        Some(Inputs::default())
    }

    fn parse(&self, _: &ParserContext<'_>) -> Result<Cohort> {
        Ok(generate(&self.options, self.options.seed))
    }

    fn knowledge(&self, strength: f64) -> Result<Vec<Fact>> {
        let told = Knowledge::of_patients(&self.options).told(strength).into_iter();
        Ok(told.map(|(head, relation, tail)| (head, relation.to_owned(), tail)).collect())
    }

    fn oracles(
        &self,
        _: &ParserContext<'_>,
        cohort: &Cohort,
        visits: &[usize],
        under_way: bool,
        groups: &[Vec<u32>],
    ) -> Result<Vec<Oracle>> {
        let simulated = simulate(&self.options, self.options.seed);
        if simulated.patients != cohort.patients || simulated.admissions != cohort.admissions {
            return Err(Error::program("the cohort is not that of these options and this seed"));
        }
        let numbers: HashMap<&str, usize> =
            simulated.world.codes.iter().enumerate().map(|(i, code)| (code.as_str(), i)).collect();
        let number = |&code: &u32| numbers.get(cohort.code_names[code as usize].as_str()).copied();
        let ask = |group: &Vec<u32>| {
            let codes: Vec<usize> = group.iter().filter_map(number).collect();
            Asked::new(&simulated.world, &codes)
        };
        let asked: Vec<Asked> = groups.iter().map(ask).collect();
        let offsets = cohort.admissions.offsets();
        let chances: Vec<[Vec<f32>; 2]> = visits
            .par_iter()
            .map(|&visit| {
                let patient = offsets.partition_point(|&o| o <= visit) - 1;
                oracle::of_visit(&simulated, patient, visit, under_way, &asked)
                    .map(|chances| chances.into_iter().map(|chance| chance as f32).collect())
            })
            .collect();
        let (known, given): (Vec<_>, Vec<_>) = chances.into_iter().map(|[known, given]| (known, given)).unzip();
        Ok(vec![
            Oracle { name: "given what is observed".to_owned(), chances: given },
            Oracle { name: "hidden state known".to_owned(), chances: known },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_beyond_any_memory_are_refused_before_there_is_any_for_them() {
        let large = 1 << 24;
        let options =
            SyntheticOptions { patients: large, multi: 1.0, further: 1.0, max_visits: large, ..Default::default() };
        let error = options.check().unwrap_err();
        assert!(error.key() == Some("patients") && error.to_string().contains("these patients take"), "{error}");
        SyntheticOptions { max_visits: large, ..Default::default() }.check().unwrap();
    }
}
