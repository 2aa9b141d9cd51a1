//! Which runs can be compared: those of one task.

use super::{change_outcome, columns, write};
use crate::experiment::compare::{CompareOptions, Comparison, Record, comparable};
use std::fs;
use std::path::Path;

/// A run whose task has a further option, and what the run says of the options that say what a model sees.
fn asked(folder: &Path, name: &str, option: &str, inputs: Option<&[&str]>) -> Record {
    let run = write(folder, name, 1, &[0.5, 0.6], "diagnosis");
    let file = run.join("manifest.toml");
    let manifest = fs::read_to_string(&file).unwrap();
    fs::write(&file, manifest.replace("'diagnosis' }", &format!("'diagnosis', {option} }}"))).unwrap();
    let inputs = inputs.map(|all| all.iter().map(|&key| key.to_owned()).collect());
    change_outcome(&run, |outcome| outcome.stages[0].inputs = inputs);
    Record::read(&run).unwrap()
}

#[test]
fn options_that_say_what_is_seen_make_no_other_task() {
    let folder = tempfile::tempdir().unwrap();
    let pair = |options: [&str; 2], inputs: [Option<&[&str]>; 2]| {
        let [a, b] = [0, 1].map(|i| asked(folder.path(), ["a", "b"][i], options[i], inputs[i]));
        comparable(&a, &b)
    };
    let (windows, labs) = (["window = 1", "window = 2"], ["labs = 'last'", "labs = 'none'"]);
    pair(windows, [Some(&["window"]); 2]).unwrap();
    // An objective whose `labs` are what it asks about does not mark them.
    let error = pair(labs, [Some(&[]); 2]).unwrap_err().to_string();
    assert!(error.starts_with("these runs have different tasks"), "{error}");
    // Runs of older versions say nothing of it.
    pair(labs, [None; 2]).unwrap();
    pair(labs, [None, Some(&["labs"])]).unwrap();
    assert!(pair(windows, [None; 2]).is_err());
}

#[test]
fn other_tasks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [write(folder.path(), "a", 1, &a, "diagnosis"), write(folder.path(), "b", 1, &b, "rare")];
    let error = Comparison::of(&runs, &CompareOptions::default()).unwrap_err().to_string();
    assert!(error.contains("different tasks: diagnosis and rare"), "{error}");
}

/// The same objective with other options asks something else, under a recipe with stages of its own, too.
#[test]
fn other_questions_of_one_task_are_refused_with_any_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [write(folder.path(), "a", 1, &a, "rare"), write(folder.path(), "b", 1, &b, "rare")];
    for (run, most) in runs.iter().zip([3, 20]) {
        let file = run.join("manifest.toml");
        let text = fs::read_to_string(&file).unwrap().replace("'finetune'\ntask", "'adapt'\ntest = true\nobjective");
        fs::write(&file, text.replace("'rare'", &format!("'rare', most = {most}"))).unwrap();
    }
    let error = Comparison::of(&runs, &CompareOptions::default()).unwrap_err().to_string();
    assert!(error.contains("different tasks: rare { most = 3 } and rare { most = 20 }"), "{error}");
}

/// Both were said to be the same, and to be different.
#[test]
fn a_scrubbed_run_is_compared_with_scrubbed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _]: [Vec<f64>; 3] = columns().try_into().unwrap();
    let runs = [write(folder.path(), "a", 1, &a, "diagnosis"), write(folder.path(), "b", 1, &b, "diagnosis")];
    let roots = |roots: [&str; 2]| {
        for (run, root) in runs.iter().zip(roots) {
            let file = run.join("manifest.toml");
            let text = fs::read_to_string(&file).unwrap();
            let (before, after) = text.split_once("parser = {").unwrap();
            let (_, after) = after.split_once('\n').unwrap();
            fs::write(file, format!("{before}parser = {{ type = 'p', root = '{root}' }}\n{after}")).unwrap();
        }
        Comparison::of(&runs, &CompareOptions::default()).map(drop).map_err(|e| e.to_string())
    };
    let error = roots(["/home/ann/hosp", "hosp"]).unwrap_err();
    assert!(error.contains("different cohorts") && error.contains("`dualk scrub` those that are not"), "{error}");
    let error = roots(["/home/ann/hosp", "/home/ann/icu"]).unwrap_err();
    assert!(!error.contains("scrub"), "{error}");
    assert_eq!(roots(["hosp", "hosp"]), Ok(()));
}
