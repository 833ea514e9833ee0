//! Messages of `train` at the start and the end of a run.

use super::percent;
use super::tell;
use super::train_flags::Args;
use crate::data::{Codec, Difference, Kind};
use crate::feed::Source;
use crate::forecast::{Errors, Outcome};
use crate::phrase::{argument, counted};
use crate::plan::{self, Bytes};
use crate::run::{DataKind, End, Run, RunConfig, Unit, bits};
use crate::truncation::Truncation;

pub(super) fn announce(args: &Args, run: &mut Run) {
    let (config, settings) = (run.trainer.engine.config, *run.trainer.settings());
    let idle = run.trainer.idle();
    let trainer = &run.trainer;
    let (name, unit) = (trainer.content().name(), trainer.content().unit());
    let layout = match trainer.source() {
        Source::Stream(lanes) => format!("{} of {} {unit}", counted(lanes.lanes(), "lane", "lanes"), lanes.steps()),
        Source::Sequences(s) => {
            format!("{} of up to {} {unit}, {:.1}% of the steps idle", counted(s.list().len(), "sequence", "sequences"), s.longest(), 100.0 * idle)
        }
    };
    let what = match trainer.codec() {
        Codec::Series(s) => {
            let columns = counted(s.features.len(), "column", "columns");
            format!("series: {name}: {columns} read, {} forecast {} ahead", s.targets.len(), counted(s.horizon, "row", "rows"))
        }
        Codec::LabelledRows { scales, labels, .. } => {
            format!("sequences: {name}: {} read, {} labels", counted(scales.len(), "column", "columns"), labels.len())
        }
        Codec::Labels { labels, .. } => {
            format!("lines: {name}: {}, {} labels", counted(config.input.symbols(), "symbol", "symbols"), labels.len())
        }
        Codec::Text(_) => format!("text: {name}: {}", counted(config.input.symbols(), "symbol", "symbols")),
    };
    let model = format!("{}, {} of {} units, {} parameters", config.cell, counted(config.layers, "layer", "layers"), config.hidden, config.parameters());
    args.note(&format!("{what}, {layout}; model: {model}; run: {}", run.folder().path().display()));
    if let Some(symbols) = trainer.content().symbols() {
        if symbols.unknown() > 0 {
            args.note(&format!("note: {} of the {} tokens are unknown: the tokenizer has none for what they stand for", symbols.unknown(), symbols.len()));
        }
        if symbols.altered() {
            args.note("note: the tokenizer does not give the text back as it is (case, spaces, unknown characters); nor will samples have what it leaves out");
        }
    }
    if let Some(table) = trainer.content().table() {
        table.sheet.notes.iter().for_each(|n| args.note(&format!("note: {n}")));
        let held: usize = (0..table.held.len()).map(|g| table.held_out(g).len()).sum();
        let season = table.series.season.map_or("no season found".to_string(), |n| format!("season of {}", counted(n, "row", "rows")));
        args.note(&format!(
            "{} series of {}, {season}; the last {} of time are held out",
            table.held.len(),
            counted(table.rows(), "row", "rows"),
            counted(held, "step", "steps")
        ));
        args.note(&chosen(args, run));
    }
    if let Some(task) = run.config().task {
        args.note(&format!(
            "task: {} a sequence; by chance {} are right, at {:.4} nats",
            counted(task.answers(), "answer", "answers"),
            percent(task.chance()),
            task.baseline()
        ));
    }
    let whole = trainer.source().longest();
    if let Source::Sequences(s) = trainer.source()
        && s.skipped() > 0
    {
        args.note(&format!("note: {} left out: empty, or shorter than 2 {unit}", counted(s.skipped(), "sequence is", "sequences are")));
    }
    if let Truncation::Regular(tau) = settings.truncation
        && tau >= whole
    {
        args.note(&format!("note: a window of {tau} steps holds all {whole} there are: this is the full gradient"));
    }
    let plan = &trainer.engine.plan;
    let (most, mean) = plan.recomputed();
    if most > 0 {
        args.note(&format!(
            "note: to stay within {}, windows of up to {} steps are trained in segments of {}, each computed again {mean:.2} times in the mean (at most {most})",
            settings.memory_budget.unwrap_or_else(|| Bytes(plan::default_budget())),
            plan.window,
            plan.extent.steps
        ));
    }
}

