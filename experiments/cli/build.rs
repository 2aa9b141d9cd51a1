//! Lets the program find the SDK library and Rust's standard library, in the target folder and when installed; lists the
//! templates of plugins; tells its tests which data are there.

include!("../../tests/data_cfg.rs");

use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../tests/data_cfg.rs");
    say_which_data_are_there();
    say_which_readers_are_there();
    list_templates()?;
    println!("cargo:rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    if !std::env::var("CARGO_ENCODED_RUSTFLAGS")?.contains("prefer-dynamic") {
        return Err(
            "program and plugins must share one SDK library: RUSTFLAGS, when it is set, replaces the flags of \
                    .cargo/config.toml; unset it or add `-C prefer-dynamic` to it"
                .into(),
        );
    }
    if std::env::var("CARGO_CFG_TARGET_FAMILY")? != "unix" {
        return Ok(());
    }
    let origin = match std::env::var("CARGO_CFG_TARGET_OS")?.as_str() {
        "macos" => "@loader_path",
        _ => "$ORIGIN",
    };
    let sysroot = Command::new(std::env::var("RUSTC")?).args(["--print", "target-libdir"]).output()?;
    let toolchain = String::from_utf8(sysroot.stdout)?;
    for folder in [origin, &format!("{origin}/../lib/dualk"), &format!("{origin}/.."), toolchain.trim()] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    Ok(())
}

/// Writes an array of the templates of `dualk plugin new`, which are the Rust files of `scaffold/`: slot and text.
fn list_templates() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=scaffold");
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("scaffold");
    let mut templates = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.path();
        let is_code = file.extension().is_some_and(|extension| extension == "rs");
        if let Some(slot) = file.file_stem().filter(|_| is_code) {
            templates.push(format!("({slot:?}, include_str!({file:?})),"));
        }
    }
    templates.sort();
    let list = Path::new(&std::env::var("OUT_DIR")?).join("templates.rs");
    std::fs::write(list, format!("[{}]", templates.concat()))?;
    Ok(())
}

/// Sets `cfg(tracking_readers)` where `DUALK_PYTHON`, or `python3`, has the programs that read what runs write, and
/// `cfg(chromium)` where there is a browser, which `DUALK_CHROMIUM` may name: tests that need them are ignored elsewhere.
fn say_which_readers_are_there() {
    const MODULES: &str = "import sys; from importlib.util import find_spec
sys.exit(not all(find_spec(m) for m in ('tensorboard', 'mlflow', 'pandas', 'pyarrow')))";
    println!("cargo:rustc-check-cfg=cfg(tracking_readers, chromium)");
    for variable in ["DUALK_PYTHON", "DUALK_CHROMIUM"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let python = std::env::var("DUALK_PYTHON").unwrap_or_else(|_| "python3".into());
    if works(&python, &["-c", MODULES]) {
        println!("cargo:rustc-cfg=tracking_readers\ncargo:rustc-env=DUALK_TEST_PYTHON={python}");
    }
    let named = std::env::var("DUALK_CHROMIUM").ok();
    let known = ["chromium", "chromium-browser", "google-chrome"].map(str::to_owned);
    let browsers = named.map_or(known.to_vec(), |browser| vec![browser]);
    if let Some(browser) = browsers.iter().find(|browser| works(browser, &["--version"])) {
        println!("cargo:rustc-cfg=chromium\ncargo:rustc-env=DUALK_TEST_CHROMIUM={browser}");
    }
}
