//! An installed `dualk` runs from any folder and compiles plugins there.

use crate::support::{DUALK, program, stderr};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

#[test]
fn an_installed_dualk_needs_nothing_of_the_clone() {
    let folder = crate::support::folder();
    let prefix = folder.path().join("prefix");
    // As `cargo run` starts it: cargo's variables and target folder are those of this test.
    let install = |arguments: &[&str]| {
        let output = Command::new(DUALK).args(["install", "--prefix"]).arg(&prefix).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let runtime = size(&install(&["--without-metadata"]));
    let installed = prefix.join("bin/dualk");
    let dualk = |at: &Path, arguments: &[&str]| -> Output {
        let mut command = program(installed.to_str().unwrap(), at);
        command.args(arguments).env_remove("CARGO_MANIFEST_DIR").env_remove("DUALK_PLUGIN_PATH").output().unwrap()
    };
    let succeed = |at: &Path, arguments: &[&str]| {
        let output = dualk(at, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let anywhere = folder.path().join("anywhere");
    fs::create_dir(&anywhere).unwrap();
    let lib = fs::canonicalize(prefix.join("lib/dualk")).unwrap();
    let listed = succeed(&anywhere, &["list", "graph_encoder"]);
    assert!(listed.contains(&format!("from plugin {}", lib.display())), "{listed}");
    succeed(&anywhere, &["check", prefix.join("share/dualk/experiments/quickstart.toml").to_str().unwrap()]);
    #[cfg(unix)]
    // In the folder above other things may be, whose rights are not to be taken away.
    for (changed, remedy) in [(lib.as_path(), "chmod o-w"), (lib.parent().unwrap(), "move the plugin to a folder")] {
        use std::os::unix::fs::PermissionsExt;
        let before = fs::metadata(changed).unwrap().permissions();
        fs::set_permissions(changed, fs::Permissions::from_mode(0o777)).unwrap();
        let refused = dualk(&anywhere, &["list", "graph_encoder"]);
        assert_eq!(refused.status.code(), Some(2));
        let error = stderr(&refused);
        assert!(error.contains("anyone on this machine may change the plugin") && error.contains(remedy), "{error}");
        fs::set_permissions(changed, before).unwrap();
    }
    let lacking = dualk(&anywhere, &["plugin", "new", "lacking", "--slot", "loss"]);
    assert_eq!(lacking.status.code(), Some(2));
    assert!(stderr(&lacking).contains("no metadata (`deps`) to compile plugins against"), "{}", stderr(&lacking));

    let whole = size(&install(&[]));
    println!("installed: {whole} MiB, {runtime} MiB without metadata");
    assert!(whole > 2 * runtime);
    let left: Vec<_> = fs::read_dir(prefix.join("lib")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["dualk"], "nothing of the earlier installation is left");
    succeed(&anywhere, &["plugin", "new", "my-loss", "--slot", "loss"]);
    let project = anywhere.join("my-loss");
    succeed(&project, &["plugin", "build"]);
    let settings = fs::read_to_string(project.join(".cargo/config.toml")).unwrap();
    assert!(settings.contains(lib.to_str().unwrap()), "{settings}");
    let printed = succeed(&project, &["run", "experiment.toml", "--device", "cpu"]);
    assert!(printed.contains("my-loss, epoch"), "{printed}");

    let alone = dualk(&anywhere, &["install", "--prefix", "elsewhere"]);
    assert_eq!(alone.status.code(), Some(2));
    assert!(stderr(&alone).contains("this installs from a clone of the project"), "{}", stderr(&alone));
    assert!(!anywhere.join("elsewhere").exists());
}

/// The size that was printed, in MiB.
fn size(printed: &str) -> u64 {
    let line = printed.lines().find_map(|line| line.strip_suffix(" MiB"));
    line.unwrap_or_else(|| panic!("{printed}")).parse().unwrap()
}
