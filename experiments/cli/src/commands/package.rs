//! `dualk package`: relocatable archives for machines of the same kind that have no Rust.

use clap::Args;
use dualk_sdk::plugin::Stamp;
use dualk_sdk::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Arguments of `dualk package`.
#[derive(Args)]
#[command(after_help = "Examples:
  dualk package /tmp/archives
  tar -xJf dualk-0.1.0-x86_64-unknown-linux-gnu.tar.xz && dualk-0.1.0-x86_64-unknown-linux-gnu/bin/dualk doctor")]
pub struct Package {
    /// Folder to write the archives to.
    out: PathBuf,
    /// Leave out the second archive, which holds what plugins are compiled against.
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
        fs::create_dir_all(&self.out).map_err(|e| Error::io("create the folder", &self.out, e))?;
        let staging = tempfile::Builder::new().prefix(".dualk-package-").tempdir_in(&self.out);
        let staging = staging.map_err(|e| Error::io("create a folder in", &self.out, e))?;
        let name = format!("dualk-{}-{}", env!("CARGO_PKG_VERSION"), Stamp::current().target);
        let prefix = staging.path().join(&name);
        self.install(&prefix)?;
        let libraries = fs::read_dir(prefix.join("lib/dualk")).map_err(|e| Error::io("read", &prefix, e))?;
        let mut binaries: Vec<PathBuf> =
            libraries.flatten().map(|entry| entry.path()).filter(|p| p.is_file()).collect();
        binaries.push(prefix.join("bin/dualk"));
        // Symbols that the dynamic linker needs, and the metadata that the compiler reads, stay.
        finish(Command::new("strip").arg("--strip-unneeded").args(&binaries), "strip")?;
        let without = ["--exclude", &format!("{name}/{METADATA}")];
        self.archive(staging.path(), &name, &name, SMALL, &without)?;
        if !self.without_metadata {
            self.archive(staging.path(), &format!("{name}-plugins"), &format!("{name}/{METADATA}"), FAST, &[])?;
        }
        Ok(())
    }

    /// A whole installation at `prefix`, by this very program.
    fn install(&self, prefix: &Path) -> Result<()> {
        let program = env::current_exe().map_err(|e| Error::io("find this program", "dualk", e))?;
        let mut install = Command::new(program);
        install.args(["install", "--prefix"]).arg(prefix).stdout(std::process::Stdio::null());
        if self.without_metadata {
            install.arg("--without-metadata");
        }
        finish(&mut install, "install")
    }

    /// `NAME.tar.xz` of a folder below `staging`: the same bytes for the same files.
    fn archive(&self, staging: &Path, name: &str, folder: &str, pack: &str, options: &[&str]) -> Result<()> {
        let file = self.out.join(format!("{name}.tar.xz"));
        let unfinished = staging.join(format!("{name}.tar.xz"));
        let mut tar = Command::new("tar");
        tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--use-compress-program"]);
        tar.arg(pack).args(options).arg("-C").arg(staging).arg("-cf").arg(&unfinished).arg(folder);
        finish(&mut tar, "tar")?;
        fs::rename(&unfinished, &file).map_err(|e| Error::io("write", &file, e))?;
        let size = fs::metadata(&file).map_err(|e| Error::io("read", &file, e))?.len();
        println!("{}  {:.1} MB", file.display(), size as f64 / 1e6);
        Ok(())
    }
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
