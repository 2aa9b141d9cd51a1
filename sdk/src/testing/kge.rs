//! Embedding models of knowledge graphs.

use super::options::check_options;
use super::{Examined, Report, Subject, check};
use crate::Result;
use crate::kge::{
    Adam, Batch, BuildKgeModel, EmbeddingModel, KgeSchedule, Parameters, Queries, Side, Stepper, Triple, Unused,
};
use crate::slots;
use toml::Table;

const ENTITIES: usize = 7;
const RELATIONS: usize = 2;
/// Fraction of the parameters that may stand beside a kink of the score, where differences say nothing.
const KINKS: f64 = 0.05;

fn batch(open: Side) -> Batch {
    let triple = |head, relation, tail| Triple { head, relation, tail };
    // The first entity is an anchor, a candidate and both at once; one candidate stands twice in a row.
    let triples = vec![triple(0, 0, 1), triple(1, 1, 2), triple(0, 1, 0), triple(3, 0, 4)];
    let candidates = triples.iter().zip([[0, 5, 5, 6], [4, 6, 1, 0], [2, 3, 4, 1], [6, 0, 2, 5]]);
    let cells: Vec<u32> =
        candidates.flat_map(|(t, negatives)| [vec![t.sides(open).1], negatives.to_vec()].concat()).collect();
    let mut counts = vec![0; ENTITIES + 1];
    Batch::new(0, open, triples, vec![1.0, 0.5, 0.7, 1.2], &cells, &mut counts)
}

/// All negatives weigh alike: the loss is then the function that its gradients belong to.
fn stepper(model: &dyn EmbeddingModel, parameters: Parameters) -> Stepper<'_> {
    let (schedule, unused) = (KgeSchedule::Constant, Unused::Moved);
    let adam = Adam { lr: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps: 10, schedule, unused };
    Stepper::new(model, parameters, adam, 8, 0.0)
}

/// Every number of the parameters, one list after another.
fn flat(parameters: &mut Parameters) -> [&mut Vec<f32>; 3] {
    [&mut parameters.entities.values, &mut parameters.relations.values, &mut parameters.shared.values]
}

fn first(model: &dyn EmbeddingModel) -> Parameters {
    Parameters::new(model, ENTITIES, RELATIONS, 3)
}

fn check_first_values(model: &dyn EmbeddingModel, findings: &mut Vec<String>) {
    let widths = [model.entity_width(), model.relation_width(), model.query_width()];
    if widths.contains(&0) {
        findings.push(format!("entity, relation and query have {widths:?} numbers"));
    }
    let mut parameters = first(model);
    if flat(&mut parameters).iter().any(|values| values.iter().any(|x| !x.is_finite())) {
        findings.push("a first value is not finite".to_owned());
    }
    if parameters != first(model) {
        findings.push("the same draws give other first values: use the generator that is handed over alone".to_owned());
    }
}

fn check_scores(model: &dyn EmbeddingModel, findings: &mut Vec<String>) {
    let (parameters, width) = (first(model), model.query_width());
    let mut queries = vec![0.0; 3 * width];
    for (i, query) in (0..).zip(queries.chunks_exact_mut(width)) {
        model.query(Side::BOTH[i % 2], parameters.entities.row(i as u32), parameters.relations.row(0), query);
    }
    let scores = |rows: &[u32]| {
        let (mut scores, mut saved) = (vec![0.0; rows.len()], vec![0.0; rows.len() * model.saved()]);
        let queries = Queries { values: &queries, rows };
        model.scores(parameters.entities.row(4), queries, &parameters.shared.values, &mut scores, &mut saved);
        scores
    };
    let alone = [scores(&[2]), scores(&[0]), scores(&[2])].concat();
    let together = scores(&[2, 0, 2]);
    if alone != together || together.iter().any(|s| !s.is_finite()) {
        findings.push(format!("alone {alone:?}, together {together:?}"));
    }
}

fn check_gradients(model: &dyn EmbeddingModel, batch: &Batch, findings: &mut Vec<String>) {
    let parameters = first(model);
    let gradients = stepper(model, parameters.clone()).gradients(batch);
    let loss_at = |table: usize, i: usize, by: f32| {
        let mut moved = parameters.clone();
        flat(&mut moved)[table][i] += by;
        stepper(model, moved).gradients(batch).loss
    };
    let tables =
        [("entities", &gradients.entities), ("relations", &gradients.relations), ("shared", &gradients.shared)];
    for (table, (name, given)) in tables.into_iter().enumerate() {
        let size = given.iter().fold(0f32, |most, g| most.max(g.abs()));
        let values = flat(&mut parameters.clone())[table].clone();
        let spread = values.iter().fold(0f32, |most, x| most.max(x.abs())).max(1e-3);
        let step = 1e-2 * spread;
        // At a kink of the score the slopes of both sides differ, and any between them is right.
        let is_off = |i: &usize| {
            let (here, width) = (loss_at(table, *i, 0.0), f64::from(step));
            let sides = [here - loss_at(table, *i, -step), loss_at(table, *i, step) - here].map(|d| d / width);
            let allowed = 0.03 * f64::from(size) + 4e-6 / width;
            let given = f64::from(given[*i]);
            given < sides[0].min(sides[1]) - allowed || given > sides[0].max(sides[1]) + allowed
        };
        let off: Vec<usize> = (0..given.len()).filter(is_off).collect();
        if off.len() as f64 > KINKS * given.len() as f64 {
            let (wrong, all) = (off.len(), given.len());
            findings.push(format!("{name}: {wrong} of {all} gradients differ, first number {}", off[0]));
        }
    }
}

fn check_steps(model: &dyn EmbeddingModel, findings: &mut Vec<String>) {
    let mut stepper = stepper(model, first(model));
    let losses: Vec<f64> = (0..10).map(|step| stepper.step(&Batch { step, ..batch(Side::Tail) })).collect();
    if losses.iter().any(|l| !l.is_finite()) || losses[9] >= losses[0] {
        findings.push(format!("ten steps on one batch: {losses:?}"));
    }
}

/// Checks an embedding model: widths, first values, scores that a batch and a single candidate agree on, gradients of the
/// loss against finite differences for entities, relations and what triples share.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_kge_model<C: BuildKgeModel>(options: C) {
    check::<slots::kge_model, C>(options);
}

impl Examined for slots::kge_model {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        let build = |options: Table| subject.registry.make::<slots::kge_model>(subject.name, options);
        let mut check = |what: &str, look: &dyn Fn(&dyn EmbeddingModel, &mut Vec<String>)| {
            report.check(what, |findings| build(subject.options.clone()).map(|model| look(&*model, findings)));
        };
        check("widths and first values", &check_first_values);
        check("a score does not depend on what else is scored", &check_scores);
        for (what, open) in [("tails", Side::Tail), ("heads", Side::Head)] {
            let what = format!("gradients against finite differences: {what}");
            check(&what, &|model, findings| check_gradients(model, &batch(open), findings));
        }
        check("the loss falls", &check_steps);
        check_options(subject, report, |options| -> Result<Vec<f32>> {
            let model = build(options)?;
            Ok(stepper(&*model, first(&*model)).gradients(&batch(Side::Tail)).scores)
        });
    }
}
