"""Trained models."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from . import _data, _retrograd

_MODELS = ("model.safetensors", "best.safetensors")


class Model:
    """A model: of a run, of a file (`load`), or of PyTorch (`from_torch`).

    >>> import retrograd as rg
    >>> model = rg.train(text="abc" * 400, hidden=8, updates=5, progress=False).model
    >>> model.logits([0, 1, 2]).shape
    (3, 3)
    """

    def __init__(self, inner: _retrograd._Model, separator: str | None = None) -> None:
        self._inner = inner
        self._separator = separator

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its architecture, and what it reads and predicts.

        >>> import retrograd as rg
        >>> run = rg.train(text="abc" * 400, cell="gru", hidden=8, updates=5, progress=False)
        >>> run.model.config["cell"], run.model.config["hidden"], run.model.config["symbols"]
        ('gru', 8, 'characters')
        """
        described: dict[str, Any] = json.loads(self._inner.described())
        return described

    @property
    def labels(self) -> list[str] | None:
        """The labels that it predicts, in the order of its outputs."""
        found: list[str] | None = self.config["labels"]
        return found

    @cached_property
    def vocabulary(self) -> list[str] | None:
        """The symbols that it reads, in the order of their ids; None if it reads numbers."""
        return self._inner.vocabulary()

    def encode(self, text: str) -> Any:
        """The ids of a text's symbols. Raises ValueError for a symbol that the model does not know."""
        ids = self._inner.encode(text)
        np = _data.numpy()
        return ids if np is None else np.asarray(ids, dtype=np.uint32)

    def decode(self, ids: Any) -> str:
        """The text of ids."""
        return self._inner.decode(_ids(ids)).decode("utf-8", "replace")

    def logits(self, inputs: Any) -> Any:
        """Logits after each step, float32 `[T, V]` or `[B, T, V]`: of the next symbol, or of the labels.

        `inputs` are ids `[T]` or `[B, T]`, or numbers `[T, D]` or `[B, T, D]` (in the units of the training data). Sequences begin with a state of
        zero and are read side by side, on all cores. Raises ValueError if the model does not read that.
        """
        raw, shape = self._inner.logits(_data.as_array(inputs))
        return _data.shaped(raw, shape, "f")

    def sample(
        self, prompt: str | Any = "", length: int = 500, *, temperature: float = 0.7, top_k: int | None = None, seed: int = 0
    ) -> Any:
        """The text that the model writes after a prompt, which begins it; a list of ids if it was trained on ids.

        At temperature 0 it takes the likeliest symbol, at 1 it samples what it has learned; `top_k` samples from the k likeliest only.

        >>> import retrograd as rg
        >>> run = rg.train(text="abc" * 400, hidden=16, updates=200, progress=False)
        >>> run.model.sample("ab", length=4, temperature=0)
        'abcabc'
        """
        _whole("length", length, 0)
        _whole("seed", seed, 0)
        if top_k is not None:
            _whole("top_k", top_k, 1)
        if not isinstance(temperature, (int, float)) or not 0 <= temperature < float("inf"):
            raise ValueError(f"`temperature` is {temperature!r}; expected 0 or a number above 0")
        first = self._inner.encode(prompt) if isinstance(prompt, str) else _ids(prompt)
        found = self._inner.sample(first, length, float(temperature), top_k or 0, seed, self._separator)
        if self.config["symbols"] == "ids":
            return [*first, *found]
        return self._inner.decode([*first, *found]).decode("utf-8", "replace")

    def state_dict(self) -> dict[str, Any]:
        """Its tensors under PyTorch's names (`rnn.weight_ih_l0`, ..., `head.weight`), float32: NumPy arrays where NumPy is installed.

        >>> import retrograd as rg
        >>> state = rg.train(text="abc" * 400, cell="lstm", hidden=8, updates=5, progress=False).model.state_dict()
        >>> state["rnn.weight_hh_l0"].shape, state["head.bias"].shape
        ((32, 8), (3,))
        """
        return {name: _data.shaped(raw, shape, "f") for name, raw, shape in self._inner.tensors()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file: safetensors, or ONNX if its name ends so. Raises OSError if it can't be written."""
        if os.fspath(path).endswith(".onnx"):
            self._inner.save_onnx(os.fspath(path))
        else:
            self._inner.save(os.fspath(path))

    def __repr__(self) -> str:
        c = self.config
        what = {"text": "the next symbol", "labels": "labels", "series": "series"}[c["predicts"]]
        return f"<retrograd.Model: {c['cell']}, {c['layers']} x {c['hidden']}, {c['parameters']} parameters, predicts {what}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_bytes, (self._inner.to_bytes(), self._separator)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self._inner.to_bytes() == other._inner.to_bytes()

    __hash__ = None  # type: ignore[assignment]


def _of_bytes(raw: bytes, separator: str | None) -> Model:
    return Model(_retrograd._Model.from_bytes(raw), separator)


def load(path: str | os.PathLike[str], *, which: Literal["default", "best", "last"] = "default") -> Model:
    """The model of a run's folder, or of a file.

    Of a run, "last" is that of the end, "best" the one with the lowest validation loss; by default the best for series and labels, else the last. Raises
    FileNotFoundError if there is none, ValueError if the file is none.

    >>> import retrograd as rg, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = rg.train(text="abc" * 400, hidden=8, updates=5, out=pathlib.Path(folder) / "abc", progress=False)
    ...     rg.load(run.folder) == run.model
    True
    """
    if which not in ("default", "best", "last"):
        raise ValueError(f"`which` is {which!r}; expected default, best or last")
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"expected a path, found {type(path).__name__}")
    if not Path(path).exists():
        raise FileNotFoundError(f"{os.fspath(path)} is not there; give the folder of a run, or a model file")
    inner, _, separator = _retrograd._Model.load(os.fspath(path), which)
    return Model(inner, separator)


