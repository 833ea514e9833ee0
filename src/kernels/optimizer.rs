//! One update of all parameters: SGD with momentum, RMSprop, Adam, AdamW, as PyTorch defines them. See the shader for the formulas.

use super::{float, slices, words};
use crate::arena::Slot;
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, linear_grid, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "optimizer",
    source: include_str!("../../shaders/optimizer.wgsl"),
    tiled: false,
    bindings: &[read("gradients"), read("status"), write("params"), write("m"), write("v")],
    args: &["count4", "rule", "lr", "a", "b", "eps", "decay", "clip_value"],
    constants: |args, _| vec![("RULE", f64::from(args[1]))],
    grid: |args, _| linear_grid(args[0].div_ceil(64)),
    cpu,
    work: |args| Work { flops: 40.0 * f64::from(args[0]), bytes: 7.0 * 16.0 * f64::from(args[0]) },
};

/// The slots that the update works on. An unused moment is bound as a slot of its own that need not hold `count` numbers.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// Gradients.
    pub gradients: Slot,
    /// Status, see [`super::finish`].
    pub status: Slot,
    /// Parameters.
    pub params: Slot,
    /// First moment.
    pub m: Slot,
    /// Second moment.
    pub v: Slot,
}

/// The constants of a rule, named as in the shader.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constants {
    /// 0 sgd, 1 rmsprop, 2 adam.
    pub rule: u32,
    /// momentum, alpha or beta1.
    pub a: f32,
    /// beta2.
    pub b: f32,
    /// Added to the denominator.
    pub eps: f32,
    /// Decoupled weight decay.
    pub decay: f32,
    /// Bound of each gradient; 0 for none.
    pub clip_value: f32,
}

/// Records one update of the first `count` parameters, a multiple of 4.
pub fn record(recording: &mut Recording, variant: Variant, slots: Slots, count: u32, c: Constants, lr: Word) {
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: "optimizer".to_string(),
        bindings: vec![slots.gradients, slots.status, slots.params, slots.m, slots.v],
        args: vec![
            Word::from(count).quarter(),
            c.rule.into(),
            lr,
            Word::f32(c.a),
            Word::f32(c.b),
            Word::f32(c.eps),
            Word::f32(c.decay),
            Word::f32(c.clip_value),
        ],
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let [count4, rule, lr, a, b, eps, decay, clip_value] = words(call.args);
    let ([gradients, status], [params, m, v]) = slices(call.bound);
    let status: &[u32] = bytemuck::cast_slice(status);
    if status[2] == 0 {
        return;
    }
    let n = count4 as usize * 4;
    let update = Update {
        rule,
        lr: float(lr),
        a: float(a),
        b: float(b),
        eps: float(eps),
        decay: float(decay),
        clip: float(clip_value),
        factor: float(status[3]),
        corrections: [float(status[4]), float(status[5])],
    };
    let ranges = host::split(n, call.threads);
    let (mut p, mut m, mut v) = (&mut params[..n], m, v);
    let tasks: Vec<_> = ranges
        .into_iter()
        .map(|range| {
            let parts = [host::take(&mut p, range.len()), host::take(&mut m, range.len()), host::take(&mut v, range.len())];
            let g = &gradients[range];
            move || update.apply(g, parts)
        })
        .collect();
    host::parallel(tasks);
}

#[derive(Clone, Copy)]
struct Update {
    rule: u32,
    lr: f32,
    a: f32,
    b: f32,
    eps: f32,
    decay: f32,
    clip: f32,
    factor: f32,
    corrections: [f32; 2],
}

impl Update {
    fn gradient(&self, g: f32) -> f32 {
        let g = g * self.factor;
        if self.clip > 0.0 { g.clamp(-self.clip, self.clip) } else { g }
    }

    fn apply(&self, g: &[f32], [p, m, v]: [&mut [f32]; 3]) {
        host::vectorized(
            #[inline(always)]
            || match self.rule {
                0 if self.a == 0.0 => p.iter_mut().zip(g).for_each(|(p, g)| *p -= self.lr * self.gradient(*g)),
                0 => p.iter_mut().zip(g).zip(m).for_each(|((p, g), m)| {
                    *m = self.gradient(*g) + self.a * *m;
                    *p -= self.lr * *m;
                }),
                1 => p.iter_mut().zip(g).zip(v).for_each(|((p, g), v)| {
                    let g = self.gradient(*g);
                    *v = self.a * *v + (1.0 - self.a) * g * g;
                    *p -= self.lr * g / (v.sqrt() + self.eps);
                }),
                _ => p.iter_mut().zip(g).zip(m).zip(v).for_each(|(((p, g), m), v)| {
                    let g = self.gradient(*g);
                    *m = self.a * *m + (1.0 - self.a) * g;
                    *v = self.b * *v + (1.0 - self.b) * g * g;
                    let step = (*m / self.corrections[0]) / ((*v / self.corrections[1]).sqrt() + self.eps);
                    *p = (*p - self.lr * self.decay * *p) - self.lr * step;
                }),
            },
        );
    }
}
