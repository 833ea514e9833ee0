//! The mean of random truncation is the full gradient, and the test detects three ways to get that wrong.
//!
//! A draw is a pass over the whole text with its own cuts; draws are independent. Per tensor and direction, the mean over draws is
//! compared with the full gradient in units of its standard error, z. If long lags carried little of the gradient, any truncation would be
//! nearly unbiased and the test would prove nothing; so the net is one where they carry much, which a test checks.

mod net;

use net::{config, parameters};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use retrograd::analysis::gradcheck::in_reference;
use retrograd::data::{Batch, Kind, Lanes, Sequences, Symbols, Text};
use retrograd::device::Device;
use retrograd::engine::Engine;
use retrograd::estimate::Estimator;
use retrograd::feed::Source;
use retrograd::model::{Cell, Tensor};
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::plan::Plan;
use retrograd::reference::{self, Net, Phi, Read, Targets, Window};
use retrograd::truncation::{Draw, Truncation};
use std::sync::Arc;

/// H, and the number of positions that a memory of `r` passes through.
const HIDDEN: usize = 7;
/// Steps from `r` to the step at which it is read out, to predict `b`.
const GAP: usize = 6;
/// A sequence with its separator last: `r` twice, each with a `b` after the step that is GAP steps later.
const SEQUENCE: &str = "aaraaaaaabaraaaaaabaaaa.";
/// The symbols in the order of their indices.
const SYMBOLS: &str = ".abr";
/// Seeds of the draws.
const SEEDS: [u64; 3] = [1, 2, 3];
/// Largest standard error, relative to the gradient's norm.
const MOST_ERROR: f64 = 0.02;
/// Draws from this number on are used only to find the bias of unweighted truncation.
const OTHER_DRAWS: u64 = 1 << 20;

const DEVICE: Device = Device::Cpu { threads: 1 };

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

fn difference(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x - y).collect()
}

/// Two ways to read a text.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    /// Lanes with common cuts.
    Stream,
    /// Sequences with their own cuts.
    Sequences,
}

impl Layout {
    /// Steps per lane or sequence, and their number. The lanes of the stream begin at four places of a sequence.
    fn sizes(self) -> (u32, u32) {
        if self == Layout::Stream { (54, 4) } else { (SEQUENCE.len() as u32, 48) }
    }

    fn scored(self) -> f64 {
        let (steps, lanes) = self.sizes();
        f64::from(steps * lanes)
    }

    /// The text starts with a separator, so that lane or sequence i reads the symbols from number i * steps on.
    fn symbols(self) -> Arc<Symbols> {
        let text = format!(".{}", SEQUENCE.repeat(self.scored() as usize / SEQUENCE.len()));
        let symbols = Symbols::new(Text::given("text", text), Kind::Characters).unwrap();
        assert_eq!(symbols.vocabulary().symbols().concat(), SYMBOLS);
        Arc::new(symbols)
    }

    fn estimator(self, cell: Cell, truncation: Truncation, seed: u64) -> Estimator {
        let symbols = self.symbols();
        let source = match self {
            Layout::Stream => Source::Stream(Lanes::new(symbols.clone(), 0..symbols.len(), 4).unwrap()),
            Layout::Sequences => Source::Sequences(Sequences::new(symbols, ".").unwrap()),
        };
        let lanes = if self == Layout::Stream { 4 } else { 24 };
        Estimator::new(&DEVICE, config(cell), &parameters(cell), source, truncation, lanes, seed).unwrap()
    }

    /// Steps from cut to cut, per lane or sequence.
    fn lengths(self, truncation: Truncation, draw: Draw) -> Vec<Vec<u32>> {
        let (steps, lanes) = self.sizes();
        if self == Layout::Sequences {
            return (0..lanes).map(|i| truncation.cuts(steps, i, draw).lengths()).collect();
        }
        let (mut from, mut lengths) = (0, Vec::new());
        while from < steps {
            let w = truncation.window(from, steps, draw).steps;
            lengths.push(w.end - w.start);
            from = w.end;
        }
        vec![lengths; lanes as usize]
    }

