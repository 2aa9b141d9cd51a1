//! A graph is trained, evaluated and shown, and what is no number is not saved.

use super::program::{refuse, result, run_folder, succeed};
use super::support::{MANIFEST, write};
use dualk_sdk::serde_json::{Value, from_slice, from_str};
use std::fs;

#[test]
fn a_hierarchy_is_trained_evaluated_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let printed = succeed(folder, &["kge", "train", "tree.toml"]);
    let run = run_folder(&printed);
    let outcome = result(&folder.join(&run));
    let test = |key: &str| outcome["test"][key].as_f64().unwrap();
    for key in ["mrr", "mr", "hits@1", "hits@3", "hits@10", "amri"] {
        assert!(test(key).is_finite() && printed.contains(key), "{key}: {printed}");
    }
    // Siblings tell where a code belongs; of 187 entities a random order has a mean rank of about 94.
    let baseline = outcome["baseline"]["mrr"].as_f64().unwrap();
    assert!(
        test("mr") < 10.0
            && test("mrr") > 5.0 * baseline
            && test("hits@1") <= test("hits@3")
            && test("hits@3") <= test("hits@10"),
        "{printed}"
    );
    let [low, high] = [0, 1].map(|i| outcome["test"]["interval"]["mrr"][i].as_f64().unwrap());
    assert!(low < test("mrr") && test("mrr") < high);
    let sides = ["tail", "head"].map(|side| outcome["test"][side]["mrr"].as_f64().unwrap());
    assert!((f64::midpoint(sides[0], sides[1]) - test("mrr")).abs() < 1e-9);
    for file in ["manifest.toml", "metrics.jsonl", "log.txt", "environment.json", "plugins.lock", "model.safetensors"] {
        assert!(folder.join(&run).join(file).is_file(), "{file}");
    }
    let history = fs::read_to_string(folder.join(&run).join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = history.lines().map(|line| from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["step"], 1500);
    assert_eq!(lines.iter().filter(|line| line.get("valid").is_some()).count(), 3);

    let again: Value = from_str(&succeed(folder, &["kge", "eval", &run, "--json"])).unwrap();
    assert_eq!(again["test"], outcome["test"]);

    refuse(folder, &["kge", "train", "tree.toml", "--device", "gpu"], &["backend.device", "no device `gpu`"]);
    refuse(folder, &["kge", "eval", &run, "--device", "cuda:99"], &["backend.device", "no device `cuda:99`"]);
    let misspelt = ["kge", "train", "tree.toml", "--set", "backend.devise=cpu"];
    refuse(folder, &misspelt, &["backend", "devise", "device"]);

    let near = succeed(folder, &["kge", "nearest", &run, "403.12", "-n", "5", "--codes"]);
    assert_eq!(near.lines().count(), 6, "{near}");
    assert!(near.lines().skip(1).any(|line| line.trim().split("  ").nth(1).unwrap().starts_with("403.1")), "{near}");
    refuse(folder, &["kge", "nearest", &run, "999.9"], &["there is no entity `999.9`"]);

    let shown = succeed(folder, &["kge", "curves", &run, "--metric", "hits@10", "--out", "curves.svg"]);
    let looks: Vec<&Value> = lines.iter().filter_map(|line| line.get("valid")).collect();
    for (line, look) in shown.lines().skip(1).zip(&looks) {
        let value: f64 = line.split_whitespace().last().unwrap().parse().unwrap();
        assert!((value - look["hits@10"].as_f64().unwrap()).abs() < 1e-4, "{shown}");
    }
    assert!(shown.contains("valid hits@10") && shown.lines().count() == looks.len() + 3, "{shown}");
    assert!(fs::read_to_string(folder.join("curves.svg")).unwrap().starts_with("<svg xmlns"));
    refuse(folder, &["compare", &run], &["this is a run of an embedding", "`dualk kge eval`", "result.json"]);
    refuse(folder, &["kge", "curves", &run, "--metric", "hits"], &["there is no metric `hits`", "hits@1"]);

    let shown = succeed(folder, &["kge", "plot", &run, "--root", "390-459.99", "--out", "picture.svg"]);
    assert!(shown.contains("level  entities") && shown.contains("picture.svg"), "{shown}");
    let entities: Vec<&str> = shown.lines().skip(1).take(4).map(|l| l.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(entities, ["1", "6", "36", "144"]);
    let picture = fs::read_to_string(folder.join("picture.svg")).unwrap();
    // A point a dimension and entity, four rings, four entries of the legend.
    assert_eq!(picture.matches("<circle").count(), 187 * 16 + 4 + 4);
    refuse(folder, &["kge", "plot", &run, "--root", "401.00"], &["nothing is below `401.00`"]);
    // A slip of the hand costs no weights and no manifest; an earlier picture is replaced.
    let weights = format!("{run}/model.safetensors");
    let before = fs::read(folder.join(&weights)).unwrap();
    let says = "is no SVG picture; it was not replaced";
    let plot = ["kge", "plot", &run, "--root", "401", "--out", &weights];
    refuse(folder, &plot, &[says, "model.safetensors"]);
    refuse(folder, &["kge", "curves", &run, "--out", "tree.toml"], &[says, "tree.toml"]);
    assert_eq!(fs::read(folder.join(&weights)).unwrap(), before);
    succeed(folder, &["kge", "plot", &run, "--root", "401", "--out", "picture.svg"]);

    // The same bytes again.
    let again = run_folder(&succeed(folder, &["kge", "train", "tree.toml", "--set", "name=again"]));
    assert_eq!(result(&folder.join(&again))["test"], outcome["test"]);
    let weights = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert!(weights(&again) == weights(&run), "equal runs differ");

    // To be shown to others: nothing of this machine, no weights.
    succeed(folder, &["scrub", &run, "--out", "shown"]);
    let shown: Value = from_slice(&fs::read(folder.join("shown/result.json")).unwrap()).unwrap();
    assert_eq!(shown, outcome);
    for name in ["manifest.toml", "environment.json", "plugins.lock", "identity.json", "metrics.jsonl"] {
        let text = fs::read_to_string(folder.join("shown").join(name)).unwrap();
        assert!(!text.contains(folder.to_str().unwrap()), "{name}: {text}");
    }
    assert!(!folder.join("shown/model.safetensors").exists() && !folder.join("shown/log.txt").exists());
}

// The first step of Adam moves every used number by the rate, here a tenth of `lr`: by 10³⁹, which no number of 32 bits is, and by
// 10³⁷, of which products are none.
#[test]
fn what_is_no_number_is_not_saved_and_ranks_last() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let complex = "type = \"complex\"\ndim = 16";
    let manifest = MANIFEST.replace("type = \"hake\"\ndim = 16\nmodulus_weight = 0.5", complex);
    fs::write(folder.join("tree.toml"), manifest.replace("steps = 1500", "steps = 1")).unwrap();
    let says = ["train.lr", "after step 1: the vector of the entity `", "` has ", "try a smaller learning rate"];
    refuse(folder, &["kge", "train", "tree.toml", "--set", "train.lr=1e40"], &says);
    let run = run_folder(&succeed(folder, &["kge", "train", "tree.toml", "--set", "train.lr=1e38"]));
    let test = |key: &str| result(&folder.join(&run))["test"][key].as_f64().unwrap();
    assert!(test("mrr") < 0.05 && test("hits@10") < 0.05 && test("mr") > 150.0, "{}", test("mrr"));
}

