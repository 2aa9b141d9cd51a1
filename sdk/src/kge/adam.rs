//! Adam for tables of which each step uses only some rows: lazy updates that give what dense ones give.
//!
//! Published training runs Adam over every row in every step: a row without a gradient still moves by its first moment,
//! which decays. Doing that costs reading and writing three tables a step. [`Unused::Moved`] gives the same path at the cost
//! of the rows that a step uses: in each step without a gradient the first moment of a row falls by β₁ and its second by β₂,
//! so that the j-th of these steps moves it by
//!
//! lr_j √(1−β₂^j)/(1−β₁^j) · m β₁^j / (√v β₂^(j/2)),
//!
//! a number that depends on the row's m/√v alone times one that depends on the steps. The sum over all steps until the row is
//! used again is therefore one factor a row. Because batches are prefetched, the step that uses a row knows in how many steps
//! the next one does, if that is within the window W of batches that are held, and applies the whole update at once. Where it
//! is not, the sum ends after W steps, and what is left of it,
//!
//! Σ_{j = W + 1}^{g − 1} (β₁/√β₂)^j c_j, with c_j = lr_j √(1−β₂^j)/(1−β₁^j), for a gap of g steps,
//!
//! is applied when the gap is known: before the next step that uses the row reads it, or after the last step ([`Late`]). One
//! approximation is left: ε is taken to decay with √v.

use super::schedule::{KgeSchedule, Unused};
use crate::simd::prefetch;
use crate::vectorized_fn;
use std::collections::HashMap;

/// A table of parameters with the moments of Adam.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Width of a row.
    pub width: usize,
    /// The parameters, row after row.
    pub values: Vec<f32>,
    /// First moments.
    pub first: Vec<f32>,
    /// Second moments.
    pub second: Vec<f32>,
    /// One more than the last step that used the row; 0 when none did.
    pub last: Vec<u32>,
}

impl Table {
    /// A table with these values and no moments.
    pub fn new(width: usize, values: Vec<f32>) -> Self {
        let (n, rows) = (values.len(), values.len().checked_div(width).unwrap_or(0));
        Self { width, values, first: vec![0.0; n], second: vec![0.0; n], last: vec![0; rows] }
    }

    /// A row's parameters.
    pub fn row(&self, row: u32) -> &[f32] {
        let start = row as usize * self.width;
        &self.values[start..start + self.width]
    }

    /// Moves rows on by what the window of their last use did not reach, to where they are before step `now`.
    pub(super) fn catch_up(&mut self, rows: impl IntoIterator<Item = u32>, now: u32, late: &mut Late) {
        for row in rows {
            let Some([rate, epsilon]) = late.of_row(self.last[row as usize], now) else { continue };
            let range = row as usize * self.width..(row as usize + 1) * self.width;
            let moments = self.first[range.clone()].iter().zip(&self.second[range.clone()]);
            for (x, (m, v)) in self.values[range].iter_mut().zip(moments) {
                *x -= rate * m / (v.sqrt() + epsilon);
            }
        }
    }

    /// The whole table as something to update.
    pub(super) fn all(&mut self) -> Part<'_> {
        let (values, first, second) = (&mut self.values[..], &mut self.first[..], &mut self.second[..]);
        Part { offset: 0, width: self.width, values, first, second, last: &mut self.last }
    }
}

/// Consecutive rows of a table.
pub(super) struct Part<'a> {
    offset: usize,
    width: usize,
    values: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    last: &'a mut [u32],
}

