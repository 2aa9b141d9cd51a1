//! Laboratory items: results that are abnormal, or parts of their values.

use super::events::{Counts, number};
use super::files::Tables;
use super::subjects::All;
use super::visits::BEFORE_THE_FIRST;
use super::{Meds, MedsOptions, Visits};
use crate::Abnormal;
use dualk_sdk::data::labs::{Cuts, LabSets, Results, Rule};
use dualk_sdk::data::tables::{NOT_IN_COHORT, Opened};
use dualk_sdk::data::{LabItem, Step};
use dualk_sdk::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Laboratory codes and where their values are cut.
pub struct Labs {
    pub names: Vec<String>,
    pub places: HashMap<String, usize>,
    pub cuts: Cuts<String>,
}

impl Default for Labs {
    fn default() -> Self {
        Self { names: Vec::new(), places: HashMap::new(), cuts: Cuts::None }
    }
}

impl Meds {
    /// The laboratory codes that have results, in the order of the alphabet, and where their values are cut.
    pub fn labs(&self, tables: &Tables, rule: Option<Rule>, context: &ParserContext<'_>) -> Result<Labs> {
        let Some(rule) = rule else { return Ok(Labs::default()) };
        let from = self.cut_from(tables, rule, context)?;
        let cuts = self.results(tables, from.as_ref(), context.progress)?.cuts(rule);
        let names: Vec<String> = match &cuts {
            Cuts::None => Vec::new(),
            Cuts::Intervals(of) => of.keys().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
            Cuts::Parts(of) => of.keys().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        };
        let places = names.iter().cloned().zip(0..).collect();
        Ok(Labs { names, places, cuts })
    }

    /// The subjects whose results say where values are cut; `None` for all. Who is learnt from is known once there are visits:
    /// events are read without laboratory results first.
    fn cut_from(&self, tables: &Tables, rule: Rule, context: &ParserContext<'_>) -> Result<Option<HashSet<i64>>> {
        if context.learns.is_none() {
            return Ok(None);
        }
        let (abnormal, events) = (Abnormal::None, BTreeMap::new());
        let options = MedsOptions { abnormal, quantiles: 0, events, ..self.options.clone() };
        let alone = Self { options, codes: Opened::default(), tables: Opened::default() };
        let mut cohort = alone.cohort(tables, context)?;
        context.cut_from(&mut cohort, rule);
        Ok(Some(cohort.cut_from.iter().map(|&p| cohort.patients[p as usize]).collect()))
    }

    /// The results of every laboratory code of some subjects or all, by which they are cut.
    fn results(
        &self,
        tables: &Tables,
        from: Option<&HashSet<i64>>,
        progress: &dyn Progress,
    ) -> Result<Results<String>> {
        let (mut ids, mut results) = (None, Results::default());
        let mut task = progress.begin("lab results", "files", Some(tables.events.len() as u64));
        for table in &tables.events {
            let table = table.only(&["subject_id", "code", "numeric_value"])?;
            let rows = table.read()?;
            let subjects = from.map(|_| Self::subjects(&rows, &mut ids)).transpose()?.unwrap_or_default();
            let counts = |i: usize| from.is_none_or(|from| from.contains(&subjects[i]));
            for (i, (code, value)) in rows.texts("code")?.zip(rows.texts("numeric_value")?).enumerate() {
                let code = code.filter(|code| code.starts_with(&self.options.lab) && counts(i));
                if let (Some(code), Some(value)) = (code, value) {
                    results.add(code.to_owned(), number(&rows, i, value)?);
                }
            }
            task.advance(1);
        }
        task.finish("");
        Ok(results)
    }

    /// Puts the laboratory items into a cohort.
    pub fn add_labs(
        &self,
        all: &All,
        labs: &Labs,
        rule: Rule,
        described: &HashMap<String, String>,
        cohort: &mut Cohort,
    ) -> Result<()> {
        let mut sets = LabSets::new(cohort.admissions.values().len());
        for (at, admission) in cohort.admissions.values().iter().enumerate() {
            all.items.get(admission).into_iter().flatten().for_each(|&(item, part)| sets.insert(at, item, part));
        }
        sets.add_to(cohort, rule, |&item| {
            let code = &labs.names[item];
            let rest = code.strip_prefix(&self.options.lab).unwrap_or(code);
            let name = described.get(code).map_or_else(|| rest.to_owned(), |text| format!("{text} ({rest})"));
            (LabItem { id: item as i64 + 1, category: Some(0) }, name)
        });
        cohort.lab_categories = vec!["laboratory".into()];
        cohort.flow.push(self.lab_step(all, rule, cohort));
        Ok(())
    }

    /// How many laboratory events there are, and what is left out of them.
    fn lab_step(&self, all: &All, rule: Rule, cohort: &Cohort) -> Step {
        let results = |items: &Vec<(usize, u32)>| items.len() as u64;
        let within: u64 = all.items.values().map(results).sum();
        let used: u64 = cohort.admissions.values().iter().filter_map(|id| all.items.get(id)).map(results).sum();
        let Counts { labs, without_number, other_results, .. } = all.counts;
        let step = Step::new("laboratory events", labs);
        let step = match rule {
            // What has no part is infinite, or none.
            Rule::Parts(_) => step.by_rule("without a number", without_number + other_results),
            _ => step.by_rule("without a number", without_number).by_rule("that are not abnormal", other_results),
        };
        let step = match self.options.visits {
            Visits::Admission => step.lost(BEFORE_THE_FIRST, all.results_without),
            Visits::Day => step.by_rule("of days without a diagnosis", all.results_without),
        };
        step.by_rule(NOT_IN_COHORT, within - used)
    }
}
