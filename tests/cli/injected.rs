//! Every single write, sync and change of a name fails once, in every command that writes: afterwards the old result is
//! whole or the new one is, and the error names a path and the cause.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story
#![cfg(unix)]

use dualk_sdk::experiment::read_events;
use dualk_sdk::plugin::Stamp;
use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MANIFEST: &str = r#"name = "small"
seed = 3

[backend]
device = "cpu"

[data]
parser = { type = "synthetic", patients = 150, codes = 60, labs = 12, clusters = 5 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }

[model]
node_init = { type = "random", dim = 8 }
graph_encoder = { type = "gat", dims = [8] }
lab = { type = "linear", dim = 8 }
head = { decoder = [8, 8], classifier = [8], dropout = 0.1 }

[output]
runs = "runs"

[[stage]]
type = "lab"
epochs = 1

[[stage]]
type = "finetune"
epochs = 1
"#;

/// What the system says for each error, or what is said in its place.
const ERRORS: [(&str, &str); 4] = [
    ("ENOSPC", "No space left on device"),
    ("EIO", "Input/output error"),
    ("EMFILE", "Too many open files"),
    ("EACCES", "permission denied"),
];

/// `DUALK_FAULT_TURN`, or 0: with each turn an operation fails with the next of the errors, and where some are tried these
/// are others.
fn turn() -> usize {
    std::env::var("DUALK_FAULT_TURN").map_or(0, |turn| turn.parse().unwrap())
}

/// The error of the operation of this number, and what is said of it.
fn error_of(number: usize) -> (&'static str, &'static str) {
    ERRORS[(number + turn()) % ERRORS.len()]
}

fn dualk(folder: &Path, arguments: &[&str], fault: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dualk"));
    command.current_dir(folder).env("DUALK_CACHE", folder.join("cache")).args(arguments);
    if let Some(fault) = fault {
        command.env("DUALK_FAULT", fault);
    }
    let tools = folder.join("tools");
    if tools.is_dir() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&path))).unwrap());
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file below a folder with its bytes, but for what differs from run to run.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => drop(found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap())),
            }
        }
    }
    found
}

/// Lets every `step`-th operation of `arguments` fail, all of them where `DUALK_FAULT_ALL` is set. `before` makes the
/// place, `check` looks at it after a failure.
fn fail_each(step: usize, arguments: &[&str], before: impl Fn(&Path), check: impl Fn(&Path, &str)) -> usize {
    let step = if std::env::var_os("DUALK_FAULT_ALL").is_some() { 1 } else { step };
    let numbers = (1 + turn() % step..).step_by(step);
    numbers.take_while(|number| fails(&number.to_string(), *number, arguments, &before, &check)).count()
}

/// Lets the operation `place` of `arguments` fail with one of the errors; `false` when there is no such operation.
fn fails(
    place: &str,
    number: usize,
    arguments: &[&str],
    before: &impl Fn(&Path),
    check: &impl Fn(&Path, &str),
) -> bool {
    let (error, text) = error_of(number);
    let folder = tempfile::tempdir().unwrap();
    before(folder.path());
    let output = dualk(folder.path(), arguments, Some(&format!("{place}:{error}")));
    let said = said(&output);
    if !said.contains("fault injected") {
        assert!(output.status.success(), "{said}");
        return false;
    }
    let when = format!("{arguments:?}, operation {place}, {error}:\n{said}");
    match output.status.code() {
        // What is beside the result, such as the cache and checkpoints, is not worth a run.
        Some(0) => assert!(said.contains("warning: no"), "{when}"),
        code => {
            assert_eq!(code, Some(2), "{when}");
            assert!(said.contains(text) && said.contains("-->"), "names neither cause nor path: {when}");
        }
    }
    check(folder.path(), &when);
    true
}

fn manifest(folder: &Path) {
    fs::write(folder.join("small.toml"), MANIFEST).unwrap();
}

