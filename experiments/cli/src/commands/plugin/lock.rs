use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::embedding::KgeManifest;
use dualk_sdk::experiment::manifest::Source;
use dualk_sdk::experiment::{Listed, Manifest, listed, listed_of_embedding};
use dualk_sdk::plugin::{LockedPlugin, PluginsLock, Registry};
use std::path::{Path, PathBuf};

/// Arguments of `dualk plugin lock`.
#[derive(Args)]
pub struct Lock {
    /// The manifest of an experiment or an embedding, a TOML file.
    manifest: PathBuf,
}

impl Lock {
    /// Reads what the files say; runs none of them.
    pub fn run(self) -> Result<()> {
        let lock = self.manifest.parent().unwrap_or(Path::new("")).join("plugins.lock");
        PluginsLock::check_replaceable(&lock)?;
        let source = Source::load(&self.manifest, &[])?;
        let Listed { plugins, components, open } = match source.names_triples() {
            true => listed_of_embedding(&KgeManifest::from_source(source)?),
            false => listed(&Manifest::from_source(source)?)?,
        };
        let files = Registry::files(&plugins, &components, &open)?;
        for file in &files {
            file.verify(None)?;
            println!("{} {}  {}  {}", file.name, file.version, file.sha256, file.file.display());
        }
        PluginsLock::write(&lock, files.iter().map(LockedPlugin::from).collect())?;
        println!("lock: {}", lock.display());
        Ok(())
    }
}
