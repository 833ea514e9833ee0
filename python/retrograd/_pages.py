"""Analyses, as dicts that show their page in a notebook."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _retrograd, _settings
from ._model import Model, load
from ._train import Run, _by_line, _data_of, framed

if TYPE_CHECKING:
    from typing import Unpack

    from ._keywords import Settings


class Page(dict[str, Any]):
    """Results, and their page: `page` is HTML, or an SVG picture, that fetches nothing."""

    def __init__(self, results: dict[str, Any], page: str, height: int = 640) -> None:
        super().__init__(results)
        #: The page.
        self.page = page
        self._height = height

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the page."""
        Path(path).write_text(self.page, "utf-8")

    def _repr_html_(self) -> str:
        return self.page if self.page.startswith("<svg") else framed(self.page, self._height)


def compare(
    data: Any = None,
    *,
    text: str | bytes | None = None,
    strategies: Sequence[str] = _retrograd.STRATEGIES,
    updates: int = 600,
    length: int = 512,
    draws: int = 100,
    progress: bool | None = None,
    **settings: Any,
) -> Page:
    """Compares strategies of truncation on the same model and text: losses, speed, and the bias and spread of the gradient.

    Returns a dict that shows its page in a notebook. Raises as `train` does.

    >>> import retrograd as rg
    >>> found = rg.compare(text="abcd" * 2000, strategies=["full", "regular:4"], updates=4, length=32, draws=2, hidden=8, batch=4)
    >>> [s["truncation"] for s in found["strategies"]]
    ['full', 'regular:4']
    """
    others = ("text", "strategies", "updates", "length", "draws", "progress")
    words = _settings.words("compare", settings, others, _retrograd.COMPARED)
    path, memory = _data_of(data, text, None, {})
    if isinstance(strategies, str):
        strategies = [strategies]
    shown = progress if progress is not None else False

    def on_event(line: str) -> None:
        if shown:
            print(line)

    for name, value, least in (("updates", updates, 1), ("length", length, 2), ("draws", draws, 2)):
        _between(name, value, least)
    results, page = _retrograd._compare(
        words, text=path, data=memory, strategies=list(strategies), updates=updates, length=length, draws=draws, on_event=on_event
    )
    return Page(json.loads(results), page)


def gradflow(
    model: Run | Model | str | os.PathLike[str] | None = None,
    data: Any = None,
    *,
    text: str | bytes | None = None,
    separator: str | None = None,
    lags: int | None = None,
    lanes: int = 32,
    windows: int = 8,
    warm_up: int = 128,
    tolerance: float = 0.1,
    seed: int = 0,
    device: str = "auto",
    **settings: Any,
) -> Page:
    """Measures how the gradient of single losses flows back through time: how fast it fades, why, and which window that suggests.

    Of a run, it is measured on the run's own text unless `data` or `text` gives another; without a model, a fresh one is measured, of these settings.
    Returns a dict that shows its page in a notebook.

    >>> import retrograd as rg
    >>> flow = rg.gradflow(text="abcd" * 2000, hidden=8, lags=16, lanes=4, windows=1, warm_up=8, device="cpu")
    >>> flow["verdict"] in ("vanishing", "stable", "exploding")
    True
    """
    others = ("text", "separator", "lags", "lanes", "windows", "warm_up", "tolerance", "seed", "device")
    words = _settings.words("gradflow", settings, others, _retrograd.FRESH)
    path, memory = _data_of(data, text, None, {})
    found: Model | None = None
    if isinstance(model, Run):
        found = model.model
        if path is None and memory is None and found.config["task"] is None:
            path = model.config.get("text")
            if path is None:
                raise ValueError("the run's text was given in memory; give it again by `data` or `text`")
    elif isinstance(model, Model):
        found = model
    elif isinstance(model, (str, os.PathLike)):
        found = load(model)
        folder = Path(model)
        if path is None and memory is None and folder.is_dir():
            path = Run(folder, {}, False, [], None).config.get("text")
    elif model is not None:
        raise TypeError(f"expected a run, a model or a path, found {type(model).__name__}")
    if found is not None and words:
        raise ValueError(f"`{next(iter(words))}` is for a fresh model, and a trained one is given; leave one of the two out")
    if found is not None and path is None and memory is None and found.config["task"] is None:
        raise ValueError("a model has no text of its own; give one by `data` or `text`")
    for name, value, least in (("lanes", lanes, 1), ("windows", windows, 1), ("warm_up", warm_up, 0), ("seed", seed, 0), ("lags", lags or 1, 1)):
        _between(name, value, least)
    if not isinstance(tolerance, (int, float)) or not 0 < tolerance < 1:
        raise ValueError(f"`tolerance` is {tolerance!r}; expected a number between 0 and 1, such as 0.1")
    if separator is None and found is not None:
        separator = found._separator
    results, page = _retrograd._gradflow(
        words,
        model=None if found is None else found._inner,
        text=path,
        data=memory,
        separator=separator,
        lags=lags,
        lanes=lanes,
        windows=windows,
        warm_up=warm_up,
        tolerance=float(tolerance),
        seed=seed,
        device=str(device),
    )
    return Page(json.loads(results), page)


