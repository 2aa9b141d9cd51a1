//! Rankings that a model must beat to be worth training: simple baselines, and a logistic regression.

mod choice;
mod cox;
mod graph_regression;
mod history;
mod logistic;
mod numbers;
mod paths;

pub use choice::Choice;
pub use logistic::{LogisticRegression, Offsets};

use super::Scale;
use super::evaluate::metrics_of;
use super::metrics::lower_is_better;
use crate::Result;
use crate::component::{Asks, HeadSpec, Objective, PartKey, Split};
use crate::data::{AGES, Dataset, Demographics, Examples, Ragged, Sex};
use choice::is_higher;
use graph_regression::Starts;
use history::History;
use paths::Paths;

/// The scores of a ranking for all heads of an objective.
#[derive(Debug, Clone)]
pub struct Scored {
    /// What ranks, such as `code frequency`.
    pub name: String,
    /// For each head, row-major scores: a row an example.
    pub heads: Vec<Vec<f32>>,
    /// What they are.
    pub scale: Scale,
    /// Of a regression what it was chosen to be on valid: once for all heads, or for each column of numbers; else nothing.
    pub chosen: Vec<Choice>,
}

/// What baselines are made from.
pub struct BaselineContext<'a> {
    /// Cohort, vocabulary, graph, and knowledge graph where there is one.
    pub data: &'a Dataset,
    /// The objective, which says what columns ask about.
    pub objective: &'a dyn Objective,
    /// Its heads.
    pub heads: &'a [HeadSpec],
    /// Examples to learn from.
    pub train: &'a Examples,
    /// Examples to stop learning and to choose ridges by.
    pub valid: &'a Examples,
    /// Examples to rank for.
    pub test: &'a Examples,
    /// Whether the model sees laboratory items, so that baselines may look at them too.
    pub labs: bool,
    /// Whether the model tells items of different visits apart, where they are known by visit.
    pub by_visit: bool,
    /// Whether a logistic regression learns from the knowledge graph, too, where there is one.
    pub graph_regression: bool,
}

impl BaselineContext<'_> {
    /// The items that the model sees of an example, each after the age of its visit: 0 is the last one. All have this age
    /// where items are not known by visit.
    fn items(&self, examples: &Examples, i: usize) -> Vec<(usize, u32)> {
        match examples.visit_labs.as_ref().filter(|_| self.by_visit) {
            _ if !self.labs => Vec::new(),
            Some(labs) => {
                let visits = examples.visits.row(i).iter().rev().enumerate();
                let items = visits.flat_map(|(before, &visit)| {
                    let age = before.min(AGES - 1);
                    labs.row(visit as usize).iter().map(move |&item| (age, item))
                });
                items.collect()
            }
            None => examples.labs.row(i).iter().map(|&item| (0, item)).collect(),
        }
    }
}

/// All baselines, the ranking by frequency first.
///
/// # Errors
/// Those of the objective's own rules.
pub fn baselines(context: &BaselineContext<'_>) -> Result<Vec<Scored>> {
    let mut all = match context.objective.link() {
        Some(link) => numbers::baselines(context, link),
        None => of_labels(context),
    };
    let scale = if context.objective.link().is_some() { Scale::Logits } else { Scale::Order };
    let rules = context.objective.rules(context.data, Split::Test)?;
    all.extend(rules.into_iter().map(|(name, heads)| Scored { name, heads, scale, chosen: Vec::new() }));
    Ok(all)
}

