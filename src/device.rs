//! Where training runs: a GPU adapter or the CPU, chosen by name.

use crate::cpu::{self, CpuExecutor};
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::gpu::{Adapter, GpuDevice, GpuExecutor, Kind, Variants, adapters};
use crate::kernel::Capabilities;
use crate::layout::Program;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The user's choice of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceSpec {
    /// A hardware adapter, else the CPU.
    #[default]
    Auto,
    /// The first adapter, hardware before software.
    Gpu,
    /// The adapter with this number in the list of `retrograd devices`.
    Index(usize),
    /// The CPU executor.
    Cpu,
}

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None if text == "auto" => Ok(DeviceSpec::Auto),
            None if text == "gpu" => Ok(DeviceSpec::Gpu),
            None if text == "cpu" => Ok(DeviceSpec::Cpu),
            Some(("gpu", n)) if n.parse::<usize>().is_ok() => Ok(DeviceSpec::Index(n.parse().unwrap_or_default())),
            _ => Err(Error::Usage(format!("device `{text}` is unknown; expected auto, gpu, gpu:INDEX or cpu"))),
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceSpec::Auto => f.write_str("auto"),
            DeviceSpec::Gpu => f.write_str("gpu"),
            DeviceSpec::Index(i) => write!(f, "gpu:{i}"),
            DeviceSpec::Cpu => f.write_str("cpu"),
        }
    }
}

/// An opened device.
pub enum Device {
    /// An adapter.
    Gpu(Box<GpuDevice>),
    /// The CPU with this many threads.
    Cpu {
        /// Parts that the work is split into.
        threads: usize,
    },
}

/// Choices made when opening a device that could change a bit of a result, so that they can be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionConfig {
    /// Adapter, driver, backend; or the CPU's threads.
    pub description: String,
    /// Kernel variants of an adapter.
    pub variants: Option<Variants>,
    /// Threads of the CPU.
    pub threads: Option<usize>,
}

impl ExecutionConfig {
    /// Whether this was a GPU and `now` is inferior: the CPU, or a software driver in place of hardware.
    pub fn outclass(&self, now: &Device) -> bool {
        let hardware = !self.description.ends_with(", software)");
        let less = match now {
            Device::Gpu(gpu) => hardware && gpu.info.kind == Kind::Software,
            Device::Cpu { .. } => true,
        };
        self.variants.is_some() && less
    }
}

impl Device {
    /// Opens a device. Also returns a line that names it and the other devices found.
    ///
    /// # Errors
    /// [`Error::Device`] if it doesn't exist or can't be opened, [`Error::Usage`] if an environment variable has an invalid value.
    pub fn open(wish: DeviceSpec) -> Result<(Self, String)> {
        Self::open_again(wish, None)
    }

    /// Like [`Device::open`], with the choices made `before` if it is the same device.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_again(wish: DeviceSpec, before: Option<&ExecutionConfig>) -> Result<(Self, String)> {
        let threads = before.and_then(|b| b.threads).unwrap_or_else(cpu::default_threads);
        let cpu = || Device::Cpu { threads };
        if wish == DeviceSpec::Cpu {
            return Ok((cpu(), format!("device: {}", cpu())));
        }
        let found = adapters()?;
        let chosen = match wish {
            DeviceSpec::Auto => found.iter().find(|a| a.info.kind == Kind::Hardware),
            DeviceSpec::Index(i) => Some(found.get(i).ok_or_else(|| no_adapter(&format!("there is no adapter {i}"), &found))?),
            _ => Some(found.first().ok_or_else(|| no_adapter("no GPU adapter was found", &found))?),
        };
        let Some(adapter) = chosen else {
            let others = list(&found);
            let others = if others.is_empty() {
                "no GPU adapter was found".to_string()
            } else {
                format!("no hardware GPU was found; also there, with `device` gpu: {others}")
            };
            return Ok((cpu(), format!("device: {} ({others})", cpu())));
        };
        let same = before.filter(|b| b.description == adapter.info.to_string());
        let gpu = GpuDevice::open_with(adapter, same.and_then(|b| b.variants))?;
        let others: Vec<Adapter> = found.into_iter().filter(|a| a.info != gpu.info).collect();
        let others = if others.is_empty() { String::new() } else { format!("{}, ", list(&others)) };
        let line = format!("device: {} (also there: {others}{} with `device` cpu)", gpu.info, cpu());
        Ok((Device::Gpu(Box::new(gpu)), line))
    }

    /// Capabilities of its executor.
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Device::Gpu(gpu) => gpu.capabilities,
            Device::Cpu { .. } => cpu::capabilities(),
        }
    }

    /// The choices made when it was opened.
    pub fn choices(&self) -> ExecutionConfig {
        let (variants, threads) = match self {
            Device::Gpu(gpu) => (Some(gpu.variants()), None),
            Device::Cpu { threads } => (None, Some(*threads)),
        };
        ExecutionConfig { description: self.to_string(), variants, threads }
    }

    /// vulkan, metal, dx12, gl, or cpu.
    pub fn backend(&self) -> &str {
        match self {
            Device::Gpu(gpu) => &gpu.info.backend,
            Device::Cpu { .. } => "cpu",
        }
    }

    /// Prepares a program to run.
    ///
    /// # Errors
    /// [`Error::Device`] if it needs more than the device has.
    pub fn executor(&self, program: Program) -> Result<Box<dyn Executor>> {
        Ok(match self {
            Device::Gpu(gpu) => Box::new(GpuExecutor::new((**gpu).clone(), program)?),
            Device::Cpu { threads } => Box::new(CpuExecutor::new(program, *threads)?),
        })
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self})")
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Gpu(gpu) => write!(f, "{}", gpu.info),
            Device::Cpu { threads } => write!(f, "CPU, {threads} thread{}", if *threads == 1 { "" } else { "s" }),
        }
    }
}

fn list(adapters: &[Adapter]) -> String {
    adapters.iter().map(|a| a.info.to_string()).collect::<Vec<_>>().join(", ")
}

fn no_adapter(what: &str, found: &[Adapter]) -> Error {
    if found.is_empty() {
        return Error::Device(format!("{what}; install a Vulkan driver (Debian: apt-get install mesa-vulkan-drivers), or use `device` cpu"));
    }
    let there: Vec<String> = found.iter().enumerate().map(|(i, a)| format!("gpu:{i} {}", a.info)).collect();
    Error::Device(format!("{what}; there: {}; see `retrograd devices`", there.join(", ")))
}
