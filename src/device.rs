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

/// The place of a process among those that train together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number among those of its machine, and how many there are.
    pub local: (u32, u32),
    /// Lane groups of all.
    pub groups: u32,
    /// Machines.
    pub machines: u32,
}

impl Default for Place {
    fn default() -> Self {
        Place { local: (0, 1), groups: 1, machines: 1 }
    }
}

impl Place {
    /// Threads of the CPU that it has, unless a run has others.
    fn threads(self) -> usize {
        if self.groups > 1 { cpu::threads_of_group(self.groups, self.machines) } else { cpu::default_threads() }
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
        Self::open_among(wish, before, Place::default())
    }

    /// Like [`Device::open_again`], for one of several processes that train together: each of a machine takes an adapter of its own, if there are enough.
    ///
    /// # Errors
    /// As [`Device::open`]; [`Error::Usage`] if several would share an adapter that is named by its number.
    pub fn open_among(wish: DeviceSpec, before: Option<&ExecutionConfig>, place: Place) -> Result<(Self, String)> {
        let threads = before.and_then(|b| b.threads).unwrap_or_else(|| place.threads());
        if wish == DeviceSpec::Cpu {
            return Ok(cpu_alone(threads));
        }
        if let (DeviceSpec::Index(i), (_, several @ 2..)) = (wish, place.local) {
            return Err(Error::Usage(format!(
                "{several} processes on a machine would share `device` gpu:{i}; name it gpu, so that each takes another, or start one"
            )));
        }
        let found = adapters()?;
        let Some(i) = choose(wish, &found, place.local.0)? else { return Ok(cpu_instead(threads, &found)) };
        let gpu = GpuDevice::open_with(&found[i], same_variants(before, &found[i]))?;
        Ok(opened(gpu, found, threads))
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
        let threads = before.and_then(|b| b.threads).unwrap_or_else(cpu::default_threads);
        if wish == DeviceSpec::Cpu {
            return Ok(cpu_alone(threads));
        }
        let found = adapters_async().await?;
        let Some(i) = choose(wish, &found, 0)? else { return Ok(cpu_instead(threads, &found)) };
        let gpu = GpuDevice::open_async(&found[i], same_variants(before, &found[i])).await?;
        Ok(opened(gpu, found, threads))
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

fn cpu_alone(threads: usize) -> (Device, String) {
    let cpu = Device::Cpu { threads };
    let line = format!("device: {cpu}");
    (cpu, line)
}

/// The CPU for lack of a hardware GPU, and a line that says so.
fn cpu_instead(threads: usize, found: &[Adapter]) -> (Device, String) {
    let others = list(found);
    let others =
        if others.is_empty() { "no GPU adapter was found".to_string() } else { format!("no hardware GPU was found; also there, with `device` gpu: {others}") };
    let (cpu, line) = cpu_alone(threads);
    (cpu, format!("{line} ({others})"))
}

/// The device of an opened adapter, and a line that names it and the alternatives.
fn opened(gpu: GpuDevice, found: Vec<Adapter>, threads: usize) -> (Device, String) {
    let others: Vec<Adapter> = found.into_iter().filter(|a| a.info != gpu.info).collect();
    let others = if others.is_empty() { String::new() } else { format!("{}, ", list(&others)) };
    let line = format!("device: {} (also there: {others}{} with `device` cpu)", gpu.info, Device::Cpu { threads });
    (Device::Gpu(Box::new(gpu)), line)
}

/// Index of the adapter to open, for the process with this number on its machine; `None` for the CPU.
fn choose(wish: DeviceSpec, found: &[Adapter], local: u32) -> Result<Option<usize>> {
    // Hardware comes first.
    let hardware = found.iter().filter(|a| a.info.kind == Kind::Hardware).count();
    let turn = |count: usize| Some(local as usize % count.max(1)).filter(|_| count > 0);
    Ok(match wish {
        DeviceSpec::Cpu => None,
        DeviceSpec::Auto => turn(hardware),
        DeviceSpec::Index(i) => Some(found.get(i).map(|_| i).ok_or_else(|| no_adapter(&format!("there is no adapter {i}"), found))?),
        DeviceSpec::Gpu => Some(turn(if hardware > 0 { hardware } else { found.len().min(1) }).ok_or_else(|| no_adapter("no GPU adapter was found", found))?),
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
