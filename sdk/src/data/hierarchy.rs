//! The hierarchy that ICD codes spell out: subcategories, category, chapter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which edition of the classification codes belong to. V and E codes exist in both, so a code alone does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "serde", rename_all = "snake_case")]
pub enum Icd {
    /// ICD-9-CM: three digits, or V and two, or E and three, before the dot.
    Icd9,
    /// ICD-10-CM: a letter and two characters before the dot.
    Icd10,
}

/// First and last category of the chapters of ICD-9-CM; within a range, categories have the same length.
const ICD9: [(&str, &str); 19] = [
    ("001", "139"),
    ("140", "239"),
    ("240", "279"),
    ("280", "289"),
    ("290", "319"),
    ("320", "389"),
    ("390", "459"),
    ("460", "519"),
    ("520", "579"),
    ("580", "629"),
    ("630", "679"),
    ("680", "709"),
    ("710", "739"),
    ("740", "759"),
    ("760", "779"),
    ("780", "799"),
    ("800", "999"),
    ("V01", "V91"),
    ("E000", "E999"),
];

/// First and last category of the chapters of ICD-10-CM.
const ICD10: [(&str, &str); 22] = [
    ("A00", "B99"),
    ("C00", "D49"),
    ("D50", "D89"),
    ("E00", "E89"),
    ("F01", "F99"),
    ("G00", "G99"),
    ("H00", "H59"),
    ("H60", "H95"),
    ("I00", "I99"),
    ("J00", "J99"),
    ("K00", "K95"),
    ("L00", "L99"),
    ("M00", "M99"),
    ("N00", "N99"),
    ("O00", "O9A"),
    ("P00", "P96"),
    ("Q00", "Q99"),
    ("R00", "R99"),
    ("S00", "T88"),
    ("U00", "U85"),
    ("V00", "Y99"),
    ("Z00", "Z99"),
];

/// What stands above a dotted code, from near to far: shorter codes down to the category before the dot, then the
/// chapter as `first-last`. A code of no chapter has its prefixes alone.
///
/// ```
/// use dualk_sdk::data::hierarchy::{Icd, ancestors};
/// assert_eq!(ancestors("428.21", Icd::Icd9), ["428.2", "428", "390-459"]);
/// assert_eq!(ancestors("E849.0", Icd::Icd9), ["E849", "E000-E999"]);
/// assert_eq!(ancestors("E11.9", Icd::Icd10), ["E11", "E00-E89"]);
/// assert!(ancestors("", Icd::Icd9).is_empty());
/// ```
pub fn ancestors(code: &str, edition: Icd) -> Vec<String> {
    let category = code.split_once('.').map_or(code, |(category, _)| category);
    let ends = code.char_indices().map(|(at, _)| at).rev();
    let longer = ends.filter(|&end| end > category.len() + 1).map(|end| code[..end].to_owned());
    let own = (category.len() < code.len()).then(|| category.to_owned());
    longer.chain(own).chain(chapter(category, edition)).collect()
}

/// The chapter of a category. Digits come before letters, as they do in the classification (O9A follows O99).
fn chapter(category: &str, edition: Icd) -> Option<String> {
    let chapters: &[(&str, &str)] = match edition {
        Icd::Icd9 => &ICD9,
        Icd::Icd10 => &ICD10,
    };
    let holds = |(first, last): &&(&str, &str)| {
        category.len() == first.len()
            && (*first..=*last).contains(&category)
            && first.starts_with(char::is_alphabetic) == category.starts_with(char::is_alphabetic)
    };
    chapters.iter().find(holds).map(|(first, last)| format!("{first}-{last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_of_both_editions() {
        let of = |code, edition| ancestors(code, edition).pop();
        let nine = [("001.0", "001-139"), ("139", "001-139"), ("V10.3", "V01-V91"), ("E000.1", "E000-E999")];
        nine.into_iter().for_each(|(code, chapter)| assert_eq!(of(code, Icd::Icd9).as_deref(), Some(chapter)));
        let ten = [("B99.9", "A00-B99"), ("D49.0", "C00-D49"), ("D50", "D50-D89"), ("O9A.1", "O00-O9A")];
        ten.into_iter().for_each(|(code, chapter)| assert_eq!(of(code, Icd::Icd10).as_deref(), Some(chapter)));
    }

    #[test]
    fn a_code_of_no_chapter_has_its_prefixes() {
        assert_eq!(ancestors("XYZW.12", Icd::Icd9), ["XYZW.1", "XYZW"]);
        assert!(ancestors("000", Icd::Icd9).is_empty());
    }

    #[test]
    fn the_dot_is_no_level() {
        assert_eq!(ancestors("I50.9", Icd::Icd10), ["I50", "I00-I99"]);
        assert_eq!(ancestors("S72.001A", Icd::Icd10), ["S72.001", "S72.00", "S72.0", "S72", "S00-T88"]);
    }
}
