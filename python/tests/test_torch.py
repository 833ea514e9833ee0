"""PyTorch's modules, both ways."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SMALL, TEXT

import retrograd as rg

torch = pytest.importorskip("torch")

CELLS = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_dict_loads_and_computes_the_same(cell: str) -> None:
    model = rg.train(text=TEXT, cell=cell, layers=2, **SMALL).model
    symbols = model.config["outputs"]
    rnn = getattr(torch.nn, CELLS[cell])(symbols, 8, num_layers=2, batch_first=True)
    head = torch.nn.Linear(8, symbols)
    state = {name: torch.from_numpy(tensor) for name, tensor in model.state_dict().items()}
    rnn.load_state_dict({name[4:]: t for name, t in state.items() if name.startswith("rnn.")})
    head.load_state_dict({name[5:]: t for name, t in state.items() if name.startswith("head.")})
    ids = np.array([model.encode("the quick"), model.encode("lazy dog\n")])
    with torch.no_grad():
        expected = head(rnn(torch.nn.functional.one_hot(torch.from_numpy(ids.astype(np.int64)), symbols).float())[0]).numpy()
    np.testing.assert_allclose(model.logits(ids), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_modules_are_taken_over(cell: str) -> None:
    vocabulary = sorted(set(TEXT))
    rnn = getattr(torch.nn, CELLS[cell])(len(vocabulary), 8)
    head = torch.nn.Linear(8, len(vocabulary))
    model = rg.from_torch(rnn, head, vocabulary)
    ids = model.encode("the quick brown")
    with torch.no_grad():
        expected = head(rnn(torch.nn.functional.one_hot(torch.from_numpy(ids.astype(np.int64)), len(vocabulary)).float())[0]).numpy()
    np.testing.assert_allclose(model.logits(ids), expected, rtol=1e-4, atol=1e-5)
    model.save("torch.safetensors")
    assert rg.train(text=TEXT, from_="torch.safetensors", updates=3, device="cpu", progress=False).config["cell"] == cell


def test_what_does_not_fit_is_refused() -> None:
    linear = torch.nn.Linear(8, 3)
    with pytest.raises(ValueError, match="bidirectional"):
        rg.from_torch(torch.nn.GRU(3, 8, bidirectional=True), linear, "abc")
    with pytest.raises(ValueError):
        rg.from_torch(torch.nn.GRU(3, 8), torch.nn.Linear(7, 3), "abc")
    with pytest.raises(ValueError):
        rg.from_torch(torch.nn.GRU(3, 8), linear, "abcd")
    with pytest.raises(TypeError, match="expected an nn.RNN"):
        rg.from_torch(linear, linear, "abc")


def test_tensors_are_arrays() -> None:
    ids = torch.tensor([TEXT.index(c) % 7 for c in TEXT])
    assert rg.train(ids, **SMALL).model.config["outputs"] == 7
