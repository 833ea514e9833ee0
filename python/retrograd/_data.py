"""What may be given as data: paths, texts, bytes, arrays and frames, with none of their packages needed."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from ._retrograd import Data


def numpy() -> Any:
    """NumPy, if it is installed."""
    try:
        import numpy as np
    except ImportError:
        return None
    return np


def shaped(raw: bytearray, shape: Sequence[int], kind: Literal["f", "d"]) -> Any:
    """Numbers of the type "f" or "d" as a NumPy array, or as a memoryview where there is no NumPy."""
    np = numpy()
    if np is not None:
        return np.frombuffer(raw, dtype=np.dtype(kind)).reshape(shape)
    view = memoryview(raw)
    return view.cast(kind, list(shape)) if raw else view.cast(kind)


def is_path(data: Any) -> bool:
    """Whether it is a path: text is given by `text=`, or as bytes."""
    return isinstance(data, (str, os.PathLike))


def is_frame(data: Any) -> bool:
    """Whether it is a table of named columns: of pandas, polars, Arrow, or a mapping."""
    refuse_sparse(data)  # some of them are dicts
    return isinstance(data, dict) or hasattr(data, "columns") or hasattr(data, "column_names")


def of_stream(data: Any) -> Any:
    """A table that is known by Arrow's stream alone, as one of the package that is there to read it; other data as it is."""
    if not hasattr(data, "__arrow_c_stream__") or is_frame(data) or is_array(data) or hasattr(data, "to_list"):
        return data
    try:
        import pyarrow

        return pyarrow.table(data)
    except ImportError:
        pass
    try:
        import polars

        return polars.DataFrame(data)
    except ImportError:
        raise TypeError(f"{type(data).__name__} is a stream of Arrow; install pyarrow or polars, or give columns: a dict of arrays") from None


def is_array(data: Any) -> bool:
    """Whether it exports a buffer, or can be made an array that does."""
    if isinstance(data, (bytes, bytearray)):
        return False
    if hasattr(data, "__array_interface__") or hasattr(data, "__array__"):
        return True
    try:
        memoryview(data)
    except TypeError:
        return False
    return True


def readable(data: Any) -> Any:
    """The same numbers in a layout and a type that can be read where they are; copied only if they are in another."""
    if hasattr(data, "detach") and hasattr(data, "cpu"):  # a tensor of torch
        data = data.detach().cpu().numpy()
    np = numpy()
    if np is None:
        return data
    if not isinstance(data, np.ndarray):
        if not hasattr(data, "__array__"):
            return data
        data = np.asarray(data)
    if data.dtype.kind == "c":
        raise ValueError("Complex data not supported: the numbers must be real")
    if data.dtype.kind == "O":
        try:
            data = data.astype(np.float64)
        except (TypeError, ValueError) as e:
            raise type(e)(f"the array holds objects that are no numbers: {_line(e)}") from None
    if data.dtype.kind not in "fiub":
        raise TypeError(f"an array of the type {data.dtype} can't be read; give float32, float64 or integers")
    if data.dtype.kind == "f" and data.dtype.itemsize not in (4, 8):
        data = data.astype(np.float32 if data.dtype.itemsize < 4 else np.float64)
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    if any(stride < 0 or stride % data.itemsize for stride in data.strides):
        data = np.ascontiguousarray(data)
    return data


def shape(data: Any) -> tuple[int, ...]:
    """The shape of an array."""
    return tuple(memoryview(data).shape or ())


def refuse_sparse(data: Any) -> None:
    """Raises TypeError for a sparse matrix of SciPy."""
    if hasattr(data, "toarray") and hasattr(data, "tocsr"):
        raise TypeError("Sparse data was passed, but dense data is required; use X.toarray() to convert")


