//! The SDK that plugins are compiled against: the very library that this program runs on, and the metadata of its
//! dependencies.

use dualk_sdk::plugin::Stamp;
use dualk_sdk::serde_json::json;
use dualk_sdk::storage::{self, Access};
use dualk_sdk::toml::{self, Table};
use dualk_sdk::{Error, Result};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// First words of every file that may be written again.
const MARK: &str = "# Written by `dualk plugin`";

/// Where the SDK is on this machine.
pub struct Sdk {
    folder: PathBuf,
    library: PathBuf,
    deps: PathBuf,
    stamp: Stamp,
}

impl Sdk {
    /// The SDK beside this program, or in its library folder when it is installed.
    ///
    /// # Errors
    /// When the library or the metadata is missing.
    pub fn find() -> Result<Self> {
        let program = env::current_exe().and_then(fs::canonicalize);
        let program = program.map_err(|e| Error::io("find this program", "dualk", e))?;
        let beside = program.parent().unwrap_or(Path::new("."));
        let name = format!("{DLL_PREFIX}dualk_sdk{DLL_SUFFIX}");
        let folders = [beside.to_owned(), beside.join("../lib/dualk")];
        let missing = |what: &str| {
            let error = Error::user(format!("this installation has no {what} to compile plugins against"));
            folders.iter().fold(error, |e, folder| e.help(format!("looked in {}", folder.display())))
        };
        let folder = folders.iter().find(|folder| folder.join(&name).is_file());
        let folder = folder.and_then(|f| fs::canonicalize(f).ok()).ok_or_else(|| missing("SDK library"))?;
        let deps = folder.join("deps");
        if !deps.is_dir() {
            return Err(missing("metadata (`deps`)").help("run `cargo build --release` in a clone and use its dualk"));
        }
        Ok(Self { library: folder.join(&name), folder, deps, stamp: Stamp::current() })
    }

    /// `rustc -V` of the compiler that made the SDK.
    pub fn compiler(&self) -> &str {
        &self.stamp.rustc
    }

    /// Name of that compiler in `rust-toolchain.toml`.
    pub fn channel(&self) -> &str {
        let version = self.stamp.rustc.split_whitespace().nth(1).unwrap_or("stable");
        version.split_once('-').map_or(version, |(_, channel)| channel.split('.').next().unwrap_or(channel))
    }

    /// Writes `.cargo/config.toml` and `rust-toolchain.toml` of a plugin's project for this SDK. Files that somebody
    /// else wrote are left alone, except that flags which are not ours are an error.
    ///
    /// # Errors
    /// When a file cannot be written, or the flags were written by hand.
    pub fn write_settings(&self, project: &Path) -> Result<()> {
        let cargo = project.join(".cargo");
        storage::own_folder(&cargo)?;
        let file = cargo.join("config.toml");
        if !refresh(&file, &self.flags()?)? {
            return Err(Error::user("these settings were not written by dualk")
                .at_file(&file)
                .help("remove the file, or move what you need of it to the config.toml of a folder above"));
        }
        let toolchain = format!(
            "{MARK}: the compiler that made the SDK. Rust libraries of two compilers do not fit.\n\
             [toolchain]\nchannel = \"{}\"\nprofile = \"minimal\"\n",
            self.channel()
        );
        refresh(&project.join("rust-toolchain.toml"), &toolchain).map(|_| ())
    }

    /// `.cargo/config.toml`. Flags of a target add to those of the user's own configuration, where those of `[build]`
    /// would be replaced by them.
    fn flags(&self) -> Result<String> {
        let text = |path: &Path| {
            let known = path.to_str().map(str::to_owned);
            known.ok_or_else(|| Error::user("cargo needs the SDK in a folder whose name is UTF-8").at_file(path))
        };
        let find = [
            "--extern".to_owned(),
            format!("dualk_sdk={}", text(&self.library)?),
            "-L".to_owned(),
            format!("dependency={}", text(&self.deps)?),
        ];
        let mut rustflags = vec!["-C".to_owned(), "prefer-dynamic".to_owned()];
        rustflags.extend(find.clone());
        // The SDK build in the flags makes cargo compile again when the library behind the same path is another one,
        // and keeps the plugin's dependencies apart from those of the SDK.
        rustflags.extend(["-C".to_owned(), format!("metadata=dualk-plugin-{}", self.stamp.build)]);
        if cfg!(unix) {
            let rpath = format!("link-arg=-Wl,-rpath,{}", text(&self.folder)?); // for the plugin's own tests
            rustflags.extend(["-C".to_owned(), rpath]);
        }
        let flags = json!({ "rustflags": rustflags, "rustdocflags": find });
        let table = Table::try_from(json!({ "target": { self.stamp.target.as_str(): flags } }));
        let table = table.and_then(|table| toml::to_string(&table));
        let table = table.map_err(|e| Error::program(format!("cannot write the compiler's flags: {e}")))?;
        Ok(format!(
            "{MARK}: flags that compile against the SDK of dualk on this machine. `dualk plugin build`\n\
             # writes this file again whenever that SDK has moved or changed; leave it out of version control.\n{table}"
        ))
    }
}

/// Writes a file unless it holds that text already; `false` when somebody else wrote it.
fn refresh(file: &Path, text: &str) -> Result<bool> {
    match fs::read_to_string(file) {
        Ok(old) if old == text => return Ok(true),
        Ok(old) if !old.starts_with(MARK) => return Ok(false),
        _ => (),
    }
    storage::replace(file, |new| {
        storage::write(new, text.as_bytes())?;
        Access::All.give(new)
    })?;
    Ok(true)
}
