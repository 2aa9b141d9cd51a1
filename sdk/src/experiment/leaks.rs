//! Proof, for one manifest, that what is reported on was not learnt from.

use super::plan::Plan;
use crate::component::{Labs, Objective, Part, Slot};
use crate::data::knowledge::{GraphSource, Triples};
use crate::data::{Examples, Prepared};
use crate::{Error, Result};
use std::collections::{BTreeSet, HashSet};

/// Looks at every part of every stage: which patients it holds, and on which side they are. A line for each thing that was
/// found in order.
///
/// # Errors
/// Names what two sides share.
pub(super) fn check_leaks(plan: &Plan, data: &Prepared) -> Result<Vec<String>> {
    let mut lines = vec![parts(data)?, identifiers(data)?, graph(data)?, vocabulary(data)?];
    lines.extend(knowledge(&plan.manifest.data.knowledge, data)?);
    for index in 0..plan.manifest.stage.len() {
        let name = plan.manifest.stage[index].name(index);
        let objective = plan.objective(index)?;
        let line = stage(&name, objective.as_ref(), data)?;
        let labs = plan.labs(objective.as_ref(), data, plan.tells_visits_apart);
        let note = "; labs of the very visit that is predicted enter (`labs = \"target\"`)";
        lines.push(if labs == Some(Labs::Target) { line + note } else { line });
    }
    Ok(lines)
}

