//! `chronic_excluded`: the codes of the next visit without chronic ones, which repeat themselves.

use crate::next_visit::{self, NextVisit, TaskHead};
use crate::task_options::task_options;
use crate::tasks::codes_outside;
use dualk_sdk::component::FilePath;
use dualk_sdk::data::codes::CodeList;
use dualk_sdk::prelude::*;

task_options! {
    /// Options of `chronic_excluded`.
    pub struct ChronicExcluded {
        /// File of chronic codes, one a line; trailing zeros do not count. Required.
        pub path: FilePath = FilePath::default(),
    }
    of visits
}

impl Component for ChronicExcluded {
    const NAME: &'static str = "chronic_excluded";
    const ABOUT: &'static str = "Ranks codes that are not chronic; patients who have none are left out.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

impl BuildObjective for ChronicExcluded {
    fn build(self) -> Result<Box<dyn Objective>> {
        let chronic = CodeList::read(self.path.required("path")?).map_err(|e| e.at_key("path"))?;
        let task = NextVisit { labs: self.labs, all_visits: self.all_visits, drop_empty: true };
        Ok(Box::new(WithoutChronic { chronic, head: self.head, task }))
    }
}

struct WithoutChronic {
    chronic: CodeList,
    head: TaskHead,
    task: NextVisit,
}

impl Objective for WithoutChronic {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        match codes_outside(data, &self.chronic).len() {
            0 => Err(Error::user("every code of this cohort is chronic").at_key("path")),
            outputs => next_visit::head("codes", self.head, outputs, data),
        }
    }

    fn examples(&self, data: &Dataset, split: Split) -> Result<Examples> {
        let places = next_visit::places(codes_outside(data, &self.chronic), data);
        Ok(self.task.examples(data, split, |row| next_visit::restricted(&data.visit_codes(row), &places)))
    }

    fn meter(&self) -> Option<Box<dyn Meter>> {
        Some(Box::new(next_visit::ranking()))
    }

    fn primary(&self) -> &str {
        "R@10"
    }

    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        next_visit::asks_for(data, codes_outside(data, &self.chronic))
    }

    fn labs(&self) -> Option<Labs> {
        Some(self.task.labs)
    }

    fn caption(&self) -> String {
        self.task.caption()
    }
}
