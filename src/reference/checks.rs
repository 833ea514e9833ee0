//! The gradients of [`super::backward`], derived in two other ways, forward mode and central differences; and the shape checks shared by all three.
#![forbid(unsafe_code)]

use super::{Head, Net, Phi, Read, Targets, Tensors, Window, forward, gated};

/// Panics unless `found` equals `expected`.
fn expect(what: &str, found: usize, expected: usize) {
    assert_eq!(found, expected, "reference: {what}, found and expected");
}

/// Panics unless `tensors` is, per layer, `[B,H]`.
pub(super) fn layers(what: &str, net: &Net, tensors: &[Vec<f64>], lanes: usize) {
    expect(what, tensors.len(), net.layers);
    for layer in tensors {
        expect(what, layer.len(), lanes * net.hidden);
    }
}

/// Checks all shapes and returns B; panics naming the mismatch. `state`: per layer `[B,H]`.
pub(super) fn shapes(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>]) -> usize {
    let sizes = [net.inputs, net.outputs, net.hidden, net.layers];
    assert!(!sizes.contains(&0), "reference: a size is 0 in {net:?}");
    let shapes = net.tensors();
    expect("number of tensors", params.len(), shapes.len());
    for (tensor, (name, [rows, columns])) in params.iter().zip(&shapes) {
        expect(name, tensor.len(), rows * columns);
    }
    let lanes = state.first().map_or(0, Vec::len) / net.hidden;
    layers("state", net, state, lanes);
    let cells = window.steps * lanes;
    expect("keep [T,B]", window.keep.len(), cells);
    expect("xi [T,B]", window.xi.len(), cells);
    expect("weights [T,B]", window.weights.len(), cells);
    assert!(window.n > 0.0, "reference: N must be above 0, found {}", window.n);
    match window.read {
        Read::Numbers(numbers) => expect("numbers [T,B,D]", numbers.len(), cells * net.inputs),
        Read::Symbols(symbols) => {
            expect("symbols [T,B]", symbols.len(), cells);
            assert!(symbols.iter().all(|&x| (x as usize) < net.embedded.unwrap_or(net.inputs)), "reference: a symbol that there is not");
        }
    }
    match window.targets {
        Targets::Numbers(numbers) => expect("targets [T,B,V]", numbers.len(), cells * net.outputs),
        Targets::Classes(classes) => {
            expect("targets [T,B]", classes.len(), cells);
            let bad = classes.iter().zip(window.weights).find(|(y, w)| **w != 0.0 && **y as usize >= net.outputs);
            assert!(bad.is_none(), "reference: a target >= V");
        }
    }
    assert_eq!(matches!(window.targets, Targets::Classes(_)), net.head == Head::Softmax, "reference: the head and its targets");
    assert!(window.factors.is_empty() || window.factors.len() + 1 == net.layers, "reference: factors of every layer but the last");
    for factors in window.factors {
        expect("factors [T,B,H]", factors.len(), cells * net.hidden);
    }
    lanes
}

/// A vector together with its derivative with respect to every parameter.
struct Tangent {
    /// `[W]` its elements
    value: Vec<f64>,
    /// `[W][P]` the derivative of each element with respect to each of the P parameters; an empty row is a constant
    slope: Vec<Vec<f64>>,
}

impl Tangent {
    /// A vector that depends on no parameter.
    fn constant(value: Vec<f64>) -> Tangent {
        let slope = vec![Vec::new(); value.len()];
        Tangent { value, slope }
    }

    /// Each element times a constant factor.
    fn times(&self, factors: Option<&[f64]>) -> Tangent {
        let factor = |j: usize| factors.map_or(1.0, |f| f[j]);
        let value = self.value.iter().enumerate().map(|(j, x)| gated(factor(j), *x)).collect();
        let slope = self.slope.iter().enumerate().map(|(j, row)| row.iter().map(|s| gated(factor(j), *s)).collect()).collect();
        Tangent { value, slope }
    }
}

