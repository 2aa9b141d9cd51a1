use super::*;
use crate::component::Predictions;
use crate::data::knowledge::{Fact, GraphSource, Knowledge, OfCohort, Triples};
use crate::data::{Cohort, Splits, Vocabulary};
use crate::graph::Graph;
use std::sync::Arc;

/// Asks for every code again.
struct Again;

impl Objective for Again {
    fn heads(&self, data: &Dataset) -> Result<Vec<HeadSpec>> {
        Ok(vec![HeadSpec::new("codes", data.vocabulary.nodes() - 1)])
    }

    fn examples(&self, _: &Dataset, _: Split) -> Result<Examples> {
        Ok(Examples::default())
    }

    fn primary(&self) -> &str {
        "R@10"
    }

    fn asks(&self, data: &Dataset, _: usize) -> Asks {
        Asks::Codes((0..data.vocabulary.nodes() as u32).map(|code| code.checked_sub(1)).collect())
    }
}

/// Asks for what it is told, of one head.
struct Of {
    outputs: usize,
    asks: Asks,
}

impl Objective for Of {
    fn heads(&self, _: &Dataset) -> Result<Vec<HeadSpec>> {
        Ok(vec![HeadSpec::new("of", self.outputs)])
    }

    fn examples(&self, _: &Dataset, _: Split) -> Result<Examples> {
        Ok(Examples::default())
    }

    fn primary(&self) -> &str {
        "R@10"
    }

    fn asks(&self, _: &Dataset, _: usize) -> Asks {
        self.asks.clone()
    }
}

/// These codes, whose graph has no edges, and two items.
fn data(codes: &[&str]) -> Dataset {
    let codes: Vec<String> = std::iter::once("").chain(codes.iter().copied()).map(str::to_owned).collect();
    let graph = Graph::new(codes.len(), &[]).unwrap();
    let vocabulary = Vocabulary { codes, labs: vec![0, 1], ..Vocabulary::default() };
    let (cohort, splits) = (Cohort::default(), Splits::default());
    Dataset { cohort, vocabulary, splits, graph, knowledge: None, labs_by_visit: None }
}

/// What [`Again`] is learnt from.
pub(super) fn context<'a>(
    data: &'a Dataset,
    heads: &'a [HeadSpec],
    train: &'a Examples,
    test: &'a Examples,
    labs: bool,
) -> BaselineContext<'a> {
    let (by_visit, graph_regression) = (true, true);
    BaselineContext { data, objective: &Again, heads, train, valid: train, test, labs, by_visit, graph_regression }
}

/// The regressions that know no graph.
fn of_sets(context: &BaselineContext<'_>) -> Vec<Vec<f32>> {
    regressions(context, &views(context), None).0
}

/// What they were chosen to be.
fn chosen(context: &BaselineContext<'_>) -> Choice {
    let [choice]: [Choice; 1] = regressions(context, &views(context), None).1.try_into().unwrap();
    choice
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
        let context = context(&data, &heads, examples, examples, labs);
        let found = features(&context, AGES, false);
        (found.width, found.test.row(0).to_vec())
    };
    // Padding and the code of the last visit, of the one before, and of the first two; then the items of these.
    assert_eq!(of(&by_visit, true), (3 * 2 + 3 * 2, vec![1, 3, 5, 6 + 1, 8, 10, 10 + 1]));
    // Items that are not known by visit stand with the last; codes are known by visit all the same.
    assert_eq!(of(&as_set, true), (3 * 2 + 3 * 2, vec![1, 3, 5, 6, 6 + 1]));
    assert_eq!(of(&by_visit, false), (3 * 2, vec![1, 3, 5]));
    // As one set with the items of the last visit, and with those of all, where they are known.
    let sets = |examples: &Examples, labs: bool| -> Vec<(usize, Vec<u32>)> {
        let views = views(&context(&data, &heads, examples, examples, labs));
        views.into_iter().map(|view| (view.ages, view.test.row(0).to_vec())).skip(1).collect()
    };
    assert_eq!(sets(&by_visit, true), [(1, vec![1, 2 + 1]), (1, vec![1, 2, 2 + 1])]);
    assert_eq!(sets(&as_set, true), [(1, vec![1, 2, 2 + 1])]);
    assert_eq!(sets(&by_visit, false), [(1, vec![1])]);
}

