//! `dualk plugin new` and `dualk plugin build`, as a new user meets them.

use crate::support::{build, dualk, fail, library, new, program, replaced, stderr, succeed};
use dualk_sdk::component::Slot;
use dualk_sdk::plugin::{Registry, Stamp, inspect};
use dualk_sdk::serde_json::Value;
use std::fs;
use std::path::Path;

/// Builds, tests, loads and trains the template of a slot in an empty folder.
fn works(slot: Slot) {
    let folder = crate::support::folder();
    let name = format!("my-{}", slot.name().replace('_', "-"));
    let project = new(folder.path(), &name, slot, None);
    let file = build(&project);
    let found = inspect(&file).unwrap();
    assert_eq!(
        (found.name.as_str(), found.components.as_slice()),
        (name.as_str(), &[(slot.name().to_owned(), name.clone())][..])
    );
    assert_eq!(found.stamp, Stamp::current());
    let mut registry = Registry::new();
    registry.load(&file, None).unwrap();
    assert!(registry.info(slot, &name).is_ok());

    let tests = program("cargo", &project).args(["test", "--quiet"]).output().unwrap();
    let report = String::from_utf8_lossy(&tests.stdout).into_owned();
    assert!(tests.status.success() && report.contains(" passed; 0 failed"), "{slot}: {report}{}", stderr(&tests));
    assert!(!stderr(&tests).contains("warning"), "{slot}: {}", stderr(&tests));

    let mut check = vec!["plugin", "check", file.to_str().unwrap()];
    if slot == Slot::Parser {
        check.extend(["--set", "path=visits.csv"]);
    }
    let printed = succeed(&project, &check);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0] == format!("{slot} `{name}`") && lines.len() > 5, "{printed}");
    assert!(lines[1..].iter().all(|line| line.starts_with("  ok ")), "{printed}");

    if slot == Slot::KgeModel {
        let printed = succeed(&project, &["kge", "train", "experiment.toml"]);
        // The mean reciprocal rank of a row of the results.
        let mrr = |row: &str| -> f64 {
            let line = printed.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("{printed}"));
            line[row.len()..].split_whitespace().find_map(|word| word.parse().ok()).unwrap()
        };
        let (model, baseline) = (mrr(&name), mrr("backwards, or frequency"));
        assert!(model > 2.0 * baseline, "mrr {model} after training, {baseline} by frequency");
        return;
    }
    let printed = succeed(&project, &["run", "experiment.toml", "--device", "cpu"]);
    if slot == Slot::Recipe {
        has_a_stage_of_its_own(&project, &printed);
    }
    // The first recall of a row of the results.
    let recall = |row: &str| -> f64 {
        let line = printed.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("{slot}: {printed}"));
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        numbers[numbers.len() - if slot == Slot::Objective { 2 } else { 4 }]
    };
    let baseline = recall("code frequency");
    let model = recall(&format!("{name}, epoch"));
    println!("{slot}: recall {model:.3}, ranking by frequency {baseline:.3}");
    assert!(model > 1.3 * baseline, "{slot}: recall {model} after training, {baseline} by frequency");
}

/// The run was of a type of stages that this recipe alone knows, and those of the default one are refused.
fn has_a_stage_of_its_own(project: &Path, printed: &str) {
    let run = printed.lines().find_map(|line| line.strip_prefix("run: ")).unwrap();
    let result = fs::read_to_string(project.join(run).join("result.json")).unwrap();
    let result: Value = dualk_sdk::serde_json::from_str(&result).unwrap();
    assert_eq!(result["stages"].as_array().unwrap().len(), 1);
    assert_eq!(result["stages"][0]["stage"], "1-fit");
    let arguments = ["check", "experiment.toml", "--device", "cpu", "--set", "stage[0].type=finetune"];
    let error = fail(project, &arguments, 2);
    for part in ["`stage[0].type`", "no stage is of type `finetune`", "= accepted: fit"] {
        assert!(error.contains(part), "lacks {part:?}: {error}");
    }
}

