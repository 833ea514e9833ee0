//! Analyses: their results as JSON, and their pages.

use crate::compute::{Next, Worker, detached, work};
use crate::data::Data;
use crate::errors::exception;
use crate::model::Model;
use crate::settings::{Words, stated};
use pyo3::prelude::*;
use retrograd::analysis::compare as strategies;
use retrograd::analysis::flow::{self, Options, Subject};
use retrograd::analysis::gradcheck::{Check, all_devices, check};
use retrograd::analysis::recorded::Recorded;
use retrograd::data::{Kind, Sequences, Symbols};
use retrograd::device::{Device, DeviceSpec};
use retrograd::report;
use retrograd::run::{Given, RunConfig};
use retrograd::session::{Compared, default_lags, devices as listed, of_task};
use retrograd::{Codec, Config, Error, Result, Text};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// JSON and a page of HTML.
type Page = (String, String);

/// The text of a path or of memory, else the one that is built in.
fn text_of(path: Option<&Path>, given: Option<&Given>) -> Result<Text> {
    match (path, given) {
        (Some(path), _) => Text::open(path),
        (None, Some(Given::Text { name, content, .. })) => Ok(Text::shared(name, content.clone())),
        (None, Some(_)) => Err(Error::Usage("a text is needed here, and numbers are given".to_string())),
        (None, None) => Ok(Text::embedded()),
    }
}

fn json_of(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))
}

/// Compares strategies of truncation.
#[pyfunction]
#[pyo3(name = "_compare", signature = (words, *, text, data, strategies, updates, length, draws, on_event))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn compare(
    py: Python<'_>,
    words: Words,
    text: Option<PathBuf>,
    data: Option<Py<Data>>,
    strategies: Vec<String>,
    updates: u64,
    length: u32,
    draws: u32,
    on_event: Py<PyAny>,
) -> PyResult<Page> {
    let stated = stated(&words)?;
    let given = data.map(|data| data.get().given.clone());
    let task = move |worker: &Worker<String>| {
        let asked = Compared { stated: &stated, strategies: &strategies, updates, length, draws };
        let (plan, device) = asked.plan()?;
        let symbols = Arc::new(Symbols::new(text_of(text.as_deref(), given.as_ref())?, Kind::Characters)?);
        let (device, _) = Device::open(device)?;
        let found = strategies::compare(&device, &symbols, &plan, &mut |event| {
            worker.leave_if_stopped();
            if let strategies::Event::Finished(s) = event {
                worker.tell(format!("{}: {} updates in {:.1} s", s.truncation, s.updates, s.seconds));
            }
        })?;
        Ok((json_of(&found)?, report::compare::html(&found)))
    };
    work(py, task, move |py, line| line.map_or(Ok(Next::GoOn), |line| on_event.call1(py, (line,)).map(|_| Next::GoOn)))
}

/// How the gradient of a model flows back through a text.
#[pyfunction]
#[pyo3(name = "_gradflow", signature = (words, *, model, text, data, separator, lags, lanes, windows, warm_up, tolerance, seed, device))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn gradflow(
    py: Python<'_>,
    words: Words,
    model: Option<Py<Model>>,
    text: Option<PathBuf>,
    data: Option<Py<Data>>,
    separator: Option<String>,
    lags: Option<u32>,
    lanes: u32,
    windows: u32,
    warm_up: u32,
    tolerance: f64,
    seed: u64,
    device: &str,
) -> PyResult<Page> {
    let stated = stated(&words)?;
    let device: DeviceSpec = device.parse().map_err(|e: Error| exception(&e))?;
    let given = data.map(|data| data.get().given.clone());
    let task = move |worker: &Worker<()>| {
        let model = model.as_ref().map(|m| &m.get().inner);
        let trained = model.and_then(|m| m.trained_on.task()).filter(|_| text.is_none() && given.is_none());
        let (symbols, sequences) = match (trained, model) {
            (Some(task), _) => of_task(task, seed).map(|(symbols, sequences)| (symbols, Some(sequences)))?,
            (None, model) => {
                let text = text_of(text.as_deref(), given.as_ref())?;
                let known = model.map(|m| m.codec.text().cloned()).transpose()?;
                let symbols = Arc::new(match known {
                    Some(known) => Symbols::separated(text, known, separator.as_deref())?,
                    None => Symbols::new(text, Kind::Characters)?,
                });
                let sequences = separator.as_deref().map(|s| Sequences::new(symbols.clone(), s)).transpose()?;
                (symbols, sequences)
            }
        };
        let (config, parameters) = match model {
            Some(m) => (m.config, m.parameters.clone()),
            None => {
                let settings = RunConfig::of(&stated)?.training.seed(seed);
                let config: Config = settings.config(&Codec::Text(symbols.vocabulary().clone()))?;
                (config, settings.parameters(&config))
            }
        };
        let lags = lags.unwrap_or_else(|| default_lags(&symbols, sequences.as_ref()));
        let options = Options { lags, lanes, windows, warm_up, seed };
        config.dims(lanes).checked()?;
        let (device, _) = Device::open(device)?;
        let subject = Subject { config, parameters: &parameters, symbols, sequences };
        let found = flow::measure(&device, &subject, &options, tolerance, &mut |_| worker.leave_if_stopped())?;
        Ok((json_of(&found)?, report::flow::html(&found)))
    };
    work(py, task, |_, _| Ok(Next::GoOn))
}

/// Checks gradients against the reference.
#[pyfunction]
#[pyo3(name = "_gradcheck", signature = (device))]
pub(crate) fn gradcheck(py: Python<'_>, device: Option<String>) -> PyResult<String> {
    let wish = device.map(|d| d.parse()).transpose().map_err(|e: Error| exception(&e))?;
    let task = move |worker: &Worker<()>| {
        let devices: Vec<(String, Device)> = all_devices(wish)?.into_iter().map(|device| (device.to_string(), device)).collect();
        let checks = check(&devices, &mut |_| worker.leave_if_stopped());
        let passes = checks.iter().all(Check::passes);
        Ok(json!({"passes": passes, "checks": checks.iter().map(Check::json).collect::<Vec<_>>()}).to_string())
    };
    work(py, task, |_, _| Ok(Next::GoOn))
}

/// The devices there are, as JSON.
#[pyfunction]
#[pyo3(name = "_devices")]
pub(crate) fn devices(py: Python<'_>) -> PyResult<String> {
    work(py, |_: &Worker<()>| Ok(listed()?.to_string()), |_, _| Ok(Next::GoOn))
}

/// The page of a run.
#[pyfunction]
#[pyo3(name = "_report")]
pub(crate) fn page(py: Python<'_>, folder: PathBuf) -> PyResult<String> {
    detached(py, move || Ok(report::run::html(&Recorded::load(&folder, crate::train::repeat)?)))
}
