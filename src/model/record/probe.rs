//! Recordings that compute dL/dh of every step and layer, to inspect how gradients flow.

use super::{Head, ModelProgram, Recorder, Update, WindowShape, Work};
use crate::arena::{Arena, Purpose, Slot};
use crate::dims::pad4;
use crate::kernel::{Capabilities, Var, Word};
use crate::kernels::matmul::Form;
use crate::model::Config;
use crate::recording::Recording;

/// A program with the recordings of [`super::record`], followed by those of a probe.
#[derive(Debug, Clone)]
pub struct ProbeProgram {
    /// All recordings.
    pub model: ModelProgram,
    /// Index of the first group's probe; the other groups' follow.
    pub first: usize,
    /// Per layer: g_t = dL/dh_t `[S,B,H]`, without what flows in from later segments: the carry holds that before the recording runs.
    pub g: Vec<Slot>,
}

/// Records a model with a probe.
pub fn record(config: &Config, extent: WindowShape, update: &Update, capabilities: &Capabilities) -> ProbeProgram {
    let mut recorder = Recorder::new(config, extent, Some(update), *capabilities);
    let elements = extent.rows() * pad4(config.hidden);
    let g: Vec<Slot> = (0..config.layers).map(|k| recorder.arena.persistent(format!("g.{k}"), elements, Purpose::Activations)).collect();
    let slots = |arena: &mut Arena, group: u32| Work::new(arena, config, extent, &format!("probe.{group}"), 0);
    let work: Vec<Work> = (0..extent.groups()).map(|group| slots(&mut recorder.arena, group)).collect();
    let probes: Vec<Recording> = work.iter().enumerate().map(|(group, work)| recorder.probe(group, work, &g)).collect();
    let model = recorder.program(update, probes);
    ProbeProgram { first: model.program.recordings.len() - work.len(), model, g }
}

impl Recorder {
    /// Computes g_t of every layer, and delta along the way, but no gradients of parameters. No edge may be cut: keep and xi must be 1 except before the
    /// very first step.
    fn probe(&self, group: usize, work: &Work, g: &[Slot]) -> Recording {
        let mut r = Recording::new("probe");
        let top = self.config.layers - 1;
        let delta = |k| self.delta(work, k);
        let g = |k: u32| self.hidden(g[k as usize], 0.into(), self.rows());
        self.head(&mut r, group, Head::Signal, [work.scores, work.row_loss], &[g(top), delta(top)]);
        for k in (0..=top).rev() {
            self.scan_backward(&mut r, group, k, delta(k));
            // Step t receives delta_{t+1} W_hh^T.
            let behind = Word::part(Var::Steps, self.extent.lanes, self.extent.lanes, u32::MAX);
            let operands = [delta(k).from_row(self.extent.lanes).with_rows(behind), self.w_t(k), g(k).with_rows(behind)];
            self.product(&mut r, &format!("g.{k}"), Form::Nn, operands, 1.into());
            for to in [k.checked_sub(1).map(delta), k.checked_sub(1).map(g)].into_iter().flatten() {
                self.product(&mut r, &format!("d_h.{}", k - 1), Form::Nt, [delta(k), self.param("w_xh", k), to], 0.into());
            }
        }
        r
    }
}
