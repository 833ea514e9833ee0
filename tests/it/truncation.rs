//! Truncation strategies: which are equal bit for bit, where gradients stop, and the sums, written out naively.

use crate::devices::{both, cpu};
use retrograd::analysis::gradcheck::{in_reference, relative_error};
use retrograd::data::{Batch, Kind, Lanes, Sequence, Sequences, Symbols, Text};
use retrograd::device::Device;
use retrograd::engine::Engine;
use retrograd::estimate::Estimator;
use retrograd::feed::Source;
use retrograd::model::{Activation, Cell, Config, Init};
use retrograd::optimizer::{Clip, Optimizer};
use retrograd::plan::Plan;
use retrograd::reference::{self, Net, Phi, Tensors, Window};
use retrograd::trainer::{Corpus, Settings, Trainer};
use retrograd::truncation::{Draw, Truncation};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Lines of 2 to 23 letters.
fn symbols() -> Arc<Symbols> {
    let line = |i: usize| "abcdefghij".chars().cycle().skip(i * i % 7).step_by(i % 3 + 1).take(i * 5 % 22 + 1).chain(['\n']).collect::<String>();
    let text: String = (0..24).map(line).collect();
    Arc::new(Symbols::new(Text::given("lines", text), Kind::Characters).unwrap())
}

fn settings(truncation: Truncation) -> Settings {
    of_cell(Cell::Rnn, truncation)
}

fn of_cell(cell: Cell, truncation: Truncation) -> Settings {
    Settings::default().cell(cell).init(Init::Xavier).hidden(9).batch(3).truncation(truncation).val_fraction(0.0)
}

/// Parameters after some updates, as bits.
fn trained(device: &Device, cell: Cell, truncation: Truncation, separator: Option<&str>) -> Vec<u32> {
    let settings = of_cell(cell, truncation);
    let corpus = Corpus::new(symbols(), separator, &settings).unwrap();
    let mut trainer = Trainer::new(device, corpus, settings).unwrap();
    (0..5).for_each(|_| trainer.step().unwrap());
    trainer.engine.parameters().unwrap().iter().map(|x| x.to_bits()).collect()
}

#[test]
fn strategies_that_cut_nothing_equal_the_full_gradient_to_the_bit() {
    for (device, cell) in both().iter().flat_map(|d| Cell::ALL.map(|cell| (d, cell))) {
        for separator in [None, Some("\n")] {
            let train = |text: &str| trained(device, cell, text.parse().unwrap(), separator);
            let full = train("full");
            for text in ["regular:100", "regular:1000000", "regular:100,100", "random:1"] {
                assert!(train(text) == full, "{device}, {cell}, {text}, {separator:?}: bits differ");
            }
            let two = ["regular:4", "regular:4,4"].map(train);
            assert!(two[0] == two[1] && two[0] != full, "{device}, {cell}, {separator:?}: bits differ");
        }
    }
}

fn config(bias: bool, activation: Activation, vocab: u32) -> Config {
    Config { hidden: 6, layers: 1, activation, bias, ..Config::symbols(vocab) }
}

fn net(c: &Config) -> Net {
    let phi = if c.activation == Activation::Tanh { Phi::Tanh } else { Phi::Identity };
    Net { cell: in_reference(c.cell), phi, bias: c.bias, ..Net::symbols(c.outputs() as usize, c.hidden as usize, c.layers as usize) }
}

fn wide(c: &Config, flat: &[f32]) -> Tensors {
    c.tensors().iter().map(|t| t.extract(flat).iter().map(|&x| f64::from(x)).collect()).collect()
}

/// Gradient of the losses of steps `scored` over steps `steps` of one lane, from a state, cut at its start; with the state after.
fn naive(net: &Net, params: &Tensors, tokens: &[u32], steps: Range<usize>, scored: Range<usize>, state: &[Vec<f64>], n: f64) -> reference::Backward {
    let xi: Vec<f64> = steps.clone().map(|t| f64::from(u8::from(t > steps.start))).collect();
    scaled(net, params, tokens, steps, scored, state, &xi, n)
}

