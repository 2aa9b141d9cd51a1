use super::sdk::Sdk;
use clap::Args;
use dualk_sdk::plugin::inspect;
use dualk_sdk::serde_json::Value;
use dualk_sdk::toml::Table;
use dualk_sdk::{Error, Result, serde_json};
use std::env::consts::DLL_SUFFIX;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Arguments of `dualk plugin build`.
#[derive(Args)]
pub struct Build {
    /// The plugin's folder, the one with Cargo.toml.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl Build {
    pub fn run(self) -> Result<()> {
        let sdk = Sdk::find()?;
        let project = project(&self.dir)?;
        sdk.write_settings(&project)?;
        check_compiler(&project, &sdk)?;
        let library = compile(&project)?;
        let found = inspect(&library)?;
        found.verify(None)?;
        println!("{} {}", found.name, found.version);
        found.components.iter().for_each(|(slot, name)| println!("  {slot:14} {name}"));
        println!("{}\n\nTo load it, a manifest says\n", found.file.display());
        let path = Table::from_iter([("path".to_owned(), found.file.display().to_string().into())]);
        println!("[[plugin]]\n{path}");
        Ok(())
    }
}

/// The folder of a crate that does not bring an SDK of its own.
fn project(dir: &Path) -> Result<PathBuf> {
    let manifest = dir.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|e| {
        Error::io("read", &manifest, e).help("run this in a plugin's folder; `dualk plugin new` writes one")
    })?;
    let table: Table = text.parse().map_err(|e: dualk_sdk::toml::de::Error| {
        Error::user(format!("this is not TOML: {}", e.message())).at_file(&manifest)
    })?;
    let names = |key: &str| table.get(key).and_then(|d| d.as_table()).into_iter().flat_map(|d| d.keys());
    let second = names("dependencies").find(|name| ["dualk-sdk", "dualk_sdk", "burn"].contains(&name.as_str()));
    if let Some(name) = second {
        return Err(Error::user(format!("cargo would compile a second `{name}` for this plugin"))
            .at_file(&manifest)
            .help(format!("remove `{name}` from [dependencies]: `dualk plugin build` gives the SDK to the compiler"))
            .help("burn is `dualk_sdk::burn`"));
    }
    fs::canonicalize(dir).map_err(|e| Error::io("open the folder", dir, e))
}

/// A compiler or cargo, free of flags that would replace those of `.cargo/config.toml`.
fn tool(program: OsString, project: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(project).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Makes sure that the compiler is the one that made the SDK.
fn check_compiler(project: &Path, sdk: &Sdk) -> Result<()> {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let here = match tool(program, project).arg("-V").output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("none that runs").to_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "none".to_owned(),
        Err(e) => e.to_string(),
    };
    if here == sdk.compiler() {
        return Ok(());
    }
    let channel = sdk.channel();
    Err(Error::user("plugin and SDK need the same compiler")
        .at_file(project)
        .help(format!("here:  {here}"))
        .help(format!("dualk: {}", sdk.compiler()))
        .help(format!("install it with `rustup toolchain install {channel}` (https://rustup.rs)"))
        .help(format!("let the plugin's rust-toolchain.toml say channel = \"{channel}\"")))
}

/// Runs cargo, whose messages go to standard error, and returns the shared library. It goes where manifests look for it,
/// whatever target folder the user's variables or configuration name.
fn compile(project: &Path) -> Result<PathBuf> {
    let mut cargo = tool("cargo".into(), project);
    cargo.args(["build", "--release", "--message-format=json-render-diagnostics"]).stderr(Stdio::inherit());
    cargo.arg("--target-dir").arg(project.join("target")).env_remove("CARGO_BUILD_TARGET");
    let output = cargo.output().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::user("there is no `cargo`").help("install Rust: https://rustup.rs"),
        _ => Error::io("run cargo in", project, e),
    })?;
    if !output.status.success() {
        return Err(Error::user("the plugin does not compile").at_file(project).help("cargo's messages are above"));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let library = artifacts.filter_map(|message| shared_library(&message, project)).next_back();
    library.ok_or_else(|| {
        let error = Error::user("the crate makes no shared library").at_file(project.join("Cargo.toml"));
        error.help("give it `[lib]` with `crate-type = [\"dylib\"]`")
    })
}

/// The shared library of the project itself, if that is what a message of cargo is about.
fn shared_library(message: &Value, project: &Path) -> Option<PathBuf> {
    let own = Path::new(message.get("manifest_path")?.as_str()?) == project.join("Cargo.toml");
    let kinds = message.get("target")?.get("crate_types")?.as_array()?;
    let shared = kinds.iter().any(|kind| kind == "dylib" || kind == "cdylib");
    let files = message.get("filenames")?.as_array()?.iter().filter_map(Value::as_str);
    files.filter(|file| own && shared && file.ends_with(DLL_SUFFIX)).map(PathBuf::from).next()
}
