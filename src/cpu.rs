//! The CPU executor: replays recordings with the kernels' CPU implementations, immediately and in order.

use crate::arena::Slot;
use crate::error::{Error, Result};
use crate::exec::{Answer, Counters, Executor};
use crate::kernel::{Access, Bound, Call, Capabilities, Loads, Speeds, Tile, Values, Var, Variant};
use crate::layout::Program;
use crate::platform::{self, Instant, Pool};
use crate::profile::{Clock, Profile, Recorder};
use crate::recording::Repeat;
use std::collections::VecDeque;
use std::future::ready;

/// Replays a program on the CPU.
pub struct CpuExecutor {
    program: Program,
    banks: Vec<Vec<f32>>,
    pool: Pool,
    description: String,
    counters: Counters,
    answers: VecDeque<Vec<u32>>,
    recorder: Option<Recorder>,
}

/// Capabilities of the CPU executor. Scans of any width cover a whole segment; the variant has no effect.
pub fn capabilities() -> Capabilities {
    Capabilities {
        matmul: Variant { tile: Tile::T16x16, loads: Loads::Each, width: 8 },
        speeds: Speeds::default(),
        cores: 0,
        latencies: Default::default(),
        scan: Tile::T16x16,
        scan_loads: Loads::Each,
        scans: None,
        workgroup_bytes: u32::MAX,
        workgroup_invocations: u32::MAX,
        binding_bytes: (1 << 34) - 256,
        overhead_bytes: 0,
        // A dispatch may take arbitrarily long.
        flops_per_second: 1e15,
    }
}

/// Threads to use: one per core.
pub fn default_threads() -> usize {
    platform::cores()
}

/// Parts to split the work of a lane group into, of `groups` on `machines` machines like this one. Each group has as many threads: no setting of the process
/// that happens to hold it, or bits would depend on that.
pub fn threads_of_group(groups: u32, machines: u32) -> usize {
    let cores = platform::machine_cores();
    (cores * machines as usize / groups.max(1) as usize).clamp(1, cores)
}

impl CpuExecutor {
    /// Allocates the arena of a program, zeroed. `threads` determines how work is split, so equal thread counts give equal bits.
    ///
    /// # Errors
    /// [`Error::Device`] if threads can't be started or memory is short.
    pub fn new(program: Program, threads: usize) -> Result<Self> {
        // Overcommitted memory would end the process without a message.
        let (needed, there) = (program.layout.bytes(), platform::total_memory());
        if there.is_some_and(|there| needed > there) {
            let there = there.unwrap_or_default();
            return Err(Error::Device(format!("out of memory: the model needs {needed} bytes, the machine has {there}; lower `hidden`, `layers` or `batch`")));
        }
        let pool = Pool::new(threads)?;
        let mut banks = Vec::new();
        for &elements in &program.layout.banks {
            let mut bank: Vec<f32> = Vec::new();
            bank.try_reserve_exact(elements as usize)
                .map_err(|_| Error::Device(format!("out of memory: {} more bytes are needed; lower `batch` or `hidden`", u64::from(elements) * 4)))?;
            bank.resize(elements as usize, 0.0);
            banks.push(bank);
        }
        let description = format!("CPU, {threads} thread{}", if threads == 1 { "" } else { "s" });
        Ok(CpuExecutor { program, banks, pool, description, counters: Counters::default(), answers: VecDeque::new(), recorder: None })
    }

    fn words(&self, slot: Slot, offset: u32, count: usize) -> (usize, std::ops::Range<usize>) {
        let place = self.program.layout.place(slot);
        assert!(u64::from(offset) + count as u64 <= u64::from(place.elements), "{count} words at {offset} of slot {}", self.program.arena.name(slot));
        let first = (place.offset + offset) as usize;
        (place.bank, first..first + count)
    }

