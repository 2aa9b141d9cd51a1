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

/// First and last category of the chapters of ICD-9-CM, and their titles; within a range, categories have the same length.
const ICD9: [(&str, &str, &str); 19] = [
    ("001", "139", "Infectious and parasitic diseases"),
    ("140", "239", "Neoplasms"),
    ("240", "279", "Endocrine, nutritional and metabolic diseases, and immunity disorders"),
    ("280", "289", "Diseases of the blood and blood-forming organs"),
    ("290", "319", "Mental disorders"),
    ("320", "389", "Diseases of the nervous system and sense organs"),
    ("390", "459", "Diseases of the circulatory system"),
    ("460", "519", "Diseases of the respiratory system"),
    ("520", "579", "Diseases of the digestive system"),
    ("580", "629", "Diseases of the genitourinary system"),
    ("630", "679", "Complications of pregnancy, childbirth, and the puerperium"),
    ("680", "709", "Diseases of the skin and subcutaneous tissue"),
    ("710", "739", "Diseases of the musculoskeletal system and connective tissue"),
    ("740", "759", "Congenital anomalies"),
    ("760", "779", "Certain conditions originating in the perinatal period"),
    ("780", "799", "Symptoms, signs, and ill-defined conditions"),
    ("800", "999", "Injury and poisoning"),
    (
        "V01",
        "V91",
        "Supplementary classification of factors influencing health status and contact with health services",
    ),
    ("E000", "E999", "Supplementary classification of external causes of injury and poisoning"),
];

/// First and last category of the chapters of ICD-10-CM, and their titles.
const ICD10: [(&str, &str, &str); 22] = [
    ("A00", "B99", "Certain infectious and parasitic diseases"),
    ("C00", "D49", "Neoplasms"),
    (
        "D50",
        "D89",
        "Diseases of the blood and blood-forming organs and certain disorders involving the immune mechanism",
    ),
    ("E00", "E89", "Endocrine, nutritional and metabolic diseases"),
    ("F01", "F99", "Mental, behavioral and neurodevelopmental disorders"),
    ("G00", "G99", "Diseases of the nervous system"),
    ("H00", "H59", "Diseases of the eye and adnexa"),
    ("H60", "H95", "Diseases of the ear and mastoid process"),
    ("I00", "I99", "Diseases of the circulatory system"),
    ("J00", "J99", "Diseases of the respiratory system"),
    ("K00", "K95", "Diseases of the digestive system"),
    ("L00", "L99", "Diseases of the skin and subcutaneous tissue"),
    ("M00", "M99", "Diseases of the musculoskeletal system and connective tissue"),
    ("N00", "N99", "Diseases of the genitourinary system"),
    ("O00", "O9A", "Pregnancy, childbirth and the puerperium"),
    ("P00", "P96", "Certain conditions originating in the perinatal period"),
    ("Q00", "Q99", "Congenital malformations, deformations and chromosomal abnormalities"),
    ("R00", "R99", "Symptoms, signs and abnormal clinical and laboratory findings, not elsewhere classified"),
    ("S00", "T88", "Injury, poisoning and certain other consequences of external causes"),
    ("U00", "U85", "Codes for special purposes"),
    ("V00", "Y99", "External causes of morbidity"),
    ("Z00", "Z99", "Factors influencing health status and contact with health services"),
];

/// Characters behind the dot of a shorter code at most: codes have up to four, and a cell of a table may have a hundred thousand, of which
/// all beginnings would take gigabytes.
const LONGEST: usize = 64;

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
    let dot = category.len() + 1;
    let longer = ends.filter(|&end| (dot + 1..=dot + LONGEST).contains(&end)).map(|end| code[..end].to_owned());
    let own = (category.len() < code.len()).then(|| category.to_owned());
    let chapter = find(category, edition).map(|(first, last, _)| format!("{first}-{last}"));
    longer.chain(own).chain(chapter).collect()
}

/// The chapter of a dotted code: its range, such as `390-459`, and title.
///
/// ```
/// use dualk_sdk::data::hierarchy::{Icd, chapter};
/// assert_eq!(chapter("428.0", Icd::Icd9), Some(("390-459".into(), "Diseases of the circulatory system")));
/// ```
pub fn chapter(code: &str, edition: Icd) -> Option<(String, &'static str)> {
    let category = code.split_once('.').map_or(code, |(category, _)| category);
    find(category, edition).map(|(first, last, title)| (format!("{first}-{last}"), *title))
}

/// The title of a chapter that is written as [`ancestors`] does, such as `I00-I99`.
pub fn chapter_title(range: &str) -> Option<&'static str> {
    let (first, last) = range.split_once('-')?;
    let mut all = ICD9.iter().chain(&ICD10);
    all.find(|chapter| (chapter.0, chapter.1) == (first, last)).map(|chapter| chapter.2)
}

/// Digits come before letters, as they do in the classification (O9A follows O99).
fn find(category: &str, edition: Icd) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let chapters: &[(&str, &str, &str)] = match edition {
        Icd::Icd9 => &ICD9,
        Icd::Icd10 => &ICD10,
    };
    chapters.iter().find(|(first, last, _)| {
        category.len() == first.len()
            && (*first..=*last).contains(&category)
            && first.starts_with(char::is_alphabetic) == category.starts_with(char::is_alphabetic)
    })
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

    #[test]
    fn of_what_is_far_longer_than_codes_are_only_short_beginnings_stand_above() {
        let long = format!("428.{}", "é1".repeat(50_000));
        let above = ancestors(&long, Icd::Icd9);
        assert!(
            above.len() < 70
                && above.iter().all(|name| name.len() < 70 && long.starts_with(name.as_str()) || name == "390-459")
        );
        assert_eq!(above[above.len() - 3..], ["428.é", "428", "390-459"]);
    }
}
