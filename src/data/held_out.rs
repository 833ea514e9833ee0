//! Chooses the held-out sequences.

use super::Sequences;
use super::sequences::Scored;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// Stream of the random generator; epochs use their own numbers as streams.
const HELD_OUT: u64 = u64::MAX;

/// The random generator that chooses held-out sequences.
fn generator(seed: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(HELD_OUT);
    rng
}

impl Sequences {
    /// Splits them in two: the last sequences, which hold at least `fraction` of the scored steps, are held out.
    pub fn hold_out(self, fraction: f64) -> (Self, Option<Self>) {
        let goal = self.scored() as f64 * fraction;
        let (mut held, mut at) = (0.0, self.list.len());
        while at > 1 && held < goal {
            at -= 1;
            held += f64::from(self.scored_of(&self.list[at]));
        }
        let tail: Vec<bool> = (0..self.list.len()).map(|i| i >= at).collect();
        self.parted(&tail)
    }

    /// The sequences to train on, and the held-out ones, if any.
    fn parted(self, held: &[bool]) -> (Self, Option<Self>) {
        let part = |which: bool| {
            let list = self.list.iter().zip(held).filter(|(_, h)| **h == which).map(|(s, _)| *s).collect();
            let scored = match &self.scored {
                Scored::Labels(classes) => Scored::Labels(classes.iter().zip(held).filter(|(_, h)| **h == which).map(|(c, _)| *c).collect()),
                other => other.clone(),
            };
            Sequences {
                content: self.content.clone(),
                list,
                before: self.before,
                skipped: if which { 0 } else { self.skipped },
                scored,
                weights: self.weights.clone(),
            }
        };
        (part(false), Some(part(true)).filter(|t| !t.list.is_empty()))
    }

    /// Reorders them.
    fn in_order(self, order: &[usize]) -> Self {
        let list = order.iter().map(|i| self.list[*i]).collect();
        let scored = match self.scored {
            Scored::Labels(classes) => Scored::Labels(order.iter().map(|i| classes[*i]).collect()),
            other => other,
        };
        Sequences { list, scored, ..self }
    }

    /// Splits them at random into those to train on and the held-out ones, each in text order. A share `fraction` of every class is held out, but never all
    /// of it; without classes, that share of the sequences, whose total length is not much more than that share of all. So even a sorted text is judged on
    /// a representative sample, which its tail would not be.
    pub fn draw_out(self, fraction: f64, seed: u64) -> (Self, Option<Self>) {
        let sizes: Vec<u64> = self.list().iter().map(|s| u64::from(self.scored_of(s))).collect();
        let classes: Option<Vec<u32>> = (0..sizes.len()).map(|i| self.class(i)).collect();
        let held = match classes {
            Some(classes) => by_class(&classes, fraction, seed),
            None => by_size(&sizes, fraction, seed),
        };
        self.parted(&held)
    }

    /// Shuffles them.
    #[must_use]
    pub fn shuffled(self, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..self.list().len()).collect();
        order.shuffle(&mut generator(seed));
        self.in_order(&order)
    }
}

/// Holds out the share of each class, rounded so that the total is right; at least one of each class is left.
fn by_class(classes: &[u32], fraction: f64, seed: u64) -> Vec<bool> {
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    classes.iter().enumerate().for_each(|(i, class)| members.entry(*class).or_default().push(i));
    let most = |list: &[usize]| list.len() - 1;
    let share = |list: &[usize]| list.len() as f64 * fraction;
    let goal = if fraction > 0.0 { ((classes.len() as f64 * fraction).round() as usize).max(1) } else { 0 };
    let mut taken: BTreeMap<u32, usize> = members.iter().map(|(c, list)| (*c, (share(list).floor() as usize).min(most(list)))).collect();
    // Classes that rounding has cut the most come first.
    let mut by_rest: Vec<(&u32, &Vec<usize>)> = members.iter().collect();
    by_rest.sort_by(|a, b| share(b.1).fract().total_cmp(&share(a.1).fract()).then(b.1.len().cmp(&a.1.len())));
    let mut missing = goal.saturating_sub(taken.values().sum());
    for (class, list) in by_rest {
        let n = taken.entry(*class).or_insert(0);
        if missing > 0 && *n < most(list) {
            *n += 1;
            missing -= 1;
        }
    }
    let mut rng = generator(seed);
    let mut held = vec![false; classes.len()];
    for (class, list) in &mut members {
        list.shuffle(&mut rng);
        list.iter().take(taken[class]).for_each(|i| held[*i] = true);
    }
    held
}

