# SPDX-License-Identifier: BSD-2-Clause
# lib.sh - what the tests of the command share: checks that count, a scratch directory. Sourced.

commitlog=${COMMITLOG:-${BUILD:-build/release}/commitlog}
commitlog=$(realpath "$commitlog")
[ -x "$commitlog" ] || {
    echo "$commitlog is not there: run make"
    exit 1
}
# Not /tmp: that may be a tmpfs, and some of what is tested is about disks.
work=$(mktemp -d "${TMPDIR:-/var/tmp}/commitlog-cli-XXXXXX") || exit 1
checks=0
failures=0
started=()
# The last command of a pipeline runs in this shell: what it counts, and what fails there, counts.
shopt -s lastpipe

finish() {
    local pid
    # A child that a signal meets before it has become its program runs this too.
    [ "$BASHPID" = "$$" ] || return
    for pid in "${started[@]}"; do
        kill -9 "$pid" 2>/dev/null
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

section() { current=$*; }

fail() { # fail TEXT: one more failure, named
    failures=$((failures + 1))
    printf 'FAILED: %s: %s\n' "$current" "$*"
}

check() { # check TEXT COMMAND...: the command succeeds
    local text=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$text"
}

same() { # same TEXT EXPECTED ACTUAL
    checks=$((checks + 1))
    [ "$2" = "$3" ] || fail "$1: expected [$2], got [$3]"
}

# run STATUS COMMAND...: its output goes to $out and $err (files); standard input is the caller's.
out=$work/out
err=$work/err
run() {
    local expected=$1
    shift
    checks=$((checks + 1))
    timeout -k 5 60 "$@" >"$out" 2>"$err"
    local got=$?
    [ "$got" = "$expected" ] ||
        fail "$(basename "$1") ${*:2}: exit $got instead of $expected: $(head -c 300 "$err")"
}

quiet() { # nothing was printed as an error
    checks=$((checks + 1))
    [ ! -s "$err" ] || fail "$1: unexpected error: $(head -c 300 "$err")"
}

says() { # says TEXT PATTERN: the error matches
    checks=$((checks + 1))
    grep -q -e "$2" "$err" || fail "$1: no [$2] in the error: $(head -c 300 "$err")"
}

prints() { # prints TEXT PATTERN: the output matches
    checks=$((checks + 1))
    grep -q -e "$2" "$out" || fail "$1: no [$2] in the output: $(head -c 300 "$out")"
}

skip() { printf 'skip: %s\n' "$*"; }

new() { mktemp -u "$work/store-XXXXXX"; } # a path in the scratch directory that does not exist

# What a record is, without what storing it again changes.
content() {
    sed -E 's/"(position|store_time_ns|epoch)":[0-9]+,?//g' "$@"
}

# The segment file that holds a position, and the place in it: "FILE OFFSET".
place_of() {
    local file base best_file='' best=0
    for file in "$1"/log/*.log; do
        base=$(basename "$file" .log | sed 's/^0*\([0-9]\)/\1/')
        if [ "$base" -le "$2" ]; then
            best=$base
            best_file=$file
        fi
    done
    printf '%s %s' "$best_file" "$(($2 - best))"
}

flip_byte() { # flip_byte FILE OFFSET: its lowest bit
    local byte
    if [ ! -f "$1" ]; then
        fail "no file to flip a byte in: $1"
        return
    fi
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

wait_for() { # wait_for COMMAND...: until it succeeds, at most 10 s
    local i
    for ((i = 0; i < 500; i++)); do
        "$@" && return 0
        sleep 0.02
    done
    return 1
}

gone() { ! kill -0 "$1" 2>/dev/null; }

ends() { # ends TEXT STATUS PID: a child ends within 10 s, with this status
    local got
    wait_for gone "$3" || kill -9 "$3"
    wait "$3" 2>/dev/null
    got=$?
    same "$1" "$2" "$got"
}

lines_at_least() { [ -e "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]; }

summary() {
    printf 'checks: %s\n' "$checks"
    [ "$failures" = 0 ] || printf '%s of them failed\n' "$failures"
    [ "$checks" != 0 ] || echo 'nothing was checked'
    [ "$failures" = 0 ] && [ "$checks" != 0 ]
}
