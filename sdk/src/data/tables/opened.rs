//! Opened tables that a parser keeps from one call to the next.

use crate::Result;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Within this time two changes of a file may have the same time: the coarsest clock of a file system is that of FAT.
const RESOLUTION: Duration = Duration::from_secs(2);

/// What a parser found when it opened its tables: they are opened once for all that it is asked, and again where a file
/// changed, came or went.
pub struct Opened<T> {
    kept: Mutex<Option<Kept<T>>>,
}

struct Kept<T> {
    seen: Vec<Seen>,
    tables: Arc<T>,
}

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Self { kept: Mutex::new(None) }
    }
}

impl<T> Opened<T> {
    /// What `open` returned the last time, as long as there are the same `files`, each with the size and the time of change
    /// that it had then; else what `open` returns now. `files` are all that `open` may look at, such as
    /// [`files_in`](super::files_in) a folder. Files that changed in the last seconds may change once more without another
    /// time of change: with these nothing is kept.
    ///
    /// # Errors
    /// Those of `open`, which are not kept.
    pub fn get(&self, files: Vec<PathBuf>, open: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        // Before they are opened, so that what changes meanwhile is noticed the next time.
        let seen: Vec<Seen> = files.into_iter().map(Seen::of).collect();
        let is_settled = seen.iter().all(Seen::is_settled);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &*kept
            && before.seen == seen
        {
            return Ok(before.tables.clone());
        }
        let tables = Arc::new(open()?);
        *kept = is_settled.then(|| Kept { seen, tables: tables.clone() });
        Ok(tables)
    }
}

/// A file as it was found.
#[derive(PartialEq, Eq)]
struct Seen {
    file: PathBuf,
    /// Its size in bytes and the time of its last change; `None` where there is no such file, or no such time.
    stamp: Option<(u64, SystemTime)>,
}

impl Seen {
    fn of(file: PathBuf) -> Self {
        let about = fs::metadata(&file).ok();
        let stamp = about.and_then(|about| Some((about.len(), about.modified().ok()?)));
        Self { file, stamp }
    }

    /// Whether whatever changes it from now on gives it another time.
    fn is_settled(&self) -> bool {
        self.stamp.is_some_and(|(_, changed)| changed.elapsed().is_ok_and(|since| since > RESOLUTION))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Table, files_in};
    use super::*;
    use std::cell::Cell;
    use std::fs::File;

    #[test]
    fn tables_are_opened_again_only_where_a_file_changed_came_or_went() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let settle = |name: &str| {
            let file = File::options().append(true).open(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        };
        let (opened, times) = (Opened::default(), Cell::new(0));
        let open = || {
            times.set(times.get() + 1);
            Table::open(folder.path(), "a", &["x"])
        };
        let header = || {
            let table = opened.get(files_in(folder.path()), open).unwrap();
            (table.header().concat(), times.get())
        };
        write("a.csv", "x,y\n1,2\n");
        settle("a.csv");
        assert_eq!([header(), header()], [("xy".to_owned(), 1), ("xy".to_owned(), 1)]);
        // As long as before, and perhaps to be written once more.
        write("a.csv", "y,x\n2,1\n");
        // However slow this is.
        let file = File::options().append(true).open(folder.path().join("a.csv")).unwrap();
        file.set_modified(SystemTime::now() + 3600 * RESOLUTION).unwrap();
        assert_eq!([header(), header()], [("yx".to_owned(), 2), ("yx".to_owned(), 3)]);
        settle("a.csv");
        assert_eq!([header().1, header().1], [4, 4]);
        write("b.parquet", "");
        settle("b.parquet");
        assert_eq!([header().1, header().1], [5, 5]);
        fs::remove_file(folder.path().join("b.parquet")).unwrap();
        assert_eq!([header().1, header().1], [6, 6]);
        // What is wrong is said each time.
        write("a.csv", "y\n2\n");
        settle("a.csv");
        let refused = || opened.get(files_in(folder.path()), open).map(drop).unwrap_err().to_string();
        assert!(refused().contains("the column `x` is missing") && refused().contains("the column `x` is missing"));
        assert_eq!(times.get(), 8);
    }
}
