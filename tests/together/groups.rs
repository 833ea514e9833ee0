//! Ranks within this process, one a thread: the bits of a training do not depend on their number.

use retrograd::data::{Kind, Symbols, SyntheticTask, Text};
use retrograd::device::Device;
use retrograd::model::Cell;
use retrograd::plan::Bytes;
use retrograd::ranks::{Cost, Order, Ranks, Tree, Within};
use retrograd::trainer::{Corpus, Layout, Settings, Trainer};
use retrograd::truncation::Truncation;
use std::sync::Arc;

/// What a training comes to.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    /// Bits of the parameters, and of what a checkpoint holds besides.
    bits: Vec<u32>,
    /// Bits of the losses: one may be no number.
    losses: Vec<u32>,
    validations: Vec<Option<u64>>,
    skipped: u32,
}

impl Outcome {
    fn losses(&self) -> Vec<f32> {
        self.losses.iter().map(|l| f32::from_bits(*l)).collect()
    }
}

/// Words that are not all alike.
fn prose(len: usize) -> String {
    let words = ["the ", "gradient ", "of ", "a ", "window ", "flows ", "back, ", "and ", "a lane ", "carries ", "its state. "];
    let mut seed = 1u64;
    let mut text = String::new();
    while text.len() < len {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(words[(seed >> 33) as usize % words.len()]);
    }
    text
}

fn symbols() -> Arc<Symbols> {
    Arc::new(Symbols::new(Text::given("prose", prose(6000)), Kind::Characters).unwrap())
}

fn corpus(layout: Layout<'_>, settings: &Settings) -> Corpus {
    if let Layout::Asked { steps, answers } = layout {
        let task: SyntheticTask = "recall:4,5".parse().unwrap();
        assert_eq!((steps, answers), (task.steps(), task.answers()));
        return Corpus::new(Arc::new(task.symbols(3, retrograd::data::Set::Run, 400).unwrap()), layout, settings).unwrap();
    }
    Corpus::new(symbols(), layout, settings).unwrap()
}

fn settings() -> Settings {
    Settings::default().batch(8).hidden(12).lr(0.01).updates(1000)
}

fn parse(truncation: &str) -> Truncation {
    truncation.parse().unwrap()
}

/// The bits of everything that training goes on from.
fn bits(trainer: &mut Trainer) -> Vec<u32> {
    let memory = trainer.memory().unwrap();
    let parameters = trainer.engine.parameters().unwrap();
    let all = memory.moments.iter().chain(&memory.state).chain(&memory.ring).chain([&parameters]);
    all.flatten().map(|x| x.to_bits()).chain(memory.counts).collect()
}

/// What rank 0 does.
type Plot<'a> = &'a (dyn Fn(&mut Trainer) -> Outcome + Sync);

/// `updates` updates and nothing else.
fn updated(trainer: &mut Trainer, updates: u64) -> Outcome {
    (0..updates).for_each(|_| trainer.step().unwrap());
    Outcome { bits: Vec::new(), losses: Vec::new(), validations: Vec::new(), skipped: 0 }
}

/// `updates` updates, a validation in the middle and at the end.
fn trained(trainer: &mut Trainer, updates: u64) -> Outcome {
    let mut found = Outcome { bits: Vec::new(), losses: Vec::new(), validations: Vec::new(), skipped: 0 };
    for i in 0..updates {
        trainer.step().unwrap();
        found.losses.push(trainer.metrics().unwrap().unwrap().loss.to_bits());
        if i + 1 == updates || i == updates / 2 {
            let loss = trainer.validate().unwrap();
            let accuracy = trainer.accuracy().unwrap();
            found.validations.extend([loss, accuracy].map(|x| x.map(f64::to_bits)));
            trainer.trapped().unwrap();
        }
    }
    found.skipped = trainer.engine.skipped().unwrap();
    found.bits = bits(trainer);
    found
}

/// What a rank has spent.
#[derive(Debug, Clone, Copy)]
struct Spent {
    exchanges: Cost,
    /// Operations and bytes of the kernels of the passes over windows.
    flops: f64,
    bytes: f64,
}

/// The end of an update, which every rank makes for itself.
const OF_UPDATES: [&str; 4] = ["norm", "finish", "transpose", "carry_state"];

fn spent(trainer: &mut Trainer, exchanges: Cost) -> Spent {
    let entries = trainer.engine.take_profile().unwrap().entries;
    let passes = entries.iter().filter(|e| !OF_UPDATES.contains(&e.kernel) && e.label != "optimizer");
    let (flops, bytes) = passes.fold((0.0, 0.0), |(flops, bytes), e| (flops + e.work.flops, bytes + e.work.bytes));
    Spent { exchanges, flops, bytes }
}

