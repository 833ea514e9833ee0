//! Errors of the library as Python's exceptions, with the same line.

use pyo3::exceptions::{PyFileNotFoundError, PyFloatingPointError, PyKeyboardInterrupt, PyOSError, PyValueError};
use pyo3::prelude::*;
use retrograd::Error;

pyo3::create_exception!(retrograd, DeviceError, PyOSError, "The device is missing, refuses, is out of memory or was lost.");

/// The exception for an error.
pub(crate) fn exception(error: &Error) -> PyErr {
    let line = in_python(&error.to_string());
    match error {
        Error::Device(_) | Error::Lost(_) => DeviceError::new_err(line),
        Error::Anomaly(_) => PyFloatingPointError::new_err(line),
        Error::Interrupted => PyKeyboardInterrupt::new_err(line),
        Error::Input(_) if line.contains("(os error 2)") || line.contains(" is not there") => PyFileNotFoundError::new_err(line),
        Error::Input(_) if line.contains("(os error ") || line.starts_with("cannot ") => PyOSError::new_err(line),
        _ => PyValueError::new_err(line),
    }
}

/// A message in one line, in which Python stands for commands.
pub(crate) fn in_python(message: &str) -> String {
    let mut out = message.split(['\n', '\r']).map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
    let resume = "`retrograd train --resume ";
    while let Some(start) = out.find(resume) {
        let rest = start + resume.len();
        let end = out[rest..].find('`').map_or(out.len(), |n| rest + n);
        let folder = out[rest..end].trim_matches('\'').to_string();
        out.replace_range(start..end, &format!("`rg.train(resume={folder:?})"));
    }
    out.replace("`retrograd devices`", "`rg.devices()`").replace("`retrograd train FILE.csv --target COLUMN`", "`rg.train(FILE, target=COLUMN)`")
}
