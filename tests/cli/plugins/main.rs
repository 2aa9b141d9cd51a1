//! Plugins as their authors and users meet them: written by `dualk plugin new`, compiled by `dualk plugin build`, loaded
//! by path, refused with a reason when they do not fit.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod install;
mod many;
mod outside;
mod panics;
mod refused;
mod scaffold;
mod support;
mod trust;
