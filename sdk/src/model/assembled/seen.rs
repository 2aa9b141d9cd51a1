//! What heads see: vectors of parts, those of heads that were kept, and batches.

use super::{Model, PARTS};
use crate::component::{Head, HeadSpec, PartKey};
use crate::data::{Batch, Ragged};
use crate::model::part::Vectors;
use crate::model::{PartInfo, Reads};
use crate::{Error, Result};
use std::borrow::Cow;

impl Model {
    /// Refuses heads that see what no part of this model gives, and such as are kept and see kept ones.
    ///
    /// # Errors
    /// Name the part, and those that there are; or the head.
    pub fn check_seen(&self, specs: &[HeadSpec]) -> Result<()> {
        for spec in specs {
            one_of_both(spec)?;
            spec.inputs.iter().try_for_each(|key| self.seen(spec, key).map(drop))?;
            self.check_seen(&spec.untrained)?;
        }
        Ok(())
    }

    /// A batch as a head may look at it: without laboratory items where it does not see any.
    pub(super) fn seen_by<'a>(&self, spec: &HeadSpec, batch: &'a Batch) -> Cow<'a, Batch> {
        match self.sees(spec, &|part| part.reads == Reads::Labs) {
            true => Cow::Borrowed(batch),
            false => {
                let labs = (0..batch.len()).map(|_| []).collect();
                Cow::Owned(Batch { labs, visit_labs: Ragged::new(), ..batch.clone() })
            }
        }
    }

    /// Whether a head sees a part that `is` such, itself or through heads that were kept.
    pub(super) fn sees(&self, spec: &HeadSpec, is: &dyn Fn(&PartInfo) -> bool) -> bool {
        let sees = |part: &PartInfo| is(part) && spec.inputs.iter().any(|key| key.as_str() == part.key);
        PARTS.iter().any(sees) || spec.sees_kept && self.decoder_specs.iter().any(|kept| self.sees(kept, is))
    }

    /// The vectors that a head sees of a part.
    fn seen(&self, spec: &HeadSpec, key: &PartKey) -> Result<Vectors<'_>> {
        self.vectors_of(key.as_str()).ok_or_else(|| {
            let there = PARTS.iter().map(|part| part.key).filter(|key| self.vectors_of(key).is_some());
            not_given(&spec.name, key, &there.collect::<Vec<_>>())
        })
    }

    /// Width of what a head sees.
    pub(super) fn width_of(&self, spec: &HeadSpec) -> Result<usize> {
        one_of_both(spec)?;
        if spec.sees_kept && self.decoders.is_empty() {
            return Err(Error::program(
                "a head sees kept heads, but no earlier stage kept one and it names no untrained ones",
            ));
        }
        let kept: usize = if spec.sees_kept { self.decoders.iter().map(Head::width).sum() } else { 0 };
        let own = spec.inputs.iter().map(|key| self.seen(spec, key).map(|vectors| vectors.width));
        Ok(kept + own.sum::<Result<usize>>()?)
    }
}

/// Refuses a head that is kept and sees kept ones, or takes the place of one and does: it would see itself in a later stage.
fn one_of_both(spec: &HeadSpec) -> Result<()> {
    let untrained = spec.untrained.iter().find(|head| head.sees_kept);
    let (name, why) = match untrained {
        Some(head) => (&head.name, "takes the place of kept heads and sees kept ones"),
        None if spec.keep && spec.sees_kept => (&spec.name, "is kept and sees kept heads"),
        None => return Ok(()),
    };
    let error = Error::program(format!("the head `{name}` {why}, so that it would see itself in a later stage"));
    Err(error.help(
        "in a plugin, a `HeadSpec` is `kept()` or `over_kept(…)`, not both, and none of its `untrained` is `over_kept(…)`",
    ))
}

/// The error of a head that sees the vectors of a part which the model has not, but of the parts `there`.
fn not_given(head: &str, key: &PartKey, there: &[&str]) -> Error {
    let is_declared = PARTS.iter().any(|part| part.gives_vectors && part.key == key.as_str());
    let error = match is_declared {
        true => Error::user(format!("the head `{head}` sees the vectors of `{key}`, and this model has no such part"))
            .help(format!("name a component for it: model.{key} = \"…\"")),
        false => Error::program(format!("the head `{head}` sees the vectors of `{key}`, and no part gives such"))
            .help("in a plugin, `HeadSpec::sees` names keys of `[model]` whose parts give one vector a patient"),
    };
    error.suggest(key.as_str(), there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_would_see_itself_is_refused() {
        let head = || HeadSpec::new("codes", 1);
        assert!(one_of_both(&head().kept()).is_ok());
        assert!(one_of_both(&head().over_kept(vec![HeadSpec::new("labs", 1).kept()])).is_ok());
        let of_kept = HeadSpec::new("labs", 1).over_kept(Vec::new());
        for (spec, says) in [
            (head().kept().over_kept(Vec::new()), "the head `codes` is kept and sees kept heads"),
            (head().over_kept(vec![of_kept]), "the head `labs` takes the place of kept heads and sees kept ones"),
        ] {
            let error = one_of_both(&spec).unwrap_err();
            assert_eq!(error.exit_code(), 1);
            assert!(error.to_string().contains(says) && error.to_string().contains("not both"), "{error}");
        }
    }

    #[test]
    fn a_part_that_is_not_there_is_named_beside_those_that_are() {
        let error = not_given("codes", &"lba".into(), &["patient_encoder", "lab"]);
        assert_eq!((error.exit_code(), error.key()), (1, None));
        let text = error.to_string();
        for part in ["the head `codes` sees the vectors of `lba`", "did you mean `lab`?", "patient_encoder, lab"] {
            assert!(text.contains(part), "lacks {part:?}: {text}");
        }
        let error = not_given("codes", &PartKey::LAB, &["patient_encoder"]);
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        for part in ["`lab`, and this model has no such part", "model.lab = \"…\"", "accepted: patient_encoder"] {
            assert!(text.contains(part), "lacks {part:?}: {text}");
        }
    }
}
