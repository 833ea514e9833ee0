"""The progress of a training: a bar of tqdm where there is one, else lines."""

from __future__ import annotations

import sys
import warnings
from typing import Any


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None and hasattr(shell, "get_ipython") else None
    return found is not None and type(found).__name__ == "ZMQInteractiveShell"


class Progress:
    """Shows how far a training is. With `shown` None it does so in a terminal and in a notebook."""

    def __init__(self, shown: bool | None, goal: str) -> None:
        self.goal = goal
        self.bar: Any = None
        self.shown = shown if shown is not None else (_in_notebook() or (sys.stderr is not None and sys.stderr.isatty()))
        if self.shown:
            try:
                with warnings.catch_warnings():
                    # A notebook without ipywidgets has a plain bar.
                    warnings.simplefilter("ignore")
                    from tqdm.auto import tqdm
            except ImportError:
                return
            self.bar = tqdm(total=1000, bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}", leave=True)

    def step(self, done: float) -> None:
        """A fraction of the training is done."""
        if self.bar is not None:
            self.bar.n = round(1000 * min(done, 1.0))
            self.bar.refresh()

    def report(self, line: dict[str, Any]) -> None:
        """Figures of some updates."""
        if not self.shown:
            return
        loss, speed = line.get("mean_loss"), line.get("tokens_per_second")
        text = f"update {line.get('update')}{self.goal}  loss {_number(loss)}  {_number(speed, 0)}/s"
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
        else:
            print(text, file=sys.stderr)

    def validated(self, line: dict[str, Any]) -> None:
        """A validation has ended."""
        if self.shown and self.bar is None:
            print(f"validation {_number(line.get('val_loss'))}{', the best so far' if line.get('best') else ''}", file=sys.stderr)

    def close(self) -> None:
        """Leaves what is shown as it is."""
        if self.bar is not None:
            self.bar.close()


def _number(x: Any, digits: int = 4) -> str:
    return "-" if x is None else f"{x:.{digits}f}"
