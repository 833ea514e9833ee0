//! Training with lane groups, and over ranks. The gradient of an update is the sum over the groups along a fixed tree, so its bits depend on how many groups
//! there are, not on which rank holds which.

use super::{Trainer, go_on};
use crate::data::{Lanes, WARM_UP};
use crate::engine::{Engine, Memory};
use crate::error::{Error, Result};
use crate::feed::{Feed, Source, Window};
use crate::platform::Instant;
use crate::ranks::{Order, Packed, Ranks, Tree, Unpacked};
use crate::relay::{differ, lane_of, lanes_with};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a lane group carries from window to window.
#[derive(Clone, Default)]
struct Carried {
    /// Per layer, as [`Engine::state`].
    state: Vec<Vec<f32>>,
    /// Per layer, as [`Engine::past_states`].
    ring: Vec<Vec<f32>>,
}

impl Carried {
    fn of(engine: &mut Engine) -> Result<Self> {
        Ok(Carried { state: engine.state()?, ring: engine.past_states()? })
    }

    fn set(&self, engine: &mut Engine) -> Result<()> {
        engine.set_state(&self.state)?;
        engine.set_past_states(&self.ring)
    }
}

/// The lane groups that this rank holds.
pub(super) struct Shared {
    pub(super) ranks: Arc<Ranks>,
    /// Groups of all ranks.
    groups: u32,
    /// Lanes of a group.
    lanes: u32,
    /// What each own group carries, if there are several; that of a single one stays on the device.
    carried: Vec<Carried>,
}

impl Shared {
    pub(super) fn new(ranks: Arc<Ranks>, groups: u32, lanes: u32, engine: &mut Engine) -> Result<Self> {
        let mut shared = Shared { ranks, groups, lanes, carried: Vec::new() };
        let own = shared.own().len();
        if own > 1 {
            shared.carried = vec![Carried::of(engine)?; own];
        }
        engine.lanes_from(shared.lanes_of(shared.own().start).start);
        Ok(shared)
    }

    /// The groups of this rank.
    fn own(&self) -> Range<u32> {
        let each = self.groups / self.ranks.count();
        self.ranks.rank() * each..(self.ranks.rank() + 1) * each
    }

    fn lanes_of(&self, group: u32) -> Range<u32> {
        group * self.lanes..(group + 1) * self.lanes
    }

    /// The sum of gradients and loss of the own groups, and what they carry on.
    fn gradient(&self, engine: &mut Engine, feed: &Feed, window: &Window, check: impl Fn() -> Result<()>) -> Result<(Vec<f32>, Vec<Carried>)> {
        let (mut tree, mut next) = (Tree::default(), Vec::new());
        for (i, group) in self.own().enumerate() {
            let lanes = self.lanes_of(group);
            engine.lanes_from(lanes.start);
            if let Some(carried) = self.carried.get(i) {
                carried.set(engine)?;
            }
            feed.gradient_of(lanes, engine, window, window.n, false, &check)?;
            tree.push(engine.window_sums()?);
            if self.carried.len() > 1 {
                carry(engine, feed, window)?;
                next.push(Carried::of(engine)?);
            }
        }
        self.ranks.count_adds(tree.adds);
        Ok((tree.sum().unwrap_or_default(), next))
    }

    /// What every group carries, of all ranks.
    fn gather(&self, engine: &mut Engine) -> Result<Vec<Carried>> {
        let own = if self.carried.is_empty() { Carried::of(engine).map(|c| vec![c]) } else { Ok(self.carried.clone()) };
        let bytes = own.map(|own| {
            let mut packed = Packed::default();
            own.iter().flat_map(|c| c.state.iter().chain(&c.ring)).for_each(|x| packed.floats(x));
            packed.0
        });
        let layers = engine.config.layers as usize;
        let mut all = Vec::new();
        for bytes in self.ranks.share(bytes)? {
            let mut unpacked = Unpacked(&bytes);
            while !unpacked.is_empty() {
                let mut take = |n: usize| (0..n).map(|_| unpacked.floats()).collect::<Vec<_>>();
                let state = take(layers);
                let ring = take(if engine.plan.extent.ring > 0 { layers } else { 0 });
                all.push(Carried { state, ring });
            }
        }
        Ok(all)
    }
}

/// Moves the group on the device to the next window.
fn carry(engine: &mut Engine, feed: &Feed, window: &Window) -> Result<()> {
    feed.carry(engine, window)?;
    // The next window takes its state from the ring; the last state shows where lanes end.
    if feed.ring() > 0 { engine.carry() } else { Ok(()) }
}

