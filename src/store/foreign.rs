//! Models of other programs: safetensors files with the names and shapes of a PyTorch module that has `rnn = nn.RNN(V, H, layers)`, `nn.GRU` or
//! `nn.LSTM`, and `head = nn.Linear(H, V)`.

use super::container::{CHECKSUM, Container, in_file};
use super::{Model, model};
use crate::data::{Kind, Vocabulary};
use crate::dims::Dims;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Activation, Cell, Config};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::Path;

/// Most faults listed in one message.
const LISTED: usize = 12;

/// A tensor of the file.
struct Found {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its values, if they are F32.
    numbers: Vec<f32>,
}

/// The content of a file that may come from another program.
pub struct Foreign {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Found>,
}

/// Facts about a model that another program's file does not state.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The symbols in the order of the model's indices; none to take those of the file's metadata.
    pub vocabulary: Option<Vec<String>>,
    /// Whether the symbols are all 256 bytes.
    pub bytes: bool,
    /// Activation function of an `nn.RNN`; none to take that of the file's metadata, or tanh.
    pub activation: Option<Activation>,
}

/// What is inferred from the tensors: the cell, V, H, layers, and whether layers and head have biases.
struct Sizes {
    cell: Cell,
    vocab: Option<usize>,
    hidden: Option<usize>,
    layers: usize,
    bias: [bool; 2],
}

