//! What is loaded is shown before it runs, and what is not trusted is not loaded.

use crate::support::{DUALK, beside, dualk, fail, library, program, stderr, succeed};
use dualk_sdk::plugin::{inspect, plugin_file_name};
use std::fs;
use std::path::{Path, PathBuf};

/// A manifest with a copy of a shipped plugin; the copy.
fn experiment(folder: &Path) -> PathBuf {
    let file = folder.join(library("mine"));
    fs::copy(beside(&plugin_file_name("fusion-recurrent")), &file).unwrap();
    let manifest = format!(
        r#"name = "locked"

[backend]
device = "cpu"

[[plugin]]
path = "{}"

[data]
parser = {{ type = "synthetic", patients = 120, codes = 40, labs = 6, clusters = 4 }}
split = {{ type = "random", train = 0.6, valid = 0.2, test = 0.2 }}

[model]
node_init = {{ type = "random", dim = 4 }}
graph_encoder = {{ type = "gcn", dims = [4] }}
visit_fusion = {{ type = "gru", hidden = 4 }}
lab = {{ type = "linear", dim = 4 }}

[[stage]]
type = "finetune"
task = "diagnosis"
epochs = 1
"#,
        library("mine")
    );
    fs::write(folder.join("locked.toml"), manifest).unwrap();
    fs::canonicalize(file).unwrap()
}

#[test]
fn a_plugin_from_elsewhere_is_shown_before_it_is_loaded() {
    let folder = crate::support::folder();
    let file = experiment(folder.path());
    let output = dualk(folder.path(), &["check", "locked.toml"]);
    let shown = stderr(&output);
    let sha256 = inspect(&file).unwrap().sha256;
    assert!(shown.contains(&format!("{}\n  sha256 {sha256}", file.display())), "{shown}");
    assert_eq!(shown.matches("sha256").count(), 1, "only what did not come with the program: {shown}");
}

#[test]
fn locked_loads_what_the_lock_holds_and_nothing_else() {
    let folder = crate::support::folder();
    let file = experiment(folder.path());
    let none = fail(folder.path(), &["check", "locked.toml", "--locked"], 2);
    assert!(none.contains("plugins.lock") && none.contains("dualk plugin lock"), "{none}");

    let printed = succeed(folder.path(), &["plugin", "lock", "locked.toml"]);
    let found = inspect(&file).unwrap();
    assert!(printed.contains(&found.sha256) && printed.contains("dualk-plugin-encoder-gcn"), "{printed}");
    assert!(!printed.contains("dualk-plugin-encoder-gat"), "the experiment does not use it: {printed}");
    succeed(folder.path(), &["check", "locked.toml", "--locked"]);

    // The same plugin of another build: one byte more.
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, [&bytes[..], b"\0"].concat()).unwrap();
    let changed = fail(folder.path(), &["check", "locked.toml", "--locked"], 2);
    let (locked, now) = (found.sha256, inspect(&file).unwrap().sha256);
    for part in ["the plugin `dualk-plugin-fusion-recurrent` is not in the lock", "plugins.lock", &locked, &now] {
        assert!(changed.contains(part), "lacks {part:?}: {changed}");
    }
    assert!(!changed.contains(&format!("\n  sha256 {now}")), "nothing of it is announced, let alone run: {changed}");
    fs::write(&file, bytes).unwrap();

    // A component of a plugin that the lock does not name.
    let other = fail(
        folder.path(),
        &["check", "locked.toml", "--locked", "--set", "model.graph_encoder={ type = \"gat\" }"],
        2,
    );
    assert!(other.contains("the plugin `dualk-plugin-encoder-gat` is not in the lock"), "{other}");

    fs::write(folder.path().join("plugins.lock"), "[[plugin]]\nname = 3\n").unwrap();
    let wrong = fail(folder.path(), &["check", "locked.toml", "--locked"], 2);
    assert!(wrong.contains("this is no plugins.lock") && wrong.contains("plugins.lock"), "{wrong}");
}

