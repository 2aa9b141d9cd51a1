//! Options of `synthetic`.

use crate::generate;
use dualk_sdk::component::{Inputs, at_least, in_range};
use dualk_sdk::prelude::*;

options! {
    /// Options of `synthetic`.
    pub struct SyntheticOptions {
        /// Number of patients.
        #[schemars(range(min = 1))]
        pub patients: usize = 3600,
        /// Part of the patients with two or more admissions.
        pub multi: f64 = 0.4,
        /// Most admissions of a patient.
        #[schemars(range(min = 2))]
        pub max_visits: usize = 8,
        /// Number of clusters of diseases.
        #[schemars(range(min = 2))]
        pub clusters: usize = 44,
        /// Number of diagnosis codes.
        pub codes: usize = 880,
        /// Number of laboratory items in the three categories together.
        #[schemars(range(min = 3))]
        pub labs: usize = 150,
        /// Chance that a visit records a chronic condition of its patient.
        pub persistence: f64 = 0.85,
        /// Chance that an item shows the condition that it belongs to.
        pub lab_signal: f64 = 0.75,
        /// Seed; the experiment's when absent.
        pub seed: Option<u64> = None,
    }
}

impl Component for SyntheticOptions {
    const NAME: &'static str = "synthetic";
    const ABOUT: &'static str = "made-up patients whose history and labs tell of their next visit";
}

impl SyntheticOptions {
    /// Checks the options.
    pub fn check(&self) -> Result<()> {
        at_least("patients", self.patients, 1)?;
        at_least("max_visits", self.max_visits, 2)?;
        at_least("clusters", self.clusters, 2)?;
        at_least("labs", self.labs, 3)?;
        for (key, chance) in [("multi", self.multi), ("persistence", self.persistence), ("lab_signal", self.lab_signal)]
        {
            in_range(key, chance, 0.0, 1.0 + f64::EPSILON)?;
        }
        if self.clusters > 99 {
            return Err(
                Error::user(format!("expected at most 99 clusters, found {}", self.clusters)).at_key("clusters")
            );
        }
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
        Some(Inputs { files: Vec::new(), seed: self.options.seed.is_none() })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        Ok(generate(&self.options, self.options.seed.unwrap_or(context.seed)))
    }
}
