//! Splits data into a training part and a held-out part.

use crate::data::{ClassWeights, Codec, Content, Labelled, LabelledRows, Lanes, Parts, Sequences, Symbols, Table, WARM_UP};
use crate::error::{Error, Result};
use crate::evaluate::EvalSet;
use crate::feed::Source;
use crate::settings::Settings;
use std::sync::Arc;

/// A text or a table, split into a training part and a held-out part.
pub struct Corpus {
    /// All of the data.
    pub content: Content,
    /// The meaning of inputs and outputs.
    pub codec: Codec,
    /// The training part.
    pub train: Source,
    /// The held-out part; `None` if there is none.
    pub validation: Option<EvalSet>,
    /// The share of the most frequent class, if sequences have classes: the accuracy of always predicting it.
    pub chance: Option<f64>,
    /// Notes on the data that its owner may not expect; warnings begin with "warning".
    pub notes: Vec<String>,
}

/// How the training part of a text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout<'a> {
    /// One stream.
    Stream,
    /// Finite sequences separated by this.
    Separated(&'a str),
    /// Finite sequences of n symbols each, wherever that cuts the text.
    Pieces(u32),
    /// Finite sequences followed by answers, see [`Sequences::asked`].
    Asked {
        /// Steps of each sequence.
        steps: u32,
        /// Number of answers.
        answers: u32,
    },
}

impl<'a> From<Option<&'a str>> for Layout<'a> {
    fn from(separator: Option<&'a str>) -> Self {
        separator.map_or(Layout::Stream, Layout::Separated)
    }
}

