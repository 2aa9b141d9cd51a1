//! Tensors, arrays, descriptors of plugins and triples.

use super::{Files, texts, together};
use dualk_plugin_init_hake::{HakeOptions, TextOptions};
use dualk_sdk::boundary::guard;
use dualk_sdk::data::codes::CodeList;
use dualk_sdk::data::coding::{CodeSystem, Coding};
use dualk_sdk::data::events::read_mapping;
use dualk_sdk::data::knowledge::{GraphSource, Triples};
use dualk_sdk::error::Blame;
use dualk_sdk::kge::{KnowledgeGraph, load_embeddings};
use dualk_sdk::model::load_weights;
use dualk_sdk::plugin::{Stamp, inspect};
use dualk_sdk::prelude::*;
use dualk_sdk::serde_json::{Map, Value, json};
use dualk_sdk::toml;
use dualk_sdk::train::Optimizer;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use std::path::Path;

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..9u64, 4 => (0..24u64).prop_map(|n| n * 4), 1 => any::<u64>(), 1 => (30..64u32).prop_map(|n| 1 << n)]
}

/// Tensors that promise what they do not hold: `any.safetensors`.
pub fn safetensors() -> impl Strategy<Value = Files> {
    let name = prop_oneof![
        Just("vectors"),
        Just("relations"),
        Just("shared"),
        Just("mean/w"),
        Just("square/w"),
        Just("weight")
    ];
    let kind = prop_oneof![Just("F32"), Just("F64"), Just("I64"), Just("BOOL")];
    let tensors = vec((name, kind, vec(size(), 0..4), size(), size()), 0..4);
    let key = prop_oneof![Just("codes"), Just("relation_names"), Just("w"), Just("step")];
    let text = prop_oneof![
        Just("[\"428\",\"V10\"]"),
        Just("[]"),
        Just("{}"),
        Just("1"),
        Just("x"),
        Just("[1]"),
        Just("18446744073709551615")
    ];
    let length = prop_oneof![9 => Just(None), 1 => any::<u64>().prop_map(Some)];
    (tensors, vec((key, text), 0..3), 0..200usize, length).prop_map(|(tensors, metadata, data, length)| {
        let tensors = tensors.into_iter().map(|(name, kind, shape, from, to)| {
            (name.to_owned(), json!({ "dtype": kind, "shape": shape, "data_offsets": [from, to] }))
        });
        let mut header: Map<String, Value> = tensors.collect();
        let metadata: Map<String, Value> =
            metadata.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
        header.insert("__metadata__".to_owned(), metadata.into());
        let header = Value::Object(header).to_string();
        let length = length.unwrap_or(header.len() as u64).to_le_bytes();
        let bytes = [&length[..], header.as_bytes(), &vec![1; data]].concat();
        [("any.safetensors".to_owned(), bytes)].into()
    })
}

/// A tensor of 32-bit floats: its name and shape.
type Shaped = (&'static str, &'static [usize]);

/// Header and numbers of a file, as its two parts.
fn tensors(file: &str, metadata: &[(&str, &str)], tensors: &[Shaped]) -> Files {
    let (mut header, mut end) = (Map::new(), 0);
    let metadata: Map<String, Value> =
        metadata.iter().map(|(key, text)| ((*key).to_owned(), Value::from(*text))).collect();
    header.insert("__metadata__".to_owned(), metadata.into());
    for (name, shape) in tensors {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        let tensor = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
        header.insert((*name).to_owned(), tensor);
    }
    let data = (0..end / 4).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let header = Value::Object(header).to_string().into_bytes();
    [(format!("{file}.safetensors/header"), header), (format!("{file}.safetensors/data"), data)].into()
}

pub fn sound_safetensors() -> Vec<Files> {
    let names = [("codes", "[\"a\",\"b\"]"), ("relation_names", "[\"r\"]")];
    let codes = [("codes", "[\"428\",\"V10\",\"250.00\"]")];
    vec![
        tensors("embeddings", &names, &[("vectors", &[2, 2]), ("relations", &[1, 2]), ("shared", &[1, 1])]),
        tensors("optimizer", &[("weight", "1")], &[("mean/weight", &[12]), ("square/weight", &[12])]),
        tensors("vectors", &codes, &[("vectors", &[3, 2])]),
        tensors("weights", &[("made", "by hand")], &[("weight", &[3, 4])]),
    ]
}

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
}

