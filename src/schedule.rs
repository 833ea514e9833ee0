//! The order in which the segments of a window are computed, so that few of their states must be stored.
//!
//! A segment's backward pass needs its h, which its forward pass computes from the state at its start. With room for `stored` states
//! (including that at the window's start), the first pass stores some of them; then, from the last segment on, each is recomputed from
//! the nearest stored state before it, storing states on the way where room has become free. With at most r recomputations per
//! segment, this handles windows of up to C(stored + r, r) segments, with the fewest recomputations: Griewank and Walther, "Algorithm
//! 799: revolve" (2000); for recurrent nets Gruslys et al. (2016). The h of the last `places` segments is kept from the first pass on.

/// One pass over a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Forward, from one state to another; writes h to `place`.
    Forward {
        /// Segment of the window.
        segment: u32,
        /// Index of the state at its start.
        from: u32,
        /// Index of the state after it.
        to: u32,
        /// Place of its h.
        place: u32,
    },
    /// Backward, over the h in `place`.
    Backward {
        /// Segment of the window.
        segment: u32,
        /// Place of its h.
        place: u32,
    },
}

/// Index of the state at the end of a window, if `stored` states are stored.
pub const fn tail(stored: u32) -> u32 {
    stored
}

/// Index of a temporary state.
const fn passing(stored: u32) -> u32 {
    stored + 1
}

/// Number of states that a schedule uses.
pub const fn states(stored: u32) -> u32 {
    stored + 2
}

/// C(stored + repeats, repeats): the number of segments for which `stored` states suffice, with at most `repeats` recomputations of each.
pub fn reach(stored: u32, repeats: u32) -> u64 {
    let mut n = 1u64;
    for i in 1..=u64::from(repeats) {
        n = match n.checked_mul(u64::from(stored) + i) {
            Some(n) => n / i,
            None => return u64::MAX,
        };
    }
    n
}

/// The least r for which [`reach`] is at least `units`.
fn most(units: u64, stored: u32) -> u32 {
    let (mut n, mut r) = (1u64, 0);
    while n < units {
        r += 1;
        n = n.checked_mul(u64::from(stored) + u64::from(r)).map_or(u64::MAX, |n| n / u64::from(r));
    }
    r
}

/// Maximum number of recomputations of one segment, and total of `segments` segments, of which the last `places` are kept.
pub fn repetitions(segments: u32, stored: u32, places: u32) -> (u32, u64) {
    let units = u64::from(units(segments, places));
    if units == 1 {
        return (0, 0);
    }
    let most = most(units, stored);
    (most, u64::from(most) * units - reach(stored + 1, most - 1))
}

/// Number of segments, counting the kept ones as one.
fn units(segments: u32, places: u32) -> u32 {
    segments.saturating_sub(places) + 1
}

/// Splits a range of `n` units: the first part is computed from the state at its start
/// once that is reached again. `stored` counts the room for states from that state on.
fn part(n: u64, stored: u32) -> u64 {
    let most = most(n, stored);
    let before = |r: u32| if most > r { reach(stored, most - 1 - r) } else { 0 };
    let behind = |r: u32| reach(stored - 1, most - r);
    // Both parts as long as possible without one more recomputation, and no shorter than with one less.
    let low = before(1).max(n.saturating_sub(behind(0))).max(1);
    let high = before(0).min(n.saturating_sub(behind(1))).min(n - 1);
    high.max(low)
}

/// All passes over a window of `segments` segments, in order.
pub fn schedule(segments: u32, stored: u32, places: u32) -> Vec<Action> {
    let mut s = Scheduler { segments, stored, units: units(segments, places), actions: Vec::new() };
    // Ranges of units with the index of their first state; the last one is next.
    let mut ranges = vec![(0, s.units, 0)];
    while let Some((from, to, at)) = ranges.pop() {
        let left = stored - at;
        if to - from == 1 {
            s.turn(from, at);
        } else if left == 1 {
            for unit in (from..to).rev() {
                s.advance(from, unit, at, passing(stored));
                s.turn(unit, if unit == from { at } else { passing(stored) });
            }
        } else {
            let middle = from + part(u64::from(to - from), left) as u32;
            s.advance(from, middle, at, at + 1);
            ranges.extend([(from, middle, at), (middle, to, at + 1)]);
        }
    }
    s.actions
}

