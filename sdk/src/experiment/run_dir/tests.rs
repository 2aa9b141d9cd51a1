//! What becomes of runs, and of what others put into their folders.

use super::left::names_in;
use super::*;
use crate::progress::Silent;

fn identity() -> Identity {
    Identity { sha256: "0123456789abcdef".to_owned(), made_from: json!({}) }
}

fn create(runs: &Path) -> RunDir {
    RunDir::create(runs, "a", &identity(), "", Access::Private).unwrap()
}

fn unfinished(runs: &Path) -> Option<RunDir> {
    RunDir::unfinished(runs, "a", &identity(), Access::Private, &Silent)
}

fn checkpoint(run: &RunDir) {
    fs::create_dir_all(run.file(RESUME).join("00000001")).unwrap();
}

/// What is told of runs.
#[derive(Default)]
struct Said(std::sync::Mutex<Vec<String>>);

impl Progress for Said {
    fn begin(&self, what: &str, unit: &str, total: Option<u64>) -> Box<dyn crate::progress::Task> {
        Silent.begin(what, unit, total)
    }

    fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// Leaves a run as one whose process was killed.
fn kill(mut run: RunDir) -> PathBuf {
    run.writing = None;
    run.path.clone()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = names_in(folder).unwrap().iter().map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_failed_run_is_kept_once_an_epoch_is_recorded_and_the_users_folder_always() {
    let folder = tempfile::tempdir().unwrap();
    let [made, users] = ["made", "users"].map(|name| folder.path().join(name));
    fs::create_dir(&users).unwrap();
    for (runs, stays) in [(&made, false), (&users, true)] {
        let run = create(runs);
        run.write(METRICS, b"").unwrap();
        let error = run.end_with(Error::user("no"), None).to_string();
        assert!(error == "no" && !run.path().exists());
        drop(run);
        assert_eq!(runs.exists(), stays);
        drop(create(runs));
        assert_eq!(runs.exists(), stays);
    }
    let run = create(&made);
    run.append(METRICS, "{}").unwrap();
    let error = run.end_with(Error::user("the disk is full"), None).to_string();
    let path = run.path().to_owned();
    drop(run);
    assert!(error.contains(&format!("without a checkpoint to go on from: {}", path.display())), "{error}");
    let status = read_status(&path).unwrap();
    assert_eq!((status.state.as_str(), status.reason.as_str()), ("failed", "the disk is full"));
    let error = RunDir::open(&path).unwrap_err().to_string();
    assert!(error.contains("it failed: the disk is full") && !error.contains("--resume"), "{error}");
    assert!(unfinished(&made).is_none());
}

/// It was told that none was interrupted, and the same was trained twice.
#[test]
fn a_run_that_another_process_is_at_work_on_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = create(folder.path());
    checkpoint(&run);
    let said = Said::default();
    assert!(RunDir::unfinished(folder.path(), "a", &identity(), Access::Private, &said).is_none());
    let path = run.path().display();
    assert_eq!(said.0.into_inner().unwrap(), [format!("another process is at work on the same run: {path}")]);
}

#[test]
fn a_run_that_cannot_get_its_name_is_failed_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = create(folder.path());
    checkpoint(&run);
    let path = run.path().to_owned();
    run.writing.as_mut().unwrap().target = folder.path().join("none/a");
    let error = run.finish().unwrap_err().to_string();
    assert!(error.contains("kept with its checkpoints"), "{error}");
    assert_eq!(read_status(&path).unwrap().state, "failed");
}

#[test]
fn a_run_that_is_stopped_says_what_is_saved_and_what_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for (command, goes_on) in [
        (Some("dualk run a.toml --resume"), "go on: dualk run a.toml --resume"),
        (None, "the same command and --resume"),
    ] {
        let run = create(folder.path());
        checkpoint(&run);
        let error = run.end_with(Error::stopped(15, "stopped by SIGTERM"), command).to_string();
        let saved = format!("\n  = a checkpoint is saved: {}", run.path().join(RESUME).display());
        assert!(
            error.starts_with("stopped by SIGTERM\n") && error.contains(&saved) && error.ends_with(goes_on),
            "{error}"
        );
        assert_eq!(read_status(run.path()).unwrap().state, "stopped");
    }
}

#[test]
fn what_others_put_into_a_run_is_there_after_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let finish = |text: &str| {
        let run = create(folder.path());
        ["manifest.toml", RESULT].iter().for_each(|name| run.write(name, text.as_bytes()).unwrap());
        checkpoint(&run);
        run.finish().unwrap()
    };
    let run = finish("one");
    run.write("notes.md", b"mine").unwrap();
    own_folder(&run.file("export")).unwrap();
    run.write("export/codes.parquet", b"vectors").unwrap();
    // One that was killed, with notes as well.
    let killed = create(folder.path());
    ["notes.md", "why.md"].iter().for_each(|name| killed.write(name, b"other").unwrap());
    checkpoint(&killed);
    let killed = kill(killed);
    let run = finish("two");
    let read = |name: &str| fs::read_to_string(run.file(name)).unwrap();
    assert_eq!([read(RESULT), read("notes.md"), read("export/codes.parquet")], ["two", "mine", "vectors"]);
    assert_eq!(read("why.md"), "other");
    assert_eq!(names(run.path()), ["checkpoints", "export", IDENTITY, "manifest.toml", "notes.md", RESULT, "why.md"]);
    // Those in a run that is completed go nowhere, nor do earlier ones of that name.
    let other = create(folder.path());
    ["manifest.toml", RESULT, "notes.md"].iter().for_each(|name| other.write(name, b"later").unwrap());
    other.write("tensorboard.md", b"mine").unwrap();
    let run = other.finish().unwrap();
    assert_eq!(fs::read(run.file("notes.md")).unwrap(), b"later");
    assert!(run.file("why.md").exists() && run.file("tensorboard.md").exists());
    let kept = leftovers(folder.path(), |name| name.contains(UNFINISHED));
    let earlier = kept.iter().filter(|left| fs::read(left.join("notes.md")).is_ok_and(|text| text == b"mine"));
    assert_eq!(earlier.count(), 1);
    kept.iter().filter(|left| **left != killed).for_each(|left| fs::remove_dir_all(left).unwrap());
    // Two notes by one name: both stay.
    assert_eq!(fs::read(killed.join("notes.md")).unwrap(), b"other");
    fs::remove_file(killed.join("notes.md")).unwrap();
    finish("three");
    assert_eq!(names(folder.path()), ["a-0123456789abcdef"]);
}

