//! Whatever is well formed enough to get past the first look, and then says nonsense: readers give a value or an error
//! of the user's, and neither a panic nor memory without end. `damaged.rs` has the other half, sound files with damage.
//!
//! 100 cases a reader, or as many as `PROPTEST_CASES` says.

use dualk_plugin_init_hake::HakeOptions;
use dualk_plugin_parser_mimic::{Mimic3Options, Mimic4Options};
use dualk_plugin_parser_sources::{CsvOptions, EicuOptions, MedsOptions, OmopOptions};
use dualk_sdk::boundary::guard;
use dualk_sdk::data::columns::{Values, write_parquet};
use dualk_sdk::error::Blame;
use dualk_sdk::experiment::{Experiment, Manifest};
use dualk_sdk::kge::{KnowledgeGraph, load_embeddings};
use dualk_sdk::memory;
use dualk_sdk::plugin::{Registry, inspect};
use dualk_sdk::prelude::*;
use dualk_sdk::progress::Silent;
use dualk_sdk::toml;
use dualk_sdk::train::Optimizer;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use std::fs;
use std::io::Write;
use std::path::Path;

/// More than what any of these files should take, by far.
const MOST_MEMORY: u64 = 2 << 30;

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A value or an error of the user's.
fn read(what: impl Fn() -> Result<()>) {
    if let Err(error) = guard::catch(what) {
        assert!(error.blame() == Blame::User, "{error}");
    }
    assert!(memory::peak().is_none_or(|peak| peak < MOST_MEMORY), "{:?} bytes", memory::peak());
}

/// What stands in a cell: what belongs there, and what does not.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..6u32).prop_map(|n| n.to_string()),
        4 => prop_oneof![Just("4280"), Just("25000"), Just("I50.9"), Just("E11.9"), Just("9"), Just("10"), Just("abnormal")]
            .prop_map(String::from),
        4 => (1..13u32, 1..29u32).prop_map(|(m, d)| format!("2150-{m:02}-{d:02} 10:00:00")),
        1 => prop_oneof![
            Just(""), Just("-1"), Just("NaN"), Just("1e999"), Just("99999999999999999999"), Just("0.5"), Just("\"\""),
            Just("\"a, b\""), Just("\"open"), Just("9999-99-99"), Just("0000-00-00 00:00:00"), Just("-9223372036854775808"),
        ].prop_map(String::from),
        1 => "[ -~é💊]{0,6}",
    ]
}

/// A table whose columns may be doubled or lacking, and rows too long or short.
fn table(columns: &'static [&'static str]) -> impl Strategy<Value = String> {
    let heads = prop_oneof![
        9 => Just(columns.join(",")),
        1 => vec(0..columns.len(), 0..=columns.len() + 1).prop_map(|i| i.iter().map(|&i| columns[i]).collect::<Vec<_>>().join(",")),
    ];
    let row = prop_oneof![19 => vec(cell(), columns.len()), 1 => vec(cell(), 0..columns.len() + 2)];
    let ends = prop_oneof![Just("\n"), Just("\r\n")];
    (heads, vec(row, 0..12), ends).prop_map(|(head, rows, end)| {
        std::iter::once(head).chain(rows.iter().map(|row| row.join(","))).map(|line| line + end).collect()
    })
}

fn write(folder: &Path, files: &[(&str, &String)]) {
    files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
}

fn parse(options: impl BuildParser) -> Result<()> {
    let cohort = options.build()?.parse(&ParserContext { progress: &Silent, compat: false, seed: 0 })?;
    cohort.validate()
}