def plan(
    data: Any = None,
    *,
    text: str | bytes | None = None,
    lines: bool = False,
    stream: bool = False,
    symbols: int | None = None,
    config: str | os.PathLike[str] | None = None,
    **settings: Unpack[Settings],
) -> Page:
    """What a memory budget buys: how a window is processed, in how many bytes and how much time. Trains nothing; takes the keywords of `train`.

    >>> import retrograd as rg
    >>> rg.plan(text="abcd" * 5000, truncation="full", memory_budget="8MiB", device="cpu")["device_bytes"] <= 8 << 20
    True
    """
    given = dict(settings)
    words = _settings.words("plan", given, ("text", "lines", "stream", "symbols", "config"))
    _by_line(words, lines, stream)
    path, memory = _data_of(data, text, symbols, given)
    results, picture = _retrograd._plan(words, text=path, data=memory, stream=stream, config=None if config is None else os.fspath(config))
    return Page(json.loads(results), picture)


def devices() -> Page:
    """The devices to train on: adapters with their limits and kernel variants, and the CPU.

    >>> import retrograd as rg
    >>> rg.devices()["cpu"]["threads"] >= 1
    True
    """
    found = json.loads(_retrograd._devices())
    rows = [[f"gpu:{a['index']}", a.get("name", ""), a.get("driver", ""), a.get("backend", "")] for a in found["adapters"]]
    rows.append(["cpu", f"{found['cpu']['threads']} threads", "", ""])
    return Page(found, _table("Devices", ["device", "name", "driver", "backend"], rows), 60 + 40 * len(rows))


def gradcheck(device: str | None = None) -> Page:
    """Checks the gradients of the CPU and every adapter, or of one device, against an f64 reference, and that against finite differences.

    >>> import retrograd as rg
    >>> rg.gradcheck("cpu")["passes"]
    True
    """
    if device is not None and not isinstance(device, str):
        raise TypeError(f"`device`: expected cpu, gpu or gpu:INDEX, found {type(device).__name__}")
    found = json.loads(_retrograd._gradcheck(device))
    rows = [[c["device"], c["case"], c["tensor"], f"{c['relative_error']:.1e}" if c["relative_error"] is not None else "-", "ok" if c["passes"] else "FAIL"]
            for c in found["checks"]]
    return Page(found, _table("Gradient check", ["device", "case", "worst tensor", "relative error", ""], rows))


def _between(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**32:
        raise ValueError(f"`{name}` is {value!r}; expected a whole number, {least} or more")


def _table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    def cells(tag: str, row: list[str]) -> str:
        return "".join(f"<{tag} style='text-align:left;padding:0 1em 0 0'>{html.escape(str(c))}</{tag}>" for c in row)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<!doctype html><meta charset='utf-8'><title>{title}</title><table style='font-family:sans-serif'><tr>{cells('th', heads)}</tr>{body}</table>"


__all__ = ["Page", "compare", "devices", "gradcheck", "gradflow", "plan"]
