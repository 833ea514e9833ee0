//! Ranks that MPI starts and connects.

use super::Transport;
use crate::error::{Error, Result};
use crate::platform::{self, Instant};
use mpi::Threading;
use mpi::environment::Universe;
use mpi::request::multiple_scope;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Ours among the messages of a program that has others.
const TAG: i32 = 7301;
/// Most bytes of a message: MPI counts in 31 bits.
const LARGEST: usize = 1 << 30;
/// How long to look for answers without a pause: those of ranks that work alike come soon.
const EAGER: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_micros(50);
/// Longest time between two looks that counts as waiting.
const LONGEST_LOOK: Duration = Duration::from_millis(200);

/// Variables that say that a launcher of MPI started this process.
const LAUNCHED: [&str; 4] = ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "MPI_LOCALNRANKS"];

/// One of the ranks of MPI.
pub(super) struct Mpi {
    /// What ends MPI when it is dropped; none if the program that this is part of began it, or it has ended.
    universe: Mutex<Option<Universe>>,
    rank: u32,
    ranks: u32,
    local: (u32, u32),
    host: String,
}

impl Mpi {
    /// This process among those that it was started with; none if it was started alone.
    ///
    /// # Errors
    /// If MPI can't be used from threads, or has ended.
    pub(super) fn begin() -> Result<Option<Self>> {
        let launched = LAUNCHED.iter().any(|name| std::env::var_os(name).is_some());
        if !launched && !mpi::environment::is_initialized() {
            return Ok(None);
        }
        if mpi::environment::is_finalized() {
            return Err(Error::Usage("MPI has ended in this process, and can't begin again; train before it ends".to_string()));
        }
        let universe = mpi::initialize_with_threading(Threading::Multiple).map(|(universe, _)| universe);
        if mpi::environment::threading_support() < Threading::Serialized {
            return Err(Error::Usage("MPI was begun for one thread alone, and training has others; begin it with MPI_THREAD_MULTIPLE".to_string()));
        }
        let world = SimpleCommunicator::world();
        let (rank, ranks) = (world.rank() as u32, world.size() as u32);
        let here = world.split_shared(world.rank());
        let local = (here.rank() as u32, here.size() as u32);
        let host = mpi::environment::processor_name().unwrap_or_else(|_| "a machine without a name".to_string());
        Ok(Some(Mpi { universe: Mutex::new(universe), rank, ranks, local, host }))
    }
}

impl Transport for Mpi {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn ranks(&self) -> u32 {
        self.ranks
    }

    fn local(&self) -> (u32, u32) {
        self.local
    }

    fn host(&self) -> String {
        self.host.clone()
    }

    fn exchange(&self, out: &[&[u8]], into: &mut [Vec<u8>], patience: Duration, give_up: &dyn Fn(&[u32])) {
        let (world, own) = (SimpleCommunicator::world(), self.rank as usize);
        into[own].copy_from_slice(out[own]);
        multiple_scope(2 * out.len(), |scope, requests| {
            let mut partners = Vec::new();
            for (rank, into) in into.iter_mut().enumerate().filter(|(rank, _)| *rank != own) {
                for part in into.chunks_mut(LARGEST) {
                    requests.add(world.process_at_rank(rank as i32).immediate_receive_into_with_tag(scope, part, TAG));
                    partners.push(Some(rank as u32));
                }
            }
            for (rank, out) in out.iter().enumerate().filter(|(rank, _)| *rank != own) {
                for part in out.chunks(LARGEST) {
                    requests.add(world.process_at_rank(rank as i32).immediate_send_with_tag(scope, part, TAG));
                    partners.push(Some(rank as u32));
                }
            }
            let (mut waited, mut last, mut done) = (Duration::ZERO, Instant::now(), Vec::new());
            while requests.incomplete() > 0 {
                requests.test_some(&mut done);
                done.drain(..).for_each(|(at, _, _)| partners[at] = None);
                // A process that was stopped for a while has not waited for others.
                waited += last.elapsed().min(LONGEST_LOOK);
                last = Instant::now();
                if waited > patience && requests.incomplete() > 0 {
                    let mut missing: Vec<u32> = partners.iter().flatten().copied().collect();
                    missing.sort_unstable();
                    missing.dedup();
                    give_up(&missing);
                    self.abort(1);
                }
                // Ranks may share a core.
                if waited < EAGER {
                    platform::give_way()
                } else {
                    let _ = platform::pause(PAUSE);
                }
            }
        });
    }

    fn abort(&self, code: i32) -> ! {
        SimpleCommunicator::world().abort(code)
    }

    fn finish(&self) {
        drop(self.universe.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