def as_array(data: Any) -> Any:
    """Numbers in lists, or an array, as something that can be read; lists of lists need NumPy."""
    refuse_sparse(data)
    if is_array(data):
        return readable(data)
    if not isinstance(data, (list, tuple)):
        raise TypeError(f"expected an array of numbers, found {type(data).__name__}")
    np = numpy()
    if np is not None:
        try:
            found = np.asarray(data)
        except ValueError as e:
            raise ValueError(f"the lists are of different lengths, or hold no numbers: {_line(e)}") from None
        if found.dtype.kind in "USO":
            raise TypeError("expected numbers, found texts or other objects")
        return readable(found)
    if all(isinstance(x, int) for x in data):
        return array("q", data)
    try:
        return array("d", data)
    except TypeError:
        raise TypeError("lists of lists of numbers need NumPy; install it, or give an array") from None


def column_names(frame: Any) -> list[str]:
    """The names of a frame's columns."""
    if isinstance(frame, dict):
        names = list(frame)
    else:
        names = list(frame.column_names if hasattr(frame, "column_names") else frame.columns)
    return [str(name) for name in names]


def column(frame: Any, name: str) -> Any:
    """A column: an array of numbers, or a list of texts."""
    if isinstance(frame, dict):
        found = next(value for key, value in frame.items() if str(key) == name)
    elif hasattr(frame, "iloc"):
        found = frame.iloc[:, column_names(frame).index(name)]
    elif hasattr(frame, "get_column"):
        found = frame.get_column(name)
    elif hasattr(frame, "column"):
        found = frame.column(name)
    else:
        found = frame[name]
    return _cells(found)


def _cells(found: Any) -> Any:
    np = numpy()
    if np is not None and (hasattr(found, "to_numpy") or hasattr(found, "__array__")):
        values = np.asarray(found.to_numpy() if hasattr(found, "to_numpy") else found)
        if values.dtype.kind in "fiub":
            return readable(values)
        if values.dtype.kind == "M":
            return _times(values, np)
        found = values.tolist() if values.dtype.kind == "O" else [str(x) for x in values.tolist()]
    elif hasattr(found, "to_pylist"):
        found = found.to_pylist()
    elif hasattr(found, "to_list"):
        found = found.to_list()
    elif hasattr(found, "tolist"):
        found = found.tolist()
    found = list(found)
    if all(_missing(x) or (isinstance(x, (int, float)) or hasattr(x, "__float__")) for x in found):
        return array("d", (float("nan") if _missing(x) else float(x) for x in found))
    return ["" if _missing(x) else str(x) for x in found]


def _times(values: Any, np: Any) -> list[str]:
    """Times as texts: days where all are midnight, else to the second, or finer where that is needed."""
    seconds = values.astype("datetime64[s]")
    if (values.astype("datetime64[D]") == seconds).all() and (seconds == values).all():
        return [str(x) for x in values.astype("datetime64[D]")]
    exact = seconds if (seconds == values).all() else values
    return [str(x).replace("T", " ") for x in exact]


def _missing(x: Any) -> bool:
    return x is None or type(x).__name__ in ("NAType", "NaTType") or (isinstance(x, float) and x != x)


def frame_data(frame: Any, needed: Iterable[str | None], ignored: Iterable[str] = ()) -> Data:
    """A frame as a table. Raises KeyError that names its columns if one that is needed is not there."""
    names = column_names(frame)
    for name in needed:
        if name is not None and name not in names:
            raise KeyError(f"the frame has no column {name!r}; its columns are {', '.join(names)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"the frame has the column {twice[0]!r} twice; give each a name of its own")
    if not names:
        raise ValueError("the frame has no columns; give some")
    skipped = set(ignored)
    return Data.frame(f"the {type(frame).__name__}", [(name, column(frame, name)) for name in names if name not in skipped])


def table_data(data: Any) -> Data:
    """An array of one to three axes as a table, whose columns are named by their numbers from 0."""
    numbers = as_array(data)
    view = memoryview(numbers)
    if not 1 <= view.ndim <= 3:
        raise ValueError(f"expected an array [rows, columns] or [series, rows, columns], found {view.ndim} axes")
    width = shape(numbers)[-1] if view.ndim > 1 else 1
    return Data.table(numbers, [str(i) for i in range(width)])


def text_data(content: Any, name: str) -> Data:
    """A text, or bytes, as data."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass" if sys.platform == "win32" else "strict")
    return Data.text(bytes(content), name)


def _line(e: BaseException) -> str:
    return " ".join(str(e).split())
