//! Sizes that kernels can count, which they do in 32 bits.

use crate::kge::formula::{Formula, Sizes};
use crate::{Error, Result};

/// The most queries that are scored together where triples are ranked.
pub(super) const BLOCK: usize = 512;
/// Ranked entities are counted in 32-bit floats, which hold whole numbers up to this.
const ENTITIES: usize = 1 << 24;
/// Cubes that fill a device: 16 for each of an H100's 132 multiprocessors.
const ENOUGH: usize = 2048;
/// The most candidates of a query that a cube goes through.
const CHUNK: usize = 128;

/// How many candidates of a query a cube goes through, and how many such parts a query has.
pub(super) fn chunks(triples: usize, candidates: usize) -> (usize, usize) {
    let chunk = (triples.saturating_mul(candidates) / ENOUGH).clamp(16, CHUNK);
    (chunk, candidates.div_ceil(chunk))
}

/// An error of what is too large for a device, and what to do about it.
fn too_large(message: String, help: &str) -> Error {
    Error::user(message).at_key("backend.device").help(help).help("or give cpu, which counts in 64 bits")
}

/// Refuses more numbers than kernels count.
fn countable(numbers: usize, what: impl FnOnce() -> String, help: &str) -> Result<()> {
    match u32::try_from(numbers) {
        Ok(_) => Ok(()),
        Err(_) => {
            let message = format!("{} has {numbers} numbers, and kernels count up to {}", what(), u32::MAX);
            Err(too_large(message, help))
        }
    }
}

/// Refuses a table of `rows` rows of `width` numbers that kernels cannot count.
pub(super) fn check_table(of: &str, rows: usize, width: usize) -> Result<()> {
    let what = || format!("the table of {rows} {of} of {width} numbers");
    countable(rows.saturating_mul(width), what, "give the model fewer dimensions, or leave entities out (`data.least`)")
}

/// Refuses a step that makes more numbers of a kind than kernels can count.
pub(super) fn check_step(formula: Formula, triples: usize, candidates: usize) -> Result<()> {
    let Formula { equation, dim, .. } = formula;
    let (by_dimension, (_, chunks)) = (triples.saturating_mul(dim), chunks(triples, candidates));
    let most = [
        // Two sums a candidate, and the gradients of queries, entities and relations.
        triples.saturating_mul(candidates).saturating_mul(2),
        by_dimension.saturating_mul(chunks).saturating_mul(equation.of_query()),
        by_dimension.saturating_mul(equation.of_entity()),
        by_dimension.saturating_mul(equation.of_relation()),
    ];
    let what = || format!("a step of {triples} triples, {candidates} candidates of each and {dim} dimensions");
    let help = "make `train.batch`, `train.negatives` or the dimensions of the model smaller";
    countable(most.into_iter().max().unwrap_or_default(), what, help)
}

/// Refuses entities that cannot be ranked.
pub(super) fn check_ranking(formula: Formula, entities: usize) -> Result<()> {
    if entities >= ENTITIES {
        let message = format!("{entities} entities are too many to be ranked on a device, where {} are", ENTITIES - 1);
        return Err(too_large(message, "leave entities out (`data.least`)"));
    }
    let (dim, parts) = (formula.dim, formula.equation.of_query());
    let what = || format!("a block of {BLOCK} queries of {dim} dimensions");
    countable(BLOCK.saturating_mul(dim).saturating_mul(parts), what, "give the model fewer dimensions")
}

/// Refuses an embedding, and steps of its training, that kernels cannot count.
///
/// # Errors
/// Name the sizes and what to do.
pub(in crate::kge) fn check_sizes(formula: Formula, sizes: &Sizes) -> Result<()> {
    let Formula { equation, dim, .. } = formula;
    check_table("entities", sizes.entities, dim.saturating_mul(equation.of_entity()))?;
    check_table("relations", sizes.relations, dim.saturating_mul(equation.of_relation()))?;
    check_step(formula, sizes.triples, sizes.candidates)?;
    if sizes.ranks { check_ranking(formula, sizes.entities) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kge::formula::Equation;

    fn of(equation: Equation, dim: usize) -> Formula {
        Formula { equation, dim, gamma: 6.0, scale: 1.0 }
    }

    fn refused(found: Result<()>, says: &[&str]) {
        let error = found.unwrap_err();
        assert_eq!((error.exit_code(), error.key()), (2, Some("backend.device")));
        let text = error.to_string();
        says.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
        assert!(text.contains("or give cpu"), "{text}");
    }

    #[test]
    fn tables_are_counted_up_to_two_to_the_thirty_second() {
        // Halves of it, which a sign would end, are counted.
        for (rows, width) in [(1 << 21, 1 << 10), ((1 << 31) - 1, 2), ((1 << 22) - 1, 1 << 10), (u32::MAX as usize, 1)]
        {
            check_table("entities", rows, width).unwrap();
        }
        let says = [
            "the table of 4194304 entities of 1024 numbers has 4294967296 numbers",
            "up to 4294967295",
            "`data.least`",
        ];
        refused(check_table("entities", 1 << 22, 1 << 10), &says);
        refused(check_table("relations", 1 << 40, 1 << 40), &["1099511627776 relations"]);
    }

    #[test]
    fn what_a_step_makes_is_counted_too() {
        let hake = of(Equation::Hake, 1000);
        check_step(hake, 1024, 257).unwrap();
        // Parts of 128 candidates: 4,096 of them for each query, of three numbers a dimension.
        check_step(hake, 256, 1 << 19).unwrap();
        let says =
            ["512 triples, 524288 candidates of each and 1000 dimensions has 6291456000 numbers", "`train.batch`"];
        refused(check_step(hake, 512, 1 << 19), &says);
        // Of two sums a candidate there are 2³².
        check_step(of(Equation::Transe, 1), 1, (1 << 31) - 1).unwrap();
        refused(check_step(of(Equation::Transe, 1), 1, 1 << 31), &["has 4294967296 numbers"]);
        refused(check_step(hake, usize::MAX, usize::MAX), &["and kernels count up to"]);
    }

    #[test]
    fn a_run_is_refused_before_it_begins_by_whichever_is_too_large() {
        let (formula, sound) = (
            of(Equation::Rotate, 1000),
            Sizes { entities: 2_000_000, relations: 100, triples: 1024, candidates: 257, ranks: true },
        );
        check_sizes(formula, &sound).unwrap();
        refused(check_sizes(formula, &Sizes { entities: 2_147_484, ..sound }), &["2147484 entities of 2000 numbers"]);
        refused(check_sizes(formula, &Sizes { relations: 4_294_968, ..sound }), &["4294968 relations of 1000 numbers"]);
        refused(check_sizes(formula, &Sizes { candidates: 1 << 30, ..sound }), &["1073741824 candidates"]);
        let (many, small) = (Sizes { entities: 1 << 24, ..sound }, of(Equation::Transe, 16));
        refused(check_sizes(small, &many), &["16777216 entities are too many to be ranked"]);
        check_sizes(small, &Sizes { ranks: false, ..many }).unwrap();
        refused(check_ranking(of(Equation::Hake, 2_796_203), 5), &["512 queries of 2796203 dimensions"]);
    }
}
