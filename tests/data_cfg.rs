// Included by build scripts: says which data are there, so that tests without theirs are `ignored` and not `ok`.

use std::env;
use std::path::{Path, PathBuf};

/// Sets `cfg(real_tables)` where the public data sets are beside the workspace, and `cfg(golden_tables)` where the tables
/// of the golden numbers are too. In CI, with the folder `shared` there, what it lacks is an error.
fn say_which_data_are_there() {
    println!("cargo:rerun-if-env-changed=DUALK_GOLDEN");
    println!("cargo:rerun-if-env-changed=CI");
    // Beside the workspace, which is one or two folders above the package: where the lock file is.
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let workspace = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(&package);
    let shared = &workspace.join("../shared");
    let given = env::var_os("DUALK_GOLDEN").map(PathBuf::from);
    let data = shared.join("data");
    let golden = given.clone().unwrap_or_else(|| shared.join("golden"));
    let must_be_there = env::var("CI").is_ok_and(|ci| ci == "true") && shared.is_dir() && given.is_none();
    mark("real_tables", &[&data], must_be_there);
    mark("golden_tables", &[&golden.join("cohort-a"), &golden.join("artifacts-a"), &data], must_be_there);
}

fn mark(name: &str, folders: &[&Path], must_be_there: bool) {
    println!("cargo:rustc-check-cfg=cfg({name})");
    let (there, missing): (Vec<&Path>, Vec<&Path>) = folders.iter().copied().partition(|folder| folder.is_dir());
    there.iter().for_each(|folder| println!("cargo:rerun-if-changed={}", folder.display()));
    match missing.first() {
        None => println!("cargo:rustc-cfg={name}"),
        Some(folder) if must_be_there => panic!("tests need the folder {}, and CI must run them", folder.display()),
        Some(_) => {}
    }
}
