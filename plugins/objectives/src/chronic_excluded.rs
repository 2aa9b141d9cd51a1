//! `chronic_excluded`: the codes of the next visit without chronic ones, which repeat themselves.

use crate::next_visit::{self, TaskHead};
use dualk_sdk::component::FilePath;
use dualk_sdk::data::codes::CodeList;
use dualk_sdk::data::tasks::restrict;
use dualk_sdk::prelude::*;

options! {
    /// Options of `chronic_excluded`.
    pub struct ChronicExcluded {
        /// File of chronic codes, one a line; trailing zeros do not count. Required.
        pub path: FilePath = FilePath::default(),
        /// What the head sees: `full` (decoder embeddings, patient, labs) or `direct` (patient, labs).
        pub head: TaskHead = TaskHead::Full,
    }
}

impl Component for ChronicExcluded {
    const NAME: &'static str = "chronic_excluded";
    const ABOUT: &'static str = "Ranks codes that are not chronic; patients who have none are left out.";
    const CITATION: &'static str = "DuaLK, arXiv 2410.19955";
}

impl BuildObjective for ChronicExcluded {
    fn build(self) -> Result<Box<dyn Objective>> {
        let chronic = CodeList::read(self.path.required("path")?).map_err(|e| e.at_key("path"))?;
        Ok(Box::new(WithoutChronic { chronic, head: self.head }))
    }
}

struct WithoutChronic {
    chronic: CodeList,
    head: TaskHead,
}

impl Objective for WithoutChronic {
    fn heads(&self, data: &Prepared) -> Result<Vec<HeadSpec>> {
        match data.codes_outside(&self.chronic).len() {
            0 => Err(Error::user("every code of this cohort is chronic").at_key("path")),
            outputs => Ok(next_visit::head("codes", self.head, outputs)),
        }
    }

    fn examples(&self, data: &Prepared, part: Part) -> Result<Examples> {
        let patients = next_visit::patients(data, part);
        let targets = restrict(&data.last_visit_codes(patients), &data.codes_outside(&self.chronic));
        Ok(next_visit::examples(data, patients, &targets, true))
    }

    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        next_visit::ranking_metrics(predictions)
    }

    fn primary(&self) -> &str {
        "R@10"
    }

    fn baseline(&self, heads: &[HeadSpec], train: &Examples, test: &Examples) -> Option<(String, Vec<(String, f64)>)> {
        next_visit::frequency(self, heads, train, test)
    }
}
