#!/bin/sh
# Runs this crate and its yardsticks in turn on this machine and writes the tables of the README, ratios included, to standard output:
#
#     sh benches/peers/run.sh > tables.md             all of it, about half an hour
#     PARTS=cpu sh benches/peers/run.sh               one part: adapter, cpu or corners
#
# PYTHON (python3): one that has PyTorch. ROUNDS (3): every program runs so often, and the median counts. TIME (3): seconds of a run.
# Run it on an otherwise idle machine: every program takes all cores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
crate=$(cd "$here/../.." && pwd)
python=${PYTHON:-python3} rounds=${ROUNDS:-3} time=${TIME:-3} parts=${PARTS:-adapter cpu corners}
threads=$(nproc)
target=${BURN_TARGET:-$crate/target/peers}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { echo "$*" >&2; }

say "building this crate"
own=$(cd "$crate" && cargo bench --bench throughput --no-run 2>&1 | tee -a "$work/log" | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
[ -n "$own" ] || { cat "$work/log" >&2; exit 1; }
case $own in /*) ;; *) own=$crate/$own ;; esac
say "building burn (minutes, the first time)"
(cd "$here/burn" && cargo build --release --quiet --target-dir "$target")

# program H B T LAYERS: one line of JSON
program() {
    name=$1
    shift
    case $name in
    own-cpu) "$own" cpu update "$@" "$time" ;;
    own-gpu) "$own" gpu update "$@" "$time" ;;
    torch) "$python" "$here/torch_peer.py" "$@" "$time" "$threads" ;;
    burn-flex) "$target/release/burn-peer" flex rnn "$@" "$time" ;;
    burn-wgpu) "$target/release/burn-peer" wgpu rnn "$@" "$time" ;;
    esac
}

# The shapes of a part, one a line: H B T LAYERS.
shapes() {
    case $1 in
    adapter) printf '%s 32 64 1\n' 128 256 512 ;;
    cpu) printf '%s 32 64 1\n' 128 256 512 1024 ;;
    corners)
        for h in 128 256 512 1024; do
            printf "$h %s\n" '8 32 1' '8 32 3' '8 1000 1' '32 64 3' '32 1000 1' '128 32 1' '128 32 3' '128 1000 1'
        done
        ;;
    *) say "no part $1: adapter, cpu or corners"; exit 2 ;;
    esac
}
programs() {
    case $1 in
    adapter) echo own-gpu burn-wgpu burn-flex ;;
    cpu) echo own-cpu torch burn-flex ;;
    corners) echo own-cpu torch ;;
    esac
}

for part in $parts; do
    shapes "$part" > "$work/shapes"
    round=0
    while [ $round -lt "$rounds" ]; do
        round=$((round + 1))
        while read -r h b t l; do
            for name in $(programs "$part"); do
                line=$(program "$name" "$h" "$b" "$t" "$l" 2>> "$work/log" < /dev/null) || { say "$name $h $b $t $l failed:"; tail -5 "$work/log" >&2; exit 1; }
                seconds=$(echo "$line" | sed -n 's/.*"seconds": \([0-9.e-]*\).*/\1/p')
                say "$part, round $round: $name H $h B $b T $t layers $l: $seconds s"
                echo "$part $h $b $t $l $name $seconds" >> "$work/times"
                if [ "$name" = own-gpu ]; then echo "$line" | sed -n 's/.*"device": "\(.*\)".*/\1/p' > "$work/adapter"; fi
                if [ "$name" = torch ]; then echo "$line" | sed -n 's/.*"version": "\([^"]*\)".*/\1/p' > "$work/torch"; fi
            done
        done < "$work/shapes"
    done
done

echo "Machine: $threads threads of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -s)."
[ ! -f "$work/adapter" ] || echo "Adapter: $(cat "$work/adapter")."
[ ! -f "$work/torch" ] || echo "PyTorch $(cat "$work/torch"), $threads threads. burn 0.22.1."
echo "Tokens per second of whole updates, medians of $rounds runs in turn of $time s each; \`sh benches/peers/run.sh\`."
awk '
    function median(list, n, k, i, j, x) {
        k = split(list, v, " ")
        for (i = 2; i <= k; i++) { x = v[i] + 0; for (j = i - 1; j > 0 && v[j] + 0 > x; j--) v[j + 1] = v[j]; v[j + 1] = x }
        return v[int((k + 1) / 2)]
    }
    function thousands(x, s, i) {
        s = sprintf("%.0f", x)
        for (i = length(s) - 3; i > 0; i -= 3) s = substr(s, 1, i) "," substr(s, i + 1)
        return s
    }
    { key = $1 " " $2 " " $3 " " $4 " " $5; if (!(key in seen)) { seen[key] = 1; keys[++n] = key } times[key, $6] = times[key, $6] " " $7 }
    END {
        own["adapter"] = "own-gpu"; own["cpu"] = own["corners"] = "own-cpu"
        peers["adapter"] = "burn-wgpu burn-flex"; peers["cpu"] = "torch burn-flex"; peers["corners"] = "torch"
        title["own-gpu"] = "retrograd, this adapter"; title["own-cpu"] = "retrograd, CPU"; title["torch"] = "PyTorch, CPU"
        title["burn-wgpu"] = "burn wgpu, this adapter"; title["burn-flex"] = "burn flex, CPU"
        for (i = 1; i <= n; i++) {
            split(keys[i], k, " "); part = k[1]; count = split(peers[part], p, " ")
            if (part != last) {
                head = "\n| H | B | T | layers | " title[own[part]] " |"; rule = "|---|---|---|---|---|"
                for (j = 1; j <= count; j++) { head = head " " title[p[j]] " | ratio |"; rule = rule "---|---|" }
                print head "\n" rule; last = part
            }
            tokens = k[3] * k[4]; mine = median(times[keys[i], own[part]])
            row = "| " k[2] " | " k[3] " | " k[4] " | " k[5] " | " thousands(tokens / mine) " |"
            for (j = 1; j <= count; j++) {
                other = median(times[keys[i], p[j]])
                row = row " " thousands(tokens / other) " | " sprintf("%.2f", other / mine) " |"
            }
            print row
        }
    }' "$work/times"
