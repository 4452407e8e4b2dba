#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# delay.sh - the example program delay: what it promises of delayed messages, and that they come
# after the process was killed.
#
# delay.sh [TEST...]
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"

example=$(dirname "$commitlog")/examples/delay
arrivals() { sed -n "s/^$1: \(.*\), -*[0-9]* ms late$/\1/p" "$out"; }
in_order='tea is ready
look out of the window
call back
leave for the train'

# In the order in which they are due, not in that of the appends; what was taken back never comes.
test_life() {
    section 'a run'
    local store
    store=$(new)
    run 0 "$example" "$store"
    quiet "a run"
    same "five wait" 5 "$(grep -c '^waits: timer [0-9]*, due in [0-9]* ms$' "$out")"
    prints "one is taken back" '^taken back: buy milk$'
    same "the others come, in the order of their times" "$in_order" "$(arrivals arrived)"
    check "none is early" [ "$(grep -c ', -[0-9]* ms late$' "$out")" = 0 ]
    run 0 "$example" "$store"
    same "again, on the same store" "$in_order" "$(arrivals arrived)"
    same "nothing was left" '' "$(arrivals 'of an earlier run')"
    run 0 "$commitlog" verify "$store"
}

killed_while_they_wait() {
    local pid
    "$example" "$1" >"$work/first" 2>"$err" &
    pid=$!
    started+=("$pid")
    disown "$pid"
    wait_for lines_at_least "$work/first" 6
    kill -9 "$pid"
    wait_for gone "$pid"
}

# Killed while they wait: they come in the next run, which has its own too; none is lost or doubled,
# and what was taken back stays so.
test_killed() {
    section 'killed'
    local store
    store=$(new)
    killed_while_they_wait "$store"
    run 0 "$example" "$store"
    quiet "the next run"
    same "its own" "$in_order" "$(arrivals arrived)"
    prints "one of the killed run" '^of an earlier run: leave for the train, '
    run 0 "$commitlog" read "$store" -t reminders
    same "each of both runs, once" "$(printf '%s\n' "$in_order" "$in_order" | sort)" \
        "$(sort "$out")"
    run 0 "$commitlog" verify "$store"
}

# What came while nobody printed: another program had the store open when its time was there.
test_delivered_meanwhile() {
    section 'delivered by another'
    local store
    store=$(new)
    killed_while_they_wait "$store"
    sleep 2
    run 0 "$commitlog" append "$store" -t others <<<'one'
    run 0 "$example" "$store"
    quiet "the next run"
    prints "one of the killed run" '^of an earlier run: leave for the train, '
    same "its own" "$in_order" "$(arrivals arrived)"
    run 0 "$example" "$store"
    same "nothing was left" '' "$(arrivals 'of an earlier run')"
}

# What nobody took is not noted as printed: it is there for the next run.
test_cannot_print() {
    section 'standard output is full'
    local store
    store=$(new)
    timeout 60 "$example" "$store" >/dev/full 2>"$err"
    same "its exit" 1 $?
    says "what it says" 'delay: standard output: No space'
    run 0 "$example" "$store"
    quiet "the next run"
    same "its own" "$in_order" "$(arrivals arrived)"
    same "all of the other" "$in_order" "$(arrivals 'of an earlier run')"
}

if [ ! -x "$example" ]; then
    skip "no $example: make examples"
    exit 77
fi
all='life killed delivered_meanwhile cannot_print'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
