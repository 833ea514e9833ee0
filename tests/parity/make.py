"""Writes the parity fixtures: what PyTorch's nn.RNN and nn.Linear give for small models of odd sizes.

    python tests/parity/make.py          needs torch and safetensors

Each file holds a model (names and shapes of its state_dict, f32), tokens and targets [T,B], the state that flows in and
out [L,B,H], the logits [T,B,V], the mean cross entropy in nats, and its gradient by every parameter (grad.NAME). All of it is
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


def module(layers, activation, bias, vocab, hidden):
    m = torch.nn.Module()
    m.rnn = torch.nn.RNN(vocab, hidden, layers, nonlinearity=activation, bias=bias)
    m.head = torch.nn.Linear(hidden, vocab, bias=bias)
    # As it is after a round trip through f32, which PyTorch's default type is.
    return m.double()


def case(folder, layers, activation, bias, vocab, hidden, steps, lanes):
    torch.manual_seed(1000 * layers + vocab)
    m = module(layers, activation, bias, vocab, hidden)
    tokens, targets = (torch.randint(0, vocab, (steps, lanes), dtype=torch.int32) for _ in range(2))
    h0 = (torch.rand(layers, lanes, hidden) - 0.5).double()
    x = torch.nn.functional.one_hot(tokens.long(), vocab).double()
    out, hn = m.rnn(x, h0)
    logits = m.head(out)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.long().flatten())
    loss.backward()
    tensors = {name: p.detach().float() for name, p in m.named_parameters()}
    tensors |= {f"grad.{name}": p.grad.float() for name, p in m.named_parameters()}
    tensors |= {"tokens": tokens, "targets": targets, "h0": h0.float(), "hn": hn.detach().float()}
    tensors |= {"logits": logits.detach().float(), "loss": loss.detach().reshape(1)}
    name = f"{layers}-{activation}{'' if bias else '-no-bias'}.safetensors"
    metadata = {"activation": activation, "torch": torch.__version__.split("+")[0]}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / name, metadata)
    print(f"{name}: {(folder / name).stat().st_size} bytes, loss {loss.item():.6f}")


if __name__ == "__main__":
    for sizes in CASES:
        case(pathlib.Path(__file__).parent, *sizes)
