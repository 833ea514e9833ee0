"""Keywords against the declaration of settings, and types."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import keywords
import pytest
from conftest import program

import retrograd as rg
from retrograd import _keywords

HERE = Path(__file__).parent


def test_keywords_are_the_declared_settings() -> None:
    assert Path(_keywords.__file__).read_text("utf-8") == keywords.written(), "python tests/keywords.py writes it anew"
    declared = rg.settings.declared()
    assert set(get_type_hints(_keywords.Settings)) == set(declared)
    help_text = subprocess.run([program(), "train", "--help"], capture_output=True, text=True, check=True).stdout
    flags = {"table_as_text": "text"}
    for name, setting in declared.items():
        assert f"--{flags.get(setting['name'], setting['name']).replace('_', '-')}" in help_text, name
        assert name in (rg.settings.__doc__ or "")


def test_estimators_take_settings() -> None:
    declared = rg.settings.declared()
    own = {"progress", "out"}
    text = {"table_as_text", "bytes", "tokens", "separator", "task", "examples", "label_column", "text_column", "header", "extend_vocabulary", "sample", "monitor"}
    # Sequences are given as arrays; a forecaster gives one value for each step.
    neither = {"from_", "save_every", "tensorboard", "rank_timeout", "sequence_column", "quantiles"}
    series = {name for name, s in declared.items() if s["section"] == "Series"}
    forecaster = set(inspect.signature(rg.Forecaster).parameters)
    classifier = set(inspect.signature(rg.SequenceClassifier).parameters)
    assert forecaster == (set(declared) | own) - text - neither - {"embed", "split_seed", "class_weights"}
    assert classifier == (set(declared) | own) - text - neither - series


@pytest.mark.parametrize("what", [["-p", "retrograd"], [str(HERE / "typed_example.py")]])
def test_types(what: list[str], tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    root = HERE.parent
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(root / "pyproject.toml"), "--cache-dir", str(tmp_path), *what]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
