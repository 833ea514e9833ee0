"""One update of a tanh RNN character model by PyTorch on the CPU, as README.md defines it.

torch_peer.py H B T LAYERS SECONDS [THREADS] prints one line of JSON: median and least seconds of an update.
"""
import json
import sys
import time

import torch
from torch import nn

VOCAB, WARM_UP, LEAST, MOST = 65, 2, 3, 400


class Net(nn.Module):
    def __init__(self, hidden, layers):
        super().__init__()
        self.rnn = nn.RNN(VOCAB, hidden, layers)
        self.head = nn.Linear(hidden, VOCAB)

    def loss(self, inputs, targets):
        h, _ = self.rnn(inputs)
        return nn.functional.cross_entropy(self.head(h).flatten(0, 1), targets)


def main():
    hidden, batch, steps, layers, seconds = (int(n) for n in sys.argv[1:6])
    torch.set_num_threads(int(sys.argv[6]) if len(sys.argv) > 6 else torch.get_num_threads())
    torch.manual_seed(0)
    net = Net(hidden, layers)
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    tokens = torch.randint(VOCAB, (steps, batch))
    inputs = nn.functional.one_hot(tokens, VOCAB).float()
    targets = torch.randint(VOCAB, (steps * batch,))
    times, begin = [], time.perf_counter()
    while len(times) < WARM_UP + LEAST or (time.perf_counter() - begin < seconds and len(times) < WARM_UP + MOST):
        start = time.perf_counter()
        loss = net.loss(inputs, targets)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        times.append(time.perf_counter() - start)
    counted = sorted(times[WARM_UP:])
    print(json.dumps({
        "seconds": round(counted[len(counted) // 2], 6), "min": round(counted[0], 6), "first": round(times[0], 3),
        "updates": len(counted), "version": torch.__version__, "threads": torch.get_num_threads(),
    }))


main()