macro_rules! templates {
    ($($test:ident: $slot:ident),+) => {
        $(
            #[test]
            fn $test() {
                works(Slot::$slot);
            }
        )+

        #[test]
        fn every_slot_has_a_template() {
            assert_eq!([$(Slot::$slot),+], Slot::ALL);
        }
    };
}

templates! {
    parser_template: Parser,
    node_init_template: NodeInit,
    graph_encoder_template: GraphEncoder,
    patient_encoder_template: PatientEncoder,
    fusion_template: Fusion,
    lab_template: Lab,
    head_template: Head,
    loss_template: Loss,
    objective_template: Objective,
    recipe_template: Recipe,
    kge_model_template: KgeModel
}

#[test]
fn new_refuses_what_would_not_work() {
    let folder = crate::support::folder();
    let refuse = |arguments: &[&str], says: &[&str]| {
        let error = fail(folder.path(), &[&["plugin", "new"], arguments].concat(), 2);
        says.iter().for_each(|part| assert!(error.contains(part), "{arguments:?} lacks {part:?}: {error}"));
    };
    refuse(&["x", "--slot", "graph_encoders"], &["unknown slot `graph_encoders`", "did you mean `graph_encoder`?"]);
    refuse(&["My-Encoder", "--slot", "lab"], &["`My-Encoder` cannot be the name of a plugin", "lower-case"]);
    refuse(&["struct", "--slot", "lab"], &["`struct` cannot be the name of a plugin", "the compiler knows"]);
    refuse(
        &["gat", "--slot", "graph_encoder"],
        &["there is a graph_encoder named `gat` already", "dualk_plugin_encoder_gat"],
    );
    fs::create_dir(folder.path().join("taken")).unwrap();
    fs::write(folder.path().join("taken/notes.txt"), "mine").unwrap();
    refuse(&["taken", "--slot", "lab"], &["there is something at this place already", "taken", "--path"]);
    refuse(&["x", "--slot", "lab", "--path", "taken/notes.txt"], &["there is something at this place already"]);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["taken"], "nothing is left behind");
    fs::create_dir(folder.path().join("empty")).unwrap();
    succeed(folder.path(), &["plugin", "new", "gat", "--slot", "lab", "--path", "empty"]);
    assert!(folder.path().join("empty/src/lib.rs").is_file());
}

#[test]
fn build_says_what_is_wrong() {
    let folder = crate::support::folder();
    let project = new(folder.path(), "wrong", Slot::Loss, None);
    let refuse = |says: &[&str]| {
        let error = fail(folder.path(), &["plugin", "build", "wrong"], 2);
        says.iter().for_each(|part| assert!(error.contains(part), "lacks {part:?}: {error}"));
    };
    let edit = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(project.join(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(project.join(file), text.replace(from, to)).unwrap();
        text
    };
    let whole = edit("src/lib.rs", "Ok(Box::new(Focal { gamma: self.gamma }))", "Ok(Focal { gamma: self.gamma })");
    refuse(&["mismatched types", "src/lib.rs", "the plugin does not compile", "cargo's messages are above"]);
    fs::write(project.join("src/lib.rs"), whole).unwrap();

    let whole = edit("Cargo.toml", "[dependencies]", "[dependencies]\nburn = \"0.22\"");
    refuse(&["cargo would compile a second `burn`", "Cargo.toml", "dualk_sdk::burn"]);
    fs::write(project.join("Cargo.toml"), &whole).unwrap();
    edit("Cargo.toml", "crate-type = [\"dylib\"]", "crate-type = [\"rlib\"]");
    refuse(&["the crate makes no shared library", "Cargo.toml", "crate-type"]);
    fs::write(project.join("Cargo.toml"), whole).unwrap();

    let settings = project.join(".cargo/config.toml");
    let written = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, "[build]\njobs = 1\n").unwrap();
    refuse(&["these settings were not written by dualk", "config.toml"]);
    fs::write(&settings, written).unwrap();
    assert!(fail(folder.path(), &["plugin", "build"], 2).contains("`dualk plugin new` writes one"));
}