    /// The whole text as one window without cuts.
    fn whole(self) -> Batch {
        let (steps, lanes) = self.sizes();
        let symbols = self.symbols();
        let mut read = vec![0; symbols.len() as usize];
        symbols.read(0, &mut read).unwrap();
        let at = |shift: u32| (0..steps * lanes).map(|i| read[(i % lanes * steps + i / lanes + shift) as usize]).collect();
        let edge = (0..steps * lanes).map(|i| f32::from(u8::from(i >= lanes))).collect::<Vec<f32>>();
        Batch { lanes, tokens: at(0), targets: at(1), keep: edge.clone(), xi: edge, weights: vec![1.0; (steps * lanes) as usize], ..Batch::default() }
    }
}

/// Scaling of the steps between two cuts, right or wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scaling {
    /// Each step's edge has the scale of the strategy, 1/PI.
    Right,
    /// Wrong: the loss divided by the window's own length instead of one constant (times the mean length, so that only this is wrong).
    OwnLength,
    /// Wrong: xi = 1 at the steps, and the whole window's gradient times the product of their scales.
    WholeWindow,
    /// Wrong: xi = 1 at the steps, and nothing for it.
    Unweighted,
}

/// Estimates by one pass over the whole text with the cuts of a draw. A gradient is linear in the loss weights, and a window contributes
/// only through its own losses: so a factor on a window is a weight on its steps.
struct Sweep {
    engine: Engine,
    given: Batch,
    layout: Layout,
    truncation: Truncation,
    scaling: Scaling,
}

impl Sweep {
    fn new(cell: Cell, layout: Layout, truncation: Truncation, scaling: Scaling) -> Self {
        let (steps, lanes) = layout.sizes();
        let plan = Plan::with(config(cell).dims(lanes), steps, steps, false);
        let mut engine = Engine::new(&DEVICE, config(cell), plan, &Optimizer::Sgd { momentum: 0.0 }.update(Clip::None)).unwrap();
        engine.set_parameters(&parameters(cell)).unwrap();
        Sweep { engine, given: layout.whole(), layout, truncation, scaling }
    }

    fn estimate(&mut self, draw: Draw) -> Vec<f32> {
        let (steps, lanes) = self.layout.sizes();
        let mean = self.truncation.expected_window(steps);
        for (lane, lengths) in self.layout.lengths(self.truncation, draw).iter().enumerate() {
            let mut t = 0;
            for &length in lengths {
                let weight = match self.scaling {
                    Scaling::OwnLength => (mean / f64::from(length)) as f32,
                    Scaling::WholeWindow => (1..length).map(|d| self.truncation.xi(d)).product(),
                    Scaling::Right | Scaling::Unweighted => 1.0,
                };
                for d in 0..length {
                    let i = ((t + d) * lanes) as usize + lane;
                    let scaled = matches!(self.scaling, Scaling::Right | Scaling::OwnLength);
                    self.given.xi[i] = if scaled || d == 0 { self.truncation.xi(d) } else { 1.0 };
                    self.given.weights[i] = weight;
                }
                t += length;
            }
        }
        let given = &self.given;
        self.engine.gradient(0..steps, |places, range| given.inputs(places, range), self.layout.scored()).unwrap();
        self.engine.gradients().unwrap()
    }
}

fn wide(tensor: &Tensor, flat: &[f32]) -> Vec<f64> {
    tensor.extract(flat).iter().map(|&x| f64::from(x)).collect()
}

/// Sums over draws of the differences between one tensor's estimates and its full gradient.
struct Tally {
    tensor: Tensor,
    full: Vec<f64>,
    /// Unit vectors.
    directions: Vec<Vec<f64>>,
    draws: f64,
    /// Per element, then per direction: the sum and the sum of squares.
    sums: Vec<[f64; 2]>,
}

