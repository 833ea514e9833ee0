//! The lines of `metrics.jsonl`, written and read: see docs/metrics.md.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// A line. Non-finite values are NaN here and `null` in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Text sampled during training.
    Sample(Sample),
    /// Measurements of the gradient.
    Monitored(Monitored),
    /// A validation.
    Validation(Validation),
    /// A report.
    Report(Figures),
}

/// The metrics of a report.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// The update after which it was made.
    pub update: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// Passes over the training text.
    #[serde(deserialize_with = "nan", default = "none")]
    pub epoch: f64,
    /// Mean loss of the last window in nats.
    #[serde(rename = "train_loss", deserialize_with = "nan", default = "none")]
    pub loss: f64,
    /// Mean loss of all windows since the previous report in nats.
    #[serde(deserialize_with = "nan")]
    pub mean_loss: f64,
    /// Norm of the last window's gradient, before clipping.
    #[serde(rename = "grad_norm", deserialize_with = "nan", default = "none")]
    pub norm: f64,
    /// Learning rate of the last update.
    #[serde(deserialize_with = "nan", default = "none")]
    pub learning_rate: f64,
    /// Symbols per second since the previous report.
    #[serde(rename = "tokens_per_second", deserialize_with = "nan", default = "none")]
    pub speed: f64,
    /// Seconds of training, excluding everything else.
    #[serde(deserialize_with = "nan", default = "none")]
    pub seconds: f64,
    /// Updates skipped since the previous report.
    #[serde(rename = "skipped_updates", default)]
    pub skipped: u64,
    /// Updates clipped since the previous report; `None` if not recorded, or if gradients are clamped element by element.
    #[serde(rename = "clipped_updates", default)]
    pub clipped: Option<u64>,
    /// Processes that train together, if there are several; the other figures are of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<u32>,
    /// Lane groups, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_groups: Option<u32>,
}

/// A validation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Validation {
    /// The update after which it was made.
    pub update: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// Passes over the training text.
    #[serde(deserialize_with = "nan", default = "none")]
    pub epoch: f64,
    /// Seconds of training, excluding everything else.
    #[serde(deserialize_with = "nan", default = "none")]
    pub seconds: f64,
    /// Loss in nats.
    #[serde(rename = "val_loss", deserialize_with = "nan")]
    pub loss: f64,
    /// Loss in bits, if symbols are predicted.
    #[serde(default)]
    pub val_bpc: Option<f64>,
    /// Share of right answers, if there are answers.
    #[serde(rename = "val_accuracy", default)]
    pub accuracy: Option<f64>,
    /// Whether the loss is the lowest so far.
    pub best: bool,
}

/// Text sampled during training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The update after which it was made.
    pub update: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// The text.
    #[serde(rename = "sample")]
    pub text: String,
}

/// Measurements of the gradient after an update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Monitored {
    /// The update.
    pub update: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// The measurements.
    pub monitor: Look,
}

/// A look at the gradient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Steps back, ascending.
    pub lags: Vec<u64>,
    /// One profile per layer.
    pub layers: Vec<LayerProfile>,
    /// One entry per parameter, in the model's order.
    pub parameters: Vec<ParameterFigures>,
    /// Updates clipped since the previous look; `None` if gradients are clamped element by element.
    #[serde(default)]
    pub clipped_updates: Option<u64>,
    /// Updates skipped since the previous look.
    #[serde(default)]
    pub skipped_updates: u64,
}

/// How the gradient of a layer decays with the lag: |dL_t/dh_{t-k}| / |dL_t/dh_t| by lag, over many t and lanes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerProfile {
    /// Median.
    #[serde(deserialize_with = "nans")]
    pub median: Vec<f64>,
    /// Low end of the spread.
    #[serde(deserialize_with = "nans")]
    pub low: Vec<f64>,
    /// High end of the spread.
    #[serde(deserialize_with = "nans")]
    pub high: Vec<f64>,
    /// Factor per step back.
    #[serde(deserialize_with = "nan", default = "none")]
    pub decay_rate: f64,
    /// Steps back in which the gradient halves; NaN if it doesn't.
    #[serde(deserialize_with = "nan", default = "none")]
    pub half_life: f64,
    /// Fraction of saturated units.
    #[serde(deserialize_with = "nan", default = "none")]
    pub saturation: f64,
}

