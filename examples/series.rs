//! Numeric series: a noisy wave and another that follows it, forecast six rows ahead, against forecasts that need no model.
//!
//!     cargo run --release --example series

use retrograd::data::{ColumnSpec, Difference, SeriesSpec, Sheet, Table};
use retrograd::forecast::{Forecasts, METHODS};
use retrograd::model::RegressionLoss;
use retrograd::{Corpus, Device, Result, Settings, Text, Trainer, Truncation};
use std::fmt::Write;
use std::sync::Arc;

fn main() -> Result<()> {
    // A CSV file in memory; Text::open(path)? for one on disk.
    let mut csv = "wave,echo\n".to_string();
    let wave = |i: f64| (i / 4.0).sin() + 0.5 * (i / 11.0).sin();
    for i in 0..2000 {
        let noise = f64::from(i * 7919 % 1009) / 1009.0 - 0.5;
        let _ = writeln!(csv, "{},{}", wave(i.into()) + 0.1 * noise, 20.0 + 5.0 * wave(f64::from(i) - 3.0));
    }
    let asked = ColumnSpec { targets: vec!["wave".into(), "echo".into()], ..ColumnSpec::default() };
    let sheet = Sheet::read(&Text::given("waves", csv), &asked)?;
    // The last tenth of time is held out; scales are those of what comes before.
    let wanted =
        SeriesSpec { asked, horizon: 6, difference: Difference::None, season: None, loss: RegressionLoss::Squared, quantiles: None, scale: Default::default() };
    let table = Arc::new(Table::fit(sheet, &wanted, 0.1)?);
    let (device, _) = Device::open(retrograd::DeviceSpec::Cpu)?;
    let settings = Settings::default().hidden(32).batch(table.lanes()).truncation(Truncation::Regular(64)).updates(600).lr(5e-3);
    let mut trainer = Trainer::new(&device, Corpus::of_table(table.clone(), &settings)?, settings)?;
    while !trainer.done() {
        trainer.step()?;
    }
    let (config, parameters) = (trainer.engine.config, trainer.engine.parameters()?);
    let forecasts = Forecasts::of(&device, config, &parameters, &table, &[table.held_out(0).start], || Ok(()))?;
    let score = forecasts.score(&table, &table.held);
    print!("{}", score.table());
    let [model, naive, seasonal] = METHODS.map(|m| score.all(m).map_or(f64::NAN, |e| e.rmse()));
    println!("RMSE {model:.4}, naive {naive:.4}, seasonal naive {seasonal:.4}");
    let next = forecasts.at(table.rows() - 1);
    println!("the next row: wave {:.3}, echo {:.3}", next[0], next[1]);
    Ok(())
}
