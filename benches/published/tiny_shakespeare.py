"""Validation loss on Tiny Shakespeare: retrograd and PyTorch from the same initial weights, with the same settings.

    python benches/published/tiny_shakespeare.py TEXT [--updates 1500] [--hidden 256] [--seeds 0 1] [--cells rnn gru lstm] [--program target/release/retrograd]

TEXT is the file of https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt. Its last tenth is held out; the loss is that of
one pass over it, the state carried throughout, in nats a character. Both sides: one layer, 32 lanes, windows of 64 steps with the state carried, Adam, a rate
of 2e-3 that falls along a cosine, gradients clipped to a norm of 1. PyTorch draws the weights; its bias_hh is zero and stays zero, as retrograd adds it to
bias_ih, but for that of nn.GRU's n block. Needs torch and safetensors. Prints a table in Markdown.
"""
import argparse
import json
import math
import pathlib
import subprocess
import tempfile
import time

import torch
from safetensors.torch import save_file

BATCH, WINDOW, RATE, CLIP = 32, 64, 2e-3, 1.0
CELLS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


class Model(torch.nn.Module):
    def __init__(self, cell, vocabulary, hidden):
        super().__init__()
        self.vocabulary = vocabulary
        self.rnn = CELLS[cell](vocabulary, hidden)
        self.head = torch.nn.Linear(hidden, vocabulary)
        # Rows of bias_hh that are added to those of bias_ih.
        self.added = 2 * hidden if cell == "gru" else len(self.rnn.bias_hh_l0)
        with torch.no_grad():
            self.rnn.bias_hh_l0[: self.added] = 0

    def forward(self, tokens, state=None):
        y, state = self.rnn(torch.nn.functional.one_hot(tokens, self.vocabulary).float(), state)
        return self.head(y), state

    def loss(self, x, y, state=None):
        logits, state = self(x, state)
        cut = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten()), cut


def train(model, tokens, updates):
    """Windows of a stream in lanes; each epoch begins with a state of zeros."""
    steps = (len(tokens) - 1) // BATCH
    x, y = (tokens[o : o + BATCH * steps].view(BATCH, steps).T for o in (0, 1))
    adam = torch.optim.Adam(model.parameters(), RATE)
    at, state = 0, None
    for update in range(updates):
        for group in adam.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * update / updates))
        loss, state = model.loss(x[at : at + WINDOW], y[at : at + WINDOW], state)
        adam.zero_grad()
        loss.backward()
        model.rnn.bias_hh_l0.grad[: model.added] = 0
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        adam.step()
        at += WINDOW
        if at >= steps:
            at, state = 0, None


def held_out(model, tokens):
    with torch.no_grad():
        return model.loss(tokens[:-1, None], tokens[1:, None])[0].item()


def program(args, *words):
    done = subprocess.run([args.program, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"retrograd {' '.join(map(str, words))}: {done.stderr}")
    return json.loads(done.stdout) if "--json" in words else done.stdout


def row(args, cell, seed, folder):
    content = pathlib.Path(args.text).read_text()
    vocabulary = sorted(set(content))
    index = {symbol: i for i, symbol in enumerate(vocabulary)}
    tokens = torch.tensor([index[c] for c in content])
    cut = len(tokens) - len(tokens) // 10
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))
    (folder / "train.txt").write_text(content[:cut])
    (folder / "held.txt").write_text(content[cut:])

    torch.manual_seed(seed)
    model = Model(cell, len(vocabulary), args.hidden)
    save_file(model.state_dict(), folder / "begin.safetensors")
    begin = folder / f"begin-{cell}-{seed}"
    program(args, "import", folder / "begin.safetensors", begin, "--vocabulary", folder / "vocabulary.json")
    run = folder / f"run-{cell}-{seed}"
    same = ["--batch", BATCH, "--truncation", f"regular:{WINDOW}", "--optimizer", "adam", "--lr", RATE, "--schedule", "cosine", "--warmup", 0, "--clip-norm", CLIP]
    rest = ["--updates", args.updates, "--val-fraction", 0, "--device", "cpu", "--sample", 0, "--quiet", "--json"]
    start = time.perf_counter()
    program(args, "train", folder / "train.txt", "--from", begin, "--out", run, *same, *rest)
    own_seconds = time.perf_counter() - start
    ours = program(args, "eval", run, folder / "held.txt", "--lanes", 1, "--device", "cpu", "--quiet", "--json")["loss"]
    start = time.perf_counter()
    train(model, tokens[:cut], args.updates)
    seconds = time.perf_counter() - start
    theirs = held_out(model, tokens[cut:])
    return f"| {cell} | {seed} | {ours:.4f} | {theirs:.4f} | {ours - theirs:+.4f} | {own_seconds:.0f} | {seconds:.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text")
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--program", default="target/release/retrograd")
    args = parser.parse_args()
    print(f"H {args.hidden}, {args.updates} updates, PyTorch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| cell | seed | retrograd, nats | PyTorch, nats | difference | retrograd, s | PyTorch, s |")
    print("|---|---|---|---|---|---|---|")
    for cell in args.cells:
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as folder:
                print(row(args, cell, seed, pathlib.Path(folder)), flush=True)


main()
