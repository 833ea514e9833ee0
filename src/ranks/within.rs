//! Ranks within one process, one a thread: what tests train with where there is no MPI.

use super::Transport;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One of several ranks within a process.
pub struct Within {
    rank: u32,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
}

impl Within {
    /// So many ranks, each for a thread of its own.
    pub fn ranks(ranks: u32) -> Vec<Self> {
        let (mut to, mut from): (Vec<Vec<_>>, Vec<Vec<_>>) = (0..ranks).map(|_| (Vec::new(), Vec::new())).unzip();
        for sender in to.iter_mut() {
            for receiver in from.iter_mut() {
                let (tx, rx) = channel();
                sender.push(tx);
                receiver.push(Mutex::new(rx));
            }
        }
        (0..ranks).zip(to.into_iter().zip(from)).map(|(rank, (to, from))| Within { rank, to, from }).collect()
    }
}

impl Transport for Within {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn ranks(&self) -> u32 {
        self.to.len() as u32
    }

    fn local(&self) -> (u32, u32) {
        (self.rank, self.ranks())
    }

    fn exchange(&self, out: &[&[u8]], into: &mut [Vec<u8>], patience: Duration, give_up: &dyn Fn(&[u32])) {
        for (to, out) in self.to.iter().zip(out).filter(|(_, out)| !out.is_empty()) {
            // A rank that has ended is noticed where its answer is missed.
            let _ = to.send(out.to_vec());
        }
        for (rank, (from, into)) in (0..).zip(self.from.iter().zip(into)).filter(|(_, (_, into))| !into.is_empty()) {
            match from.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(patience) {
                Ok(found) if found.len() == into.len() => *into = found,
                _ => {
                    give_up(&[rank]);
                    self.abort(1);
                }
            }
        }
    }

    fn abort(&self, code: i32) -> ! {
        panic!("rank {} ends all with exit code {code}", self.rank)
    }
}
