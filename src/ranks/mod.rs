//! The processes that train together: what they say to each other, and the sum of their gradients. One that trains alone is a rank, too.

mod alone;
mod message;
#[cfg(feature = "mpi")]
mod mpi;
mod transport;
mod tree;
mod within;

pub use alone::Alone;
pub use message::{Packed, Unpacked};
pub use transport::Transport;
pub use tree::Tree;
pub use within::Within;

use crate::error::{Error, Result};
use crate::platform::Instant;
use message::{INTERRUPTED, error, kind};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How long a rank may take for its part, unless it is told.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same where one rank works and the others wait: it saves, or writes text.
const LONG_PATIENCE: Duration = Duration::from_secs(600);
/// How much longer than the longest update so far a rank may take.
const SLOWER: u32 = 4;
/// What each rank waits longer than the one before it, so that one alone says what is wrong, and at most.
const STAGGER: Duration = Duration::from_millis(300);
const MOST_STAGGER: u32 = 12;

/// What sums over ranks have cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Seconds in them: waiting for the slowest rank, and all that travels.
    pub seconds: f64,
    /// Bytes sent to other ranks.
    pub sent: u64,
    /// Additions of gradients, on this rank.
    pub adds: u64,
}

/// What this rank does next; rank 0 says it to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// An update.
    Step,
    /// A validation.
    Validate,
    /// The share of right answers.
    Answers,
    /// A look for trapped lanes.
    Trapped,
    /// What a checkpoint holds.
    Gather,
    /// Wait: rank 0 works alone for a while.
    Wait,
    /// The end, with this exit code.
    End(u8),
}

impl Order {
    fn word(self) -> [u8; 2] {
        match self {
            Order::Step => [1, 0],
            Order::Validate => [2, 0],
            Order::Answers => [3, 0],
            Order::Trapped => [4, 0],
            Order::Gather => [5, 0],
            Order::Wait => [6, 0],
            Order::End(code) => [7, code],
        }
    }

    fn of(word: [u8; 2]) -> Self {
        match word {
            [1, _] => Order::Step,
            [2, _] => Order::Validate,
            [3, _] => Order::Answers,
            [4, _] => Order::Trapped,
            [5, _] => Order::Gather,
            [6, _] => Order::Wait,
            [_, code] => Order::End(code),
        }
    }
}

/// The ranks, seen from one of them.
pub struct Ranks {
    transport: Box<dyn Transport>,
    timeout: Mutex<Duration>,
    cost: Mutex<Cost>,
    /// The names of the machines, by rank.
    hosts: OnceLock<Vec<String>>,
    /// Whether the last error is known to all.
    agreed: AtomicBool,
    /// Milliseconds of the longest update so far.
    longest: AtomicU64,
    /// Whether the others train, too, and whether they were told to end.
    invited: AtomicBool,
    ended: AtomicBool,
}

/// What is called with the last words of a process that ends all others.
static LAST_WORDS: OnceLock<fn(&str)> = OnceLock::new();

/// Sets who hears the last words of a process that ends all others.
pub fn hear_last_words(hear: fn(&str)) {
    let _ = LAST_WORDS.set(hear);
}

/// The ranks of this process, once they have met.
static HERE: Mutex<Option<Arc<Ranks>>> = Mutex::new(None);

/// The ranks of this process: those that MPI started it with, or itself.
///
/// # Errors
/// If MPI can't be used.
pub fn here() -> Result<Arc<Ranks>> {
    let mut here = HERE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ranks) = &*here {
        return Ok(ranks.clone());
    }
    let ranks = Arc::new(Ranks::new(transport()?));
    *here = Some(ranks.clone());
    drop(here);
    ranks.meet();
    Ok(ranks)
}

/// Ends the use of other ranks, if any were met: the last thing that a process does.
pub fn finish() {
    static HERE_ENDED: AtomicBool = AtomicBool::new(false);
    if !HERE_ENDED.swap(true, Ordering::Relaxed) {
        HERE.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|ranks| ranks.transport.finish());
    }
}

#[cfg(feature = "mpi")]
fn transport() -> Result<Box<dyn Transport>> {
    Ok(match mpi::Mpi::begin()? {
        Some(mpi) => Box::new(mpi),
        None => Box::new(Alone),
    })
}