/// Metrics of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParameterFigures {
    /// Name.
    pub name: String,
    /// Norm of its gradient.
    #[serde(deserialize_with = "nan", default = "none")]
    pub grad_norm: f64,
    /// Norm of the parameter.
    #[serde(deserialize_with = "nan", default = "none")]
    pub weight_norm: f64,
    /// Norm of the update's change, divided by that of the parameter.
    #[serde(deserialize_with = "nan", default = "none")]
    pub update_ratio: f64,
}

fn none() -> f64 {
    f64::NAN
}

/// A number, NaN for `null`.
fn nan<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

fn nans<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    Ok(Vec::<Option<f64>>::deserialize(from)?.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
}

/// An f32 as the f64 that prints with the shortest digits that identify it.
pub(crate) fn single(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

impl Line {
    /// The text of the line. Reports and validations have the same keys, with `null` for those of the other kind, so that a table has columns for all.
    pub fn json(&self) -> String {
        let mut line = object(self);
        let other = match self {
            Line::Report(_) => object(&Validation::default()),
            Line::Validation(_) => object(&Figures::default()),
            Line::Sample(_) | Line::Monitored(_) => Map::new(),
        };
        // The presence of `best` identifies a validation.
        for (key, _) in other.into_iter().filter(|(key, _)| key != "best") {
            line.entry(key).or_insert(Value::Null);
        }
        Value::Object(line).to_string()
    }

    /// Reads a line; `None` if it is damaged, or written by another version.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let line: Line = serde_json::from_slice(text).ok()?;
        match &line {
            // The three curves of every layer must have a value for each lag.
            Line::Monitored(Monitored { monitor, .. }) => {
                let whole = |c: &Vec<f64>| c.len() == monitor.lags.len();
                let layers = monitor.layers.iter().all(|l| [&l.median, &l.low, &l.high].into_iter().all(whole));
                (layers && monitor.lags.is_sorted_by(|a, b| a < b)).then_some(line)
            }
            _ => Some(line),
        }
    }

    /// The update after which it was written.
    pub fn update(&self) -> u64 {
        match self {
            Line::Sample(s) => s.update,
            Line::Monitored(m) => m.update,
            Line::Validation(v) => v.update,
            Line::Report(r) => r.update,
        }
    }
}

fn object(of: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// All lines of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricsLog {
    /// Reports.
    pub reports: Vec<Figures>,
    /// Validations.
    pub validations: Vec<Validation>,
    /// Sampled texts.
    pub samples: Vec<Sample>,
    /// Measurements of the gradient.
    pub monitored: Vec<Monitored>,
    /// Number of unreadable lines: damaged, or written by another version.
    pub unread: u64,
    /// The last update mentioned.
    pub updates: u64,
}

