//! What is known of patients and admissions beside codes and laboratory items, where a source has it.

use serde::{Deserialize, Serialize};

/// Sex as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(crate = "serde", rename_all = "snake_case")]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

impl Sex {
    /// Reads `F`, `f`, `female`, `M`, `male` …; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "f" | "female" | "woman" => Some(Self::Female),
            "m" | "male" | "man" => Some(Self::Male),
            _ => None,
        }
    }

    /// `female` or `male`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
        }
    }
}

/// What is known of a patient.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PatientFacts {
    /// Sex as recorded.
    pub sex: Option<Sex>,
    /// Ethnicity or race in the words of the source.
    pub ethnicity: Option<String>,
}

/// What is known of an admission.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AdmissionFacts {
    /// Beginning, in seconds since 1970, as [`seconds`](super::seconds) reads it: of UTC where the source writes a zone, else by
    /// its clock. It may have been moved per patient: only differences between admissions of one patient mean something.
    pub start: Option<i64>,
    /// End, in the same way.
    pub end: Option<i64>,
    /// Age in years at the beginning. Sources that hide the age of old people say what they say: MIMIC-IV 91 or more, MIMIC-III
    /// some 300, eICU `> 89`, which is read as 90.
    pub age: Option<f32>,
    /// Whether the patient died in it.
    pub died: Option<bool>,
}

/// Age and sex of a patient at a visit, where they are known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Demographics {
    /// Age in years at the beginning of the visit.
    pub age: Option<f32>,
    /// Sex as recorded.
    pub sex: Option<Sex>,
}

/// Codes of another kind than diagnoses, with a vocabulary of their own.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events {
    /// What they are, such as `procedures` or `drugs`.
    pub kind: String,
    /// The codes or names, in order of first appearance.
    pub names: Vec<String>,
    /// What each name means, empty texts where that is not known; or nothing at all.
    pub titles: Vec<String>,
    /// Per admission, indices into the names in the order of the source, each once.
    pub rows: super::Ragged<u32>,
}
