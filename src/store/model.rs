//! A model as a file: tensors, vocabulary and architecture, nothing else, so that equal models give equal files.
//!
//! Names and shapes are those of PyTorch, see [`super::torch`].

use super::container::{Container, in_file};
use super::outputs::{Outputs, Steps};
use super::torch;
use crate::data::{Codec, Kind, Scale, Series, SyntheticTask, Tokenizer, Vocabulary};
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Activation, Cell, Config, Init};
use crate::trainer::Trainer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;

/// Newest format of the config that this program reads: that of models with gates. Older programs refuse it.
const FORMAT: u32 = 3;
/// The format of models of the plain cell.
const PLAIN_FORMAT: u32 = 2;
/// The format of those that read one-hot characters or bytes and predict the next.
const FIRST_FORMAT: u32 = 1;

/// Names of the metadata; PyTorch's tools write `format`.
const NAMES: [&str; 9] = ["columns", "config", "format", "labels", "scales", "sequences", "series", "tokenizer", "vocabulary"];

/// How the text of a model was laid out in training.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TrainedOn {
    /// As one stream; also the default if a file does not say.
    #[default]
    #[serde(rename = "stream")]
    Stream,
    /// As sequences with this separator.
    #[serde(rename = "separator")]
    Separated(String),
    /// The sequences of a task.
    #[serde(rename = "task")]
    Task(SyntheticTask),
}

impl TrainedOn {
    /// The separator of its sequences, if it is a text of sequences.
    pub fn separator(&self) -> Option<&str> {
        if let TrainedOn::Separated(separator) = self { Some(separator) } else { None }
    }

    /// The task, if it is one.
    pub fn task(&self) -> Option<SyntheticTask> {
        if let TrainedOn::Task(task) = self { Some(*task) } else { None }
    }
}

/// A model, independent of any device.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The architecture.
    pub config: Config,
    /// The meaning of its inputs and outputs.
    pub codec: Codec,
    /// How its text was laid out.
    pub trained_on: TrainedOn,
    /// The seed that chose the held-out lines or sequences, if not 0: training that continues from the model holds out the same.
    pub split_seed: Option<u64>,
    /// The flat parameters, see [`Config::tensors`].
    pub parameters: Vec<f32>,
}

/// The metadata `config`.
#[derive(Serialize, Deserialize)]
pub(super) struct Architecture {
    format: u32,
    #[serde(rename = "architecture")]
    pub(super) cell: Cell,
    /// The kind of symbols; meaningless if numbers are read.
    #[serde(default)]
    pub(super) symbols: Kind,
    pub(super) hidden: u32,
    pub(super) layers: u32,
    /// None for a cell with gates, whose functions are fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    activation: Option<Activation>,
    bias: bool,
    /// Size of a symbol's embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    embed: Option<u32>,
}

impl Architecture {
    /// That of a model; `first` if it reads one-hot characters or bytes and predicts the next.
    fn of(c: &Config, symbols: Kind, first: bool) -> Self {
        let plain = c.cell == Cell::Rnn;
        let format = if plain && first { FIRST_FORMAT } else { PLAIN_FORMAT };
        Architecture {
            format: if plain { format } else { FORMAT },
            cell: c.cell,
            symbols,
            hidden: c.hidden,
            layers: c.layers,
            activation: plain.then_some(c.activation),
            bias: c.bias,
            embed: Some(c.embedding()).filter(|e| *e > 0),
        }
    }

    pub(super) fn activation(&self) -> Activation {
        self.activation.unwrap_or_default()
    }
}

/// The metadata `config` of a model that reads one-hot symbols and predicts the next.
pub(super) fn architecture(config: &Config, symbols: Kind) -> String {
    json!(Architecture::of(config, symbols, true)).to_string()
}

/// Reads the metadata `config`.
pub(super) fn parse_architecture(config: &str) -> Result<Architecture> {
    let wrong = |e: &dyn std::fmt::Display| Error::Input(format!("its metadata \"config\" is not that of a model of this program ({e})"));
    let format: serde_json::Value = serde_json::from_str(config).map_err(|e| wrong(&e))?;
    let format = format.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if format > u64::from(FORMAT) {
        return Err(Error::Input(format!("it was written by a newer program (format {format}; this one reads up to {FORMAT}); update retrograd")));
    }
    let a: Architecture = serde_json::from_str(config).map_err(|e| wrong(&e))?;
    match (a.cell, a.activation) {
        (Cell::Rnn, None) => Err(wrong(&"missing field `activation`")),
        (Cell::Rnn, Some(_)) => Ok(a),
        (cell, _) if a.format < FORMAT => Err(wrong(&format!("format {} with the architecture \"{cell}\", expected \"rnn\"", a.format))),
        (cell, Some(activation)) => Err(wrong(&format!("activation \"{activation}\", which the architecture \"{cell}\" does not have"))),
        (_, None) => Ok(a),
    }
}

