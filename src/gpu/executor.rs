//! The GPU executor: resolves pipelines, bind groups and offsets once, when created, and replays them.

use super::adapter::Kind;
use super::device::GpuDevice;
use super::pipelines::args_bytes;
use super::sizes::{ANSWER_BYTES, ANSWERS, ARGS_SLOTS, ARGS_STRIDE, ARGS_WORDS, STAGING_BYTES};
use super::timestamps::Timestamps;
use crate::arena::Slot;
use crate::error::{Error, Result};
use crate::exec::{Answer, Counters, Executor};
use crate::kernel::{Values, Var};
use crate::layout::Program;
use crate::platform::{self, Instant};
use crate::profile::{Clock, Profile, Recorder};
use crate::recording::{Dispatch, Repeat};
use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Seconds of work, estimated from the adapter's speed, after which pending dispatches are submitted.
const SUBMIT_SECONDS: f64 = crate::kernel::DISPATCH_SECONDS;
/// Submissions in flight before the host waits for the oldest.
const IN_FLIGHT: usize = 3;

/// Device objects of a recorded dispatch.
struct Ready {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
}

/// A dispatch not yet submitted: the index of its recording and its index there.
#[derive(Clone, Copy)]
struct Pending {
    recording: usize,
    index: usize,
    grid: [u32; 3],
}

type MapResult = std::result::Result<(), wgpu::BufferAsyncError>;

/// A readback in flight.
struct Reading {
    buffer: wgpu::Buffer,
    size: u64,
    submission: wgpu::SubmissionIndex,
    receiver: OneshotReceiver<MapResult>,
}

impl Reading {
    /// Result of mapping the buffer, once known.
    fn answer(&self) -> Option<MapResult> {
        match pin!(self.receiver.receive()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer.unwrap_or(Err(wgpu::BufferAsyncError))),
            Poll::Pending => None,
        }
    }
}

/// Replays a program on a GPU.
pub struct GpuExecutor {
    gpu: GpuDevice,
    program: Program,
    banks: Vec<wgpu::Buffer>,
    ready: Vec<Vec<Ready>>,
    uniforms: wgpu::Buffer,
    /// Arguments of the pending dispatches, [`ARGS_STRIDE`] bytes each.
    args: Vec<u32>,
    /// Arguments of the dispatch being queued.
    words: Vec<u32>,
    pending: Vec<Pending>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    /// Readbacks in flight, oldest first.
    readings: VecDeque<Reading>,
    /// Words read back early because their buffers were needed, not yet collected; oldest first.
    arrived: VecDeque<Vec<u32>>,
    /// Free readback buffers.
    spare: Vec<wgpu::Buffer>,
    /// Estimated seconds of the pending dispatches.
    seconds: f64,
    description: String,
    counters: Counters,
    recorder: Option<Recorder>,
    timestamps: Option<Timestamps>,
    /// Timestamps of watched submissions, and how many there are.
    watched: Option<(Timestamps, usize)>,
}

/// A buffer for readbacks.
fn staging(gpu: &GpuDevice, size: u64) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    gpu.device.create_buffer(&wgpu::BufferDescriptor { label: Some("staging"), size, usage, mapped_at_creation: false })
}

impl GpuExecutor {
    /// Allocates the arena's buffers, zeroed, and prepares every dispatch of the program.
    ///
    /// # Errors
    /// [`Error::Device`] if a buffer is larger than the adapter allows, memory runs out, or a shader is rejected.
    pub fn new(gpu: GpuDevice, program: Program) -> Result<Self> {
        platform::block_on(Self::new_async(gpu, program))
    }

