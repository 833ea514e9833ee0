//! Models.

use crate::compute::{Next, detached, not_forked, work};
use crate::data::Data;
use crate::errors::exception;
use crate::lent::Array;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use retrograd::data::{Codec, Kind, Labelled, Missing, Sequences, Sheet, Table};
use retrograd::device::{Device, DeviceSpec};
use retrograd::evaluate::EvalSet;
use retrograd::forecast::Forecasts;
use retrograd::run::{Chosen, Given};
use retrograd::sample::{Options, Sampler};
use retrograd::session::{LANES, Source, engine};
use retrograd::store::{Foreign, ImportOptions, Outputs, Steps};
use retrograd::{Error, Model as Inner, Result};
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Numbers, and the shape of an array of them.
type Shaped<'py> = (Bound<'py, PyByteArray>, Vec<usize>);

/// A tensor: its name, bytes of f32, and shape.
type Tensor<'py> = (String, Bound<'py, PyByteArray>, Vec<usize>);

/// A model in memory.
#[pyclass(frozen, module = "retrograd._retrograd", name = "_Model")]
pub(crate) struct Model {
    pub(crate) inner: Inner,
    /// Kept from the last call: the model ready to read so many sequences of so many steps.
    reader: Mutex<Option<(u32, Outputs)>>,
}

/// What is read.
enum Read {
    Symbols(Vec<u32>),
    Numbers(Vec<f32>),
}

impl Model {
    fn of(inner: Inner) -> Self {
        Model { inner, reader: Mutex::new(None) }
    }

    /// The outputs of `lanes` sequences of `steps` steps.
    fn outputs(&self, read: &Read, lanes: u32, steps: u32) -> Result<Vec<f32>> {
        let m = &self.inner;
        let mut kept = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        // A longer segment would serve as well, and a shorter one is slower.
        let fits = kept.as_ref().is_some_and(|(of, outputs)| outputs.lanes() == lanes && *of >= steps && *of / 8 <= steps);
        if !fits {
            *kept = None;
            *kept = Some((steps, Outputs::new((m.config, &m.codec, &m.parameters), lanes, steps, retrograd::cpu::default_threads())?));
        }
        let Some((_, outputs)) = kept.as_mut() else { return Ok(Vec::new()) };
        let steps = match read {
            Read::Symbols(ids) => Steps::Symbols(ids),
            Read::Numbers(numbers) => Steps::Numbers(numbers),
        };
        outputs.of(steps).inspect_err(|e| {
            if !matches!(e, Error::Usage(_)) {
                *kept = None;
            }
        })
    }
}

#[pymethods]
impl Model {
    /// The model of a run's folder, or of a file.
    #[staticmethod]
    #[pyo3(signature = (path, which))]
    fn load(py: Python<'_>, path: PathBuf, which: &str) -> PyResult<(Self, String, Option<String>)> {
        let chosen = match which {
            "default" => Chosen::Default,
            "best" => Chosen::Best,
            _ => Chosen::Last,
        };
        detached(py, move || {
            let source = Source::find(&path, chosen)?;
            Ok((Self::of(source.load()?), source.file.display().to_string(), source.separator))
        })
    }

