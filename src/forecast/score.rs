//! Scores forecasts: root mean square and mean absolute error in the units of the series, next to those of model-free forecasts.

use super::part::{Part, scaled};
use super::quantiles::QuantileScore;
use super::relative::Relative;
use super::steps::{scored, shown, significant};
use crate::data::{Scale, Table};
use crate::model::RegressionLoss;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A forecasting method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The model.
    Model,
    /// The last known value.
    Naive,
    /// The value one season before, or the nearest whole number of seasons at which it is known.
    Seasonal,
}

/// All methods.
pub const METHODS: [Method; 3] = [Method::Model, Method::Naive, Method::Seasonal];

/// Sums of errors.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Errors {
    square: f64,
    absolute: f64,
    count: u64,
}

impl Errors {
    pub(super) fn take(&mut self, error: f64) {
        (self.square, self.absolute, self.count) = (self.square + error * error, self.absolute + error.abs(), self.count + 1);
    }

    fn plus(self, other: Self) -> Self {
        Errors { square: self.square + other.square, absolute: self.absolute + other.absolute, count: self.count + other.count }
    }

    /// Root mean square error.
    pub fn rmse(&self) -> f64 {
        (self.square / self.count as f64).sqrt()
    }

    /// Mean absolute error.
    pub fn mae(&self) -> f64 {
        self.absolute / self.count as f64
    }
}

/// The model-free forecast of a target `ahead` rows after row p, from the rows up to p; `None` if there is no value a season before.
pub fn baseline(table: &Table, method: Method, p: usize, ahead: usize, target: usize) -> Option<f64> {
    match method {
        Method::Seasonal => table.seasonal(p, ahead, target),
        _ => Some(table.sheet.target(target).last_known(p)),
    }
}

/// Errors of each method over some steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Number of scored steps, with N forecasts each.
    #[serde(default, rename = "scored")]
    pub steps: u64,
    /// Whether every scored row has a value a season before.
    #[serde(default = "yes")]
    seasonal: bool,
    /// By method: `[N, targets]`.
    errors: [Vec<Errors>; 3],
}

/// Default for older files without the key: their season is null unless this is true.
fn yes() -> bool {
    true
}

impl Sums {
    fn none(width: usize, seasonal: bool) -> Self {
        Sums { steps: 0, seasonal, errors: std::array::from_fn(|_| vec![Errors::default(); width]) }
    }

    /// Scores steps of a series. Skips rows whose cell was empty.
    fn of<'a>(table: &Table, steps: std::ops::Range<usize>, forecast: &impl Fn(usize) -> &'a [f64]) -> Self {
        let (horizon, targets) = (table.horizon(), table.series.targets.len());
        let mut sums = Sums::none(horizon * targets, table.series.season.is_some());
        for p in steps {
            sums.steps += 1;
            let model = forecast(p);
            for i in 0..horizon * targets {
                let (ahead, j) = (i / targets + 1, i % targets);
                let column = table.sheet.target(j);
                if !column.known(p + ahead) {
                    continue;
                }
                for (method, errors) in METHODS.into_iter().zip(&mut sums.errors) {
                    let value = if method == Method::Model { Some(model[i]) } else { baseline(table, method, p, ahead, j) };
                    match value {
                        Some(value) => errors[i].take(value - column.values.at(p + ahead)),
                        // Errors over different rows are not comparable.
                        None => sums.seasonal = false,
                    }
                }
            }
        }
        sums
    }

    fn add(&mut self, other: &Self) {
        (self.steps, self.seasonal) = (self.steps + other.steps, self.seasonal && other.seasonal);
        for (all, own) in self.errors.iter_mut().zip(&other.errors) {
            all.iter_mut().zip(own).for_each(|(all, own)| *all = all.plus(*own));
        }
    }

    fn sum(&self, method: Method, which: impl Fn(usize) -> bool) -> Option<Errors> {
        let errors = &self.errors[method as usize];
        let sum = errors.iter().enumerate().filter(|(i, _)| which(*i)).map(|(_, e)| *e).fold(Errors::default(), Errors::plus);
        Some(sum).filter(|s| s.count > 0 && (method != Method::Seasonal || self.seasonal))
    }
}

