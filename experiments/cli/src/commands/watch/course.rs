//! How far a run is and what its curves are, whatever it counts.

/// What there is to draw of a run.
pub struct Course {
    /// What it counts: `epochs` or `steps`.
    pub unit: &'static str,
    /// How many are complete.
    pub done: usize,
    /// How many there will be.
    pub all: usize,
    /// What it does, such as `3-finetune epoch 2`; nothing before its first line.
    pub doing: Option<String>,
    /// How many it completes in a second.
    pub pace: Option<f64>,
    /// Seconds that are left.
    pub seconds_left: Option<f64>,
    /// The loss on train, and a metric on valid.
    pub curves: [Curve; 2],
    /// The name of that metric, and its last value.
    pub valid: Option<(String, f64)>,
}

/// A curve over what the run counts.
pub struct Curve {
    /// What it is of.
    pub title: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// What is said in its place where it has no points.
    pub missing: &'static str,
}
