//! Which member starts next.

use std::collections::BTreeSet;

/// A member that runs, as the queue sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Running<'a> {
    /// Cache keys of its embeddings and stages.
    pub keys: &'a [String],
    /// How many of them are complete.
    pub complete: usize,
    /// Bytes that it holds now; `None` where the system does not tell.
    pub bytes: Option<u64>,
    /// Bytes that it will hold at most, by an estimate.
    pub expected: Option<u64>,
    /// Whether it trains, so that what it holds tells of what it needs.
    pub trains: bool,
}

/// What the machine offers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Room {
    /// Maximum number of members at once.
    pub jobs: usize,
    /// Bytes that are free; `None` where the system does not tell.
    pub free: Option<u64>,
    /// Most bytes that a member was seen to hold.
    pub peak: Option<u64>,
}

/// More than a member is expected to hold, for those that hold more.
const MARGIN: f64 = 1.15;

impl Room {
    /// Whether a member that is expected to hold `next` bytes fits beside those that run, which may still grow.
    ///
    /// Where no estimate tells what a member will hold, it is the most that any was seen to hold once one trains; until
    /// then nobody joins.
    pub fn fits(&self, running: &[Running<'_>], next: Option<u64>) -> bool {
        if running.is_empty() {
            return true;
        }
        if running.len() >= self.jobs {
            return false;
        }
        let Some(free) = self.free.filter(|_| running.iter().any(|r| r.bytes.is_some())) else { return true };
        let seen = self.peak.filter(|_| running.iter().any(|r| r.trains));
        let most = |expected: Option<u64>| expected.or(seen);
        let to_come = |r: &Running<'_>| Some(most(r.expected)?.saturating_sub(r.bytes.unwrap_or(0)));
        let to_come: Option<u64> = running.iter().map(to_come).sum();
        match (to_come, most(next)) {
            (Some(to_come), Some(next)) => free.saturating_sub(to_come) as f64 >= MARGIN * next as f64,
            _ => false,
        }
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
        Running { keys, complete, bytes: Some(bytes), expected: None, trains: complete > 0 }
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
        assert!(room(0, 0).fits(&[], None), "one member runs whatever it takes");
        assert!(!room(1000, 100).fits(&[running(&none, 0, 100)], None), "it does not train yet");
        assert!(room(1000, 100).fits(&[running(&none, 1, 100)], None));
        assert!(!room(110, 100).fits(&[running(&none, 1, 100)], None));
        // The running one still has 60 to go.
        assert!(!room(170, 100).fits(&[running(&none, 1, 40)], None));
        assert!(room(180, 100).fits(&[running(&none, 1, 40)], None));
        let three = [running(&none, 1, 1), running(&none, 1, 1), running(&none, 1, 1)];
        assert!(!room(1000, 1).fits(&three, None));
        let unseen = Running { bytes: None, ..running(&none, 0, 0) };
        assert!(Room { jobs: 2, free: None, peak: None }.fits(&[unseen], None), "a system that does not tell");
    }

    #[test]
    fn an_estimate_counts_before_anything_was_seen() {
        let none = Vec::new();
        let at_work = |bytes, expected| Running { expected: Some(expected), ..running(&none, 0, bytes) };
        let room = |free| Room { jobs: 3, free: Some(free), peak: Some(40) };
        // It will grow by 60, and the next takes 100 and a margin.
        assert!(room(176).fits(&[at_work(40, 100)], Some(100)));
        assert!(!room(174).fits(&[at_work(40, 100)], Some(100)));
        // A larger row waits where a smaller one does not.
        assert!(!room(176).fits(&[at_work(40, 100)], Some(200)));
        assert!(!room(1000).fits(&[running(&none, 0, 40)], Some(10)), "of the running one nothing is known");
    }
}