struct Scheduler {
    segments: u32,
    stored: u32,
    units: u32,
    actions: Vec<Action>,
}

impl Scheduler {
    /// Forward over segments whose h is not needed.
    fn advance(&mut self, from: u32, to: u32, mut at: u32, goal: u32) {
        for segment in from..to {
            self.actions.push(Action::Forward { segment, from: at, to: goal, place: 0 });
            at = goal;
        }
    }

    /// Forward over a unit, keeping h, and backward.
    fn turn(&mut self, unit: u32, mut at: u32) {
        let last = if unit + 1 == self.units { self.segments } else { unit + 1 };
        for segment in unit..last {
            let to = if segment + 1 == self.segments { tail(self.stored) } else { passing(self.stored) };
            self.actions.push(Action::Forward { segment, from: at, to, place: segment - unit });
            at = to;
        }
        self.actions.extend((unit..last).rev().map(|segment| Action::Backward { segment, place: segment - unit }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Runs a schedule over states that are numbers, checking that every pass finds what it needs. Returns the recomputations of each segment.
    fn run(segments: u32, stored: u32, places: u32) -> Vec<u64> {
        let mut states: HashMap<u32, u32> = HashMap::from([(0, 0)]);
        let mut h: HashMap<u32, u32> = HashMap::new();
        let mut forwards = vec![0u64; segments as usize];
        let mut next = segments;
        for action in schedule(segments, stored, places) {
            match action {
                Action::Forward { segment, from, to, place } => {
                    assert!(from < states_of(stored) && to < states_of(stored) && place < places.max(1));
                    assert_eq!(states[&from], segment, "{segments} {stored} {places}: segment {segment} begins with its state");
                    states.insert(to, segment + 1);
                    h.insert(place, segment);
                    forwards[segment as usize] += 1;
                }
                Action::Backward { segment, place } => {
                    assert_eq!((h[&place], segment + 1), (segment, next), "{segments} {stored} {places}");
                    next = segment;
                }
            }
        }
        assert_eq!((next, states[&tail(stored)]), (0, segments), "all backward, and the last state is there");
        forwards.iter().map(|f| f - 1).collect()
    }

    fn states_of(stored: u32) -> u32 {
        super::states(stored)
    }

    /// Fewest recomputations over all ways to split, by brute force.
    fn fewest(n: usize, stored: usize, known: &mut HashMap<(usize, usize), u64>) -> u64 {
        if n == 1 {
            return 0;
        }
        if stored == 1 {
            return (n * (n - 1) / 2) as u64;
        }
        if let Some(&k) = known.get(&(n, stored)) {
            return k;
        }
        let best = (1..n).map(|m| m as u64 + fewest(m, stored, known) + fewest(n - m, stored - 1, known)).min().unwrap();
        known.insert((n, stored), best);
        best
    }

    #[test]
    fn schedules_are_right_and_the_best_there_are() {
        let mut known = HashMap::new();
        for segments in 1..=60u32 {
            for stored in 1..=12 {
                for places in [1, 2, 5, 60] {
                    let again = run(segments, stored, places);
                    let (most, all) = repetitions(segments, stored, places);
                    let units = units(segments, places);
                    assert_eq!(all, fewest(units as usize, stored as usize, &mut known), "{segments} {stored} {places}: the closed form");
                    assert_eq!(again.iter().sum::<u64>(), all, "{segments} {stored} {places}: as many as the closed form says");
                    assert_eq!(again.iter().max().copied(), Some(u64::from(most)), "{segments} {stored} {places}");
                }
            }
        }
    }

    #[test]
    fn enough_states_mean_one_repetition() {
        assert_eq!(repetitions(1000, 999, 1), (1, 999));
        assert_eq!(repetitions(1000, 1, 1000), (0, 0));
        assert_eq!(repetitions(1_000_000, 1500, 1).0, 2);
        assert_eq!(run(20_000, 19_999, 1).iter().sum::<u64>(), 19_999);
    }
}
