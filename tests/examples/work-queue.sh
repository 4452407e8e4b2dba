#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# work-queue.sh - the example program work-queue: what becomes of its jobs, and of those that a
# killed run had left.
#
# work-queue.sh [TEST...]
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"

example=$(dirname "$commitlog")/examples/work-queue
count() { grep -c -e "$1" "$out"; }

# What fails comes again, what always fails ends as a dead letter, and so does nothing else; the job
# of the worker that died is done by another.
test_life() {
    section 'a run'
    local store
    store=$(new)
    run 0 "$example" "$store"
    quiet "a run"
    same "all but one are done" 23 "$(count '^worker .*: done$')"
    prints "one dies" '^worker [1-4]: job 8, deadly, attempt 1: dies$'
    prints "another one does its job" '^worker [1-4]: job 8, deadly, attempt 2: done$'
    same "five fail once" 5 "$(count ', flaky, attempt 1: fails$')"
    same "and are done then" 5 "$(count ', flaky, attempt 2: done$')"
    same "one fails three times" 3 "$(count ': job 13, broken, attempt [123]: fails$')"
    prints "and is dead" \
        '^dead letter: broken, was offset 3 of queue 1, given out 3 times, refused$'
    prints "the sum" '^24 jobs: 23 done, 1 dead; given back 8 times; workers that died: 1$'
    run 0 "$commitlog" verify "$store"
}

# Killed: what it had given out comes again when its time is over, what it had done does not.
test_killed() {
    section 'killed'
    local store pid
    store=$(new)
    "$example" "$store" >"$work/first" 2>"$err" &
    pid=$!
    started+=("$pid")
    disown "$pid"
    wait_for lines_at_least "$work/first" 8
    kill -9 "$pid"
    wait_for gone "$pid"
    same "the first run has not ended" 0 "$(grep -c ' jobs: ' "$work/first")"
    run 0 "$example" "$store"
    quiet "the next run"
    prints "its own" '^24 jobs: 23 done, 1 dead; '
    check "some of the killed run" [ "$(count ': a job of an earlier run, .*: done$')" -gt 0 ]
    check "but not all of it" [ "$(count ': a job of an earlier run, .*: done$')" -lt 23 ]
    prints "its dead letter" 'given out 3 times, refused, of an earlier run$'
    run 0 "$commitlog" read "$store" -t '%DLQ%workers'
    same "one of each run" 2 "$(count '^broken$')"
    run 0 "$commitlog" verify "$store"
}

if [ ! -x "$example" ]; then
    skip "no $example: make examples"
    exit 77
fi
all='life killed'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
