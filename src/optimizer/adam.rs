//! Adam and AdamW: `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`, `p -= lr (m / (1 - beta1^n)) / (sqrt(v / (1 - beta2^n)) + 1e-8)`
//! after n applied updates, with beta1 = 0.9 and beta2 = 0.999; in AdamW `p -= lr decay p` first.

use super::rule::{Constants, Parameter, Rule, Step};
use crate::host;

const BETAS: [f64; 2] = [0.9, 0.999];
const CONSTANTS: Constants = Constants { a: BETAS[0] as f32, b: BETAS[1] as f32, eps: 1e-8, decay: 0.0 };

/// Adam without weight decay.
pub(super) const ADAM: Rule = Rule {
    name: "adam",
    parameter: None,
    constants: |_| CONSTANTS,
    betas: BETAS,
    moments: |_| [true, true],
    wgsl: "
        let s = args.a * m[i] + (1.0 - args.a) * g;
        let q = args.b * v[i] + (1.0 - args.b) * g * g;
        m[i] = s;
        v[i] = q;
        let by = (s / corrections.x) / (sqrt(q / corrections.y) + args.eps);
        params[i] = (p - args.lr * args.decay * p) - args.lr * by;
",
    cpu: step,
};

/// Adam with decoupled weight decay.
pub(super) const ADAMW: Rule = Rule {
    name: "adamw",
    parameter: Some(Parameter { name: "DECAY", default: 0.01, below: f32::INFINITY, implied: false }),
    constants: |decay| Constants { decay, ..CONSTANTS },
    ..ADAM
};

fn step(s: &Step, g: &[f32], [p, m, v]: [&mut [f32]; 3]) {
    let Constants { a, b, eps, decay } = s.constants;
    host::vectorized(
        #[inline(always)]
        || {
            p.iter_mut().zip(g).zip(m).zip(v).for_each(|(((p, g), m), v)| {
                let g = s.gradient(*g);
                *m = a * *m + (1.0 - a) * g;
                *v = b * *v + (1.0 - b) * g * g;
                let step = (*m / s.corrections[0]) / ((*v / s.corrections[1]).sqrt() + eps);
                *p = (*p - s.lr * decay * *p) - s.lr * step;
            });
        },
    );
}