/// Errors of each method, by horizon and target, for all series together and for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Columns that are forecast.
    pub targets: Vec<String>,
    /// N: rows ahead.
    pub horizon: u32,
    /// Rows per season; `None` if there is none, or a forecast has no row a season before.
    pub season: Option<u32>,
    /// Number of scored steps, with N forecasts each.
    pub steps: u64,
    /// All series together.
    #[serde(flatten)]
    all: Sums,
    /// Each series with its name; empty if the table has no column of series.
    #[serde(default)]
    by_series: Vec<(String, Sums)>,
    /// The score of quantiles, if these are forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<QuantileScore>,
    /// Figures free of units, if there are rows before those that are scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<Relative>,
}

impl Score {
    /// Scores the steps of a table from row `from` of each series on; `forecast` returns the forecasts of a step, `[N, targets]`.
    pub fn of<'a>(table: &Table, from: &[usize], forecast: impl Fn(usize) -> &'a [f64]) -> Self {
        let horizon = table.horizon();
        let mut all = Sums::none(table.series.outputs.len(), table.series.season.is_some());
        let mut by_series = Vec::new();
        for (group, from) in table.sheet.groups.iter().zip(from) {
            let own = Sums::of(table, scored(group.rows.start, *from, group.rows.end, horizon), &forecast);
            all.add(&own);
            by_series.extend(group.name.clone().map(|name| (name, own)));
        }
        Score {
            targets: table.series.targets.clone(),
            horizon: table.series.horizon,
            season: table.series.season.filter(|_| all.seasonal),
            steps: all.steps,
            all,
            by_series,
            quantiles: None,
            relative: None,
        }
    }

    /// Errors of one target at one horizon.
    pub fn at(&self, method: Method, target: usize, ahead: u32) -> Option<Errors> {
        self.all.sum(method, |i| i == (ahead as usize - 1) * self.targets.len() + target)
    }

    /// Errors of one target over all horizons.
    pub fn of_target(&self, method: Method, target: usize) -> Option<Errors> {
        self.all.sum(method, |i| i % self.targets.len() == target)
    }

    /// Errors of all targets over all horizons, regardless of units.
    pub fn all(&self, method: Method) -> Option<Errors> {
        self.all.sum(method, |_| true)
    }

    /// The mean training loss, squared or absolute, in standard deviations of each output.
    pub fn loss(&self, table: &Table) -> f64 {
        let series = &table.series;
        if let Some(quantiles) = &self.quantiles {
            return quantiles.loss(&series.outputs);
        }
        // Each series in its own units, if it has any.
        let series_sums: Vec<&Sums> = if self.by_series.is_empty() { vec![&self.all] } else { self.by_series.iter().map(|s| &s.1).collect() };
        let targets = self.targets.len();
        let one = |(i, scale): (usize, &Scale)| {
            let (mut sum, mut count) = (0.0, 0);
            for (sums, group) in series_sums.iter().zip(&table.sheet.groups) {
                let (e, unit) = (&sums.errors[Method::Model as usize][i], table.unit(i % targets, group.rows.start));
                sum += match series.loss {
                    RegressionLoss::Squared => e.square / (unit * scale.deviation).powi(2),
                    RegressionLoss::Absolute => e.absolute / (unit * scale.deviation),
                };
                count += e.count;
            }
            (count > 0).then(|| sum / count as f64)
        };
        let own: Vec<f64> = series.outputs.iter().enumerate().filter_map(one).collect();
        own.iter().sum::<f64>() / own.len() as f64
    }

    /// Each target of each series.
    pub fn parts(&self) -> Vec<Part<'_>> {
        let targets = self.targets.len();
        let mut parts = Vec::new();
        let mut push = |series, sums: &Sums| {
            for (j, target) in self.targets.iter().enumerate() {
                parts.push(Part { target, series, errors: METHODS.map(|m| sums.sum(m, |i| i % targets == j)) });
            }
        };
        match self.by_series.as_slice() {
            [] => push(None, &self.all),
            series => series.iter().for_each(|(name, sums)| push(Some(name.as_str()), sums)),
        }
        parts
    }

    /// Adds the score to a JSON object.
    pub fn extend(&self, object: &mut Value) {
        if let (Some(object), Value::Object(figures)) = (object.as_object_mut(), self.json()) {
            object.extend(figures);
        }
    }

    /// The score as a JSON object.
    pub fn json(&self) -> Value {
        let target = |j: usize| {
            let horizon = |h: u32| merged(json!({ "horizon": h }), figures(|m| self.at(m, j, h)));
            let whole = json!({ "name": self.targets[j], "horizons": (1..=self.horizon).map(horizon).collect::<Vec<_>>() });
            merged(whole, figures(|m| self.of_target(m, j)))
        };
        let whole = json!({
            "horizon": self.horizon, "season": self.season, "scored_steps": self.steps, "targets": (0..self.targets.len()).map(target).collect::<Vec<_>>(),
            "scaled_rmse": scaled(&self.parts(), Errors::rmse), "scaled_mae": scaled(&self.parts(), Errors::mae),
            "by_series": self.by_series.iter().map(|(name, sums)| self.json_of(name, sums)).collect::<Vec<_>>(),
        });
        let whole = merged(whole, figures(|m| self.all(m)));
        let whole = self.relative.as_ref().map_or(whole.clone(), |r| merged(whole, r.json()));
        self.quantiles.as_ref().map_or(whole.clone(), |q| merged(whole, json!({ "quantiles": q.json() })))
    }

    /// The errors of one series.
    fn json_of(&self, name: &str, sums: &Sums) -> Value {
        let targets = self.targets.len();
        let target = |j: usize| merged(json!({ "name": self.targets[j] }), figures(|m| sums.sum(m, |i| i % targets == j)));
        json!({ "name": name, "scored_steps": sums.steps, "targets": (0..targets).map(target).collect::<Vec<_>>() })
    }

    /// A table of all errors, for a terminal.
    pub fn table(&self) -> String {
        let wide = self.targets.iter().map(|t| t.chars().count()).max().unwrap_or(0).max(6);
        let mut out =
            format!("{:<wide$} {:>7} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}\n", "target", "ahead", "RMSE", "naive", "seasonal", "MAE", "naive", "seasonal");
        for (j, name) in self.targets.iter().enumerate() {
            let mut line = |ahead: &str, errors: &dyn Fn(Method) -> Option<Errors>| {
                let of = |figure: fn(&Errors) -> f64| {
                    METHODS.map(|m| errors(m).map_or("-".to_string(), |e| significant(figure(&e)))).map(|s| format!("{s:>11}")).join(" ")
                };
                out.push_str(&format!("{name:<wide$} {ahead:>7} {} {}\n", of(Errors::rmse), of(Errors::mae)));
            };
            if self.horizon > 1 {
                shown(self.horizon).into_iter().for_each(|h| line(&h.to_string(), &|m| self.at(m, j, h)));
            }
            let all = if self.horizon > 1 { format!("1 to {}", self.horizon) } else { "1".to_string() };
            line(&all, &|m| self.of_target(m, j));
        }
        out
    }
}

