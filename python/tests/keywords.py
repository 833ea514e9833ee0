"""The keywords of `train` as a type, from the declaration of settings. `python tests/keywords.py` writes retrograd/_keywords.py anew."""

from __future__ import annotations

import textwrap
from pathlib import Path

from retrograd.settings import declared

WHOLE = {"H", "N", "E", "B", "G", "SECONDS"}
REAL = {"LR", "P", "PART", "NORM", "V", "F"}
COLUMNS = {"target", "features", "ignore"}
HEAD = '''"""The keywords of `train`, from the declaration of settings: tests/keywords.py writes this file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypedDict


class Settings(TypedDict, total=False):
    """Settings; None leaves one out."""
'''


def kind(name: str, setting: dict[str, object]) -> str:
    """The type of a keyword."""
    value = setting["value"]
    if setting["switch"]:
        return "bool"
    if name in COLUMNS:
        return "str | int | Sequence[str]"
    if setting["choices"] == ["yes", "no"] or setting["alone"] is not None:
        return "str | bool"
    if value in WHOLE:
        return "int"
    if value in REAL:
        return "float"
    if value == "SIZE":
        return "str | int"
    if value in ("FILE", "RUN|FILE"):
        return "str | os.PathLike[str]"
    if value == "COLUMN":
        return "str | int"
    return "str"


def written() -> str:
    """The text of the module."""
    lines = [HEAD]
    for name, setting in declared().items():
        lines += ["    # " + line for line in textwrap.wrap(str(setting["help"]), 140)]
        lines.append(f"    {name}: {kind(name, setting)} | None")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent.parent / "retrograd" / "_keywords.py").write_text(written(), "utf-8")
