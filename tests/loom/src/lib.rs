//! Every order of the steps of several threads, tried by loom: of the gate that operations on files pass, and that a signal shuts.

#![cfg(test)]

#[path = "../../../sdk/src/storage/gate.rs"]
mod gate;

/// Those of the gate.
mod locks {
    pub use loom::sync::{Mutex, RwLock, RwLockReadGuard};
}

use gate::Gate;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex, RwLock};
use loom::thread::{self, JoinHandle};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A disk, and the gate before it.
struct Disk {
    gate: Gate,
    files: Mutex<BTreeSet<PathBuf>>,
    /// Operations that go on.
    at_work: AtomicUsize,
}

impl Disk {
    fn new() -> Arc<Self> {
        let gate = Gate { open: RwLock::new(true), half: Mutex::new(Vec::new()) };
        Arc::new(Self { gate, files: Mutex::default(), at_work: AtomicUsize::new(0) })
    }

    /// Does an operation as `storage` does; `None` where it would wait for the end of the process.
    fn at(&self, operation: impl FnOnce(&mut BTreeSet<PathBuf>)) -> Option<()> {
        let _open = self.gate.pass()?;
        self.at_work.fetch_add(1, Ordering::SeqCst);
        operation(&mut self.files.lock().unwrap());
        self.at_work.fetch_sub(1, Ordering::SeqCst);
        Some(())
    }

    /// Writes a file beside its place and renames it, as `storage::replace` does; one that `fails` meanwhile is removed.
    fn replace(&self, name: &str, fails: bool) -> Option<()> {
        let half = PathBuf::from(format!(".{name}"));
        self.at(|files| {
            files.insert(half.clone());
            self.gate.remember(&half);
        })?;
        if !fails {
            self.at(|files| {
                files.remove(&half);
                files.insert(name.into());
            })?;
        }
        self.files.lock().unwrap().remove(&half);
        self.gate.forget(&half);
        Some(())
    }

    /// Shuts the gate, behind which the process ends.
    fn end(&self) {
        self.gate.shut(|half| {
            self.files.lock().unwrap().remove(half);
        });
        assert_eq!(self.at_work.load(Ordering::SeqCst), 0, "an operation goes on");
        assert!(self.gate.pass().is_none());
        let left = self.files.lock().unwrap().clone();
        assert!(left.iter().all(|file| !file.to_string_lossy().starts_with('.')), "half of a file is left: {left:?}");
    }
}

/// A thread that works on the disk.
fn beside(disk: &Arc<Disk>, work: impl FnOnce(&Disk) -> Option<()> + 'static) -> JoinHandle<()> {
    let disk = disk.clone();
    thread::spawn(move || {
        work(&disk);
    })
}

#[test]
fn nothing_half_written_is_left_once_the_gate_is_shut() {
    for fails in [false, true] {
        loom::model(move || {
            let disk = Disk::new();
            let writer = beside(&disk, move |disk| disk.replace("a", fails));
            disk.end();
            writer.join().unwrap();
        });
    }
}

#[test]
fn nor_of_two_threads() {
    let mut model = loom::model::Builder::new();
    // All orders of three threads are too many: those with up to two changes of thread where none would have to be.
    model.preemption_bound = Some(2);
    model.check(|| {
        let disk = Disk::new();
        let writers = [beside(&disk, |disk| disk.replace("a", false)), beside(&disk, |disk| disk.replace("b", true))];
        disk.end();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

/// As it was before: remembered once the operation is done. That loom finds what stays shows that it looks.
#[test]
#[should_panic(expected = "half of a file is left")]
fn a_file_that_is_remembered_too_late_may_stay() {
    loom::model(|| {
        let disk = Disk::new();
        let writer = beside(&disk, |disk| {
            disk.at(|files| {
                files.insert(".a".into());
            })?;
            disk.gate.remember(".a".as_ref());
            Some(())
        });
        disk.end();
        writer.join().unwrap();
    });
}
