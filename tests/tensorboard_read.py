"""Reads the event files of a run with the real `tensorboard` package and checks them against metrics.jsonl.

`python tests/tensorboard_read.py RUN`, after a training with --tensorboard; scripts/parity.sh does so.
"""

import json
import math
import struct
import sys
from pathlib import Path

import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SCALARS = {
    "mean_loss": "loss/train",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "tokens_per_second": "tokens_per_second",
    "skipped_updates": "skipped",
    "clipped_updates": "clipped",
}


def single(x):
    """A number as an event holds it."""
    return math.nan if x is None else struct.unpack("f", struct.pack("f", x))[0]


def expected(lines):
    """Scalars and texts by tag: (step, value)."""
    scalars, texts = {}, []

    def add(tag, step, x):
        scalars.setdefault(tag, []).append((step, single(x)))

    for line in lines:
        step = line["update"]
        if "sample" in line:
            texts.append((step, line["sample"]))
        elif "monitor" in line:
            for k, layer in enumerate(line["monitor"]["layers"]):
                for key in ("decay_rate", "half_life", "saturation"):
                    add(f"{key}/layer_{k}", step, layer[key])
            for p in line["monitor"]["parameters"]:
                for key in ("grad_norm", "weight_norm", "update_ratio"):
                    add(f"{key}/{p['name']}", step, p[key])
        elif "best" in line:
            add("loss/validation", step, line["val_loss"])
        else:
            for key, tag in SCALARS.items():
                if key != "clipped_updates" or line[key] is not None:
                    add(tag, step, line[key])
    return scalars, texts


def same(a, b):
    return a[0] == b[0] and (a[1] == b[1] or math.isnan(a[1]) and math.isnan(b[1]))


def main(run):
    run = Path(run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scalars, texts = expected(lines)
    board = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    board.Reload()
    tags = board.Tags()
    files = sorted(p.name for p in (run / "tensorboard").iterdir())
    print(f"tensorboard {tensorboard.__version__}, {len(files)} files, {len(lines)} lines of metrics")
    assert sorted(tags["scalars"]) == sorted(scalars), (sorted(tags["scalars"]), sorted(scalars))
    for tag, wanted in sorted(scalars.items()):
        found = [(e.step, e.value) for e in board.Scalars(tag)]
        assert len(found) == len(wanted) and all(map(same, found, wanted)), f"{tag}: {found} is not {wanted}"
        print(f"  {tag}: {len(found)} values equal, last {found[-1][1]:.6g} at step {found[-1][0]}")
    text = lambda e: e.tensor_proto.string_val[0].decode()
    if texts:
        found = [(e.step, text(e)) for e in board.Tensors("sample")]
        wanted = [(step, "".join(f"    {line}\n" for line in sample.split("\n"))) for step, sample in texts]
        # A final line feed ends a line; it does not begin another.
        assert [(s, t.split()) for s, t in found] == [(s, t.split()) for s, t in wanted], (found, wanted)
        print(f"  sample: {len(found)} texts equal")
    config = text(board.Tensors("config")[-1])
    keys = [line.split("=")[0].strip() for line in config.splitlines()]
    assert {"hidden", "truncation", "lr"} <= set(keys), config
    print(f"  config: a text of {len(keys)} lines")
    assert board.SummaryMetadata("config").plugin_data.plugin_name == "text"
    print("all equal")


if __name__ == "__main__":
    main(sys.argv[1])
