//! Runs that `dualk import` makes of published files.

use super::program::said;
use super::published;
use super::support::{MANIFEST, dualk, fail_each, leftovers, manifest};
use std::fs;
use std::path::Path;

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
    // An earlier file of vectors: the length of a heading in eight bytes, the heading, no numbers.
    let heading = r#"{"__metadata__":{"codes":"[]"},"vectors":{"dtype":"F32","shape":[0,2],"data_offsets":[0,0]}}"#;
    let old = [&(heading.len() as u64).to_le_bytes()[..], heading.as_bytes()].concat();
    let before = |folder: &Path| {
        fs::write(folder.join("data.toml"), format!("[data]{data}")).unwrap();
        fs::write(folder.join("v.safetensors"), &old).unwrap();
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
        assert!(vectors == old || vectors == new.1, "{when}");
        assert_eq!(leftovers(folder), [""; 0], "{when}");
    });
    assert!(failures > 20, "{failures}");
}
