//! Training data: texts, tables, labelled lines and synthetic tasks; vocabularies; lanes of a stream and finite sequences.

#[cfg_attr(not(feature = "tables"), path = "no_cells.rs")]
pub(crate) mod cells;
mod class_weights;
mod codec;
mod content;
mod cut;
mod difference;
mod encoded;
mod encoding;
mod held_out;
mod inputs;
mod labelled;
mod lanes;
mod number_rows;
mod numbers;
mod parts;
mod probe_points;
mod raw;
mod records;
mod scan;
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

pub use class_weights::ClassWeights;
pub use codec::Codec;
pub use content::Content;
pub use inputs::{Batch, SegmentInputs};
pub use labelled::{Columns, Labelled, Texts};
pub use lanes::Lanes;
pub use number_rows::{LabelledRows, NumberRows};
pub use numbers::{Numbers, Values};
pub use parts::{Part, Parts, WARM_UP};
pub use probe_points::{End, Ends};
pub use scan::LineEnds;
pub use sequences::{Item, Packing, Sequence, Sequences};
pub use series::{Scale, Series, SeriesSpec, Table};
pub use symbols::Symbols;
pub use table::{Cells, Column, ColumnSpec, DateOrder, Difference, Frame, Group, Missing, ScaleBy, SequenceSpec, SequenceTable, Sheet};
pub(crate) use table::{ask_about_tables, check_format};
pub use tasks::{Set, SyntheticTask};
pub use text::{Text, whole};
pub use tokenizer::Tokenizer;
pub use vocabulary::{Kind, Unknown, Vocabulary};
pub use writer::Writer;
