//! Members that fail, and sweeps that end before they are complete.

use super::program::said;
use super::support::{ENCODERS, Place};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_failed_member_stops_no_other_and_is_tried_again_alone() {
    // A step of 1e30 makes the loss no number.
    let place = Place::new("[sweep]\ngrid = { \"stage[1].lr\" = [1e30, 0.001, 0.002] }\n");
    let arguments = ["sweep", "small.toml", "--out", "out", "--jobs", "1"];
    let output = place.run(&arguments);
    let error = said(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("1 of 3 members failed") && error.contains("the loss became") && error.contains("log.txt"),
        "{error}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("lr = 0.002"));
    assert_eq!(place.json(&["compare", "out", "--format", "json"]).len(), 2);
    let again = place.run(&arguments);
    assert!(said(&again).contains("2 of 3 members are complete already"), "{}", said(&again));
    assert!(said(&again).contains("1 of 3 members failed"));

    let fast = ["sweep", "small.toml", "--out", "fast", "--jobs", "1", "--fail-fast"];
    let output = place.run(&fast);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("1 of 3 members failed"), "{}", said(&output));
    assert!(!place.path("fast/report.html").exists(), "nothing else was trained");
}

#[test]
fn an_interrupted_sweep_goes_on_where_it_was() {
    let place = Place::new(&ENCODERS.replace("epochs = 3", "epochs = 40"));
    let arguments =
        ["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1", "--set", "stage[1].epochs=200"];
    let mut sweep = place.command(&arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    // A member is complete once its state says so, a moment after its run.
    let complete = || {
        fs::read_dir(place.path("out/members"))
            .map_or(0, |members| members.flatten().filter(|member| member.path().join("state.json").is_file()).count())
    };
    let deadline = Instant::now() + Duration::from_secs(240);
    while complete() == 0 {
        assert!(sweep.try_wait().unwrap().is_none() && Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
    let second = place.refused(&arguments);
    assert!(second.contains("another sweep is at work in this folder"), "{second}");
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    // The members end with it.
    let deadline = Instant::now() + Duration::from_secs(120);
    while members_at_work(&place) > 0 {
        assert!(Instant::now() < deadline, "members outlive their sweep");
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = place.run(&arguments);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("of 4 members are complete already"), "{}", said(&output));
    assert_eq!(
        place.json(&["compare", "out", "--format", "json"]).iter().map(|r| r["runs"].as_u64().unwrap()).sum::<u64>(),
        4
    );
}

/// Each row is trained by a process that ends with the one that began it.
#[test]
#[cfg(target_os = "linux")]
fn an_epoch_of_each_row_is_measured_and_nothing_of_it_is_left() {
    let place = Place::new(ENCODERS);
    let temporary = place.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let left = || fs::read_dir(&temporary).unwrap().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let arguments = ["sweep", "small.toml", "--out", "out", "--dry-run", "--measure", "--threads", "1"];
    let measure = |more: &[&str]| {
        let mut command = place.command(&[&arguments[..], more].concat());
        command.env("TMPDIR", &temporary).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let output = measure(&[]).wait_with_output().unwrap();
    let listed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", said(&output));
    assert!(listed.contains("expected time: ") && !listed.contains("unknown"), "{listed}");
    assert!(left().is_empty() && !place.path("out").exists(), "{:?}", left());

    // Of more patients, so that the signal comes before both rows are measured.
    let child = measure(&["--set", "data.parser.patients=4000"]);
    let deadline = Instant::now() + Duration::from_secs(240);
    while !left().iter().any(|folder| folder.join("members").is_dir()) {
        assert!(Instant::now() < deadline, "no row trains");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("stopped by SIGINT: nothing was measured"), "{}", said(&output));
    assert!(left().is_empty(), "{:?}", left());
}

/// Processes that train members of the sweep in `out`.
fn members_at_work(place: &Place) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let of_this = |p: &fs::DirEntry| {
        let text = fs::read(p.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let here = fs::read_link(p.path().join("cwd")).is_ok_and(|c| c == *place.folder());
        text.contains(&*place.path("out").to_string_lossy()) || (text.contains("--member") && here)
    };
    processes.filter(of_this).count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_sweep_that_is_asked_to_stop_waits_for_its_members() {
    let place = Place::new(ENCODERS);
    let mut arguments =
        vec!["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1", "--set", "stage[1].epochs=400"];
    let sweep = place.command(&arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let training = || {
        let members = fs::read_dir(place.path("out/members")).into_iter().flatten().flatten();
        members
            .filter(|m| fs::read_to_string(m.path().join("log.txt")).is_ok_and(|log| log.contains("finetune epoch 2:")))
    };
    let deadline = Instant::now() + Duration::from_secs(240);
    while training().count() < 2 {
        assert!(Instant::now() < deadline, "no two members train");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(std::process::Command::new("kill").args(["-INT", &sweep.id().to_string()]).status().unwrap().success());
    let output = sweep.wait_with_output().unwrap();
    assert_eq!(members_at_work(&place), 0, "the sweep ended before its members");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("stopped by SIGINT: 4 members are not complete"), "{}", said(&output));
    for says in
        ["saved in out/runs", "the same command goes on from their checkpoints: ", "--set 'stage[1].epochs=400'\n"]
    {
        assert!(said(&output).contains(says), "lacks {says:?}: {}", said(&output));
    }
    let states = fs::read_dir(place.path("out/members")).unwrap().flatten();
    assert!(
        states.filter(|m| m.path().join("state.json").exists()).count() == 0,
        "stopped is neither finished nor failed"
    );
    // And on the signal of a scheduler.
    arguments.extend(["--stop-signal", "USR1"]);
    let sweep = place.command(&arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let gone_on =
        || place.logs().iter().filter(|log| log.contains("going on with") && log.contains("finetune")).count();
    let deadline = Instant::now() + Duration::from_secs(240);
    while gone_on() < 2 {
        assert!(Instant::now() < deadline, "{:#?}", place.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(std::process::Command::new("kill").args(["-USR1", &sweep.id().to_string()]).status().unwrap().success());
    assert_eq!(sweep.wait_with_output().unwrap().status.code(), Some(138));
}