    /// The model of a file's bytes.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        Inner::from_bytes(bytes).map(Self::of).map_err(|e| exception(&e))
    }

    /// The model of a PyTorch module's state as a safetensors file.
    #[staticmethod]
    #[pyo3(signature = (bytes, *, vocabulary, symbols_are_bytes, activation))]
    fn foreign(bytes: &[u8], vocabulary: Option<Vec<String>>, symbols_are_bytes: bool, activation: Option<String>) -> PyResult<Self> {
        let activation = activation.map(|a| a.parse()).transpose().map_err(|e: String| PyValueError::new_err(format!("`activation`: {e}")))?;
        let options = ImportOptions { vocabulary, bytes: symbols_are_bytes, activation };
        Foreign::from_bytes(bytes).and_then(|f| f.model(&options)).map(|(inner, _)| Self::of(inner)).map_err(|e| exception(&e))
    }

    /// The bytes of its file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.to_bytes())
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detached(py, || self.inner.save(&path))
    }

    fn save_onnx(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detached(py, || std::fs::write(&path, self.inner.to_onnx()?).map_err(|e| Error::Input(format!("cannot write {}: {e}", path.display()))))
    }

    /// What it is, as JSON.
    fn described(&self) -> String {
        let (c, codec) = (&self.inner.config, &self.inner.codec);
        let vocabulary = codec.vocabulary();
        let kind = match codec {
            Codec::Text(_) => "text",
            Codec::Labels { .. } | Codec::LabelledRows { .. } => "labels",
            Codec::Series(_) => "series",
        };
        let symbols = vocabulary.map(|v| match v.kind() {
            Kind::Characters if v.is_ids() => "ids",
            Kind::Characters => "characters",
            Kind::Bytes => "bytes",
            Kind::Tokens => "tokens",
        });
        json!({
            "predicts": kind, "symbols": symbols, "inputs": c.input.width(), "outputs": c.outputs(), "hidden": c.hidden, "layers": c.layers,
            "cell": c.cell.name(), "activation": (c.cell == retrograd::cells::Cell::Rnn).then(|| c.activation.name()), "bias": c.bias,
            "embed": c.embedding(), "parameters": c.parameters(), "labels": codec.labels(), "separator": self.inner.trained_on.separator(),
            "task": self.inner.trained_on.task().map(String::from), "series": codec.series().ok(),
        })
        .to_string()
    }

    /// The symbols, in the order of their indices.
    fn vocabulary(&self) -> Option<Vec<String>> {
        self.inner.codec.vocabulary().map(|v| v.symbols())
    }

    fn encode(&self, text: &str) -> PyResult<Vec<u32>> {
        let vocabulary = self.inner.codec.vocabulary().ok_or_else(|| PyValueError::new_err("the model reads numbers, not text"))?;
        vocabulary.encode(text).map_err(|e| exception(&e))
    }

    fn decode<'py>(&self, py: Python<'py>, ids: Vec<u32>) -> PyResult<Bound<'py, PyBytes>> {
        let vocabulary = self.inner.codec.vocabulary().ok_or_else(|| PyValueError::new_err("the model reads numbers, not text"))?;
        if let Some(id) = ids.iter().find(|id| **id >= vocabulary.len()) {
            return Err(PyValueError::new_err(format!("there is no symbol {id}: the model knows 0 to {}", vocabulary.len() - 1)));
        }
        let (mut text, mut writer) = (Vec::new(), vocabulary.writer(&[]));
        let all = ids.iter().try_for_each(|id| writer.push(*id, &mut text)).and_then(|()| writer.end(&mut text));
        all.map(|()| PyBytes::new(py, &text)).map_err(|e| exception(&e))
    }

    /// Logits after each step, f32 `[B, T, V]`, of an array of ids `[T]` or `[B, T]`, or of numbers `[T, D]` or `[B, T, D]`.
    fn logits<'py>(&self, py: Python<'py>, inputs: &Bound<'py, PyAny>) -> PyResult<Shaped<'py>> {
        not_forked()?;
        let array = Array::of(inputs)?;
        let width = self.inner.config.input.numbers() as usize;
        let (axes, per) = if width == 0 { (array.shape.len(), 1) } else { (array.shape.len().saturating_sub(1), width) };
        let (shape, own) = array.shape.split_at(axes.min(array.shape.len()));
        let (lanes, steps) = match shape {
            [steps] => (1, *steps),
            [lanes, steps] => (*lanes, *steps),
            _ => return Err(PyValueError::new_err(format!("an array of {} axes can't be read; give steps, or sequences and steps", array.shape.len()))),
        };
        if own.iter().product::<usize>() != per {
            return Err(PyValueError::new_err(format!("the model reads {width} numbers a step, and the array has {}", own.iter().product::<usize>())));
        }
        if lanes == 0 || steps == 0 {
            return Err(PyValueError::new_err("the array is empty; give at least one step"));
        }
        let read = if width == 0 {
            Read::Symbols(array.ids()?)
        } else {
            let numbers = array.ordered();
            let all: Vec<f32> = (0..numbers.len()).map(|i| numbers.get(i) as f32).collect();
            if let Some(at) = all.iter().position(|x| !x.is_finite()) {
                return Err(PyValueError::new_err(format!("the input holds NaN or infinity (float32), at element {at}; mend or remove it")));
            }
            Read::Numbers(all)
        };
        let too_many = |_| PyValueError::new_err("there are too many sequences or steps; give fewer");
        let [many, long] = [u32::try_from(lanes).map_err(too_many)?, u32::try_from(steps).map_err(too_many)?];
        let found = detached(py, || self.outputs(&read, many, long))?;
        let mut out = shape.to_vec();
        out.push(self.inner.config.outputs() as usize);
        Ok((bytes(py, &found)?, out))
    }

    /// Its tensors under PyTorch's names.
    fn tensors<'py>(&self, py: Python<'py>) -> PyResult<Vec<Tensor<'py>>> {
        let container = self.inner.to_container();
        container.tensors.iter().map(|(name, (shape, numbers))| Ok((name.clone(), bytes(py, numbers)?, shape.clone()))).collect()
    }

    /// Symbols that it writes after a prompt.
    #[pyo3(signature = (prompt, length, temperature, top_k, seed, separator))]
    fn sample(
        &self,
        py: Python<'_>,
        prompt: Vec<u32>,
        length: usize,
        temperature: f32,
        top_k: usize,
        seed: u64,
        separator: Option<String>,
    ) -> PyResult<Vec<u32>> {
        if !matches!(self.inner.codec, Codec::Text(_)) {
            return Err(PyValueError::new_err("the model does not predict the next symbol, so it writes nothing"));
        }
        let model = &self.inner;
        let task = move |worker: &crate::compute::Worker<()>| {
            let vocabulary = model.codec.text()?;
            let separator = separator.as_deref().map_or(Ok(Vec::new()), |s| vocabulary.encode(s))?;
            let mut sampler = Sampler::new(model.config, &model.parameters, Options { temperature, top_k, seed, separator })?;
            prompt.iter().try_for_each(|id| sampler.read(*id))?;
            (0..length).map(|_| worker.check().and_then(|()| sampler.draw())).collect()
        };
        work(py, task, |_, _| Ok(Next::GoOn))
    }

    /// The probability of each label, f64 `[sequences, labels]`.
    fn probabilities<'py>(&self, py: Python<'py>, data: &Bound<'py, Data>) -> PyResult<Shaped<'py>> {
        let (model, given) = (&self.inner, data.get().given.clone());
        let labels = model.codec.labels().ok_or_else(|| PyValueError::new_err("the model predicts no labels"))?.len();
        let found = work(
            py,
            move |worker: &crate::compute::Worker<()>| {
                let sequences = unlabelled(model, given)?;
                let held = EvalSet::sequences(sequences, LANES);
                let mut engine = engine(&Device::open(DeviceSpec::Cpu)?.0, model, &held, LANES)?;
                Ok(held.probabilities(&mut engine, || worker.check())?.unwrap_or_default())
            },
            |_, _| Ok(Next::GoOn),
        )?;
        let all: Vec<f64> = found.iter().flatten().copied().collect();
        Ok((bytes(py, &all)?, vec![found.len(), labels]))
    }

    /// The rows after the last of each series: names and times as JSON, and f64 `[series, N, targets]`.
    #[pyo3(signature = (data, missing))]
    fn forecast<'py>(&self, py: Python<'py>, data: Forecast<'py>, missing: Option<String>) -> PyResult<(String, Bound<'py, PyByteArray>, Vec<usize>)> {
        let missing = missing.map(|m| m.parse::<Missing>()).transpose().map_err(|e| PyValueError::new_err(format!("`missing`: {e}")))?;
        let model = &self.inner;
        let given = match data {
            Forecast::Data(data) => Ok(data.get().given.clone()),
            Forecast::Path(path) => Err(path),
        };
        let (told, all, shape) = work(
            py,
            move |worker: &crate::compute::Worker<()>| {
                let series = model.codec.series()?;
                let mut asked = series.asked();
                asked.missing = missing.unwrap_or(if series.missing == Missing::Refuse { Missing::Previous } else { series.missing });
                let sheet = match &given {
                    Ok(Given::Frame(frame)) => Sheet::of(frame, &asked)?,
                    Ok(_) => return Err(Error::Usage("a table is needed here".to_string())),
                    Err(path) => Sheet::read(&retrograd::Text::open(path)?, &asked)?,
                };
                let table = Table::to_forecast(sheet, series.clone())?;
                let last: Vec<usize> = table.sheet.groups.iter().map(|g| g.rows.end - 1).collect();
                let forecasts = Forecasts::of(&Device::Cpu { threads: 1 }, model.config, &model.parameters, &table, &last, || worker.check())?;
                let all: Vec<f64> = last.iter().flat_map(|row| forecasts.at(*row).to_vec()).collect();
                if all.iter().any(|x| !x.is_finite()) {
                    return Err(Error::Anomaly("a forecast is not finite: the model is of no use; train another with a lower `lr`".to_string()));
                }
                let horizon = table.horizon();
                let names: Vec<_> = table.sheet.groups.iter().map(|g| g.name.clone()).collect();
                let times: Vec<_> = (0..names.len()).map(|g| table.sheet.times_to_come(g, horizon)).collect();
                let told = json!({"series": names, "times": times, "targets": series.targets, "notes": table.sheet.notes}).to_string();
                Ok((told, all, vec![names.len(), horizon, series.targets.len()]))
            },
            |_, _| Ok(Next::GoOn),
        )?;
        Ok((told, bytes(py, &all)?, shape))
    }
}

