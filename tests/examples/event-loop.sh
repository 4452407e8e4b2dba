#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# event-loop.sh - the example program event-loop: what it prints while its input goes on, and lines
# as long as its buffer.
#
# event-loop.sh [TEST...]
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"

example=$(dirname "$commitlog")/examples/event-loop

test_printed() {
    section 'while the input goes on'
    local store pid
    store=$(new)
    mkfifo "$work/input"
    "$example" "$store" <"$work/input" >"$work/printed" 2>"$err" &
    pid=$!
    started+=("$pid")
    exec 7>"$work/input"
    printf 'one\ntwo\n' >&7
    check "what came is printed" wait_for lines_at_least "$work/printed" 2
    echo three >&7
    check "and the next" wait_for lines_at_least "$work/printed" 3
    exec 7>&-
    ends "its end" 0 "$pid"
    same "all" '0: one 1: two 2: three' "$(tr '\n' ' ' <"$work/printed" | sed 's/ $//')"
    "$example" "$store" >/dev/full 2>"$err" <<<four
    same "standard output that is full" 1 $?
    says "it tells" 'standard output: No space left'
    "$example" "$store" >"$out" 2>"$err" </
    same "standard input that does not read" 1 $?
    says "it tells" 'read: Is a directory'
}

test_long() {
    section 'long lines'
    local store
    store=$(new)
    line=$(head -c 4096 /dev/zero | tr '\0' x)
    printf '%s\n\n%s\n%s\n%s\nlast\n' "${line%x}" "$line" "${line}y" "$line$line" |
        run 0 "$example" "$store"
    quiet "long lines"
    # One byte less, an empty one, just so many, one more, twice so many.
    same "their messages" '4095 0 4096 4096 1 4096 4096 4' \
        "$(sed 's/^[0-9]*: //' "$out" | awk '{ print length }' | tr '\n' ' ' | sed 's/ $//')"
    run 0 "$commitlog" verify "$store"
}

if [ ! -x "$example" ]; then
    skip "no $example: make examples"
    exit 77
fi
all='printed long'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
