use super::TrustArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::component::Slot;
use dualk_sdk::plugin::{ComponentInfo, OptionInfo};
use std::path::{Path, PathBuf};

/// Arguments of `dualk list`.
#[derive(Args)]
pub struct List {
    /// Only this slot, with the options of each component.
    slot: Option<String>,
    /// Load this plugin too.
    #[arg(long, value_name = "FILE")]
    plugin: Vec<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

impl List {
    pub fn run(self) -> Result<()> {
        let slot = self.slot.as_deref().map(Slot::from_name).transpose()?;
        let mut registry = self.trust.registry(Path::new("."))?;
        self.plugin.iter().try_for_each(|file| registry.load(file, None))?;
        registry.load_shipped()?;
        for each in Slot::ALL.into_iter().filter(|s| slot.is_none_or(|only| only == *s)) {
            println!("{each}");
            for info in registry.components().filter(|info| info.slot == each) {
                println!("  {:18} {}", info.name, info.about);
                if slot.is_some() {
                    describe(info);
                }
            }
        }
        Ok(())
    }
}

fn describe(info: &ComponentInfo) {
    if !info.citation.is_empty() {
        println!("  {:18} {}", "", info.citation);
    }
    println!("  {:18} from {}", "", info.plugin);
    for OptionInfo { name, kind, default, about } in info.options() {
        println!("    {name:16} {kind}, default {default}");
        println!("    {:16} {}", "", about.replace('\n', " "));
    }
}
