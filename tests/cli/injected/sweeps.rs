//! Sweeps and their members.

use super::program::said;
use super::support::{MANIFEST, dualk, error_of, turn, weights};
use std::fs;
use std::path::Path;

/// A sweep has a plan, a table, and a folder a member with its state: whatever fails in it or in a member, the same command
/// goes on.
#[test]
fn sweeps_go_on_with_whatever_is_there() {
    let sweep = ["sweep", "small.toml", "--out", "out", "--jobs", "1", "--threads", "1"];
    let before = |folder: &Path| {
        fs::write(folder.join("small.toml"), format!("{MANIFEST}\n[sweep]\nseeds = [1, 2]\n")).unwrap();
    };
    let logs = |folder: &Path| -> String {
        let members = fs::read_dir(folder.join("out/members")).into_iter().flatten().flatten();
        members.map(|member| fs::read_to_string(member.path().join("log.txt")).unwrap_or_default()).collect()
    };
    let place = tempfile::tempdir().unwrap();
    before(place.path());
    let output = dualk(place.path(), &sweep, None);
    assert!(output.status.success(), "{}", said(&output));
    let whole = weights(&place.path().join("out/runs"));
    assert_eq!(whole.len(), 2);
    // The first nine are the sweep's, before a member begins; of the others, members have some of their own as well.
    let all = std::env::var_os("DUALK_FAULT_ALL").is_some();
    let some = || [0, 3, 5, 8].map(|n| 1 + (n + turn()) % 9).into_iter().chain([40]).collect();
    let numbers: Vec<usize> = if all { (1..100).collect() } else { some() };
    for number in numbers {
        let (error, text) = error_of(number);
        let folder = tempfile::tempdir().unwrap();
        before(folder.path());
        let output = dualk(folder.path(), &sweep, Some(&format!("{number}:{error}")));
        let when = format!("operation {number}, {error}:\n{}{}", said(&output), logs(folder.path()));
        assert!(when.contains("fault injected") || all && output.status.success(), "{when}");
        match output.status.code() {
            Some(0) => assert!(when.contains("warning: no") || all, "{when}"),
            code => {
                assert_eq!(code, Some(2), "{when}");
                assert!(when.contains(text) && when.contains("-->"), "names neither cause nor path: {when}");
            }
        }
        let again = dualk(folder.path(), &sweep, None);
        assert!(again.status.success(), "{when}{}", said(&again));
        assert_eq!(weights(&folder.path().join("out/runs")), whole, "{when}");
    }
}
