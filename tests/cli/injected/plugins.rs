//! What `dualk plugin new` writes.

use super::support::{fail_each, leftovers};

#[test]
fn new_plugins_are_whole_or_not_there() {
    let failures = fail_each(
        1,
        &["plugin", "new", "mine", "--slot", "loss"],
        |_| {},
        |folder, when| {
            let there = folder.join("mine/src/lib.rs").exists();
            let whole =
                ["Cargo.toml", "README.md", ".cargo/config.toml"].iter().all(|f| folder.join("mine").join(f).exists());
            assert!(!folder.join("mine").exists() || there && whole, "{when}");
            assert_eq!(leftovers(folder), [""; 0], "{when}");
        },
    );
    assert!(failures > 10, "{failures}");
}
