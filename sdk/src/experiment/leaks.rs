//! Checks, for one manifest, that no test patient leaks into training: by person, example, graph, cut point and vocabulary; and that
//! no example has what is known only once the visit that it asks about is.

use super::about::about_of;
use super::plan::Plan;
use crate::component::{AskedVisit, Asks, Labs, Objective, Slot, Split};
use crate::data::knowledge::{GraphSource, Triple, Triples};
use crate::data::prepare::unknown;
use crate::data::{Dataset, Examples, SplitOptions, build_vocabulary};
use crate::{Error, Result};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Looks at every split of every stage: which patients it holds, and of which split they are. A line for each thing that was
/// found in order.
///
/// # Errors
/// Names what two sides share.
pub(super) fn check_leaks(plan: &Plan, data: &Dataset) -> Result<Vec<String>> {
    let mut lines = vec![disjoint_splits(data)?, identifiers(data)?, graph(data)?, vocabulary(data)?];
    lines.extend(cuts(&plan.manifest.data.split, data)?);
    lines.extend(knowledge("knowledge", &plan.manifest.data.knowledge, "data.knowledge", data)?);
    for named in &plan.embeddings {
        let (embedding, what) = (&named.embedding, format!("vectors {}", named.embedding.manifest.name));
        let found = knowledge(&what, &embedding.manifest.data.source, "data.source", data);
        lines.extend(named.placed(embedding.placed(found))?);
    }
    for index in 0..plan.manifest.stage.len() {
        let name = plan.manifest.stage[index].name(index);
        let objective = plan.objective(index)?;
        let line = stage(&name, objective.as_ref(), data)?;
        let labs = plan.labs(objective.as_ref(), data, plan.checked.tells_visits_apart);
        let note = "; labs of the very visit that is predicted enter (`labs = \"target\"`)";
        lines.push(if labs == Some(Labs::Target) { line + note } else { line });
    }
    Ok(lines)
}

/// The sources of a knowledge graph, which stand at `key`: what one counts on patients must be counted on those that are learnt
/// from.
fn knowledge(graph: &str, sources: &[GraphSource], key: &str, data: &Dataset) -> Result<Option<String>> {
    let (mut counted, mut taken) = (0, 0);
    for (i, source) in sources.iter().enumerate() {
        let GraphSource::Cooccurrence { levels, .. } = source else {
            taken += 1;
            continue;
        };
        let key = format!("{key}[{i}]");
        if counted_here(data, levels) != counted_there(source, &key)? {
            let error = Error::user("this co-occurrence was not counted on the patients that are learnt from here");
            let help =
                "prepare its folder with the `data` of this very manifest: `dualk prepare MANIFEST --out FOLDER`";
            return Err(error.at_key(format!("{key}.path")).help(help));
        }
        counted += 1;
    }
    let told = [
        (counted, "counted on patients to learn from"),
        (taken, "taken as they are: whether they know of patients to report on cannot be seen here"),
    ];
    let told: Vec<String> = told.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    Ok((!told.is_empty()).then(|| format!("{graph}: sources: {}", told.join(", "))))
}

/// The triples of a table of co-occurrence.
fn counted_there(source: &GraphSource, key: &str) -> Result<BTreeSet<[String; 3]>> {
    let (found, _) = Triples::join(std::slice::from_ref(source), key, 0, None)?;
    let (entities, relations) = (found.entities.list(), found.relations.list());
    let name = |names: &[String], id: u32| names[id as usize].clone();
    let named = |t: &Triple| [name(entities, t.head), name(relations, t.relation), name(entities, t.tail)];
    Ok(found.triples.iter().map(named).collect())
}

/// What such a table has when it was counted on the patients that are learnt from.
fn counted_here(data: &Dataset, levels: &[f64]) -> BTreeSet<[String; 3]> {
    let code = |node: u32| data.vocabulary.codes[node as usize].clone();
    let named = |(source, target, weight): (u32, u32, f32)| {
        // As the table has it: in the digits of 32 bits.
        let weight: f64 = weight.to_string().parse().ok()?;
        let level = levels.iter().position(|least| weight >= *least)?;
        Some([code(source), format!("with_{}", level + 1), code(target)])
    };
    data.graph.iter().filter(|(source, target, _)| source != target).filter_map(named).collect()
}

