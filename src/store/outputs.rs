//! The outputs of a model after every step of sequences, read side by side.

use crate::data::{Batch, Codec};
use crate::device::Device;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::Config;
use crate::plan::Plan;

/// Values of activations that a segment computes at once, at most.
const VALUES: u32 = 1 << 22;
/// Rows of outputs that are reordered together.
const BLOCK: usize = 16;

/// A model on the CPU, ready to read a number of sequences side by side.
pub struct Outputs {
    engine: Engine,
    codec: Codec,
    lanes: u32,
}

/// What sequences of equal length consist of, sequence after sequence.
#[derive(Debug, Clone, Copy)]
pub enum Steps<'a> {
    /// `[B, T]`: symbols.
    Symbols(&'a [u32]),
    /// `[B, T, D]`: numbers, not yet scaled.
    Numbers(&'a [f32]),
}

impl Outputs {
    /// The model of these flat parameters, to read `lanes` sequences of about `steps` steps on `threads` threads.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are no sequences or too many; or if memory is short.
    pub fn new((config, codec, parameters): (Config, &Codec, &[f32]), lanes: u32, steps: u32, threads: usize) -> Result<Self> {
        let dims = config.dims(lanes).checked()?;
        let widest = (dims.gates_width()).max(config.outputs()).saturating_mul(lanes).max(1);
        let steps = steps.min(VALUES / widest).max(1);
        let engine = Engine::for_outputs(&Device::Cpu { threads }, config, Plan::with(dims, steps, steps, false), parameters)?;
        Ok(Outputs { engine, codec: codec.clone(), lanes })
    }

    /// B: the number of sequences.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// The outputs after each step, `[B, T, V]`: logits. Sequences begin with a state of zero.
    ///
    /// # Errors
    /// [`Error::Usage`] if the model reads something else, or not these symbols; or if `B` sequences do not share them evenly.
    pub fn of(&mut self, steps: Steps<'_>) -> Result<Vec<f32>> {
        let (lanes, input, classes) = (self.lanes as usize, self.engine.config.input, self.engine.config.outputs() as usize);
        let (symbols, width) = (input.symbols(), input.numbers() as usize);
        let (found, per) = match (steps, &self.codec) {
            (_, Codec::Series(_)) => return Err(Error::Usage("the model forecasts numbers and has no logits; forecast with it".to_string())),
            (Steps::Symbols(ids), _) if width == 0 => (ids.len(), 1),
            (Steps::Numbers(numbers), _) if width > 0 => (numbers.len(), width),
            (Steps::Numbers(_), _) => return Err(Error::Usage("the model reads symbols; give whole numbers, one a step".to_string())),
            (Steps::Symbols(_), _) => return Err(Error::Usage(format!("the model reads {width} numbers a step; give these"))),
        };
        if found == 0 || !found.is_multiple_of(lanes * per) {
            return Err(Error::Usage(format!("{found} inputs are not {lanes} sequences of equal length, of {per} a step")));
        }
        if let Steps::Symbols(ids) = steps
            && let Some(s) = ids.iter().find(|s| **s >= symbols)
        {
            return Err(Error::Usage(format!("there is no symbol {s}: the model reads 0 to {}", symbols - 1)));
        }
        let length = found / lanes / per;
        let scales = if let Codec::LabelledRows { scales, .. } = &self.codec { &scales[..] } else { &[] };
        let inputs = |places: &_, range: std::ops::Range<u32>| {
            // Time-major, as a batch is.
            let order = || range.clone().flat_map(|t| (0..lanes).map(move |b| b * length + t as usize));
            let zeros = vec![0.0; range.len() * lanes];
            let mut batch = Batch { lanes: lanes as u32, targets: vec![0; zeros.len()], xi: zeros.clone(), weights: zeros.clone(), ..Batch::default() };
            batch.keep = range.clone().flat_map(|t| std::iter::repeat_n(if t == 0 { 0.0 } else { 1.0 }, lanes)).collect();
            match steps {
                Steps::Symbols(ids) => batch.tokens = order().map(|at| ids[at]).collect(),
                Steps::Numbers(numbers) => {
                    let row = |at: usize| (0..width).map(move |d| (numbers[at * width + d], d));
                    batch.numbers = order().flat_map(row).map(|(x, d)| scales.get(d).map_or(x, |s| s.apply(x.into()))).collect();
                }
            }
            batch.inputs(places, 0..range.len() as u32)
        };
        let mut out = vec![0.0; lanes * length * classes];
        self.engine.outputs(0..length as u32, inputs, |segment, found, ld, bias| {
            let rows = segment.len() * lanes;
            for first in (0..rows).step_by(BLOCK) {
                let block = first..(first + BLOCK).min(rows);
                let place = |r: usize| ((r % lanes) * length + segment.start as usize + r / lanes) * classes;
                for (v, b) in bias.iter().enumerate() {
                    for (x, r) in found[v * ld..][block.clone()].iter().zip(block.clone()) {
                        out[place(r) + v] = x + b;
                    }
                }
            }
        })?;
        Ok(out)
    }
}
