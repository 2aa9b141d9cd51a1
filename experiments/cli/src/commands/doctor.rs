use super::TrustArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::device::{devices, missing_for_cuda};
use dualk_sdk::plugin::{Stamp, search_path};
use std::path::Path;

/// Arguments of `dualk doctor`.
#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    trust: TrustArgs,
}

impl Doctor {
    pub fn run(self) -> Result<()> {
        for (name, value) in Stamp::current().fields() {
            println!("{name:14} {value}");
        }
        let devices = devices();
        println!("\ndevices, best first; `auto` takes the first");
        for device in &devices {
            println!("  {:10} {:?}", device.name, device.device);
        }
        let has = |kind: &str| devices.iter().any(|d| d.name.starts_with(kind));
        if !has("cuda") {
            println!("  no CUDA device: {}", missing_for_cuda().unwrap_or("the driver sees none"));
        }
        if !has("wgpu") {
            println!("  no wgpu adapter: that takes a Vulkan driver, or Metal, or DirectX 12");
        }
        println!("\nplugins are looked up by name in");
        search_path().iter().for_each(|folder| println!("  {}", folder.display()));
        let mut registry = self.trust.registry(Path::new("."))?;
        registry.load_shipped()?;
        println!("\nplugins found");
        for plugin in registry.plugins() {
            println!("  {:32} {}", plugin.name, plugin.version);
        }
        Ok(())
    }
}
