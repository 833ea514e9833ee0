"""scikit-learn's protocol."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import retrograd as rg

sklearn = pytest.importorskip("sklearn")
from sklearn.base import clone, is_classifier  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

SMALL = {"hidden": 12, "updates": 150, "device": "cpu", "progress": False}

_ROWS = "it calls predict(X); a forecaster's predict(n) gives the n rows after what was fitted, and one for each row of X would be another thing"
#: The checks of scikit-learn that do not apply, and why. All apply to SequenceClassifier.
NOT_APPLICABLE = {
    "SequenceClassifier": {},
    "Forecaster": {
        **dict.fromkeys(
            [
                "check_dict_unchanged",
                "check_estimators_dtypes",
                "check_estimators_pickle",
                "check_f_contiguous_array_estimator",
                "check_fit_idempotent",
                "check_methods_sample_order_invariance",
                "check_methods_subset_invariance",
                "check_regressor_data_not_an_array",
                "check_regressors_int",
                "check_regressors_train",
            ],
            _ROWS,
        ),
        "check_fit2d_1sample": "one row is no series; the message says how many are needed, in rows and not in samples",
    },
}


def steps(count: int = 120, length: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Sequences that rise or fall."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, count)
    X = np.cumsum(np.where(y, 0.5, -0.5)[:, None] + 0.3 * rng.standard_normal((count, length)), axis=1)
    return X, np.where(y, "up", "down")


def test_labels_of_numbers_of_all_shapes() -> None:
    X, y = steps()
    fitted = rg.SequenceClassifier(**SMALL).fit(X, y)
    assert fitted.score(X, y) > 0.95 and list(fitted.classes_) == ["down", "up"]
    p = fitted.predict_proba(X)
    assert p.shape == (120, 2) and np.allclose(p.sum(axis=1), 1) and (fitted.classes_[p.argmax(axis=1)] == fitted.predict(X)).all()
    deep = np.stack([X, -X], axis=2).astype(np.float32)
    assert rg.SequenceClassifier(**SMALL).fit(deep, y).score(deep, y) > 0.95
    ragged = [x[: 4 + i % 5] for i, x in enumerate(X)]
    assert rg.SequenceClassifier(**SMALL).fit(ragged, y).score(ragged, y) > 0.95
    last = fitted.model_.logits(X[:3, :, None])[:, -1]
    np.testing.assert_allclose(np.exp(last) / np.exp(last).sum(axis=1, keepdims=True), p[:3], rtol=1e-4, atol=1e-5)


def test_labels_of_texts() -> None:
    X, y = ["good day", "bad day", "good night", "a bad night"] * 15, [1, 0, 1, 0] * 15
    fitted = rg.SequenceClassifier(**SMALL).fit(X, y)
    assert fitted.score(X, y) > 0.9 and fitted.predict(["good day"]).dtype.kind == "i"


def test_many_labels_keep_their_order() -> None:
    X = np.repeat(np.arange(12.0), 6)[:, None] + np.zeros((72, 3))
    y = np.repeat(np.arange(12), 6)
    fitted = rg.SequenceClassifier(hidden=16, updates=30, progress=False).fit(X, y)
    assert (fitted.classes_ == np.arange(12)).all() and fitted.predict_proba(X).shape == (72, 12)


def test_clone_pickle_pipeline_and_search() -> None:
    X, y = steps(60)
    one = rg.SequenceClassifier(**SMALL | {"updates": 60, "lr": 0.01})
    assert is_classifier(one) and clone(one).get_params() == one.get_params() and "hidden=12" in repr(one)
    fitted = one.fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert make_pipeline(StandardScaler(), clone(one)).fit(X, y).score(X, y) > 0.7
    search = GridSearchCV(Pipeline([("c", clone(one))]), {"c__hidden": [4, 12], "c__cell": ["gru"]}, cv=2).fit(X, y)
    assert search.best_params_["c__hidden"] in (4, 12) and np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert cross_val_score(clone(one), X, y, cv=2).mean() > 0.6
    forecaster = rg.Forecaster("y", 2, hidden=4, updates=10, device="cpu", progress=False)
    wave = np.sin(np.arange(200.0) / 4)[:, None]
    search = GridSearchCV(forecaster, {"hidden": [4, 8]}, cv=2).fit(wave, wave[:, 0])
    assert search.best_estimator_.predict(2).shape == (2,)
    assert clone(forecaster).get_params() == forecaster.get_params()


def test_the_temporary_folder_goes_with_the_estimator() -> None:
    X, y = steps(30)
    fitted = rg.SequenceClassifier(**SMALL | {"updates": 10}).fit(X, y)
    folder = fitted.run_.folder
    assert folder.is_dir()
    del fitted
    import gc

    gc.collect()
    assert not folder.exists() and not folder.parent.exists()


CHECKED = [
    rg.SequenceClassifier(hidden=8, updates=200, lr=0.01, device="cpu", progress=False),
    rg.Forecaster(hidden=4, updates=10, device="cpu", progress=False),
]


@parametrize_with_checks(CHECKED, expected_failed_checks=lambda e: NOT_APPLICABLE[type(e).__name__], xfail_strict=True)
def test_the_checks_of_scikit_learn(estimator: object, check: object) -> None:
    check(estimator)
