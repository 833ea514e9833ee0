#!/bin/sh
# Trains 20,000 updates on each device and prints, at the start and at the end: anonymous memory, characters per second, sizes of the run's files.
# sh scripts/long_run.sh [TEXT [UPDATES]]; without a text, the embedded one.
set -eu
cd "$(dirname "$0")/.."
text=${1:-} updates=${2:-20000}
# As scripts/parity.sh does: the example's needs change features of crates, and without it they would be built once more.
cargo build --release --quiet --bin retrograd --example logits
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

memory() { awk '/^RssAnon/ { printf "%.1f MiB", $2 / 1024 }' "/proc/$1/status" 2>/dev/null; }

echo "| device | | update | anonymous memory | characters/s | metrics.jsonl | checkpoint |"
echo "|---|---|---|---|---|---|---|"
for device in cpu gpu; do
    run=$work/$device
    # shellcheck disable=SC2086 # no text is no argument
    target/release/retrograd train $text --cell rnn --hidden 64 --batch 16 --truncation regular:32 --updates "$updates" --device "$device" --log-every 500 \
        --val-every 5000 --sample 0 --quiet --out "$run" &
    process=$!
    first="" last=""
    while kill -0 "$process" 2>/dev/null; do
        sleep 0.2
        lines=$(grep -c '"train_loss":[0-9]' "$run/metrics.jsonl" 2>/dev/null || true)
        now=$(memory "$process") || break
        [ -n "$now" ] || continue
        [ -n "$first" ] || [ "${lines:-0}" -lt 3 ] || first=$now
        last=$now
    done
    wait "$process"
    size() { wc -c <"$run/$1" | awk '{ printf "%.0f KiB", $1 / 1024 }'; }
    # Speeds are means from report to report; the first is the start-up's.
    python3 - "$run/metrics.jsonl" "$device" "$first" "$last" "$(size metrics.jsonl)" "$(size checkpoint.safetensors)" <<'PY'
import json, statistics, sys
path, device, first, last, metrics, checkpoint = sys.argv[1:]
lines = [l for l in map(json.loads, open(path)) if l["train_loss"] is not None]
speed = lambda part: f"{statistics.median(l['tokens_per_second'] for l in part):,.0f}"
print(f"| {device} | start | {lines[1]['update']:,} | {first} | {speed(lines[1:9])} | | |")
print(f"| {device} | end | {lines[-1]['update']:,} | {last} | {speed(lines[-8:])} | {metrics} | {checkpoint} |")
PY
done
