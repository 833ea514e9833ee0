//! Gradient clipping.

/// Gradient clipping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clip {
    /// No clipping.
    None,
    /// All gradients are scaled so that their global norm is at most this.
    Norm(f32),
    /// Each gradient is clamped to plus or minus this.
    Value(f32),
}

impl Clip {
    /// Whether a gradient of this norm is scaled down.
    pub fn scales(&self, norm: f32) -> bool {
        matches!(*self, Clip::Norm(most) if norm > most)
    }

    /// The number of gradients that were scaled down; `None` for clipping by value, which doesn't scale.
    pub fn counted(&self, scaled: u64) -> Option<u64> {
        if matches!(self, Clip::Value(_)) { None } else { Some(scaled) }
    }
    /// Bound of the global norm; 0 for none.
    pub(crate) fn norm(&self) -> f32 {
        match *self {
            Clip::Norm(most) => most,
            Clip::None | Clip::Value(_) => 0.0,
        }
    }

    /// Bound of each gradient; 0 for none.
    pub(crate) fn value(&self) -> f32 {
        match *self {
            Clip::Value(most) => most,
            Clip::None | Clip::Norm(_) => 0.0,
        }
    }
}