#[test]
fn age_and_sex_are_features_where_they_enter() {
    let data = data(&["a"]);
    let without = Examples {
        codes: Arc::new(ragged(&[&[1]]).into()),
        visits: ragged(&[&[0], &[0], &[0]]),
        labs: ragged(&[&[], &[], &[]]),
        targets: vec![ragged(&[&[0], &[], &[]])],
        ..Examples::default()
    };
    let known = |age, sex| Demographics { age, sex };
    let patients = vec![known(Some(64.9), Some(Sex::Female)), known(Some(104.0), Some(Sex::Male)), known(None, None)];
    let with = Examples { demographics: patients, ..without.clone() };
    let heads = Again.heads(&data).unwrap();
    let of = |examples: &Examples| {
        let found = features(&context(&data, &heads, examples, examples, false), 1, false);
        (found.width, found.test)
    };
    // Padding and the code; then ten decades, female and male.
    assert_eq!(of(&with), (2 + 12, ragged(&[&[1, 2 + 6, 2 + 10], &[1, 2 + 9, 2 + 11], &[1]])));
    assert_eq!(of(&without), (2, ragged(&[&[1], &[1], &[1]])));
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
    let logits = |examples: &Examples| of_sets(&context(&data, &heads, examples, examples, true)).remove(0);
    for (i, logit) in logits(&by_visit).into_iter().enumerate() {
        assert_eq!(logit > 0.0, abnormal(i, 2), "example {i}: {logit}");
    }
    // As one set, the item in the third visit alone and that in the last alone are the same.
    let one = logits(&as_set);
    assert_eq!(one[0b0100], one[0b1000]);
}

#[test]
fn a_regression_tells_visits_apart_whatever_a_model_does() {
    const EXAMPLES: usize = 16;
    let (data, rows) = (data(&["a", "b"]), 4 * EXAMPLES);
    let shown = |row: usize| abnormal(row / 4, row % 4);
    let examples = Examples {
        codes: Arc::new((0..rows).map(|row| 1..2 + u32::from(shown(row))).collect()),
        visits: (0..EXAMPLES as u32).map(|i| 4 * i..4 * i + 4).collect(),
        labs: (0..EXAMPLES).map(|_| []).collect(),
        targets: vec![(0..EXAMPLES).map(|i| 0..u32::from(abnormal(i, 2))).collect()],
        ..Examples::default()
    };
    let heads = Again.heads(&data).unwrap();
    let context = BaselineContext { by_visit: false, ..context(&data, &heads, &examples, &examples, false) };
    for (i, logits) in of_sets(&context)[0].chunks(2).enumerate() {
        assert_eq!(logits[0] > 0.0, abnormal(i, 2), "example {i}: {logits:?}");
    }
    // Where no metric chooses, it is the first, and no other ridge is tried for that.
    assert_eq!(chosen(&context).to_string(), "ridge 0 of 0 to 100, visits told apart");
    for scored in baselines(&context).unwrap() {
        assert_eq!(scored.chosen.len(), usize::from(scored.name == "logistic regression"), "{}", scored.name);
    }
}

