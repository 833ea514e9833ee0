//! Threads that wait for work a little while before they sleep: between two kernels of an update there are microseconds, and to wake a thread takes longer.
#![allow(unsafe_code)]

use std::cell::{RefCell, UnsafeCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};

/// Spins of a worker before it sleeps, and of the caller before it gives its core away: about 50 us.
const SPINS: u32 = 1_000;

/// The calling thread and some workers.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<(JoinHandle<()>, Thread)>,
}

struct Shared {
    /// The job of this round. Written while no worker runs one.
    job: UnsafeCell<Option<Job>>,
    round: AtomicUsize,
    /// Workers that have not finished this round's job.
    running: AtomicUsize,
    asleep: Vec<AtomicBool>,
    stop: AtomicBool,
    failed: AtomicBool,
    spins: u32,
    /// Held while a job runs.
    busy: Mutex<()>,
}

/// What every thread of the pool calls.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn() + Sync));

// SAFETY: `job` is written by the thread that holds `busy`, before `round` moves on, and read by workers after they have seen that; they are done with it
// when `running` is 0, which that thread awaits. What the job points to is `Sync` and outlives that, see `Pool::run`.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

thread_local! {
    /// The pool in which this thread runs tasks, and its workers. None while it runs some: a task that has tasks runs them itself.
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Current(Arc<Shared>, Vec<Thread>);

impl Pool {
    /// The calling thread and `threads - 1` more, of which there is a core for each if `may_spin`.
    pub(crate) fn new(threads: usize, may_spin: bool) -> io::Result<Self> {
        let count = threads.saturating_sub(1);
        let shared = Arc::new(Shared {
            job: UnsafeCell::new(None),
            round: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            asleep: (0..count).map(|_| AtomicBool::new(false)).collect(),
            stop: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            spins: if may_spin { SPINS } else { 0 },
            busy: Mutex::new(()),
        });
        let mut pool = Pool { shared, workers: Vec::with_capacity(count) };
        for i in 0..count {
            let shared = pool.shared.clone();
            let handle = std::thread::Builder::new().name(format!("retrograd-{}", i + 1)).spawn(move || shared.work(i))?;
            let thread = handle.thread().clone();
            pool.workers.push((handle, thread));
        }
        Ok(pool)
    }

    /// Number of threads.
    pub(crate) fn parts(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f` on this thread; in it, [`run_all`] and [`run_together`] use this pool.
    pub(crate) fn install<R>(&self, f: impl FnOnce() -> R) -> R {
        /// Puts back what was there before, also if `f` fails.
        struct Before(Option<Current>);
        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let threads = self.workers.iter().map(|(_, thread)| thread.clone()).collect();
        let _before = Before(CURRENT.replace(Some(Current(self.shared.clone(), threads))));
        f()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.round.fetch_add(1, Ordering::SeqCst);
        for (handle, thread) in self.workers.drain(..) {
            thread.unpark();
            // A worker catches what its tasks throw.
            let _ = handle.join();
        }
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self, index: usize) {
        let mut seen = 0;
        loop {
            self.await_round(index, seen);
            seen = self.round.load(Ordering::SeqCst);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            // SAFETY: the round has moved on, so the job is there, and nobody writes it before `running` is 0.
            if let Some(Job(job)) = unsafe { *self.job.get() } {
                // SAFETY: `run` keeps the job alive until `running` is 0.
                let job = unsafe { &*job };
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    self.failed.store(true, Ordering::Relaxed);
                }
            }
            self.running.fetch_sub(1, Ordering::Release);
        }
    }

    fn await_round(&self, index: usize, seen: usize) {
        let is_over = || self.round.load(Ordering::SeqCst) != seen;
        for _ in 0..self.spins {
            if is_over() {
                return;
            }
            std::hint::spin_loop();
        }
        self.asleep[index].store(true, Ordering::SeqCst);
        while !is_over() {
            std::thread::park();
        }
        self.asleep[index].store(false, Ordering::SeqCst);
    }

    /// Calls `job` on every thread of the pool, this one included, and waits for all.
    fn run(&self, threads: &[Thread], job: &(dyn Fn() + Sync)) {
        let _busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: only the lifetime changes. This function returns when no worker has the job any more.
        let job: &'static (dyn Fn() + Sync) = unsafe { std::mem::transmute(job) };
        // SAFETY: no worker reads it now: the last round is over, and this one has not begun.
        unsafe { *self.job.get() = Some(Job(job)) };
        self.running.store(self.asleep.len(), Ordering::Relaxed);
        self.round.fetch_add(1, Ordering::SeqCst);
        for (thread, asleep) in threads.iter().zip(&self.asleep) {
            if asleep.load(Ordering::SeqCst) {
                thread.unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(job));
        let mut spins = 0;
        while self.running.load(Ordering::Acquire) > 0 {
            if spins < self.spins {
                spins += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        let failed = self.failed.swap(false, Ordering::Relaxed);
        if let Err(cause) = own {
            resume_unwind(cause);
        }
        assert!(!failed, "a thread of the CPU's pool has failed");
    }
}

/// Tasks for the threads of a pool to take.
struct Tasks<F> {
    all: Vec<Mutex<Option<F>>>,
    taken: AtomicUsize,
}

impl<F: FnOnce() + Send> Tasks<F> {
    fn new(all: Vec<F>) -> Self {
        Tasks { all: all.into_iter().map(|task| Mutex::new(Some(task))).collect(), taken: AtomicUsize::new(0) }
    }

    fn next(&self) -> Option<F> {
        self.all.get(self.taken.fetch_add(1, Ordering::Relaxed))?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Has the current pool call `job`, unless there is none, or not of at least `threads` threads.
fn on_current(threads: usize, job: &(dyn Fn() + Sync)) -> bool {
    let Some(current) = CURRENT.take() else { return false };
    let Current(pool, workers) = &current;
    let fits = threads <= workers.len() + 1;
    if fits {
        pool.run(workers, job);
    }
    CURRENT.set(Some(current));
    fits
}

/// Runs the tasks on the current pool, or on this thread alone if there is none, and waits for all.
pub(crate) fn run_all<F: FnOnce() + Send>(all: Vec<F>) {
    if all.len() < 2 {
        return all.into_iter().for_each(|task| task());
    }
    let tasks = Tasks::new(all);
    let job = || {
        while let Some(task) = tasks.next() {
            task();
        }
    };
    if !on_current(1, &job) {
        job();
    }
}

/// Runs the tasks at the same time, each on a thread of its own, and waits for all.
pub(crate) fn run_together<F: FnOnce() + Send>(all: Vec<F>) {
    if all.len() < 2 {
        return run_all(all);
    }
    let tasks = Tasks::new(all);
    let job = || {
        if let Some(task) = tasks.next() {
            task();
        }
    };
    if !on_current(tasks.all.len(), &job) {
        std::thread::scope(|scope| (0..tasks.all.len()).for_each(|_| drop(scope.spawn(job))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn every_task_runs_once_also_after_a_pause_and_within_tasks() {
        for (threads, may_spin) in [(1, true), (2, true), (3, false)] {
            let pool = Pool::new(threads, may_spin).expect("threads start");
            let sum = AtomicUsize::new(0);
            for round in 0..if cfg!(miri) { 3 } else { 300 } {
                if round % 100 == 99 {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                let inner = |_| {
                    run_all(
                        (0..3)
                            .map(|_| {
                                || {
                                    sum.fetch_add(1, Ordering::Relaxed);
                                }
                            })
                            .collect(),
                    )
                };
                let before = sum.load(Ordering::Relaxed);
                pool.install(|| run_all((0..5).map(|i| move || inner(i)).collect()));
                assert_eq!(sum.load(Ordering::Relaxed) - before, 15, "{threads} threads, round {round}");
            }
        }
    }

    /// Tasks that wait for each other end only if all run at once: on a pool that is large enough, on one that is not, and without one.
    #[test]
    fn tasks_run_together() {
        let meet = || {
            let barrier = Barrier::new(3);
            run_together(
                (0..3)
                    .map(|_| {
                        || {
                            barrier.wait();
                        }
                    })
                    .collect(),
            );
        };
        meet();
        for threads in [2, 3, 4] {
            Pool::new(threads, threads == 3).expect("threads start").install(meet);
        }
    }

    #[test]
    fn a_task_that_fails_fails_its_caller_and_leaves_the_pool_usable() {
        let pool = Pool::new(2, true).expect("threads start");
        let barrier = Barrier::new(2);
        for fails in 0..2 {
            let task = |i: usize| {
                barrier.wait();
                assert!(i != fails, "made to fail");
            };
            let result = catch_unwind(AssertUnwindSafe(|| pool.install(|| run_together((0..2).map(|i| move || task(i)).collect()))));
            assert!(result.is_err());
            pool.install(|| {
                run_together(
                    (0..2)
                        .map(|_| {
                            || {
                                barrier.wait();
                            }
                        })
                        .collect(),
                )
            });
        }
    }
}
