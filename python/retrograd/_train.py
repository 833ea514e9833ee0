"""Training, and what has become of it."""

from __future__ import annotations

import atexit
import html
import json
import os
import tempfile
import tomllib
import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import _data, _retrograd, _settings
from ._model import Model, load
from ._progress import Progress
from ._retrograd import Data

if TYPE_CHECKING:
    from typing import Unpack

    from ._keywords import Settings

#: Keywords of `train` that are no settings.
OTHERS = ("text", "lines", "stream", "symbols", "out", "resume", "config", "progress", "on_report", "on_device_lost", "detect_anomaly")

atexit.register(_retrograd._stop_all)


class Run:
    """A training that has ended: its figures, its models, and its folder.

    A run on data in memory without `out=` has a temporary folder, which goes when the run and its models' owner do.
    """

    def __init__(self, folder: Path, summary: dict[str, Any], stopped: bool, notes: list[str], temporary: tempfile.TemporaryDirectory[str] | None) -> None:
        #: The folder of the run.
        self.folder = folder
        #: The figures at the end: losses, speed, bytes, ...
        self.summary = summary
        #: Whether a callback stopped it before its goal.
        self.stopped = stopped
        #: What was noted of its data and its device.
        self.notes = notes
        self._temporary = temporary

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """Reports and validations in their order: dicts with the same keys, so that `pandas.DataFrame(run.metrics)` works. Losses are in nats.

        >>> import retrograd as rg
        >>> run = rg.train(text="abc" * 400, hidden=8, updates=20, log_every=10, progress=False)
        >>> [line["update"] for line in run.metrics if line["train_loss"] is not None]
        [1, 10, 20]
        """
        path = self.folder / "metrics.jsonl"
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line] if path.exists() else []
        return [line for line in lines if "mean_loss" in line]

    @cached_property
    def model(self) -> Model:
        """The model: of series and labels the best by validation, else that of the end."""
        return load(self.folder)

    @cached_property
    def best(self) -> Model:
        """The model with the lowest validation loss. Raises FileNotFoundError if nothing was held out."""
        return load(self.folder, which="best")

    @cached_property
    def config(self) -> dict[str, Any]:
        """All settings that it was run with, by keyword."""
        table = tomllib.loads((self.folder / "config.toml").read_text("utf-8"))
        return {key.replace("-", "_"): value for key, value in table.items()}

    @cached_property
    def forecast(self) -> dict[str, Any] | None:
        """Of a run on series: the scores of the forecasts of the held-out rows beside naive ones; else None."""
        figures = ("horizon", "season", "scored_steps", "targets", "scaled_rmse", "scaled_mae", "by_series")
        return {name: self.summary[name] for name in figures} if "scaled_rmse" in self.summary else None

    def sample(self, prompt: str | Any = "", length: int = 500, *, temperature: float = 0.7, top_k: int | None = None, seed: int = 0) -> Any:
        """The text that the model writes after a prompt; see `Model.sample`."""
        return self.model.sample(prompt, length, temperature=temperature, top_k=top_k, seed=seed)

    @property
    def report(self) -> str:
        """Its page: losses, gradients, speed, memory, configuration; HTML that fetches nothing."""
        return _retrograd._report(os.fspath(self.folder))

    def _repr_html_(self) -> str:
        return framed(self.report)

    def __repr__(self) -> str:
        loss = self.summary.get("val_loss") if self.summary.get("val_loss") is not None else self.summary.get("train_loss")
        shown = "" if loss is None else f", loss {loss:.4f}"
        return f"<retrograd.Run: {self.summary.get('updates', 0)} updates{shown}, {'a temporary folder' if self._temporary else self.folder}>"


def framed(page: str, height: int = 640) -> str:
    """A page in a frame of its own, so that its styles stay there."""
    return f'<iframe srcdoc="{html.escape(page, quote=True)}" style="width:100%;height:{height}px;border:0" sandbox="allow-scripts"></iframe>'


