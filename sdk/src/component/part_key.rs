//! Parts of the model as objectives name them.

use std::borrow::Cow;
use std::fmt;

/// The key in `[model]` of a part that gives one vector a patient: by it an objective says what a head
/// [sees](super::HeadSpec::sees). Slots whose parts give such vectors have constants here; of any other part the text of its
/// key will do.
///
/// ```
/// # use dualk_sdk::component::{HeadSpec, PartKey};
/// let head = HeadSpec::new("codes", 3).sees([PartKey::PATIENT_ENCODER]);
/// assert_eq!(head, HeadSpec::new("codes", 3).sees(["patient_encoder"]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartKey(Cow<'static, str>);

impl PartKey {
    /// The part of this key.
    pub const fn new(key: &'static str) -> Self {
        Self(Cow::Borrowed(key))
    }

    /// The key as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for PartKey {
    fn from(key: &'static str) -> Self {
        Self::new(key)
    }
}

impl From<String> for PartKey {
    fn from(key: String) -> Self {
        Self(Cow::Owned(key))
    }
}

impl fmt::Display for PartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