/// What all groups carry, joined by lanes: per layer `[slots, B, N Hp]`.
fn joined<'a>(groups: impl Iterator<Item = &'a Vec<Vec<f32>>> + Clone, layers: usize, slots: usize) -> Vec<Vec<f32>> {
    let slot = |k: usize, s: usize| {
        groups.clone().flat_map(move |g| {
            let size = g[k].len() / slots;
            g[k][s * size..(s + 1) * size].iter().copied()
        })
    };
    (0..layers).map(|k| (0..slots).flat_map(|s| slot(k, s)).collect()).collect()
}

/// The part of one of `groups`.
fn parted(all: &[Vec<f32>], group: u32, groups: u32, slots: usize) -> Vec<Vec<f32>> {
    let part = |x: &Vec<f32>| {
        let size = x.len() / slots / groups as usize;
        let from = |s: usize| (s * groups as usize + group as usize) * size;
        (0..slots).flat_map(|s| x[from(s)..from(s) + size].iter().copied()).collect()
    };
    all.iter().map(part).collect()
}

impl Trainer {
    /// From now on, trains together with others, each of which has the same parameters and memory.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are more ranks than lane groups, or their number is no power of two.
    pub fn share(&mut self, ranks: Arc<Ranks>) -> Result<()> {
        let (count, groups) = (ranks.count(), self.settings.groups());
        fits(count, groups)?;
        if groups > 1 {
            let memory = self.memory()?;
            self.shared = Some(Shared::new(ranks, groups, self.settings.lanes(), &mut self.engine)?);
            self.set_memory(&memory)?;
        }
        Ok(())
    }

    /// The ranks that it trains with, if there are several.
    pub fn ranks(&self) -> Option<&Ranks> {
        self.shared.as_ref().map(|s| &*s.ranks).filter(|r| r.several())
    }

    /// Rank 0 tells the others what it does.
    pub(super) fn order(&self, order: Order) {
        if let Some(ranks) = self.ranks() {
            ranks.order(order);
        }
    }

    /// Tells the other ranks that this one works alone for a while.
    pub fn busy(&self) {
        self.order(Order::Wait);
    }

    /// Does what rank 0 does, until it ends; returns its exit code.
    ///
    /// # Errors
    /// Those that all ranks have.
    pub fn follow(&mut self) -> Result<u8> {
        let Some(ranks) = self.shared.as_ref().map(|s| s.ranks.clone()) else { return Ok(0) };
        loop {
            let done = match ranks.next() {
                Order::Step => self.step_together(),
                Order::Validate => self.validate_together().map(drop),
                Order::Answers => self.answers_together().map(drop),
                Order::Trapped => self.trapped_together().map(drop),
                Order::Gather => self.gather().map(drop),
                Order::Wait => Ok(()),
                Order::End(code) => return Ok(code),
            };
            match done {
                // Rank 0 saves now, and ends.
                Err(Error::Interrupted) => ranks.forget(),
                // Rank 0 ends, too, and says why.
                Err(_) if ranks.is_agreed() => {}
                Err(e) => ranks.die(&e.to_string(), e.exit_code()),
                Ok(()) => {}
            }
        }
    }

