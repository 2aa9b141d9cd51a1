//! `abnormal_labs`: which laboratory items were abnormal, one head a category.

use dualk_sdk::prelude::*;
use dualk_sdk::train::{Ranking, shuffled};
use std::sync::Arc;

/// Chooses the training patients to monitor on.
const MONITOR_SEED: u64 = 0;

options! {
    /// Options of `abnormal_labs`.
    pub struct AbnormalLabs {
        /// Monitor on so many random training patients, as the published code does with 10,000, instead of on valid.
        pub monitor: Option<usize> = None,
    }
}

impl Component for AbnormalLabs {
    const NAME: &'static str = "abnormal_labs";
    const ABOUT: &'static str = "From all visits of a patient: the abnormal laboratory items, by category.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

impl BuildObjective for AbnormalLabs {
    fn build(self) -> Result<Box<dyn Objective>> {
        Ok(Box::new(self))
    }
}

/// What is said of a cohort without laboratory items, with what else to do about it.
pub fn no_items(instead: &str) -> Error {
    Error::user("this cohort has no laboratory items")
        .help(instead)
        .help("or let the parser find some: `dualk list parser` shows its options, such as `quantiles`")
}

/// A decoder over patients for each category of laboratory items, which later stages see.
///
/// # Errors
/// When the cohort has no category, with what to do `instead`.
pub fn lab_heads(data: &Dataset, instead: &str) -> Result<Vec<HeadSpec>> {
    let categories = data.cohort.lab_categories.iter().zip(&data.vocabulary.category_labs);
    let head = |(name, labs): (&String, &Vec<u32>)| {
        HeadSpec::new(name.clone(), labs.len()).sees([PartKey::PATIENT_ENCODER]).network("decoder").kept()
    };
    let heads: Vec<HeadSpec> = categories.map(head).collect();
    if heads.is_empty() { Err(no_items(instead)) } else { Ok(heads) }
}

impl Objective for AbnormalLabs {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        let heads = lab_heads(data, "leave this stage out: it learns to tell them")?;
        match heads.iter().find(|head| head.outputs == 0) {
            None => Ok(heads),
            Some(HeadSpec { name, .. }) => {
                Err(Error::user(format!("no laboratory item of the category `{name}` is ever abnormal"))
                    .help("this objective needs abnormal items in every category"))
            }
        }
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let patients = match (split, self.monitor) {
            (Split::Train, _) => data.splits.pretrain.clone(),
            (Split::Valid, Some(number)) => {
                let order = shuffled(data.splits.pretrain.len(), MONITOR_SEED).into_iter().take(number);
                order.map(|i| data.splits.pretrain[i]).collect()
            }
            (Split::Valid, None) => data.splits.valid.clone(),
            (Split::Test, _) => data.splits.test.clone(),
        };
        let visits = |p: &usize| {
            let rows = data.cohort.admissions.range(*p);
            rows.start as u32..rows.end as u32
        };
        Ok(Examples {
            codes: Arc::new(data.vocabulary.admission_codes.clone()),
            visits: patients.iter().map(visits).collect(),
            labs: patients.iter().map(|_| std::iter::empty()).collect(),
            targets: (0..data.cohort.lab_categories.len()).map(|c| data.category_labs(&patients, c)).collect(),
            ..Examples::default()
        })
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::<F1ByCategory>::default())
    }

    fn primary(&self) -> &str {
        "F1-w"
    }

    fn asked_visit(&self) -> AskedVisit {
        AskedVisit::None
    }

    fn labs(&self) -> Option<Labs> {
        Some(Labs::None)
    }

    fn asks(&self, data: &Dataset, head: usize) -> Asks {
        let mut columns = vec![None; data.cohort.lab_items.len()];
        let items = &data.vocabulary.category_labs[head];
        items.iter().zip(0..).for_each(|(&item, column)| columns[item as usize] = Some(column));
        Asks::Labs(columns)
    }
}

/// Weighted F1 of each category, and their mean.
#[derive(Default)]
struct F1ByCategory {
    each: Vec<(String, Ranking)>,
}

impl Meter for F1ByCategory {
    fn update(&mut self, predictions: &[Predictions<'_>]) {
        if self.each.is_empty() {
            self.each = predictions.iter().map(|p| (p.head.to_owned(), Ranking::new(&[]))).collect();
        }
        self.each.iter_mut().zip(predictions).for_each(|((_, counted), p)| counted.add(p));
    }

    fn compute(&self) -> Vec<(String, f64)> {
        let each = || self.each.iter().map(|(head, counted)| (head, counted.f1_weighted()));
        let mean = each().map(|(_, f1)| f1).sum::<f64>() / self.each.len().max(1) as f64;
        std::iter::once(("F1-w".to_owned(), mean))
            .chain(each().map(|(head, f1)| (format!("F1-w {head}"), f1)))
            .collect()
    }
}
