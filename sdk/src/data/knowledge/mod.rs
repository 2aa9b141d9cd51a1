//! Knowledge graphs: triples from their sources, and what they say of the codes and laboratory items of a cohort.

mod extracted;
mod files;
mod joined;
mod linked;
mod names;
mod source_tables;
mod sources;
#[cfg(test)]
mod tests;
mod written;

pub(crate) use files::check_files;
pub use joined::Triples;
pub use linked::{Knowledge, Relation};
pub use names::{Names, Triple};
pub use sources::{Fact, GraphSource, OfCohort};
