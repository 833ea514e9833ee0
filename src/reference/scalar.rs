//! The numbers that the forward pass is written over: plain f64, or duals, which carry their derivatives along; and products with parameters.
#![forbid(unsafe_code)]

use std::ops::{Add, Mul, Sub};

/// `factor * value`, where a factor of 0 gives 0 even if the value is not finite.
pub(super) fn gated(factor: f64, value: f64) -> f64 {
    if factor == 0.0 { 0.0 } else { factor * value }
}

/// A number of the forward pass. `From<f64>` makes a constant.
pub(super) trait Scalar: Clone + From<f64> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// The parameter with this index among all P.
    fn parameter(value: f64, index: usize) -> Self;
    /// `self += x w`, with w the parameter of that index.
    fn add_product(&mut self, x: &Self, w: f64, index: usize);
    /// The value times `factor`, its derivatives times `slope`; a factor of 0 gives 0, see [`gated`].
    fn scaled(&self, factor: f64, slope: f64) -> Self;
    /// `f(self)`, where `slope` is the derivative of f.
    fn map(&self, f: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64) -> Self;
}

impl Scalar for f64 {
    fn parameter(value: f64, _: usize) -> f64 {
        value
    }

    fn add_product(&mut self, x: &f64, w: f64, _: usize) {
        *self += x * w;
    }

    fn scaled(&self, factor: f64, _: f64) -> f64 {
        gated(factor, *self)
    }

    fn map(&self, f: impl Fn(f64) -> f64, _: impl Fn(f64) -> f64) -> f64 {
        f(*self)
    }
}

/// A value together with its derivatives with respect to the P parameters.
#[derive(Clone)]
pub(super) struct Dual {
    /// the value
    pub(super) value: f64,
    /// the derivatives with respect to the first parameters, at most P; those after its end are 0
    pub(super) partials: Vec<f64>,
}

impl Dual {
    /// `partials += factor * others`, where a factor of 0 adds 0.
    fn add_partials(&mut self, factor: f64, others: &[f64]) {
        self.extend_to(others.len());
        for (sum, other) in self.partials.iter_mut().zip(others) {
            *sum += gated(factor, *other);
        }
    }

    /// Holds at least `len` partials.
    fn extend_to(&mut self, len: usize) {
        self.partials.resize(self.partials.len().max(len), 0.0);
    }
}

impl From<f64> for Dual {
    fn from(value: f64) -> Dual {
        Dual { value, partials: Vec::new() }
    }
}

impl Add for Dual {
    type Output = Dual;
    fn add(mut self, other: Dual) -> Dual {
        self.value += other.value;
        self.add_partials(1.0, &other.partials);
        self
    }
}

impl Sub for Dual {
    type Output = Dual;
    fn sub(mut self, other: Dual) -> Dual {
        self.value -= other.value;
        self.add_partials(-1.0, &other.partials);
        self
    }
}

impl Mul for Dual {
    type Output = Dual;
    fn mul(self, other: Dual) -> Dual {
        let mut product = Dual::from(self.value * other.value);
        product.add_partials(other.value, &self.partials);
        product.add_partials(self.value, &other.partials);
        product
    }
}

impl Scalar for Dual {
    fn parameter(value: f64, index: usize) -> Dual {
        let mut dual = Dual::from(0.0);
        dual.add_product(&Dual::from(1.0), value, index);
        dual
    }

    fn add_product(&mut self, x: &Dual, w: f64, index: usize) {
        self.value += x.value * w;
        self.add_partials(w, &x.partials);
        self.extend_to(index + 1);
        self.partials[index] += x.value;
    }

    fn scaled(&self, factor: f64, slope: f64) -> Dual {
        let mut scaled = Dual::from(gated(factor, self.value));
        scaled.add_partials(slope, &self.partials);
        scaled
    }

    fn map(&self, f: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64) -> Dual {
        let mut mapped = Dual::from(f(self.value));
        mapped.add_partials(slope(self.value), &self.partials);
        mapped
    }
}

/// One tensor of the parameters, row-major.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    /// its elements
    pub(super) values: &'a [f64],
    /// index of its first element among all P parameters
    pub(super) first: usize,
}

impl Matrix<'_> {
    /// One element as a number.
    pub(super) fn at<S: Scalar>(&self, place: usize) -> S {
        S::parameter(self.values[place], self.first + place)
    }

    /// `x W`: x `[R]`, `W` `[R,C]`, result `[C]`.
    pub(super) fn times<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        let columns = self.values.len() / x.len();
        (0..columns).map(|c| self.dot(x, |r| r * columns + c)).collect()
    }

    /// `x W^T`: x `[C]`, `W` `[R,C]`, result `[R]`.
    pub(super) fn times_transposed<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        let rows = self.values.len() / x.len();
        (0..rows).map(|r| self.dot(x, |c| r * x.len() + c)).collect()
    }

    /// `sum_i x_i w_i`, with w_i the element at `place(i)`.
    fn dot<S: Scalar>(&self, x: &[S], place: impl Fn(usize) -> usize) -> S {
        let mut sum = S::from(0.0);
        for (i, x) in x.iter().enumerate() {
            sum.add_product(x, self.values[place(i)], self.first + place(i));
        }
        sum
    }
}
