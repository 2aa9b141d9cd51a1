//! What `dualk prepare` writes.

use super::program::said;
use super::support::{contents, dualk, fail_each, leftovers, manifest};
use std::fs;
use std::path::Path;
use std::process::Output;

#[test]
fn prepare() {
    let old = tempfile::tempdir().unwrap();
    manifest(old.path());
    let output = dualk(old.path(), &["prepare", "small.toml", "--out", "out"], None);
    assert!(output.status.success(), "{}", said(&output));
    let old = contents(&old.path().join("out"));
    let new = tempfile::tempdir().unwrap();
    manifest(new.path());
    assert!(
        dualk(new.path(), &["prepare", "small.toml", "--out", "out", "--set", "data.parser.seed=4"], None)
            .status
            .success()
    );
    let new = contents(&new.path().join("out"));
    assert_ne!(old, new);
    let before = |folder: &Path| {
        manifest(folder);
        fs::create_dir(folder.join("out")).unwrap();
        old.iter().for_each(|(name, bytes)| fs::write(folder.join("out").join(name), bytes).unwrap());
    };
    let failures = fail_each(
        1,
        &["prepare", "small.toml", "--out", "out", "--no-cache", "--set", "data.parser.seed=4"],
        before,
        |folder, when| {
            let found = contents(&folder.join("out"));
            assert!(found == old || found == new, "neither the old result nor the new one: {when}");
            assert_eq!(leftovers(folder), [""; 0], "{when}");
        },
    );
    assert!(failures > 15, "{failures}");
}

/// What file systems answer that cannot exchange two folders: two changes of names do, and use no name of others.
#[test]
fn without_an_exchange_a_result_is_replaced_by_two_renames() {
    for answer in ["EINVAL", "ENOSYS"] {
        let folder = tempfile::tempdir().unwrap();
        manifest(folder.path());
        for mine in [".out.old", "out.old"] {
            fs::create_dir(folder.path().join(mine)).unwrap();
            fs::write(folder.path().join(mine).join("mine"), "mine").unwrap();
        }
        let prepare = |seed: &str, fault: Option<&str>| {
            let seed = format!("data.parser.seed={seed}");
            let prepare = ["prepare", "small.toml", "--out", "out", "--no-cache", "--set", &seed];
            dualk(folder.path(), &prepare, fault)
        };
        let out = || contents(&folder.path().join("out"));
        let done = |output: Output| assert!(output.status.success(), "{answer}: {}", said(&output));
        done(prepare("3", None));
        let old = out();
        // The renames before that of the folder are of its files, and no other way leads around these.
        let with_fault = |number: usize| prepare("4", Some(&format!("rename {number}:{answer}")));
        let mut of_files = 0;
        let replaced = (1..).map(with_fault).find(|output| {
            of_files += usize::from(out() == old);
            output.status.success()
        });
        let (new, said) = (out(), said(&replaced.unwrap()));
        assert!(said.contains("fault injected"), "{said}");
        done(prepare("4", None));
        assert!(of_files > 0 && new != old && new == out(), "{answer}");
        assert_eq!(leftovers(folder.path()), [".out.old"]);
        for mine in [".out.old", "out.old"] {
            assert_eq!(fs::read_to_string(folder.path().join(mine).join("mine")).unwrap(), "mine");
        }
    }
}
