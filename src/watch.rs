//! Finds the first non-finite value: checks everything that a kernel has written before the next one runs.

use crate::arena::{Purpose, Slot};
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::kernel::{Access, Values};
use crate::kernels::{finish, pack};
use crate::recording::Dispatch;

/// The shape of a model's slots: B, and the row lengths of h and of gates.
pub type Shape = [u32; 3];

/// Replays a recording dispatch by dispatch, and fails at the first non-finite value. Many times slower: all outputs are read back.
///
/// # Errors
/// [`Error::Anomaly`] naming kernel, tensor and position; or if the device fails.
pub fn run(executor: &mut dyn Executor, shape: Shape, recording: usize, values: &Values) -> Result<()> {
    for index in 0..executor.program().recordings[recording].dispatches.len() {
        executor.run_dispatch(recording, index, values)?;
        let recording = &executor.program().recordings[recording];
        let (name, dispatch) = (recording.name, recording.dispatches[index].clone());
        check(executor, shape, name, &dispatch)?;
    }
    Ok(())
}

/// Checks the slots that a dispatch has written, except those that hold no floats.
fn check(executor: &mut dyn Executor, shape: Shape, recording: &str, dispatch: &Dispatch) -> Result<()> {
    if dispatch.kernel.name == finish::KERNEL.name || dispatch.kernel.name == pack::KERNEL.name {
        return Ok(());
    }
    let arena = &executor.program().arena;
    let bound = dispatch.kernel.bindings.iter().zip(&dispatch.bindings).filter(|(b, _)| b.access == Access::ReadWrite);
    let mut written: Vec<Slot> = bound.map(|(_, slot)| *slot).filter(|slot| arena.purpose(*slot) != Purpose::Inputs).collect();
    // If there are several, first the one with the most informative position.
    written.sort_by_key(|slot| place(shape, arena.name(*slot), 0).is_empty());
    written.into_iter().try_for_each(|slot| check_slot(executor, shape, recording, dispatch, slot))
}

fn check_slot(executor: &mut dyn Executor, shape: Shape, recording: &str, dispatch: &Dispatch, slot: Slot) -> Result<()> {
    let elements = executor.program().layout.place(slot).elements;
    let mut words = vec![0u32; elements as usize];
    executor.download(slot, 0, &mut words)?;
    let odd = |w: &u32| w & 0x7fff_ffff >= 0x7f80_0000;
    let Some(first) = words.iter().position(odd) else { return Ok(()) };
    let name = executor.program().arena.name(slot);
    Err(Error::Anomaly(format!(
        "the first number that is not finite is {}: kernel {} wrote it for {} (recording {recording}) at element {first} of {name}{}; {} of its {elements} \
         numbers are not finite",
        f32::from_bits(words[first]),
        dispatch.kernel.name,
        dispatch.label,
        place(shape, name, first as u32),
        words.iter().filter(|w| odd(w)).count()
    )))
}

/// The step, lane and unit of an element, in slots where they are known.
fn place([lanes, hidden, gates]: Shape, name: &str, element: u32) -> String {
    let kind = name.split('.').next();
    let width = if matches!(kind, Some("pre" | "gates")) { gates } else { hidden };
    let (row, unit) = (element / width, element % width % hidden);
    let (step, lane) = (row / lanes, row % lanes);
    match kind {
        Some("pre" | "gates" | "d_h" | "dropped") => format!(", step {step} of the segment (from 0), lane {lane}, unit {unit}"),
        // Block 0 is the initial state.
        Some("h" | "c") => format!(", after {step} steps, lane {lane}, unit {unit}"),
        _ => String::new(),
    }
}
