//! `meds`: the Medical Event Data Standard.

mod events;
mod files;
mod labs;
mod options;
mod subjects;
mod visits;

pub use options::{MedsOptions, Visits};

use crate::Abnormal;
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::events::EventSets;
use dualk_sdk::data::tables::Opened;
use dualk_sdk::data::{CodeTables, Step, icd};
use dualk_sdk::prelude::*;
use files::{Codes, Tables};
use std::collections::HashMap;
use std::sync::Arc;
use visits::BEFORE_THE_FIRST;

/// Reads the events of one file after the other. A subject's are in one file, as the standard has it; what is in several
/// waits for the last of them.
struct Meds {
    options: MedsOptions,
    /// What is said of codes, where the data set has it.
    codes: Opened<Codes>,
    tables: Opened<Tables>,
}

/// How codes of procedures begin in data sets of MIMIC-IV and others that are made in the same way; edition and code follow.
const PROCEDURE: &str = "PROCEDURE//ICD//";

impl Parser for Meds {
    fn check(&self) -> Result<()> {
        self.checked().map(drop)
    }

    fn inputs(&self) -> Option<Inputs> {
        let codes = self.codes().ok()?;
        let files = self.files().ok()?.into_iter().chain(codes.iter().map(|(table, _)| table.path().to_owned()));
        let split = self.options.abnormal != Abnormal::None;
        Some(Inputs { files: files.collect(), split, ..Inputs::default() })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let tables = self.checked()?;
        self.cohort(&tables, context)
    }
}

impl Meds {
    /// The tables, once all that can be known without reading them is as it should be.
    fn checked(&self) -> Result<Arc<Tables>> {
        let MedsOptions { icd_map, group, drug_map, .. } = &self.options;
        let tables = CodeTables { icd_map: icd_map.given(), group: group.given(), drug_map: drug_map.given() };
        tables.checked(self.tables().map_err(|e| e.at_key("root")))
    }

    fn cohort(&self, tables: &Tables, context: &ParserContext<'_>) -> Result<Cohort> {
        let options = &self.options;
        Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        let rule = options.abnormal.rule(options.quantiles)?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let further = options.events.keys().map(|kind| EventSets::new(kind, options.drug_map.given()));
        let mut further = further.collect::<Result<Vec<_>>>()?;
        let labs = self.labs(tables, rule, context)?;
        let all = self.all(tables, &labs, &mut coding, &mut further, context.progress)?;
        let events = Step::new("events", all.counts.events)
            .lost("without a code", all.counts.without_code)
            .lost("without a time", all.counts.without_time);
        let read = Step::new("diagnoses in time", all.within + all.without).lost(BEFORE_THE_FIRST, all.without);
        let steps = [events, coding.step("diagnoses"), read].into_iter().chain(all.ends.step());
        let mut cohort = all.stays.cohort(&all.codes, coding.names(), steps).map_err(|e| {
            e.at_file(options.root.as_path()).help(
                "the options admission, icd9 and icd10 say how the codes of these events begin; visits = \"day\" needs no \
                 admissions",
            )
        })?;
        cohort.set_titles(|code| coding.title(code));
        further.into_iter().for_each(|sets| sets.add_to(&mut cohort));
        let described =
            if rule.is_some() || !options.events.is_empty() { tables.descriptions()? } else { HashMap::new() };
        self.set_event_titles(&described, &mut cohort);
        if let Some(rule) = rule {
            self.add_labs(&all, &labs, rule, &described, &mut cohort)?;
            // The cohort remembers whose results they were.
            context.cut_from(&mut cohort, rule);
        }
        Ok(cohort)
    }

    /// Titles of codes of further kinds: what the data set says of them, else those of procedures of the ICD.
    fn set_event_titles(&self, described: &HashMap<String, String>, cohort: &mut Cohort) {
        for (kind, beginning) in &self.options.events {
            cohort.set_event_titles(kind, |rest| {
                let code = format!("{beginning}{rest}");
                let procedure = || code.strip_prefix(PROCEDURE).and_then(icd::procedure_title_of).map(str::to_owned);
                described.get(&code).cloned().or_else(procedure)
            });
        }
    }
}

#[cfg(test)]
mod tests;
