//! Disks that are really full or read-only, streams that are full or closed, and tables that somebody writes while they are read,
//! through the program.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story
#![cfg(target_os = "linux")]

mod program;

use program::{command, refused, said, with_cache};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

const MODEL: &str = r#"
[backend]
device = "cpu"

[model]
node_init = { type = "random", dim = 8 }
graph_encoder = { type = "gat", dims = [8] }
lab = { type = "linear", dim = 8 }
head = { decoder = [8, 8], classifier = [8], dropout = 0.1 }

[[stage]]
type = "finetune"
epochs = 1
"#;
const MADE_UP: &str = r#"name = "small"

[data]
parser = { type = "synthetic", patients = 150, codes = 60, labs = 12, clusters = 5 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }
"#;
const READ: &str = r#"name = "small"

[data]
parser = { type = "mimic4", root = "raw" }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }
"#;

fn dualk(folder: &Path, arguments: &[&str]) -> Output {
    with_cache(folder, arguments).output().unwrap()
}

/// A file system in memory, where this test may make one.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            // Past the harness, which shows nothing of tests that pass.
            let what = "full and read-only disks: there is no right to mount a file system here";
            let _ = writeln!(std::io::stderr(), "not tried: {what}");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Commands that write to `disk`, but for the cache, whose loss is no error.
const WRITERS: [&[&str]; 6] = [
    &["prepare", "small.toml", "--out", "disk/out", "--no-cache"],
    &["run", "small.toml", "--no-cache", "--set", "output.runs=disk/runs"],
    &["plugin", "new", "mine", "--slot", "loss", "--path", "disk/mine"],
    &["install", "--without-metadata", "--prefix", "disk/prefix"],
    &["kge", "train", "graph.toml", "--set", "output.runs=disk/runs"],
    &["kge", "graph", "graph.toml", "--out", "disk/graph"],
];

fn place(folder: &Path) {
    fs::write(folder.join("small.toml"), format!("{MADE_UP}{MODEL}")).unwrap();
    fs::create_dir(folder.join("triples")).unwrap();
    let triples: String =
        (0..900).map(|i| format!("entity{}\trelation{}\tentity{}\n", i, i % 3, i * 7 % 900)).collect();
    for name in ["train.txt", "valid.txt", "test.txt"] {
        fs::write(folder.join("triples").join(name), &triples).unwrap();
    }
    let graph =
        "name = \"graph\"\n[data]\ntriples = \"triples\"\n[model]\ntype = \"transe\"\ndim = 16\n[train]\nsteps = 20\n";
    fs::write(folder.join("graph.toml"), graph).unwrap();
}

#[test]
fn a_full_disk_is_the_users_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    place(folder.path());
    let Some(disk) = Disk::mount(&folder.path().join("disk"), "size=16k") else { return };
    for arguments in WRITERS {
        refused(&dualk(folder.path(), arguments), &["No space left on device", "disk/"]);
        if arguments[0] != "install" {
            assert!(disk.is_empty(), "{arguments:?} leaves something");
        }
        let _ = fs::remove_dir_all(disk.0.join("prefix"));
    }
}

#[test]
fn a_read_only_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    place(folder.path());
    let Some(_disk) = Disk::mount(&folder.path().join("disk"), "ro") else { return };
    for arguments in WRITERS {
        refused(&dualk(folder.path(), arguments), &["Read-only file system", "disk"]);
    }
    // A cache that cannot be written costs no result.
    let mut run = command(folder.path(), &["run", "small.toml"]);
    let output = run.env("DUALK_CACHE", folder.path().join("disk/cache")).output().unwrap();
    let said = said(&output);
    assert!(output.status.success() && said.contains("not cached in ") && said.contains("disk/cache: "), "{said}");
}

/// Tables may take an hour to read.
#[test]
fn a_folder_of_other_things_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    place(folder.path());
    let notes = folder.path().join("mine/notes.md");
    fs::create_dir(notes.parent().unwrap()).unwrap();
    fs::write(&notes, "mine").unwrap();
    refused(&dualk(folder.path(), &["prepare", "small.toml", "--out", "mine"]), &["holds other files", "mine"]);
    assert!(notes.is_file() && !folder.path().join("cache").exists(), "a cohort was kept");
}

/// What is said of progress is not worth a run; a result that cannot be printed is an error, but where nobody reads it.
#[test]
fn what_cannot_be_printed_stops_no_training() {
    let folder = tempfile::tempdir().unwrap();
    place(folder.path());
    let start = |arguments: &[&str]| command(folder.path(), arguments);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let closed = || std::io::pipe().unwrap().1;
    for training in [&["run", "small.toml"][..], &["kge", "train", "graph.toml"]] {
        for output in [start(training).stderr(full()).output(), start(training).stderr(closed()).output()] {
            let output = output.unwrap();
            assert!(output.status.success(), "{training:?}: {:?}", output.status);
            assert!(String::from_utf8(output.stdout).unwrap().contains("\nrun: runs/"), "{training:?}");
        }
    }
    let helps = [&["--help"][..], &["help", "run"], &["cache", "gc", "--help"], &["--version"]];
    let results = [&["run", "small.toml"][..], &["list"], &["schema"], &["cache", "ls", "--folder", "none"]];
    for printing in results.into_iter().chain(helps) {
        refused(&start(printing).stdout(full()).output().unwrap(), &["No space left on device", "standard output"]);
    }
    let output = start(&["list"]).stdout(closed()).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(141), 0), "as if by SIGPIPE");
}

