use super::TrustArgs;
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::experiment::device::{NamedDevice, devices, missing_for_cuda};
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
            println!("  {:10} {}", device.name, in_words(device));
        }
        let has = |kind: &str| devices.iter().any(|d| d.name.starts_with(kind));
        if !has("cuda") {
            println!("  no CUDA device: {}", missing_for_cuda().unwrap_or("the driver sees none"));
        }
        if !has("wgpu") {
            println!("  no wgpu adapter: that takes a Vulkan driver, or Metal, or DirectX 12");
        }
        println!("\nplugins are looked up by name in");
        for folder in search_path() {
            println!("  {}{}", folder.display(), if folder.is_dir() { "" } else { " (is not there)" });
        }
        let mut registry = self.trust.registry(Path::new("."))?;
        let loaded = registry.load_shipped();
        println!("\nplugins found");
        for plugin in registry.plugins() {
            println!("  {:32} {}", plugin.name, plugin.version);
        }
        loaded
    }
}

/// What a device is.
fn in_words(device: &NamedDevice) -> String {
    let shown = format!("{:?}", device.device);
    let what = match device.name.split(':').next() {
        Some("cpu") => return format!("this machine's processor; threads: {}", rayon::current_num_threads()),
        Some("cuda") => "an NVIDIA GPU, through CUDA",
        _ if shown.contains("DiscreteGpu") => "a GPU with memory of its own",
        _ if shown.contains("IntegratedGpu") => "a GPU that shares the processor's memory",
        _ if shown.contains("VirtualGpu") => "a GPU of a virtual machine",
        _ if shown.contains("Cpu") => "no GPU but a driver in software: slow, for tests",
        _ => "a GPU",
    };
    what.to_owned()
}
