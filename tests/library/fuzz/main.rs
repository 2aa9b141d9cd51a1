//! Whatever bytes a file has, reading it gives a value or an error of the user's, and neither a panic, nor a wait, nor more
//! memory than its length allows: every reader gets damaged inputs, sound ones and such as `random_inputs` makes.
//!
//! A second a reader, or as long as `DUALK_FUZZ_SECONDS` says. One of them for an hour, in a gibibyte:
//!
//! ```sh
//! DUALK_FUZZ_SECONDS=3600 DUALK_FUZZ_MIB=1024 cargo test --release -p dualk-tests --test fuzz -- --exact pickle --nocapture
//! ```
//!
//! Inputs are files: `TMPDIR=/dev/shm`, where that is memory, has some ten times as many of them read in the same time.
//!
//! `tests/bolero/run.sh` tries the same readers by what code an input reaches.
//!
//! `DUALK_FUZZ_SEED` begins elsewhere than at 1. What fails is made smaller and kept, with the command that tries it again;
//! once it is mended, it belongs to `found/READER`, with which every run begins. What ended the process on the spot is in the
//! folder `dualk-fuzz-READER-PROCESS` of temporary files: `DUALK_FUZZ_REPLAY` takes a folder, too.

mod damage;
mod driver;
#[path = "../support/inputs/mod.rs"]
mod inputs;

/// The readers of `dualk import`, which are the program's own.
#[allow(dead_code)]
#[path = "../../../experiments/cli/src/commands/import"]
mod import {
    pub mod pickle;
    pub mod torch;
}

use driver::Target;
use dualk_sdk::prelude::{Error, Result};
use import::pickle::Pickle;
use inputs::{Files, files, manifests, tables};
use std::fs;
use std::path::Path;

#[test]
fn manifest() {
    let target = Target::new("manifest", manifests::sound_manifests(), manifests::read_manifest);
    Target {
        more: manifests::published_manifests(),
        words: &[
            b"extends = \"m.toml\"\n",
            b"type = ",
            b"seed = ",
            b"[[stage]]\n",
            b"[sweep]\n",
            b"\"gat\"",
            b"\"adam\"",
            b"${HOME}",
            b"../",
            b"_",
        ],
        ..target.with(manifests::manifests())
    }
    .fuzz();
}

#[test]
fn mimic3() {
    Target::new("mimic3", tables::sound_mimic3(), tables::read_mimic3).with(tables::mimic3()).fuzz();
}

#[test]
fn mimic4() {
    Target::new("mimic4", tables::sound_mimic4(), tables::read_mimic4).with(tables::mimic4()).fuzz();
}

#[test]
fn eicu() {
    Target::new("eicu", tables::sound_eicu(), tables::read_eicu).with(tables::eicu()).fuzz();
}

#[test]
fn omop() {
    Target::new("omop", tables::sound_omop(), tables::read_omop).with(tables::omop()).fuzz();
}

#[test]
fn i2b2() {
    Target::new("i2b2", tables::sound_i2b2(), tables::read_i2b2).with(tables::i2b2()).fuzz();
}

#[test]
fn csv() {
    Target::new("csv", tables::sound_csv(), tables::read_csv).with(tables::csv()).fuzz();
}

#[test]
fn meds() {
    Target::new("meds", tables::sound_meds(), tables::read_meds).with(tables::meds()).fuzz();
}

#[test]
fn dialect() {
    Target::new("dialect", tables::sound_dialect(), tables::read_dialect).with(tables::dialect()).fuzz();
}

#[test]
fn compressed() {
    Target::new("compressed", tables::sound_compressed(), tables::read_table).fuzz();
}

#[test]
fn parquet() {
    Target::new("parquet", tables::sound_parquet(), tables::read_table).fuzz();
}

#[test]
fn safetensors() {
    let target = Target::new("safetensors", files::sound_safetensors(), files::read_safetensors);
    Target {
        words: &[b"\"F16\"", b"\"F64\"", b"\"BF16\"", b"[0,0]", b"[2,0]", b"\"__metadata__\":{", b"{}", b"null"],
        ..target.with(files::safetensors())
    }
    .fuzz();
}

#[test]
fn npz() {
    let target = Target::new("npz", files::sound_arrays(), files::read_arrays);
    Target {
        words: &[
            b"'<f2'",
            b"'|O'",
            b"'>f4'",
            b"'|S3'",
            b"'|S9999999999999'",
            b"'<U0'",
            b"True",
            b"(0,)",
            b"()",
            b"(4611686018427387904, 4)",
        ],
        ..target.with(files::arrays())
    }
    .fuzz();
}

