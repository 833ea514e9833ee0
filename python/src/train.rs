//! Training.

use crate::compute::{Next, Worker, detached, work};
use crate::data::Data;
use crate::errors::in_python;
use crate::settings::{Words, stated};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use retrograd::analysis::planned::Planned;
use retrograd::device::Device;
use retrograd::feed::Feed;
use retrograd::ranks::{self, Order};
use retrograd::report;
use retrograd::run::{End, Event, Given, OnDeviceLost, Run, RunConfig, Stated};
use retrograd::session::{self, Asked, Finished, Prepared, Resumed, Said};
use retrograd::setting::Value;
use retrograd::{Error, Result};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What training tells: the kind of event, and JSON.
type Told = (&'static str, String);

/// What a run that ended has come to: its folder, the JSON of its figures, and whether it was stopped before its goal.
type Outcome = (PathBuf, String, bool);

/// A training that is asked for, with what it needs of its own.
struct Request {
    stated: Stated,
    given: Option<Given>,
    config: Option<PathBuf>,
    out: Option<PathBuf>,
    resume: Option<PathBuf>,
    lost: OnDeviceLost,
    detect_anomaly: bool,
    /// Whether each report is waited for.
    waits: bool,
}

/// The stated settings with the path of the text, and with what a text in memory is known by.
fn with_text(words: &Words, text: Option<&str>, stream: bool, given: Option<&Given>) -> PyResult<Stated> {
    let mut stated = stated(words)?;
    if let Some(text) = text {
        stated.insert("text".to_string(), Some(Value::String(text.to_string())));
    }
    if given.is_some_and(|given| !matches!(given, Given::Text { .. })) {
        // Settings of tables are checked before the table is read, and need one.
        stated.insert("text-checksum".to_string(), Some(Value::String("in memory".to_string())));
    }
    if stream {
        stated.insert("separator".to_string(), None);
    }
    Ok(stated)
}

/// Trains, and returns the folder, the figures as JSON, and whether it was stopped. `on_event` is called with the kind of each event and its JSON; if it
/// returns False, training ends, saved.
#[pyfunction]
#[pyo3(name = "_train", signature = (words, *, text, data, stream, config, out, resume, on_device_lost, detect_anomaly, waits, on_event))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn train(
    py: Python<'_>,
    words: Words,
    text: Option<String>,
    data: Option<Py<Data>>,
    stream: bool,
    config: Option<PathBuf>,
    out: Option<PathBuf>,
    resume: Option<PathBuf>,
    on_device_lost: &str,
    detect_anomaly: bool,
    waits: bool,
    on_event: Py<PyAny>,
) -> PyResult<Outcome> {
    let lost = match on_device_lost {
        "stop" => OnDeviceLost::Stop,
        "retry" => OnDeviceLost::Retry,
        other => return Err(PyValueError::new_err(format!("`on_device_lost` {other:?}: expected stop or retry"))),
    };
    let given = data.map(|data| data.get().given.clone());
    let stated = with_text(&words, text.as_deref(), stream, given.as_ref().filter(|_| resume.is_none()))?;
    let request = Request { stated, given, config, out, resume, lost, detect_anomaly, waits };
    let done = Arc::new(AtomicU64::new(0));
    let (seen, mut shown) = (done.clone(), 0);
    let each = move |py: Python<'_>, told: Option<Told>| {
        let now = seen.load(Ordering::Relaxed);
        let step = (now != std::mem::replace(&mut shown, now)).then(|| ("step", f64::from_bits(now).to_string()));
        for (kind, json) in step.into_iter().chain(told) {
            if on_event.call1(py, (kind, json))?.bind(py).is(pyo3::types::PyBool::new(py, false)) {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::GoOn)
    };
    work(py, move |worker| run(&request, worker, &done), each)
}

/// Trains here, or together with the other processes that MPI started; all return the same.
fn run(request: &Request, worker: &Worker<Told>, done: &AtomicU64) -> Result<Outcome> {
    let ranks = ranks::here()?;
    if !ranks.several() {
        return alone(request, worker, done);
    }
    let asked = request.asked();
    session::meet(Ok(&asked), request.resume.is_some())?;
    if ranks.rank() > 0 {
        session::follow(&asked, worker.stop.clone(), request.detect_anomaly)?;
        let outcome = ranks.from_first(None)?;
        return serde_json::from_slice(&outcome).map_err(|e| Error::Input(format!("cannot read the outcome of rank 0: {e}")));
    }
    let outcome = alone(request, worker, done);
    ranks.order(Order::End(outcome.as_ref().err().map_or(0, Error::exit_code)));
    ranks.from_first(Some(outcome.as_ref().map(|o| json!(o).to_string().into_bytes()).map_err(Clone::clone)))?;
    outcome
}

impl Request {
    fn asked(&self) -> Asked<'_> {
        Asked { stated: &self.stated, file: self.config.as_deref(), given: self.given.as_ref(), out: self.out.as_deref() }
    }
}

