//! Devices by name: `auto`, `cpu`, `cuda`, `cuda:1`, `wgpu`, `wgpu:1`.

use crate::{Error, Result};
use burn::tensor::{Device, DeviceType};

/// A device and how to call it.
#[derive(Debug, Clone)]
pub struct NamedDevice {
    /// Such as `cuda:0`.
    pub name: String,
    /// The device, without autodiff.
    pub device: Device,
}

/// Every usable device, best first: CUDA, real wgpu adapters, the CPU. Software adapters come last.
pub fn devices() -> Vec<NamedDevice> {
    let number = |kind: &str, devices: Vec<Device>| -> Vec<NamedDevice> {
        let named = devices.into_iter().enumerate();
        named.map(|(i, device)| NamedDevice { name: format!("{kind}:{i}"), device }).collect()
    };
    let mut all = cuda(&number);
    let (hardware, software): (Vec<_>, Vec<_>) = wgpu(&number).into_iter().partition(|d| !is_software(&d.device));
    all.extend(hardware);
    all.push(NamedDevice { name: "cpu".into(), device: Device::flex() });
    all.extend(software);
    all
}

#[cfg(feature = "cuda")]
fn cuda(number: &impl Fn(&str, Vec<Device>) -> Vec<NamedDevice>) -> Vec<NamedDevice> {
    number("cuda", Device::enumerate(DeviceType::Cuda).into_vec())
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: &impl Fn(&str, Vec<Device>) -> Vec<NamedDevice>) -> Vec<NamedDevice> {
    Vec::new()
}

#[cfg(feature = "wgpu")]
fn wgpu(number: &impl Fn(&str, Vec<Device>) -> Vec<NamedDevice>) -> Vec<NamedDevice> {
    number("wgpu", Device::enumerate(DeviceType::Wgpu).into_vec())
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(_: &impl Fn(&str, Vec<Device>) -> Vec<NamedDevice>) -> Vec<NamedDevice> {
    Vec::new()
}

/// Whether a wgpu adapter is a rasterizer in software, which `auto` never chooses.
fn is_software(device: &Device) -> bool {
    let shown = format!("{device:?}");
    shown.contains("Cpu") || shown.contains("llvmpipe")
}

/// The device of that name.
///
/// # Errors
/// When there is none, with those there are.
pub fn open(name: &str) -> Result<NamedDevice> {
    if name == "cpu" {
        // Without asking the drivers of other devices, which takes time and may print.
        return Ok(NamedDevice { name: name.to_owned(), device: Device::flex() });
    }
    let mut all = devices();
    let wanted = match name {
        "cuda" | "wgpu" => format!("{name}:0"),
        other => other.to_owned(),
    };
    let found = match name {
        "auto" => Some(0),
        _ => all.iter().position(|d| d.name == wanted),
    };
    match found {
        Some(index) => Ok(all.swap_remove(index)),
        None => {
            let error = Error::user(format!("there is no device `{name}` on this machine")).at_key("backend.device");
            let known = std::iter::once("auto".to_owned()).chain(all.into_iter().map(|d| d.name));
            Err(error.suggest(name, known).help("`dualk doctor` shows what is missing"))
        }
    }
}
