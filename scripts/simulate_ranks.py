#!/usr/bin/env python3
"""Simulates an update of 2 to 1,024 ranks from times measured on one machine, and prints the table of docs/machines.md.

    python3 scripts/simulate_ranks.py PARAMETERS SECONDS_OF_A_GROUP [LATENCY_US [ADDS_PER_SECOND]]

SECONDS_OF_A_GROUP is the measured time of an update of one rank with one lane group (seconds_training / updates of its summary.json). A rank sends a slice of
its gradient to each other rank, adds up the slices that it receives, and sends the sum to all: 2 (R - 1) messages, 8 n (R - 1) / R bytes. Nothing is hidden, and the
network gives every rank its full rate both ways at once; switches that can't are slower than this.
"""

import sys

RANKS = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
RATES = [1, 10, 100]  # Gbit/s


def exchange(parameters, ranks, gbit, latency):
    """Seconds of the two exchanges of an update."""
    sent = 8 * parameters * (ranks - 1) / ranks
    return 2 * (ranks - 1) * latency + sent * 8 / (gbit * 1e9)


def main():
    parameters, group = int(sys.argv[1]), float(sys.argv[2])
    latency = float(sys.argv[3]) * 1e-6 if len(sys.argv) > 3 else 5e-6
    adds = float(sys.argv[4]) if len(sys.argv) > 4 else 1e9
    print("| ranks | bytes sent per rank and update | " + " | ".join(f"speed at {g} Gbit/s, and efficiency" for g in RATES) + " |")
    print("|---|---|" + "---|" * len(RATES))
    for ranks in RANKS:
        cells = []
        for gbit in RATES:
            update = group + parameters * (ranks - 1) / ranks / adds + exchange(parameters, ranks, gbit, latency)
            cells.append(f"{ranks * group / update:.1f}, {100 * group / update:.0f}%")
        print(f"| {ranks} | {8 * parameters * (ranks - 1) / ranks / 1e6:.2f} MB | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
