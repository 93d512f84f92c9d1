//! Where a model computes.

use candle_core::Device;
use serde::Deserialize;

use crate::lm::LmError;

/// Where a model computes, and with which engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The processor, with the native engine: bit-reproducible.
    #[default]
    Cpu,
    /// The processor, with the engine of [`Place::Cuda`]: what that one is tested with where there is no GPU. Slow.
    CandleCpu,
    /// The first GPU that CUDA sees, with the engine in candle tensors.
    Cuda,
}

impl Place {
    /// Returns the name as in parameters and keys: `cpu`, `candle-cpu`, `cuda`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::CandleCpu => "candle-cpu",
            Self::Cuda => "cuda",
        }
    }

    /// Returns the device that tensors are to live on; `None` where the native engine computes.
    ///
    /// # Errors
    /// [`LmError::Device`] for CUDA in a program that was built without it, or where it finds no GPU.
    pub fn open(self) -> Result<Option<Device>, LmError> {
        match self {
            Self::Cpu => Ok(None),
            Self::CandleCpu => Ok(Some(Device::Cpu)),
            Self::Cuda => cuda().map(Some),
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, LmError> {
    Device::new_cuda(0).map_err(|error| LmError::Device {
        reason: format!("CUDA finds no GPU to work with: {error}"),
        help: "check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or leave `device` out to compute on the processor",
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, LmError> {
    Err(LmError::Device {
        reason: "this program was built without CUDA".to_owned(),
        help: "build it with `cargo build --release --features cuda` (docs/CUDA.md), or leave `device` out to compute on \
               the processor",
    })
}
