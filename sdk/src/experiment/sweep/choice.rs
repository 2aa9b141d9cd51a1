//! Which setting a row has, where that is chosen with its first seeds and only the chosen one trains with the others.

use super::plan::{PlannedMember, chosen_setting, finished_run};
use super::{Member, Sweep};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It trains, or has.
    Trains,
    /// Its row has not chosen yet.
    IfChosen,
    /// Its row has chosen another setting.
    NotChosen,
}

/// The settings that rows have chosen so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Choices {
    of_row: BTreeMap<String, String>,
}

impl Choices {
    /// Of what is complete in a folder.
    ///
    /// # Errors
    /// When a run cannot be read, or has no metrics on valid.
    pub fn of(sweep: &Sweep, folder: &Path) -> Result<Self> {
        let mut choices = Self::default();
        sweep.rows().iter().try_for_each(|row| choices.look(sweep, folder, row).map(drop))?;
        Ok(choices)
    }

    /// The same, of which `said` is told why a row cannot choose: it goes without.
    pub fn as_far_as_known(sweep: &Sweep, folder: &Path, said: impl Fn(&str)) -> Self {
        let mut choices = Self::default();
        for row in sweep.rows() {
            if let Err(error) = choices.look(sweep, folder, &row) {
                said(&cannot_choose(&row, &error));
            }
        }
        choices
    }

    /// Chooses for a row when all of its members that decide are complete; whether it has chosen just now.
    ///
    /// # Errors
    /// As of [`Choices::of`].
    pub fn look(&mut self, sweep: &Sweep, folder: &Path, row: &str) -> Result<bool> {
        if self.of_row.contains_key(row) {
            return Ok(false);
        }
        let members: Vec<PlannedMember> =
            sweep.members.iter().filter(|m| m.name == row).map(PlannedMember::of).collect();
        let chosen = chosen_setting(folder, &members.iter().collect::<Vec<_>>())?;
        Ok(chosen.is_some_and(|setting| self.of_row.insert(row.to_owned(), setting).is_none()))
    }

    /// The setting that a row has chosen.
    pub fn of_row(&self, row: &str) -> Option<&str> {
        self.of_row.get(row).map(String::as_str)
    }

    pub fn fate(&self, member: &Member) -> Fate {
        match self.of_row(&member.name) {
            _ if !member.awaits_choice => Fate::Trains,
            None => Fate::IfChosen,
            Some(chosen) if member.setting.as_deref() == Some(chosen) => Fate::Trains,
            Some(_) => Fate::NotChosen,
        }
    }

    /// The members that train in all, as far as rows have chosen; of a row that has not, those of its first setting.
    pub fn to_train<'s>(&'s self, sweep: &'s Sweep) -> impl Iterator<Item = &'s Member> {
        sweep.members.iter().filter(|member| self.counts(sweep, member))
    }

    /// How many of these are complete.
    pub fn complete(&self, sweep: &Sweep, folder: &Path) -> usize {
        self.to_train(sweep).filter(|member| finished_run(folder, &member.id).is_some()).count()
    }

    /// Whether a member stands for those of its row and seed in what a sweep is expected to train: of a row that has not chosen,
    /// that of its first setting.
    pub fn counts(&self, sweep: &Sweep, member: &Member) -> bool {
        match self.fate(member) {
            Fate::Trains => true,
            Fate::NotChosen => false,
            Fate::IfChosen => {
                let first = sweep.members.iter().find(|other| other.name == member.name);
                first.is_some_and(|first| first.setting == member.setting)
            }
        }
    }
}

/// Why a row has no setting.
pub(super) fn cannot_choose(row: &str, error: &Error) -> String {
    format!("{row}: no setting can be chosen: {error}")
}