impl<'a> Part<'a> {
    /// The rows before `row`, and the rest in place of these.
    pub fn split_off(&mut self, row: usize) -> Part<'a> {
        let (at, width) = (row - self.offset, self.width);
        fn head<'a, T>(slice: &mut &'a mut [T], at: usize) -> &'a mut [T] {
            let (head, tail) = std::mem::take(slice).split_at_mut(at);
            *slice = tail;
            head
        }
        let before = Part {
            offset: self.offset,
            width,
            values: head(&mut self.values, at * width),
            first: head(&mut self.first, at * width),
            second: head(&mut self.second, at * width),
            last: head(&mut self.last, at),
        };
        self.offset = row;
        before
    }

    /// The parameters of a row.
    pub fn row(&self, row: u32) -> &[f32] {
        let start = (row as usize - self.offset) * self.width;
        &self.values[start..start + self.width]
    }

    /// Prefetches a row and its moments into the cache.
    pub fn prefetch(&self, row: u32) {
        let start = (row as usize - self.offset) * self.width;
        for table in [&self.values, &self.first, &self.second] {
            prefetch(&table[start..start + self.width]);
        }
    }

    /// One step of Adam on a row that is next used `gap` steps later.
    pub fn update(&mut self, row: u32, gradient: &[f32], gap: u32, rates: &Rates) {
        let at = row as usize - self.offset;
        let range = at * self.width..(at + 1) * self.width;
        let factors = rates.factors(self.last[at], gap);
        self.last[at] = rates.step + 1;
        let (values, first, second) =
            (&mut self.values[range.clone()], &mut self.first[range.clone()], &mut self.second[range]);
        adam(values, first, second, gradient, factors);
    }
}

/// What one step multiplies with, for one row.
#[derive(Debug, Clone, Copy)]
struct Factors {
    keep_first: f32,
    keep_second: f32,
    add_first: f32,
    add_second: f32,
    rate: f32,
    epsilon: f32,
}

vectorized_fn! {
    /// m ← a m + (1−β₁) g, v ← b v + (1−β₂) g², x ← x − rate m / (√v + ε).
    fn adam(x: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], factors: Factors), FMA, {
        let Factors { keep_first, keep_second, add_first, add_second, rate, epsilon } = factors;
        for (((x, m), v), &g) in x.iter_mut().zip(m.iter_mut()).zip(v.iter_mut()).zip(g) {
            *m = crate::simd::fma::<FMA>(*m, keep_first, add_first * g);
            *v = crate::simd::fma::<FMA>(*v, keep_second, add_second * (g * g));
            *x -= rate * *m / (v.sqrt() + epsilon);
        }
    }
}

/// Adam of one run: coefficients, schedule of the learning rate, number of steps.
#[derive(Debug, Clone)]
pub struct Adam {
    /// Learning rate before the schedule.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// ε.
    pub epsilon: f64,
    /// Steps of the run.
    pub steps: u32,
    /// Schedule of the learning rate.
    pub schedule: KgeSchedule,
    /// What happens to rows without a gradient.
    pub unused: Unused,
}

impl Adam {
    /// The rate in a step, counted from 0.
    pub fn rate(&self, step: u32) -> f64 {
        self.lr * self.schedule.factor(step, self.steps)
    }

    /// The rate of a step of the era that begins at `start`, with what corrects both moments.
    fn corrected(&self, step: u32, start: u32) -> f64 {
        let n = f64::from(step - start + 1);
        self.rate(step) * (1.0 - self.beta2.powf(n)).sqrt() / (1.0 - self.beta1.powf(n))
    }

    /// What the movement of a row falls by in a step without a gradient.
    fn decay(&self) -> f64 {
        self.beta1 / self.beta2.sqrt()
    }

    /// ε in a step of the era that begins at `start`, when moments are not corrected.
    fn epsilon_in(&self, step: u32, start: u32) -> f32 {
        let n = f64::from(step - start + 1);
        (self.epsilon * (1.0 - self.beta2.powf(n)).sqrt()) as f32
    }

    /// What step `step` needs; gaps between two uses of a row are told apart up to `window` steps.
    pub fn rates(&self, step: u32, window: u32) -> Rates {
        let (start, end) = self.schedule.era(step, self.steps);
        let decay = self.decay();
        let (mut sum, mut weight) = (0.0, 1.0);
        let mut tails = vec![0.0];
        if self.unused == Unused::Moved {
            for s in (step + 1..end).take(window as usize) {
                weight *= decay;
                sum += weight * self.corrected(s, start);
                tails.push(sum);
            }
        }
        Rates {
            step,
            start,
            rate: self.corrected(step, start),
            tails,
            epsilon: self.epsilon_in(step, start),
            beta1: self.beta1,
            beta2: self.beta2,
            unused: self.unused,
        }
    }
}