/// The baselines of labels.
fn of_labels(context: &BaselineContext<'_>) -> Vec<Scored> {
    let asks: Vec<Asks> = (0..context.heads.len()).map(|head| context.objective.asks(context.data, head)).collect();
    let counts: Vec<Vec<f32>> = (0..context.heads.len()).map(|head| counts(context, head)).collect();
    let labs = asks.iter().any(|a| matches!(a, Asks::Labs(_)));
    let name = match (is_binary(context), labs, context.objective.exclusive()) {
        (true, _, _) => "prevalence",
        (_, true, _) => "item frequency",
        (_, _, true) => "class frequency",
        _ => "code frequency",
    };
    let scale = Scale::of(context.objective);
    let scored = |name: &str, (heads, chosen)| Scored { name: name.to_owned(), heads, scale, chosen };
    let odds = |c: &Vec<f32>| c.iter().map(|&n| log_odds(n, context.train.len())).collect::<Vec<_>>();
    let mut frequency: Vec<Vec<f32>> = counts.iter().map(|c| odds(c).repeat(context.test.len())).collect();
    if context.objective.exclusive() {
        as_classes(&mut frequency, context.heads);
    }
    let mut all = vec![scored(name, (frequency, Vec::new()))];
    all.extend(of_histories(context, &asks, &counts));
    if context.heads.iter().all(|head| head.inputs.contains(&PartKey::PATIENT_ENCODER)) {
        let views = views(context);
        all.push(scored("logistic regression", regressions(context, &views, None)));
        all.extend(
            known_paths(context, &asks)
                .map(|paths| scored("logistic regression, with knowledge", regressions(context, &views, Some(&paths)))),
        );
    }
    all
}

/// Whether all heads ask for yes or no.
fn is_binary(context: &BaselineContext<'_>) -> bool {
    context.heads.iter().all(|head| head.outputs == 1)
}

/// Baselines from the patient's own history; none where a head asks for nothing that a history holds.
fn of_histories(context: &BaselineContext<'_>, asks: &[Asks], counts: &[Vec<f32>]) -> Vec<Scored> {
    if asks.iter().any(|a| matches!(a, Asks::Nothing)) {
        return Vec::new();
    }
    let histories: Vec<History<'_>> =
        asks.iter().zip(context.heads).zip(counts).map(|((a, h), c)| History::new(context, a, h, c)).collect();
    let scored = |name: &str, scale, rank: &dyn Fn(&History<'_>) -> Vec<f32>| Scored {
        name: name.to_owned(),
        heads: histories.iter().map(rank).collect(),
        scale,
        chosen: Vec::new(),
    };
    if is_binary(context) {
        return vec![scored("had it before", Scale::Logits, &|h| h.rates())];
    }
    let labs = asks.iter().any(|a| matches!(a, Asks::Labs(_)));
    let own = if labs { "own items" } else { "own history" };
    let mut all = vec![
        scored(&format!("{own}, most recent"), Scale::Order, &|h| h.ranking(history::recent, None)),
        scored(&format!("{own}, most frequent"), Scale::Order, &|h| h.ranking(history::frequent, None)),
    ];
    if asks.iter().all(|a| matches!(a, Asks::Codes(_) | Asks::Hidden(_))) {
        let then = |name: &str, graph: history::Successors| {
            scored(name, Scale::Order, &|h| h.ranking(history::frequent, Some(&graph)))
        };
        all.push(then("history, then co-occurrence", history::successors(context.data)));
        all.extend(
            context.data.knowledge.as_ref().map(|known| then("history, then knowledge", history::linked(known))),
        );
    }
    all
}

/// Makes the probabilities of columns by themselves those of classes of which one is true, each in proportion, as
/// scikit-learn's `OneVsRestClassifier` does: the softmax of ln σ(z).
fn as_classes(scores: &mut [Vec<f32>], heads: &[HeadSpec]) {
    for (scores, _) in scores.iter_mut().zip(heads).filter(|(_, head)| head.outputs > 1) {
        scores.iter_mut().for_each(|score| *score = log_sigmoid(*score));
    }
}

/// ln σ(z).
fn log_sigmoid(z: f32) -> f32 {
    z.min(0.0) - (-z.abs()).exp().ln_1p()
}

