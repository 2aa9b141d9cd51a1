//! Whatever bytes a file has, reading it gives a value or an error, and neither a panic nor more memory than its length
//! allows: every reader gets sound files with random damage, for two seconds each, or as long as
//! `DUALK_FUZZ_SECONDS` says.

use dualk_plugin_init_hake::{HakeOptions, TextOptions};
use dualk_plugin_parser_mimic::Mimic4Options;
use dualk_plugin_parser_synthetic::{SyntheticOptions, generate, write_raw};
use dualk_sdk::boundary::guard;
use dualk_sdk::burn::module::{Module, Param};
use dualk_sdk::burn::tensor::{Device, Tensor, TensorData};
use dualk_sdk::data::tables::Table;
use dualk_sdk::error::Blame;
use dualk_sdk::experiment::Manifest;
use dualk_sdk::model::{load_weights, save_weights};
use dualk_sdk::plugin::inspect;
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_sdk::train::Optimizer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long each reader is tried.
fn time() -> Duration {
    let seconds = std::env::var("DUALK_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// A seed that a failure names; `DUALK_FUZZ_SEED` takes it up.
fn first_seed() -> u64 {
    std::env::var("DUALK_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

/// Texts that mean something to some reader.
const WORDS: [&[u8]; 16] = [
    b"\"",
    b",",
    b"\n",
    b"\r\n",
    b"\0",
    b"-1",
    b"NaN",
    b"1e999",
    b"99999999999999999999",
    b"[[",
    b"{",
    b"'''",
    b"\xff\xfe",
    b"\xf0\x9f\x92\x8a",
    b"2150-13-45 99:99:99",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
];

/// `sound` with some damage.
fn damaged(sound: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=bytes.len());
        let end = bytes.len().min(at + random.random_range(0..64));
        match random.random_range(0..7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                let to = random.random_range(0..=bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            3 => drop(bytes.splice(at..at, WORDS[random.random_range(0..WORDS.len())].iter().copied())),
            4 => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                let end = bytes.len().min(at + word.len());
                drop(bytes.splice(at..end, word.iter().copied()));
            }
            _ => bytes[at..end].iter_mut().take(4).for_each(|byte| *byte = random.random()),
        }
    }
    bytes
}

/// Gives `read` damaged forms of the file `name`. An error is the user's, or that of a component that a value cannot do
/// with; a panic fails the test.
fn try_all(file: &Path, read: impl Fn() -> Result<()>) {
    let sound = fs::read(file).unwrap();
    read().unwrap_or_else(|e| panic!("the sound file is refused: {e}"));
    let (begun, mut seed, mut refused) = (Instant::now(), first_seed(), 0u64);
    let first = seed;
    while begun.elapsed() < time() {
        let bytes = damaged(&sound, &mut StdRng::seed_from_u64(seed));
        fs::write(file, bytes).unwrap();
        if let Err(error) = guard::catch(&read) {
            refused += 1;
            let text = error.to_string();
            assert!(error.blame() == Blame::User, "DUALK_FUZZ_SEED={seed}, {}: {text}", file.display());
        }
        seed += 1;
    }
    fs::write(file, sound).unwrap();
    println!("{}: {} damaged files, {refused} refused", file.display(), seed - first);
    assert!(refused > 0);
}

#[test]
fn manifests() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.toml");
    let text = include_str!("../../experiments/mimic4.toml");
    fs::write(&file, text).unwrap();
    try_all(&file, || Manifest::load(&file, &[]).map(drop));
}

#[test]
fn tables_of_a_parser() {
    let folder = tempfile::tempdir().unwrap();
    let options = SyntheticOptions { patients: 40, clusters: 4, codes: 40, labs: 12, ..SyntheticOptions::default() };
    write_raw(&generate(&options, 5), folder.path()).unwrap();
    let map = folder.path().join("icd10-icd9.csv");
    let parse = || {
        let options = Mimic4Options {
            root: FilePath(folder.path().to_owned()),
            icd_map: FilePath(map.clone()),
            ..Mimic4Options::default()
        };
        let cohort = options.build()?.parse(&ParserContext { progress: &Silent, compat: false, seed: 0 })?;
        cohort.validate()
    };
    for table in ["patients", "admissions", "diagnoses_icd", "labevents", "d_labitems", "icd10-icd9"] {
        try_all(&folder.path().join(format!("{table}.csv")), parse);
    }
}

#[test]
fn tables_as_gzip_and_parquet() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..200).map(|i| format!("{i},\"a, {i}\",x{i}\n")).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(format!("id,b,c\n{text}").as_bytes()).unwrap();
    let (gzip, parquet) = (folder.path().join("t.csv.gz"), folder.path().join("t.parquet"));
    fs::write(&gzip, encoder.finish().unwrap()).unwrap();
    let columns = [("id", (0..200i64).collect::<Vec<_>>().into()), ("b", vec!["q"; 200].into())];
    let columns = columns.map(|(name, values)| (name.to_owned(), values));
    dualk_sdk::data::columns::write_parquet(&parquet, columns.into()).unwrap();
    for file in [gzip, parquet] {
        let read = || {
            let table = Table::at(&file, &["id", "b"])?;
            let rows = table.read()?;
            rows.integers("id")?;
            rows.texts("b")?.for_each(drop);
            Ok(())
        };
        try_all(&file, read);
    }
}

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
}

