//! Where symbols come from: texts and synthetic tasks, their vocabulary, lanes of a stream, and finite sequences.

mod codec;
mod content;
mod encoded;
mod ends;
mod held_out;
mod inputs;
mod labelled;
mod lanes;
mod records;
mod season;
mod sequences;
mod series;
mod symbols;
mod table;
mod tasks;
mod text;
#[cfg_attr(not(feature = "tokens"), path = "no_tokenizer.rs")]
mod tokenizer;
mod vocabulary;
mod writer;

pub use codec::Codec;
pub use content::Content;
pub use ends::{End, Ends};
pub use inputs::{Given, SegmentInputs};
pub use labelled::{Columns, Labelled, Texts};
pub use lanes::{Lanes, WARM_UP};
pub use sequences::{Item, Packing, Sequence, Sequences};
pub use series::{Scale, Series, Table, Wanted};
pub use symbols::Symbols;
pub use table::{Asked, Column, Difference, Group, Missing, Sheet};
pub use tasks::{Set, Task};
pub use text::Text;
pub use tokenizer::Tokenizer;
pub use vocabulary::{Kind, Vocabulary};
pub use writer::Writer;
