//! Runs a case on the CPU with 1, 2 and 3 threads and on the GPU in every variant, and compares all of its slots.

use super::case::Case;
use crate::compare::{Want, compare};
use crate::devices::{gpu, without_gpu};
use crate::skip::skip;
use retrograd::arena::Slot;
use retrograd::cpu::{self, CpuExecutor};
use retrograd::exec::Executor;
use retrograd::gpu::GpuExecutor;
use retrograd::kernel::{Capabilities, Kernel, Loads, SPREAD, ScanForm, Tile, Values, Variant, linear_grid};
use retrograd::kernels::scan::forward;
use retrograd::kernels::{carry_state, gather, gather_backward, loss, matmul, optimizer, pack, part_sum, row_sum, transpose};
use retrograd::layout::Program;
use retrograd::recording::Recording;
use std::collections::BTreeMap;

/// Widths of a matmul workgroup, in invocations along the columns.
const WIDTHS: [u32; 2] = [8, 32];

/// The variants of a kernel to test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forms {
    /// A single variant.
    Plain,
    /// Every subgroup width.
    Widths,
    /// Every tile and width of `Capabilities::matmul`, and the staged forms.
    Matmul,
    /// Every tile of recurrences with a sliced inner dimension, in some widths.
    Step(Recurrence),
    /// Every tile of `Capabilities::scan` that fits the adapter.
    Scan(Recurrence),
    /// Every tile of recurrences that hold weights, in some widths and with some blocks held.
    Held(Recurrence),
}

/// The sizes of a recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recurrence {
    /// Padded units.
    pub(super) hidden: u32,
    /// B.
    pub(super) lanes: u32,
    /// Results of the product per unit.
    pub(super) columns: u32,
    /// Values per unit that the product sums over.
    pub(super) inners: u32,
}

impl Recurrence {
    /// The variant that an adapter chooses.
    fn variant(self, c: &Capabilities) -> Variant {
        c.scan_variant(self.hidden, self.lanes, self.columns, self.inners)
    }
}

/// The words of every slot after a run.
pub(super) type After = BTreeMap<Slot, Vec<u32>>;

/// Records the dispatches of a case for an executor.
pub(super) type Record<'a> = &'a dyn Fn(&mut Recording, &Capabilities);

/// Runs a case in all forms and compares.
pub(super) fn check(what: &str, case: &Case, forms: Forms, values: &Values, record: Record<'_>) {
    assert!(case.contents.values().any(|c| c.wants.iter().any(|w| w.is_output())), "{what}: nothing is compared");
    check_with(what, case, forms, values, record, &|_, _| {});
}

/// Like [`check`], with an additional look at all words.
pub(super) fn check_with(what: &str, case: &Case, forms: Forms, values: &Values, record: Record<'_>, look: &dyn Fn(&str, &After)) {
    for threads in 1..=3 {
        let program = program(case, record, &cpu::capabilities(), false);
        let mut executor = CpuExecutor::new(program, threads).expect("a CPU executor");
        run(&format!("{what}, CPU, threads {threads}"), case, &mut executor, values, look);
    }
    if without_gpu() {
        return;
    }
    for (name, capabilities) in variants(forms) {
        for folded in [false, true] {
            // One variant is enough to test a folded grid.
            if folded && (capabilities.matmul.tile != Tile::T8x8 || matches!(forms, Forms::Scan(_) | Forms::Held(_) | Forms::Step(_))) {
                continue;
            }
            let program = program(case, record, &capabilities, folded);
            let mut executor = GpuExecutor::new(gpu(), program).expect("a GPU executor");
            let grid = if folded { ", folded grid" } else { "" };
            run(&format!("{what}, GPU{name}{grid}"), case, &mut executor, values, look);
        }
    }
}

/// The forms of a kernel on this adapter, with their names.
fn variants(forms: Forms) -> Vec<(String, Capabilities)> {
    let base = gpu().capabilities;
    let subgroups = gpu().info.features.contains(&"subgroups") && gpu().info.subgroup[0].is_multiple_of(SPREAD);
    if !subgroups && matches!(forms, Forms::Matmul | Forms::Scan(_)) {
        skip("forms that load over a subgroup, which the adapter has not got");
    }
    let ways = if subgroups { vec![Loads::Each, Loads::Spread] } else { vec![Loads::Each] };
    let pairs = |tiles: &'static [Tile]| tiles.iter().copied().flat_map(|tile| ways.iter().map(move |&loads| (tile, loads))).filter(|(t, l)| t.allows(*l));
    let staged = [(Tile::T8x8, 16), (Tile::T8x8, 8), (Tile::T4x4, 16), (Tile::T4x4, 8)].map(|(tile, side)| Variant {
        tile,
        loads: Loads::Staged(side),
        width: side * side,
    });
    let tiled = || {
        pairs(&Tile::MATMUL)
            // Other loads and tall tiles need no second width: shaders take long to compile.
            .flat_map(|(tile, loads)| WIDTHS.map(|width| Variant { tile, loads, width }))
            .filter(|v| v.width == WIDTHS[0] || (v.loads == Loads::Each && v.tile.rows() <= 16))
            .filter(|v| v.width * v.tile.rows() * v.tile.cols() * 4 <= base.workgroup_bytes && v.width <= base.workgroup_invocations)
    };
    let named = |v: Variant| (format!(" {v}"), Capabilities { matmul: v, ..base });
    let found: Vec<_> = match forms {
        Forms::Plain => vec![(String::new(), base)],
        Forms::Widths => WIDTHS.map(|width| named(Variant { width, ..base.matmul })).into(),
        Forms::Matmul => tiled().chain(staged).map(named).collect(),
        Forms::Step(r) => Tile::SLICED
            .into_iter()
            .flat_map(|tile| [(64, 8), (32, 16), (96, 4)].map(|(width, across)| Variant { tile, loads: Loads::Sliced(across), width }))
            .filter(|v| 16 * v.width * v.tile.rows() * r.columns <= base.workgroup_bytes)
            .map(named)
            .collect(),
        Forms::Held(r) => Tile::SLICED
            .into_iter()
            .flat_map(|tile| [(64, 0), (128, 1), (256, 3)].map(|(width, blocks)| ScanForm { tile, loads: Loads::Held(blocks), width }))
            .map(|form| Capabilities { scans: Some([[form; 2]; 4]), ..base })
            .map(|c| (format!(" {}", r.variant(&c)), c))
            .filter(|(_, c)| matches!(r.variant(c).loads, Loads::Held(_)))
            .collect(),
        Forms::Scan(r) => pairs(if r.columns > 1 { &Tile::SLICED } else { &Tile::SCAN })
            .map(|(tile, loads)| (format!(" {tile} {loads}"), Capabilities { scan: tile, scan_loads: loads, ..base }))
            .filter(|(_, c)| Recurrence { lanes: 1, ..r }.variant(c).tile == c.scan)
            .collect(),
    };
    assert!(!found.is_empty(), "{} holds no variant of {forms:?}", gpu().info);
    found
}

fn program(case: &Case, record: Record<'_>, capabilities: &Capabilities, folded: bool) -> Program {
    let mut recording = Recording::new("case");
    record(&mut recording, capabilities);
    for dispatch in &mut recording.dispatches {
        if let Some(twin) = FOLDED.iter().find(|k| folded && k.name == dispatch.kernel.name) {
            dispatch.kernel = twin;
        }
    }
    Program::new(case.arena.clone(), vec![recording], capabilities.binding_bytes)
}

fn run(what: &str, case: &Case, executor: &mut dyn Executor, values: &Values, look: &dyn Fn(&str, &After)) {
    for (&slot, content) in &case.contents {
        executor.upload(slot, 0, &content.words).expect("an upload");
    }
    executor.run(0, values).unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut after = After::new();
    for (&slot, content) in &case.contents {
        let mut words = vec![0; content.words.len()];
        executor.download(slot, 0, &mut words).unwrap_or_else(|e| panic!("{what}: {e}"));
        compare(&format!("{what}, {}", case.arena.name(slot)), &content.words, &words, &content.wants);
        after.insert(slot, words);
    }
    look(what, &after);
}

/// Kernels whose grid is folded into two dimensions beyond 65,535 workgroups, here folded at any size: so small cases show that they
/// work in such a grid and leave the surplus workgroups idle.
static FOLDED: [Kernel; 14] = [
    folded(&carry_state::KERNEL, |a, v| fold((carry_state::KERNEL.grid)(a, v))),
    folded(&gather::KERNEL, |a, v| fold((gather::KERNEL.grid)(a, v))),
    folded(&gather_backward::KERNEL, |a, v| fold((gather_backward::KERNEL.grid)(a, v))),
    folded(&forward::KERNELS[1][3], |a, v| fold((forward::KERNELS[1][3].grid)(a, v))),
    folded(&forward::KERNELS[2][3], |a, v| fold((forward::KERNELS[2][3].grid)(a, v))),
    folded(&loss::KERNEL, |a, v| fold((loss::KERNEL.grid)(a, v))),
    folded(&matmul::KERNEL, |a, v| fold((matmul::KERNEL.grid)(a, v))),
    folded(&matmul::STAGED, |a, v| fold((matmul::STAGED.grid)(a, v))),
    folded(&optimizer::KERNEL, |a, v| fold((optimizer::KERNEL.grid)(a, v))),
    folded(&pack::KERNEL, |a, v| fold((pack::KERNEL.grid)(a, v))),
    folded(&pack::UNPACK, |a, v| fold((pack::UNPACK.grid)(a, v))),
    folded(&part_sum::KERNEL, |a, v| fold((part_sum::KERNEL.grid)(a, v))),
    folded(&row_sum::KERNEL, |a, v| fold((row_sum::KERNEL.grid)(a, v))),
    folded(&transpose::KERNEL, |a, v| fold((transpose::KERNEL.grid)(a, v))),
];

const fn folded(kernel: &Kernel, grid: fn(&[u32], Variant) -> [u32; 3]) -> Kernel {
    Kernel { grid, ..*kernel }
}

fn fold([x, y, z]: [u32; 3]) -> [u32; 3] {
    [x.div_ceil(2), 2 * y, z]
}

#[test]
#[should_panic(expected = "nothing is compared")]
fn a_case_without_outputs_fails() {
    let mut case = Case::new(1);
    let m = case.matrix("x", 1, 1);
    case.want(m.slot, m.offset, Want::Free);
    check("empty", &case, Forms::Plain, &Values::default(), &|_, _| {});
}

#[test]
fn a_grid_reaches_every_workgroup_within_the_limits() {
    for groups in [0, 1, 65_535, 65_536, 1_000_001, u32::MAX / 64] {
        let [x, y, z] = linear_grid(groups);
        assert!(x <= 65_535 && y <= 65_535 && z == 1, "{groups}");
        assert!((u64::from(groups)..u64::from(groups) + 65_536).contains(&(u64::from(x) * u64::from(y))), "{groups}");
    }
}
