//! Recordings that compute dL/dh (and dL/dc) of every step and layer, to inspect how gradients flow.

use super::{Head, ModelProgram, Pass, Recorder, Update, WindowShape, Work};
use crate::arena::{Arena, Purpose, Slot, View};
use crate::kernel::Capabilities;
use crate::model::Config;
use crate::recording::Recording;

/// A program with the recordings of [`super::record`], followed by those of a probe.
#[derive(Debug, Clone)]
pub struct ProbeProgram {
    /// All recordings.
    pub model: ModelProgram,
    /// Index of the first group's probe; the other groups' follow.
    pub first: usize,
    /// Per layer `[S,B,N H]`: dL/dh_t, and dL/dc_t without the part through h_t.
    pub g: Vec<Slot>,
    /// Per group and layer: the rows of gates, between the forward pass and the backward pass; none for a cell that keeps none.
    pub gates: Vec<Vec<View>>,
}

/// Records a model with a probe.
pub fn record(config: &Config, extent: WindowShape, update: &Update, capabilities: &Capabilities) -> ProbeProgram {
    let mut recorder = Recorder::new(config, extent, Some(update), *capabilities, extent.logits_ld());
    let elements = extent.lanes * extent.steps * recorder.dims.state_width();
    let g: Vec<Slot> = (0..config.layers).map(|k| recorder.arena.persistent(format!("g.{k}"), elements, Purpose::Activations)).collect();
    recorder.g.clone_from(&g);
    let slots = |arena: &mut Arena, group: u32| Work::new(arena, config, extent, &format!("probe.{group}"), 0);
    let work: Vec<Work> = (0..extent.groups()).map(|group| slots(&mut recorder.arena, group)).collect();
    let probes: Vec<Recording> = work.iter().enumerate().map(|(group, work)| recorder.probe(group, work)).collect();
    let gated = if config.cell.spec().keeps_gates { config.layers } else { 0 };
    let rows = |group: usize, k: u32| recorder.gates(Pass::Forward, group, k, 0, recorder.dims.spec().blocks());
    let gates = (0..work.len()).map(|group| (0..gated).map(|k| rows(group, k)).collect()).collect();
    let model = recorder.program(update, probes);
    ProbeProgram { first: model.program.recordings.len() - work.len(), model, g, gates }
}

impl Recorder {
    /// Computes g_t of every layer, and delta along the way, but no gradients of parameters.
    fn probe(&self, group: usize, work: &Work) -> Recording {
        let mut r = Recording::new("probe");
        let top = self.config.layers - 1;
        self.restore(&mut r, group);
        self.head(&mut r, group, Head::Signal, [work.scores, work.row_loss], self.d_h(work, top));
        for k in (0..=top).rev() {
            self.again(&mut r, group, k);
            self.scan_backward(&mut r, group, k, work, true);
            if k > 0 {
                self.flow_down(&mut r, group, k, self.delta(work, group, k), self.d_h(work, k - 1));
            }
        }
        r
    }
}
