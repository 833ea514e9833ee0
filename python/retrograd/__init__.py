"""Recurrent networks trained by backpropagation through time, on any GPU or on the CPU.

    import retrograd as rg

    run = rg.train("book.txt", cell="lstm", hidden=256, updates=2000)
    run.sample("It was", length=200)

`train` trains on texts, tables, arrays and frames; `load` reads a model; `Forecaster` and `SequenceClassifier` are estimators by scikit-learn's protocol;
`compare`, `gradflow`, `plan`, `devices` and `gradcheck` analyse, and show their pages in a notebook.
"""

import os as _os
import sys as _sys

if _sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY", "MESA_VK_DEVICE_SELECT"} & set(_os.environ):
    # Without a display, the layer of Vulkan's loader that looks for the GPU of the display prints errors; this leaves it out.
    _os.environ.setdefault("NODEVICE_SELECT", "1")

from ._estimators import Forecaster, SequenceClassifier
from ._model import Model, from_torch, load
from ._pages import Page, compare, devices, gradcheck, gradflow, plan
from ._retrograd import DeviceError, __version__
from ._train import Run, train

DeviceError.__module__ = "retrograd"

__all__ = [
    "DeviceError",
    "Forecaster",
    "Model",
    "Page",
    "Run",
    "SequenceClassifier",
    "__version__",
    "compare",
    "devices",
    "from_torch",
    "gradcheck",
    "gradflow",
    "load",
    "plan",
    "settings",
    "train",
]

from . import settings