/// The examples of a stage against the splits of the dataset, by person.
fn stage(name: &str, objective: &dyn Objective, data: &Dataset) -> Result<String> {
    let splits = &data.splits;
    let [pretrain, train, valid, test] =
        [&splits.pretrain, &splits.train, &splits.valid, &splits.test].map(|patients| persons(patients, data));
    let (mut learnt, mut chosen, mut told) = (HashSet::new(), HashSet::new(), Vec::new());
    for (split, what) in [(Split::Train, "train"), (Split::Valid, "valid"), (Split::Test, "test")] {
        let examples = objective.examples(data, split)?;
        let theirs = persons(&patients_of(&examples, data), data);
        let wrong = |p: &&usize| match split {
            // Who is kept out of pretraining is not to be learnt from either.
            Split::Train => !(pretrain.contains(p) || train.contains(p)) || valid.contains(p) || test.contains(p),
            Split::Valid => test.contains(p),
            Split::Test => learnt.contains(*p) || chosen.contains(*p) || valid.contains(p),
        };
        named(name, what, &examples)?;
        in_time(name, what, objective, &examples, data)?;
        let both = theirs.iter().filter(wrong).count();
        let pretrained = theirs.intersection(&pretrain).count();
        on_one_side(name, split, what, both, pretrained, data)?;
        // Some stages choose their epoch on patients that they learn from.
        let also = match (split, pretrained) {
            (Split::Valid, 1..) => format!(" ({pretrained} of them in pretraining)"),
            _ => String::new(),
        };
        let number = examples.len();
        told.push(format!("{what} {number} examples of {}{also}", whose(theirs.len(), data)));
        match split {
            Split::Train => learnt = theirs,
            Split::Valid => chosen = theirs,
            Split::Test => {}
        }
    }
    Ok(format!("stage {name}: {}: none on two sides", told.join(", ")))
}

/// Refuses examples that do not say which patient they are of.
fn named(stage: &str, what: &str, examples: &Examples) -> Result<()> {
    let nobody = |rows: &[u32]| rows.is_empty() && examples.patients.is_empty();
    match examples.visits.rows().filter(|rows| nobody(rows)).count() {
        0 => Ok(()),
        n => Err(leak(format!("stage {stage}: {n} of its {what} examples see no visit and do not say whose they are"))
            .help("an objective says so in `Examples::patients`")),
    }
}

/// Refuses examples that have items of other visits than the objective says, or that ask for codes of a visit after the last one
/// of their patient, which they have seen then.
fn in_time(stage: &str, what: &str, objective: &dyn Objective, examples: &Examples, data: &Dataset) -> Result<()> {
    let asked = objective.asked_visit();
    let told = objective.labs().filter(|labs| *labs != Labs::Target && asked != AskedVisit::None);
    let has_others = |i: &usize| {
        let may = told.map(|labs| may_enter(labs, asked, examples.visits.row(*i), data));
        may.is_some_and(|may| examples.labs.row(*i).iter().any(|item| !may.contains(item)))
    };
    let others = (0..examples.len()).filter(has_others).count();
    if others > 0 {
        let message =
            format!("a leak: stage {stage}: {others} of its {what} examples have laboratory items of other visits");
        return Err(
            Error::user(message).help("`Objective::labs` says of which visits an objective's examples have items")
        );
    }
    let heads = objective.heads(data)?.len();
    let next = asked == AskedVisit::Next && (0..heads).all(|head| matches!(objective.asks(data, head), Asks::Codes(_)));
    let about = about_of(examples, data).into_iter().flatten().filter(|_| next);
    match about.filter(|about| about.asked(AskedVisit::Next, data).is_none()).count() {
        0 => Ok(()),
        n => {
            let message =
                format!("a leak: stage {stage}: {n} of its {what} examples see the last visit of their patient");
            Err(Error::user(format!("{message}, and ask for codes of the next"))
                .help("`Objective::asked_visit` says which visit an objective's examples ask about"))
        }
    }
}

