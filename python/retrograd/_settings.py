"""Keywords as settings: what the one declaration in the library says of them."""

from __future__ import annotations

import difflib
import json
import operator
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from . import _retrograd

#: Keywords that are words of Python, and the settings that they stand for.
RESERVED = {"from_": "from"}
#: Settings that name columns.
_COLUMNS = {"target", "features", "ignore"}


@lru_cache(maxsize=None)
def declared() -> dict[str, dict[str, Any]]:
    """The declaration of each setting, by keyword."""
    words = {name: keyword for keyword, name in RESERVED.items()}
    return {words.get(s["name"], s["name"]): s for s in json.loads(_retrograd._settings())}


def words(function: str, given: Mapping[str, Any], others: Iterable[str] = (), known: Iterable[str] | None = None) -> dict[str, str | None]:
    """The stated settings as words, by name; None states nothing.

    Raises TypeError for a keyword that does not exist, with the nearest one that does."""
    all_of_them = declared()
    names = list(all_of_them) if known is None else list(known)
    found: dict[str, str | None] = {}
    for keyword, value in given.items():
        if keyword not in names:
            near = difflib.get_close_matches(keyword, [*names, *others], n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {keyword!r}{hint}")
        if value is not None:
            setting = all_of_them[keyword]
            found[setting["name"]] = _word(keyword, setting, value)
    for name in found:
        for other in all_of_them.get(name, {}).get("excludes", ()):
            if other in found:
                raise ValueError(f"`{name}` and `{other}` exclude each other; give one of them")
    return found


def _word(keyword: str, setting: Mapping[str, Any], value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value) if keyword in _COLUMNS and _plain(value) else value
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        if setting["choices"] == ["yes", "no"]:
            return "yes" if value else "no"
        if setting["alone"] is not None:
            return str(setting["alone"]) if value else "none"
        if not setting["switch"]:
            raise TypeError(f"`{keyword}`: expected {_expected(setting)}, found {value!r}")
        return "true" if value else "false"
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if keyword in _COLUMNS and isinstance(value, (list, tuple)):
        return ",".join(_quoted(str(name)) for name in value)
    if keyword in _COLUMNS | {"series", "time", "label_column", "text_column", "sequence_column"} and _is_number(value):
        return str(value)
    if setting["switch"] or not _is_number(value):
        raise TypeError(f"`{keyword}`: expected {_expected(setting)}, found {type(value).__name__}")
    try:
        return str(operator.index(value))
    except TypeError:
        return repr(float(value))


def _is_number(value: Any) -> bool:
    return hasattr(value, "__index__") or (hasattr(value, "__float__") and not hasattr(value, "__len__"))


def _expected(setting: Mapping[str, Any]) -> str:
    if setting["switch"]:
        return "True or False"
    return "one of " + ", ".join(setting["choices"]) if setting["choices"] else (setting["value"] or "a value")


def _plain(name: str) -> bool:
    """Whether a text is the name of one column, and no list."""
    return "," not in name and '"' in name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(c in name for c in ',"\n') else name