/// Trains on so many ranks; each ends with the same parameters. Returns what rank 0 found, and what each rank has spent.
fn on(ranks: u32, layout: Layout<'_>, settings: Settings, plot: Plot<'_>) -> (Outcome, Vec<Spent>) {
    let each = |within: Within| {
        let ranks = Arc::new(Ranks::new(Box::new(within)));
        let mut trainer = Trainer::new(&Device::Cpu { threads: 1 }, corpus(layout, &settings), settings).unwrap();
        trainer.share(ranks.clone()).unwrap();
        trainer.engine.profile(true).unwrap();
        let found = (ranks.rank() == 0).then(|| {
            let found = plot(&mut trainer);
            ranks.order(Order::End(0));
            found
        });
        if found.is_none() {
            assert_eq!(trainer.follow().unwrap(), 0);
        }
        let spent = spent(&mut trainer, ranks.cost());
        (found, spent, trainer.engine.parameters().unwrap(), trainer.counters())
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = Within::ranks(ranks).into_iter().map(|within| scope.spawn(|| each(within))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(all.iter().all(|(_, _, parameters, counters)| (parameters, counters) == (&all[0].2, &all[0].3)), "all ranks end alike");
    let costs = all.iter().map(|a| a.1).collect();
    (all.into_iter().find_map(|a| a.0).unwrap(), costs)
}

fn same_on_1_2_and_4(what: &str, layout: Layout<'_>, settings: Settings, plot: Plot<'_>) -> Outcome {
    let settings = settings.lane_groups(4);
    let (one, _) = on(1, layout, settings, plot);
    for ranks in [2, 4] {
        let (several, _) = on(ranks, layout, settings, plot);
        assert!(several == one, "{what}: {ranks} ranks: {:?} and {:?}", several.losses(), one.losses());
    }
    one
}

fn strategies() -> [Truncation; 5] {
    ["regular:16", "random:0.9", "random-tail:8,4", "full", "regular:4,10"].map(|t| t.parse().unwrap())
}

#[test]
fn bits_do_not_depend_on_the_number_of_ranks() {
    for cell in Cell::ALL {
        for truncation in strategies() {
            let settings = settings().cell(cell).truncation(truncation).layers(2).dropout(0.3);
            let updates = if truncation == Truncation::Full { 4 } else { 30 };
            let found = same_on_1_2_and_4(&format!("{cell}, {truncation}"), Layout::Stream, settings, &|t| trained(t, updates));
            let losses = found.losses();
            assert!(losses.last() < losses.first() && losses.iter().all(|l| l.is_finite()), "{cell}, {truncation}: {losses:?}");
        }
    }
}

#[test]
fn nor_for_sequences_and_answers() {
    let task: SyntheticTask = "recall:4,5".parse().unwrap();
    let layouts = [Layout::Separated(". "), Layout::Pieces(50), Layout::Asked { steps: task.steps(), answers: task.answers() }];
    for layout in layouts {
        for truncation in strategies() {
            let settings = settings().truncation(truncation).layers(2).dropout(0.2).val_fraction(0.2);
            let found = same_on_1_2_and_4(&format!("{layout:?}, {truncation}"), layout, settings, &|t| trained(t, 12));
            assert!(found.validations[0].is_some() && found.validations[1].is_some() == matches!(layout, Layout::Asked { .. }));
        }
    }
}

/// A budget that forces recomputation, clipping, half precision, and an update that is skipped, because a parameter was not a number for a while.
#[test]
fn nor_with_recomputation_clipping_and_a_skipped_update() {
    let settings = settings().hidden(64).layers(2).cell(Cell::Lstm).truncation(parse("regular:200")).clip_norm(0.05).memory_budget(Bytes(1_200_000));
    let probe = Trainer::new(&Device::Cpu { threads: 1 }, corpus(Layout::Stream, &settings), settings.lane_groups(4)).unwrap();
    assert!(probe.engine.plan.recomputed().0 > 0, "the budget is not small enough: {:?}", probe.engine.plan);
    let found = same_on_1_2_and_4("budget", Layout::Stream, settings, &|t| trained(t, 6));
    assert_eq!(found.skipped, 0);
    // A loss beyond all bounds in one lane group, and so on one rank alone.
    let spoilt = self::settings().batch(8).activation(retrograd::Activation::Identity).truncation(parse("regular:32")).clip_norm(0.5).lr(1e3);
    let found = same_on_1_2_and_4("skipped", Layout::Stream, spoilt, &|t| trained(t, 12));
    assert!(found.skipped > 0, "{found:?}");
}

/// What one number of ranks has begun, another goes on with.
#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    for truncation in ["regular:16", "regular:4,10", "random:0.9"] {
        let settings = settings().truncation(parse(truncation)).lane_groups(4).layers(2).dropout(0.3).cell(Cell::Lstm);
        let whole = on(1, Layout::Stream, settings, &|t| trained(t, 24)).0;
        for (first, then) in [(4, 1), (1, 2), (2, 4), (4, 2)] {
            let kept = std::sync::Mutex::new(None);
            on(first, Layout::Stream, settings, &|t| {
                let found = trained(t, 12);
                *kept.lock().unwrap() = Some((t.engine.parameters().unwrap(), t.memory().unwrap(), t.counters()));
                found
            });
            let (parameters, memory, counters) = kept.into_inner().unwrap().unwrap();
            let each = |within: Within| {
                let ranks = Arc::new(Ranks::new(Box::new(within)));
                let mut trainer = Trainer::with_plan(&Device::Cpu { threads: 1 }, corpus(Layout::Stream, &settings), settings, None, &parameters).unwrap();
                trainer.share(ranks.clone()).unwrap();
                trainer.restore(counters, &memory).unwrap();
                if ranks.rank() > 0 {
                    assert_eq!(trainer.follow().unwrap(), 0);
                    return None;
                }
                let found = trained(&mut trainer, 12);
                ranks.order(Order::End(0));
                Some(found)
            };
            let found = std::thread::scope(|scope| {
                let threads: Vec<_> = Within::ranks(then).into_iter().map(|within| scope.spawn(|| each(within))).collect();
                threads.into_iter().filter_map(|t| t.join().unwrap()).next().unwrap()
            });
            assert!(found.bits == whole.bits, "{truncation}: {first} ranks, then {then}");
        }
    }
}