/// Reads the file by what its name says it is, or as everything.
pub fn read_safetensors(folder: &Path) -> Result<()> {
    let device = Device::flex();
    let file = |name: &str| Some(folder.join(format!("{name}.safetensors"))).filter(|path| path.is_file());
    let weights = |path: &Path| {
        let weight = Param::from_tensor(Tensor::zeros([3, 4], &device));
        load_weights(Layer { weight }, path).map(drop)
    };
    if let Some(path) = file("embeddings") {
        load_embeddings(&path).map(drop)
    } else if let Some(path) = file("optimizer") {
        Optimizer::load(&path, &device).map(drop)
    } else if let Some(path) = file("vectors") {
        vectors(&path)
    } else if let Some(path) = file("weights") {
        weights(&path)
    } else if let Some(path) = file("any") {
        together([
            guard::catch(|| load_embeddings(&path).map(drop)),
            guard::catch(|| Optimizer::load(&path, &device).map(drop)),
            guard::catch(|| vectors(&path)),
            guard::catch(|| weights(&path)),
        ])
    } else {
        Err(Error::user("there is no file"))
    }
}

/// Vectors of codes, by both initialisers that read them.
fn vectors(file: &Path) -> Result<()> {
    let codes = ["", "428", "V10", "250.00"].map(str::to_owned);
    let device = Device::flex();
    let context = NodeInitContext { codes: &codes, device: &device };
    let path = || FilePath(file.to_owned());
    let as_given = guard::catch(|| TextOptions { path: path() }.build()?.init(&context).map(drop));
    if file.extension().is_some_and(|end| end == "csv") {
        return as_given;
    }
    let by_prefix =
        guard::catch(|| HakeOptions { path: path(), dim: 2, ..Default::default() }.build()?.init(&context).map(drop));
    together([as_given, by_prefix])
}

pub fn sound_vectors() -> Vec<Files> {
    vec![texts([("v.csv", "code,x,y\n428,1,2\n\"V10\",5e0, 6.0\n250.00,0.5,-1\n".to_owned())])]
}

pub fn read_vectors(folder: &Path) -> Result<()> {
    vectors(&folder.join("v.csv"))
}

/// The text before the numbers of an array of NumPy.
fn header() -> impl Strategy<Value = String> {
    let others = proptest::sample::select(vec!["|S2", "<f2", "<i8", "|O", "<U999999999", ""]);
    let kind = prop_oneof![4 => Just("<f4"), 2 => Just("<U3"), 2 => others];
    (kind, any::<bool>(), vec(size(), 0..3)).prop_map(|(kind, order, shape)| {
        let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
        let order = if order { "True" } else { "False" };
        format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({shape}), }}\n")
    })
}

