//! `dualk package`: relocatable archives for machines of the same kind that have no Rust.

use super::install::Install;
use clap::Args;
use dualk_sdk::plugin::Stamp;
use dualk_sdk::storage::{self, Draft};
use dualk_sdk::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Arguments of `dualk package`.
#[derive(Args)]
#[command(after_help = "Examples:
  dualk package /tmp/archives
  tar -xJf dualk-0.1.0-x86_64-unknown-linux-gnu.tar.xz
  dualk-0.1.0-x86_64-unknown-linux-gnu/bin/dualk doctor")]
pub struct Package {
    /// Folder to write the archives to.
    out: PathBuf,
    /// Leave out what plugins are compiled against.
    #[arg(long)]
    without_metadata: bool,
}

/// The archive that people download is small.
const SMALL: &str = "xz -6 -T0";
/// Metadata are three quarters of a gigabyte: a fifth of the time of level 6 for a seventh more bytes (on 77 MB of them).
const FAST: &str = "xz -1 -T0";

/// Where the metadata are, below the folder that an archive unpacks to.
const METADATA: &str = "lib/dualk/deps";

impl Package {
    pub fn run(self) -> Result<()> {
        ["tar", "xz", "strip"].into_iter().try_for_each(needed)?;
        storage::common_folder(&self.out)?;
        let name = format!("dualk-{}-{}", env!("CARGO_PKG_VERSION"), Stamp::current().target);
        let staging = Draft::beside(&self.out.join(&name))?;
        let prefix = staging.path().join(&name);
        Install::at(prefix.clone(), self.without_metadata).install()?;
        let libraries = fs::read_dir(prefix.join("lib/dualk")).map_err(|e| Error::io("read", &prefix, e))?;
        let mut binaries: Vec<PathBuf> =
            libraries.flatten().map(|entry| entry.path()).filter(|p| p.is_file()).collect();
        binaries.push(prefix.join("bin/dualk"));
        // Symbols that the dynamic linker needs, and the metadata that the compiler reads, stay.
        finish(Command::new("strip").arg("--strip-unneeded").args(&binaries), "strip")?;
        let packed = staging.path().join("packed");
        storage::common_folder(&packed)?;
        let mut archives = vec![format!("{name}.tar.xz")];
        let without = ["--exclude", &format!("{name}/{METADATA}")];
        archive(staging.path(), &packed.join(&archives[0]), &name, SMALL, &without)?;
        if !self.without_metadata {
            archives.push(format!("{name}-plugins.tar.xz"));
            archive(staging.path(), &packed.join(&archives[1]), &format!("{name}/{METADATA}"), FAST, &[])?;
        }
        // Plugins are compiled against the metadata of this very program: both archives are new, or none is.
        storage::sync_tree(&packed)?;
        let pairs: Vec<_> = archives.iter().map(|file| (packed.join(file), self.out.join(file))).collect();
        storage::exchange_all(&pairs)?;
        for (_, file) in &pairs {
            let size = fs::metadata(file).map_err(|e| Error::io("read", file, e))?.len();
            println!("{}  {:.1} MB", file.display(), size as f64 / 1e6);
        }
        Ok(())
    }
}

/// An archive of a folder below `staging`: the same bytes for the same files.
fn archive(staging: &Path, file: &Path, folder: &str, pack: &str, options: &[&str]) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--use-compress-program"]);
    finish(tar.arg(pack).args(options).arg("-C").arg(staging).arg("-cf").arg(file).arg(folder), "tar")
}

/// Refuses to begin without a tool.
fn needed(tool: &str) -> Result<()> {
    match Command::new(tool).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Error::user(format!("there is no `{tool}`")).help("on Debian: apt install tar xz-utils binutils")),
    }
}

fn finish(command: &mut Command, name: &str) -> Result<()> {
    let status = command.status().map_err(|e| Error::io("start", name, e))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::user(format!("`{name}` failed ({status})")).help("its message is above")),
    }
}
