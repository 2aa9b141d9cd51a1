use super::WritableArg;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::device::{devices, missing_for_cuda};
use dualk_sdk::plugin::{Stamp, search_path};

/// Arguments of `dualk doctor`.
#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    writable: WritableArg,
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
        let mut registry = self.writable.registry();
        registry.load_shipped()?;
        println!("\nplugins found");
        for plugin in registry.plugins() {
            println!("  {:28} {}", plugin.name, plugin.version);
        }
        Ok(())
    }
}
