//! One pass over a table whose rows belong to admissions, with a count of what is left out.

use super::Table;
use super::record::Fault;
use super::scan::{OnBadRow, Row};
use crate::Result;
use crate::data::Step;
use crate::progress::Progress;

/// The rule by which rows of admissions are left out that an earlier step left out, with their numbers there.
pub const NOT_IN_COHORT: &str = "of admissions that are not in the cohort";

/// What a row says.
pub enum Seen<T> {
    /// Something of an admission, by the admission's place.
    Of(usize, T),
    /// Nothing that is asked for.
    Nothing,
    /// Nothing, for one of the reasons of [`Pass::losses`].
    Lost(&'static str),
    /// Nothing, by one of the rules of [`Pass::rules`].
    LeftOut(&'static str),
}

/// A pass over a table.
pub struct Pass<'a> {
    /// The table.
    pub table: &'a Table,
    /// What its rows are, such as `rows of labevents`.
    pub rows: String,
    /// What becomes of rows that cannot be used.
    pub on_bad_row: OnBadRow,
    /// Why rows may be lost.
    pub losses: &'a [&'static str],
    /// The rules by which rows are left out.
    pub rules: &'a [&'static str],
    /// Where progress is shown.
    pub progress: &'a dyn Progress,
}

/// What is found in a block.
struct Found<T> {
    of: Vec<(usize, T)>,
    left_out: Vec<(&'static str, u64)>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { of: Vec::new(), left_out: Vec::new() }
    }
}

impl Pass<'_> {
    /// Looks at every row, on all threads, and shows what was found in the order of the file. How many rows there were, and
    /// what was left out of them.
    ///
    /// # Errors
    /// As of [`Table::scan`].
    pub fn each<T: Send>(
        &self,
        look: impl Fn(&Row<'_>) -> Result<Seen<T>, Fault> + Sync,
        show: impl FnMut(usize, T),
    ) -> Result<Step> {
        self.run(look, |_| (), show)
    }

    /// The same where neither order nor repeats matter: what is found again in a block is shown once.
    ///
    /// # Errors
    /// As of [`Table::scan`].
    pub fn sets<T: Send + Ord>(
        &self,
        look: impl Fn(&Row<'_>) -> Result<Seen<T>, Fault> + Sync,
        show: impl FnMut(usize, T),
    ) -> Result<Step> {
        // Rows of an admission stand together, and most repeat an item.
        let once = |of: &mut Vec<(usize, T)>| {
            of.sort_unstable();
            of.dedup();
        };
        self.run(look, once, show)
    }

    fn run<T: Send>(
        &self,
        look: impl Fn(&Row<'_>) -> Result<Seen<T>, Fault> + Sync,
        tidy: impl Fn(&mut Vec<(usize, T)>),
        mut show: impl FnMut(usize, T),
    ) -> Result<Step> {
        let mut task = self.progress.begin(&self.rows, "rows", None);
        let reasons: Vec<&'static str> = self.losses.iter().chain(self.rules).copied().collect();
        let mut counts = vec![0; reasons.len()];
        let look = |found: &mut Found<T>, row: &Row<'_>| {
            match look(row)? {
                Seen::Of(at, what) => found.of.push((at, what)),
                Seen::Nothing => {}
                Seen::Lost(why) | Seen::LeftOut(why) => match found.left_out.iter_mut().find(|known| known.0 == why) {
                    Some(known) => known.1 += 1,
                    None => found.left_out.push((why, 1)),
                },
            }
            Ok(())
        };
        let scanned = self.table.scan(self.on_bad_row, look, |mut found, rows| {
            for (n, why) in counts.iter_mut().zip(&reasons) {
                *n += found.left_out.iter().filter(|known| known.0 == *why).map(|known| known.1).sum::<u64>();
            }
            tidy(&mut found.of);
            found.of.into_iter().for_each(|(at, what)| show(at, what));
            task.advance(rows);
            Ok(())
        })?;
        task.finish("");
        let step = Step::new(&*self.rows, scanned.rows).lost("that cannot be used", scanned.bad);
        let (lost, by_rule) = counts.split_at(self.losses.len());
        let step = self.losses.iter().zip(lost).fold(step, |step, (why, n)| step.lost(*why, *n));
        Ok(self.rules.iter().zip(by_rule).fold(step, |step, (why, n)| step.by_rule(*why, *n)))
    }
}