def _data_of(data: Any, text: str | bytes | None, symbols: int | None, settings: dict[str, Any]) -> tuple[str | None, Data | None]:
    """The path of the data, or the data in memory."""
    target, label = settings.get("target"), settings.get("label_column")
    if text is not None:
        if data is not None:
            raise TypeError("give data or `text`, not both")
        if not isinstance(text, (str, bytes, bytearray)):
            raise TypeError(f"`text`: expected a str or bytes, found {type(text).__name__}; a path is given without a name")
        return None, _data.text_data(text, "the text")
    if data is None or isinstance(data, Data):
        return None, data
    if _data.is_path(data):
        path = os.fspath(data)
        if not isinstance(path, str):
            path = os.fsdecode(path)
        if "\n" in path or "\0" in path:
            raise ValueError("a str is the path of a file; give a text by `text=`")
        if path != "-" and not Path(path).exists():
            raise FileNotFoundError(f"cannot read {path}: there is no such file; a str is the path of a file, and a text is given by `text=`")
        return path, None
    if isinstance(data, (bytes, bytearray)):
        return None, _data.text_data(data, "the content")
    data = _data.of_stream(data)
    if _data.is_frame(data) and not (hasattr(data, "shape") and len(data.shape) == 3):
        if label is not None:
            return None, _labelled(data, str(label), settings)
        if target is None:
            raise ValueError(f"say by `target` which column is to be forecast; there are {', '.join(_data.column_names(data))}")
        needed = [*_listed(target), *_listed(settings.get("features")), *_listed(settings.get("ignore")), settings.get("series"), settings.get("time")]
        return None, _data.frame_data(data, needed)
    if isinstance(data, (list, tuple)) or _data.is_array(data):
        numbers = _data.as_array(data)
        view = memoryview(numbers)
        if view.ndim == 1 and view.format not in ("f", "d") and target is None:
            return None, Data.ids(numbers, symbols)
        if target is None:
            raise ValueError("say by `target` which columns of the array are to be forecast, by their numbers from 0; ids are integers in one axis")
        return None, _data.table_data(numbers)
    raise TypeError(f"data of the type {type(data).__name__} can't be read; give a path, bytes, an array or a frame")


def _labelled(data: Any, label: str, settings: dict[str, Any]) -> Data:
    names = _data.column_names(data)
    texts = settings.get("text_column")
    others = [name for name in names if name != label]
    if label not in names or (texts is not None and str(texts) not in names):
        missing = label if label not in names else texts
        raise KeyError(f"the frame has no column {missing!r}; its columns are {', '.join(names)}")
    if texts is None and len(others) != 1:
        raise ValueError(f"say by `text_column` which column holds the texts; there are {', '.join(others)}")
    column = _data.column(data, str(texts) if texts is not None else others[0])
    if not isinstance(column, list):
        raise ValueError(f"column {texts or others[0]!r} holds numbers, not texts; see SequenceClassifier for sequences of numbers")
    labels = _data.column(data, label)
    return Data.lines(column, [_label(x) for x in (labels if isinstance(labels, list) else labels.tolist())])


def _label(x: Any) -> str:
    return str(int(x)) if isinstance(x, float) and x.is_integer() else str(x)


def _listed(names: Any) -> list[str]:
    if names is None:
        return []
    if isinstance(names, (list, tuple)):
        return [str(name) for name in names]
    text = str(names)
    return [text] if '"' in text else [name.strip() for name in text.split(",")]


def _by_line(words: dict[str, str | None], lines: bool, stream: bool) -> None:
    """States the separator that `lines` stands for. A table of labels has a sequence a line anyway."""
    if lines and "label_column" not in words:
        if stream or "separator" in words:
            raise ValueError("`lines`, `stream` and `separator` exclude each other; give one of them")
        words["separator"] = "\n"


