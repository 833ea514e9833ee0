//! Compares the forecasts of one target of one series with model-free ones.

use super::{Errors, METHODS, Method};

/// The errors of the forecasts of one target of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part<'a> {
    /// The column.
    pub target: &'a str,
    /// The series; `None` if the table has no column of series.
    pub series: Option<&'a str>,
    /// By method; `None` if nothing could be scored.
    pub errors: [Option<Errors>; 3],
}

impl Part<'_> {
    /// Its name for the user.
    pub fn name(&self) -> String {
        self.series.map_or(self.target.to_string(), |s| format!("{} of {s}", self.target))
    }

    /// Errors of a method.
    pub fn of(&self, method: Method) -> Option<Errors> {
        self.errors[method as usize]
    }

    /// The model-free method with the lowest root mean square error, if that is lower than the model's.
    pub fn better(&self) -> Option<Method> {
        let model = self.of(Method::Model)?.rmse();
        let rmse = |m: &Method| self.of(*m).map_or(f64::INFINITY, |e| e.rmse());
        let best = METHODS.into_iter().filter(|m| *m != Method::Model).min_by(|a, b| rmse(a).total_cmp(&rmse(b)))?;
        // A non-finite error is worse than any other.
        let as_good = model <= rmse(&best);
        Some(best).filter(|_| !as_good)
    }

    /// The model's figure divided by that of naive forecasts: below 1 is better. `None` if naive makes no error.
    pub fn scaled(&self, figure: fn(&Errors) -> f64) -> Option<f64> {
        let naive = figure(&self.of(Method::Naive)?);
        Some(figure(&self.of(Method::Model)?) / naive).filter(|_| naive > 0.0)
    }

    /// Ratio of the model's error to the lowest of the model-free methods.
    fn times(&self) -> f64 {
        let rmse = |m: Method| self.of(m).map_or(f64::INFINITY, |e| e.rmse());
        let times = rmse(Method::Model) / rmse(Method::Naive).min(rmse(Method::Seasonal));
        if times.is_nan() { f64::INFINITY } else { times }
    }
}

/// The parts where a model-free forecast is better, the worst first.
pub fn worse<'a>(parts: &[Part<'a>]) -> Vec<Part<'a>> {
    let mut worse: Vec<Part<'a>> = parts.iter().filter(|p| p.better().is_some()).copied().collect();
    worse.sort_by(|a, b| b.times().total_cmp(&a.times()));
    worse
}

/// The mean over targets and series of the model's figure divided by that of naive forecasts, which has no units; `None` if naive makes no error.
pub fn scaled(parts: &[Part<'_>], figure: fn(&Errors) -> f64) -> Option<f64> {
    let all: Vec<f64> = parts.iter().filter_map(|p| p.scaled(figure)).collect();
    Some(all.iter().sum::<f64>() / all.len() as f64).filter(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part<'a>(series: &'a str, rmse: [f64; 3]) -> Part<'a> {
        let errors = rmse.map(|x| {
            let mut errors = Errors::default();
            errors.take(x);
            Some(errors).filter(|_| x >= 0.0 || x.is_nan())
        });
        Part { target: "y", series: Some(series), errors }
    }

    #[test]
    fn each_part_is_judged_by_itself() {
        let parts = [part("small", [40.0, 0.5, -1.0]), part("large", [9.0, 10.0, 8.0]), part("good", [1.0, 4.0, 2.0]), part("lost", [f64::NAN, 1.0, -1.0])];
        assert_eq!(parts.map(|p| p.better()), [Some(Method::Naive), Some(Method::Seasonal), None, Some(Method::Naive)]);
        assert_eq!(worse(&parts).iter().map(Part::name).collect::<Vec<_>>(), ["y of lost", "y of small", "y of large"]);
        assert_eq!(scaled(&parts[..3], Errors::rmse), Some((80.0 + 0.9 + 0.25) / 3.0));
        // Where naive is always right, the ratio is undefined; naive is still better.
        let constant = part("flat", [0.1, 0.0, -1.0]);
        assert_eq!((constant.scaled(Errors::rmse), constant.better()), (None, Some(Method::Naive)));
        assert_eq!((scaled(&[constant], Errors::rmse), part("exact", [0.0, 0.0, -1.0]).better()), (None, None));
    }
}
