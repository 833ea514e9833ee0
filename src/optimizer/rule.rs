//! The definition of an update rule, and the arguments of its step.

/// The complete definition of an update rule, except for the f64 reference, which is independent of it.
pub(crate) struct Rule {
    /// Name on the command line.
    pub name: &'static str,
    /// The number that may follow the name.
    pub parameter: Option<Parameter>,
    /// The step's constants as a function of the parameter, which is 0 if the rule has none.
    pub constants: fn(f32) -> Constants,
    /// beta1 and beta2 of the bias corrections 1 - beta^n after n applied updates; 1 for no correction.
    pub betas: [f64; 2],
    /// Whether it keeps a first and a second moment, m and v, as a function of the parameter.
    pub moments: fn(f32) -> [bool; 2],
    /// WGSL statements for the step of vec4 `i`: `p` is the parameter, `g` its gradient, already scaled or clamped. They write `params[i]` and the moments
    /// `m[i]` and `v[i]`, and read `args` and `corrections`.
    pub wgsl: &'static str,
    /// The same on the CPU: takes gradients, then parameters and moments. A moment that is not kept may be shorter than the others.
    pub cpu: fn(&Step, &[f32], [&mut [f32]; 3]),
}

/// The number that may follow a rule's name: finite, from 0 on.
pub(crate) struct Parameter {
    /// Name in messages.
    pub name: &'static str,
    /// Default value.
    pub default: f32,
    /// Exclusive upper bound.
    pub below: f32,
    /// Whether the default is omitted when a rule is printed.
    pub implied: bool,
}

impl Parameter {
    /// The valid range, in words.
    pub(super) fn bounds(&self) -> String {
        if self.below.is_finite() { format!("{} in [0,{})", self.name, self.below) } else { format!("{} >= 0", self.name) }
    }
}

/// The constants of a rule's step; their meaning depends on the rule.
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

/// What a step reads besides gradients, parameters and moments.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// Learning rate.
    pub lr: f32,
    /// Constants of the rule.
    pub constants: Constants,
    /// Bound of each gradient; 0 for none.
    pub clip: f32,
    /// Factor applied to each gradient first.
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
