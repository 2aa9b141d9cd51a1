//! Whatever is well formed enough to get past the first look, and then says nonsense: readers give a value or an error
//! of the user's, and neither a panic nor memory without end. `fuzz` has the other half, inputs with damage.
//!
//! 100 cases a reader, or as many as `PROPTEST_CASES` says.

#[path = "support/inputs/mod.rs"]
mod inputs;

use dualk_sdk::boundary::guard;
use dualk_sdk::error::Blame;
use dualk_sdk::memory;
use dualk_sdk::prelude::Result;
use inputs::{Files, files, manifests, tables};
use proptest::prelude::{ProptestConfig, proptest};
use std::path::Path;

/// More than what any of these files should take, by far.
const MOST_MEMORY: u64 = 2 << 30;

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A value or an error of the user's.
fn give(files: &Files, read: impl Fn(&Path) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    inputs::write(folder.path(), &inputs::packed(files));
    if let Err(error) = guard::catch(|| read(folder.path())) {
        assert!(error.blame() == Blame::User, "{error}\n{}", inputs::shown(files));
    }
    assert!(memory::peak().is_none_or(|peak| peak < MOST_MEMORY), "{:?} bytes", memory::peak());
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn tables_of_mimic3(files in tables::mimic3()) {
        give(&files, tables::read_mimic3);
    }

    #[test]
    fn tables_of_mimic4(files in tables::mimic4()) {
        give(&files, tables::read_mimic4);
    }

    #[test]
    fn tables_of_eicu(files in tables::eicu()) {
        give(&files, tables::read_eicu);
    }

    #[test]
    fn tables_of_omop(files in tables::omop()) {
        give(&files, tables::read_omop);
    }

    #[test]
    fn facts_of_i2b2(files in tables::i2b2()) {
        give(&files, tables::read_i2b2);
    }

    #[test]
    fn tables_of_csv(files in tables::csv()) {
        give(&files, tables::read_csv);
    }

    #[test]
    fn events_of_meds(files in tables::meds()) {
        give(&files, tables::read_meds);
    }

    #[test]
    fn rows_between_quotes_and_separators(files in tables::dialect()) {
        give(&files, tables::read_dialect);
    }

    #[test]
    fn triples_and_dictionaries(files in files::triples()) {
        give(&files, files::read_triples_again);
    }

    #[test]
    fn safetensors_that_promise_what_they_do_not_hold(files in files::safetensors()) {
        give(&files, files::read_safetensors);
    }

    #[test]
    fn arrays_of_numpy(files in files::arrays()) {
        give(&files, files::read_arrays);
    }

    #[test]
    fn files_that_begin_like_a_plugin(files in files::descriptors()) {
        give(&files, files::read_descriptor);
    }

    #[test]
    fn manifests_with_other_values(files in manifests::manifests()) {
        give(&files, manifests::read_manifest);
    }
}
