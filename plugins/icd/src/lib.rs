//! What is known of ICD codes: titles, equivalents in the other edition, CCSR categories.
//!
//! The tables are inside the library, compressed; each is unpacked when it is first asked. Codes are written without dots,
//! in upper case. Sources and licence: README.md of this crate.

mod equivalents;
mod table;

pub use equivalents::{Choice, Equivalents, Via, equivalents};

use std::sync::OnceLock;
use table::Table;

/// An edition of the classification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edition {
    /// ICD-9-CM.
    Nine,
    /// ICD-10-CM.
    Ten,
}

impl Edition {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Nine => Self::Ten,
            Self::Ten => Self::Nine,
        }
    }
}

macro_rules! embedded {
    ($file:literal, $front:literal) => {{
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Table::unpack(include_bytes!(concat!("../data/", $file)), $front))
    }};
}

fn titles(edition: Edition) -> &'static Table {
    match edition {
        Edition::Nine => embedded!("titles-icd9cm.txt.gz", true),
        Edition::Ten => embedded!("titles-icd10cm.txt.gz", true),
    }
}

fn procedures(edition: Edition) -> &'static Table {
    match edition {
        Edition::Nine => embedded!("procedures-icd9cm.txt.gz", true),
        Edition::Ten => embedded!("procedures-icd10pcs.txt.gz", true),
    }
}

fn mapping(from: Edition) -> &'static Table {
    match from {
        Edition::Nine => embedded!("icd9cm-to-icd10cm.txt.gz", false),
        Edition::Ten => embedded!("icd10cm-to-icd9cm.txt.gz", false),
    }
}

/// The title of a code or heading: of ICD-9-CM version 32, of ICD-10-CM 2024.
pub fn title(edition: Edition, code: &str) -> Option<&'static str> {
    titles(edition).values(code).next()
}

/// The title of a procedure: of ICD-9-CM version 32, of ICD-10-PCS 2024.
pub fn procedure(edition: Edition, code: &str) -> Option<&'static str> {
    procedures(edition).values(code).next()
}

/// Codes and headings that begin with `prefix` and their titles, ascending.
pub fn below(edition: Edition, prefix: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    titles(edition).below(prefix)
}

/// The default CCSR category of an ICD-10-CM code for inpatient data, such as `CIR017`.
pub fn ccsr(icd10: &str) -> Option<&'static str> {
    embedded!("ccsr-icd10cm.txt.gz", false).values(icd10).next()
}

/// The body system that the first three letters of a CCSR category stand for.
pub fn body_system(category: &str) -> Option<&'static str> {
    let name = match category.get(..3)? {
        "BLD" => "Diseases of the blood and blood-forming organs and certain disorders involving the immune mechanism",
        "CIR" => "Diseases of the circulatory system",
        "DEN" => "Dental diseases",
        "DIG" => "Diseases of the digestive system",
        "EAR" => "Diseases of the ear and mastoid process",
        "END" => "Endocrine, nutritional and metabolic diseases",
        "EXT" => "External causes of morbidity",
        "EYE" => "Diseases of the eye and adnexa",
        "FAC" => "Factors influencing health status and contact with health services",
        "GEN" => "Diseases of the genitourinary system",
        "INF" => "Certain infectious and parasitic diseases",
        "INJ" => "Injury, poisoning and certain other consequences of external causes",
        "MAL" => "Congenital malformations, deformations and chromosomal abnormalities",
        "MBD" => "Mental, behavioral and neurodevelopmental disorders",
        "MUS" => "Diseases of the musculoskeletal system and connective tissue",
        "NEO" => "Neoplasms",
        "NVS" => "Diseases of the nervous system",
        "PNL" => "Certain conditions originating in the perinatal period",
        "PRG" => "Pregnancy, childbirth and the puerperium",
        "RSP" => "Diseases of the respiratory system",
        "SKN" => "Diseases of the skin and subcutaneous tissue",
        "SYM" => "Symptoms, signs and abnormal clinical and laboratory findings, not elsewhere classified",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `zgrep -m1 '^I4891 ' icd10cm-titles-2024.txt.gz` and the like.
    #[test]
    fn titles_are_those_of_the_publisher() {
        assert_eq!(title(Edition::Ten, "I4891"), Some("Unspecified atrial fibrillation"));
        assert_eq!(title(Edition::Ten, "A000"), Some("Cholera due to Vibrio cholerae 01, biovar cholerae"));
        assert_eq!(title(Edition::Nine, "42731"), Some("Atrial fibrillation"));
        assert_eq!(title(Edition::Nine, "428"), Some("Heart failure"), "a heading");
        // `grep -A1 '<name>E11<' icd10c-tabular-April-1-2026.xml` and the like.
        assert_eq!(title(Edition::Ten, "E11"), Some("Type 2 diabetes mellitus"));
        assert_eq!(title(Edition::Ten, "C841"), Some("Sézary disease"));
        assert_eq!(title(Edition::Ten, "S72001"), Some("Fracture of unspecified part of neck of right femur"));
        assert_eq!([title(Edition::Nine, ""), title(Edition::Ten, "I48.91"), title(Edition::Ten, "é")], [None; 3]);
        let below: Vec<&str> = below(Edition::Ten, "I48").map(|(code, _)| code).collect();
        let expected = "I48 I480 I481 I4811 I4819 I482 I4820 I4821 I483 I484 I489 I4891 I4892";
        assert_eq!(below, expected.split(' ').collect::<Vec<_>>());
    }

    #[test]
    fn every_category_of_icd_10_has_a_title() {
        let untitled = |code: &&str| title(Edition::Ten, &code[..3]).is_none();
        let without: Vec<&str> = below(Edition::Ten, "").map(|(code, _)| code).filter(untitled).collect();
        assert!(without.is_empty(), "{without:?}");
    }

    /// `grep '^3893 ' CMS32_DESC_LONG_SG.txt`, `grep '^02HV33Z ' icd10pcs-codes-2024.txt`.
    #[test]
    fn procedures_have_titles_of_their_own() {
        let nine = procedure(Edition::Nine, "3893");
        assert_eq!(nine, Some("Venous catheterization, not elsewhere classified"));
        let ten = procedure(Edition::Ten, "02HV33Z");
        assert_eq!(ten, Some("Insertion of Infusion Device into Superior Vena Cava, Percutaneous Approach"));
        assert_eq!([procedure(Edition::Ten, "3893"), procedure(Edition::Nine, "42731")], [None; 2]);
    }

    #[test]
    fn categories_are_those_of_the_publisher() {
        assert_eq!(
            [ccsr("I4891"), ccsr("A000"), ccsr("A0101"), ccsr("I48")],
            [Some("CIR017"), Some("DIG001"), Some("INF003"), None]
        );
        assert_eq!(body_system("CIR017"), Some("Diseases of the circulatory system"));
    }

    #[test]
    fn tables_are_whole() {
        let sizes = [mapping(Edition::Ten), mapping(Edition::Nine), titles(Edition::Ten)].map(Table::keys);
        assert_eq!(sizes, [69_832, 14_567, 74_044 + 23_252], "the last are codes and headings");
        // Lines of the published files.
        assert_eq!([procedures(Edition::Ten), procedures(Edition::Nine)].map(Table::keys), [78_603, 3_882]);
    }
}
