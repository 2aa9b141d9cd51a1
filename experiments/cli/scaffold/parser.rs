//@ reads raw tables
//@ parser = { type = "@NAME@", path = "visits.csv" }
//! A parser: raw tables → cohort. This one reads a table with one admission a line.

use dualk_sdk::data::LabItem;
use dualk_sdk::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

// What a manifest can set: `parser = { type = "@NAME@", path = "visits.csv" }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// The table, with the columns patient, admission, codes and abnormal items; the last two are parted by blanks.
        pub path: FilePath = FilePath::default(), // relative to the manifest
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "A table with one admission a line, in the order of time.";
}

/// Reads the table.
#[derive(Debug)]
pub struct VisitTable {
    path: PathBuf,
}

impl BuildParser for Options {
    fn build(self) -> Result<Box<dyn Parser>> {
        Ok(Box::new(VisitTable { path: self.path.required("path")?.to_owned() }))
    }
}

/// One line: admission, codes, items.
type Visit<'a> = (i64, Vec<&'a str>, BTreeSet<i64>);

impl VisitTable {
    fn line<'a>(&self, number: usize, line: &'a str) -> Result<(i64, Visit<'a>)> {
        let wrong = |what: &str| Error::user(format!("expected {what}")).at_line(&self.path, number);
        let cells: Vec<&str> = line.split(',').collect();
        let [patient, admission, codes, labs] = cells[..] else { return Err(wrong("four columns")) };
        let whole = |text: &str, what: &str| text.trim().parse::<i64>().map_err(|_| wrong(what));
        let labs = labs.split_whitespace().map(|item| whole(item, "items as whole numbers"));
        let admission = whole(admission, "the admission as a whole number")?;
        let patient = whole(patient, "the patient as a whole number")?;
        Ok((patient, (admission, codes.split_whitespace().collect(), labs.collect::<Result<_>>()?)))
    }
}

impl Parser for VisitTable {
    // What `dualk check` looks at before any work starts.
    fn check(&self) -> Result<()> {
        fs::File::open(&self.path).map(|_| ()).map_err(|e| Error::io("open the table", &self.path, e))
    }

    // What runs are told apart by when a table changes, and the cache knows the cohort by.
    fn inputs(&self) -> Option<Inputs> {
        Some(Inputs { files: vec![self.path.clone()], ..Inputs::default() })
    }

    fn parse(&self, _: &ParserContext<'_>) -> Result<Cohort> {
        let text = fs::read_to_string(&self.path).map_err(|e| Error::io("read the table", &self.path, e))?;
        let mut patients: BTreeMap<i64, Vec<Visit<'_>>> = BTreeMap::new();
        for (i, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
            let (patient, visit) = self.line(i + 1, line)?;
            patients.entry(patient).or_default().push(visit);
        }
        // Patients with an admission without codes are left out.
        patients.retain(|_, visits| visits.iter().all(|(_, codes, _)| !codes.is_empty()));
        let items: BTreeSet<i64> = patients.values().flatten().flat_map(|(_, _, labs)| labs).copied().collect();
        let items: Vec<i64> = items.into_iter().collect();
        let mut cohort = Cohort {
            lab_items: items.iter().map(|&id| LabItem { id, category: Some(0) }).collect(),
            lab_categories: vec!["all".to_owned()],
            ..Cohort::default()
        };
        let mut numbers = BTreeMap::new();
        for (patient, visits) in patients {
            cohort.patients.push(patient);
            cohort.admissions.push(visits.iter().map(|(admission, _, _)| *admission));
            for (_, codes, labs) in visits {
                cohort.codes.push(codes.into_iter().map(|code| {
                    *numbers.entry(code).or_insert_with(|| {
                        cohort.code_names.push(code.to_owned());
                        cohort.code_names.len() as u32 - 1
                    })
                }));
                cohort.labs.push(labs.iter().filter_map(|id| items.binary_search(id).ok()).map(|i| i as u32));
            }
        }
        Ok(cohort)
    }
}

export_plugin! { parser: Options }

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::progress::Silent;

    #[test]
    fn the_table_becomes_a_cohort() {
        let table = VisitTable { path: "visits.csv".into() };
        let cohort = table.parse(&ParserContext { progress: &Silent, compat: false, seed: 0, learns: None }).unwrap();
        cohort.validate().unwrap();
        assert_eq!((cohort.patients.len(), cohort.admissions.row(0)), (160, &[9001, 9002, 9003][..]));
        assert_eq!(cohort.code_names[cohort.codes.row(2)[2] as usize], "710.0");
        assert!(table.line(7, "1,2,428.0").unwrap_err().to_string().contains("visits.csv:7"));
        assert!(table.line(7, "one,2,428.0,").unwrap_err().to_string().contains("patient"));
    }

    // A consistent cohort, the same twice, absent files, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_sound() {
        dualk_sdk::testing::check_parser(Options { path: FilePath("visits.csv".into()) });
    }
}