impl Model {
    /// The logits after each symbol of each sequence, `[sequences][steps][V]`: of the next symbol, or of the labels. Sequences begin with a state of zero
    /// and are read side by side, on one thread of the CPU.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are no sequences or too many; [`Error::Usage`] if the model reads no symbols, or not one of these.
    pub fn logits<S: AsRef<[u32]>>(&self, sequences: &[S]) -> Result<Vec<Vec<Vec<f32>>>> {
        let symbols = self.config.input.symbols();
        if symbols == 0 {
            return Err(Error::Usage("the model reads numbers, and logits are of symbols; forecast with it".to_string()));
        }
        if let Some(s) = sequences.iter().flat_map(AsRef::as_ref).find(|s| **s >= symbols) {
            return Err(Error::Usage(format!("there is no symbol {s}: the model reads 0 to {}", symbols - 1)));
        }
        let lanes = u32::try_from(sequences.len()).unwrap_or(u32::MAX);
        self.config.dims(lanes).checked()?;
        let (longest, classes) = (sequences.iter().map(|s| s.as_ref().len()).max().unwrap_or(0), self.config.outputs() as usize);
        if longest == 0 {
            return Ok(sequences.iter().map(|_| Vec::new()).collect());
        }
        // Lanes that have ended read anything.
        let ids: Vec<u32> = sequences.iter().flat_map(|s| (0..longest).map(|t| s.as_ref().get(t).copied().unwrap_or(0))).collect();
        let all = Outputs::new((self.config, &self.codec, &self.parameters), lanes, u32::try_from(longest).unwrap_or(u32::MAX), 1)?.of(Steps::Symbols(&ids))?;
        let rows = |(lane, s): (usize, &S)| (0..s.as_ref().len()).map(|t| all[(lane * longest + t) * classes..][..classes].to_vec()).collect();
        Ok(sequences.iter().enumerate().map(rows).collect())
    }

    /// The content of its file.
    pub fn to_container(&self) -> Container {
        let c = &self.config;
        let mut container = Container::default();
        let mut put = |name: &str, text: String| container.metadata.insert(name.to_string(), text);
        match &self.codec {
            Codec::Text(vocabulary) | Codec::Labels { vocabulary, .. } => match vocabulary.tokenizer() {
                Some(tokenizer) => put("tokenizer", tokenizer.json().to_string()),
                None => put("vocabulary", json!(vocabulary.symbols()).to_string()),
            },
            Codec::LabelledRows { scales, columns, .. } => {
                if !columns.is_empty() {
                    put("columns", json!(columns).to_string());
                }
                put("scales", json!(scales).to_string())
            }
            Codec::Series(series) => put("series", json!(series).to_string()),
        };
        let symbols = self.codec.vocabulary().map_or(Kind::default(), Vocabulary::kind);
        let first = matches!(&self.codec, Codec::Text(v) if v.tokenizer().is_none()) && c.embedding() == 0;
        put("config", json!(Architecture::of(c, symbols, first)).to_string());
        if self.trained_on != TrainedOn::Stream {
            put("sequences", json!(self.trained_on).to_string());
        }
        if let Some(seed) = self.split_seed {
            put("split_seed", seed.to_string());
        }
        if let Some(labels) = self.codec.labels() {
            put("labels", json!(labels).to_string());
        }
        torch::put(&mut container, c, &self.parameters);
        container
    }