/// `sum += factor * slope`; does nothing for a constant or a factor of 0. Both `[P]`.
fn add_scaled(sum: &mut [f64], factor: f64, slope: &[f64]) {
    for (total, value) in sum.iter_mut().zip(slope) {
        *total += gated(factor, *value);
    }
}

/// Forward mode, also known as real-time recurrent learning: carries `dh_t/dw` forward in time, separately for each lane.
///
/// With P parameters w, per layer and unit j, the textbook's recurrence taken literally:
///
/// ```text
/// da_j/dw   = partial a_j / partial w                       x_d for w_xh[d,j], hp_i for w_hh[i,j], 1 for b_h[j]
///           + sum_d w_xh[d,j] dx_d/dw                       x: the h of the layer below at the same step; never scaled
///           + keep_t xi_t sum_i w_hh[i,j] dh_{t-1,i}/dw     the edge in time
/// dh_t,j/dw = phi'(a_j) da_j/dw                             dh_0/dw = 0
/// dL/dw     = 1/N sum_{t,b} w_t sum_v dloss/do_v do_t,v/dw    softmax(o_t)_v - [v = y_t], or 2/V (o_v - y_v), or sign(o_v - y_v)/V
/// ```
///
/// If symbols are embedded, x_d itself depends on a parameter; with dropout, x is the h below times its factors, and its slopes likewise.
///
/// `state`: per layer `[B,H]`. Returns the gradients, shapes and order of [`Net::tensors`]. Memory: H P values per layer;
/// time: of the order of `T B layers (2 H^2 + V H) P`.
pub fn forward_mode(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>]) -> Tensors {
    let lanes = shapes(net, params, window, state);
    let mut starts = vec![0];
    for tensor in params {
        starts.push(starts[starts.len() - 1] + tensor.len());
    }
    let mut gradient = vec![0.0; starts[params.len()]];
    let unrolled = Unrolled { net, params, starts };
    for b in 0..lanes {
        let rows = b * net.hidden..(b + 1) * net.hidden;
        let start = |h: &Vec<f64>| Tangent::constant(h[rows.clone()].to_vec());
        let mut h: Vec<Tangent> = state.iter().map(start).collect();
        for t in 0..window.steps {
            let cell = t * lanes + b;
            let (keep, xi, weight) = (window.keep[cell], window.xi[cell], window.weights[cell]);
            h[0] = unrolled.advance(0, &unrolled.read(window, cell), &h[0], keep, xi);
            for k in 1..net.layers {
                let factors = window.factors.get(k - 1).map(|f| &f[cell * net.hidden..][..net.hidden]);
                h[k] = unrolled.advance(k, &h[k - 1].times(factors), &h[k], keep, xi);
            }
            if weight != 0.0 {
                unrolled.score(&h[net.layers - 1], (window.targets, cell), weight / window.n, &mut gradient);
            }
        }
    }
    let ends = unrolled.starts.windows(2);
    ends.map(|ends| gradient[ends[0]..ends[1]].to_vec()).collect()
}

/// The network as a function of its P parameters in one list.
struct Unrolled<'a> {
    net: &'a Net,
    params: &'a Tensors,
    /// index of each tensor's first parameter in the list; the last entry is P
    starts: Vec<usize>,
}

