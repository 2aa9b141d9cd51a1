//! Draws from a generator whose numbers never change.

use dualk_sdk::data::legacy_random::RandomState;

/// Random draws.
pub struct Draw(RandomState);

impl Draw {
    /// Draws by seed.
    pub fn new(seed: u64) -> Self {
        Self(RandomState::new((seed ^ (seed >> 32)) as u32))
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    /// True with the given chance.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    /// An index of `weights` in proportion to them.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (i, w) in weights.iter().enumerate() {
            left -= w;
            if left < 0.0 {
                return i;
            }
        }
        weights.len() - 1
    }

    /// Different members of `from`, earlier ones more often.
    pub fn some(&mut self, from: &[u32], number: usize) -> Vec<u32> {
        let mut weights: Vec<f64> = (0..from.len()).map(falling).collect();
        let mut some = Vec::new();
        for _ in 0..number.min(from.len()) {
            let i = self.weighted(&weights);
            weights[i] = 0.0;
            some.push(from[i]);
        }
        some
    }

    /// A number of visits: one, or with the chance `several` two, and with the chance `further` each one more, at most `most`.
    pub fn number_of_visits(&mut self, several: f64, most: usize, further: f64) -> usize {
        if !self.chance(several) {
            return 1;
        }
        let mut number = 2;
        while number < most && self.chance(further) {
            number += 1;
        }
        number
    }

    /// Puts values in any order.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        self.0.shuffle(values);
    }
}

/// The weight of the `rank`-th of things whose popularity falls.
pub fn falling(rank: usize) -> f64 {
    1.0 / (rank as f64 + 1.0).powf(0.8)
}