fn root(folder: &Path) -> FilePath {
    FilePath(folder.to_owned())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn tables_of_mimic3(
        admissions in table(&["SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME", "HOSPITAL_EXPIRE_FLAG"]),
        diagnoses in table(&["SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"]),
        labs in table(&["SUBJECT_ID", "HADM_ID", "ITEMID", "FLAG"]),
        items in table(&["ITEMID", "CATEGORY", "LABEL"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("ADMISSIONS.csv", &admissions), ("DIAGNOSES_ICD.csv", &diagnoses), ("LABEVENTS.csv", &labs), ("D_LABITEMS.csv", &items)]);
        read(|| parse(Mimic3Options { root: root(folder.path()), ..Default::default() }));
    }

    #[test]
    fn tables_of_mimic4(
        patients in table(&["subject_id", "gender", "anchor_age", "anchor_year", "dod"]),
        admissions in table(&["subject_id", "hadm_id", "admittime", "dischtime", "deathtime"]),
        diagnoses in table(&["subject_id", "hadm_id", "seq_num", "icd_code", "icd_version"]),
        labs in table(&["subject_id", "hadm_id", "itemid", "charttime", "flag"]),
        items in table(&["itemid", "category", "label"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("patients.csv", &patients), ("admissions.csv", &admissions), ("diagnoses_icd.csv", &diagnoses), ("labevents.csv", &labs), ("d_labitems.csv", &items)]);
        read(|| parse(Mimic4Options { root: root(folder.path()), ..Default::default() }));
    }

    #[test]
    fn tables_of_eicu(
        patients in table(&["patientunitstayid", "patienthealthsystemstayid", "hospitaladmitoffset", "gender", "age"]),
        diagnoses in table(&["patientunitstayid", "icd9code"]),
        labs in table(&["patientunitstayid", "labtypeid", "labname", "labresult", "labmeasurenamesystem"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("patient.csv", &patients), ("diagnosis.csv", &diagnoses), ("lab.csv", &labs)]);
        read(|| parse(EicuOptions { root: root(folder.path()), ..Default::default() }));
    }

    #[test]
    fn tables_of_omop(
        visits in table(&["visit_occurrence_id", "person_id", "visit_concept_id", "visit_start_date", "visit_end_datetime"]),
        conditions in table(&["visit_occurrence_id", "condition_concept_id", "condition_source_value"]),
        measurements in table(&["visit_occurrence_id", "measurement_concept_id", "value_as_number", "range_low", "range_high"]),
        persons in table(&["person_id", "gender_concept_id", "year_of_birth", "race_source_value"]),
        deaths in table(&["person_id", "death_date"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("visit_occurrence.csv", &visits), ("condition_occurrence.csv", &conditions), ("measurement.csv", &measurements), ("person.csv", &persons), ("death.csv", &deaths)]);
        read(|| parse(OmopOptions { root: root(folder.path()), ..Default::default() }));
    }

    #[test]
    fn tables_of_csv(
        visits in table(&["patient", "visit", "time", "code", "end", "age", "sex", "died"]),
        labs in table(&["patient", "visit", "item", "value", "low", "high"]),
        drugs in table(&["visit", "drug"]),
        quantiles in prop_oneof![Just(0), Just(2), Just(100)],
        of_time in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("v.csv", &visits), ("l.csv", &labs), ("d.csv", &drugs)]);
        let path = |name: &str| FilePath(folder.path().join(name));
        read(|| parse(CsvOptions {
            visits: path("v.csv"),
            visit: if of_time { String::new() } else { "visit".into() },
            labs: if of_time { FilePath::default() } else { path("l.csv") },
            drugs: if of_time { FilePath::default() } else { path("d.csv") },
            value: if of_time { String::new() } else { "value".into() },
            low: if quantiles == 0 && !of_time { "low".into() } else { String::new() },
            high: if quantiles == 0 && !of_time { "high".into() } else { String::new() },
            quantiles: if of_time { 0 } else { quantiles },
            ..Default::default()
        }));
    }

    #[test]
    fn events_of_meds(
        events in vec((prop_oneof![9 => 0..4i64, 1 => any::<i64>()], prop_oneof![9 => (0..100i64).prop_map(Some), 1 => any::<Option<i64>>()], meds_code(), any::<Option<f32>>()), 0..40),
        shards in 1..3usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        for (i, shard) in events.chunks(events.len().div_ceil(shards).max(1)).enumerate() {
            let columns = [
                ("subject_id", Values::from(shard.iter().map(|e| e.0).collect::<Vec<_>>())),
                ("time", Values::times(shard.iter().map(|e| e.1.map(|t| t.wrapping_mul(3_600_000_000))).collect())),
                ("code", shard.iter().map(|e| e.2.as_str()).collect::<Vec<_>>().into()),
                ("numeric_value", shard.iter().map(|e| e.3).collect::<Vec<_>>().into()),
            ];
            let file = folder.path().join(format!("data/{i}.parquet"));
            write_parquet(&file, columns.map(|(name, values)| (name.to_owned(), values)).into()).unwrap();
        }
        read(|| parse(MedsOptions { root: root(folder.path()), ..Default::default() }));
    }

    #[test]
    fn triples_and_dictionaries(
        train in triples(), valid in triples(), test in triples(),
        entities in dictionary(), relations in dictionary(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("train.txt", &train), ("valid.txt", &valid), ("test.txt", &test)]);
        for (name, text) in [("entities.dict", &entities), ("relations.dict", &relations)] {
            text.iter().for_each(|text| fs::write(folder.path().join(name), text).unwrap());
        }
        read(|| {
            let graph = KnowledgeGraph::read(folder.path())?;
            let out = folder.path().join("again");
            graph.write(&out)?;
            let again = KnowledgeGraph::read(&out)?;
            assert_eq!(graph, again, "what is written is read");
            Ok(())
        });
    }

    #[test]
    fn safetensors_that_promise_what_they_do_not_hold(
        tensors in vec((tensor_name(), prop_oneof![Just("F32"), Just("F64"), Just("I64"), Just("BOOL")], vec(size(), 0..4), size(), size()), 0..4),
        metadata in vec((prop_oneof![Just("codes"), Just("relation_names"), Just("w"), Just("step")], metadata_value()), 0..3),
        data in 0..200usize, length in prop_oneof![9 => Just(None), 1 => any::<u64>().prop_map(Some)],
    ) {
        use dualk_sdk::serde_json::{Map, Value, json};
        let mut header: Map<String, Value> = tensors.into_iter().map(|(name, kind, shape, from, to)| {
            (name.to_owned(), json!({ "dtype": kind, "shape": shape, "data_offsets": [from, to] }))
        }).collect();
        let metadata: Map<String, Value> = metadata.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
        header.insert("__metadata__".to_owned(), metadata.into());
        let header = Value::Object(header).to_string();
        let length = length.unwrap_or(header.len() as u64);
        let bytes = [&length.to_le_bytes()[..], header.as_bytes(), &vec![1; data]].concat();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v.safetensors");
        fs::write(&file, bytes).unwrap();
        let device = dualk_sdk::burn::tensor::Device::flex();
        read(|| load_embeddings(&file).map(drop));
        read(|| Optimizer::load(&file, &device).map(drop));
        read(|| vectors(&file));
    }

    #[test]
    fn arrays_of_numpy(
        codes in header(), vectors_header in header(), data in 0..100usize, names in prop_oneof![9 => Just(("codes", "vectors")), 1 => Just(("a", "vectors"))],
        deflated in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v.npz");
        let mut zip = zip::ZipWriter::new(fs::File::create(&file).unwrap());
        let method = if deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        for (name, header) in [(names.0, codes), (names.1, vectors_header)] {
            zip.start_file(format!("{name}.npy"), zip::write::FileOptions::default().compression_method(method)).unwrap();
            let head = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &vec![65; data]].concat();
            zip.write_all(&head).unwrap();
        }
        zip.finish().unwrap();
        read(|| vectors(&file));
    }

    #[test]
    fn files_that_begin_like_a_plugin(before in vec(any::<u8>(), 0..40), fields in vec(prop_oneof![Just(0u8), Just(b'r'), any::<u8>()], 0..3000), rustc in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libp.so");
        let layout = [1u8, 0, 0, 0, 0, 0, 0, 0];
        let compiler: &[u8] = if rustc { b"rustc 1.95.0" } else { b"" };
        // Put together, so that this program does not look like a plugin itself.
        let magic = [&b"\x7fDUALK-"[..], b"PLUGIN\x01\x02\n"].concat();
        fs::write(&file, [&before, &magic, &layout[..], compiler, &fields].concat()).unwrap();
        read(|| inspect(&file).map(drop));
    }

    #[test]
    fn manifests_with_other_values(edits in vec((any::<proptest::sample::Index>(), edit()), 1..4)) {
        let mut table: toml::Table = MANIFEST.parse().unwrap();
        for (at, edit) in edits {
            let paths = paths(&table.clone().into(), &[]);
            let path = &paths[at.index(paths.len())];
            apply(&mut table, path, &edit);
        }
        let text = toml::to_string(&table).unwrap();
        read(|| {
            let registry = PLUGINS.into_iter().try_fold(Registry::new(), |registry, plugin| registry.with(plugin))?;
            Experiment::new(Manifest::parse(&text, &[])?, registry)?.without_cache().check()
        });
    }
}

