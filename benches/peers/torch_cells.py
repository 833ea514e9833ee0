"""One update of a character model of nn.RNN (tanh), nn.GRU or nn.LSTM by PyTorch on a GPU (cuDNN) or the CPU, as README.md defines it.

torch_cells.py DEVICE SECONDS SHAPE... [--cells rnn,gru,lstm] [--tf32]: DEVICE is cuda or cpu, a SHAPE is H,B,T. Prints a line of JSON for each cell and shape,
with the names that `throughput DEVICE update` uses; SECONDS bounds the time of each.
"""
import argparse
import json
import time

import torch
from torch import nn

VOCAB, WARM_UP, LEAST, MOST = 65, 3, 3, 60


def best_product(device, wait):
    """GFLOP/s of the best plain product in f32."""
    n = 4096 if device == "cuda" else 1024
    x, y, best = torch.randn(n, n, device=device), torch.randn(n, n, device=device), float("inf")
    for _ in range(12):
        wait()
        start = time.perf_counter()
        x @ y
        wait()
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best / 1e9


def update_times(cell, shape, device, seconds, wait):
    hidden, batch, steps = shape
    torch.manual_seed(0)
    rnn = getattr(nn, cell.upper())(VOCAB, hidden).to(device)
    head = nn.Linear(hidden, VOCAB).to(device)
    parameters = [*rnn.parameters(), *head.parameters()]
    adam = torch.optim.Adam(parameters, lr=2e-3)
    inputs = nn.functional.one_hot(torch.randint(VOCAB, (steps, batch)), VOCAB).float().to(device)
    targets = torch.randint(VOCAB, (steps * batch,)).to(device)
    times, begin = [], time.perf_counter()
    while len(times) < WARM_UP + LEAST or (time.perf_counter() - begin < seconds and len(times) < WARM_UP + MOST):
        wait()
        start = time.perf_counter()
        loss = nn.functional.cross_entropy(head(rnn(inputs)[0]).flatten(0, 1), targets)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        wait()
        times.append(time.perf_counter() - start)
    return sorted(times[WARM_UP:])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("device", choices=["cuda", "cpu"])
    arguments.add_argument("seconds", type=float)
    arguments.add_argument("shapes", nargs="+")
    arguments.add_argument("--cells", default="rnn,gru,lstm")
    arguments.add_argument("--tf32", action="store_true", help="let cuBLAS and cuDNN round operands to TF32")
    a = arguments.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = a.tf32
    wait = torch.cuda.synchronize if a.device == "cuda" else (lambda: None)
    name = torch.cuda.get_device_name() if a.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    product = best_product(a.device, wait)
    for cell in a.cells.split(","):
        for shape in a.shapes:
            hidden, batch, steps = (int(n) for n in shape.split(","))
            times = update_times(cell, (hidden, batch, steps), a.device, a.seconds, wait)
            median = times[len(times) // 2]
            print(json.dumps({
                "cell": cell, "hidden": hidden, "batch": batch, "steps": steps, "layers": 1, "seconds": round(median, 6), "min": round(times[0], 6),
                "updates": len(times), "tokens_per_second": round(batch * steps / median), "best_product_gflops": round(product), "tf32": a.tf32,
                "version": torch.__version__, "device": name,
            }), flush=True)


main()
