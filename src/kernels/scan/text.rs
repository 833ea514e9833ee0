//! The part of a scan's WGSL text that depends on the cell: constants, the last bindings, and how rows of gates are read and written.

use crate::cells::Spec;
use std::fmt::Write;

/// The constants of a cell. A product has COLUMNS results per unit and sums over INNERS values per unit.
fn constants(spec: &Spec, columns: u32, inners: u32) -> String {
    let (blocks, states, before) = (spec.blocks(), spec.states, spec.before_hidden());
    let mut s = String::new();
    for (name, n) in [("BLOCKS", blocks), ("STATES", states), ("BEFORE_HIDDEN", before), ("COLUMNS", columns), ("INNERS", inners)] {
        let _ = writeln!(s, "const {name} = {n}u;");
    }
    let _ = writeln!(s, "const DIRECT = {};\n", spec.direct);
    s
}

/// A `mat4x4f` of the results of `each` for the first `count` blocks.
fn matrix(count: u32, each: impl Fn(u32) -> String) -> String {
    let block = |b| if b < count { each(b) } else { "vec4f()".to_string() };
    format!("mat4x4f({})", (0..4).map(block).collect::<Vec<_>>().join(", "))
}

/// Functions that read the first `count` blocks of a row of gates, at vec4 j of each.
fn load(name: &str, array: &str, offset: &str, count: u32) -> String {
    let blocks = matrix(count, |b| format!("{array}[at + {b}u * args.hidden4]"));
    format!("fn {name}(row: u32, j: u32) -> mat4x4f {{\n    let at = args.{offset} + row * BLOCKS * args.hidden4 + j;\n    return {blocks};\n}}\n\n")
}

/// A function that writes all blocks of a row of gates.
fn store(name: &str, array: &str, offset: &str, count: u32) -> String {
    let mut s = format!("fn {name}(row: u32, j: u32, x: mat4x4f) {{\n    let at = args.{offset} + row * BLOCKS * args.hidden4 + j;\n");
    for b in 0..count {
        let _ = writeln!(s, "    {array}[at + {b}u * args.hidden4] = x[{b}];");
    }
    s + "}\n\n"
}

/// Of a forward scan.
pub(super) fn forward(spec: &Spec) -> String {
    let (gates, blocks) = (spec.gates, spec.blocks());
    let mut s = constants(spec, gates, 1);
    let args = if spec.states == 2 {
        s += "@group(0) @binding(5) var<storage, read_write> c: array<vec4f>;\n\n";
        s += "fn load_c(at: u32) -> vec4f {\n    return c[args.c_offset + at];\n}\n\nfn store_c(at: u32, x: vec4f) {\n    c[args.c_offset + at] = x;\n}\n\n";
        6
    } else {
        s += "fn load_c(at: u32) -> vec4f {\n    return vec4f();\n}\n\nfn store_c(at: u32, x: vec4f) {}\n\n";
        5
    };
    let _ = writeln!(s, "@group(0) @binding({args}) var<uniform> args: Args;\n");
    s += &load("load_gates", "gates", "gates_offset", blocks);
    s += &load("load_pre", "gates", "gates_offset", gates);
    let bias = matrix(blocks, |b| format!("w[at + {b}u * args.hidden4]"));
    let _ = writeln!(
        s,
        "fn load_bias(j: u32) -> mat4x4f {{\n    if args.bias == 0u {{\n        return mat4x4f();\n    }}\n    let at = args.bias_offset + j;\n    return {bias};\n}}\n"
    );
    s + &store("store_gates", "gates", "gates_offset", if spec.keeps_gates { blocks } else { 0 })
}

/// Of a backward scan.
pub(super) fn backward(spec: &Spec) -> String {
    let mut s = constants(spec, 1, spec.gates);
    if spec.keeps_gates {
        s += "@group(0) @binding(6) var<storage, read> d_h: array<vec4f>;\n@group(0) @binding(7) var<uniform> args: Args;\n\n";
        s += "fn load_d_h(row: u32, j: u32) -> vec4f {\n    return d_h[args.d_h_offset + row * args.hidden4 + j];\n}\n\n";
        s += &load("load_gates", "delta", "delta_offset", spec.blocks());
    } else {
        s += "@group(0) @binding(6) var<uniform> args: Args;\n\n";
        s += "fn load_d_h(row: u32, j: u32) -> vec4f {\n    return delta[args.delta_offset + row * args.hidden4 + j];\n}\n\n";
        s += "fn load_gates(row: u32, j: u32) -> mat4x4f {\n    return mat4x4f();\n}\n\n";
    }
    s + &store("store_delta", "delta", "delta_offset", spec.blocks())
}

/// The sums of all gates of a unit, in a form whose invocations split the inner dimension; `place` gives the place of gate g.
fn found_gates(spec: &Spec, arguments: &str, place: impl Fn(u32) -> String) -> String {
    format!("fn found_gates({arguments}) -> mat4x4f {{\n    return {};\n}}\n\n", matrix(spec.gates, |g| format!("found({})", place(g))))
}

/// Of a forward scan in the form [`crate::kernel::Loads::Held`].
pub(super) fn forward_held(spec: &Spec) -> String {
    forward(spec) + &found_gates(spec, "r: u32, j: u32", |g| format!("(r * COLUMNS + {g}u) * HIDDEN4 + j"))
}

/// Of one step of a forward scan.
pub(super) fn forward_step(spec: &Spec) -> String {
    forward(spec) + &found_gates(spec, "i: u32", |g| format!("{g}u * ROWS * COLS4 + i"))
}

/// Of a backward scan in the form [`crate::kernel::Loads::Held`]; keeps the deltas that W_hh^T multiplies in the workgroup's rows.
pub(super) fn backward_held(spec: &Spec) -> String {
    let mut s = backward(spec) + "fn keep_deltas(r: u32, j: u32, x: mat4x4f) {\n";
    for g in 0..spec.gates {
        let _ = writeln!(s, "    rows[(r * INNERS + {g}u) * HIDDEN4 + j] = x[{}];", g + spec.before_hidden());
    }
    s + "}\n\n"
}
