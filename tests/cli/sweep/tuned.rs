//! Rows that are tuned: which of their settings is in the table, and who decides.

use super::program::said;
use super::support::Place;
use dualk_sdk::serde_json::{self, Value};
use std::fs;
use std::path::PathBuf;

/// R@10 on valid of the epoch that a member's run has kept.
fn on_valid(place: &Place, member: &Value) -> f64 {
    let member = place.path("out/members").join(member["id"].as_str().unwrap());
    let state: Value = serde_json::from_slice(&fs::read(member.join("state.json")).unwrap()).unwrap();
    let run = place.path("out").join(state["run"].as_str().unwrap());
    let result: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
    let stage = result["stages"].as_array().unwrap().last().unwrap();
    let records = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let mut records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let kept = records.find(|r| r["stage"] == stage["stage"] && r["epoch"] == stage["epoch"]).unwrap();
    kept["valid"]["R@10"].as_f64().unwrap()
}

/// Every row at every setting, the table with one of each, chosen on valid; the names are those of the manifest.
#[test]
fn rows_are_tuned_on_valid() {
    let place = Place::new(
        "[sweep]\nbaseline = \"GCN\"\ntune = { \"stage[1].lr\" = [0.0001, 0.01] }\n[[sweep.list]]\nname = \"GCN\"\n\
         \"model.graph_encoder\" = { type = \"gcn\", dims = [16, 16] }\n[[sweep.list]]\nname = \"own\"\n",
    );
    let listed = place.ok(&["sweep", "small.toml", "--out", "out", "--dry-run"]);
    for member in ["GCN, lr = 0.0001", "GCN, lr = 0.01", "own, lr = 0.0001", "own, lr = 0.01"] {
        assert_eq!(listed.matches(member).count(), 1, "{member}: {listed}");
    }
    let printed = place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1"]);
    let best = |row: &str| -> String {
        let plan: Value = serde_json::from_slice(&fs::read(place.path("out/sweep.json")).unwrap()).unwrap();
        let members = plan["members"].as_array().unwrap().iter().filter(|member| member["name"] == row);
        let tried = members.map(|member| (member["setting"].as_str().unwrap().to_owned(), on_valid(&place, member)));
        tried.reduce(|best, other| if other.1 > best.1 { other } else { best }).unwrap().0
    };
    let note =
        format!("each row is the best of 2 settings on valid, by R@10: GCN: {}; own: {}", best("GCN"), best("own"));
    assert!(printed.contains(&note) && printed.contains("less GCN"), "{note}: {printed}");
    let rows = place.json(&["compare", "out", "--format", "json"]);
    let names: Vec<_> = rows.iter().map(|row| (row["name"].as_str().unwrap(), row["tuned"].as_str())).collect();
    assert_eq!(names, [("GCN", Some(best("GCN").as_str())), ("own", Some(best("own").as_str()))]);
    assert_eq!(place.json(&["compare", "out/runs", "--format", "json"]).len(), 4);
}