    /// Reads a model from a file's content.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not a model of this program, or one of a newer version.
    pub fn from_container(mut container: Container) -> Result<Self> {
        let foreign = |e: Error| Error::Input(format!("{e}; `retrograd import` takes over models of PyTorch"));
        let a = parse_architecture(container.text("config").map_err(foreign)?)?;
        let codec = parse_codec(&container, a.symbols)?;
        let (trained_on, split_seed) = (parse_sequences(&container)?, parse_split_seed(&container)?);
        let embed = a.embed.unwrap_or(0);
        let (hidden, layers, cell, activation, bias) = (a.hidden, a.layers, a.cell, a.activation(), a.bias);
        let config = Config { input: codec.input(embed), output: codec.output(), hidden, layers, cell, activation, bias };
        config.dims(1).checked().map_err(|e| Error::Input(e.to_string()))?;
        let found: u64 = container.tensors.values().map(|(_, numbers)| numbers.len() as u64).sum();
        if found < config.parameters() {
            return Err(Error::Input(format!("it holds {found} numbers, a model of its architecture has {}", config.parameters())));
        }
        let parameters = torch::take(&mut container, &config)?;
        if !parameters.iter().all(|x| x.is_finite()) {
            return Err(Error::Input("it holds numbers that are not finite: its training has diverged".to_string()));
        }
        match container.tensors.keys().next() {
            Some(name) => Err(Error::Input(format!("tensor {name} does not belong to a model of {} layers", config.layers))),
            None => Ok(Model { config, codec, trained_on, split_seed, parameters }),
        }
    }

    /// The model with more symbols in its vocabulary, and the number of new ones. Their weights are those of a fresh model of that size.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not a model of characters that predicts the next one.
    pub fn extended(&self, more: &[char], init: Init, seed: u64) -> Result<(Self, u32)> {
        let Codec::Text(vocabulary) = &self.codec else {
            return Err(Error::setting("extend_vocabulary", "`extend_vocabulary` is for models that predict the next character; leave it out"));
        };
        if vocabulary.kind() != Kind::Characters || self.trained_on.task().is_some() {
            return Err(Error::setting("extend_vocabulary", "`extend_vocabulary` is for models of the characters of a text; leave it out"));
        }
        let (vocabulary, before) = vocabulary.extended(more);
        let codec = Codec::Text(vocabulary);
        let config = Config { input: codec.input(self.config.embedding()), output: codec.output(), ..self.config };
        config.dims(1).checked()?;
        let mut parameters = init.parameters(&config, seed);
        for (old, new) in self.config.tensors().iter().zip(config.tensors()) {
            let (known, mut numbers) = (old.extract(&self.parameters), new.extract(&parameters));
            // The shape shows whether its rows or columns stand for symbols.
            let (by_row, by_column) = (old.rows != new.rows, old.cols != new.cols);
            for r in 0..new.rows as usize {
                let Some(row) = (if by_row { before[r] } else { Some(r as u32) }) else { continue };
                for c in 0..new.cols as usize {
                    let Some(column) = (if by_column { before[c] } else { Some(c as u32) }) else { continue };
                    numbers[r * new.cols as usize + c] = known[(row * old.cols + column) as usize];
                }
            }
            new.insert(&mut parameters, &numbers);
        }
        let added = before.iter().filter(|b| b.is_none()).count() as u32;
        Ok((Model { config, codec, trained_on: self.trained_on.clone(), split_seed: self.split_seed, parameters }, added))
    }

    /// The model on a trainer's device; the caller sets how its text is laid out.
    ///
    /// # Errors
    /// If the device fails.
    pub fn of(trainer: &mut Trainer) -> Result<Self> {
        let parameters = trainer.engine.parameters()?;
        Ok(Self::around(trainer, parameters))
    }

    /// Like [`Model::of`], without blocking.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn of_async(trainer: &mut Trainer) -> Result<Self> {
        let parameters = trainer.engine.parameters_async().await?;
        Ok(Self::around(trainer, parameters))
    }

    fn around(trainer: &Trainer, parameters: Vec<f32>) -> Self {
        Model { config: trainer.engine.config, codec: trainer.codec().clone(), trained_on: TrainedOn::Stream, split_seed: None, parameters }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Input`] if it can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::replace(path, &self.to_bytes())
    }

    /// The bytes of the file, for where there are no files.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_container().to_bytes()
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Input`] if they are not a complete model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Container::from_bytes(bytes, &NAMES).and_then(Self::from_container)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not a complete model.
    pub fn load(path: &Path) -> Result<Self> {
        Container::read(path, &NAMES).and_then(|c| Self::from_container(c).map_err(|e| in_file(path, e)))
    }
}

