//! The readers of the SDK and of shipped plugins: the sound inputs of `fuzz` in `dualk-tests`, with changes that an engine thinks
//! of.

#[path = "../../library/support/inputs/mod.rs"]
mod inputs;
mod support;

use dualk_sdk::Result;
use dualk_sdk::boundary::guard;
use dualk_sdk::error::Blame;
use inputs::{Files, files, manifests, tables};
use std::fs;
use std::path::Path;
use support::{Edit, edited};

/// Which of the sound inputs, and changes of its files by number.
type Input = (u8, Vec<(u8, Edit)>);

/// What means something to readers of texts.
const TEXT: &[&[u8]] =
    &[b"\"", b",", b"\t", b"\n", b"\r\n", b"\0", b"-1", b"1e999", b"99999999999999999999", b"2150-01-01"];

/// A reader, and where its inputs lie.
struct Target {
    folder: tempfile::TempDir,
    sound: Vec<Files>,
    words: &'static [&'static [u8]],
    read: fn(&Path) -> Result<()>,
}

impl Target {
    /// # Panics
    /// When a sound input is refused.
    fn new(sound: Vec<Files>, words: &'static [&'static [u8]], read: fn(&Path) -> Result<()>) -> Self {
        let target = Self { folder: tempfile::tempdir().unwrap(), sound, words, read };
        target.sound.iter().for_each(|files| target.give(files).unwrap());
        target
    }

    fn give(&self, files: &Files) -> Result<()> {
        let place = self.folder.path().join("input");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        inputs::write(&place, &inputs::packed(files));
        guard::catch(|| (self.read)(&place))
    }

    /// A value or an error of the user's, whatever is changed.
    fn try_changed(&self, (which, edits): &Input) {
        let mut files = self.sound[usize::from(*which) % self.sound.len()].clone();
        for &(file, edit) in edits {
            let number = usize::from(file) % files.len();
            if let Some(bytes) = files.values_mut().nth(number) {
                *bytes = edited(std::mem::take(bytes), edit, self.words);
            }
        }
        if let Err(error) = self.give(&files) {
            assert!(error.blame() == Blame::User, "{error}\n{}", inputs::shown(&files));
        }
    }
}

/// A test for each reader, by whose name cargo-bolero finds it.
macro_rules! targets {
    ($($name:ident: $sound:expr, $words:expr, $read:expr;)+) => {
        $(
            #[test]
            fn $name() {
                let check = bolero::check!();
                let target = Target::new($sound, $words, $read);
                check.with_type::<Input>().for_each(|input: &Input| target.try_changed(input));
            }
        )+
    };
}

targets! {
    manifest: manifests::sound_manifests(),
        &[b"extends = \"m.toml\"\n", b"type = ", b"[[stage]]\n", b"[sweep]\n", b"\"gat\"", b"-1", b"nan", b"../"],
        manifests::read_manifest;
    mimic3: tables::sound_mimic3(), TEXT, tables::read_mimic3;
    mimic4: tables::sound_mimic4(), TEXT, tables::read_mimic4;
    eicu: tables::sound_eicu(), TEXT, tables::read_eicu;
    omop: tables::sound_omop(), TEXT, tables::read_omop;
    i2b2: tables::sound_i2b2(), TEXT, tables::read_i2b2;
    csv: tables::sound_csv(), TEXT, tables::read_csv;
    meds: tables::sound_meds(), TEXT, tables::read_meds;
    dialect: tables::sound_dialect(), TEXT, tables::read_dialect;
    compressed: tables::sound_compressed(), TEXT, tables::read_table;
    parquet: tables::sound_parquet(), TEXT, tables::read_table;
    safetensors: files::sound_safetensors(),
        &[b"\"F16\"", b"\"F64\"", b"\"BF16\"", b"[0,0]", b"[2,0]", b"\"__metadata__\":{", b"{}", b"null"],
        files::read_safetensors;
    npz: files::sound_arrays(),
        &[b"'<f2'", b"'|O'", b"'>f4'", b"'|S3'", b"True", b"(0,)", b"()"],
        files::read_arrays;
    vectors: files::sound_vectors(), TEXT, files::read_vectors;
    triples: files::sound_triples(), TEXT, files::read_triples;
    sources: files::sound_sources(), TEXT, files::read_sources;
}