    /// Replays a recording, or one dispatch of it.
    fn replay(&mut self, recording: usize, index: Option<usize>, values: &Values) {
        let CpuExecutor { program, banks, pool, counters, recorder, .. } = self;
        let mut recorder = recorder.as_mut().filter(|r| r.is_running());
        let threads = pool.parts();
        pool.install(|| {
            let all = &program.recordings[recording].dispatches;
            for dispatch in index.map_or(&all[..], |i| &all[i..=i]) {
                let count = match dispatch.repeat {
                    Repeat::Once => 1,
                    Repeat::Steps(extra) => values.get(Var::Steps) + extra,
                };
                // Written banks are taken out while the kernel runs: no other binding of the dispatch is in them.
                let place = |slot: &Slot| program.layout.place(*slot);
                let written = |i: usize| dispatch.kernel.bindings[i].access == Access::ReadWrite;
                let mut taken: Vec<Option<Vec<f32>>> =
                    dispatch.bindings.iter().enumerate().map(|(i, s)| written(i).then(|| std::mem::take(&mut banks[place(s).bank]))).collect();
                let mut bound: Vec<Bound<'_>> = Vec::with_capacity(taken.len());
                for (slot, bank) in dispatch.bindings.iter().zip(&mut taken) {
                    let at = place(slot);
                    let range = at.offset as usize..(at.offset + at.elements) as usize;
                    bound.push(match bank {
                        Some(bank) => Bound::Write(&mut bank[range]),
                        None => Bound::Read(&banks[at.bank][range]),
                    });
                }
                for index in 0..count {
                    let args = dispatch.eval(&values.with(Var::Index, index));
                    if !(dispatch.kernel.grid)(&args, dispatch.variant).contains(&0) {
                        let start = recorder.is_some().then(Instant::now);
                        (dispatch.kernel.cpu)(&mut Call { args: &args, bound: &mut bound, threads });
                        if let Some((recorder, start)) = recorder.as_mut().zip(start) {
                            recorder.note(dispatch, &args, start.elapsed().as_secs_f64());
                            recorder.waited(start);
                        }
                        counters.dispatches += 1;
                    }
                }
                drop(bound);
                for (slot, bank) in dispatch.bindings.iter().zip(taken) {
                    if let Some(bank) = bank {
                        banks[place(slot).bank] = bank;
                    }
                }
            }
        });
    }
}

impl Executor for CpuExecutor {
    fn description(&self) -> &str {
        &self.description
    }

    fn program(&self) -> &Program {
        &self.program
    }

    fn run(&mut self, recording: usize, values: &Values) -> Result<()> {
        self.replay(recording, None, values);
        Ok(())
    }

    fn run_dispatch(&mut self, recording: usize, index: usize, values: &Values) -> Result<()> {
        self.replay(recording, Some(index), values);
        Ok(())
    }

    fn upload(&mut self, slot: Slot, offset: u32, words: &[u32]) -> Result<()> {
        let (bank, range) = self.words(slot, offset, words.len());
        self.banks[bank][range].copy_from_slice(bytemuck::cast_slice(words));
        Ok(())
    }

    fn download(&mut self, slot: Slot, offset: u32, words: &mut [u32]) -> Result<()> {
        let (bank, range) = self.words(slot, offset, words.len());
        words.copy_from_slice(bytemuck::cast_slice(&self.banks[bank][range]));
        Ok(())
    }

    fn download_async<'a>(&'a mut self, slot: Slot, offset: u32, words: &'a mut [u32]) -> Answer<'a, ()> {
        Box::pin(ready(self.download(slot, offset, words)))
    }

    fn request(&mut self, slot: Slot, offset: u32, count: u32) -> Result<()> {
        let mut words = vec![0; count as usize];
        self.download(slot, offset, &mut words)?;
        self.answers.push_back(words);
        Ok(())
    }

    fn collect(&mut self, _wait: bool) -> Result<Option<Vec<u32>>> {
        Ok(self.answers.pop_front())
    }

    fn collect_async(&mut self) -> Answer<'_, Option<Vec<u32>>> {
        Box::pin(ready(self.collect(false)))
    }

    fn submit(&mut self) -> Result<()> {
        self.counters.submits += 1;
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        Ok(())
    }

    fn wait_async(&mut self) -> Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn allocated_bytes(&self) -> u64 {
        self.banks.iter().map(|b| b.len() as u64 * 4).sum()
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn profile(&mut self, on: bool) -> Result<()> {
        self.recorder.get_or_insert_with(|| Recorder::new(Clock::Calls)).run(on);
        Ok(())
    }

    fn take_profile(&mut self) -> Option<Profile> {
        self.recorder.take().map(Recorder::finish)
    }
}
