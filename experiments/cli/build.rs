//! Lets the program find the SDK library and Rust's standard library, in the target folder and when installed; tells its
//! tests which data are there.

include!("../../tests/data_cfg.rs");

use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../tests/data_cfg.rs");
    say_which_data_are_there();
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