/// What one step of Adam needs.
#[derive(Debug, Clone)]
pub struct Rates {
    step: u32,
    start: u32,
    rate: f64,
    tails: Vec<f64>,
    epsilon: f32,
    beta1: f64,
    beta2: f64,
    unused: Unused,
}

#[cfg(cube)]
impl Rates {
    /// The step, from 0.
    pub(super) fn step(&self) -> u32 {
        self.step
    }

    /// 1 − β₁, 1 − β₂, and ε.
    pub(super) fn added(&self) -> (f32, f32, f32) {
        ((1.0 - self.beta1) as f32, (1.0 - self.beta2) as f32, self.epsilon)
    }

    /// What a row's moments are kept by, and its rate. `powers` remembers those of both coefficients.
    pub(super) fn of_row(&self, last: u32, gap: u32, powers: &mut Vec<[f32; 2]>) -> [f32; 3] {
        let (steps, kept, rate) = self.since_use(last, gap);
        if !kept {
            return [0.0, 0.0, rate];
        }
        const REMEMBERED: u32 = 4096;
        if steps > REMEMBERED {
            let power = |beta: f64| beta.powf(f64::from(steps)) as f32;
            return [power(self.beta1), power(self.beta2), rate];
        }
        while powers.len() <= steps as usize {
            let n = powers.len() as f64;
            powers.push([self.beta1.powf(n) as f32, self.beta2.powf(n) as f32]);
        }
        let [first, second] = powers[steps as usize];
        [first, second, rate]
    }
}

impl Rates {
    /// How many steps ago a row was used, whether its moments are kept, and by how much it moves.
    fn since_use(&self, last: u32, gap: u32) -> (u32, bool, f32) {
        let steps = match self.unused {
            Unused::Moved => self.step + 1 - last,
            Unused::Still => 1,
        };
        let tail = self.tails[(gap.max(1) as usize - 1).min(self.tails.len() - 1)];
        // Moments from before the rate dropped are gone: a new Adam began there.
        (steps, last > self.start, (self.rate + tail) as f32)
    }

    fn factors(&self, last: u32, gap: u32) -> Factors {
        let (steps, kept, rate) = self.since_use(last, gap);
        let keep = if kept { f64::from(steps) } else { f64::INFINITY };
        Factors {
            keep_first: self.beta1.powf(keep) as f32,
            keep_second: self.beta2.powf(keep) as f32,
            add_first: (1.0 - self.beta1) as f32,
            add_second: (1.0 - self.beta2) as f32,
            rate,
            epsilon: self.epsilon,
        }
    }
}

/// What rows move by beyond the window of their last use.
#[derive(Debug, Clone)]
pub(super) struct Late {
    adam: Adam,
    window: u32,
    /// Sums that were needed before, by their first step.
    sums: HashMap<u32, f64>,
}

/// Terms of a sum that are below this fraction of the first are left out.
const LEAST: f64 = 1e-9;
/// How many sums are remembered.
const SUMS: usize = 1 << 16;

impl Late {
    /// For steps whose [`Adam::rates`] tell gaps up to `window` apart.
    pub fn new(adam: Adam, window: u32) -> Self {
        Self { adam, window, sums: HashMap::new() }
    }

