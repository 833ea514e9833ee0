//! Work away from the interpreter: without its lock, on a thread of its own, so that signals are seen while it goes on.

use crate::errors::exception;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use retrograd::{Error, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How often signals are looked for.
const TICK: Duration = Duration::from_millis(50);
/// How long the interpreter's end waits for work to be saved.
const PATIENCE: Duration = Duration::from_secs(30);

/// The process that has computed something; 0 for none yet.
static USED: AtomicU32 = AtomicU32::new(0);
/// The flags of all work that goes on.
static GOING: Mutex<Vec<Weak<AtomicBool>>> = Mutex::new(Vec::new());
static DONE: Condvar = Condvar::new();

/// What unwinds work that an observer ends.
struct Stopped;

/// Refuses to compute in a process that was forked from one that has: its threads are not there.
pub(crate) fn not_forked() -> PyResult<()> {
    let this = std::process::id();
    match USED.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed) {
        Err(first) if first != this => Err(PyRuntimeError::new_err(format!(
            "retrograd was used in process {first}, from which this one ({this}) was forked, and its threads did not come along; \
             start processes by multiprocessing.get_context(\"spawn\"), or use retrograd only after the fork"
        ))),
        _ => Ok(()),
    }
}

/// Panics are exceptions here, and print nothing of their own.
pub(crate) fn print_no_panics() {
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
}

fn panicked(why: &(dyn Any + Send)) -> PyErr {
    let text = why.downcast_ref::<&str>().map(|s| (*s).to_string()).or(why.downcast_ref::<String>().cloned()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    PyRuntimeError::new_err(format!("this is a fault of retrograd, please report it: {line}"))
}

/// Short work without the interpreter's lock.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    not_forked()?;
    match py.detach(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(done) => done.map_err(|e| exception(&e)),
        Err(why) => Err(panicked(&*why)),
    }
}

/// A flag that ends work, known while it lives.
pub(crate) struct Going(pub(crate) Arc<AtomicBool>);

impl Going {
    fn new() -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        GOING.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&flag));
        Going(flag)
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let mut all = GOING.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|flag| !flag.ptr_eq(&Arc::downgrade(&self.0)));
        DONE.notify_all();
    }
}

/// Ends all work that goes on in other threads, and waits until it is saved. The interpreter's end calls it.
#[pyfunction]
#[pyo3(name = "_stop_all")]
pub(crate) fn stop_all(py: Python<'_>) {
    // In a forked process the threads that work are not there.
    if not_forked().is_err() {
        return;
    }
    py.detach(|| {
        let all = GOING.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).for_each(|flag| flag.store(true, Ordering::Relaxed));
        let _ = DONE.wait_timeout_while(all, PATIENCE, |all| !all.is_empty());
        retrograd::ranks::finish();
    });
}

/// What work on its thread can do.
pub(crate) struct Worker<M> {
    /// Set when it should end.
    pub(crate) stop: Arc<AtomicBool>,
    messages: Sender<(M, Option<Sender<()>>)>,
}

impl<M> Worker<M> {
    /// Sends a message.
    pub(crate) fn tell(&self, message: M) {
        let _ = self.messages.send((message, None));
    }

    /// Sends a message, and waits until it has been dealt with.
    pub(crate) fn ask(&self, message: M) {
        let (answer, answered) = channel();
        let _ = self.messages.send((message, Some(answer)));
        // It is answered by being dropped.
        let _ = answered.recv();
    }

    /// Whether it should end.
    pub(crate) fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Ends it from within an observer, if it should.
    pub(crate) fn leave_if_stopped(&self) {
        if self.stop.load(Ordering::Relaxed) {
            resume_unwind(Box::new(Stopped));
        }
    }
}

/// What `each` makes of a message.
pub(crate) enum Next {
    /// Nothing to say.
    GoOn,
    /// The work is to end.
    Stop,
}

/// Work on a thread of its own. `each` deals with its messages, and is called with none from time to time. A signal or an exception of `each` ends the
/// work, and is raised once it has ended.
pub(crate) fn work<T: Send, M: Send>(
    py: Python<'_>,
    task: impl FnOnce(&Worker<M>) -> Result<T> + Send,
    mut each: impl FnMut(Python<'_>, Option<M>) -> PyResult<Next> + Send,
) -> PyResult<T> {
    not_forked()?;
    let going = Going::new();
    let (messages, heard) = channel();
    let worker = Worker { stop: going.0.clone(), messages };
    let mut raised: Option<PyErr> = None;
    let (flag, found) = (going.0.clone(), &mut raised);
    let done = py.detach(move || {
        let raised = found;
        std::thread::scope(|scope| {
            let running = std::thread::Builder::new().name("retrograd".to_string()).spawn_scoped(scope, move || {
                let worker = worker;
                catch_unwind(AssertUnwindSafe(|| task(&worker)))
            });
            let running = match running {
                Ok(running) => running,
                Err(e) => return Ok(Err(Error::Device(format!("cannot start a thread: {e}")))),
            };
            loop {
                let (message, answer) = match heard.recv_timeout(TICK) {
                    Ok((message, answer)) => (Some(message), answer),
                    Err(RecvTimeoutError::Timeout) => (None, None),
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                if raised.is_none() {
                    let found = Python::try_attach(|py| py.check_signals().and_then(|()| each(py, message)));
                    match found {
                        Some(Ok(Next::GoOn)) => {}
                        Some(Ok(Next::Stop)) | None => flag.store(true, Ordering::Relaxed),
                        Some(Err(e)) => {
                            flag.store(true, Ordering::Relaxed);
                            *raised = Some(e);
                        }
                    }
                }
                drop(answer);
            }
            running.join().unwrap_or_else(Err)
        })
    });
    drop(going);
    match (done, raised) {
        (Err(why), _) if !why.is::<Stopped>() => Err(panicked(&*why)),
        // What could not be saved is worth more than that there was a signal.
        (Ok(Err(e)), Some(raised)) if !matches!(e, Error::Interrupted) => {
            let error = exception(&e);
            error.set_cause(py, Some(raised));
            Err(error)
        }
        (_, Some(raised)) => Err(raised),
        (Ok(done), None) => done.map_err(|e| exception(&e)),
        (Err(_), None) => Err(exception(&Error::Interrupted)),
    }
}