fn vectors(file: &Path) -> Result<()> {
    let codes = ["", "428", "V10"].map(str::to_owned);
    let device = dualk_sdk::burn::tensor::Device::flex();
    let context = NodeInitContext { codes: &codes, device: &device };
    HakeOptions { path: FilePath(file.to_owned()), dim: 2, ..Default::default() }.build()?.init(&context).map(drop)
}

fn meds_code() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("HOSPITAL_ADMISSION".to_owned()),
        3 => Just("DIAGNOSIS//ICD//9//4280".to_owned()),
        2 => Just("DIAGNOSIS//ICD//10//I509".to_owned()),
        2 => Just("LAB//50931//mg/dL".to_owned()),
        1 => Just("GENDER//F".to_owned()),
        1 => "(HOSPITAL_ADMISSION|DIAGNOSIS|LAB|BIRTH)?(//)?[ -~é]{0,8}",
    ]
}

fn triples() -> impl Strategy<Value = String> {
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

fn tensor_name() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("vectors"), Just("relations"), Just("shared"), Just("mean/w"), Just("square/w")]
}

fn metadata_value() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("[\"428\",\"V10\"]"),
        Just("[]"),
        Just("{}"),
        Just("1"),
        Just("x"),
        Just("[1]"),
        Just("18446744073709551615")
    ]
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..9u64, 4 => (0..24u64).prop_map(|n| n * 4), 1 => any::<u64>(), 1 => (30..64u32).prop_map(|n| 1 << n)]
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

