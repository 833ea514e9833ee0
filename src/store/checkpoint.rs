//! Checkpoints: everything needed to resume training exactly. Parameters, moments, counts, state, position in the text, figures so far, and
//! the choices that could change a bit of the result (plan, kernel variants, threads).

use super::container::{CHECKSUM, Container, in_file};
use crate::device::ExecutionConfig;
use crate::engine::Memory;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Cell, Config};
use crate::plan::Plan;
use crate::trainer::Counters;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Newest format that this program reads: that of runs with several lane groups, which older programs refuse.
const FORMAT: u32 = 4;
/// The format of models with gates.
const GATES_FORMAT: u32 = 3;
/// The format of models of the plain cell, and the oldest that this program reads.
const PLAIN_FORMAT: u32 = 2;

/// State of a run beyond the training state.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Seconds of training alone.
    pub seconds: f64,
    /// Mean loss of the first window, nats; none if not finite.
    pub first_loss: Option<f32>,
    /// Mean loss of the last window, nats; none if not finite.
    pub last_loss: Option<f32>,
    /// Lowest mean loss over the updates of one report.
    pub lowest_loss: Option<f64>,
    /// Whether the loss has jumped since then and not come back.
    pub exploded: bool,
    /// How often the loss jumped.
    pub explosions: u64,
    /// Sum of the mean losses of the updates applied since the last report.
    pub since_loss: f64,
    /// Number of these updates.
    pub since_applied: u64,
    /// Updates skipped since the last report.
    pub since_skipped: u64,
    /// Updates clipped since the last report.
    #[serde(default)]
    pub since_clipped: u64,
    /// Updates skipped in total.
    #[serde(default)]
    pub skipped: u64,
    /// Updates clipped up to the last look at the gradient.
    #[serde(default)]
    pub looked_clipped: u64,
    /// Updates skipped up to the last look at the gradient.
    #[serde(default)]
    pub looked_skipped: u64,
    /// Updates clipped in total.
    #[serde(default)]
    pub clipped: u64,
    /// Sample points passed, at which the model writes text.
    #[serde(default)]
    pub samples: u32,
    /// Updates skipped since the last one that was applied.
    pub skipped_in_a_row: u64,
    /// Update after which the last validation ran.
    pub validated_at: Option<u64>,
    /// Loss of the last validation.
    pub val_loss: Option<f64>,
    /// Share of right answers of the last validation; none if there are no answers.
    pub val_accuracy: Option<f64>,
    /// The lowest validation loss.
    pub best_loss: Option<f64>,
    /// Share of right answers of the best model; none if there are no answers.
    #[serde(default)]
    pub best_accuracy: Option<f64>,
    /// Update after which the best model was found.
    pub best_update: u64,
    /// Validations since the best.
    pub since_best: u64,
    /// Whether training ended before its goal, because validation did not improve.
    pub stopped_early: bool,
    /// Bytes of metrics written so far.
    pub metrics_bytes: u64,
}

/// Names of the metadata. Unlike models, checkpoints are written by this program alone, so the checksum is required.
const NAMES: [&str; 2] = ["checkpoint", CHECKSUM];

/// A checkpoint. All but its large arrays is stored as TOML in the metadata `checkpoint`: TOML is read back exactly, unlike JSON here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The architecture.
    pub config: Config,
    /// The plan.
    pub plan: Plan,
    /// The choices of the device that ran it.
    pub choices: ExecutionConfig,
    /// Lane groups, each with a plan's lanes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: u32,
    /// Processes that trained together.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ranks: u32,
    /// The counters of training.
    pub counters: Counters,
    /// The run's own state.
    pub progress: Progress,
    /// The run's settings, as the text of its config.toml.
    pub settings: String,
    /// The flat parameters.
    #[serde(skip)]
    pub parameters: Vec<f32>,
    /// Moments, counts and state.
    pub memory: Memory,
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_one(n: &u32) -> bool {
    *n == 1
}

