//! The names of `cubecl-llvm` 0.11.3 that `cubecl-cuda` 0.11.3 mentions, without LLVM; see README.md.

use cubecl_core::ir::{attributes::BufferIOAttr, nvidia::SmArch};
use cubecl_core::prelude::KernelDefinition;
use cubecl_server::compiler::CompilationError;

/// The code generator's target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA PTX.
    #[default]
    Nvptx,
}

/// The code generator. Every compilation fails: there is no LLVM here.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What code would be generated for.
    pub target: LlvmTarget,
}

/// Options of a compilation.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// AMD architecture.
    pub arch: Option<()>,
    /// NVIDIA architecture.
    pub sm_arch: Option<SmArch>,
    /// PTX version to emit.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether launch parameters are grid constants.
    pub grid_constants: bool,
    /// Kept so that `..Default::default()` has something to fill in.
    pub reserved: (),
}

/// A compiled module.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// PTX assembly, terminated by NUL.
    pub ptx: Vec<core::ffi::c_char>,
    /// Entry point.
    pub entrypoint: String,
    /// Intermediate representation, for logs.
    pub ir: String,
    /// Shared memory of a launch, in bytes.
    pub shared_memory_size: usize,
    /// Access modes of the buffers, in binding order.
    pub io: Vec<BufferIOAttr>,
}

/// What a compilation yields.
pub enum PlironArtifact {
    /// Code for NVIDIA devices.
    NvptxCode(NvptxModule),
    /// Any other code.
    Other,
}

impl PlironCompiler {
    /// Refuses: this build generates CUDA code through NVRTC only.
    pub fn compile(&mut self, _: KernelDefinition, _: &PlironOptions) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this build has no LLVM: CUDA code is generated through NVRTC (feature `cubecl-cuda/cpp`)".into(),
            backtrace: Default::default(),
        })
    }

    /// Names the language in logs.
    pub fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}

/// NVIDIA specifics.
pub mod nvptx {
    /// PTX versions.
    pub mod ptx_version {
        /// A PTX version; none is ever chosen here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(u32);

        impl PtxVersion {
            /// The newest version that a driver loads.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl core::fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "ptx{}", self.0)
            }
        }
    }
}

/// What the targets share.
pub mod shared {
    /// Features that the code generator lowers.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// A GPU target.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA PTX.
            Nvptx,
        }

        /// Leaves the properties alone: nothing is lowered here.
        pub fn restrict_features(_: &mut DeviceProperties, _: GpuTarget) {}
    }
}
