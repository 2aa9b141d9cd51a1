//! Rankings by the true chances of codes, where the patients are made up.

use super::about::about_of;
use super::stage::OpenStage;
use crate::Result;
use crate::component::{AskedVisit, Asks, Labs, Oracle, ParserContext};
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
    let oracles = plan.parser.oracles(&context, &data.cohort, &visits, under_way)?;
    let codes = data.vocabulary.codes.iter().enumerate();
    let nodes: HashMap<&str, usize> = codes.map(|(i, code)| (code.as_str(), i)).collect();
    let columns_of = |asks: &Asks| -> Vec<Option<usize>> {
        let Asks::Codes(map) = asks else { return Vec::new() };
        let column = |code: &String| map[*nodes.get(code.as_str())?].map(|c| c as usize);
        data.cohort.code_names.iter().map(column).collect()
    };
    let columns: Vec<Vec<Option<usize>>> = asks.iter().map(columns_of).collect();
    let scored = |oracle: Oracle| Scored {
        name: format!("oracle, {}", oracle.name),
        heads: columns
            .iter()
            .zip(heads)
            .map(|(columns, head)| logits(&oracle.chances, columns, head.outputs))
            .collect(),
        scale: Scale::Logits,
    };
    Ok(oracles.into_iter().map(scored).collect())
}

/// Logits of a head: of the chance that none of the codes of an output comes, as if each came by itself.
fn logits(chances: &[Vec<f32>], columns: &[Option<usize>], outputs: usize) -> Vec<f32> {
    let row = |row: &Vec<f32>| {
        let mut none = vec![1f64; outputs];
        for (chance, column) in row.iter().zip(columns) {
            column.iter().for_each(|&c| none[c] *= 1.0 - f64::from(*chance));
        }
        none.into_iter().map(|n| (((1.0 - n).max(1e-9)).ln() - n.max(1e-9).ln()) as f32).collect::<Vec<_>>()
    };
    chances.iter().flat_map(row).collect()
}
