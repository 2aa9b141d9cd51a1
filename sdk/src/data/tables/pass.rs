//! One pass over a table whose rows belong to admissions, with a count of what is left out.

use super::Table;
use super::record::Fault;
use super::scan::{OnBadRow, Row};
use crate::Result;
use crate::data::Step;
use crate::progress::Progress;

/// What a row says.
pub enum Seen<T> {
    /// Something of an admission, by the admission's place.
    Of(usize, T),
    /// Nothing that is asked for.
    Nothing,
    /// Nothing, for one of the reasons of [`Pass::losses`].
    Lost(&'static str),
    /// Nothing, since the row is one of those that [`Pass::left_out`] means.
    LeftOut,
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
    /// Which rows are left out by a rule, when there is one.
    pub left_out: Option<&'static str>,
    /// Who is shown how far it is.
    pub progress: &'a dyn Progress,
}

/// What is found in a block.
struct Found<T> {
    of: Vec<(usize, T)>,
    lost: Vec<(&'static str, u64)>,
    left_out: u64,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { of: Vec::new(), lost: Vec::new(), left_out: 0 }
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
        let (mut lost, mut left_out) = (vec![0; self.losses.len()], 0);
        let look = |found: &mut Found<T>, row: &Row<'_>| {
            match look(row)? {
                Seen::Of(at, what) => found.of.push((at, what)),
                Seen::Nothing => {}
                Seen::LeftOut => found.left_out += 1,
                Seen::Lost(why) => match found.lost.iter_mut().find(|lost| lost.0 == why) {
                    Some(lost) => lost.1 += 1,
                    None => found.lost.push((why, 1)),
                },
            }
            Ok(())
        };
        let scanned = self.table.scan(self.on_bad_row, look, |mut found, rows| {
            for (n, why) in lost.iter_mut().zip(self.losses) {
                *n += found.lost.iter().filter(|lost| lost.0 == *why).map(|lost| lost.1).sum::<u64>();
            }
            left_out += found.left_out;
            tidy(&mut found.of);
            found.of.into_iter().for_each(|(at, what)| show(at, what));
            task.advance(rows);
            Ok(())
        })?;
        task.finish("");
        let mut step = Step::new(&*self.rows, scanned.rows).lost("that cannot be used", scanned.bad);
        for (why, n) in self.losses.iter().zip(lost) {
            step = step.lost(*why, n);
        }
        Ok(match self.left_out {
            Some(why) => step.by_rule(why, left_out),
            None => step,
        })
    }
}