/// What forecasts follow on.
#[derive(FromPyObject)]
enum Forecast<'py> {
    Data(Bound<'py, Data>),
    Path(PathBuf),
}

/// The sequences to label.
fn unlabelled(model: &Inner, given: Given) -> Result<Sequences> {
    match (given, &model.codec) {
        (Given::Rows(mut rows, _), Codec::LabelledRows { scales, .. }) => {
            if rows.width != scales.len() {
                return Err(Error::Usage(format!("X has {} features, but the model is expecting {} features as input", rows.width, scales.len())));
            }
            rows.scales.clone_from(scales);
            let count = rows.parts.len();
            Ok(rows.sequences(vec![0; count]))
        }
        (Given::Lines(texts, _), Codec::Labels { labels, .. }) => {
            let first = vec![labels[0].clone(); texts.len()];
            let l = Labelled::of("the texts", &texts, &first, Kind::default(), Some(&model.codec))?;
            Ok(Sequences::labelled(l.symbols, l.parts, l.classes, &l.lines))
        }
        (Given::Rows(..), _) => Err(Error::Usage("the model labels texts, and these are numbers".to_string())),
        (Given::Lines(..), _) => Err(Error::Usage("the model labels sequences of numbers, and these are texts".to_string())),
        _ => Err(Error::Usage("sequences are needed here".to_string())),
    }
}

/// Numbers as bytes that NumPy can take over.
fn bytes<'py, T: Number>(py: Python<'py>, numbers: &[T]) -> PyResult<Bound<'py, PyByteArray>> {
    PyByteArray::new_with(py, std::mem::size_of_val(numbers), |out| {
        let size = size_of::<T>();
        out.chunks_exact_mut(size).zip(numbers).for_each(|(o, x)| x.write(o));
        Ok(())
    })
}

/// A number with a native order of bytes.
trait Number: Copy {
    fn write(self, out: &mut [u8]);
}

impl Number for f32 {
    fn write(self, out: &mut [u8]) {
        out.copy_from_slice(&self.to_ne_bytes());
    }
}

impl Number for f64 {
    fn write(self, out: &mut [u8]) {
        out.copy_from_slice(&self.to_ne_bytes());
    }
}