    /// Gradient and carry of an update over the lane groups; the sum is then on the device.
    pub(super) fn gradient_of_groups(&mut self, window: &Window) -> Result<()> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        let start = Instant::now();
        let (own, next) = match shared.gradient(&mut self.engine, &self.feed, window, go_on(&self.interrupt)) {
            Ok((sum, next)) => (Ok(sum), next),
            Err(e) => (Err(e), Vec::new()),
        };
        let sum = shared.ranks.sum(own, self.engine.config.elements() as usize + 1).inspect_err(|e| {
            if *e == Error::Interrupted {
                // Whichever rank heard of it.
                self.interrupt.store(true, Ordering::Relaxed);
            }
        })?;
        self.engine.set_window_sums(&sum)?;
        if shared.carried.is_empty() {
            carry(&mut self.engine, &self.feed, window)?;
        } else {
            shared.carried = next;
        }
        shared.ranks.took(start.elapsed());
        Ok(())
    }

    /// Everything that training resumes from, besides the parameters, of all lanes.
    ///
    /// # Errors
    /// If the device fails.
    pub fn memory(&mut self) -> Result<Memory> {
        self.order(Order::Gather);
        self.gather()
    }

    fn gather(&mut self) -> Result<Memory> {
        let Some(shared) = &self.shared else { return self.engine.memory() };
        let all = shared.gather(&mut self.engine)?;
        let (layers, slots) = (self.engine.config.layers as usize, self.engine.plan.extent.ring as usize);
        let state = joined(all.iter().map(|c| &c.state), layers, 1);
        let ring = if slots > 0 { joined(all.iter().map(|c| &c.ring), layers, slots) } else { Vec::new() };
        Ok(Memory { state, ring, ..self.engine.memory()? })
    }

    /// Restores what [`Trainer::memory`] returned.
    pub(super) fn set_memory(&mut self, memory: &Memory) -> Result<()> {
        let Some(shared) = &mut self.shared else { return self.engine.set_memory(memory) };
        let slots = self.engine.plan.extent.ring as usize;
        let expected = self.engine.config.dims(self.settings.batch).state() as usize;
        let fits = memory.state.iter().all(|s| s.len() == expected) && memory.ring.iter().all(|r| r.len() == slots * expected);
        if !fits {
            return Err(Error::Usage(format!("the states are not those of {} lanes in {} groups", self.settings.batch, shared.groups)));
        }
        let part = |group: u32| Carried {
            state: parted(&memory.state, group, shared.groups, 1),
            ring: if slots > 0 { parted(&memory.ring, group, shared.groups, slots) } else { Vec::new() },
        };
        let own: Vec<Carried> = shared.own().map(part).collect();
        let first = own.first().cloned().unwrap_or_default();
        self.engine.set_memory(&Memory { moments: memory.moments.clone(), counts: memory.counts, state: first.state, ring: first.ring })?;
        if own.len() > 1 {
            shared.carried = own;
        }
        Ok(())
    }

    /// [`Trainer::trapped`] over the lane groups.
    pub(super) fn trapped_of_groups(&mut self, lanes: &Lanes, tolerance: f64) -> Result<(u32, u32)> {
        let Some(shared) = &self.shared else { return Ok((0, 0)) };
        let (engine, interrupt) = (&mut self.engine, &self.interrupt);
        let kept = Carried::of(engine)?;
        let all = shared.gather(engine)?;
        let (width, layers) = (engine.config.state_width() as usize, engine.config.layers as usize);
        let ended = joined(all.iter().map(|c| &c.state), layers, 1);
        let mut count = || -> Result<u64> {
            let mut apart = 0;
            for group in shared.own() {
                let own = shared.lanes_of(group);
                let mut read = |from: &[Vec<f32>]| -> Result<Vec<Vec<f32>>> {
                    engine.set_state(from)?;
                    let go_on = go_on(interrupt);
                    let inputs = |places: &_, steps| go_on().and_then(|()| lanes.inputs_of(own.clone(), places, steps, |_| (1.0, 0.0, 0.0)));
                    engine.advance(0..lanes.steps().min(WARM_UP), inputs)?;
                    engine.state()
                };
                let fresh = read(&vec![vec![0.0; own.len() * width]; layers])?;
                let before: Vec<Vec<f32>> = own.clone().map(|b| lane_of(&ended, b.saturating_sub(1) as usize, width)).collect();
                let before: Vec<Option<&[f32]>> = before.iter().map(|s| Some(s.as_slice())).collect();
                let led = read(&lanes_with(&before, layers, width))?;
                let differs = |b: &usize| differ(&lane_of(&fresh, *b, width), &lane_of(&led, *b, width), width, tolerance);
                apart += (0..own.len()).filter(|b| own.start as usize + b > 0).filter(differs).count() as u64;
            }
            Ok(apart)
        };
        let own = count();
        kept.set(engine)?;
        let all = shared.ranks.share(own.map(|n| n.to_le_bytes().to_vec()))?;
        let apart: usize = all.iter().map(|n| Unpacked(n).count()).sum();
        Ok((apart as u32, lanes.lanes() - 1))
    }

    /// The lanes of a stream, if it is one of several.
    pub(super) fn several_lanes(&self) -> Option<Lanes> {
        if let Source::Stream(lanes) = self.feed.source() { Some(lanes.clone()).filter(|l| l.lanes() > 1) } else { None }
    }
}

/// Checks a number of ranks.
///
/// # Errors
/// [`Error::Setting`] if there are more ranks than lane groups, or their number is no power of two.
pub fn fits(ranks: u32, groups: u32) -> Result<()> {
    if !ranks.is_power_of_two() {
        return Err(Error::setting("lane_groups", format!("{ranks} processes can't share lane groups; start a power of two of them: 1, 2, 4, 8 and so on")));
    }
    if ranks > groups {
        return Err(Error::setting(
            "lane_groups",
            format!("{ranks} processes are more than the {groups} of `lane_groups`; start at most {groups}, or begin a run with more groups"),
        ));
    }
    Ok(())
}
