//! Says which data are there, and whether Python and R can read Parquet.

include!("data_cfg.rs");

fn main() {
    say_which_data_are_there();
    println!("cargo:rerun-if-env-changed=DUALK_PYTHON");
    println!("cargo:rustc-check-cfg=cfg(python_readers)");
    let python = std::env::var("DUALK_PYTHON").unwrap_or_else(|_| "python3".into());
    let readers = std::process::Command::new(&python).args(["-c", "import pandas, pyarrow"]).output();
    if readers.is_ok_and(|output| output.status.success()) {
        println!("cargo:rustc-cfg=python_readers");
        println!("cargo:rustc-env=DUALK_TEST_PYTHON={python}");
    }
    println!("cargo:rerun-if-env-changed=DUALK_RSCRIPT");
    println!("cargo:rustc-check-cfg=cfg(r_reader)");
    let rscript = std::env::var("DUALK_RSCRIPT").unwrap_or_else(|_| "Rscript".into());
    let reader = std::process::Command::new(&rscript).args(["-e", "library(arrow)"]).output();
    if reader.is_ok_and(|output| output.status.success()) {
        println!("cargo:rustc-cfg=r_reader");
        println!("cargo:rustc-env=DUALK_TEST_RSCRIPT={rscript}");
    }
}