/// The same with a given scale of each step's edge.
fn scaled(
    net: &Net,
    params: &Tensors,
    tokens: &[u32],
    steps: Range<usize>,
    scored: Range<usize>,
    state: &[Vec<f64>],
    xi: &[f64],
    n: f64,
) -> reference::Backward {
    let flag = |b: bool| f64::from(u8::from(b));
    let keep: Vec<f64> = steps.clone().map(|t| flag(t > 0)).collect();
    let weights: Vec<f64> = steps.clone().map(|t| flag(scored.contains(&t))).collect();
    let window = Window {
        steps: steps.len(),
        read: retrograd::reference::Read::Symbols(&tokens[steps.clone()]),
        targets: retrograd::reference::Targets::Classes(&tokens[steps.start + 1..=steps.end]),
        keep: &keep,
        xi,
        weights: &weights,
        factors: &[],
        n,
    };
    reference::backward(net, params, &window, state, &zero(net))
}

fn zero(net: &Net) -> Vec<Vec<f64>> {
    vec![vec![0.0; wide_state(net)]; net.layers]
}

/// Values in a lane's state: h, or h and c.
fn wide_state(net: &Net) -> usize {
    net.cell.states() * net.hidden
}

fn add(sum: &mut Tensors, more: &Tensors) {
    sum.iter_mut().zip(more).for_each(|(s, m)| s.iter_mut().zip(m).for_each(|(s, m)| *s += m));
}

/// The truncated double sum: for every block of K1 losses, the part that reaches back to the start of the K2 steps that end with it.
fn double_sum(net: &Net, params: &Tensors, tokens: &[u32], k1: usize, k2: usize, n: f64) -> Tensors {
    let len = tokens.len() - 1;
    let mut sum: Tensors = params.iter().map(|p| vec![0.0; p.len()]).collect();
    for from in (0..len).step_by(k1) {
        let start = (from + k1).saturating_sub(k2);
        let before = naive(net, params, tokens, 0..start.max(1), 0..0, &zero(net), n);
        let state = if start == 0 { zero(net) } else { before.state };
        let end = (from + k1).min(len);
        add(&mut sum, &naive(net, params, tokens, start..end, from..end, &state, n).gradients);
    }
    sum
}

/// `regular:1,TAU` is the textbook's sum truncated after TAU terms, on a stream and on sequences; so are its other forms.
#[test]
fn overlapping_windows_equal_the_double_sum_written_out() {
    for (device, cell) in both().iter().flat_map(|d| Cell::ALL.map(|cell| (d, cell))) {
        let text = Passages::new(cell);
        for (k1, k2) in [(1, 1), (1, 5), (2, 5), (3, 7), (4, 8), (1, 200), (7, 7)] {
            let sum = |_, own: &[u32], n| double_sum(&text.net, &text.params, own, k1, k2, n);
            text.check(device, format!("regular:{k1},{k2}").parse().unwrap(), 0, &sum, &sum);
        }
    }
}

/// The other strategies are one backward pass with their scales and cuts, random ones as they are drawn.
#[test]
fn windows_equal_the_sum_with_their_cuts_written_out() {
    for (device, cell) in both().iter().flat_map(|d| Cell::ALL.map(|cell| (d, cell))) {
        let text = Passages::new(cell);
        for strategy in ["full", "regular:4", "regular:7", "random:0.5", "random:0.9", "random-tail:8,4"] {
            let truncation: Truncation = strategy.parse().unwrap();
            for epoch in 0..if truncation.is_random() { 3 } else { 1 } {
                let draw = Draw { seed: 0, epoch };
                let one = |own: &[u32], lengths: &[u32], n| {
                    let xi: Vec<f64> = lengths.iter().flat_map(|l| (0..*l).map(|d| f64::from(truncation.xi(d)))).collect();
                    scaled(&text.net, &text.params, own, 0..xi.len(), 0..xi.len(), &zero(&text.net), &xi, n).gradients
                };
                let lane = |_, own: &[u32], n| {
                    let (steps, mut lengths, mut from) = (own.len() as u32 - 1, Vec::new(), 0);
                    while from < steps {
                        let window = truncation.window(from, steps, draw).steps;
                        lengths.push(window.end - window.start);
                        from = window.end;
                    }
                    one(own, &lengths, n)
                };
                let sequence = |i, own: &[u32], n| one(own, &truncation.cuts(own.len() as u32 - 1, i, draw).lengths(), n);
                text.check(device, truncation, epoch, &lane, &sequence);
            }
        }
    }
}

