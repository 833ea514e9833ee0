#!/bin/sh
# The checks that take long or need other programs, each with its result and its minutes; writes docs/check_long.md, to be committed with what it checks.
#
#     sh scripts/check_long.sh [PART...]        parts: parity python kills fuzz run shaders mpi miri; all of them by default
#
# A part that fails does not keep the others from running; the exit code is 1 if one failed or could not run.
#
# SECONDS_EACH  what each reader is fuzzed for (60)
# UPDATES       updates of the long run on each device (2000)
# CHROMIUM      the browser whose WGSL compiler is asked (chromium)
set -u
cd "$(dirname "$0")/.." || exit 2
parts=${*:-parity python kills fuzz run shaders mpi miri}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- . ':!docs/check_long.md')" ] || commit="$commit, with changes"
failed=0
: >"$work/rows"
: >"$work/said"

# Built like the tests, whose crates are there: an example asks for the same features of them.
fuzz_all() {
    cargo build --workspace --features "$(cat scripts/features)" --quiet --bin retrograd-fuzz --example logits || return 1
    code=0
    for target in $(target/debug/retrograd-fuzz 2>&1 | sed 's/.*targets: //; s/,//g'); do
        target/debug/retrograd-fuzz "$target" "${SECONDS_EACH:-60}" "$(date +%j)" || code=1
    done
    return $code
}

# part NAME TITLE FILTER COMMAND...: runs it; a row of the table, and what of its output the filter lets through.
part() {
    name=$1 title=$2 filter=$3
    shift 3
    case " $parts " in *" $name "*) ;; *) return 0 ;; esac
    echo "== $title"
    begun=$(date +%s)
    rm -f "$work/passed"
    { "$@" && : >"$work/passed"; } 2>&1 | tee "$work/output"
    if [ -e "$work/passed" ]; then result=passed; else result="**failed**" failed=$((failed + 1)); fi
    minutes=$(echo "$(date +%s) $begun" | awk '{ printf "%.1f", ($1 - $2) / 60 }')
    echo "| $title | \`$(echo "$*" | sed 's/^fuzz_all/retrograd-fuzz TARGET '"${SECONDS_EACH:-60}"'/; s/  / "" /; s/^cannot .*/(nothing)/')\` | $result | $minutes |" >>"$work/rows"
    {
        echo
        echo "## $title"
        echo
        echo '```text'
        if [ "$result" = passed ]; then grep -E "$filter" "$work/output"; else tail -n 20 "$work/output"; fi
        echo '```'
    } >>"$work/said"
    echo "$title: $result, $minutes min"
}

cannot() {
    echo "cannot run: $1"
    return 1
}

part parity "Other programs" '^(with|ok|FAIL|tensorboard|all equal)' sh scripts/parity.sh
part python "The Python package in full" '(passed|failed)' env RETROGRAD_LONG=1 sh scripts/python.sh
part kills "Runs killed 60 times on each device" '^(cpu|gpu): ' cargo test --workspace --features "$(cat scripts/features)" --quiet --test it -- --ignored --nocapture fifty_kills
part fuzz "Damaged files" 'inputs in' fuzz_all
part run "A long run" '^\|' sh scripts/long_run.sh "" "${UPDATES:-2000}"
if command -v "${CHROMIUM:-chromium}" >/dev/null 2>&1; then
    part shaders "Another compiler of shaders" 'accepted' python3 tests/webgpu.py "${CHROMIUM:-chromium}"
else
    part shaders "Another compiler of shaders" . cannot "${CHROMIUM:-chromium} is not there"
fi
part mpi "Failures of ranks, 20 times each" 'test result' sh scripts/mpi.sh faults
part mpi "Two ranks against one" '^\|' sh scripts/mpi.sh scaling

{
    echo "# The long checks"
    echo
    [ "$failed" = 0 ] && result="all passed" || result="**$failed failed**"
    echo "\`sh scripts/check_long.sh${*:+ $*}\`, $(date -u +%Y-%m-%d), commit $commit, $(uname -sm): $result. This file is written by that script."
    echo
    echo "| part | command | result | minutes |"
    echo "|---|---|---|---|"
    cat "$work/rows" "$work/said"
} >docs/check_long.md
cat "$work/rows"
[ "$failed" = 0 ]