/// The logits of a head that knows how often each column is positive among examples, and nothing else: of classes of which one
/// is true, these of the softmax.
pub(crate) fn prior(columns: usize, targets: &Ragged<u32>, is_exclusive: bool) -> Vec<f32> {
    let mut odds = odds(columns, targets);
    if is_exclusive && columns > 1 {
        odds.iter_mut().for_each(|logit| *logit = log_sigmoid(*logit));
    }
    odds
}

/// The same of a head that knows how often columns are positive in the mean over them, and nothing else. Of classes of which one is
/// true that is nothing: what all of them get leaves their softmax as it is.
pub(crate) fn mean_prior(columns: usize, targets: &Ragged<u32>, is_exclusive: bool) -> Vec<f32> {
    if is_exclusive && columns > 1 {
        return vec![0.0; columns];
    }
    let events = targets.values().len() as f32 / columns as f32;
    vec![log_odds(events, targets.len()); columns]
}

/// How often each column of a head is positive in training.
fn counts(context: &BaselineContext<'_>, head: usize) -> Vec<f32> {
    let mut counts = vec![0f32; context.heads[head].outputs];
    context.train.targets[head].values().iter().for_each(|&c| counts[c as usize] += 1.0);
    counts
}

/// The logit of the rate of each column.
fn odds(columns: usize, targets: &Ragged<u32>) -> Vec<f32> {
    let mut counts = vec![0f32; columns];
    targets.values().iter().for_each(|&c| counts[c as usize] += 1.0);
    counts.into_iter().map(|events| log_odds(events, targets.len())).collect()
}

/// The logit of a rate, half an event added to both sides.
fn log_odds(events: f32, of: usize) -> f32 {
    ((events + 0.5) / (of as f32 - events + 0.5)).ln()
}

/// What regressions look at: their number, and those of each example to learn from, to stop by, and to rank for.
#[derive(Default)]
struct Features {
    width: usize,
    /// Ages of visits, and how many codes and items there are, which have a feature an age.
    ages: usize,
    /// Whether items of all visits are in the set that is left of visits with one age.
    all_items: bool,
    nodes: usize,
    items: usize,
    train: Ragged<u32>,
    valid: Ragged<u32>,
    test: Ragged<u32>,
}

impl Features {
    /// Of each code and item in a row the age of its visit, and its number; those of items follow those of codes, as in
    /// knowledge graphs.
    fn had(&self, row: &[u32]) -> impl Iterator<Item = (usize, usize)> {
        let codes = self.ages * self.nodes;
        row.iter().map(|&f| f as usize).filter_map(move |feature| match feature.checked_sub(codes) {
            None => Some((feature / self.nodes, feature % self.nodes)),
            Some(f) if f < self.ages * self.items => Some((f / self.items, self.nodes + f % self.items)),
            Some(_) => None,
        })
    }
}

/// Decades of a patient's age, the last one open, which are features.
const DECADES: usize = 10;
/// Features of a patient's age and sex.
const OF_PATIENT: usize = DECADES + 2;

/// The decade of a patient's age, and the sex. What is not known has no feature: the bias stands for it.
fn of_patient(known: &Demographics) -> impl Iterator<Item = usize> {
    let decade = known.age.map(|age| ((age / 10.0) as usize).min(DECADES - 1));
    decade.into_iter().chain(known.sex.map(|sex| DECADES + usize::from(sex == Sex::Male)))
}