/// An array of NumPy.
fn array(header: &str, data: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Files of arrays, of which some are compressed.
fn npz<const N: usize>(arrays: [(&str, Vec<u8>); N], deflated: bool) -> Files {
    let mark = deflated.then(|| ("deflated".to_owned(), Vec::new()));
    arrays.map(|(name, bytes)| (format!("v.npz/{name}.npy"), bytes)).into_iter().chain(mark).collect()
}

pub fn arrays() -> impl Strategy<Value = Files> {
    let codes = prop_oneof![9 => Just("codes"), 1 => Just("a")];
    (header(), header(), 0..100usize, codes, any::<bool>()).prop_map(|(first, second, data, codes, deflated)| {
        let data = vec![65u8; data];
        npz([(codes, array(&first, &data)), ("vectors", array(&second, &data))], deflated)
    })
}

pub fn sound_arrays() -> Vec<Files> {
    let letters = |code: &str| code.chars().chain(std::iter::repeat('\0')).take(6).collect::<Vec<_>>();
    let codes: Vec<u8> =
        ["428", "V10", "250.00"].into_iter().flat_map(letters).flat_map(|c| u32::from(c).to_le_bytes()).collect();
    let numbers: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    // As long as NumPy makes it: data begin at a multiple of 64 bytes.
    let header = |kind: &str, shape: &str| {
        let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
        format!("{text:<117}\n")
    };
    let arrays = || {
        let codes = array(&header("<U6", "(3,)"), &codes);
        [("codes", codes), ("vectors", array(&header("<f4", "(3, 2)"), &numbers))]
    };
    vec![npz(arrays(), false), npz(arrays(), true)]
}

pub fn read_arrays(folder: &Path) -> Result<()> {
    vectors(&folder.join("v.npz"))
}

/// What a descriptor begins with: put together, so that this program does not look like a plugin itself.
fn magic() -> Vec<u8> {
    [&b"\x7fDUALK-"[..], b"PLUGIN\x01\x02\n"].concat()
}

pub fn descriptors() -> impl Strategy<Value = Files> {
    let fields = vec(prop_oneof![Just(0u8), Just(b'r'), any::<u8>()], 0..3000);
    (vec(any::<u8>(), 0..40), fields, any::<bool>()).prop_map(|(before, fields, rustc)| {
        let compiler: &[u8] = if rustc { b"rustc 1.95.0" } else { b"" };
        let bytes = [&before[..], &magic(), &[1, 0, 0, 0, 0, 0, 0, 0], compiler, &fields].concat();
        [("plugin".to_owned(), bytes)].into()
    })
}

pub fn sound_descriptors() -> Vec<Files> {
    let stamp = Stamp::current();
    let components = "fusion mean\nloss bce\n*loss mse\n+parser csv\n".to_owned();
    let texts = [
        (stamp.rustc, 128),
        (stamp.sdk, 32),
        (stamp.burn, 32),
        (stamp.target, 64),
        (stamp.profile, 64),
        (stamp.features, 128),
        (stamp.build, 32),
        ("made-up".to_owned(), 64),
        ("1.2.3".to_owned(), 32),
        (components, 2048),
    ];
    let mut bytes = [magic(), 1u32.to_le_bytes().to_vec(), 0u32.to_le_bytes().to_vec()].concat();
    for (text, length) in texts {
        let end = bytes.len() + length;
        bytes.extend(text.as_bytes());
        bytes.resize(end, 0);
    }
    // The head of a library, which places two sections of 64 bytes behind itself.
    let mut library = vec![0; 64];
    library[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (library[0x28], library[0x3a], library[0x3c]) = (64, 64, 2);
    let library = [library, bytes.clone()].concat();
    [bytes, library].map(|bytes| [("plugin".to_owned(), bytes)].into()).into()
}

pub fn read_descriptor(folder: &Path) -> Result<()> {
    match inspect(&folder.join("plugin"))?.verify(None) {
        Err(error) if error.blame() != Blame::User => Err(error),
        // Of another build, or with components that are none.
        _ => Ok(()),
    }
}

fn lines_of_triples() -> impl Strategy<Value = String> {
    let name = || prop_oneof![8 => "[a-d]", 1 => "[ -~é]{0,4}"];
    let line = prop_oneof![
        19 => (name(), name(), name()).prop_map(|(h, r, t)| format!("{h}\t{r}\t{t}\n")),
        1 => "[a-d\t\r]{0,8}\n",
    ];
    vec(line, 0..12).prop_map(|lines| lines.concat())
}

fn dictionary() -> impl Strategy<Value = Option<String>> {
    let sound = (0..6usize).prop_map(|n| {
        ["a", "b", "c", "d", "e", "f"][..n].iter().enumerate().map(|(i, e)| format!("{i}\t{e}\n")).collect()
    });
    let other = vec((any::<i32>(), "[a-d]{0,2}"), 0..5)
        .prop_map(|rows| rows.iter().map(|(i, e)| format!("{i}\t{e}\n")).collect());
    prop_oneof![2 => Just(None), 1 => sound.prop_map(Some), 1 => other.prop_map(Some)]
}

pub fn triples() -> impl Strategy<Value = Files> {
    let parts = (lines_of_triples(), lines_of_triples(), lines_of_triples());
    (parts, dictionary(), dictionary()).prop_map(|((train, valid, test), entities, relations)| {
        let parts = texts([("train.txt", train), ("valid.txt", valid), ("test.txt", test)]);
        let there = [("entities.dict", entities), ("relations.dict", relations)].into_iter();
        let there = there.filter_map(|(name, text)| Some((name.to_owned(), text?.into_bytes())));
        parts.into_iter().chain(there).collect()
    })
}

pub fn sound_triples() -> Vec<Files> {
    let parts = texts([
        ("train.txt", "a\tr\tb\nb\tr\tc\nc\ts\ta\nd\ts\ta\n".to_owned()),
        ("valid.txt", "a\ts\tc\r\n".to_owned()),
        ("test.txt", "\nd\tr\tb\n".to_owned()),
    ]);
    let dictionaries = texts([
        ("entities.dict", "0\td\n1\tc\n2\tb\n3\ta\n".to_owned()),
        ("relations.dict", "0\tr\n1\ts\n".to_owned()),
    ]);
    vec![parts.clone(), parts.into_iter().chain(dictionaries).collect()]
}

pub fn read_triples(folder: &Path) -> Result<()> {
    KnowledgeGraph::read(folder).map(drop)
}

/// The same, and what is written of them is read.
pub fn read_triples_again(folder: &Path) -> Result<()> {
    let graph = KnowledgeGraph::read(folder)?;
    let out = folder.join("again");
    let mut names = graph.entities.list().iter().chain(graph.relations.list());
    if let Err(error) = graph.write(&out) {
        // Further down in a file it is part of a name.
        assert!(names.any(|name| name.starts_with('\u{feff}')), "{error}");
        return Err(error);
    }
    assert_eq!(graph, KnowledgeGraph::read(&out).unwrap(), "what is written is read");
    Ok(())
}

/// Sources of knowledge graphs, and what else names codes: groups, a map of editions, one of drugs, a list.
pub fn sound_sources() -> Vec<Files> {
    let files = [
        ("tree.csv", "code,parent_code\n428.0,428\n428,420-429\n420-429,\n"),
        ("text.txt", "428.0#Heart failure # Symptoms\n\t('heart failure', 'HAS', \"oedema\")\n"),
        ("names.csv", "name,cosine_sim,icd-9\noedema,0.99,7823\ncough,0.5,786.2\n"),
        ("table.csv", "head,relation,tail\na,\"r\ns\",b\n"),
        ("table.tsv", "a\tr\tb\r\n\nb\tr\tc\n"),
        ("graph.csv", "source,target,weight\n1,2,0.5\n2,1,0.04\n"),
        ("vocabulary.json", "{\"code_map_pretrain\": {\"401.9\": 1, \"428.0\": 2}}"),
        ("map.csv", "ICD10,ICD9\nI509,4280\nA00,NoDx\n"),
        ("groups.csv", "code,group\n4280,heart\n'25000','sugar'\n"),
        ("drugs.csv", "drug,code,title\naspirin,B01AC06,\nother,A01,a title\n"),
        ("list.txt", "493.9\n\n250\r\n"),
    ];
    vec![files.into_iter().map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect()]
}

pub fn read_sources(folder: &Path) -> Result<()> {
    let at = |name: &str| folder.join(name);
    let source = |keys: &str, path: &Path| {
        let text = format!("{keys}\npath = {:?}", path.display().to_string());
        let source: GraphSource = toml::from_str(&text).unwrap();
        Triples::join(&[source], "data.source", 0, None).map(drop)
    };
    let named = format!("type = 'text'\nnames = {:?}", at("names.csv").display().to_string());
    together([
        source("type = 'hierarchy'", &at("tree.csv")),
        source("type = 'text'\nleast = 1", &at("text.txt")),
        source(&named, &at("text.txt")),
        source("type = 'table'", &at("table.csv")),
        source("type = 'table'\nprefixes = { a = '' }", &at("table.tsv")),
        source("type = 'cooccurrence'", folder),
        Coding::new(CodeSystem::Icd9, Some(&at("map.csv")), None).map(drop),
        Coding::new(CodeSystem::Icd9, None, Some(&at("groups.csv"))).map(drop),
        read_mapping(&at("drugs.csv")).map(drop),
        CodeList::read(&at("list.txt")).map(drop),
    ])
}