const PLUGINS: [fn(&mut dualk_sdk::plugin::Registrar<'_>); 10] = [
    dualk_plugin_encoder_gcn::register,
    dualk_plugin_encoder_gat::register,
    dualk_plugin_fusion_attention::register,
    dualk_plugin_head_layers::register,
    dualk_plugin_init_codes::register,
    dualk_plugin_lab_layers::register,
    dualk_plugin_losses::register,
    dualk_plugin_objectives::register,
    dualk_plugin_parser_synthetic::register,
    dualk_plugin_recipe_dualk::register,
];

const MANIFEST: &str = r#"
name = "random"
seed = 1

[backend]
device = "cpu"
precision = "f32"

[data]
parser = { type = "synthetic", patients = 50, codes = 30, labs = 10, clusters = 3 }
split = { type = "random", train = 0.6, valid = 0.2, test = 0.2 }

[model]
node_init = { type = "random", dim = 4 }
graph_encoder = { type = "gat", dims = [4, 4], heads = 1, dropout = 0.1 }
code_fusion = { type = "attention" }
lab = { type = "linear", dim = 4 }
head = { decoder = [8, 8], classifier = [8], dropout = 0.0 }

[output]
checkpoint_minutes = 5.0

[[stage]]
type = "lab"
epochs = 1

[[stage]]
type = "finetune"
epochs = 1
batch = 32
lr = 0.001
loss = { type = "bce" }
"#;

#[derive(Debug, Clone)]
enum Edit {
    Put(toml::Value),
    Remove,
    Rename(String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = prop_oneof![
        prop_oneof![Just(0i64), Just(-1), Just(1), Just(3), Just(1 << 31), Just(1 << 40), any::<i64>()]
            .prop_map(toml::Value::from),
        prop_oneof![Just(0.0), Just(-0.5), Just(1.5), Just(f64::NAN), Just(f64::INFINITY), any::<f64>()]
            .prop_map(toml::Value::from),
        prop_oneof![Just(""), Just("gat"), Just("cpu"), Just("../x"), Just("é\0")].prop_map(toml::Value::from),
        any::<bool>().prop_map(toml::Value::from),
        vec(-2..9i64, 0..4).prop_map(|list| toml::Value::Array(list.into_iter().map(toml::Value::from).collect())),
        Just(toml::Value::Table(toml::Table::new())),
    ];
    prop_oneof![6 => value.prop_map(Edit::Put), 1 => Just(Edit::Remove), 1 => "[a-z_.\"]{0,8}".prop_map(Edit::Rename)]
}

/// All places of a manifest: keys of tables and places in lists.
fn paths(value: &toml::Value, above: &[String]) -> Vec<Vec<String>> {
    let inner: Vec<(String, &toml::Value)> = match value {
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
        toml::Value::Array(list) => list.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let with = |key: &String| [above, std::slice::from_ref(key)].concat();
    let own: Vec<Vec<String>> = inner.iter().map(|(key, _)| with(key)).collect();
    let found = own.into_iter().chain(inner.iter().flat_map(|(key, value)| paths(value, &with(key))));
    // An empty manifest may have anything.
    let found: Vec<_> = found.collect();
    if found.is_empty() && above.is_empty() { vec![vec!["name".to_owned()]] } else { found }
}

fn apply(table: &mut toml::Table, path: &[String], edit: &Edit) {
    let (last, above) = path.split_last().unwrap();
    let mut top = toml::Value::Table(std::mem::take(table));
    let mut at = &mut top;
    for key in above {
        at = match at {
            toml::Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            other => other.get_mut(key).unwrap(),
        };
    }
    match (at, edit) {
        (toml::Value::Table(inner), Edit::Put(value)) => drop(inner.insert(last.clone(), value.clone())),
        (toml::Value::Table(inner), Edit::Remove) => drop(inner.remove(last)),
        (toml::Value::Table(inner), Edit::Rename(name)) => {
            if let Some(value) = inner.remove(last) {
                inner.insert(name.clone(), value);
            }
        }
        (toml::Value::Array(list), Edit::Put(value)) => list[last.parse::<usize>().unwrap()] = value.clone(),
        (toml::Value::Array(list), _) => drop(list.remove(last.parse::<usize>().unwrap())),
        _ => {}
    }
    if let toml::Value::Table(changed) = top {
        *table = changed;
    }
}
