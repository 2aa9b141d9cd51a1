//! Runs, and what is made of them.

use super::program::said;
use super::support::{contents, dualk, fail_each, fails, leftovers, manifest, turn, weights};
use dualk_sdk::experiment::read_events;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The checkpoint at the end of a stage goes by the measures of its patients: they are on the disk before, and not with
/// the results at the end alone.
#[test]
fn measures_of_patients_are_forced_to_the_disk_with_their_stage() {
    let is_named = |number: usize| {
        let folder = tempfile::tempdir().unwrap();
        manifest(folder.path());
        // A checkpoint after every step: how many there are goes by their number, and not by what they cost.
        let run = ["run", "small.toml", "--no-cache", "--set", "output.checkpoint_minutes=0"];
        let output = dualk(folder.path(), &run, Some(&format!("sync {number}:EIO")));
        let said = said(&output);
        assert!(said.contains("fault injected"), "no sync before the results is theirs: {said}");
        let run = fs::read_dir(folder.path().join("runs")).unwrap().next().unwrap().unwrap().path();
        !output.status.success() && said.contains("patients-2-finetune.json") && !run.join("result.json").exists()
    };
    assert!((1..).any(is_named));
}

#[test]
fn run_and_its_cache() {
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    assert!(dualk(place.path(), &["run", "small.toml"], None).status.success());
    let whole = weights(&place.path().join("runs"));
    assert_eq!(whole.len(), 1);
    let failures = fail_each(5, &["run", "small.toml"], manifest, |folder, when| {
        let found = weights(&folder.join("runs"));
        assert!(found.is_empty() || found == whole, "{when}");
        let verified = dualk(folder, &["cache", "verify"], None);
        assert!(verified.status.success(), "{when}{}", said(&verified));
        // The next try ends well, from whatever is there.
        let again = dualk(folder, &["run", "small.toml", "--resume"], None);
        assert!(again.status.success(), "{when}{}", said(&again));
        assert_eq!(weights(&folder.join("runs")), whole, "{when}");
        assert_eq!(fs::read_dir(folder.join("runs")).unwrap().count(), 1, "{when}");
    });
    assert!(failures > 12, "{failures}");
}

