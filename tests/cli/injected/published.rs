//! Files as the published code leaves them, made up here.

use dualk_sdk::serde_json::{self, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Width of embeddings.
const WIDTH: usize = 4;

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn integer(number: usize) -> Vec<u8> {
    [b"J", &(number as i32).to_le_bytes()[..]].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

fn dict(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let entries = entries.into_iter().flat_map(|(key, value)| [key, value].concat());
    [b"}(", &entries.collect::<Vec<u8>>()[..], b"u"].concat()
}

/// An array of NumPy with one dimension.
fn array<const N: usize>(kind: &str, numbers: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    let data = numbers.into_iter().flatten().collect::<Vec<u8>>();
    let dtype = [b"cnumpy\ndtype\n", &tuple(&[text(kind)])[..], b"R"].concat();
    let bytes = [b"B", &(data.len() as u32).to_le_bytes()[..], &data].concat();
    let state = tuple(&[integer(1), tuple(&[integer(data.len() / N)]), dtype, b"\x89".to_vec(), bytes]);
    let class = tuple(&[b"cnumpy\nndarray\n".to_vec()]);
    [b"cnumpy.core.multiarray\n_reconstruct\n", &class[..], b"R", &state, b"b"].concat()
}

/// A tensor whose numbers are in the file `key` of the archive.
fn tensor(key: usize, shape: &[usize]) -> Vec<u8> {
    let strides = (0..shape.len()).map(|axis| integer(shape[axis + 1..].iter().product())).collect::<Vec<_>>();
    let storage = [
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(&key.to_string()),
        text("cpu"),
        integer(shape.iter().product()),
    ];
    let storage = [tuple(&storage), b"Q".to_vec()].concat();
    let shape = shape.iter().map(|&size| integer(size)).collect::<Vec<_>>();
    let hooks = b"ccollections\nOrderedDict\n)R".to_vec();
    let arguments = tuple(&[storage, integer(0), tuple(&shape), tuple(&strides), b"\x89".to_vec(), hooks]);
    [b"ctorch._utils\n_rebuild_tensor_v2\n", &arguments[..], b"R"].concat()
}

fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

/// Entries of an object of JSON that are whole numbers.
fn numbers(object: &Value) -> impl Iterator<Item = (&String, usize)> {
    object.as_object().unwrap().iter().map(|(key, number)| (key, number.as_u64().unwrap() as usize))
}

/// Shapes of a GAT of two layers with heads and decoders, for so many nodes, codes and items.
fn shapes(nodes: usize, codes: usize, labs: &Value) -> BTreeMap<String, Vec<usize>> {
    let items = |category: &str| labs[category].as_object().unwrap().len();
    let mut shapes = BTreeMap::new();
    let mut add = |name: &str, shape: &[usize]| drop(shapes.insert(name.to_owned(), shape.to_vec()));
    add("gnn_layer.node_features", &[nodes, WIDTH]);
    for layer in ["gnn_layer.conv1", "gnn_layer.conv2"] {
        add(&format!("{layer}.att_src"), &[1, 1, WIDTH]);
        add(&format!("{layer}.att_dst"), &[1, 1, WIDTH]);
        add(&format!("{layer}.bias"), &[WIDTH]);
        add(&format!("{layer}.lin.weight"), &[WIDTH, WIDTH]);
    }
    add("visit_attention.attn_weights", &[WIDTH, WIDTH]);
    add("patient_attention.attn_weights", &[WIDTH, WIDTH]);
    let mut layer = |name: &str, input: usize, output: usize| {
        add(&format!("{name}.weight"), &[output, input]);
        add(&format!("{name}.bias"), &[output]);
    };
    layer("lab_layer", items("all"), 3);
    for (decoder, category) in [("decoder1", "hematology"), ("decoder2", "chemistry"), ("decoder3", "blood gas")] {
        layer(&format!("{decoder}.fc1"), WIDTH, 2);
        layer(&format!("{decoder}.fc2"), 2, 2);
        layer(&format!("{decoder}.fc3"), 2, items(category));
    }
    // The patient, the items and what the decoders hold.
    layer("classifier.fc1", WIDTH + 3 + 3 * 2, 2);
    layer("classifier.fc2", 2, codes);
    shapes
}

fn write_checkpoint(file: &Path, shapes: &BTreeMap<String, Vec<usize>>) {
    let mut zip = ZipWriter::new(fs::File::create(file).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(name, FileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        zip.write_all(bytes).unwrap();
    };
    let state = shapes.iter().enumerate().map(|(key, (name, shape))| (text(name), tensor(key, shape)));
    add("made/data.pkl", &pickle(&dict(state)));
    for (key, shape) in shapes.values().enumerate() {
        let number = |i: usize| ((i * 7 % 13) as f32 / 6.5 - 1.0).to_le_bytes();
        let numbers = (0..shape.iter().product::<usize>()).flat_map(number).collect::<Vec<u8>>();
        add(&format!("made/data/{key}"), &numbers);
    }
    zip.finish().unwrap();
}

/// Writes to `folder` a model of the patients that `dualk prepare` wrote to `prepared`.
pub fn write(folder: &Path, prepared: &Path) {
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(prepared.join(name)).unwrap()).unwrap() };
    let (vocabulary, splits) = (read("vocabulary.json"), read("splits.json"));
    let (codes, pretrained) = (&vocabulary["code_map"], &vocabulary["code_map_pretrain"]);
    let by_code = |map: &Value| dict(numbers(map).map(|(code, number)| (text(code), integer(number))));
    let by_item =
        |map: &Value| dict(numbers(map).map(|(item, number)| (integer(item.parse().unwrap()), integer(number))));
    let labs = vocabulary["labs"].as_object().unwrap().iter().map(|(name, map)| (text(name), by_item(map)));
    let maps = [
        (text("code_map"), by_code(codes)),
        (text("code_map_pretrain"), by_code(pretrained)),
        (text("lab_map"), dict(labs)),
    ];
    let patients = ["pretrain", "train", "valid", "test"].map(|part| {
        let ids = splits[part].as_array().unwrap().iter().map(|id| id.as_i64().unwrap().to_le_bytes());
        (text(&format!("{part}_pids")), array("i8", ids))
    });
    let vector = |number: usize| array("f4", [number as f32; WIDTH].map(f32::to_le_bytes));
    let vectors = numbers(pretrained).map(|(code, number)| (text(code), vector(number)));
    fs::create_dir(folder).unwrap();
    for (name, value) in
        [("code_maps.pkl", dict(maps)), ("pids.pkl", dict(patients)), ("ICD2HAKE_4.pkl", dict(vectors))]
    {
        fs::write(folder.join(name), pickle(&value)).unwrap();
    }
    let (nodes, codes) = (pretrained.as_object().unwrap().len() + 1, codes.as_object().unwrap().len());
    write_checkpoint(&folder.join("checkpoint.pth"), &shapes(nodes, codes, &vocabulary["labs"]));
}
