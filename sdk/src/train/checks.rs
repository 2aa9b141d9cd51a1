//! What can be known of a training before its first step.

use super::evaluate::{Metrics, metrics_of};
use super::random::derive_seed;
use crate::component::{HeadSpec, Objective};
use crate::data::{Batch, Examples};
use crate::{Error, Result};
use std::iter::{repeat_n, successors};

/// Examples whose logits are guessed first; then those of four times as many, as long as the metric stays undefined.
const FIRST: usize = 256;
/// How often those of all are guessed.
const TRIES: usize = 3;
/// Logits that are guessed at most: of more, nothing is said.
const MOST: usize = 1 << 24;

/// Refuses a stage without examples to learn from, and one with a patience and none to judge by.
pub(crate) fn check_examples(stage: &str, train: &Examples, valid: &Examples, patience: Option<usize>) -> Result<()> {
    if train.is_empty() {
        return Err(Error::user(format!("stage {stage} has no training examples"))
            .help("the cohort is too small for this split or objective"));
    }
    if patience.is_some() && valid.is_empty() {
        return Err(Error::user(format!("stage {stage} has a `patience` and no valid examples to judge by"))
            .help("remove `patience`, or give the split valid patients"));
    }
    Ok(())
}

/// Refuses valid examples on which the metric that chooses the epoch is undefined whatever a model says of them, such as those of
/// a yes/no question that all have one answer.
pub(crate) fn check_metric(stage: &str, objective: &dyn Objective, heads: &[HeadSpec], valid: &Examples) -> Result<()> {
    let columns: usize = heads.iter().map(|head| head.outputs).sum();
    let fewer = successors(Some(FIRST), |number| Some(4 * number)).take_while(|&number| number < valid.len());
    for (turn, number) in fewer.chain(repeat_n(valid.len(), TRIES)).enumerate() {
        if number == 0 || number * columns > MOST {
            return Ok(());
        }
        let metrics = guessed(objective, heads, valid, (number, turn as u64));
        if !primary_of(stage, objective, &metrics)?.is_nan() {
            return Ok(());
        }
    }
    Err(undefined(stage, objective, valid))
}

/// The metrics of the first so many examples, whose logits are guessed.
fn guessed(objective: &dyn Objective, heads: &[HeadSpec], valid: &Examples, (number, turn): (usize, u64)) -> Metrics {
    let first: Vec<usize> = (0..number).collect();
    let Batch { labs, targets, numbers, .. } = valid.without_visits(&first);
    // From -8 to 8: sure of both answers.
    let guess = |i: usize| (derive_seed(turn, &[i as u64]) >> 40) as f32 / (1 << 20) as f32 - 8.0;
    let of_head = |head: &HeadSpec| (0..number * head.outputs).map(guess).collect::<Vec<f32>>();
    let logits: Vec<Vec<f32>> = heads.iter().map(of_head).collect();
    metrics_of(objective, heads, &logits, &Examples { labs, targets, numbers, ..Examples::default() })
}

/// The metric that chooses the epoch.
pub(super) fn primary_of(stage: &str, objective: &dyn Objective, metrics: &Metrics) -> Result<f64> {
    let primary = objective.primary();
    match metrics.iter().find(|(name, _)| name == primary) {
        Some((_, value)) => Ok(*value),
        None => {
            let names: Vec<&str> = metrics.iter().map(|(name, _)| name.as_str()).collect();
            Err(Error::program(format!(
                "stage {stage}: the objective chooses epochs by `{primary}`, which is none of its metrics: {}",
                names.join(", ")
            )))
        }
    }
}

/// Why no epoch could be chosen.
pub(super) fn undefined(stage: &str, objective: &dyn Objective, valid: &Examples) -> Error {
    let (primary, number) = (objective.primary(), valid.len());
    Error::user(format!("stage {stage}: `{primary}` is undefined on the {number} valid examples in all epochs"))
        .help("AUC needs examples of both classes, and a C-index two of whom it is known who comes first")
        .help("give `data.split` more valid patients, or use select = \"last\"")
}

#[cfg(test)]
mod tests {
    use super::super::meter::Binary;
    use super::*;
    use crate::component::{Meter, Split};
    use crate::data::{Dataset, Ragged};

    /// A yes/no question.
    struct Question;

    impl Objective for Question {
        fn heads(&self, _: &Dataset) -> Result<Vec<HeadSpec>> {
            Ok(Vec::new())
        }

        fn examples(&self, _: &Dataset, _: Split) -> Result<Examples> {
            Ok(Examples::default())
        }

        fn meter(&self) -> Option<Box<dyn Meter>> {
            Some(Box::<Binary>::default())
        }

        fn primary(&self) -> &str {
            "AUC"
        }
    }

    /// Examples whose answers are given.
    fn answered(answers: &[bool]) -> Examples {
        let targets: Ragged<u32> = answers.iter().map(|yes| yes.then_some(0)).collect();
        Examples { labs: answers.iter().map(|_| []).collect(), targets: vec![targets], ..Examples::default() }
    }

    #[test]
    fn a_question_whose_answers_are_all_the_same_chooses_no_epoch() {
        let heads = [HeadSpec::new("died", 1)];
        let check = |answers: &[bool]| check_metric("2-finetune", &Question, &heads, &answered(answers));
        for yes in [false, true] {
            let error = check(&[yes; 700]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("stage 2-finetune: `AUC` is undefined on the 700 valid"), "{error}");
        }
        // The only other answer is the last.
        assert!(check(&(0..3000).map(|i| i == 2999).collect::<Vec<bool>>()).is_ok());
        assert!(check(&[true, false]).is_ok());
        assert!(check(&[]).is_ok(), "the last epoch is taken");
    }

    #[test]
    fn a_stage_needs_examples() {
        let (none, some) = (answered(&[]), answered(&[true]));
        let said =
            |train: &Examples, patience| check_examples("1-lab", train, &none, patience).map_err(|e| e.to_string());
        assert!(said(&none, None).unwrap_err().contains("stage 1-lab has no training examples"));
        assert!(said(&some, Some(3)).unwrap_err().contains("`patience`"));
        assert!(said(&some, None).is_ok());
    }
}