/// The gradient of a lane or sequence, given its number, its symbols and N.
type Sum<'a> = &'a dyn Fn(u32, &[u32], f64) -> Tensors;

/// A model, and a text that it reads as a stream and as sequences.
struct Passages {
    symbols: Arc<Symbols>,
    config: Config,
    flat: Vec<f32>,
    net: Net,
    params: Tensors,
}

impl Passages {
    fn new(cell: Cell) -> Self {
        let symbols = symbols();
        let config = Config { cell, ..config(true, Activation::Tanh, symbols.vocabulary().len()) };
        let flat = Init::Xavier.parameters(&config, 4);
        Passages { net: net(&config), params: wide(&config, &flat), symbols, config, flat }
    }

    /// Compares the estimates over three lanes of 20 steps, and over all sequences, with the sums of what `lane` and `sequence` give.
    fn check(&self, device: &Device, truncation: Truncation, draw: u64, lane: Sum<'_>, sequence: Sum<'_>) {
        let estimate = |source| {
            let mut e = Estimator::new(device, self.config, &self.flat, source, truncation, 3, 0).unwrap();
            wide(&self.config, &e.estimate(draw).unwrap().gradients)
        };
        let compare = |what: &str, found: Tensors, all: Vec<Tensors>| {
            let mut expected: Tensors = self.params.iter().map(|p| vec![0.0; p.len()]).collect();
            all.iter().for_each(|g| add(&mut expected, g));
            for ((t, g), e) in self.config.tensors().iter().zip(&found).zip(&expected) {
                let error = relative_error(g, e);
                assert!(error <= 1e-5, "{device}, {}, {truncation}, {what}: {} is off by {error:e}", self.config.cell, t.name);
            }
        };
        let mut all = vec![0; 61];
        self.symbols.read(0, &mut all).unwrap();
        let found = estimate(Source::Stream(Lanes::new(self.symbols.clone(), 0..61, 3).unwrap()));
        compare("stream", found, (0..3).map(|b| lane(b, &all[b as usize * 20..=b as usize * 20 + 20], 60.0)).collect());
        let sequences = Sequences::new(self.symbols.clone(), "\n").unwrap();
        let (list, n) = (sequences.list().to_vec(), sequences.scored() as f64);
        let own = |(i, s): (u32, &Sequence)| {
            let mut own = vec![self.symbols.vocabulary().index('\n').unwrap(); s.len as usize + 1];
            self.symbols.read(s.start, &mut own[1..]).unwrap();
            sequence(i, &own, n)
        };
        compare("sequences", estimate(Source::Sequences(sequences)), (0..).zip(&list).map(own).collect());
    }
}

