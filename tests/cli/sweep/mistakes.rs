//! Mistakes in a sweep, and folders that are no place for one.

use super::program::said;
use super::support::Place;
use std::fs;

#[test]
fn a_folder_with_other_things_is_no_place_for_a_sweep() {
    let place = Place::new("[sweep]\nseeds = [1]\n");
    fs::create_dir(place.path("out")).unwrap();
    for name in ["report.html", ".lock"] {
        let file = place.path("out").join(name);
        fs::write(&file, "mine").unwrap();
        let error = place.refused(&["sweep", "small.toml", "--out", "out"]);
        assert!(error.contains(&format!("found: {name}")) && error.contains("--out"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1, "{error}");
        fs::remove_file(file).unwrap();
    }
    // What a sweep leaves that is killed at its beginning is a sweep's.
    [".lock", ".sweep.json.AbC123"].iter().for_each(|name| fs::write(place.path("out").join(name), "").unwrap());
    place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "1", "--threads", "1"]);
}

#[test]
fn mistakes_in_a_sweep_name_the_line() {
    let place = Place::new("[sweep]\ngrid = { \"model.graph_encoder\" = [\"gat\", \"gta\"] }\n");
    let error = place.refused(&["sweep", "small.toml"]);
    assert!(error.contains("did you mean `gat`?") && error.contains("small.toml:26"), "{error}");
    let place = Place::new("[sweep]\ngrid = { \"model.encoder\" = [\"gat\"] }\n");
    let error = place.refused(&["sweep", "small.toml"]);
    assert!(error.contains("did you mean `graph_encoder`?") || error.contains("unknown key `encoder`"), "{error}");
    assert!(Place::new("").refused(&["sweep", "small.toml"]).contains("no [sweep]"));
    for wrong in ["--jobs=0", "--threads=0", "--threads=100000", "--jobs=many"] {
        assert!(place.refused(&["sweep", "small.toml", wrong]).contains("expected a number from 1 to 1024"), "{wrong}");
    }
    // Of a row of the list its name.
    for (rows, says) in [
        (
            "\"model.graph_encoder\" = \"gta\"",
            "`model.graph_encoder.type`: in the row `mine`, tuned to lr = 0.1: no graph",
        ),
        ("\"stage[1].lr\" = 0.1", "`sweep.list[1].stage[1].lr`: in the row `mine`: `stage[1].lr` is tuned"),
        ("\"stage[1].epochs\" = 0", "`stage[1].epochs`: in the row `mine`, tuned to lr = 0.1: expected"),
    ] {
        let list = format!("[[sweep.list]]\nname = \"plain\"\n[[sweep.list]]\nname = \"mine\"\n{rows}\n");
        let place = Place::new(&format!("[sweep]\ntune = {{ \"stage[1].lr\" = [0.1, 0.2] }}\n{list}"));
        for command in [&["sweep", "small.toml"][..], &["check", "small.toml", "--no-memory"]] {
            let error = place.refused(command);
            assert!(error.contains(says) && error.contains("small.toml:31"), "{error}");
        }
    }
    // What is wrong with the quick one alone is found, too.
    let quick = Place::new("[sweep]\nseeds = [1, 2]\n[sweep.quick]\n\"model.graph_encoder\" = \"gta\"\n");
    assert!(quick.refused(&["check", "small.toml", "--no-memory"]).contains("did you mean `gat`?"));
    let sound = Place::new("[sweep]\nseeds = [1, 2]\n[sweep.quick]\n\"sweep.seeds\" = [1]\n");
    let output = sound.run(&["check", "small.toml", "--no-memory"]);
    assert!(said(&output).contains("; 2 members of its sweep, 1 with --quick"), "{}", said(&output));
    let twice = Place::new("[sweep]\nseeds = [1, 2, 1]\n").refused(&["sweep", "small.toml"]);
    assert!(twice.contains("`sweep.seeds[2]`"), "{twice}");
    assert!(!place.path("sweeps").exists(), "nothing is written of a sweep that is refused");
}