/// Several processes that each train alone, in the same folder, are nothing that anybody wants.
#[cfg(not(feature = "mpi"))]
fn transport() -> Result<Box<dyn Transport>> {
    let count = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u32>().ok());
    match ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"].into_iter().filter_map(count).max() {
        Some(n) if n > 1 => Err(Error::Usage(format!(
            "this was started {n} times to train together, and was built without MPI; build it with cargo's feature \"mpi\", or start it once"
        ))),
        _ => Ok(Box::new(Alone)),
    }
}

/// Bytes that each of so many ranks sends for the sum of a gradient of `elements`: a slice to each other rank, and its own part of the sum to all.
pub fn sent_for_a_sum(elements: u64, ranks: u64) -> u64 {
    8 * (elements + 1) * (ranks - 1) / ranks.max(1)
}

impl Ranks {
    /// The ranks that a transport connects.
    pub fn new(transport: Box<dyn Transport>) -> Self {
        Ranks {
            transport,
            timeout: Mutex::new(PATIENCE),
            cost: Mutex::default(),
            hosts: OnceLock::new(),
            agreed: AtomicBool::new(false),
            longest: AtomicU64::new(0),
            invited: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// One rank.
    pub fn alone() -> Arc<Self> {
        Arc::new(Ranks::new(Box::new(Alone)))
    }

    /// Number of this rank, from 0.
    pub fn rank(&self) -> u32 {
        self.transport.rank()
    }

    /// Number of ranks.
    pub fn count(&self) -> u32 {
        self.transport.ranks()
    }

    /// Whether there are others.
    pub fn several(&self) -> bool {
        self.count() > 1
    }

    /// Number of this rank among those of its machine, and how many there are.
    pub fn local(&self) -> (u32, u32) {
        self.transport.local()
    }

    /// Sets how long a rank may take for its part of an update.
    pub fn wait_at_most(&self, seconds: Option<u64>) {
        *self.timeout.lock().unwrap_or_else(PoisonError::into_inner) = seconds.map_or(PATIENCE, Duration::from_secs);
    }

    /// What sums over ranks have cost so far.
    pub fn cost(&self) -> Cost {
        *self.cost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `rank 3 on HOST`.
    pub fn name(&self, rank: u32) -> String {
        let host = self.hosts.get().and_then(|hosts| hosts.get(rank as usize));
        host.map_or(format!("rank {rank}"), |host| format!("rank {rank} on {host}"))
    }

    /// Number of machines.
    pub fn machines(&self) -> u32 {
        let names: std::collections::BTreeSet<&String> = self.hosts.get().into_iter().flatten().collect();
        names.len().max(1) as u32
    }

    /// Tells all the names of their machines.
    pub fn meet(&self) {
        if let Ok(hosts) = self.share(Ok(self.transport.host().into_bytes())) {
            let _ = self.hosts.set(hosts.into_iter().map(|h| String::from_utf8_lossy(&h).into_owned()).collect());
        }
    }

    fn patience(&self) -> Duration {
        let longest = Duration::from_millis(self.longest.load(Ordering::Relaxed));
        (*self.timeout.lock().unwrap_or_else(PoisonError::into_inner)).max(SLOWER * longest)
    }

    fn exchange(&self, out: &[&[u8]], into: &mut [Vec<u8>], patience: Duration) {
        let staggered = patience + STAGGER * self.rank().min(MOST_STAGGER);
        let give_up = |missing: &[u32]| {
            let names = missing.iter().take(4).map(|r| self.name(*r)).collect::<Vec<_>>().join(", ");
            let more = if missing.len() > 4 { format!(" and {} more", missing.len() - 4) } else { String::new() };
            let have = if missing.len() == 1 { "has" } else { "have" };
            say_last(&format!(
                "{names}{more} {have} not answered for {} s; all ranks end, and the last checkpoint stands (`rank_timeout` says how long to wait)",
                patience.as_secs()
            ));
        };
        self.transport.exchange(out, into, staggered, &give_up);
    }

    /// Every rank's outcome, by rank; all ranks call it.
    ///
    /// # Errors
    /// If any rank has one: its own if all have one, else that of the first, with its name.
    pub fn share(&self, own: Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        self.share_within(self.patience(), own)
    }

    /// Whether all have done a part that takes long, such as opening a device; all ranks call it.
    ///
    /// # Errors
    /// As [`Ranks::share`].
    pub fn agree(&self, own: Result<()>) -> Result<()> {
        self.share_within(LONG_PATIENCE, own.map(|()| Vec::new())).map(drop)
    }

    fn share_within(&self, patience: Duration, own: Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        if !self.several() {
            return own.map(|own| vec![own]);
        }
        let ranks = self.count() as usize;
        let (kind, text) = match &own {
            Ok(bytes) => (0, bytes.as_slice()),
            Err(e) => (kind(Some(e)), &[][..]),
        };
        let message = own.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let text = if kind == 0 { text } else { message.as_bytes() };
        let mut head = Packed::default();
        head.count(kind as usize);
        head.count(text.len());
        let mut heads = vec![vec![0; head.0.len()]; ranks];
        self.exchange(&vec![head.0.as_slice(); ranks], &mut heads, patience);
        let heads: Vec<(u32, usize)> = heads.iter().map(|h| Unpacked(h)).map(|mut h| (h.count() as u32, h.count())).collect();
        let mut all: Vec<Vec<u8>> = heads.iter().map(|h| vec![0; h.1]).collect();
        self.exchange(&vec![text; ranks], &mut all, patience);
        let failed: Vec<usize> = (0..ranks).filter(|&r| heads[r].0 > 0).collect();
        let Some(&first) = failed.first() else { return Ok(all) };
        self.agreed.store(true, Ordering::Relaxed);
        match own {
            Err(e) if failed.len() == ranks => Err(e),
            _ if failed.iter().any(|&r| heads[r].0 == INTERRUPTED) && failed.iter().all(|&r| heads[r].0 == INTERRUPTED) => Err(Error::Interrupted),
            _ => {
                let first = failed.into_iter().find(|&r| heads[r].0 != INTERRUPTED).unwrap_or(first);
                Err(error(heads[first].0, format!("{}: {}", self.name(first as u32), String::from_utf8_lossy(&all[first]))))
            }
        }
    }

    /// Rank 0's outcome; all ranks call it, the others without one.
    ///
    /// # Errors
    /// Rank 0's.
    pub fn from_first(&self, own: Option<Result<Vec<u8>>>) -> Result<Vec<u8>> {
        if !self.several() {
            return own.unwrap_or(Ok(Vec::new()));
        }
        let (first, ranks) = (self.rank() == 0, self.count() as usize);
        let (kind, bytes) = match &own {
            Some(Ok(bytes)) => (0, bytes.clone()),
            Some(Err(e)) => (kind(Some(e)), e.to_string().into_bytes()),
            None => (0, Vec::new()),
        };
        let mut head = Packed::default();
        head.count(kind as usize);
        head.count(bytes.len());
        let nothing: Vec<&[u8]> = vec![&[]; ranks];
        let received = |len: usize| -> Vec<Vec<u8>> { (0..ranks).map(|r| vec![0; if r == 0 { len } else { 0 }]).collect() };
        // Rank 0 prepares its part alone, and data may be large.
        let mut heads = received(head.0.len());
        self.exchange(&if first { vec![head.0.as_slice(); ranks] } else { nothing.clone() }, &mut heads, LONG_PATIENCE);
        let mut head = Unpacked(&heads[0]);
        let (kind, len) = (head.count() as u32, head.count());
        let mut bodies = received(len);
        self.exchange(&if first { vec![bytes.as_slice(); ranks] } else { nothing }, &mut bodies, LONG_PATIENCE);
        let body = bodies.swap_remove(0);
        self.invited.store(kind == 0, Ordering::Relaxed);
        match own {
            Some(Err(e)) => {
                self.agreed.store(true, Ordering::Relaxed);
                Err(e)
            }
            _ if kind > 0 => {
                self.agreed.store(true, Ordering::Relaxed);
                Err(error(kind, String::from_utf8_lossy(&body).into_owned()))
            }
            _ => Ok(body),
        }
    }

    /// The elements of a vector of `len` that a rank adds up.
    fn slice(&self, len: usize, rank: usize) -> Range<usize> {
        let ranks = self.count() as usize;
        len * rank / ranks..len * (rank + 1) / ranks
    }

    /// The sum of every rank's vector of `len` numbers, along the tree; all ranks call it. Each adds up one slice, and tells the others.
    ///
    /// # Errors
    /// If any rank has one instead; see [`Ranks::share`].
    pub fn sum(&self, own: Result<Vec<f32>>, len: usize) -> Result<Vec<f32>> {
        if !self.several() {
            return own;
        }
        let ranks = self.count() as usize;
        let (rank, word) = (self.rank() as usize, kind(own.as_ref().err()));
        let nothing = vec![0.0; if own.is_ok() { 0 } else { len }];
        let numbers = own.as_ref().unwrap_or(&nothing);
        // Its own slice it has.
        let message = |r: usize| [&word.to_le_bytes(), bytemuck::cast_slice(if r == rank { &[] } else { &numbers[self.slice(len, r)] })].concat();
        let out: Vec<Vec<u8>> = (0..ranks).map(message).collect();
        let mine = self.slice(len, rank);
        let mut into: Vec<Vec<u8>> = (0..ranks).map(|r| vec![0; if r == rank { 4 } else { 4 + 4 * mine.len() }]).collect();
        let start = Instant::now();
        self.exchange(&out.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut into, self.patience());
        if into.iter().any(|i| i[..4] != [0; 4]) {
            // Every rank has seen it.
            return self.share(own.map(|_| Vec::new())).and(Err(Error::Interrupted));
        }
        let mut tree = Tree::default();
        for (r, into) in into.iter().enumerate() {
            tree.push(if r == rank { numbers[mine.clone()].to_vec() } else { bytemuck::pod_collect_to_vec(&into[4..]) });
        }
        let sum = tree.sum().unwrap_or_default();
        let bytes: &[u8] = bytemuck::cast_slice(&sum);
        let mut slices: Vec<Vec<u8>> = (0..ranks).map(|r| vec![0; 4 * self.slice(len, r).len()]).collect();
        self.exchange(&vec![bytes; ranks], &mut slices, self.patience());
        let mut all = vec![0.0f32; len];
        slices.iter().enumerate().for_each(|(r, s)| bytemuck::cast_slice_mut(&mut all[self.slice(len, r)]).copy_from_slice(s));
        let mut cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        let to_others = out.iter().map(Vec::len).sum::<usize>() - out[rank].len() + (ranks - 1) * bytes.len();
        cost.adds += tree.adds;
        cost.sent += to_others as u64;
        cost.seconds += start.elapsed().as_secs_f64();
        drop(cost);
        Ok(all)
    }

    /// Counts additions of gradients.
    pub fn count_adds(&self, adds: u64) {
        self.cost.lock().unwrap_or_else(PoisonError::into_inner).adds += adds;
    }

    /// Notes how long an update took: a rank is not given up before it has taken several times as long.
    pub fn took(&self, time: Duration) {
        self.longest.fetch_max(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether all have had rank 0's first words, and train.
    pub fn is_invited(&self) -> bool {
        self.invited.load(Ordering::Relaxed)
    }

    /// Rank 0 says to all what comes next.
    pub fn order(&self, order: Order) {
        if self.several() && !self.ended.load(Ordering::Relaxed) {
            let ranks = self.count() as usize;
            let mut into: Vec<Vec<u8>> = (0..ranks).map(|r| vec![0; if r == 0 { 2 } else { 0 }]).collect();
            self.exchange(&vec![&order.word()[..]; ranks], &mut into, LONG_PATIENCE);
            if let Order::End(_) = order {
                self.ended.store(true, Ordering::Relaxed);
            }
        }
    }

    /// What rank 0 says comes next, on another.
    pub fn next(&self) -> Order {
        let ranks = self.count() as usize;
        let mut patience = self.patience();
        loop {
            let mut into: Vec<Vec<u8>> = (0..ranks).map(|r| vec![0; if r == 0 { 2 } else { 0 }]).collect();
            self.exchange(&vec![&[][..]; ranks], &mut into, patience);
            match Order::of([into[0][0], into[0][1]]) {
                Order::Wait => patience = LONG_PATIENCE,
                order => return order,
            }
        }
    }

    /// Whether the last error came to all ranks alike.
    pub fn is_agreed(&self) -> bool {
        self.agreed.load(Ordering::Relaxed)
    }

    /// Forgets an error that training goes on after.
    pub fn forget(&self) {
        self.agreed.store(false, Ordering::Relaxed);
    }

    /// Says why this rank can't go on, and ends all.
    pub fn die(&self, why: &str, code: u8) -> ! {
        say_last(&format!("{}: {why}", self.name(self.rank())));
        self.transport.abort(code.into())
    }

    /// Begins another training by the same ranks.
    pub fn renew(&self) {
        for flag in [&self.agreed, &self.invited, &self.ended] {
            flag.store(false, Ordering::Relaxed);
        }
        self.longest.store(0, Ordering::Relaxed);
        *self.cost.lock().unwrap_or_else(PoisonError::into_inner) = Cost::default();
    }
}

fn say_last(words: &str) {
    if let Some(hear) = LAST_WORDS.get() {
        hear(words);
    }
}
