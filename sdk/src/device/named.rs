//! Devices by name: `auto`, `cpu`, `cuda`, `cuda:1`, `wgpu`, `wgpu:1`.

use crate::{Error, Result};
use burn::tensor::{Device, DeviceType};

/// A device and how to call it.
#[derive(Debug, Clone)]
pub struct NamedDevice {
    /// Its name, such as `cuda:0`.
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
    match missing_for_cuda() {
        None => number("cuda", Device::enumerate(DeviceType::Cuda).into_vec()),
        Some(_) => Vec::new(),
    }
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

/// What an NVIDIA device lacks for kernels to be compiled when they are needed, and what to do; `None` when all is there.
/// Without it, the first kernel would end the program.
pub fn missing_for_cuda() -> Option<&'static str> {
    match (has_library(&["libcuda.so.1", "libcuda.so"]), has_library(&NVRTC), has_headers()) {
        _ if !cfg!(feature = "cuda") => Some("this dualk was built without the feature `cuda`"),
        (false, ..) => Some("there is no NVIDIA driver (libcuda.so.1)"),
        (_, false, _) => Some(
            "there is no NVRTC (libnvrtc.so.13 or .12): install the CUDA toolkit 12 or 13, or the packages \
             nvidia-cuda-nvrtc and nvidia-cuda-runtime of PyPI, and let LD_LIBRARY_PATH name its folder",
        ),
        (_, _, false) => Some(
            "there are no CUDA headers (cuda_fp16.h): let CUDA_PATH name the folder of the CUDA toolkit, the one with \
             `include`",
        ),
        _ => None,
    }
}

const NVRTC: [&str; 3] = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"];

/// Whether one of these can be loaded. Only asked on Linux; elsewhere the answer is yes.
fn has_library(names: &[&str]) -> bool {
    // SAFETY: these are NVIDIA's own libraries, whose initialisers have no requirements.
    #[allow(unsafe_code)]
    let loads = |name: &&str| unsafe { libloading::Library::new(*name) }.is_ok();
    !cfg!(target_os = "linux") || names.iter().any(loads)
}

#[cfg(feature = "cuda")]
fn has_headers() -> bool {
    cubecl_cuda::install::cuda_path().is_some_and(|path| path.join("include/cuda_fp16.h").is_file())
}

#[cfg(not(feature = "cuda"))]
fn has_headers() -> bool {
    false
}

/// Whether a wgpu adapter is a rasterizer in software, which `auto` never chooses.
fn is_software(device: &Device) -> bool {
    let shown = format!("{device:?}");
    shown.contains("Cpu") || shown.contains("llvmpipe")
}

/// The device that tests compute on: the one that the environment variable `DUALK_TEST_DEVICE` names, `cpu` where it is not set.
///
/// # Errors
/// As of [`open`].
pub fn tested() -> Result<NamedDevice> {
    let name = std::env::var("DUALK_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    open(&name).map_err(|e| e.help("`DUALK_TEST_DEVICE` names the device that tests compute on"))
}

/// The device of that name.
///
/// # Errors
/// When there is no such device, with those there are.
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
            let a_gpu = ["gpu", "nvidia", "amd", "metal", "mps", "rocm", "vulkan", "opencl"];
            if a_gpu.iter().any(|gpu| name.to_ascii_lowercase().starts_with(gpu)) {
                let found: Vec<String> = all.into_iter().map(|d| d.name).collect();
                return Err(error
                    .help("`auto` takes the best that there is; `cuda` is an NVIDIA GPU, `wgpu` any GPU")
                    .help(format!("on this machine: {}; `dualk doctor` shows what is missing", found.join(", "))));
            }
            let known = std::iter::once("auto".to_owned()).chain(all.into_iter().map(|d| d.name));
            let error = error.suggest(name, known).help("`dualk doctor` shows what is missing");
            Err(match missing_for_cuda().filter(|_| wanted.starts_with("cuda") || name == "gpu") {
                Some(missing) => error.help(format!("for CUDA {missing}")),
                None => error,
            })
        }
    }
}
