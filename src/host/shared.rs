//! What threads share while they work on one matrix: windows that they write at once, and blocks that they make in turn, each reading all of the block
//! before. All that is unsafe in the CPU kernels is here, and has been run in Miri (`scripts/check_long.sh`).
#![allow(unsafe_code)]

use crate::platform;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Some rows and columns of a matrix, for one thread to write.
pub struct Window<'a> {
    first: NonNull<f32>,
    rows: usize,
    width: usize,
    ld: usize,
    data: PhantomData<&'a mut [f32]>,
}

// SAFETY: a window borrows its values exclusively, as `&mut [f32]` does.
unsafe impl Send for Window<'_> {}

impl<'a> Window<'a> {
    /// The first `width` values of `rows` rows that are `ld` apart.
    pub fn new(data: &'a mut [f32], [rows, width]: [usize; 2], ld: usize) -> Self {
        assert!(width <= ld && (rows == 0 || (rows - 1) * ld + width <= data.len()), "{rows} rows of {width}, {ld} apart, in {} values", data.len());
        Window { first: NonNull::from(data).cast(), rows, width, ld, data: PhantomData }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row.
    #[inline(always)]
    pub fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: all rows of a window lie in the values that it borrows, see `new`, `part` and `Blocks::block`; this borrow of it is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr().add(row * self.ld), self.width) }
    }

    /// Several rows.
    pub fn rows_of(&mut self, rows: Range<usize>) -> impl Iterator<Item = &mut [f32]> {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        let (first, width, ld) = (self.first, self.width, self.ld);
        // SAFETY: as in `row`; each row once.
        rows.map(move |row| unsafe { std::slice::from_raw_parts_mut(first.as_ptr().add(row * ld), width) })
    }

    /// A part of it.
    #[inline(always)]
    pub fn part(&mut self, rows: Range<usize>, columns: Range<usize>) -> Window<'_> {
        assert!(rows.start <= rows.end && rows.end <= self.rows && columns.start <= columns.end && columns.end <= self.width, "{rows:?} and {columns:?}");
        let at = if rows.is_empty() || columns.is_empty() { 0 } else { rows.start * self.ld + columns.start };
        // SAFETY: `at` is 0 or the place of a value of this window.
        Window { first: unsafe { self.first.add(at) }, rows: rows.len(), width: columns.len(), ld: self.ld, data: PhantomData }
    }
}

/// The same window of each of a sequence of equal matrices, one after another in memory.
pub struct Blocks<'a> {
    first: NonNull<f32>,
    count: usize,
    stride: usize,
    rows: usize,
    width: usize,
    ld: usize,
    data: PhantomData<&'a mut [f32]>,
}

// SAFETY: as `Window`.
unsafe impl Send for Blocks<'_> {}

/// How matrices lie in memory, one after another.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// Number of matrices.
    pub count: usize,
    /// From matrix to matrix.
    pub stride: usize,
    /// From row to row.
    pub ld: usize,
}

impl<'a> Blocks<'a> {
    /// A part for each range of rows and, within it, of columns. Ranges are in order and share nothing.
    pub fn split(data: &'a mut [f32], at: Places, rows: &[Range<usize>], columns: &[Range<usize>]) -> Vec<Blocks<'a>> {
        let len = data.len();
        Self::split_at(NonNull::from(data).cast(), len, at, rows, columns)
    }

    /// The same for `len` values from `first` on, borrowed by the caller for `'a`.
    fn split_at(first: NonNull<f32>, len: usize, at: Places, rows: &[Range<usize>], columns: &[Range<usize>]) -> Vec<Blocks<'a>> {
        let ordered = |all: &[Range<usize>]| all.iter().all(|r| r.start < r.end) && all.windows(2).all(|w| w[0].end <= w[1].start);
        assert!(ordered(rows) && ordered(columns), "ranges {rows:?} and {columns:?}");
        let [last_row, end] = [rows, columns].map(|all| all.last().map_or(0, |r| r.end));
        let (before, last) = (at.count.saturating_sub(1) * at.stride, last_row.saturating_sub(1) * at.ld + end);
        assert!(end <= at.ld && last <= at.stride && (at.count == 0 || before + last <= len), "{at:?}, {rows:?} and {columns:?} in {len}");
        let parts = rows.iter().flat_map(|rows| columns.iter().map(move |columns| (rows, columns)));
        let part = |(rows, columns): (&Range<usize>, &Range<usize>)| Blocks {
            // SAFETY: the place of the part's first value, which lies in the values borrowed, as all the others do: see the assertion. No two parts have a value in
            // common: they differ in rows or in columns.
            first: if at.count == 0 { first } else { unsafe { first.add(rows.start * at.ld + columns.start) } },
            count: at.count,
            stride: at.stride,
            rows: rows.len(),
            width: columns.len(),
            ld: at.ld,
            data: PhantomData,
        };
        parts.map(part).collect()
    }