impl MetricsLog {
    /// Reads the lines; skips and counts unreadable ones.
    pub fn parse(content: &[u8]) -> Self {
        let mut log = MetricsLog::default();
        for text in content.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()) {
            let line = Line::parse(text);
            log.updates = log.updates.max(line.as_ref().map_or(0, Line::update));
            match line {
                Some(Line::Sample(s)) => log.samples.push(s),
                Some(Line::Monitored(m)) => log.monitored.push(m),
                Some(Line::Validation(v)) => log.validations.push(v),
                Some(Line::Report(r)) => log.reports.push(r),
                None => log.unread += 1,
            }
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = concat!(
        r#"{"update":1,"tokens":64,"train_loss":4.1,"mean_loss":4.2,"val_loss":null,"grad_norm":0.5,"learning_rate":0.002,"tokens_per_second":100.0,"skipped_updates":0,"clipped_updates":1,"seconds":0.5}"#,
        "\n",
        r#"{"update":1,"tokens":64,"sample":"<script>\n"}"#,
        "\n",
        r#"{"update":2,"tokens":128,"train_loss":null,"mean_loss":null,"grad_norm":null}"#,
        "\n",
        r#"{"update":2,"tokens":128,"monitor":{"lags":[0,1],"layers":[{"median":[1.0,null],"low":[1,0],"high":[1,1],"decay_rate":0.9}],"parameters":[{"name":"b_y"}]}}"#,
        "\n",
        r#"{"update":3,"tokens":192,"best":true,"val_loss":1.5,"seconds":2.0}"#,
        "\n",
    );

    #[test]
    fn lines_are_what_they_say() {
        let h = MetricsLog::parse(LINES.as_bytes());
        assert_eq!((h.reports.len(), h.validations.len(), h.samples.len(), h.monitored.len(), h.unread, h.updates), (2, 1, 1, 1, 0, 3));
        assert_eq!((h.reports[0].mean_loss, h.reports[0].clipped, h.reports[1].clipped), (4.2, Some(1), None));
        assert!(h.reports[1].mean_loss.is_nan() && h.monitored[0].monitor.layers[0].median[1].is_nan() && h.monitored[0].monitor.layers[0].half_life.is_nan());
        assert_eq!((h.samples[0].text.as_str(), h.validations[0].loss), ("<script>\n", 1.5));
    }

    #[test]
    fn what_is_damaged_is_counted() {
        let damaged = [
            "{\"update\":1,",
            "[]",
            "null",
            "{\"update\":-1,\"tokens\":1,\"mean_loss\":1}",
            "{\"update\":1,\"tokens\":1}",
            "\u{fffd}",
            "{\"update\":1,\"tokens\":1,\"monitor\":{\"lags\":[0,1],\"layers\":[{\"median\":[1],\"low\":[1],\"high\":[1]}],\"parameters\":[]}}",
        ];
        let content = format!("{LINES}{}\n\n{}", damaged.join("\n"), "{\"update\":9,\"tok");
        let h = MetricsLog::parse(&[content.as_bytes(), b"\n\xff\xfe\n"].concat());
        assert_eq!((h.unread, h.reports.len()), (damaged.len() as u64 + 2, 2));
        assert_eq!(MetricsLog::parse(b""), MetricsLog::default());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let profile =
            LayerProfile { median: vec![1.0, f64::NAN], low: vec![0.5; 2], high: vec![2.0; 2], decay_rate: 0.9, half_life: f64::NAN, saturation: 0.1 };
        let parameter = ParameterFigures { name: "b_y".to_string(), grad_norm: 0.1, weight_norm: 2.0, update_ratio: f64::INFINITY };
        let monitor = Look { lags: vec![0, 1], layers: vec![profile], parameters: vec![parameter], clipped_updates: None, skipped_updates: 3 };
        let lines = [
            Line::Report(Figures { update: 3, tokens: 9, loss: single(0.1), mean_loss: f64::NAN, clipped: Some(2), ..Figures::default() }),
            Line::Validation(Validation { update: 4, loss: 1.5, accuracy: Some(0.5), best: true, ..Validation::default() }),
            Line::Sample(Sample { update: 5, tokens: 1, text: "\u{1}\n".to_string() }),
            Line::Monitored(Monitored { update: 6, tokens: 2, monitor }),
        ];
        let text: Vec<String> = lines.iter().map(Line::json).collect();
        assert_eq!(text.iter().map(|t| Line::parse(t.as_bytes()).unwrap().json()).collect::<Vec<_>>(), text);
        assert!(text[0].contains("\"train_loss\":0.1,") && text[0].contains("\"val_loss\":null") && text[0].contains("\"mean_loss\":null"), "{}", text[0]);
        assert!(text[1].contains("\"mean_loss\":null") && !text[0].contains("best") && !text[2].contains("loss"));
        assert_eq!(MetricsLog::parse(text.join("\n").as_bytes()).updates, 6);
    }
}