/// In training with overlapping windows, the state at the start of the K2 steps is the one from when that step was first reached.
#[test]
fn overlapping_windows_begin_with_states_as_first_reached() {
    let symbols = symbols();
    for (device, cell) in both().iter().flat_map(|d| Cell::ALL.map(|cell| (d, cell))) {
        for (k1, k2) in [(2, 5), (1, 4), (3, 6), (5, 7)] {
            let settings = of_cell(cell, Truncation::Overlapping { k1, k2 }).batch(1).lr(0.5).optimizer(Optimizer::Sgd { momentum: 0.0 }).clip_norm(0.0);
            let mut trainer = Trainer::new(device, Corpus::new(symbols.clone(), None, &settings).unwrap(), settings).unwrap();
            let c = trainer.engine.config;
            let (net, mut params) = (net(&c), wide(&c, &trainer.engine.parameters().unwrap()));
            let mut tokens = vec![0; symbols.len() as usize];
            symbols.read(0, &mut tokens).unwrap();
            let (k1, k2) = (k1 as usize, k2 as usize);
            // The state before step t, as first reached.
            let mut reached = BTreeMap::from([(0, zero(&net))]);
            for u in 0..12 {
                trainer.step().unwrap();
                let (from, end) = (u * k1, (u + 1) * k1);
                let start = end.saturating_sub(k2);
                let back = naive(&net, &params, &tokens, start..end, from..end, &reached[&start], k1 as f64);
                for t in from + 1..=end {
                    let (at, width) = ((t - start) * wide_state(&net), wide_state(&net));
                    reached.insert(t, back.states.iter().map(|s| s[at..at + width].to_vec()).collect());
                }
                params.iter_mut().zip(&back.gradients).for_each(|(p, g)| p.iter_mut().zip(g).for_each(|(p, g)| *p -= 0.5 * g));
            }
            for (t, (p, e)) in c.tensors().iter().zip(wide(&c, &trainer.engine.parameters().unwrap()).iter().zip(&params)) {
                assert!(relative_error(p, e) <= 1e-5, "{device}, {cell}, {k1},{k2}: {} is off by {:e}", t.name, relative_error(p, e));
            }
        }
    }
}

/// One lane of T steps over T + 1 different symbols: row t of dW_xh is then delta_t.
fn distinct(c: &Config, steps: u32, cut: Option<u32>, weights: impl Fn(u32) -> f32) -> Batch {
    let flag = |b: bool| f32::from(u8::from(b));
    assert!(c.outputs() > steps);
    Batch {
        lanes: 1,
        tokens: (0..steps).collect(),
        targets: (1..=steps).collect(),
        keep: (0..steps).map(|t| flag(t > 0)).collect(),
        xi: (0..steps).map(|t| flag(t > 0 && Some(t) != cut)).collect(),
        weights: (0..steps).map(weights).collect(),
        ..Batch::default()
    }
}

fn gradients(device: &Device, c: &Config, flat: &[f32], given: &Batch) -> Tensors {
    let steps = given.tokens.len() as u32;
    let mut engine = Engine::new(device, *c, Plan::with(c.dims(1), steps, 5, false), &Optimizer::Adam.update(Clip::None)).unwrap();
    engine.set_parameters(flat).unwrap();
    engine.gradient(0..steps, |places, range| given.inputs(places, range), 1.0).unwrap();
    wide(c, &engine.gradients().unwrap())
}

#[test]
fn the_gradient_stops_exactly_at_a_cut() {
    let (steps, cut) = (13, 7);
    for (device, cell) in both().iter().flat_map(|d| Cell::ALL.map(|cell| (d, cell))) {
        let c = Config { cell, ..config(true, Activation::Tanh, steps + 1) };
        let flat = Init::Xavier.parameters(&c, 5);
        let given = distinct(&c, steps, Some(cut), |t| f32::from(u8::from(t == 12)));
        let found = gradients(device, &c, &flat, &given);
        let [w_xh, w_hh] = [&found[0], &found[1]];
        for (t, row) in w_xh.chunks(c.tensors()[0].cols as usize).take(steps as usize).enumerate() {
            assert_eq!(row.iter().all(|x| *x == 0.0), t < cut as usize, "{device}, {cell}: input {t}");
            assert!(t < cut as usize || row.iter().all(|x| *x != 0.0), "{device}, {cell}: input {t}");
        }
        // W_hh receives hp_t^T delta_t of the cut step itself.
        let (net, params) = (net(&c), wide(&c, &flat));
        let before = naive(&net, &params, &(0..=steps).collect::<Vec<_>>(), 0..13, 12..13, &zero(&net), 1.0);
        let (h, n, deltas) = (&before.h[0], net.hidden, net.cell.deltas() * net.hidden);
        // Of the blocks r, z, n, q of a GRU, W_hh receives r, z, q.
        let column = |j: usize| if cell == Cell::Gru && j >= 2 * n { j + n } else { j };
        let sum = |from: usize| -> Vec<f64> {
            let cols = net.cell.gates() * n;
            let term = |t: usize, i: usize, j: usize| h[t * n + i] * before.delta[0][t * deltas + column(j)];
            (0..n * cols).map(|x| (from..13).map(|t| term(t, x / cols, x % cols)).sum()).collect()
        };
        assert!(relative_error(w_hh, &sum(cut as usize)) < 1e-5, "{device}, {cell}: W_hh");
        assert!(relative_error(w_hh, &sum(cut as usize + 1)) > 1e-2, "{device}, {cell}: the term of the cut step does not matter here");
    }
}