impl Corpus {
    /// Splits a text according to the settings.
    ///
    /// # Errors
    /// [`Error::Input`] if the text is too short, saying how long it must be, or the separator never occurs.
    pub fn new<'a>(symbols: Arc<Symbols>, layout: impl Into<Layout<'a>>, settings: &Settings) -> Result<Self> {
        let layout = layout.into();
        let codec = Codec::Text(symbols.vocabulary().clone());
        settings.config(&codec)?;
        let (name, unit, fraction) = (symbols.text().name.clone(), symbols.unit(), settings.val_fraction);
        let none_left = |held: u64| {
            Error::Input(format!("{name} has {} {unit}, of which `val_fraction` {fraction} holds out {held}; at least 2 are needed; raise it", symbols.len()))
        };
        let finite = match layout {
            Layout::Separated(separator) => Some((Sequences::new(symbols.clone(), separator)?, "another separator")),
            Layout::Asked { steps, answers } => Some((Sequences::asked(symbols.clone(), steps, answers)?, "more `examples`")),
            Layout::Stream | Layout::Pieces(_) => None,
        };
        if let Some((all, other)) = finite {
            if fraction > 0.0 && all.list().len() < 2 {
                let message = format!("{name} is one sequence; at least 2 are needed to hold one out; give `val_fraction` 0, or {other}");
                return Err(if all.asks() { Error::setting("val_fraction", message) } else { Error::Input(message) });
            }
            // Sequences of a task are sampled when they are made.
            let (train, held) = match settings.split_seed.filter(|_| !all.asks()) {
                Some(seed) => all.draw_out(fraction, seed),
                None => all.hold_out(fraction),
            };
            let validation = held.map(|held| EvalSet::sequences(held, settings.lanes()));
            return Ok(Corpus { content: symbols.into(), codec, train: Source::Sequences(train), validation, chance: None, notes: Vec::new() });
        }
        let held = (symbols.len() as f64 * fraction).floor() as u64;
        let cut = symbols.len() - held;
        if fraction > 0.0 && held < 2 {
            return Err(none_left(held));
        }
        let train = match layout {
            Layout::Pieces(len) => Source::Sequences(Sequences::pieces(symbols.clone(), 0..cut, len)?),
            _ => Source::Stream(Lanes::new(symbols.clone(), 0..cut, settings.batch)?),
        };
        let lanes = Parts::lanes_for(held.saturating_sub(1), settings.batch);
        let content = Content::from(symbols);
        let tail = |_| Parts::of_stream(&content, cut..content.len(), lanes, settings.lanes(), WARM_UP);
        let validation = Some(held).filter(|h| *h > 0).map(tail).transpose()?.map(|parts| EvalSet::Stream(content.clone(), parts));
        Ok(Corpus { content, codec, train, validation, chance: None, notes: Vec::new() })
    }

    /// Splits labelled texts: holds out a random sample, stratified by class.
    ///
    /// # Errors
    /// [`Error::Usage`] if sizes are invalid, or there are too few texts to hold any out.
    pub fn of_labelled(labelled: Labelled, settings: &Settings) -> Result<Self> {
        let codec = labelled.codec();
        settings.config(&codec)?;
        let name = labelled.symbols.text().name.clone();
        let (count, fraction) = (labelled.parts.len(), settings.val_fraction);
        if fraction > 0.0 && count < 2 {
            return Err(Error::setting(
                "val_fraction",
                format!("{name} has one line; at least 2 are needed to hold one out; give `val_fraction` 0, or more lines"),
            ));
        }
        let chance = Some(labelled.most_frequent().1 as f64 / count as f64);
        let all = Sequences::labelled(labelled.symbols.clone(), labelled.parts, labelled.classes, &labelled.lines);
        let (train, held) = match settings.split_seed {
            Some(seed) => all.draw_out(fraction, seed),
            None => all.shuffled(settings.seed).hold_out(fraction),
        };
        if fraction > 0.0 && held.is_none() {
            return Err(Error::setting(
                "val_fraction",
                format!("{name} has one line of each label, so none can be held out; give `val_fraction` 0, or more lines"),
            ));
        }
        let mut notes = labelled.notes;
        for (part, what) in [(Some(&train), "trained on"), (held.as_ref(), "held out")] {
            notes.extend(part.and_then(|part| missing(part, &labelled.labels, what)));
        }
        let validation = held.map(|held| EvalSet::sequences(held, settings.lanes()));
        Ok(Corpus { content: labelled.symbols.into(), codec, train: Source::Sequences(train), validation, chance, notes })
    }

    /// Splits labelled sequences of numbers: holds out a random sample, stratified by class. All are scaled by the training part.
    ///
    /// # Errors
    /// [`Error::Usage`] if sizes are invalid, or there are too few sequences to hold any out.
    pub fn of_labelled_rows(labelled: LabelledRows, settings: &Settings) -> Result<Self> {
        let (name, count, fraction) = (labelled.rows.name.clone(), labelled.classes.len(), settings.val_fraction);
        let (chance, labels) = (Some(labelled.chance()), labelled.labels.clone());
        let (train, held, codec) = labelled.split(|all| match settings.split_seed {
            Some(seed) => all.draw_out(fraction, seed),
            None => all.shuffled(settings.seed).hold_out(fraction),
        });
        settings.config(&codec)?;
        if fraction > 0.0 && held.is_none() {
            return Err(Error::setting(
                "val_fraction",
                format!("{name} has {count} sequences, of which none can be held out; give `val_fraction` 0, or more of each label"),
            ));
        }
        let parts = [(Some(&train), "trained on"), (held.as_ref(), "held out")];
        let notes = parts.into_iter().filter_map(|(part, what)| missing(part?, &labels, what)).collect();
        let validation = held.map(|held| EvalSet::sequences(held, settings.lanes()));
        Ok(Corpus { content: train.content().clone(), codec, train: Source::Sequences(train), validation, chance, notes })
    }

    /// Weights the classes in the training loss; the held-out part is scored without weights.
    ///
    /// # Errors
    /// [`Error::Setting`] if the weights do not fit the labels.
    pub fn with_class_weights(mut self, weights: &ClassWeights) -> Result<Self> {
        if let (Source::Sequences(train), Some(labels)) = (&self.train, self.codec.labels()) {
            self.train = Source::Sequences(train.clone().weighted(weights, labels)?);
        }
        Ok(self)
    }

    /// Splits a table: one series is a stream; several are finite sequences, long ones in pieces.
    /// The tail of each series is held out, and read from a state warmed up on earlier rows.
    ///
    /// # Errors
    /// [`Error::Input`] if there are too few rows for the lanes.
    pub fn of_table(table: Arc<Table>, settings: &Settings) -> Result<Self> {
        let codec = Codec::Series(table.series.clone());
        settings.config(&codec)?;
        let groups = table.sheet.groups.len();
        let train = if groups == 1 {
            let rows = table.training(0);
            Source::Stream(Lanes::new(table.clone(), rows.start as u64..(rows.end + table.horizon()) as u64, settings.batch)?)
        } else {
            let parts: Vec<_> = (0..groups).flat_map(|g| table.pieces(g, table.training(g), PIECE, PIECE_WARM_UP)).collect();
            Source::Sequences(Sequences::rows(table.clone(), &parts))
        };
        let held: usize = (0..groups).map(|g| table.held_out(g).len()).sum();
        let share = u32::try_from(held.div_ceil(settings.batch as usize)).unwrap_or(u32::MAX).max(2 * WARM_UP);
        let rows: Vec<_> = (0..groups).map(|g| table.held_out(g)).collect();
        let parts = Parts::of_table(&table, &rows, share, settings.lanes());
        let content = Content::from(table);
        let validation = Some(parts).filter(|p| !p.list().is_empty()).map(|parts| EvalSet::Stream(content.clone(), parts));
        Ok(Corpus { content, codec, train, validation, chance: None, notes: Vec::new() })
    }
}

/// Steps of a piece of one of several series, and warm-up steps before it.
const PIECE: usize = 256;
const PIECE_WARM_UP: usize = 64;

/// A note on labels of which a part has no line.
fn missing(part: &Sequences, labels: &[String], what: &str) -> Option<String> {
    let there: std::collections::BTreeSet<u32> = (0..part.list().len()).filter_map(|i| part.class(i)).collect();
    let absent: Vec<String> =
        (0..).zip(labels).filter(|(i, _)| !there.contains(i)).map(|(_, l)| format!("{:?}", l.chars().take(60).collect::<String>())).collect();
    let shown = absent.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    let more = if absent.len() > 8 { format!(" and {} more", absent.len() - 8) } else { String::new() };
    let which = if absent.len() == 1 { "the label" } else { "the labels" };
    (!absent.is_empty()).then(|| format!("note: no line with {which} {shown}{more} is {what}: there are too few of them"))
}
