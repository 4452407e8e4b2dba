#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# watch.sh - `commitlog stat --watch`: what it prints each second, beside writers that come and go.
set -u
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

store=$work/store
fifo=$work/fifo
mkfifo "$fifo"

writer() { # writer: begins to append what comes by descriptor 7; its process is $pid
    "$commitlog" append "$store" -t w --acks <"$fifo" >"$work/acks" 2>"$err" &
    pid=$!
    started+=("$pid")
    exec 7>"$fifo"
}

writer_killed() {
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
    exec 7>&-
}

section "beside a writer"
writer
seq 5 >&7
check "it has appended" wait_for lines_at_least "$work/acks" 5
"$commitlog" stat "$store" --watch --json >"$work/watch" 2>"$work/watch.err" &
watch=$!
started+=("$watch")
check "the first line comes at once" wait_for lines_at_least "$work/watch" 1
same "and knows no interval" 0 "$(head -1 "$work/watch" | grep -c '"interval"')"
seq 7 >&7
check "the writer has appended more" wait_for lines_at_least "$work/acks" 12
check "the interval says what came" wait_for grep -q \
    '"counters":{"appends":12,.*"interval":{"seconds":[01].*"counters":{"appends":7,' "$work/watch"
check "and how long the flushes took" grep -q \
    '"interval":{.*"flush":{"unit":"ns","one_in":1,"count":[1-9]' "$work/watch"

section "the next writer"
writer_killed
writer
seq 3 >&7
check "it is followed when the first was killed" wait_for grep -q \
    '"epoch":2,.*"counters":{"appends":3,' "$work/watch"
same "its first line knows no interval" 0 \
    "$(grep '"epoch":2,' "$work/watch" | head -1 | grep -c '"interval"')"
kill -TERM "$watch"
ends "ended by TERM" 0 "$watch"
same "with no complaint" '' "$(cat "$work/watch.err")"
writer_killed

section "without a writer"
"$commitlog" stat "$store" --watch >"$work/watch" 2>"$err" &
watch=$!
started+=("$watch")
check "rates are printed" wait_for grep -q '^appends  *0 ' "$work/watch"
check "and the last second" grep -q '^last [0-9.]* s ' "$work/watch"
kill -TERM "$watch"
ends "ended by TERM" 0 "$watch"
same "plain where it is no terminal" 0 "$(grep -c $'\033' "$work/watch")"
summary
