//! What is refused, and what it says. Most plugins here are edited copies of a shipped one.

use crate::support::{beside, fail, library, program};
use dualk_sdk::Error;
use dualk_sdk::error::Blame;
use dualk_sdk::plugin::{Registry, Stamp, inspect, plugin_file_name};
use std::fs;
use std::path::{Path, PathBuf};

/// First bytes of a plugin's descriptor.
const MAGIC: &[u8] = b"\x7fDUALK-PLUGIN\x01\x02\n";

fn shipped() -> PathBuf {
    beside(&plugin_file_name("encoder-gat"))
}

fn position(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|w| w == wanted).unwrap_or_else(|| panic!("there is no {wanted:?}"))
}

/// A copy of a shipped plugin whose descriptor says `new` where it says `old`, both filled up with zeros.
fn edited(folder: &Path, old: &[u8], new: &[u8]) -> PathBuf {
    let mut bytes = fs::read(shipped()).unwrap();
    let descriptor = position(&bytes, MAGIC);
    // Texts of one length need no room; others are fields of their own, which end with zeros.
    let length = if old.len() == new.len() { old.len() } else { old.len().max(new.len()) + 1 };
    let padded = |text: &[u8]| [text, &vec![0; length - text.len()][..]].concat();
    let at = descriptor + position(&bytes[descriptor..], &padded(old));
    bytes[at..at + length].copy_from_slice(&padded(new));
    let file = folder.join(library("edited"));
    fs::write(&file, bytes).unwrap();
    file
}

fn refusal(file: &Path) -> Error {
    let error = Registry::new().load(file, None).unwrap_err();
    assert_eq!(error.blame(), Blame::User, "{error}");
    error
}

fn assert_says(error: &Error, expected: &[&str]) {
    let text = error.to_string();
    for part in expected {
        assert!(text.contains(part), "lacks {part:?}: {text}");
    }
}

#[test]
fn a_plugin_of_another_build_is_refused_with_both_sides() {
    let folder = crate::support::folder();
    let host = Stamp::current();
    let others = [
        ("SDK version", host.sdk.as_str(), "9.8.7"),
        ("compiler", &host.rustc, "rustc 1.80.0 (051478957 2024-07-21)"),
        ("burn version", &host.burn, "0.21.0"),
        ("target", &host.target, "riscv64gc-unknown-linux-gnu"),
        ("SDK features", &host.features, "wgpu"),
        ("profile", &host.profile, "opt-level 0, checked"),
        ("SDK build", &host.build, "0123456789abcdef"),
    ];
    assert_eq!(others.map(|o| o.0), host.fields().map(|f| f.0), "every field of the stamp is tried");
    for (what, ours, theirs) in others {
        let file = edited(folder.path(), ours.as_bytes(), theirs.as_bytes());
        let error = refusal(&file);
        let (plugin, dualk) = (format!("plugin: {theirs}\n"), format!("dualk:  {ours}\n"));
        let message = format!("the plugin `dualk-plugin-encoder-gat` was built for another {what}\n");
        assert_says(&error, &[&message, file.to_str().unwrap(), &plugin, &dualk, "dualk plugin build"]);
    }
}

#[test]
fn a_plugin_that_another_build_left_behind_is_passed_over() {
    let folder = crate::support::folder();
    let left = edited(folder.path(), Stamp::current().build.as_bytes(), b"0123456789abcdef");
    fs::rename(left, folder.path().join(library("dualk_plugin_oldgat"))).unwrap();
    let mut list = program(env!("CARGO_BIN_EXE_dualk"), folder.path());
    let output = list.args(["list", "graph_encoder"]).env("DUALK_PLUGIN_PATH", folder.path()).output().unwrap();
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && printed.contains("gat"), "{printed}{said}");
}