const MOMENTS: [&str; 2] = ["m", "v"];

impl Checkpoint {
    fn to_container(&self) -> Result<Container> {
        let (config, mut container) = (&self.config, Container::default());
        let header = toml::to_string(self).map_err(|e| Error::Input(format!("cannot write a checkpoint: {e}")))?;
        let format = match config.cell {
            _ if self.groups > 1 => FORMAT,
            Cell::Rnn => PLAIN_FORMAT,
            _ => GATES_FORMAT,
        };
        container.metadata.insert("checkpoint".to_string(), format!("format = {format}\n{header}"));
        for tensor in config.tensors() {
            let shape = [tensor.rows, tensor.cols];
            container.put(format!("param.{}", tensor.name), &shape, tensor.extract(&self.parameters));
            for (name, moment) in MOMENTS.iter().zip(&self.memory.moments).filter(|(_, m)| !m.is_empty()) {
                container.put(format!("{name}.{}", tensor.name), &shape, tensor.extract(moment));
            }
        }
        for (k, state) in self.memory.state.iter().enumerate() {
            container.put(format!("state.{k}"), &[state.len() as u32], state.clone());
        }
        for (k, ring) in self.memory.ring.iter().enumerate() {
            container.put(format!("ring.{k}"), &[ring.len() as u32], ring.clone());
        }
        Ok(container)
    }

    fn from_container(mut container: Container) -> Result<Self> {
        let text = container.text("checkpoint")?;
        let wrong = |e: toml::de::Error| Error::Input(format!("its metadata is not that of a checkpoint ({})", e.message()));
        let table: toml::Table = text.parse().map_err(wrong)?;
        let format = table.get("format").and_then(toml::Value::as_integer).unwrap_or(0);
        if format > i64::from(FORMAT) {
            return Err(Error::Input(format!("it was written by a newer program (format {format}; this one reads up to {FORMAT}); update retrograd")));
        }
        if table.contains_key("format") && format < i64::from(PLAIN_FORMAT) {
            return Err(Error::Input(format!(
                "it was written by an older program (format {format}; this one goes on from {PLAIN_FORMAT}); begin a run with its model.safetensors by `from`"
            )));
        }
        let mut checkpoint: Checkpoint = toml::from_str(text).map_err(wrong)?;
        let (config, extent) = (checkpoint.config, checkpoint.plan.extent);
        let all = extent.lanes.checked_mul(checkpoint.groups).ok_or_else(|| Error::Input(format!("{} lane groups are too many", checkpoint.groups)))?;
        config.dims(all).checked().map_err(|e| Error::Input(e.to_string()))?;
        let found: u64 = container.tensors.values().map(|(_, numbers)| numbers.len() as u64).sum();
        if found < config.parameters() {
            return Err(Error::Input(format!("it holds {found} numbers, a model of its architecture has {}", config.parameters())));
        }
        let elements = config.elements() as usize;
        checkpoint.parameters.resize(elements, 0.0);
        for tensor in config.tensors() {
            let shape = [tensor.rows, tensor.cols];
            tensor.insert(&mut checkpoint.parameters, &container.take(&format!("param.{}", tensor.name), &shape)?);
            for (name, moment) in MOMENTS.iter().zip(&mut checkpoint.memory.moments) {
                let name = format!("{name}.{}", tensor.name);
                if container.tensors.contains_key(&name) {
                    moment.resize(elements, 0.0);
                    tensor.insert(moment, &container.take(&name, &shape)?);
                }
            }
        }
        let state = config.dims(all).state();
        let mut take = |name: &str, len: u32| (0..config.layers).map(|k| container.take(&format!("{name}.{k}"), &[len])).collect::<Result<Vec<_>>>();
        checkpoint.memory.state = take("state", state)?;
        if extent.ring > 0 {
            let len = state.checked_mul(extent.ring).ok_or_else(|| Error::Input(format!("a ring of {} states is too large", extent.ring)))?;
            checkpoint.memory.ring = take("ring", len)?;
        }
        Ok(checkpoint)
    }

