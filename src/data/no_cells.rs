//! Stand-in for records of cells in builds without the feature `tables`: there are none, and tables are refused.

use crate::error::{self, Result};
use std::fmt;
use std::iter::{Empty, empty};
use std::marker::PhantomData;

const WHY: &str = "this library was built without tables; enable its feature \"tables\"";

/// Refuses tables.
pub(crate) fn available() -> Result<()> {
    Err(error::Error::Usage(WHY.to_string()))
}

pub(crate) fn reader(_: &str, _: u8, _: bool) -> Reader<'_> {
    Reader(PhantomData)
}

/// Why nothing is read.
pub(crate) struct Error;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WHY)
    }
}

/// A reader that reads nothing.
pub(crate) struct Reader<'a>(PhantomData<&'a str>);

impl Reader<'_> {
    pub(crate) fn records(&mut self) -> Empty<std::result::Result<Record, Error>> {
        empty()
    }

    pub(crate) fn read_record(&mut self, _: &mut Record) -> std::result::Result<bool, Error> {
        Err(Error)
    }

    pub(crate) fn position(&self) -> Position {
        Position
    }
}

/// A record without cells.
pub(crate) struct Record;

impl Record {
    pub(crate) fn new() -> Self {
        Record
    }

    pub(crate) fn get(&self, _: usize) -> Option<&str> {
        None
    }

    pub(crate) fn len(&self) -> usize {
        0
    }

    pub(crate) fn iter(&self) -> Empty<&str> {
        empty()
    }

    pub(crate) fn position(&self) -> Option<Position> {
        None
    }
}

/// The start of the file.
pub(crate) struct Position;

impl Position {
    pub(crate) fn byte(&self) -> u64 {
        0
    }

    pub(crate) fn line(&self) -> u64 {
        1
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{ColumnSpec, Columns, Kind, Labelled, Sheet, Text};

    #[test]
    fn tables_are_refused() {
        let asked = ColumnSpec { targets: vec!["b".to_string()], ..ColumnSpec::default() };
        let numbers = Sheet::read(&Text::given("numbers", "a,b\n1,2\n3,4\n".to_string()), &asked).err().map(|e| e.to_string());
        let columns = Columns { label: "2", text: None, header: None };
        let labels = Labelled::read(&Text::given("labels", "x,1\ny,2\n".to_string()), columns, Kind::Characters, None).err().map(|e| e.to_string());
        assert_eq!([numbers, labels], [Some(super::WHY.to_string()), Some(super::WHY.to_string())]);
    }
}