impl Unrolled<'_> {
    /// `x_t` `[D]` of the first layer in a cell.
    fn read(&self, window: &Window, cell: usize) -> Tangent {
        let d = self.net.inputs;
        match window.read {
            Read::Numbers(numbers) => Tangent::constant(numbers[cell * d..][..d].to_vec()),
            Read::Symbols(symbols) if self.net.embedded.is_some() => {
                let first = symbols[cell] as usize * d;
                let mut x = Tangent::constant(self.params[0][first..][..d].to_vec());
                for (i, slope) in x.slope.iter_mut().enumerate() {
                    *slope = vec![0.0; self.starts[self.params.len()]];
                    slope[first + i] = 1.0;
                }
                x
            }
            Read::Symbols(symbols) => {
                let mut one_hot = vec![0.0; d];
                one_hot[symbols[cell] as usize] = 1.0;
                Tangent::constant(one_hot)
            }
        }
    }

    /// One step of layer k for one lane: `x` `[D_k]` and `h_{t-1}` `[H]` become `h_t` `[H]`, each with its derivatives.
    fn advance(&self, k: usize, x: &Tangent, past: &Tangent, keep: f64, xi: f64) -> Tangent {
        let hidden = self.net.hidden;
        let first = usize::from(self.net.embedded.is_some()) + k * (2 + usize::from(self.net.bias));
        let (w_xh, w_hh) = (&self.params[first], &self.params[first + 1]);
        let mut next = Tangent::constant(Vec::new());
        for j in 0..hidden {
            let mut a = 0.0;
            let mut da = vec![0.0; self.starts[self.params.len()]];
            for (d, &x_d) in x.value.iter().enumerate() {
                let place = d * hidden + j;
                a += x_d * w_xh[place];
                da[self.starts[first] + place] += x_d;
                add_scaled(&mut da, w_xh[place], &x.slope[d]);
            }
            for (i, &h_i) in past.value.iter().enumerate() {
                let place = i * hidden + j;
                let hp_i = gated(keep, h_i);
                a += hp_i * w_hh[place];
                da[self.starts[first + 1] + place] += hp_i;
                add_scaled(&mut da, keep * xi * w_hh[place], &past.slope[i]);
            }
            if self.net.bias {
                a += self.params[first + 2][j];
                da[self.starts[first + 2] + j] += 1.0;
            }
            let (h, derivative) = match self.net.phi {
                Phi::Tanh => (a.tanh(), a.cosh().powi(-2)),
                Phi::Relu if a <= 0.0 => (0.0, 0.0),
                Phi::Relu | Phi::Identity => (a, 1.0),
            };
            next.value.push(h);
            next.slope.push(da.iter().map(|value| derivative * value).collect());
        }
        next
    }

    /// Adds `scale * dloss/dw` of one step and lane to `gradient` `[P]`, where `o = h W_hy^T + b_y`.
    fn score(&self, h: &Tangent, (targets, cell): (Targets, usize), scale: f64, gradient: &mut [f64]) {
        let net = self.net;
        let first = usize::from(net.embedded.is_some()) + net.layers * (2 + usize::from(net.bias));
        let w_hy = &self.params[first];
        let mut o = vec![0.0; net.outputs];
        let mut d_o = vec![vec![0.0; gradient.len()]; net.outputs];
        for v in 0..net.outputs {
            for j in 0..net.hidden {
                let place = v * net.hidden + j;
                o[v] += h.value[j] * w_hy[place];
                d_o[v][self.starts[first] + place] += h.value[j];
                add_scaled(&mut d_o[v], w_hy[place], &h.slope[j]);
            }
            if net.bias {
                o[v] += self.params[first + 1][v];
                d_o[v][self.starts[first + 1] + v] += 1.0;
            }
        }
        for v in 0..net.outputs {
            let slope = match targets {
                Targets::Classes(classes) => {
                    let softmax = 1.0 / o.iter().map(|other| (other - o[v]).exp()).sum::<f64>();
                    softmax - f64::from(u8::from(v == classes[cell] as usize))
                }
                Targets::Numbers(numbers) => {
                    let off = o[v] - numbers[cell * net.outputs + v];
                    (if net.head == Head::Squared { 2.0 * off } else { off.signum() }) / net.outputs as f64
                }
            };
            add_scaled(gradient, scale * slope, &d_o[v]);
        }
    }
}

/// `(L(p + s) - L(p - s)) / 2s` for each parameter p separately, with the step `s = eps * max(1, |p|)`. Meaningful only where
/// `xi = 1`, since the loss does not depend on xi. `state`: per layer `[B,H]`. Returns shapes and order of [`Net::tensors`].
pub fn central_differences(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>], eps: f64) -> Tensors {
    let mut moved = params.clone();
    let mut gradients = params.clone();
    for k in 0..params.len() {
        for i in 0..params[k].len() {
            let p = params[k][i];
            let step = eps * p.abs().max(1.0);
            let (up, down) = (p + step, p - step);
            moved[k][i] = up;
            let above = forward(net, &moved, window, state).0;
            moved[k][i] = down;
            let below = forward(net, &moved, window, state).0;
            moved[k][i] = p;
            gradients[k][i] = (above - below) / (up - down);
        }
    }
    gradients
}

