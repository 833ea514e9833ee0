//! What `train` says of a run as it begins and as it ends.

use super::percent;
use super::train::Args;
use crate::data::{Codec, Kind};
use crate::error::tell;
use crate::feed::Source;
use crate::forecast::{METHODS, Outcome};
use crate::plan::{self, Bytes};
use crate::run::{DataKind, End, Run, RunConfig, Unit, bits};
use crate::truncation::Truncation;

pub(super) fn announce(args: &Args, run: &mut Run) {
    let (config, settings) = (run.trainer.engine.config, *run.trainer.settings());
    let idle = run.trainer.idle();
    let trainer = &run.trainer;
    let (name, unit) = (trainer.content().name(), trainer.content().unit());
    let layout = match trainer.source() {
        Source::Stream(lanes) => format!("{} lanes of {} {unit}", lanes.lanes(), lanes.steps()),
        Source::Sequences(s) => format!("{} sequences of up to {} {unit}, {:.1}% of the steps idle", s.list().len(), s.longest(), 100.0 * idle),
    };
    let what = match trainer.codec() {
        Codec::Series(s) => format!("series: {name}: {} columns read, {} forecast {} ahead", s.features.len(), s.targets.len(), s.horizon),
        Codec::Labels { labels, .. } => format!("lines: {name}: {} symbols, {} labels", config.input.symbols(), labels.len()),
        Codec::Text(_) => format!("text: {name}: {} symbols", config.input.symbols()),
    };
    args.note(&format!("{what}, {layout}; model: {} parameters; run: {}", config.parameters(), run.folder().path().display()));
    if let Some(symbols) = trainer.content().symbols() {
        if symbols.unknown() > 0 {
            args.note(&format!("note: {} of the {} tokens are unknown ones: the tokenizer has none for what they stand for", symbols.unknown(), symbols.len()));
        }
        if symbols.altered() {
            args.note("note: the tokenizer does not give the text back as it is (case, spaces, unknown characters); nor will samples have what it leaves out");
        }
    }
    if let Some(table) = trainer.content().table() {
        let held: usize = (0..table.held.len()).map(|g| table.held_out(g).len()).sum();
        let season = table.series.season.map_or("no season found".to_string(), |n| format!("season of {n} rows"));
        args.note(&format!("{} series of {} rows, {season}; the last {held} steps of time are held out", table.held.len(), table.rows()));
    }
    if let Some(task) = run.config().task {
        args.note(&format!("task: {} answers a sequence; by chance {} are right, at {:.4} nats", task.answers(), percent(task.chance()), task.baseline()));
    }
    let whole = trainer.source().longest();
    if let Source::Sequences(s) = trainer.source()
        && s.skipped() > 0
    {
        args.note(&format!("note: {} sequences were left out because they are empty or shorter than 2 {unit}", s.skipped()));
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
            Bytes(settings.memory_budget.unwrap_or_else(plan::default_budget)),
            plan.window,
            plan.extent.steps
        ));
    }
}

/// Of a run on tokens, those per byte of the held-out part: losses are said per byte too, to compare them with those of other tokens.
pub(super) fn tokens_per_byte(run: &Run) -> Option<f64> {
    let tokens = run.trainer.codec().vocabulary().is_some_and(|v| v.kind() == Kind::Tokens);
    run.trainer.per_byte().filter(|_| tokens)
}

/// A validation's loss in other words, with a comma before each.
pub(super) fn also(unit: Unit, loss: f64, per_byte: Option<f64>) -> String {
    let words = [Some(unit.also(loss)).filter(|a| !a.is_empty()), per_byte.map(|n| format!("{:.4} bits per byte", bits(loss) * n))];
    words.into_iter().flatten().map(|w| format!(", {w}")).collect()
}