/// Settings are compared with the first seed; the second trains the one that was chosen, for each row.
#[test]
fn the_other_seeds_train_what_the_first_chose() {
    let sweep = "[sweep]\nseeds = [1, 2]\ntune_seeds = 1\ntune = { \"stage[1].lr\" = [0.0001, 0.01] }\n\
                 grid = { \"model.graph_encoder\" = [\"none\", { type = \"gcn\", dims = [16, 16] }] }\n";
    let place = Place::new(sweep);
    let dry = ["sweep", "small.toml", "--out", "out", "--dry-run"];
    let listed = place.ok(&dry);
    assert!(listed.contains("8 members") && listed.contains("\n6 of them train"), "{listed}");
    assert_eq!(listed.matches("if chosen").count(), 4, "{listed}");
    let printed = place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1"]);
    let plan: Value = serde_json::from_slice(&fs::read(place.path("out/sweep.json")).unwrap()).unwrap();
    let mut chosen = Vec::new();
    for row in ["none", "gcn"] {
        let of = |seed: i64| {
            let members = plan["members"].as_array().unwrap().iter();
            members.filter(|m| m["name"] == row && m["seed"] == seed).collect::<Vec<_>>()
        };
        let better = |m: &Value, than: &Value| on_valid(&place, m) > on_valid(&place, than);
        let best = of(1).into_iter().reduce(|best, other| if better(other, best) { other } else { best }).unwrap();
        let trained =
            |m: &&Value| place.path("out/members").join(m["id"].as_str().unwrap()).join("state.json").is_file();
        let trained: Vec<&Value> = of(2).into_iter().filter(trained).map(|m| &m["setting"]).collect();
        assert_eq!(trained, [&best["setting"]], "{row}");
        chosen.push(format!("{row}: {}", best["setting"].as_str().unwrap()));
    }
    let note = format!("each row is the best of 2 settings on valid, by R@10, with seed 1: {}", chosen.join("; "));
    assert!(printed.contains(&note) && printed.contains("over 2 runs"), "{note}: {printed}");
    let listed = place.ok(&dry);
    assert_eq!((listed.matches("complete").count(), listed.matches("not chosen").count()), (7, 2), "{listed}");
    // One that failed and was not chosen is not tried again.
    let member = |m: &Value| place.path("out/members").join(m["id"].as_str().unwrap());
    let unchosen: Vec<PathBuf> = plan["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(member)
        .filter(|member| !member.join("state.json").is_file())
        .collect();
    assert_eq!(unchosen.len(), 2);
    for member in &unchosen {
        fs::create_dir_all(member).unwrap();
        fs::write(member.join("state.json"), r#"{ "state": "failed", "error": "no", "code": 2 }"#).unwrap();
    }
    let listed = place.ok(&dry);
    assert_eq!((listed.matches("failed").count(), listed.matches("not chosen").count()), (0, 2), "{listed}");
    // Nothing is left to do, and every setting can be asked for later.
    place.ok(&["sweep", "small.toml", "--out", "out"]);
    let all = place.ok(&["sweep", "small.toml", "--out", "out", "--dry-run", "--set", "sweep.tune_seeds=2"]);
    assert_eq!((all.matches("to be tried again").count(), all.matches("chosen").count()), (2, 0), "{all}");

    // Complete members of settings that were not chosen are none of those that are counted.
    place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "2", "--set", "sweep.tune_seeds=2"]);
    let again = place.run(&["sweep", "small.toml", "--out", "out"]);
    assert!(said(&again).contains("6 of 6 members are complete already"), "{}", said(&again));
    let setting = chosen[0].strip_prefix("none: ").unwrap();
    let members = plan["members"].as_array().unwrap();
    let of_table = members.iter().find(|m| m["name"] == "none" && m["seed"] == 2 && m["setting"] == setting).unwrap();
    fs::remove_file(member(of_table).join("state.json")).unwrap();
    let compared = place.run(&["compare", "out"]);
    assert!(said(&compared).contains("5 of 6 members are complete"), "{}", said(&compared));

    for (keys, says) in [("tune_seeds=3", "expected 1 to 2"), ("tune={}", "nothing is tuned")] {
        let refused = place.refused(&["sweep", "small.toml", "--dry-run", "--set", &format!("sweep.{keys}")]);
        assert!(refused.contains("sweep.tune_seeds") && refused.contains(says), "{refused}");
    }
}

/// A row of which a run has lost what it says of valid; the others train all the same, and the table says why there is none.
#[test]
fn a_row_that_cannot_choose_stops_no_other() {
    let sweep = "[sweep]\nseeds = [1, 2]\ntune_seeds = 1\ntune = { \"stage[1].lr\" = [0.0001, 0.01] }\n\
                 grid = { \"model.graph_encoder\" = [\"none\", { type = \"gcn\", dims = [16, 16] }] }\n";
    let place = Place::new(sweep);
    let train = ["sweep", "small.toml", "--out", "out", "--jobs", "1", "--threads", "1"];
    place.ok(&[&train[..], &["--set", "sweep.seeds=[1]"]].concat());
    let plan: Value = serde_json::from_slice(&fs::read(place.path("out/sweep.json")).unwrap()).unwrap();
    let lost = plan["members"].as_array().unwrap().iter().find(|member| member["name"] == "none").unwrap();
    let state = place.path("out/members").join(lost["id"].as_str().unwrap()).join("state.json");
    let state: Value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
    fs::write(place.path("out").join(state["run"].as_str().unwrap()).join("metrics.jsonl"), "").unwrap();
    let said = place.refused(&train);
    let why = "a tuned row is chosen on valid, and this run has no R@10 there";
    assert!(said.contains(&format!("none: no setting can be chosen: {why}")), "{said}");
    assert!(!said.contains("gcn: no setting") && said.contains(&format!("error: {why}")), "{said}");
    let members = fs::read_dir(place.path("out/members")).unwrap();
    let state = |member: PathBuf| fs::read_to_string(member.join("state.json")).unwrap_or_default();
    assert_eq!(members.filter(|m| state(m.as_ref().unwrap().path()).contains("\"finished\"")).count(), 5);
}

/// Before anything trains: when the sweep is planned where the split says so, and else by each member.
#[test]
fn nothing_is_tuned_where_nobody_is_in_valid() {
    let place = Place::new("[sweep]\ntune = { \"stage[1].lr\" = [0.0001, 0.01] }\n");
    let train = |split: &str| {
        let set = format!("data.split={{ type = \"random\", {split} }}");
        place.refused(&["sweep", "small.toml", "--out", "out", "--jobs", "1", "--threads", "1", "--set", &set])
    };
    let error = train("train = 0.8, valid = 0.0, test = 0.2");
    assert!(error.contains("`data.split.valid`: settings of `sweep.tune` are chosen on valid"), "{error}");
    assert!(!place.path("out").exists());
    // Of some 400 patients nobody.
    let error = train("train = 0.7999, valid = 0.0001, test = 0.2");
    assert!(error.contains("2 of 2 members failed"), "{error}");
    assert!(error.contains("`data.split`: what the row is tuned to is chosen on valid"), "{error}");
    assert!(place.logs().iter().all(|log| !log.contains("epoch 1")), "{:#?}", place.logs());
}
