//! Metrics of a ranking, by ranks.

use super::model::Side;
use super::rank::{Rank, Ties};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Quality of a ranking of entities.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RankMetrics {
    /// Mean reciprocal rank.
    pub mrr: f64,
    /// Mean rank.
    pub mr: f64,
    /// Fraction of the ranks that are 1.
    #[serde(rename = "hits@1")]
    pub hits1: f64,
    /// Fraction of the ranks up to 3.
    #[serde(rename = "hits@3")]
    pub hits3: f64,
    /// Fraction of the ranks up to 10.
    #[serde(rename = "hits@10")]
    pub hits10: f64,
    /// Adjusted mean rank index, 1 − (MR − 1)/(E(MR) − 1): 0 for a random order, 1 for the best.
    pub amri: f64,
    /// Bounds between which 95 % of resamples of the triples lie, by metric; empty where none were drawn.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub interval: BTreeMap<String, [f64; 2]>,
}

impl RankMetrics {
    /// The metrics of some ranks; zeros for none.
    pub fn of<'a>(ranks: impl Iterator<Item = &'a Rank>, ties: Ties) -> Self {
        let (mut n, mut sums, mut expected) = (0.0, [0.0; 5], 0.0);
        for rank in ranks {
            let value = rank.value(ties);
            let hit = |k: f64| f64::from(u8::from(value <= k));
            let terms = [value.recip(), value, hit(1.0), hit(3.0), hit(10.0)];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            expected += rank.expected();
            n += 1.0;
        }
        if n == 0.0 {
            return Self::default();
        }
        let [mrr, mr, hits1, hits3, hits10] = sums.map(|sum| sum / n);
        let amri = 1.0 - (mr - 1.0) / (expected / n - 1.0).max(f64::MIN_POSITIVE);
        Self { mrr, mr, hits1, hits3, hits10, amri, interval: BTreeMap::new() }
    }

    /// The same with percentile intervals from `samples` resamples of the triples, both sides of one together. `ranks` hold
    /// the tails of all triples, then their heads.
    pub fn with_intervals(ranks: &[Rank], ties: Ties, samples: usize, seed: u64) -> Self {
        let mut metrics = Self::of(ranks.iter(), ties);
        let triples = ranks.len() / 2;
        if samples == 0 || triples == 0 {
            return metrics;
        }
        let draw = |sample: usize| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(sample as u64);
            let chosen = (0..triples).map(move |_| random.random_range(0..triples));
            Self::of(chosen.flat_map(|i| [&ranks[i], &ranks[triples + i]]), ties).named()
        };
        let drawn: Vec<[(&str, f64); 6]> = (0..samples).into_par_iter().map(draw).collect();
        for (i, (name, _)) in metrics.clone().named().into_iter().enumerate() {
            let mut values: Vec<f64> = drawn.iter().map(|sample| sample[i].1).collect();
            values.sort_by(f64::total_cmp);
            let at = |part: f64| values[((part * samples as f64) as usize).min(samples - 1)];
            metrics.interval.insert(name.to_owned(), [at(0.025), at(0.975)]);
        }
        metrics
    }

    /// The metrics by name.
    pub fn named(self) -> [(&'static str, f64); 6] {
        let Self { mrr, mr, hits1, hits3, hits10, amri, .. } = self;
        [("mrr", mrr), ("mr", mr), ("hits@1", hits1), ("hits@3", hits3), ("hits@10", hits10), ("amri", amri)]
    }

    /// A metric by its name, NaN for one that there is not.
    pub fn get(&self, name: &str) -> f64 {
        self.clone().named().into_iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| value)
    }
}

/// The metrics of all ranks and of each side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkMetrics {
    /// Heads and tails together.
    #[serde(flatten)]
    pub both: RankMetrics,
    /// Tails alone.
    pub tail: RankMetrics,
    /// Heads alone.
    pub head: RankMetrics,
}

impl LinkMetrics {
    /// The metrics of ranks as [`ranks`](super::ranks) gives them.
    pub fn new(ranks: &[Rank], ties: Ties, samples: usize, seed: u64) -> Self {
        let side = |side: Side| RankMetrics::of(ranks.iter().filter(|rank| rank.side == side), ties);
        let both = RankMetrics::with_intervals(ranks, ties, samples, seed);
        Self { both, tail: side(Side::Tail), head: side(Side::Head) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(side: Side, above: u32, equal: u32, equal_before: u32) -> Rank {
        Rank { side, above, equal, equal_before, candidates: 101 }
    }

    #[test]
    fn metrics_by_hand() {
        let ranks = [
            rank(Side::Tail, 0, 0, 0),
            rank(Side::Tail, 1, 2, 2),
            rank(Side::Head, 9, 1, 0),
            rank(Side::Head, 3, 0, 0),
        ];
        // Realistic ranks 1, 3, 10.5, 4; by the stable sort 1, 4, 10, 4.
        let metrics = LinkMetrics::new(&ranks, Ties::Realistic, 200, 1);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(metrics.both.mrr, (1.0 + 1.0 / 3.0 + 1.0 / 10.5 + 0.25) / 4.0);
        close(metrics.both.mr, 18.5 / 4.0);
        close(metrics.both.hits1, 0.25);
        close(metrics.both.hits3, 0.5);
        close(metrics.both.hits10, 0.75);
        close(metrics.both.amri, 1.0 - (18.5 / 4.0 - 1.0) / 50.0);
        close(metrics.tail.mr, 2.0);
        let [low, high] = metrics.both.interval["mr"];
        assert!(low <= 18.5 / 4.0 && 18.5 / 4.0 <= high && low < high);
        // Two triples: ranks (1, 10.5) and (3, 4), so that no resample leaves their means.
        assert!(low >= 3.5 && high <= 5.75, "{low} {high}");
        close(LinkMetrics::new(&ranks, Ties::Published, 0, 1).both.mr, 19.0 / 4.0);
    }
}
