//! RMSprop: `v = alpha v + (1 - alpha) g^2`, `p -= lr g / (sqrt(v) + 1e-8)`.

use super::rule::{Constants, Parameter, Rule, Step};
use crate::host;

/// RMSprop, not centred, without momentum.
pub(super) const RMSPROP: Rule = Rule {
    name: "rmsprop",
    parameter: Some(Parameter { name: "ALPHA", default: 0.99, below: 1.0, implied: false }),
    constants: |alpha| Constants { a: alpha, eps: 1e-8, ..Constants::default() },
    betas: [1.0; 2],
    moments: |_| [false, true],
    wgsl: "
        let s = args.a * v[i] + (1.0 - args.a) * g * g;
        v[i] = s;
        params[i] = p - args.lr * g / (sqrt(s) + args.eps);
",
    cpu: step,
};

fn step(s: &Step, g: &[f32], [p, _, v]: [&mut [f32]; 3]) {
    let Constants { a, eps, .. } = s.constants;
    host::vectorized(
        #[inline(always)]
        || {
            p.iter_mut().zip(g).zip(v).for_each(|((p, g), v)| {
                let g = s.gradient(*g);
                *v = a * *v + (1.0 - a) * g * g;
                *p -= s.lr * g / (v.sqrt() + eps);
            });
        },
    );
}