/// The codes of all visits that are seen, and the items that enter the model, both by the `ages` of their visit. With one age,
/// codes are one set, and where items are known by visit, those of the last are it, or with `all_items` those of all. Then age and
/// sex where they enter.
fn features(context: &BaselineContext<'_>, ages: usize, all_items: bool) -> Features {
    let nodes = context.data.vocabulary.nodes();
    let items = if context.labs { context.data.vocabulary.labs.len() } else { 0 };
    let of_visits = ages * (nodes + items);
    let of = |examples: &Examples| -> Ragged<u32> {
        let row = |i: usize| {
            let visits = examples.visits.row(i).iter().rev().enumerate();
            let codes = visits.flat_map(|(before, &visit)| {
                let first = before.min(ages - 1) * nodes;
                examples.codes.row(visit as usize).iter().map(move |code| first as u32 + code)
            });
            let labs = context.items(examples, i).into_iter().filter(|(age, _)| all_items || *age < ages);
            let labs = labs.map(|(age, item)| (ages * nodes + age.min(ages - 1) * items) as u32 + item);
            let patient = examples.demographics.get(i).into_iter().flat_map(of_patient);
            let patient = patient.map(|feature| (of_visits + feature) as u32);
            let mut row: Vec<u32> = codes.chain(labs).chain(patient).collect();
            row.sort_unstable();
            row.dedup();
            row
        };
        (0..examples.len()).map(row).collect()
    };
    let parts = [context.train, context.valid, context.test];
    let of_patients = if parts.iter().any(|part| !part.demographics.is_empty()) { OF_PATIENT } else { 0 };
    Features {
        width: of_visits + of_patients,
        ages,
        all_items,
        nodes,
        items,
        train: of(context.train),
        valid: of(context.valid),
        test: of(context.test),
    }
}

/// The features in each way that a regression may look at them: by the ages of visits, where anybody has several, and as one set,
/// with the items of the last, and of all where these are known by visit: a model that is given them may make one set of them, too.
/// All models are given visits in order, whatever they make of it.
fn views(context: &BaselineContext<'_>) -> Vec<Features> {
    let all = [context.train, context.valid, context.test];
    let ordered = all.iter().any(|examples| examples.visits.rows().any(|visits| visits.len() > 1));
    let by_visit = context.labs && context.by_visit && all.iter().any(|examples| examples.visit_labs.is_some());
    let apart = ordered.then_some((AGES, false));
    let all_items = (ordered && by_visit).then_some((1, true));
    let ways = apart.into_iter().chain([(1, false)]).chain(all_items);
    ways.map(|(ages, all_items)| features(context, ages, all_items)).collect()
}

/// What a knowledge graph says of the columns of each head, where that is wanted, all ask for codes and there is one.
fn known_paths(context: &BaselineContext<'_>, asks: &[Asks]) -> Option<Vec<Paths>> {
    let wanted = context.graph_regression && !is_binary(context);
    let known = context.data.knowledge.as_ref().filter(|_| wanted)?;
    let of = |asks: &Asks| match asks {
        Asks::Codes(columns) | Asks::Hidden(columns) => Some(Paths::new(known, columns)),
        _ => None,
    };
    asks.iter().map(of).collect()
}

/// A logistic regression a head, and where there are `paths`, one of pairs before it, whose logits it begins with. Of those in
/// each of the [`views`], each without a ridge and with one of several [strengths](logistic::STRENGTHS), or with nothing but
/// these logits, they are those with the best metric on valid, which is the one that chooses the epoch of a model; the first
/// where it is undefined. With their logits for test comes what they are.
fn regressions(
    context: &BaselineContext<'_>,
    views: &[Features],
    paths: Option<&[Paths]>,
) -> (Vec<Vec<f32>>, Vec<Choice>) {
    let mut best = Best { context, several: views.len() > 1, found: None };
    views.iter().for_each(|view| best.fit(view, paths));
    best.found.map(|found| (found.logits, vec![found.chosen])).unwrap_or_default()
}

/// Goes through strengths of a ridge, each from the weights of the one before, and beyond them as long as the last one is the best.
/// `score` is that without a ridge, `strengthen` gives those with one. Returns all that were tried.
fn ascend(mut score: f64, mut strengthen: impl FnMut(f32) -> f64) -> Vec<f64> {
    let (mut tried, mut is_best) = (vec![0.0], false);
    for (place, strength) in logistic::STRENGTHS.into_iter().chain(logistic::BEYOND).enumerate() {
        if place >= logistic::STRENGTHS.len() && !is_best {
            break;
        }
        let found = strengthen(strength);
        is_best = is_higher(found, score);
        score = if is_best { found } else { score };
        tried.push(f64::from(strength));
    }
    tried
}

