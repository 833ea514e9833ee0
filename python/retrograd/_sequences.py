"""Sequences and labels, checked as scikit-learn's users expect."""

from __future__ import annotations

import warnings
from typing import Any

from . import _data
from ._retrograd import Data


class Sequences:
    """Checked sequences."""

    def __init__(self, kind: str, content: Any, count: int, width: int, names: Any = None) -> None:
        #: "texts" or "numbers"
        self.kind = kind
        self.content = content
        self.count = count
        #: What scikit-learn calls the number of features.
        self.width = width
        #: The names of the columns of a frame.
        self.names = names

    def __len__(self) -> int:
        return self.count

    def data(self, labels: list[str] | None) -> Data:
        """As the library reads them."""
        if self.kind == "texts":
            return Data.lines(self.content, labels)
        return Data.rows(self.content, labels)

    def agrees(self, fitted: Any) -> None:
        """Raises ValueError if the columns are not those of `fitted`."""
        known = getattr(fitted, "feature_names_in_", None)
        name = type(fitted).__name__
        if known is not None and self.names is not None and list(known) != list(self.names):
            unseen = [n for n in self.names if n not in list(known)]
            missing = [n for n in known if n not in list(self.names)]
            text = "The feature names should match those that were passed during fit.\n"
            for what, found in (("Feature names unseen at fit time:", unseen), ("Feature names seen at fit time, yet now missing:", missing)):
                if found:
                    text += what + "\n" + "".join(f"- {n}\n" for n in sorted(found)[:5])
            if not unseen and not missing:
                text += "Feature names must be in the same order as they were in fit.\n"
            raise ValueError(text)
        if known is not None and self.names is None and self.kind == "numbers":
            warnings.warn(f"X does not have valid feature names, but {name} was fitted with feature names", UserWarning, stacklevel=4)
        if known is None and self.names is not None:
            warnings.warn(f"X has feature names, but {name} was fitted without feature names", UserWarning, stacklevel=4)
        if self.kind == "numbers" and self.width != fitted.n_features_in_:
            raise ValueError(f"X has {self.width} features, but {name} is expecting {fitted.n_features_in_} features as input")


def checked(X: Any) -> Sequences:
    """Sequences of numbers or of texts. Raises ValueError or TypeError that says what is wrong with them."""
    _data.refuse_sparse(X)
    if isinstance(X, (str, bytes)):
        raise ValueError("expected several texts, found one; give a list of them")
    texts = _texts(X)
    if texts is not None:
        return texts
    if isinstance(X, (list, tuple)) and X and all(_data.is_array(x) for x in X):
        lists = [_data.readable(x) for x in X]
        shapes = {_data.shape(x) for x in lists}
        if len(shapes) > 1:
            widths = {1 if len(s) == 1 else s[-1] for s in shapes if s}
            if len(widths) > 1 or any(not 1 <= len(s) <= 2 for s in shapes):
                raise ValueError(f"the sequences have different numbers of columns: {sorted(widths)}")
            return Sequences("numbers", lists, len(lists), widths.pop())
    names = None
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        columns = list(X.columns)
        np = _data.numpy()
        if columns and all(isinstance(c, str) for c in columns):
            names = np.asarray(columns, dtype=object) if np is not None else columns
        X = X.to_numpy() if hasattr(X, "to_numpy") else X
    numbers = _data.as_array(X)
    shape = _data.shape(numbers)
    if len(shape) < 2:
        raise ValueError(
            f"Expected 2D array, got {'scalar' if not shape else '1D'} array instead. Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
            "array.reshape(1, -1) if it contains a single sample."
        )
    if len(shape) > 3:
        raise ValueError(f"Found array with dim {len(shape)}, while dim <= 3 is required by SequenceClassifier.")
    if shape[0] == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required.")
    if 0 in shape[1:]:
        raise ValueError(f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required.")
    return Sequences("numbers", numbers, shape[0], shape[-1], names)


def _texts(X: Any) -> Sequences | None:
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    if isinstance(X, (list, tuple)) or kind in ("O", "U", "T") or hasattr(X, "to_list"):
        if hasattr(X, "ndim") and X.ndim != 1:
            return None
        listed = list(X)
        if listed and all(isinstance(x, str) for x in listed):
            return Sequences("texts", [str(x) for x in listed], len(listed), 1)
    return None


def labels(y: Any, count: int) -> Any:
    """The labels, one a sequence."""
    np = _data.numpy()
    if np is None:
        found: Any = list(y)
    else:
        found = np.asarray(y.to_numpy() if hasattr(y, "to_numpy") else y)
        if found.ndim == 2 and found.shape[1] == 1:
            warned: type[Warning] = UserWarning
            try:
                from sklearn.exceptions import DataConversionWarning as warned  # type: ignore[no-redef, import-untyped, unused-ignore]
            except ImportError:
                pass
            warnings.warn("A column-vector y was passed when a 1d array was expected. Please change the shape of y to (n_samples,).", warned, stacklevel=3)
            found = found.ravel()
        if found.ndim != 1:
            raise ValueError(f"y should be a 1d array, got an array of shape {found.shape} instead.")
        if found.dtype.kind == "c":
            raise ValueError("Complex data not supported: y must hold labels")
        if found.dtype.kind == "f":
            if not np.isfinite(found).all():
                raise ValueError("Input y contains NaN or infinity; give a label for each sequence")
            if (found != found.astype(np.int64)).any():
                raise ValueError("Unknown label type: continuous. Maybe you are trying to fit a classifier, which expects discrete classes on a regression target")
        if found.dtype.kind == "O" and any(_data._missing(x) for x in found.tolist()):
            raise ValueError("Input y contains NaN or None; give a label for each sequence")
    if len(found) != count:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: [{count}, {len(found)}]")
    return found


def classes(found: Any) -> tuple[Any, list[int]]:
    """The different labels in order, and the index of each."""
    np = _data.numpy()
    if np is None:
        different = sorted(set(found))
        place = {label: i for i, label in enumerate(different)}
        return different, [place[label] for label in found]
    try:
        unique, inverse = np.unique(found, return_inverse=True)
    except TypeError:
        raise TypeError("the labels are of different types and can't be put in order; give texts or numbers") from None
    return unique, inverse.ravel().tolist()


def names(different: Any) -> list[str]:
    """The labels as texts."""
    return [str(x) for x in (different if isinstance(different, list) else different.tolist())]