impl Foreign {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not a complete safetensors file, or does not match its checksum.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&files::read(path)?).map_err(|e| in_file(path, e))
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// As [`Foreign::read`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = |e: &dyn std::fmt::Display| {
            Error::Input(format!("not a whole safetensors file ({e}): it was cut short, or is something else; give a model file, or another copy of it"))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let metadata: BTreeMap<String, String> = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        if metadata.contains_key(CHECKSUM) {
            let changed = "; if another program has changed it and kept the metadata, leave out `checksum` there";
            Container::from_bytes(bytes, &[]).map_err(|e| Error::Input(format!("{e}{changed}")))?;
        }
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let numbers = |t: &safetensors::tensor::TensorView<'_>| if t.dtype() == Dtype::F32 { bytemuck::pod_collect_to_vec(t.data()) } else { Vec::new() };
        let found = |t: safetensors::tensor::TensorView<'_>| Found { dtype: t.dtype(), shape: t.shape().to_vec(), numbers: numbers(&t) };
        Ok(Foreign { metadata, tensors: file.tensors().into_iter().map(|(name, t)| (name, found(t))).collect() })
    }

    /// The model, and notes for the user on how it was read.
    ///
    /// # Errors
    /// [`Error::Input`] naming every tensor whose name, shape or type does not fit, with the expected and the found one; also every such symbol.
    pub fn model(mut self, unsaid: &ImportOptions) -> Result<(Model, Vec<String>)> {
        let own = self.architecture()?;
        if self.is_own(own.as_ref()) {
            return self.own(unsaid).map(|model| (model, Vec::new()));
        }
        let sizes = self.sizes(own.as_ref())?;
        self.check(&sizes)?;
        let (Some(vocab), Some(hidden)) = (sizes.vocab, sizes.hidden) else { return Err(Error::Input("it has no tensors".to_string())) };
        if let Some(own) = own.as_ref().filter(|o| o.hidden as usize != hidden || o.layers as usize != sizes.layers) {
            return Err(Error::Input(format!(
                "its metadata `config` says {} layers of {} units, its tensors have {} of {hidden}; leave `config` out, or put it right",
                own.layers, own.hidden, sizes.layers
            )));
        }
        if sizes.layers > Dims::MAX_LAYERS as usize {
            return Err(Error::Input(format!("it has {} layers, expected 1 to {}", sizes.layers, Dims::MAX_LAYERS)));
        }
        let mut notes = Vec::new();
        let activation = self.activation(sizes.cell, unsaid, own.as_ref(), &mut notes)?;
        let kind = if unsaid.bytes { Kind::Bytes } else { own.as_ref().map_or(Kind::Characters, |o| o.symbols) };
        let symbols = self.symbols(unsaid, kind, vocab)?;
        let order = checked_order(&symbols, vocab)?;
        let bias = sizes.bias != [false; 2];
        let (cell, layers) = (sizes.cell, sizes.layers as u32);
        let config = Config { hidden: hidden as u32, layers, cell, activation, bias, ..Config::symbols(vocab as u32) };
        let architecture = model::architecture(&config, kind);
        let sorted: Vec<&String> = order.iter().map(|&i| &symbols[i]).collect();
        let mut container = Container {
            metadata: BTreeMap::from([("config".into(), architecture), ("vocabulary".into(), serde_json::json!(sorted).to_string())]),
            ..Container::default()
        };
        if let Some(sequences) = self.metadata.get("sequences").filter(|_| own.is_some()) {
            container.metadata.insert("sequences".into(), sequences.clone());
        }
        for (name, found) in std::mem::take(&mut self.tensors) {
            let numbers = match name.as_str() {
                // One column, or row, per symbol.
                "rnn.weight_ih_l0" => found.numbers.chunks(vocab).flat_map(|row| order.iter().map(|&i| row[i])).collect(),
                "head.weight" => order.iter().flat_map(|&i| &found.numbers[i * hidden..][..hidden]).copied().collect(),
                "head.bias" => order.iter().map(|&i| found.numbers[i]).collect(),
                _ => found.numbers,
            };
            container.tensors.insert(name, (found.shape, numbers));
        }
        for (name, len) in zero_biases(&sizes, vocab, hidden) {
            container.put(name, &[len as u32], vec![0.0; len]);
        }
        if sizes.bias[0] != sizes.bias[1] {
            let (with, without) = if sizes.bias[0] { ("rnn", "head") } else { ("head", "rnn") };
            notes.push(format!("{with} has biases and {without} none: {without} gets biases of 0, which training moves"));
        }
        Ok((Model::from_container(container)?, notes))
    }

    /// Whether only this program makes such models: of tokens, labels or series, or with an embedding. Such a file describes itself completely.
    fn is_own(&self, own: Option<&model::Architecture>) -> bool {
        let says = |name: &str| self.metadata.contains_key(name);
        own.is_some_and(|o| o.symbols == Kind::Tokens || says("labels") || says("series") || self.tensors.contains_key("embed.weight"))
    }

    /// The model of such a file.
    fn own(self, unsaid: &ImportOptions) -> Result<Model> {
        let said = [("vocabulary", unsaid.vocabulary.is_some()), ("bytes", unsaid.bytes), ("activation", unsaid.activation.is_some())];
        if let Some((flag, _)) = said.into_iter().find(|s| s.1) {
            return Err(Error::Usage(format!("--{flag} is for files that do not say it, and this one does; leave it out")));
        }
        if let Some((name, found)) = self.tensors.iter().find(|(_, t)| t.dtype != Dtype::F32) {
            return Err(Error::Input(format!("{name} is {:?} {:?}, expected F32; convert it in Python", found.dtype, found.shape)));
        }
        let mut metadata = self.metadata;
        metadata.remove(CHECKSUM);
        let tensors = self.tensors.into_iter().map(|(name, found)| (name, (found.shape, found.numbers))).collect();
        Model::from_container(Container { metadata, tensors })
    }

    /// This program's description of the architecture, if the file has it.
    fn architecture(&self) -> Result<Option<model::Architecture>> {
        match self.metadata.get("config").filter(|text| text.contains("\"architecture\"")) {
            Some(text) => model::parse_architecture(text).map(Some),
            None => Ok(None),
        }
    }

    /// The activation function; `notes` says if it is a guess.
    fn activation(&self, cell: Cell, unsaid: &ImportOptions, own: Option<&model::Architecture>, notes: &mut Vec<String>) -> Result<Activation> {
        match (cell, unsaid.activation, own) {
            (Cell::Rnn, Some(activation), _) => Ok(activation),
            (Cell::Rnn, None, Some(own)) => Ok(own.activation()),
            (Cell::Rnn, None, None) => {
                notes.push("the file does not say which activation its model has: tanh is taken, as nn.RNN does; `activation` relu for the other".to_string());
                Ok(Activation::Tanh)
            }
            (cell, Some(_), _) => Err(Error::Usage(format!("`activation` is for nn.RNN, and its tensors are those of nn.{}; leave it out", cell.spec().torch))),
            (_, None, _) => Ok(Activation::default()),
        }
    }

    /// The cell whose gates the first layer has. The metadata, if any, must say the same.
    fn cell(&self, hidden: Option<usize>, own: Option<&model::Architecture>) -> Result<Cell> {
        let named = |sought: &dyn Fn(&str) -> bool| self.tensors.keys().find(|name| name.starts_with("rnn.") && sought(name));
        if let Some(name) = named(&|n| n.ends_with("_reverse")) {
            return Err(Error::Input(format!("{name} is of a second direction, which models here do not have; train one with bidirectional=False")));
        }
        if let Some(name) = named(&|n| n.starts_with("rnn.weight_hr_l")) {
            return Err(Error::Input(format!("{name} is of a projection of the state, which models here do not have; train one without proj_size")));
        }
        let said = own.map_or(Cell::Rnn, |o| o.cell);
        let Some((found, &[rows, columns])) = self.tensors.get("rnn.weight_hh_l0").and_then(|t| Some((t, t.shape.first_chunk::<2>()?))) else {
            return Ok(said);
        };
        let found = format!("rnn.weight_hh_l0 is {:?} {:?}", found.dtype, found.shape);
        let fits = |h: usize| Cell::ALL.into_iter().find(|c| h > 0 && rows.is_multiple_of(h) && rows / h == c.spec().gates as usize);
        match hidden.and_then(fits).or(fits(columns)) {
            Some(cell) if own.is_some() && cell != said => Err(Error::Input(format!(
                "{found}, as in nn.{}, and its metadata `config` says {said}; leave `config` out, or put it right",
                cell.spec().torch
            ))),
            Some(cell) => Ok(cell),
            None => {
                let expected = Cell::ALL.map(|c| format!("[{}, H] of nn.{}", of_units(c.spec().gates as usize), c.spec().torch)).join(", ");
                let fewer = rows / 4 > columns && rows.is_multiple_of(4);
                let projected = if fewer { "; with proj_size there are fewer columns: train a model without it" } else { "" };
                Err(Error::Input(format!("{found}, which has the gates of no cell: expected {expected}{projected}; or convert it in Python")))
            }
        }
    }

    fn sizes(&self, own: Option<&model::Architecture>) -> Result<Sizes> {
        let shape = |name: &str, dimension: usize| self.tensors.get(name).filter(|t| t.shape.len() == 2).map(|t| t.shape[dimension]);
        let layer = |name: &String| {
            let stems = ["rnn.weight_ih_l", "rnn.weight_hh_l", "rnn.bias_ih_l", "rnn.bias_hh_l"];
            stems.iter().find_map(|stem| name.strip_prefix(stem)?.parse::<usize>().ok()).filter(|k| *k < 1000)
        };
        let hidden = shape("head.weight", 1).or(shape("rnn.weight_hh_l0", 1));
        let cell = self.cell(hidden, own)?;
        Ok(Sizes {
            cell,
            vocab: shape("rnn.weight_ih_l0", 1).or(shape("head.weight", 0)),
            hidden: hidden.or(shape("rnn.weight_ih_l0", 0).map(|rows| rows / cell.spec().gates as usize)),
            layers: self.tensors.keys().filter_map(layer).max().map_or(1, |k| k + 1),
            bias: [self.tensors.keys().any(|n| n.starts_with("rnn.bias_")), self.tensors.contains_key("head.bias")],
        })
    }

    /// Checks the tensors. The error lists every one that does not fit, in one line.
    fn check(&self, sizes: &Sizes) -> Result<()> {
        let expected = expected(sizes);
        let size = |d: &Dimension| d.0.map_or(d.1.clone(), |n| n.to_string());
        let mut faults = Vec::new();
        for (name, shape) in &expected {
            let wanted = format!("F32 [{}]", shape.iter().map(size).collect::<Vec<_>>().join(", "));
            match self.tensors.get(name) {
                None => faults.push(format!("{name} is missing, expected {wanted}")),
                Some(t) => {
                    let found = format!("{:?} {:?}", t.dtype, t.shape);
                    if found != wanted {
                        faults.push(format!("{name} is {found}, expected {wanted}"));
                    }
                }
            }
        }
        let extra = self.tensors.iter().filter(|(name, _)| !expected.iter().any(|(e, _)| e == *name));
        faults.extend(extra.map(|(name, t)| format!("{name} {:?} {:?} is none of the expected ones", t.dtype, t.shape)));
        if faults.is_empty() {
            return Ok(());
        }
        let more = faults.len().saturating_sub(LISTED);
        faults.truncate(LISTED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Err(Error::Input(format!(
            "its tensors are not those of rnn = nn.{}(V, H, layers) and head = nn.Linear(H, V): {}{more}; rename or convert them in Python",
            sizes.cell.spec().torch,
            faults.join("; ")
        )))
    }

    /// The symbols in the order of the model's indices.
    fn symbols(&self, unsaid: &ImportOptions, kind: Kind, vocab: usize) -> Result<Vec<String>> {
        if let Some(symbols) = &unsaid.vocabulary {
            return Ok(symbols.clone());
        }
        if unsaid.bytes {
            let bytes = Vocabulary::bytes().symbols();
            return if vocab == bytes.len() { Ok(bytes) } else { Err(Error::Input(format!("the model has {vocab} symbols, expected 256 with `bytes`"))) };
        }
        let Some(text) = self.metadata.get("vocabulary") else {
            return Err(Error::Input(format!(
                "it does not say which {vocab} symbols its model knows; give `vocabulary` with a file that has them as a JSON array in the order of their indices, or `bytes`"
            )));
        };
        serde_json::from_str(text).map_err(|e| Error::Input(format!("its metadata \"vocabulary\" is no JSON array of {kind:?} ({e})")))
    }
}

