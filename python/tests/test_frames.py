"""Tables: frames of pandas, polars and Arrow, arrays and files."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import python, wave

import retrograd as rg

OPTIONS = {"target": "load", "horizon": 4, "cell": "gru", "hidden": 8, "updates": 30, "device": "cpu", "progress": False}


def forecaster(**options: object) -> rg.Forecaster:
    return rg.Forecaster(**OPTIONS | options)


def test_all_kinds_of_tables_give_equal_forecasts(tmp_path: Path) -> None:
    columns = wave()
    frame = pd.DataFrame(columns)
    frame.to_csv(tmp_path / "wave.csv", index=False)
    expected = forecaster(out="file").fit("wave.csv").predict(4)
    assert expected.shape == (4,) and np.isfinite(expected).all()
    class Stream:
        """Only what Arrow's protocol asks for."""

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pl.DataFrame(columns).__arrow_c_stream__(requested_schema)

    tables = {"stream": Stream(), "pandas": frame, "polars": pl.DataFrame(columns), "mapping": columns}
    try:
        import pyarrow as pa

        tables["arrow"] = pa.table(columns)
    except ImportError:
        pass
    for name, table in tables.items():
        np.testing.assert_array_equal(forecaster().fit(table).predict(4), expected, err_msg=name)
    array = np.array([columns["load"], columns["wind"]]).T
    by_number = forecaster(target=0)
    np.testing.assert_array_equal(by_number.fit(array).predict(4), expected)
    np.testing.assert_array_equal(by_number.fit(np.asfortranarray(array)).predict(4), expected)
    np.testing.assert_array_equal(by_number.predict(2), expected[:2])
    assert not any(p.name not in ("wave.csv", "file") for p in tmp_path.iterdir())


def test_forecasts_follow_on_what_is_given() -> None:
    frame = pd.DataFrame(wave())
    fitted = forecaster().fit(frame)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(), fitted.predict(4))
    np.testing.assert_array_equal(again.predict(3, data=pl.DataFrame(wave())), fitted.predict(3))
    other = fitted.predict(4, data=frame.iloc[:200])
    assert other.shape == (4,) and not np.allclose(other, fitted.predict(4))
    assert fitted.score() == again.score() < 1
    assert fitted.run_.forecast["horizon"] == 4


@pytest.mark.parametrize("module", [pd, pl])
def test_several_series_and_times(module: object) -> None:
    days = np.arange("2024-01-01", "2024-05-01", dtype="datetime64[D]")
    columns = {
        "shop": np.repeat(["north", "south"], len(days)),
        "day": np.tile(days, 2),
        "load": np.concatenate([np.sin(np.arange(len(days))), 5 + np.cos(np.arange(len(days)))]),
    }
    fitted = forecaster(series="shop", time="day", difference=False).fit(module.DataFrame(columns))
    found = fitted.forecast(2)
    assert found["series"] == ["north", "south"] and found["values"].shape == (2, 2)
    assert found["times"] == [["2024-05-01", "2024-05-02"]] * 2


def test_an_array_of_three_axes_is_several_series() -> None:
    array = np.stack([np.array([wave()["load"]]).T, 2 * np.array([wave()["load"]]).T]).astype(np.float32)
    assert forecaster(target=0).fit(array).predict(4).shape == (2, 4)


def test_missing_numbers() -> None:
    frame = pd.DataFrame(wave())
    frame.loc[5, "wind"] = None
    with pytest.raises(ValueError, match="row 5, column \"wind\": NaN.*`missing`"):
        forecaster().fit(frame)
    assert np.isfinite(forecaster(missing="previous").fit(frame).predict(4)).all()
    nullable = pd.DataFrame({"load": pd.array(wave()["load"], dtype="Float64"), "wind": pd.array([1, None] * 150, dtype="Int64")})
    assert np.isfinite(forecaster(missing="zero").fit(nullable).predict(4)).all()


def test_none_of_the_packages_is_needed() -> None:
    hidden = "numpy, pandas, polars, pyarrow, sklearn, torch, tqdm".split(", ")
    code = f"""
import sys
for name in {hidden!r}: sys.modules[name] = None
import retrograd as rg, array, math
run = rg.train(text="abc" * 400, hidden=8, updates=5, progress=True)
out = run.model.logits([[0, 1, 2]][0])
assert isinstance(out, memoryview) and out.shape == (3, 3), out
assert run.model.state_dict()["head.bias"].shape == (3,)
load = array.array("d", [math.sin(i / 3) for i in range(200)])
f = rg.Forecaster(target="load", horizon=2, updates=10).fit({{"load": load}})
assert len(f.predict(2)) == 2, f.predict(2)
c = rg.SequenceClassifier(hidden=8, updates=20).fit(["aab", "bba"] * 8, ["x", "y"] * 8)
assert set(c.predict(["aab", "bba"])) <= {{"x", "y"}}
assert rg.train(array.array("q", [0, 1, 2] * 300), hidden=8, updates=5).model.config["symbols"] == "ids"
print("fine")
"""
    done = python(code)
    assert done.stdout == "fine\n", done.stderr
    assert "update 5" in done.stderr


def test_importing_is_light() -> None:
    done = python("import retrograd, sys; print(sorted({'numpy', 'pandas', 'polars', 'sklearn', 'torch', 'tqdm', 'pyarrow'} & set(sys.modules)))")
    assert done.stdout == "[]\n", done.stdout + done.stderr
    assert sys.version_info >= (3, 11)


def test_nothing_is_left_where_no_folder_is_named(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("work", "home", "tmp")}
    [folder.mkdir() for folder in folders.values()]
    code = """
import numpy as np, pandas as pd, retrograd as rg
words = dict(hidden=4, updates=3, device="cpu", progress=False)
wave = np.sin(np.arange(300.0) / 4)
runs = [rg.train(wave, target=0, **words), rg.train(pd.DataFrame({"a": wave}), target="a", **words), rg.train(text="abc" * 300, **words), rg.train(b"abc" * 300, **words)]
f = rg.Forecaster("a", 2, **words).fit(pd.DataFrame({"a": wave}))
c = rg.SequenceClassifier(**words).fit(wave.reshape(30, 10), [0, 1] * 15)
f.predict(2), c.predict(wave.reshape(30, 10)), [run.report for run in runs]
"""
    import os

    environment = os.environ | {"HOME": str(folders["home"]), "TMPDIR": str(folders["tmp"]), "XDG_CACHE_HOME": str(folders["home"]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = python(code, cwd=folders["work"], env=environment)
    assert done.returncode == 0, done.stderr
    assert [str(p) for folder in folders.values() for p in folder.rglob("*")] == []
