//! Which member starts next.

use std::collections::BTreeSet;

/// A member that runs, as the queue sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Running<'a> {
    /// Cache keys of its stages.
    pub keys: &'a [String],
    /// How many of them are complete.
    pub complete: usize,
    /// Bytes that it holds now; `None` where the system does not tell.
    pub bytes: Option<u64>,
    /// Whether it trains, so that what it holds tells of what it needs.
    pub trains: bool,
}

/// What the machine offers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Room {
    /// Most members at once.
    pub jobs: usize,
    /// Bytes that are free; `None` where the system does not tell.
    pub free: Option<u64>,
    /// Most bytes that a member was seen to hold.
    pub peak: Option<u64>,
}

/// More than a member was seen to hold, for those that hold more.
const MARGIN: f64 = 1.15;

impl Room {
    /// Whether one more member fits beside those that run.
    ///
    /// The first member says how much memory one takes: the next waits until it trains. Those that run may still grow to
    /// the peak.
    pub fn fits(&self, running: &[Running<'_>]) -> bool {
        if running.is_empty() {
            return true;
        }
        if running.len() >= self.jobs {
            return false;
        }
        let (Some(free), Some(peak)) = (self.free, self.peak) else { return true };
        if !running.iter().any(|r| r.trains) {
            return false;
        }
        let to_come: u64 = running.iter().map(|r| peak.saturating_sub(r.bytes.unwrap_or(peak))).sum();
        free.saturating_sub(to_come) as f64 >= MARGIN * peak as f64
    }
}

/// The first of `waiting` that shares no stage with a running member that is still at it; `None` when all do. Each
/// waiting member is given by its cache keys.
pub fn next<'a>(waiting: impl Iterator<Item = &'a [String]>, running: &[Running<'_>]) -> Option<usize> {
    let at_work: BTreeSet<&String> = running.iter().flat_map(|r| r.keys.iter().skip(r.complete)).collect();
    waiting.enumerate().find(|(_, keys)| !keys.iter().any(|key| at_work.contains(key))).map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn running(keys: &[String], complete: usize, bytes: u64) -> Running<'_> {
        Running { keys, complete, bytes: Some(bytes), trains: complete > 0 }
    }

    #[test]
    fn a_stage_is_trained_once() {
        let (first, same, other) = (keys("lab pre fine-1"), keys("lab pre fine-2"), keys("lab-2 pre-2 fine-3"));
        let waiting = || [same.as_slice(), other.as_slice()].into_iter();
        assert_eq!(next(waiting(), &[]), Some(0));
        assert_eq!(next(waiting(), &[running(&first, 0, 1)]), Some(1));
        assert_eq!(next(waiting(), &[running(&first, 1, 1)]), Some(1));
        assert_eq!(next(waiting(), &[running(&first, 2, 1)]), Some(0), "the shared stages are in the cache");
        assert_eq!(next([same.as_slice()].into_iter(), &[running(&first, 1, 1)]), None);
        // Without a cache nobody waits.
        assert_eq!(next([[].as_slice()].into_iter(), &[running(&[], 0, 1)]), Some(0));
    }

    #[test]
    fn members_start_while_there_is_memory() {
        let none = Vec::new();
        let room = |free, peak| Room { jobs: 3, free: Some(free), peak: Some(peak) };
        assert!(room(0, 0).fits(&[]), "one member runs whatever it takes");
        assert!(!room(1000, 100).fits(&[running(&none, 0, 100)]), "it does not train yet");
        assert!(room(1000, 100).fits(&[running(&none, 1, 100)]));
        assert!(!room(110, 100).fits(&[running(&none, 1, 100)]));
        // The running one still has 60 to go.
        assert!(!room(170, 100).fits(&[running(&none, 1, 40)]));
        assert!(room(180, 100).fits(&[running(&none, 1, 40)]));
        let three = [running(&none, 1, 1), running(&none, 1, 1), running(&none, 1, 1)];
        assert!(!room(1000, 1).fits(&three));
        assert!(Room { jobs: 2, free: None, peak: None }.fits(&[running(&none, 0, 0)]));
    }
}