/// Reads the codec of a model.
fn parse_codec(container: &Container, kind: Kind) -> Result<Codec> {
    let wrong = |name: &str, e: serde_json::Error| Error::Input(format!("its metadata \"{name}\" is not that of a model of this program ({e})"));
    if let Some(series) = container.metadata.get("series") {
        return serde_json::from_str::<Series>(series).map_err(|e| wrong("series", e))?.checked().map(Codec::Series);
    }
    if let Some(scales) = container.metadata.get("scales") {
        let scales: Vec<Scale> = serde_json::from_str(scales).map_err(|e| wrong("scales", e))?;
        if scales.is_empty() || !scales.iter().all(Scale::is_sound) {
            return Err(Error::Input("its metadata \"scales\" is not that of a model of this program: expected means and deviations".to_string()));
        }
        let columns: Option<Vec<String>> = container.metadata.get("columns").map(|c| serde_json::from_str(c)).transpose().map_err(|e| wrong("columns", e))?;
        let columns = columns.unwrap_or_default();
        if !columns.is_empty() && columns.len() != scales.len() {
            return Err(Error::Input("its metadata \"columns\" is not that of a model of this program: expected a name for each scale".to_string()));
        }
        return Ok(Codec::LabelledRows { scales, columns, labels: parse_labels(container.text("labels")?)? });
    }
    if kind == Kind::Tokens {
        let tokenizer = Tokenizer::new(container.text("tokenizer")?.to_string()).map_err(|e| Error::Input(format!("its tokenizer: {e}")))?;
        return match container.metadata.get("labels") {
            Some(_) => Err(Error::Input("it has labels and a tokenizer: it is of another program".to_string())),
            None => Ok(Codec::Text(Vocabulary::tokens(tokenizer))),
        };
    }
    let symbols: Vec<String> = serde_json::from_str(container.text("vocabulary")?).map_err(|e| wrong("vocabulary", e))?;
    let vocabulary = Vocabulary::new(kind, &symbols)?;
    Ok(match container.metadata.get("labels") {
        Some(labels) => Codec::Labels { vocabulary, labels: parse_labels(labels)? },
        None => Codec::Text(vocabulary),
    })
}

/// Reads the metadata `sequences`, which files of earlier versions lack.
fn parse_sequences(container: &Container) -> Result<TrainedOn> {
    let wrong = |e: &dyn std::fmt::Display| Error::Input(format!("its metadata \"sequences\" is not that of a model of this program ({e})"));
    let Some(text) = container.metadata.get("sequences") else { return Ok(TrainedOn::Stream) };
    match serde_json::from_str(text).map_err(|e| wrong(&e))? {
        TrainedOn::Separated(separator) if separator.is_empty() => Err(wrong(&"an empty separator")),
        trained_on => Ok(trained_on),
    }
}

/// Reads the metadata `split_seed`.
fn parse_split_seed(container: &Container) -> Result<Option<u64>> {
    let seed = container.metadata.get("split_seed").map(|text| text.parse::<u64>()).transpose();
    seed.map_err(|e| Error::Input(format!("its metadata \"split_seed\" is not that of a model of this program ({e})")))
}