    /// Its bytes, as a file has them.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.to_container()?.to_bytes())
    }

    /// Reads its bytes.
    ///
    /// # Errors
    /// [`Error::Input`] if they are not those of a complete checkpoint.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Container::from_bytes(bytes, &NAMES).and_then(Self::from_container)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be written; the previous file then stays.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::replace(path, &self.to_bytes()?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not a complete checkpoint.
    pub fn load(path: &Path) -> Result<Self> {
        Container::read(path, &NAMES).and_then(|c| Self::from_container(c).map_err(|e| in_file(path, e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::feed::Cursor;
    use crate::model::{Activation, Init};

    fn checkpoint(cell: Cell) -> Checkpoint {
        let config = Config { hidden: 7, layers: 2, cell, activation: Activation::Tanh, bias: true, ..Config::symbols(5) };
        let state = config.dims(3).state() as usize;
        let flat = |seed| Init::Uniform.parameters(&config, seed);
        let progress = Progress { seconds: 0.1 + 0.2, best_loss: Some(1.0 / 3.0), val_loss: Some(2f64.sqrt()), last_loss: Some(0.1), ..Progress::default() };
        Checkpoint {
            config,
            plan: {
                let mut plan = Plan::with(config.dims(3), 16, 8, true);
                plan.extent.ring = 2;
                plan
            },
            choices: Device::Cpu { threads: 2 }.choices(),
            groups: 1,
            ranks: 1,
            counters: Counters { updates: 7, tokens: 300, cursor: Cursor { epoch: 2, place: 16 }, windows: 7, window_steps: 112, window_max: 16 },
            progress,
            settings: "a = 1".to_string(),
            parameters: flat(1),
            memory: Memory {
                moments: [flat(2), Vec::new()],
                counts: [6, 1],
                state: vec![vec![0.5; state], vec![-0.25; state]],
                ring: vec![vec![1.0; 2 * state], vec![2.0; 2 * state]],
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (cell, format, state) in [(Cell::Rnn, 2, 24), (Cell::Gru, 3, 24), (Cell::Lstm, 3, 48)] {
            let s = checkpoint(cell);
            let c = s.to_container().unwrap();
            assert!(c.metadata["checkpoint"].starts_with(&format!("format = {format}\n")) && c.tensors["state.1"].0 == [state], "{cell}");
            assert_eq!(Checkpoint::from_container(Container::from_bytes(&c.to_bytes(), &NAMES).unwrap()).unwrap(), s);
            let mut groups = s.clone();
            (groups.groups, groups.ranks, groups.plan.extent.lanes) = (3, 2, 1);
            let c = groups.to_container().unwrap();
            assert!(c.metadata["checkpoint"].starts_with("format = 4\n"), "{cell}");
            assert_eq!(Checkpoint::from_bytes(&c.to_bytes()).unwrap(), groups);
        }
    }

    #[test]
    fn floats_are_read_back_exactly() {
        let mut checkpoint = checkpoint(Cell::Rnn);
        let mut bits = 0x1234_5678_9abc_def1u64;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let x = f64::from_bits(bits >> 2);
            (checkpoint.progress.seconds, checkpoint.progress.last_loss) = (x, Some(x as f32));
            let again: Progress = toml::from_str(&toml::to_string(&checkpoint.progress).unwrap()).unwrap();
            assert!(again == checkpoint.progress, "{x:e}");
        }
    }

    #[test]
    fn a_model_is_no_checkpoint_and_a_newer_one_is_named() {
        let mut c = checkpoint(Cell::Rnn).to_container().unwrap();
        c.metadata.insert("checkpoint".into(), "format = 9".into());
        assert!(Checkpoint::from_container(c).unwrap_err().to_string().contains("newer program (format 9"));
        let e = Checkpoint::from_container(Container::default()).unwrap_err().to_string();
        assert!(e.contains("no `checkpoint`"), "{e}");
    }
}
