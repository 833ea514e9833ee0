"""Forecasts of the 414 hourly series of the M4 competition, 48 hours ahead, by one global model, beside the competition's figures.

    python benches/published/m4_hourly.py FOLDER [--seeds 0 1 2] [--defaults] [--program target/release/retrograd]
    python benches/published/m4_hourly.py FOLDER --validate "--cell gru --hidden 64" [--seeds 0]

FOLDER holds m4_hourly_train.csv and m4_hourly_test.csv: a row a series, its name first, then its values, and empty cells after its end
(https://github.com/Mcompetitions/M4-methods, Dataset). The last 48 hours of each training series choose the model of a run; the test part is scored once, from
`predict`. A second model, of the levels 0.025, 0.5 and 0.975, forecasts intervals.

Metrics are the competition's: sMAPE, MASE (by the seasonal naive error in sample, 24 hours), OWA (both relative to Naive 2), MSIS of 95% intervals. The naive
forecasts are worked out here too, and must agree with the published figures. --validate trains with other settings and prints the score of the last 48 hours of
the training series: it reads no test part. m4_hourly.md is the log of the settings tried that way. Figures of others: Makridakis, Spiliotis and Assimakopoulos,
"The M4 Competition: 100,000 time series and 61 forecasting methods", International Journal of Forecasting 36 (2020). Prints a table in Markdown.
"""
import argparse
import csv
import json
import pathlib
import subprocess
import tempfile
import time

AHEAD, SEASON = 48, 24
STATED = "--cell gru --hidden 32 --updates 400 --batch 32 --lr 0.003 --loss absolute --difference=season"
LEVELS = "0.025,0.5,0.975"
PUBLISHED = [("RNN, the competition's benchmark", "14.698", "3.048", "1.036", "-"), ("the winner (Smyl)", "9.328", "0.893", "0.440", "7.928")]