/// The regressions that are best on valid.
struct Best<'a> {
    context: &'a BaselineContext<'a>,
    /// Whether there are several views.
    several: bool,
    found: Option<Found>,
}

/// How good regressions are on valid, their logits for test, and what they are.
struct Found {
    score: f64,
    logits: Vec<Vec<f32>>,
    chosen: Choice,
}

impl Best<'_> {
    /// Fits the regressions of a view.
    fn fit(&mut self, view: &Features, paths: Option<&[Paths]>) {
        let context = self.context;
        let (targets, valid_targets) = (&context.train.targets, &context.valid.targets);
        let start = |(head, spec): (usize, &HeadSpec)| {
            paths.map_or_else(Starts::default, |paths| Starts::new(view, &paths[head], spec.outputs, &targets[head]))
        };
        let starts: Vec<Starts> = context.heads.iter().enumerate().map(start).collect();
        let train = |head: usize| (&view.train, &targets[head], &starts[head].train);
        let valid = |head: usize| (&view.valid, &valid_targets[head], &starts[head].valid);
        let heads = || context.heads.iter().map(|spec| spec.outputs).enumerate();
        if paths.is_some() {
            let start = |(head, columns)| LogisticRegression::start(view.width, columns, train(head));
            self.offer(view, &starts, &heads().map(start).collect::<Vec<_>>(), None);
        }
        let fit = |(head, columns)| LogisticRegression::fit(view.width, columns, train(head), valid(head));
        let mut fitted: Vec<LogisticRegression> = heads().map(fit).collect();
        let score = self.offer(view, &starts, &fitted, Some(0.0));
        let tried = ascend(score, |strength| {
            fitted.iter_mut().enumerate().for_each(|(head, model)| model.strengthen(strength, train(head)));
            self.offer(view, &starts, &fitted, Some(f64::from(strength)))
        });
        // Of an earlier view they are known already.
        if let Some(found) = self.found.as_mut().filter(|found| found.chosen.of.is_empty()) {
            found.chosen.of = tried;
        }
    }

    /// Takes the regressions of all heads with a ridge if they are better. Returns how good they are.
    fn offer(&mut self, view: &Features, starts: &[Starts], fitted: &[LogisticRegression], ridge: Option<f64>) -> f64 {
        let logits = |features: &Ragged<u32>, offsets: fn(&Starts) -> &Offsets| {
            let heads = fitted.iter().zip(starts);
            let mut logits: Vec<Vec<f32>> = heads.map(|(model, s)| model.logits(features, offsets(s))).collect();
            if self.context.objective.exclusive() {
                as_classes(&mut logits, self.context.heads);
            }
            logits
        };
        let score = on_valid(self.context, &logits(&view.valid, |starts| &starts.valid));
        if self.found.as_ref().is_none_or(|found| is_higher(score, found.score)) {
            let logits = logits(&view.test, |starts| &starts.test);
            let visits_apart = self.several.then_some(view.ages > 1);
            let chosen = Choice { ridge, of: Vec::new(), visits_apart, all_items: view.all_items };
            self.found = Some(Found { score, logits, chosen });
        }
        score
    }
}

/// The metric that chooses the epoch, of scores of the valid examples; higher is better. NaN where it is undefined.
fn on_valid(context: &BaselineContext<'_>, scores: &[Vec<f32>]) -> f64 {
    let primary = context.objective.primary();
    let sign = if lower_is_better(primary) { -1.0 } else { 1.0 };
    let metrics = metrics_of(context.objective, context.heads, scores, context.valid);
    metrics.iter().find(|(name, _)| name == primary).map_or(f64::NAN, |(_, value)| sign * value)
}

#[cfg(test)]
mod tests;
