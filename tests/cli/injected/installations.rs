//! Installations, and the archives that hold them.

use super::program::said;
use super::support::{dualk, fail_each, fails};
use dualk_sdk::plugin::Stamp;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};

/// Names below a folder and lengths of files: enough to tell installations apart.
fn listing(folder: &Path) -> Vec<(PathBuf, u64)> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            let length = if path.is_dir() { 0 } else { fs::metadata(&path).unwrap().len() };
            found.push((path.strip_prefix(folder).unwrap().to_owned(), length));
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Program, libraries and manifests are of one installation, the old one or the new one.
#[test]
fn installations_are_never_mixed() {
    let install = ["install", "--without-metadata", "--prefix", "prefix"];
    let before = |folder: &Path| {
        let library = format!("lib/dualk/{DLL_PREFIX}dualk_plugin_old{DLL_SUFFIX}");
        for (file, text) in [
            ("bin/dualk", "old"),
            ("bin/other", "theirs"),
            (library.as_str(), ""),
            ("share/dualk/experiments/old.toml", ""),
            ("share/dualk/installed.txt", &format!("{DLL_PREFIX}dualk_plugin_old{DLL_SUFFIX}\nexperiments/old.toml\n")),
        ] {
            let file = folder.join("prefix").join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    };
    let place = |fault: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        before(folder.path());
        let output = fault.is_none().then(|| dualk(folder.path(), &install, None));
        assert!(output.is_none_or(|output| output.status.success()));
        listing(&folder.path().join("prefix"))
    };
    let (old, new) = (place(Some("none")), place(None));
    assert!(new.len() > old.len() + 20, "{new:?}");
    let check = |folder: &Path, when: &str| {
        let found = listing(&folder.join("prefix"));
        assert!(found == old || found == new, "neither the old installation nor the new one: {when}{found:?}");
    };
    let failures = fail_each(29, &install, before, check);
    assert!(failures >= 4, "{failures}");
    let renames = (1..).take_while(|n| fails(&format!("rename {n}"), *n, &install, &before, &check)).count();
    assert_eq!(renames, 3, "libraries, manifests, program");
}

#[test]
fn installations_take_the_place_of_installations_alone() {
    let plugin = format!("{DLL_PREFIX}dualk_plugin_mine{DLL_SUFFIX}");
    for (theirs, named) in [
        ("lib/dualk/notes.md", "`notes.md`"),
        (&format!("lib/dualk/{plugin}"), &format!("`{plugin}`")),
        ("share/dualk/thesis/a.txt", "`thesis/a.txt`"),
        ("share/dualk/experiments/mine.toml", "`experiments/mine.toml`"),
        ("bin/dualk", "that no installation put there"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prefix").join(theirs);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "theirs").unwrap();
        let before = listing(folder.path());
        let output = dualk(folder.path(), &["install", "--without-metadata", "--prefix", "prefix"], None);
        let said = said(&output);
        assert!(
            output.status.code() == Some(2) && said.contains(named) && said.contains("nothing was installed"),
            "{said}"
        );
        assert_eq!(listing(folder.path()), before);
    }
}

/// Here `tar` writes a word, and the other tools nothing.
#[test]
fn archives_are_the_old_ones_or_the_new_ones() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let tools = tempfile::tempdir().unwrap();
    let tar =
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do\n    if [ \"$1\" = -cf ]; then echo new > \"$2\"; fi\n    shift\ndone\n";
    for (name, text) in [("tar", tar), ("xz", "#!/bin/sh\n"), ("strip", "#!/bin/sh\n")] {
        let file = tools.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let archive = format!("archives/dualk-{}-{}.tar.xz", env!("CARGO_PKG_VERSION"), Stamp::current().target);
    let before = |folder: &Path| {
        symlink(tools.path(), folder.join("tools")).unwrap();
        fs::create_dir(folder.join("archives")).unwrap();
        fs::write(folder.join(&archive), "old\n").unwrap();
    };
    let check = |folder: &Path, when: &str| {
        let found = fs::read_to_string(folder.join(&archive)).unwrap();
        assert!(found == "old\n" || found == "new\n", "{found:?} {when}");
        assert_eq!(fs::read_dir(folder.join("archives")).unwrap().count(), 1, "{when}");
    };
    let package = ["package", "--without-metadata", "archives"];
    // The first is a folder beside the archive. Three changes of names are those of an installation into nothing.
    for place in ["create 1", "rename 1", "rename 4"] {
        assert!(fails(place, place.len(), &package, &before, &check), "{place}");
    }
    let place = tempfile::tempdir().unwrap();
    before(place.path());
    let output = dualk(place.path(), &package, None);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_to_string(place.path().join(&archive)).unwrap(), "new\n");
}