/// A size, and what is shown if it is unknown.
type Dimension = (Option<usize>, String);

/// The size of `gates` times H.
fn of_units(gates: usize) -> String {
    if gates == 1 { "H".to_string() } else { format!("{gates} H") }
}

/// The tensors of a model: names and shapes.
fn expected(sizes: &Sizes) -> Vec<(String, Vec<Dimension>)> {
    let gates = sizes.cell.spec().gates as usize;
    let v = || (sizes.vocab, "V".to_string());
    let of = |gates: usize| (sizes.hidden.map(|h| h.saturating_mul(gates)), of_units(gates));
    let mut list = Vec::new();
    for k in 0..sizes.layers {
        list.push((format!("rnn.weight_ih_l{k}"), vec![of(gates), if k == 0 { v() } else { of(1) }]));
        list.push((format!("rnn.weight_hh_l{k}"), vec![of(gates), of(1)]));
        if sizes.bias[0] {
            list.push((format!("rnn.bias_ih_l{k}"), vec![of(gates)]));
            list.push((format!("rnn.bias_hh_l{k}"), vec![of(gates)]));
        }
    }
    list.push(("head.weight".to_string(), vec![v(), of(1)]));
    if sizes.bias[1] {
        list.push(("head.bias".to_string(), vec![v()]));
    }
    list
}

