"""What tests share."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = "the quick brown fox jumps over the lazy dog\n" * 60
#: Small and quick.
SMALL = {"hidden": 8, "updates": 10, "progress": False, "device": "cpu"}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A text in a file."""
    path = tmp_path / "book.txt"
    path.write_text(TEXT)
    return path


def wave(rows: int = 300) -> dict[str, list[float]]:
    """Two columns with a season of 24 rows."""
    return {
        "load": [10 + math.sin(i * math.pi / 12) + 0.1 * ((i * 7919) % 13) for i in range(rows)],
        "wind": [((i * 31) % 17) / 17 for i in range(rows)],
    }


def program() -> Path:
    """The command line, built from the same sources."""
    named = os.environ.get("RETROGRAD_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[2] / "target"))
    for path in [Path(named)] if named else [target / kind / "retrograd" for kind in ("release", "debug")]:
        if path.is_file():
            return path
    if named:
        raise FileNotFoundError(named)
    pytest.skip("the program `retrograd` is not built: cargo build")


def python(code: str, *, timeout: float = 120, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, **options)  # type: ignore[call-overload,no-any-return]
