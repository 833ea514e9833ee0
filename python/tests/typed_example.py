"""What mypy --strict checks as a user's program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import retrograd as rg


def on_report(line: dict[str, Any]) -> bool:
    return bool(line["mean_loss"] > 0.1)


def main() -> None:
    run: rg.Run = rg.train(Path("book.txt"), cell="lstm", hidden=256, updates=2000, lr=1e-3, on_report=on_report)
    losses: list[float] = [line["mean_loss"] for line in run.metrics]
    model: rg.Model = rg.load(run.folder, which="best")
    rows = rg.Forecaster(target=["load", "wind"], horizon=24, cell="gru").fit("load.csv").predict(24)
    labels = rg.SequenceClassifier(hidden=64, progress=False).fit(["a", "b"], [0, 1]).predict(["a"])
    page: rg.Page = rg.compare("book.txt", strategies=["full"], hidden=16)
    print(losses, model.logits([0, 1]), rows, labels, page["strategies"], rg.devices()["cpu"])


if __name__ == "__main__":
    main()
