//! The best weights so far, and which weights a training returns.

use super::Select;
use crate::model::Model;

/// The best weights so far.
pub(super) struct Best {
    pub score: f64,
    pub epoch: usize,
    pub model: Model,
}

/// Keeps `model` when its score is the first, or higher than the best. NaN is never the best.
pub(super) fn remember(best: &mut Option<Best>, score: f64, epoch: usize, model: &Model) {
    if !score.is_nan() && best.as_ref().is_none_or(|best| score > best.score) {
        *best = Some(Best { score, epoch, model: model.clone() });
    }
}

/// Score and epoch of the best.
pub(super) fn scored(best: Option<&Best>) -> Option<(f64, usize)> {
    best.map(|best| (best.score, best.epoch))
}

/// An epoch with its model, and the best on valid where that is another.
pub(super) type Chosen = ((usize, Model), Option<(usize, Model)>);

/// The selected epoch; also the best one, if it is another. `None` where the best is selected and no epoch has a score.
pub(super) fn chosen(select: Select, last: (usize, Model), best: Option<(usize, Model)>) -> Option<Chosen> {
    match (select, best) {
        (Select::Best, Some(best)) => Some((best, None)),
        (Select::Best, None) => None,
        (Select::Last, best) => Some((last, best)),
    }
}
