# SPDX-License-Identifier: BSD-2-Clause
# tx_lib.sh - what the tests of transactions share beside lib.sh; $store is what they work on.
# Sourced.
# shellcheck shell=bash

tx() { # tx STATUS ACTION OPTION...: on $store
    run "$1" "$commitlog" tx "$2" "$store" "${@:3}"
}

json() { # json EXPRESSION: of v, the objects of the output
    python3 -c 'import json, sys
v = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
print(eval(sys.argv[2]))' "$out" "$1"
}

now_ms() { date +%s%3N; }

bodies() { # bodies TOPIC OPTION...: all of them on one line
    "$commitlog" read "$store" -t "$1" "${@:2}" 2>/dev/null | tr '\n' ' ' | sed 's/ $//'
}

# prepare LINES OPTION...: $number, a transaction of producer group p with so many lines.
prepare() {
    seq "$1" | run 0 "$commitlog" tx append "$store" -p p --prepare "${@:2}"
    number=$(cat "$out")
}

open_transactions() { # open_transactions N: so many are listed
    [ "$("$commitlog" tx list "$store" --json | wc -l)" = "$1" ]
}

# open_tx OPTION...: $writer, a tx append to $store that waits for lines on descriptor 9.
open_tx() {
    rm -f "$work/feed"
    mkfifo "$work/feed"
    "$commitlog" tx append "$store" -p w "$@" <"$work/feed" >"$work/printed" 2>"$work/writer" &
    writer=$!
    started+=("$writer")
    exec 9>"$work/feed"
}

upkeep() { # upkeep COMMAND...: a writer that appends nothing, until the command succeeds
    local idle
    rm -f "$work/idle"
    mkfifo "$work/idle"
    "$commitlog" append "$store" -t t <"$work/idle" 2>"$work/writer" &
    idle=$!
    started+=("$idle")
    exec 8>"$work/idle"
    check "a writer is there: $*" wait_for "$@"
    exec 8>&-
    ends "the writer" 0 "$idle"
}