#[test]
fn target_folders_of_the_user_do_not_move_the_library() {
    let folder = crate::support::folder();
    let project = new(folder.path(), "settled", Slot::Loss, None);
    fs::create_dir(folder.path().join(".cargo")).unwrap();
    fs::write(folder.path().join(".cargo/config.toml"), "[build]\ntarget-dir = \"configured\"\n").unwrap();
    let variable = folder.path().join("variable");
    for set in [false, true] {
        let mut build = program(crate::support::DUALK, &project);
        if set {
            build.env("CARGO_TARGET_DIR", &variable);
        }
        let output = build.args(["plugin", "build"]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let file = project.join("target/release").join(library("settled"));
        fs::remove_file(&file).map_err(|e| format!("{}: {e}", file.display())).unwrap();
    }
    assert!(!variable.exists() && !folder.path().join("configured").exists());
    succeed(&project, &["plugin", "build"]);
    succeed(&project, &["check", "experiment.toml", "--device", "cpu"]);
}

#[cfg(unix)]
#[test]
fn another_compiler_or_none_is_refused_with_both_sides() {
    use std::os::unix::fs::PermissionsExt;
    let folder = crate::support::folder();
    let project = new(folder.path(), "other", Slot::Loss, None);
    let fake = folder.path().join("rustc");
    fs::write(&fake, "#!/bin/sh\necho 'rustc 1.0.0 (a59de37e9 2015-05-13)'\n").unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let host = Stamp::current().rustc;
    let channel = host.split(' ').nth(1).unwrap();
    for (program_path, here) in
        [(fake.to_str().unwrap(), "rustc 1.0.0 (a59de37e9 2015-05-13)"), ("no-such-rustc", "none")]
    {
        let output =
            program(crate::support::DUALK, &project).args(["plugin", "build"]).env("RUSTC", program_path).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        let sides =
            [format!("here:  {here}\n"), format!("dualk: {host}\n"), format!("rustup toolchain install {channel}")];
        sides.iter().for_each(|side| assert!(stderr(&output).contains(side.as_str()), "{side}: {}", stderr(&output)));
    }
}

/// The flags name the SDK's build, so that cargo compiles again when the library behind the same path has changed.
#[test]
fn a_plugin_of_an_older_sdk_is_refused_and_building_it_again_mends_it() {
    const OLDER: &str = "0123456789abcdef";
    let folder = crate::support::folder();
    let project = new(folder.path(), "again", Slot::Loss, None);
    let settings = project.join(".cargo/config.toml");
    let ours = fs::read_to_string(&settings).unwrap();
    let build_number = Stamp::current().build;
    assert!(ours.contains(&build_number) && ours.contains(&library("dualk_sdk")));
    fs::write(&settings, ours.replace(&build_number, OLDER)).unwrap();
    // Plain cargo works with what was written for an earlier SDK.
    let status = program("cargo", &project).args(["build", "--release", "--quiet"]).status().unwrap();
    assert!(status.success());
    // What the older SDK would have put into it.
    let file = project.join("target/release").join(library("again"));
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, replaced(&bytes, build_number.as_bytes(), OLDER.as_bytes())).unwrap();
    let error = fail(&project, &["check", "experiment.toml", "--device", "cpu"], 2);
    let sides = [format!("plugin: {OLDER}\n"), format!("dualk:  {build_number}\n")];
    for part in [sides[0].as_str(), &sides[1], "was built for another SDK build", "`dualk plugin build`"] {
        assert!(error.contains(part), "lacks {part:?}: {error}");
    }

    let compiles = |project: &Path| stderr(&dualk(project, &["plugin", "build"])).contains("Compiling again");
    assert!(compiles(&project), "the SDK has changed");
    assert_eq!(fs::read_to_string(&settings).unwrap(), ours);
    assert!(!compiles(&project), "nothing has changed");
    inspect(&build(&project)).unwrap().verify(None).unwrap();
    succeed(&project, &["check", "experiment.toml", "--device", "cpu"]);
}
