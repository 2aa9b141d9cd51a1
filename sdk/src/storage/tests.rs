//! Who may read what is written, whatever the folder above says.

use super::{Access, Temporary, folder_for, new_folder, own_folder, replace, write};
use rustix::fs::{XattrFlags, getxattr, setxattr};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const MASK: u16 = 0x10;
const NAMED: [u16; 2] = [0x02, 0x08];

/// An access control list as Linux keeps it: its version, and each entry's tag, rights and number.
fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entry = |(tag, rights, number): &(u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &number.to_le_bytes()].concat()
    };
    2u32.to_le_bytes().into_iter().chain(entries.iter().flat_map(entry)).collect()
}

/// The rights that the list of a path gives to those whom it names.
fn rights_of_named(path: &Path) -> u16 {
    let mut bytes = [0u8; 256];
    assert!(getxattr(path, "system.posix_acl_access", &mut bytes).is_ok(), "{} has no list", path.display());
    let number = |at: &[u8]| u16::from_le_bytes([at[0], at[1]]);
    let entries: Vec<(u16, u16)> = bytes[4..].chunks_exact(8).map(|e| (number(e), number(&e[2..]))).collect();
    let of = |tags: &[u16]| entries.iter().filter(|(tag, _)| tags.contains(tag)).fold(0, |all, (_, r)| all | r);
    assert_ne!(of(&NAMED), 0, "{} names nobody", path.display());
    of(&NAMED) & of(&[MASK])
}

/// The bits of the group are the mask of such a list, beyond which nobody who is named in it has rights: acl(5).
#[test]
fn whoever_the_folder_above_gives_rights_to_has_none_to_what_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = u32::MAX;
    let all = [
        (0x01, 7, nobody),
        (0x02, 7, 12345),
        (0x04, 7, nobody),
        (0x08, 7, 12345),
        (MASK, 7, nobody),
        (0x20, 7, nobody),
    ];
    let given = setxattr(folder.path(), "system.posix_acl_default", &list(&all), XattrFlags::empty());
    if given.is_err() {
        eprintln!("not tried: {} has no access control lists", folder.path().display());
        return;
    }
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("of others")).unwrap();
    assert_eq!(rights_of_named(&at("of others")), 7);
    own_folder(&at("own/inner")).unwrap();
    write(&at("own/inner/a"), b"x").unwrap();
    replace(&at("own/b"), |new| write(new, b"x")).unwrap();
    let temporary = Temporary::new(folder.path(), "c-").unwrap();
    let stays = new_folder(folder.path(), "d-").unwrap();
    let private = [at("own"), at("own/inner"), at("own/inner/a"), at("own/b"), temporary.path().to_owned(), stays];
    for path in &private {
        assert_eq!(rights_of_named(path), 0, "{}", path.display());
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
    // What is widened is for those whom the list names, too.
    Access::Group.give(&at("own")).unwrap();
    assert_eq!([rights_of_named(&at("own")), rights_of_named(&at("own/b"))], [5, 4]);
}

/// Its rights; 0 where nothing is.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).map_or(0, |found| found.permissions().mode() & 0o777)
}

/// Runs for a group were in a folder that was its owner's alone.
#[test]
fn folders_that_are_made_are_for_whom_access_says_and_those_that_are_there_stay() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    own_folder(&at("there")).unwrap();
    for (access, expected) in [(Access::Private, 0o700), (Access::Group, 0o750), (Access::All, 0o755)] {
        let [outer, inner] = [format!("there/{expected}"), format!("there/{expected}/runs")].map(|name| at(&name));
        folder_for(&inner, access).unwrap();
        assert_eq!([mode(&outer), mode(&inner), mode(&at("there"))], [expected, expected, 0o700], "{access:?}");
        folder_for(&inner, Access::All).unwrap();
        assert_eq!(mode(&inner), expected);
    }
}

/// Runs in a folder of a group, which hands its group on, were their owner's group's.
#[test]
fn a_folder_that_hands_its_group_on_goes_on_with_it_and_what_is_there_behind_two_points_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (lab, all) =
        (folder.path().join("lab"), |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777);
    fs::create_dir(&lab).unwrap();
    fs::set_permissions(&lab, fs::Permissions::from_mode(0o2775)).unwrap();
    for (name, access, expected) in [("a", Access::Private, 0o2700), ("b", Access::Group, 0o2750)] {
        folder_for(&lab.join(name).join("runs"), access).unwrap();
        assert_eq!([all(&lab.join(name)), all(&lab.join(name).join("runs")), all(&lab)], [expected, expected, 0o2775]);
    }
    write(&lab.join("b/runs/x"), b"x").unwrap();
    Access::All.give(&lab.join("b")).unwrap();
    assert_eq!([all(&lab.join("b/runs")), all(&lab.join("b/runs/x"))], [0o2755, 0o644]);
    folder_for(&lab.join("new/../../lab"), Access::Group).unwrap();
    assert_eq!([all(&lab.join("new")), all(&lab)], [0o2750, 0o2775]);
}

/// A link to tables in a run that is for all made the tables readable for all.
#[test]
fn what_a_link_leads_to_keeps_its_rights() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    own_folder(&at("run")).unwrap();
    write(&at("table"), b"x").unwrap();
    write(&at("run/notes"), b"x").unwrap();
    std::os::unix::fs::symlink(at("table"), at("run/link")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("run/broken")).unwrap();
    Access::All.give(&at("run")).unwrap();
    assert_eq!([mode(&at("run")), mode(&at("run/notes")), mode(&at("table"))], [0o755, 0o644, 0o600]);
}
