//! Weights of classes in training, where some are rarer or matter more than others.

use super::Sequences;
use crate::error::{Error, Result, listed};
use std::fmt;
use std::str::FromStr;

/// Weights of classes in the training loss. The mean weight of the training part is 1, so that a learning rate means the same with and without.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// Each class weighs as much as any other in total: the weight of a class is inverse to its count.
    Balanced,
    /// One weight per class, in the order of the sorted labels.
    List(Vec<f64>),
}

impl FromStr for ClassWeights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "balanced" {
            return Ok(ClassWeights::Balanced);
        }
        let weights: Option<Vec<f64>> = text.split(',').map(|w| w.trim().parse().ok().filter(|w: &f64| w.is_finite() && (0.0..=1e6).contains(w))).collect();
        let weights = weights.filter(|w| w.iter().any(|w| *w > 0.0));
        weights.map(ClassWeights::List).ok_or_else(|| {
            Error::Usage("expected balanced, or a weight from 0 to 1e6 for each label in the order of the sorted labels, such as 1,2.5,1".to_string())
        })
    }
}

impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClassWeights::Balanced => f.write_str("balanced"),
            ClassWeights::List(weights) => f.write_str(&weights.iter().map(f64::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

impl ClassWeights {
    /// The weight of each class of a training part.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are not as many weights as labels, or all sequences weigh nothing.
    fn of(&self, part: &Sequences, labels: &[String]) -> Result<Vec<f32>> {
        let wrong = |what: String| Err(Error::setting("class_weights", what));
        let mut counts = vec![0u64; labels.len()];
        (0..part.list().len()).filter_map(|i| part.class(i)).for_each(|class| counts[class as usize] += 1);
        let raw: Vec<f64> = match self {
            ClassWeights::Balanced => counts.iter().map(|n| 1.0 / (*n).max(1) as f64).collect(),
            ClassWeights::List(weights) if weights.len() != labels.len() => {
                let (n, m) = (weights.len(), labels.len());
                return wrong(format!("`class_weights` has {n} weights, and there are {m} labels: {}; give one each, in this order", listed(labels)));
            }
            ClassWeights::List(weights) => weights.clone(),
        };
        let total: f64 = counts.iter().zip(&raw).map(|(n, w)| *n as f64 * w).sum();
        if total == 0.0 {
            return wrong("`class_weights` gives weight only to labels that no training sequence has; give others some".to_string());
        }
        let mean = total / part.list().len() as f64;
        Ok(raw.iter().map(|w| (w / mean) as f32).collect())
    }
}

impl Sequences {
    /// Weights the loss of each sequence by its class.
    ///
    /// # Errors
    /// As for the weights of [`ClassWeights`].
    pub fn weighted(mut self, weights: &ClassWeights, labels: &[String]) -> Result<Self> {
        self.weights = weights.of(&self, labels)?.into();
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::NumberRows;
    use std::sync::Arc;

    fn part(classes: &[u32]) -> Sequences {
        let n = classes.len() as u64;
        let rows = NumberRows::new("rows", Arc::new(vec![0.5; classes.len()]), 1, (0..n).map(|i| i..i + 1).collect()).unwrap();
        rows.sequences(classes.to_vec())
    }

    #[test]
    fn the_mean_weight_is_1_and_balanced_classes_weigh_alike() {
        let labels = ["a", "b", "c"].map(String::from);
        let all = part(&[0, 0, 0, 1, 2, 2, 0, 0]);
        let balanced = ClassWeights::Balanced.of(&all, &labels).unwrap();
        assert!(balanced.iter().zip([5.0, 1.0, 2.0]).all(|(w, n)| (w * n - 8.0 / 3.0).abs() < 1e-6), "{balanced:?}");
        let listed: ClassWeights = "1, 3,0".parse().unwrap();
        assert_eq!(listed.of(&all, &labels).unwrap(), [1.0, 3.0, 0.0]);
        assert_eq!(listed.to_string(), "1,3,0");
    }

    #[test]
    fn weights_that_do_not_fit_are_refused() {
        for text in ["", "1,x", "-1,2", "0,0", "nan", "even"] {
            assert!(text.parse::<ClassWeights>().is_err(), "{text}");
        }
        let labels = ["a", "b"].map(String::from);
        let refused = |text: &str| text.parse::<ClassWeights>().unwrap().of(&part(&[0, 0, 0]), &labels).unwrap_err().to_string();
        assert!(refused("1,2,3").contains("3 weights, and there are 2 labels: a, b"));
        assert!(refused("0,1").contains("no training sequence has"));
    }
}
