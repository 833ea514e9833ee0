//! How to read the page, in plain words.

use super::page;
use super::svg::escape;

/// What the figures are; the same as [`crate::analysis::comparison`] says.
const FIGURES: [(&str, &str); 10] = [
    ("Truncation", "The strategy, as on the command line."),
    ("Validation loss, above full", "Loss on held-out text at the end of training, in nats per symbol, and how much higher it is than that of full."),
    ("Symbols per s, seconds", "Of training alone, without validation and measurements."),
    ("Cosine", "Between the mean of the strategy's gradient and the full gradient. 1: the same direction; 0: at right angles."),
    ("Relative bias", "Norm of (mean of the strategy's gradient − full gradient), divided by the norm of the full gradient. 0: no bias."),
    (
        "± standard error",
        "Of that mean, in the same unit. A mean of random draws is never exactly right: a bias below about twice its error is none that was seen, which \
         does not prove that there is none. Absent where nothing is drawn.",
    ),
    ("Relative spread", "Root mean square of the norm of (single draw − mean of draws), divided by the norm of the full gradient. 0 where nothing is drawn."),
    ("Mean and longest window", "Steps from cut to cut: their mean, and the most that occurred."),
    (
        "Activations",
        "Bytes of activations that the longest window that occurred takes on a stream, where a window is all that is held: the states of every layer and two work buffers, of all lanes.",
    ),
    ("Weight of an edge", "What the gradient is multiplied by as it flows back before a symbol: 0 is a cut, 1 leaves it as it is."),
];

pub(super) fn section() -> String {
    let text = [
        "The full gradient asks how every earlier step has influenced every later loss. Truncation cuts these paths, so that training needs less memory. \
         What it puts in the place of the full gradient may be wrong in two ways.",
        "Bias: wrong on average. However often the gradient is taken, its mean is not the full gradient. Regular windows are biased, since they always \
         leave out what is longer than the window. They draw nothing, so they have no spread.",
        "Spread: wrong each single time. Random truncation lets some paths live longer and weights what it keeps, so that the mean is the full gradient: \
         no bias. It pays by spread, the more, the rarer and heavier what it keeps. Averaging over more draws makes the \
         spread smaller, but never a bias.",
        "Cosine: whether the mean points where the full gradient points, whatever its length. An optimizer that divides by the gradient's size, as Adam \
         does, cares about the direction more than about the length.",
        "Only the gradient is unbiased. Clipping shortens just the long ones, and Adam divides by a root of what it has seen: neither of the two \
         has, on average, the result that the average gradient would have. With them, the update of every random strategy is biased in the end, \
         and a spread can show up as slower learning.",
    ];
    let text: String = text.iter().map(|t| page::paragraph("text", t)).collect();
    let list: String = FIGURES.iter().map(|(name, what)| format!("<dt>{}</dt>\n<dd>{}</dd>\n", escape(name), escape(what))).collect();
    page::section("How to read this", "", &format!("{text}<dl>\n{list}</dl>\n"))
}
