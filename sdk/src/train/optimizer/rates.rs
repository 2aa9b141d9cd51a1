//! The learning rate of each parameter in each epoch.

use crate::train::Schedule;
use std::collections::BTreeMap;

/// Learning rates: one for all parameters, or others by the prefixes of their paths; all fall and rise together.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// The rate of parameters without one of their own.
    pub lr: f64,
    /// The rates of parameters whose path begins with a prefix; the longest that fits counts.
    pub by_prefix: BTreeMap<String, f64>,
    /// How they change with the epoch.
    pub schedule: Schedule,
    /// Epochs over which they rise: in epoch t, from 0, they are (t + 1) / (warmup + 1) of what the schedule says.
    pub warmup: usize,
}

impl Rates {
    /// One rate for all parameters and epochs.
    pub fn constant(lr: f64) -> Self {
        Self { lr, by_prefix: BTreeMap::new(), schedule: Schedule::Constant, warmup: 0 }
    }

    /// The rate in `epoch` of parameters without one of their own.
    pub fn at(&self, epoch: usize) -> f64 {
        self.schedule.rate(self.lr, epoch) * self.rise(epoch)
    }

    /// The rate in `epoch` of the parameter at `path`.
    pub fn of(&self, path: &str, epoch: usize) -> f64 {
        let begins = |prefix: &str| path.strip_prefix(prefix).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        let own = self.by_prefix.iter().filter(|(prefix, _)| begins(prefix)).max_by_key(|(prefix, _)| prefix.len());
        match own {
            Some((_, own)) => own / self.lr * self.at(epoch),
            None => self.at(epoch),
        }
    }

    fn rise(&self, epoch: usize) -> f64 {
        match epoch < self.warmup {
            true => (epoch + 1) as f64 / (self.warmup + 1) as f64,
            false => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=.1)
    /// s = torch.optim.lr_scheduler
    /// s = s.ChainedScheduler([s.LinearLR(o, 1 / 4, 1, 3), s.CosineAnnealingLR(o, 10, .0)])
    /// for _ in range(8): print(o.param_groups[0]['lr']); o.step(); s.step()
    /// ```
    const WARM_COSINE: [f64; 8] = [
        0.025,
        0.048776412907378844,
        0.06783813728906053,
        0.07938926261462366,
        0.06545084971874737,
        0.05,
        0.03454915028125263,
        0.02061073738537635,
    ];

    #[test]
    fn warm_up_and_cosine_are_those_of_pytorch() {
        let schedule = Schedule::Cosine { epochs: Some(10), least: 0.0 };
        let rates = Rates { schedule, warmup: 3, ..Rates::constant(0.1) };
        for (epoch, expected) in WARM_COSINE.into_iter().enumerate() {
            approx::assert_relative_eq!(rates.at(epoch), expected, max_relative = 1e-12);
        }
    }

    #[test]
    fn the_longest_prefix_counts() {
        let by_prefix = [("encoder", 0.01), ("encoder.conv2", 0.05), ("head", 3.0)].map(|(p, lr)| (p.to_owned(), lr));
        let schedule = Schedule::Step { every: 2, factor: 0.5 };
        let rates = Rates { by_prefix: by_prefix.into(), schedule, ..Rates::constant(0.1) };
        let of = |path: &str| [0, 2].map(|epoch| rates.of(path, epoch));
        approx::assert_relative_eq!(of("encoder.conv1.bias")[..], [0.01, 0.005], max_relative = 1e-12);
        approx::assert_relative_eq!(of("encoder.conv2")[..], [0.05, 0.025], max_relative = 1e-12);
        assert_eq!(of("heads.0.fc1"), [0.1, 0.05]);
    }
}
