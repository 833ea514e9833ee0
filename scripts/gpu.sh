#!/bin/sh
# Proves and measures retrograd on this machine's GPU, in under five minutes and without network:
#
#     sh scripts/gpu.sh [OUT]        OUT: a new folder for the results, gpu-results by default
#
# Each step writes OUT/STEP.txt; OUT/table.md tells all of it, with the card and its driver named: send that folder with a report, or add the table to
# docs/hardware.md. A step that fails, or for which something is missing, is said there, and the others go on.
#
# BIN     a folder of programs built elsewhere: retrograd, throughput (the bench), and, if there, it (the tests) and burn-peer; else cargo builds the first two
# WGPU_ADAPTER_NAME  a part of the adapter's name, where there are several (the first)
# PYTHON  a Python with torch and CUDA, for the yardstick (python3)
# TEXT    a text to train on (the embedded one)
# MINUTES what is not done by then is left out (5)
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-gpu-results} python=${PYTHON:-python3}
[ -e "$out" ] && { echo "$out is there already; name another folder" >&2; exit 2; }
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
if [ -n "${BIN:-}" ]; then
    [ -x "$BIN/retrograd" ] && [ -x "$BIN/throughput" ] || { echo "BIN=$BIN has no programs retrograd and throughput" >&2; exit 2; }
    bin=$(cd "$BIN" && pwd)
