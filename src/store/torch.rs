//! Parameters under the names and in the shapes of the `state_dict` of a PyTorch module with `rnn = nn.RNN(V, H, layers)`, `nn.GRU` or `nn.LSTM`, and
//! `head = nn.Linear(H, V)`.
//!
//! Its matrices multiply columns, so its recurrent ones are the transposes of ours, `[G H, D]` and `[G H, H]`, the rows of one gate after those of another.
//! It has two biases per layer, `[G H]` each, which are added; ours is written as the first, with zeros as the second. Only a gate whose two biases are
//! apart, n of `nn.GRU`, has both.

use super::container::Container;
use crate::cells::Spec;
use crate::error::Result;
use crate::model::Config;

/// PyTorch's name of a parameter that is named so here; other names unchanged.
pub(crate) fn torch_name(name: &str) -> String {
    match (name, name.split_once('.')) {
        (_, Some(("w_xh", k))) => format!("rnn.weight_ih_l{k}"),
        (_, Some(("w_hh", k))) => format!("rnn.weight_hh_l{k}"),
        (_, Some(("b_h", k))) => format!("rnn.bias_ih_l{k}"),
        ("w_hy", _) => "head.weight".to_string(),
        ("b_y", _) => "head.bias".to_string(),
        ("embed", _) => "embed.weight".to_string(),
        (other, _) => other.to_string(),
    }
}

/// PyTorch's name of the second bias, that of hp_t W_hh, by the name of the first.
fn second(first: &str) -> String {
    first.replace("_ih_", "_hh_")
}

/// How a tensor is written.
enum Form {
    AsItIs,
    Transposed,
    Vector,
    TwoVectors,
}

fn form(name: &str) -> Form {
    match name.split('.').next() {
        Some("w_xh" | "w_hh") => Form::Transposed,
        Some("b_h") => Form::TwoVectors,
        Some("b_y") => Form::Vector,
        _ => Form::AsItIs,
    }
}

/// The transpose of a `[rows, cols]` matrix.
fn transpose(numbers: &[f32], rows: u32, cols: u32) -> Vec<f32> {
    let (rows, cols) = (rows as usize, cols as usize);
    (0..cols).flat_map(|c| (0..rows).map(move |r| numbers[r * cols + c])).collect()
}

/// The two biases of a layer.
fn split(spec: &Spec, mut biases: Vec<f32>) -> [Vec<f32>; 2] {
    let units = biases.len() / spec.blocks() as usize;
    let apart = biases.split_off(spec.gates as usize * units);
    let mut second = vec![0.0; biases.len()];
    if let Some(gate) = spec.apart {
        second[gate as usize * units..][..units].copy_from_slice(&apart);
    }
    [biases, second]
}

/// The biases of a layer from PyTorch's two.
fn joined(spec: &Spec, [mut biases, second]: [Vec<f32>; 2]) -> Vec<f32> {
    let units = biases.len() / spec.gates as usize;
    let apart = spec.apart.map(|gate| gate as usize * units..(gate as usize + 1) * units);
    for (i, (x, y)) in biases.iter_mut().zip(&second).enumerate() {
        if !apart.as_ref().is_some_and(|gate| gate.contains(&i)) {
            *x += y;
        }
    }
    biases.extend_from_slice(&second[apart.unwrap_or(0..0)]);
    biases
}

/// Adds the parameters of a model.
pub(super) fn put(container: &mut Container, config: &Config, parameters: &[f32]) {
    let spec = config.cell.spec();
    for tensor in config.tensors() {
        let (name, numbers) = (torch_name(&tensor.name), tensor.extract(parameters));
        match form(&tensor.name) {
            Form::Transposed => container.put(name, &[tensor.cols, tensor.rows], transpose(&numbers, tensor.rows, tensor.cols)),
            Form::AsItIs => container.put(name, &[tensor.rows, tensor.cols], numbers),
            Form::Vector => container.put(name, &[tensor.cols], numbers),
            Form::TwoVectors => {
                let shape = [spec.gates * config.hidden];
                let [ih, hh] = split(spec, numbers);
                container.put(second(&name), &shape, hh);
                container.put(name, &shape, ih);
            }
        }
    }
}

/// Takes the parameters of a model out.
///
/// # Errors
/// [`crate::Error::Input`] for the first that isn't there or has another shape.
pub(super) fn take(container: &mut Container, config: &Config) -> Result<Vec<f32>> {
    let spec = config.cell.spec();
    let mut parameters = vec![0.0; config.elements() as usize];
    for tensor in config.tensors() {
        let name = torch_name(&tensor.name);
        let numbers = match form(&tensor.name) {
            Form::Transposed => transpose(&container.take(&name, &[tensor.cols, tensor.rows])?, tensor.cols, tensor.rows),
            Form::AsItIs => container.take(&name, &[tensor.rows, tensor.cols])?,
            Form::Vector => container.take(&name, &[tensor.cols])?,
            Form::TwoVectors => {
                let shape = [spec.gates * config.hidden];
                joined(spec, [container.take(&name, &shape)?, container.take(&second(&name), &shape)?])
            }
        };
        tensor.insert(&mut parameters, &numbers);
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cell;

    #[test]
    fn biases_add_up_but_for_those_apart() {
        let read = |cell: Cell, ih: &[f32], hh: &[f32]| joined(cell.spec(), [ih.to_vec(), hh.to_vec()]);
        assert_eq!(read(Cell::Rnn, &[1.0, 2.0], &[10.0, 20.0]), [11.0, 22.0]);
        assert_eq!(read(Cell::Lstm, &[1.0, 2.0, 3.0, 4.0], &[10.0, 20.0, 30.0, 40.0]), [11.0, 22.0, 33.0, 44.0]);
        // r, z, the first of n, the second of n.
        let gru = read(Cell::Gru, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(gru, [11.0, 22.0, 33.0, 44.0, 5.0, 6.0, 50.0, 60.0]);
        assert_eq!(split(Cell::Gru.spec(), gru.clone()), [vec![11.0, 22.0, 33.0, 44.0, 5.0, 6.0], vec![0.0, 0.0, 0.0, 0.0, 50.0, 60.0]]);
        let [ih, hh] = split(Cell::Gru.spec(), gru.clone());
        assert_eq!(read(Cell::Gru, &ih, &hh), gru);
        assert_eq!(split(Cell::Lstm.spec(), vec![1.0; 4]), [vec![1.0; 4], vec![0.0; 4]]);
    }
}