/// Labels that are named no better than by always naming the most frequent one: what to try.
fn not_better(run: &Run, accuracy: f64, chance: f64) {
    let held = run.trainer.held_out() as f64;
    // Twice what the drawing of lines alone does.
    if accuracy > chance + 2.0 * (chance * (1.0 - chance) / held).sqrt() {
        return;
    }
    let (config, usual) = (run.config(), RunConfig::defaults(DataKind::Labels));
    let mut changed = Vec::new();
    let mut differs = |flag: &'static str, other: bool| {
        if other {
            changed.push(flag)
        }
    };
    differs("--truncation", config.truncation != usual.truncation);
    differs("--activation", config.activation != usual.activation);
    differs("--init", config.init != usual.init && config.from.is_none());
    differs("--lr", config.lr != usual.lr);
    differs("--schedule", config.schedule != usual.schedule);
    let updates = run.trainer.updates();
    let what = match &changed[..] {
        [] => format!("give --updates {} and --hidden {}, or more lines", 3 * updates.max(1000), 2 * config.hidden),
        flags => format!("leave out {}: the defaults for labels learn what stands anywhere in a line", flags.join(", ")),
    };
    let short = if changed.is_empty() || updates >= 2000 { String::new() } else { ", and give --updates 2000 or more".to_string() };
    tell(&format!("warning: no better than always naming the most frequent label: the model has learned nothing that holds for other lines; {what}{short}"));
}

pub(super) fn closing(args: &Args, run: &Run, end: End, forecast: Option<&Outcome>) {
    let unit = Unit::of(run.config());
    let (p, trainer, folder) = (run.progress(), &run.trainer, run.folder().path().display());
    let loss = |l: Option<f32>| l.map_or("not finite".to_string(), |l| format!("{l:.3}"));
    let speed = trainer.tokens() as f64 / p.seconds;
    args.note(&format!(
        "trained {} updates in {:.1} s, {speed:.0} {}/s; loss {} -> {} {}",
        trainer.updates(),
        p.seconds,
        trainer.unit(),
        loss(p.first_loss),
        loss(p.last_loss),
        unit.name()
    ));
    if let Some(loss) = p.val_loss {
        args.note(&format!(
            "validation loss {loss:.4} {}{}; best {:.4} behind update {}",
            unit.name(),
            also(unit, loss, tokens_per_byte(run)),
            p.best_loss.unwrap_or(loss),
            p.best_update
        ));
    }
    if let Some(outcome) = forecast {
        args.note(&format!("forecasts of the held-out tail, in the units of the series:\n{}", super::series::told(&outcome.score)));
        let [model, naive, seasonal] = METHODS.map(|m| outcome.score.all(m).map_or(f64::INFINITY, |e| e.rmse()));
        if model > naive.min(seasonal) {
            let name = if naive < seasonal { "naive" } else { "seasonal naive" };
            let change = if run.config().difference.is_some() { "" } else { "--difference, " };
            args.note(&format!(
                "note: the {name} forecast is better; {change}fewer --updates or a smaller --hidden may help where the validation loss rises, more where it still falls"
            ));
        }
    }
    let task = run.config().task;
    if let (Some(chance), Some(accuracy)) = (run.chance(), p.val_accuracy) {
        if run.config().label_column.is_some() {
            args.note(&format!("{} of the held-out labels are right; the most frequent one alone would be right in {}", percent(accuracy), percent(chance)));
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
            let best = if p.best_loss < p.val_loss { format!("; with --best, by the model of update {}", p.best_update) } else { String::new() };
            args.note(&format!("saved in {folder}; report.html there shows the forecasts, `retrograd predict {folder}` writes them{best}"));
        }
        End::Done => {
            let best = if p.best_loss < p.val_loss { format!("; with --best, the model of update {}", p.best_update) } else { String::new() };
            args.note(&format!("saved in {folder}; report.html there shows how it went, `retrograd sample {folder}` writes text with it{best}"));
        }
        End::StoppedEarly => args.note(&format!("stopped early: validation has not improved {} times in a row; saved in {folder}", p.since_best)),
        End::Interrupted => args.note(&format!("interrupted behind update {}; saved; go on with `retrograd train --resume {folder}`", trainer.updates())),
    }
}