/// The items that an example may have which sees these visits.
fn may_enter(labs: Labs, asked: AskedVisit, seen: &[u32], data: &Dataset) -> HashSet<u32> {
    let before = match asked {
        AskedVisit::Last => &seen[..seen.len().saturating_sub(1)],
        AskedVisit::Next | AskedVisit::None => seen,
    };
    let rows = match labs {
        Labs::Last => &before[before.len().saturating_sub(1)..],
        Labs::History => before,
        Labs::Target | Labs::None => &before[..0],
    };
    rows.iter().flat_map(|&row| data.visit_labs(row as usize)).collect()
}

/// Refuses examples of a stage of which `both` persons are in another split, too, or which are tested and of which `pretrained`
/// persons are in pretraining.
fn on_one_side(stage: &str, split: Split, what: &str, both: usize, pretrained: usize, data: &Dataset) -> Result<()> {
    if both > 0 {
        let whose = whose(both, data);
        let message = format!("stage {stage}: its {what} examples share {whose} with another split");
        return Err(leak(message));
    }
    if split == Split::Test && pretrained > 0 {
        let whose = whose(pretrained, data);
        let message = format!("stage {stage}: {whose} of its test examples are in pretraining, graph and vocabulary");
        return Err(leak(message).help(
            "a task that asks about patients with one visit says so (`asks_about_single`): with `data.split.type = \
             \"random\"` they are then kept out",
        ));
    }
    Ok(())
}

/// The patients whose examples these are, or whose visits they look at.
fn patients_of(examples: &Examples, data: &Dataset) -> Vec<usize> {
    let offsets = data.cohort.admissions.offsets();
    let of_visit = |&row: &u32| offsets.partition_point(|&o| o <= row as usize) - 1;
    examples.visits.values().iter().map(of_visit).chain(examples.patients.iter().map(|&p| p as usize)).collect()
}

/// The persons that patients are.
fn persons(patients: &[usize], data: &Dataset) -> HashSet<usize> {
    patients.iter().map(|&p| data.cohort.person(p)).collect()
}

/// A number of persons, in words; of patients where no two are one person.
fn whose(number: usize, data: &Dataset) -> String {
    let what = if data.cohort.persons.is_empty() { "patients" } else { "persons" };
    format!("{number} {what}")
}

/// Whether each patient is in one split.
fn disjoint_splits(data: &Dataset) -> Result<String> {
    let splits = &data.splits;
    let by_name =
        [("train", &splits.train), ("valid", &splits.valid), ("test", &splits.test), ("single", &splits.single)];
    let mut side = vec![None; data.cohort.patients.len()];
    for (name, patients) in by_name {
        for &p in patients {
            if let Some(other) = side[p].replace(name) {
                return Err(shared(&format!("the split `{name}`"), &format!("`{other}`"), p));
            }
        }
    }
    if let Some(&p) = splits.pretrain.iter().find(|&&p| matches!(side[p], Some("valid" | "test"))) {
        return Err(shared("pretraining", "valid or test", p));
    }
    let sizes: Vec<String> = by_name.iter().map(|(name, patients)| format!("{name} {}", patients.len())).collect();
    let learnt: HashSet<usize> = splits.pretrain.iter().copied().collect();
    let held = match splits.single.iter().filter(|p| !learnt.contains(p)).count() {
        0 => String::new(),
        n => format!(", {n} of single are not learnt from"),
    };
    Ok(format!("split: {}: no patient is in two splits{}{held}", sizes.join(", "), persons_apart(data)?))
}

/// Whether any person is on two sides as several patients; nothing where each patient is a person.
fn persons_apart(data: &Dataset) -> Result<&'static str> {
    if data.cohort.persons.is_empty() {
        return Ok("");
    }
    let splits = &data.splits;
    let (mut sides, mut both) = (HashMap::new(), HashSet::new());
    for (side, patients) in
        [("learnt", &splits.pretrain), ("learnt", &splits.train), ("valid", &splits.valid), ("test", &splits.test)]
    {
        for person in patients.iter().map(|&p| data.cohort.person(p)) {
            if *sides.entry(person).or_insert(side) != side {
                both.insert(person);
            }
        }
    }
    match both.len() {
        0 => Ok(", no person on two sides"),
        n => {
            let message = format!("{n} of {} persons are on two sides, each as several patients", sides.len());
            let help = "`data.split.type = \"random\"` keeps all patients of a person on one side; the published split \
                        knows none";
            Err(leak(message).help(help))
        }
    }
}

