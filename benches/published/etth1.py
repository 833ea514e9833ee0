"""Forecasts of ETTh1, 96 to 720 hours ahead, beside published figures: mean squared and absolute error of standardised values.

    python benches/published/etth1.py FILE [--horizons 96 192 336 720] [--seeds 0 1 2] [--defaults] [--program target/release/retrograd]
    python benches/published/etth1.py FILE --validate "--cell gru --hidden 64" [--horizons 96] [--seeds 0]

FILE is ETTh1.csv of https://github.com/zhouhaoyi/ETDataset: hourly, 7 columns. The standard split: 12 months to train, 4 to choose the model of a run, 4 to test
(of 30 days). One model forecasts every column as a series of its own (`--series`), so it sees one column at a time, as SegRNN and DLinear do. Every hour from
which the whole horizon lies in the test part is scored, by `eval`, from a state that has read all hours before. Errors are divided by the standard deviation
of the 12 months. --validate trains with other settings and prints the errors of the 4 months of validation: it reads no test part. etth1.md is the log of the
settings tried that way. Published: SegRNN, https://arxiv.org/abs/2308.11200; DLinear, https://arxiv.org/abs/2205.13504. Prints a table in Markdown.
"""
import argparse
import csv
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

MONTH = 30 * 24
TRAIN, HELD = 12 * MONTH, 4 * MONTH
SEGRNN_MSE = {96: 0.368, 192: 0.408, 336: 0.444, 720: 0.446}
DLINEAR_MSE = {96: 0.386, 192: 0.437, 336: 0.481, 720: 0.519}
STATED = "--cell gru --hidden 64 --updates 600 --difference=season --season 24"


def program(args, *words):
    done = subprocess.run([args.program, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"retrograd {' '.join(map(str, words))}: {done.stderr}")
    return json.loads(done.stdout)


def long(columns, rows, path):
    """A row an hour and column."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["column", "value"])
        for name, values in columns.items():
            writer.writerows([name, repr(x)] for x in values[:rows])
    return path


def errors(found, columns):
    """Means over the columns of squared and absolute errors, in standard deviations of the training part."""
    squares, absolutes = [], []
    for series in found["by_series"]:
        scale, target = statistics.pstdev(columns[series["name"]][:TRAIN]), series["targets"][0]
        squares.append((target["rmse"] / scale) ** 2)
        absolutes.append(target["mae"] / scale)
    return statistics.fmean(squares), statistics.fmean(absolutes)


def train(args, table, horizon, settings, seed, out):
    fixed = ["--series", "column", "--target", "value", "--horizon", horizon, "--val-fraction", HELD / (TRAIN + HELD)]
    scale = [] if args.defaults else ["--scale", "series"]
    start = time.perf_counter()
    program(args, "train", table, *fixed, *scale, *settings.split(), "--seed", seed, "--device", "cpu", "--out", out, "--quiet", "--json")
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--horizons", type=int, nargs="+", default=list(DLINEAR_MSE))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--defaults", action="store_true", help="no settings but the series and the horizon")
    parser.add_argument("--validate", metavar="SETTINGS")
    parser.add_argument("--program", default="target/release/retrograd")
    args = parser.parse_args()
    with open(args.file, newline="") as file:
        header, *rows = csv.reader(file)
    columns = {name: [float(row[j]) for row in rows] for j, name in enumerate(header) if j > 0}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        fit, whole = long(columns, TRAIN + HELD, folder / "fit.csv"), long(columns, TRAIN + 2 * HELD, folder / "all.csv")
        if args.validate is None:
            print("| horizon | seed | MSE | MAE | SegRNN's MSE (a GRU layer) | DLinear's MSE | seconds |\n|---|---|---|---|---|---|---|")
        for horizon in args.horizons:
            for seed in args.seeds:
                run = folder / f"run-{horizon}-{seed}"
                settings = args.validate if args.validate is not None else "" if args.defaults else STATED
                seconds = train(args, fit, horizon, settings, seed, run)
                table = fit if args.validate is not None else whole
                found = program(args, "eval", run, table, "--last", HELD, "--quiet", "--json")
                mse, mae = errors(found, columns)
                if args.validate is not None:
                    print(f"| `{settings}` | {horizon} | {seed} | {mse:.3f} | {mae:.3f} | {seconds:.0f} |", flush=True)
                else:
                    print(f"| {horizon} | {seed} | {mse:.3f} | {mae:.3f} | {SEGRNN_MSE[horizon]} | {DLINEAR_MSE[horizon]} | {seconds:.0f} |", flush=True)


main()
