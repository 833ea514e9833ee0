"""Forecasts of numeric series by PyTorch's nn.LSTM and nn.GRU: what the defaults of `retrograd train --target` are measured against.

series_torch.py CSV TARGET TIME HORIZON [SEEDS] prints a line of JSON for each cell and kind of target with seed 0, then the best of them: its
held-out RMSE over 1 to HORIZON rows ahead, in the units of the target, mean over the seeds.

All columns but TIME are read, standardised by the training part; the last tenth of the rows is held out. Hidden size 32, 600 updates of Adam on
32 random windows of up to 64 rows, every step of which forecasts the next HORIZON rows; clipping at norm 1; cosine schedule from 3e-3. The model
is validated every 50 updates and the best one counts. Targets are values as they are, or changes from the last row known.
"""
import csv
import json
import math
import sys

import numpy as np
import torch
from torch import nn

HIDDEN, UPDATES, BATCH, WINDOW, RATE, EVERY, WARM_UP = 32, 600, 32, 64, 3e-3, 50, 256


class Net(nn.Module):
    def __init__(self, cell, inputs, outputs):
        super().__init__()
        self.rnn = cell(inputs, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, outputs)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def read(path, target, time):
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    used = [i for i, name in enumerate(header) if name != time]
    values = np.array([[float(row[i]) for i in used] for row in rows])
    return values, [header[i] for i in used].index(target)


def standard(x):
    mean, deviation = x.mean(0), x.std(0)
    return mean, np.where(deviation > 0, deviation, 1.0)


def rmse(cell, changes, seed, values, target, horizon):
    torch.manual_seed(seed)
    held = len(values) - max(int(len(values) * 0.1), horizon)
    mean, deviation = standard(values[:held])
    inputs = torch.tensor((values - mean) / deviation, dtype=torch.float32)
    y = values[:, target]
    last = len(y) - horizon
    ahead = np.stack([y[h + 1 : h + 1 + last] for h in range(horizon)], 1)
    base = y[:last, None] if changes else 0.0
    steps = held - horizon
    middle, spread = standard((ahead - base)[:steps])
    wanted = torch.tensor((ahead - base - middle) / spread, dtype=torch.float32)
    net = Net(cell, values.shape[1], horizon)
    adam = torch.optim.Adam(net.parameters(), lr=RATE)
    window, best = min(WINDOW, steps), math.inf
    first = max(held - 1 - WARM_UP, 0)
    for update in range(UPDATES):
        for group in adam.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * update / UPDATES))
        starts = torch.randint(steps - window + 1, (BATCH,))
        x = torch.stack([inputs[s : s + window] for s in starts])
        t = torch.stack([wanted[s : s + window] for s in starts])
        loss = nn.functional.mse_loss(net(x), t)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        if (update + 1) % EVERY == 0:
            with torch.no_grad():
                out = net(inputs[None, first:last])[0, held - 1 - first :].double().numpy()
            forecast = out * spread + middle + (base[held - 1 :] if changes else 0.0)
            best = min(best, float(np.sqrt(((forecast - ahead[held - 1 :]) ** 2).mean())))
    return best


def main():
    path, target, time, horizon = *sys.argv[1:4], int(sys.argv[4])
    seeds = int(sys.argv[5]) if len(sys.argv) > 5 else 3
    torch.set_num_threads(1)
    values, column = read(path, target, time)
    found = {}
    for cell in (nn.LSTM, nn.GRU):
        for changes in (False, True):
            found[cell, changes] = rmse(cell, changes, 0, values, column, horizon)
            name = cell.__name__ + (" changes" if changes else " values")
            print(json.dumps({"data": path, "target": target, "model": name, "rmse": found[cell, changes]}), flush=True)
    cell, changes = min(found, key=found.get)
    each = [found[cell, changes]] + [rmse(cell, changes, seed, values, column, horizon) for seed in range(1, seeds)]
    name = cell.__name__ + (" changes" if changes else " values")
    print(json.dumps({"data": path, "target": target, "best": name, "rmse": sum(each) / seeds, "seeds": each, "version": torch.__version__}), flush=True)



main()
