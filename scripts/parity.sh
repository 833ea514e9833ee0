#!/bin/sh
# Checks models, their training, ONNX files and event files against other programs: PyTorch, onnxruntime and TensorBoard.
#
#     sh scripts/parity.sh
#
# Builds the release program and the example `logits`, and makes a virtual environment in target/parity with what the Python scripts need; the next run takes
# both as they are. pip's own settings apply; without any, its PyTorch for Linux brings libraries of CUDA, gigabytes, where one for the CPU would do.
# Fails if anything is missing or beyond its bound.
#
# PYTHON  the Python that makes the environment (python3)
set -eu
cd "$(dirname "$0")/.."
environment=target/parity/venv
needed="torch numpy safetensors onnx onnxruntime tensorboard"
if [ ! -e "$environment/complete" ]; then
    "${PYTHON:-python3}" -m venv "$environment"
    # shellcheck disable=SC2086 # a list
    "$environment/bin/python" -m pip install --quiet $needed
    : >"$environment/complete"
fi
python=$environment/bin/python
# shellcheck disable=SC2086
"$python" -c 'import importlib.metadata as m, sys; print("with", ", ".join(f"{n} {m.version(n)}" for n in sys.argv[1:]))' $needed

cargo build --release --quiet --bin retrograd --example logits
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Prose of more than 60,000 characters.
cat README.md ARCHITECTURE.md CONTRIBUTING.md docs/guide.md docs/metrics.md >"$work/prose.txt"

echo "== PyTorch and ONNX"
"$python" tests/parity/check.py target/release "$work/prose.txt"

echo "== TensorBoard: a run that was resumed"
target/release/retrograd train "$work/prose.txt" --hidden 24 --batch 8 --updates 60 --log-every 5 --val-every 20 --monitor 20 --sample 40 --tensorboard \
    --device cpu --quiet --out "$work/run" >/dev/null
target/release/retrograd train --resume "$work/run" --updates 90 --quiet >/dev/null
"$python" tests/tensorboard_read.py "$work/run"
