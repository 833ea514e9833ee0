"""Checks models to and from PyTorch and ONNX against the program itself.

    python tests/parity/check.py FOLDER TEXT          FOLDER holds retrograd and examples/logits; needs torch, safetensors, onnx and onnxruntime

scripts/parity.sh makes what it needs and runs it.

Every line is one check: what was compared, how far apart it is, and the bound; the exit code is 1 if one is beyond it.
PyTorch has two biases per layer that are added and move together, so a plain update moves their sum twice as far as one bias would: to
train alike, bias_hh is zero there and frozen; but not in the n block of nn.GRU, where the two are apart.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime
import torch
from safetensors.torch import load_file, save_file

bin_folder, text_path = map(pathlib.Path, sys.argv[1:3])
text = text_path.read_text()[:60_000]
failed = False


def check(what, error, bound):
    global failed
    good = bool(error <= bound)
    failed |= not good
    print(f"{'ok  ' if good else 'FAIL'} {what}: {error:.2e} (at most {bound:.0e})", flush=True)


def program(*args):
    done = subprocess.run([bin_folder / "retrograd", *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{args}: {done.stderr}")
    return done.stdout


def loaded(snippet):
    """What the printed Python defines."""
    names = {}
    exec(snippet, names)
    return names


def tokens_of(vocabulary, content):
    index = {symbol: i for i, symbol in enumerate(vocabulary)}
    return torch.tensor([index[c] for c in content])


def torch_loss(model, vocabulary, content):
    tokens = tokens_of(vocabulary, content)
    with torch.no_grad():
        logits, _ = model(tokens[:-1, None])
    return torch.nn.functional.cross_entropy(logits[:, 0].double(), tokens[1:]).item()


def own_loss(run, path):
    return json.loads(program("eval", run, path, "--lanes", 1, "--device", "cpu", "--json", "--quiet"))["loss"]


def relative(x, y):
    return abs(x - y) / abs(y)


def lanes_of(tokens, batch):
    steps = (len(tokens) - 1) // batch
    return [tokens[b * steps : b * steps + steps + 1] for b in range(batch)], steps


def sgd(model, tokens, updates, lr, batch=8, window=32):
    """Plain SGD over windows of a stream in lanes, the state carried and cut."""
    optimizer = torch.optim.SGD(model.parameters(), lr)
    frozen = 2 * model.rnn.hidden_size if isinstance(model.rnn, torch.nn.GRU) else None
    lanes, steps = lanes_of(tokens, batch)
    x = torch.stack(lanes, 1)
    state = None
    for u in range(updates):
        a, b = u * window, min((u + 1) * window, steps)
        logits, state = model(x[a:b], state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), x[a + 1 : b + 1].flatten())
        optimizer.zero_grad()
        loss.backward()
        for n, p in model.named_parameters():
            if "bias_hh" in n:
                p.grad[:frozen] = 0
        optimizer.step()
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def onnx_checks(name, run, folder, content):
    file = folder / f"{name}.onnx"
    names = loaded(program("export", run, file, "--onnx"))
    onnx.checker.check_model(onnx.load(file), full_check=True)
    session, vocabulary = names["session"], names["vocabulary"]
    piece = folder / "piece.txt"
    piece.write_text(content)
    logits = subprocess.run([bin_folder / "examples/logits", pathlib.Path(run) / "model.safetensors", piece], capture_output=True, text=True, check=True).stdout
    own = numpy.array([[float(x) for x in line.split()] for line in logits.splitlines()], numpy.float32)
    tokens = tokens_of(vocabulary, content).numpy()
    layers, _, hidden = session.get_inputs()[1].shape
    names = [i.name for i in session.get_inputs()[1:]]
    zero = [numpy.zeros((layers, 1, hidden), numpy.float32) for _ in names]

    def run_on(tokens, states):
        logits, *states = session.run(["logits", *(f"next_{n}" for n in names)], {"tokens": tokens} | dict(zip(names, states)))
        return logits, states

    whole, last = run_on(tokens[:, None], zero)
    check(f"{name}: onnxruntime, {len(tokens)} steps as a sequence, logits", abs(whole[:, 0] - own).max(), 1e-4)
    state, steps = zero, []
    for t in tokens:
        out, state = run_on(numpy.array([[t]]), state)
        steps.append(out[0, 0])
    check(f"{name}: onnxruntime, step by step, logits", abs(numpy.stack(steps) - own).max(), 1e-4)
    check(f"{name}: onnxruntime, last state of both", max(abs(a - b).max() for a, b in zip(state, last, strict=True)), 1e-5)
    three, _ = run_on(numpy.stack([tokens] * 3, 1), [numpy.repeat(z, 3, 1) for z in zero])
    check(f"{name}: onnxruntime, 3 lanes, logits", abs(three - own[:, None]).max(), 1e-4)
    return own


def trained_here(folder, train, held):
    for name, flags in [
        ("1 tanh", ["--cell", "rnn", "--hidden", 37]),
        ("2 relu, no bias", ["--hidden", 24, "--layers", 2, "--activation", "relu", "--init", "identity:0.9", "--no-bias"]),
        ("3 tanh", ["--cell", "rnn", "--hidden", 16, "--layers", 3]),
        ("1 identity", ["--hidden", 20, "--activation", "identity"]),
        ("1 gru", ["--cell", "gru", "--hidden", 19]),
        ("2 gru, no bias", ["--cell", "gru", "--hidden", 24, "--layers", 2, "--no-bias"]),
        ("3 gru", ["--cell", "gru", "--hidden", 13, "--layers", 3, "--embed", 7]),
        ("1 lstm, no bias", ["--cell", "lstm", "--hidden", 37, "--no-bias"]),
        ("2 lstm", ["--cell", "lstm", "--hidden", 18, "--layers", 2]),
        ("3 lstm, no bias", ["--cell", "lstm", "--hidden", 15, "--layers", 3, "--no-bias"]),
    ]:
        run = folder / name.replace(" ", "-").replace(",", "")
        # Deep nets begin slowly, and one that has learned nothing does not mind a transposed W_hh.
        updates = 1200 if name.startswith("3") else 400
        common = ["--batch", 8, "--truncation", "regular:32", "--updates", updates, "--lr", 0.01, "--device", "cpu", "--sample", 0, "--quiet"]
        program("train", train, "--out", run, *common, *flags)
        own = onnx_checks(name, run, folder, held.read_text()[:200])
        if "identity" in flags[-1:]:
            continue
        names = loaded(program("export", run, folder / f"{run.name}.safetensors"))
        with torch.no_grad():
            logits, _ = names["model"](tokens_of(names["vocabulary"], held.read_text()[:200])[:, None])
        check(f"{name}, trained here: logits in PyTorch", abs(logits[:, 0].numpy() - own).max(), 1e-4)
        ours, theirs = own_loss(run, held), torch_loss(names["model"], names["vocabulary"], held.read_text())
        check(f"{name}, trained here: loss {ours:.6f}, in PyTorch {theirs:.6f}", relative(theirs, ours), 1e-5)
        # That the comparison sees a mistake: the recurrent matrix, of each gate, the wrong way round.
        with torch.no_grad():
            w = names["model"].rnn.weight_hh_l0
            w.copy_(torch.cat([gate.T for gate in w.split(w.shape[1])]))
        wrong = relative(torch_loss(names["model"], names["vocabulary"], held.read_text()), ours)
        check(f"{name}: 1e-5 over the error {wrong:.1e} of a transposed W_hh", 1e-5 / wrong, 1e-1)


def trained_in_torch(folder, train, held):
    content = train.read_text()
    # In the order in which they come, not that of their code points.
    vocabulary = list(dict.fromkeys(content))
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))
    kinds = [(1, "tanh", True), (2, "relu", False), (3, "tanh", True)]
    kinds += [(1, "GRU", True), (2, "GRU", False), (3, "GRU", True), (1, "LSTM", False), (2, "LSTM", True), (3, "LSTM", True)]
    for layers, kind, bias in kinds:
        name = f"{layers} {kind}{'' if bias else ', no bias'}"
        torch.manual_seed(layers)
        plain = kind in ("tanh", "relu")
        cell, more = (torch.nn.RNN, {"nonlinearity": kind}) if plain else (getattr(torch.nn, kind), {})

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.rnn = cell(len(vocabulary), 24, layers, bias=bias, **more)
                self.head = torch.nn.Linear(24, len(vocabulary), bias=bias)

            def forward(self, tokens, state=None):
                y, state = self.rnn(torch.nn.functional.one_hot(tokens, len(vocabulary)).float(), state)
                return self.head(y), state

        model, lr = Model(), {"tanh": 0.5, "relu": 0.05}.get(kind, 1.0)
        sgd(model, tokens_of(vocabulary, content), 60, lr)
        file, run, more = folder / f"torch-{layers}-{kind}.safetensors", folder / f"imported-{layers}-{kind}", folder / f"more-{layers}-{kind}"
        save_file(model.state_dict(), file)
        program("import", file, run, "--vocabulary", folder / "vocabulary.json", *(["--activation", kind] if plain else []))
        ours, theirs = own_loss(run, held), torch_loss(model, vocabulary, held.read_text())
        check(f"{name}, trained in PyTorch: loss {theirs:.6f}, here {ours:.6f}", relative(ours, theirs), 1e-5)
        # On both sides from the same weights: bias_hh is added to bias_ih and zero, but for that of nn.GRU's n.
        names = loaded(program("export", run, folder / f"start-{layers}-{kind}.safetensors"))
        before = {n: t.clone() for n, t in names["model"].state_dict().items()}
        sgd(names["model"], tokens_of(names["vocabulary"], content), 20, lr)
        flags = ["--optimizer", "sgd", "--lr", lr, "--clip-norm", 0, "--updates", 20, "--batch", 8, "--truncation", "regular:32", "--val-fraction", 0]
        flags += ["--schedule", "constant", "--warmup", 0]
        program("train", train, "--from", run, "--out", more, *flags, "--device", "cpu", "--sample", 0, "--quiet")
        here = load_file(more / "model.safetensors")
        there = names["model"].state_dict()
        far = max(((here[n] - t).norm() / t.norm()).item() for n, t in there.items() if t.norm() > 0)
        check(f"{name}: 20 updates of SGD on each side, the worst tensor", far, 1e-4)
        moved = {n: (t - before[n]).norm().item() for n, t in there.items() if t.norm() > 0}
        far = max(((here[n] - there[n]).norm().item() / m) for n, m in moved.items())
        check(f"{name}: the same, against how far that moved", far, 1e-3)


def series(folder):
    """Models of numeric series: the loss of a table, each row once, against `eval`."""
    rows = numpy.arange(500)
    x = numpy.sin(rows / 4) + 0.02 * rows + 0.05 * numpy.random.default_rng(0).normal(size=500)
    columns = {"x": x, "y": numpy.roll(x, 2) ** 2}
    table = folder / "table.csv"
    table.write_text("x,y\n" + "".join(f"{a!r},{b!r}\n" for a, b in zip(*(c.tolist() for c in columns.values()))))
    for loss, difference in [("squared", "none"), ("absolute", "targets"), ("squared", "all")]:
        run = folder / f"series-{loss}-{difference}"
        flags = ["--target", "y,x", "--horizon", 3, "--loss", loss, f"--difference={difference}", "--hidden", 13, "--layers", 2, "--updates", 100]
        program("train", table, "--out", run, *flags, "--device", "cpu", "--quiet")
        # The last model on both sides; its file, since a run of series is scored on what it held out.
        ours = json.loads(program("eval", run / "model.safetensors", table, "--device", "cpu", "--json", "--quiet"))["loss"]
        names = loaded(program("export", run, folder / f"{run.name}.safetensors", "--last-model"))
        s = names["series"]
        scaled = lambda values, scale: (values - scale["mean"]) / scale["deviation"]
        read, steps = [], 500 - 3
        for name, scale in zip(s["features"], s["inputs"]):
            c = columns[name]
            if s["difference"] == "all":
                read.append(numpy.concatenate([[0.0], scaled(numpy.diff(c), scale)]))
            else:
                read.append(scaled(c, scale))
        wanted = []
        for i, scale in enumerate(s["outputs"]):
            h, c = i // len(s["targets"]) + 1, columns[s["targets"][i % len(s["targets"])]]
            last = c[:steps] if s["difference"] != "none" else 0.0
            wanted.append(scaled(c[h : h + steps] - last, scale))
        with torch.no_grad():
            out, _ = names["model"](torch.tensor(numpy.stack(read, 1)[:steps, None], dtype=torch.float32))
        error = out[:, 0].double() - torch.tensor(numpy.stack(wanted, 1))
        theirs = (error**2 if loss == "squared" else error.abs()).mean().item()
        check(f"series, {loss} error, difference {difference}: loss {ours:.6f}, in PyTorch {theirs:.6f}", relative(theirs, ours), 1e-5)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        train, held = folder / "train.txt", folder / "held.txt"
        train.write_text(text[:50_000])
        known = set(text[:50_000])
        held.write_text("".join(c for c in text[50_000:] if c in known))
        trained_here(folder, train, held)
        trained_in_torch(folder, train, held)
        series(folder)
    sys.exit(failed)
