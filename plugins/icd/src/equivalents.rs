//! Equivalents of a code in the other edition, by the General Equivalence Mappings (GEM) of the CMS.

use crate::{Edition, mapping};

/// One way to write a code in the other edition: one code, or several that only together say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The codes, in the order of the mapping's choice lists.
    pub codes: Vec<&'static str>,
    /// Whether the mapping calls it approximate, not identical.
    pub approximate: bool,
}

/// How a code was found in the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// By itself.
    Itself,
    /// By this shorter code: it was divided after the last mapping.
    Shorter(String),
    /// It is a heading, and all codes below it have one first choice.
    Below,
}

/// What the other edition has for a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivalents {
    /// The first is the one that [`Equivalents::first`] takes. Empty when the mapping says that there is none.
    pub choices: Vec<Choice>,
    /// How it was found.
    pub via: Via,
}

impl Equivalents {
    /// The codes of the first choice.
    pub fn first(&self) -> &[&'static str] {
        self.choices.first().map_or(&[], |choice| &choice.codes)
    }
}

/// Equivalents of a code of edition `from` in the other one; `None` when the mapping does not know the code.
///
/// First come the single codes, in the order of the mapping. Then a combination for each of its scenarios: the first code
/// of every choice list. A code that the mapping lacks is looked up under its first characters, one fewer at a time but at
/// least the three of a category; then as a heading, when all codes below it agree in their first choice.
pub fn equivalents(from: Edition, code: &str) -> Option<Equivalents> {
    if let Some(choices) = choices(from, code) {
        return Some(Equivalents { choices, via: Via::Itself });
    }
    let category = if from == Edition::Nine && code.starts_with('E') { 4 } else { 3 };
    let shorter = (category..code.len()).rev().filter_map(|end| code.get(..end));
    for shorter in shorter {
        if let Some(choices) = choices(from, shorter) {
            return Some(Equivalents { choices, via: Via::Shorter(shorter.to_owned()) });
        }
    }
    agreed(from, code, category).map(|choice| Equivalents { choices: vec![choice], via: Via::Below })
}

/// All choices of a code that the mapping has.
fn choices(from: Edition, code: &str) -> Option<Vec<Choice>> {
    // Flags: approximate, no map, combination, scenario, choice list.
    let entries: Vec<(&'static str, &'static [u8])> = mapping(from)
        .values(code)
        .filter_map(|entry| entry.split_once(' '))
        .map(|(to, flags)| (to, flags.as_bytes()))
        .filter(|(_, flags)| flags.len() == 5)
        .collect();
    if entries.is_empty() {
        return None;
    }
    let (combined, single): (Vec<_>, Vec<_>) =
        entries.into_iter().filter(|(_, flags)| flags[1] == b'0').partition(|(_, flags)| flags[2] == b'1');
    let single = single.into_iter().map(|(to, flags)| Choice { codes: vec![to], approximate: flags[0] == b'1' });
    let mut choices: Vec<Choice> = single.collect();
    for scenario in b'1'..=b'9' {
        let of_scenario: Vec<_> = combined.iter().filter(|(_, flags)| flags[3] == scenario).collect();
        let first = |list: u8| of_scenario.iter().find(|(_, flags)| flags[4] == list).map(|(to, _)| *to);
        let codes: Vec<&'static str> = (b'1'..=b'9').filter_map(first).collect();
        if !codes.is_empty() {
            choices.push(Choice { codes, approximate: of_scenario.iter().any(|(_, flags)| flags[0] == b'1') });
        }
    }
    Some(choices)
}

/// The first choice that all codes below a heading have.
fn agreed(from: Edition, heading: &str, category: usize) -> Option<Choice> {
    if heading.len() < category {
        return None;
    }
    let mut below = mapping(from).below(heading).map(|(code, _)| code).collect::<Vec<_>>();
    below.dedup();
    let mut firsts = below.into_iter().map(|code| choices(from, code)?.into_iter().next());
    let first = firsts.next()??;
    firsts.all(|other| other.is_some_and(|other| other.codes == first.codes)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(from: Edition, code: &str) -> Vec<&'static str> {
        equivalents(from, code).map(|found| found.first().to_vec()).unwrap_or_default()
    }

    /// Rows of the published files, such as `zgrep '"A021"' icd10cm-to-icd9cm-gem-2018.csv.gz`.
    #[test]
    fn first_choices_and_combinations() {
        use Edition::{Nine, Ten};
        assert_eq!(first(Ten, "I4891"), ["42731"]);
        assert_eq!(first(Ten, "A0100"), ["0020"]);
        assert_eq!(first(Ten, "A021"), ["0031", "99591"], "both together");
        assert_eq!(first(Nine, "00589"), ["A054"], "the first of two");
        assert_eq!(equivalents(Nine, "00589").map(|e| e.choices.len()), Some(2));
        assert_eq!(equivalents(Ten, "R402130"), Some(Equivalents { choices: vec![], via: Via::Itself }), "NoDx");
        assert_eq!(equivalents(Ten, "XYZ"), None);
        assert_eq!(equivalents(Ten, "é4891é"), None);
    }

    #[test]
    fn newer_codes_and_headings_are_found_by_what_is_known() {
        // E78.0 was divided into E78.00 and E78.01 in October 2016.
        let newer = equivalents(Edition::Ten, "E7800").unwrap();
        assert_eq!((newer.first(), &newer.via), (&["2720"][..], &Via::Shorter("E780".into())));
        // J18.0, J18.1, J18.2 and J18.8 have four different equivalents; all of I34 have 424.0.
        assert_eq!(equivalents(Edition::Ten, "J18"), None);
        let heading = equivalents(Edition::Ten, "I34").unwrap();
        assert_eq!((heading.first(), &heading.via), (&["4240"][..], &Via::Below));
        assert_eq!(equivalents(Edition::Nine, ""), None);
    }
}
