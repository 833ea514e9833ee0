"""Memory stays what it is."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from conftest import SMALL, TEXT, python

import retrograd as rg

#: The whole of the promise takes long: 1,000 trainings, 100,000 calls, 1 GiB. A tenth of it runs by default.
LONG = bool(os.environ.get("RETROGRAD_LONG"))

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells the resident size")


def resident() -> float:
    """The resident size, MiB."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_many_short_trainings() -> None:
    count = 1000 if LONG else 100

    def one(i: int) -> None:
        rg.train(text=TEXT[:600], seed=i, **SMALL | {"hidden": 4, "updates": 2})

    for i in range(count // 5):
        one(i)
    before = resident()
    for i in range(count):
        one(i)
    assert resident() - before < 8 + count * 0.004, (before, resident())


def test_many_calls_of_logits() -> None:
    count = 100_000 if LONG else 10_000
    model = rg.train(text=TEXT, **SMALL).model
    ids = np.arange(10, dtype=np.uint32)
    for _ in range(1000):
        model.logits(ids)
    before = resident()
    for _ in range(count):
        model.logits(ids)
    assert resident() - before < 4, (before, resident())


@pytest.mark.parametrize("call", ["rg.train(X, target=0, {})", "rg.Forecaster(0, {}).fit(X).predict(1)", "rg.SequenceClassifier({}).fit(X.reshape(-1, 256, 16), y)"])
def test_an_array_is_not_copied(call: str) -> None:
    gib = 1.0 if LONG else 0.25
    code = f"""
import numpy as np, resource, retrograd as rg
rows = int({gib} * 2**30) // 64 // 256 * 256
X = np.empty((rows, 16), np.float32)
for i in range(0, rows, 1 << 16): X[i : i + (1 << 16)] = np.random.default_rng(i).standard_normal(X[i : i + (1 << 16)].shape, np.float32)
y = np.arange(rows // 256) % 2
{call.format("hidden=16, updates=10, device='cpu', progress=False")}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
    done = python(code, timeout=900)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < gib + 0.2, done.stdout
