//! Fifty plugins in one process, each with a dependency in another version than the SDK's.

use crate::support::{build, library, new, replaced};
use dualk_sdk::component::Slot;
use dualk_sdk::plugin::Registry;
use dualk_sdk::prelude::*;
use dualk_sdk::toml::Table;
use std::fs;
use std::path::Path;

const PLUGINS: usize = 50;

/// One plugin that knows its number by its component's name alone, and copies of its file with other names in them.
#[test]
fn fifty_plugins_at_once_keep_to_themselves() {
    let folder = crate::support::folder();
    let project = new(folder.path(), "member", Slot::Loss, Some(include_str!("fixtures/member.rs")));
    let manifest = project.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap().replace("[dependencies]", "[dependencies]\nrand = \"0.8\"");
    fs::write(&manifest, text).unwrap();
    let bytes = fs::read(build(&project)).unwrap();
    let (theirs, ours) = (version_of("rand", &project.join("Cargo.lock")), sdk_version("rand"));
    assert!(theirs.starts_with("0.8.") && !ours.starts_with("0.8"), "rand {theirs} beside {ours}");

    let mut registry = Registry::new();
    for number in 0..PLUGINS {
        let file = folder.path().join(library(&format!("member_{number:02}")));
        fs::write(&file, replaced(&bytes, b"member-00", format!("member-{number:02}").as_bytes())).unwrap();
        registry.load(&file, None).unwrap();
    }
    assert_eq!(registry.plugins().len(), PLUGINS);
    let device = Device::flex();
    for number in (0..PLUGINS).rev() {
        let loss = registry.make::<slots::loss>(&format!("member-{number:02}"), Table::new()).unwrap();
        let zeros = || Tensor::<2>::zeros([2, 3], &device);
        let value: f32 = loss.forward(zeros(), zeros()).into_scalar();
        assert_eq!(value, number as f32, "the code of that very file");
    }
}

/// The version of a package in a lock file.
fn version_of(package: &str, lock: &Path) -> String {
    let lock: Table = fs::read_to_string(lock).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let found = packages.iter().find(|p| p["name"].as_str() == Some(package)).unwrap();
    found["version"].as_str().unwrap().to_owned()
}

/// The version that the SDK's manifest asks for.
fn sdk_version(package: &str) -> String {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/Cargo.toml");
    let manifest: Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
    let dependency = &manifest["dependencies"][package];
    dependency.as_str().or_else(|| dependency["version"].as_str()).unwrap().to_owned()
}
