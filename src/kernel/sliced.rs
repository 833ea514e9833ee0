//! Recurrences whose invocations share the inner dimension in slices: the WGSL text of their products. An invocation multiplies one block
//! of 4 columns of W by its slice of every row; the slices' sums lie in workgroup memory until `found` adds them up, in their order.

use super::tile::push;

/// Behind a scan that defines `w_block(k4, column block)` and the rows in `rows`: `find_share(invocation)`, `hold()`, `products()` and
/// `found(vec4 of the rows)`. The first `blocks` blocks of an invocation's slice stay in registers.
pub(super) fn held(rows: u32, blocks: u32) -> String {
    let mut s = format!("\nconst ROWS = {rows}u;\n{HELD}");
    (0..blocks).for_each(|i| push(&mut s, 0, format_args!("var<private> w{i}: mat4x4f;")));
    s.push_str("\nfn hold() {\n");
    (0..blocks).for_each(|i| push(&mut s, 1, format_args!("w{i} = held({i}u);")));
    s.push_str("}\n\nfn products() {\n");
    (0..rows).for_each(|r| push(&mut s, 1, format_args!("var m{r} = vec4f();")));
    for i in 0..blocks {
        // The first condition is a constant, and true of all but the last block of a slice.
        push(&mut s, 1, format_args!("if {}u * SLICES <= HIDDEN4 || slice + {i}u * SLICES < HIDDEN4 {{", i + 1));
        (0..rows).for_each(|r| push(&mut s, 2, format_args!("m{r} += w{i} * rows[{r}u * HIDDEN4 + slice + {i}u * SLICES];")));
        s.push_str("    }\n");
    }
    // The rest in batches, whose loads are all under way before the first is used.
    push(&mut s, 1, format_args!("for (var k = slice + {blocks}u * SLICES; k < HIDDEN4; k += {BATCH}u * SLICES) {{"));
    for i in 0..BATCH {
        let k = format!("k + {i}u * SLICES");
        push(&mut s, 2, format_args!("let b{i} = w_block(min({k}, HIDDEN4 - 1u), column);"));
    }
    for i in 0..BATCH {
        let k = format!("k + {i}u * SLICES");
        push(&mut s, 2, format_args!("if {k} < HIDDEN4 {{"));
        (0..rows).for_each(|r| push(&mut s, 3, format_args!("m{r} += b{i} * rows[{r}u * HIDDEN4 + {k}];")));
        s.push_str("        }\n");
    }
    s.push_str("    }\n");
    (0..rows).for_each(|r| push(&mut s, 1, format_args!("sums[(slice * ROWS + {r}u) * HIDDEN4 + column] = m{r};")));
    s.push_str("}\n");
    s
}

/// Blocks of W that an invocation reads at once.
const BATCH: u32 = 4;

const HELD: &str = "
// Of each slice, its products for all columns of all rows.
var<workgroup> sums: array<vec4f, SLICES * ROWS * HIDDEN4>;
var<private> column: u32;
var<private> slice: u32;

fn find_share(id: u32) {
    column = id % HIDDEN4;
    slice = id / HIDDEN4;
}

fn held(i: u32) -> mat4x4f {
    let k = slice + i * SLICES;
    if k < HIDDEN4 {
        return w_block(k, column);
    }
    return mat4x4f();
}

fn found(i: u32) -> vec4f {
    var x = vec4f();
    for (var s = 0u; s < SLICES; s++) {
        x += sums[s * ROWS * HIDDEN4 + i];
    }
    return x;
}

";

/// Behind a kernel that defines `a_row(row)`, where a row begins, and `a(vec4)`: `products(first row, first column block, invocation)` and
/// `found(vec4 of the workgroup's part)`.
pub(super) fn products(rows: u32) -> String {
    let mut s = format!("\nconst ROWS = {rows}u;\n{SLICED}");
    (0..rows).for_each(|r| push(&mut s, 1, format_args!("let a{r} = a_row(row0 + {r}u);\n    var m{r} = vec4f();")));
    push(&mut s, 1, format_args!("for (var k = slice; k < args.hidden4; k += SLICES) {{"));
    push(&mut s, 2, format_args!("let at = args.w_offset + k * 4u * args.hidden4 + column;"));
    push(&mut s, 2, format_args!("let b = mat4x4f(w[at], w[at + args.hidden4], w[at + 2u * args.hidden4], w[at + 3u * args.hidden4]);"));
    (0..rows).for_each(|r| push(&mut s, 2, format_args!("m{r} += b * a(a{r} + k);")));
    s.push_str("    }\n");
    (0..rows).for_each(|r| push(&mut s, 1, format_args!("sums[(slice * ROWS + {r}u) * COLS4 + id % COLS4] = m{r};")));
    s.push_str("}\n");
    s
}

const SLICED: &str = "
// Of each slice, its products for all columns of all rows.
var<workgroup> sums: array<vec4f, SLICES * ROWS * COLS4>;

fn found(i: u32) -> vec4f {
    var x = vec4f();
    for (var s = 0u; s < SLICES; s++) {
        x += sums[s * ROWS * COLS4 + i];
    }
    return x;
}

fn products(row0: u32, j0: u32, id: u32) {
    let column = min(j0 + id % COLS4, args.hidden4 - 1u);
    let slice = id / COLS4;
";
