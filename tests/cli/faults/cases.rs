//! Every mistake that is tried: a manifest, setting or table that works, with one thing broken.

use std::fs;
use std::io::Write;
use std::path::Path;

/// Something that is wrong, and what must be said of it.
pub struct Case {
    pub name: &'static str,
    /// Replaces a text of the manifest.
    pub manifest: Option<(&'static str, &'static str)>,
    /// Changes the files.
    pub files: fn(&Path),
    pub arguments: &'static [&'static str],
    /// What the error must say.
    pub says: &'static [&'static str],
}

/// A name of 201 letters.
const ENDLESS: &str = "name=\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

const fn manifest(name: &'static str, from: &'static str, to: &'static str, says: &'static [&'static str]) -> Case {
    Case { name, manifest: Some((from, to)), files: |_| {}, arguments: &[], says }
}

const fn files(name: &'static str, files: fn(&Path), says: &'static [&'static str]) -> Case {
    Case { name, manifest: None, files, arguments: &[], says }
}

const fn set(name: &'static str, arguments: &'static [&'static str], says: &'static [&'static str]) -> Case {
    Case { name, manifest: None, files: |_| {}, arguments, says }
}

fn edit(folder: &Path, table: &str, change: impl Fn(String) -> String) {
    let file = folder.join("raw").join(table);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, change(text)).unwrap();
}

/// Mistakes in manifests, settings and tables, one each.
pub fn cases() -> Vec<Case> {
    vec![
        manifest("unknown key", "seed = 1", "sed = 1", &["`sed`", "did you mean `seed`", "broken.toml:2"]),
        manifest("unknown stage key", "epochs = 1", "epoch = 1", &["stage[0].epoch", "did you mean `epochs`", ":21"]),
        manifest(
            "unknown type",
            "\"gat\"",
            "\"gta\"",
            &["model.graph_encoder.type", "`gta`", "did you mean `gat`", ":10"],
        ),
        manifest(
            "unknown option",
            "dims = [8, 8] }",
            "width = 8 }",
            &["model.graph_encoder.width", "dims", "`dualk list gat` says what they mean", ":10"],
        ),
        manifest(
            "options without a type",
            "graph_encoder = { type = \"gat\", dims = [8, 8] }",
            "graph_encoder = { dims = [8, 8] }",
            &["`model.graph_encoder`: missing field `type`", "{ type = ", "`dualk list`", ":10"],
        ),
        manifest("type of another slot", "\"gat\"", "\"gru\"", &["no graph_encoder is named `gru`", "is a fusion"]),
        manifest("negative dims", "dims = [8, 8] }", "dims = [8, -8] }", &["model.graph_encoder.dims", "-8", ":10"]),
        manifest("zero dims", "dims = [8, 8] }", "dims = [8, 0] }", &["model.graph_encoder.dims", "0", ":10"]),
        manifest("no dims", "dims = [8, 8] }", "dims = [] }", &["model.graph_encoder.dims", ":10"]),
        manifest(
            "dropout 1.5",
            "dropout = 0.0 }\nvisit",
            "dropout = 1.5 }\nvisit",
            &["model.code_fusion.dropout", "1.5", ":11"],
        ),
        manifest(
            "dropout nan",
            "dropout = 0.0 }\nvisit",
            "dropout = nan }\nvisit",
            &["model.code_fusion.dropout", "NaN", ":11"],
        ),
        manifest(
            "head dropout",
            "classifier = [8], dropout = 0.0",
            "classifier = [8], dropout = -1",
            &["model.head", ":14"],
        ),
        manifest(
            "unknown start of logits",
            "head = { decoder",
            "head = { prior = \"maen\", decoder",
            &[
                "`model.head.prior`: unknown value `maen`",
                "did you mean `mean`?",
                "accepted: rates, mean, none",
                "broken.toml:14",
            ],
        ),
        manifest(
            "number for the start of logits",
            "head = { decoder",
            "head = { prior = 1, decoder",
            &["`model.head.prior`", "expected true, false or one of the texts `rates`, `mean`, `none`", ":14"],
        ),
        manifest(
            "number for the copy path",
            "head = { decoder",
            "head = { history = 1, decoder",
            &["`model.head.history`", "expected a boolean", "broken.toml:14"],
        ),
        manifest("no TOML", "[model]", "[model", &["this is not TOML", "broken.toml:8"]),
        manifest("no data", "[data]", "[dat]", &["`dat`", "did you mean `data`", ":4"]),
        manifest("text for a number", "epochs = 1", "epochs = \"many\"", &["stage[0].epochs", "\"many\"", ":21"]),
        manifest("zero epochs", "epochs = 1", "epochs = 0", &["stage[0].epochs", "at least 1, found 0", ":21"]),
        manifest(
            "too many epochs",
            "epochs = 1",
            "epochs = 1000000000000",
            &["stage[0].epochs", "at most 16777216, found 1000000000000", ":21"],
        ),
        manifest(
            "a batch too large",
            "epochs = 1",
            "epochs = 1\nbatch = 1000000000000",
            &["stage[0].batch", "at most 16777216, found 1000000000000", ":22"],
        ),
        manifest(
            "a width too large",
            "dims = [8, 8] }",
            "dims = [8, 1000000000000] }",
            &["model.graph_encoder.dims[1]", "at most 16777216, found 1000000000000", ":10"],
        ),
        manifest(
            "widths that no machine has memory for",
            "dims = [8, 8] }",
            "dims = [16777216, 16777215] }",
            &["model.graph_encoder", "parameters take", "GB left", "lower its widths", ":10"],
        ),
        manifest("nan lr", "epochs = 1", "epochs = 1\nlr = nan", &["stage[0].lr", "NaN", ":22"]),
        manifest("negative lr", "epochs = 1", "epochs = 1\nlr = -0.1", &["stage[0].lr", "-0.1", ":22"]),
        manifest("mode of finetune", "task = \"diagnosis\"", "mode = \"joint\"", &["stage[3].mode", "pretrain"]),
        manifest(
            "unknown mode",
            "mode = \"joint\"",
            "mode = \"jiont\"",
            &["stage[1].mode", "did you mean `joint`", ":25"],
        ),
        manifest(
            "task of lab",
            "type = \"lab\"",
            "type = \"lab\"\ntask = \"diagnosis\"",
            &["stage[0].task", "objective"],
        ),
        manifest("unknown task", "\"diagnosis\"", "\"diagnoses\"", &["stage[3].task", "did you mean `diagnosis`"]),
        manifest("individual first", "mode = \"joint\"", "mode = \"individual\"", &["stage[1].mode", "joint"]),
        manifest(
            "schedule lengths",
            "epochs = 1",
            "epochs = 1\nschedule = { type = \"piecewise\", from = [1, 2], lr = [0.1] }",
            &["stage[0].schedule.lr", "2 entries", ":22"],
        ),
        manifest("unknown split", "type = \"random\"", "type = \"randon\"", &["`data.split.type`", "random", ":6"]),
        manifest(
            "text in a schedule",
            "epochs = 1",
            "epochs = 1\nschedule = { type = \"milestones\", epochs = [1, \"two\"], factor = 0.5 }",
            &["`stage[0].schedule.epochs[1]`: invalid type: text \"two\", expected a whole number from 0", ":22:"],
        ),
        manifest("split over 1", "train = 0.5", "train = 0.9", &["data.split", ":6"]),
        manifest(
            "impossible train_num",
            "{ type = \"random\", train = 0.5, valid = 0.25, test = 0.25 }",
            "{ type = \"dualk\", train = 1, test = 2, seed = 42 }",
            &["data.split", "1", ":6"],
        ),
        manifest(
            "more patients than there are",
            "{ type = \"random\", train = 0.5, valid = 0.25, test = 0.25 }",
            "{ type = \"dualk\", train = 8000, test = 1000, seed = 42 }",
            &["data.split", "8000", "12", ":6"],
        ),
        manifest("name with a slash", "\"broken\"", "\"a/b\"", &["`name`", "a/b", ":1"]),
        manifest(
            "missing plugin",
            "[data]",
            "[[plugin]]\npath = \"./nothing.so\"\n[data]",
            &["plugin[0]", "nothing.so", ":5"],
        ),
        manifest(
            "plugin that is text",
            "[data]",
            "[[plugin]]\npath = \"map.csv\"\n[data]",
            &["no shared library", "map.csv"],
        ),
        manifest(
            "wrong pin",
            "[data]",
            "[[plugin]]\npath = \"gat\"\nsha256 = \"00\"\n[data]",
            &["pinned: 00", "found:"],
        ),
        manifest(
            "unknown plugin name",
            "[data]",
            "[[plugin]]\npath = \"gatt\"\n[data]",
            &["`gatt`", "did you mean `gat`"],
        ),
        manifest("no parser root", "root = \"raw\"", "root = \"\"", &["data.parser.root", ":5"]),
        manifest("wrong root", "root = \"raw\"", "root = \"rwa\"", &["rwa"]),
        manifest(
            "no ICD map key with compat",
            "seed = 1\n\n[data]\nparser = { type = \"mimic4\", root = \"raw\", icd_map = \"map.csv\" }",
            "seed = 1\ncompat = \"dualk\"\n[data]\nparser = { type = \"mimic4\", root = \"raw\" }",
            &["data.parser.icd_map", ":5", "compat"],
        ),
        manifest("loss limit", "[data]", "[data]\nloss_limit = 5", &["data.loss_limit", "expected 0 to 1, found 5"]),
        manifest("missing hake table", "\"random\", dim = 8", "\"hake\", path = \"none.npz\", dim = 8", &["none.npz"]),
        manifest("hake table of text", "\"random\", dim = 8", "\"hake\", path = \"map.csv\", dim = 8", &["map.csv"]),
        manifest("chronic list", "\"diagnosis\"", "{ type = \"chronic_excluded\", path = \"no.txt\" }", &["no.txt"]),
        manifest("extends nothing", "seed = 1", "extends = \"base.toml\"", &["base.toml", "extends"]),
        manifest("extends itself", "seed = 1", "extends = \"broken.toml\"", &["extends itself"]),
        set("unknown device", &["--device", "tpu"], &["backend.device", "tpu", "cpu"]),
        set(
            "TF32 without tensor cores",
            &["--device", "cpu", "--set", "backend.precision=tf32"],
            &["backend.precision", "on cpu", "tf32", "f32", "bf16", "CUDA"],
        ),
        set("no such CUDA device", &["--device", "cuda:99"], &["backend.device", "cuda:99", "cpu"]),
        set(
            "setting without value",
            &["--set", "seed"],
            &["`--set seed`: expected KEY=VALUE", "did you mean `seed=VALUE`?"],
        ),
        set("setting without key", &["--set", "=3"], &["`--set =3`: there is no key", "for example --set seed=7"]),
        set(
            "setting beyond the list",
            &["--set", "stage[9].epochs=1"],
            &["`--set stage[9].epochs=1`: there is no item 9", "the list has 4", "from -1"],
        ),
        set(
            "setting with an open bracket",
            &["--set", "stage[0.epochs=1"],
            &["`--set stage[0.epochs=1`: ", "is not closed", "did you mean `stage[0].epochs`?"],
        ),
        set(
            "setting with half a table",
            &["--set", "model.graph_encoder={type=\"gat\""],
            &["`--set model.graph_encoder={type=\"gat\"`: the value is not TOML", "{ type = \"gat\", heads = 2 }"],
        ),
        set(
            "setting of a misspelt list",
            &["--set", "stag[0].epochs=1"],
            &["unknown key `stag`", "--> --set stag[0].epochs=1", "did you mean `stage`?"],
        ),
        set(
            "setting of a misspelt option",
            &["--set", "model.graph_encoder.dim=[8]"],
            &["model.graph_encoder.dim", "--> --set model.graph_encoder.dim=[8]", "did you mean `dims`?"],
        ),
        set(
            "setting of a misspelt key beside a head's options",
            &["--set", "model.head.prioor=true"],
            &["model.head.prioor", "--> --set model.head.prioor=true", "did you mean `prior`?", "history, prior\n"],
        ),
        set(
            "setting of a misspelt type of a head",
            &["--set", "model.head.tpye=linear"],
            &["model.head.tpye", "did you mean `type`?", "`type`, `history`, `prior`"],
        ),
        set(
            "setting of a head of another type",
            &["--set", "model.head.prior=3"],
            &["`model.head.prior`", "`3`", "--> --set model.head.prior=3"],
        ),
        set(
            "setting of a misspelt start of logits",
            &["--set", "model.head.prior=maen"],
            &["`model.head.prior`: unknown value `maen`", "--> --set model.head.prior=maen", "did you mean `mean`?"],
        ),
        set(
            "negative number",
            &["--set", "model.graph_encoder.heads=-1"],
            &["`model.graph_encoder.heads`", "integer `-1`, expected a whole number from 0", "heads=-1"],
        ),
        set(
            "setting of another type in a split",
            &["--set", "data.split.train=\"x\""],
            &["`data.split.train`: invalid type: text \"x\", expected a number", "--> --set data.split.train=\"x\""],
        ),
        set("setting of another type", &["--set", "seed=one"], &["`seed`", "\"one\"", "--> --set seed=one"]),
        set("runs nowhere", &["--set", "output.runs=\"\""], &["`output.runs`: expected a folder, found an empty text"]),
        set(
            "cache nowhere",
            &["--set", "output.cache=\"\""],
            &["`output.cache`: expected a folder", "the current folder"],
        ),
        set("endless name", &["--set", ENDLESS], &["`name`: expected at most 200 characters, found 201"]),
        files(
            "manifest not UTF-8",
            |d| fs::write(d.join("broken.toml"), b"name = \"\xff\xfe\"\n").unwrap(),
            &["UTF-8", ":1"],
        ),
        files("manifest empty", |d| fs::write(d.join("broken.toml"), "").unwrap(), &["data", "broken.toml"]),
        files("no manifest", |d| fs::remove_file(d.join("broken.toml")).unwrap(), &["broken.toml", "no such file"]),
        files("missing table", |d| fs::remove_file(d.join("raw/admissions.csv")).unwrap(), &["admissions.csv"]),
        files("missing ICD map", |d| fs::remove_file(d.join("map.csv")).unwrap(), &["map.csv"]),
        files("empty table", |d| fs::write(d.join("raw/patients.csv"), "").unwrap(), &["patients.csv"]),
        files(
            "missing column",
            |d| edit(d, "admissions.csv", |t| t.replacen("admittime", "admit_time", 1)),
            &["admissions.csv", "admittime", "admit_time"],
        ),
        files(
            "text in place of a number",
            |d| edit(d, "admissions.csv", |t| t.replacen(",1010,", ",ten,", 1)),
            &["admissions.csv:3", "hadm_id"],
        ),
        files(
            "NaN for a number",
            |d| edit(d, "diagnoses_icd.csv", |t| t.replacen("100,1000,1", "100,NaN,1", 1)),
            &["diagnoses_icd.csv:2", "hadm_id"],
        ),
        files(
            "text in place of a time",
            |d| edit(d, "admissions.csv", |t| t.replacen("2150-01-01 10:00:00", "yesterday", 1)),
            &["admissions.csv:2", "admittime"],
        ),
        files(
            "duplicate admission",
            |d| edit(d, "admissions.csv", |t| t.replacen(",1010,", ",1000,", 1)),
            &["admissions.csv:3", "occurs twice", "--show-values"],
        ),
        files(
            "unknown patient",
            |d| edit(d, "admissions.csv", |t| t.replacen("\n100,", "\n999,", 1)),
            &["admissions.csv:2", "--show-values"],
        ),
        files(
            "table not UTF-8",
            |d| {
                let file = d.join("raw/diagnoses_icd.csv");
                let mut bytes = fs::read(&file).unwrap();
                let at = bytes.windows(4).position(|w| w == b"4280").unwrap();
                bytes[at] = 0xff;
                fs::write(file, bytes).unwrap();
            },
            &["diagnoses_icd.csv"],
        ),
        files(
            "truncated gzip",
            |d| {
                let file = d.join("raw/labevents.csv");
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&fs::read(&file).unwrap()).unwrap();
                let bytes = encoder.finish().unwrap();
                fs::write(d.join("raw/labevents.csv.gz"), &bytes[..bytes.len() / 2]).unwrap();
                fs::remove_file(file).unwrap();
            },
            &["labevents.csv.gz"],
        ),
    ]
}