#[cfg(test)]
#[rustfmt::skip]
mod tests {
    use super::super::{backward, optimizer::*};
    use super::*;

    const T: usize = 7;
    const B: usize = 3;

    /// `n` values of `f(u)`, u uniform in [0,1), by xorshift.
    fn random<X>(seed: usize, n: usize, f: impl Fn(f64) -> X) -> Vec<X> {
        let mut s = (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let next = |_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            f((s >> 11) as f64 / (1u64 << 53) as f64)
        };
        (0..n).map(next).collect()
    }

    /// `norm(found - expected) <= bound * norm(expected)` for each tensor.
    fn close(found: &[Vec<f64>], expected: &[Vec<f64>], bound: f64) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            let error: f64 = f.iter().zip(e).map(|(a, b)| (a - b).powi(2)).sum();
            let norm: f64 = e.iter().map(|b| b * b).sum();
            assert!(f.len() == e.len() && error <= bound * bound * norm, "{f:?} is not {e:?}");
        }
    }

    /// Steps `from..to` of a window over a net.
    fn part<'a>(net: &Net, w: &Window<'a>, from: usize, to: usize, factors: &'a [Vec<f64>]) -> Window<'a> {
        let r = |each: usize| from * B * each..to * B * each;
        let read = match w.read {
            Read::Symbols(x) => Read::Symbols(&x[r(1)]),
            Read::Numbers(x) => Read::Numbers(&x[r(net.inputs)]),
        };
        let targets = match w.targets {
            Targets::Classes(y) => Targets::Classes(&y[r(1)]),
            Targets::Numbers(y) => Targets::Numbers(&y[r(net.outputs)]),
        };
        let (keep, xi, weights) = (&w.keep[r(1)], &w.xi[r(1)], &w.weights[r(1)]);
        Window { steps: to - from, read, targets, keep, xi, weights, factors, n: w.n }
    }

    fn check(net: Net, dense: bool, drop: bool, seed: usize) {
        let small = |n: usize, len: usize| random(seed + n, len, |u| 1.4 * u - 0.7);
        let pick = |n: usize, of: [f64; 3]| random(seed + n, T * B, |u| of[(3.0 * u) as usize]);
        let token = |n: usize, of: usize| random(seed + n, T * B, |u| (u * of as f64) as u32);
        let shapes = net.tensors().into_iter().enumerate();
        let params: Tensors = shapes.map(|(n, (_, [r, c]))| small(n, r * c)).collect();
        let state: Vec<_> = (0..net.layers).map(|k| small(20 + k, B * net.hidden)).collect();
        let (tokens, numbers) = (token(30, net.embedded.unwrap_or(net.inputs)), small(35, T * B * net.inputs));
        let (classes, wanted) = (token(31, net.outputs), small(36, T * B * net.outputs));
        let read = if dense { Read::Numbers(&numbers) } else { Read::Symbols(&tokens) };
        let targets = if net.head == Head::Softmax { Targets::Classes(&classes) } else { Targets::Numbers(&wanted) };
        let layers = if drop { net.layers - 1 } else { 0 };
        let factors: Vec<Vec<f64>> = (0..layers).map(|k| random(seed + 40 + k, T * B * net.hidden, |u| if u < 0.3 { 0.0 } else { 1.0 / 0.7 })).collect();
        let cut = |from: usize, to: usize| factors.iter().map(|f| f[from * B * net.hidden..to * B * net.hidden].to_vec()).collect::<Vec<_>>();
        let (first_factors, last_factors) = (cut(0, 3), cut(3, T));
        let keep = &pick(32, [0.0, 1.0, 1.0])[..];
        let (xi, weights) = (&pick(33, [0.0, 1.0 / 0.7, 1.0])[..], &pick(34, [0.0, 1.0, 1.0])[..]);
        let whole = Window { steps: T, read, targets, keep, xi, weights, factors: &factors, n: 11.5 };
        let none = vec![vec![0.0; B * net.hidden]; net.layers];
        let all = backward(&net, &params, &whole, &state, &none);
        close(&all.gradients, &forward_mode(&net, &params, &whole, &state), 1e-10);
        let (loss, middle) = forward(&net, &params, &part(&net, &whole, 0, 3, &first_factors), &state);
        let late = backward(&net, &params, &part(&net, &whole, 3, T, &last_factors), &middle, &none);
        let early = backward(&net, &params, &part(&net, &whole, 0, 3, &first_factors), &state, &late.carry);
        assert!(early.loss == loss && (loss + late.loss - all.loss).abs() < 1e-12);
        let add = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
        let sum: Tensors = early.gradients.iter().zip(&late.gradients).map(add).collect();
        close(&sum, &all.gradients, 1e-12);
        close(&[early.carry, late.state].concat(), &[all.carry, all.state].concat(), 1e-12);
        let full = Window { xi: &[1.0; T * B], ..whole };
        let differences = central_differences(&net, &params, &full, &state, 1e-5);
        close(&backward(&net, &params, &full, &state, &none).gradients, &differences, 1e-6);
    }

    #[test]
    fn backward_agrees_with_forward_mode_with_differences_and_with_two_segments() {
        for code in 0..18 {
            let (phi, bias) = ([Phi::Tanh, Phi::Relu, Phi::Identity][code % 3], code / 3 % 2 == 0);
            let net = Net { embedded: None, inputs: 4, outputs: 4, head: Head::Softmax, hidden: 5, layers: 1 + code / 6, phi, bias };
            check(net, false, false, 100 * code);
            let head = [Head::Squared, Head::Absolute, Head::Softmax][code % 3];
            check(Net { inputs: 3, outputs: 6, head, ..net }, true, code % 2 == 0, 100 * code + 50);
            check(Net { embedded: Some(7), inputs: 2, outputs: 3, head, ..net }, false, true, 100 * code + 70);
        }
    }

    #[test]
    fn optimizers_agree_with_hand_computed_values() {
        let (beta1, beta2, eps, decay) = (0.5, 0.75, 0.5, 0.2);
        let (one, two) = (0.3 / 3.5, 0.2 / (6.0 / 7f64.sqrt() + 0.5));
        for (rule, first, second) in [
            (Optimizer::Sgd { momentum: 0.5 }, 0.7, 0.4),
            (Optimizer::RmsProp { alpha: 0.75, eps }, 0.85, 0.775),
            (Optimizer::Adam { beta1, beta2, eps }, 1.0 - one, 1.0 - one - two),
            (Optimizer::AdamW { beta1, beta2, eps, decay }, 0.98 - one, 0.98 * (0.98 - one) - two),
        ] {
            let (mut p, mut state) = (vec![vec![1.0]], State::new(&vec![vec![1.0]]));
            for (g, expected) in [(3.0, first), (f64::NAN, first), (1.5, second)] {
                update(&rule, &mut state, &mut p, &vec![vec![g]], 0.1, &Clip::None);
                assert!((p[0][0] - expected).abs() < 1e-15, "{rule:?} {p:?} {expected}");
            }
            assert_eq!(state.updates, 2);
        }
        let scale = 2.5 / (5.0 + 1e-6);
        let clips = [(Clip::Norm(2.5), scale * 3.0, scale * 4.0), (Clip::Norm(9.0), 3.0, 4.0), (Clip::Value(2.5), 2.5, 2.5)];
        for (clip, first, second) in clips {
            let (mut p, g) = (vec![vec![0.0], vec![0.0]], vec![vec![-3.0], vec![4.0]]);
            let (sgd, mut state) = (Optimizer::Sgd { momentum: 0.0 }, State::new(&p));
            assert_eq!(update(&sgd, &mut state, &mut p, &g, 1.0, &clip), 5.0);
            close(&p, &[vec![first], vec![-second]], 1e-15);
        }
    }
}