#[test]
fn ridges_become_stronger_as_long_as_the_last_is_the_best() {
    let tried = |[first, rest @ ..]: [f64; 6]| {
        let mut rest = rest.into_iter();
        ascend(first, |_| rest.next().unwrap()).len()
    };
    assert_eq!(tried([0.1, 0.2, 0.3, 0.2, 0.9, 0.9]), 4, "the last of the first three is not the best");
    assert_eq!(tried([0.1, 0.3, 0.2, 0.3, 0.9, 0.9]), 4, "nor is it better than the first");
    assert_eq!(tried([0.1, 0.2, 0.3, 0.4, 0.3, 0.9]), 5);
    assert_eq!(tried([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), 6);
    assert_eq!(tried([f64::NAN; 6]), 4);
    assert_eq!(ascend(0.0, f64::from), [0.0, 1.0, 10.0, 100.0, 1000.0, 10_000.0]);
}

/// Measures how large its logits are, by a name that says whether that is good.
struct Size(&'static str);

impl Objective for Size {
    fn heads(&self, _: &Dataset) -> Result<Vec<HeadSpec>> {
        Ok(vec![HeadSpec::new("size", 1)])
    }

    fn examples(&self, _: &Dataset, _: Split) -> Result<Examples> {
        Ok(Examples::default())
    }

    fn metrics(&self, predictions: &[Predictions<'_>]) -> Vec<(String, f64)> {
        let size: f32 = predictions[0].logits.iter().map(|logit| logit.abs()).sum();
        vec![(self.0.to_owned(), f64::from(size))]
    }

    fn primary(&self) -> &str {
        self.0
    }
}

#[test]
fn the_metric_of_the_task_chooses_the_ridge() {
    let data = data(&["a"]);
    let half = |i: u32| 0..u32::from(i.is_multiple_of(2));
    let examples = Examples {
        codes: Arc::new((0..16).map(|i| half(i).map(|_| 1)).collect()),
        visits: (0..16).map(|i| [i]).collect(),
        labs: (0..16).map(|_| []).collect(),
        targets: vec![(0..16).map(half).collect()],
        ..Examples::default()
    };
    let size = |primary| {
        let objective = Size(primary);
        let heads = objective.heads(&data).unwrap();
        let context = BaselineContext { objective: &objective, ..context(&data, &heads, &examples, &examples, false) };
        (of_sets(&context)[0].iter().map(|logit| logit.abs()).sum::<f32>(), chosen(&context))
    };
    // The strongest ridge leaves little but the bias, which is 0.
    let ((large, none), (small, strong)) = (size("size"), size("error of size"));
    assert!(small < 0.3 * large, "{small} of {large}");
    // Nobody has several visits. The strongest of those that come first is best, so that stronger ones are tried.
    assert_eq!(none.to_string(), "ridge 0 of 0 to 100");
    assert_eq!(strong.to_string(), "ridge 10000 of 0 to 10000, the strongest that was tried");
}

/// What is known of codes and of the items 50 and 51, whose columns are 0 and 1.
fn knowledge(codes: &[String], facts: &[(&str, &str, &str)]) -> Option<Arc<Knowledge>> {
    let fact = |(head, relation, tail): (&str, &str, &str)| -> Fact { (head.into(), relation.into(), tail.into()) };
    let told = |_: f64| Ok(facts.iter().copied().map(fact).collect());
    let sources = [GraphSource::Parser { strength: 1.0 }];
    let cohort = OfCohort { codes, facts: &told };
    let (triples, _) = Triples::join(&sources, "data.knowledge", 0, Some(&cohort)).unwrap();
    Knowledge::new(&triples, codes, &[50, 51]).map(Arc::new)
}

/// The columns of the only example in the order of a baseline.
fn order(scored: &[Scored], name: &str) -> Vec<usize> {
    let scores = &scored.iter().find(|scored| scored.name == name).unwrap().heads[0];
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

/// sklearn.multiclass.OneVsRestClassifier divides the probabilities of the columns by their sum: of ¾, ½ and ¼ these are ½,
/// ⅓ and ⅙.
#[test]
fn classes_share_what_columns_say_by_themselves() {
    let logits = [3f32.ln(), 0.0, -(3f32.ln())];
    let mut scores = [logits.to_vec(), vec![1.0]];
    as_classes(&mut scores, &[HeadSpec::new("days", 3), HeadSpec::new("one", 1)]);
    let all: f32 = scores[0].iter().map(|score| score.exp()).sum();
    for (score, expected) in scores[0].iter().zip([1.0 / 2.0, 1.0 / 3.0, 1.0 / 6.0]) {
        assert!((score.exp() / all - expected).abs() < 1e-6, "{scores:?}");
    }
    assert_eq!(scores[1], [1.0]);
}

/// The softmax of its logits is how often each class is true, half an example added to either side of each.
#[test]
fn a_prior_gives_each_output_its_rate() {
    let targets = ragged(&[&[0], &[0], &[0], &[1], &[2], &[0]]);
    let rates = [4.5f32 / 7.0, 1.5 / 7.0, 1.5 / 7.0];
    for (logit, rate) in prior(3, &targets, false).into_iter().zip(rates) {
        assert!((logit - (rate / (1.0 - rate)).ln()).abs() < 1e-6, "{logit}");
    }
    let classes = prior(3, &targets, true);
    let (all, of_rates): (f32, f32) = (classes.iter().map(|logit| logit.exp()).sum(), rates.iter().sum());
    for (logit, rate) in classes.iter().zip(rates) {
        assert!((logit.exp() / all - rate / of_rates).abs() < 1e-6, "{classes:?}");
    }
    // One question of yes and no is no class among others.
    assert_eq!(prior(1, &ragged(&[&[0], &[]]), true), [0.0]);
    assert_eq!(prior(2, &ragged(&[]), false), [0.0, 0.0]);
}

/// Of 7 examples in 3 columns 7 of 21 are positive; half of one is added to either side of each column: 8.5 of 24.
#[test]
fn a_mean_prior_gives_all_outputs_one_rate() {
    let targets = ragged(&[&[0], &[0, 1], &[], &[0, 2], &[0], &[0], &[]]);
    let rate = 8.5f32 / 24.0;
    let logits = mean_prior(3, &targets, false);
    assert_eq!(logits.len(), 3);
    for logit in logits {
        assert!((logit - (rate / (1.0 - rate)).ln()).abs() < 1e-6, "{logit}");
    }
    // A softmax over classes does not change by a constant; one question of yes and no is no class among others.
    assert_eq!(mean_prior(3, &targets, true), [0.0; 3]);
    let one = ragged(&[&[0], &[], &[]]);
    assert_eq!(mean_prior(1, &one, true), prior(1, &one, true));
    assert_eq!(mean_prior(2, &ragged(&[]), false), [0.0, 0.0]);
}

/// Drugs of the visits before; those of the last visit that is seen are what is asked for.
#[test]
fn what_visits_made_positive_is_known_of_those_before() {
    let data = data(&["a"]);
    let asked = Of { outputs: 4, asks: Asks::Visits(ragged(&[&[0], &[0], &[1], &[2]])) };
    let heads = asked.heads(&data).unwrap();
    let train = Examples {
        visits: ragged(&[&[], &[]]),
        labs: ragged(&[&[], &[]]),
        targets: vec![ragged(&[&[3], &[2, 3]])],
        ..Examples::default()
    };
    let test = Examples {
        codes: Arc::new(ragged(&[&[], &[], &[], &[]]).into()),
        visits: ragged(&[&[0, 1, 2, 3]]),
        labs: ragged(&[&[]]),
        targets: vec![ragged(&[&[2]])],
        ..Examples::default()
    };
    let found =
        baselines(&BaselineContext { objective: &asked, ..context(&data, &heads, &train, &test, false) }).unwrap();
    assert_eq!(order(&found, "own history, most recent"), [1, 0, 3, 2]);
    assert_eq!(order(&found, "own history, most frequent"), [0, 1, 3, 2]);
    assert!(found.iter().all(|scored| scored.name != "history, then co-occurrence"));
}

/// Of those who were readmitted before two of three are again, of the others one of four; half an event is added to each side.
#[test]
fn those_who_had_it_before_have_a_rate_of_their_own() {
    let data = data(&["a"]);
    // Visit 0 was followed by a readmission, visit 2 was not; what followed visits 1 and 3 is what is asked for.
    let asked = Of { outputs: 1, asks: Asks::Visits(ragged(&[&[0], &[], &[], &[0]])) };
    let heads = asked.heads(&data).unwrap();
    let (before, never): (&[u32], &[u32]) = (&[0, 1], &[2, 3]);
    let of = |visits: &[&[u32]], targets: &[&[u32]]| Examples {
        codes: Arc::new(ragged(&[&[], &[], &[], &[]]).into()),
        visits: ragged(visits),
        labs: visits.iter().map(|_| []).collect(),
        targets: vec![ragged(targets)],
        ..Examples::default()
    };
    let train = of(&[before, before, before, never, never, never, never], &[&[0], &[0], &[], &[0], &[], &[], &[]]);
    let test = of(&[never, before], &[&[], &[]]);
    let found =
        baselines(&BaselineContext { objective: &asked, ..context(&data, &heads, &train, &test, false) }).unwrap();
    let rates = found.iter().find(|scored| scored.name == "had it before").unwrap();
    assert_eq!(rates.heads[0], [(1.5f32 / 3.5).ln(), (2.5f32 / 1.5).ln()]);
}

/// Codes a and b were there before, c is seen now, d occurs with it, and of b it is seen now that it is not hidden.
#[test]
fn what_is_seen_of_the_visit_itself_leads_to_what_is_hidden_there() {
    let plain = data(&["a", "b", "c", "d", "e"]);
    let data = Dataset { graph: Graph::new(6, &[(3, 4, 1.0)]).unwrap(), ..plain };
    let asked = Of { outputs: 5, asks: Asks::Hidden((0..6u32).map(|code| code.checked_sub(1)).collect()) };
    let heads = asked.heads(&data).unwrap();
    let train = Examples {
        visits: ragged(&[&[]]),
        labs: ragged(&[&[]]),
        targets: vec![ragged(&[&[1, 2, 4]])],
        ..Examples::default()
    };
    let test = Examples {
        codes: Arc::new(ragged(&[&[1, 2], &[2, 3]]).into()),
        visits: ragged(&[&[0, 1]]),
        labs: ragged(&[&[]]),
        targets: vec![ragged(&[&[3]])],
        ..Examples::default()
    };
    let found =
        baselines(&BaselineContext { objective: &asked, ..context(&data, &heads, &train, &test, false) }).unwrap();
    // The columns of a, then of e and d by frequency or of d by the edge, then of b and c.
    assert_eq!(order(&found, "own history, most recent"), [0, 4, 3, 1, 2]);
    assert_eq!(order(&found, "history, then co-occurrence"), [0, 3, 4, 1, 2]);
}

#[test]
fn after_the_history_come_codes_that_knowledge_links_with_it() {
    const NAME: &str = "history, then knowledge";
    let unknown = data(&["a", "b", "c", "d", "e", "f", "g"]);
    let facts = [
        ("a", "precedes", "c"),
        ("c", "occurs_with", "b"),
        ("a", "precedes", "e"),
        ("e", "is_like", "a"),
        ("item:50", "abnormal_in", "d"),
        ("d", "precedes", "g"),
        ("a", "is_a", "group"),
        ("f", "is_a", "group"),
    ];
    let data = Dataset { knowledge: knowledge(&unknown.vocabulary.codes, &facts), ..unknown.clone() };
    // Visits {a, b}, {a}, and the item 50 in the first; in training c is never asked for, d once, e twice, f three times and
    // g four times.
    let train = Examples {
        visits: ragged(&[&[], &[], &[], &[]]),
        labs: ragged(&[&[], &[], &[], &[]]),
        targets: vec![ragged(&[&[3, 4, 5, 6], &[4, 5, 6], &[5, 6], &[6]])],
        ..Examples::default()
    };
    let as_set = Examples {
        codes: Arc::new(ragged(&[&[1, 2], &[1]]).into()),
        visits: ragged(&[&[0, 1]]),
        labs: ragged(&[&[0]]),
        targets: vec![ragged(&[&[]])],
        ..Examples::default()
    };
    let by_visit = Examples { visit_labs: Some(Arc::new(ragged(&[&[0], &[]]))), ..as_set.clone() };
    let heads = Again.heads(&data).unwrap();
    let of =
        |data: &Dataset, test: &Examples, labs: bool| baselines(&context(data, &heads, &train, test, labs)).unwrap();
    // After a and b: e has two links, from a and to it, and c two, from a and to b, of which e is the more frequent; d has
    // one, from the item. f is two edges away from a, and so is g from the item: these go by frequency.
    for test in [&as_set, &by_visit] {
        assert_eq!(order(&of(&data, test, true), NAME), [0, 1, 4, 2, 3, 6, 5]);
    }
    // Where the model sees no items, nothing leads to d.
    let found = of(&data, &as_set, false);
    assert_eq!(order(&found, NAME), [0, 1, 4, 2, 6, 5, 3]);
    assert_eq!(order(&found, "history, then co-occurrence"), [0, 1, 6, 5, 4, 3, 2]);
    let names = |found: Vec<Scored>| found.into_iter().map(|scored| scored.name).collect::<Vec<_>>();
    let mut expected = vec![
        "code frequency",
        "own history, most recent",
        "own history, most frequent",
        "history, then co-occurrence",
        NAME,
        "logistic regression",
        "logistic regression, with knowledge",
    ];
    assert_eq!(names(found), expected);
    expected.retain(|name| !name.contains("knowledge"));
    assert_eq!(names(of(&unknown, &as_set, false)), expected);
}

/// The codes a1 to a6, b1 to b6 and m, of which a_k precedes b_k and excludes b_{k + 1}. In training b_k follows in five of six
/// examples with a_k, and m in one of three; a6 and b6 are in none.
pub(super) fn progressions() -> (Dataset, Examples) {
    const SEEN: [usize; 5] = [6, 12, 24, 36, 54];
    let names: Vec<String> = ["a", "b"].iter().flat_map(|kind| (1..=6).map(move |k| format!("{kind}{k}"))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["m"]).collect();
    let facts: Vec<(&str, &str, &str)> = (0..6)
        .flat_map(|k| [(names[k], "precedes", names[6 + k]), (names[k], "excludes", names[6 + (k + 1) % 6])])
        .collect();
    let plain = data(&names);
    let data = Dataset { knowledge: knowledge(&plain.vocabulary.codes, &facts), ..plain };
    let each: Vec<(u32, usize)> = (0..).zip(SEEN).flat_map(|(k, seen)| (0..seen).map(move |j| (k, j))).collect();
    let follows = |&(k, j): &(u32, usize)| -> Vec<u32> {
        let next = (!j.is_multiple_of(6)).then_some(6 + k);
        next.into_iter().chain(j.is_multiple_of(3).then_some(12)).collect()
    };
    let train = Examples {
        codes: Arc::new(each.iter().map(|(k, _)| [1 + k]).collect()),
        visits: (0..each.len() as u32).map(|i| [i]).collect(),
        labs: each.iter().map(|_| []).collect(),
        targets: vec![each.iter().map(follows).collect()],
        ..Examples::default()
    };
    (data, train)
}

/// A patient with a6, who gets b6.
fn with_a6() -> Examples {
    Examples {
        codes: Arc::new(ragged(&[&[6]]).into()),
        visits: ragged(&[&[0]]),
        labs: ragged(&[&[]]),
        targets: vec![ragged(&[&[11]])],
        ..Examples::default()
    }
}

/// Newton's method of numpy on the formula of the pairs, with a row of X for each of 132 × 13 pairs: two columns for each length
/// of the shortest path, with 1 and the column's log-odds o = ln ((n + ½) / (132 − n + ½)), and one a kind of paths with
/// ln (1 + their number).
///
/// ```python
/// for _ in range(50):
///     p = 1 / (1 + np.exp(-(o + X @ w))); g = X.T @ (p - y) + w
///     w = w - np.linalg.solve((X * (p * (1 - p))[:, None]).T @ X + np.eye(len(w)), g)
/// ```
#[test]
fn logits_of_paths_are_those_of_numpy() {
    let expected: [f32; 13] = [
        -8.12052, -16.87942, -16.87942, -16.87942, -8.12052, -7.64284, -3.55247, -6.92666, -4.52305, -2.96021,
        -1.18123, 0.07443, -1.28827,
    ];
    let ((data, train), test) = (progressions(), with_a6());
    let heads = Again.heads(&data).unwrap();
    let context = context(&data, &heads, &train, &test, false);
    let paths = known_paths(&context, &[Again.asks(&data, 0)]).unwrap();
    let found = Starts::new(&features(&context, 1, false), &paths[0], heads[0].outputs, &train.targets[0]).test;
    let mut logits = found.columns;
    found.rows.row(0).iter().for_each(|&(column, changed)| logits[column as usize] += changed);
    for (column, (found, expected)) in logits.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 1e-3, "{column}: {found} and {expected}");
    }
}

/// Only the graph leads to a code that training never saw; which of its relations counts, other codes tell.
#[test]
fn a_regression_with_knowledge_ranks_a_code_that_was_never_seen() {
    const B1: u32 = 6;
    const B6: u32 = 11;
    let ((data, train), test) = (progressions(), with_a6());
    let heads = Again.heads(&data).unwrap();
    let found = baselines(&context(&data, &heads, &train, &test, false)).unwrap();
    let place = |name: &str, column: u32| order(&found, name).iter().position(|&c| c == column as usize).unwrap();
    assert_eq!(place("logistic regression, with knowledge", B6), 0);
    // To the others it is a code that nobody gets, and one link is like another.
    assert!(place("logistic regression", B6) > 0);
    assert!(place("history, then knowledge", B6) > place("history, then knowledge", B1));
}