#[test]
fn watch_shows_an_embedding() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let run = run_folder(&succeed(folder, &["kge", "train", "tree.toml"]));
    let shows = |run: &str, parts: &[&str]| {
        let picture = succeed(folder, &["watch", run, "--once"]);
        parts.iter().for_each(|part| assert!(picture.contains(part), "lacks {part:?}: {picture}"));
    };
    let curves = ["loss on train", "MRR on valid", "valid MRR "];
    shows(&run, &[&["tree-", "complete", "1500/1500 steps"], &curves[..]].concat());
    // In progress: 33 lines of 15 steps, one after 500, and 16 more; the last is half written.
    let text = |file: &str| fs::read_to_string(folder.join(&run).join(file)).unwrap();
    let (manifest, metrics) = (text("manifest.toml"), text("metrics.jsonl"));
    let unfinished = folder.join("other/tree-1.unfinished-x");
    fs::create_dir_all(&unfinished).unwrap();
    fs::write(unfinished.join("manifest.toml"), &manifest).unwrap();
    let first = |lines: usize| metrics.lines().take(lines).collect::<Vec<_>>().join("\n") + "\n{\"step\"";
    fs::write(unfinished.join("metrics.jsonl"), first(50)).unwrap();
    shows("other", &[&["735/1500 steps", "step 735 · ", "steps/s", "ETA "], &curves[..]].concat());
    // What there is no curve of is said.
    fs::write(unfinished.join("metrics.jsonl"), first(3)).unwrap();
    shows("other", &["45/1500 steps", "none yet"]);
    let never = manifest.replace("validate_every = 500", "validate_every = 0");
    assert_ne!(never, manifest);
    fs::write(unfinished.join("manifest.toml"), never).unwrap();
    shows("other", &["MRR on valid", "none: train.validate_every is 0"]);
}

#[test]
fn an_embedding_is_trained_with_the_plugins_of_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let train = ["kge", "train", "tree.toml", "--locked", "--set", "train.steps=20"];
    refuse(folder, &train, &["plugins.lock", "dualk plugin lock"]);
    let printed = succeed(folder, &["plugin", "lock", "tree.toml"]);
    assert!(printed.contains("dualk-plugin-kge-models") && printed.lines().count() == 2, "{printed}");
    let run = run_folder(&succeed(folder, &train));
    succeed(folder, &["kge", "eval", &run, "--locked"]);

    // That of another build.
    let locked = fs::read_to_string(folder.join("plugins.lock")).unwrap();
    let sha256 = locked.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(folder.join("plugins.lock"), locked.replace(sha256, &"0".repeat(64))).unwrap();
    refuse(folder, &train, &["the plugin `dualk-plugin-kge-models` is not in the lock", "plugins.lock"]);

    // A manifest that names no model has the plugin of the one that serves by default.
    let unnamed = MANIFEST.replace("[model]\ntype = \"hake\"\ndim = 16\nmodulus_weight = 0.5\n", "");
    assert!(!unnamed.contains("model"));
    fs::write(folder.join("tree.toml"), unnamed).unwrap();
    assert_eq!(succeed(folder, &["plugin", "lock", "tree.toml"]), printed);
    assert_eq!(fs::read_to_string(folder.join("plugins.lock")).unwrap(), locked);
}
