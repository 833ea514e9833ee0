//! Five updates under every rule, by PyTorch's definitions, one of them skipped.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::arena::Slot;
use retrograd::kernel::{Values, Var, Word};
use retrograd::kernels::optimizer::{Slots, record};
use retrograd::optimizer::{Clip, Constants, Optimizer, Update};

const LR: f32 = 0.03;
/// Numbers of parameters without padding; padded to a multiple of 4, none is a multiple of a workgroup's 256.
const COUNTS: [u32; 3] = [1, 37, 1029];
/// The skipped update.
const SKIPPED: u32 = 2;

/// Every rule with this clipping, SGD also with momentum.
fn rules(clip: Clip) -> Vec<Update> {
    let rules = Optimizer::all().into_iter().chain([Optimizer::Sgd { momentum: 0.9 }, Optimizer::RmsProp { alpha: 0.95 }, Optimizer::AdamW { decay: 0.1 }]);
    rules.map(|rule| seen(rule.update(clip))).collect()
}

/// Makes eps, where there is one, so large that its position in the formula matters.
fn seen(mut update: Update) -> Update {
    if update.constants.eps != 0.0 {
        update.constants.eps = 1e-3;
    }
    update
}

#[test]
pub(super) fn optimizer() {
    for count in COUNTS {
        for rule in [Clip::None, Clip::Value(0.1)].into_iter().flat_map(rules) {
            updates(&rule, count);
        }
    }
}

/// A parameter and its moments in f64.
#[derive(Clone, Copy, Default)]
struct State {
    p: f64,
    m: f64,
    v: f64,
}

impl State {
    /// One update from a gradient already scaled or clamped; `n` counts the applied updates, from 1.
    fn update(&mut self, update: &Update, g: f64, n: i32) {
        let Constants { a, b, eps, decay } = update.constants;
        let [lr, a, b, eps, decay] = [LR, a, b, eps, decay].map(f64::from);
        match update.rule {
            Optimizer::Sgd { .. } => {
                self.m = a * self.m + g;
                self.p -= lr * self.m;
            }
            Optimizer::RmsProp { .. } => {
                self.v = a * self.v + (1.0 - a) * g * g;
                self.p -= lr * g / (self.v.sqrt() + eps);
            }
            Optimizer::Adam | Optimizer::AdamW { .. } => {
                self.p -= lr * decay * self.p;
                self.m = a * self.m + (1.0 - a) * g;
                self.v = b * self.v + (1.0 - b) * g * g;
                let (m, v) = (self.m / (1.0 - a.powi(n)), self.v / (1.0 - b.powi(n)));
                self.p -= lr * m / (v.sqrt() + eps);
            }
        }
    }
}

/// A slot of `count` values from its first element, and zeros up to a multiple of 4.
fn flat(case: &mut Case, name: &str, count: u32, scale: f32) -> Matrix {
    let slot = case.slot(name, count.next_multiple_of(4) + 9);
    let mut m = case.matrix_at(slot, 0, [1, count, count.next_multiple_of(4)]);
    case.scale(&mut m, scale);
    m
}

/// Gradients and status of one update: the factor, and the bias corrections of `n` updates.
fn update(case: &mut Case, [a, b]: [f32; 2], count: u32, step: u32, n: i32) -> (Matrix, Slot) {
    let mut gradients = flat(case, &format!("gradients {step}"), count, 1.0);
    let status = case.slot(&format!("status {step}"), 20);
    case.put_bits(status, 2, u32::from(step != SKIPPED));
    case.put(status, 3, factor(step));
    case.put(status, 4, (1.0 - f64::from(a).powi(n)) as f32);
    case.put(status, 5, (1.0 - f64::from(b).powi(n)) as f32);
    if step == SKIPPED {
        (0..count).for_each(|i| case.set(&mut gradients, 0, i, f32::NAN));
    }
    (gradients, status)
}

/// The clip factor of an update.
fn factor(step: u32) -> f32 {
    [1.0, 0.37, f32::NAN, 0.9, 0.05][step as usize]
}

fn updates(rule: &Update, count: u32) {
    let mut case = Case::new(u64::from(count));
    let params = flat(&mut case, "params", count, 0.1);
    let Constants { a, b, .. } = rule.constants;
    let [m, v] = [("m", rule.moments[0]), ("v", rule.moments[1])].map(|(name, used)| {
        // An unused moment has a slot of one vec4, which must stay unchanged.
        let slot = if used { flat(&mut case, name, count, 0.0).slot } else { case.slot(name, 4) };
        (case.blank_at(slot, 0, [1, count, count.next_multiple_of(4)]), used)
    });
    let mut states: Vec<State> = (0..count).map(|i| State { p: params.at(0, i), ..State::default() }).collect();
    let mut n = 0;
    let mut dispatches = Vec::new();
    for step in 0..5 {
        n += i32::from(step != SKIPPED);
        let (gradients, status) = update(&mut case, [a, b], count, step, n);
        if step != SKIPPED {
            for (i, state) in (0..).zip(&mut states) {
                let g = gradients.at(0, i) * f64::from(factor(step));
                let g = if let Clip::Value(most) = rule.clip { g.clamp(-f64::from(most), most.into()) } else { g };
                state.update(rule, g, n);
            }
        }
        dispatches.push(Slots { gradients: gradients.slot, status, params: params.slot, m: m.0.slot, v: v.0.slot });
    }
    case.expect(&params, |_, i| states[i as usize].p);
    for ((moment, used), value) in [(m, (|s| s.m) as fn(&State) -> f64), (v, |s| s.v)] {
        if used {
            case.expect(&moment, |_, i| value(&states[i as usize]));
        }
    }
    let values = Values::default().with_f32(Var::LearningRate, LR);
    check(&format!("{rule:?} {count}"), &case, Forms::Plain, &values, &|r, caps| {
        dispatches.iter().for_each(|slots| record(r, caps.matmul, *slots, count.next_multiple_of(4), rule, Word::var(Var::LearningRate)));
    });
}

/// A skipped update changes no bit, whatever the gradients and the clip factor are.
#[test]
fn a_skipped_update_changes_nothing() {
    for rule in [Clip::None, Clip::Value(0.1)].into_iter().flat_map(rules) {
        let mut case = Case::new(2);
        let [params, m, v] = ["params", "m", "v"].map(|name| flat(&mut case, name, 37, 1.0));
        let (gradients, status) = update(&mut case, [0.9, 0.99], 37, SKIPPED, 3);
        for kept in [&params, &m, &v] {
            case.expect_each(kept, |_, i| Want::Bits((kept.at(0, i) as f32).to_bits()));
        }
        let slots = Slots { gradients: gradients.slot, status, params: params.slot, m: m.slot, v: v.slot };
        check(&format!("skipped {rule:?}"), &case, Forms::Plain, &Values::default(), &|r, caps| record(r, caps.matmul, slots, 40, &rule, Word::f32(LR)));
    }
}
