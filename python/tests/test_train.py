"""Training on every kind of data."""

from __future__ import annotations

import json
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, TEXT, program, python, wave

import retrograd as rg


def test_a_path_is_trained_on_as_by_the_command_line(book: Path) -> None:
    run = rg.train("book.txt", **SMALL)
    assert run.folder == Path("runs/book")
    assert rg.train(book, **SMALL).folder == Path("runs/book-2")
    assert (run.folder / "report.html").is_file() and (run.folder / "checkpoint.safetensors").is_file()


@pytest.mark.parametrize(
    "words",
    [
        {"hidden": 16, "updates": 30, "seed": 3},
        {"cell": "lstm", "hidden": 16, "layers": 2, "dropout": 0.1, "updates": 25, "lr": 0.01, "truncation": "random:0.9"},
        {"cell": "gru", "hidden": 12, "updates": 20, "lines": True, "val_fraction": 0.25},
        {"task": "recall:4,5", "hidden": 8, "updates": 20, "examples": 200},
        {"target": "load", "horizon": 3, "cell": "gru", "updates": 30},
    ],
)
def test_the_command_line_gives_the_same_bytes(book: Path, tmp_path: Path, words: dict[str, object]) -> None:
    data = None if "task" in words else "book.txt"
    if "target" in words:
        data = "wave.csv"
        pd.DataFrame(wave()).to_csv(tmp_path / data, index=False)
    run = rg.train(data, out="python", device="cpu", progress=False, **words)
    flags = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in words.items()]
    told = subprocess.run([program(), "train", *([data] if data else []), *flags, "--device=cpu", "--out=shell", "--quiet"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    for name in ("model.safetensors", "best.safetensors"):
        assert Path("python", name).read_bytes() == Path("shell", name).read_bytes(), name
    assert run.config["text_checksum"] in Path("shell/config.toml").read_text()


def test_text_bytes_and_ids_are_data_in_memory(tmp_path: Path) -> None:
    by_text = rg.train(text=TEXT, **SMALL)
    assert by_text.model == rg.train(TEXT.encode(), **SMALL).model
    known = by_text.model.vocabulary
    ids = np.array([known.index(c) for c in TEXT])
    by_ids = rg.train(ids, **SMALL)
    assert by_ids.model.config["symbols"] == "ids" and by_ids.model.config["outputs"] == len(known)
    for name, tensor in by_text.model.state_dict().items():
        np.testing.assert_array_equal(tensor, by_ids.model.state_dict()[name])
    assert rg.train(ids.astype(np.uint8), symbols=40, **SMALL).model.config["outputs"] == 40
    assert by_ids.sample([1, 2], length=5)[:2] == [1, 2] and len(by_ids.sample([1, 2], length=5)) == 7
    assert not any(tmp_path.iterdir()), "no file is written where the process runs"


def test_figures_and_pages(book: Path) -> None:
    run = rg.train("book.txt", val_every=5, log_every=5, **SMALL)
    assert [line["update"] for line in run.metrics if line["mean_loss"] is not None] == [1, 5, 10]
    assert [line["update"] for line in run.metrics if line["val_bpc"] is not None] == [5, 10]
    frame = pd.DataFrame(run.metrics)
    assert len(frame) == 5 and frame["update"].notna().all()
    assert run.summary["updates"] == 10 and run.config["hidden"] == 8 and not run.stopped
    assert run._repr_html_().startswith("<iframe") and "rg.train(" in run.report and "retrograd train" not in run.report


def test_a_callback_sees_reports_and_stops_the_run(book: Path) -> None:
    seen: list[int] = []

    def on_report(line: dict[str, object]) -> bool:
        seen.append(line["update"])
        return len(seen) < 3

    run = rg.train("book.txt", log_every=10, on_report=on_report, **SMALL | {"updates": 1000})
    assert seen == [1, 10, 20] and run.stopped and 20 <= run.summary["updates"] <= 21
    with pytest.raises(ZeroDivisionError):
        rg.train("book.txt", on_report=lambda line: 1 / 0, **SMALL)
    again = rg.train(resume=run.folder, updates=30, progress=False)
    assert again.summary["updates"] == 30


def test_a_run_goes_on_with_the_same_bytes(book: Path) -> None:
    whole = rg.train("book.txt", schedule="constant", **SMALL | {"updates": 20})
    part = rg.train("book.txt", schedule="constant", **SMALL)
    assert rg.train(resume=part.folder, updates=20, progress=False).model == whole.model
    array = np.array([wave()["load"]], dtype=np.float32).T
    options = {"target": 0, "hidden": 8, "schedule": "constant", "device": "cpu", "progress": False}
    whole = rg.train(array, updates=20, out="whole", **options)
    rg.train(array, updates=10, out="part", **options)
    assert rg.load(rg.train(array, resume="part", updates=20, progress=False).folder, which="last") == rg.load("whole", which="last")
    with pytest.raises(ValueError, match="not what this run was trained on"):
        rg.train(array[1:], resume="part", updates=30, progress=False)


def test_a_table_of_labelled_texts() -> None:
    frame = pd.DataFrame({"text": ["good day", "bad day", "good night", "bad night"] * 10, "label": [1, 0, 1, 0] * 10})
    run = rg.train(frame, label_column="label", **SMALL | {"updates": 100})
    assert run.model.labels == ["0", "1"] and run.summary["best_val_accuracy"] is not None


def test_models_are_saved_loaded_and_pickled(book: Path) -> None:
    run = rg.train("book.txt", **SMALL)
    model = run.model
    model.save("a.safetensors")
    model.save("a.onnx")
    assert rg.load("a.safetensors") == model == pickle.loads(pickle.dumps(model)) and Path("a.onnx").stat().st_size > 100
    assert model.decode(model.encode("the dog")) == "the dog"
    assert "retrograd.Model" in repr(model) and rg.load(run.folder, which="best").config == model.config
    assert model.sample("the", length=10, seed=1) == run.sample("the", length=10, seed=1)


def test_logits_are_those_of_the_equations(book: Path) -> None:
    for cell in ("rnn", "gru", "lstm"):
        model = rg.train("book.txt", cell=cell, layers=2, **SMALL).model
        ids = np.array([model.encode("the quick"), model.encode("lazy dog\n")])
        out = model.logits(ids)
        assert out.shape == (2, 9, model.config["outputs"]) and out.dtype == np.float32
        np.testing.assert_allclose(out, reference(model.state_dict(), cell, ids), rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(model.logits(ids[0]), out[0], rtol=1e-5, atol=1e-6)
        long = np.resize(ids[0], 5000)
        np.testing.assert_allclose(model.logits(long)[:9], out[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.logits(np.asfortranarray(ids.T).T[:, ::1]), out)
        assert model.logits(ids.tolist()).shape == out.shape


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def reference(state: dict[str, np.ndarray], cell: str, ids: np.ndarray) -> np.ndarray:
    """PyTorch's equations in NumPy, f64."""
    state = {name: tensor.astype(np.float64) for name, tensor in state.items()}
    x = np.eye(state["rnn.weight_ih_l0"].shape[1])[ids]
    for k in range(2):
        w, u, b, c = (state[f"rnn.{name}_l{k}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h = np.zeros((len(ids), u.shape[1]))
        s, out = np.zeros_like(h), []
        for t in range(x.shape[1]):
            a, q = x[:, t] @ w.T + b, h @ u.T + c
            if cell == "rnn":
                h = np.tanh(a + q)
            elif cell == "lstm":
                i, f, g, o = np.split(a + q, 4, axis=1)
                s = sigmoid(f) * s + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(s)
            else:
                (r, z, n), (qr, qz, qn) = np.split(a, 3, axis=1), np.split(q, 3, axis=1)
                z = sigmoid(z + qz)
                h = (1 - z) * np.tanh(n + sigmoid(r + qr) * qn) + z * h
            out.append(h)
        x = np.stack(out, axis=1)
    return x @ state["head.weight"].T + state["head.bias"]


def test_analyses_show_pages(book: Path) -> None:
    flow = rg.gradflow(rg.train("book.txt", **SMALL), lags=8, lanes=4, windows=1, warm_up=4, device="cpu")
    assert flow["suggested_tau"] is None or flow["suggested_tau"] >= 1
    plan = rg.plan("book.txt", truncation="full", device="cpu")
    checked = rg.gradcheck("cpu")
    assert checked["passes"] and len(checked["checks"]) > 10
    compared = rg.compare("book.txt", strategies=["regular:4"], updates=3, length=16, draws=2, hidden=8, batch=4, device="cpu")
    assert [s["truncation"] for s in compared["strategies"]] == ["full", "regular:4"]
    for page in (flow, plan, checked, compared, rg.devices()):
        assert json.dumps(page) and page._repr_html_().startswith(("<iframe", "<svg")), page


def test_the_example_of_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    code = readme.split("```python\n")[1].split("```")[0]
    for hidden in ("", "import sys; sys.modules['numpy'] = None\n"):
        done = python(hidden + code)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) >= 4