/// For a run on tokens, the tokens per byte of the held-out part: losses are also given per byte, to compare them with those of other tokens.
pub(super) fn tokens_per_byte(run: &Run) -> Option<f64> {
    let tokens = run.trainer.codec().vocabulary().is_some_and(|v| v.kind() == Kind::Tokens);
    run.trainer.per_byte().filter(|_| tokens)
}

/// A validation's loss in other units, each after a comma.
pub(super) fn also(unit: Unit, loss: f64, per_byte: Option<f64>) -> String {
    let words = [Some(unit.also(loss)).filter(|a| !a.is_empty()), per_byte.map(|n| format!("{:.4} bits per byte", bits(loss) * n))];
    words.into_iter().flatten().map(|w| format!(", {w}")).collect()
}

/// For series, the values that are read and forecast, the training settings, and the choice of the model; also if by default.
fn chosen(args: &Args, run: &Run) -> String {
    let (config, settings) = (run.config(), run.trainer.settings());
    let (what, name) = match config.difference.unwrap_or_default() {
        Difference::None => ("values are read and forecast", "none"),
        Difference::Targets => ("values are read, and changes from the last row known are forecast", "targets"),
        Difference::All => ("changes are read and forecast", "all"),
        Difference::Season => ("changes from the values one season before are read and forecast", "season"),
    };
    let free = !args.settings.has("difference") && args.config.is_none() && args.resume.is_none() && !args.settings.has("from");
    let why = if free { ", as the training part suggests" } else { "" };
    let validated =
        config.val_every.filter(|_| run.trainer.validates()).map_or(String::new(), |n| format!("; validated every {n} updates, the best model counts"));
    format!("{what} (--difference={name}{why}); {} at {}, {}{validated}", settings.optimizer, settings.lr, settings.schedule)
}

/// Multiple of naive's error above which a series is too small for the scale that all share.
const FAR_OFF: f64 = 10.0;

/// Advice for a run whose forecasts are no better than naive ones.
fn advice(run: &Run, outcome: &Outcome) -> String {
    let p = run.progress();
    let parts = outcome.score.parts();
    if parts.iter().any(|part| part.series.is_some() && part.scaled(Errors::rmse).is_some_and(|x| x > FAR_OFF)) {
        return "all series share one scale, so train those that are far smaller than the others in a run of their own".to_string();
    }
    let change = match run.config().difference.unwrap_or_default() {
        Difference::None => "--difference (forecasts changes), ",
        Difference::Targets => "--difference=all (reads changes too), ",
        Difference::All => "--difference=none (forecasts values), ",
        Difference::Season => "--difference=targets (forecasts changes from the last row), ",
    };
    // The best model is used: training after its update only fits noise.
    let length = if p.best_update == run.trainer.updates() { "more --updates" } else { "a smaller --hidden or a lower --lr" };
    format!("try {change}{length}")
}

/// Advice if labels are predicted no better than by always choosing the most frequent one.
fn not_better(run: &Run, accuracy: f64, chance: f64) {
    let held = run.trainer.held_out() as f64;
    // Twice the standard error of sampling the lines.
    if accuracy > chance + 2.0 * (chance * (1.0 - chance) / held).sqrt() {
        return;
    }
    let config = run.config();
    let usual = RunConfig::defaults_for(DataKind::Labels, config.training.cell);
    let mut changed = Vec::new();
    let mut differs = |flag: &'static str, other: bool| {
        if other {
            changed.push(flag)
        }
    };
    differs("--truncation", config.training.truncation != usual.training.truncation);
    differs("--activation", config.training.activation != usual.training.activation);
    differs("--init", config.training.init != usual.training.init && config.from.is_none());
    differs("--lr", config.training.lr != usual.training.lr);
    differs("--schedule", config.training.schedule != usual.training.schedule);
    let updates = run.trainer.updates();
    let what = match &changed[..] {
        [] => format!("give --updates {} and --hidden {}, or more lines", 3 * updates.max(1000), 2 * config.training.hidden),
        flags => format!("leave out {}: the defaults for labels learn what stands anywhere in a line", flags.join(", ")),
    };
    let short = if changed.is_empty() || updates >= 2000 { String::new() } else { ", and give --updates 2000 or more".to_string() };
    tell(&format!("warning: no better than always naming the most frequent label: the model has learned nothing that holds for other lines; {what}{short}"));
}

