//! Rankings by the true chances of codes, where the patients are made up.

use super::about::about_of;
use super::stage::OpenStage;
use crate::Result;
use crate::component::{AskedVisit, Asks, HeadSpec, Labs, Oracle, ParserContext};
use crate::data::Dataset;
use crate::model::Model;
use crate::progress::Silent;
use crate::train::{Scale, Scored};
use std::collections::HashMap;

/// What the parser knows of the truth, as scores of the test examples of a stage; empty where it knows nothing. Items of the
/// very visit that is asked for are known where they enter the model.
pub(super) fn oracles(stage: &OpenStage<'_>, model: &Model) -> Result<Vec<Scored>> {
    let (plan, data, objective, heads) = (stage.plan, stage.data, stage.objective.as_ref(), model.head_specs());
    let asks: Vec<Asks> = (0..heads.len()).map(|head| objective.asks(data, head)).collect();
    let next = objective.asked_visit() == AskedVisit::Next && asks.iter().all(|a| matches!(a, Asks::Codes(_)));
    let about = about_of(&stage.splits.test, data).into_iter();
    let visits: Option<Vec<usize>> = about.map(|about| about?.asked(AskedVisit::Next, data)).collect();
    let (Some(visits), true) = (visits, next) else {
        return Ok(Vec::new());
    };
    let (compat, seed) = (plan.manifest.is_compat(), plan.manifest.seed);
    let context = ParserContext { progress: &Silent, compat, seed, learns: None };
    let under_way = stage.labs(model) == Some(Labs::Target);
    let groups: Vec<Vec<u32>> = asks.iter().zip(heads).flat_map(|(asks, head)| groups(asks, head, data)).collect();
    let oracles = plan.parser.oracles(&context, &data.cohort, &visits, under_way, &groups)?;
    let scored = |oracle: Oracle| {
        let mut first = 0;
        let of_head = |head: &HeadSpec| -> Vec<f32> {
            let columns = first..first + head.outputs;
            first = columns.end;
            oracle.chances.iter().flat_map(|row| row[columns.clone()].iter().map(logit)).collect()
        };
        let scores = heads.iter().map(of_head).collect();
        Scored { name: format!("oracle, {}", oracle.name), heads: scores, scale: Scale::Logits, chosen: Vec::new() }
    };
    Ok(oracles.into_iter().map(scored).collect())
}

/// The codes that each output of a head asks for, as places in the code names of the cohort.
fn groups(asks: &Asks, head: &HeadSpec, data: &Dataset) -> Vec<Vec<u32>> {
    let mut groups = vec![Vec::new(); head.outputs];
    let Asks::Codes(columns) = asks else { return groups };
    let codes = data.vocabulary.codes.iter().zip(columns);
    let columns: HashMap<&str, u32> = codes.filter_map(|(code, column)| Some((code.as_str(), (*column)?))).collect();
    for (place, code) in (0u32..).zip(&data.cohort.code_names) {
        if let Some(&column) = columns.get(code.as_str()) {
            groups[column as usize].push(place);
        }
    }
    groups
}

/// The logit of a chance.
fn logit(chance: &f32) -> f32 {
    let none = 1.0 - f64::from(*chance);
    ((1.0 - none).max(1e-9).ln() - none.max(1e-9).ln()) as f32
}
