//! Optimizers and clipping in f64, by PyTorch's definitions, one parameter at a time.
#![forbid(unsafe_code)]

use super::Tensors;

/// How a gradient `g` changes a parameter `p`; `lr` is the learning rate, t counts applied updates from 1, moments start at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// `m = momentum m + g`, `p -= lr m` (dampening 0, no Nesterov)
    Sgd {
        /// 0 for plain gradient descent
        momentum: f64,
    },
    /// `v = alpha v + (1 - alpha) g^2`, `p -= lr g / (sqrt(v) + eps)` (no momentum, not centred)
    RmsProp {
        /// share of the mean square kept at each update
        alpha: f64,
        /// added outside the root
        eps: f64,
    },
    /// `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
    /// `p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)`
    Adam {
        /// share of the mean kept at each update
        beta1: f64,
        /// share of the mean square kept at each update
        beta2: f64,
        /// added outside the root, after the bias correction
        eps: f64,
    },
    /// `p *= 1 - lr decay`, then as [`Optimizer::Adam`]; biases decay like all others
    AdamW {
        /// share of the mean kept at each update
        beta1: f64,
        /// share of the mean square kept at each update
        beta2: f64,
        /// added outside the root, after the bias correction
        eps: f64,
        /// decoupled weight decay
        decay: f64,
    },
}

/// State of an optimizer between updates.
#[derive(Clone, Debug)]
pub struct State {
    /// `m` of each parameter, shapes of the parameters
    pub first: Tensors,
    /// `v` of each parameter, shapes of the parameters
    pub second: Tensors,
    /// t: number of applied updates; skipped ones do not count
    pub updates: u64,
}

impl State {
    /// All moments 0 and no update applied; shapes as `params`.
    pub fn new(params: &Tensors) -> State {
        let zeros: Tensors = params.iter().map(|tensor| vec![0.0; tensor.len()]).collect();
        State { first: zeros.clone(), second: zeros, updates: 0 }
    }
}

/// How gradients are bounded before an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// not at all
    None,
    /// all gradients are multiplied by `min(1, c / (norm + 1e-6))`, with the norm over all parameters
    Norm(f64),
    /// each element is clamped to `[-v, v]`
    Value(f64),
}

impl Clip {
    /// The clipped value of one element `g`, given the global norm.
    fn apply(&self, g: f64, norm: f64) -> f64 {
        match *self {
            Clip::None => g,
            Clip::Norm(limit) => g * (limit / (norm + 1e-6)).min(1.0),
            Clip::Value(limit) => g.clamp(-limit, limit),
        }
    }
}

/// Applies one update in place and returns the global norm `sqrt(sum g^2)` before clipping. `params` and `gradients` have the
/// same shapes. If the norm is not finite, nothing changes and nothing is counted.
pub fn update(rule: &Optimizer, state: &mut State, params: &mut Tensors, gradients: &Tensors, lr: f64, clip: &Clip) -> f64 {
    let lengths = |tensors: &Tensors| tensors.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(params), lengths(gradients), "reference: lengths of parameters and gradients");
    assert_eq!(lengths(params), lengths(&state.first), "reference: lengths of parameters and moments");
    let norm = gradients.iter().flatten().map(|g| g * g).sum::<f64>().sqrt();
    if !norm.is_finite() {
        return norm;
    }
    state.updates += 1;
    for k in 0..params.len() {
        for i in 0..params[k].len() {
            let g = clip.apply(gradients[k][i], norm);
            let (m, v) = (&mut state.first[k][i], &mut state.second[k][i]);
            params[k][i] = step(rule, params[k][i], g, m, v, state.updates, lr);
        }
    }
    norm
}

/// The new value of one parameter `p` after update number `t`; `m` and `v` are its moments.
fn step(rule: &Optimizer, p: f64, g: f64, m: &mut f64, v: &mut f64, t: u64, lr: f64) -> f64 {
    match *rule {
        Optimizer::Sgd { momentum } => {
            *m = momentum * *m + g;
            p - lr * *m
        }
        Optimizer::RmsProp { alpha, eps } => {
            *v = alpha * *v + (1.0 - alpha) * g * g;
            p - lr * g / (v.sqrt() + eps)
        }
        Optimizer::Adam { beta1, beta2, eps } => {
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let (correction1, correction2) = (1.0 - beta1.powf(t as f64), 1.0 - beta2.powf(t as f64));
            p - lr / correction1 * *m / (v.sqrt() / correction2.sqrt() + eps)
        }
        Optimizer::AdamW { beta1, beta2, eps, decay } => step(&Optimizer::Adam { beta1, beta2, eps }, p * (1.0 - lr * decay), g, m, v, t, lr),
    }
}