    /// Rate and ε by which a row moves on before step `now`; `last` is that of its [`Table`]. `None` where its last use has moved
    /// it all the way.
    pub fn of_row(&mut self, last: u32, now: u32) -> Option<[f32; 2]> {
        let from = last.saturating_add(self.window);
        if last == 0 || now <= from || self.adam.unused == Unused::Still {
            return None;
        }
        let (start, end) = self.adam.schedule.era(last - 1, self.adam.steps);
        let to = now.min(end);
        if to <= from {
            return None;
        }
        // With S(a) = Σ_{s = a}^{end − 1} d^(s − a) c_s, the terms from `from` to before `to` are S(from) − d^(to − from) S(to).
        let decay = self.adam.decay();
        let behind = if to < end { decay.powf(f64::from(to - from)) * self.sum(to) } else { 0.0 };
        let rate = decay.powf(f64::from(self.window) + 1.0) * (self.sum(from) - behind);
        Some([rate as f32, self.adam.epsilon_in(last - 1, start)])
    }

    /// Σ d^(s − from) c_s over the steps s from `from` to the end of its era.
    fn sum(&mut self, from: u32) -> f64 {
        if let Some(&known) = self.sums.get(&from) {
            return known;
        }
        let adam = &self.adam;
        let ((start, end), decay) = (adam.schedule.era(from, adam.steps), adam.decay());
        let (mut sum, mut weight) = (0.0, 1.0);
        for step in from..end {
            sum += weight * adam.corrected(step, start);
            weight *= decay;
            if weight < LEAST {
                break;
            }
        }
        if self.sums.len() >= SUMS {
            self.sums.clear();
        }
        self.sums.insert(from, sum);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adam(steps: u32, schedule: KgeSchedule, unused: Unused) -> Adam {
        Adam { lr: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps, schedule, unused }
    }

    /// Adam over every row in every step, in 64 bits: the parameter after each.
    fn plain(adam: &Adam, gradients: &[Option<f64>]) -> Vec<f64> {
        let (mut x, mut m, mut v, mut n) = (0.5f64, 0.0, 0.0, 0);
        let mut path = Vec::new();
        for (step, gradient) in gradients.iter().enumerate() {
            if adam.schedule.era(step as u32, adam.steps).0 == step as u32 {
                (m, v, n) = (0.0, 0.0, 0);
            }
            let g = gradient.unwrap_or(0.0);
            n += 1;
            m = adam.beta1 * m + (1.0 - adam.beta1) * g;
            v = adam.beta2 * v + (1.0 - adam.beta2) * g * g;
            let (first, second) = (m / (1.0 - adam.beta1.powi(n)), v / (1.0 - adam.beta2.powi(n)));
            x -= adam.rate(step as u32) * first / (second.sqrt() + adam.epsilon);
            path.push(x);
        }
        path
    }

    #[test]
    fn rows_that_rest_walk_as_if_every_step_had_moved_them() {
        let gradients: Vec<Option<f64>> = (0..200u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 16).is_multiple_of(5).then(|| 1e-4 * f64::from(i % 7) - 2e-4))
            .collect();
        for schedule in [KgeSchedule::Constant, KgeSchedule::Published, KgeSchedule::Linear { hold: 0.5 }] {
            let adam = adam(200, schedule, Unused::Moved);
            let mut table = Table::new(1, vec![0.5]);
            let used: Vec<usize> = (0..gradients.len()).filter(|&i| gradients[i].is_some()).collect();
            for (k, &step) in used.iter().enumerate() {
                let gap = used.get(k + 1).map_or(u32::MAX, |next| (next - step) as u32);
                let rates = adam.rates(step as u32, 100);
                table.all().update(0, &[gradients[step].unwrap() as f32], gap, &rates);
            }
            let expected = plain(&adam, &gradients)[199];
            let moved = (expected - 0.5).abs();
            assert!(moved > 0.01, "{moved}");
            let off = (f64::from(table.values[0]) - expected).abs() / moved;
            assert!(off < 2e-3, "{}: {off}", table.values[0]);
        }
    }