/// Names and sizes of the missing biases, where only the layers or only the head have some.
fn zero_biases(sizes: &Sizes, vocab: usize, hidden: usize) -> Vec<(String, usize)> {
    let rows = sizes.cell.spec().gates as usize * hidden;
    match sizes.bias {
        [true, false] => vec![("head.bias".to_string(), vocab)],
        [false, true] => (0..sizes.layers).flat_map(|k| [format!("rnn.bias_ih_l{k}"), format!("rnn.bias_hh_l{k}")]).map(|n| (n, rows)).collect(),
        _ => Vec::new(),
    }
}

/// The indices of the symbols in code point order, which is that of this program's models.
fn checked_order(symbols: &[String], vocab: usize) -> Result<Vec<usize>> {
    let mut faults = Vec::new();
    if symbols.len() != vocab {
        faults.push(format!("it has {} symbols, expected {vocab}: rnn.weight_ih_l0 has as many columns", symbols.len()));
    }
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, s) in symbols.iter().enumerate() {
        if s.chars().count() != 1 {
            faults.push(format!("{s:?} at index {i} is not one character"));
        }
        places.entry(s).or_default().push(i);
    }
    let twice = places.iter().filter(|(_, at)| at.len() > 1);
    faults.extend(
        twice.map(|(s, at)| format!("{s:?} is there {} times, at the indices {}", at.len(), at.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))),
    );
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(LISTED);
        faults.truncate(LISTED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        return Err(Error::Input(format!("the vocabulary does not fit: {}{more}", faults.join("; "))));
    }
    Ok(places.into_values().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Init;

    fn model(layers: u32, bias: bool, activation: Activation) -> Model {
        let config = Config { hidden: 5, layers, activation, bias, ..Config::symbols(4) };
        Model {
            config,
            codec: crate::data::Codec::Text(Vocabulary::of("abcd")),
            trained_on: model::TrainedOn::Stream,
            split_seed: None,
            parameters: Init::Uniform.parameters(&config, 3),
        }
    }

    fn of_cell(cell: Cell, bias: bool) -> Model {
        let m = model(2, bias, Activation::Tanh);
        let config = Config { cell, ..m.config };
        Model { config, parameters: Init::Uniform.parameters(&config, 3), ..m }
    }

    fn foreign(container: &Container) -> Foreign {
        Foreign {
            metadata: container.metadata.clone(),
            tensors: container
                .tensors
                .iter()
                .map(|(n, (shape, numbers))| (n.clone(), Found { dtype: Dtype::F32, shape: shape.clone(), numbers: numbers.clone() }))
                .collect(),
        }
    }

    fn letters(text: &str) -> Option<Vec<String>> {
        Some(text.chars().map(String::from).collect())
    }

    #[test]
    fn own_files_need_no_word() {
        for (layers, bias, activation) in [(1, true, Activation::Tanh), (3, false, Activation::Relu)] {
            let m = model(layers, bias, activation);
            let (read, notes) = Foreign::from_bytes(&m.to_container().to_bytes()).unwrap().model(&ImportOptions::default()).unwrap();
            assert!(read == m && notes.is_empty(), "{notes:?}");
        }
    }

    /// A different order of the symbols gives the same model; both biases are added.
    #[test]
    fn symbols_are_put_in_order_and_biases_added() {
        let m = model(2, true, Activation::Relu);
        let mut c = m.to_container();
        c.metadata.clear();
        // Index 0 is c, 1 a, 2 d, 3 b.
        let order = [2, 0, 3, 1];
        let row = |x: &[f32], width: usize, i: usize| x[i * width..][..width].to_vec();
        let (_, w) = c.tensors["rnn.weight_ih_l0"].clone();
        c.put("rnn.weight_ih_l0", &[5, 4], w.chunks(4).flat_map(|r| order.map(|i| r[i])).collect());
        for (name, width, shape) in [("head.weight", 5, &[4, 5][..]), ("head.bias", 1, &[4])] {
            let (_, x) = c.tensors[name].clone();
            c.put(name, shape, order.iter().flat_map(|&i| row(&x, width, i)).collect());
        }
        let (_, b) = c.tensors["rnn.bias_ih_l1"].clone();
        c.put("rnn.bias_ih_l1", &[5], b.iter().map(|x| x - 0.5).collect());
        c.put("rnn.bias_hh_l1", &[5], vec![0.5; 5]);
        let unsaid = ImportOptions { vocabulary: letters("cadb"), activation: Some(Activation::Relu), ..ImportOptions::default() };
        let (read, _) = foreign(&c).model(&unsaid).unwrap();
        assert_eq!((read.config, &read.codec), (m.config, &m.codec));
        assert!(read.parameters.iter().zip(&m.parameters).all(|(a, b)| (a - b).abs() < 1e-6));
        let (read, notes) = foreign(&c).model(&ImportOptions { vocabulary: letters("cadb"), ..ImportOptions::default() }).unwrap();
        assert!(read.config.activation == Activation::Tanh && notes[0].contains("`activation` relu"), "{notes:?}");
    }

    #[test]
    fn what_does_not_fit_is_listed() {
        let check = |change: &dyn Fn(&mut Foreign), words: &[&str]| {
            let mut c = model(2, true, Activation::Tanh).to_container();
            c.metadata.clear();
            let mut f = foreign(&c);
            change(&mut f);
            let e = f.model(&ImportOptions { vocabulary: letters("abcd"), ..ImportOptions::default() }).map(|m| m.1).unwrap_err().to_string();
            assert!(words.iter().all(|w| e.contains(w)) && !e.contains('\n'), "{e}");
        };
        let shape = |f: &mut Foreign, name: &str, to: &[usize]| f.tensors.get_mut(name).unwrap().shape = to.to_vec();
        check(&|f| f.tensors.clear(), &["rnn.weight_ih_l0 is missing, expected F32 [H, V]", "head.weight is missing, expected F32 [V, H]"]);
        check(&|f| drop(f.tensors.remove("rnn.bias_hh_l1")), &["rnn.bias_hh_l1 is missing, expected F32 [5]"]);
        check(&|f| shape(f, "rnn.weight_hh_l1", &[5, 6]), &["rnn.weight_hh_l1 is F32 [5, 6], expected F32 [5, 5]"]);
        check(&|f| f.tensors.get_mut("head.bias").unwrap().dtype = Dtype::F16, &["head.bias is F16 [4], expected F32 [4]"]);
        check(
            &|f| {
                shape(f, "head.weight", &[5, 5]);
                drop(f.tensors.remove("rnn.weight_hh_l1"));
                f.tensors.insert("fc.weight".into(), Found { dtype: Dtype::F32, shape: vec![9], numbers: vec![0.0; 9] });
            },
            &["head.weight is F32 [5, 5], expected F32 [4, 5]", "rnn.weight_hh_l1 is missing", "fc.weight F32 [9] is none"],
        );
        check(
            &|f| {
                shape(f, "rnn.weight_hh_l0", &[20, 5]);
                shape(f, "rnn.weight_ih_l0", &[20, 4]);
            },
            &["nn.LSTM(V, H, layers)", "rnn.weight_hh_l1 is F32 [5, 5], expected F32 [20, 5]", "rnn.bias_hh_l0 is F32 [5], expected F32 [20]"],
        );
        check(&|f| f.tensors.get_mut("rnn.weight_hh_l0").unwrap().numbers[3] = f32::NAN, &["not finite"]);
        check(&|f| drop(f.metadata.insert("config".into(), r#"{"format":9,"architecture":"rnn"}"#.into())), &["newer program"]);
        let config = r#"{"format":1,"architecture":"rnn","symbols":"characters","hidden":6,"layers":2,"activation":"relu","bias":true}"#;
        check(&|f| drop(f.metadata.insert("config".into(), config.into())), &["2 layers of 6 units", "2 of 5"]);
    }

    #[test]
    fn gates_say_which_cell_it_is() {
        for (cell, bias) in [(Cell::Gru, true), (Cell::Lstm, false), (Cell::Lstm, true)] {
            let m = of_cell(cell, bias);
            let mut c = m.to_container();
            let unsaid = ImportOptions { vocabulary: letters("abcd"), ..ImportOptions::default() };
            let own = foreign(&c).model(&ImportOptions::default()).unwrap();
            assert!(own.0 == m && own.1.is_empty(), "{:?}", own.1);
            c.metadata.clear();
            let (read, notes) = foreign(&c).model(&unsaid).unwrap();
            assert!(read == m && notes.is_empty(), "{notes:?}");
            let e = foreign(&c).model(&ImportOptions { activation: Some(Activation::Tanh), ..unsaid }).map(|m| m.1).unwrap_err().to_string();
            assert!(e.starts_with(&format!("`activation` is for nn.RNN, and its tensors are those of nn.{}", cell.spec().torch)), "{e}");
        }
    }

    #[test]
    fn what_is_more_than_a_cell_is_refused() {
        let refused = |cell: Cell, change: &dyn Fn(&mut Foreign)| {
            let mut f = foreign(&of_cell(cell, true).to_container());
            change(&mut f);
            f.model(&ImportOptions { vocabulary: letters("abcd"), ..ImportOptions::default() }).map(|m| m.1).unwrap_err().to_string()
        };
        let more = |f: &mut Foreign, name: &str, shape: &[usize]| {
            f.metadata.clear();
            f.tensors.insert(name.into(), Found { dtype: Dtype::F32, shape: shape.to_vec(), numbers: vec![0.0; shape.iter().product()] });
        };
        for (cell, name, shape, expected) in [
            (
                Cell::Lstm,
                "rnn.weight_hr_l0",
                [3, 5],
                "rnn.weight_hr_l0 is of a projection of the state, which models here do not have; train one without proj_size",
            ),
            (Cell::Gru, "rnn.weight_ih_l0_reverse", [15, 4], "is of a second direction, which models here do not have; train one with bidirectional=False"),
            (
                Cell::Gru,
                "rnn.weight_hh_l0",
                [25, 5],
                "[25, 5], which has the gates of no cell: expected [H, H] of nn.RNN, [3 H, H] of nn.GRU, [4 H, H] of nn.LSTM; or",
            ),
            (Cell::Lstm, "rnn.weight_hh_l0", [28, 5], "with proj_size there are fewer columns: train a model without it"),
        ] {
            let e = refused(cell, &|f| more(f, name, &shape));
            assert!(e.contains(expected) && !e.contains('\n'), "{e}");
        }
        let says = |cell| move |f: &mut Foreign| drop(f.metadata.insert("config".into(), of_cell(cell, true).to_container().metadata["config"].clone()));
        let e = refused(Cell::Gru, &says(Cell::Lstm));
        assert_eq!(e, "rnn.weight_hh_l0 is F32 [15, 5], as in nn.GRU, and its metadata `config` says lstm; leave `config` out, or put it right");
        let e = refused(Cell::Rnn, &says(Cell::Gru));
        assert!(e.contains("[5, 5], as in nn.RNN, and its metadata `config` says gru"), "{e}");
    }

    #[test]
    fn vocabularies_that_do_not_fit_are_refused() {
        for (symbols, words) in [
            (letters("abc"), &["3 symbols, expected 4"][..]),
            (letters("abca"), &["\"a\" is there 2 times, at the indices 0, 3"]),
            (Some(vec!["a".to_string(), "bc".into(), String::new(), "d".into()]), &["\"bc\" at index 1 is not one", "\"\" at index 2"]),
            (None, &["which 4 symbols", "`vocabulary`"]),
        ] {
            let mut c = model(1, true, Activation::Tanh).to_container();
            c.metadata.clear();
            let e = foreign(&c).model(&ImportOptions { vocabulary: symbols, ..ImportOptions::default() }).map(|m| m.1).unwrap_err().to_string();
            assert!(words.iter().all(|w| e.contains(w)), "{e}");
        }
        let mut c = model(1, true, Activation::Tanh).to_container();
        c.metadata.clear();
        let e = foreign(&c).model(&ImportOptions { bytes: true, ..ImportOptions::default() }).map(|m| m.1).unwrap_err().to_string();
        assert!(e.contains("4 symbols, expected 256"), "{e}");
    }
}