/// The sources of the knowledge graph: what one counts on patients must be counted on those that are learnt from.
fn knowledge(sources: &[GraphSource], data: &Prepared) -> Result<Option<String>> {
    let (mut counted, mut taken) = (0, 0);
    for (i, source) in sources.iter().enumerate() {
        let GraphSource::Cooccurrence { levels, .. } = source else {
            taken += 1;
            continue;
        };
        let key = format!("data.knowledge[{i}]");
        let (found, _) = Triples::join(std::slice::from_ref(source), &key, 0, None)?;
        let (entities, relations) = (found.entities.list(), found.relations.list());
        let name = |names: &[String], number: u32| names[number as usize].clone();
        let triples = found.triples.iter();
        let theirs: BTreeSet<[String; 3]> =
            triples.map(|t| [name(entities, t.head), name(relations, t.relation), name(entities, t.tail)]).collect();
        let code = |node: u32| data.vocabulary.codes[node as usize].clone();
        let ours: BTreeSet<[String; 3]> = data
            .graph
            .iter()
            .filter(|(source, target, _)| source != target)
            .filter_map(|(source, target, weight)| {
                // As the table has it: in the digits of 32 bits.
                let weight: f64 = weight.to_string().parse().ok()?;
                let level = levels.iter().position(|least| weight >= *least)?;
                Some([code(source), format!("with_{}", level + 1), code(target)])
            })
            .collect();
        if ours != theirs {
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
    Ok((!told.is_empty()).then(|| format!("knowledge: sources: {}", told.join(", "))))
}

/// The examples of a stage against the parts of the split.
fn stage(name: &str, objective: &dyn Objective, data: &Prepared) -> Result<String> {
    let of = |patients: &[usize]| patients.iter().copied().collect::<HashSet<usize>>();
    let (pretrain, valid, test) = (of(&data.split.pretrain), of(&data.split.valid), of(&data.split.test));
    let (mut learnt, mut told) = (HashSet::new(), Vec::new());
    for (part, what) in [(Part::Train, "train"), (Part::Valid, "valid"), (Part::Test, "test")] {
        let examples = objective.examples(data, part)?;
        let patients = patients_of(&examples, data);
        let wrong = |p: &&usize| match part {
            Part::Train => valid.contains(p) || test.contains(p),
            Part::Valid => test.contains(p) || (learnt.contains(*p) && valid.contains(p)),
            Part::Test => learnt.contains(*p) || valid.contains(p),
        };
        if let Some(&p) = patients.iter().find(wrong) {
            let ours = format!("stage {name}: its {what} examples");
            return Err(shared(&ours, "another part of the split", p, data));
        }
        // An objective may ask about patients whose single visit the parts of the split leave to pretraining.
        let pretrained = if part == Part::Train { 0 } else { patients.intersection(&pretrain).count() };
        let seen = if pretrained > 0 { format!(" ({pretrained} of them in pretraining)") } else { String::new() };
        told.push(format!("{what} {} examples of {} patients{seen}", examples.len(), patients.len()));
        if part == Part::Train {
            learnt = patients;
        }
    }
    Ok(format!("stage {name}: {}: none on two sides", told.join(", ")))
}

/// The patients whose visits examples look at.
fn patients_of(examples: &Examples, data: &Prepared) -> HashSet<usize> {
    let offsets = data.cohort.admissions.offsets();
    examples.visits.values().iter().map(|&row| offsets.partition_point(|&o| o <= row as usize) - 1).collect()
}

fn parts(data: &Prepared) -> Result<String> {
    let split = &data.split;
    let parts = [("train", &split.train), ("valid", &split.valid), ("test", &split.test), ("single", &split.single)];
    let mut side = vec![None; data.cohort.patients.len()];
    for (name, patients) in parts {
        for &p in patients {
            if let Some(other) = side[p].replace(name) {
                return Err(shared(&format!("the part `{name}`"), &format!("`{other}`"), p, data));
            }
        }
    }
    if let Some(&p) = split.pretrain.iter().find(|&&p| matches!(side[p], Some("valid" | "test"))) {
        return Err(shared("pretraining", "valid or test", p, data));
    }
    let sizes: Vec<String> = parts.iter().map(|(name, patients)| format!("{name} {}", patients.len())).collect();
    Ok(format!("split: {}: no patient is in two parts", sizes.join(", ")))
}

/// Whether one person could be two patients of the cohort, as far as identifiers tell.
fn identifiers(data: &Prepared) -> Result<String> {
    let mut seen = HashSet::new();
    if let Some(p) = (0..data.cohort.patients.len()).find(|&p| !seen.insert(data.cohort.patients[p])) {
        return Err(shared("the cohort", "itself, twice", p, data));
    }
    let mut owners = std::collections::HashMap::new();
    for p in 0..data.cohort.patients.len() {
        for &admission in data.cohort.admissions.row(p) {
            if let Some(other) = owners.insert(admission, p)
                && other != p
            {
                let (a, b) = (data.cohort.patients[other], data.cohort.patients[p]);
                return Err(leak(format!("admission {admission} belongs to the patients {a} and {b}")));
            }
        }
    }
    Ok(format!("cohort: {} patients, {} admissions: no identifier twice", seen.len(), owners.len()))
}

/// Every edge of the graph against the admissions that it may be counted in.
fn graph(data: &Prepared) -> Result<String> {
    let rows = data.split.pretrain.iter().flat_map(|&p| data.cohort.admissions.range(p));
    let counted = crate::graph::cooccurrence(data.vocabulary.nodes(), &data.vocabulary.admission_codes, rows)?;
    match counted.iter().eq(data.graph.iter()) {
        true => {
            Ok(format!("graph: its {} edges are counted in the admissions of pretraining patients", counted.edges()))
        }
        false => Err(leak("the disease graph is not that of the pretraining patients".to_owned())),
    }
}

/// Codes that nobody has who is learnt from. The published vocabulary has them; it is said and no error.
fn vocabulary(data: &Prepared) -> Result<String> {
    let mut known = vec![false; data.vocabulary.nodes()];
    for &p in data.split.pretrain.iter().chain(&data.split.train) {
        let rows = data.cohort.admissions.range(p);
        rows.flat_map(|row| data.vocabulary.admission_codes.row(row)).for_each(|&c| known[c as usize] = true);
    }
    let foreign = known.iter().skip(1).filter(|known| !**known).count();
    let all = data.vocabulary.nodes() - 1;
    Ok(match foreign {
        0 => format!("vocabulary: all {all} codes are of patients who are learnt from"),
        n => format!("vocabulary: {n} of {all} codes are of valid or test patients alone, as published"),
    })
}

fn shared(what: &str, with: &str, p: usize, data: &Prepared) -> Error {
    leak(format!("{what} and {with} share patient {}", data.cohort.patients[p]))
}

fn leak(message: String) -> Error {
    let slot = Slot::Objective;
    Error::user(format!("a leak: {message}"))
        .help(format!("look at `data.split`, and at the {slot} of the stage: parts must not share patients"))
}
