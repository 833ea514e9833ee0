"""Writes the parity fixtures: what PyTorch's nn.RNN and nn.Linear give for small models of odd sizes.

    python tests/parity/make.py          needs torch and safetensors

Each file holds a model (names and shapes of its state_dict, f32), tokens and targets [T,B], the state that flows in and
out [L,B,H], the logits [T,B,V], the mean cross entropy in nats, and its gradient by every parameter (grad.NAME). Where numbers are
read, numbers [T,B,D] and wanted [T,B,V] stand in place of tokens and targets, and the loss is the mean squared or absolute error. All of it is
computed in f64 from the f32 numbers that are written, so it is exact to the digits that an f32 holds. tests/it/parity.rs reads
the files; they change only when this script does.
"""

import pathlib

import torch
from safetensors.torch import save_file

# layers, activation, bias, V, H, T, B
CASES = [
    (1, "tanh", True, 7, 13, 11, 3),
    (1, "relu", False, 5, 9, 6, 2),
    (2, "tanh", False, 6, 7, 17, 1),
    (2, "relu", True, 5, 6, 9, 5),
    (3, "tanh", True, 7, 5, 13, 2),
    (3, "relu", False, 3, 11, 7, 3),
]

# Numbers in place of symbols: layers, activation, bias, loss, D, V, H, T, B
NUMBERS = [
    (1, "tanh", True, "squared", 3, 4, 9, 12, 3),
    (2, "relu", False, "absolute", 5, 2, 7, 10, 2),
]


def module(layers, activation, bias, inputs, outputs, hidden):
    m = torch.nn.Module()
    m.rnn = torch.nn.RNN(inputs, hidden, layers, nonlinearity=activation, bias=bias)
    m.head = torch.nn.Linear(hidden, outputs, bias=bias)
    # As it is after a round trip through f32, which PyTorch's default type is.
    return m.double()


def case(folder, layers, activation, bias, vocab, hidden, steps, lanes):
    torch.manual_seed(1000 * layers + vocab)
    m = module(layers, activation, bias, vocab, vocab, hidden)
    tokens, targets = (torch.randint(0, vocab, (steps, lanes), dtype=torch.int32) for _ in range(2))
    h0 = (torch.rand(layers, lanes, hidden) - 0.5).double()
    x = torch.nn.functional.one_hot(tokens.long(), vocab).double()
    out, hn = m.rnn(x, h0)
    logits = m.head(out)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.long().flatten())
    write(folder, m, f"{layers}-{activation}", {"tokens": tokens, "targets": targets}, (h0, hn, logits, loss))


def numbers(folder, layers, activation, bias, kind, inputs, outputs, hidden, steps, lanes):
    torch.manual_seed(1000 * layers + inputs)
    m = module(layers, activation, bias, inputs, outputs, hidden)
    x, y = (torch.randn(steps, lanes, n) for n in (inputs, outputs))
    h0 = (torch.rand(layers, lanes, hidden) - 0.5).double()
    out, hn = m.rnn(x.double(), h0)
    o = m.head(out)
    # The mean over all outputs.
    loss = (torch.nn.functional.mse_loss if kind == "squared" else torch.nn.functional.l1_loss)(o, y.double())
    write(folder, m, f"{layers}-{activation}-{kind}", {"numbers": x, "wanted": y}, (h0, hn, o, loss))


def write(folder, m, name, window, found):
    h0, hn, logits, loss = found
    activation, bias = m.rnn.nonlinearity, m.rnn.bias
    loss.backward()
    tensors = {name: p.detach().float() for name, p in m.named_parameters()}
    tensors |= {f"grad.{name}": p.grad.float() for name, p in m.named_parameters()}
    tensors |= window | {"h0": h0.float(), "hn": hn.detach().float()}
    tensors |= {"logits": logits.detach().float(), "loss": loss.detach().reshape(1)}
    name = f"{name}{'' if bias else '-no-bias'}.safetensors"
    metadata = {"activation": activation, "torch": torch.__version__.split("+")[0]}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / name, metadata)
    print(f"{name}: {(folder / name).stat().st_size} bytes, loss {loss.item():.6f}")


if __name__ == "__main__":
    for sizes in CASES:
        case(pathlib.Path(__file__).parent, *sizes)
    for sizes in NUMBERS:
        numbers(pathlib.Path(__file__).parent, *sizes)