pub(super) fn closing(args: &Args, run: &Run, end: End, forecast: Option<&Outcome>) {
    let unit = Unit::of(run.config());
    let (p, trainer, folder) = (run.progress(), &run.trainer, argument(run.folder().path()));
    let loss = |l: Option<f32>| l.map_or("not finite".to_string(), |l| format!("{l:.3}"));
    let speed = trainer.tokens() as f64 / p.seconds;
    args.note(&format!(
        "trained {} in {:.1} s, {speed:.0} {}/s; loss {} -> {} {}",
        counted(trainer.updates(), "update", "updates"),
        p.seconds,
        trainer.unit(),
        loss(p.first_loss),
        loss(p.last_loss),
        unit.name()
    ));
    if let Some(loss) = p.val_loss {
        args.note(&format!(
            "validation loss {loss:.4} {}{}; best {:.4} after update {}",
            unit.name(),
            also(unit, loss, tokens_per_byte(run)),
            p.best_loss.unwrap_or(loss),
            p.best_update
        ));
    }
    if let Some(outcome) = forecast {
        args.note(&format!("forecasts of the held-out tail, in the units of the series:\n{}", super::series::told(&outcome.score)));
        if let Some(note) = super::series::beaten(&outcome.score) {
            args.note(&format!("{note}; {}", advice(run, outcome)));
        }
    }
    let task = run.config().task;
    if let (Some(chance), Some(accuracy)) = (run.chance(), p.val_accuracy) {
        // The model that `eval` and `predict` use.
        let labels = run.config().label_column.is_some();
        let best = p.best_accuracy.filter(|_| labels && p.best_loss < p.val_loss);
        let (of, accuracy) = (best.map_or(String::new(), |_| format!(" with the best model, of update {}", p.best_update)), best.unwrap_or(accuracy));
        if labels {
            args.note(&format!(
                "{} of the held-out labels are right{of}; the most frequent one alone would be right in {}",
                percent(accuracy),
                percent(chance)
            ));
            not_better(run, accuracy, chance);
        } else {
            args.note(&format!("{} of the held-out answers are right; by chance {}", percent(accuracy), percent(chance)));
        }
    }
    match end {
        End::Done if task.is_some() => {
            args.note(&format!("saved in {folder}; report.html there shows how it went, `retrograd eval {folder}` asks it about fresh sequences"))
        }
        End::Done if run.config().label_column.is_some() => {
            args.note(&format!("saved in {folder}; report.html there shows how it went, `retrograd predict {folder} FILE` names the labels of other lines"));
        }
        End::Done if run.config().target.is_some() => {
            let best = if p.best_loss < p.val_loss { format!(", by the best model, of update {}", p.best_update) } else { String::new() };
            args.note(&format!("saved in {folder}; report.html there shows the forecasts, `retrograd predict {folder}` writes them{best}"));
        }
        End::Done => {
            args.note(&format!("saved in {folder}; report.html there shows how it went, {}", writer(run, &folder)));
        }
        End::StoppedEarly => {
            let writer = if run.config().writes_text() { format!("; {}", writer(run, &folder)) } else { String::new() };
            let times = counted(p.since_best, "time", "times");
            args.note(&format!("stopped early: validation has not improved {times} in a row; saved in {folder}{writer}"));
        }
        End::Interrupted => args.note(&format!("interrupted after update {}; saved; go on with `retrograd train --resume {folder}`", trainer.updates())),
    }
}

/// The command that writes text with the better of the best and the last model, which also wrote the sample at the end.
fn writer(run: &Run, folder: &str) -> String {
    if !run.best_is_better() {
        return format!("`retrograd sample {folder}` writes text with it");
    }
    let below = if run.config().sample > 0 { ", as below" } else { "" };
    format!(
        "`retrograd sample {folder} --best` writes text with the best model, of update {}{below}; without --best, with the last",
        run.progress().best_update
    )
}
