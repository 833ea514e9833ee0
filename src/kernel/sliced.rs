//! WGSL text for the products of recurrences whose invocations split the inner dimension into slices. An invocation multiplies one block of 4 columns of
//! W by its slice of every row; the slices' sums stay in workgroup memory until `found` adds them up in order.

use std::fmt::{self, Write};

/// Text to append to a scan that binds W as `w`, with COLUMNS blocks of columns and INNERS blocks of rows per unit, and has its rows in `rows`: defines `find_share(invocation)`, `hold()`, `products()` and
/// `found(vec4 of the rows)`. The first `blocks` blocks of an invocation's slice stay in registers.
pub(super) fn held(rows: u32, blocks: u32) -> String {
    let mut s = format!("\nconst ROWS = {rows}u;\n{HELD}");
    found(&mut s, "ROWS * COLUMNS * HIDDEN4");
    (0..blocks).for_each(|i| push(&mut s, 0, format_args!("var<private> w{i}: mat4x4f;")));
    s.push_str("\nfn hold() {\n");
    (0..blocks).for_each(|i| push(&mut s, 1, format_args!("w{i} = held({i}u);")));
    s.push_str("}\n\nfn products() {\n");
    (0..rows).for_each(|r| push(&mut s, 1, format_args!("var m{r} = vec4f();")));
    for i in 0..blocks {
        // The first condition is constant, and true for all but the last block of a slice.
        push(&mut s, 1, format_args!("if {}u * SLICES <= INNERS * HIDDEN4 || slice + {i}u * SLICES < INNERS * HIDDEN4 {{", i + 1));
        (0..rows).for_each(|r| push(&mut s, 2, format_args!("m{r} += w{i} * rows[{r}u * INNERS * HIDDEN4 + slice + {i}u * SLICES];")));
        s.push_str("    }\n");
    }
    let first = format!("slice + {blocks}u * SLICES");
    let each = |i, k: &str| (0..rows).map(|r| format!("m{r} += b{i}_0 * rows[{r}u * INNERS * HIDDEN4 + {k}];")).collect();
    batches(&mut s, BATCH, &first, "INNERS * HIDDEN4", |k| vec![format!("w_block({k}, column)")], each);
    (0..rows).for_each(|r| push(&mut s, 1, format_args!("sums[(slice * ROWS + {r}u) * COLUMNS * HIDDEN4 + column] = m{r};")));
    s.push_str("}\n");
    s
}

/// Blocks of W that an invocation reads, and sums that it adds, per iteration: wgpu counts loop iterations, and each count costs as much as some products.
const BATCH: u32 = 4;

/// Writes `found(i)`: the sum over all slices at vec4 i. Slices are `stride` apart.
fn found(s: &mut String, stride: &str) {
    let _ = write!(s, "\nfn found(i: u32) -> vec4f {{\n    var x = vec4f();\n    for (var s = 0u; s < SLICES; s += {BATCH}u) {{\n");
    for n in 0..BATCH {
        let last = format!("s + {n}u < SLICES");
        push(s, 2, format_args!("if {last} {{\n            x += sums[(s + {n}u) * {stride} + i];\n        }}"));
    }
    s.push_str("    }\n    return x;\n}\n");
}

/// Writes a loop over the blocks of a slice from `first` to `end`, in batches that start all loads before the first use: `load(k)` loads the blocks at k, one
/// or one per gate, and `each(i, k)` uses them as `b{i}_{gate}`.
fn batches(s: &mut String, batch: u32, first: &str, end: &str, load: impl Fn(&str) -> Vec<String>, each: impl Fn(u32, &str) -> Vec<String>) {
    push(s, 1, format_args!("for (var k = {first}; k < {end}; k += {batch}u * SLICES) {{"));
    let at = |i: u32| format!("k + {i}u * SLICES");
    for i in 0..batch {
        let blocks = load(&format!("min({}, {end} - 1u)", at(i)));
        (0..).zip(blocks).for_each(|(g, block): (u32, _)| push(s, 2, format_args!("let b{i}_{g} = {block};")));
    }
    for i in 0..batch {
        push(s, 2, format_args!("if {} < {end} {{", at(i)));
        each(i, &at(i)).iter().for_each(|line| push(s, 3, format_args!("{line}")));
        s.push_str("        }\n");
    }
    s.push_str("    }\n");
}

