//! Records of cells between delimiters, as the crate `csv` reads them.

use crate::error::Result;

pub(crate) type Error = csv::Error;
pub(crate) type Reader<'a> = csv::Reader<&'a [u8]>;
pub(crate) type Record = csv::StringRecord;

/// Refuses tables in builds that can't read them; this one can.
pub(crate) fn available() -> Result<()> {
    Ok(())
}

/// Reads records of any number of cells; the first is like the others. Without quoting a quote is a character like any other.
pub(crate) fn reader(content: &str, delimiter: u8, quoting: bool) -> Reader<'_> {
    csv::ReaderBuilder::new().delimiter(delimiter).quoting(quoting).has_headers(false).flexible(true).from_reader(content.as_bytes())
}