#[test]
fn evaluations_write_whole_predictions_or_none() {
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    assert!(dualk(place.path(), &["run", "small.toml"], None).status.success());
    let run = fs::read_dir(place.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let run = run.to_str().unwrap();
    let failures = fail_each(
        1,
        &["eval", run, "--predictions", "logits.parquet", "--no-cache"],
        |_| {},
        |folder, when| {
            assert!(
                contents(folder).is_empty() || contents(folder).keys().all(|f| f.ends_with("logits.parquet")),
                "{when}"
            );
        },
    );
    assert!(failures >= 4, "{failures}");
}

/// Folders and files that are made of a finished run.
#[test]
fn what_is_made_of_runs_is_whole() {
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    assert!(dualk(place.path(), &["run", "small.toml"], None).status.success());
    let run = fs::read_dir(place.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let run = run.to_str().unwrap();
    for (arguments, least) in [
        (&["scrub", run, "--out", "made", "--with-weights"][..], 15),
        (&["export", run, "--out", "made", "--no-cache"], 5),
        (&["compare", run, "--format", "csv", "--out", "table.csv", "--report", "page.html"], 10),
        (&["plugin", "lock", "small.toml"], 5),
    ] {
        let before = |folder: &Path| {
            manifest(folder);
            fs::write(folder.join("plugins.lock"), "plugin = []").unwrap();
            fs::write(folder.join("table.csv"), "name,runs,metric,old").unwrap();
            fs::write(folder.join("page.html"), "<!doctype html><meta name=\"generator\" content=\"dualk 0\"></html>")
                .unwrap();
        };
        let new = tempfile::tempdir().unwrap();
        before(new.path());
        let output = dualk(new.path(), arguments, None);
        assert!(output.status.success(), "{}", said(&output));
        let new = contents(new.path());
        let failures = fail_each(1, arguments, before, |folder, when| {
            let found = contents(folder);
            for (name, bytes) in &found {
                let is_page = || bytes.trim_ascii_end().ends_with(b"</html>");
                let is_old = bytes == b"plugin = []" || bytes == b"name,runs,metric,old";
                let whole = is_old || Some(bytes) == new.get(name) || is_page();
                assert!(whole, "{} is half of it: {when}", name.display());
            }
            let made =
                |names: &BTreeMap<PathBuf, Vec<u8>>| names.keys().filter(|name| name.starts_with("made")).count();
            assert!(made(&found) == 0 || made(&found) == made(&new), "{when}");
            assert_eq!(leftovers(folder), [""; 0], "{when}");
        });
        assert!(failures >= least, "{arguments:?}: {failures}");
    }
}

/// The page of a finished run, which was there before and which its group may read.
#[test]
fn a_page_that_is_written_anew_is_the_old_one_or_the_new_one() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    assert!(dualk(place.path(), &["run", "small.toml"], None).status.success());
    let run = fs::read_dir(place.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let page = run.join("report.html");
    let before = |_: &Path| {
        fs::write(&page, "old").unwrap();
        fs::set_permissions(&page, fs::Permissions::from_mode(0o640)).unwrap();
    };
    let failures = fail_each(1, &["report", run.to_str().unwrap()], before, |_, when| {
        let found = fs::read(&page).unwrap();
        assert!(found == b"old" || found.trim_ascii_end().ends_with(b"</html>"), "half of a page: {when}");
        assert_eq!(leftovers(&run), [""; 0], "{when}");
    });
    assert!(failures >= 4, "{failures}");
    assert!(fs::read(&page).unwrap().trim_ascii_end().ends_with(b"</html>"));
    assert_eq!(fs::metadata(&page).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn event_files_are_those_of_the_whole_run() {
    let run = ["run", "small.toml", "--set", "output.tensorboard=true"];
    let events = |folder: &Path| -> Vec<Vec<String>> {
        let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().map(|e| e.unwrap().path());
        let finished = runs.filter(|run| !run.to_string_lossy().contains("unfinished"));
        let files = finished.flat_map(|run| fs::read_dir(run.join("tensorboard")).unwrap());
        let tags = |file: PathBuf| read_events(&file).unwrap().into_iter().map(|event| event.tag).collect();
        files.map(|file| tags(file.unwrap().path())).collect()
    };
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    assert!(dualk(place.path(), &run, None).status.success());
    let whole = events(place.path());
    assert!(whole.len() == 1 && whole[0].iter().any(|tag| tag == "test/R@10"), "{whole:?}");
    let failures = fail_each(17, &run, manifest, |folder, when| {
        let found = events(folder);
        assert!(found.is_empty() || found == whole, "{when}");
        let again = dualk(folder, &[&run[..], &["--resume"]].concat(), None);
        assert!(again.status.success(), "{when}{}", said(&again));
        assert_eq!(events(folder), whole, "{when}");
    });
    assert!(failures > 3, "{failures}");
}

/// A run that is complete removes its checkpoints, the result whose place it took, and a killed run of the same, and moves what others put
/// into these: whatever of that fails is told, and the next run of the same ends it.
#[test]
fn what_a_complete_run_cannot_remove_is_told_and_goes_with_the_next() {
    let run = ["run", "small.toml", "--no-cache", "--set", "output.tensorboard=true"];
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    assert!(dualk(place.path(), &run, None).status.success());
    let whole = weights(&place.path().join("runs"));
    let (files, name) = (contents(&place.path().join("runs")), only_name(&place.path().join("runs")));
    let before = |folder: &Path| {
        manifest(folder);
        let killed = folder.join("runs").join(format!("{name}.unfinished-AbC123"));
        for (file, bytes) in &files {
            let killed = killed.join(file.strip_prefix(&name).unwrap());
            for file in [folder.join("runs").join(file), killed] {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, bytes).unwrap();
            }
        }
        fs::remove_file(killed.join("result.json")).unwrap();
        let state = r#"{ "state": "running", "reason": "", "process": 1 }"#;
        fs::write(killed.join("status.json"), state).unwrap();
        fs::create_dir_all(killed.join("resume/00000001")).unwrap();
        fs::write(killed.join("resume/00000001/state.json"), "{}").unwrap();
        fs::write(killed.join("notes.md"), "mine").unwrap();
    };
    let check = |folder: &Path, when: &str| {
        let runs = folder.join("runs");
        assert_eq!(weights(&runs), whole, "{when}");
        let again = dualk(folder, &run, None);
        assert!(again.status.success(), "{when}{}", said(&again));
        assert_eq!((weights(&runs), only_name(&runs)), (whole.clone(), name.clone()), "{when}");
        assert_eq!(fs::read_to_string(runs.join(&name).join("notes.md")).unwrap(), "mine", "{when}");
        assert!(!runs.join(&name).join("resume").exists(), "{when}");
    };
    for (step, by, least) in [("remove", 3, 8), ("rename", 1, 4)] {
        let numbers = (1 + turn() % by..).step_by(by);
        let failures = numbers.take_while(|n| fails(&format!("{step} {n}"), *n, &run, &before, &check)).count();
        assert!(failures >= least, "{step}: {failures}");
    }
}

/// A run that fails before its first epoch leaves nothing, or says what it leaves.
#[test]
fn what_a_failed_run_cannot_remove_is_told() {
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path());
    let run = ["run", "small.toml", "--no-cache", "--set", "output.mlflow=localhost"];
    let said = said(&dualk(folder.path(), &run, Some("remove 1:EACCES")));
    for part in ["fault injected: Remove", "warning: not removed: ", "ermission denied", "`output.mlflow`"] {
        assert!(said.contains(part), "lacks {part:?}: {said}");
    }
}

/// The name of the only folder in one.
fn only_name(folder: &Path) -> String {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].clone()
}

/// What a kill between the two renames of a file system without an exchange leaves of the result before: it keeps its name
/// until a run of the same is complete, and what others put into it is in the new one.
#[test]
fn an_earlier_result_keeps_its_name_until_a_run_of_the_same_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    manifest(folder.path());
    let names = || -> Vec<String> {
        let entries = fs::read_dir(folder.path().join("runs")).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let run = |arguments: &[&str], fault: Option<&str>| {
        dualk(folder.path(), &[&["run", "small.toml", "--no-cache"][..], arguments].concat(), fault).status.code()
    };
    assert_eq!(run(&[], None), Some(0));
    let found = names();
    assert_eq!(found.len(), 1, "{found:?}");
    let name = &found[0];
    let result = |name: &str| folder.path().join("runs").join(name);
    let old = format!("{name}.unfinished-AbC123.old");
    fs::write(result(name).join("mine"), "mine").unwrap();
    fs::rename(result(name), result(&old)).unwrap();
    let before = contents(&result(&old));
    // Another experiment, and the same one without success.
    assert_eq!(run(&["--set", "seed=4"], None), Some(0));
    assert_eq!(run(&[], Some("create 1:EIO")), Some(2));
    assert!(contents(&result(&old)) == before, "{:?}", names());
    assert_eq!(run(&[], None), Some(0));
    assert!(names().len() == 2 && names().contains(name), "{:?}", names());
    assert_eq!(fs::read_to_string(result(name).join("mine")).unwrap(), "mine");
}
