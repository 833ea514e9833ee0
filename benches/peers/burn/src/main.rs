//! One update of a recurrent character model by burn: `burn-peer flex|wgpu rnn|gru|lstm H B T LAYERS SECONDS`. Prints the median seconds of an
//! update, as `../README.md` defines it, and those of the first.

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::gru::{Gru, GruConfig};
use burn::nn::{Linear, LinearConfig, Lstm, LstmConfig, Rnn, RnnConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor};
use std::time::Instant;

/// V.
const VOCAB: usize = 65;
/// Updates before any is counted: kernels are compiled and chosen in them.
const WARM_UP: usize = 2;
/// Updates that are counted: at least and at most.
const COUNTED: [usize; 2] = [3, 400];

/// A recurrent layer.
#[derive(Module, Debug)]
enum Layer {
    Rnn(Rnn),
    Gru(Gru),
    Lstm(Lstm),
}

impl Layer {
    fn new(cell: &str, inputs: usize, hidden: usize, device: &Device) -> Self {
        match cell {
            "rnn" => Layer::Rnn(RnnConfig::new(inputs, hidden, true).init(device)),
            "gru" => Layer::Gru(GruConfig::new(inputs, hidden, true).init(device)),
            "lstm" => Layer::Lstm(LstmConfig::new(inputs, hidden, true).init(device)),
            other => panic!("no cell {other}: rnn, gru or lstm"),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Layer::Rnn(layer) => layer.forward(x, None).0,
            Layer::Gru(layer) => layer.forward(x, None),
            Layer::Lstm(layer) => layer.forward(x, None).0,
        }
    }
}

#[derive(Module, Debug)]
struct Net {
    layers: Vec<Layer>,
    head: Linear,
}

impl Net {
    fn new(cell: &str, hidden: usize, layers: usize, device: &Device) -> Self {
        let layer = |k: usize| Layer::new(cell, if k == 0 { VOCAB } else { hidden }, hidden, device);
        Net { layers: (0..layers).map(layer).collect(), head: LinearConfig::new(hidden, VOCAB).init(device) }
    }

    /// Mean cross-entropy over `[B, T, V]` one-hot inputs and `[B * T]` targets.
    fn loss(&self, inputs: Tensor<3>, targets: Tensor<1, Int>, criterion: &CrossEntropyLoss) -> Tensor<1> {
        let h = self.layers.iter().fold(inputs, |x, layer| layer.forward(x));
        criterion.forward(self.head.forward(h).flatten::<2>(0, 1), targets)
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [backend, cell, sizes @ ..] = words.as_slice() else { panic!("usage: burn-peer flex|wgpu rnn|gru|lstm H B T LAYERS SECONDS") };
    let sizes: Vec<usize> = sizes.iter().map(|w| w.parse().unwrap_or_else(|_| panic!("{w} is not a number"))).collect();
    let &[hidden, batch, steps, layers, seconds] = sizes.as_slice() else { panic!("five numbers: H B T LAYERS SECONDS") };
    let device = match backend.as_str() {
        "flex" => Device::flex(),
        "wgpu" => Device::wgpu(DeviceKind::DefaultDevice),
        other => panic!("no backend {other}: flex or wgpu"),
    }
    .autodiff();

    let symbols = Distribution::Uniform(0.0, VOCAB as f64);
    let inputs: Tensor<3> = Tensor::<2, Int>::random([batch, steps], symbols, &device).one_hot::<3>(VOCAB).float();
    let targets = Tensor::<1, Int>::random([batch * steps], symbols, &device);
    let criterion = CrossEntropyLossConfig::new().init(&device);
    let mut net = Net::new(cell, hidden, layers, &device);
    let mut adam = AdamConfig::new().with_grad_clipping(Some(GradientClippingConfig::Norm(1.0))).init();

    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < WARM_UP + COUNTED[0] || (begin.elapsed().as_secs() < seconds as u64 && times.len() < WARM_UP + COUNTED[1]) {
        let start = Instant::now();
        let loss = net.loss(inputs.clone(), targets.clone(), &criterion);
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = adam.step(2e-3, net, gradients);
        let loss = loss.into_scalar::<f32>();
        device.sync().expect("the device finishes");
        times.push(start.elapsed().as_secs_f64());
        assert!(loss.is_finite(), "the loss is {loss}");
    }
    let first = times[0];
    let counted = &mut times[WARM_UP..];
    counted.sort_by(f64::total_cmp);
    println!("{{\"seconds\": {:.6}, \"min\": {:.6}, \"first\": {first:.3}, \"updates\": {}}}", counted[counted.len() / 2], counted[0], counted.len());
}
