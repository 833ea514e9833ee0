//! What an update rule is made of, and what its step reads.

/// An update rule: all that there is to know of it but the f64 reference, which shares nothing with it.
pub(crate) struct Rule {
    /// As on the command line.
    pub name: &'static str,
    /// The number that may follow the name.
    pub parameter: Option<Parameter>,
    /// The constants of a step, of the parameter; it is 0 where the rule has none.
    pub constants: fn(f32) -> Constants,
    /// beta1 and beta2 of the bias corrections 1 - beta^n after n applied updates; 1 where the rule corrects nothing.
    pub betas: [f64; 2],
    /// Whether it keeps a first and a second moment, m and v; likewise.
    pub moments: fn(f32) -> [bool; 2],
    /// WGSL statements, the step of vec4 `i`: `p` is the parameter, `g` its gradient, scaled or clamped already. They write `params[i]` and
    /// the moments `m[i]` and `v[i]`, and read `args` and `corrections`.
    pub wgsl: &'static str,
    /// The same on the CPU: gradients, then parameters and moments. A moment that is not kept may be shorter than the rest.
    pub cpu: fn(&Step, &[f32], [&mut [f32]; 3]),
}

/// The number that may follow a rule's name: finite, from 0 on.
pub(crate) struct Parameter {
    /// As messages name it.
    pub name: &'static str,
    /// Where none is given.
    pub default: f32,
    /// It is below this.
    pub below: f32,
    /// Whether the default is left out where a rule is printed.
    pub implied: bool,
}

impl Parameter {
    /// Which numbers it may be, in words.
    pub(super) fn bounds(&self) -> String {
        if self.below.is_finite() { format!("{} in [0,{})", self.name, self.below) } else { format!("{} >= 0", self.name) }
    }
}

/// The constants of a rule's step; what each is for, its rule says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Constants {
    /// momentum, alpha or beta1.
    pub a: f32,
    /// beta2.
    pub b: f32,
    /// Added to the denominator.
    pub eps: f32,
    /// Decoupled weight decay.
    pub decay: f32,
}

/// What a step reads beside gradients, parameters and moments.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// Learning rate.
    pub lr: f32,
    /// The rule's.
    pub constants: Constants,
    /// Bound of each gradient; 0 for none.
    pub clip: f32,
    /// Each gradient is multiplied by this first.
    pub factor: f32,
    /// Bias corrections, 1 - beta^n.
    pub corrections: [f32; 2],
}

impl Step {
    /// A gradient, scaled or clamped.
    #[inline(always)]
    pub(super) fn gradient(&self, g: f32) -> f32 {
        let g = g * self.factor;
        if self.clip > 0.0 { g.clamp(-self.clip, self.clip) } else { g }
    }
}
