//! retrograd for Python: what computes. The package around it is in `retrograd/`.

mod compute;
mod data;
mod errors;
mod lent;
mod model;
mod pages;
mod settings;
mod train;

use pyo3::prelude::*;

#[pymodule]
fn _retrograd(module: &Bound<'_, PyModule>) -> PyResult<()> {
    compute::print_no_panics();
    retrograd::ranks::hear_last_words(|words| eprintln!("error: {words}"));
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("DeviceError", module.py().get_type::<errors::DeviceError>())?;
    module.add("COMPARED", retrograd::session::COMPARED.to_vec())?;
    module.add("FRESH", retrograd::session::FRESH.to_vec())?;
    module.add("STRATEGIES", retrograd::session::STRATEGIES.to_vec())?;
    module.add_class::<data::Data>()?;
    module.add_class::<model::Model>()?;
    module.add_function(wrap_pyfunction!(train::train, module)?)?;
    module.add_function(wrap_pyfunction!(train::plan, module)?)?;
    module.add_function(wrap_pyfunction!(pages::compare, module)?)?;
    module.add_function(wrap_pyfunction!(pages::gradflow, module)?)?;
    module.add_function(wrap_pyfunction!(pages::gradcheck, module)?)?;
    module.add_function(wrap_pyfunction!(pages::devices, module)?)?;
    module.add_function(wrap_pyfunction!(pages::page, module)?)?;
    module.add_function(wrap_pyfunction!(settings::settings, module)?)?;
    module.add_function(wrap_pyfunction!(compute::stop_all, module)?)?;
    Ok(())
}
