//! A model as an ONNX file: tokens and state in, logits and state out, any number of steps and lanes.
//!
//! ```text
//! tokens [T,B] -> OneHot, Gather (checks the index) -> RNN (layer 0) -> Squeeze -> RNN (layer 1) -> ... -> MatMul head^T -> Add bias -> logits [T,B,V]
//! state [L,B,H] -> Split, one part per layer                                            last states -> Concat -> next_state [L,B,H]
//! ```
//!
//! In place of RNN stands GRU or LSTM; with LSTM, cell_state and next_cell_state beside state and next_state.
//!
//! The format is a protocol buffer of nine types of messages, of which few fields are written. Field numbers are those of onnx.proto3, opset 11.

use super::Model;
use super::protobuf::Message;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Activation, Cell};
use std::path::Path;

/// Versions of the format's messages and of the operators (onnx 1.6): the first in which `Gather` and `OneHot` take the same
/// indices. So every consumer since then can read the file.
const IR_VERSION: i64 = 6;
const OPSET: i64 = 11;
/// The names of h and c.
const STATES: [&str; 2] = ["state", "cell_state"];
/// Element types of tensors.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// The graph under construction.
#[derive(Default)]
struct Graph {
    nodes: Vec<Message>,
    tensors: Vec<Message>,
}

impl Graph {
    /// Adds a constant and returns its name.
    fn tensor(&mut self, name: impl Into<String>, shape: &[u32], kind: i64, bytes: &[u8]) -> String {
        let name = name.into();
        let message = Message::default().all(shape, |m, &n| m.int(1, n.into())).int(2, kind).text(8, &name).bytes(9, bytes);
        self.tensors.push(message);
        name
    }

    fn floats(&mut self, name: impl Into<String>, shape: &[u32], numbers: &[f32]) -> String {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, shape, FLOAT, &bytes)
    }

    fn integers(&mut self, name: impl Into<String>, shape: &[u32], numbers: &[i64]) -> String {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, shape, INT64, &bytes)
    }

    fn node(&mut self, operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) {
        let message = Message::default().all(inputs, |m, i| m.text(1, i)).all(outputs, |m, o| m.text(2, o));
        self.nodes.push(message.text(4, operator).all(attributes, |m, a| m.message(5, a)));
    }
}

fn int_attribute(name: &str, n: i64) -> Message {
    Message::default().text(1, name).int(3, n).int(20, 2)
}

fn ints_attribute(name: &str, numbers: &[i64]) -> Message {
    Message::default().text(1, name).all(numbers, |m, &n| m.int(8, n)).int(20, 7)
}

fn float_attribute(name: &str, x: f32) -> Message {
    Message::default().text(1, name).float(7, x).int(20, 6)
}

fn text_attribute(name: &str, text: &str) -> Message {
    Message::default().text(1, name).text(9, text).int(20, 8)
}

/// A dimension of an input or output.
enum Dimension {
    Size(u32),
    /// Any size, under this name.
    Free(&'static str),
}

/// An input or output of the graph.
fn value(name: &str, kind: i64, shape: &[Dimension], about: &str) -> Message {
    let dimension = |d: &Dimension| match d {
        Dimension::Size(n) => Message::default().int(1, (*n).into()),
        Dimension::Free(name) => Message::default().text(2, name),
    };
    let shape = Message::default().all(shape, |m, d| m.message(1, &dimension(d)));
    let tensor = Message::default().int(1, kind).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor)).text(3, about)
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// The rows of a matrix, or the values of a vector, of several gates, in another order.
fn in_order(order: &[u8], numbers: &[f32]) -> Vec<f32> {
    let gate = numbers.len() / order.len();
    order.iter().flat_map(|&g| &numbers[usize::from(g) * gate..][..gate]).copied().collect()
}

/// The columns of a matrix with rows of `cols` values, one after another.
fn columns(numbers: &[f32], cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|c| numbers.iter().skip(c).step_by(cols)).copied().collect()
}

