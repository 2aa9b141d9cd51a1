//! Writes down what a plugin must agree on with this library: see `src/plugin/descriptor.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Any device that runs CubeCL kernels.
    println!("cargo:rustc-check-cfg=cfg(cube)");
    if env::var_os("CARGO_FEATURE_CUDA").is_some() || env::var_os("CARGO_FEATURE_WGPU").is_some() {
        println!("cargo:rustc-cfg=cube");
    }
    // What this library calls of itself is settled when it is linked, and not looked up by name, 270,000 times, whenever a
    // program starts: .11 s each.
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-link-arg=-Wl,-Bsymbolic");
    }
    let rustc = Command::new(env::var("RUSTC")?).arg("-V").output()?;
    let features: Vec<String> = env::vars()
        .filter_map(|(key, _)| key.strip_prefix("CARGO_FEATURE_").map(str::to_lowercase))
        .filter(|feature| feature != "default")
        .collect();
    let assertions = if env::var_os("CARGO_CFG_DEBUG_ASSERTIONS").is_some() { "checked" } else { "unchecked" };
    let profile = format!("opt-level {}, {assertions}", env::var("OPT_LEVEL")?);
    let facts = [
        ("RUSTC", String::from_utf8(rustc.stdout)?.trim().to_owned()),
        ("BURN", burn_version()?),
        ("TARGET", env::var("TARGET")?),
        ("PROFILE", profile),
        (
            "FEATURES",
            features.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(","),
        ),
        ("BUILD", format!("{:016x}", build_hash()?)),
    ];
    for (name, value) in facts {
        println!("cargo:rustc-env=DUALK_{name}={value}");
    }
    Ok(())
}

/// The version that `Cargo.toml` pins burn to.
fn burn_version() -> Result<String, Box<dyn std::error::Error>> {
    let manifest = fs::read_to_string("Cargo.toml")?;
    let line = manifest.lines().find(|l| l.starts_with("burn = ")).ok_or("Cargo.toml names no burn")?;
    Ok(line.split('"').nth(1).ok_or("burn has no version")?.trim_start_matches('=').to_owned())
}

/// What decides the machine code of this library beside the compiler, from this folder.
const INPUTS: [&str; 5] = ["src", "Cargo.toml", "../Cargo.toml", "../Cargo.lock", "../vendor"];

/// FNV-1a over the names and contents of the sources, the versions and profiles of what they are compiled with, and the
/// flags of the compiler, so that a plugin knows the very build it was made for.
fn build_hash() -> std::io::Result<u64> {
    let mut files = BTreeMap::new();
    for input in INPUTS.map(Path::new).into_iter().filter(|path| path.exists()) {
        println!("cargo:rerun-if-changed={}", input.display());
        collect(input, &mut files)?;
    }
    let bytes = files.into_iter().flat_map(|(path, text)| {
        let name = path.to_string_lossy().replace('\\', "/");
        name.into_bytes().into_iter().chain(text)
    });
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().into_bytes();
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Ok(bytes.chain(flags).fold(0xcbf2_9ce4_8422_2325, hash))
}

fn collect(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> std::io::Result<()> {
    if path.is_file() {
        files.insert(path.to_owned(), fs::read(path)?);
        return Ok(());
    }
    fs::read_dir(path)?.try_for_each(|entry| collect(&entry?.path(), files))
}
