//! Says which data are there, so that tests without theirs are `ignored` and not `ok`.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=DUALK_GOLDEN");
    let shared = Path::new("../../shared");
    let data = shared.join("data");
    let golden = env::var_os("DUALK_GOLDEN").map_or(shared.join("golden"), PathBuf::from);
    mark("real_tables", &[&data]);
    mark("golden_tables", &[&golden.join("cohort-a"), &golden.join("artifacts-a"), &data]);
}

/// Sets `cfg(name)` where all of `folders` are there.
fn mark(name: &str, folders: &[&Path]) {
    println!("cargo:rustc-check-cfg=cfg({name})");
    folders.iter().for_each(|folder| println!("cargo:rerun-if-changed={}", folder.display()));
    if folders.iter().all(|folder| folder.is_dir()) {
        println!("cargo:rustc-cfg={name}");
    }
}
