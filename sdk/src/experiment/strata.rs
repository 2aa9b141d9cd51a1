//! Strata of the labels that a table is also told for: by how frequent a code is, whether the patient had it before, both at once,
//! and its chapter.

use super::stage::SplitExamples;
use crate::component::Asks;
use crate::data::hierarchy::{self, Icd};
use crate::data::icd::body_system;
use crate::data::{Dataset, Examples};
use std::collections::BTreeMap;

/// Strata of the codes by their frequency in training, each of as many codes, the rarest first (Choi et al., GRAM, KDD 2017).
const BINS: usize = 5;

/// What divides the labels of a head on test.
pub(super) fn divisions(
    asks: &Asks,
    head: usize,
    columns: usize,
    splits: &SplitExamples,
    data: &Dataset,
) -> Vec<Division> {
    let frequency = by_frequency(columns, head, splits);
    let novelty = by_novelty(asks, head, &splits.test);
    let both = novelty.as_ref().map(|novelty| by_both(novelty, &frequency));
    let more = [novelty, both, by_chapter(asks, head, &splits.test, data)];
    std::iter::once(frequency).chain(more.into_iter().flatten()).collect()
}

/// Strata of labels.
pub(super) struct Division {
    /// What divides them, such as `code frequency`.
    pub by: &'static str,
    /// Names of the strata.
    pub parts: Vec<String>,
    /// The stratum of each positive, in the order of the targets.
    pub of: Vec<usize>,
}

/// Labels by how frequent their code is in training.
fn by_frequency(columns: usize, head: usize, splits: &SplitExamples) -> Division {
    let mut counts = vec![0u32; columns];
    splits.train.targets[head].values().iter().for_each(|&c| counts[c as usize] += 1);
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by_key(|&c| (counts[c], c));
    let mut bins = vec![0; columns];
    order.iter().enumerate().for_each(|(place, &c)| bins[c] = place * BINS / columns.max(1));
    Division {
        by: "code frequency",
        parts: (0..BINS).map(|b| format!("{}–{} %", 100 * b / BINS, 100 * (b + 1) / BINS)).collect(),
        of: splits.test.targets[head].values().iter().map(|&c| bins[c as usize]).collect(),
    }
}

/// Labels by the chapter of their code, where the codes are those of ICD or CCSR.
fn by_chapter(asks: &Asks, head: usize, test: &Examples, data: &Dataset) -> Option<Division> {
    let Asks::Codes(map) = asks else { return None };
    let codes = data.vocabulary.codes.iter().zip(map).filter_map(|(code, column)| Some((code.as_str(), (*column)?)));
    let chapters: BTreeMap<u32, Option<(String, &str)>> = chapters(codes);
    let known = chapters.values().filter(|chapter| chapter.is_some()).count();
    // Something else that happens to look like a code here and there.
    if 10 * known < 9 * chapters.len() || known == 0 {
        return None;
    }
    let mut order: Vec<&(String, &str)> = chapters.values().flatten().collect();
    order.sort();
    order.dedup();
    let place = |c: &u32| {
        let chapter = chapters.get(c).and_then(Option::as_ref);
        chapter.and_then(|chapter| order.binary_search(&chapter).ok()).unwrap_or(order.len())
    };
    let of = test.targets[head].values().iter().map(place).collect();
    let parts = order.iter().map(|(_, title)| (*title).to_owned()).chain(["others".to_owned()]).collect();
    Some(Division { by: "chapter", parts, of })
}

/// The chapter of each code, by its column: what it is ordered by, and its title. V and E codes are in both editions of ICD,
/// so the codes that begin with a digit, which only the ninth has, tell which one it is.
fn chapters<'a>(codes: impl Iterator<Item = (&'a str, u32)> + Clone) -> BTreeMap<u32, Option<(String, &'static str)>> {
    let digits = codes.clone().filter(|(code, _)| code.starts_with(|c: char| c.is_ascii_digit())).count();
    let edition = if 2 * digits > codes.clone().count() { Icd::Icd9 } else { Icd::Icd10 };
    let chapter = |code: &str| {
        let of_category = || body_system(code).map(|title| (code.chars().take(3).collect(), title));
        hierarchy::chapter(code, edition).or_else(of_category)
    };
    codes.map(|(code, column)| (column, chapter(code))).collect()
}

/// Labels by whether the patient had them before.
fn by_novelty(asks: &Asks, head: usize, test: &Examples) -> Option<Division> {
    let Asks::Codes(map) = asks else { return None };
    let mut of = Vec::new();
    for (i, targets) in test.targets[head].rows().enumerate() {
        let codes = test.visits.row(i).iter().flat_map(|&v| test.codes.row(v as usize));
        let mut had: Vec<u32> = codes.filter_map(|&c| map.get(c as usize).copied().flatten()).collect();
        had.sort_unstable();
        of.extend(targets.iter().map(|c| usize::from(had.binary_search(c).is_ok())));
    }
    Some(Division { by: "had before", parts: vec!["new".to_owned(), "repeated".to_owned()], of })
}

