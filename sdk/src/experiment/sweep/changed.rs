//! Complete members that were trained with something else than they would be now: other plugins, data, SDK, device or threads.

use super::plan::{State, finished_run, member_folder};
use super::{Member, Sweep, SweepRun};
use crate::experiment::identity::Identity;
use crate::experiment::run_dir::RunDir;
use crate::{Error, Result};
use serde_json::{Map, Value, json};

/// What becomes of complete members that were trained with something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Changed {
    /// The sweep is refused.
    #[default]
    Refuse,
    /// Their results are kept.
    Keep,
    /// They are trained again. Their earlier runs stay in the folder of the runs, and are in no table of the sweep.
    Again,
}

impl SweepRun<'_> {
    /// Does with complete members that were trained with something else what is asked.
    ///
    /// # Errors
    /// When there are any, and it was not said what becomes of them.
    pub(super) fn settle(&self, sweep: &Sweep, threads: usize) -> Result<()> {
        let changed = self.changed_members(sweep, threads);
        let Some(what) = summary(&changed) else { return Ok(()) };
        match self.changed {
            Changed::Refuse => Err(Error::user(what)
                .at_file(self.folder)
                .help("--keep leaves them as they are and trains the others")
                .help("--again trains them again; their earlier runs stay in the folder `runs`")),
            Changed::Keep => {
                self.progress.line(&format!("{what}: they are kept"));
                Ok(())
            }
            Changed::Again => {
                self.progress.line(&format!("{what}: they are trained again, their earlier runs stay"));
                changed.iter().try_for_each(|(member, _)| State::forget(&member_folder(self.folder, &member.id)))
            }
        }
    }

    /// A line that says what `--keep` and `--again` would do with these members, for a plan; empty where there are none.
    pub(super) fn said_of_changed(&self, sweep: &Sweep, threads: usize) -> String {
        let what = summary(&self.changed_members(sweep, threads));
        what.map_or(String::new(), |what| format!("{what}: `--keep` leaves them, `--again` trains them again\n"))
    }

    /// The members, each with what has changed since.
    fn changed_members<'m>(&self, sweep: &'m Sweep, threads: usize) -> Vec<(&'m Member, String)> {
        let of = |member: &'m Member| {
            let run = RunDir::at(&finished_run(self.folder, &member.id)?);
            let what = match run.identity() {
                Some(then) => difference(&then, &member.identity, threads)?,
                None => "the run does not say with what".to_owned(),
            };
            Some((member, what))
        };
        sweep.members.iter().filter_map(of).collect()
    }
}

/// How many members there are, and what has changed since the first of them.
fn summary(changed: &[(&Member, String)]) -> Option<String> {
    let (_, what) = changed.first()?;
    Some(match changed.len() {
        1 => format!("1 complete member was trained with something else: {what}"),
        n => format!("{n} complete members were trained with something else: {what}"),
    })
}

/// What differs between the run of a member and what a process of its own with so many threads would be now, as far as that is
/// known before the data are prepared.
fn difference(then: &Identity, now: &Identity, threads: usize) -> Option<String> {
    let mut now = now.clone();
    now.made_from["threads"] = json!(threads);
    now.made_from["plugins"] = plugins_of(&then.made_from["plugins"], &now.made_from["plugins"]);
    now.made_from["prepared"] = then.made_from["prepared"].clone();
    then.difference(&now)
}

/// The plugins that a member of a run would have now, among those of all members: the same files where they are there, and what
/// has their names where they are not.
fn plugins_of(then: &Value, now: &Value) -> Value {
    let there: Vec<&Value> = now.as_object().into_iter().flat_map(Map::values).collect();
    let found = |(name, sha256): (&String, &Value)| {
        let found = if there.contains(&sha256) { sha256 } else { &now[name] };
        (name.clone(), found.clone())
    };
    then.as_object().into_iter().flatten().map(found).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_changed_where_its_own_plugins_data_build_or_threads_have() {
        let of = |plugins: Value, table: &str, build: &str, threads: usize| {
            Identity::of(json!({
                "manifest": "as its name says",
                "sdk": { "SDK build": build },
                "plugins": plugins,
                "data": { "t.csv": table },
                "threads": threads,
            }))
        };
        let mut then = of(json!({ "gat": "a", "mine": "c" }), "t", "x", 2);
        then.made_from["prepared"] = json!({ "cohort": "patients" });
        // The sweep has loaded those of all members, and has threads of its own.
        let all = || json!({ "gcn": "d", "mine": "b", "gat": "a", "mine (2)": "c" });
        assert_eq!(difference(&then, &of(all(), "t", "x", 8), 2), None);
        let says = |now: Identity, threads: usize| difference(&then, &now, threads).unwrap();
        assert_eq!(says(of(all(), "t", "x", 8), 1), "threads: then 2, now 1");
        assert_eq!(says(of(all(), "u", "x", 8), 2), "data t.csv: then t, now u");
        assert_eq!(says(of(all(), "t", "y", 8), 2), "sdk SDK build: then x, now y");
        let rebuilt = json!({ "gat": "a", "mine": "e" });
        assert_eq!(says(of(rebuilt, "t", "x", 8), 2), "plugins mine: then c, now e");
        assert_eq!(says(of(json!({ "mine": "c" }), "t", "y", 8), 2), "sdk SDK build: then x, now y; and 1 more");
    }
}
