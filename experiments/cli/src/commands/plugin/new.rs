use super::scaffold::files;
use super::sdk::Sdk;
use crate::commands::TrustArgs;
use clap::Args;
use dualk_sdk::component::Slot;
use dualk_sdk::storage::{self, Access};
use dualk_sdk::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `dualk plugin new`.
#[derive(Args)]
pub struct New {
    /// Name of the crate and of its component, such as my-encoder.
    name: String,
    /// A slot of `dualk list`, such as graph_encoder.
    #[arg(long)]
    slot: String,
    /// Folder to write. Default: one of that name.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

impl New {
    pub fn run(self) -> Result<()> {
        let slot = Slot::from_name(&self.slot).map_err(|e| e.at_key("--slot"))?;
        check_name(&self.name)?;
        check_free(&self.trust, slot, &self.name)?;
        let sdk = Sdk::find()?;
        let folder = self.path.unwrap_or_else(|| PathBuf::from(&self.name));
        match check_folder(&folder)? {
            false => storage::folder(&folder, Access::All, |new| write(new, slot, &self.name, &sdk))?,
            // An empty folder may be the current one of a shell: it stays, and is filled by changes of names.
            true => {
                let whole = folder.join(".dualk-plugin-new");
                storage::folder(&whole, Access::All, |new| write(new, slot, &self.name, &sdk))?;
                move_up(&whole, &folder)?;
            }
        }
        println!("A {slot} that works, to start from: {}", folder.join("src/lib.rs").display());
        println!("\n  cd {}", folder.display());
        println!("  dualk plugin build           compile it against the SDK of this dualk");
        println!("  cargo test                   run its own test");
        match slot {
            Slot::KgeModel => println!("  dualk kge train experiment.toml    train with it on made-up triples"),
            _ => println!("  dualk run experiment.toml    train with it on made-up patients"),
        }
        Ok(())
    }
}

/// Names that cargo, the compiler or the descriptor would refuse.
fn check_name(name: &str) -> Result<()> {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let error = Error::user(format!("`{name}` cannot be the name of a plugin"));
    if !plain || !begins || name.len() > 60 {
        return Err(error.help("use up to 60 lower-case letters, digits, `-` and `_`, a letter first"));
    }
    let crate_name = name.replace('-', "_");
    if RESERVED.split(' ').any(|word| word == crate_name) {
        return Err(
            error.help("cargo or the compiler knows something else by that name: choose one such as my-encoder")
        );
    }
    Ok(())
}

/// Keywords, and crates that the compiler knows by these names.
const RESERVED: &str = "abstract alloc as async await become box break build burn const continue core crate deps do dualk \
    dualk_sdk dyn else enum examples extern false final fn for gen if impl in incremental let loop macro match mod move mut \
    override priv proc_macro pub ref return self static std struct super test trait true try type unsafe use virtual \
    yield";

/// Refuses the name of a component that is shipped, since a manifest could not tell the two apart.
fn check_free(trust: &TrustArgs, slot: Slot, name: &str) -> Result<()> {
    let mut registry = trust.registry(Path::new("."))?;
    registry.load_shipped()?;
    let taken = registry.components().find(|info| info.slot == slot && info.name == name);
    taken.map_or(Ok(()), |info| {
        let error =
            Error::user(format!("there is a {slot} named `{name}` already")).help(format!("in {}", info.plugin));
        Err(error.help("choose another name"))
    })
}

/// Whether the folder exists.
///
/// # Errors
/// When it is not empty.
fn check_folder(folder: &Path) -> Result<bool> {
    let occupied = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => folder.exists(),
    };
    match occupied {
        true => Err(Error::user("there is something at this place already").at_file(folder).help("choose a --path")),
        false => Ok(folder.exists()),
    }
}

fn write(folder: &Path, slot: Slot, name: &str, sdk: &Sdk) -> Result<()> {
    for (file, text) in files(slot, name) {
        let file = folder.join(file);
        let parent = file.parent().unwrap_or(folder);
        storage::own_folder(parent)?;
        storage::write(&file, text.as_bytes())?;
    }
    sdk.write_settings(folder)
}

/// Moves all that is in `from` to the folder `to`, whole or not at all, and removes `from`.
fn move_up(from: &Path, to: &Path) -> Result<()> {
    let fail = |e| Error::io("write", to, e);
    let entries: std::io::Result<Vec<_>> = fs::read_dir(from).map_err(fail)?.collect();
    let pair = |entry: fs::DirEntry| (entry.path(), to.join(entry.file_name()));
    let moved = storage::exchange_all(&entries.map_err(fail)?.into_iter().map(pair).collect::<Vec<_>>());
    let _ = fs::remove_dir_all(from);
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_not_compile_are_refused() {
        for name in ["my-encoder", "x", "gat2", "mean_of_neighbours"] {
            check_name(name).unwrap();
        }
        for name in
            ["", "My-Encoder", "2gat", "-x", "a b", "a/b", "..", "é", "fn", "dualk-sdk", "test", &"x".repeat(61)]
        {
            assert_eq!(check_name(name).unwrap_err().exit_code(), 2, "{name}");
        }
    }
}
