from typing import Any as _Any

from ._settings import declared as _declared


def declared() -> dict[str, dict[str, _Any]]:
    """The declaration of each setting, by keyword: its help, section, values and what it excludes.

    >>> import retrograd as rg
    >>> rg.settings.declared()["cell"]["choices"]
    ['rnn', 'gru', 'lstm', 'auto']
    """
    return {keyword: dict(setting) for keyword, setting in _declared().items()}


def _listed() -> str:
    lines = ["The settings of `train`, which are its keywords.\n"]
    for section in dict.fromkeys(s["section"] for s in _declared().values()):
        lines.append(f"\n{section}\n")
        for keyword, s in _declared().items():
            if s["section"] == section:
                values = f" ({', '.join(s['choices'])})" if s["choices"] else (f" ({s['value']})" if s["value"] else "")
                lines.append(f"    {keyword}{values}: {s['help']}")
    return "\n".join(lines)


__doc__ = _listed()
