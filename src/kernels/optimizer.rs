//! One update of all parameters, each by the arithmetic of its [optimizer's rule](crate::optimizer).

use super::{finish, slices};
use crate::arena::Slot;
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, read, write};
use crate::optimizer::{Constants, RULES, Step, Update};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "optimizer",
    source: match std::str::from_utf8(&SOURCE) {
        Ok(source) => source,
        Err(_) => panic!("texts one after the other are a text"),
    },
    cell: None,
    tiled: false,
    bindings: &[read("gradients"), read("status"), write("params"), write("m"), write("v")],
    args: Args::LIST,
    constants: |args, _| vec![("RULE", f64::from(Args::of(args).rule))],
    grid: |args, _| linear_grid(Args::of(args).count4.div_ceil(64)),
    cpu,
    work: |args| {
        let count4 = f64::from(Args::of(args).count4);
        Work { flops: 40.0 * count4, bytes: 7.0 * 16.0 * count4 }
    },
};

args! {
    count4: u32,
    rule: u32,
    lr: f32,
    a: f32,
    b: f32,
    eps: f32,
    decay: f32,
    clip_value: f32,
}

const COUNT: usize = RULES.len();
const PLACES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Pieces of the shader: its file, then one arm per rule.
const TEXTS: [&str; 5 * COUNT + 3] = {
    let mut texts = [""; 5 * COUNT + 3];
    texts[0] = include_str!("../../shaders/optimizer.wgsl");
    texts[1] = "\nfn apply(i: u32, p: vec4f, g: vec4f, corrections: vec2f) {\n";
    let mut i = 0;
    while i < COUNT {
        [texts[5 * i + 2], texts[5 * i + 3], texts[5 * i + 4], texts[5 * i + 5], texts[5 * i + 6]] =
            ["    if RULE == ", PLACES[i], "u {", RULES[i].wgsl, "    }\n"];
        i += 1;
    }
    texts[5 * COUNT + 2] = "}\n";
    texts
};

const LENGTH: usize = {
    let (mut length, mut i) = (0, 0);
    while i < TEXTS.len() {
        length += TEXTS[i].len();
        i += 1;
    }
    length
};

static SOURCE: [u8; LENGTH] = {
    let (mut source, mut i, mut at) = ([0; LENGTH], 0, 0);
    while i < TEXTS.len() {
        let (_, rest) = source.split_at_mut(at);
        rest.split_at_mut(TEXTS[i].len()).0.copy_from_slice(TEXTS[i].as_bytes());
        at += TEXTS[i].len();
        i += 1;
    }
    source
};

/// The slots of an update. An unused moment is bound to a slot of its own, which need not hold `count` values.
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

/// Records one update of the first `count` parameters, a multiple of 4.
pub fn record(recording: &mut Recording, variant: Variant, slots: Slots, count: u32, update: &Update, lr: Word) {
    let Constants { a, b, eps, decay } = update.constants;
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: "optimizer".to_string(),
        bindings: vec![slots.gradients, slots.status, slots.params, slots.m, slots.v],
        args: Words {
            count4: Word::from(count).quarter(),
            rule: (update.rule.place() as u32).into(),
            lr,
            a: Word::f32(a),
            b: Word::f32(b),
            eps: Word::f32(eps),
            decay: Word::f32(decay),
            clip_value: Word::f32(update.clip.value()),
        }
        .into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let args = Args::of(call.args);
    let ([gradients, status], [params, mut m, mut v]) = slices(call.bound);
    let status: &[u32] = bytemuck::cast_slice(status);
    if status[finish::APPLIES] == 0 {
        return;
    }
    let n = args.count4 as usize * 4;
    let float = |word: usize| f32::from_bits(status[word]);
    let step = Step {
        lr: args.lr,
        constants: Constants { a: args.a, b: args.b, eps: args.eps, decay: args.decay },
        clip: args.clip_value,
        factor: float(finish::CLIP),
        corrections: [finish::CORRECTION1, finish::CORRECTION2].map(float),
    };
    let rule = &RULES[args.rule as usize];
    let mut p = &mut params[..n];
    let tasks = host::split(n, call.threads).into_iter().map(|range| {
        let parts = [host::take(&mut p, range.len()), host::take(&mut m, range.len()), host::take(&mut v, range.len())];
        let g = &gradients[range];
        move || (rule.cpu)(&step, g, parts)
    });
    host::parallel(tasks);
}
