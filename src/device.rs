//! Where training runs: a GPU adapter or the CPU, chosen by name.

use crate::cpu::{self, CpuExecutor};
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::gpu::{Adapter, GpuDevice, GpuExecutor, Kind, Variants, adapters, adapters_async};
use crate::kernel::Capabilities;
use crate::layout::Program;
use crate::platform::NO_GPU;
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
        if wish == DeviceSpec::Cpu {
            return Ok(cpu_alone(before));
        }
        let found = adapters()?;
        let Some(i) = choose(wish, &found)? else { return Ok(cpu_instead(before, &found)) };
        let gpu = GpuDevice::open_with(&found[i], same_variants(before, &found[i]))?;
        Ok(opened(gpu, found, before))
    }

    /// Like [`Device::open`], without blocking, as a browser demands. It does not calibrate: kernel variants come from the cache, or are the defaults
    /// for the adapter's kind.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub async fn open_async(wish: DeviceSpec) -> Result<(Self, String)> {
        Self::open_again_async(wish, None).await
    }

    /// Like [`Device::open_again`], without blocking; see [`Device::open_async`].
    ///
    /// # Errors
    /// As [`Device::open`].
    pub async fn open_again_async(wish: DeviceSpec, before: Option<&ExecutionConfig>) -> Result<(Self, String)> {
        if wish == DeviceSpec::Cpu {
            return Ok(cpu_alone(before));
        }
        let found = adapters_async().await?;
        let Some(i) = choose(wish, &found)? else { return Ok(cpu_instead(before, &found)) };
        let gpu = GpuDevice::open_async(&found[i], same_variants(before, &found[i])).await?;
        Ok(opened(gpu, found, before))
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

    /// Like [`Device::executor`], without blocking.
    ///
    /// # Errors
    /// As [`Device::executor`].
    pub async fn executor_async(&self, program: Program) -> Result<Box<dyn Executor>> {
        Ok(match self {
            Device::Gpu(gpu) => Box::new(GpuExecutor::new_async((**gpu).clone(), program).await?),
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

/// The CPU, with as many threads as before.
fn cpu(before: Option<&ExecutionConfig>) -> Device {
    Device::Cpu { threads: before.and_then(|b| b.threads).unwrap_or_else(cpu::default_threads) }
}

fn cpu_alone(before: Option<&ExecutionConfig>) -> (Device, String) {
    let cpu = cpu(before);
    let line = format!("device: {cpu}");
    (cpu, line)
}

/// The CPU for lack of a hardware GPU, and a line that says so.
fn cpu_instead(before: Option<&ExecutionConfig>, found: &[Adapter]) -> (Device, String) {
    let others = list(found);
    let others =
        if others.is_empty() { "no GPU adapter was found".to_string() } else { format!("no hardware GPU was found; also there, with `device` gpu: {others}") };
    let (cpu, line) = cpu_alone(before);
    (cpu, format!("{line} ({others})"))
}

/// The device of an opened adapter, and a line that names it and the alternatives.
fn opened(gpu: GpuDevice, found: Vec<Adapter>, before: Option<&ExecutionConfig>) -> (Device, String) {
    let others: Vec<Adapter> = found.into_iter().filter(|a| a.info != gpu.info).collect();
    let others = if others.is_empty() { String::new() } else { format!("{}, ", list(&others)) };
    let line = format!("device: {} (also there: {others}{} with `device` cpu)", gpu.info, cpu(before));
    (Device::Gpu(Box::new(gpu)), line)
}

/// Index of the adapter to open; `None` for the CPU.
fn choose(wish: DeviceSpec, found: &[Adapter]) -> Result<Option<usize>> {
    Ok(match wish {
        DeviceSpec::Cpu => None,
        DeviceSpec::Auto => found.iter().position(|a| a.info.kind == Kind::Hardware),
        DeviceSpec::Index(i) => Some(found.get(i).map(|_| i).ok_or_else(|| no_adapter(&format!("there is no adapter {i}"), found))?),
        DeviceSpec::Gpu => Some(found.first().map(|_| 0).ok_or_else(|| no_adapter("no GPU adapter was found", found))?),
    })
}

/// Variants of an earlier run, if it used this adapter.
fn same_variants(before: Option<&ExecutionConfig>, adapter: &Adapter) -> Option<Variants> {
    before.filter(|b| b.description == adapter.info.to_string()).and_then(|b| b.variants)
}

fn list(adapters: &[Adapter]) -> String {
    adapters.iter().map(|a| a.info.to_string()).collect::<Vec<_>>().join(", ")
}

fn no_adapter(what: &str, found: &[Adapter]) -> Error {
    if found.is_empty() {
        return Error::Device(format!("{what}; {NO_GPU}, or use `device` cpu"));
    }
    let there: Vec<String> = found.iter().enumerate().map(|(i, a)| format!("gpu:{i} {}", a.info)).collect();
    Error::Device(format!("{what}; there: {}; see `retrograd devices`", there.join(", ")))
}
