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
        let slots: Vec<Slot> = Slot::ALL.into_iter().filter(|s| slot.is_none_or(|only| only == *s)).collect();
        let shown: Vec<&ComponentInfo> = registry.components().filter(|info| slots.contains(&info.slot)).collect();
        let width = shown.iter().map(|info| info.name.len()).max().unwrap_or(0);
        for each in slots {
            println!("{each}");
            for info in shown.iter().filter(|info| info.slot == each) {
                println!("  {:width$}  {}", info.name, info.about);
                if slot.is_some() {
                    describe(info, width);
                }
            }
        }
        Ok(())
    }
}

/// Whence a component is, below its line, and its options; names of components are so wide.
fn describe(info: &ComponentInfo, width: usize) {
    if !info.citation.is_empty() {
        println!("  {:width$}  {}", "", info.citation);
    }
    println!("  {:width$}  from {}", "", info.plugin);
    let options = info.options();
    let longest = options.iter().map(|option| option.name.len()).max().unwrap_or(0);
    for OptionInfo { name, kind, default, about } in &options {
        println!("    {name:longest$}  {kind}, default {default}");
        println!("    {:longest$}  {}", "", about.replace('\n', " "));
    }
}