/// Names in a folder that no user gave and no command should leave.
fn leftovers(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

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

/// The checkpoint at the end of a stage goes by the measures of its patients: they are on the disk before, and not with
/// the results at the end alone.
#[test]
fn measures_of_patients_are_forced_to_the_disk_with_their_stage() {
    let is_named = |number: usize| {
        let folder = tempfile::tempdir().unwrap();
        manifest(folder.path());
        let output = dualk(folder.path(), &["run", "small.toml", "--no-cache"], Some(&format!("sync {number}:EIO")));
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
    let whole = |folder: &Path| -> Vec<Vec<u8>> {
        let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().map(|e| e.unwrap().path());
        let finished = runs.filter(|run| !run.to_string_lossy().contains("unfinished"));
        finished.map(|run| fs::read(run.join("model.safetensors")).unwrap()).collect()
    };
    let weights = whole(place.path());
    assert_eq!(weights.len(), 1);
    let failures = fail_each(5, &["run", "small.toml"], manifest, |folder, when| {
        let found = whole(folder);
        assert!(found.is_empty() || found == weights, "{when}");
        let verified = dualk(folder, &["cache", "verify"], None);
        assert!(verified.status.success(), "{when}{}", said(&verified));
        // The next try ends well, from whatever is there.
        let again = dualk(folder, &["run", "small.toml", "--resume"], None);
        assert!(again.status.success(), "{when}{}", said(&again));
        assert_eq!(whole(folder), weights, "{when}");
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
            let names = ["table.csv", "page.html", "plugins.lock"];
            names.iter().for_each(|name| fs::write(folder.join(name), "old").unwrap());
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
                let whole = bytes == b"old" || Some(bytes) == new.get(name) || is_page();
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

/// A sweep has a plan, a table, and a folder a member with its state: whatever fails in it or in a member, the same command
/// goes on.
#[test]
fn sweeps_go_on_with_whatever_is_there() {
    let sweep = ["sweep", "small.toml", "--out", "out", "--jobs", "1", "--threads", "1"];
    let before = |folder: &Path| {
        fs::write(folder.join("small.toml"), format!("{MANIFEST}\n[sweep]\nseeds = [1, 2]\n")).unwrap();
    };
    let weights = |folder: &Path| -> Vec<Vec<u8>> {
        let runs = fs::read_dir(folder.join("out/runs")).into_iter().flatten().map(|e| e.unwrap().path());
        let finished = runs.filter(|run| !run.to_string_lossy().contains("unfinished"));
        let mut weights: Vec<_> = finished.map(|run| fs::read(run.join("model.safetensors")).unwrap()).collect();
        weights.sort();
        weights
    };
    let logs = |folder: &Path| -> String {
        let members = fs::read_dir(folder.join("out/members")).into_iter().flatten().flatten();
        members.map(|member| fs::read_to_string(member.path().join("log.txt")).unwrap_or_default()).collect()
    };
    let place = tempfile::tempdir().unwrap();
    before(place.path());
    let output = dualk(place.path(), &sweep, None);
    assert!(output.status.success(), "{}", said(&output));
    let whole = weights(place.path());
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
        assert_eq!(weights(folder.path()), whole, "{when}");
    }
}

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

/// Tables beside a map or graph of other ones would be read, and mean something else.
#[test]
fn made_up_tables_are_all_there_or_none() {
    let synth = ["synth", "--patients", "30", "--lab-rows", "400", "--gzip", "--knowledge", "1", "made/up"];
    let place = tempfile::tempdir().unwrap();
    let output = dualk(place.path(), &synth, None);
    assert!(output.status.success(), "{}", said(&output));
    let whole = contents(&place.path().join("made/up"));
    assert_eq!(whole.len(), 8, "{:?}", whole.keys());
    let check = |folder: &Path, when: &str| {
        let found = contents(&folder.join("made/up"));
        assert!(found.is_empty() || found == whole, "{when}");
        if folder.join("made").exists() {
            assert_eq!(leftovers(&folder.join("made")), [""; 0], "{when}");
        }
    };
    let failures = fail_each(1, &synth, |_| {}, check);
    assert!(failures > 25, "{failures}");
}

#[test]
fn what_is_written_of_made_up_patients_is_of_one_world() {
    let synth = ["synth", "--of", "small.toml", "known"];
    let before = |folder: &Path| {
        manifest(folder);
        fs::create_dir(folder.join("known")).unwrap();
    };
    let place = tempfile::tempdir().unwrap();
    before(place.path());
    let output = dualk(place.path(), &synth, None);
    assert!(output.status.success(), "{}", said(&output));
    let new = contents(&place.path().join("known"));
    let tables = ["admissions", "d_labitems", "diagnoses_icd", "icd10-icd9", "labevents", "patients"];
    assert!(tables.iter().all(|table| new.contains_key(&PathBuf::from(format!("{table}.csv")))), "{:?}", new.keys());
    let known = ["hierarchy.csv", "knowledge.tsv"];
    assert!(new.len() == 8 && known.iter().all(|name| new.contains_key(Path::new(name))), "{:?}", new.keys());
    keeps_what_is_there(&synth, place.path(), "known");
    let failures = fail_each(1, &synth, before, |folder, when| {
        let found = contents(&folder.join("known"));
        assert!(found.is_empty() || found == new, "half of them: {when}");
        assert_eq!(leftovers(&folder.join("known")), [""; 0], "{when}");
    });
    assert!(failures > 14, "{failures}");
}

/// A command that writes to `out` of `folder`, where something is, refuses and changes nothing of it.
fn keeps_what_is_there(command: &[&str], folder: &Path, out: &str) {
    for (name, _) in contents(&folder.join(out)) {
        fs::write(folder.join(out).join(name), "theirs").unwrap();
    }
    let before = contents(folder);
    let output = dualk(folder, command, None);
    assert!(output.status.code() == Some(2) && said(&output).contains("not empty"), "{}", said(&output));
    assert!(contents(folder) == before, "{command:?}");
}

const GRAPH: &str = r#"name = "graph"
seed = 5

[data]
triples = "triples"

[model]
type = "transe"
dim = 4

[train]
steps = 4
batch = 16
negatives = 4

[output]
checkpoint_minutes = 0
"#;

fn graph(folder: &Path) {
    let triples = folder.join("triples");
    fs::create_dir(&triples).unwrap();
    let text = |from: usize| (from..from + 40).map(|i| format!("e{}\tr{}\te{}\n", i % 20, i % 3, i * 7 % 20)).collect();
    for (name, text) in
        [("train.txt", text(0)), ("valid.txt", "e1\tr0\te5\n".into()), ("test.txt", "e2\tr1\te3\n".into())]
    {
        fs::write(triples.join(name), String::as_bytes(&text)).unwrap();
    }
    fs::write(folder.join("graph.toml"), GRAPH).unwrap();
}

#[test]
fn embeddings_of_graphs() {
    let place = tempfile::tempdir().unwrap();
    graph(place.path());
    let train = ["kge", "train", "graph.toml"];
    let output = dualk(place.path(), &train, None);
    assert!(output.status.success(), "{}", said(&output));
    let whole = |folder: &Path| -> Vec<Vec<u8>> {
        let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().map(|e| e.unwrap().path());
        let finished = runs.filter(|run| !run.to_string_lossy().contains("unfinished"));
        finished.map(|run| fs::read(run.join("model.safetensors")).unwrap()).collect()
    };
    let weights = whole(place.path());
    assert_eq!(weights.len(), 1);
    let failures = fail_each(1, &train, graph, |folder, when| {
        let found = whole(folder);
        assert!(found.is_empty() || found == weights, "{when}");
        let again = dualk(folder, &["kge", "train", "graph.toml", "--resume"], None);
        assert!(again.status.success(), "{when}{}", said(&again));
        assert_eq!(whole(folder), weights, "{when}");
        assert_eq!(fs::read_dir(folder.join("runs")).unwrap().count(), 1, "{when}");
    });
    assert!(failures > 40, "{failures}");
}

/// Dictionaries of one graph with the triples of another would be read, and mean something else.
#[test]
fn graphs_are_written_whole_or_not_at_all() {
    const FILES: [&str; 5] = ["entities.dict", "relations.dict", "test.txt", "train.txt", "valid.txt"];
    let write = ["kge", "graph", "graph.toml", "--out", "written"];
    let place = tempfile::tempdir().unwrap();
    graph(place.path());
    assert!(dualk(place.path(), &write, None).status.success());
    let new = contents(&place.path().join("written"));
    assert!(new.keys().eq(FILES.map(Path::new)), "{:?}", new.keys());
    keeps_what_is_there(&write, place.path(), "written");
    let failures = fail_each(1, &write, graph, |folder, when| {
        let found = contents(&folder.join("written"));
        assert!(found.is_empty() || found == new, "half of the graph: {when}");
    });
    assert!(failures > 20, "{failures}");
}

/// Files as the published code leaves them, made up here.
mod published {
    use dualk_sdk::serde_json::{self, Value};
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use zip::write::FileOptions;
    use zip::{CompressionMethod, ZipWriter};

    /// Width of embeddings.
    const WIDTH: usize = 4;

    fn text(text: &str) -> Vec<u8> {
        [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    fn integer(number: usize) -> Vec<u8> {
        [b"J", &(number as i32).to_le_bytes()[..]].concat()
    }

    fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
        [b"(", &items.concat()[..], b"t"].concat()
    }

    fn dict(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Vec<u8> {
        let entries = entries.into_iter().flat_map(|(key, value)| [key, value].concat());
        [b"}(", &entries.collect::<Vec<u8>>()[..], b"u"].concat()
    }

    /// An array of NumPy with one dimension.
    fn array<const N: usize>(kind: &str, numbers: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
        let data = numbers.into_iter().flatten().collect::<Vec<u8>>();
        let dtype = [b"cnumpy\ndtype\n", &tuple(&[text(kind)])[..], b"R"].concat();
        let bytes = [b"B", &(data.len() as u32).to_le_bytes()[..], &data].concat();
        let state = tuple(&[integer(1), tuple(&[integer(data.len() / N)]), dtype, b"\x89".to_vec(), bytes]);
        let class = tuple(&[b"cnumpy\nndarray\n".to_vec()]);
        [b"cnumpy.core.multiarray\n_reconstruct\n", &class[..], b"R", &state, b"b"].concat()
    }

    /// A tensor whose numbers are in the file `key` of the archive.
    fn tensor(key: usize, shape: &[usize]) -> Vec<u8> {
        let strides = (0..shape.len()).map(|axis| integer(shape[axis + 1..].iter().product())).collect::<Vec<_>>();
        let storage = [
            text("storage"),
            b"ctorch\nFloatStorage\n".to_vec(),
            text(&key.to_string()),
            text("cpu"),
            integer(shape.iter().product()),
        ];
        let storage = [tuple(&storage), b"Q".to_vec()].concat();
        let shape = shape.iter().map(|&size| integer(size)).collect::<Vec<_>>();
        let hooks = b"ccollections\nOrderedDict\n)R".to_vec();
        let arguments = tuple(&[storage, integer(0), tuple(&shape), tuple(&strides), b"\x89".to_vec(), hooks]);
        [b"ctorch._utils\n_rebuild_tensor_v2\n", &arguments[..], b"R"].concat()
    }

    fn pickle(value: &[u8]) -> Vec<u8> {
        [b"\x80\x02", value, b"."].concat()
    }

    /// Entries of an object of JSON that are whole numbers.
    fn numbers(object: &Value) -> impl Iterator<Item = (&String, usize)> {
        object.as_object().unwrap().iter().map(|(key, number)| (key, number.as_u64().unwrap() as usize))
    }

    /// Shapes of a GAT of two layers with heads and decoders, for so many nodes, codes and items.
    fn shapes(nodes: usize, codes: usize, labs: &Value) -> BTreeMap<String, Vec<usize>> {
        let items = |category: &str| labs[category].as_object().unwrap().len();
        let mut shapes = BTreeMap::new();
        let mut add = |name: &str, shape: &[usize]| drop(shapes.insert(name.to_owned(), shape.to_vec()));
        add("gnn_layer.node_features", &[nodes, WIDTH]);
        for layer in ["gnn_layer.conv1", "gnn_layer.conv2"] {
            add(&format!("{layer}.att_src"), &[1, 1, WIDTH]);
            add(&format!("{layer}.att_dst"), &[1, 1, WIDTH]);
            add(&format!("{layer}.bias"), &[WIDTH]);
            add(&format!("{layer}.lin.weight"), &[WIDTH, WIDTH]);
        }
        add("visit_attention.attn_weights", &[WIDTH, WIDTH]);
        add("patient_attention.attn_weights", &[WIDTH, WIDTH]);
        let mut layer = |name: &str, input: usize, output: usize| {
            add(&format!("{name}.weight"), &[output, input]);
            add(&format!("{name}.bias"), &[output]);
        };
        layer("lab_layer", items("all"), 3);
        for (decoder, category) in [("decoder1", "hematology"), ("decoder2", "chemistry"), ("decoder3", "blood gas")] {
            layer(&format!("{decoder}.fc1"), WIDTH, 2);
            layer(&format!("{decoder}.fc2"), 2, 2);
            layer(&format!("{decoder}.fc3"), 2, items(category));
        }
        // The patient, the items and what the decoders hold.
        layer("classifier.fc1", WIDTH + 3 + 3 * 2, 2);
        layer("classifier.fc2", 2, codes);
        shapes
    }

    fn write_checkpoint(file: &Path, shapes: &BTreeMap<String, Vec<usize>>) {
        let mut zip = ZipWriter::new(fs::File::create(file).unwrap());
        let mut add = |name: &str, bytes: &[u8]| {
            zip.start_file(name, FileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
            zip.write_all(bytes).unwrap();
        };
        let state = shapes.iter().enumerate().map(|(key, (name, shape))| (text(name), tensor(key, shape)));
        add("made/data.pkl", &pickle(&dict(state)));
        for (key, shape) in shapes.values().enumerate() {
            let number = |i: usize| ((i * 7 % 13) as f32 / 6.5 - 1.0).to_le_bytes();
            let numbers = (0..shape.iter().product::<usize>()).flat_map(number).collect::<Vec<u8>>();
            add(&format!("made/data/{key}"), &numbers);
        }
        zip.finish().unwrap();
    }

    /// Writes to `folder` a model of the patients that `dualk prepare` wrote to `prepared`.
    pub fn write(folder: &Path, prepared: &Path) {
        let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(prepared.join(name)).unwrap()).unwrap() };
        let (vocabulary, splits) = (read("vocabulary.json"), read("splits.json"));
        let (codes, pretrained) = (&vocabulary["code_map"], &vocabulary["code_map_pretrain"]);
        let by_code = |map: &Value| dict(numbers(map).map(|(code, number)| (text(code), integer(number))));
        let by_item =
            |map: &Value| dict(numbers(map).map(|(item, number)| (integer(item.parse().unwrap()), integer(number))));
        let labs = vocabulary["labs"].as_object().unwrap().iter().map(|(name, map)| (text(name), by_item(map)));
        let maps = [
            (text("code_map"), by_code(codes)),
            (text("code_map_pretrain"), by_code(pretrained)),
            (text("lab_map"), dict(labs)),
        ];
        let patients = ["pretrain", "train", "valid", "test"].map(|part| {
            let ids = splits[part].as_array().unwrap().iter().map(|id| id.as_i64().unwrap().to_le_bytes());
            (text(&format!("{part}_pids")), array("i8", ids))
        });
        let vector = |number: usize| array("f4", [number as f32; WIDTH].map(f32::to_le_bytes));
        let vectors = numbers(pretrained).map(|(code, number)| (text(code), vector(number)));
        fs::create_dir(folder).unwrap();
        for (name, value) in
            [("code_maps.pkl", dict(maps)), ("pids.pkl", dict(patients)), ("ICD2HAKE_4.pkl", dict(vectors))]
        {
            fs::write(folder.join(name), pickle(&value)).unwrap();
        }
        let (nodes, codes) = (pretrained.as_object().unwrap().len() + 1, codes.as_object().unwrap().len());
        write_checkpoint(&folder.join("checkpoint.pth"), &shapes(nodes, codes, &vocabulary["labs"]));
    }
}

#[test]
fn imported_runs() {
    let place = tempfile::tempdir().unwrap();
    manifest(place.path());
    let output = dualk(place.path(), &["prepare", "small.toml", "--out", "prepared"], None);
    assert!(output.status.success(), "{}", said(&output));
    let files = place.path().join("published");
    published::write(&files, &place.path().join("prepared"));
    let (data, _) = MANIFEST.split_once("[model]").unwrap();
    let (_, data) = data.split_once("[data]").unwrap();
    let before = |folder: &Path| {
        fs::write(folder.join("data.toml"), format!("[data]{data}")).unwrap();
        fs::write(folder.join("v.safetensors"), "old").unwrap();
    };
    let import = ["import", files.to_str().unwrap(), "--data", "data.toml", "--vectors", "v.safetensors"];
    let weights = |folder: &Path| -> Vec<Vec<u8>> {
        let runs = fs::read_dir(folder.join("runs")).into_iter().flatten().map(|e| e.unwrap().path());
        runs.map(|run| fs::read(run.join("model.safetensors")).unwrap()).collect()
    };
    before(place.path());
    let output = dualk(place.path(), &import, None);
    assert!(output.status.success(), "{}", said(&output));
    let new = (weights(place.path()), fs::read(place.path().join("v.safetensors")).unwrap());
    assert_eq!(new.0.len(), 1);
    let failures = fail_each(1, &import, before, |folder, when| {
        let (found, vectors) = (weights(folder), fs::read(folder.join("v.safetensors")).unwrap());
        assert!(found.is_empty() || found == new.0, "{when}");
        assert!(vectors == b"old" || vectors == new.1, "{when}");
        assert_eq!(leftovers(folder), [""; 0], "{when}");
    });
    assert!(failures > 20, "{failures}");
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
