"""Accuracy on MNIST-1D, beside the figures of the data set's report.

    python benches/published/mnist1d.py FOLDER [--seeds 0 1 2] [--cells gru lstm rnn] [--shuffled] [--defaults] [--program target/release/retrograd]
    python benches/published/mnist1d.py FOLDER --validate "--cell gru --hidden 64" [--seeds 0]

FOLDER holds mnist1d_train.csv and mnist1d_test.csv: 4,000 and 1,000 sequences of 40 numbers, a column `label` first (the frozen file of
https://github.com/greydanus/mnist1d as CSV). Each number is a step, so the net reads 40 steps of one number and names the digit after the last. A tenth of the
training part, the same share of each digit, chooses the model of a run; the test part is scored once, by `eval`. With --shuffled the steps of all sequences
are in one other order (seed 0), which leaves no local structure. With --defaults no setting but the cell is given.

--validate trains with other settings and prints their validation accuracy: it reads no test part. mnist1d.md is the log of the settings tried that way.
The report: Greydanus, "Scaling down deep learning", https://arxiv.org/abs/2011.14439. Prints a table in Markdown.
"""
import argparse
import csv
import json
import pathlib
import random
import subprocess
import tempfile
import time

REPORT = {"gru": "91", "cnn": "94", "mlp": "68"}
STATED = {
    "gru": "--cell gru --hidden 64 --updates 2000 --lr 0.01 --batch 64 --optimizer adamw:0.1",
    "lstm": "--cell lstm --hidden 64 --updates 2000 --lr 0.01 --batch 64 --optimizer adamw:0.1",
    "rnn": "--cell rnn --hidden 128 --updates 4000 --lr 0.001 --batch 64",
}


def program(args, *words):
    done = subprocess.run([args.program, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"retrograd {' '.join(map(str, words))}: {done.stderr}")
    return json.loads(done.stdout)


def shuffled(source, target):
    """The table with the steps in another order, the same for every sequence."""
    with open(source, newline="") as file:
        header, *rows = csv.reader(file)
    order = list(range(1, len(header)))
    random.Random(0).shuffle(order)
    with open(target, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", *(f"t{i}" for i in range(len(order)))])
        writer.writerows([row[0], *(row[i] for i in order)] for row in rows)
    return target


def train(args, table, settings, seed, out):
    start = time.perf_counter()
    words = ["--label-column", "label", *settings.split(), "--seed", seed, "--device", "cpu", "--out", out, "--quiet", "--json"]
    summary = program(args, "train", table, *words)
    return summary, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cells", nargs="+", choices=list(STATED), default=list(STATED))
    parser.add_argument("--shuffled", action="store_true")
    parser.add_argument("--defaults", action="store_true")
    parser.add_argument("--validate", metavar="SETTINGS")
    parser.add_argument("--program", default="target/release/retrograd")
    args = parser.parse_args()
    tables = {part: args.folder / f"mnist1d_{part}.csv" for part in ("train", "test")}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if args.shuffled:
            tables = {part: shuffled(path, folder / f"{part}.csv") for part, path in tables.items()}
        if args.validate is not None:
            for seed in args.seeds:
                summary, seconds = train(args, tables["train"], args.validate, seed, folder / f"run-{seed}")
                order = "shuffled" if args.shuffled else "as given"
                best, loss = 100 * summary["best_val_accuracy"], summary["best_val_loss"]
                print(f"| `{args.validate}` | {order} | {seed} | {best:.2f} | {loss:.4f} | {summary['best_update']} | {seconds:.0f} |", flush=True)
            return
        print(f"| model | steps | seed | test accuracy, % | report, % | {'settings' if not args.defaults else 'defaults'} | seconds |\n|---|---|---|---|---|---|---|")
        for cell in args.cells:
            settings = f"--cell {cell}" if args.defaults else STATED[cell]
            for seed in args.seeds:
                run = folder / f"{cell}-{seed}"
                _, seconds = train(args, tables["train"], settings, seed, run)
                found = program(args, "eval", run, tables["test"], "--device", "cpu", "--quiet", "--json")
                report = "-" if args.shuffled else REPORT.get(cell, "-")
                order = "shuffled" if args.shuffled else "as given"
                print(f"| {cell} | {order} | {seed} | {100 * found['accuracy']:.1f} | {report} | `{settings}` | {seconds:.0f} |", flush=True)
        if not args.shuffled:
            for model in ("mlp", "cnn"):
                print(f"| {model} | as given | - | - | {REPORT[model]} | the report's | - |")


main()