/// The list ended at the first of them. Commands that need them all go on refusing.
#[test]
fn plugins_that_cannot_be_loaded_are_told_of_below_the_list_of_the_others() {
    let folder = crate::support::folder();
    let path = fs::canonicalize(folder.path()).unwrap();
    let (text, odd) = (path.join(plugin_file_name("a-text")), path.join(plugin_file_name("odd")));
    fs::write(&text, "not a library").unwrap();
    fs::rename(edited(&path, b"graph_encoder gat\n", b"graph_encodor gat\n"), &odd).unwrap();
    let absent = path.join(library("absent"));
    let dualk = |arguments: &[&str]| {
        let mut command = program(env!("CARGO_BIN_EXE_dualk"), &path);
        let output = command.args(arguments).env("DUALK_PLUGIN_PATH", &path).output().unwrap();
        let [printed, said] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), printed, said)
    };
    for arguments in [&["list"][..], &["list", "graph_encoder", "--plugin", absent.to_str().unwrap()]] {
        let (code, printed, said) = dualk(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(printed.contains("\n  gat ") && printed.contains("\n  gcn "), "{arguments:?}: {printed}{said}");
        let of_text = format!("error: this file is no shared library\n  --> {}\n", text.display());
        let of_odd = format!("error: unknown slot `graph_encodor`\n  --> {}\n", odd.display());
        for says in [of_text.as_str(), &of_odd, "or do without: take the file out of"] {
            assert!(said.contains(says), "{arguments:?} lacks {says:?}: {said}");
        }
        let is_named = said.contains("error: `path`: there is no such plugin file\n");
        assert_eq!(is_named, arguments.contains(&"--plugin"), "{arguments:?}: {said}");
    }
    let (code, printed, said) = dualk(&["schema"]);
    assert_eq!((code, printed.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("error: this file is no shared library\n"), "{said}");
}

/// What they bring was said not to be there, as where too many files are open.
#[test]
fn what_of_the_search_path_cannot_be_read_is_named() {
    let folder = crate::support::folder();
    let file = folder.path().join("no-folder");
    fs::write(&file, "").unwrap();
    fs::write(folder.path().join("m.toml"), "[data]\nparser = \"mine\"\n").unwrap();
    let mut check = program(env!("CARGO_BIN_EXE_dualk"), folder.path());
    let output = check.args(["check", "m.toml"]).env("DUALK_PLUGIN_PATH", &file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let says = ["no parser is named `mine`", &format!("cannot be read: {}: ", file.display())];
    assert!(says.iter().all(|says| said.contains(says)), "{said}");
}

#[test]
fn a_descriptor_of_another_form_is_refused() {
    let folder = crate::support::folder();
    let mut bytes = fs::read(shipped()).unwrap();
    let at = position(&bytes, MAGIC) + MAGIC.len();
    assert_eq!(bytes[at..at + 4], [1, 0, 0, 0]);
    bytes[at] = 77;
    let file = folder.path().join(library("form"));
    fs::write(&file, bytes).unwrap();
    assert_says(&refusal(&file), &["descriptor of another form", "plugin: form 77", "dualk:  form 1", "plugin build"]);
}

#[test]
fn an_unknown_slot_is_refused_with_a_suggestion() {
    let folder = crate::support::folder();
    let file = edited(folder.path(), b"graph_encoder gat\n", b"graph_encodor gat\n");
    let says =
        ["unknown slot `graph_encodor`", "did you mean `graph_encoder`?", "`dualk-plugin-encoder-gat` brings `gat`"];
    assert_says(&refusal(&file), &says);
    assert_says(&refusal(&file), &[file.to_str().unwrap()]);
}

#[test]
fn what_is_no_plugin_is_refused() {
    let folder = crate::support::folder();
    let text = folder.path().join("text.so");
    fs::write(&text, "not a library").unwrap();
    assert_says(&refusal(&text), &["this file is no shared library", "text.so", "dualk plugin new"]);
    let cut = folder.path().join("cut.so");
    let bytes = fs::read(shipped()).unwrap();
    fs::write(&cut, &bytes[..position(&bytes, MAGIC) + 300]).unwrap();
    assert_says(&refusal(&cut), &["this shared library is no dualk plugin", "cut.so"]);
    let sdk = beside(&library("dualk_sdk"));
    assert_says(&refusal(&sdk), &["this shared library is no dualk plugin", "export_plugin!"]);
    let absent = folder.path().join("absent.so");
    assert_says(&refusal(&absent), &["`path`: there is no such plugin file", "absent.so"]);
    assert_says(&refusal(folder.path()), &["there is no such plugin file"]);
    assert_says(&refusal("gatt".as_ref()), &["no plugin is named `gatt`", "did you mean `gat`?"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_the_system_cannot_open_is_refused() {
    let folder = crate::support::folder();
    let mut bytes = fs::read(shipped()).unwrap();
    bytes[18..20].copy_from_slice(&[0xff, 0xff]); // the processor that an ELF file is for
    let file = folder.path().join(library("foreign"));
    fs::write(&file, bytes).unwrap();
    assert_says(
        &refusal(&file),
        &["the plugin `dualk-plugin-encoder-gat` cannot be opened", "foreign", "plugin build"],
    );
}

#[test]
fn a_pin_refuses_every_other_file() {
    let found = inspect(&shipped()).unwrap();
    let wrong = "0".repeat(64);
    let error = Registry::new().load("gat".as_ref(), Some(&wrong)).unwrap_err();
    assert_eq!(error.blame(), Blame::User);
    let (pinned, is) = (format!("pinned: {wrong}"), format!("found:  {}", found.sha256));
    assert_says(&error, &["`sha256`: the plugin `dualk-plugin-encoder-gat` is not the pinned file", &pinned, &is]);
    let mut registry = Registry::new();
    registry.load("gat".as_ref(), Some(&found.sha256.to_uppercase())).unwrap();
    assert_eq!(registry.plugins()[0].sha256.as_deref(), Some(found.sha256.as_str()));
}

#[test]
fn a_file_can_be_loaded_twice_but_a_name_comes_from_one_plugin() {
    let folder = crate::support::folder();
    let mut registry = Registry::new();
    registry.load("gat".as_ref(), None).unwrap();
    registry.load(&shipped(), None).unwrap();
    assert_eq!(registry.plugins().len(), 1);
    assert_eq!(registry.components().filter(|info| info.name == "gat").count(), 1);

    let second = folder.path().join(library("second"));
    let bytes = fs::read(shipped()).unwrap();
    fs::write(&second, [&bytes[..], b"\0"].concat()).unwrap();
    let error = registry.load(&second, None).unwrap_err();
    assert_eq!(error.blame(), Blame::User);
    let (first, second) = (registry.plugins()[0].file.clone().unwrap(), fs::canonicalize(second).unwrap());
    let sides = [format!("first:  plugin {}", first.display()), format!("second: plugin {}", second.display())];
    assert_says(&error, &["two plugins bring a graph_encoder named `gat`", &sides[0], &sides[1], "remove one"]);
}

#[test]
fn a_file_without_its_end_is_refused() {
    let folder = crate::support::folder();
    let bytes = fs::read(shipped()).unwrap();
    let file = folder.path().join(library("short"));
    fs::write(&file, &bytes[..bytes.len() - 64]).unwrap();
    assert!(position(&bytes, MAGIC) < bytes.len() - 8192, "the descriptor is whole");
    assert_says(&refusal(&file), &["the end of this shared library is missing", "copy or build it again"]);
}

/// Of both kinds: in a `dylib` the dynamic linker binds the plugin's calls to the host's functions.
#[test]
fn a_plugin_with_its_own_sdk_is_refused() {
    for kind in ["cdylib", "dylib"] {
        refuse_own_sdk(kind);
    }
}

fn refuse_own_sdk(kind: &str) {
    let folder = crate::support::folder();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cli/plugins/fixtures/loss.rs");
    let (deps, file) = (beside("deps"), folder.path().join(library("alone")));
    let mut rustc = program("rustc", Path::new(env!("CARGO_MANIFEST_DIR")));
    rustc.env("CARGO_PKG_NAME", "alone").env("CARGO_PKG_VERSION", "0.1.0").arg(source);
    rustc.args(["--edition=2024", "--crate-name=alone", "--crate-type", kind, "-o"]).arg(&file);
    rustc.arg("--extern").arg(format!("dualk_sdk={}", deps.join("libdualk_sdk.rlib").display()));
    rustc.arg("-L").arg(format!("dependency={}", deps.display()));
    let output = rustc.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(inspect(&file).unwrap().stamp, Stamp::current(), "only the copy of the SDK differs");
    let manifest = format!("[[plugin]]\npath = {file:?}\n\n[data]\nparser = \"synthetic\"\n");
    fs::write(folder.path().join("alone.toml"), manifest).unwrap();
    // In a process of its own, since it would bring a second burn into this one.
    let error = fail(folder.path(), &["check", "alone.toml"], 2);
    let sides = ["plugin: linked the SDK statically", "dualk:  host and plugins share one libdualk_sdk"];
    for part in [
        "the plugin `alone` carries its own copy of the SDK",
        sides[0],
        sides[1],
        "`dualk plugin build`",
        "alone.toml:1",
    ] {
        assert!(error.contains(part), "lacks {part:?}: {error}");
    }
}