/// A limit on the size of files, in place of a disk that gets full while a run trains: no checkpoint and no weights can be
/// written. What was recorded stays.
#[test]
fn a_run_whose_weights_cannot_be_written_is_kept_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    // 22 MB of node features; the limit is 16 MiB, more than a plugin has.
    let model = MODEL.replace("type = \"random\", dim = 8", "type = \"random\", dim = 100000");
    fs::write(folder.path().join("small.toml"), format!("{MADE_UP}{model}")).unwrap();
    let output = Command::new("sh")
        .current_dir(folder.path())
        .env("DUALK_CACHE", "off")
        .args(["-c", "ulimit -f 32768; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_dualk"), "run", "small.toml"])
        .output()
        .unwrap();
    refused(&output, &["File too large", "1-finetune.safetensors", "kept, without a checkpoint to go on from"]);
    let runs: Vec<PathBuf> = fs::read_dir(folder.path().join("runs")).unwrap().map(|e| e.unwrap().path()).collect();
    let [run] = &runs[..] else { panic!("{runs:?}") };
    let read = |name: &str| fs::read_to_string(run.join(name)).unwrap();
    assert_eq!(read("metrics.jsonl").lines().count(), 1);
    assert!(read("log.txt").contains("failed: cannot write: File too large"), "{}", read("log.txt"));
    let status = read("status.json");
    assert!(status.contains("\"failed\"") && status.contains("File too large"), "{status}");
}

/// Tables like those of MIMIC-IV, whose laboratory events take a moment to read.
fn write_tables(folder: &Path) {
    let raw = folder.join("raw");
    fs::create_dir(&raw).unwrap();
    let mut patients = "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n".to_owned();
    let mut admissions = "subject_id,hadm_id,admittime,dischtime\n".to_owned();
    let mut diagnoses = "subject_id,hadm_id,seq_num,icd_code,icd_version\n".to_owned();
    let mut labs = "labevent_id,subject_id,hadm_id,itemid,charttime,flag\n".to_owned();
    for p in 1..=40 {
        patients += &format!("{p},F,60,2150,2014 - 2016,\n");
        for v in 1..=2 {
            let hadm = 100 * p + v;
            admissions += &format!("{p},{hadm},2150-0{v}-01 10:00:00,2150-0{v}-02 10:00:00\n");
            diagnoses += &format!("{p},{hadm},1,{},9\n", ["4280", "25000", "4019"][p % 3]);
            (0..300).for_each(|i| labs += &format!("{i},{p},{hadm},50{i},2150-01-01 11:00:00,abnormal\n"));
        }
    }
    let items: String = (0..300).map(|i| format!("50{i},a,Blood,Chemistry\n")).collect();
    for (name, text) in [
        ("patients.csv", patients),
        ("admissions.csv", admissions),
        ("diagnoses_icd.csv", diagnoses),
        ("labevents.csv", labs),
        ("d_labitems.csv", format!("itemid,label,fluid,category\n{items}")),
    ] {
        fs::write(raw.join(name), text).unwrap();
    }
    fs::write(folder.join("small.toml"), format!("{READ}{MODEL}")).unwrap();
}

/// Rows that come while a command runs: what it says it read would not be what it read.
#[test]
fn a_table_that_changes_while_it_is_read_gives_no_result() {
    for arguments in
        [&["prepare", "small.toml", "--out", "out"][..], &["run", "small.toml"], &["run", "small.toml", "--no-cache"]]
    {
        let folder = tempfile::tempdir().unwrap();
        write_tables(folder.path());
        let done = AtomicBool::new(false);
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = File::options().append(true).open(folder.path().join("raw/labevents.csv")).unwrap();
                while !done.load(Ordering::Relaxed) {
                    file.write_all(b"1,1,101,501,2150-01-01 11:00:00,\n").unwrap();
                }
            });
            let output = dualk(folder.path(), arguments);
            done.store(true, Ordering::Relaxed);
            output
        });
        refused(&output, &["changed while it was read", "labevents.csv"]);
        assert!(!folder.path().join("out").exists() && !folder.path().join("runs").exists());
        let kept = String::from_utf8(dualk(folder.path(), &["cache", "ls"]).stdout).unwrap();
        assert!(!kept.contains("mimic4"), "{kept}");
        // Whoever waits until the writer is done gets a result.
        let output = dualk(folder.path(), arguments);
        assert!(output.status.success(), "{}", said(&output));
    }
}
