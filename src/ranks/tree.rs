//! A sum along a fixed binary tree.

/// Adds up equal numbers of vectors pairwise: neighbours first, then pairs of neighbours. With a power of two of them the order of every sum is the same
/// whether one rank adds all, or each of several adds its own and one adds those.
#[derive(Default)]
pub struct Tree {
    /// What waits for its neighbour, with the number of vectors in it.
    waiting: Vec<(u32, Vec<f32>)>,
    /// Additions made.
    pub adds: u64,
}

impl Tree {
    /// Adds the next vector.
    pub fn push(&mut self, next: Vec<f32>) {
        let mut next = (1, next);
        while let Some((count, mut sum)) = self.waiting.pop_if(|w| w.0 == next.0) {
            sum.iter_mut().zip(&next.1).for_each(|(a, b)| *a += b);
            self.adds += sum.len() as u64;
            next = (count + next.0, sum);
        }
        self.waiting.push(next);
    }

    /// The sum; `None` if nothing was added. A number that is no power of two leaves several parts, which are added from the last.
    pub fn sum(&mut self) -> Option<Vec<f32>> {
        let (_, mut sum) = self.waiting.pop()?;
        while let Some((_, mut before)) = self.waiting.pop() {
            before.iter_mut().zip(&sum).for_each(|(a, b)| *a += b);
            self.adds += before.len() as u64;
            sum = before;
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(parts: &[Vec<f32>]) -> Vec<f32> {
        let mut tree = Tree::default();
        parts.iter().for_each(|p| tree.push(p.clone()));
        tree.sum().unwrap()
    }

    /// Numbers whose sum depends on its order.
    fn parts(count: usize) -> Vec<Vec<f32>> {
        (0..count).map(|g| (0..100).map(|i| ((g * 37 + i * 11) % 101) as f32 * 1.1f32.powi(g as i32) + 1e-3).collect()).collect()
    }

    #[test]
    fn the_order_does_not_depend_on_who_adds() {
        for groups in [1, 2, 4, 8, 16] {
            let all = parts(groups);
            let whole = sum(&all);
            for ranks in [1, 2, 4, 8, 16].into_iter().filter(|r| *r <= groups) {
                let each: Vec<Vec<f32>> = all.chunks(groups / ranks).map(sum).collect();
                assert_eq!(sum(&each), whole, "{groups} groups, {ranks} ranks");
            }
        }
    }

    #[test]
    fn another_order_gives_other_bits() {
        let all = parts(8);
        let row = all[1..].iter().fold(all[0].clone(), |a, b| a.iter().zip(b).map(|(a, b)| a + b).collect());
        assert_ne!(sum(&all), row, "from left to right");
        let mut swapped = all.clone();
        swapped.swap(1, 2);
        assert_ne!(sum(&all), sum(&swapped), "two groups swapped");
    }

    #[test]
    fn the_additions_of_ranks_are_those_of_one_shared_out() {
        let groups = 8;
        let all = parts(groups);
        let adds = |parts: &[Vec<f32>]| {
            let mut tree = Tree::default();
            parts.iter().for_each(|p| tree.push(p.clone()));
            tree.sum();
            tree.adds
        };
        let alone = adds(&all);
        assert_eq!(alone, 7 * 100);
        for ranks in [2, 4] {
            let own = adds(&all[..groups / ranks]);
            let slices: Vec<Vec<f32>> = all[..ranks].iter().map(|p| p[..100 / ranks].to_vec()).collect();
            assert_eq!(own + adds(&slices), alone / ranks as u64, "{ranks} ranks");
        }
    }
}
