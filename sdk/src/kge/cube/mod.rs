//! Training and ranking on GPUs, in CubeCL kernels: one source for CUDA and wgpu.
//!
//! As on the CPU, nothing of the size batch × negatives × dimension exists. Each number has one owner that adds in a fixed
//! order, so that equal steps give equal bits on the same device.

// The arguments of kernels, and their loops, are what CubeCL can compile.
#![allow(clippy::too_many_arguments, clippy::needless_range_loop, clippy::collapsible_if)]

mod equations;
mod gradients;
mod loss;
mod place;
mod rank;
mod score;
mod sizes;
mod stepper;
mod update;

pub use rank::DeviceRanker;
pub(super) use sizes::check_sizes;
pub use stepper::DeviceStepper;
