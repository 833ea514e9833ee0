//! The recurrence over a segment, in the form that suits the device: one dispatch for all steps, or one a step.

use super::{scan_backward, scan_forward, step_backward, step_forward};
use crate::kernel::{Capabilities, Loads};
use crate::recording::Recording;

/// Records h of a segment.
pub fn forward(recording: &mut Recording, label: &str, capabilities: &Capabilities, o: scan_forward::Operands) {
    let variant = capabilities.scan_variant(o.w.ld, o.lanes);
    match variant.loads {
        Loads::Sliced(_) => step_forward::record(recording, label, variant, o),
        _ => scan_forward::record(recording, label, variant, o),
    }
}

/// Records delta of a segment.
pub fn backward(recording: &mut Recording, label: &str, capabilities: &Capabilities, o: scan_backward::Operands) {
    let variant = capabilities.scan_variant(o.w_t.ld, o.lanes);
    match variant.loads {
        Loads::Sliced(_) => step_backward::record(recording, label, variant, o),
        _ => scan_backward::record(recording, label, variant, o),
    }
}
