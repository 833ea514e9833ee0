//! Checks of shapes, shared by the three ways to a gradient.
#![forbid(unsafe_code)]

use super::{Head, Net, Read, Targets, Tensors, Window};

/// Panics unless `found` equals `expected`.
fn expect(what: &str, found: usize, expected: usize) {
    assert_eq!(found, expected, "reference: {what}, found and expected");
}

/// Panics unless `tensors` is, per layer, `[B,N*H]`.
pub(super) fn layers(what: &str, net: &Net, tensors: &[Vec<f64>], lanes: usize) {
    expect(what, tensors.len(), net.layers);
    for layer in tensors {
        expect(what, layer.len(), lanes * net.wide());
    }
}

/// Checks all shapes and returns B; panics naming the mismatch. `state`: per layer `[B,N*H]`.
pub(super) fn shapes(net: &Net, params: &Tensors, window: &Window, state: &[Vec<f64>]) -> usize {
    let sizes = [net.inputs, net.outputs, net.hidden, net.layers];
    assert!(!sizes.contains(&0), "reference: a size is 0 in {net:?}");
    let shapes = net.tensors();
    expect("number of tensors", params.len(), shapes.len());
    for (tensor, (name, [rows, columns])) in params.iter().zip(&shapes) {
        expect(name, tensor.len(), rows * columns);
    }
    let lanes = state.first().map_or(0, Vec::len) / net.wide();
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