    // The row is read before each use, where it must be what dense Adam has then, and after the last step.
    #[test]
    fn rows_that_rest_for_longer_than_the_window_walk_as_if_every_step_had_moved_them() {
        let used = [0u32, 1, 4, 9, 14, 20, 36, 63, 163, 763, 790];
        for (window, schedule) in [4, 15, 100].into_iter().flat_map(|window| {
            let all = [KgeSchedule::Constant, KgeSchedule::Published, KgeSchedule::Linear { hold: 0.5 }];
            all.map(|schedule| (window, schedule))
        }) {
            let adam = adam(1000, schedule, Unused::Moved);
            let gradient = |step: u32| 1e-4 * f64::from(step % 7) + 2e-4;
            let gradients: Vec<Option<f64>> =
                (0..1000).map(|step| used.contains(&step).then(|| gradient(step))).collect();
            let path = plain(&adam, &gradients);
            let (mut table, mut late) = (Table::new(1, vec![0.5]), Late::new(adam.clone(), window));
            let check = |table: &Table, step: u32| {
                let before = if step == 0 { 0.5 } else { path[step as usize - 1] };
                let off = (f64::from(table.values[0]) - before).abs();
                let moved = (before - 0.5).abs();
                assert!(off <= 1e-4 * moved, "window {window}, {schedule:?}, step {step}: {off} of {moved}");
            };
            for (k, &step) in used.iter().enumerate() {
                table.catch_up([0], step, &mut late);
                check(&table, step);
                let gap = used.get(k + 1).map(|next| next - step).filter(|gap| *gap <= window);
                table.all().update(0, &[gradient(step) as f32], gap.unwrap_or(u32::MAX), &adam.rates(step, window));
            }
            table.catch_up([0], 1000, &mut late);
            check(&table, 1000);
        }
    }

    #[test]
    fn rows_of_which_the_window_tells_the_next_use_are_not_moved_later() {
        let mut late = Late::new(adam(100, KgeSchedule::Published, Unused::Moved), 15);
        // Used in step 19: the window reaches step 34, so that step 35 finds the row where it should be.
        assert_eq!([20, 30, 35].map(|now| late.of_row(20, now)), [None; 3]);
        // Moments are dropped at step 50, up to which that of step 40 reaches.
        assert_eq!([late.of_row(41, 90), late.of_row(0, 90)], [None; 2]);
        // In step 36 the term of step 35 is missing: (0.9/√0.999)^16 · 0.01 √(1 − 0.999³⁶)/(1 − 0.9³⁶).
        let [rate, _] = late.of_row(20, 36).unwrap();
        assert!((rate / 3.594_3e-4 - 1.0).abs() < 1e-4, "{rate}");
    }

    #[test]
    fn rows_that_stay_keep_weights_and_moments_to_the_bit() {
        let adam = adam(100, KgeSchedule::Constant, Unused::Still);
        let (mut table, mut late) = (Table::new(2, vec![0.5, -0.25, 1.0, 2.0]), Late::new(adam.clone(), 4));
        let all = |table: &Table, row: usize| {
            let of = |values: &[f32]| [values[2 * row], values[2 * row + 1]].map(f32::to_bits);
            [of(&table.values), of(&table.first), of(&table.second)]
        };
        table.all().update(1, &[0.5, -0.25], u32::MAX, &adam.rates(0, 4));
        let after_first = all(&table, 1);
        for step in 1..60 {
            table.catch_up([0], step, &mut late);
            table.all().update(0, &[0.125, 0.25], 1, &adam.rates(step, 4));
            assert_eq!(all(&table, 1), after_first, "step {step}");
        }
        table.catch_up([1], 60, &mut late);
        assert_eq!(all(&table, 1), after_first);
        // The first step by hand: both corrections are 1 - β, so that the row moves by the rate against the gradient's sign.
        assert!((table.values[2] - 0.99).abs() < 1e-6 && (table.values[3] - 2.01).abs() < 1e-6, "{:?}", table.values);
        // Moments fall by one step, however many others there were.
        table.all().update(1, &[0.0, 0.0], 1, &adam.rates(60, 4));
        let close = |found: f32, expected: f32| assert!((found / expected - 1.0).abs() < 1e-5, "{found}, {expected}");
        close(table.first[2], 0.9 * 0.1 * 0.5);
        close(table.second[3], 0.999 * 0.001 * 0.0625);
    }
}