impl Tally {
    /// `bias` is the mean of unweighted truncation minus the full gradient.
    fn new(tensor: Tensor, full: &[f32], bias: &[f64]) -> Self {
        let full = wide(&tensor, full);
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(tensor.offset));
        let mut directions = vec![full.clone(), bias.to_vec()];
        directions.extend((0..8).map(|_| full.iter().map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>()));
        for u in &mut directions {
            let length = norm(u);
            u.iter_mut().for_each(|x| *x /= length);
        }
        let sums = vec![[0.0; 2]; full.len() + directions.len()];
        Tally { tensor, full, directions, draws: 0.0, sums }
    }

    fn add(&mut self, flat: &[f32]) {
        let off = difference(&wide(&self.tensor, flat), &self.full);
        let along = self.directions.iter().map(|u| dot(&off, u));
        for (sum, x) in self.sums.iter_mut().zip(off.iter().copied().chain(along)) {
            *sum = [sum[0] + x, sum[1] + x * x];
        }
        self.draws += 1.0;
    }

    /// Mean and squared standard error.
    fn mean(&self, [sum, squares]: [f64; 2]) -> (f64, f64) {
        let mean = sum / self.draws;
        (mean, (squares / self.draws - mean * mean) / (self.draws - 1.0))
    }

    /// The standard error of all elements together, relative to the gradient's norm.
    fn error(&self) -> f64 {
        self.sums[..self.full.len()].iter().map(|s| self.mean(*s).1).sum::<f64>().sqrt() / norm(&self.full)
    }

    fn z(&self) -> Vec<f64> {
        let z = |s: &[f64; 2]| {
            let (mean, square) = self.mean(*s);
            mean / square.sqrt()
        };
        self.sums[self.full.len()..].iter().map(z).collect()
    }
}

/// The tensors that truncation affects: those of the recurrence, which come first. The head's gradients have lag 0 only.
fn recurrence(cell: Cell) -> Vec<Tensor> {
    config(cell).tensors().into_iter().filter(|t| !t.name.ends_with('y')).collect()
}

/// The reference for draws: the full gradient, and the bias of unweighted truncation.
struct Target {
    cell: Cell,
    full: Vec<f32>,
    bias: Vec<Vec<f64>>,
}

impl Target {
    fn new(cell: Cell, layout: Layout, truncation: Truncation, seed: u64, draws: u64) -> Self {
        let full = layout.estimator(cell, Truncation::Full, 0).estimate(0).unwrap().gradients;
        let mut sweep = Sweep::new(cell, layout, truncation, Scaling::Unweighted);
        let mut sum = vec![0.0; full.len()];
        for draw in 0..draws {
            let g = sweep.estimate(Draw { seed, epoch: OTHER_DRAWS + draw });
            sum.iter_mut().zip(g.iter().zip(&full)).for_each(|(s, (g, f))| *s += g - f);
        }
        let bias = recurrence(cell).iter().map(|t| wide(t, &sum)).collect();
        Target { cell, full, bias }
    }

    fn tally(&self, draws: u64, mut estimate: impl FnMut(u64) -> Vec<f32>) -> Vec<Tally> {
        let mut tallies: Vec<Tally> = recurrence(self.cell).into_iter().zip(&self.bias).map(|(t, b)| Tally::new(t, &self.full, b)).collect();
        for draw in 0..draws {
            let g = estimate(draw);
            tallies.iter_mut().for_each(|t| t.add(&g));
        }
        tallies
    }
}

fn assert_near(what: &str, found: &[f64], expected: &[f64], bound: f64) {
    let error = norm(&difference(found, expected)) / norm(expected);
    assert!(error <= bound, "{what}: off by {error:e}");
}

/// The largest factor by which W lengthens a vector, by iterating W W^T.
fn spectral_norm(w: &[f64]) -> f64 {
    let mut x = vec![1.0; HIDDEN];
    let mut length = 0.0;
    for _ in 0..100 {
        let y: Vec<f64> = (0..HIDDEN).map(|j| (0..HIDDEN).map(|i| x[i] * w[i * HIDDEN + j]).sum()).collect();
        length = norm(&y) / norm(&x);
        x = w.chunks_exact(HIDDEN).map(|row| dot(row, &y)).collect();
    }
    length
}

/// `full` is right, and truncation matters: steps contract by about a half, and yet at least a fifth of the gradient (of dW_hh, for cells with gates)
/// has lags of 5 steps and more, which `regular:1,5` leaves out.
#[test]
fn long_lags_carry_a_fifth_of_the_gradient() {
    for cell in Cell::ALL {
        let flat = parameters(cell);
        let tensors = config(cell).tensors();
        let params: Vec<Vec<f64>> = tensors.iter().map(|t| wide(t, &flat)).collect();
        if cell == Cell::Rnn {
            let contraction = spectral_norm(&params[1]);
            assert!((0.4..=0.6).contains(&contraction), "{contraction}");
        }
        for layout in [Layout::Stream, Layout::Sequences] {
            assert!(layout.sizes().0 >= 24);
            let gradient = |truncation| {
                let mut estimator = layout.estimator(cell, truncation, 0);
                let flat = estimator.estimate(0).unwrap().gradients;
                tensors.iter().map(|t| wide(t, &flat)).collect::<Vec<_>>()
            };
            let (full, short) = (gradient(Truncation::Full), gradient(Truncation::Overlapping { k1: 1, k2: 5 }));
            // Where units are small, dW_xh is larger than dW_hh, and its lags are short.
            let of = |g: &[Vec<f64>]| if cell == Cell::Rnn { g.concat() } else { g[1].clone() };
            let share = norm(&difference(&of(&full), &of(&short))) / norm(&of(&full));
            println!("{cell}, {layout:?}: {share:.2} has lags of 5 steps and more");
            assert!(share >= 0.2, "{cell}, {layout:?}: {share}");
            for ((t, found), expected) in tensors.iter().zip(&full).zip(&by_reference(cell, layout, &params)) {
                assert_near(&format!("{cell}, {layout:?}, {}", t.name), found, expected, 1e-4);
            }
        }
    }
}

/// The reference's gradient over the whole text.
fn by_reference(cell: Cell, layout: Layout, params: &Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let (steps, lanes) = layout.sizes();
    let of = in_reference(cell);
    let net = Net { cell: of, phi: Phi::Identity, ..Net::symbols(SYMBOLS.len(), HIDDEN, 1) };
    let (given, zeros) = (layout.whole(), [vec![0.0; lanes as usize * of.states() * HIDDEN]]);
    let [keep, xi, weights] = [&given.keep, &given.xi, &given.weights].map(|x| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>());
    let (read, targets) = (Read::Symbols(&given.tokens), Targets::Classes(&given.targets));
    let window = Window { steps: steps as usize, read, targets, factors: &[], keep: &keep, xi: &xi, weights: &weights, n: layout.scored() };
    reference::backward(&net, params, &window, &zeros, &zeros).gradients
}

/// Proves that a strategy is unbiased, and that a bias would be detected.
fn prove(cell: Cell, layout: Layout, truncation: &str, draws: u64, seeds: &[u64]) {
    let truncation: Truncation = truncation.parse().unwrap();
    let (tensors, recurrent) = (config(cell).tensors(), recurrence(cell).len());
    for &seed in seeds {
        let what = format!("{cell}, {layout:?}, {truncation}, seed {seed}");
        let target = Target::new(cell, layout, truncation, seed, draws / 4);
        let mut estimator = layout.estimator(cell, truncation, seed);
        let mut right = Sweep::new(cell, layout, truncation, Scaling::Right);
        let tallies = target.tally(draws, |draw| {
            let g = estimator.estimate(draw).unwrap().gradients;
            for t in &tensors[recurrent..] {
                assert_near(&format!("{what}, {}, which no cut reaches", t.name), &wide(t, &g), &wide(t, &target.full), 1e-5);
            }
            // So the mistakes below differ from the tested code only in the mistake.
            if draw < 3 {
                let sweep = right.estimate(Draw { seed, epoch: draw });
                for t in &tensors {
                    assert_near(&format!("{what}, {}, by windows and in one pass", t.name), &wide(t, &g), &wide(t, &sweep), 1e-5);
                }
            }
            g
        });
        for t in &tallies {
            let (error, z, name) = (t.error(), t.z(), &t.tensor.name);
            println!("{what}, {name}: standard error {error:.4}, z {z:.1?}");
            assert!(error <= MOST_ERROR, "{what}, {name}: a standard error of {error:.4} of the gradient proves little; more draws are needed");
            assert!(z.iter().all(|z| z.abs() <= 4.0), "{what}, {name}: z {z:.1?}");
        }
        find_mistakes(&what, &target, |scaling| Sweep::new(cell, layout, truncation, scaling), draws, seed);
    }
}

/// With the same number of draws, each planted mistake is far beyond chance.
fn find_mistakes(what: &str, target: &Target, sweep: impl Fn(Scaling) -> Sweep, draws: u64, seed: u64) {
    for scaling in [Scaling::OwnLength, Scaling::WholeWindow, Scaling::Unweighted] {
        let mut sweep = sweep(scaling);
        let tallies = target.tally(draws, |draw| sweep.estimate(Draw { seed, epoch: draw }));
        let z = tallies.iter().flat_map(Tally::z).fold(0.0, |most: f64, z| most.max(z.abs()));
        println!("{what}, {scaling:?}: |z| up to {z:.1}");
        if scaling == Scaling::WholeWindow && sweep.truncation == Truncation::Random(0.5) {
            // Windows of n steps are 2^-n of all and are multiplied by 2^(n-1): the variance grows as 2^T, and the longest window among
            // the draws decides z: 2 to 14 by chance. The standard error always shows it.
            let least = tallies.iter().map(Tally::error).fold(f64::INFINITY, f64::min);
            assert!(least > 25.0 * MOST_ERROR, "{what}, {scaling:?}: a standard error of {least:.3}");
            continue;
        }
        assert!(z > 8.0, "{what}, {scaling:?}: |z| is only {z:.1}");
    }
}

#[test]
fn random_half_on_a_stream() {
    prove(Cell::Rnn, Layout::Stream, "random:0.5", 2500, &SEEDS);
}

#[test]
fn random_half_on_sequences() {
    prove(Cell::Rnn, Layout::Sequences, "random:0.5", 400, &SEEDS);
}

#[test]
fn random_nine_tenths_on_a_stream() {
    prove(Cell::Rnn, Layout::Stream, "random:0.9", 2000, &SEEDS);
}

#[test]
fn random_nine_tenths_on_sequences() {
    prove(Cell::Rnn, Layout::Sequences, "random:0.9", 400, &SEEDS);
}

#[test]
fn random_tail_on_a_stream() {
    prove(Cell::Rnn, Layout::Stream, "random-tail:8,4", 2000, &SEEDS);
}

#[test]
fn random_tail_on_sequences() {
    prove(Cell::Rnn, Layout::Sequences, "random-tail:8,4", 400, &SEEDS);
}

/// The strategies do not know the cell: one seed, and a stream for one of them.
fn prove_gated(cell: Cell) {
    prove(cell, Layout::Stream, "random-tail:8,4", 2000, &SEEDS[..1]);
    for (truncation, draws) in [("random:0.5", 800), ("random:0.9", 400), ("random-tail:8,4", 400)] {
        prove(cell, Layout::Sequences, truncation, draws, &SEEDS[..1]);
    }
}

#[test]
fn random_windows_of_a_gru() {
    prove_gated(Cell::Gru);
}

#[test]
fn random_windows_of_an_lstm() {
    prove_gated(Cell::Lstm);
}