impl Model {
    /// The bytes of an ONNX file. Inputs: `tokens`, i64 `[time, batch]`, indices into the vocabulary, which is among the metadata as a JSON
    /// array; `state`, f32 `[layers, batch, H]`, zeros at first; likewise `cell_state`, for a cell with c. Outputs: `logits`, f32 `[time, batch, V]`;
    /// `next_state`; `next_cell_state`.
    ///
    /// # Errors
    /// [`Error::Input`] if it would exceed the format's limit of 2 GiB.
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        let c = &self.config;
        if c.parameters() * 4 > i32::MAX as u64 - (1 << 20) {
            return Err(Error::Input(format!("the model has {} parameters, more than an ONNX file of at most 2 GiB holds", c.parameters())));
        }
        let mut graph = Graph::default();
        self.nodes(&mut graph);
        let [time, batch] = [Dimension::Free("time"), Dimension::Free("batch")];
        let shape = [Dimension::Size(c.layers), Dimension::Free("batch"), Dimension::Size(c.hidden)];
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        inputs.push(value("tokens", INT64, &[time, batch], "indices into the vocabulary (metadata), 0 to V-1, or -V to -1 from its end; others are an error"));
        let logits = [Dimension::Free("time"), Dimension::Free("batch"), Dimension::Size(c.outputs())];
        let about = if self.codec.text().is_ok() { "of the symbol after each token" } else { "of the labels, at the last token" };
        outputs.push(value("logits", FLOAT, &logits, about));
        for name in self.states() {
            inputs.push(value(name, FLOAT, &shape, &format!("zeros, or the next_{name} of what came before")));
            outputs.push(value(&format!("next_{name}"), FLOAT, &shape, &format!("the {} after the last token", name.replace('_', " "))));
        }
        let body = Message::default().all(&graph.nodes, |m, n| m.message(1, n)).text(2, "retrograd").all(&graph.tensors, |m, t| m.message(5, t));
        let body = body.all(&inputs, |m, i| m.message(11, i)).all(&outputs, |m, o| m.message(12, o));
        let metadata = self.to_container().metadata;
        let entry = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
        let file = Message::default().int(1, IR_VERSION).text(2, "retrograd").text(3, env!("CARGO_PKG_VERSION")).message(7, &body);
        let file = file.message(8, &Message::default().text(1, "").int(2, OPSET));
        Ok(file.all(&metadata, |m, (key, value)| m.message(14, &entry(key, value))).0)
    }

    /// The names of the states of its cell.
    fn states(&self) -> &'static [&'static str] {
        &STATES[..self.config.cell.spec().states as usize]
    }

    fn nodes(&self, graph: &mut Graph) {
        let tensors = self.to_container().tensors;
        let numbers = |name: &str| tensors.get(name).map(|(_, numbers)| numbers.as_slice());
        self.inputs(graph, numbers("embed.weight"));
        self.layers(graph, &numbers);
        let (c, head) = (&self.config, numbers("head.weight").unwrap_or_default());
        let weight = graph.floats("head.weight", &[c.hidden, c.outputs()], &columns(head, c.hidden as usize));
        let top = format!("x.{}", c.layers);
        match numbers("head.bias") {
            Some(bias) => {
                let bias = graph.floats("head.bias", &[c.outputs()], bias);
                graph.node("MatMul", &[&top, &weight], &["scores"], &[]);
                graph.node("Add", &["scores", &bias], &["logits"], &[]);
            }
            None => graph.node("MatMul", &[&top, &weight], &["logits"], &[]),
        }
    }

    /// The input of the layers, `x.0`.
    fn inputs(&self, graph: &mut Graph, embed: Option<&[f32]>) {
        let (symbols, embedding) = (self.config.input.symbols(), self.config.embedding());
        if embedding > 0 {
            let embed = graph.floats("embed.weight", &[symbols, embedding], embed.unwrap_or_default());
            graph.node("Gather", &[&embed, "tokens"], &["x.0"], &[]);
            return;
        }
        let depth = graph.integers("depth", &[], &[symbols.into()]);
        let values = graph.floats("values", &[2], &[0.0, 1.0]);
        graph.node("OneHot", &["tokens", &depth, &values], &["one_hot"], &[]);
        // OneHot turns an index outside the vocabulary into zeros; Gather fails instead, as with an embedding. The values gathered here are zeros.
        let nothing = graph.floats("nothing", &[symbols, 1], &vec![0.0; symbols as usize]);
        graph.node("Gather", &[&nothing, "tokens"], &["checked"], &[]);
        graph.node("Add", &["one_hot", "checked"], &["x.0"], &[]);
    }

    fn layers<'a>(&self, graph: &mut Graph, numbers: &impl Fn(&str) -> Option<&'a [f32]>) {
        let (c, spec, states) = (&self.config, self.config.cell.spec(), self.states());
        // Of a state or the next, the name for a layer.
        let of = |state: &str, k: u32| if c.layers == 1 { state.to_string() } else { format!("{state}.{k}") };
        let all = |state: &str| (0..c.layers).map(|k| of(state, k)).collect::<Vec<_>>();
        if c.layers > 1 {
            let parts = [int_attribute("axis", 0), ints_attribute("split", &vec![1; c.layers as usize])];
            states.iter().for_each(|s| graph.node("Split", &[s], &borrowed(&all(s)), &parts));
        }
        let (attributes, rows) = (self.attributes(), spec.gates * c.hidden);
        for k in 0..c.layers {
            let inputs = if k == 0 { c.input.width() } else { c.hidden };
            let ordered = |name: &str| numbers(name).map(|n| in_order(spec.onnx, n));
            let mut matrix = |name: String, cols| graph.floats(&name, &[1, rows, cols], &ordered(&name).unwrap_or_default());
            let (w, r) = (matrix(format!("rnn.weight_ih_l{k}"), inputs), matrix(format!("rnn.weight_hh_l{k}"), c.hidden));
            // The input's bias, then the state's.
            let bias = ordered(&format!("rnn.bias_ih_l{k}")).zip(ordered(&format!("rnn.bias_hh_l{k}")));
            let b = bias.map_or(String::new(), |(ih, hh)| graph.floats(format!("rnn.bias_l{k}"), &[1, 2 * rows], &[ih, hh].concat()));
            let (x, h, y) = (format!("x.{k}"), format!("h.{k}"), format!("x.{}", k + 1));
            let before: Vec<String> = [x, w, r, b, String::new()].into_iter().chain(states.iter().map(|s| of(s, k))).collect();
            let behind: Vec<String> = [h.clone()].into_iter().chain(states.iter().map(|s| of(&format!("next_{s}"), k))).collect();
            graph.node(spec.torch, &borrowed(&before), &borrowed(&behind), &attributes);
            graph.node("Squeeze", &[&h], &[&y], &[ints_attribute("axes", &[1])]);
        }
        if c.layers > 1 {
            for next in states.iter().map(|s| format!("next_{s}")) {
                graph.node("Concat", &borrowed(&all(&next)), &[&next], &[int_attribute("axis", 0)]);
            }
        }
    }

    /// The attributes of the layers' operators.
    fn attributes(&self) -> Vec<Message> {
        let c = &self.config;
        let mut attributes = vec![int_attribute("hidden_size", c.hidden.into())];
        match c.activation {
            // The operators' own are sigma and tanh.
            _ if c.cell != Cell::Rnn => {}
            Activation::Tanh => attributes.push(text_attribute("activations", "Tanh")),
            Activation::Relu => attributes.push(text_attribute("activations", "Relu")),
            // alpha x + beta
            Activation::Identity => {
                attributes.extend([text_attribute("activations", "Affine"), float_attribute("activation_alpha", 1.0), float_attribute("activation_beta", 0.0)]);
            }
        }
        // The gate acts on the product with W_hh and its bias.
        if c.cell.spec().apart.is_some() {
            attributes.push(int_attribute("linear_before_reset", 1));
        }
        attributes
    }

    /// Writes an ONNX file, whole or not at all; see [`Model::to_onnx`].
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be written, or would be too large.
    pub fn save_onnx(&self, path: &Path) -> Result<()> {
        files::replace(path, &self.to_onnx()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Vocabulary;
    use crate::model::{Config, Init};

    /// The fields of a message: number and content, for numbers their bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let varint = |bytes: &mut &[u8]| {
            let len = bytes.iter().position(|b| b & 0x80 == 0).unwrap() + 1;
            let n = bytes[..len].iter().rev().fold(0u64, |n, b| n << 7 | u64::from(b & 0x7f));
            *bytes = &bytes[len..];
            n
        };
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let len = match key & 7 {
                0 => {
                    all.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                2 => varint(&mut bytes) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            all.push((key >> 3, bytes[..len].to_vec()));
            bytes = &bytes[len..];
        }
        all
    }

    fn of(all: &[(u64, Vec<u8>)], field: u64) -> Vec<Vec<u8>> {
        all.iter().filter(|f| f.0 == field).map(|f| f.1.clone()).collect()
    }

    fn model(config: Config) -> Model {
        Model {
            config,
            codec: crate::data::Codec::Text(Vocabulary::of("abcd")),
            trained_on: crate::store::TrainedOn::Stream,
            split_seed: None,
            parameters: Init::Uniform.parameters(&config, 3),
        }
    }

    /// The values of a tensor of a graph.
    fn values(graph: &[(u64, Vec<u8>)], name: &str) -> Vec<f32> {
        let tensors: Vec<_> = of(graph, 5).iter().map(|t| fields(t)).collect();
        let tensor = tensors.iter().find(|t| of(t, 8).concat() == name.as_bytes()).unwrap();
        bytemuck::pod_collect_to_vec::<u8, f32>(&of(tensor, 9)[0])
    }

    /// The file has the operators and values of the model. tests/parity/check.py shows that it computes the same.
    #[test]
    fn the_graph_holds_the_model() {
        for (cell, layers, bias, operators) in [
            (Cell::Rnn, 1, true, "OneHot Gather Add RNN Squeeze MatMul Add"),
            (Cell::Rnn, 1, false, "OneHot Gather Add RNN Squeeze MatMul"),
            (Cell::Rnn, 3, false, "OneHot Gather Add Split RNN Squeeze RNN Squeeze RNN Squeeze Concat MatMul"),
            (Cell::Gru, 2, true, "OneHot Gather Add Split GRU Squeeze GRU Squeeze Concat MatMul Add"),
            (Cell::Lstm, 1, true, "OneHot Gather Add LSTM Squeeze MatMul Add"),
            (Cell::Lstm, 2, false, "OneHot Gather Add Split Split LSTM Squeeze LSTM Squeeze Concat Concat MatMul"),
        ] {
            let model = model(Config { hidden: 5, layers, cell, activation: Activation::Identity, bias, ..Config::symbols(4) });
            let bytes = model.to_onnx().unwrap();
            let file = fields(&bytes);
            let graph = fields(&of(&file, 7)[0]);
            let found: Vec<String> = of(&graph, 1).iter().map(|n| String::from_utf8(of(&fields(n), 4).concat()).unwrap()).collect();
            assert_eq!(found.join(" "), operators);
            let expected = in_order(cell.spec().onnx, &model.to_container().tensors["rnn.weight_hh_l0"].1);
            assert_eq!(values(&graph, "rnn.weight_hh_l0"), expected);
            let metadata: Vec<String> = of(&file, 14).iter().map(|m| String::from_utf8(of(&fields(m), 2).concat()).unwrap()).collect();
            assert_eq!(metadata[1], r#"["a","b","c","d"]"#);
            let states = cell.spec().states as usize;
            assert_eq!([11, 12].map(|f| of(&graph, f).len()), [1 + states; 2], "inputs and outputs");
        }
    }

    /// ONNX's order of gates: i, o, f, g of an LSTM and z, r, n of a GRU, of which n has two biases.
    #[test]
    fn gates_are_in_the_order_of_onnx() {
        for (cell, order) in [(Cell::Lstm, &[0, 3, 1, 2][..]), (Cell::Gru, &[1, 0, 2])] {
            let model = model(Config { hidden: 5, cell, ..Config::symbols(4) });
            let graph = fields(&of(&fields(&model.to_onnx().unwrap()), 7)[0]);
            let tensors = model.to_container().tensors;
            let [ih, hh] = ["rnn.bias_ih_l0", "rnn.bias_hh_l0"].map(|n| &tensors[n].1);
            let expected: Vec<f32> = [ih, hh].iter().flat_map(|b| order.iter().flat_map(|g| b[5 * g..5 * g + 5].to_vec())).collect();
            assert_eq!(values(&graph, "rnn.bias_l0"), expected);
            assert_eq!(hh.iter().any(|x| *x != 0.0), cell == Cell::Gru);
            let rows: Vec<f32> = order.iter().flat_map(|g| tensors["rnn.weight_ih_l0"].1[20 * g..20 * g + 20].to_vec()).collect();
            assert_eq!(values(&graph, "rnn.weight_ih_l0"), rows);
        }
    }
}