def program(args, *words):
    done = subprocess.run([args.program, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"retrograd {' '.join(map(str, words))}: {done.stderr}")
    return json.loads(done.stdout) if "--json" in words else done.stdout


def read(path):
    with open(path, newline="") as file:
        return {row[0]: [float(x) for x in row[1:] if x] for row in list(csv.reader(file))[1:]}


def long(series, path):
    """A row an hour."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["series", "value"])
        for i, values in enumerate(series.values()):
            writer.writerows([f"H{i + 1}", repr(x)] for x in values)
    return path


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def step(known):
    """The mean absolute error of the seasonal naive forecast in sample."""
    return mean(abs(known[t] - known[t - SEASON]) for t in range(SEASON, len(known)))


def smape(truth, found):
    return mean(200 * abs(y - f) / (abs(y) + abs(f)) if y or f else 0 for y, f in zip(truth, found))


def mase(truth, found, known):
    return mean(abs(y - f) for y, f in zip(truth, found)) / step(known)


def msis(truth, low, high, known, alpha=0.05):
    miss = (max(l - y, 0) + max(y - h, 0) for y, l, h in zip(truth, low, high))
    return (mean(h - l for l, h in zip(low, high)) + mean(miss) * 2 / alpha) / step(known)


def is_seasonal(known):
    """The competition's test: whether the autocorrelation at the season stands out."""
    n, m = len(known), mean(known)
    c0 = sum((x - m) ** 2 for x in known)
    if n < 3 * SEASON or c0 == 0:
        return False
    acf = [sum((known[t] - m) * (known[t - k] - m) for t in range(k, n)) / c0 for k in range(1, SEASON + 1)]
    limit = 1.645 / n**0.5 * (1 + 2 * sum(r * r for r in acf[:-1])) ** 0.5
    return abs(acf[-1]) > limit


def naive2(known):
    """The last value without its season, times the season of each hour to come: R's multiplicative decompose, as the competition used it."""
    if not is_seasonal(known):
        return [known[-1]] * AHEAD
    half, trend = SEASON // 2, {}
    for t in range(half, len(known) - half):
        trend[t] = (sum(known[t - half + 1 : t + half]) + (known[t - half] + known[t + half]) / 2) / SEASON
    ratios = [[known[t] / trend[t] for t in trend if t % SEASON == k] for k in range(SEASON)]
    figure = [mean(r) for r in ratios]
    figure = [f / mean(figure) for f in figure]
    n = len(known)
    last = known[-1] / figure[(n - 1) % SEASON]
    return [last * figure[(n + h) % SEASON] for h in range(AHEAD)]


def naive(known):
    return [known[-1]] * AHEAD


def seasonal_naive(known):
    return [known[-SEASON + h % SEASON] for h in range(AHEAD)]


def score(known, truth, found):
    """sMAPE, MASE and OWA of forecasts of series."""
    def both(forecast):
        return mean(smape(truth[k], forecast[k]) for k in truth), mean(mase(truth[k], forecast[k], known[k]) for k in truth)

    (s, m), (s2, m2) = both(found), both({k: naive2(known[k]) for k in known})
    return s, m, (s / s2 + m / m2) / 2


def train(args, table, settings, seed, out):
    fixed = ["--series", "series", "--target", "value", "--horizon", AHEAD, "--season", SEASON, "--val-fraction", 0.05, "--scale", "series"]
    words = [*(fixed[:8] if args.defaults else fixed), *settings.split(), "--seed", seed]
    start = time.perf_counter()
    program(args, "train", table, *words, "--device", "cpu", "--out", out, "--quiet", "--json")
    return time.perf_counter() - start


def forecasts(args, run, table, last, levels=("",)):
    """The forecasts of 48 rows in a row, from the hour before them, by name and level; the rows to come, or the `last` ones of the table."""
    rows = list(csv.DictReader(program(args, "predict", run, table, "--last", last, "--quiet").splitlines()))
    by_name = {}
    for row in rows:
        by_name.setdefault(row["series"], []).append(row)
    def of(own, level):
        return [float(row[f"value+{h}{level}"]) for h, row in enumerate(own[:AHEAD], 1)]

    return [{name: of(own, level) for name, own in by_name.items()} for level in levels]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--defaults", action="store_true", help="no settings but the series, the horizon and the season")
    parser.add_argument("--no-intervals", action="store_true")
    parser.add_argument("--validate", metavar="SETTINGS")
    parser.add_argument("--program", default="target/release/retrograd")
    args = parser.parse_args()
    known = {f"H{i + 1}": values for i, values in enumerate(read(args.folder / "m4_hourly_train.csv").values())}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        table = long(known, folder / "train.csv")
        if args.validate is not None:
            before = {k: v[:-AHEAD] for k, v in known.items()}
            tail = {k: v[-AHEAD:] for k, v in known.items()}
            for seed in args.seeds:
                seconds = train(args, table, args.validate, seed, folder / f"run-{seed}")
                found = forecasts(args, folder / f"run-{seed}", table, AHEAD)[0]
                print("| `{}` | {} | {:.3f} | {:.3f} | {:.3f} | {:.0f} |".format(args.validate, seed, *score(before, tail, found), seconds), flush=True)
            return
        truth = {f"H{i + 1}": values for i, values in enumerate(read(args.folder / "m4_hourly_test.csv").values())}
        print("| forecast | seed | sMAPE | MASE | OWA | MSIS | seconds |\n|---|---|---|---|---|---|---|")
        for label, method in [("naive", naive), ("seasonal naive", seasonal_naive), ("naive 2", naive2)]:
            print("| {} | - | {:.3f} | {:.3f} | {:.3f} | - | - |".format(label, *score(known, truth, {k: method(v) for k, v in known.items()})))
        for label, *figures in PUBLISHED:
            print(f"| {label}, published | - | {' | '.join(figures)} | - |")
        for seed in args.seeds:
            run = folder / f"run-{seed}"
            seconds = train(args, table, "" if args.defaults else STATED, seed, run)
            found = forecasts(args, run, table, 0)[0]
            band = "-"
            if not args.defaults and not args.no_intervals:
                settings = " ".join(w for w in STATED.replace("--loss absolute", "").split())
                own = folder / f"band-{seed}"
                seconds += train(args, table, f"{settings} --quantiles {LEVELS}", seed, own)
                low, high = forecasts(args, own, table, 0, ("@0.025", "@0.975"))
                band = f"{mean(msis(truth[k], low[k], high[k], known[k]) for k in truth):.3f}"
            label = "retrograd, defaults" if args.defaults else f"retrograd, `{STATED}`"
            print("| {} | {} | {:.3f} | {:.3f} | {:.3f} | {} | {:.0f} |".format(label, seed, *score(known, truth, found), band, seconds), flush=True)


main()
