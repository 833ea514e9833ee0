//! What `metrics.jsonl` says, read back: see docs/metrics.md for its lines.

use serde_json::Value;

/// Figures of a report. What is not finite is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// The update that it was made after.
    pub update: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// Mean loss of the last window, nats.
    pub loss: f64,
    /// Mean loss of all windows since the report before, nats.
    pub mean_loss: f64,
    /// Norm of the last window's gradient, before clipping.
    pub norm: f64,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Symbols per second since the report before.
    pub speed: f64,
    /// Seconds of training alone.
    pub seconds: f64,
    /// Updates skipped since the report before.
    pub skipped: u64,
    /// Updates clipped since then; none if that was not recorded, or gradients are clamped one by one.
    pub clipped: Option<u64>,
}

/// A validation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    /// After this update.
    pub update: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// Seconds of training alone.
    pub seconds: f64,
    /// Its loss, nats; NaN if not finite.
    pub loss: f64,
    /// Share of right answers, where there are answers.
    pub accuracy: Option<f64>,
}

/// Text that was written on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// After this update.
    pub update: u64,
    /// Symbols trained on.
    pub tokens: u64,
    /// The text.
    pub text: String,
}

/// What was monitored after an update.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitored {
    /// The update.
    pub update: u64,
    /// Steps back.
    pub lags: Vec<u64>,
    /// First layer first.
    pub layers: Vec<LayerProfile>,
    /// In the order of the model's.
    pub parameters: Vec<ParameterFigures>,
}

/// How the gradient of a layer fades with the lag: |dL_t/dh_{t-k}| / |dL_t/dh_t| by lag, over many t and lanes. NaN where not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerProfile {
    /// Median.
    pub median: Vec<f64>,
    /// Low end of the spread.
    pub low: Vec<f64>,
    /// High end of it.
    pub high: Vec<f64>,
    /// Factor of one step back.
    pub decay_rate: f64,
    /// Steps back in which it halves.
    pub half_life: f64,
    /// Part of the units that are saturated.
    pub saturation: f64,
}

/// Figures of a parameter. NaN where not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterFigures {
    /// Name.
    pub name: String,
    /// Norm of its gradient.
    pub grad_norm: f64,
    /// Norm of what the update changed, divided by that of the parameter.
    pub update_ratio: f64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricsLog {
    /// Reports.
    pub reports: Vec<Figures>,
    /// Validations.
    pub validations: Vec<Validation>,
    /// Texts.
    pub samples: Vec<Sample>,
    /// What was monitored.
    pub monitored: Vec<Monitored>,
    /// Lines that are none of these: damaged, or written by another version.
    pub unread: u64,
}

impl MetricsLog {
    /// Reads the lines. What can't be read is left out and counted.
    pub fn parse(content: &[u8]) -> Self {
        let mut history = MetricsLog::default();
        for line in content.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()) {
            let value: Value = serde_json::from_slice(line).unwrap_or_default();
            history.unread += u64::from(history.take(&value).is_none());
        }
        history
    }

    /// The last update that anything is known of.
    pub fn updates(&self) -> u64 {
        let ends = [
            self.reports.last().map(|r| r.update),
            self.validations.last().map(|v| v.update),
            self.samples.last().map(|s| s.update),
            self.monitored.last().map(|m| m.update),
        ];
        ends.into_iter().flatten().max().unwrap_or(0)
    }

    fn take(&mut self, line: &Value) -> Option<()> {
        let (update, tokens) = (line["update"].as_u64()?, line["tokens"].as_u64()?);
        if let Some(text) = line["sample"].as_str() {
            self.samples.push(Sample { update, tokens, text: text.to_string() });
        } else if let Some(monitor) = line.get("monitor") {
            self.monitored.push(monitored(update, monitor)?);
        } else if line.get("best").is_some() {
            let (loss, accuracy) = (number(line.get("val_loss")?), line["val_accuracy"].as_f64());
            self.validations.push(Validation { update, tokens, seconds: number(&line["seconds"]), loss, accuracy });
        } else {
            self.reports.push(Figures {
                update,
                tokens,
                loss: number(&line["train_loss"]),
                mean_loss: number(line.get("mean_loss")?),
                norm: number(&line["grad_norm"]),
                learning_rate: number(&line["learning_rate"]),
                speed: number(&line["tokens_per_second"]),
                seconds: number(&line["seconds"]),
                skipped: line["skipped_updates"].as_u64().unwrap_or(0),
                clipped: line["clipped_updates"].as_u64(),
            });
        }
        Some(())
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The three curves of every layer must have a figure to each lag.
fn monitored(update: u64, m: &Value) -> Option<Monitored> {
    let lags: Vec<u64> = m["lags"].as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
    let ascending = lags.windows(2).all(|w| w[0] < w[1]);
    let curve = |layer: &Value, key: &str| -> Option<Vec<f64>> {
        Some(layer[key].as_array()?.iter().map(number).collect::<Vec<_>>()).filter(|c| c.len() == lags.len() && ascending)
    };
    let layer = |l: &Value| {
        let [median, low, high] = ["median", "low", "high"].map(|key| curve(l, key));
        let [decay_rate, half_life, saturation] = ["decay_rate", "half_life", "saturation"].map(|key| number(&l[key]));
        Some(LayerProfile { median: median?, low: low?, high: high?, decay_rate, half_life, saturation })
    };
    let parameter = |p: &Value| {
        Some(ParameterFigures { name: p["name"].as_str()?.to_string(), grad_norm: number(&p["grad_norm"]), update_ratio: number(&p["update_ratio"]) })
    };
    Some(Monitored {
        update,
        layers: m["layers"].as_array()?.iter().map(layer).collect::<Option<_>>()?,
        parameters: m["parameters"].as_array()?.iter().map(parameter).collect::<Option<_>>()?,
        lags,
    })
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
        assert_eq!((h.reports.len(), h.validations.len(), h.samples.len(), h.monitored.len(), h.unread, h.updates()), (2, 1, 1, 1, 0, 3));
        assert_eq!((h.reports[0].mean_loss, h.reports[0].clipped, h.reports[1].clipped), (4.2, Some(1), None));
        assert!(h.reports[1].mean_loss.is_nan() && h.monitored[0].layers[0].median[1].is_nan() && h.monitored[0].layers[0].half_life.is_nan());
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
}