/// A run records what it loaded, in a form that its evaluation accepts.
#[test]
fn a_run_can_be_evaluated_with_the_very_plugins_that_made_it() {
    let folder = crate::support::folder();
    let file = experiment(folder.path());
    succeed(folder.path(), &["run", "locked.toml", "--device", "cpu", "--set", "output.runs=\"runs\""]);
    let run = fs::read_dir(folder.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    succeed(folder.path(), &["eval", run.to_str().unwrap(), "--locked"]);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, [&bytes[..], b"\0"].concat()).unwrap();
    let error = fail(folder.path(), &["eval", run.to_str().unwrap(), "--locked"], 2);
    assert!(error.contains("is not in the lock"), "{error}");
}

#[cfg(unix)]
#[test]
fn what_anyone_may_change_is_refused_unless_allowed() {
    use std::os::unix::fs::PermissionsExt;
    let allow = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let folder = crate::support::folder();
    let file = experiment(folder.path());
    succeed(folder.path(), &["check", "locked.toml"]);

    allow(&file, 0o666);
    let error = fail(folder.path(), &["check", "locked.toml"], 2);
    let remedy = format!("chmod o-w {}", file.display());
    for part in ["anyone on this machine may change the plugin", &remedy, "--allow-world-writable", "locked.toml:6"] {
        assert!(error.contains(part), "lacks {part:?}: {error}");
    }
    succeed(folder.path(), &["check", "locked.toml", "--allow-world-writable"]);
    allow(&file, 0o644);

    // Whoever may write a folder above may put another file in its place, and a sticky folder is no better.
    let (inner, real) = (folder.path().join("a/b"), fs::canonicalize(folder.path()).unwrap());
    fs::create_dir_all(&inner).unwrap();
    experiment(&inner);
    succeed(&inner, &["check", "locked.toml"]);
    for (mode, who, change) in [(0o777, "anyone", "o-w"), (0o1777, "anyone", "o-w"), (0o775, "a group", "g-w")] {
        if mode == 0o775 && !not_roots_group(folder.path()) {
            continue;
        }
        allow(folder.path(), mode);
        for place in [folder.path(), &inner] {
            let error = fail(place, &["check", "locked.toml"], 2);
            // Above the folder of the plugin, and where it is sticky, others may need what they have.
            let remedy = match place == folder.path() && mode & 0o1000 == 0 {
                true => format!("chmod {change} {}\n", real.display()),
                false => format!(
                    "move the plugin to a folder that only you can write to, and not below {}\n",
                    real.display()
                ),
            };
            assert!(error.contains(&remedy) && error.contains(who), "{mode:o}: {error}");
            assert_eq!(error.contains("chmod"), remedy.contains("chmod"), "{mode:o}: {error}");
        }
        succeed(&inner, &["check", "locked.toml", "--allow-world-writable"]);
    }
    allow(folder.path(), 0o755);

    // A file of somebody else, where the test may give one away.
    if std::os::unix::fs::chown(&file, Some(4321), None).is_ok() {
        let error = fail(folder.path(), &["check", "locked.toml"], 2);
        assert!(error.contains("another user may change the plugin") && error.contains("user 4321"), "{error}");
    }
}

/// Gives a folder to a group that is not root's, which may write everything anyway.
#[cfg(unix)]
fn not_roots_group(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let _ = std::os::unix::fs::chown(folder, None, Some(4321));
    fs::metadata(folder).unwrap().gid() != 0
}