def from_torch(module: Any, head: Any, vocabulary: str | list[str] | Literal["bytes"]) -> Model:
    """The model of PyTorch modules: an `nn.RNN`, `nn.GRU` or `nn.LSTM` over one-hot symbols, and the `nn.Linear` after it.

    `vocabulary` holds the symbols in the order of their ids, one character each; or is "bytes" for all 256 bytes. Raises ValueError if the modules do not fit.
    """
    names = {"RNN": None, "GRU": None, "LSTM": None}
    if type(module).__name__ not in names or not hasattr(head, "state_dict"):
        raise TypeError(f"expected an nn.RNN, nn.GRU or nn.LSTM and an nn.Linear, found {type(module).__name__} and {type(head).__name__}")
    if getattr(module, "bidirectional", False) or getattr(module, "proj_size", 0):
        raise ValueError("bidirectional modules and projections are not supported; give a plain one")
    activation = getattr(module, "nonlinearity", None) if type(module).__name__ == "RNN" else None
    tensors = {f"rnn.{name}": t for name, t in module.state_dict().items()} | {f"head.{name}": t for name, t in head.state_dict().items()}
    symbols = None if vocabulary == "bytes" else list(vocabulary)
    file = _safetensors(tensors)
    return Model(_retrograd._Model.foreign(file, vocabulary=symbols, symbols_are_bytes=symbols is None, activation=activation))


def _safetensors(tensors: Mapping[str, Any]) -> bytes:
    """A safetensors file of tensors of torch."""
    header: dict[str, Any] = {}
    content: list[bytes] = []
    at = 0
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().float().contiguous()
        flat = tensor.reshape(-1)
        raw = flat.numpy().tobytes() if _data.numpy() is not None else _packed(flat.tolist())
        if sys.byteorder == "big":
            raise ValueError("tensors of machines with the highest byte first can't be taken over")
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        content.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(content)


def _packed(numbers: list[float]) -> bytes:
    from array import array

    return array("f", numbers).tobytes()


def _ids(ids: Any) -> list[int]:
    found = memoryview(_data.as_array(ids))
    if found.ndim != 1 or found.format in ("f", "d"):
        raise TypeError("expected a list of ids, or a text")
    listed = [int(i) for i in found.tolist()]
    if any(not 0 <= i < 2**32 for i in listed):
        raise ValueError("ids are whole numbers from 0 on")
    return listed


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"`{name}` is {value!r}; expected a whole number, {least} or more")