fn alone(request: &Request, worker: &Worker<Told>, done: &AtomicU64) -> Result<Outcome> {
    let start = Instant::now();
    let mut say = |said: Said<'_>| match said {
        Said::Note(line) => worker.tell(("note", json!(in_python(line)).to_string())),
        Said::Warning(line) => worker.tell(("warning", json!(in_python(line)).to_string())),
    };
    let asked = request.asked();
    let mut run = match &request.resume {
        Some(path) => match session::resume(&asked, path, false, &mut say)? {
            Resumed::Goes(run) => *run,
            Resumed::Finished(summary) => return Ok((path.clone(), summary.unwrap_or("{}".to_string()), false)),
        },
        None => session::begin(&asked, &mut say)?,
    };
    run.trainer.set_interrupt(worker.stop.clone());
    if let Err(e) = session::write_plan(&run) {
        say(Said::Warning(&e.to_string()));
    }
    if request.detect_anomaly {
        run.detect_anomalies();
    }
    worker.tell(("begun", begun(&mut run)));
    let seconds_setup = start.elapsed().as_secs_f64();
    let folder = run.folder().path().to_path_buf();
    let observer = &mut |event: Event<'_>| match event {
        Event::Step(fraction) => done.store(fraction.to_bits(), Ordering::Relaxed),
        Event::Report(report) if request.waits => worker.ask(("report", report.line().json())),
        Event::Report(report) => worker.tell(("report", report.line().json())),
        Event::Validating => {}
        Event::Validated { loss, accuracy, best, .. } => {
            let loss = Some(loss).filter(|l| l.is_finite());
            worker.tell(("validated", json!({"val_loss": loss, "val_accuracy": accuracy, "best": best}).to_string()));
        }
        Event::Opened(device, updates) => worker.tell(("note", json!(format!("{device}, opened again; going on after update {updates}")).to_string())),
        Event::Warning(line) => worker.tell(("warning", json!(in_python(line)).to_string())),
    };
    let (mut run, end) = run.train_on(request.lost, observer).inspect_err(|_| {
        // The report shows what led to the failure, which is reported anyway.
        let _ = session::write_report(&folder, repeat);
    })?;
    let summary = run.summary(end, seconds_setup)?;
    let Finished { summary, saved, .. } = session::finish(&mut run, end, summary, repeat, &mut |_, _| {}, &mut say)?;
    saved?;
    run.learned()?;
    Ok((folder, summary.to_string(), end == End::Interrupted))
}

/// What a run begins with.
fn begun(run: &mut Run) -> String {
    let trainer = &run.trainer;
    let notes: Vec<String> = trainer.content().table().map_or(Vec::new(), |t| t.sheet.notes.iter().map(|n| in_python(n)).collect());
    json!({
        "folder": run.folder().path(), "device": trainer.engine.description(), "parameters": trainer.engine.config.parameters(),
        "unit": trainer.unit(), "notes": notes,
    })
    .to_string()
}

/// The settings that differ from their defaults, and the call that repeats a run.
pub(crate) fn repeat(config: &RunConfig) -> (Vec<String>, String) {
    let usual = RunConfig::defaults(config.data_kind());
    let noted = ["format", "text-checksum", "text-bytes", "tokens-checksum"];
    let keys: Vec<String> = retrograd::run::declared().map(|s| s.key()).filter(|k| !noted.contains(&k.as_str())).collect();
    let changed = config.differences(&usual, &keys);
    let words: Vec<String> = changed
        .iter()
        .filter(|[_, here, _]| here != "not given")
        .map(|[key, here, _]| {
            let plain = here.parse::<f64>().is_ok();
            let value = match here.as_str() {
                "true" => "True".to_string(),
                _ if plain => here.clone(),
                _ => format!("{here:?}"),
            };
            if key == "text" { value } else { format!("{}={value}", keyword(key)) }
        })
        .collect();
    (changed.into_iter().map(|[key, ..]| key).collect(), format!("rg.train({})", words.join(", ")))
}

/// The keyword of a key; `from` is a word of Python.
fn keyword(key: &str) -> String {
    if key == "from" { "from_".to_string() } else { key.replace('-', "_") }
}

/// How a window would be processed, as JSON, and a picture.
#[pyfunction]
#[pyo3(name = "_plan", signature = (words, *, text, data, stream, config))]
pub(crate) fn plan(
    py: Python<'_>,
    words: Words,
    text: Option<String>,
    data: Option<Py<Data>>,
    stream: bool,
    config: Option<PathBuf>,
) -> PyResult<(String, String)> {
    let given = data.map(|data| data.get().given.clone());
    let stated = with_text(&words, text.as_deref(), stream, given.as_ref())?;
    detached(py, move || {
        let asked = Asked { stated: &stated, file: config.as_deref(), given: given.as_ref(), out: None };
        let mut prepared = Prepared::of(&asked, &mut |_| {})?;
        let corpus = prepared.open(given.as_ref())?;
        let config = prepared.config;
        let settings = config.training;
        let model = settings.config(&corpus.codec)?;
        let (device, _) = Device::open(config.device)?;
        let feed = Feed::new(corpus.train, settings.truncation, settings.batch, settings.seed);
        let planned = Planned::new(&settings.task(model, &feed), settings.truncation, feed.passes(), &device)?.in_groups(settings.groups(), &model);
        let json = serde_json::to_string(&planned).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))?;
        Ok((json, report::plan::svg(&planned)))
    })
}