/// Holds out that share of the sequences: at least one, and not all. Their total length is at most 1.5 times that share of all steps, so that a few long
/// ones don't take most of the training data. If every sequence is longer than that, the shortest.
fn by_size(sizes: &[u64], fraction: f64, seed: u64) -> Vec<bool> {
    let most = 1.5 * fraction * sizes.iter().sum::<u64>() as f64;
    let goal = ((sizes.len() as f64 * fraction).round() as usize).max(1).min(sizes.len() - 1);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.shuffle(&mut generator(seed));
    let (mut held, mut sum, mut count) = (vec![false; sizes.len()], 0.0, 0);
    for i in order {
        let size = sizes[i] as f64;
        if count < goal && sum + size <= most {
            held[i] = true;
            (sum, count) = (sum + size, count + 1);
        }
    }
    if count == 0 && fraction > 0.0 && sizes.len() > 1 {
        (0..sizes.len()).min_by_key(|i| sizes[*i]).into_iter().for_each(|i| held[i] = true);
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(held: &[bool], classes: &[u32], class: u32) -> usize {
        held.iter().zip(classes).filter(|(h, c)| **h && **c == class).count()
    }

    #[test]
    fn every_class_keeps_its_share_and_none_is_held_out_whole() {
        let classes: Vec<u32> = (0..1000)
            .map(|i| {
                if i < 700 {
                    0
                } else if i < 995 {
                    1
                } else if i < 999 {
                    2
                } else {
                    3
                }
            })
            .collect();
        for seed in 0..5 {
            let held = by_class(&classes, 0.1, seed);
            assert_eq!(held.iter().filter(|h| **h).count(), 100);
            assert_eq!((count(&held, &classes, 0), count(&held, &classes, 3)), (70, 0));
            assert!((29..=30).contains(&count(&held, &classes, 1)) && count(&held, &classes, 2) <= 1);
        }
        assert!(by_class(&classes, 0.1, 0) != by_class(&classes, 0.1, 1));
        assert!(by_class(&classes, 0.1, 3) == by_class(&classes, 0.1, 3));
        // However large the share, one of each class is trained on; however small, one is held out.
        let few = [0, 0, 1, 1, 2];
        let held = by_class(&few, 0.9, 0);
        assert!((0..3).all(|c| count(&held, &few, c) < few.iter().filter(|f| **f == c).count()), "{held:?}");
        assert_eq!(by_class(&few, 0.01, 0).iter().filter(|h| **h).count(), 1);
        assert!(!by_class(&few, 0.0, 0).contains(&true));
    }

    #[test]
    fn one_long_sequence_takes_no_training_away() {
        let mut sizes = vec![100; 50];
        sizes.push(100_000);
        for seed in 0..10 {
            let held = by_size(&sizes, 0.1, seed);
            assert!(!held[50] && held.iter().filter(|h| **h).count() == 5, "seed {seed}");
        }
        let held = by_size(&[100; 1000], 0.1, 4);
        assert_eq!(held.iter().filter(|h| **h).count(), 100);
        // They are spread over the text, not its tail.
        assert!(held[..500].iter().filter(|h| **h).count() > 25);
        assert_eq!(by_size(&[9, 5, 7], 0.01, 0), [false, true, false]);
        assert_eq!(by_size(&[9, 5], 0.99, 0).iter().filter(|h| **h).count(), 1);
        assert!(!by_size(&[9, 5], 0.0, 0).contains(&true));
    }
}
