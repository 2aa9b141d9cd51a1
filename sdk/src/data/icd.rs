//! What the program knows of ICD codes: titles, chapters, equivalents in the other edition, CCSR categories. Codes are dotted
//! or not, in either case of letters.

pub use dualk_icd::{Choice, Edition, Equivalents, Via};

use super::hierarchy::{self, Icd};
use std::borrow::Cow;

/// The edition as the tables name it.
pub fn edition(icd: Icd) -> Edition {
    match icd {
        Icd::Icd9 => Edition::Nine,
        Icd::Icd10 => Edition::Ten,
    }
}

/// A code without dot and blanks, in upper case.
fn plain(code: &str) -> Cow<'_, str> {
    let code = code.trim();
    match code.bytes().any(|b| b == b'.' || b.is_ascii_lowercase()) {
        true => code.replace('.', "").to_ascii_uppercase().into(),
        false => code.into(),
    }
}

/// A code with its dot.
///
/// ```
/// use dualk_sdk::data::{hierarchy::Icd, icd::dotted};
/// assert_eq!([dotted(Icd::Icd9, "E8490"), dotted(Icd::Icd10, "e8490")], ["E849.0", "E84.90"]);
/// ```
pub fn dotted(icd: Icd, code: &str) -> String {
    let code = plain(code);
    match (icd, code.char_indices().nth(3)) {
        (Icd::Icd9, _) => super::spelling::dotted(&code),
        (Icd::Icd10, Some((at, _))) => format!("{}.{}", &code[..at], &code[at..]),
        (Icd::Icd10, None) => code.into_owned(),
    }
}

/// The title of a code or of a heading.
///
/// ```
/// use dualk_sdk::data::{hierarchy::Icd, icd::title};
/// assert_eq!(title(Icd::Icd10, "I48.91"), Some("Unspecified atrial fibrillation"));
/// assert_eq!(title(Icd::Icd9, "428"), Some("Heart failure"));
/// assert_eq!(title(Icd::Icd10, "E11"), Some("Type 2 diabetes mellitus"));
/// ```
pub fn title(icd: Icd, code: &str) -> Option<&'static str> {
    dualk_icd::title(edition(icd), &plain(code))
}

/// The title of a procedure: of ICD-9-CM, or of ICD-10-PCS.
///
/// ```
/// use dualk_sdk::data::{hierarchy::Icd, icd::procedure_title};
/// assert_eq!(procedure_title(Icd::Icd9, "96.04"), Some("Insertion of endotracheal tube"));
/// ```
pub fn procedure_title(icd: Icd, code: &str) -> Option<&'static str> {
    dualk_icd::procedure(edition(icd), &plain(code))
}

/// The title of a procedure that is written with its edition: as parsers do, `ICD9:9604`, or as MEDS does, `9//9604`.
///
/// ```
/// use dualk_sdk::data::icd::procedure_title_of;
/// let titles = ["ICD9:0331", "9//0331", "ICD10:0331", "0331"].map(procedure_title_of);
/// assert_eq!(titles, [Some("Spinal tap"), Some("Spinal tap"), None, None]);
/// ```
pub fn procedure_title_of(name: &str) -> Option<&'static str> {
    let (edition, code) = name.split_once(':').or_else(|| name.split_once("//"))?;
    match edition {
        "ICD9" | "9" => procedure_title(Icd::Icd9, code),
        "ICD10" | "10" => procedure_title(Icd::Icd10, code),
        _ => None,
    }
}

/// Whether the tables of an edition have a code: those of titles, or the mapping to the other edition, which has codes that
/// were dropped since.
///
/// ```
/// use dualk_sdk::data::{hierarchy::Icd, icd::is_known};
/// assert_eq!(["I48.91", "I48", "I48.99"].map(|code| is_known(Icd::Icd10, code)), [true, true, false]);
/// ```
pub fn is_known(icd: Icd, code: &str) -> bool {
    title(icd, code).is_some() || equivalents(icd, code).is_some_and(|found| found.via == Via::Itself)
}

/// Whether a text has the shape of a code of an edition that numbers do not have: its tables have it, or it is a
/// category of theirs with further characters behind it, those of ICD-9-CM with their dot or a letter.
///
/// ```
/// use dualk_sdk::data::{hierarchy::Icd, icd::has_shape};
/// assert!(["4280", "428.99", "V4599"].iter().all(|code| has_shape(Icd::Icd9, code)));
/// assert!(["42899", "77120000", "A-1"].iter().all(|code| !has_shape(Icd::Icd9, code)));
/// assert_eq!(["I48.99", "I48991234", "4280", "P00"].map(|code| has_shape(Icd::Icd10, code)), [true, false, false, true]);
/// ```
pub fn has_shape(icd: Icd, text: &str) -> bool {
    if is_known(icd, text) {
        return true;
    }
    let code = plain(text);
    let bytes = code.as_bytes();
    let (first, at) = match (icd, bytes.first()) {
        (Icd::Icd9, Some(b'E')) => (true, 4),
        (_, Some(first)) => (first.is_ascii_uppercase() || icd == Icd::Icd9 && text.contains('.'), 3),
        (_, None) => return false,
    };
    let longest = if icd == Icd::Icd9 { 5 } else { 7 };
    let known = || code.get(..at).is_some_and(|category| title(icd, category).is_some());
    first && bytes.len() <= longest && bytes.iter().all(u8::is_ascii_alphanumeric) && known()
}

