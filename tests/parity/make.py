"""Writes the parity fixtures: what PyTorch's nn.RNN, nn.GRU and nn.LSTM with nn.Linear give for small models of odd sizes.

    python tests/parity/make.py          needs torch and safetensors

Each file holds a model (names and shapes of its state_dict, f32), tokens and targets [T,B], the state that flows in and
out [L,B,H] (h0 and hn; for LSTM also c0 and cn), the logits [T,B,V], the mean cross entropy in nats, and its gradient by every parameter
(grad.NAME). Where numbers are read, numbers [T,B,D] and wanted [T,B,V] stand in place of tokens and targets, and the loss is the mean
squared or absolute error. Then come 20 updates of plain SGD at the rate lr, each on the same window from the state in which the one before
ended: the parameters after them (after.NAME).

PyTorch has two biases per layer, which are added; retrograd has one. So bias_hh does not move: its gradient is masked, written and applied as
zero. Only in the n block of nn.GRU, where the two biases are apart, both have a gradient.

All of it is computed in f64 from the f32 numbers that are written, so it is exact to the digits that an f32 holds. tests/it/parity.rs reads
the files; they change only when this script does.
"""

import pathlib

import torch
from safetensors.torch import save_file

UPDATES = 20

# activation of nn.RNN, or another cell; layers, bias, V, H, T, B
CASES = [
    ("tanh", 1, True, 7, 13, 11, 3),
    ("relu", 1, False, 5, 9, 6, 2),
    ("tanh", 2, False, 6, 7, 17, 1),
    ("relu", 2, True, 5, 6, 9, 5),
    ("tanh", 3, True, 7, 5, 13, 2),
    ("relu", 3, False, 3, 11, 7, 3),
    ("gru", 1, True, 7, 9, 11, 3),
    ("gru", 1, False, 5, 6, 8, 2),
    ("gru", 2, True, 5, 5, 9, 5),
    ("gru", 3, False, 3, 7, 10, 1),
    ("gru", 3, True, 4, 3, 13, 2),
    ("lstm", 1, True, 6, 7, 11, 3),
    ("lstm", 1, False, 5, 9, 6, 2),
    ("lstm", 2, False, 4, 5, 17, 1),
    ("lstm", 2, True, 5, 6, 9, 5),
    ("lstm", 3, True, 3, 5, 7, 2),
]

# Numbers in place of symbols: activation or cell, layers, bias, loss, D, V, H, T, B
NUMBERS = [
    ("tanh", 1, True, "squared", 3, 4, 9, 12, 3),
    ("relu", 2, False, "absolute", 5, 2, 7, 10, 2),
    ("lstm", 2, True, "squared", 3, 2, 5, 9, 3),
]


def module(kind, layers, bias, inputs, outputs, hidden):
    m = torch.nn.Module()
    gated = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}.get(kind)
    m.rnn = gated(inputs, hidden, layers, bias=bias) if gated else torch.nn.RNN(inputs, hidden, layers, nonlinearity=kind, bias=bias)
    m.head = torch.nn.Linear(hidden, outputs, bias=bias)
    # As it is after a round trip through f32, which PyTorch's default type is.
    return m.double()


def first_state(kind, layers, lanes, hidden):
    """h0; for LSTM h0 and c0."""
    state = tuple((torch.rand(layers, lanes, hidden) - 0.5).double() for _ in range(2 if kind == "lstm" else 1))
    return state if kind == "lstm" else state[0]


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def case(folder, kind, layers, bias, vocab, hidden, steps, lanes):
    torch.manual_seed(1000 * layers + vocab)
    m = module(kind, layers, bias, vocab, vocab, hidden)
    tokens, targets = (torch.randint(0, vocab, (steps, lanes), dtype=torch.int32) for _ in range(2))
    x = torch.nn.functional.one_hot(tokens.long(), vocab).double()
    loss = lambda logits: torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.long().flatten())
    write(folder, m, f"{layers}-{kind}", {"tokens": tokens, "targets": targets}, x, loss, first_state(kind, layers, lanes, hidden))


def numbers(folder, kind, layers, bias, error, inputs, outputs, hidden, steps, lanes):
    torch.manual_seed(1000 * layers + inputs)
    m = module(kind, layers, bias, inputs, outputs, hidden)
    x, y = (torch.randn(steps, lanes, n) for n in (inputs, outputs))
    # The mean over all outputs.
    of = torch.nn.functional.mse_loss if error == "squared" else torch.nn.functional.l1_loss
    loss = lambda o: of(o, y.double())
    write(folder, m, f"{layers}-{kind}-{error}", {"numbers": x, "wanted": y}, x.double(), loss, first_state(kind, layers, lanes, hidden))


def gradient(m, loss):
    """Leaves the gradients of the parameters, masked, in their grad."""
    m.zero_grad()
    loss.backward()
    hidden = m.rnn.hidden_size
    for name, p in m.named_parameters():
        if "bias_hh" in name:
            p.grad[: 2 * hidden if isinstance(m.rnn, torch.nn.GRU) else None] = 0


def write(folder, m, name, window, x, loss_of, state):
    tensors = {n: p.detach().float().clone() for n, p in m.named_parameters()}
    tensors |= window | {n: s.float() for n, s in zip(["h0", "c0"], parts(state))}
    # Steps that move all parameters, and do not diverge.
    lr = 0.125 if "relu" in name else 2.0 if "lstm" in name and "tokens" in window or "gru" in name else 0.25
    for u in range(UPDATES):
        out, state = m.rnn(x, state)
        logits = m.head(out)
        loss = loss_of(logits)
        gradient(m, loss)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        if u == 0:
            tensors |= {n: s.float() for n, s in zip(["hn", "cn"], parts(state))}
            tensors |= {"logits": logits.detach().float(), "loss": loss.detach().reshape(1)}
            tensors |= {f"grad.{n}": p.grad.float() for n, p in m.named_parameters()}
        with torch.no_grad():
            for p in m.parameters():
                p -= lr * p.grad
    tensors |= {f"after.{n}": p.detach().float() for n, p in m.named_parameters()} | {"lr": torch.tensor([lr])}
    name = f"{name}{'' if m.rnn.bias else '-no-bias'}.safetensors"
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / name, {"torch": torch.__version__.split("+")[0]})
    print(f"{name}: {(folder / name).stat().st_size} bytes, loss {tensors['loss'].item():.6f}, {loss.item():.6f} at the last update")


if __name__ == "__main__":
    for sizes in CASES:
        case(pathlib.Path(__file__).parent, *sizes)
    for sizes in NUMBERS:
        numbers(pathlib.Path(__file__).parent, *sizes)