#[test]
fn vectors() {
    Target::new("vectors", files::sound_vectors(), files::read_vectors).fuzz();
}

#[test]
fn descriptor() {
    let target = Target::new("descriptor", files::sound_descriptors(), files::read_descriptor);
    Target { words: &[b"fusion ", b"+", b"*", b"rustc ", b"\x01\x02\n"], ..target.with(files::descriptors()) }.fuzz();
}

#[test]
fn triples() {
    Target::new("triples", files::sound_triples(), files::read_triples).with(files::triples()).fuzz();
}

#[test]
fn sources() {
    let target = Target::new("sources", files::sound_sources(), files::read_sources);
    Target { words: &[b"#", b" # ", b"('", b"', '", b"')", b"\\", b"head", b"tail", b"code", b"{}", b"[]"], ..target }
        .fuzz();
}

/// `torch.save({"w": torch.tensor([[1., 2.], [3., 4.]]).t()})`, put together by hand.
const STATE: &[u8] = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n\
    X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00K\x02K\x02\x86K\x01K\x02\x86\x89ccollections\nOrderedDict\n)RtRs.";

/// Instructions that build something, and what they name.
const INSTRUCTIONS: &[&[u8]] = &[
    b"(",
    b"t",
    b"l",
    b"d",
    b")",
    b"]",
    b"}",
    b"e",
    b"u",
    b"s",
    b"R",
    b"b",
    b"Q",
    b"2",
    b"0",
    b"N",
    b"K\x00",
    b"K\x02",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x88",
    b"\x89",
    b"\x93",
    b"\x94",
    b"h\x00",
    b"q\x00",
    b"C\x04\x00\x00\x00\x00",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x8c\x02f4",
    b"\x8c\x01>",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch\nDoubleStorage\n",
    b"ccollections\nOrderedDict\n",
];

fn pickles() -> Vec<Files> {
    // pickle.dumps({"a": 1, "b": [2, -3, 2**40], "c": (None, True, 0.5)}, 4)
    let values =
        b"\x80\x04\x95,\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94]\x94(K\x02J\xfd\xff\xff\xff\
        \x8a\x06\x00\x00\x00\x00\x00\x01e\x8c\x01c\x94N\x88G?\xe0\x00\x00\x00\x00\x00\x00\x87\x94u.";
    // pickle.dumps(numpy.array([1, -2], dtype="float16"), 4), NumPy 2
    let array = b"\x80\x04\x95\x87\x00\x00\x00\x00\x00\x00\x00\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\
        \x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02\x85\x94h\x03\
        \x8c\x05dtype\x94\x93\x94\x8c\x02f2\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff\
        K\x00t\x94b\x89C\x04\x00<\x00\xc0\x94t\x94b.";
    [&values[..], array, STATE].map(|bytes| [("p.pkl".to_owned(), bytes.to_vec())].into()).into()
}

/// Reads `p.pkl` and asks of it what `dualk import` does.
fn read_pickle(folder: &Path) -> Result<()> {
    let path = folder.join("p.pkl");
    let pickle = Pickle::read(fs::read(&path).map_err(|e| Error::io("read", &path, e))?, &path)?;
    let _ = pickle.array(pickle.root());
    for &(key, value) in pickle.dict(pickle.root()).unwrap_or_default() {
        let _ = (pickle.text(key), pickle.array(value), pickle.dict(value));
    }
    Ok(())
}

#[test]
fn pickle() {
    Target { words: INSTRUCTIONS, ..Target::new("pickle", pickles(), read_pickle) }.fuzz();
}

/// A checkpoint of PyTorch: a zip archive of a pickle and a file of numbers.
fn checkpoint() -> Files {
    let numbers = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    [("data.pkl", STATE.to_vec()), ("byteorder", b"little".to_vec()), ("data/0", numbers)]
        .map(|(name, bytes)| (format!("w.pth/a/{name}"), bytes))
        .into()
}

fn read_checkpoint(folder: &Path) -> Result<()> {
    import::torch::read(&folder.join("w.pth")).map(drop)
}

#[test]
fn zip() {
    let mut deflated = checkpoint();
    deflated.insert("deflated".to_owned(), Vec::new());
    let target = Target::new("zip", vec![checkpoint()], read_checkpoint);
    Target { more: vec![deflated], words: INSTRUCTIONS, ..target }.fuzz();
}
