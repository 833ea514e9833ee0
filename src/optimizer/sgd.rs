//! Gradient descent: `m = momentum m + g`, `p -= lr m`.

use super::rule::{Constants, Parameter, Rule, Step};
use crate::host;

/// SGD; it keeps no moment if momentum is 0.
pub(super) const SGD: Rule = Rule {
    name: "sgd",
    parameter: Some(Parameter { name: "MOMENTUM", default: 0.0, below: 1.0, implied: true }),
    constants: |momentum| Constants { a: momentum, ..Constants::default() },
    betas: [1.0; 2],
    moments: |momentum| [momentum != 0.0, false],
    wgsl: "
        var by = g;
        if args.a != 0.0 {
            by += args.a * m[i];
            m[i] = by;
        }
        params[i] = p - args.lr * by;
",
    cpu: step,
};

fn step(s: &Step, g: &[f32], [p, m, _]: [&mut [f32]; 3]) {
    let (lr, momentum) = (s.lr, s.constants.a);
    host::vectorized(
        #[inline(always)]
        || {
            if momentum == 0.0 {
                return p.iter_mut().zip(g).for_each(|(p, g)| *p -= lr * s.gradient(*g));
            }
            p.iter_mut().zip(g).zip(m).for_each(|((p, g), m)| {
                *m = s.gradient(*g) + momentum * *m;
                *p -= lr * *m;
            });
        },
    );
}
