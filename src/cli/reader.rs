//! What commands say of evaluation data.

/// Advice on characters that a model does not know.
pub(super) const ADVICE: &str = "give --unknown skip to leave such out, or --unknown symbol:C to read the symbol C in their place";
