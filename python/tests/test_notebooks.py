"""The notebooks run, and their pictures are there."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["text", "forecasting", "gradients"])
def test_a_notebook(name: str, tmp_path: Path) -> None:
    book = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells), "notebooks are kept without output"
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not any(output.output_type == "error" for output in shown)
    if name == "gradients":
        kinds = {kind for output in shown for kind in output.get("data", {})}
        assert {"text/html", "image/svg+xml"} <= kinds