/// Row vector times matrix.
fn times(x: &[f64], m: &[f64], transposed: bool) -> Vec<f64> {
    let cols = m.len() / x.len();
    let at = |i: usize, j: usize| if transposed { m[j * x.len() + i] } else { m[i * cols + j] };
    (0..cols).map(|j| (0..x.len()).map(|i| x[i] * at(i, j)).sum()).collect()
}

/// With phi = identity and no bias, dL/dh_t = sum over s >= t of (dL/do_s W_hy) (W_hh^T)^(s-t), and h_t is a sum of powers too.
#[test]
fn linear_nets_have_gradients_of_powers() {
    let steps = 11usize;
    let c = config(false, Activation::Identity, steps as u32 + 1);
    let flat = Init::Xavier.parameters(&c, 6);
    let params = wide(&c, &flat);
    let [w_xh, w_hh, w_hy] = [&params[0], &params[1], &params[2]];
    let n = c.hidden as usize;
    let power = |mut x: Vec<f64>, times_: usize, transposed| {
        (0..times_).for_each(|_| x = times(&x, w_hh, transposed));
        x
    };
    let sum = |rows: Vec<Vec<f64>>| (0..n).map(|j| rows.iter().map(|r| r[j]).sum::<f64>()).collect::<Vec<f64>>();
    let h = |t: usize| sum((0..=t).map(|s| power(w_xh[s * n..(s + 1) * n].to_vec(), t - s, false)).collect());
    let g: Vec<Vec<f64>> = (0..steps)
        .map(|t| {
            let logits = times(&h(t), w_hy, true);
            let all: f64 = logits.iter().map(|z| z.exp()).sum();
            let d: Vec<f64> = logits.iter().enumerate().map(|(v, z)| z.exp() / all - f64::from(u8::from(v == t + 1))).collect();
            times(&d, w_hy, false)
        })
        .collect();
    let given = distinct(&c, steps as u32, None, |_| 1.0);
    for device in both() {
        let found = gradients(&device, &c, &flat, &given);
        for (t, row) in found[0].chunks(n).take(steps).enumerate() {
            let expected = sum((t..steps).map(|s| power(g[s].clone(), s - t, true)).collect());
            assert!(relative_error(row, &expected) <= 1e-5, "{device}: dL/dh_{t} is off by {:e}", relative_error(row, &expected));
        }
    }
}

/// Windows of random length are as long as sampled, even beyond what is computed at once.
#[test]
fn random_windows_are_never_capped() {
    let text: String = (0..6000).map(|i| char::from(b'a' + (i * i % 11) as u8)).collect();
    let symbols = Arc::new(Symbols::new(Text::given("long", text), Kind::Characters).unwrap());
    let settings = settings(Truncation::Random(0.999));
    let mut trainer = Trainer::new(&cpu(), Corpus::new(symbols, None, &settings).unwrap(), settings).unwrap();
    while trainer.counters().cursor.epoch < 3 {
        let window = trainer.next_window();
        trainer.step().unwrap();
        assert_eq!(window.n, settings.truncation.expected_window(1999) * 3.0, "N is a constant");
    }
    let c = trainer.counters();
    assert!(c.window_max > trainer.engine.plan.extent.steps && c.window_steps == 3 * 1999 && c.windows == c.updates, "{c:?}");
}