const HELD: &str = "
// Of each slice, its products for all columns of all rows.
var<workgroup> sums: array<vec4f, SLICES * ROWS * COLUMNS * HIDDEN4>;
var<private> column: u32;
var<private> slice: u32;

fn find_share(id: u32) {
    column = id % (COLUMNS * HIDDEN4);
    slice = id / (COLUMNS * HIDDEN4);
}

fn w_block(k: u32, j: u32) -> mat4x4f {
    let row = COLUMNS * HIDDEN4;
    let at = args.w_offset + k * 4u * row + j;
    return mat4x4f(w[at], w[at + row], w[at + 2u * row], w[at + 3u * row]);
}

fn held(i: u32) -> mat4x4f {
    let k = slice + i * SLICES;
    if k < INNERS * HIDDEN4 {
        return w_block(k, column);
    }
    return mat4x4f();
}
";

/// Text to append to a kernel with `columns` blocks of columns of W and INNERS blocks of rows per unit, that defines `a_row(row)`, the start of a row, and
/// `a(vec4)`: defines `products(first row, first unit block, invocation)` and `found(vec4 of the workgroup's part)`, a part being `[ROWS, COLS4]` for each
/// of the columns.
pub(super) fn products(rows: u32, columns: u32) -> String {
    let mut s = format!(
        "\nconst ROWS = {rows}u;\n\n// Of each slice, its products for all columns of all rows.\nvar<workgroup> sums: array<vec4f, SLICES * COLUMNS * ROWS * COLS4>;\n"
    );
    found(&mut s, "COLUMNS * ROWS * COLS4");
    s.push_str(SLICED);
    for r in 0..rows {
        push(&mut s, 1, format_args!("let a{r} = a_row(row0 + {r}u);"));
        (0..columns).for_each(|c| push(&mut s, 1, format_args!("var m{r}_{c} = vec4f();")));
    }
    let each = |i, k: &str| {
        let row = |r: u32| {
            let load = std::iter::once(format!("let x{r} = a(a{r} + {k});"));
            load.chain((0..columns).map(move |c| format!("m{r}_{c} += b{i}_{c} * x{r};"))).collect::<Vec<_>>()
        };
        (0..rows).flat_map(row).collect()
    };
    let load = |k: &str| (0..columns).map(|c| format!("w_block({k}, {c}u, column)")).collect();
    batches(&mut s, (BATCH / columns).max(1), "slice", "INNERS * args.hidden4", load, each);
    for (r, c) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
        push(&mut s, 1, format_args!("sums[((slice * COLUMNS + {c}u) * ROWS + {r}u) * COLS4 + id % COLS4] = m{r}_{c};"));
    }
    s.push_str("}\n");
    s
}

const SLICED: &str = "
fn w_block(k: u32, c: u32, j: u32) -> mat4x4f {
    let row = COLUMNS * args.hidden4;
    let at = args.w_offset + k * 4u * row + c * args.hidden4 + j;
    return mat4x4f(w[at], w[at + row], w[at + 2u * row], w[at + 3u * row]);
}

fn products(row0: u32, j0: u32, id: u32) {
    let column = min(j0 + id % COLS4, args.hidden4 - 1u);
    let slice = id / COLS4;
";

/// Appends an indented line of WGSL.
pub(super) fn push(text: &mut String, depth: usize, line: fmt::Arguments<'_>) {
    let _ = writeln!(text, "{:1$}{line}", "", 4 * depth);
}
