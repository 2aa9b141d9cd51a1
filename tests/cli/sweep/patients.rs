//! Rows on different patients.

use super::support::{ENCODERS, Place};

#[test]
fn rows_of_several_splits_are_compared_without_pairs() {
    let place = Place::new(
        &ENCODERS
            .replace("seeds = [1, 2]", "seeds = [1]")
            .replace("grid = {", "grid = { \"data.split.seed\" = [1, 2],"),
    );
    let listed = place.ok(&["sweep", "small.toml", "--out", "out", "--dry-run"]);
    for member in ["gat, data.split.seed = 1", "gat, data.split.seed = 2", "gcn, data.split.seed = 1"] {
        assert_eq!(listed.matches(member).count(), 1, "{member}: {listed}");
    }
    assert!(listed.contains("nothing is paired"), "{listed}");
    let printed = place.ok(&["sweep", "small.toml", "--out", "out", "--jobs", "2", "--threads", "1"]);
    for text in ["patients differ between the runs of a row", "mean ± standard deviation over 2 runs"] {
        assert!(printed.contains(text) && !printed.contains("less gat"), "{printed}");
    }
    let rows = place.json(&["compare", "out", "--format", "json"]);
    assert_eq!(
        rows.iter().map(|r| (r["name"].as_str().unwrap(), r["runs"].as_u64().unwrap())).collect::<Vec<_>>(),
        [("gat", 2), ("gcn", 2)]
    );
    assert!(rows[0]["metrics"]["R@10"]["sd"].is_f64() && rows[0]["metrics"]["R@10"]["low"].is_null());
    assert!(rows[1]["difference"]["R@10"]["mean"].is_f64() && rows[1]["difference"]["R@10"]["p"].is_null());
    assert!(place.refused(&["compare", "out/runs"]).contains("these runs have different splits"));
}

/// What a comparison would refuse is refused before anything is trained, and with what to write.
#[test]
fn rows_on_different_patients_are_refused_when_they_are_planned() {
    let place = Place::new(
        "[sweep]\nlist = [{ \"data.split.seed\" = 1 }, { \"data.split.seed\" = 2, \"model.graph_encoder\" = \
         { type = \"gcn\", dims = [16, 16] } }]\n",
    );
    let error = place.refused(&["sweep", "small.toml", "--out", "out"]);
    assert!(error.contains("the rows are on different patients") && error.contains("small.toml:26"), "{error}");
    assert!(
        error.contains("`\"data.split.seed\" = [1, 2]` in `sweep.grid`") && !place.path("out/runs").exists(),
        "{error}"
    );
    let place = Place::new("[sweep]\ntune = { \"data.split.seed\" = [1, 2] }\n");
    assert!(place.refused(&["sweep", "small.toml"]).contains("says who the patients are, and is not tuned"));
}