#[test]
fn weights_and_optimizers() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, state) = (folder.path().join("w.safetensors"), folder.path().join("o.safetensors"));
    let device = Device::flex();
    let data = TensorData::new((0..12).map(|x| x as f32).collect::<Vec<_>>(), [3, 4]);
    let layer = Layer { weight: Param::from_tensor(Tensor::from_data(data, &device)) };
    save_weights(&layer, &weights).unwrap();
    try_all(&weights, || load_weights(layer.clone(), &weights).map(drop));
    // What Adam knows after a step: two moments of twelve numbers.
    let moments = [0u8; 48];
    let view = || safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![12], &moments).unwrap();
    let steps = std::collections::HashMap::from([("weight".to_owned(), "1".to_owned())]);
    let views = [("mean/weight", view()), ("square/weight", view())];
    fs::write(&state, safetensors::serialize(views, Some(steps)).unwrap()).unwrap();
    try_all(&state, || Optimizer::load(&state, &device).map(drop));
    fs::write(&state, "").unwrap();
    let error = Optimizer::load(&state, &device).unwrap_err();
    assert!(error.blame() == Blame::User && error.to_string().contains("o.safetensors"), "{error}");
}

#[test]
fn descriptors_of_plugins() {
    // What `export_plugin!` leaves in a library, and no more of it than is needed.
    let Some(library) = shipped_plugin() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.so");
    let bytes = fs::read(library).unwrap();
    fs::write(&file, &bytes).unwrap();
    let sound = inspect(&file).unwrap();
    assert!(!sound.components.is_empty());
    let (begun, mut seed) = (Instant::now(), first_seed());
    // Damage where the texts are: all over the file, hardly any would meet them.
    let name = sound.name.as_bytes();
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    let (from, to) = (at.saturating_sub(512), bytes.len().min(at + 2048));
    while begun.elapsed() < time() {
        let part = damaged(&bytes[from..to], &mut StdRng::seed_from_u64(seed));
        fs::write(&file, [&bytes[..from], &part, &bytes[to..]].concat()).unwrap();
        if let Err(error) = guard::catch(|| inspect(&file).map(drop)) {
            assert!(error.blame() == Blame::User, "DUALK_FUZZ_SEED={seed}: {error}");
        }
        seed += 1;
    }
}

/// The smallest shipped plugin beside the tests, if they were built.
fn shipped_plugin() -> Option<PathBuf> {
    let folder = std::env::current_exe().ok()?.parent()?.parent()?.to_owned();
    let name = dualk_sdk::plugin::plugin_file_name("lab-layers");
    [folder.join(&name), folder.join("deps").join(&name)].into_iter().find(|path| path.is_file())
}

#[test]
fn vectors_of_codes() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("v.csv");
    fs::write(&text, "code,x,y\n428,1,2\n\"V10\",5e0, 6.0\n250.00,0.5,-1\n").unwrap();
    let codes = ["", "428", "V10", "250.00"].map(str::to_owned);
    let device = Device::flex();
    let context = NodeInitContext { codes: &codes, device: &device };
    try_all(&text, || TextOptions { path: FilePath(text.clone()) }.build()?.init(&context).map(drop));
    let table = folder.path().join("v.safetensors");
    let values: Vec<u8> = (0..6).flat_map(|x| (x as f32).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![3, 2], &values).unwrap();
    let names = [("codes".to_owned(), "[\"428\",\"V10\",\"250.00\"]".to_owned())].into();
    fs::write(&table, safetensors::serialize([("vectors", view)], Some(names)).unwrap()).unwrap();
    try_all(&table, || {
        HakeOptions { path: FilePath(table.clone()), dim: 2, ..Default::default() }.build()?.init(&context).map(drop)
    });
}