else
    echo "building (minutes, the first time)"
    bin=$out/bin
    mkdir "$bin"
    (cd "$here" && cargo build --release --quiet --bin retrograd && cp target/release/retrograd "$bin/") || exit 2
    bench=$(cd "$here" && cargo bench --bench throughput --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
    case $bench in /*) ;; *) bench=$here/$bench ;; esac
    cp "$bench" "$bin/throughput" || exit 2
fi
text=${TEXT:+$(cd "$(dirname "$TEXT")" && pwd)/$(basename "$TEXT")}
# Nothing is read from the user's folders, and nothing is left there.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
export HOME="$work" XDG_CACHE_HOME="$work/cache" XDG_RUNTIME_DIR="$work"
now() { date +%s; }
begin=$(now)
minutes=${MINUTES:-5}
deadline=$((begin + 60 * minutes))
rows=$work/rows
printf '| step | result | seconds |\n|---|---|---|\n' >"$rows"

# step NAME LIMIT WHAT COMMAND...: runs it for LIMIT seconds at most; a row of the table; its exit code.
step() {
    id=$1 limit=$2 what=$3 start=$(now)
    shift 3
    left=$((deadline - start))
    [ "$left" -ge 5 ] || { missing "$what" "$minutes minutes are over"; return 1; }
    [ "$limit" -le "$left" ] || limit=$left
    timeout "$limit" "$@" >>"$out/$id.txt" 2>>"$out/$id.log"
    code=$?
    case $code in 0) result=ok ;; 124) result="over $limit s, stopped" ;; *) result="**failed** ($code): $(tail -n 1 "$out/$id.log" | cut -c 1-120)" ;; esac
    echo "| $what | $result | $(($(now) - start)) |" >>"$rows"
    echo "$what: $result, $(($(now) - start)) s"
    return $code
}
missing() {
    echo "| $1 | not run: $2 | |" >>"$rows"
    echo "$1: not run: $2"
}
retrograd=$bin/retrograd throughput=$bin/throughput
cat >train_on <<'END'
#!/bin/sh
# DEVICE OUT FLAG...
device=$1 run=$2
shift 2
exec "$RETROGRAD" train ${RUN_TEXT:+"$RUN_TEXT"} --device "$device" --out "$run" --cell rnn --hidden 256 --val-fraction 0 --sample 0 --json --quiet "$@"
END
chmod +x train_on
export RETROGRAD="$retrograd" RUN_TEXT="$text"

wanted=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" 2>/dev/null | head -n 1)
version=$("$retrograd" --version 2>/dev/null | awk '{ print $2 }')
[ -n "$version" ] || { echo "$retrograd does not run here: $("$retrograd" --version 2>&1 | tail -n 1)" >&2; exit 1; }
[ -z "$wanted" ] || [ "$wanted" = "$version" ] || missing "version" "the program is $version, the checkout $wanted: the figures are $version's"
card=$(command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -n 1)
step doctor 60 "adapters, limits, features, checks" "$retrograd" doctor
"$retrograd" doctor --json >"$out/doctor.json" 2>/dev/null
name=$(sed -n 's/^gpu:0  //p' "$out/doctor.txt" | head -n 1)
if [ -z "$name" ]; then
    missing "everything on the GPU" "no adapter: no driver or no Vulkan loader (see doctor.txt)"
else
    shapes="128,32,64 256,32,64 512,32,64 1024,32,64 128,128,64 256,128,64 512,128,64 1024,128,64 128,32,512 256,32,512 512,32,512 1024,32,512 1024,256,64"
    # Updates that are compared with the CPU's, and of the run that is killed.
    count=500 updates=3000
    case $name in *software*)
        missing "hardware" "the adapter is a software driver: its times say nothing of a card"
        shapes="64,8,16 128,32,64 256,32,64" count=50 updates=60
        ;;
    esac
    step gradcheck 60 "gradients against the f64 reference" "$retrograd" gradcheck --device gpu
    for shape in $shapes; do
        [ $((deadline - $(now))) -ge 5 ] || { echo "$shape: $minutes minutes are over" >>"$out/updates.log"; continue; }
        # shellcheck disable=SC2046 # three numbers
        timeout 20 "$throughput" gpu update $(echo "$shape" | tr , ' ') 1 1 >>"$out/updates.jsonl" 2>>"$out/updates.log" || echo "$shape: stopped or failed" >>"$out/updates.log"
    done
    [ "$(grep -c tokens_per_second "$out/updates.jsonl")" = "$(echo "$shapes" | wc -w)" ] && result=ok || result="**some failed**, see updates.log"
    echo "| updates of $(echo "$shapes" | wc -w) shapes | $result | |" >>"$rows"
    step kernels 60 "each kernel beside the card's best" "$throughput" gpu kernels
    step profile 30 "where an update's time goes" "$retrograd" train ${text:+"$text"} --device gpu --cell rnn --hidden 256 --updates 60 --sample 0 --val-fraction 0 --profile --out profile
    losses=$(now)
    if step losses 60 "$count updates" ./train_on gpu gpu --updates "$count" --log-every $((count / 10)) && step losses-cpu 120 "the same on the CPU" ./train_on cpu cpu --updates "$count" --log-every $((count / 10)); then
        # As many updates as last some seconds.
        [ $(($(now) - losses)) -le 20 ] || updates=$((updates / 5))
        # The largest difference between the losses of reports of the same number.
        difference=$(for run in gpu cpu; do sed -n 's/.*"train_loss":\([0-9.]*\).*/\1/p' "$run/metrics.jsonl" >"$run.losses"; done
            paste gpu.losses cpu.losses | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d } END { printf "%.1e nats over %d reports, last %s and %s", most, NR, $1, $2 }')
        echo "| largest difference of the losses, GPU and CPU | $difference | |" >>"$rows"
    fi
    if step memory 60 "a window of the whole lane in 16 MiB" ./train_on gpu memory --truncation full --memory-budget 16MiB --updates 1; then
        bytes() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$out/memory.txt" | head -n 1; }
        [ "$(bytes device_bytes_planned)" = "$(bytes device_bytes_allocated)" ] && same="equal" || same="**not equal**"
        echo "| bytes planned and allocated on the device | $(bytes device_bytes_planned), $(bytes device_bytes_allocated): $same | |" >>"$rows"
    fi
    # Killed without warning, gone on with, and compared with a run that was not.
    if step whole 60 "$updates updates, saving" ./train_on gpu whole --updates "$updates" --save-every $((updates / 10)); then
        ./train_on gpu killed --updates "$updates" --save-every $((updates / 10)) >/dev/null 2>&1 &
        process=$!
        for _ in $(seq 400); do
            [ -e killed/checkpoint.safetensors ] && break
            sleep 0.05
        done
        kill -9 $process 2>/dev/null
        wait $process 2>/dev/null
        if [ -e killed/summary.json ]; then
            missing "the same, killed in between" "it was done before it could be killed"
        elif step resume 60 "the same, killed in between and gone on with" "$retrograd" train --resume killed --json --quiet --sample 0; then
            cmp -s whole/model.safetensors killed/model.safetensors && same="the same bytes" || same="**other bytes**"
            echo "| the models of both | $same | |" >>"$rows"
        fi
    fi
    if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        # shellcheck disable=SC2086 # a list
        step torch 60 "PyTorch with cuDNN, f32" "$python" "${CELLS:-$here/benches/peers/torch_cells.py}" cuda 0.3 $shapes
        # shellcheck disable=SC2086
        step torch-tf32 60 "PyTorch with cuDNN, TF32" "$python" "${CELLS:-$here/benches/peers/torch_cells.py}" cuda 0.3 $shapes --cells rnn --tf32
    else
        missing "PyTorch with cuDNN" "$python has no torch with CUDA"
    fi
    if [ -x "$bin/it" ]; then
        step tests 120 "tests of kernels, gradients, truncation" "$bin/it" kernels:: gradients:: truncation:: --test-threads 8
    else
        missing "tests of kernels" "no program \`it\` in $bin"
    fi
    if [ -x "$bin/burn-peer" ]; then
        step burn 60 "burn, wgpu" "$bin/burn-peer" wgpu rnn 256 32 64 1 2
    else
        missing "burn, wgpu" "no program \`burn-peer\` in $bin"
    fi