    /// Number of matrices.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The window of a matrix.
    pub fn block(&mut self, block: usize) -> Window<'_> {
        assert!(block < self.count, "block {block} of {}", self.count);
        // SAFETY: `split` has checked that the rows of every block lie in the values borrowed.
        Window { first: unsafe { self.first.add(block * self.stride) }, rows: self.rows, width: self.width, ld: self.ld, data: PhantomData }
    }

    /// The windows of a matrix and of the next.
    pub fn pair(&mut self, block: usize) -> [Window<'_>; 2] {
        let [first, second] = [block, block + 1].map(|b| {
            let Window { first, rows, width, ld, .. } = self.block(b);
            (first, rows, width, ld)
        });
        // The two have no value in common: rows of a block lie within its stride.
        [first, second].map(|(first, rows, width, ld)| Window { first, rows, width, ld, data: PhantomData })
    }
}

/// Lets a number of threads wait for each other, again and again.
struct Barrier {
    members: usize,
    spins: u32,
    arrived: AtomicUsize,
    round: AtomicUsize,
    broken: AtomicBool,
}

/// Spins before a thread that waits gives its core away: about 20 us.
const SPINS: u32 = 500;

impl Barrier {
    fn new(members: usize, may_spin: bool) -> Self {
        let zero = || AtomicUsize::new(0);
        Barrier { members, spins: if may_spin { SPINS } else { 0 }, arrived: zero(), round: zero(), broken: AtomicBool::new(false) }
    }

    /// Waits until all members are here. What they have written before, all see after.
    fn wait(&self) {
        if self.members == 1 {
            return;
        }
        let round = self.round.load(Ordering::Relaxed);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.members {
            self.arrived.store(0, Ordering::Relaxed);
            self.round.store(round.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.round.load(Ordering::Acquire) == round {
            assert!(!self.broken.load(Ordering::Relaxed), "another thread of the team has failed");
            if spins < self.spins {
                spins += 1;
                std::hint::spin_loop();
            } else {
                platform::give_way();
            }
        }
    }
}

/// A sequence of matrices that the members of a team make one after another, each its own columns. A member reads all of the one made last.
pub struct Relay<'a> {
    own: Blocks<'a>,
    /// The team's rows of the first matrix.
    all: NonNull<f32>,
    made: usize,
    backwards: bool,
    barrier: Arc<Barrier>,
}

// SAFETY: a member writes its own columns of the matrix at `made`, and reads the one before, which no member writes any more: `advance` moves all on at
// once.
unsafe impl Send for Relay<'_> {}

/// The order in which matrices are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the first on.
    Forward,
    /// From the last on.
    Backward,
}