fn figures(errors: impl Fn(Method) -> Option<Errors>) -> Value {
    let of = |m: Method, figure: fn(&Errors) -> f64| errors(m).map(|e| figure(&e)).filter(|x| x.is_finite());
    json!({
        "rmse": of(Method::Model, Errors::rmse), "mae": of(Method::Model, Errors::mae),
        "naive_rmse": of(Method::Naive, Errors::rmse), "naive_mae": of(Method::Naive, Errors::mae),
        "seasonal_rmse": of(Method::Seasonal, Errors::rmse), "seasonal_mae": of(Method::Seasonal, Errors::mae),
    })
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_from_before_there_were_figures_by_series_are_read() {
        let sum = r#"[{"square": 8.0, "absolute": 4.0, "count": 2}]"#;
        let text = format!(r#"{{"targets": ["y"], "horizon": 1, "season": 7, "steps": 2, "errors": [{sum}, {sum}, {sum}]}}"#);
        let score: Score = serde_json::from_str(&text).unwrap();
        assert_eq!((score.steps, score.all(Method::Seasonal).unwrap().rmse(), score.parts().len()), (2, 2.0, 1));
        let again: Score = serde_json::from_value(serde_json::to_value(&score).unwrap()).unwrap();
        assert_eq!(again, score);
    }
}