#[test]
fn what_others_put_among_files_of_a_run_is_there_after_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mine = [
        "patients-notes.md",
        "vectors-mine.txt",
        "vectors-mine.toml",
        "checkpoints/mine.txt",
        "tensorboard/my.txt",
        "resume/why.md",
        "resume/2024.notes.md",
    ];
    let ours = [
        "patients-2-finetune.json",
        "vectors-node_init-kge.toml",
        "checkpoints/2-finetune.safetensors",
        "tensorboard/events.out.tfevents.1.dualk.2.0",
        ".log.txt.AbC123",
    ];
    // Of a state that was about to be written when its process was killed, and one that was set aside.
    let states = ["resume/.00000012.new-AbC123.lock", "resume/00000012.damaged"];
    let finish = |files: &[&str]| {
        let run = create(folder.path());
        checkpoint(&run);
        own_folder(&run.file("tensorboard")).unwrap();
        files.iter().chain(&states).for_each(|name| run.write(name, b"x").unwrap());
        run.finish().unwrap()
    };
    let run = finish(&[&mine[..], &ours].concat());
    assert!(mine.iter().chain(&ours).all(|name| run.file(name).exists()));
    let run = finish(&[]);
    for name in mine {
        assert!(run.file(name).exists(), "{name}");
    }
    for name in ours {
        assert!(!run.file(name).exists(), "{name}");
    }
    assert_eq!(names(&run.file(RESUME)), ["2024.notes.md", "why.md"]);
    assert_eq!(names(folder.path()), ["a-0123456789abcdef"]);
    // One by the same name stays where it is, and so does the run that has it.
    let run = finish(&["checkpoints/mine.txt"]);
    assert!(mine.iter().all(|name| run.file(name).exists()));
    let left = leftovers(folder.path(), |name| name.contains(UNFINISHED));
    assert_eq!((left.len(), left[0].join("checkpoints/mine.txt").exists()), (1, true));
}

#[test]
fn only_runs_of_the_form_of_their_names_and_with_a_true_lock_are_taken_over_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let lives = create(folder.path());
    checkpoint(&lives);
    assert!(unfinished(folder.path()).is_none(), "its process lives");
    let copy = |end: &str| {
        let copy = PathBuf::from(format!("{}{end}", lives.path().display()));
        fs::create_dir_all(copy.join(RESUME).join("00000001")).unwrap();
        for name in [STATUS, IDENTITY] {
            fs::copy(lives.file(name), copy.join(name)).unwrap();
        }
        copy
    };
    let backup = copy("-backup");
    assert!(unfinished(folder.path()).is_none(), "a backup is no run");
    // A folder that cannot be locked: what is there is no file.
    let unlocked = folder.path().join("a-0123456789abcdef.unfinished-AbC123");
    fs::create_dir_all(unlocked.join(RESUME).join("00000001")).unwrap();
    fs::create_dir(unlocked.join(IDENTITY)).unwrap();
    fs::write(unlocked.join(STATUS), "{}").unwrap();
    assert!(unfinished(folder.path()).is_none());
    create(folder.path()).finish().unwrap();
    assert!(lives.path().is_dir() && backup.is_dir() && unlocked.is_dir());
    let path = kill(lives);
    assert_eq!(unfinished(folder.path()).unwrap().path().file_name(), path.file_name());
    create(folder.path()).finish().unwrap();
    assert!(!path.exists() && backup.is_dir() && unlocked.is_dir());
}

/// The manifest of another seed stood in a run of this one, and without the folder of weights every attempt to go on failed.
#[test]
fn a_run_that_goes_on_has_what_it_goes_on_with_whatever_became_of_its_folder() {
    let runs = tempfile::tempdir().unwrap();
    let run = create(runs.path());
    checkpoint(&run);
    let left = kill(run);
    fs::write(left.join("manifest.toml"), "seed = 2").unwrap();
    fs::write(left.join(IDENTITY), "{").unwrap();
    fs::remove_dir(left.join("checkpoints")).unwrap();
    let run = unfinished(runs.path()).unwrap();
    run.go_on(&identity(), "seed = 1").unwrap();
    assert!(run.file("checkpoints").is_dir());
    assert_eq!(fs::read_to_string(run.file("manifest.toml")).unwrap(), "seed = 1");
    assert_eq!(run.identity(), Some(identity()));
    // It is still this process's alone.
    assert!(hold(&run.file(IDENTITY)).is_err());
}