/// Reads the metadata `labels`.
fn parse_labels(text: &str) -> Result<Vec<String>> {
    let wrong = |what: &str| Error::Input(format!("its metadata \"labels\" is not that of a model of this program ({what})"));
    let labels: Vec<String> = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
    if labels.len() < 2 || !labels.is_sorted_by(|a, b| a < b) { Err(wrong("expected at least 2 different ones in order")) } else { Ok(labels) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(layers: u32, bias: bool) -> Model {
        let vocabulary = Vocabulary::of("añ\"\n");
        let config = Config { hidden: 5, layers, activation: Activation::Relu, bias, ..Config::symbols(4) };
        Model { config, codec: Codec::Text(vocabulary), trained_on: TrainedOn::Stream, split_seed: None, parameters: Init::Uniform.parameters(&config, 3) }
    }

    #[test]
    fn labels_and_embeddings_are_written_and_read() {
        let vocabulary = Vocabulary::of("abc");
        for (size, labels) in [(3, None), (0, Some(["no", "yes"])), (5, Some(["no", "yes"]))] {
            let codec = match labels {
                Some(labels) => Codec::Labels { vocabulary: vocabulary.clone(), labels: labels.map(String::from).to_vec() },
                None => Codec::Text(vocabulary.clone()),
            };
            let config = Config { input: codec.input(size), output: codec.output(), hidden: 4, ..Config::symbols(1) };
            let m = Model { parameters: Init::Uniform.parameters(&config, 3), config, codec, trained_on: TrainedOn::Stream, split_seed: Some(7) };
            let c = m.to_container();
            assert!(c.metadata["config"].contains("\"format\":2"), "{}", c.metadata["config"]);
            assert_eq!(Model::from_bytes(&m.to_bytes()).unwrap(), m);
        }
    }

    #[test]
    fn a_file_knows_what_its_sequences_are() {
        let stream = model(1, true);
        assert!(!stream.to_container().metadata.contains_key("sequences"), "as files of streams always were");
        for trained_on in [TrainedOn::Separated("\n".into()), TrainedOn::Separated("\"é\r\n".into()), TrainedOn::Task("copy:4".to_string().try_into().unwrap())]
        {
            let m = Model { trained_on, ..stream.clone() };
            assert_eq!(Model::from_container(Container::from_bytes(&m.to_container().to_bytes(), &NAMES).unwrap()).unwrap(), m);
        }
        for bad in ["", "{}", "\"lines\"", "{\"separator\":\"\"}", "{\"task\":\"sleep:3\"}"] {
            let mut c = stream.to_container();
            c.metadata.insert("sequences".into(), bad.into());
            let e = Model::from_container(c).unwrap_err().to_string();
            assert!(e.contains("\"sequences\"") && !e.contains('\n'), "{bad}: {e}");
        }
    }

    #[test]
    fn new_symbols_get_fresh_rows_and_old_ones_keep_theirs() {
        for size in [0, 3] {
            let codec = Codec::Text(Vocabulary::of("bd\n"));
            let config = Config { input: codec.input(size), output: codec.output(), hidden: 5, layers: 2, ..Config::symbols(1) };
            let old =
                Model { parameters: Init::Uniform.parameters(&config, 3), config, codec, trained_on: TrainedOn::Separated("\n".into()), split_seed: None };
            let (new, added) = old.extended(&['c', 'a', 'd'], Init::Uniform, 7).unwrap();
            assert_eq!((added, new.codec.vocabulary().unwrap().symbols().concat()), (2, "\nabcd".to_string()));
            assert_eq!(new.trained_on, old.trained_on);
            let fresh = Init::Uniform.parameters(&new.config, 7);
            let at = [Some(0), None, Some(1), None, Some(2)];
            for (was, is) in old.config.tensors().iter().zip(new.config.tensors()) {
                let (a, b, c) = (was.extract(&old.parameters), is.extract(&new.parameters), is.extract(&fresh));
                for i in 0..b.len() {
                    let (row, column) = (i / is.cols as usize, i % is.cols as usize);
                    let row = if was.rows == is.rows { Some(row) } else { at[row] };
                    let column = if was.cols == is.cols { Some(column) } else { at[column] };
                    let expected = row.zip(column).map_or(c[i], |(r, k)| a[r * was.cols as usize + k]);
                    assert_eq!(b[i], expected, "{} {i}", is.name);
                }
            }
            assert_eq!(old.extended(&['b'], Init::Uniform, 7).unwrap(), (old.clone(), 0));
        }
        let bytes = Model { codec: Codec::Text(Vocabulary::bytes()), ..model(1, true) };
        assert!(bytes.extended(&['x'], Init::Uniform, 0).is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        for (layers, bias) in [(1, true), (3, true), (2, false)] {
            let m = model(layers, bias);
            assert_eq!(Model::from_container(Container::from_bytes(&m.to_container().to_bytes(), &NAMES).unwrap()).unwrap(), m);
        }
    }

    /// PyTorch multiplies columns by matrices `[H,V]` and `[H,H]`.
    #[test]
    fn names_and_shapes_are_those_of_pytorch() {
        let m = model(2, true);
        let c = m.to_container();
        let shapes: Vec<(&str, &[usize])> = c.tensors.iter().map(|(n, (s, _))| (n.as_str(), &s[..])).collect();
        let expected: [(&str, &[usize]); 10] = [
            ("head.bias", &[4]),
            ("head.weight", &[4, 5]),
            ("rnn.bias_hh_l0", &[5]),
            ("rnn.bias_hh_l1", &[5]),
            ("rnn.bias_ih_l0", &[5]),
            ("rnn.bias_ih_l1", &[5]),
            ("rnn.weight_hh_l0", &[5, 5]),
            ("rnn.weight_hh_l1", &[5, 5]),
            ("rnn.weight_ih_l0", &[5, 4]),
            ("rnn.weight_ih_l1", &[5, 5]),
        ];
        assert_eq!(shapes, expected);
        let w_hh = m.config.tensors()[1].extract(&m.parameters);
        assert_eq!(c.tensors["rnn.weight_hh_l0"].1[5], w_hh[1], "row 1, column 0 is our row 0, column 1");
        assert_eq!(c.metadata["vocabulary"], r#"["\n","\"","a","ñ"]"#);
    }

    /// Files of the plain cell are as they always were; those of gates have a format that older programs refuse, and no activation.
    #[test]
    fn the_format_tells_gates_apart() {
        let config = |m: &Model| m.to_container().metadata["config"].clone();
        let plain = r#"{"activation":"relu","architecture":"rnn","bias":true,"format":1,"hidden":5,"layers":2,"symbols":"characters"}"#;
        assert_eq!(config(&model(2, true)), plain);
        for (cell, bias) in [(Cell::Gru, true), (Cell::Lstm, true), (Cell::Gru, false), (Cell::Lstm, false)] {
            let config = Config { cell, activation: Activation::Tanh, bias, ..model(2, bias).config };
            let m = Model { config, parameters: Init::Uniform.parameters(&config, 3), ..model(2, bias) };
            let (c, rows) = (m.to_container(), 5 * cell.spec().gates as usize);
            let expected = format!(r#"{{"architecture":"{cell}","bias":{bias},"format":3,"hidden":5,"layers":2,"symbols":"characters"}}"#);
            assert_eq!(c.metadata["config"], expected);
            assert_eq!([&c.tensors["rnn.weight_ih_l0"].0, &c.tensors["rnn.weight_hh_l1"].0], [&[rows, 4], &[rows, 5]]);
            let biases = ["rnn.bias_ih_l1", "rnn.bias_hh_l0"].map(|n| c.tensors.get(n).map(|t| t.0.clone()));
            assert_eq!(biases, [bias.then(|| vec![rows]), bias.then(|| vec![rows])]);
            assert_eq!(Model::from_bytes(&m.to_bytes()).unwrap(), m);
        }
        for (change, word) in [
            ([r#""rnn""#, r#""lstm""#], r#"format 1 with the architecture "lstm", expected "rnn""#),
            ([r#""rnn""#, r#""ltsm""#], "unknown variant `ltsm`, expected one of `rnn`, `gru`, `lstm`"),
            ([r#""activation":"relu","#, ""], "missing field `activation`"),
            ([r#""rnn","bias":true,"format":1"#, r#""gru","bias":true,"format":3"#], r#"activation "relu", which the architecture "gru" does not have"#),
        ] {
            let mut c = model(2, true).to_container();
            c.metadata.insert("config".into(), plain.replace(change[0], change[1]));
            let e = Model::from_container(c).unwrap_err().to_string();
            assert!(e.contains(word), "{e}");
        }
    }

    #[test]
    fn foreign_and_newer_files_are_refused() {
        let check = |change: &dyn Fn(&mut Container), word: &str| {
            let mut c = model(1, true).to_container();
            change(&mut c);
            let e = Model::from_container(c).unwrap_err().to_string();
            assert!(e.contains(word), "{e}");
        };
        check(&|c| c.metadata.clear(), "no `config`");
        check(&|c| drop(c.metadata.insert("config".into(), r#"{"format":4,"what":1}"#.into())), "newer program (format 4");
        check(&|c| drop(c.metadata.insert("config".into(), r#"{"a":1}"#.into())), "config");
        check(&|c| drop(c.metadata.insert("vocabulary".into(), r#"["b","a"]"#.into())), "order");
        check(&|c| drop(c.tensors.remove("rnn.weight_hh_l0")), "numbers, a model of its architecture has 74");
        check(&|c| drop(c.tensors.remove("rnn.bias_hh_l0")), "rnn.bias_hh_l0 [5] is missing");
        check(&|c| c.put("extra", &[1], vec![0.0]), "extra");
        check(&|c| c.put("rnn.weight_hh_l0", &[5, 6], vec![0.0; 30]), "[5, 6], not [5, 5]");
    }
}