/// The title of whatever stands for a disease: a code of either edition, whose shape mostly says which, a CCSR category, or
/// a chapter such as `390-459`.
///
/// V and E codes that both editions have are taken as ICD-9 when they have two, or three, digits before the dot. Without their
/// dot, E codes are taken as ICD-10 where that has them.
pub fn title_of(name: &str) -> Option<String> {
    let category = name.split_once('.').map_or(name, |(category, _)| category);
    let shape = category.as_bytes();
    let nine = match shape {
        [b'E' | b'e', rest @ ..] => rest.len() == 3,
        [b'V' | b'v', ..] => true,
        [first, ..] => first.is_ascii_digit(),
        [] => return None,
    };
    let of = |icd| title(icd, name).map(str::to_owned);
    let [likely, other] = if nine { [Icd::Icd9, Icd::Icd10] } else { [Icd::Icd10, Icd::Icd9] };
    let found = of(likely).or_else(|| of(other));
    found.or_else(|| hierarchy::chapter_title(name).map(str::to_owned)).or_else(|| category_title(name))
}

/// What the other edition has for a code, by the General Equivalence Mappings of the CMS; `None` when they do not know it.
pub fn equivalents(from: Icd, code: &str) -> Option<Equivalents> {
    dualk_icd::equivalents(edition(from), &plain(code))
}

/// The undotted codes of the other edition that say the same as a code, by the first choice of the mapping; none when there
/// is nothing.
pub fn first_choice(from: Icd, code: &str) -> Vec<String> {
    equivalents(from, code).map(|found| found.first().iter().map(|&c| c.to_owned()).collect()).unwrap_or_default()
}

/// The CCSR category of an ICD-10-CM code, or of the code that it was divided from.
///
/// ```
/// assert_eq!(dualk_sdk::data::icd::category("I48.91"), Some("CIR017"));
/// ```
pub fn category(icd10: &str) -> Option<&'static str> {
    let code = plain(icd10);
    (3..=code.len()).rev().filter_map(|end| code.get(..end)).find_map(dualk_icd::ccsr)
}

/// What a CCSR category is: its body system and number. The tables have no longer name.
pub fn category_title(category: &str) -> Option<String> {
    let number = category.get(3..)?;
    body_system(category).map(|system| format!("{system}, category {number} of the CCSR"))
}

/// The body system of a CCSR category.
///
/// ```
/// use dualk_sdk::data::icd::body_system;
/// assert_eq!(body_system("CIR017"), Some("Diseases of the circulatory system"));
/// assert_eq!([body_system("CIR"), body_system("428.0")], [None; 2]);
/// ```
pub fn body_system(category: &str) -> Option<&'static str> {
    category.get(3..).filter(|n| n.len() == 3 && n.bytes().all(|b| b.is_ascii_digit()))?;
    dualk_icd::body_system(category)
}

/// Codes and headings that begin with `prefix`, dotted, and their titles, ascending.
pub fn below(icd: Icd, prefix: &str) -> Vec<(String, &'static str)> {
    dualk_icd::below(edition(icd), &plain(prefix)).map(|(code, title)| (dotted(icd, code), title)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_found_whatever_a_name_is() {
        for (name, expected) in [
            ("428.0", "Congestive heart failure, unspecified"),
            ("I50.9", "Heart failure, unspecified"),
            ("V45.81", "Aortocoronary bypass status"),
            ("E849.0", "Home accidents"),
            ("E9320", "Adrenal cortical steroids causing adverse effects in therapeutic use"),
            ("E11.9", "Type 2 diabetes mellitus without complications"),
            ("E11", "Type 2 diabetes mellitus"),
            ("i48.9", "Unspecified atrial fibrillation and atrial flutter"),
            ("390-459", "Diseases of the circulatory system"),
            ("CIR017", "Diseases of the circulatory system, category 017 of the CCSR"),
        ] {
            assert_eq!(title_of(name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(["", "nonsense", "999999"].map(title_of), [None, None, None]);
    }

    #[test]
    fn newer_codes_have_the_category_of_the_code_that_was_divided() {
        assert_eq!(category("i48.919"), Some("CIR017"));
        assert_eq!([category("I4"), category(""), category("é48")], [None; 3]);
    }
}