    /// Like [`GpuExecutor::new`], without blocking.
    ///
    /// # Errors
    /// As [`GpuExecutor::new`].
    pub async fn new_async(gpu: GpuDevice, program: Program) -> Result<Self> {
        use wgpu::BufferUsages as U;
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer =
            |label: &str, size: u64, usage| gpu.device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false });
        let mut banks = Vec::new();
        for (i, &elements) in program.layout.banks.iter().enumerate() {
            let size = u64::from(elements) * 4;
            if size > gpu.info.buffer_bytes {
                return Err(Error::Device(format!(
                    "a buffer of {size} bytes is needed, {} allows {}; lower `batch`, `hidden` or the window",
                    gpu.info, gpu.info.buffer_bytes
                )));
            }
            banks.push(buffer(&format!("bank {i}"), size, U::STORAGE | U::COPY_SRC | U::COPY_DST));
        }
        let uniforms = buffer("args", (ARGS_STRIDE * ARGS_SLOTS) as u64, U::UNIFORM | U::COPY_DST);
        let spare: Vec<wgpu::Buffer> = (0..ANSWERS).map(|_| ANSWER_BYTES).chain([STAGING_BYTES]).map(|size| staging(&gpu, size)).collect();
        if let Some(e) = scope.pop().await {
            return Err(Error::Device(format!(
                "{}: out of memory for {} bytes ({e}); lower `batch`, `hidden` or the window",
                gpu.info,
                program.layout.bytes()
            )));
        }
        let description = gpu.info.to_string();
        let mut executor = GpuExecutor {
            gpu,
            program,
            banks,
            ready: Vec::new(),
            uniforms,
            args: Vec::with_capacity(ARGS_WORDS * ARGS_SLOTS),
            words: Vec::with_capacity(ARGS_WORDS),
            pending: Vec::with_capacity(ARGS_SLOTS),
            in_flight: VecDeque::new(),
            readings: VecDeque::new(),
            arrived: VecDeque::new(),
            spare,
            seconds: 0.0,
            description,
            counters: Counters::default(),
            recorder: None,
            timestamps: None,
            watched: None,
        };
        executor.resolve()?;
        Ok(executor)
    }

    fn resolve(&mut self) -> Result<()> {
        let recordings = std::mem::take(&mut self.program.recordings);
        let mut groups: HashMap<(&'static str, Vec<Slot>), wgpu::BindGroup> = HashMap::new();
        let pipelines = self.gpu.pipelines.clone();
        let pipeline = |d: &Dispatch| pipelines.pipeline(d.kernel, d.variant, &d.eval(&Values::default()));
        // A software driver compiles on the cores it runs on: compiling in parallel gains little there.
        if self.gpu.info.kind == Kind::Hardware {
            let all: Vec<&Dispatch> = recordings.iter().flat_map(|r| &r.dispatches).collect();
            platform::for_each(&all, |d| drop(pipeline(d)));
        }
        for recording in &recordings {
            let mut ready = Vec::new();
            for d in &recording.dispatches {
                let pipeline = pipeline(d);
                let group = match groups.entry((d.kernel.name, d.bindings.clone())) {
                    std::collections::hash_map::Entry::Occupied(e) => e.get().clone(),
                    std::collections::hash_map::Entry::Vacant(e) => e.insert(self.group(d)?).clone(),
                };
                ready.push(Ready { pipeline, group });
            }
            self.ready.push(ready);
        }
        self.program.recordings = recordings;
        self.gpu.poll()
    }

    fn group(&self, d: &Dispatch) -> Result<wgpu::BindGroup> {
        let mut entries = Vec::new();
        for (slot, i) in d.bindings.iter().zip(0..) {
            let place = self.program.layout.place(*slot);
            let size = u64::from(place.elements) * 4;
            let gpu = &self.gpu;
            if size > gpu.info.binding_bytes {
                let name = self.program.arena.name(*slot);
                return Err(Error::Device(format!(
                    "{name} needs {size} bytes in one piece, {} binds {}; lower `batch`, `hidden` or the window",
                    gpu.info, gpu.info.binding_bytes
                )));
            }
            let binding = wgpu::BufferBinding {
                buffer: &self.banks[place.bank],
                offset: u64::from(place.offset) * 4,
                size: wgpu::BufferSize::new(size.next_multiple_of(16)),
            };
            entries.push(wgpu::BindGroupEntry { binding: i, resource: wgpu::BindingResource::Buffer(binding) });
        }
        let binding = wgpu::BufferBinding { buffer: &self.uniforms, offset: 0, size: wgpu::BufferSize::new(args_bytes(d.kernel)) };
        entries.push(wgpu::BindGroupEntry { binding: d.bindings.len() as u32, resource: wgpu::BindingResource::Buffer(binding) });
        let (layout, _) = self.gpu.pipelines.layout(d.kernel);
        Ok(self.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(&d.label), layout: &layout, entries: &entries }))
    }

    /// Copies words to a mappable buffer, after everything run so far.
    fn start_reading(&mut self, slot: Slot, offset: u32, count: usize) -> Result<Reading> {
        self.submit()?;
        let (bank, at) = self.bytes(slot, offset, count);
        let size = count as u64 * 4;
        let wanted = if size > ANSWER_BYTES { STAGING_BYTES } else { ANSWER_BYTES };
        assert!(size <= STAGING_BYTES, "{count} words are read in parts");
        // If none is free, wait for the oldest readback. In a browser, or if a dropped future took the buffer with it, create one instead.
        let buffer = loop {
            if let Some(i) = self.spare.iter().position(|b| b.size() == wanted) {
                break self.spare.swap_remove(i);
            }
            let Some(oldest) = self.readings.pop_front_if(|_| platform::BLOCKS) else { break staging(&self.gpu, wanted) };
            self.wait_for(Some(oldest.submission.clone()))?;
            let answer = platform::block_on(self.gpu.called_back(&oldest.receiver))?;
            let words = self.finish_reading(oldest, answer)?;
            self.arrived.push_back(words);
        };
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.banks[bank], at, &buffer, 0, size);
        let submission = self.gpu.queue.submit([encoder.finish()]);
        let (sender, receiver) = oneshot_channel();
        buffer.map_async(wgpu::MapMode::Read, 0..size, move |result| {
            // Fails only if the receiver is gone.
            let _ = sender.send(result);
        });
        Ok(Reading { buffer, size, submission, receiver })
    }

    fn finish_reading(&mut self, reading: Reading, answer: MapResult) -> Result<Vec<u32>> {
        // After an error the mapped data may be garbage.
        self.gpu.check()?;
        answer.map_err(|e| self.cannot_read(e))?;
        let view = reading.buffer.get_mapped_range(0..reading.size).map_err(|e| self.cannot_read(e))?;
        let words = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        reading.buffer.unmap();
        self.spare.push(reading.buffer);
        Ok(words)
    }

    /// Reads words of a slot, in parts; `blocks` is whether it may block.
    async fn read(&mut self, slot: Slot, offset: u32, words: &mut [u32], blocks: bool) -> Result<()> {
        const PART: usize = STAGING_BYTES as usize / 4;
        for (part, at) in words.chunks_mut(PART).zip((offset..).step_by(PART)) {
            let reading = self.start_reading(slot, at, part.len())?;
            if blocks {
                self.wait_for(Some(reading.submission.clone()))?;
            }
            let answer = self.gpu.called_back(&reading.receiver).await?;
            self.in_flight.clear();
            part.copy_from_slice(&self.finish_reading(reading, answer)?);
        }
        Ok(())
    }

    /// The answer to the oldest request, once it has arrived.
    async fn oldest(&mut self) -> Result<Option<Vec<u32>>> {
        if let Some(words) = self.arrived.pop_front() {
            return Ok(Some(words));
        }
        let Some(oldest) = self.readings.front() else { return Ok(None) };
        let answer = self.gpu.called_back(&oldest.receiver).await?;
        self.readings.pop_front().map(|reading| self.finish_reading(reading, answer)).transpose()
    }

    fn cannot_read(&self, why: impl std::fmt::Display) -> Error {
        self.gpu.cannot_read(why)
    }

    fn bytes(&self, slot: Slot, offset: u32, count: usize) -> (usize, u64) {
        let place = self.program.layout.place(slot);
        assert!(u64::from(offset) + count as u64 <= u64::from(place.elements), "{count} words at {offset} of slot {}", self.program.arena.name(slot));
        (place.bank, u64::from(place.offset + offset) * 4)
    }

    fn queue_dispatch(&mut self, recording: usize, index: usize, values: &Values) -> Result<()> {
        let d = &self.program.recordings[recording].dispatches[index];
        self.words.clear();
        self.words.extend(d.args.iter().map(|w| w.eval(values)));
        let grid = (d.kernel.grid)(&self.words, d.variant);
        if grid.contains(&0) {
            return Ok(());
        }
        let seconds = (d.kernel.work)(&self.words).flops / self.gpu.capabilities.flops_per_second;
        if self.pending.len() == ARGS_SLOTS || (self.seconds > 0.0 && self.seconds + seconds > SUBMIT_SECONDS) {
            self.submit()?;
        }
        self.seconds += seconds;
        let at = self.args.len();
        self.args.extend_from_slice(&self.words);
        self.args.resize(at + ARGS_WORDS, 0);
        self.pending.push(Pending { recording, index, grid });
        self.counters.dispatches += 1;
        Ok(())
    }

    /// Encodes a range of the pending dispatches as one pass.
    fn encode(&self, encoder: &mut wgpu::CommandEncoder, pending: std::ops::Range<usize>, timestamps: Option<wgpu::ComputePassTimestampWrites<'_>>) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: timestamps });
        for i in pending {
            let p = &self.pending[i];
            let ready = &self.ready[p.recording][p.index];
            pass.set_pipeline(&ready.pipeline);
            pass.set_bind_group(0, &ready.group, &[(i * ARGS_STRIDE) as u32]);
            pass.dispatch_workgroups(p.grid[0], p.grid[1], p.grid[2]);
        }
    }

    /// Waits for a submission, or for all; a profile does not count the wait as host time.
    fn wait_for(&mut self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let start = self.recorder.is_some().then(Instant::now);
        let done = self.gpu.wait(submission);
        if let Some((recorder, start)) = self.recorder.as_mut().zip(start) {
            recorder.waited(start);
        }
        done
    }

    /// Submits the pending dispatches, waits for them, and records their times.
    fn submit_measured(&mut self) -> Result<()> {
        let count = self.pending.len();
        let mut seconds = Vec::with_capacity(count);
        if let Some(timestamps) = self.timestamps.take() {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            (0..count).for_each(|i| self.encode(&mut encoder, i..i + 1, Some(timestamps.around(i))));
            timestamps.resolve(&mut encoder, count);
            let submission = self.gpu.queue.submit([encoder.finish()]);
            self.counters.submits += 1;
            self.wait_for(Some(submission))?;
            seconds = timestamps.spans(&self.gpu, count)?.iter().map(|[begin, end]| end - begin).collect();
            self.timestamps = Some(timestamps);
        } else {
            for i in 0..count {
                let start = Instant::now();
                let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
                self.encode(&mut encoder, i..i + 1, None);
                let submission = self.gpu.queue.submit([encoder.finish()]);
                self.counters.submits += 1;
                self.wait_for(Some(submission))?;
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        let Some(recorder) = &mut self.recorder else { return Ok(()) };
        for (i, (p, seconds)) in self.pending.iter().zip(seconds).enumerate() {
            let d = &self.program.recordings[p.recording].dispatches[p.index];
            recorder.note(d, &self.args[i * ARGS_WORDS..][..d.args.len()], seconds);
        }
        Ok(())
    }
}

impl Executor for GpuExecutor {
    fn description(&self) -> &str {
        &self.description
    }

    fn program(&self) -> &Program {
        &self.program
    }

    fn run_dispatch(&mut self, recording: usize, index: usize, values: &Values) -> Result<()> {
        match self.program.recordings[recording].dispatches[index].repeat {
            Repeat::Once => self.queue_dispatch(recording, index, values),
            Repeat::Steps(extra) => (0..values.get(Var::Steps) + extra).try_for_each(|i| self.queue_dispatch(recording, index, &values.with(Var::Index, i))),
        }
    }

    fn upload(&mut self, slot: Slot, offset: u32, words: &[u32]) -> Result<()> {
        // A write takes effect before the next submission, so dispatches already run are submitted first.
        self.submit()?;
        let (bank, at) = self.bytes(slot, offset, words.len());
        self.gpu.queue.write_buffer(&self.banks[bank], at, bytemuck::cast_slice(words));
        Ok(())
    }

    fn download(&mut self, slot: Slot, offset: u32, words: &mut [u32]) -> Result<()> {
        platform::may_block()?;
        platform::block_on(self.read(slot, offset, words, true))
    }

    fn download_async<'a>(&'a mut self, slot: Slot, offset: u32, words: &'a mut [u32]) -> Answer<'a, ()> {
        Box::pin(self.read(slot, offset, words, false))
    }

    fn request(&mut self, slot: Slot, offset: u32, count: u32) -> Result<()> {
        let reading = self.start_reading(slot, offset, count as usize)?;
        self.readings.push_back(reading);
        Ok(())
    }

    fn collect(&mut self, wait: bool) -> Result<Option<Vec<u32>>> {
        if let Some(words) = self.arrived.pop_front() {
            return Ok(Some(words));
        }
        let Some(oldest) = self.readings.front().map(|r| r.submission.clone()) else { return Ok(None) };
        if wait {
            self.wait_for(Some(oldest))?;
            return platform::block_on(self.oldest());
        }
        self.gpu.poll()?;
        let Some(answer) = self.readings.front().and_then(Reading::answer) else { return Ok(None) };
        self.readings.pop_front().map(|reading| self.finish_reading(reading, answer)).transpose()
    }

    fn collect_async(&mut self) -> Answer<'_, Option<Vec<u32>>> {
        Box::pin(self.oldest())
    }

    fn submit(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.gpu.queue.write_buffer(&self.uniforms, 0, bytemuck::cast_slice(&self.args));
        if self.recorder.as_ref().is_some_and(Recorder::is_running) {
            self.submit_measured()?;
        } else {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            let around = self.watched.as_ref().filter(|(_, count)| *count < ARGS_SLOTS).map(|(timestamps, count)| timestamps.around(*count));
            self.encode(&mut encoder, 0..self.pending.len(), around);
            if let Some((_, count)) = &mut self.watched {
                *count = (*count + 1).min(ARGS_SLOTS);
            }
            self.in_flight.push_back(self.gpu.queue.submit([encoder.finish()]));
            self.counters.submits += 1;
        }
        self.pending.clear();
        self.args.clear();
        self.seconds = 0.0;
        if self.in_flight.len() > IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            if platform::BLOCKS {
                self.wait_for(oldest)?;
            }
        }
        self.gpu.check()
    }

    fn wait(&mut self) -> Result<()> {
        self.submit()?;
        self.in_flight.clear();
        self.wait_for(None)
    }

    fn wait_async(&mut self) -> Answer<'_, ()> {
        Box::pin(async {
            self.submit()?;
            self.in_flight.clear();
            let (sender, receiver) = oneshot_channel();
            self.gpu.queue.on_submitted_work_done(move || {
                // Fails only if the receiver is gone.
                let _ = sender.send(());
            });
            self.gpu.called_back(&receiver).await?;
            self.gpu.check()
        })
    }

    fn allocated_bytes(&self) -> u64 {
        let reading = self.readings.iter().map(|r| &r.buffer);
        self.banks.iter().chain([&self.uniforms]).chain(&self.spare).chain(reading).map(wgpu::Buffer::size).sum()
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn profile(&mut self, on: bool) -> Result<()> {
        self.wait()?;
        if self.recorder.is_none() {
            self.timestamps = Timestamps::new(&self.gpu);
        }
        let clock = if self.timestamps.is_some() { Clock::Timestamps } else { Clock::Submissions };
        self.recorder.get_or_insert_with(|| Recorder::new(clock)).run(on);
        Ok(())
    }

    fn take_profile(&mut self) -> Option<Profile> {
        self.timestamps = None;
        self.recorder.take().map(Recorder::finish)
    }

    fn watch_submissions(&mut self) -> Result<()> {
        self.wait()?;
        self.watched = Timestamps::new(&self.gpu).map(|timestamps| (timestamps, 0));
        Ok(())
    }

    fn idle_share(&mut self) -> Result<Option<f64>> {
        self.wait()?;
        let Some((timestamps, count)) = self.watched.take().filter(|(_, count)| *count > 1) else { return Ok(None) };
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        timestamps.resolve(&mut encoder, count);
        self.gpu.queue.submit([encoder.finish()]);
        let spans = timestamps.spans(&self.gpu, count)?;
        let busy: f64 = spans.iter().map(|[begin, end]| end - begin).sum();
        let whole = spans.last().map_or(0.0, |last| last[1]);
        Ok((whole > 0.0).then(|| (1.0 - busy / whole).max(0.0)))
    }
}