/// Labels by both at once: a rare code that a patient had is known from the history, and one that is new is not.
fn by_both(novelty: &Division, frequency: &Division) -> Division {
    let bins = frequency.parts.len();
    let names = novelty.parts.iter().flat_map(|part| frequency.parts.iter().map(move |bin| format!("{part}, {bin}")));
    let place = |(&part, &bin): (&usize, &usize)| part * bins + bin;
    Division {
        by: "had before and code frequency",
        parts: names.collect(),
        of: novelty.of.iter().zip(&frequency.of).map(place).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Ten labels, label c of which c training examples have; three test examples, the first and second of whom had codes 1 and 3
    /// before.
    fn splits() -> SplitExamples {
        let train = Examples {
            targets: vec![(0..10u32).map(|row| row + 1..10).collect()],
            labs: (0..10).map(|_| []).collect(),
            ..Examples::default()
        };
        let test = Examples {
            codes: Arc::new([vec![1], vec![3, 1]].into_iter().collect()),
            visits: [vec![0u32, 1], vec![1], vec![]].into_iter().collect(),
            targets: vec![[vec![0, 2, 9], vec![2, 4], vec![]].into_iter().collect()],
            labs: (0..3).map(|_| []).collect(),
            ..Examples::default()
        };
        SplitExamples { train, valid: Examples::default(), test }
    }

    /// GRAM (Choi et al., KDD 2017): labels by how often they are in training, five bins of as many labels.
    #[test]
    fn bins_have_as_many_codes_the_rarest_first() {
        let found = by_frequency(10, 0, &splits());
        assert_eq!((found.by, found.of), ("code frequency", vec![0, 1, 4, 1, 2]));
        assert_eq!(found.parts, ["0–20 %", "20–40 %", "40–60 %", "60–80 %", "80–100 %"]);
        // Seven labels in five bins; those that are as frequent by their number.
        let test = Examples { targets: vec![std::iter::once(0..7u32).collect()], ..Examples::default() };
        let train = Examples { targets: vec![[[5u32]].into_iter().collect()], ..Examples::default() };
        let found = by_frequency(7, 0, &SplitExamples { train, valid: Examples::default(), test });
        assert_eq!(found.of, [0, 0, 1, 2, 2, 4, 3]);
    }

    /// Code c asks for label c − 1.
    #[test]
    fn labels_are_repeated_where_the_patient_had_the_code_in_a_visit_that_is_seen() {
        let asks = Asks::Codes((0..11u32).map(|code| code.checked_sub(1)).collect());
        let found = by_novelty(&asks, 0, &splits().test).unwrap();
        assert_eq!((found.by, found.of), ("had before", vec![1, 1, 0, 1, 0]));
        assert_eq!(found.parts, ["new", "repeated"]);
        assert!(by_novelty(&Asks::Nothing, 0, &splits().test).is_none());
    }

    /// By hand, of the labels of the two tests above: 2 and 4 of the second patient are one repeated in the second fifth and one new
    /// in the third.
    #[test]
    fn new_codes_are_told_by_their_frequency() {
        let asks = Asks::Codes((0..11u32).map(|code| code.checked_sub(1)).collect());
        let splits = splits();
        let found = by_both(&by_novelty(&asks, 0, &splits.test).unwrap(), &by_frequency(10, 0, &splits));
        let named: Vec<&str> = found.of.iter().map(|&part| found.parts[part].as_str()).collect();
        let expected = ["repeated, 0–20 %", "repeated, 20–40 %", "new, 80–100 %", "repeated, 20–40 %", "new, 40–60 %"];
        assert_eq!((found.parts.len(), named), (10, expected.to_vec()));
    }

    fn titles(codes: &[&str]) -> Vec<Option<&'static str>> {
        let numbered = codes.iter().copied().zip(0..);
        chapters(numbered).into_values().map(|chapter| chapter.map(|c| c.1)).collect()
    }

    #[test]
    fn chapters_are_those_of_the_edition_that_most_codes_are_of() {
        let (circulatory, injury) = ("Diseases of the circulatory system", "External causes of morbidity");
        assert_eq!(titles(&["428.0", "250.00", "V45.81"])[0], Some(circulatory));
        assert!(titles(&["428.0", "250.00", "V45.81"])[2].unwrap().starts_with("Supplementary"));
        assert_eq!(
            titles(&["I50.9", "E11.9", "V45.81"]),
            [Some(circulatory), Some("Endocrine, nutritional and metabolic diseases"), Some(injury)]
        );
        assert_eq!(titles(&["CIR017", "nonsense"]), [Some(circulatory), None]);
        assert!(titles(&["drug 1", "drug 2"]).iter().all(Option::is_none));
    }
}