fi

# A line of JSON as H, B, T, cell, tokens a second, and, of this crate, share of idle time.
numbers() { sed -n 's/.*"cell": "\([a-z]*\)", "hidden": \([0-9]*\), "batch": \([0-9]*\), "steps": \([0-9]*\).*"tokens_per_second": \([0-9]*\).*/\2,\3,\4 '"$2"'\1 \5/p' "$1" 2>/dev/null; }
idle() { sed -n 's/.*"hidden": \([0-9]*\), "batch": \([0-9]*\), "steps": \([0-9]*\).*"gflops": \([0-9.]*\), "idle": \([0-9.nul]*\).*/\1,\2,\3 gflops \4\n\1,\2,\3 idle \5/p' "$1" 2>/dev/null; }
{
    echo "### ${name:-no adapter}"
    echo
    echo "retrograd $version, $(uname -sm), $(date -u +%Y-%m-%d)${card:+; $card}; $(($(now) - begin)) s in all."
    echo
    cat "$rows"
    if [ -s "$out/updates.jsonl" ]; then
        echo
        echo "Tokens a second of whole updates (V 65, one layer, Adam, clipping), each waited for; \`rnn\` beside PyTorch's cells in f32 and TF32."
        echo
        echo "| H, B, T | rnn | GFLOP/s | idle, not waited for | torch rnn | rnn / torch rnn | torch gru | torch lstm | torch rnn, TF32 |"
        echo "|---|---|---|---|---|---|---|---|---|"
        { numbers "$out/updates.jsonl" own-; idle "$out/updates.jsonl"; numbers "$out/torch.txt" f32-; numbers "$out/torch-tf32.txt" tf32-; } | awk '
            { if (!($1 in seen)) { order[++n] = $1; seen[$1] = 1 } v[$1, $2] = $3 }
            END { for (i = 1; i <= n; i++) { k = order[i]; f = v[k, "f32-rnn"]
                printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", k, v[k, "own-rnn"], v[k, "gflops"], (v[k, "idle"] == "null" ? "" : sprintf("%.1f%%", 100 * v[k, "idle"])), f,
                    (f > 0 ? sprintf("%.2f", v[k, "own-rnn"] / f) : ""), v[k, "f32-gru"], v[k, "f32-lstm"], v[k, "tf32-rnn"] } }'
    fi
} >"$out/table.md"
[ -n "${BIN:-}" ] || rm -r "$bin"
cat "$out/table.md"
echo "all of it: $out"