/// Whether one person could be two patients of the cohort, as far as identifiers tell.
fn identifiers(data: &Dataset) -> Result<String> {
    let cohort = &data.cohort;
    let mut seen = HashSet::new();
    if let Some(p) = (0..cohort.patients.len()).find(|&p| !seen.insert(cohort.patients[p])) {
        return Err(leak(format!("the patient at place {p} of the cohort is in it twice")));
    }
    let mut owners = HashMap::new();
    for p in 0..cohort.patients.len() {
        for &admission in cohort.admissions.row(p) {
            if let Some(other) = owners.insert(admission, p)
                && other != p
            {
                return Err(leak(format!("the patients at places {other} and {p} of the cohort share an admission")));
            }
        }
    }
    let of = match cohort.persons.iter().collect::<HashSet<_>>().len() {
        0 => String::new(),
        n => format!(" of {n} persons"),
    };
    Ok(format!("cohort: {} patients{of}, {} admissions: no identifier twice", seen.len(), owners.len()))
}

/// From whose results the cut points of laboratory values are computed; nothing where there are none. With the published split
/// they are everybody's, which is reported and no error.
fn cuts(split: &SplitOptions, data: &Dataset) -> Result<Option<String>> {
    let from = &data.cohort.cut_from;
    let learnt: HashSet<usize> = data.splits.pretrain.iter().chain(&data.splits.train).copied().collect();
    let others = from.iter().filter(|&&p| !learnt.contains(&(p as usize))).count();
    let items = data.vocabulary.labs.len();
    Ok(match (from.len(), others) {
        (0, _) => None,
        (n, 0) => {
            Some(format!("items: values in {items} columns are cut by results of {n} patients who are learnt from"))
        }
        (n, others) if split.is_random() => {
            let message =
                format!("values of items are cut by results of {n} patients, {others} of them not learnt from");
            return Err(leak(message).help("a parser that cuts values asks `ParserContext::cut_from` by whose results"));
        }
        (n, others) => Some(format!(
            "items: values in {items} columns are cut by results of {n} patients, {others} of them not learnt from, as published"
        )),
    })
}

/// Every edge of the graph against the admissions that it may be counted in.
fn graph(data: &Dataset) -> Result<String> {
    let rows = data.splits.pretrain.iter().flat_map(|&p| data.cohort.admissions.range(p));
    let counted = crate::graph::cooccurrence(data.vocabulary.nodes(), &data.vocabulary.admission_codes, rows)?;
    match counted.iter().eq(data.graph.iter()) {
        true => {
            Ok(format!("graph: its {} edges are counted in the admissions of pretraining patients", counted.edges()))
        }
        false => Err(leak("the disease graph is not that of the pretraining patients".to_owned())),
    }
}

/// How many codes of the vocabulary no training patient has. The published vocabulary has such codes: they are reported, and no
/// error.
fn vocabulary(data: &Dataset) -> Result<String> {
    let mut known = vec![false; data.vocabulary.nodes()];
    for &p in data.splits.pretrain.iter().chain(&data.splits.train) {
        let rows = data.cohort.admissions.range(p);
        rows.flat_map(|row| data.vocabulary.admission_codes.row(row)).for_each(|&c| known[c as usize] = true);
    }
    let foreign = known.iter().skip(1).filter(|known| !**known).count();
    let all = data.vocabulary.nodes() - 1;
    let left_out = unknown(&data.cohort, &build_vocabulary(&data.cohort), &data.vocabulary);
    let left_out: String = left_out.iter().map(|(what, n)| format!("; {what}: {n}")).collect();
    Ok(match foreign {
        0 => format!("vocabulary: all {all} codes are of patients who are learnt from{left_out}"),
        n => format!("vocabulary: {n} of {all} codes are of valid or test patients alone, as published{left_out}"),
    })
}

fn shared(what: &str, with: &str, p: usize) -> Error {
    leak(format!("{what} and {with} share the patient at place {p} of the cohort"))
}

fn leak(message: String) -> Error {
    let slot = Slot::Objective;
    Error::user(format!("a leak: {message}"))
        .help(format!("look at `data.split`, and at the {slot} of the stage: splits must not share patients"))
}
