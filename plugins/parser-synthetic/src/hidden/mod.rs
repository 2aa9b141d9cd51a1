//! Patients of the parser `synthetic`: hidden chains of disease, and what is seen of them.

#[cfg(test)]
mod learnability;
pub mod oracle;
mod person;
pub mod simulate;
mod world;

pub use world::World;
