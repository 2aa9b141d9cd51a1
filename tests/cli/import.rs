//! The published files become a run that predicts what the published model predicts.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use dualk_sdk::data::tables;
use dualk_sdk::toml::Table;
use program::{dualk, run_folder, said, succeed};
use safetensors::SafeTensors;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of golden numbers: `DUALK_GOLDEN`, else `shared/golden` beside the workspace. The build script looks whether
/// it is there.
fn golden() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
    std::env::var_os("DUALK_GOLDEN").map_or(beside, PathBuf::from).canonicalize().unwrap()
}

/// A folder with a manifest of the golden cohort.
fn place(golden: &Path, test: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").canonicalize().unwrap();
    let (root, map) = (golden.join("cohort-a/raw"), data.join("icd10-icd9.csv"));
    let split = format!("split = {{ type = \"dualk\", train = 260, test = {test}, seed = 42 }}");
    let text = format!("[data]\nparser = {{ type = \"mimic4\", root = {root:?}, icd_map = {map:?} }}\n{split}\n");
    fs::write(folder.path().join("data.toml"), text).unwrap();
    folder
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

mod golden {
    use super::*;

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs artifacts-a of the golden numbers")]
    fn an_imported_model_gives_the_published_logits() {
        let golden = super::golden();
        let folder = place(&golden, 40);
        let artifacts = golden.join("artifacts-a");
        let import = ["import", artifacts.to_str().unwrap(), "--data", "data.toml", "--vectors", "hake.safetensors"];
        let run = run_folder(&succeed(folder.path(), &import));
        succeed(folder.path(), &["eval", &run, "--predictions", "logits.parquet"]);

        let bytes = fs::read(artifacts.join("expected.safetensors")).unwrap();
        let expected = SafeTensors::deserialize(&bytes).unwrap();
        let logits = expected.tensor("test_logits").unwrap();
        let &[rows, columns] = logits.shape() else { panic!("{:?}", logits.shape()) };
        let pids: Vec<i64> = expected
            .tensor("test_pids")
            .unwrap()
            .data()
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b))
            .collect();
        let path = folder.path().join("logits.parquet");
        let names = tables::Table::at(&path, &[]).unwrap().header().to_vec();
        let (about, names) = names.split_at(5);
        assert_eq!(about, ["patient", "admission", "time", "visits", "targets"]);
        let wanted: Vec<&str> = std::iter::once("patient").chain(names.iter().map(String::as_str)).collect();
        let table = tables::Table::at(&path, &wanted).unwrap();
        let predictions = table.read().unwrap();
        assert_eq!((predictions.len(), names.len()), (rows, columns));
        let patients = predictions.integers("patient").unwrap();
        // Columns of the published model are numbered by its code map, which is the vocabulary's order.
        let logits_of = |name: &String| predictions.texts(name).unwrap().map(|x| x.unwrap().parse().unwrap()).collect();
        let ours: Vec<Vec<f32>> = names.iter().map(logits_of).collect();
        let logits = floats(logits.data());
        let largest = logits.iter().fold(0f32, |m, x| m.max(x.abs()));
        for (row, pid) in pids.iter().enumerate() {
            let at = patients.iter().position(|p| p == pid).unwrap();
            for column in 0..columns {
                let (a, b) = (ours[column][at], logits[row * columns + column]);
                assert!((a - b).abs() <= 1e-4 * b.abs().max(1e-2 * largest), "row {row}, column {column}: {a} and {b}");
            }
        }

        // The table of vectors serves the node initialiser, which falls back as the published one does.
        let vectors = fs::read(folder.path().join("hake.safetensors")).unwrap();
        let vectors = SafeTensors::deserialize(&vectors).unwrap();
        assert_eq!(vectors.tensor("vectors").unwrap().shape()[1], expected.tensor("node_features").unwrap().shape()[1]);
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs artifacts-a of the golden numbers")]
    fn other_patients_and_files_are_refused() {
        let golden = super::golden();
        let artifacts = golden.join("artifacts-a");
        let folder = place(&golden, 50);
        let output = dualk(folder.path(), &["import", artifacts.to_str().unwrap(), "--data", "data.toml"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("pids.pkl") && said(&output).contains("72 patients"), "{}", said(&output));
        assert!(!folder.path().join("runs").exists(), "nothing is left behind");
        let folder = place(&golden, 40);
        for (checkpoint, says) in [
            ("decoder_chem_weights.pth", "the checkpoint has no `gnn_layer"),
            ("code_maps.pkl", "no archive of PyTorch"),
            ("initial_embeddings.pth", "the checkpoint has no `gnn_layer"),
            ("nothing.pth", "nothing.pth"),
        ] {
            let import = ["import", artifacts.to_str().unwrap(), "--data", "data.toml", "--checkpoint", checkpoint];
            let output = dualk(folder.path(), &import);
            assert_eq!(output.status.code(), Some(2), "{}", said(&output));
            assert!(said(&output).contains(says), "{}", said(&output));
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs artifacts-a of the golden numbers")]
    fn every_published_file_is_read() {
        let golden = super::golden();
        let mut seen = 0;
        for entry in fs::read_dir(golden.join("artifacts-a")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "pth" || end == "pkl") {
                let output = dualk(Path::new("."), &["import", "--show", path.to_str().unwrap()]);
                assert!(output.status.success(), "{}: {}", path.display(), said(&output));
                assert!(!output.stdout.is_empty());
                seen += 1;
            }
        }
        assert_eq!(seen, 10);
    }
}

#[test]
fn a_folder_without_the_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data.toml"), Table::new().to_string()).unwrap();
    let output = dualk(folder.path(), &["import", ".", "--data", "data.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("code_maps.pkl"), "{}", said(&output));
}
