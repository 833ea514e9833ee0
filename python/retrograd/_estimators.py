"""Estimators by scikit-learn's protocol, which need none of scikit-learn."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any, Self

from . import _data, _sequences, _settings
from ._retrograd import Data
from ._train import train


class NotFitted(ValueError, AttributeError):
    """The estimator has not been fitted."""


class Estimator:
    """Parameters, and what follows from them: what scikit-learn's BaseEstimator does."""

    _fixed: dict[str, Any] = {}

    @classmethod
    def _names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters, by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters. Raises ValueError for one that does not exist."""
        for name, value in params.items():
            if name not in self._names():
                raise ValueError(f"Invalid parameter {name!r} for estimator {self!r}. Valid parameters are: {self._names()!r}.")
            setattr(self, name, value)
        return self

    def _settings(self) -> dict[str, Any]:
        """The parameters that are stated, as keywords of `train`."""
        keywords = _settings.declared()
        return {name: value for name, value in self.get_params().items() if value is not None and name in keywords}

    def _check_fitted(self) -> None:
        if not hasattr(self, "run_") and not hasattr(self, "model_"):
            found: type[Exception] = NotFitted
            try:
                from sklearn.exceptions import NotFittedError as found  # type: ignore[no-redef, import-untyped, unused-ignore]
            except ImportError:
                pass
            raise found(f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments before using this estimator.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __getstate__(self) -> dict[str, Any]:
        # The run's folder may be a temporary one of this process; the model is what is needed.
        return {name: value for name, value in self.__dict__.items() if name != "run_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        usual = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        stated = [f"{name}={value!r}" for name, value in self.get_params().items() if value is not usual[name] and not _same(value, usual[name])]
        return f"{type(self).__name__}({', '.join(stated)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags  # type: ignore[import-untyped, unused-ignore]

        tags = Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=InputTags())
        tags.non_deterministic = False
        return tags


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except (TypeError, ValueError):
        return False


class Forecaster(Estimator):
    """Forecasts columns of a table, `horizon` rows ahead.

    `target` names the columns (a comma between several, or a list); the others are read too, but for those of `series`, `time` and `ignore`. All other
    parameters are settings of `train`; None means its default. After `fit`, `run_` is the run and `model_` the model.

    >>> import retrograd as rg
    >>> load = {"load": [float(i % 24) for i in range(400)]}
    >>> rg.Forecaster(target="load", horizon=3, updates=30).fit(load).predict(2).shape
    (2,)
    """

    def __init__(
        self,
        target: str | int | Sequence[str] | None = None,
        horizon: int = 1,
        *,
        features: str | Sequence[str] | None = None,
        ignore: str | Sequence[str] | None = None,
        series: str | None = None,
        time: str | None = None,
        time_format: str | None = None,
        season: int | None = None,
        difference: str | bool | None = None,
        loss: str | None = None,
        missing: str | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        hidden: int | None = None,
        layers: int | None = None,
        cell: str | None = None,
        activation: str | None = None,
        no_bias: bool | None = None,
        init: str | None = None,
        forget_bias: float | None = None,
        lane_groups: int | None = None,
        scale: str | None = None,
        dropout: float | None = None,
        batch: int | None = None,
        truncation: str | None = None,
        updates: int | None = None,
        epochs: int | None = None,
        optimizer: str | None = None,
        lr: float | None = None,
        schedule: str | None = None,
        warmup: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        memory_budget: str | int | None = None,
        stash: str | None = None,
        seed: int | None = None,
        val_fraction: float | None = None,
        val_every: int | None = None,
        patience: int | None = None,
        log_every: int | None = None,
        device: str | None = None,
        progress: bool | None = False,
        out: Any = None,
    ) -> None:
        self.target = target
        self.horizon = horizon
        self.features = features
        self.ignore = ignore
        self.series = series
        self.time = time
        self.time_format = time_format
        self.season = season
        self.difference = difference
        self.loss = loss
        self.missing = missing
        self.delimiter = delimiter
        self.decimal = decimal
        self.hidden = hidden
        self.layers = layers
        self.cell = cell
        self.activation = activation
        self.no_bias = no_bias
        self.init = init
        self.forget_bias = forget_bias
        self.lane_groups = lane_groups
        self.scale = scale
        self.dropout = dropout
        self.batch = batch
        self.truncation = truncation
        self.updates = updates
        self.epochs = epochs
        self.optimizer = optimizer
        self.lr = lr
        self.schedule = schedule
        self.warmup = warmup
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.memory_budget = memory_budget
        self.stash = stash
        self.seed = seed
        self.val_fraction = val_fraction
        self.val_every = val_every
        self.patience = patience
        self.log_every = log_every
        self.device = device
        self.progress = progress
        self.out = out

    def fit(self, data: Any, y: Any = None) -> Self:
        """Trains on a frame, an array `[rows, columns]` or `[series, rows, columns]`, or the path of a CSV file. Raises as `train` does.

        With `y`, the columns of `data` are read and `y` is forecast, as scikit-learn has it; `target` is then its name (default "y")."""
        target, data = self.target, _data.of_stream(data)
        if y is not None:
            data, target = _with_y(data, y, target)
        if target is None:
            target = 0 if _one_column(data) else None
        if target is None:
            raise ValueError("say by `target` which columns are to be forecast")
        settings = self._settings() | {"target": target}
        self.run_ = train(data, out=self.out, progress=self.progress, **settings)
        self.model_ = self.run_.model
        self.scaled_rmse_ = self.run_.summary.get("scaled_rmse")
        self._last = self._kept(data)
        self.targets_: list[str] = list(self.model_.config["series"]["targets"])
        return self

    def _kept(self, data: Any) -> Any:
        """What `predict` goes on from: a path; else what a model reads of the end of each series."""
        data = _data.of_stream(data)
        return data if _data.is_path(data) else _rows(data, self.model_.config["series"])

    def predict(self, n: int | None = None, data: Any = None) -> Any:
        """The `n` rows (default: `horizon`) after what was fitted, or after `data`.

        Returns an array `[n]` for one target, `[n, targets]` for several; with several series, `[series, n, targets]`: see `forecast` for names and times.
        Raises ValueError if `n` is above the horizon."""
        return self.forecast(n, data)["values"]

    def forecast(self, n: int | None = None, data: Any = None) -> dict[str, Any]:
        """As `predict`, with names: "values", "targets", and for each series "series" and "times" (None if their steps are uneven)."""
        self._check_fitted()
        _data.refuse_sparse(n)
        if n is None:
            n = self.horizon
        if isinstance(n, bool) or not hasattr(n, "__index__") or bool(getattr(n, "shape", None)):
            raise TypeError(f"`n`: expected a number of rows, found {type(n).__name__}; other data is given by `data`")
        n = int(n)
        if not 1 <= n <= self.horizon:
            raise ValueError(f"`n` is {n}, and the model forecasts 1 to {self.horizon} rows; fit with a larger `horizon`")
        kept = self._last if data is None else self._kept(data)
        told, raw, shape = self.model_._inner.forecast(_source(kept), self.missing)
        return _forecast(told, raw, shape, n)

    def score(self, data: Any = None, y: Any = None) -> float:
        """How much better than the last known value the forecasts of the held-out rows are: 1 - RMSE / RMSE of naive forecasts, over all targets."""
        self._check_fitted()
        scaled: float | None = getattr(self, "scaled_rmse_", None)
        if scaled is None:
            raise ValueError("nothing was held out; give `val_fraction` above 0, and fit again")
        return 1.0 - scaled

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        from sklearn.utils import RegressorTags  # type: ignore[import-untyped, unused-ignore]

        tags.estimator_type = "regressor"
        tags.regressor_tags = RegressorTags()
        tags.no_validation = True
        return tags


def _with_y(data: Any, y: Any, target: Any) -> tuple[Any, str]:
    """A table of the columns of X and of y."""
    name = str(target) if target is not None else "y"
    if _data.is_path(data):
        raise TypeError("a path holds its target; leave y out")
    if _data.is_frame(data):
        columns = {column: _data.column(data, column) for column in _data.column_names(data)}
    else:
        np = _data.numpy()
        if np is None:
            raise TypeError("X and y apart need NumPy; give a frame")
        _data.refuse_sparse(data)
        rows = np.asarray(data)
        rows = rows.reshape(-1, 1) if rows.ndim == 1 else rows
        if rows.ndim != 2:
            raise ValueError(f"expected an array [rows, columns], found {rows.ndim} axes")
        columns = {str(i): _data.readable(rows[:, i]) for i in range(rows.shape[1])}
    columns[name] = _data._cells(y) if not isinstance(y, list) else _data.as_array(y)
    return columns, name


def _one_column(data: Any) -> bool:
    """Whether an array has one column, which is then the target."""
    if _data.is_path(data) or _data.is_frame(data):
        return False
    shape = _data.shape(_data.as_array(data))
    return len(shape) == 1 or shape[-1:] == (1,)


def _rows(data: Any, series: dict[str, Any]) -> Any:
    """The columns of a frame that a model reads, or an array."""
    if not _data.is_frame(data) or (hasattr(data, "shape") and len(data.shape) == 3):
        return _data.as_array(data)
    needed = dict.fromkeys([*series["features"], *series["targets"], *filter(None, (series["series"], series["time"]))])
    names = _data.column_names(data)
    for name in needed:
        if name not in names:
            raise KeyError(f"the frame has no column {name!r}; its columns are {', '.join(names)}")
    return {name: _data.column(data, name) for name in needed}


def _source(kept: Any) -> Any:
    """What is kept, as the model reads it."""
    if _data.is_path(kept):
        return kept
    if isinstance(kept, dict):
        return Data.frame("the frame", list(kept.items()))
    return _data.table_data(kept)


def _forecast(told: str, raw: bytearray, shape: Sequence[int], n: int) -> dict[str, Any]:
    """The first `n` rows of forecasts, with their names."""
    found = json.loads(told)
    groups, horizon, targets = shape
    np = _data.numpy()
    if np is None:
        flat = memoryview(raw).cast("d").tolist()
        rows = [[flat[(g * horizon + h) * targets :][:targets] for h in range(n)] for g in range(groups)]
        values: Any = [[row[0] for row in group] for group in rows] if targets == 1 else rows
        values = values[0] if groups == 1 and found["series"] == [None] else values
    else:
        values = _data.shaped(raw, shape, "d")[:, :n]
        values = values[:, :, 0] if targets == 1 else values
        values = (values[0] if found["series"] == [None] else values).copy()
    times = [None if t is None else t[:n] for t in found["times"]]
    return {"values": values, "targets": found["targets"], "series": found["series"], "times": times}


class SequenceClassifier(Estimator):
    """Predicts the label of a sequence: of numbers, or of the characters of a text.

    X is an array `[sequences, steps]` (one number a step) or `[sequences, steps, D]`, a list of arrays `[steps, D]` of different lengths, or a list of
    texts. All parameters are settings of `train`; None means its default (`truncation` full, 20 passes, at least 2000 updates). Numbers are scaled by the
    training part. After `fit`, `classes_` holds the labels, `run_` the run and `model_` the model.

    >>> import retrograd as rg
    >>> texts = ["good thing", "bad thing"] * 20
    >>> rg.SequenceClassifier(hidden=8, updates=40, val_fraction=0.0).fit(texts, ["+", "-"] * 20).predict(["good thing"]).tolist()
    ['+']
    """

    def __init__(
        self,
        hidden: int | None = None,
        layers: int | None = None,
        cell: str | None = None,
        *,
        activation: str | None = None,
        no_bias: bool | None = None,
        init: str | None = None,
        forget_bias: float | None = None,
        lane_groups: int | None = None,
        class_weights: str | None = None,
        dropout: float | None = None,
        embed: int | None = None,
        batch: int | None = None,
        truncation: str | None = None,
        updates: int | None = None,
        epochs: int | None = None,
        optimizer: str | None = None,
        lr: float | None = None,
        schedule: str | None = None,
        warmup: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        memory_budget: str | int | None = None,
        stash: str | None = None,
        seed: int | None = None,
        val_fraction: float | None = None,
        split_seed: int | None = None,
        val_every: int | None = None,
        patience: int | None = None,
        log_every: int | None = None,
        device: str | None = None,
        progress: bool | None = False,
        out: Any = None,
    ) -> None:
        self.hidden = hidden
        self.layers = layers
        self.cell = cell
        self.activation = activation
        self.no_bias = no_bias
        self.init = init
        self.forget_bias = forget_bias
        self.lane_groups = lane_groups
        self.class_weights = class_weights
        self.dropout = dropout
        self.embed = embed
        self.batch = batch
        self.truncation = truncation
        self.updates = updates
        self.epochs = epochs
        self.optimizer = optimizer
        self.lr = lr
        self.schedule = schedule
        self.warmup = warmup
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.memory_budget = memory_budget
        self.stash = stash
        self.seed = seed
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.val_every = val_every
        self.patience = patience
        self.log_every = log_every
        self.device = device
        self.progress = progress
        self.out = out

    def fit(self, X: Any, y: Any) -> Self:
        """Trains on sequences and their labels. Raises ValueError if they are not finite numbers, or not one label a sequence."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        sequences = _sequences.checked(X)
        labels = _sequences.labels(y, len(sequences))
        classes, indices = _sequences.classes(labels)
        if len(classes) < 2:
            raise ValueError(f"Classifier can't train when only one class is present: every label is {classes[0]!r}; at least 2 are needed")
        # The library sorts labels as texts; numbers with leading zeros keep the order of the classes.
        digits = len(str(len(classes)))
        names = _sequences.names(classes)
        named = names if sorted(names) == names else [f"{i:0{digits}d} {name}" for i, name in enumerate(names)]
        data = sequences.data([named[i] for i in indices])
        settings = self._settings() | {"label_column": "label"}
        if settings.get("val_fraction") is None and len(sequences) < 10 * len(classes):
            settings["val_fraction"] = 0.0
        run = train(data, out=self.out, progress=self.progress, **settings)
        self.run_ = run
        self.model_ = run.model
        self.classes_ = classes
        self.n_features_in_ = sequences.width
        if sequences.names is not None:
            self.feature_names_in_ = sequences.names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self._kind = sequences.kind
        return self

    def predict_proba(self, X: Any) -> Any:
        """The probability of each label, `[sequences, labels]`, in the order of `classes_`."""
        self._check_fitted()
        sequences = _sequences.checked(X)
        if sequences.kind != self._kind:
            raise ValueError(f"X holds {sequences.kind}, but {type(self).__name__} was fitted to {self._kind}")
        sequences.agrees(self)
        raw, shape = self.model_._inner.probabilities(sequences.data(None))
        return _data.shaped(raw, shape, "d")

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithms of these probabilities."""
        found = self.predict_proba(X)
        np = _data.numpy()
        if np is None:
            raise TypeError("logarithms of arrays need NumPy; take those of predict_proba")
        with np.errstate(divide="ignore"):
            return np.log(found)

    def predict(self, X: Any) -> Any:
        """One label a row of X."""
        found = self.predict_proba(X)
        np = _data.numpy()
        if np is None:
            return [self.classes_[row.index(max(row))] for row in found.tolist()]
        return self.classes_[np.argmax(found, axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of right labels."""
        found = list(self.predict(X))
        weights = [1.0] * len(found) if sample_weight is None else [float(w) for w in sample_weight]
        right = sum(w for a, b, w in zip(found, y, weights, strict=True) if a == b)
        return float(right / sum(weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        from sklearn.utils import ClassifierTags  # type: ignore[import-untyped, unused-ignore]

        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        tags.target_tags.required = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags
