//! Work as data: an ordered list of kernel dispatches over named slots. A recording calls no device, so it can be tested and printed without one; an
//! [executor](crate::exec::Executor) resolves it once and replays it.

use crate::arena::{Arena, Slot};
use crate::kernel::{Access, Kernel, Values, Variant, Word};
use std::fmt::Write;

/// How often a replay issues a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Once.
    Once,
    /// Once per step: [`crate::kernel::Var::Index`] counts from 0 to steps - 1 plus the given number.
    Steps(u32),
}

/// One kernel over bound slots.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The result computed, such as `d_w_hh.0`.
    pub label: String,
    /// One slot per binding of the kernel.
    pub bindings: Vec<Slot>,
    /// One word per argument of the kernel.
    pub args: Vec<Word>,
    /// Variant of the kernel.
    pub variant: Variant,
    /// Once, or once per step.
    pub repeat: Repeat,
}

impl Dispatch {
    /// The arguments under `values`.
    pub fn eval(&self, values: &Values) -> Vec<u32> {
        self.args.iter().map(|w| w.eval(values)).collect()
    }
}

/// An ordered list of dispatches.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Its name, for printing and profiles.
    pub name: &'static str,
    /// The dispatches, in order; each sees the writes of those before it.
    pub dispatches: Vec<Dispatch>,
}

impl Recording {
    /// An empty recording.
    pub fn new(name: &'static str) -> Self {
        Recording { name, dispatches: Vec::new() }
    }

    /// Appends a dispatch.
    ///
    /// # Panics
    /// If bindings or arguments don't match the kernel, or a written slot is bound twice: the device would refuse that, so it fails here on any machine.
    pub fn push(&mut self, dispatch: Dispatch) {
        let (kernel, label) = (dispatch.kernel, &dispatch.label);
        assert_eq!(dispatch.bindings.len(), kernel.bindings.len(), "{label}: bindings of {}", kernel.name);
        assert_eq!(dispatch.args.len(), kernel.args.len(), "{label}: arguments of {}", kernel.name);
        for (i, (slot, binding)) in dispatch.bindings.iter().zip(kernel.bindings).enumerate() {
            let twice = dispatch.bindings.iter().enumerate().any(|(j, s)| j != i && s == slot);
            assert!(binding.access == Access::Read || !twice, "{label}: {} is written and bound a second time", binding.name);
        }
        self.dispatches.push(dispatch);
    }

    /// Number of dispatches of a replay of `steps` steps.
    pub fn dispatch_count(&self, steps: u32) -> u32 {
        let count = |d: &Dispatch| match d.repeat {
            Repeat::Once => 1,
            Repeat::Steps(extra) => steps + extra,
        };
        self.dispatches.iter().map(count).sum()
    }

    /// The recording as text, one dispatch per line.
    pub fn print(&self, arena: &Arena) -> String {
        let mut text = format!("{}:\n", self.name);
        for d in &self.dispatches {
            let _ = write!(text, "  {:<14} {:<16}", d.kernel.name, d.label);
            for (slot, binding) in d.bindings.iter().zip(d.kernel.bindings) {
                let arrow = if binding.access == Access::ReadWrite { "*" } else { "" };
                let _ = write!(text, " {}={}{arrow}", binding.name, arena.name(*slot));
            }
            for (arg, word) in d.kernel.args.iter().zip(&d.args) {
                let _ = write!(text, " {}={word}", arg.name);
            }
            if d.kernel.tiled {
                let _ = write!(text, " tile={}", d.variant.tile);
            }
            text.push_str(if d.repeat == Repeat::Once { "\n" } else { " (each step)\n" });
        }
        text
    }
}
