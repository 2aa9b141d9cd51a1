//! What members will hold, by the estimate of `dualk check` before they train, and by what they held.

use super::plan::{State, member_folder};
use super::{Member, SweepRun};
use crate::Result;
use crate::experiment::StageMemory;
use std::collections::BTreeMap;
use std::process::Stdio;

/// Where the first row could be this many times as large and still fit as often as there are jobs, others are not estimated.
const ROOMY: f64 = 4.0;

/// Bytes that members of each row will hold at most.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Expected {
    of_row: BTreeMap<String, u64>,
    /// Expected bytes of rows that nothing is known of.
    others: Option<u64>,
}

impl Expected {
    /// What a member will hold; `None` where nothing tells.
    pub fn of(&self, member: &Member) -> Option<u64> {
        self.of_row.get(&member.configuration()).copied().or(self.others)
    }

    /// A member of each row that nothing is known of.
    fn unknown<'m>(&self, members: &[&'m Member]) -> Vec<&'m Member> {
        let mut rows: Vec<&Member> = Vec::new();
        for &member in members {
            if self.of(member).is_none() && rows.iter().all(|other| other.configuration() != member.configuration()) {
                rows.push(member);
            }
        }
        rows
    }

    /// A member of a row was seen to hold so much.
    fn seen(&mut self, row: &str, bytes: u64) {
        let most = self.of_row.entry(row.to_owned()).or_default();
        *most = bytes.max(*most);
    }
}

impl SweepRun<'_> {
    /// Estimates the rows that are to train, one after the other while nothing else runs: the first, and all others where
    /// the machine is not much larger than what the first takes. Rows of which members are complete are known.
    pub(super) fn expected(
        &self,
        complete: &[&Member],
        waiting: &[&Member],
        jobs: usize,
        threads: usize,
    ) -> Result<Expected> {
        let mut expected = Expected::default();
        for member in complete {
            if let Some(State::Finished { peak_bytes: Some(bytes), .. }) =
                State::read(&member_folder(self.folder, &member.id))
            {
                expected.seen(&member.configuration(), bytes);
            }
        }
        let (Some(free), true) = (free_bytes(), jobs > 1 && waiting.len() > 1) else { return Ok(expected) };
        let rows = expected.unknown(waiting);
        let mut task = self.progress.begin("estimating memory", "rows", Some(rows.len() as u64));
        for (i, member) in rows.iter().enumerate() {
            if self.stop.requested().is_some() {
                break;
            }
            let Some(bytes) = self.estimate(member, threads)? else { break };
            task.advance(1);
            let text = format!("{} is expected to take {:.2} GB", member.configuration(), bytes as f64 / 1e9);
            self.progress.line(&text);
            expected.seen(&member.configuration(), bytes);
            if i == 0 && free as f64 >= ROOMY * jobs as f64 * bytes as f64 {
                expected.others = Some(bytes);
                break;
            }
        }
        task.finish("");
        Ok(expected)
    }

    /// What `dualk check` says of a member; `None` where it says nothing. Why it would fail is for the member to say.
    fn estimate(&self, member: &Member, threads: usize) -> Result<Option<u64>> {
        let folder = self.write_member(member)?;
        let mut command = (self.estimate)(&folder);
        command.env("RAYON_NUM_THREADS", threads.to_string()).stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success());
        Ok(output.and_then(|output| most(&output.stdout)))
    }
}

/// The largest of the stages that `dualk check --json` lists.
fn most(listed: &[u8]) -> Option<u64> {
    let stages: Vec<StageMemory> = serde_json::from_slice(listed).ok()?;
    stages.into_iter().filter_map(|stage| stage.peak).max()
}

/// Memory that is free for new work.
pub(super) fn free_bytes() -> Option<u64> {
    crate::memory::available()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stage_counts() {
        let listed = br#"[{"stage":"1-lab","peak":123000000},{"stage":"2-finetune","peak":1050000000}]"#;
        assert_eq!(most(listed), Some(1_050_000_000));
        assert_eq!(most(br#"[{"stage":"1-lab","peak":null}]"#), None);
        assert_eq!(most(b""), None);
    }
}
