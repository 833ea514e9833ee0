//! Checks that inputs and sizes fit the model: kernels don't check sizes or indices.

use super::Engine;
use crate::data::SegmentInputs;
use crate::error::{Error, Result};
use crate::model::Output;

/// Checks a length.
pub(super) fn sized(what: &str, found: usize, expected: u32) -> Result<()> {
    if found == expected as usize { Ok(()) } else { Err(Error::Usage(format!("{found} {what}; expected {expected}"))) }
}

impl Engine {
    /// Checks that the inputs of `steps` steps fit this model.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Batch;
    use crate::device::Device;
    use crate::model::{Config, Init};
    use crate::optimizer::{Clip, Optimizer};
    use crate::plan::Plan;

    const STEPS: u32 = 3;

    fn engine() -> Engine {
        let config = Config { hidden: 4, ..Config::symbols(5) };
        let plan = Plan::with(config.dims(2), STEPS, STEPS, false);
        let mut engine = Engine::new(&Device::Cpu { threads: 1 }, config, plan, &Optimizer::Adam.update(Clip::None)).unwrap();
        engine.set_parameters(&Init::Uniform.parameters(&config, 1)).unwrap();
        engine
    }

    fn given() -> Batch {
        let ones = vec![1.0; 6];
        Batch { lanes: 2, tokens: vec![1; 6], targets: vec![2; 6], keep: ones.clone(), xi: ones.clone(), weights: ones, ..Batch::default() }
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused_and_nothing_panics() {
        let mut engine = engine();
        let mut found = |given: Batch| engine.gradient(0..STEPS, |places, range| given.inputs(places, range), 6.0).map_err(|e| e.to_string());
        assert_eq!(found(given()), Ok(()));
        let cases = [
            (Batch { tokens: vec![1; 5], ..given() }, "Batch::tokens has 5 elements; steps up to 3 of 2 lanes need 6"),
            (Batch { targets: vec![], ..given() }, "Batch::targets has 0 elements"),
            (Batch { keep: vec![1.0; 2], ..given() }, "Batch::keep has 2"),
            (Batch { xi: vec![], ..given() }, "Batch::xi has 0"),
            (Batch { weights: vec![1.0; 3], ..given() }, "Batch::weights has 3"),
            (Batch { tokens: vec![9999; 6], ..given() }, "the symbol 9999; the model reads 0 to 4"),
            (Batch { targets: vec![5; 6], ..given() }, "no class 5: the model knows 0 to 4"),
            (Batch { lanes: 1, ..given() }, "inputs of 1 lanes for an engine of 2"),
            (Batch { lanes: 40, ..given() }, "more than the 8 rows"),
        ];
        for (wrong, words) in cases {
            let message = found(wrong.clone()).unwrap_err();
            assert!(message.contains(words), "{wrong:?}: {message}");
        }
        assert_eq!(found(given()), Ok(()));
        let bare = SegmentInputs { words: vec![0; 3], lanes: None };
        assert!(engine.step(&bare).unwrap_err().to_string().contains("inputs of 3 words"));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let mut engine = engine();
        let parameters = engine.parameters().unwrap();
        assert!(engine.set_parameters(&parameters[1..]).unwrap_err().to_string().contains("parameters; expected"));
        assert!(engine.set_state(&[]).unwrap_err().to_string().contains("0 layers of state; expected 1"));
        assert!(engine.set_state(&[vec![0.0; 7]]).unwrap_err().to_string().contains("7 numbers of state; expected 8"));
        let mut memory = engine.memory().unwrap();
        memory.moments[0].pop();
        assert!(engine.set_memory(&memory).unwrap_err().to_string().contains("moments; expected"));
        assert_eq!(engine.parameters().unwrap(), parameters);
    }

    #[test]
    fn a_loss_is_never_divided_by_another_n() {
        let (mut engine, given) = (engine(), given());
        let gradient = |engine: &mut Engine, n: f64| engine.gradient(0..STEPS, |places, range| given.inputs(places, range), n);
        gradient(&mut engine, 6.0).unwrap();
        let message = engine.update(0, 1e-3, 1.0).unwrap_err().to_string();
        assert!(message.contains("divided by N = 6, and the loss is to be by 1"), "{message}");
        engine.update(0, 1e-3, 6.0).unwrap();
        for n in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(gradient(&mut engine, n).unwrap_err().to_string().contains("expected a number above 0"), "{n}");
        }
    }
}
