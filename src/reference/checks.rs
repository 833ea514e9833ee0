//! The gradients of [`super::backward()`], derived in two other ways: forward mode, and here central differences.
#![forbid(unsafe_code)]

pub use super::forward_mode::forward_mode;
use super::{Net, Tensors, Window, forward};

/// `(L(p + s) - L(p - s)) / 2s` for each parameter p separately, with the step `s = eps * max(1, |p|)`. Meaningful only where
/// `xi = 1`, since the loss does not depend on xi. `state`: per layer `[B,N*H]`. Returns shapes and order of [`Net::tensors`].
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
    use super::super::backward::backward_over;
    use super::super::{Cell, Head, Phi, Read, Targets, backward, optimizer::*};
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

    /// The largest `norm(found - expected) / norm(expected)` of a tensor; NaN counts as infinite.
    fn error(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
        assert_eq!(found.len(), expected.len());
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let each = found.iter().zip(expected).map(|(f, e)| {
            assert_eq!(f.len(), e.len());
            let (off, size) = (norm(&mut f.iter().zip(e).map(|(a, b)| a - b)), norm(&mut e.iter().copied()));
            if off == 0.0 { 0.0 } else { off / size }
        });
        each.fold(0.0, |worst, error| if error <= worst { worst } else if error.is_nan() { f64::INFINITY } else { error })
    }

    fn close(found: &[Vec<f64>], expected: &[Vec<f64>], bound: f64) {
        let error = error(found, expected);
        assert!(error <= bound, "off by {error}, more than {bound}: {found:?} is not {expected:?}");
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

    /// Calls `f` with random parameters, a random window of resets, cuts and weights of 0, and a random state.
    fn with_case(net: &Net, dense: bool, drop: bool, seed: usize, f: impl FnOnce(&Tensors, &Window, &[Vec<f64>])) {
        let small = |n: usize, len: usize| random(seed + n, len, |u| 1.4 * u - 0.7);
        let pick = |n: usize, of: [f64; 3]| random(seed + n, T * B, |u| of[(3.0 * u) as usize]);
        let token = |n: usize, of: usize| random(seed + n, T * B, |u| (u * of as f64) as u32);
        let shapes = net.tensors().into_iter().enumerate();
        // Gates halve what flows through them: larger weights keep the gradients of deep layers well above the rounding of differences.
        let scale = if net.cell == Cell::Rnn { 1.0 } else { 2.0 };
        let params: Tensors = shapes.map(|(n, (_, [r, c]))| small(n, r * c).iter().map(|p| scale * p).collect()).collect();
        let state: Vec<_> = (0..net.layers).map(|k| small(20 + k, B * net.wide())).collect();
        let (tokens, numbers) = (token(30, net.embedded.unwrap_or(net.inputs)), small(35, T * B * net.inputs));
        let (classes, wanted) = (token(31, net.outputs), small(36, T * B * net.outputs));
        let read = if dense { Read::Numbers(&numbers) } else { Read::Symbols(&tokens) };
        let targets = if net.head == Head::Softmax { Targets::Classes(&classes) } else { Targets::Numbers(&wanted) };
        let layers = if drop { net.layers - 1 } else { 0 };
        let factors: Vec<Vec<f64>> = (0..layers).map(|k| random(seed + 40 + k, T * B * net.hidden, |u| if u < 0.3 { 0.0 } else { 1.0 / 0.7 })).collect();
        let keep = &pick(32, [0.0, 1.0, 1.0])[..];
        let (xi, weights) = (&pick(33, [0.0, 1.0 / 0.7, 1.0])[..], &pick(34, [0.0, 1.0, 1.0])[..]);
        f(&params, &Window { steps: T, read, targets, keep, xi, weights, factors: &factors, n: 11.5 }, &state);
    }

    fn check(net: &Net, params: &Tensors, whole: &Window, state: &[Vec<f64>]) {
        let none = vec![vec![0.0; B * net.wide()]; net.layers];
        let all = backward(net, params, whole, state, &none);
        close(&all.gradients, &forward_mode(net, params, whole, state), 1e-10);
        let cut = |from: usize, to: usize| whole.factors.iter().map(|f| f[from * B * net.hidden..to * B * net.hidden].to_vec()).collect::<Vec<_>>();
        let (first_factors, last_factors) = (cut(0, 3), cut(3, T));
        let first = part(net, whole, 0, 3, &first_factors);
        let (loss, middle) = forward(net, params, &first, state);
        let late = backward(net, params, &part(net, whole, 3, T, &last_factors), &middle, &none);
        let early = backward(net, params, &first, state, &late.carry);
        assert!(early.loss == loss && (loss + late.loss - all.loss).abs() < 1e-12);
        let add = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
        let sum: Tensors = early.gradients.iter().zip(&late.gradients).map(add).collect();
        close(&sum, &all.gradients, 1e-12);
        close(&[early.carry, late.state].concat(), &[all.carry, all.state].concat(), 1e-12);
        let (top, third) = (net.layers - 1, 2 * B * net.wide()..3 * B * net.wide());
        let above = &backward(net, params, &first, state, &none).g[top][third.clone()];
        close(&[add((&above.to_vec(), &late.carry[top]))], &[all.g[top][third].to_vec()], 1e-12);
        let full = Window { xi: &[1.0; T * B], ..*whole };
        let differences = central_differences(net, params, &full, state, 1e-5);
        close(&backward(net, params, &full, state, &none).gradients, &differences, 1e-6);
    }

    #[test]
    fn backward_agrees_with_forward_mode_with_differences_and_with_two_segments() {
        for (cell, hidden) in [(Cell::Rnn, 5), (Cell::Gru, 3), (Cell::Lstm, 3)] {
            for code in 0..18 {
                let (phi, bias) = ([Phi::Tanh, Phi::Relu, Phi::Identity][code % 3], code / 3 % 2 == 0);
                let net = Net { embedded: None, inputs: 4, outputs: 4, head: Head::Softmax, hidden, layers: 1 + code / 6, cell, phi, bias };
                let pinball = Head::Pinball { levels: [1000, 5000, 9500, 0, 0, 0, 0, 0, 0], count: 3 };
                let head = [Head::Squared, if code % 2 == 0 { Head::Absolute } else { pinball }, Head::Softmax][code % 3];
                let numbers = Net { inputs: 3, outputs: 6, head, ..net };
                let embedded = Net { embedded: Some(7), inputs: 2, outputs: 3, head, ..net };
                with_case(&net, false, false, 100 * code, |params, whole, state| check(&net, params, whole, state));
                with_case(&numbers, true, code % 2 == 0, 100 * code + 50, |params, whole, state| check(&numbers, params, whole, state));
                with_case(&embedded, false, true, 100 * code + 70, |params, whole, state| check(&embedded, params, whole, state));
            }
        }
    }

    /// Wrong gradients are far from those of forward mode: xi on the carry of h but not of c; the carry of c without keep; a GRU's b_hn outside
    /// the product with r, as if it were part of b_in.
    #[test]
    fn planted_mistakes_are_found() {
        for (layers, seed) in [(1, 1), (2, 2), (3, 3)] {
            let lstm = Net { cell: Cell::Lstm, ..Net::symbols(4, 3, layers) };
            with_case(&lstm, false, false, seed, |params, window, state| {
                let none = vec![vec![0.0; B * lstm.wide()]; layers];
                let right = forward_mode(&lstm, params, window, state);
                let off = |edge| error(&backward_over(&lstm, params, window, state, &none, edge).gradients, &right);
                assert!(off(|keep, xi| [keep * xi; 2]) < 1e-10);
                assert!(off(|keep, xi| [keep * xi, keep]) > 1e-3 && off(|keep, xi| [keep * xi, xi]) > 1e-3);
            });
            let gru = Net { cell: Cell::Gru, ..Net::symbols(4, 3, layers) };
            with_case(&gru, false, false, seed, |params, window, state| {
                let mut outside = params.clone();
                for k in 0..layers {
                    let (b_in, b_hn) = outside[3 * k + 2][6..].split_at_mut(3);
                    b_in.iter_mut().zip(b_hn).for_each(|(n, q)| *n += std::mem::take(q));
                }
                let mut wrong = backward(&gru, &outside, window, state, &vec![vec![0.0; B * 3]; layers]).gradients;
                (0..layers).for_each(|k| wrong[3 * k + 2].copy_within(6..9, 9));
                assert!(error(&wrong, &forward_mode(&gru, params, window, state)) > 1e-3);
            });
        }
    }

    /// Loss, final state, carry, then sum_i (i+1) dL/dw_i of w_xh and w_hh, and dL/db, of `torch.nn.LSTM` and `GRU` in float64; the loss is
    /// `sum_t 1/H |h_t|^2`. Of PyTorch's two biases only one is not 0, but in the GRU's block n, where b_hn is q's.
    #[test]
    fn gated_cells_agree_with_pytorch() {
        let lstm = [
            vec![0.15237478569652113],
            vec![-0.1674346123039585, -0.05082046666161172, -0.42938268607743396, -0.07847345286057572],
            vec![0.00909071655572219, 0.014785559075760967, -0.07052666601194699, 0.08405776756943763],
            vec![-0.15502433455628895, 0.015383726959152091],
            vec![0.05674073348762196, -0.004115442869860779, 0.06463410550107064, 0.042123199028912775,
                -0.07498778518883813, 0.09431545534245539, 0.10838927566175517, 0.03683608762865293],
        ];
        let gru = [
            vec![0.15504547222492074],
            vec![-0.31316914038629806, -0.1628142620498117],
            vec![-0.0921124991330704, 0.018064799098228775],
            vec![0.2068012575077039, 0.019101633629958148],
            vec![-0.004389013770265623, 0.0013963064132361117, -0.18166618099629064, -0.041489060249510254,
                -0.3523482591509432, -0.03405514182598969, -0.12072509251754689, -0.004743870112167741],
        ];
        for (cell, expected) in [(Cell::Lstm, lstm), (Cell::Gru, gru)] {
            let net = Net { head: Head::Squared, cell, ..Net::symbols(2, 2, 1) };
            let value = |n: usize, i: usize| ((7 * n + 3 * i) % 13) as f64 / 8.0 - 0.75;
            let mut params: Tensors = net.tensors().iter().enumerate().map(|(n, (_, [r, c]))| (0..r * c).map(|i| value(n, i)).collect()).collect();
            (params[3], params[4]) = (vec![1.0, 0.0, 0.0, 1.0], vec![0.0; 2]);
            let x: Vec<f64> = (0..6).map(|i| (5 * i % 7) as f64 / 4.0 - 0.75).collect();
            let (read, targets, ones) = (Read::Numbers(&x), Targets::Numbers(&[0.0; 6]), &[1.0; 3]);
            let window = Window { steps: 3, read, targets, keep: ones, xi: ones, weights: ones, factors: &[], n: 1.0 };
            let state = vec![[0.5, -0.25, -0.75, 1.0][..net.wide()].to_vec()];
            let back = backward(&net, &params, &window, &state, &[vec![0.0; net.wide()]]);
            let sum = |g: &Vec<f64>| g.iter().enumerate().map(|(i, g)| (i + 1) as f64 * g).sum();
            let sums = back.gradients[..2].iter().map(sum).collect();
            let found = [vec![back.loss], back.state[0].clone(), back.carry[0].clone(), sums, back.gradients[2].clone()];
            close(&found, &expected, 1e-13);
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
