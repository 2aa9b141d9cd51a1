use super::*;
use crate::data::{Cohort, Split, Vocabulary};
use crate::graph::Graph;
use std::sync::Arc;

/// Asks for every code again.
struct Again;

impl Objective for Again {
    fn heads(&self, data: &Prepared) -> Result<Vec<HeadSpec>> {
        Ok(vec![HeadSpec::new("codes", data.vocabulary.nodes() - 1)])
    }

    fn examples(&self, _: &Prepared, _: Part) -> Result<Examples> {
        Ok(Examples::default())
    }

    fn primary(&self) -> &str {
        "R@10"
    }

    fn asks(&self, data: &Prepared, _: usize) -> Asks {
        Asks::Codes((0..data.vocabulary.nodes() as u32).map(|code| code.checked_sub(1)).collect())
    }
}

/// These codes, whose graph has no edges, and two items.
fn data(codes: &[&str]) -> Prepared {
    let codes: Vec<String> = std::iter::once("").chain(codes.iter().copied()).map(str::to_owned).collect();
    let graph = Graph::new(codes.len(), &[]).unwrap();
    let vocabulary = Vocabulary { codes, labs: vec![0, 1], ..Vocabulary::default() };
    Prepared { cohort: Cohort::default(), vocabulary, split: Split::default(), graph, knowledge: None }
}

/// What [`Again`] is learnt from.
fn context<'a>(
    data: &'a Prepared,
    heads: &'a [HeadSpec],
    train: &'a Examples,
    test: &'a Examples,
    labs: bool,
) -> BaselineContext<'a> {
    BaselineContext { data, objective: &Again, heads, train, valid: train, test, labs }
}

fn ragged(rows: &[&[u32]]) -> Ragged<u32> {
    rows.iter().map(|row| row.iter().copied()).collect()
}

#[test]
fn features_are_codes_and_items_by_the_age_of_their_visit() {
    let data = data(&["a"]);
    let by_visit = Examples {
        codes: Arc::new(ragged(&[&[1], &[1], &[1], &[1]]).into()),
        visits: ragged(&[&[0, 1, 2, 3]]),
        labs: ragged(&[&[0, 1]]),
        visit_labs: Some(Arc::new(ragged(&[&[1], &[0, 1], &[0], &[1]]))),
        targets: vec![ragged(&[&[0]])],
        ..Examples::default()
    };
    let as_set = Examples { visit_labs: None, ..by_visit.clone() };
    let heads = Again.heads(&data).unwrap();
    let of = |examples: &Examples, labs: bool| {
        let found = features(&context(&data, &heads, examples, examples, labs));
        (found.width, found.test.row(0).to_vec())
    };
    // Padding and the code, then the items of the last visit, of the one before, and of the first two.
    assert_eq!(of(&by_visit, true), (2 + 3 * 2, vec![1, 2 + 1, 4, 6, 6 + 1]));
    assert_eq!(of(&as_set, true), (2 + 2, vec![1, 2, 2 + 1]));
    assert_eq!(of(&by_visit, false), (2, vec![1]));
}

/// Whether the only item of an example is abnormal in a visit: the bits of the example's number say it.
fn abnormal(example: usize, visit: usize) -> bool {
    (example >> visit) & 1 == 1
}

#[test]
fn a_regression_learns_from_items_of_the_visit_before_the_last() {
    const EXAMPLES: usize = 16;
    let (data, rows) = (data(&["a"]), 4 * EXAMPLES);
    let as_set = Examples {
        codes: Arc::new((0..rows).map(|_| [1]).collect()),
        visits: (0..EXAMPLES as u32).map(|i| 4 * i..4 * i + 4).collect(),
        labs: (0..EXAMPLES).map(|i| 0..u32::from(i > 0)).collect(),
        targets: vec![(0..EXAMPLES).map(|i| 0..u32::from(abnormal(i, 2))).collect()],
        ..Examples::default()
    };
    let visit_labs = (0..rows).map(|row| 0..u32::from(abnormal(row / 4, row % 4))).collect();
    let by_visit = Examples { visit_labs: Some(Arc::new(visit_labs)), ..as_set.clone() };
    let heads = Again.heads(&data).unwrap();
    let logits = |examples: &Examples| regressions(&context(&data, &heads, examples, examples, true)).remove(0);
    for (i, logit) in logits(&by_visit).into_iter().enumerate() {
        assert_eq!(logit > 0.0, abnormal(i, 2), "example {i}: {logit}");
    }
    // As one set, the item in the third visit alone and that in the last alone are the same.
    let one = logits(&as_set);
    assert_eq!(one[0b0100], one[0b1000]);
}
