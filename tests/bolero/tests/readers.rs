//! Sound inputs with changes that an engine thinks of.

mod support;

use dualk_bolero::import::pickle::Pickle;
use dualk_bolero::import::torch;
use dualk_bolero::{Error, is_described};
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use support::Edit;

/// What means something to these readers.
const WORDS: [&[u8]; 12] = [
    b"(",
    b"t",
    b"R",
    b"b",
    b"h\x00",
    b"q\x00",
    b"\x86",
    b"\x93",
    b"cnumpy\ndtype\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ccollections\nOrderedDict\n",
    b"rustc ",
];

fn edited(sound: &[u8], edits: &[Edit]) -> Vec<u8> {
    edits.iter().fold(sound.to_vec(), |bytes, &edit| support::edited(bytes, edit, &WORDS))
}

/// A value or an error of the user's.
fn is_fine<T>(outcome: Result<T, Error>) {
    if let Err(error) = outcome {
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}

/// `torch.save({"w": torch.tensor([[1., 2.], [3., 4.]]).t()})`, put together by hand.
const STATE: &[u8] = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n\
    X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00K\x02K\x02\x86K\x01K\x02\x86\x89ccollections\nOrderedDict\n)RtRs.";

/// `pickle.dumps(numpy.array([1, -2], dtype="float16"), 4)`, NumPy 2.
const ARRAY: &[u8] = b"\x80\x04\x95\x87\x00\x00\x00\x00\x00\x00\x00\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\
    \x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02\x85\x94h\x03\
    \x8c\x05dtype\x94\x93\x94\x8c\x02f2\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff\
    K\x00t\x94b\x89C\x04\x00<\x00\xc0\x94t\x94b.";

#[test]
fn pickle() {
    bolero::check!().with_type::<(bool, Vec<Edit>)>().for_each(|input: &(bool, Vec<Edit>)| {
        let sound = if input.0 { STATE } else { ARRAY };
        let pickle = Pickle::read(edited(sound, &input.1), Path::new("p.pkl"));
        if let Ok(pickle) = &pickle {
            let _ = (pickle.array(pickle.root()), pickle.text(pickle.root()));
        }
        is_fine(pickle);
    });
}

/// The archive that PyTorch writes.
fn archive(state: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let numbers: Vec<u8> = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    for (name, bytes) in [("a/data.pkl", state), ("a/byteorder", b"little"), ("a/data/0", &numbers)] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Changes inside of the archive, where checksums fit, and of the archive.
#[test]
fn checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    bolero::check!().with_type::<(Vec<Edit>, Vec<Edit>)>().for_each(|input: &(Vec<Edit>, Vec<Edit>)| {
        let archive = archive(&edited(STATE, &input.0));
        fs::write(&path, edited(&archive, &input.1)).unwrap();
        is_fine(torch::read(&path));
    });
}

#[test]
fn descriptor() {
    let texts = [
        ("rustc 1.95.0", 128),
        ("0.1.0", 32),
        ("0.21.0", 32),
        ("x86_64-unknown-linux-gnu", 64),
        ("release", 64),
        ("", 128),
        ("0123456789abcdef", 32),
        ("made-up", 64),
        ("1.2.3", 32),
        ("fusion mean\n*loss bce\n+parser csv\n", 2048),
    ];
    // Put together, so that this program does not look like a plugin itself.
    let mut sound = [&b"\x7fDUALK-"[..], b"PLUGIN\x01\x02\n", &[1, 0, 0, 0, 0, 0, 0, 0]].concat();
    for (text, length) in texts {
        let end = sound.len() + length;
        sound.extend(text.as_bytes());
        sound.resize(end, 0);
    }
    assert!(is_described(&sound));
    bolero::check!().with_type::<Vec<Edit>>().for_each(|edits: &Vec<Edit>| {
        let _ = is_described(&edited(&sound, edits));
    });
}