impl<'a> Relay<'a> {
    /// A team for each range of rows, with a member for each range of columns; members in the order of [`Blocks::split`]. All members of a team must run at
    /// the same time. The first `made` matrices are there already. `may_spin`: there is a core for each member.
    pub fn teams(data: &'a mut [f32], at: Places, order: Order, made: usize, parts: [&[Range<usize>]; 2], may_spin: bool) -> Vec<Relay<'a>> {
        let [rows, columns] = parts;
        let len = data.len();
        let whole = |r: &Range<usize>| r.end * at.ld <= at.stride && (at.count == 0 || (at.count - 1) * at.stride + r.end * at.ld <= len);
        assert!(rows.iter().all(whole), "{at:?}: whole rows in {len} values");
        // One pointer for what members write and for what they read: a new borrow would end the other.
        let first: NonNull<f32> = NonNull::from(data).cast();
        let backwards = order == Order::Backward;
        let barriers: Vec<_> = rows.iter().flat_map(|_| std::iter::repeat_n(Arc::new(Barrier::new(columns.len(), may_spin)), columns.len())).collect();
        let starts: Vec<usize> = rows.iter().flat_map(|r| std::iter::repeat_n(r.start * at.ld, columns.len())).collect();
        let parts = Blocks::split_at(first, len, at, rows, columns).into_iter().zip(barriers).zip(starts);
        // SAFETY: the place of the first value of the team's rows, which lie in the values borrowed: see the assertion.
        let member = |((own, barrier), start): ((Blocks<'a>, Arc<Barrier>), usize)| {
            let all = if at.count == 0 { first } else { unsafe { first.add(start) } };
            Relay { own, all, made, backwards, barrier }
        };
        parts.map(member).collect()
    }

    /// The team's rows of the matrix made last, if any; and this member's columns of the one to make, if there is one.
    pub fn split(&mut self) -> (&[f32], Option<Window<'_>>) {
        let (count, rows, ld, stride) = (self.own.count, self.own.rows, self.own.ld, self.own.stride);
        let place = |i: usize| if self.backwards { count - 1 - i } else { i };
        // SAFETY: `teams` has checked that the rows lie in the values borrowed. Members write to the matrix at `made` only, and `advance`, which moves
        // `made` on, waits for all of them; so nobody writes to this one for as long as the borrow lasts.
        let last = (self.made > 0).then(|| unsafe { std::slice::from_raw_parts(self.all.as_ptr().add(place(self.made - 1) * stride), rows * ld) });
        let next = (self.made < count).then(|| place(self.made));
        (last.unwrap_or_default(), next.map(|i| self.own.block(i)))
    }

    /// Waits until all members have made their part, and goes on to the next matrix.
    pub fn advance(&mut self) {
        assert!(self.made < self.own.count, "all {} are made", self.own.count);
        self.barrier.wait();
        self.made += 1;
    }
}

impl Drop for Relay<'_> {
    /// The others must not wait for a member that has failed.
    fn drop(&mut self) {
        if platform::is_failing() {
            self.barrier.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// Asks for values that will be read: into the nearest cache, or the one after it.
#[inline(always)]
pub fn fetch<const NEAR: bool>(values: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        let place = values.as_ptr().wrapping_add(at).cast();
        // SAFETY: asking for an address reads nothing, and is allowed for any.
        unsafe { if NEAR { _mm_prefetch::<_MM_HINT_T0>(place) } else { _mm_prefetch::<_MM_HINT_T1>(place) } }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::split;

    #[test]
    fn parts_cover_a_matrix_once() {
        for (rows, cols, count, p, q) in [(1, 1, 1, 1, 1), (5, 7, 3, 2, 3), (4, 16, 2, 4, 2)] {
            let (ld, stride) = (cols + 2, rows * (cols + 2) + 3);
            let mut data = vec![0f32; (count - 1) * stride + (rows - 1) * ld + cols];
            for mut part in Blocks::split(&mut data, Places { count, stride, ld }, &split(rows, p), &split(cols, q)) {
                for b in 0..part.count() {
                    let mut window = part.block(b);
                    (0..window.rows()).for_each(|r| window.row(r).iter_mut().for_each(|x| *x += 1.0));
                }
                if count > 1 {
                    let [mut one, mut two] = part.pair(0);
                    std::mem::swap(&mut one.row(0)[0], &mut two.row(0)[0]);
                }
            }
            for (i, x) in data.iter().enumerate() {
                let (row, col) = (i % stride / ld, i % stride % ld);
                assert_eq!(*x, if row < rows && col < cols { 1.0 } else { 0.0 }, "{i}");
            }
        }
    }

    /// Each matrix is the sum over all columns of the one before, plus the column's number: a thread that ran ahead or saw old values would be noticed.
    #[test]
    fn teams_make_matrices_in_turn() {
        let (rows, cols, count) = (3, 4, if cfg!(miri) { 6 } else { 2_000 });
        for order in [Order::Forward, Order::Backward] {
            for (q, may_spin) in [(1, true), (2, true), (4, false)] {
                let mut data = vec![0f32; count * rows * cols];
                let at = Places { count, stride: rows * cols, ld: cols };
                let members = Relay::teams(&mut data, at, order, 0, [&[0..1, 1..rows], &split(cols, q)], may_spin);
                let columns: Vec<_> = [(); 2].iter().flat_map(|()| split(cols, q)).collect();
                let tasks = members.into_iter().zip(columns).map(|(mut member, columns)| {
                    move || {
                        loop {
                            let (last, next) = member.split();
                            let Some(mut next) = next else { break };
                            for r in 0..next.rows() {
                                let sum: f32 = last.get(r * cols..(r + 1) * cols).map_or(0.0, |row| row.iter().sum());
                                next.row(r).iter_mut().zip(columns.clone()).for_each(|(x, c)| *x = (sum + c as f32) % 1013.0);
                            }
                            member.advance();
                        }
                    }
                });
                platform::run_together(tasks.collect());
                let mut expected = vec![0f32; cols];
                for i in 0..count {
                    let block = if order == Order::Backward { count - 1 - i } else { i };
                    let sum: f32 = expected.iter().sum();
                    expected = (0..cols).map(|c| (sum + c as f32) % 1013.0).collect();
                    data[block * rows * cols..][..rows * cols].chunks_exact(cols).for_each(|row| assert_eq!(row, expected, "{order:?}, block {block}"));
                }
            }
        }
    }

    #[test]
    fn a_member_that_fails_stops_its_team() {
        let mut data = vec![0f32; 8];
        let members = Relay::teams(&mut data, Places { count: 2, stride: 4, ld: 4 }, Order::Backward, 0, [&split(1, 1), &split(4, 2)], true);
        let ended = AtomicUsize::new(0);
        let tasks = members.into_iter().enumerate().map(|(i, member)| {
            let ended = &ended;
            move || {
                let step = std::panic::AssertUnwindSafe(move || {
                    let mut member = member;
                    assert!(i > 0, "made to fail");
                    member.advance();
                });
                if std::panic::catch_unwind(step).is_err() {
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        platform::run_together(tasks.collect());
        assert_eq!(ended.into_inner(), 2);
    }
}