/// Against one pass over all lanes: the same losses but for rounding.
#[test]
fn losses_are_those_of_one_process() {
    for cell in Cell::ALL {
        let settings = settings().cell(cell).layers(2).dropout(0.3).lr(0.002).truncation(parse("regular:16"));
        let run = |groups: u32| {
            let settings = settings.lane_groups(groups);
            let mut trainer = Trainer::new(&Device::Cpu { threads: 1 }, corpus(Layout::Stream, &settings), settings).unwrap();
            trained(&mut trainer, 50).losses()
        };
        let (one, four) = (run(1), run(4));
        let apart = one.iter().zip(&four).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{cell}: {apart:e}");
        assert!(one != four, "the sums are not made in the same order");
    }
}

/// What a rank adds up falls with the number of ranks, and so does what it sends to each other one.
#[test]
fn the_work_of_a_rank_falls_with_their_number() {
    let settings = settings().lane_groups(8).batch(8);
    let cost = |ranks| on(ranks, Layout::Stream, settings, &|t| updated(t, 4)).1;
    let alone = cost(1)[0];
    let elements = u64::from(settings.config(&corpus(Layout::Stream, &settings).codec).unwrap().elements());
    for ranks in [2u64, 4, 8] {
        let all = cost(ranks as u32);
        for (rank, one) in all.iter().enumerate() {
            let pairs = [(one.exchanges.adds as f64, alone.exchanges.adds as f64), (one.flops, alone.flops), (one.bytes, alone.bytes)];
            for (here, all) in pairs {
                let share = here * ranks as f64 / all;
                assert!(all > 0.0 && (share - 1.0).abs() < 0.03, "rank {rank} of {ranks}: {one:?} of {alone:?}");
            }
            // All that it sends, as `plan` says, and so a part to each other rank that falls with their number.
            let planned = 4 * retrograd::ranks::sent_for_a_sum(elements, ranks);
            assert!((one.exchanges.sent as f64 / planned as f64 - 1.0).abs() < 0.02, "rank {rank} of {ranks}: {one:?}, planned {planned}");
        }
    }
}

/// The gradients of real lane groups, added in another order, have other bits: an order that depended on the ranks would not pass unseen.
#[test]
fn another_order_of_sums_is_seen() {
    let settings = settings().lane_groups(4);
    let mut groups = Vec::new();
    for group in 0..4u32 {
        let mut trainer = Trainer::new(&Device::Cpu { threads: 1 }, corpus(Layout::Stream, &settings), settings).unwrap();
        let window = trainer.next_window();
        let feed = retrograd::feed::Feed::new(corpus(Layout::Stream, &settings).train, settings.truncation, settings.batch, settings.seed);
        feed.gradient_of(group * 2..(group + 1) * 2, &mut trainer.engine, &window, window.n, false, || Ok(())).unwrap();
        groups.push(trainer.engine.window_sums().unwrap());
    }
    let sum = |order: [usize; 4]| {
        let mut tree = Tree::default();
        order.into_iter().for_each(|g| tree.push(groups[g].clone()));
        tree.sum().unwrap()
    };
    let row = groups[1..].iter().fold(groups[0].clone(), |a, b| a.iter().zip(b).map(|(a, b)| a + b).collect());
    assert_ne!(sum([0, 1, 2, 3]), row);
    assert_ne!(sum([0, 1, 2, 3]), sum([0, 2, 1, 3]));
}

#[test]
fn more_ranks_than_groups_are_refused() {
    for (ranks, groups, words) in [(4, 2, "4 processes are more than the 2 of `lane_groups`"), (3, 4, "3 processes can't share lane groups")] {
        let e = retrograd::trainer::fits(ranks, groups).unwrap_err();
        assert!(e.to_string().contains(words) && e.exit_code() == 2, "{e}");
    }
    for (groups, words) in [(3, "power of two"), (16, "`lane_groups` 16 does not divide `batch` 8")] {
        let e = settings().lane_groups(groups).check().unwrap_err();
        assert!(e.to_string().contains(words) && e.exit_code() == 2, "{e}");
    }
}