def train(
    data: Any = None,
    *,
    text: str | bytes | None = None,
    lines: bool = False,
    stream: bool = False,
    symbols: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    on_report: Callable[[dict[str, Any]], Any] | None = None,
    on_device_lost: Literal["stop", "retry"] = "stop",
    detect_anomaly: bool = False,
    **settings: Unpack[Settings],
) -> Run:
    """Trains a model.

    `data` is the path of a text or a table (a str is always a path), bytes, an array, or a frame of pandas, polars or Arrow:

    - a text, by path, as bytes, or by `text=`: the next character is predicted; with `lines=True` or `separator=` in sequences apart;
    - integers in one axis: the next id is predicted, of `symbols` (default: the highest and 1);
    - a table with `target=`: the next `horizon` rows of these columns are forecast. The columns of an array `[rows, columns]` or
      `[series, rows, columns]` are named "0", "1", ...;
    - a table with `label_column=`: the labels of its texts are predicted;
    - nothing with `task=`: a generated task; without, the text that is built in.

    An array is read where it is, and must not change meanwhile. The run of a file is in `out`, or in runs/NAME; that of data in memory in `out`, or in a
    temporary folder. `resume` goes on with the run in a folder, `config` takes settings from a file.

    `on_report` is called with the figures of each report (see `log_every`); if it returns False, training ends, saved. Ctrl-C ends it likewise, and
    raises KeyboardInterrupt. All other keywords are settings; `help(retrograd.settings)` lists them.

    Raises TypeError for a keyword that does not exist, ValueError for a value that is not possible, FileNotFoundError and OSError for files,
    KeyError for a column that is not there, DeviceError for a device, FloatingPointError if the model is of no use because its loss is not finite.

    >>> import retrograd as rg
    >>> run = rg.train(text="to be or not to be\\n" * 100, cell="gru", hidden=16, updates=100, progress=False)
    >>> run.summary["updates"]
    100
    """
    given = dict(settings)
    words = _settings.words("train", given, OTHERS)
    for name, path in (("out", out), ("resume", resume), ("config", config)):
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"`{name}`: expected a path, found {type(path).__name__}")
    _by_line(words, lines, stream)
    if on_report is not None and not callable(on_report):
        raise TypeError(f"`on_report`: expected a function, found {type(on_report).__name__}")
    known = given
    if resume is not None and (Path(resume) / "config.toml").is_file():
        # What the data is to the run that goes on.
        known = Run(Path(resume), {}, False, [], None).config | given
    path, memory = _data_of(data, text, symbols, known)
    temporary = None
    if memory is not None and out is None and resume is None:
        temporary = tempfile.TemporaryDirectory(prefix="retrograd-", ignore_cleanup_errors=True)
        out = os.path.join(temporary.name, "run")
    goal = f"/{given['updates']}" if given.get("updates") else ""
    shown = Progress(progress, goal)
    begun: dict[str, Any] = {"notes": []}
    notes: list[str] = []

    def on_event(kind: str, told: str) -> Any:
        content = json.loads(told)
        if kind == "step":
            shown.step(content)
        elif kind == "report":
            shown.report(content)
            return None if on_report is None else on_report(content)
        elif kind == "validated":
            shown.validated(content)
        elif kind == "warning":
            warnings.warn(content, RuntimeWarning, stacklevel=3)
        elif kind == "note":
            notes.append(content)
        elif kind == "begun":
            begun.update(content)
        return None

    try:
        folder, summary, stopped = _retrograd._train(
            words,
            text=path,
            data=memory,
            stream=stream,
            config=None if config is None else os.fspath(config),
            out=None if out is None else os.fspath(out),
            resume=None if resume is None else os.fspath(resume),
            on_device_lost=on_device_lost,
            detect_anomaly=detect_anomaly,
            waits=on_report is not None,
            on_event=on_event,
        )
    except KeyboardInterrupt as e:
        if "folder" in begun and temporary is None:
            e.add_note(f"the run is saved; go on with retrograd.train(resume={begun['folder']!r})")
        raise
    finally:
        shown.close()
    return Run(Path(folder), json.loads(summary), stopped, [*notes, *begun["notes"]], temporary)
