//! What a model on a device carries from window to window, and what training resumes from.

use super::Engine;
use super::fits::sized;
use crate::error::Result;
use crate::exec::{download_f32, upload_f32};
use crate::kernel::{Values, Var};
use crate::kernels::finish;
use crate::model::record;

/// What training resumes from, besides the parameters. Serialized, it is only its counts: the rest is large.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Memory {
    /// First and second moments, flat like the parameters; empty if the rule has none.
    #[serde(skip)]
    pub moments: [Vec<f32>; 2],
    /// Updates applied and skipped.
    pub counts: [u32; 2],
    /// See [`Engine::state`].
    #[serde(skip)]
    pub state: Vec<Vec<f32>>,
    /// Per layer, the ring of past states, `[ring, B, N Hp]`.
    #[serde(skip)]
    pub ring: Vec<Vec<f32>>,
}

impl Engine {
    /// The state that flows into the next window: per layer `[B, N Hp]`, each lane's h and then c if the cell has one, padded to multiples of 4.
    ///
    /// # Errors
    /// If the device fails.
    pub fn state(&mut self) -> Result<Vec<Vec<f32>>> {
        let (state, stride) = self.state_sizes();
        (0..self.config.layers).map(|k| download_f32(&mut *self.executor, self.slots.states, k * stride, state)).collect()
    }

    /// Replaces the state that flows into the next window.
    ///
    /// # Errors
    /// If the device fails; [`crate::error::Error::Usage`] if its size is not that of [`Engine::state`].
    pub fn set_state(&mut self, state: &[Vec<f32>]) -> Result<()> {
        let (size, stride) = self.state_sizes();
        sized("layers of state", state.len(), self.config.layers)?;
        state.iter().try_for_each(|s| sized("numbers of state", s.len(), size))?;
        (0..).zip(state).try_for_each(|(k, s)| upload_f32(&mut *self.executor, self.slots.states, k * stride, s))
    }

    fn state_sizes(&self) -> (u32, u32) {
        let state = self.config.dims(self.plan.extent.lanes).state();
        (state, state * self.plan.extent.all_states())
    }

    /// Saves the state that was set aside to a slot of the ring of past states.
    ///
    /// # Errors
    /// If the device fails.
    pub fn save_state(&mut self, slot: u32) -> Result<()> {
        self.copy_state(self.plan.extent.states, self.plan.extent.states + 1 + slot)
    }

    /// Copies the state in a slot of the ring to the start of the next window.
    ///
    /// # Errors
    /// If the device fails.
    pub fn load_state(&mut self, slot: u32) -> Result<()> {
        self.copy_state(self.plan.extent.states + 1 + slot, 0)
    }

    pub(super) fn copy_state(&mut self, from: u32, to: u32) -> Result<()> {
        self.run(record::CARRY, &Values::default().with(Var::From, from).with(Var::To, to))
    }

    /// The gradients of the last window, flat, and after them the sum of its losses.
    ///
    /// # Errors
    /// If the device fails.
    pub fn window_sums(&mut self) -> Result<Vec<f32>> {
        self.trains()?;
        let elements = self.config.elements() as usize;
        let mut words = vec![0u32; elements + 1];
        let (gradients, loss) = words.split_at_mut(elements);
        self.executor.download(self.slots.gradients, 0, gradients)?;
        self.executor.download(self.slots.loss, 0, loss)?;
        Ok(bytemuck::cast_vec(words))
    }

    /// Replaces them.
    ///
    /// # Errors
    /// If the device fails; [`crate::error::Error::Usage`] if their number is wrong.
    pub fn set_window_sums(&mut self, sums: &[f32]) -> Result<()> {
        self.trains()?;
        sized("gradients and a loss", sums.len(), self.config.elements() + 1)?;
        let (gradients, loss) = sums.split_at(sums.len() - 1);
        upload_f32(&mut *self.executor, self.slots.gradients, 0, gradients)?;
        upload_f32(&mut *self.executor, self.slots.loss, 0, loss)
    }

    /// The ring of past states, per layer; empty if there is none.
    ///
    /// # Errors
    /// If the device fails.
    pub fn past_states(&mut self) -> Result<Vec<Vec<f32>>> {
        let (size, stride) = self.state_sizes();
        let past = self.plan.extent.states * size;
        let ring = |k| download_f32(&mut *self.executor, self.slots.states, k * stride + past, self.plan.extent.ring * size);
        if self.plan.extent.ring > 0 { (0..self.config.layers).map(ring).collect() } else { Ok(Vec::new()) }
    }

    /// Replaces it.
    ///
    /// # Errors
    /// If the device fails; [`crate::error::Error::Usage`] if its size is wrong.
    pub fn set_past_states(&mut self, ring: &[Vec<f32>]) -> Result<()> {
        let (size, stride) = self.state_sizes();
        ring.iter().try_for_each(|r| sized("numbers of past states", r.len(), self.plan.extent.ring * size))?;
        let past = self.plan.extent.states * size;
        (0..).zip(ring).try_for_each(|(k, ring)| upload_f32(&mut *self.executor, self.slots.states, k * stride + past, ring))
    }

    /// Everything that training resumes from, besides the parameters: moments (flat,
    /// empty if the rule has none), counts of applied and skipped updates, and the state.
    ///
    /// # Errors
    /// If the device fails.
    pub fn memory(&mut self) -> Result<Memory> {
        let elements = self.config.elements();
        let mut moments = [Vec::new(), Vec::new()];
        for ((moment, slot), used) in moments.iter_mut().zip(self.slots.moments).zip(self.moments.unwrap_or_default()) {
            if used {
                *moment = download_f32(&mut *self.executor, slot, 0, elements)?;
            }
        }
        let mut counts = [0; 2];
        self.executor.download(self.slots.status, finish::APPLIED as u32, &mut counts)?;
        Ok(Memory { moments, counts, state: self.state()?, ring: self.past_states()? })
    }

    /// Restores them.
    ///
    /// # Errors
    /// If the device fails; [`crate::error::Error::Usage`] if its sizes are not those of [`Engine::memory`].
    pub fn set_memory(&mut self, memory: &Memory) -> Result<()> {
        self.trains()?;
        memory.moments.iter().filter(|m| !m.is_empty()).try_for_each(|m| sized("moments", m.len(), self.config.elements()))?;
        for (slot, moment) in self.slots.moments.into_iter().zip(&memory.moments) {
            upload_f32(&mut *self.executor, slot, 0, moment)?;
        }
        self.executor.upload(self.slots.status, finish::APPLIED as u32, &memory.counts)?;
        self.set_past_states(&memory.ring)?;
        self.set_state(&memory.state)
    }
}
