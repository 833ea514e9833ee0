//! Whether what an engine is given fits its model: kernels take every size and every index for granted.

use super::Engine;
use crate::data::SegmentInputs;
use crate::error::{Error, Result};
use crate::model::Output;

/// That there are as many as expected.
pub(super) fn sized(what: &str, found: usize, expected: u32) -> Result<()> {
    if found == expected as usize { Ok(()) } else { Err(Error::Usage(format!("{found} {what}; expected {expected}"))) }
}

impl Engine {
    /// That the inputs of some steps are those of this model.
    pub(super) fn check_inputs(&self, inputs: &SegmentInputs, steps: u32) -> Result<()> {
        let (p, lanes) = (&self.inputs, self.plan.extent.lanes);
        if let Some(other) = inputs.lanes.filter(|other| *other != lanes) {
            return Err(Error::Usage(format!("inputs of {other} lanes for an engine of {lanes}; give as many")));
        }
        let (rows, words) = (steps * lanes, inputs.words.len());
        if words < p.starts() as usize || words > p.words() as usize || rows > p.rows {
            let expected = format!("{} to {} words, at most {} rows", p.starts(), p.words(), p.rows);
            return Err(Error::Usage(format!("inputs of {words} words for {steps} steps of {lanes} lanes; expected {expected}")));
        }
        let classes = if let Output::Classes(n) = p.output { n } else { 0 };
        for (what, place, bound) in [("symbol", p.tokens(), p.input.symbols()), ("class", p.targets(), classes)] {
            let found = inputs.words[place as usize..][..rows as usize].iter().find(|w| bound > 0 && **w >= bound);
            if let Some(found) = found {
                return Err(Error::Usage(format!("there is no {what} {found}: the model knows 0 to {}", bound - 1)));
            }
        }
        Ok(())
    }
}
