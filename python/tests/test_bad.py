"""Bad calls: the right exception, in one line, and never a panic."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import TEXT, wave

import retrograd as rg

FRAME = pd.DataFrame(wave(100))
TINY = {"hidden": 4, "updates": 3, "device": "cpu", "progress": False}


def train(data: object = None, **words: object) -> object:
    return rg.train(data, **TINY | words)


def of_text(**words: object) -> object:
    return rg.train(text=TEXT, **TINY | words)


def fitted() -> rg.Forecaster:
    return rg.Forecaster("load", 2, **TINY).fit(FRAME)


def model() -> rg.Model:
    return of_text().model


def classify(X: object, y: object, **words: object) -> object:
    return rg.SequenceClassifier(**TINY | words).fit(X, y)


def with_cell(value: object) -> pd.DataFrame:
    frame = FRAME.copy()
    frame["wind"] = frame["wind"].astype(object)
    frame.loc[3, "wind"] = value
    return frame


BAD: list[tuple[str, type[BaseException], str, Callable[[], object]]] = [
    ("an unknown keyword", TypeError, "unexpected keyword argument 'hiden'; did you mean 'hidden'", lambda: of_text(hiden=3)),
    ("a keyword of the flags", TypeError, "did you mean 'clip_norm'", lambda: of_text(**{"clip-norm": 3})),
    ("a keyword of another function", TypeError, "unexpected keyword argument 'epochs'", lambda: rg.compare(text=TEXT, epochs=3)),
    ("an unknown keyword of plan", TypeError, "did you mean 'truncation'", lambda: rg.plan(text=TEXT, truncaton="full")),
    ("a word for a number", ValueError, "`hidden` many: expected a whole number", lambda: of_text(hidden="many")),
    ("a fraction of a unit", ValueError, "`hidden` 2.5: expected a whole number", lambda: of_text(hidden=2.5)),
    ("a list for a number", TypeError, "`hidden`: expected H, found list", lambda: of_text(hidden=[3])),
    ("no unit", ValueError, "`hidden` 0: expected a whole number, 1 or more", lambda: of_text(hidden=0)),
    ("less than none", ValueError, "`updates` -1", lambda: of_text(updates=-1)),
    ("a switch that is a number", TypeError, "`no_bias`: expected True or False", lambda: of_text(no_bias=3)),
    ("a number that is a switch", TypeError, "`hidden`: expected H, found True", lambda: of_text(hidden=True)),
    ("NaN for a rate", ValueError, "`lr` nan", lambda: of_text(lr=float("nan"))),
    ("an endless rate", ValueError, "`lr` inf", lambda: of_text(lr=float("inf"))),
    ("no such cell", ValueError, "`cell` ltsm: unknown value `ltsm`, expected one of rnn, gru, lstm", lambda: of_text(cell="ltsm")),
    ("no such strategy", ValueError, "`truncation` sometimes", lambda: of_text(truncation="sometimes")),
    ("no such budget", ValueError, "`memory_budget` lots", lambda: of_text(memory_budget="lots")),
    ("a budget that holds nothing", ValueError, "`memory_budget`", lambda: of_text(memory_budget="1KiB")),
    ("an activation of a gru", ValueError, "`activation` is for `cell` rnn", lambda: of_text(cell="gru", activation="relu")),
    ("two goals", ValueError, "exclude each other", lambda: of_text(epochs=2)),
    ("dropout with one layer", ValueError, "`dropout` drops units between layers", lambda: of_text(dropout=0.5)),
    ("no such device", rg.DeviceError, "there is no adapter 99", lambda: of_text(device="gpu:99")),
    ("no such kind of device", ValueError, "`device` tpu", lambda: of_text(device="tpu")),
    ("no such file", FileNotFoundError, "nothing.txt", lambda: train("nothing.txt")),
    ("a text for a path", ValueError, "a str is the path of a file; give a text by `text=`", lambda: train("a text\nof lines")),
    ("a folder for a file", OSError, "it is a directory", lambda: train(".")),
    ("a text and a path", TypeError, "give data or `text`, not both", lambda: rg.train("a.txt", text=TEXT)),
    ("an empty text", ValueError, "the text is empty", lambda: rg.train(text="", **TINY)),
    ("a text of one character", ValueError, "at least 2", lambda: rg.train(text="a", **TINY)),
    ("empty bytes", ValueError, "empty", lambda: train(b"")),
    ("bytes that are no text", ValueError, "not UTF-8", lambda: train(b"\xff\xfe\x00\x01abc" * 50)),
    ("a number for data", TypeError, "data of the type int can't be read", lambda: train(3)),
    ("a set for data", TypeError, "data of the type set can't be read", lambda: train({1, 2})),
    ("empty ids", ValueError, "empty", lambda: train(np.array([], dtype=int))),
    ("ids below 0", ValueError, "-1.* is no id", lambda: train(np.array([0, 1, -1] * 50))),
    ("ids beyond the symbols", ValueError, "there is the id 9, and ids are to be below 5", lambda: train(np.arange(10), symbols=5)),
    ("floats without a target", ValueError, "say by `target`", lambda: train(np.zeros((30, 2)))),
    ("complex numbers", ValueError, "Complex data not supported", lambda: train(np.zeros((30, 2), complex), target=0)),
    ("an array of texts", TypeError, "type <U1 can't be read", lambda: train(np.array([["a"] * 3] * 30), target=0)),
    ("an array of objects", (TypeError, ValueError), "no numbers", lambda: train(np.array([[object()]] * 30), target=0)),
    ("four axes", ValueError, "4 axes", lambda: train(np.zeros((2, 3, 4, 5)), target=0)),
    ("a frame without a target", ValueError, "say by `target` which column is to be forecast; there are load, wind", lambda: train(FRAME)),
    ("a target that is not there", KeyError, "no column 'lode'; its columns are load, wind", lambda: train(FRAME, target="lode")),
    ("a target that polars lacks", KeyError, "no column 'lode'; its columns are load, wind", lambda: train(pl.DataFrame(wave(100)), target="lode")),
    ("a feature that is not there", KeyError, "no column 'sun'", lambda: train(FRAME, target="load", features=["load", "sun"])),
    ("an empty frame", ValueError, "no rows", lambda: train(FRAME.iloc[:0], target="load")),
    ("a frame without columns", KeyError, "no column 'load'", lambda: train(pd.DataFrame(), target="load")),
    ("a short frame", ValueError, "4 rows", lambda: train(FRAME.iloc[:4], target="load", horizon=10)),
    ("NaN", ValueError, 'row 3, column "wind": NaN', lambda: train(with_cell(float("nan")), target="load")),
    ("infinity", ValueError, 'row 3, column "wind": infinity', lambda: train(with_cell(float("inf")), target="load")),
    ("beyond 32 bits", ValueError, "beyond 3.4e38", lambda: train(with_cell(1e300), target="load")),
    ("a text among numbers", ValueError, "is text, not a number", lambda: train(with_cell("x"), target="load")),
    ("a column twice", ValueError, "'load' twice", lambda: train(pd.concat([FRAME, FRAME], axis=1), target="load")),
    ("a column that never changes", ValueError, "the same in every row", lambda: train(pd.DataFrame({"a": [1.0] * 90}), target="a")),
    ("columns of different length", ValueError, "rows", lambda: train({"a": [1.0] * 90, "b": [2.0] * 80}, target="a")),
    ("a horizon of nothing", ValueError, "`horizon` 0", lambda: train(FRAME, target="load", horizon=0)),
    ("a setting of series for a text", ValueError, "`horizon` is about numeric series", lambda: of_text(horizon=3)),
    ("a folder that is taken", ValueError, "not empty", lambda: (Path("full").mkdir(), Path("full/x").touch(), of_text(out="full"))),
    ("a number for a folder", TypeError, "`out`: expected a path, found int", lambda: of_text(out=3)),
    ("nothing to resume", (ValueError, OSError), "not a folder", lambda: rg.train(resume="nothing", progress=False)),
    ("a callback that is none", TypeError, "`on_report`: expected a function", lambda: of_text(on_report=3)),
    ("no such answer to a lost device", ValueError, "`on_device_lost`", lambda: of_text(on_device_lost="pray")),
    ("no such model", FileNotFoundError, "nothing is not there", lambda: rg.load("nothing")),
    ("a file that is no model", ValueError, "not a whole safetensors file", lambda: (Path("x").write_bytes(b"abc" * 99), rg.load("x"))),
    ("a model of a number", TypeError, "expected a path", lambda: rg.load(3)),
    ("a choice of models", ValueError, "`which`", lambda: rg.load(".", which="first")),
    ("ids that the model does not know", ValueError, "there is no symbol 99", lambda: model().logits([0, 99])),
    ("logits of floats", TypeError, "ids are whole numbers", lambda: model().logits([0.5])),
    ("logits of nothing", (TypeError, ValueError), "array is empty|floats", lambda: model().logits([])),
    ("logits of three axes", ValueError, "3 axes", lambda: model().logits(np.zeros((1, 2, 3), int))),
    ("logits of a text", TypeError, "expected an array", lambda: model().logits("abc")),
    ("logits of series", ValueError, "forecast with it", lambda: fitted().model_.logits(np.zeros((5, 2)))),
    ("a prompt that the model does not know", ValueError, "'é'", lambda: model().sample("é")),
    ("a length below 0", ValueError, "`length`", lambda: model().sample("the", length=-1)),
    ("a temperature below 0", ValueError, "`temperature`", lambda: model().sample("the", temperature=-1)),
    ("a sample of series", ValueError, "writes nothing", lambda: fitted().run_.sample([1])),
    ("a forecast beyond the horizon", ValueError, "`n` is 3, and the model forecasts 1 to 2 rows", lambda: fitted().predict(3)),
    ("a frame for a number of rows", TypeError, "`n`: expected a number of rows", lambda: fitted().predict(FRAME)),
    ("a forecast from a frame without columns", KeyError, "no column 'wind'", lambda: fitted().predict(2, data=FRAME[["load"]])),
    ("a forecast before fit", ValueError, "not fitted yet", lambda: rg.Forecaster("load").predict(1)),
    ("no target at all", ValueError, "say by `target`", lambda: rg.Forecaster(**TINY).fit(FRAME)),
    ("a parameter that is not there", ValueError, "Invalid parameter 'lods'", lambda: rg.Forecaster().set_params(lods=3)),
    ("labels that are missing", ValueError, "inconsistent numbers of samples", lambda: classify(np.zeros((4, 3)), [0, 1])),
    ("one label", ValueError, "only one class", lambda: classify(np.random.rand(4, 3), [1] * 4)),
    ("NaN in X", ValueError, "NaN", lambda: classify([[1.0, float("nan")]] * 4, [0, 1, 0, 1])),
    ("X of one axis", ValueError, "Expected 2D array, got 1D array", lambda: classify(np.zeros(4), [0, 1, 0, 1])),
    ("an empty sequence", ValueError, "0 feature", lambda: classify(np.zeros((4, 0)), [0, 1, 0, 1])),
    ("an empty text", ValueError, "text 1 is empty", lambda: classify(["a", "", "b", "c"], [0, 1, 0, 1])),
    ("a strategy that is none", ValueError, "often", lambda: rg.compare(text=TEXT, strategies=["often"], updates=2)),
    ("a text that is too short to compare", ValueError, ".", lambda: rg.compare(text="ab", updates=2)),
    ("a tolerance of 2", ValueError, "`tolerance`", lambda: rg.gradflow(text=TEXT, tolerance=2)),
    ("a model and settings", ValueError, "`hidden` is for a fresh model", lambda: rg.gradflow(model(), text=TEXT, hidden=3)),
    ("a model without a text", ValueError, "no text of its own", lambda: rg.gradflow(model())),
    ("gradients of series", ValueError, "series", lambda: rg.gradflow(fitted().model_, text=TEXT)),
    ("a check of no device", (ValueError, rg.DeviceError), "99|tpu", lambda: rg.gradcheck("tpu")),
    ("a module that is none", TypeError, "expected an nn.RNN", lambda: rg.from_torch(3, 4, "ab")),
]


@pytest.mark.parametrize("what", BAD, ids=[b[0] for b in BAD])
def test_a_bad_call(what: tuple[str, type[BaseException], str, Callable[[], object]], capfd: pytest.CaptureFixture[str]) -> None:
    _, kind, words, call = what
    with pytest.raises(kind) as found:
        call()
    text = str(found.value.args[0])
    lines = text.strip().splitlines()
    assert len(lines) == 1 and re.search(words, text, re.IGNORECASE), text
    assert not any(word in text for word in ("panicked", "a fault of retrograd", "--", "unwrap")), text
    assert type(found.value).__name__ != "PanicException"
    assert "panicked" not in "".join(capfd.readouterr())


def test_there_are_fifty() -> None:
    assert len(BAD) >= 50


def test_a_model_that_has_diverged_is_an_error() -> None:
    with pytest.raises((FloatingPointError, ValueError), match="lr"):
        of_text(lr=1e30, optimizer="sgd", clip_norm=0, updates=400, activation="identity", cell="rnn")