/// What runs is what was read: the file may be exchanged at any time after it was hashed.
#[cfg(target_os = "linux")]
#[test]
fn the_bytes_that_were_hashed_are_those_that_run() {
    let folder = crate::support::folder();
    experiment(folder.path());
    let mut child = program(DUALK, folder.path())
        .args(["run", "locked.toml", "--set", "stage[0].epochs=100000"])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let maps = format!("/proc/{}/maps", child.id());
    let begun = std::time::Instant::now();
    let mapped = loop {
        let text = fs::read_to_string(&maps).unwrap_or_default();
        if text.contains("memfd:dualk-plugin") || begun.elapsed().as_secs() > 240 {
            break text;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(mapped.contains("memfd:dualk-plugin"), "{mapped}");
    assert!(!mapped.contains(&library("mine")), "the file itself is not mapped: {mapped}");
}

/// What comes from elsewhere than the program is announced by measurements, too.
#[test]
fn measurements_announce_plugins_from_elsewhere() {
    let folder = crate::support::folder();
    let name = plugin_file_name("kge-models");
    fs::copy(beside(&name), folder.path().join(&name)).unwrap();
    let graph = ["--entities", "50", "--relations", "2", "--triples", "80"];
    let steps = ["--dim", "4", "--batch", "8", "--negatives", "4", "--steps", "1", "--threads", "1"];
    let mut command = program(DUALK, folder.path());
    command.args(["bench", "kge"]).args(graph).args(steps).env("DUALK_PLUGIN_PATH", folder.path());
    let output = command.output().unwrap();
    let said = stderr(&output);
    let file = fs::canonicalize(folder.path()).unwrap().join(&name);
    assert!(output.status.success() && said.contains(&format!("{}\n  sha256 ", file.display())), "{said}");
}

/// Plugins of several folders are found by name, the first folder first.
#[test]
fn plugins_are_found_in_the_folders_of_the_path() {
    let folder = crate::support::folder();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fs::create_dir_all(&one).unwrap();
    fs::create_dir_all(&two).unwrap();
    let name = plugin_file_name("fusion-recurrent");
    let bytes = fs::read(beside(&name)).unwrap();
    fs::write(two.join(&name), &bytes).unwrap();
    fs::write(two.join(plugin_file_name("of-two")), &bytes).unwrap();
    let list = |path: &[&Path]| {
        let joined = std::env::join_paths(path).unwrap();
        program(DUALK, folder.path()).args(["list", "fusion"]).env("DUALK_PLUGIN_PATH", joined).output().unwrap()
    };
    let origin = |path: &Path| format!("from plugin {}", fs::canonicalize(path).unwrap().join(&name).display());

    fs::remove_file(two.join(plugin_file_name("of-two"))).unwrap();
    let output = list(&[&one, &two]);
    assert!(String::from_utf8_lossy(&output.stdout).contains(&origin(&two)), "{}", stderr(&output));
    fs::write(one.join(&name), &bytes).unwrap();
    let output = list(&[&one, &two]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains(&origin(&one)) && !printed.contains(&origin(&two)), "{printed}{}", stderr(&output));

    // Another file name with the same component is a conflict that names both, also where one would do.
    fs::write(two.join(plugin_file_name("of-two")), [&bytes[..], b"\0"].concat()).unwrap();
    let output = list(&[&one, &two]);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("two plugins bring a fusion named") && error.contains("of_two"), "{error}");
    experiment(folder.path());
    let manifest = fs::read_to_string(folder.path().join("locked.toml")).unwrap();
    let (before, after) = (manifest.find("[[plugin]]").unwrap(), manifest.find("[data]").unwrap());
    let manifest = [&manifest[..before], &manifest[after..]].concat();
    fs::write(folder.path().join("plain.toml"), manifest).unwrap();
    let joined = std::env::join_paths([&one, &two]).unwrap();
    let output =
        program(DUALK, folder.path()).args(["check", "plain.toml"]).env("DUALK_PLUGIN_PATH", joined).output().unwrap();
    let error = stderr(&output);
    assert!(error.contains("two plugins bring a fusion named `gru`") && error.contains("of_two"), "{error}");
}

/// A file of a shipped name takes the place of the shipped one only where a manifest names it.
#[test]
fn a_changed_file_of_a_shipped_name_is_taken_only_where_it_is_named() {
    let folder = crate::support::folder();
    experiment(folder.path());
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let elsewhere = fs::canonicalize(elsewhere).unwrap();
    let name = plugin_file_name("encoder-gcn");
    let (shipped, changed) = (fs::canonicalize(beside(&name)).unwrap(), elsewhere.join(&name));
    let bytes = fs::read(&shipped).unwrap();
    let dualk = |arguments: &[&str]| {
        program(DUALK, folder.path()).args(arguments).env("DUALK_PLUGIN_PATH", &elsewhere).output().unwrap()
    };

    fs::write(&changed, &bytes).unwrap();
    let copy = dualk(&["check", "locked.toml", "--no-memory"]);
    assert!(copy.status.success(), "a copy is no other plugin: {}", stderr(&copy));

    fs::write(&changed, [&bytes[..], b"\0"].concat()).unwrap();
    let manifest = fs::read_to_string(folder.path().join("locked.toml")).unwrap();
    let named = |path: &str| manifest.replacen("[[plugin]]", &format!("[[plugin]]\npath = {path:?}\n\n[[plugin]]"), 1);
    fs::write(folder.path().join("short.toml"), named("gcn")).unwrap();
    for arguments in [&["check", "locked.toml"][..], &["list"], &["doctor"], &["check", "short.toml"]] {
        let output = dualk(arguments);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        let sides = [shipped.display().to_string(), changed.display().to_string()];
        for part in ["error: ", "two plugin", &sides[0], &sides[1], "[[plugin]] with path = "] {
            assert!(error.contains(part), "{arguments:?} lacks {part:?}: {error}");
        }
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        // What is asked what is wrong shows the others all the same.
        assert_eq!(printed.contains("dualk-plugin-encoder-gat"), arguments == ["doctor"], "{printed}");
    }

    fs::write(folder.path().join("named.toml"), named(changed.to_str().unwrap())).unwrap();
    let chosen = dualk(&["check", "named.toml", "--no-memory"]);
    let said = stderr(&chosen);
    assert!(chosen.status.success() && said.contains(&format!("{}\n  sha256 ", changed.display())), "{said}");
    // What is chosen stays chosen where all others are looked at for a suggestion.
    let mistyped = dualk(&["check", "named.toml", "--set", "model.visit_fusion.type=grru"]);
    let error = stderr(&mistyped);
    assert!(error.contains("no fusion is named `grru`") && !error.contains("two plugin"), "{error}");
    let listed = dualk(&["list", "graph_encoder", "--plugin", changed.to_str().unwrap()]);
    let printed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(printed.contains(&format!("from plugin {}", changed.display())), "{printed}{}", stderr(&listed));
}

/// Commands without a manifest go by the lock of the current folder.
#[test]
fn commands_that_load_all_plugins_load_only_those_of_the_lock() {
    let folder = crate::support::folder();
    experiment(folder.path());
    for arguments in [&["doctor"][..], &["list"], &["schema"], &["plugin", "new", "mine", "--slot", "lab"]] {
        let locked = [arguments, &["--locked"]].concat();
        let error = fail(folder.path(), &locked, 2);
        assert!(error.contains("plugins.lock") && error.contains("dualk plugin lock"), "{arguments:?}: {error}");
    }
    succeed(folder.path(), &["plugin", "lock", "locked.toml"]);
    let printed = succeed(folder.path(), &["doctor", "--locked"]);
    let found = printed.split_once("plugins found").unwrap().1;
    assert!(found.contains("encoder-gcn") && !found.contains("encoder-gat"), "{found}");
    let listed = succeed(folder.path(), &["list", "graph_encoder", "--locked"]);
    assert!(listed.contains("gcn ") && !listed.contains("  gat "), "{listed}");
    succeed(folder.path(), &["plugin", "new", "mine", "--slot", "lab", "--locked"]);
    // The name of a component that is not there is said, and not what the lock lacks.
    let error = fail(folder.path(), &["check", "locked.toml", "--locked", "--set", "model.graph_encoder.type=gcm"], 2);
    assert!(error.contains("no graph_encoder is named `gcm`") && error.contains("did you mean `gcn`"), "{error}");
}
